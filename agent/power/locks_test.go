package power

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent/rack"
)

// locked is a rig with locks on targets.
func lockedRig(t *testing.T, targets ...string) *rig {
	r := groupRig(t)
	for i, target := range targets {
		if _, refusal := r.lock("l"+string(rune('1'+i)), rack.OpLock, target); refusal != nil {
			t.Fatalf("%s: %v", target, refusal)
		}
	}
	return r
}

func TestALockRefusesEverythingOnItsTarget(t *testing.T) {
	for _, c := range []struct {
		lock    string
		refused []string
		free    []string
	}{
		{"rack", []string{"outlet/pdu-a.1", "node/asic-3", "group/three", "feed/row", "rack", "node/gpu-1"}, nil},
		{"node/asic-3", []string{"node/asic-3", "outlet/pdu-a.3"}, []string{"node/asic-1", "outlet/pdu-a.2"}},
		{"outlet/pdu-a.3", []string{"node/asic-3", "outlet/pdu-a.3"}, []string{"node/asic-1"}},
		{"node/gpu-1", []string{"node/gpu-1", "outlet/pdu-a.8"}, []string{"node/asic-1"}},
		{"outlet/pdu-a.7", []string{"node/gpu-1", "outlet/pdu-a.7"}, []string{"node/asic-1"}},
	} {
		r := lockedRig(t, c.lock)
		for _, op := range []rack.Op{rack.OpCut, rack.OpEnergise, rack.OpCycle} {
			for _, target := range c.refused {
				for _, dry := range []bool{true, false} {
					got := r.command("c", op, target, func(cmd *rack.Command) { cmd.Signed, cmd.Dry = true, dry })
					if got == nil || got.Code != rack.CodeMaintenanceLock || !strings.Contains(got.Text, "command l1 of uid:1000") {
						t.Errorf("%s of %s under a lock on %s: %v", op, target, c.lock, got)
					}
				}
			}
		}
		if len(r.writes) != 0 {
			t.Errorf("trace %s", r.trace())
		}
		for i, target := range c.free {
			r.must("f"+string(rune('0'+i)), rack.OpCut, target)
		}
	}
}

func TestALockedNodeIsLeftOutOfItsGroup(t *testing.T) {
	r := lockedRig(t, "outlet/pdu-a.2")
	r.must("c1", rack.OpCut, "group/three")
	r.run(8 * time.Second)
	expectTold(t, r.expect("c1", rack.StatePartial, rack.CodeMaintenanceLock), "asic-1 succeeded, asic-2 rejected maintenance_lock, asic-3 succeeded")
	if r.trace() != "cut 1, cut 3" {
		t.Error(r.trace())
	}
}

// Locks on the rack, a node and an outlet stand and fall apart.
func TestOneLockDoesNotStandForAnother(t *testing.T) {
	r := lockedRig(t, "rack", "node/asic-1", "outlet/pdu-a.1")
	judge := func(id, target string) *rack.Refusal {
		_, refusal := r.lock(id, rack.OpUnlock, target)
		return refusal
	}
	cut := func() rack.Code {
		if refusal := r.command("c", rack.OpCut, "node/asic-1", func(c *rack.Command) { c.Dry = true }); refusal != nil {
			return refusal.Code
		}
		return ""
	}
	for _, target := range []string{"rack", "outlet/pdu-a.1", "node/asic-1"} {
		if got := cut(); got != rack.CodeMaintenanceLock {
			t.Errorf("before %s is unlocked: %q", target, got)
		}
		if refusal := judge("u", target); refusal != nil {
			t.Errorf("unlock of %s: %v", target, refusal)
		}
		if refusal := judge("u", target); refusal == nil || refusal.Code != rack.CodePrecondition {
			t.Errorf("second unlock of %s: %v", target, refusal)
		}
	}
	if got := cut(); got != "" {
		t.Errorf("unlocked: %q", got)
	}
	if len(r.m.Snapshot(r.now).Orders) != 0 {
		t.Error("an order is left")
	}
}

