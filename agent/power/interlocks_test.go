package power

import (
	"strings"
	"testing"
	"time"

	"rackagent/agent/rack"
)

func interlocked(t *testing.T) *rig {
	t.Helper()
	r := minersRig(t)
	r.m.MayAct(Own{Boot: "0123456789abcdef0123456789", Config: "cafe", Interlocks: true})
	r.run(3 * time.Second)
	return r
}

func (r *rig) demand(name string, state rack.InterlockState, do rack.Verb, latch bool) {
	r.step(Demanded{rack.Demand{
		Name: name, State: state, At: r.now, Target: rack.Target{Kind: rack.TargetFeed, Name: "bank"}, Do: do, Latch: latch, Why: "interlock " + name + ": " + string(state),
	}})
}

// A leak cuts every miner at once, leaves the server alone, and locks what it has cut until a person unlocks it.
func TestALeakCutsAndLocks(t *testing.T) {
	r := interlocked(t)
	began := r.now
	r.demand("pan", rack.InterlockTripped, rack.DoCut, true)
	r.run(8 * time.Second)
	if got := r.acts(began); got != "cut 1, cut 2, cut 3, cut 4, cut 5, cut 6" {
		t.Fatal(got)
	}
	for _, w := range r.writes {
		if d := w.at.Sub(began); d > 250*time.Millisecond {
			t.Errorf("outlet %s is commanded open %s later", w.on, d)
		}
	}
	own := r.own()
	if len(own) != 1 || own[0].Issuer != issuerInterlock || own[0].Why != "interlock pan: tripped" {
		t.Fatalf("%+v", own)
	}
	r.expect(own[0].ID, rack.StatePartial, rack.CodeApprovalRequired) // the server is on the same feed
	if locks := r.m.Snapshot(r.now).Locks(); len(locks) != 6 || locks[0].Why != "interlock pan: tripped" || locks[0].By != issuerInterlock {
		t.Errorf("%+v", locks)
	}
	r.run(time.Minute)
	if got := r.command("e1", rack.OpEnergise, "outlet/pdu-a.1"); got == nil || got.Code != rack.CodeMaintenanceLock {
		t.Errorf("wet, and locked: %v", got)
	}
	if _, bad := r.lock("u1", rack.OpUnlock, "node/asic-1"); bad != nil {
		t.Fatal(bad)
	}
	if got := r.command("e2", rack.OpEnergise, "outlet/pdu-a.1"); got == nil || got.Code != rack.CodeInterlock {
		t.Errorf("wet: %v", got)
	}
	r.demand("pan", rack.InterlockClear, rack.DoCut, true)
	r.must("e3", rack.OpEnergise, "outlet/pdu-a.1")
	r.run(15 * time.Second)
	r.expect("e3", rack.StateSucceeded, "")
}

// A temperature has the miners sleep; one that does not is cut; none is woken or started meanwhile, and what was under way ends.
func TestATemperatureHasThemSleep(t *testing.T) {
	r := interlocked(t)
	r.must("c0", rack.OpCut, "node/asic-6")
	r.run(40 * time.Second)
	r.units["asic-6"].boot = time.Minute
	r.units["asic-2"].draws = 3200 // whatever it is told
	r.must("s0", rack.OpStart, "node/asic-6")
	r.run(5 * time.Second)
	began := r.now
	r.demand("inlet", rack.InterlockTripped, rack.DoSleep, false)
	r.run(2 * time.Minute)
	if got := r.acts(began); !strings.HasPrefix(got, "sleep asic-1, sleep asic-2, sleep asic-3, sleep asic-4, sleep asic-5") || !strings.Contains(got, "cut 2") || strings.Contains(got, "cut 1") {
		t.Error(got)
	}
	o := r.result("s0")
	if o.Targets[0].State != rack.StateCancelled || o.Targets[0].Code != rack.CodeInterlock {
		t.Errorf("a start under way: %+v", o)
	}
	if got := r.command("w1", rack.OpWake, "node/asic-1"); got == nil || got.Code != rack.CodeInterlock {
		t.Errorf("%v", got)
	}
	if w := r.watts(outlet(2)); w != 0 {
		t.Errorf("asic-2 draws %g W", w)
	}
	r.demand("inlet", rack.InterlockClear, rack.DoSleep, false)
	r.must("w2", rack.OpWake, "node/asic-1")
	r.run(20 * time.Second)
	r.expect("w2", rack.StateSucceeded, "")
	if locks := r.m.Snapshot(r.now).Locks(); len(locks) != 0 {
		t.Errorf("%+v", locks)
	}
}

