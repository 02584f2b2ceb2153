package power

import (
	"context"
	"strings"
	"testing"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers"
)

func rackUnderInterlocks(t *testing.T, change func(*rack.Layout)) *rig {
	t.Helper()
	l := demoLayout()
	for i := range l.Nodes {
		if l.Nodes[i].Class == rack.ClassASIC {
			l.Nodes[i].API = &rack.API{
				Dialect: "test", Period: 10 * time.Second, Write: 5 * time.Second, Confirm: 15 * time.Second, SleepBy: 30 * time.Second,
				WakeBy: 5 * time.Minute, FanW: 100, FanFor: 2 * time.Minute,
			}
		}
	}
	if change != nil {
		change(l)
	}
	r := newRigWith(t, l, nil)
	r.units = map[string]*unit{}
	for _, n := range l.Nodes {
		if n.API != nil {
			r.units[n.Name] = &unit{setting: `{"mode":"high"}`}
		}
	}
	r.m.MayAct(Own{Boot: "0123456789abcdef0123456789", Config: "cafe", Interlocks: true})
	r.run(4 * time.Second)
	return r
}

// failing fails the cuts that are with the lane of these outlets now.
func (r *rig) failCut(o rack.OutletID) bool {
	for token, a := range r.running {
		if a.Outlet == o && a.Do == rack.DoCut {
			delete(r.running, token)
			r.step(Switched{Token: token, Err: &drivers.Error{Op: "write", Fault: drivers.NoAnswer}})
			return true
		}
	}
	return false
}

// A miner that takes no verb, among others that do.
func TestInterlockSleepOfAMixedGroup(t *testing.T) {
	r := rackUnderInterlocks(t, func(l *rack.Layout) { l.Nodes[2].API = nil })
	r.demand("inlet", rack.InterlockTripped, rack.DoSleep, false)
	r.run(3 * time.Minute)
	if w := r.watts(outlet(3)); w != 0 {
		t.Errorf("asic-3 takes no verb and draws %g W three minutes later", w)
	}
}

// One miner is locked when a temperature trips, and unlocked later.
func TestInterlockRefusedTargetIsTriedAgain(t *testing.T) {
	r := rackUnderInterlocks(t, nil)
	if _, bad := r.lock("l1", rack.OpLock, "node/asic-4"); bad != nil {
		t.Fatal(bad)
	}
	r.demand("inlet", rack.InterlockTripped, rack.DoCut, false)
	r.run(20 * time.Second)
	if _, bad := r.lock("u1", rack.OpUnlock, "node/asic-4"); bad != nil {
		t.Fatal(bad)
	}
	r.run(time.Minute)
	if r.closed[outlet(4)] {
		t.Errorf("asic-4 runs a minute after its lock went: %s", r.trace())
	}
}

// After a start one board has said who it is, and the other one does a second later.
func TestInterlockSecondBoardIdentifiedLater(t *testing.T) {
	b := rack.OutletID{PDU: "pdu-b", N: 1}
	r := rackUnderInterlocks(t, func(l *rack.Layout) {
		p := l.PDUs[0]
		p.Name, p.Serial = "pdu-b", "PB-1"
		p.Outlets = []rack.Outlet{p.Outlets[0]}
		p.Outlets[0].ID = b
		l.PDUs = append(l.PDUs, p)
		l.Nodes[5].Outlets = []rack.OutletID{b}
	})
	r.demand("pan", rack.InterlockTripped, rack.DoCut, true)
	r.run(time.Second)
	r.step(Identified{PDU: "pdu-b", Ident: drivers.Ident{Serial: "PB-1"}})
	r.run(time.Minute)
	if r.closed[b] {
		t.Errorf("the outlet of the second board is never cut: %s", r.trace())
	}
}

// A shutdown of an operator lets the fans run on; the leak does not wait for that.
func TestInterlockFanRunOn(t *testing.T) {
	for _, alone := range []bool{false, true} {
		r := rackUnderInterlocks(t, nil)
		r.must("s1", rack.OpShutdown, "node/asic-1")
		r.run(10 * time.Second)
		if !r.closed[outlet(1)] || !r.units["asic-1"].asleep {
			t.Fatal("setup")
		}
		began := r.now
		if alone {
			r.step(Demanded{rack.Demand{Name: "pan", State: rack.InterlockTripped, At: r.now, Target: rack.NodeTarget("asic-1"), Do: rack.DoCut, Latch: true, Why: "wet"}})
		} else {
			r.demand("pan", rack.InterlockTripped, rack.DoCut, true)
		}
		for r.closed[outlet(1)] && r.now.Sub(began) < 5*time.Minute {
			r.run(50 * time.Millisecond)
		}
		if took := r.now.Sub(began); took > time.Second {
			t.Errorf("alone %v: the wet outlet opened %s after the leak", alone, took)
		}
	}
}