func TestJudgementOfLocks(t *testing.T) {
	unsigned := func(c *rack.Command) { c.Signed, c.Firm, c.Issuer = false, false, "ctl-1" }
	miners := func(c *rack.Command) { c.Firm = false } // a role without firm nodes
	other := func(r *rig) {
		lockOn("node/asic-1")(r)
		r.step(Identified{PDU: "pdu-a", Ident: ident("OTHER")})
	}
	for _, c := range []struct {
		name, target string
		op           rack.Op
		change       func(*rack.Command)
		setup        func(*rig)
		code         rack.Code
	}{
		{"a group", "group/three", rack.OpLock, nil, nil, rack.CodeUnsupported},
		{"a feed", "feed/bank", rack.OpLock, nil, nil, rack.CodeUnsupported},
		{"no such node", "node/none", rack.OpLock, nil, nil, rack.CodeUnknownTarget},
		{"no such outlet", "outlet/pdu-b.1", rack.OpLock, nil, nil, rack.CodeUnknownTarget},
		{"a server, unsigned", "node/gpu-1", rack.OpLock, unsigned, nil, ""},
		{"a miner, unsigned", "node/asic-1", rack.OpLock, unsigned, nil, ""},
		{"unlock nothing", "node/asic-1", rack.OpUnlock, nil, nil, rack.CodePrecondition},
		{"unlock a miner, unsigned", "node/asic-1", rack.OpUnlock, unsigned, lockOn("node/asic-1"), ""},
		{"unlock a server, unsigned", "node/gpu-1", rack.OpUnlock, unsigned, lockOn("node/gpu-1"), rack.CodeFirmGuard},
		{"unlock a server's outlet, unsigned", "outlet/pdu-a.8", rack.OpUnlock, unsigned, lockOn("outlet/pdu-a.8"), rack.CodeFirmGuard},
		{"unlock a rack with a server, unsigned", "rack", rack.OpUnlock, unsigned, lockOn("rack"), rack.CodeFirmGuard},
		{"unlock a server, signed", "node/gpu-1", rack.OpUnlock, nil, lockOn("node/gpu-1"), ""},
		{"unlock on another board, unsigned", "node/asic-1", rack.OpUnlock, unsigned, other, rack.CodeFirmGuard},
		{"unlock on another board, without firm nodes", "node/asic-1", rack.OpUnlock, miners, other, rack.CodeFirmGuard},
		{"unlock on another board", "node/asic-1", rack.OpUnlock, nil, other, ""},
		{"unlock a miner, without firm nodes", "node/asic-1", rack.OpUnlock, miners, lockOn("node/asic-1"), ""},
		{"unlock what is gone, unsigned", "node/gone", rack.OpUnlock, unsigned, func(r *rig) {
			r.step(Ordered{Order: rack.Order{Kind: rack.OrderLock, Target: rack.NodeTarget("gone")}})
		}, rack.CodeFirmGuard},
		{"unlock what is gone", "node/gone", rack.OpUnlock, nil, func(r *rig) {
			r.step(Ordered{Order: rack.Order{Kind: rack.OrderLock, Target: rack.NodeTarget("gone")}})
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := groupRig(t)
			if c.setup != nil {
				c.setup(r)
			}
			if c.change == nil {
				c.change = func(*rack.Command) {}
			}
			_, got := r.lock("x", c.op, c.target, c.change)
			if (got == nil) != (c.code == "") || got != nil && (got.Code != c.code || got.Text == "") {
				t.Errorf("%v, want %q", got, c.code)
			}
		})
	}
}

func lockOn(target string) func(*rig) {
	return func(r *rig) {
		if _, refusal := r.lock("l1", rack.OpLock, target); refusal != nil {
			r.t.Fatal(refusal)
		}
	}
}

// The second lock finds the first, whose order stays as it is.
func TestTheFirstLockStays(t *testing.T) {
	r := lockedRig(t, "node/asic-1")
	o, stands, refusal := r.m.Snapshot(r.now).Lock(r.now, rack.Command{ID: "l2", Op: rack.OpLock, Target: rack.NodeTarget("asic-1"), Signed: true, Issuer: "uid:2000"})
	if refusal != nil || !stands || o.Command != "l1" || o.By != "uid:1000" || o.Since.IsZero() {
		t.Errorf("%+v %v %v", o, stands, refusal)
	}
	if !slices.ContainsFunc(r.emitted, func(e rack.Event) bool {
		return e.Kind == rack.EventLock && e.To == "locked" && e.Node == "asic-1" && e.Command == "l1" && strings.Contains(e.Text, "uid:1000")
	}) {
		t.Errorf("no event tells who: %+v", r.emitted)
	}
}

