package power

import (
	"slices"
	"strings"
	"testing"
	"time"

	"rackagent/agent/rack"
)

func settledRig(t *testing.T) *rig {
	r := newRig(t)
	r.run(3 * time.Second)
	return r
}

func TestCutIsSettledByWatts(t *testing.T) {
	r := settledRig(t)
	began := r.now
	r.must("c1", rack.OpCut, "outlet/pdu-a.3")
	r.run(6 * time.Second)
	o := r.expect("c1", rack.StateSucceeded, "")
	st := o.Targets[0].Steps[0]
	if st.Taken == nil || st.Confirmed == nil || st.Settled == nil || *st.Settled < *st.Confirmed+300 {
		t.Errorf("taken %v confirmed %v settled %v: want all three, settled after the meter's settling time", st.Taken, st.Confirmed, st.Settled)
	}
	if *st.Proof.BeforeW != 3200 || *st.Proof.AfterW != 0 || !st.Hot {
		t.Errorf("proof %+v hot %v", st.Proof, st.Hot)
	}
	if d := o.At.Sub(began); d > time.Second {
		t.Errorf("a cut took %s to be proven, the meter needs 0.3 s and two samples", d)
	}
	if r.trace() != "cut 3" {
		t.Errorf("trace: %s", r.trace())
	}
}

func TestCutVerdicts(t *testing.T) {
	for _, c := range []struct {
		name  string
		world func(*rig)
		state rack.State
		code  rack.Code
	}{
		{"welded", func(r *rig) { r.welded[outlet(3)] = true }, rack.StateFailed, rack.CodeWelded},
		{"frozen meter", func(r *rig) { r.frozen[outlet(3)] = true }, rack.StateUnknown, rack.CodeVerifyFailed},
		{"meter gone after the write", func(r *rig) { r.after(8*time.Millisecond, func() { r.deaf[outlet(3)] = true }) }, rack.StateUnknown, rack.CodeVerifyFailed},
		{"no load before", func(r *rig) { r.loadW[outlet(3)] = 0; r.run(2 * time.Second) }, rack.StatePartial, rack.CodeNoLoad},
		{"welded, and one sample reads zero", func(r *rig) { r.welded[outlet(3)], r.glitch[outlet(3)] = true, 1 }, rack.StateFailed, rack.CodeWelded},
		{"another outlet fell", func(r *rig) { r.crossed[outlet(3)] = outlet(4); r.crossed[outlet(4)] = outlet(3) }, rack.StateFailed, rack.CodeWiringUnproven},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := settledRig(t)
			c.world(r)
			r.must("c1", rack.OpCut, "node/asic-3")
			r.run(8 * time.Second)
			r.expect("c1", c.state, c.code)
			if r.trace() != "cut 3" {
				t.Errorf("trace: %s; nothing is undone", r.trace())
			}
		})
	}
}

func TestWeldedOutletIsWithdrawn(t *testing.T) {
	r := settledRig(t)
	r.welded[outlet(3)] = true
	r.must("c1", rack.OpCut, "outlet/pdu-a.3")
	r.run(8 * time.Second)
	r.expect("c1", rack.StateFailed, rack.CodeWelded)
	for _, op := range []rack.Op{rack.OpCut, rack.OpEnergise, rack.OpCycle} {
		if got := r.command("c2", op, "outlet/pdu-a.3"); got == nil || got.Code != rack.CodeWelded {
			t.Errorf("%s after welding: %v, want welded", op, got)
		}
	}
	if !slices.ContainsFunc(r.records, func(rec rack.Record) bool {
		return rec.Kind == rack.RecordWithdraw && rec.Outlet == outlet(3)
	}) {
		t.Error("the withdrawal is not on disk")
	}
}

func TestWrongWiringMakesBothOutletsFirm(t *testing.T) {
	r := settledRig(t)
	r.crossed[outlet(3)], r.crossed[outlet(4)] = outlet(4), outlet(3)
	r.must("c1", rack.OpCut, "outlet/pdu-a.3")
	r.run(8 * time.Second)
	for _, target := range []string{"outlet/pdu-a.3", "node/asic-4"} {
		if got := r.command("c2", rack.OpCut, target); got == nil || got.Code != rack.CodeWiringUnproven {
			t.Errorf("cut of %s: %v, want wiring_unproven", target, got)
		}
	}
}

