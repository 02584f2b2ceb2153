package link

import (
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
	"pgregory.net/rapid"
)

// ledger is a broker that keeps what it has acknowledged and is cut, or loses an acknowledgement, at any point.
type ledger struct {
	*fake
	mu        sync.Mutex
	seen      []int        // first arrivals, in order
	arrived   map[int]int  // times
	acked     map[int]bool // PUBACK was sent (it may have been lost with the connection)
	delivered map[int]int  // times the agent was told
	early     []int        // delivered before acked
	cutAt     int          // the connection ends at this packet from now, 0: never
	mute      int          // so many publishes from now are not acknowledged
}

func (g *ledger) step(c *fakeConn, p packets.ControlPacket) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cutAt > 0 {
		if g.cutAt--; g.cutAt == 0 {
			c.Close()
			return true
		}
	}
	pub, ok := p.(*packets.PublishPacket)
	if !ok {
		return false
	}
	n, _ := strconv.Atoi(string(pub.Payload))
	if g.arrived[n]++; g.arrived[n] == 1 {
		g.seen = append(g.seen, n)
	}
	if g.mute > 0 {
		g.mute--
		return true
	}
	g.acked[n] = true
	return false
}

func (g *ledger) told(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.delivered[n]++; !g.acked[n] {
		g.early = append(g.early, n)
	}
}

func (g *ledger) trouble(cutAt, mute int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cutAt, g.mute = cutAt, mute
}

// Whatever happens to the connection: nothing is lost in silence, nothing is called delivered that was not
// acknowledged, nothing is called delivered twice, and first arrivals keep the order of Send.
func TestNothingIsLostOverCutConnections(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(t *testing.T) { walk(t, rt) })
	})
}

func walk(t *testing.T, rt *rapid.T) {
	g := &ledger{fake: &fake{t: t}, acked: map[int]bool{}, arrived: map[int]int{}, delivered: map[int]int{}}
	g.on = g.step
	r := start(t, g.dial)
	sent := 0
	for range rapid.IntRange(1, 60).Draw(rt, "steps") {
		switch rapid.IntRange(0, 5).Draw(rt, "what") {
		case 0:
			g.trouble(rapid.IntRange(1, 40).Draw(rt, "cut"), 0)
		case 1:
			g.trouble(0, rapid.IntRange(1, 5).Draw(rt, "mute"))
		case 2:
			g.setDown(rapid.Bool().Draw(rt, "down"))
		case 3:
			settle(time.Duration(rapid.IntRange(1, 30000).Draw(rt, "ms")) * time.Millisecond)
		default:
			for range rapid.IntRange(1, 20).Draw(rt, "burst") {
				n := sent
				sent++
				m := result("cmd/x", strconv.Itoa(n))
				m.Delivered = func() { g.told(n) }
				r.send(m)
			}
		}
		synctest.Wait()
	}
	g.trouble(0, 0)
	g.setDown(false)
	if g.count() > 0 {
		g.last().Close() // what was muted comes again
	}
	settle(5 * time.Minute)
	g.check(rt, sent, r)
	r.stop()
	g.wg.Wait()
}

func (g *ledger) check(rt *rapid.T, sent int, r *rig) {
	g.mu.Lock()
	defer g.mu.Unlock()
	aside := map[int]int{}
	for _, m := range r.outcast {
		n, _ := strconv.Atoi(string(m.Payload))
		aside[n]++
	}
	for n := range sent {
		if g.delivered[n]+aside[n] != 1 || g.arrived[n] < 1 {
			rt.Errorf("message %d: arrived %d times, delivered %d times, set aside %d times", n, g.arrived[n], g.delivered[n], aside[n])
		}
	}
	if !slices.IsSorted(g.seen) || len(g.early) > 0 {
		rt.Errorf("first arrivals %v; delivered before acknowledged %v", g.seen, g.early)
	}
	st := r.Stats()
	if st.Outstanding != 0 || st.Quarantined != uint64(len(aside)) || st.Classes.Of(ClassResult).Delivered != uint64(sent-len(aside)) {
		rt.Errorf("%+v", st)
	}
}
