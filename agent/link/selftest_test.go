package link

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"rackagent/agent/rack"
)

// acl is a broker as mosquitto is: it acknowledges and grants everything, and passes on what its ACL allows.
type acl struct {
	write, readDown, readOwn atomic.Bool
	responder                atomic.Bool // somebody answers self tests
	cutOwn                   atomic.Bool // as RabbitMQ does: a SUBSCRIBE that is not allowed ends the connection
	tests                    atomic.Int64
	asked                    atomic.Int64 // up/selftest
}

func newACL(all bool) *acl {
	a := &acl{}
	for _, b := range []*atomic.Bool{&a.write, &a.readDown, &a.readOwn} {
		b.Store(all)
	}
	return a
}

func (a *acl) on(c *fakeConn, p packets.ControlPacket) bool {
	switch p := p.(type) {
	case *packets.SubscribePacket:
		if p.Topics[0] != upAt+"selftest" {
			return false
		}
		a.asked.Add(1)
		if a.cutOwn.Load() {
			c.Close()
			return true
		}
	case *packets.PublishPacket:
		if p.TopicName != upAt+"selftest" {
			return false
		}
		a.tests.Add(1)
		c.puback(p)
		if a.write.Load() && a.readOwn.Load() && !a.cutOwn.Load() {
			c.publish(upAt+"selftest", string(p.Payload), 7)
		}
		if a.write.Load() && a.readDown.Load() && a.responder.Load() {
			c.publish(strings.TrimSuffix(cmdAt, "cmd")+"selftest", string(p.Payload), 8)
		}
		return true
	}
	return false
}

func selfTesting(mode SelfTest) func(*rig, *Opts) {
	return func(_ *rig, o *Opts) { o.SelfTest = mode }
}

// What an agent finds out about lines of the ACL that are missing from the start, and what it says.
func TestSelfTestAtTheStart(t *testing.T) {
	const (
		write = "topic write rackagent/v1/demo/r17/up/#"
		down  = "topic read rackagent/v1/demo/r17/down/#"
		own   = "topic read rackagent/v1/demo/r17/up/selftest"
	)
	for name, c := range map[string]struct {
		mode      SelfTest
		change    func(*acl)
		want      Verdict
		says, not string // parts of the alarm
	}{
		"all is well":                     {SelfTestDemand, func(*acl) {}, VerdictGood, "", ""},
		"a responder alone":               {SelfTestDemand, func(a *acl) { a.readOwn.Store(false); a.responder.Store(true) }, VerdictGood, "", ""},
		"not allowed to write":            {SelfTestDemand, func(a *acl) { a.write.Store(false) }, VerdictLocked, write, ""},
		"nobody answers":                  {SelfTestDemand, func(a *acl) { a.readOwn.Store(false) }, VerdictLocked, own, ""},
		"nobody answers, and none has to": {SelfTestLearn, func(a *acl) { a.readOwn.Store(false) }, VerdictSilent, "", ""},
		"mute, and no echo is demanded":   {SelfTestLearn, func(a *acl) { a.write.Store(false) }, VerdictSilent, "", ""},
		"off":                             {SelfTestOff, func(a *acl) { a.write.Store(false) }, VerdictNone, "", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := newACL(true)
			c.change(a)
			f := &fake{t: t, on: a.on}
			r := start(t, f.dial, selfTesting(c.mode))
			settle(20 * time.Second)
			st, alarm := r.Stats(), r.alarm("selftest")
			if st.SelfTest != c.want || st.State != StateUp || f.count() != 1 {
				t.Errorf("%s: %q, %s after %d connections", name, st.SelfTest, st.State, f.count())
			}
			if raised := alarm.Text != "" && !alarm.Cleared; raised != (c.want == VerdictLocked) || !strings.Contains(alarm.Text, c.says) {
				t.Errorf("%s: %+v", name, alarm)
			}
			if c.mode == SelfTestOff && (a.tests.Load() > 0 || a.asked.Load() > 0) {
				t.Errorf("%s: %d nonces, asked %d times", name, a.tests.Load(), a.asked.Load())
			}
			if len(r.inbox()) > 0 || st.Unrouted > 0 || st.Unacked > 0 {
				t.Errorf("%s: an echo went to the receiver: %v, %+v", name, r.inbox(), st)
			}
			r.stop()
			f.wg.Wait()
		})
	}
}

