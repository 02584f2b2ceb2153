package link

import (
	"fmt"
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

// At once, every 250 ms for 5 s, then 1 s doubling to 30 s; with Rand at 0.5 every wait is as written.
func TestTimetableOfAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		r := start(t, f.dial)
		settle(time.Hour)
		f.setDown(true)
		f.last().Close()
		synctest.Wait()
		lost := time.Now()
		settle(3 * time.Minute)
		var want []time.Duration
		for at := time.Duration(0); at <= 5*time.Second; at += 250 * time.Millisecond {
			want = append(want, at)
		}
		for _, s := range []int{6, 8, 12, 20, 36, 66, 96, 126, 156} {
			want = append(want, time.Duration(s)*time.Second)
		}
		if got := f.offsets(lost); !slices.Equal(got, want) {
			t.Errorf("attempts after the loss at\n%v, want\n%v", got, want)
		}
		if st := r.Stats(); st.State != StateWaiting || !st.Next.Equal(lost.Add(186*time.Second)) {
			t.Errorf("%+v", st)
		}
		f.setDown(false)
		settle(10 * time.Second)
		if st := r.Stats(); st.State != StateUp || st.Connects != 2 || st.Losses[ReasonCut] != 1 {
			t.Errorf("%+v", st)
		}
		r.stop()
		f.wg.Wait()
	})
}

func TestOutageIsReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		r := start(t, f.dial)
		settle(time.Hour)
		f.setDown(true)
		f.last().Close()
		settle(time.Hour)
		f.setDown(false)
		settle(time.Minute)
		if w, i := r.said(rack.Warn), r.said(rack.Info); len(w) != 2 || len(i) != 2 {
			t.Errorf("warnings %q, information %q", w, i)
		}
		if n := strings.Count(r.log.String(), "\n"); n != 4 {
			t.Errorf("%d lines:\n%s", n, r.log.String())
		}
		r.stop()
		f.wg.Wait()
	})
}

// A broker that stands still: bytes are taken and nothing comes back.
func TestSilentBrokerIsNoticedWithin10s(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dead atomic.Bool
		f := &fake{t: t, on: func(*fakeConn, packets.ControlPacket) bool { return dead.Load() }}
		r := start(t, f.dial)
		settle(time.Hour)
		for _, quiet := range []time.Duration{0, 100 * time.Millisecond, 1300 * time.Millisecond, 4900 * time.Millisecond} {
			settle(quiet)
			dead.Store(true)
			died := time.Now()
			f.setDown(true)
			for r.State() == StateUp {
				settle(50 * time.Millisecond)
			}
			if d := time.Since(died); d > 10*time.Second {
				t.Errorf("after %v: noticed after %v", quiet, d)
			}
			dead.Store(false)
			f.setDown(false)
			settle(time.Hour)
		}
		if n := r.Stats().Losses[ReasonSilent]; n != 4 {
			t.Errorf("%v", r.Stats().Losses)
		}
		r.stop()
		f.wg.Wait()
	})
}

// The same with traffic, where the pings are not due by what is sent but by what does not come.
func TestSilentBrokerIsNoticedUnderTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dead atomic.Bool
		f := &fake{t: t, on: func(*fakeConn, packets.ControlPacket) bool { return dead.Load() }}
		r := start(t, f.dial)
		settle(time.Hour)
		dead.Store(true)
		died := time.Now()
		for r.State() == StateUp {
			r.send(telemetry("x"))
			settle(100 * time.Millisecond)
		}
		if d := time.Since(died); d > 10*time.Second {
			t.Errorf("noticed after %v", d)
		}
		r.stop()
		f.wg.Wait()
	})
}

// A socket that takes no bytes blocks publishes, acknowledgements and pings alike.
func TestStuckSocketIsNoticedWithin10s(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		f := &fake{t: t}
		f.on = func(c *fakeConn, p packets.ControlPacket) bool {
			if pub, ok := p.(*packets.PublishPacket); ok && string(pub.Payload) == "last words" && c.n == 1 {
				<-stuck // the broker reads no more
			}
			return false
		}
		r := start(t, f.dial, hoard)
		settle(time.Hour)
		f.last().publish(cmdAt, "a", 1)
		r.send(result("cmd/x", "last words"))
		settle(0)
		died := time.Now()
		for i := range 10 {
			r.send(result("cmd/x", fmt.Sprint(i)))
		}
		r.inbox()[0].Ack()
		for r.Stats().Connects == 1 {
			settle(50 * time.Millisecond)
		}
		if d := time.Since(died); d > 10*time.Second+50*time.Millisecond {
			t.Errorf("noticed after %v", d)
		}
		settle(time.Second)
		want := []string{"last words", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}
		if got := f.payloads(f.nth(2)); !slices.Equal(got, want) || r.Stats().Losses[ReasonStuck] != 1 {
			t.Errorf("%q, %v", got, r.Stats().Losses)
		}
		close(stuck)
		r.stop()
		f.wg.Wait()
	})
}