// The cut of a miner that sleeps fails: its outlet is live in a wet tray.
func TestInterlockFailedCutOfASleeper(t *testing.T) {
	r := rackUnderInterlocks(t, nil)
	r.must("s1", rack.OpSleep, "node/asic-1")
	r.run(40 * time.Second)
	r.expect("s1", rack.StateSucceeded, "")
	r.laneTakes = 50 * time.Millisecond
	r.demand("pan", rack.InterlockTripped, rack.DoCut, true)
	r.run(20 * time.Millisecond)
	if !r.failCut(outlet(1)) {
		t.Fatal("setup")
	}
	r.run(time.Minute)
	if r.closed[outlet(1)] {
		t.Errorf("outlet 1 is live in the wet: %s", r.trace())
	}
}

// A miner of two outlets, one of them welded: the other one is cut.
func TestInterlockTwoOutletsOneWelded(t *testing.T) {
	r := rackUnderInterlocks(t, func(l *rack.Layout) {
		l.Nodes[0].Outlets = []rack.OutletID{outlet(1), outlet(2)}
		l.Nodes[0].MaxW = 6800
		l.Nodes = append(l.Nodes[:1], l.Nodes[2:]...)
	})
	r.welded[outlet(1)] = true
	r.demand("pan", rack.InterlockTripped, rack.DoCut, true)
	r.run(2 * time.Minute)
	if r.closed[outlet(2)] {
		t.Errorf("outlet 2 is live two minutes later: %s", r.trace())
	}
}

// What cannot be brought down is tried for long: neither the why nor the records grow without bound.
func TestInterlockChaseDoesNotGrow(t *testing.T) {
	r := rackUnderInterlocks(t, nil)
	r.frozen[outlet(1)] = true
	r.demand("pan", rack.InterlockTripped, rack.DoCut, true)
	r.run(10 * time.Minute)
	own := r.own()
	longest := 0
	for _, c := range own {
		longest = max(longest, len(c.Why))
	}
	if longest > 1000 {
		t.Errorf("a why of %d bytes after 10 min, %d commands", longest, len(own))
	}
}

// Welded: what cannot be cut is named and left.
func TestInterlockChaseOfAWeldedOne(t *testing.T) {
	r := rackUnderInterlocks(t, nil)
	r.welded[outlet(1)] = true
	r.demand("pan", rack.InterlockTripped, rack.DoCut, true)
	r.run(5 * time.Minute)
	t.Logf("%d own commands, %d due", len(r.own()), len(r.m.locks.due))
	if len(r.own()) > 3 {
		t.Errorf("%d own commands", len(r.own()))
	}
}

// A cut that is refused for a miner does not end the sleep that somebody has begun there.
func TestInterlockOverruleOnlyWhereItCuts(t *testing.T) {
	r := rackUnderInterlocks(t, func(l *rack.Layout) { l.Nodes[3].Wiring = rack.WiringUnproven })
	r.units["asic-4"].obeys = 10 * time.Second
	r.must("s1", rack.OpSleep, "node/asic-4")
	r.run(15 * time.Millisecond) // asked
	r.demand("pan", rack.InterlockTripped, rack.DoCut, true)
	r.run(40 * time.Second)
	if o := r.result("s1"); o.State != rack.StateSucceeded {
		t.Errorf("%s %s: %s; it draws %g W", o.State, o.Code, o.Text, r.watts(outlet(4)))
	}
}

// A cut of miners does not end the judgement of what a restart has found on a server.
func TestInterlockOverruleLeavesServers(t *testing.T) {
	l := demoLayout()
	w := 1400.0
	cut := func(n int) rack.Step { return rack.Step{Do: rack.DoCut, On: outlet(n), BeforeW: &w, LimitMS: 10000} }
	c := rack.Command{ID: "f1", Op: rack.OpCut, Target: rack.NodeTarget("gpu-1"), Args: rack.Args{Force: true}, Signed: true}
	e := rack.Entry{Command: c, Plan: rack.Plan{Command: "f1", Targets: []rack.TargetPlan{{Target: rack.NodeTarget("gpu-1"), Node: "gpu-1", Steps: []rack.Step{cut(7), cut(8)}}}}}
	r := newRigWith(t, l, []rack.Entry{e})
	r.closed[outlet(7)], r.closed[outlet(8)] = false, false
	r.m.MayAct(Own{Boot: "0123456789abcdef0123456789", Interlocks: true})
	r.run(100 * time.Millisecond)
	r.demand("pan", rack.InterlockTripped, rack.DoCut, true)
	r.run(20 * time.Second)
	o := r.result("f1")
	if o.State != rack.StateSucceeded {
		t.Errorf("%s %s %+v", o.State, o.Code, o.Targets)
	}
}

