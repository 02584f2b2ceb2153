package link

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"rackagent/agent/rack"
)

// One message proves nothing about a handler that publishes: fifty do.
func TestBurstOfFiftyCommandsIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMochi(t)
		jobs := make(chan Inbound, 64)
		r := start(t, b.dial, func(_ *rig, o *Opts) {
			o.Inbound = func(m Inbound) bool { jobs <- m; return true }
		})
		go func() {
			for m := range jobs {
				r.send(result("cmd/"+string(m.Payload), "accepted"))
				m.Ack()
			}
		}()
		settle(time.Second)
		for i := range 50 {
			b.publish(cmdAt, fmt.Sprintf("c%d", i), false)
		}
		settle(time.Second)
		for i := range 50 {
			if n := len(b.seen(fmt.Sprintf("%scmd/c%d", upAt, i))); n != 1 {
				t.Errorf("command %d: %d answers", i, n)
			}
		}
		if st := r.Stats(); st.Inbound != 50 || st.Unacked != 0 || st.Outstanding != 0 || st.State != StateUp {
			t.Errorf("%+v", st)
		}
		r.stop()
		close(jobs)
		b.stop()
	})
}

// A completed paho token says nothing; the broker's PUBACK does.
func TestDeliveredOnlyWhenTheBrokerAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t, on: handshakeOnly}
		r := start(t, f.dial)
		delivered := 0
		m := result("cmd/a", "succeeded")
		m.Delivered = func() { delivered++ }
		r.send(m)
		settle(time.Second)
		f.last().Close() // after PUBLISH, before PUBACK
		settle(time.Second)
		again := f.nth(2)
		if got := f.payloads(again); !slices.Equal(got, []string{"succeeded"}) {
			t.Fatalf("on the second connection: %q", got)
		}
		if st := r.Stats(); delivered != 0 || st.Outstanding != 1 || st.OldestAge != 2*time.Second {
			t.Fatalf("delivered %d times without PUBACK; %+v", delivered, st)
		}
		again.puback(f.pubs(again)[0])
		again.puback(f.pubs(again)[0])
		settle(time.Second)
		if st := r.Stats(); delivered != 1 || st.Outstanding != 0 || st.Classes.Of(ClassResult).Resent != 1 {
			t.Fatalf("delivered %d times, want once; %+v", delivered, st)
		}
		r.stop()
		f.wg.Wait()
	})
}

// What is sent before there is a broker is neither lost nor given to paho.
func TestSentBeforeTheFirstConnectIsDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMochi(t)
		b.stop()
		r := start(t, b.dial)
		for i := range 10 {
			r.send(result("cmd/a", fmt.Sprint(i)))
		}
		settle(5 * time.Minute)
		if st := r.Stats(); st.State == StateUp || st.Classes.Of(ClassResult).Queued != 10 || st.Outstanding != 0 {
			t.Fatalf("%+v", st)
		}
		b.start()
		settle(LongestWait(0))
		if got := b.seen(upAt + "cmd/a"); len(got) != 10 {
			t.Fatalf("broker saw %q", got)
		}
		r.stop()
		b.stop()
	})
}

func TestAtMost32AreOutstandingAndAllAreQoS1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t, on: handshakeOnly}
		r := start(t, f.dial)
		for i := range 100 {
			r.send(telemetry(fmt.Sprint(i)))
		}
		settle(time.Second)
		c := f.last()
		if st := r.Stats(); len(f.payloads(c)) != 32 || st.Outstanding != 32 || st.Classes.Of(ClassTelemetry).Queued != 68 {
			t.Fatalf("%d on the wire, %+v", len(f.payloads(c)), st)
		}
		for _, p := range f.pubs(c) {
			if p.Qos != 1 || p.Dup || p.Retain || p.TopicName != upAt+"tele" {
				t.Fatalf("%+v", p)
			}
		}
		c.puback(f.pubs(c)[0])
		c.puback(f.pubs(c)[1])
		settle(time.Second)
		if got := f.payloads(c); len(got) != 34 || got[33] != "33" {
			t.Fatalf("after two acknowledgements: %d", len(got))
		}
		r.stop()
		f.wg.Wait()
	})
}

func TestClassesGoInOrderOfImportance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t, down: true}
		r := start(t, f.dial, func(_ *rig, o *Opts) {
			o.OnUp = func(conn int) []Message {
				return []Message{{Topic: "state", Payload: fmt.Append(nil, "online ", conn), Retain: true, Class: ClassResult}}
			}
		})
		for _, c := range []Class{ClassTelemetry, ClassInfo, ClassEvent, ClassResult} {
			for i := range 2 {
				r.send(Message{Topic: "x", Payload: fmt.Appendf(nil, "%s %d", c, i), Class: c})
			}
		}
		settle(time.Second)
		f.setDown(false)
		settle(10 * time.Second)
		want := []string{
			"online 1", "result 0", "result 1", "event 0", "event 1", "info 0", "info 1", "telemetry 0", "telemetry 1",
		}
		if got := f.payloads(f.last()); !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
		r.stop()
		f.wg.Wait()
	})
}