// A stall shorter than the limit costs nothing.
func TestShortStallIsSurvived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		f.on = func(_ *fakeConn, p packets.ControlPacket) bool {
			if pub, ok := p.(*packets.PublishPacket); ok && string(pub.Payload) == "0" {
				time.Sleep(4500 * time.Millisecond)
			}
			return false
		}
		r := start(t, f.dial)
		settle(time.Minute)
		var mu sync.Mutex
		var delivered []string
		for i := range 20 {
			m := result("cmd/x", fmt.Sprint(i))
			m.Delivered = func() { mu.Lock(); delivered = append(delivered, string(m.Payload)); mu.Unlock() }
			r.send(m)
		}
		settle(10 * time.Second)
		if st := r.Stats(); st.Connects != 1 || len(delivered) != 20 || !slices.Equal(f.payloads(f.last()), delivered) {
			t.Errorf("delivered %q; %+v", delivered, st)
		}
		r.stop()
		f.wg.Wait()
	})
}

func TestFarewell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		r := start(t, f.dial, sayings)
		settle(time.Second)
		c := f.last()
		if w := c.connect; w.WillTopic != upAt+"state" || string(w.WillMessage) != "lost 1" || !w.WillRetain || w.WillQos != 1 ||
			w.CleanSession || w.Keepalive != 5 || w.ClientIdentifier != agent || w.ProtocolVersion != 4 {
			t.Errorf("%+v", w)
		}
		r.send(result("cmd/a", "succeeded"))
		r.send(Message{Topic: "event", Payload: []byte("stopping"), Class: ClassEvent})
		r.stop()
		f.wg.Wait()
		if got := f.payloads(c); !slices.Equal(got, []string{"online 1", "succeeded", "stopping", "shutdown 1"}) || !c.orderly {
			t.Errorf("%q, DISCONNECT %t", got, c.orderly)
		}
		if last := f.pubs(c)[3]; last.TopicName != upAt+"state" || !last.Retain || last.Qos != 1 {
			t.Errorf("%+v", last)
		}
		if r.State() != StateStopped {
			t.Error(r.State())
		}
	})
}

func sayings(_ *rig, o *Opts) {
	o.Will = func(conn int) []byte { return fmt.Append(nil, "lost ", conn) }
	o.Farewell = func(conn int) []byte { return fmt.Append(nil, "shutdown ", conn) }
	o.OnUp = func(conn int) []Message {
		return []Message{{Topic: "state", Payload: fmt.Append(nil, "online ", conn), Retain: true, Class: ClassResult}}
	}
}

// Without the farewell's PUBACK there is no DISCONNECT either: it would suppress the will, and the retained state
// would say online for ever.
func TestFarewellThatIsNotAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		f.on = func(_ *fakeConn, p packets.ControlPacket) bool {
			pub, ok := p.(*packets.PublishPacket)
			return ok && strings.HasPrefix(string(pub.Payload), "shutdown")
		}
		r := start(t, f.dial, sayings)
		settle(time.Second)
		began := time.Now()
		r.stop()
		if d := time.Since(began); d != farewellLimit {
			t.Errorf("took %v", d)
		}
		f.wg.Wait()
		if c := f.last(); c.orderly || len(f.payloads(c)) != 2 {
			t.Errorf("DISCONNECT %t, %q", c.orderly, f.payloads(c))
		}
	})
}