func TestFirmNodeIsNeverCut(t *testing.T) {
	r := settledRig(t)
	force := func(c *rack.Command) { c.Args.Force = true }
	for _, target := range []string{"node/gpu-1", "outlet/pdu-a.7", "outlet/pdu-a.8"} {
		for _, op := range []rack.Op{rack.OpCut, rack.OpCycle} {
			for _, change := range []func(*rack.Command){func(*rack.Command) {}, force} {
				if got := r.command("c", op, target, change); got == nil || got.Code != rack.CodeFirmGuard {
					t.Errorf("%s %s: %v, want firm_guard", op, target, got)
				}
			}
		}
	}
	if got := r.command("c", rack.OpEnergise, "node/gpu-1"); got == nil || got.Code != rack.CodeFirmGuard {
		t.Errorf("unsigned energise of a firm node: %v, want firm_guard", got)
	}
	signed := func(c *rack.Command) { c.Signed = true }
	if got := r.command("c", rack.OpEnergise, "node/gpu-1", signed); got == nil || got.Code != rack.CodeFirmGuard {
		t.Errorf("energise of a firm node by a role without: %v, want firm_guard", got)
	}
	if len(r.writes) != 0 {
		t.Errorf("trace: %s", r.trace())
	}
}

func TestGuardJudgesAnewInTheLane(t *testing.T) {
	r := settledRig(t)
	r.must("c0", rack.OpCut, "outlet/pdu-a.2")
	r.run(2 * time.Second)
	// Planned while the board was the right one; exchanged before the lane got to it.
	snap := r.m.Snapshot(r.now)
	p, refusal := Plan(r.now, snap, rack.Command{ID: "c1", Op: rack.OpCut, Target: rack.OutletTarget(outlet(3))})
	if refusal != nil {
		t.Fatal(refusal)
	}
	r.m.Step(r.now, Identified{PDU: "pdu-a", Ident: ident("OTHER")})
	if err := guard(r.m.Snapshot(r.now), outlet(3), nil); err == nil || !strings.Contains(err.Error(), "wiring_unproven") {
		t.Errorf("guard: %v", err)
	}
	r.step(Accepted{Command: rack.Command{ID: "c1", Op: rack.OpCut, Target: rack.OutletTarget(outlet(3)), StartBy: r.now.Add(time.Minute)}, Plan: p})
	r.run(time.Second)
	r.expect("c1", rack.StateFailed, rack.CodeWiringUnproven)
	if r.trace() != "cut 2" {
		t.Errorf("trace: %s", r.trace())
	}
}

func TestEnergise(t *testing.T) {
	r := settledRig(t)
	r.must("c1", rack.OpCut, "outlet/pdu-a.3")
	r.run(2 * time.Second)
	got := r.command("c2", rack.OpEnergise, "outlet/pdu-a.3")
	if got == nil || got.Code != rack.CodeMinOff || got.Earliest.IsZero() {
		t.Fatalf("energise inside the minimum off time: %+v", got)
	}
	r.run(got.Earliest.Sub(r.now) + 20*time.Millisecond)
	r.must("c3", rack.OpEnergise, "outlet/pdu-a.3")
	r.run(3 * time.Second)
	r.expect("c3", rack.StateSucceeded, "")
	if r.trace() != "cut 3, energise 3" {
		t.Errorf("trace: %s", r.trace())
	}
}

func TestEnergiseWithoutLoadIsConfirmedOnly(t *testing.T) {
	r := settledRig(t)
	r.loadW[outlet(3)] = 0
	r.must("c1", rack.OpEnergise, "outlet/pdu-a.3")
	r.run(12 * time.Second)
	o := r.expect("c1", rack.StatePartial, rack.CodeNoLoad)
	if o.Targets[0].State != rack.StateConfirmed {
		t.Errorf("target %s", o.Targets[0].State)
	}
}

func TestOffTimeNobodyMeasuredCountsFromTheFirstReading(t *testing.T) {
	r := newRig(t)
	r.closed[outlet(3)] = false
	r.run(3 * time.Second)
	if got := r.command("c1", rack.OpEnergise, "outlet/pdu-a.3"); got == nil || got.Code != rack.CodeMinOff {
		t.Errorf("3 s after the start: %v, want min_off", got)
	}
	r.run(30 * time.Second)
	r.must("c2", rack.OpEnergise, "outlet/pdu-a.3")
}