// A line that goes away at run time is missed within the hour, without an end of the connection, and named as exactly as
// can be told; when it is back the alarm is over within 5 min.
func TestSelfTestFindsWhatWasTakenAway(t *testing.T) {
	const up, down = "rackagent/v1/demo/r17/up/", "rackagent/v1/demo/r17/down/"
	for name, c := range map[string]struct {
		mode      SelfTest
		responder bool
		line      func(*acl) *atomic.Bool
		says      string // ends the alarm's text
	}{
		"write":                      {SelfTestLearn, false, func(a *acl) *atomic.Bool { return &a.write }, "ACL: topic write " + up + "#, or topic read " + up + "selftest"},
		"write, answered":            {SelfTestDemand, true, func(a *acl) *atomic.Bool { return &a.write }, "ACL: topic write " + up + "#"},
		"read of down":               {SelfTestDemand, true, func(a *acl) *atomic.Bool { return &a.readDown }, "ACL: topic read " + down + "#"},
		"read of the agent's own":    {SelfTestLearn, false, func(a *acl) *atomic.Bool { return &a.readOwn }, "topic read " + up + "selftest"},
		"own, answered all the same": {SelfTestDemand, true, func(a *acl) *atomic.Bool { return &a.readOwn }, ""},
		"a responder goes away":      {SelfTestLearn, true, func(a *acl) *atomic.Bool { return &a.responder }, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := newACL(true)
			a.responder.Store(c.responder)
			f := &fake{t: t, on: a.on}
			r := start(t, f.dial, selfTesting(c.mode))
			settle(20 * time.Second)
			if st := r.Stats(); st.SelfTest != VerdictGood {
				t.Fatalf("%s: %q at the start", name, st.SelfTest)
			}
			c.line(a).Store(false)
			settle(time.Hour + time.Minute)
			alarm := r.alarm("selftest")
			if c.says == "" && alarm.Key != "" || !strings.HasSuffix(alarm.Text, c.says) || c.says != "" && alarm.Severity != rack.Error {
				t.Errorf("%s: %+v", name, alarm)
			}
			c.line(a).Store(true)
			settle(6 * time.Minute)
			if alarm := r.alarm("selftest"); alarm.Key != "" && !alarm.Cleared || r.Stats().SelfTest != VerdictGood || f.count() != 1 {
				t.Errorf("%s: put right, and %+v, %q, %d connections", name, alarm, r.Stats().SelfTest, f.count())
			}
			if n := len(r.said(rack.Error)); n > 1 {
				t.Errorf("%s: told %d times", name, n)
			}
			r.stop()
			f.wg.Wait()
		})
	}
}

// A command that arrives proves what an answer would have proven.
func TestSelfTestTakesACommandForAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newACL(true)
		a.responder.Store(true)
		f := &fake{t: t, on: a.on}
		r := start(t, f.dial, selfTesting(SelfTestDemand))
		settle(20 * time.Second)
		a.responder.Store(false)
		f.last().publish(cmdAt, "{}", 3)
		settle(time.Hour + time.Minute)
		if alarm := r.alarm("selftest"); alarm.Key != "" || r.Stats().SelfTest != VerdictGood {
			t.Errorf("%+v, %q", alarm, r.Stats().SelfTest)
		}
		r.stop()
		f.wg.Wait()
	})
}

// A broker that answers the SUBSCRIBE with a cut is asked once.
func TestSelfTestMakesNoLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newACL(true)
		a.cutOwn.Store(true)
		f := &fake{t: t, on: a.on}
		r := start(t, f.dial, selfTesting(SelfTestLearn), sayings)
		settle(3 * time.Hour)
		if st := r.Stats(); f.count() != 2 || a.asked.Load() != 1 || a.tests.Load() < 2 || st.State != StateUp || st.SelfTest != VerdictSilent || st.Quarantined > 0 {
			t.Errorf("%d connections, asked %d times, %d tests; %+v", f.count(), a.asked.Load(), a.tests.Load(), st)
		}
		r.stop()
		f.wg.Wait()
	})
}