// What is sent while the farewell is on its way, a heartbeat for one, does not follow it.
func TestNothingFollowsTheFarewell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		f.on = func(_ *fakeConn, p packets.ControlPacket) bool {
			if pub, ok := p.(*packets.PublishPacket); ok && strings.HasPrefix(string(pub.Payload), "shutdown") {
				time.Sleep(time.Second) // the PUBACK takes its time
			}
			return false
		}
		r := start(t, f.dial, sayings)
		settle(time.Second)
		r.cancel()
		settle(500 * time.Millisecond)
		r.send(Message{Topic: stateTopic, Payload: []byte("online"), Retain: true, Class: ClassResult})
		r.stop()
		f.wg.Wait()
		if got := f.payloads(f.last()); got[len(got)-1] != "shutdown 1" || !f.last().orderly {
			t.Errorf("%q, DISCONNECT %t", got, f.last().orderly)
		}
	})
}

// The farewell does not wait behind a window that nobody empties.
func TestFarewellPassesAFullWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		f.on = func(_ *fakeConn, p packets.ControlPacket) bool {
			pub, ok := p.(*packets.PublishPacket)
			return ok && pub.TopicName == upAt+"event"
		}
		r := start(t, f.dial, sayings)
		settle(time.Second)
		for range 40 {
			r.send(Message{Topic: "event", Class: ClassEvent})
		}
		settle(time.Second)
		began := time.Now()
		r.stop()
		if d := time.Since(began); d != flushLimit {
			t.Errorf("took %v", d)
		}
		f.wg.Wait()
		if got := f.payloads(f.last()); got[len(got)-1] != "shutdown 1" || !f.last().orderly {
			t.Errorf("%q", got)
		}
	})
}

// Telemetry that waits does not delay the end; results and events do go out first.
func TestFarewellDoesNotWaitForTelemetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		f.on = func(_ *fakeConn, p packets.ControlPacket) bool {
			if pub, ok := p.(*packets.PublishPacket); ok && pub.TopicName == upAt+"tele" {
				time.Sleep(100 * time.Millisecond) // a slow line
			}
			return false
		}
		r := start(t, f.dial, sayings)
		settle(time.Second)
		for range 100 {
			r.send(telemetry("t"))
		}
		settle(time.Second)
		r.send(Message{Topic: "event", Payload: []byte("stopping"), Class: ClassEvent})
		began := time.Now()
		r.stop()
		if d := time.Since(began); d > 500*time.Millisecond {
			t.Errorf("took %v", d)
		}
		f.wg.Wait()
		got := f.payloads(f.last())
		if n := len(got); n > 20 || !slices.Equal(got[n-2:], []string{"stopping", "shutdown 1"}) {
			t.Errorf("%q", got)
		}
	})
}

// Run ends in bounded time when the socket is stuck at the moment of the shutdown.
func TestShutdownOnAStuckSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		f := &fake{t: t}
		f.on = func(_ *fakeConn, p packets.ControlPacket) bool {
			if _, ok := p.(*packets.PublishPacket); ok {
				<-stuck
			}
			return false
		}
		r := start(t, f.dial, func(_ *rig, o *Opts) { o.Farewell = func(int) []byte { return []byte("bye") } })
		settle(time.Second)
		for range 10 {
			r.send(telemetry("x"))
		}
		settle(time.Second)
		began := time.Now()
		r.stop()
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("took %v", d)
		}
		close(stuck)
		f.wg.Wait()
	})
}

func TestShutdownWhileThereIsNoBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t, down: true}
		r := start(t, f.dial, sayings)
		settle(time.Hour)
		began := time.Now()
		r.stop()
		if d := time.Since(began); d != 0 {
			t.Errorf("took %v", d)
		}
	})
}

func TestShutdownDuringTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t, on: func(*fakeConn, packets.ControlPacket) bool { return true }}
		r := start(t, f.dial, sayings)
		settle(time.Second)
		began := time.Now()
		r.stop()
		if d := time.Since(began); d != 0 {
			t.Errorf("took %v", d)
		}
		f.wg.Wait()
	})
}

// What a subscriber sees of an agent that is started, cut off and stopped, through a broker.
func TestStateAsASubscriberSeesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMochi(t)
		r := start(t, b.dial, sayings)
		settle(time.Second)
		b.away(true) // else the broker may publish the will of the first connection after the birth of the second
		b.cut()
		settle(time.Second)
		b.away(false)
		settle(time.Second)
		r.stop()
		synctest.Wait()
		if got := b.seen(upAt + "state"); !slices.Equal(got, []string{"online 1", "lost 1", "online 2", "shutdown 2"}) {
			t.Errorf("%q", got)
		}
		b.stop()
	})
}