func TestStagger(t *testing.T) {
	r := newRig(t)
	for n := 1; n <= 6; n++ {
		r.closed[outlet(n)] = false
	}
	r.run(35 * time.Second)
	for n := 1; n <= 6; n++ {
		r.must("c"+string(rune('0'+n)), rack.OpEnergise, rack.OutletTarget(outlet(n)).String())
	}
	r.run(5 * time.Second)
	if len(r.writes) != 6 {
		t.Fatalf("trace: %s", r.trace())
	}
	for i := 1; i < len(r.writes); i++ {
		if gap := r.writes[i].at.Sub(r.writes[i-1].at); gap < 250*time.Millisecond {
			t.Errorf("energisings %d and %d are %s apart", i, i+1, gap)
		}
	}
}

func TestCutsAreNotStaggered(t *testing.T) {
	r := settledRig(t)
	for n := 1; n <= 6; n++ {
		r.must("c"+string(rune('0'+n)), rack.OpCut, rack.OutletTarget(outlet(n)).String())
	}
	r.run(2 * time.Second)
	if len(r.writes) != 6 || r.writes[5].at.Sub(r.writes[0].at) > 10*time.Millisecond {
		t.Errorf("trace: %s over %s", r.trace(), r.writes[5].at.Sub(r.writes[0].at))
	}
}

func TestLimitExceeded(t *testing.T) {
	l := demoLayout()
	l.Feeds[1].RatingA = 120 // 96 A continuous: six miners at 3.4 kW and the server reserve 107 A
	r := newRigWith(t, l, nil)
	r.run(3 * time.Second)
	if !slices.ContainsFunc(r.emitted, func(e rack.Event) bool { return e.Kind == rack.EventOverLimit && e.Device == "bank" }) {
		t.Error("what was found above the limit is not reported")
	}
	if got := r.command("c1", rack.OpEnergise, "outlet/pdu-a.1"); got == nil || got.Code != rack.CodeLimitExceeded {
		t.Errorf("%v, want limit_exceeded", got)
	}
	r.must("c2", rack.OpCut, "outlet/pdu-a.2")
	r.must("c3", rack.OpCut, "outlet/pdu-a.3")
	r.run(40 * time.Second)
	r.must("c4", rack.OpEnergise, "outlet/pdu-a.2") // 81 A + 16.5 A with surge
}

func TestTwoPlansFromOneSnapshotDoNotBothStart(t *testing.T) {
	l := demoLayout()
	l.Feeds[1].RatingA = 120
	r := newRigWith(t, l, nil)
	for n := 1; n <= 3; n++ {
		r.closed[outlet(n)] = false
	}
	r.run(35 * time.Second)
	r.must("c1", rack.OpEnergise, "outlet/pdu-a.1")
	r.must("c2", rack.OpEnergise, "outlet/pdu-a.2")
	r.must("c3", rack.OpEnergise, "outlet/pdu-a.3")
	r.run(15 * time.Second)
	r.expect("c1", rack.StateSucceeded, "")
	r.expect("c3", rack.StateFailed, rack.CodeLimitExceeded)
}

func TestCycle(t *testing.T) {
	r := settledRig(t)
	r.must("c1", rack.OpCycle, "outlet/pdu-a.3")
	r.run(45 * time.Second)
	r.expect("c1", rack.StateSucceeded, "")
	if r.trace() != "cut 3, energise 3" {
		t.Fatalf("trace: %s", r.trace())
	}
	if off := r.writes[1].at.Sub(r.writes[0].at); off < 30*time.Second {
		t.Errorf("off for %s, the minimum is 30 s", off)
	}
	open := slices.IndexFunc(r.records, func(rec rack.Record) bool { return rec.Progress != nil && rec.Progress.Fact == rack.FactCycleOpen })
	if open < 0 || open >= r.writes[1].rec {
		t.Errorf("the open half is record %d, the closing write had %d records before it", open, r.writes[1].rec)
	}
}

func TestCutOvertakesACycle(t *testing.T) {
	r := settledRig(t)
	r.must("cycle", rack.OpCycle, "outlet/pdu-a.3")
	r.run(time.Second)
	at := r.now
	r.must("cut", rack.OpCut, "outlet/pdu-a.3")
	r.run(60 * time.Second)
	r.expect("cycle", rack.StateCancelled, rack.CodeSuperseded)
	r.expect("cut", rack.StatePartial, rack.CodeNoLoad)
	if r.trace() != "cut 3, cut 3" || r.writes[1].at.Sub(at) > 20*time.Millisecond {
		t.Errorf("trace: %s, second write after %s", r.trace(), r.writes[1].at.Sub(at))
	}
}