// A temperature has them sleep, and a leak follows: nothing needless is begun, and nothing is told as undone.
func TestInterlockLeakAfterATemperature(t *testing.T) {
	r := rackUnderInterlocks(t, nil)
	for _, u := range r.units {
		u.obeys = 10 * time.Second
	}
	r.demand("inlet", rack.InterlockTripped, rack.DoSleep, false)
	r.run(time.Second)
	r.demand("pan", rack.InterlockTripped, rack.DoCut, true)
	r.run(2 * time.Minute)
	undone := 0
	for _, e := range r.emitted {
		if e.Kind == rack.EventInterlock && strings.Contains(e.Text, "is not begun") {
			undone++
		}
	}
	if n := len(r.own()); n > 2 || undone > 0 || len(r.m.locks.due) > 0 {
		t.Errorf("%d own commands, %d told as undone, %d due", n, undone, len(r.m.locks.due))
	}
}

// Whoever takes his own lock away has not looked at the leak.
func TestInterlockLockBesideALock(t *testing.T) {
	for _, target := range []string{"rack", "outlet/pdu-a.1"} {
		r := rackUnderInterlocks(t, nil)
		if _, bad := r.lock("l1", rack.OpLock, target, func(c *rack.Command) { c.Firm = true }); bad != nil {
			t.Fatal(bad)
		}
		r.demand("pan", rack.InterlockTripped, rack.DoCut, true)
		r.run(8 * time.Second)
		if r.closed[outlet(1)] {
			t.Fatal("not cut")
		}
		if _, bad := r.lock("u1", rack.OpUnlock, target); bad != nil {
			t.Fatal(bad)
		}
		r.demand("pan", rack.InterlockClear, rack.DoCut, true)
		r.run(2 * time.Minute)
		if got := r.command("e1", rack.OpEnergise, "outlet/pdu-a.1"); got == nil || got.Code != rack.CodeMaintenanceLock {
			t.Errorf("lock of %s: %v", target, got)
		}
	}
}

