package agent_test

import (
	"flag"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/sim"
)

// every has the crash tests interrupt at one point in so many, another one for each plot; 1 is all.
var every = flag.Int("every", 5, "crash at one point in so many")

// plot is a story with relays in it, to be interrupted at every point.
type plot struct {
	name  string
	in    setting
	play  func(r *rig)
	ids   []string
	sign  bool       // everybody has to sign
	units []sim.Unit // the miners with an interface
	again string     // verb that brings them to work again
	// still: no relay may be written to, in no life
	still bool
}

func plots() []plot {
	return []plot{
		{name: "signed, and one that comes late", in: eight(), play: func(r *rig) {
			late := write("c1", "alice-1", 1, map[string]any{"target": "outlet/pdu-a.4"}).String()
			r.publish(write("c2", "alice-2", 2, nil).String(), false)
			time.Sleep(2 * time.Second)
			r.publish(late, false)
			time.Sleep(10 * time.Second)
		}, ids: []string{"c1", "c2"}, sign: true},
		{name: "cut", in: eight(), play: func(r *rig) {
			r.send("c1", "outlet.cut", "outlet/pdu-a.3")
			time.Sleep(10 * time.Second)
		}, ids: []string{"c1"}},
		{name: "welded", in: eight(), play: func(r *rig) {
			r.inject("welded=pdu-a.5")
			r.send("c1", "outlet.cut", "outlet/pdu-a.5")
			time.Sleep(10 * time.Second)
		}, ids: []string{"c1"}},
		{name: "cycle", in: eight(), play: func(r *rig) {
			r.send("c1", "outlet.cycle", "outlet/pdu-a.4")
			time.Sleep(50 * time.Second)
		}, ids: []string{"c1"}},
		{name: "take over", in: eight(), play: func(r *rig) {
			r.inject("brownout=pdu-a")
			time.Sleep(35 * time.Second)
			r.send("c1", "outlet.energise", "node/asic-2")
			time.Sleep(10 * time.Second)
		}, ids: []string{"c1"}},
		{name: "three at once", in: eight(), play: func(r *rig) {
			r.send("c1", "outlet.cut", "outlet/pdu-a.1")
			r.send("c2", "outlet.cut", "outlet/pdu-a.2")
			r.send("c3", "outlet.cut", "node/gpu-1")
			time.Sleep(10 * time.Second)
		}, ids: []string{"c1", "c2", "c3"}},
		{name: "group", in: eight(), play: func(r *rig) {
			r.inject("welded=pdu-a.1")
			r.send("c1", "outlet.cut", "group/front")
			r.send("c2", "outlet.cut", "outlet/pdu-a.4")
			time.Sleep(10 * time.Second)
		}, ids: []string{"c1", "c2"}},
		{name: "lock", in: eight(), play: func(r *rig) {
			r.send("c1", "outlet.cycle", "group/miners")
			time.Sleep(2 * time.Second)
			r.send("c2", "lock", "node/asic-2")
			time.Sleep(10 * time.Millisecond)
			r.send("c3", "outlet.cut", "outlet/pdu-a.2")
			time.Sleep(45 * time.Second)
		}, ids: []string{"c1", "c2", "c3"}},
		{name: "take over one of two banks", in: rackOf("ac24"), play: func(r *rig) {
			r.inject("brownout=pdu-a.bank.2")
			time.Sleep(35 * time.Second)
			r.send("c1", "outlet.energise", "outlet/pdu-a.18")
			r.send("c2", "outlet.cut", "outlet/pdu-a.1")
			time.Sleep(10 * time.Second)
		}, ids: []string{"c1", "c2"}},
		{name: "bank meter", in: rackOf("ac8-bank"), play: func(r *rig) {
			time.Sleep(5 * time.Second)
			r.send("c1", "outlet.cut", "outlet/pdu-a.2")
			time.Sleep(10 * time.Second)
		}, ids: []string{"c1"}},
		{name: "two persons", in: eight(), sign: true, play: func(r *rig) {
			r.twoPersons("c1", "a1", 1, "outlet/pdu-a.8")
			time.Sleep(10 * time.Second)
		}, ids: []string{"c1", "a1"}},
		{name: "one of two persons", in: eight(), sign: true, still: true, play: func(r *rig) {
			r.publish(write("c1", "alice-1", 1, map[string]any{"target": "outlet/pdu-a.8", "args": map[string]any{"force": true}}).String(), false)
			time.Sleep(10 * time.Second)
		}, ids: []string{"c1"}},
		{name: "slot", in: rackOf("dc6"), play: func(r *rig) {
			r.send("c1", "outlet.cycle", "outlet/pdu-a.3")
			r.send("c2", "outlet.cut", "node/gpu-1")
			time.Sleep(50 * time.Second)
		}, ids: []string{"c1", "c2"}},
	}
}

func (p plot) setting(t *testing.T) setting {
	t.Helper()
	if p.sign {
		return keyed(t, p.in, false)
	}
	return p.in
}

func plotOf(t *testing.T, name string) plot {
	t.Helper()
	for _, p := range plots() {
		if p.name == name {
			return p
		}
	}
	t.Fatalf("no plot %s", name)
	return plot{}
}