func TestCutOvertakesAnEnergiseThatHangs(t *testing.T) {
	r := settledRig(t)
	r.hang[outlet(3)] = true
	r.must("on", rack.OpEnergise, "outlet/pdu-a.3")
	r.run(time.Second)
	at := r.now
	r.must("cut", rack.OpCut, "outlet/pdu-a.3")
	r.run(10 * time.Second)
	r.expect("on", rack.StateCancelled, rack.CodeSuperseded)
	r.expect("cut", rack.StateSucceeded, "")
	if r.trace() != "energise 3, cut 3" || r.writes[1].at.Sub(at) > 20*time.Millisecond {
		t.Errorf("trace: %s, cut after %s", r.trace(), r.writes[1].at.Sub(at))
	}
}

func TestCutDoesNotOvertakeOnAnotherNode(t *testing.T) {
	r := settledRig(t)
	r.must("cycle", rack.OpCycle, "outlet/pdu-a.3")
	r.run(time.Second)
	r.must("cut", rack.OpCut, "outlet/pdu-a.4")
	r.run(60 * time.Second)
	r.expect("cycle", rack.StateSucceeded, "")
	r.expect("cut", rack.StateSucceeded, "")
}

func TestCancelStopsBeforeTheNextStep(t *testing.T) {
	r := settledRig(t)
	r.must("cycle", rack.OpCycle, "outlet/pdu-a.3")
	r.run(10 * time.Millisecond)
	r.step(Cancel{ID: "cycle"}) // its cut is with the device: it is proven, and the closing half never begins
	r.run(60 * time.Second)
	o := r.expect("cycle", rack.StateCancelled, rack.CodeCancelled)
	if r.trace() != "cut 3" || o.Targets[0].Steps[0].Settled == nil {
		t.Errorf("trace: %s, step %+v", r.trace(), o.Targets[0].Steps[0])
	}
}

func TestExpiredBeforeItsFirstStep(t *testing.T) {
	r := settledRig(t)
	r.must("c1", rack.OpCycle, "outlet/pdu-a.3")
	r.must("c2", rack.OpCycle, "outlet/pdu-a.3", func(c *rack.Command) { c.StartBy = r.now.Add(5 * time.Second) })
	r.run(60 * time.Second)
	r.expect("c1", rack.StateSucceeded, "")
	r.expect("c2", rack.StateExpired, rack.CodeExpired)
	if r.trace() != "cut 3, energise 3" {
		t.Errorf("trace: %s", r.trace())
	}
}

func TestCommandsOnOneNodeRunInOrder(t *testing.T) {
	r := settledRig(t)
	r.must("c1", rack.OpCut, "outlet/pdu-a.3")
	r.must("c2", rack.OpCut, "node/asic-3")
	r.run(3 * time.Second)
	r.expect("c1", rack.StateSucceeded, "")
	r.expect("c2", rack.StatePartial, rack.CodeNoLoad)
	if c1, c2 := r.result("c1"), r.writes[1].at; c2.Before(c1.At) {
		t.Errorf("the second began %s before the first had ended", c1.At.Sub(c2))
	}
}

func TestBankOutOfControl(t *testing.T) {
	r := settledRig(t)
	r.lost = true
	r.run(2 * time.Second)
	if n := len(r.writes); n != 0 {
		t.Fatalf("trace: %s: a lost bank alone writes nothing", r.trace())
	}
	if !slices.ContainsFunc(r.emitted, func(e rack.Event) bool { return e.Kind == rack.EventBankLost }) {
		t.Error("no bank_lost event")
	}
	r.run(35 * time.Second)
	r.must("c1", rack.OpEnergise, "outlet/pdu-a.3")
	r.run(5 * time.Second)
	r.expect("c1", rack.StateSucceeded, "")
	if r.trace() != "takeover latch=11000000, energise 3" {
		t.Errorf("trace: %s", r.trace())
	}
	adopt := slices.IndexFunc(r.records, func(rec rack.Record) bool { return rec.Progress != nil && rec.Progress.Fact == rack.FactAdopt })
	if adopt < 0 || adopt >= r.writes[0].rec {
		t.Errorf("the words are record %d, the write had %d records before it", adopt, r.writes[0].rec)
	}
}

func TestBankOutOfControlThatContradictsTheServer(t *testing.T) {
	r := settledRig(t)
	r.lost = true
	r.loadW[outlet(7)] = 0 // its contact should stand closed
	r.run(35 * time.Second)
	if got := r.command("c1", rack.OpEnergise, "outlet/pdu-a.3"); got == nil || got.Code != rack.CodeExternalChange {
		t.Errorf("%v, want external_change", got)
	}
	if len(r.writes) != 0 {
		t.Errorf("trace: %s", r.trace())
	}
}