func TestFullQueues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t, down: true}
		r := start(t, f.dial, func(_ *rig, o *Opts) {
			o.Limits = [classes]Limit{{Messages: 2}, {}, {Bytes: 10}, {Messages: 3}}
		})
		for i := range 5 {
			r.send(telemetry(fmt.Sprint("t", i)))
		}
		r.send(result("cmd/a", "1"))
		r.send(result("cmd/a", "2"))
		if err := r.Send(result("cmd/a", "3")); !errors.Is(err, ErrFull) {
			t.Errorf("third result: %v", err)
		}
		if err := r.Send(Message{Topic: "info", Payload: make([]byte, 11), Class: ClassInfo}); !errors.Is(err, ErrFull) {
			t.Errorf("11 bytes of info: %v", err)
		}
		if st := r.Stats(); r.dropped != 2 || st.Classes.Of(ClassTelemetry).Dropped != 2 || st.Classes.Of(ClassResult).Refused != 1 {
			t.Errorf("dropped %d; %+v", r.dropped, st.Classes)
		}
		f.setDown(false)
		settle(10 * time.Second)
		if got := f.payloads(f.last()); !slices.Equal(got, []string{"1", "2", "t2", "t3", "t4"}) {
			t.Errorf("%q", got)
		}
		r.stop()
		f.wg.Wait()
	})
}

func TestWhatIsNoLongerWorthSendingIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t, down: true}
		r := start(t, f.dial)
		old := telemetry("old")
		old.Until = time.Now().Add(3 * time.Second)
		r.send(old)
		r.send(telemetry("good"))
		settle(4 * time.Second)
		f.setDown(false)
		settle(time.Second)
		if got := f.payloads(f.last()); !slices.Equal(got, []string{"good"}) || r.dropped != 1 {
			t.Errorf("%q, dropped %d", got, r.dropped)
		}
		r.stop()
		f.wg.Wait()
	})
}

// A wildcard, a NUL, bad UTF-8 or an oversized packet would be answered by the broker with a cut, for ever.
func TestBadMessagesNeverReachTheBroker(t *testing.T) {
	l, err := New(Opts{Site: site, Agent: agent, Dial: (&fake{}).dial, Inbound: func(Inbound) bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		topic string
		size  int
		class Class
		want  error
	}{
		{"cmd/01JD9XB7_-", 0, ClassResult, nil},
		{"alarm/pdu-a.feed-b", 64 << 10, ClassEvent, nil},
		{"cmd/#", 0, ClassResult, ErrTopic},
		{"cmd/+", 0, ClassResult, ErrTopic},
		{"", 0, ClassResult, ErrTopic},
		{"cmd/", 0, ClassResult, ErrTopic},
		{"/cmd", 0, ClassResult, ErrTopic},
		{"cmd//a", 0, ClassResult, ErrTopic},
		{"cmd/a\x00", 0, ClassResult, ErrTopic},
		{"cmd/\xff", 0, ClassResult, ErrTopic},
		{"cmd/a b", 0, ClassResult, ErrTopic},
		{"$SYS", 0, ClassResult, ErrTopic},
		{"a/b/c/d", 0, ClassResult, ErrTopic},
		{"cmd/" + strings.Repeat("a", 65), 0, ClassResult, ErrTopic},
		{"tele", 64<<10 + 1, ClassTelemetry, ErrTooBig},
		{"tele", 0, 0, ErrClass},
		{"tele", 0, ClassBackfill + 1, ErrClass},
	} {
		err := l.Send(Message{Topic: c.topic, Payload: make([]byte, c.size), Class: c.class})
		if !errors.Is(err, c.want) {
			t.Errorf("%q, %d bytes, %s: %v, want %v", c.topic, c.size, c.class, err, c.want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	ok := Opts{Site: site, Agent: agent, Dial: (&fake{}).dial, Inbound: func(Inbound) bool { return true }}
	for name, spoil := range map[string]func(*Opts){
		"site":     func(o *Opts) { o.Site = "a/b" },
		"agent":    func(o *Opts) { o.Agent = "+" },
		"dial":     func(o *Opts) { o.Dial = nil },
		"inbound":  func(o *Opts) { o.Inbound = nil },
		"no agent": func(o *Opts) { o.Agent = "" },
	} {
		o := ok
		spoil(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A retained message that waited must not undo the birth on the same topic.
func TestBirthSupersedesOlderRetained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		f.on = func(c *fakeConn, p packets.ControlPacket) bool { return c.n == 1 && handshakeOnly(c, p) }
		r := start(t, f.dial, func(_ *rig, o *Opts) {
			o.OnUp = func(conn int) []Message {
				return []Message{{Topic: "state", Payload: fmt.Append(nil, "birth ", conn), Retain: true, Class: ClassResult}}
			}
		})
		settle(time.Second)
		state := func(p string) Message {
			return Message{Topic: "state", Payload: []byte(p), Retain: true, Class: ClassResult}
		}
		r.send(state("sent"))
		settle(time.Second)
		f.last().Close()
		r.send(state("queued"))
		r.send(result("cmd/a", "kept"))
		settle(time.Second)
		if got := f.payloads(f.nth(2)); !slices.Equal(got, []string{"birth 2", "kept"}) {
			t.Errorf("%q", got)
		}
		if n := r.Stats().Classes.Of(ClassResult).Superseded; n != 2 {
			t.Errorf("superseded %d", n)
		}
		r.stop()
		f.wg.Wait()
	})
}

// An alarm that ends while a connection is being greeted ends at the broker too.
func TestWhatWasSentAfterOnUpIsNotSuperseded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		alarm := func(p string) Message {
			return Message{Topic: "alarm/a", Payload: []byte(p), Retain: true, Class: ClassEvent}
		}
		f.setDown(true)
		var r *rig
		r = start(t, f.dial, func(_ *rig, o *Opts) {
			o.OnUp = func(int) []Message {
				births := []Message{alarm("active")}
				r.send(alarm("")) // cleared, after the births were made
				return births
			}
		})
		r.send(alarm("old"))
		settle(time.Second)
		f.setDown(false)
		settle(time.Second)
		if got := f.payloads(f.last()); !slices.Equal(got, []string{"active", ""}) {
			t.Errorf("%q", got)
		}
		r.stop()
		f.wg.Wait()
	})
}

// paho's own resend loses the order when anything new is published; here repeats go first and new messages after.
func TestOrderSurvivesACut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		f.on = func(c *fakeConn, p packets.ControlPacket) bool {
			pub, ok := p.(*packets.PublishPacket)
			return ok && c.n == 1 && string(pub.Payload) >= "b" // acknowledges a only
		}
		r := start(t, f.dial)
		for _, p := range []string{"a", "b", "c"} {
			r.send(result("cmd/x", p))
		}
		settle(time.Second)
		r.send(result("cmd/x", "d"))
		f.last().Close()
		r.send(result("cmd/x", "e"))
		settle(time.Second)
		if got := strings.Join(f.payloads(f.nth(2)), ""); got != "bcde" {
			t.Errorf("on the second connection: %s", got)
		}
		r.stop()
		f.wg.Wait()
	})
}