func rackOf(model string) setting {
	for _, s := range settings() {
		if s.name == model {
			return s
		}
	}
	panic("no rack of " + model)
}

// TestACrashAtAnyWriteOrCommit plays each plot once to count its writes and commits, and then once for each point at
// which it can be interrupted. After the crash another life begins on the directory as it was at that moment.
func TestACrashAtAnyWriteOrCommit(t *testing.T) {
	for i, p := range plots() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			writes, commits, _ := count(t, p)
			if (writes == 0) != p.still || commits < 2 {
				t.Fatalf("%d writes and %d commits: there is nothing to interrupt", writes, commits)
			}
			for n, at := range pointsOf(writes, commits) {
				if n%*every == i%*every {
					interrupt(t, p, at)
				}
			}
		})
	}
}

func pointsOf(writes, commits int) (points []point) {
	for n := 1; n <= writes; n++ {
		for _, ph := range []phase{before, half, inside, afterAck} {
			points = append(points, point{"write", n, ph})
		}
	}
	for n := 1; n <= commits; n++ {
		for _, ph := range []phase{before, inside} {
			points = append(points, point{"commit", n, ph})
		}
	}
	return points
}

// rig is the world of a plot, with its miners in their weakest mode: not the one that they come back to by themselves.
func (p plot) rig(t *testing.T) (*rig, *sim.Herd) {
	t.Helper()
	h := newHerd(t, p.units...)
	r := newRigIn(t, p.setting(t), h.Plug)
	if len(p.units) > 0 {
		r.join(h)
	}
	for _, u := range p.units {
		h.Weaken(u.Node)
	}
	return r, h
}

// count plays a plot to its end.
func count(t *testing.T, p plot) (writes, commits, verbs int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r, h := p.rig(t)
		defer h.Close()
		r.start()
		p.play(r)
		writes, commits, verbs = r.life.counted("write"), r.life.counted("commit"), r.life.counted("verb")
		r.close()
	})
	return writes, commits, verbs
}

// interrupt plays a plot with a crash in it, and judges what the next life makes of it.
func interrupt(t *testing.T, p plot, at point) {
	t.Helper()
	interruptThen(t, p, at, func(*rig) {})
}

// interruptThen is interrupt with a last look at what is left.
func interruptThen(t *testing.T, p plot, at point, look func(*rig)) {
	t.Helper()
	t.Run(fmt.Sprintf("%s-%d-%s", at.what, at.n, at.phase), func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r, h := p.rig(t)
			defer h.Close()
			played := r.crashes(at, func() { p.play(r) })
			before, told := len(r.relayWrites()), 0
			if len(p.units) > 0 {
				told = h.Writes(p.units[0].Node)
			}

			r.start()
			if !played {
				p.play(r)
			}
			time.Sleep(80 * time.Second)
			r.judge(p, before)
			if len(p.units) > 0 {
				r.brought(p, h, told)
			}
			r.close()
			look(r)
		})
	})
}

// crashes plays a story with a crash in it and leaves the state directory as it was then, for the next life. played is false where
// the crash came before the first sweep, so that there was nobody to play to.
func (r *rig) crashes(at point, play func()) (played bool) {
	r.t.Helper()
	r.life = newLife(r.world, r.in.writes)
	r.life.crash = at
	copied := filepath.Join(r.t.TempDir(), "state")
	r.life.crashed = func() {
		if err := r.world.CopyState(copied); err != nil {
			r.t.Error(err)
		}
		r.capture(filepath.Join(r.t.TempDir(), "seen"))
	}
	r.launch()
	first := r.life
	select {
	case <-r.ready:
	case <-r.done:
		r.done <- nil
	}
	if played = !first.isOver(); played {
		play()
	}
	// Commits that fall together make fewer points than were counted: then this is the story without a crash.
	if !first.isOver() && at.n == 1 {
		r.t.Error("the crash never came")
	}
	first.end()
	r.end()
	<-r.done
	r.dir = filepath.Join(copied, "state")
	return played
}

// judge holds what must be true after a crash: nothing is continued, each command that was accepted has one word, a
// command that the broker delivers again may be done now but only whole.
func (r *rig) judge(p plot, before int) {
	r.t.Helper()
	if downs := r.world.Rack().Downs(); len(downs) != 0 {
		r.t.Errorf("the server went down: %v", downs)
	}
	redone := false
	for _, id := range p.ids {
		terminals := make(map[string]bool)
		for _, s := range r.statuses(id) {
			if s.State.Terminal() {
				terminals[fmt.Sprintf("%s/%s/%d", s.State, s.Code, s.N)] = true
			}
			if s.State == rack.StateAccepted && s.Boot == r.agent.Status().Boot {
				redone = true
			}
		}
		if len(terminals) != 1 {
			r.t.Errorf("%s has %d results: %s", id, len(terminals), r.states(id))
		}
	}
	if all := r.relayWrites(); p.still && len(all) != 0 {
		r.t.Errorf("nobody approved, and the relays were written to: %v", all)
	}
	if after := r.relayWrites()[before:]; len(after) != 0 && !redone {
		r.t.Errorf("the next life wrote to the relays although it accepted nothing: %v", after)
	}
}