// What keeps an interlock from acting is told once, and it is tried again.
func TestAnInterlockThatCannotAct(t *testing.T) {
	for name, c := range map[string]struct {
		world func(*rig)
		heal  func(*rig)
		acts  bool // before it is healed
	}{
		"nothing allowed it":     {func(r *rig) { r.m.observing = true }, func(r *rig) { r.m.observing = false }, false},
		"all is locked":          {func(r *rig) { _, _ = r.lock("l1", rack.OpLock, "rack") }, func(r *rig) { _, _ = r.lock("u1", rack.OpUnlock, "rack") }, false},
		"no wiring is believed":  {func(r *rig) { r.layout.PDUs[0].Serial = "PA-9" }, func(r *rig) { r.layout.PDUs[0].Serial = "PA-1" }, false},
		"the disk takes nothing": {func(r *rig) { r.journalErr = errDiskFull }, func(r *rig) { r.journalErr = nil }, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := minersRig(t)
			c.world(r)
			r.m.MayAct(Own{Boot: "0123456789abcdef0123456789", Interlocks: true})
			r.run(3 * time.Second)
			r.demand("pan", rack.InterlockTripped, rack.DoCut, false)
			r.run(20 * time.Second)
			if acted := len(r.writes) == 6; acted != c.acts || !c.acts && len(r.writes) != 0 {
				t.Errorf("%+v", r.writes)
			}
			told := 0
			for _, e := range r.emitted {
				if e.Kind == rack.EventInterlock {
					told++
				}
			}
			if told > 2 {
				t.Errorf("told %d times", told)
			}
			c.heal(r)
			r.run(20 * time.Second)
			if len(r.writes) != 6 {
				t.Errorf("after it was healed: %+v", r.writes)
			}
		})
	}
}

// A sensor that does not tell moves nothing.
func TestABlindInterlockMovesNothing(t *testing.T) {
	r := interlocked(t)
	r.demand("pan", rack.InterlockBlind, rack.DoCut, true)
	r.run(10 * time.Second)
	if len(r.writes)+len(r.tells) != 0 || len(r.m.Snapshot(r.now).Held) != 0 {
		t.Errorf("%+v, %+v", r.writes, r.m.Snapshot(r.now).Held)
	}
	if len(r.alarms) == 0 || r.alarms[len(r.alarms)-1].Key != "interlock.pan" || r.alarms[len(r.alarms)-1].Cleared {
		t.Errorf("%+v", r.alarms)
	}
}

// A welded outlet, and one whose wiring is not believed, are named, and the others are cut all the same.
func TestAnInterlockNamesWhatItCannotCut(t *testing.T) {
	r := interlocked(t)
	r.welded[outlet(3)] = true
	r.layout.Nodes[3].Wiring = rack.WiringUnproven
	r.demand("pan", rack.InterlockTripped, rack.DoCut, true)
	r.run(15 * time.Second)
	o := r.result(r.own()[0].ID)
	states := map[string]rack.Code{}
	for _, target := range o.Targets {
		states[target.Target.Name] = target.Code
	}
	if states["asic-3"] != rack.CodeWelded || states["asic-4"] != rack.CodeWiringUnproven || states["asic-1"] != "" {
		t.Errorf("%v", states)
	}
}

// A leak and a stop pass maintenance locks on miners, and on nothing else.
func TestALeakPassesLocks(t *testing.T) {
	for _, target := range []string{"rack", "node/asic-1", "outlet/pdu-a.1"} {
		r := interlocked(t)
		if _, bad := r.lock("l1", rack.OpLock, target); bad != nil {
			t.Fatal(bad)
		}
		r.demand("pan", rack.InterlockTripped, rack.DoCut, true)
		r.run(8 * time.Second)
		if got := r.trace(); strings.Count(got, "cut") != 6 || strings.Contains(got, "pdu-a.7") || strings.Contains(got, "pdu-a.8") {
			t.Errorf("locked %s: %s", target, got)
		}
		for _, w := range r.writes {
			if w.on.N > 6 {
				t.Errorf("the server: %+v", w)
			}
		}
	}
	r := interlocked(t)
	_, _ = r.lock("l1", rack.OpLock, "rack")
	if got := r.command("x", rack.OpCut, "node/asic-1", func(c *rack.Command) { c.Emergency = true }); got == nil || got.Code != rack.CodeMaintenanceLock {
		t.Errorf("a command from outside: %v", got)
	}
}
