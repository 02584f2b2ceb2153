package agent_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/sim"
	"rackagent/drivers/drivertest/miners"
)

// TestMinersWalk tells six miners of five interfaces random things while they hang, lie, refuse and boot, relays weld,
// connections end and the agent is restarted or crashes. The observer judges each walk from the world's record; in the end,
// with all of it healed, a start and a release bring each back to what it did at first.
func TestMinersWalk(t *testing.T) {
	for i := range max(2, *walks/10) { // each is hours long
		seed := *walkSeed + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var units []sim.Unit
				for n, api := range []string{"luxos", "antminer", "braiins", "whatsminer-v2", "whatsminer-v3", "luxos"} {
					units = append(units, sim.Unit{Node: fmt.Sprintf("asic-%d", n+1), API: api})
				}
				h := newHerd(t, units...)
				defer h.Close()
				w := &minersWalker{walker: walker{rig: newRig(t, h.Plug), rng: rand.New(rand.NewPCG(seed, 1))}, herd: h}
				w.join(h)
				for _, u := range units {
					h.Weaken(u.Node)
				}
				w.start()
				time.Sleep(time.Minute)
				for range 30 {
					w.step()
					time.Sleep(w.pause())
				}
				w.end()
				w.close()
			})
		})
	}
}

type minersWalker struct {
	walker
	herd *sim.Herd
}

func (w *minersWalker) node() string { return fmt.Sprintf("asic-%d", 1+w.rng.IntN(6)) }

func (w *minersWalker) step() {
	switch w.rng.IntN(20) {
	case 0:
		w.send(w.id(), "cmd.cancel", "rack", fmt.Sprintf(`,"args":{"id":"w%d"}`, w.rng.IntN(w.n+1)))
	case 1:
		w.breakSomething()
	case 2, 3:
		w.quirk(true)
	case 4:
		w.quirk(false)
	case 5:
		w.herd.Load(w.node()).Lie(w.rng.IntN(2) == 0)
	case 6:
		w.world.Broker().Cut()
	case 7:
		w.stop()
		time.Sleep(w.pause())
		w.rig.start()
	case 8:
		w.crash()
	case 9:
		w.send(w.id(), "lock", "node/"+w.node())
	case 10:
		w.unlock()
	default:
		w.command()
	}
}

func (w *minersWalker) pause() time.Duration {
	s := []int{0, 1, 5, 20, 60}
	return time.Duration(s[w.rng.IntN(len(s))])*time.Second + 20*time.Millisecond
}

func (w *minersWalker) quirk(on bool) {
	all := []miners.Quirk{miners.Hangs, miners.Refuses, miners.Silent, miners.Ignores, miners.ObeysLate, miners.Locked, miners.CutsOff, miners.Vanished}
	w.herd.Machine(w.node()).Set(all[w.rng.IntN(len(all))], on)
}

func (w *minersWalker) unlock() {
	for _, u := range w.herd.Units {
		w.send(w.id(), "unlock", "node/"+u.Node)
	}
}

func (w *minersWalker) command() {
	target := w.pick("node/"+w.node(), "node/"+w.node(), "node/"+w.node(), "group/miners", "rack", "node/gpu-1")
	switch op := w.pick("sleep", "sleep", "wake", "wake", "shutdown", "shutdown", "start", "start", "limit", "release", "outlet.cut", "outlet.energise"); op {
	case "limit":
		w.send(w.id(), op, target, `,"args":{"limit_w":2600}`)
	case "shutdown":
		w.send(w.id(), op, target, w.pick("", "", `,"args":{"now":true}`, `,"args":{"outlet":"keep"}`, `,"args":{"deadline_s":40}`))
	default:
		w.send(w.id(), op, target, w.pick("", "", "", `,"dry":true`))
	}
}

// end heals everything, lets what is under way end, and brings every miner back to what it did at first.
func (w *minersWalker) end() {
	w.healAll()
	for _, u := range w.herd.Units {
		w.herd.Load(u.Node).Lie(false)
		for _, q := range []miners.Quirk{miners.Hangs, miners.Refuses, miners.Silent, miners.Ignores, miners.ObeysLate, miners.Locked, miners.CutsOff, miners.Vanished} {
			w.herd.Machine(u.Node).Set(q, false)
		}
	}
	time.Sleep(time.Minute) // until boards have said again who they are, an unsigned unlock is refused
	w.unlock()
	time.Sleep(22 * time.Minute) // the longest that a miner may take to obey, and the commands that wait behind it
	for _, op := range []string{"start", "release"} {
		for _, u := range w.herd.Units {
			w.send("end-"+op+"-"+u.Node, op, "node/"+u.Node)
		}
		time.Sleep(20 * time.Minute)
	}
	for _, u := range w.herd.Units {
		now := w.herd.Machine(u.Node).Look()
		s, rel := w.await("end-start-"+u.Node), w.await("end-release-"+u.Node)
		withdrawn := s.Code == rack.CodeWelded || s.Code == rack.CodeWiringUnproven // what a walk does to wiring is a person's to mend
		if !withdrawn && (now.Phase != miners.Hashing || now.Target.Name != "low") {
			w.t.Errorf("%s: %s %s (%s), then %s %s (%s): %+v", u.Node, s.State, s.Code, s.Text, rel.State, rel.Code, rel.Text, now)
		}
	}
}
