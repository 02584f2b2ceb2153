package agent_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/sim"
	"rackagent/agent/wire"
	"rackagent/drivers/drivertest"
	"rackagent/drivers/drivertest/miners"
)

// twentyFour is a rack of miners alone, one outlet each.
func twentyFour() setting {
	return setting{name: "ac24", file: "testdata/rack-24-miners.yaml", world: sim.RackMiners24, writes: func(tr drivertest.Transfer) bool {
		return (tr.Addr == 0x20 || tr.Addr == 0x21) && len(tr.W) > 1 && tr.W[0] >= 2
	}}
}

// mixed are 24 units of four dialects in turn.
func mixed() []sim.Unit {
	apis := []string{"luxos", "whatsminer-v2", "antminer", "whatsminer-v3"}
	var out []sim.Unit
	for i := range 24 {
		out = append(out, sim.Unit{Node: fmt.Sprintf("asic-%d", i+1), API: apis[i%len(apis)]})
	}
	return out
}

func targetOf(t *testing.T, s wire.Status, node string) rack.TargetResult {
	t.Helper()
	i := slices.IndexFunc(s.Targets, func(r rack.TargetResult) bool { return r.Target == rack.NodeTarget(node) })
	if i < 0 {
		t.Fatalf("%s has no result", node)
	}
	return s.Targets[i]
}

// TestAFleet shuts 24 miners of four dialects down and starts them again: one relay is welded, one unit hangs, one lies and one
// is slow. Each is named, and the others are done at their own pace.
func TestAFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHerd(t, mixed()...)
		defer h.Close()
		r := newRigIn(t, twentyFour(), h.Plug)
		r.join(h)
		for _, u := range h.Units {
			h.Weaken(u.Node)
		}
		const welded, hung, liar, slow = "asic-5", "asic-10", "asic-12", "asic-3" // LuxOS, Whatsminer v2 and v3, Antminer
		r.start()
		time.Sleep(30 * time.Second) // they ramp down to their weakest modes
		r.inject("welded=pdu-a.5")
		h.Machine(hung).Set(miners.Hangs, true)
		h.Load(liar).Lie(true)
		h.Machine(slow).Set(miners.ObeysLate, true)

		r.send("d1", "shutdown", "group/miners", `,"args":{"deadline_s":270}`)
		time.Sleep(4 * time.Minute)
		s := r.expect("d1", rack.StatePartial, rack.CodeWelded)
		first := int64(0)
		for _, target := range s.Targets {
			if len(target.Steps) == 0 {
				t.Fatalf("%+v", target)
			}
			if at := target.Steps[0].Taken; at != nil && (first == 0 || *at < first) {
				first = *at
			}
		}
		for i := range 24 {
			node := fmt.Sprintf("asic-%d", i+1)
			got := targetOf(t, s, node)
			sleep, cut := got.Steps[0], got.Steps[len(got.Steps)-1]
			switch node {
			case welded:
				if got.State != rack.StateFailed || got.Code != rack.CodeWelded || sleep.Settled == nil {
					t.Errorf("the welded one: %+v", got)
				}
			case hung, liar:
				if got.State != rack.StateSucceeded || sleep.Settled != nil || cut.Settled == nil || !cut.Hot || !strings.Contains(got.Text, "could not be put to sleep") {
					t.Errorf("%s: %+v", node, got)
				}
			case slow:
				if got.State != rack.StateSucceeded || sleep.Settled == nil || *sleep.Settled-*sleep.Taken < 30_000 {
					t.Errorf("the slow one: %+v", got)
				}
			default:
				if got.State != rack.StateSucceeded || sleep.Settled == nil || *sleep.Settled-*sleep.Taken > 5_000 || *sleep.Taken-first > 45_000 || cut.Hot {
					t.Errorf("%s: %s %s, told %d ms after the first, settled %v", node, got.State, got.Text, *sleep.Taken-first, sleep.Settled)
				}
			}
			if d := h.Machine(node).Look().Phase; d != miners.Off && node != welded {
				t.Errorf("%s is %s", node, d)
			}
		}

		r.send("u1", "start", "group/miners")
		time.Sleep(4 * time.Minute)
		s = r.await("u1")
		time.Sleep(time.Minute)
		for i := range 24 {
			node := fmt.Sprintf("asic-%d", i+1)
			got, now := targetOf(t, s, node), h.Machine(node).Look()
			switch node {
			case welded:
				if got.State != rack.StateRejected || got.Code != rack.CodeWelded {
					t.Errorf("the welded one: %+v", got)
				}
			case hung:
				if got.State != rack.StateFailed || got.Code != rack.CodeDeviceTimeout {
					t.Errorf("the one that hangs: %+v", got)
				}
			default:
				if got.State != rack.StateSucceeded || now.Phase != miners.Hashing || now.Target.Name != "low" {
					t.Errorf("%s: %s %s, %+v", node, got.State, got.Text, now)
				}
			}
		}
		for _, u := range h.Units {
			if n := h.Host(u.Node).Most(); n > 1 {
				t.Errorf("%s had %d connections at once", u.Node, n)
			}
		}
		r.close()
	})
}