// What is old, retained, foreign or huge is no echo; all of it is acknowledged.
func TestWhatIsNoEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newACL(false)
		a.write.Store(true)
		f := &fake{t: t}
		var last string
		f.on = func(c *fakeConn, p packets.ControlPacket) bool {
			pub, ok := p.(*packets.PublishPacket)
			if !ok || pub.TopicName != upAt+"selftest" {
				return a.on(c, p)
			}
			c.puback(pub)
			at := strings.TrimSuffix(cmdAt, "cmd") + "selftest"
			c.publish(at, last, 1)
			c.publish(at, string(pub.Payload), 2, func(p *packets.PublishPacket) { p.Retain = true })
			c.publish(at, "{}", 3)
			c.publish(at, string(pub.Payload)+strings.Repeat(" ", 2000), 4)
			last = string(pub.Payload)
			return true
		}
		r := start(t, f.dial, selfTesting(SelfTestDemand))
		settle(6 * time.Minute)
		if st := r.Stats(); st.SelfTest != VerdictLocked || len(f.acksOf(f.last())) != 8 || len(r.inbox()) > 0 {
			t.Errorf("%+v, acknowledged %v", st, f.acksOf(f.last()))
		}
		r.stop()
		f.wg.Wait()
	})
}

// A line so slow that nothing is acknowledged proves nothing about rights.
func TestSelfTestOnASlowLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t, on: handshakeOnly}
		r := start(t, f.dial, selfTesting(SelfTestDemand))
		settle(10 * time.Minute)
		if alarm := r.alarm("selftest"); alarm.Key != "" || r.Stats().SelfTest != VerdictNone {
			t.Errorf("%+v, %q", alarm, r.Stats().SelfTest)
		}
		r.stop()
		f.wg.Wait()
	})
}

// A refused subscription is a lock-out whatever is tested, and its end ends the alarm.
func TestARefusedSubscriptionIsALockOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var refuse atomic.Bool
		refuse.Store(true)
		f := &fake{t: t}
		f.on = func(c *fakeConn, p packets.ControlPacket) bool {
			if p, ok := p.(*packets.SubscribePacket); ok && refuse.Load() {
				c.suback(p, 0x80)
				return true
			}
			return false
		}
		r := start(t, f.dial)
		settle(time.Second)
		if a := r.alarm("selftest"); a.Cleared || !strings.HasSuffix(a.Text, "topic read rackagent/v1/demo/r17/down/#") {
			t.Errorf("%+v", a)
		}
		refuse.Store(false)
		settle(2 * time.Minute)
		if a := r.alarm("selftest"); !a.Cleared {
			t.Errorf("%+v", a)
		}
		r.stop()
		f.wg.Wait()
	})
}

// The operator's side answers each test once, and nothing that is retained or huge.
func TestEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMochi(t)
		r := start(t, b.dial, selfTesting(SelfTestDemand))
		c := operator(t, ClientOpts{Dial: b.dial})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		answered := 0
		go func() {
			done <- c.Echo(ctx, "+", func(name string) {
				if name != agent {
					t.Errorf("answered %q", name)
				}
				answered++
			})
		}()
		b.publish(upAt+"selftest", "old", true)
		b.publish(upAt+"selftest", strings.Repeat("x", 2000), false)
		settle(20 * time.Second)
		if st := r.Stats(); st.SelfTest != VerdictGood {
			t.Errorf("%q", st.SelfTest)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if got := b.seen(strings.TrimSuffix(cmdAt, "cmd") + "selftest"); len(got) != answered || answered == 0 {
			t.Errorf("%q sent, %d answered", got, answered)
		}
		c.Close()
		r.stop()
		b.stop()
	})
}
