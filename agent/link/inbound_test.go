package link

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// hoard keeps messages without acknowledging them.
func hoard(r *rig, o *Opts) {
	o.Inbound = func(m Inbound) bool { r.keep(m); return true }
}

// mosquitto stops all QoS 1 delivery when twenty messages are unacknowledged.
func TestUnroutedMessagesAreAcknowledgedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		r := start(t, f.dial)
		settle(time.Second)
		for i := range 25 {
			f.last().publish("old/subscription", "x", uint16(i+1))
		}
		f.last().publish(cmdAt, "real", 99)
		settle(time.Second)
		if n := len(f.acksOf(f.last())); n != 26 {
			t.Errorf("%d acknowledgements", n)
		}
		if st := r.Stats(); st.Unrouted != 25 || st.Inbound != 26 || len(r.inbox()) != 1 {
			t.Errorf("%+v", st)
		}
		r.stop()
		f.wg.Wait()
	})
}

func TestFlagsArePassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMochi(t)
		b.publish(cmdAt, "ghost", true)
		r := start(t, b.dial)
		settle(time.Second)
		b.publish(cmdAt, "live", true)
		settle(time.Second)
		got := r.inbox()
		if len(got) != 2 || !got[0].Retained || got[1].Retained || got[0].Topic != "cmd" || string(got[0].Payload) != "ghost" {
			t.Fatalf("%+v", got)
		}
		if got[1].Received.Sub(got[0].Received) != time.Second {
			t.Errorf("received %v and %v", got[0].Received, got[1].Received)
		}
		if n := r.Stats().Retained; n != 1 {
			t.Errorf("retained %d", n)
		}
		r.stop()
		b.stop()
	})
}

func TestDuplicatesAreMarkedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		r := start(t, f.dial)
		settle(time.Second)
		f.last().publish(cmdAt, "a", 1)
		f.last().publish(cmdAt, "a", 1, func(p *packets.PublishPacket) { p.Dup = true })
		f.last().publish("rackagent/v1/demo/r17/down/firmware", "b", 2)
		settle(time.Second)
		got := r.inbox()
		if len(got) != 3 || got[0].Duplicate || !got[1].Duplicate || got[2].Topic != "firmware" || r.Stats().Duplicates != 1 {
			t.Errorf("%+v", got)
		}
		r.stop()
		f.wg.Wait()
	})
}

// [MQTT-4.6.0-2]: PUBACKs in the order of the PUBLISHes, whatever the order of Ack.
func TestAcknowledgementsLeaveInOrderOfArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		r := start(t, f.dial, hoard)
		settle(time.Second)
		for i := range 5 {
			f.last().publish(cmdAt, fmt.Sprint(i), uint16(10+i))
		}
		settle(time.Second)
		in := r.inbox()
		for _, i := range []int{4, 2, 1, 1} {
			in[i].Ack()
		}
		settle(time.Second)
		if got := f.acksOf(f.last()); len(got) != 0 || r.Stats().Unacked != 5 {
			t.Fatalf("%v before the first was acknowledged", got)
		}
		in[0].Ack()
		settle(time.Second)
		if got := f.acksOf(f.last()); !slices.Equal(got, []uint16{10, 11, 12}) || r.Stats().Unacked != 2 {
			t.Fatalf("%v", got)
		}
		r.stop()
		f.wg.Wait()
	})
}

// The broker delivers it again; the late Ack must not acknowledge another message with the same identifier.
func TestAckOfAnEarlierConnectionIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		r := start(t, f.dial, hoard)
		settle(time.Second)
		f.last().publish(cmdAt, "a", 7)
		settle(time.Second)
		f.last().Close()
		settle(time.Second)
		f.nth(2).publish(cmdAt, "other", 7)
		settle(time.Second)
		r.inbox()[0].Ack()
		settle(time.Second)
		if got := f.acksOf(f.nth(2)); len(got) != 0 || r.Stats().Unacked != 1 {
			t.Errorf("acknowledged %v", got)
		}
		r.inbox()[1].Ack()
		settle(time.Second)
		if got := f.acksOf(f.nth(2)); !slices.Equal(got, []uint16{7}) {
			t.Errorf("acknowledged %v", got)
		}
		r.stop()
		f.wg.Wait()
	})
}

func TestUnacknowledgedCommandComesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMochi(t)
		r := start(t, b.dial, hoard)
		settle(time.Second)
		b.publish(cmdAt, "a", false)
		settle(time.Second)
		b.cut()
		settle(2 * time.Second)
		if in := r.inbox(); len(in) != 2 || string(in[1].Payload) != "a" {
			t.Fatalf("%d deliveries", len(in))
		}
		r.stop()
		b.stop()
	})
}

func TestFullReceiverIsAcknowledgedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		r := start(t, f.dial, func(r *rig, o *Opts) {
			o.Inbound = func(m Inbound) bool {
				r.send(result("cmd/"+string(m.Payload), "busy")) // Send from the handler must not hang
				return false
			}
		})
		settle(time.Second)
		for i := range 50 {
			f.last().publish(cmdAt, fmt.Sprint(i), uint16(i+1))
		}
		settle(time.Second)
		if st := r.Stats(); st.Overrun != 50 || len(f.acksOf(f.last())) != 50 || len(f.payloads(f.last())) != 50 {
			t.Errorf("%+v", st)
		}
		r.stop()
		f.wg.Wait()
	})
}

// A receiver that takes an hour over its queue delays neither pings nor publishes.
func TestSlowConsumerDoesNotHangTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMochi(t)
		r := start(t, b.dial, hoard)
		settle(time.Second)
		for i := range 50 {
			b.publish(cmdAt, fmt.Sprint(i), false)
		}
		for i := range 60 {
			r.send(telemetry(fmt.Sprint(i)))
			settle(time.Minute)
		}
		if st := r.Stats(); st.Connects != 1 || st.Outstanding != 0 || st.Unacked != 50 {
			t.Fatalf("%+v", st)
		}
		for _, m := range r.inbox() {
			m.Ack()
		}
		settle(time.Second)
		if st := r.Stats(); st.Unacked != 0 || len(b.seen(upAt+"tele")) != 60 {
			t.Errorf("%+v", st)
		}
		r.stop()
		b.stop()
	})
}
