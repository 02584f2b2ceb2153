package power

import (
	"testing"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers"
)

func ident(serial string) drivers.Ident { return drivers.Ident{Serial: serial} }

// found is a command as the journal would give it back after a crash.
func found(t *testing.T, op rack.Op, progress ...rack.Progress) rack.Entry {
	t.Helper()
	r := settledRig(t)
	c := rack.Command{ID: "c1", Op: op, Target: rack.OutletTarget(outlet(3))}
	p, refusal := Plan(r.now, r.m.Snapshot(r.now), c)
	if refusal != nil {
		t.Fatal(refusal)
	}
	return rack.Entry{Command: c, Plan: p, Progress: progress}
}

func TestFoundCommandsAreJudgedAndNeverContinued(t *testing.T) {
	open := rack.Progress{Target: rack.OutletTarget(outlet(3)), Step: 1, Fact: rack.FactCycleOpen}
	for _, c := range []struct {
		name   string
		entry  rack.Entry
		closed bool
		world  func(*rig)
		state  rack.State
	}{
		{"cut that happened", found(t, rack.OpCut), false, nil, rack.StateSucceeded},
		{"cut that did not", found(t, rack.OpCut), true, nil, rack.StateUnknown},
		{"cut on a welded relay", found(t, rack.OpCut), false, func(r *rig) { r.welded[outlet(3)] = true }, rack.StateUnknown},
		{"cut, meter gone", found(t, rack.OpCut), false, func(r *rig) { r.deaf[outlet(3)] = true }, rack.StateUnknown},
		{"energise that happened", found(t, rack.OpEnergise), true, nil, rack.StateSucceeded},
		{"energise that did not", found(t, rack.OpEnergise), false, nil, rack.StateUnknown},
		{"cycle without its record", found(t, rack.OpCycle), true, nil, rack.StateUnknown},
		{"cycle with its record, closed", found(t, rack.OpCycle, open), true, nil, rack.StateSucceeded},
		{"cycle with its record, open", found(t, rack.OpCycle, open), false, nil, rack.StateUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRigWith(t, demoLayout(), []rack.Entry{c.entry})
			r.closed[outlet(3)] = c.closed
			if c.world != nil {
				c.world(r)
			}
			r.run(60 * time.Second)
			o := r.result("c1")
			if o.State != c.state || o.N < rack.RecoveredN || (o.State == rack.StateSucceeded) != o.Targets[0].Recovered {
				t.Errorf("ended %s n=%d recovered=%v (%s), want %s", o.State, o.N, o.Targets[0].Recovered, o.Text, c.state)
			}
			if len(r.writes) != 0 {
				t.Errorf("trace: %s", r.trace())
			}
		})
	}
}

func TestANewCommandWaitsForTheJudgement(t *testing.T) {
	r := newRigWith(t, demoLayout(), []rack.Entry{found(t, rack.OpCut)})
	r.deaf[outlet(3)] = true
	r.run(3 * time.Second)
	r.must("c2", rack.OpCut, "outlet/pdu-a.3")
	r.run(5 * time.Second)
	if len(r.writes) != 0 {
		t.Fatalf("trace: %s before the old command was judged", r.trace())
	}
	r.run(20 * time.Second)
	r.expect("c1", rack.StateUnknown, rack.CodeVerifyFailed)
	r.expect("c2", rack.StateUnknown, rack.CodeVerifyFailed)
}

// What a miner was told before a crash is judged by its watts and never said again.
func TestFoundVerbsAreJudgedAndNeverSaidAgain(t *testing.T) {
	told := func(op rack.Op, args rack.Args, world func(*unit)) rack.Entry {
		r := minersRig(t)
		world(r.units["asic-3"])
		r.run(3 * time.Second)
		c := rack.Command{ID: "c1", Op: op, Target: rack.NodeTarget("asic-3"), Args: args}
		p, refusal := Plan(r.now, r.m.Snapshot(r.now), c)
		if refusal != nil {
			t.Fatal(refusal)
		}
		return rack.Entry{Command: c, Plan: p}
	}
	works, sleeps := func(*unit) {}, func(u *unit) { u.asleep = true }
	for _, c := range []struct {
		name  string
		entry rack.Entry
		world func(*unit)
		state rack.State
	}{
		{"a sleep that happened", told(rack.OpSleep, rack.Args{}, works), sleeps, rack.StateSucceeded},
		{"a sleep that did not", told(rack.OpSleep, rack.Args{}, works), works, rack.StateUnknown},
		{"a sleep of one that slept", told(rack.OpSleep, rack.Args{}, sleeps), sleeps, rack.StateUnknown},
		{"a wake that happened", told(rack.OpWake, rack.Args{}, sleeps), works, rack.StateSucceeded},
		{"a wake that did not", told(rack.OpWake, rack.Args{}, sleeps), sleeps, rack.StateUnknown},
		{"a limit, whatever it draws", told(rack.OpLimit, rack.Args{LimitW: 2000}, works), func(u *unit) { u.draws = 1990 }, rack.StateUnknown},
		{"a shutdown between sleep and cut", told(rack.OpShutdown, rack.Args{}, works), sleeps, rack.StateUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := minersRigWith(t, []rack.Entry{c.entry})
			c.world(r.units["asic-3"])
			r.run(60 * time.Second)
			o := r.result("c1")
			if o.State != c.state || o.N < rack.RecoveredN || (o.State == rack.StateSucceeded) != o.Targets[0].Recovered {
				t.Errorf("ended %s n=%d recovered=%v (%s), want %s", o.State, o.N, o.Targets[0].Recovered, o.Text, c.state)
			}
			if len(r.writes) != 0 || len(r.tells) != 0 {
				t.Errorf("trace: %s, told %v", r.trace(), r.tells)
			}
		})
	}
}
