package link

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"rackagent/agent/rack"
)

// Five bytes that announce 256 MiB.
func TestGiantFrameEndsTheConnectionAndCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		r := start(t, f.dial)
		settle(time.Hour)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f.last().raw(0x32, 0xff, 0xff, 0xff, 0x7f)
		settle(time.Second)
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
			t.Errorf("%d bytes allocated", got)
		}
		if st := r.Stats(); st.Losses[ReasonOversize] != 1 || st.Connects != 2 || st.State != StateUp {
			t.Errorf("%+v", st)
		}
		r.stop()
		f.wg.Wait()
	})
}

// The largest frame that is allowed arrives whole.
func TestLargestFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		r := start(t, f.dial)
		settle(time.Second)
		payload := strings.Repeat("x", maxFrame-2-len(cmdAt)-2)
		f.last().publish(cmdAt, payload, 1)
		settle(time.Second)
		if in := r.inbox(); len(in) != 1 || string(in[0].Payload) != payload {
			t.Fatalf("%d messages", len(in))
		}
		f.last().publish(cmdAt, payload+"x", 2)
		settle(time.Second)
		if st := r.Stats(); len(r.inbox()) != 1 || st.Losses[ReasonOversize] != 1 {
			t.Errorf("%+v", st)
		}
		r.stop()
		f.wg.Wait()
	})
}

// A queued message over the limit would end every connection: the session is discarded.
func TestOversizedMessageInTheSessionDoesNotLockTheAgentOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMochi(t)
		r := start(t, b.dial)
		settle(time.Hour)
		b.publish(cmdAt, strings.Repeat("x", maxFrame), false)
		settle(10 * time.Second)
		b.publish(cmdAt, "after", false)
		settle(time.Second)
		if in := r.inbox(); len(in) != 1 || string(in[0].Payload) != "after" {
			t.Fatalf("%d messages", len(in))
		}
		if st := r.Stats(); st.Wiped != 1 || st.Losses[ReasonOversize] != 3 || st.State != StateUp {
			t.Errorf("%+v", st)
		}
		if n := len(r.said(rack.Error)); n != 1 {
			t.Errorf("%q", r.said(rack.Error))
		}
		r.stop()
		b.stop()
	})
}

// Nothing that a broker can send ends the process; everything that it should not send ends the connection.
func TestGarbageFromTheBroker(t *testing.T) {
	for name, raw := range map[string][]byte{
		"SUBACK with two codes":         {0x90, 4, 0, 1, 0, 0},
		"SUBACK without a code":         {0x90, 2, 0, 1},
		"CONNECT":                       {0x10, 2, 0, 0},
		"SUBSCRIBE":                     {0x82, 3, 0, 1, 0},
		"PUBREC":                        {0x50, 2, 0, 1},
		"PUBREL":                        {0x62, 2, 0, 1},
		"PUBLISH with QoS 2":            {0x34, 7, 0, 1, 'a', 0, 1, 'x', 'y'},
		"PUBLISH with QoS 3":            {0x36, 7, 0, 1, 'a', 0, 1, 'x', 'y'},
		"type 0":                        {0x00, 0},
		"type 15":                       {0xf0, 0},
		"PINGRESP with a body":          {0xd0, 1, 0},
		"PUBACK of one byte":            {0x40, 1, 0},
		"length of five bytes":          {0x32, 0x80, 0x80, 0x80, 0x80, 0x01},
		"PUBLISH shorter than topic":    {0x32, 4, 0, 200, 'a', 'b'},
		"PUBLISH without identifier":    {0x32, 3, 0, 1, 'a'},
		"PUBLISH of an empty body":      {0x30, 0},
		"PUBLISH of a topic alone, cut": {0x30, 2, 0, 9},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{t: t}
				r := start(t, f.dial)
				settle(time.Minute)
				f.last().raw(raw...)
				settle(time.Second)
				if st := r.Stats(); st.Losses[ReasonMalformed] != 1 || st.State != StateUp || st.Connects != 2 {
					t.Errorf("%+v", st)
				}
				r.stop()
				f.wg.Wait()
			})
		})
	}
}