// The cut of an interlock is before what others have queued.
func TestInterlockFirstInItsLane(t *testing.T) {
	var done []int
	block, all := make(chan struct{}), make(chan struct{})
	l := newLane(func(_ context.Context, a work) Input { <-block; return Switched{Token: a.id()} }, func(in Input) {
		done = append(done, int(in.(Switched).Token))
		if len(done) == 7 {
			close(all)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { l.run(ctx); close(ended) }()
	op := &rack.Command{Op: rack.OpCut, Origin: rack.OriginMQTT}
	for n := range 6 {
		l.put(Switch{Token: uint64(n + 1), Do: rack.DoCut, Outlet: outlet(n + 1), By: op})
	}
	time.Sleep(20 * time.Millisecond) // the first is with the device
	l.put(Switch{Token: 7, Do: rack.DoCut, Outlet: outlet(7), By: &rack.Command{Op: rack.OpCut, Origin: rack.OriginAgent, Issuer: issuerInterlock, Emergency: true}})
	close(block)
	<-all
	cancel()
	<-ended
	if done[1] != 7 {
		t.Errorf("%v", done)
	}
}

// An energise was taken when a temperature tripped that has miners sleep: that one had no power when the sleep was planned.
func TestInterlockEnergiseInFlight(t *testing.T) {
	r := rackUnderInterlocks(t, nil)
	r.must("c1", rack.OpCut, "node/asic-1")
	r.run(time.Minute)
	r.laneTakes, r.takenEarly = time.Second, true
	r.must("e1", rack.OpEnergise, "node/asic-1")
	r.run(100 * time.Millisecond)
	r.units["asic-1"].up = r.now.Add(20 * time.Second)
	r.demand("inlet", rack.InterlockTripped, rack.DoSleep, false)
	r.run(100 * time.Millisecond)
	r.laneTakes, r.takenEarly = 5*time.Millisecond, false
	r.run(3 * time.Minute)
	if w := r.watts(outlet(1)); w > 100 {
		t.Errorf("asic-1 was started while the temperature tripped, and draws %g W three minutes later: %s", w, r.trace())
	}
}

// A miner that has slept as told wakes by itself (a watchdog in it, a hand at its page).
func TestInterlockWakesByItself(t *testing.T) {
	r := rackUnderInterlocks(t, nil)
	r.demand("inlet", rack.InterlockTripped, rack.DoSleep, false)
	r.run(time.Minute)
	r.units["asic-2"].asleep = false
	r.run(5 * time.Minute)
	if w := r.watts(outlet(2)); w > 100 {
		t.Errorf("asic-2 runs for 5 min under a tripped interlock, %g W: %s", w, r.trace())
	}
}

// A lock that is set while a leak is being answered does not stop the answer.
func TestInterlockLockWhileItCuts(t *testing.T) {
	r := rackUnderInterlocks(t, func(l *rack.Layout) {
		l.Nodes[0].Outlets = []rack.OutletID{outlet(1), outlet(2)}
		l.Nodes = append(l.Nodes[:1], l.Nodes[2:]...)
	})
	r.demand("pan", rack.InterlockTripped, rack.DoCut, true)
	began := r.now
	r.run(100 * time.Millisecond)
	if _, bad := r.lock("l1", rack.OpLock, "rack"); bad != nil {
		t.Fatal(bad)
	}
	for r.closed[outlet(2)] && r.now.Sub(began) < time.Minute {
		r.run(50 * time.Millisecond)
	}
	if took := r.now.Sub(began); took > 4*time.Second {
		t.Errorf("%s; %s", took, r.trace())
	}
}

// A higher limit adds power.
func TestInterlockHigherLimit(t *testing.T) {
	r := rackUnderInterlocks(t, nil)
	r.must("m1", rack.OpLimit, "node/asic-1", func(c *rack.Command) { c.Args.LimitW = 2000 })
	r.run(3 * time.Minute)
	r.expect("m1", rack.StateSucceeded, "")
	r.demand("inlet", rack.InterlockTripped, "", false)
	got := r.command("m2", rack.OpLimit, "node/asic-1", func(c *rack.Command) { c.Args.LimitW = 3200 })
	r.run(3 * time.Minute)
	if got == nil && r.watts(outlet(1)) > 2000 {
		t.Errorf("it draws %g W", r.watts(outlet(1)))
	}
}

// Exactly one result each while the disk is away for a while, with a cut that fails meanwhile.
func TestInterlockOneResultEach(t *testing.T) {
	r := rackUnderInterlocks(t, nil)
	r.journalErr = errDiskFull
	r.laneTakes = 50 * time.Millisecond
	r.demand("pan", rack.InterlockTripped, rack.DoCut, true)
	for range 1000 {
		r.run(40 * time.Millisecond)
		r.failCut(outlet(1))
	}
	r.journalErr = nil
	r.run(time.Minute)
	r.demand("pan", rack.InterlockClear, rack.DoCut, true)
	r.run(time.Minute)
	own := r.own()
	t.Logf("%d own commands", len(own))
	if len(own) < 3 {
		t.Fatal(len(own))
	}
	for _, c := range own {
		r.result(c.ID)
	}
	if len(r.m.jobs)+len(r.m.own.asked)+len(r.m.locks.due)+len(r.m.owed)+len(r.m.locks.latches) != 0 {
		t.Errorf("left: %d %d %d %d %d", len(r.m.jobs), len(r.m.own.asked), len(r.m.locks.due), len(r.m.owed), len(r.m.locks.latches))
	}
}

// A crash after the cuts and before the locks: the next life finds the command unfinished and the tray dry.
func TestInterlockCrashBeforeTheLocks(t *testing.T) {
	w := 3200.0
	c := rack.Command{ID: "own-x-1", Op: rack.OpCut, Target: rack.NodeTarget("asic-1"), Origin: rack.OriginAgent, Issuer: issuerInterlock, Emergency: true, Why: "wet"}
	e := rack.Entry{Command: c, Plan: rack.Plan{Command: c.ID, Targets: []rack.TargetPlan{{Target: c.Target, Node: "asic-1", Steps: []rack.Step{{Do: rack.DoCut, On: outlet(1), BeforeW: &w, LimitMS: 10000}}}}}}
	r := newRigWith(t, demoLayout(), []rack.Entry{e})
	r.closed[outlet(1)] = false
	r.m.MayAct(Own{Boot: "0123456789abcdef0123456789", Interlocks: true})
	r.run(time.Minute)
	r.result("own-x-1")
	if got := r.command("e1", rack.OpEnergise, "outlet/pdu-a.1"); got == nil || got.Code != rack.CodeMaintenanceLock {
		t.Errorf("nobody has looked: %v", got)
	}
}

// It trips, clears and trips again at once, while an operator wakes what slept.
func TestInterlockTripsAgain(t *testing.T) {
	r := rackUnderInterlocks(t, nil)
	r.demand("inlet", rack.InterlockTripped, rack.DoSleep, false)
	r.run(70 * time.Second)
	r.demand("inlet", rack.InterlockClear, rack.DoSleep, false)
	r.must("w1", rack.OpWake, "node/asic-1")
	r.run(30 * time.Millisecond)
	r.demand("inlet", rack.InterlockTripped, rack.DoSleep, false)
	r.run(2 * time.Minute)
	if w := r.watts(outlet(1)); w > 100 {
		t.Errorf("%g W", w)
	}
	r.result("w1")
	if n := len(r.own()); n > 4 {
		t.Errorf("%d own commands", n)
	}
}

// The journal never answers.
func TestInterlockHungJournal(t *testing.T) {
	r := rackUnderInterlocks(t, nil)
	r.journalTakes = time.Hour
	began := r.now
	r.demand("pan", rack.InterlockTripped, rack.DoCut, true)
	for r.closed[outlet(6)] && r.now.Sub(began) < time.Minute {
		r.run(10 * time.Millisecond)
	}
	if took := r.now.Sub(began); took > 600*time.Millisecond {
		t.Error(took)
	}
}

// An operator cancels the command of an interlock again and again: the miners are down all the same, and slowly no worse.
func TestInterlockCancelOfItsOwn(t *testing.T) {
	r := rackUnderInterlocks(t, nil)
	for _, u := range r.units {
		u.silent = &drivers.Error{Op: "read", Fault: drivers.Unreachable}
	}
	r.demand("inlet", rack.InterlockTripped, rack.DoSleep, false)
	for range 20 {
		r.run(5 * time.Millisecond)
		for _, c := range r.own() {
			r.step(Cancel{ID: c.ID})
		}
	}
	r.run(30 * time.Second)
	for n := 1; n <= 6; n++ {
		if r.watts(outlet(n)) > 100 {
			t.Errorf("asic-%d runs", n)
		}
	}
	for _, c := range r.own() {
		r.result(c.ID)
	}
}

// A command that was planned before it tripped and arrives after that, also the closing half of a cycle.
func TestInterlockAcceptedBefore(t *testing.T) {
	for _, op := range []rack.Op{rack.OpEnergise, rack.OpStart, rack.OpCycle} {
		r := rackUnderInterlocks(t, nil)
		if op != rack.OpCycle {
			r.must("c1", rack.OpCut, "node/asic-1")
			r.run(time.Minute)
		}
		c := rack.Command{ID: "x1", Op: op, Target: rack.NodeTarget("asic-1"), Origin: rack.OriginMQTT, Received: r.now, StartBy: r.now.Add(time.Minute)}
		p, bad := Plan(r.now, r.m.Snapshot(r.now), c)
		if bad != nil {
			t.Fatal(bad)
		}
		if op == rack.OpCycle {
			r.step(Accepted{Command: c, Plan: p})
			r.run(3 * time.Second)
		}
		r.demand("inlet", rack.InterlockTripped, rack.DoCut, false)
		if op != rack.OpCycle {
			r.step(Accepted{Command: c, Plan: p})
		}
		r.run(5 * time.Minute)
		if r.closed[outlet(1)] || strings.Contains(r.trace(), "energise") {
			t.Errorf("%s: %s", op, r.trace())
		}
		if o := r.result("x1"); o.Targets[0].Code != rack.CodeInterlock {
			t.Errorf("%s: %+v", op, o)
		}
	}
}

// The target is a server, or all are.
func TestInterlockServerAsTarget(t *testing.T) {
	r := rackUnderInterlocks(t, nil)
	for _, do := range []rack.Verb{rack.DoCut, rack.DoSleep} {
		r.step(Demanded{rack.Demand{Name: "x" + string(do[:2]), State: rack.InterlockTripped, At: r.now, Target: rack.NodeTarget("gpu-1"), Do: do, Latch: true, Why: "wet"}})
		r.run(2 * time.Minute)
	}
	if len(r.writes)+len(r.tells) > 0 || len(r.m.Snapshot(r.now).Locks()) > 0 {
		t.Errorf("%+v %+v", r.writes, r.tells)
	}
}