// A lock set while a command is under way: what has begun comes to its end, nothing further begins.
func TestALockStopsWhatIsUnderWay(t *testing.T) {
	for _, c := range []struct {
		name  string
		op    rack.Op
		off   bool // the miners are off before
		wait  time.Duration
		lock  string
		trace string
		told  string
	}{
		{"a cut in the lane", rack.OpCut, false, time.Millisecond, "node/asic-2", "cut 1, cut 2, cut 3", "asic-1 succeeded, asic-2 succeeded, asic-3 succeeded"},
		{"a cut that settles", rack.OpCut, false, 100 * time.Millisecond, "rack", "cut 1, cut 2, cut 3", "asic-1 succeeded, asic-2 succeeded, asic-3 succeeded"},
		{
			"within the stagger", rack.OpEnergise, true, 260 * time.Millisecond, "rack", "energise 1, energise 2",
			"asic-1 succeeded, asic-2 succeeded, asic-3 failed maintenance_lock",
		},
		{
			"a cycle that is open", rack.OpCycle, false, 10 * time.Second, "node/asic-2", "cut 1, cut 2, cut 3, energise 1, energise 3",
			"asic-1 succeeded, asic-2 failed maintenance_lock, asic-3 succeeded",
		},
		{
			"the first half of a cycle", rack.OpCycle, false, 100 * time.Millisecond, "outlet/pdu-a.3", "cut 1, cut 2, cut 3, energise 1, energise 2",
			"asic-1 succeeded, asic-2 succeeded, asic-3 failed maintenance_lock",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := groupRig(t)
			if c.off {
				r = offRig(t, groupLayout())
			}
			r.must("c1", c.op, "group/three")
			r.run(c.wait)
			lockOn(c.lock)(r)
			r.run(time.Minute)
			expectTold(t, r.result("c1"), c.told)
			if r.trace() != c.trace {
				t.Errorf("trace %s, want %s", r.trace(), c.trace)
			}
		})
	}
}

// A write that waits in the lane is stopped there by the guard, and the lock holds only when none is with the device.
func TestALockHoldsWhenNothingIsWritten(t *testing.T) {
	r := groupRig(t)
	r.laneTakes = 700 * time.Millisecond
	r.must("c1", rack.OpCut, "node/asic-1")
	r.run(100 * time.Millisecond)
	token, _ := r.lock("l1", rack.OpLock, "rack")
	r.run(500 * time.Millisecond)
	if len(r.inForce) != 0 {
		t.Error("the lock holds while a relay is being written")
	}
	r.run(200 * time.Millisecond)
	if !slices.Equal(r.inForce, []uint64{token}) {
		t.Errorf("in force: %v", r.inForce)
	}
	r.run(8 * time.Second)
	r.expect("c1", rack.StateSucceeded, "")
}

// Elsewhere nothing is waited for, nor for an unlock.
func TestALockElsewhereHoldsAtOnce(t *testing.T) {
	r := groupRig(t)
	r.laneTakes = 700 * time.Millisecond
	r.must("c1", rack.OpCut, "node/asic-1")
	r.run(100 * time.Millisecond)
	one, _ := r.lock("l1", rack.OpLock, "node/asic-2")
	two, _ := r.lock("l2", rack.OpLock, "node/asic-1")
	three, _ := r.lock("u1", rack.OpUnlock, "node/asic-2")
	if !slices.Equal(r.inForce, []uint64{one, three}) {
		t.Errorf("in force: %v, want %d and %d at once and %d later", r.inForce, one, three, two)
	}
}

// The lane's guard judges each kind of write anew.
func TestTheLanesGuardKnowsLocks(t *testing.T) {
	r := lockedRig(t, "outlet/pdu-a.2")
	snap := r.m.Snapshot(r.now)
	bench := &bench{closed: map[int]bool{}}
	l := relayLane{relays: map[string]Relays{"pdu-a": bench}, snapshot: func() *Snapshot { return snap }}
	for _, a := range []work{
		Switch{Token: 1, Do: rack.DoCut, Outlet: outlet(2)},
		Switch{Token: 2, Do: rack.DoEnergise, Outlet: outlet(2)},
		TakeOver{Token: 3, Bank: rack.BankID{PDU: "pdu-a"}},
	} {
		got, _ := l.carry(context.Background(), a).(Switched)
		var g *GuardError
		if !errors.As(got.Err, &g) || g.Refusal.Code != rack.CodeMaintenanceLock || !got.Taken.IsZero() {
			t.Errorf("%+v: %+v", a, got)
		}
	}
	if len(bench.trace) != 0 {
		t.Errorf("the device saw %v", bench.trace)
	}
	if got, ok := l.carry(context.Background(), Switch{Token: 4, Do: rack.DoCut, Outlet: outlet(1)}).(Switched); !ok || got.Err != nil {
		t.Error(got.Err)
	}
}