// Acknowledgements nobody asked for change nothing.
func TestStrayAcknowledgements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		r := start(t, f.dial)
		settle(time.Second)
		for id := range byte(10) {
			f.last().raw(0x40, 2, 0, id)
			f.last().raw(0x90, 3, 0, id, 1)
		}
		f.last().raw(0xd0, 0)
		r.send(telemetry("x"))
		settle(time.Second)
		if st := r.Stats(); st.Connects != 1 || st.Classes.Of(ClassTelemetry).Delivered != 1 {
			t.Errorf("%+v", st)
		}
		r.stop()
		f.wg.Wait()
	})
}

// poisoned is a broker that cuts the connection when it is sent a certain payload.
func poisoned(payload string) func(*fakeConn, packets.ControlPacket) bool {
	return func(c *fakeConn, p packets.ControlPacket) bool {
		pub, ok := p.(*packets.PublishPacket)
		if ok && string(pub.Payload) == payload {
			c.Close()
		}
		return ok && string(pub.Payload) == payload
	}
}

func TestPoisonIsFoundAndSetAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t, on: poisoned("poison")}
		r := start(t, f.dial, sayings)
		settle(time.Minute)
		var mu sync.Mutex
		var delivered []string
		for i := range 40 {
			m := result("cmd/x", fmt.Sprint(i))
			if i == 20 {
				m.Payload = []byte("poison")
			}
			m.Delivered = func() { mu.Lock(); delivered = append(delivered, string(m.Payload)); mu.Unlock() }
			r.send(m)
		}
		settle(5 * time.Second)
		if len(delivered) != 39 || slices.Contains(delivered, "poison") {
			t.Errorf("delivered %q", delivered)
		}
		if len(r.outcast) != 1 || string(r.outcast[0].Payload) != "poison" || r.Stats().Quarantined != 1 {
			t.Errorf("set aside %v", r.outcast)
		}
		if st := r.Stats(); st.State != StateUp || st.Losses[ReasonCut] != 5 || st.Outstanding != 0 {
			t.Errorf("%+v", st)
		}
		r.stop()
		f.wg.Wait()
	})
}

// A birth comes back with every connection; its topic is left out for an hour.
func TestPoisonousBirthIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t, on: poisoned("too much for this broker")}
		r := start(t, f.dial, func(_ *rig, o *Opts) {
			o.OnUp = func(int) []Message {
				return []Message{
					{Topic: "state", Payload: []byte("online"), Retain: true, Class: ClassResult},
					{Topic: "info", Payload: []byte("too much for this broker"), Retain: true, Class: ClassInfo},
				}
			}
		})
		r.send(telemetry("t"))
		settle(10 * time.Second)
		if st := r.Stats(); st.State != StateUp || st.Quarantined != 1 || st.Classes.Of(ClassTelemetry).Delivered != 1 {
			t.Fatalf("%+v", st)
		}
		if len(r.outcast) != 1 || r.outcast[0].Topic != "info" {
			t.Fatalf("%v", r.outcast)
		}
		settle(2 * time.Hour)
		f.last().Close()
		settle(time.Second)
		if n := r.Stats().Losses[ReasonCut]; n < 6 { // four to find it, this one, and at least one more
			t.Errorf("%d cuts: the birth was not tried again after the hour", n)
		}
		settle(10 * time.Second)
		if st := r.Stats(); st.State != StateUp || st.Quarantined != 2 {
			t.Errorf("%+v", st)
		}
		r.stop()
		f.wg.Wait()
	})
}

// A broker that hangs after the handshake condemns no message.
func TestSilenceProvesNothingAgainstAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		f.on = func(c *fakeConn, p packets.ControlPacket) bool {
			switch p.(type) {
			case *packets.ConnectPacket, *packets.SubscribePacket:
				return false
			}
			return c.n < 10
		}
		r := start(t, f.dial)
		delivered := false
		m := result("cmd/x", "innocent")
		m.Delivered = func() { delivered = true }
		r.send(m)
		settle(10 * time.Minute)
		if st := r.Stats(); !delivered || st.Quarantined != 0 || st.Losses[ReasonSilent] != 9 {
			t.Errorf("delivered %t; %+v", delivered, st)
		}
		r.stop()
		f.wg.Wait()
	})
}

func TestClientIDInUseBacksOffToAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var other atomic.Bool
		other.Store(true)
		f := &fake{t: t}
		f.on = func(c *fakeConn, p packets.ControlPacket) bool {
			_, ok := p.(*packets.SubscribePacket)
			if ok && other.Load() {
				c.Close()
			}
			return ok && other.Load()
		}
		began := time.Now()
		r := start(t, f.dial)
		settle(3*time.Minute + time.Second)
		want := []time.Duration{
			0, 0, 250 * time.Millisecond, // the third cut is the proof
			time.Minute + 250*time.Millisecond, 2*time.Minute + 250*time.Millisecond, 3*time.Minute + 250*time.Millisecond,
		}
		if got := f.offsets(began); !slices.Equal(got, want) {
			t.Errorf("attempts at %v, want %v", got, want)
		}
		if e := r.said(rack.Error); len(e) != 1 || !strings.Contains(e[0], `client id "r17"`) || len(r.said(rack.Warn)) != 1 {
			t.Errorf("%q, %q", e, r.said(rack.Warn))
		}
		if a := r.alarm("client-id"); a.Cleared || !strings.Contains(a.Text, `client id "r17" in use elsewhere?`) {
			t.Errorf("%+v", a)
		}
		other.Store(false)
		settle(time.Minute + 80*time.Second)
		if a := r.alarm("client-id"); a.Cleared || r.State() != StateUp {
			t.Errorf("after 80 s of connection: %+v, %s", a, r.State())
		}
		settle(15 * time.Second)
		if a := r.alarm("client-id"); !a.Cleared {
			t.Errorf("%+v", a)
		}
		if st := r.Stats(); st.State != StateUp || st.Losses[ReasonCut] != 6 {
			t.Errorf("%+v", st)
		}
		r.stop()
		f.wg.Wait()
	})
}

func TestRefusedCredentialsBackOffTo5Min(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var code atomic.Uint32
		code.Store(packets.ErrRefusedNotAuthorised)
		f := &fake{t: t}
		f.on = func(c *fakeConn, p packets.ControlPacket) bool {
			if p, ok := p.(*packets.ConnectPacket); ok {
				if p.Username != "r17" || string(p.Password) != "hunter2" {
					t.Errorf("%q %q", p.Username, p.Password)
				}
				c.connack(byte(code.Load()))
				return true
			}
			return false
		}
		began := time.Now()
		r := start(t, f.dial, func(_ *rig, o *Opts) {
			o.User, o.Password = "r17", func() (string, error) { return "hunter2", nil }
		})
		settle(16 * time.Minute)
		got := f.offsets(began)
		// 21 attempts to 5 s, then at 6, 8, 12, 20, 36 s and every 30 s up to 306 s, which is the first after 5 min.
		last := 306 * time.Second
		if len(got) != 37 || got[34] != last || got[35] != last+5*time.Minute || got[36] != last+10*time.Minute {
			t.Errorf("attempts at %v", got)
		}
		if st := r.Stats(); st.Losses[ReasonAuth] != 37 || st.Conn != 37 || st.Connects != 0 || len(r.said(rack.Error)) != 2 {
			t.Errorf("%+v, %q", st, r.said(rack.Error))
		}
		code.Store(0)
		settle(5 * time.Minute)
		if r.State() != StateUp {
			t.Error(r.State())
		}
		if strings.Contains(r.log.String()+strings.Join(r.said(rack.Error), ""), "hunter2") {
			t.Error("the password was told")
		}
		r.stop()
		f.wg.Wait()
	})
}