func TestExternalChangeIsReportedAndNotUndone(t *testing.T) {
	r := settledRig(t)
	r.closed[outlet(5)] = false
	r.run(3 * time.Second)
	i := slices.IndexFunc(r.emitted, func(e rack.Event) bool { return e.Kind == rack.EventExternalChange })
	if i < 0 || r.emitted[i].Outlet != outlet(5) || len(r.writes) != 0 {
		t.Errorf("events %+v, trace %s", r.emitted, r.trace())
	}
}

func TestAJournalThatDoesNotAnswerStopsTheWriteThatNeedsIt(t *testing.T) {
	r := settledRig(t)
	r.must("c1", rack.OpCycle, "outlet/pdu-a.3")
	r.run(20 * time.Second)
	r.journalErr = errDiskFull
	r.run(30 * time.Second)
	if r.trace() != "cut 3" {
		t.Errorf("trace: %s", r.trace())
	}
	for _, o := range r.reports {
		if o.State.Terminal() {
			t.Errorf("a result that is not on disk was told: %+v", o)
		}
	}
	r.journalErr = nil
	r.run(10 * time.Second)
	r.expect("c1", rack.StateFailed, rack.CodeJournalFull)

	r = settledRig(t)
	r.must("c1", rack.OpCycle, "outlet/pdu-a.3")
	r.run(20 * time.Second)
	r.journalTakes = time.Hour
	r.run(30 * time.Second)
	if r.trace() != "cut 3" {
		t.Errorf("trace: %s", r.trace())
	}
}

func TestOldReadingsAreNotTrusted(t *testing.T) {
	r := settledRig(t)
	r.queue = nil // poll is dead
	r.run(10 * time.Second)
	for _, op := range []rack.Op{rack.OpEnergise, rack.OpCut, rack.OpCycle} {
		if got := r.command("c", op, "outlet/pdu-a.3"); got == nil || got.Code != rack.CodeDeviceError {
			t.Errorf("%s on readings 10 s old: %v, want device_error", op, got)
		}
	}
}

func TestForeignSerialMakesEveryOutletFirm(t *testing.T) {
	r := settledRig(t)
	r.step(Identified{PDU: "pdu-a", Ident: ident("PB-9")})
	for n := 1; n <= 8; n++ {
		if got := r.command("c", rack.OpCut, rack.OutletTarget(outlet(n)).String()); got == nil {
			t.Errorf("outlet %d is cut although the board is another one", n)
		}
	}
}

func TestAPlanTellsTheLoadAfterEachStep(t *testing.T) {
	r := settledRig(t)
	p, refusal := Plan(r.now, r.m.Snapshot(r.now), rack.Command{ID: "d", Op: rack.OpCycle, Target: rack.OutletTarget(outlet(3))})
	if refusal != nil {
		t.Fatal(refusal)
	}
	steps := p.Targets[0].Steps
	// Six miners of 3400 W and the server of 3000 W; without asic-3; and with it again and its surge of 200 W.
	for i, want := range []float64{5*3400 + 3000, 6*3400 + 3000 + 200} {
		if got := steps[i].Feeds[0]; got.Feed != "bank" || got.W != want {
			t.Errorf("after step %d: %+v, want %v W", i+1, got, want)
		}
	}
}

func TestAnOffTimeThatIsNotKnownIsNotLongEnough(t *testing.T) {
	r := settledRig(t)
	s := r.m.Snapshot(r.now)
	s.Outlets[outlet(3)] = OutletView{}
	if refusal := offLongEnough(r.now, s, s.Layout.Nodes[2], outlet(3)); refusal == nil || refusal.Code != rack.CodeMinOff {
		t.Errorf("%v, want min_off", refusal)
	}
}

// TestAPollFromBeforeTheWriteDoesNotUndoIt: the bank was being read while the relay was switched.
func TestAPollFromBeforeTheWriteDoesNotUndoIt(t *testing.T) {
	r := settledRig(t)
	late := r.measure() // all relays closed
	r.must("c1", rack.OpCut, "outlet/pdu-a.3")
	r.run(20 * time.Millisecond)
	r.step(late)
	if got := r.command("c2", rack.OpEnergise, "outlet/pdu-a.3"); got == nil || got.Code != rack.CodeMinOff {
		t.Errorf("energise right after the cut: %v, want min_off", got)
	}
	if slices.ContainsFunc(r.emitted, func(e rack.Event) bool { return e.Kind == rack.EventExternalChange }) {
		t.Error("the old reading passed as a change from outside")
	}
}