// A bank out of control on which anything is locked is not taken over for another outlet: that would write the latch and
// the direction of the locked one as well.
func TestABankWithALockIsNotTakenOver(t *testing.T) {
	r := groupRig(t)
	r.lost = true
	r.run(3 * time.Second)
	lockOn("outlet/pdu-a.2")(r)
	if got := r.command("c1", rack.OpEnergise, "node/asic-1"); got == nil || got.Code != rack.CodeMaintenanceLock || !strings.Contains(got.Text, "not taken over") {
		t.Errorf("%v", got)
	}

	// Set while the record of the take-over is being written.
	r = groupRig(t)
	r.lost = true
	r.run(35 * time.Second)
	r.journalTakes = 500 * time.Millisecond
	r.must("c1", rack.OpEnergise, "node/asic-1")
	r.run(100 * time.Millisecond)
	lockOn("outlet/pdu-a.2")(r)
	r.run(10 * time.Second)
	r.expect("c1", rack.StateFailed, rack.CodeMaintenanceLock)
	if len(r.writes) != 0 {
		t.Errorf("trace %s", r.trace())
	}
}

// Locks of earlier lives hold from the start.
func TestLocksFoundAtTheStart(t *testing.T) {
	l := groupLayout()
	m := New(time.Now(), l, words, []rack.Order{{Kind: rack.OrderLock, Target: rack.NodeTarget("asic-1")}}, nil)
	s := m.Snapshot(time.Now())
	if _, refusal := Plan(s.At, s, rack.Command{ID: "c", Op: rack.OpCut, Target: rack.NodeTarget("asic-1")}); refusal == nil || refusal.Code != rack.CodeMaintenanceLock {
		t.Errorf("%v", refusal)
	}
	if locks := s.Locks(); len(locks) != 1 || locks[0].Set() != "by a command whose record is damaged" {
		t.Errorf("%+v", locks)
	}
}

// The loop tells who waits for a lock, and by then the lane's guard and planning know it.
func TestLoopKeepsALock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		lr := startLoop(t, ctx)
		time.Sleep(2 * time.Second)
		c := rack.Command{ID: "l1", Op: rack.OpLock, Target: rack.NodeTarget("asic-1"), Signed: true, Issuer: "uid:1000"}
		o, stands, refusal := lr.loop.Lock(time.Now(), c)
		if stands || refusal != nil {
			t.Fatal(stands, refusal)
		}
		told := 0
		lr.loop.Keep(c, o, false, func() {
			told++
			if err := permitted(lr.loop.Snapshot(), Switch{Do: rack.DoEnergise, Outlet: outlet(1)}); err == nil {
				t.Error("told, and the guard does not know it")
			}
		})
		time.Sleep(time.Second)
		if _, refusal := lr.loop.Plan(time.Now(), rack.Command{ID: "c", Op: rack.OpCut, Target: rack.NodeTarget("asic-1")}); refusal == nil || told != 1 {
			t.Errorf("planned under a lock: %v, told %d times", refusal, told)
		}
		cancel()
		synctest.Wait()
	})
}

// TestWhatCountsAsFirmIsNotStartedByARoleWithout: on a board that is not the one configured, any outlet may feed a server.
func TestWhatCountsAsFirmIsNotStartedByARoleWithout(t *testing.T) {
	r := offRig(t, groupLayout())
	r.step(Identified{PDU: "pdu-a", Ident: ident("OTHER")})
	signed := func(c *rack.Command) { c.Signed = true }
	if got := r.command("c1", rack.OpEnergise, "node/asic-1", signed); got == nil || got.Code != rack.CodeWiringUnproven {
		t.Errorf("by a role without firm nodes: %v, want wiring_unproven", got)
	}
	if got := r.command("c2", rack.OpEnergise, "node/asic-1", signed, func(c *rack.Command) { c.Firm = true }); got != nil {
		t.Errorf("by a role with firm nodes: %v", got)
	}
}