// A broker whose store of users comes up later than itself has its agents back as soon as it knows them.
func TestCredentialsRefusedForAWhile(t *testing.T) {
	for _, late := range []time.Duration{3 * time.Second, 4 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			f := &fake{t: t}
			f.on = func(c *fakeConn, p packets.ControlPacket) bool {
				if _, ok := p.(*packets.ConnectPacket); ok && time.Since(began) < late {
					c.connack(packets.ErrRefusedNotAuthorised)
					return true
				}
				return false
			}
			r := start(t, f.dial)
			settle(late + slowMax)
			if st := r.Stats(); st.State != StateUp || len(r.said(rack.Error)) != 1 {
				t.Errorf("%s late: %+v, %q", late, st, r.said(rack.Error))
			}
			r.stop()
			f.wg.Wait()
		})
	}
}

// paho takes a CONNACK code that it does not know for success and goes on with a closed connection.
func TestEveryOtherRefusalIsTriedAgain(t *testing.T) {
	for _, code := range []byte{1, 2, 3, 6, 200} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{t: t}
			f.on = func(c *fakeConn, p packets.ControlPacket) bool {
				if _, ok := p.(*packets.ConnectPacket); ok && c.n < 5 {
					c.connack(code)
					return true
				}
				return false
			}
			r := start(t, f.dial)
			settle(2 * time.Second)
			if st := r.Stats(); st.State != StateUp || st.Losses[ReasonRefused] != 4 || st.Connects != 1 {
				t.Errorf("code %d: %+v", code, st)
			}
			r.stop()
			f.wg.Wait()
		})
	}
}

func TestNoConnackAndNoSuback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		f.on = func(c *fakeConn, p packets.ControlPacket) bool {
			switch p.(type) {
			case *packets.ConnectPacket:
				return c.n == 1
			case *packets.SubscribePacket:
				return c.n == 2
			}
			return false
		}
		r := start(t, f.dial)
		settle(25 * time.Second)
		if st := r.Stats(); st.State != StateUp || !st.Subscribed || st.Losses[ReasonSilent] != 1 || st.Losses[ReasonSubscribe] != 1 {
			t.Errorf("%+v", st)
		}
		r.stop()
		f.wg.Wait()
	})
}

func TestPasswordThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		var fail atomic.Bool
		fail.Store(true)
		r := start(t, f.dial, func(_ *rig, o *Opts) {
			o.Password = func() (string, error) {
				if fail.Load() {
					return "", errors.New("no such credential")
				}
				return "x", nil
			}
		})
		settle(time.Minute)
		if st := r.Stats(); st.Losses[ReasonCredentials] == 0 || len(r.said(rack.Error)) != 1 || st.Conn != 0 {
			t.Errorf("%+v", st)
		}
		fail.Store(false)
		settle(time.Minute)
		if r.State() != StateUp {
			t.Error(r.State())
		}
		r.stop()
		f.wg.Wait()
	})
}

// FuzzFrames feeds arbitrary bytes to the connection and paho's decoder behind it: no panic, nothing over the limit.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0x20, 2, 0, 0, 0x90, 3, 0, 1, 1, 0x40, 2, 0, 1, 0xd0, 0})
	f.Add([]byte{0x32, 0xff, 0xff, 0xff, 0x7f})
	f.Add([]byte{0x32, 10, 0, 3, 'a', '/', 'b', 0, 1, 'x', 'y', 'z'})
	f.Add([]byte{0x90, 4, 0, 1, 0, 0})
	f.Add([]byte{0x31, 0x80, 0x80, 0x10, 0, 1})
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := newConn(readOnly{r: bytes.NewReader(raw)})
		for {
			p, err := packets.ReadPacket(c)
			if err != nil {
				return
			}
			switch p := p.(type) {
			case *packets.PublishPacket:
				if len(p.Payload) > maxFrame || p.Qos > 1 {
					t.Fatalf("%d bytes, QoS %d", len(p.Payload), p.Qos)
				}
			case *packets.SubackPacket:
				if len(p.ReturnCodes) != 1 {
					t.Fatalf("%d codes", len(p.ReturnCodes))
				}
			case *packets.ConnackPacket, *packets.PubackPacket, *packets.UnsubackPacket, *packets.PingrespPacket:
			default:
				t.Fatalf("%T", p)
			}
		}
	})
}