// A broker that was restarted without its memory has no subscriptions.
func TestBrokerThatLostItsSessionGetsTheSubscriptionAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMochi(t)
		r := start(t, b.dial)
		settle(time.Second)
		b.stop()
		settle(20 * time.Second)
		b.start()
		settle(LongestWait(0))
		for i := range 5 {
			b.publish(cmdAt, fmt.Sprint(i), false)
		}
		settle(time.Second)
		if n := len(r.inbox()); n != 5 {
			t.Errorf("%d of 5 commands", n)
		}
		r.stop()
		b.stop()
	})
}

func TestSubscriptionRefusedIsLoudAndAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		f := &fake{t: t}
		f.on = func(c *fakeConn, p packets.ControlPacket) bool {
			s, ok := p.(*packets.SubscribePacket)
			if ok {
				if len(s.Topics) != 1 || s.Topics[0] != "rackagent/v1/demo/r17/down/#" || s.Qoss[0] != 1 {
					t.Errorf("%v %v", s.Topics, s.Qoss)
				}
				if asked++; asked == 1 {
					c.suback(s, 0x80)
					return true
				}
			}
			return false
		}
		r := start(t, f.dial)
		r.send(telemetry("still here"))
		settle(30 * time.Second)
		if st := r.Stats(); st.Subscribed || st.State != StateUp || len(r.said(rack.Critical)) != 1 {
			t.Fatalf("%+v, %q", st, r.said(rack.Critical))
		}
		if got := f.payloads(f.last()); !slices.Equal(got, []string{"still here"}) {
			t.Fatalf("%q", got)
		}
		settle(time.Minute)
		if st := r.Stats(); !st.Subscribed || st.Connects != 1 || asked != 2 {
			t.Errorf("asked %d times, %+v", asked, st)
		}
		r.stop()
		f.wg.Wait()
	})
}

// mochi answers 0x80 where mosquitto says nothing.
func TestACLThatRefusesTheSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMochi(t)
		b.acl = func(topic string, write bool) bool { return write || !strings.HasPrefix(topic, "rackagent") }
		r := start(t, b.dial)
		settle(time.Second)
		if st := r.Stats(); st.Subscribed || st.State != StateUp || len(r.said(rack.Critical)) != 1 {
			t.Errorf("%+v", st)
		}
		r.stop()
		b.stop()
	})
}
