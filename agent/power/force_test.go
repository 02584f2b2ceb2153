package power

import (
	"testing"
	"time"

	"rackagent/agent/rack"
)

// approved makes a command one that alice sent with force and bob approved.
func approved(c *rack.Command) {
	c.Args.Force, c.Signed, c.Issuer, c.Hash = true, true, "alice", rack.HashOf([]byte(c.ID))
	c.Approval = &rack.Approval{By: "bob", Command: "a1", Sha256: c.Hash}
}

// TestForceNeedsAnotherPerson: whatever is missing of the two persons' word, no relay of the server moves, and neither
// plan nor guard lets it pass.
func TestForceNeedsAnotherPerson(t *testing.T) {
	for name, change := range map[string]func(*rack.Command){
		"no approval":        func(c *rack.Command) { c.Approval = nil },
		"no force":           func(c *rack.Command) { c.Args.Force = false },
		"unsigned":           func(c *rack.Command) { c.Signed = false },
		"one person":         func(c *rack.Command) { c.Approval.By = "alice" },
		"nobody":             func(c *rack.Command) { c.Approval.By = "" },
		"nobody asked":       func(c *rack.Command) { c.Issuer = "" },
		"another payload":    func(c *rack.Command) { c.Approval.Sha256[0]++ },
		"of another node":    func(c *rack.Command) { c.Target = rack.NodeTarget("asic-1") },
		"of another outlet":  func(c *rack.Command) { c.Target = rack.OutletTarget(outlet(8)) },
		"of the whole rack":  func(c *rack.Command) { c.Target = rack.Target{Kind: rack.TargetRack} },
		"break-glass":        func(c *rack.Command) { c.Approval, c.BreakGlass = nil, true },
		"not a verb of that": func(c *rack.Command) { c.Op = rack.OpEnergise },
	} {
		r := settledRig(t)
		c := rack.Command{ID: "c1", Op: rack.OpCut, Target: rack.OutletTarget(outlet(7)), StartBy: r.now.Add(time.Minute)}
		approved(&c)
		change(&c)
		if err := guard(r.m.Snapshot(r.now), outlet(7), &c); err == nil {
			t.Errorf("%s: the guard lets outlet 7 be opened", name)
		}
		// Past the planner, as if it had not looked.
		p := rack.Plan{Command: "c1", Made: r.now, DeadlineMS: 10_000, Targets: []rack.TargetPlan{{
			Target: c.Target, Node: "gpu-1", Steps: []rack.Step{cutStep(r.m.Snapshot(r.now), outlet(7))},
		}}}
		r.step(Accepted{Command: c, Plan: p})
		r.run(time.Second)
		if len(r.writes) != 0 {
			t.Errorf("%s: trace: %s", name, r.trace())
		}
	}
}

func TestForceWithTwoPersons(t *testing.T) {
	for _, target := range []string{"node/gpu-1", "outlet/pdu-a.7"} {
		r := settledRig(t)
		r.must("c1", rack.OpCut, target, approved)
		r.run(8 * time.Second)
		o := r.expect("c1", rack.StateSucceeded, "")
		want := "cut 7, cut 8"
		if target != "node/gpu-1" {
			want = "cut 7"
		}
		if r.trace() != want || o.N <= 2 { // 1 waiting, 2 accepted
			t.Errorf("%s: trace %s, n %d", target, r.trace(), o.N)
		}
	}
}

// TestForceKnowsItsOutlets: force says that the node may go down; it does not say which outlets feed it.
func TestForceKnowsItsOutlets(t *testing.T) {
	r := settledRig(t)
	r.m.Step(r.now, Identified{PDU: "pdu-a", Ident: ident("OTHER")})
	if got := r.command("c1", rack.OpCut, "node/gpu-1", approved); got == nil || got.Code != rack.CodeWiringUnproven {
		t.Errorf("%v", got)
	}
	if len(r.writes) != 0 {
		t.Errorf("trace: %s", r.trace())
	}
}

// TestForceIsShownDry: the plan is there to be read before anybody is asked; nothing of it can be carried out.
func TestForceIsShownDry(t *testing.T) {
	r := settledRig(t)
	c := rack.Command{ID: "c1", Op: rack.OpCut, Target: rack.NodeTarget("gpu-1")}
	approved(&c)
	c.Approval, c.Dry = nil, true
	p, refused := Plan(r.now, r.m.Snapshot(r.now), c)
	if refused != nil || len(p.Targets) != 1 || len(p.Targets[0].Steps) != 2 {
		t.Fatalf("%+v, %v", p, refused)
	}
	if last := p.Targets[0].Steps[1]; len(last.Feeds) == 0 {
		t.Errorf("%+v", last)
	}
}
