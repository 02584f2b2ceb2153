package agent_test

import (
	"bytes"
	"context"
	"net"
	"testing"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/sim"
	"rackagent/drivers/drivertest/miners"
)

// dialMiner opens a connection to a miner that ends with this life.
func (l *life) dialMiner(ctx context.Context, network, address string, dial func(context.Context, string, string) (net.Conn, error)) (net.Conn, error) {
	if l.isOver() {
		return nil, errOver
	}
	c, err := dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &spoken{Conn: c, life: l}, nil
}

// spoken is a connection to a miner as a life sees it.
type spoken struct {
	net.Conn
	life  *life
	verb  int // number of the verb that is said on it; 0: it is only read
	heard bool
}

// changes tells a request that may change a LuxOS unit.
func changes(request []byte) bool {
	for _, verb := range []string{`"logon"`, `"curtail"`, `"profileset"`, `"logoff"`} {
		if bytes.Contains(request, []byte(verb)) {
			return true
		}
	}
	return false
}

func (s *spoken) Write(b []byte) (int, error) {
	l := s.life
	if l.isOver() {
		return 0, errOver
	}
	if changes(b) {
		l.mu.Lock()
		l.verbs++
		s.verb = l.verbs
		ends := l.due("verb", s.verb, before)
		if ends {
			l.endLocked()
		}
		l.mu.Unlock()
		if ends {
			return 0, errOver
		}
	}
	return s.Conn.Write(b)
}

func (s *spoken) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	l := s.life
	l.mu.Lock()
	defer l.mu.Unlock()
	switch first := n > 0 && !s.heard; {
	case l.over:
		return 0, errOver
	case first && s.verb > 0 && l.due("verb", s.verb, inside): // it was obeyed, and nobody learnt
		l.endLocked()
		return 0, errOver
	case first && s.verb > 0 && l.due("verb", s.verb, afterAck):
		l.endLocked()
	}
	s.heard = s.heard || n > 0
	return n, err
}

// minersPlots are stories in which a miner is told something. What is left is brought to work again by a command of the next
// life, which has to give back what the story interrupted.
func minersPlots() []plot {
	units := []sim.Unit{{Node: "asic-1", API: "luxos"}}
	return []plot{
		{name: "sleep and wake", in: eight(), units: units, play: func(r *rig) {
			r.send("c1", "sleep", "node/asic-1")
			time.Sleep(20 * time.Second)
			r.send("c2", "wake", "node/asic-1")
			time.Sleep(50 * time.Second)
		}, ids: []string{"c1", "c2"}, again: "wake"},
		{name: "shutdown and start", in: eight(), units: units, play: func(r *rig) {
			r.send("c1", "shutdown", "node/asic-1")
			time.Sleep(30 * time.Second)
			r.send("c2", "start", "node/asic-1")
			time.Sleep(150 * time.Second)
		}, ids: []string{"c1", "c2"}, again: "start"},
	}
}

// brought judges what the next life makes of a story with miners: nothing is said to them without a command, and what was
// interrupted is whole.
func (r *rig) brought(p plot, h *sim.Herd, before int) {
	r.t.Helper()
	redone := false
	for _, id := range p.ids {
		for _, s := range r.statuses(id) {
			redone = redone || s.State == rack.StateAccepted && s.Boot == r.agent.Status().Boot
		}
	}
	if after := h.Writes("asic-1"); after != before && !redone {
		r.t.Errorf("the next life told the miner %d things although it accepted nothing", after-before)
	}
	time.Sleep(3 * time.Minute) // whatever was begun anew has ended
	r.send("back", p.again, "node/asic-1")
	r.await("back")
	time.Sleep(time.Minute)
	if now := h.Machine("asic-1").Look(); now.Phase != miners.Hashing || now.Target.Name != "low" {
		r.t.Errorf("%s left it so: %+v", r.states("back"), now)
	}
}

// TestACrashAtAnyVerb is TestACrashAtAnyWriteOrCommit with miners in it, and each thing that is said to one a point of its own.
func TestACrashAtAnyVerb(t *testing.T) {
	for i, p := range minersPlots() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			writes, commits, verbs := count(t, p)
			if commits < 4 || verbs < 6 {
				t.Fatalf("%d writes, %d commits and %d verbs: there is nothing to interrupt", writes, commits, verbs)
			}
			points := pointsOf(writes, commits)
			for n := 1; n <= verbs; n++ {
				for _, ph := range []phase{before, inside, afterAck} {
					points = append(points, point{"verb", n, ph})
				}
			}
			few := 2**every - 1 // half as many as there: a story takes minutes
			for n, at := range points {
				if n%few == i%few {
					interrupt(t, p, at)
				}
			}
		})
	}
}
