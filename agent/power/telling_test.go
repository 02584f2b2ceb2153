package power

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers"
)

// eventOf finds the reason of the event of kind miner that a command has made.
func (r *rig) eventOf(id string) string {
	for _, e := range r.emitted {
		if e.Kind == rack.EventMiner && e.Command == id {
			return e.Reason
		}
	}
	return ""
}

func TestASleepIsSettledByWatts(t *testing.T) {
	r := minersRig(t)
	began := r.now
	r.must("s1", rack.OpSleep, "node/asic-3")
	r.run(10 * time.Second)
	o := r.expect("s1", rack.StateSucceeded, "")
	st := o.Targets[0].Steps[0]
	if st.On != rack.NodeTarget("asic-3") || st.Taken == nil || st.Confirmed == nil || st.Settled == nil || *st.Settled < *st.Taken+300 {
		t.Errorf("%+v: want all three, settled after the meter's settling time", st)
	}
	if *st.Proof.BeforeW != 3200 || *st.Proof.AfterW != 20 || st.Proof.Meter != "pdu-a.3" {
		t.Errorf("proof %+v", st.Proof)
	}
	if took := o.At.Sub(began); took > 2*time.Second {
		t.Errorf("it took %s to be proven", took)
	}
	if len(r.tells) != 1 || r.tells[0].kept != `{"mode":"high"}` || r.trace() != "" {
		t.Errorf("told %+v, relays %q: want what is interrupted on disk before one verb, and no relay", r.tells, r.trace())
	}
}

// What the miner says and what its outlet shows are held against each other; each way in which they differ has a reason.
func TestSleepVerdicts(t *testing.T) {
	fault := func(f drivers.Fault) error { return &drivers.Error{Op: "write", Device: "miner", Fault: f} }
	no := false
	for _, c := range []struct {
		name  string
		world func(r *rig, u *unit)
		state rack.State
		code  rack.Code
		lie   string
		tells int
		text  string
	}{
		{"it obeys late", func(_ *rig, u *unit) { u.obeys = 20 * time.Second }, rack.StateSucceeded, "", "", 1, ""},
		{"it obeys too late", func(_ *rig, u *unit) { u.obeys = 40 * time.Second }, rack.StateFailed, rack.CodeVerifyFailed, "taken_unchanged", 1, ""},
		{"it takes the verb and does nothing", func(_ *rig, u *unit) { u.obeys = -1 }, rack.StateFailed, rack.CodeVerifyFailed, "taken_unchanged", 1, ""},
		{"it says that it sleeps, and draws", func(_ *rig, u *unit) { u.draws = 3200 }, rack.StateFailed, rack.CodeVerifyFailed, "asleep_drawing", 1, ""},
		{"it draws nothing, and says that it works", func(_ *rig, u *unit) {
			u.says = func(w Word) Word { w.Asleep = &no; return w }
		}, rack.StateUnknown, rack.CodeVerifyFailed, "quiet_running", 1, ""},
		{"it does not hash, says not that it sleeps, and draws", func(_ *rig, u *unit) {
			u.draws = 3200
			u.says = func(w Word) Word { w.Asleep = &no; return w }
		}, rack.StateFailed, rack.CodeVerifyFailed, "not_hashing_drawing", 1, ""},
		{"no answer, and it obeys", func(_ *rig, u *unit) { u.told = fault(drivers.Unsure) }, rack.StateSucceeded, "", "", 1, ""},
		{"no answer, and it does nothing", func(_ *rig, u *unit) { u.told, u.obeys = fault(drivers.Unsure), -1 }, rack.StateFailed, rack.CodeVerifyFailed, "", 1, "did not say"},
		{"it answers nothing afterwards", func(r *rig, u *unit) {
			r.after(60*time.Millisecond, func() { u.silent = fault(drivers.Timeout) })
		}, rack.StateSucceeded, "", "", 1, "interface has not answered"},
		{"its writes are locked", func(_ *rig, u *unit) { u.told = fault(drivers.Locked) }, rack.StateFailed, rack.CodeDeviceError, "", 1, "locked"},
		{"another controller holds it", func(_ *rig, u *unit) { u.told = fault(drivers.Busy) }, rack.StateFailed, rack.CodeExternalOwner, "foreign_owner", 1, ""},
		{"it cannot be reached", func(_ *rig, u *unit) { u.silent = fault(drivers.Unreachable) }, rack.StateFailed, rack.CodeDeviceTimeout, "", 0, ""},
		{"another unit is at its address", func(_ *rig, u *unit) { u.silent = fault(drivers.WrongDevice) }, rack.StateFailed, rack.CodeDeviceError, "", 0, ""},
		{"it boots in the middle", func(r *rig, u *unit) {
			u.obeys = -1
			r.after(5*time.Second, func() { u.booted = r.now })
		}, rack.StateFailed, rack.CodeVerifyFailed, "rebooted", 1, ""},
		{"its meter is frozen", func(r *rig, _ *unit) { r.frozen[outlet(3)] = true }, rack.StateUnknown, rack.CodeVerifyFailed, "", 1, "frozen"},
		{"its meter is gone", func(r *rig, _ *unit) {
			r.after(60*time.Millisecond, func() { r.deaf[outlet(3)] = true })
		}, rack.StateUnknown, rack.CodeVerifyFailed, "", 1, "no fresh sample"},
		{"nothing measures it", func(r *rig, _ *unit) { r.deaf[outlet(3)] = true; r.run(5 * time.Second) }, rack.StatePartial, rack.CodeUnmetered, "", 1, ""},
		{"its outlet is not the configured one", func(r *rig, u *unit) {
			r.after(100*time.Millisecond, func() { u.draws, r.loadW[outlet(4)] = 3200, 20 })
		}, rack.StateFailed, rack.CodeWiringUnproven, "", 1, "pdu-a.4"},
		{"it sleeps already", func(r *rig, u *unit) { u.asleep = true; r.run(3 * time.Second) }, rack.StatePartial, rack.CodeNoLoad, "", 0, "already"},
		{"it says that it sleeps already, and draws", func(_ *rig, u *unit) { u.asleep, u.draws = true, 3200 }, rack.StateFailed, rack.CodeVerifyFailed, "asleep_drawing", 1, ""},
		{"it does not say what it is told to do", func(_ *rig, u *unit) { u.setting = "" }, rack.StateFailed, rack.CodeDeviceError, "", 0, "given back"},
		{"the journal is full", func(r *rig, _ *unit) { r.journalErr = errDiskFull }, rack.StateFailed, rack.CodeJournalFull, "", 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := minersRig(t)
			u := r.units["asic-3"]
			c.world(r, u)
			r.must("s1", rack.OpSleep, "node/asic-3")
			r.run(40 * time.Second)
			r.journalErr = nil
			r.run(10 * time.Second)
			o := r.expect("s1", c.state, c.code)
			if got := r.eventOf("s1"); got != c.lie || len(r.tells) != c.tells || r.trace() != "" {
				t.Errorf("reason %q, %d verbs, relays %q; want %q, %d and none (%s)", got, len(r.tells), r.trace(), c.lie, c.tells, o.Text)
			}
			if !strings.Contains(o.Text+o.Targets[0].Text, c.text) {
				t.Errorf("%q does not tell %q", o.Text, c.text)
			}
		})
	}
}

// A wake gives back what the sleep has interrupted, and forgets it.
func TestAWakeGivesBack(t *testing.T) {
	r := minersRig(t)
	u := r.units["asic-3"]
	r.must("s1", rack.OpSleep, "node/asic-3")
	r.run(5 * time.Second)
	u.setting = `{"mode":"normal"}` // what it would come back to by itself
	r.must("s2", rack.OpSleep, "node/asic-3")
	r.run(5 * time.Second)
	r.expect("s2", rack.StatePartial, rack.CodeNoLoad)
	r.must("w1", rack.OpWake, "node/asic-3")
	r.run(10 * time.Second)
	r.expect("w1", rack.StateSucceeded, "")
	if len(r.tells) != 2 || r.tells[1].do != rack.DoWake || r.tells[1].before != `{"mode":"high"}` || u.setting != `{"mode":"high"}` {
		t.Errorf("%+v, set to %s", r.tells, u.setting)
	}
	last := slices.IndexFunc(r.records, func(rec rack.Record) bool {
		return rec.Kind == rack.RecordReleased && rec.Order.Kind == rack.OrderSlept
	})
	if last < 0 {
		t.Error("what was given back is still kept")
	}
	r.must("w2", rack.OpWake, "node/asic-3")
	r.run(5 * time.Second)
	r.expect("w2", rack.StatePartial, rack.CodeNoLoad)
	if len(r.tells) != 2 {
		t.Errorf("an awake miner was told: %+v", r.tells[2:])
	}
}

func TestWakeVerdicts(t *testing.T) {
	fault := func(f drivers.Fault) error { return &drivers.Error{Op: "write", Device: "miner", Fault: f} }
	for _, c := range []struct {
		name  string
		world func(r *rig, u *unit)
		state rack.State
		code  rack.Code
		lie   string
	}{
		{"it takes minutes", func(_ *rig, u *unit) { u.obeys = 4 * time.Minute }, rack.StateSucceeded, "", ""},
		{"it does nothing", func(_ *rig, u *unit) { u.obeys = -1 }, rack.StateFailed, rack.CodeVerifyFailed, "taken_unchanged"},
		{"it says that it is awake, and draws nothing", func(r *rig, u *unit) { u.draws = 20 }, rack.StateFailed, rack.CodeVerifyFailed, "awake_no_load"},
		{"it wakes into something else", func(r *rig, u *unit) {
			no := false
			u.says = func(w Word) Word {
				if w.Same != nil {
					w.Same = &no
				}
				return w
			}
		}, rack.StateFailed, rack.CodeVerifyFailed, "other_setting"},
		{"its writes are locked", func(_ *rig, u *unit) { u.told = fault(drivers.Locked) }, rack.StateFailed, rack.CodeDeviceError, ""},
		{"no answer, and it obeys", func(_ *rig, u *unit) { u.told = fault(drivers.Unsure) }, rack.StateSucceeded, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := minersRig(t)
			u := r.units["asic-3"]
			r.must("s1", rack.OpSleep, "node/asic-3")
			r.run(5 * time.Second)
			r.expect("s1", rack.StateSucceeded, "")
			c.world(r, u)
			r.must("w1", rack.OpWake, "node/asic-3")
			r.run(6 * time.Minute)
			o := r.expect("w1", c.state, c.code)
			if got := r.eventOf("w1"); got != c.lie {
				t.Errorf("reason %q, want %q (%s)", got, c.lie, o.Text)
			}
		})
	}
}

// Who may not be told: servers, what has no interface, no power or a lock, and outlets.
func TestWhoIsTold(t *testing.T) {
	r := minersRig(t)
	r.layout.Nodes[5].API = nil
	r.layout.Nodes[4].API.ReadOnly = true
	if _, refusal := r.lock("l1", rack.OpLock, "outlet/pdu-a.2"); refusal != nil {
		t.Fatal(refusal)
	}
	r.must("c1", rack.OpCut, "node/asic-4")
	r.run(8 * time.Second)
	for target, code := range map[string]rack.Code{
		"node/gpu-1": rack.CodeUnsupported, "node/asic-6": rack.CodeUnsupported, "node/asic-5": rack.CodeUnsupported, "node/asic-2": rack.CodeMaintenanceLock, "node/asic-4": rack.CodePrecondition,
		"outlet/pdu-a.1": rack.CodeUnsupported, "node/nobody": rack.CodeUnknownTarget,
	} {
		for _, op := range []rack.Op{rack.OpSleep, rack.OpWake} {
			if got := r.command("x", op, target); got == nil || got.Code != code {
				t.Errorf("%s %s: %v, want %s", op, target, got, code)
			}
		}
	}
	if len(r.tells) != 0 {
		t.Errorf("%+v", r.tells)
	}
}

// A sleep never waits for a wake of the same miner, and a lock stops both before the verb.
func TestASleepSupersedesAWake(t *testing.T) {
	r := minersRig(t)
	u := r.units["asic-3"]
	r.must("s1", rack.OpSleep, "node/asic-3")
	r.run(5 * time.Second)
	u.obeys = 2 * time.Second
	r.must("w1", rack.OpWake, "node/asic-3")
	r.run(time.Second)
	u.obeys = 0
	r.must("s2", rack.OpSleep, "node/asic-3")
	r.run(time.Minute)
	r.expect("w1", rack.StateCancelled, rack.CodeSuperseded)
	if o := r.result("s2"); !u.asleep {
		t.Errorf("it is awake after %+v", o)
	}
}

// An ordinary sleep proves the wiring of its node, once, and only where nothing else could have moved the watts.
func TestASleepProvesTheWiring(t *testing.T) {
	proven := func(r *rig) (out []int) {
		for _, rec := range r.records {
			if rec.Kind == rack.RecordWiring && rec.Wiring == rack.WiringProven && rec.Serial == "PA-1" {
				out = append(out, rec.Outlet.N)
			}
		}
		return out
	}
	for _, c := range []struct {
		name  string
		world func(r *rig)
		want  []int
	}{
		{"alone", func(*rig) {}, []int{3}},
		{"another miner is told as well", func(r *rig) { r.must("s0", rack.OpSleep, "node/asic-1") }, nil},
		{"a relay of the board moves", func(r *rig) { r.must("c0", rack.OpCut, "node/asic-1") }, nil},
		{"a server swings meanwhile", func(r *rig) { r.after(300*time.Millisecond, func() { r.loadW[outlet(7)] = 800 }) }, nil},
		{"an outlet beside it is not measured", func(r *rig) { r.deaf[outlet(5)] = true; r.run(5 * time.Second) }, nil},
		{"its wiring is configured as unproven", func(r *rig) { r.layout.Nodes[2].Wiring = rack.WiringUnproven }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := minersRig(t)
			c.world(r)
			r.must("s1", rack.OpSleep, "node/asic-3")
			r.run(10 * time.Second)
			r.expect("s1", rack.StateSucceeded, "")
			if got := proven(r); !slices.Equal(got, c.want) {
				t.Errorf("proven %v, want %v", got, c.want)
			}
			w, _ := r.m.Snapshot(r.now).Wiring(outlet(3))
			if (w == rack.WiringProven) != (c.want != nil) {
				t.Errorf("%s", w)
			}
			again := New(r.now, r.layout, words, nil, r.records)
			again.Step(r.now, Identified{PDU: "pdu-a", Ident: drivers.Ident{Serial: "PA-1"}})
			if later, _ := again.Snapshot(r.now).Wiring(outlet(3)); later != w {
				t.Errorf("%s after a restart, %s before", later, w)
			}
		})
	}
}

// A limit is settled while the watts keep to it, leaves an order, and a release gives back what the first limit interrupted.
func TestLimitAndRelease(t *testing.T) {
	r := minersRig(t)
	u := r.units["asic-3"]
	to := func(w float64) func(*rack.Command) { return func(c *rack.Command) { c.Args.LimitW = w } }
	began := r.now
	r.must("l1", rack.OpLimit, "node/asic-3", to(2400))
	r.run(20 * time.Second)
	o := r.expect("l1", rack.StateSucceeded, "")
	if st := o.Targets[0].Steps[0]; st.Settled == nil || *st.Settled-*st.Taken < 10_000 || *st.Proof.AfterW != 2400 || o.At.Sub(began) > 15*time.Second {
		t.Errorf("%+v, %+v", st, st.Proof)
	}
	r.must("l2", rack.OpLimit, "node/asic-3", to(1800))
	r.run(20 * time.Second)
	r.expect("l2", rack.StateSucceeded, "")
	r.must("l3", rack.OpLimit, "node/asic-3", to(1800))
	r.run(5 * time.Second)
	r.expect("l3", rack.StatePartial, rack.CodeNoLoad)
	if order, ok := r.m.Snapshot(r.now).kept(r.layout.Nodes[2], rack.OrderLimit); !ok || order.Value != 1800 || order.Command != "l2" {
		t.Errorf("the order in force is %+v", order)
	}
	r.must("s1", rack.OpSleep, "node/asic-3")
	r.run(5 * time.Second)
	r.must("x1", rack.OpRelease, "node/asic-3")
	r.run(5 * time.Second)
	r.expect("x1", rack.StateFailed, rack.CodePrecondition)
	r.must("w1", rack.OpWake, "node/asic-3")
	r.run(20 * time.Second)
	r.expect("w1", rack.StateSucceeded, "")
	if u.keepsTo != 1800 || !strings.Contains(u.setting, "1800") {
		t.Errorf("a wake has lifted the limit: %+v", u)
	}
	r.must("r1", rack.OpRelease, "node/asic-3")
	r.run(20 * time.Second)
	r.expect("r1", rack.StateSucceeded, "")
	if u.setting != `{"mode":"high"}` || u.keepsTo != 0 {
		t.Errorf("released into %+v", u)
	}
	for _, kind := range []rack.OrderKind{rack.OrderLimit, rack.OrderLimited, rack.OrderSlept} {
		if o, ok := r.m.Snapshot(r.now).kept(r.layout.Nodes[2], kind); ok {
			t.Errorf("still kept: %+v", o)
		}
	}
	if got := r.command("r2", rack.OpRelease, "node/asic-3"); got == nil || got.Code != rack.CodePrecondition {
		t.Errorf("%v", got)
	}
	if len(r.tells) != 5 || r.tells[0].kept != `{"mode":"high"}` || r.tells[1].kept != r.tells[0].kept {
		t.Errorf("%+v", r.tells)
	}
}

func TestLimitVerdicts(t *testing.T) {
	fault := func(f drivers.Fault) error { return &drivers.Error{Op: "write", Device: "miner", Fault: f} }
	for _, c := range []struct {
		name  string
		args  rack.Args
		world func(r *rig, u *unit)
		state rack.State
		code  rack.Code
		lie   string
	}{
		{"a mode", rack.Args{Mode: "low"}, func(*rig, *unit) {}, rack.StateSucceeded, "", ""},
		{"a mode that changes no watts", rack.Args{Mode: "low"}, func(_ *rig, u *unit) { u.draws = 3200 }, rack.StateFailed, rack.CodeVerifyFailed, "taken_unchanged"},
		{"it says that it keeps to it, and draws more", rack.Args{LimitW: 2400}, func(_ *rig, u *unit) { u.draws = 3200 }, rack.StateFailed, rack.CodeVerifyFailed, "limit_exceeded"},
		{"it does nothing", rack.Args{LimitW: 2400}, func(_ *rig, u *unit) { u.obeys = -1 }, rack.StateFailed, rack.CodeVerifyFailed, "taken_unchanged"},
		{"it drew less before", rack.Args{LimitW: 3300}, func(*rig, *unit) {}, rack.StatePartial, rack.CodeNoLoad, ""},
		{"it drew less before, tells no limit, and is told what it was told before", rack.Args{LimitW: 3300}, func(_ *rig, u *unit) {
			u.says = func(w Word) Word {
				if w.Same = nil; w.Setting != "" {
					w.Setting = `{"profile":"3300 W"}`
				}
				return w
			}
		}, rack.StatePartial, rack.CodeNoLoad, ""},
		{"it restarts to obey, and comes back as before", rack.Args{LimitW: 2400}, func(r *rig, u *unit) {
			r.after(100*time.Millisecond, func() { u.draws = 100 })
			r.after(8*time.Second, func() { u.draws = 3200 })
		}, rack.StateFailed, rack.CodeVerifyFailed, "limit_exceeded"},
		{"it restarts for a minute to obey, hashes nothing, and comes back as before", rack.Args{LimitW: 2400}, func(r *rig, u *unit) {
			r.after(100*time.Millisecond, func() { u.draws, u.idle = 300, true })
			r.after(time.Minute, func() { u.draws, u.idle = 3200, false })
		}, rack.StateFailed, rack.CodeVerifyFailed, "limit_exceeded"},
		{"its meter shows nothing", rack.Args{Mode: "low"}, func(r *rig, u *unit) { u.draws = 0.001; r.run(3 * time.Second) }, rack.StatePartial, rack.CodeNoLoad, ""},
		{"out of its range", rack.Args{LimitW: 100}, func(_ *rig, u *unit) { u.told = fault(drivers.Unsupported) }, rack.StateFailed, rack.CodeUnsupported, ""},
		{"it sleeps", rack.Args{LimitW: 2400}, func(_ *rig, u *unit) { u.asleep = true }, rack.StateFailed, rack.CodePrecondition, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := minersRig(t)
			c.world(r, r.units["asic-3"])
			r.must("l1", rack.OpLimit, "node/asic-3", func(cmd *rack.Command) { cmd.Args = c.args })
			r.run(6 * time.Minute)
			o := r.expect("l1", c.state, c.code)
			if got := r.eventOf("l1"); got != c.lie {
				t.Errorf("reason %q, want %q (%s)", got, c.lie, o.Text)
			}
			order, ok := r.m.Snapshot(r.now).kept(r.layout.Nodes[2], rack.OrderLimit)
			told := o.Targets[0].Steps[0].Taken != nil && o.Targets[0].State == rack.StateConfirmed
			if ok != (c.state == rack.StateSucceeded || told) {
				t.Errorf("in force: %+v", order)
			}
		})
	}
}

// A miner that a command has put to sleep leaves its room to others, while it is measured asleep; a wake needs the room again.
func TestWhatAMinerThatSleepsCountsFor(t *testing.T) {
	r := minersRig(t)
	r.says()
	asic := func(n int) rack.Node { return r.layout.Nodes[n-1] }
	held := func(n int) float64 { return r.m.Snapshot(r.now).Reservation(asic(n), r.now) }
	r.units["asic-2"].asleep = true // by somebody else's hand
	r.must("s1", rack.OpSleep, "node/asic-3")
	r.run(3 * time.Minute)
	if a, b, c := held(1), held(2), held(3); a != 3400 || b != 3400 || c != 50 {
		t.Errorf("awake %g, asleep by others %g, by us %g; want 3400, 3400, 50", a, b, c)
	}
	r.layout.Feeds[1].RatingA = 105 / 0.8 // the bank of all eight outlets: 23,450 W less 3,350 W fit, all of it does not
	if got := r.command("w0", rack.OpWake, "node/asic-3"); got == nil || got.Code != rack.CodeLimitExceeded {
		t.Errorf("a wake without room: %v", got)
	}
	r.layout.Feeds[1].RatingA = 160
	r.units["asic-3"].draws = 900
	r.run(30 * time.Second)
	if c := held(3); c != 3400 {
		t.Errorf("it draws, and counts for %g W", c)
	}
	r.units["asic-3"].draws = 0
	r.units["asic-3"].silent = &drivers.Error{Op: "read", Fault: drivers.Unreachable}
	r.run(time.Minute)
	if c := held(3); c != 3400 {
		t.Errorf("its interface is silent, and it counts for %g W", c)
	}
	r.units["asic-3"].silent, r.units["asic-3"].obeys = nil, time.Hour
	r.run(3 * time.Minute)
	r.must("w1", rack.OpWake, "node/asic-3")
	r.run(10 * time.Second)
	if c := held(3); c != 3400 {
		t.Errorf("it was told to wake, and counts for %g W", c)
	}
}

// deaf is a miner that notes what it is told.
type deaf struct{ told []rack.Verb }

func (d *deaf) Ask(context.Context, Question) (Word, error) { return Word{}, nil }
func (d *deaf) Tell(_ context.Context, a Tell) (Answer, error) {
	d.told = append(d.told, a.Do)
	return Answer{}, nil
}

// The guard in the miner's lane judges each verb anew.
func TestTheMinersLaneHasAGuard(t *testing.T) {
	r := minersRig(t)
	if _, refusal := r.lock("l1", rack.OpLock, "outlet/pdu-a.2"); refusal != nil {
		t.Fatal(refusal)
	}
	snap := r.m.Snapshot(r.now)
	d := &deaf{}
	l := minerLane{miner: d, snapshot: func() *Snapshot { return snap }}
	for node, code := range map[string]rack.Code{"asic-2": rack.CodeMaintenanceLock, "gpu-1": rack.CodeFirmGuard, "nobody": rack.CodeUnknownTarget} {
		got, _ := l.carry(t.Context(), Tell{Token: 1, Node: node, Do: rack.DoSleep}).(Said)
		var g *GuardError
		if !errors.As(got.Err, &g) || g.Refusal.Code != code || len(d.told) != 0 {
			t.Errorf("%s: %+v, told %v", node, got, d.told)
		}
	}
	if got, _ := l.carry(t.Context(), Tell{Token: 2, Node: "asic-1", Do: rack.DoSleep}).(Said); got.Err != nil || len(d.told) != 1 {
		t.Errorf("%+v, told %v", got, d.told)
	}
}

// What a release finds given back already is no longer kept, and a sleep that comes before a wake has shown leaves no doubt.
func TestWhatIsAlreadySo(t *testing.T) {
	r := minersRig(t)
	r.says()
	u := r.units["asic-3"]
	r.must("l1", rack.OpLimit, "node/asic-3", func(c *rack.Command) { c.Args.LimitW = 2000 })
	r.run(20 * time.Second)
	u.setting, u.keepsTo = `{"mode":"high"}`, 0 // by somebody else's hand
	r.must("r1", rack.OpRelease, "node/asic-3")
	r.run(10 * time.Second)
	r.expect("r1", rack.StatePartial, rack.CodeNoLoad)
	for _, kind := range []rack.OrderKind{rack.OrderLimit, rack.OrderLimited} {
		if _, ok := r.m.Snapshot(r.now).kept(r.layout.Nodes[2], kind); ok {
			t.Errorf("%s is still in force", kind)
		}
	}
	r.must("s1", rack.OpSleep, "node/asic-3")
	r.run(10 * time.Second)
	u.obeys = 2 * time.Second
	r.must("w1", rack.OpWake, "node/asic-3")
	r.run(time.Second)
	r.must("s2", rack.OpSleep, "node/asic-3")
	r.run(3 * time.Minute)
	if got := r.m.Snapshot(r.now).PowerState(r.layout.Nodes[2]); got != rack.PowerSleeping || !u.asleep {
		t.Errorf("it is %s (%s)", got, r.result("s2").Text)
	}
}

// What was found by reading it again: how limits, sleeps and sheds meet.
func TestHowVerbsMeet(t *testing.T) {
	to := func(w float64) func(*rack.Command) { return func(c *rack.Command) { c.Args.LimitW = w } }
	kept := func(r *rig, kind rack.OrderKind) (rack.Order, bool) {
		return r.m.Snapshot(r.now).kept(r.layout.Nodes[2], kind)
	}
	t.Run("a shed does not wait for a limit", func(t *testing.T) {
		r := minersRig(t)
		r.units["asic-3"].obeys = -1
		r.must("l1", rack.OpLimit, "node/asic-3", to(2000))
		r.run(10 * time.Second)
		r.must("d1", rack.OpCut, "node/asic-3")
		r.run(5 * time.Second)
		r.expect("l1", rack.StateCancelled, rack.CodeSuperseded)
		r.expect("d1", rack.StateSucceeded, "")
	})
	t.Run("a limit is raised", func(t *testing.T) {
		r := minersRig(t)
		r.must("l1", rack.OpLimit, "node/asic-3", to(2000))
		r.run(20 * time.Second)
		r.must("l2", rack.OpLimit, "node/asic-3", to(3000))
		r.run(20 * time.Second)
		if o, ok := kept(r, rack.OrderLimit); len(r.tells) != 2 || !ok || o.Value != 3000 || r.units["asic-3"].keepsTo != 3000 {
			t.Errorf("told %d times, %+v", len(r.tells), o)
		}
	})
	t.Run("a refused sleep leaves nothing that a start could bring back", func(t *testing.T) {
		r := minersRig(t)
		r.units["asic-3"].told = &drivers.Error{Op: "write", Fault: drivers.Locked}
		r.must("s1", rack.OpSleep, "node/asic-3")
		r.run(5 * time.Second)
		if o, ok := kept(r, rack.OrderSlept); ok {
			t.Errorf("kept: %+v", o)
		}
	})
	t.Run("a limit of one that woke by itself ends what was kept", func(t *testing.T) {
		r := minersRig(t)
		u := r.units["asic-3"]
		r.must("s1", rack.OpSleep, "node/asic-3")
		r.run(5 * time.Second)
		u.asleep = false
		r.must("l1", rack.OpLimit, "node/asic-3", to(2000))
		r.run(20 * time.Second)
		if o, ok := kept(r, rack.OrderSlept); ok || u.keepsTo != 2000 {
			t.Errorf("kept: %+v", o)
		}
		r.must("u1", rack.OpStart, "node/asic-3")
		r.run(20 * time.Second)
		if u.keepsTo != 2000 || len(r.tells) != 2 {
			t.Errorf("a start of one that works told it something: %+v", r.tells)
		}
	})
	t.Run("a sleep right after a wake keeps what the first one interrupted", func(t *testing.T) {
		r := minersRig(t)
		u := r.units["asic-3"]
		r.must("s1", rack.OpSleep, "node/asic-3")
		r.run(5 * time.Second)
		r.must("w1", rack.OpWake, "node/asic-3")
		r.after(200*time.Millisecond, func() { u.draws, u.setting = 50, "half way" })
		r.run(time.Second)
		r.must("s2", rack.OpSleep, "node/asic-3")
		r.run(20 * time.Second)
		if o, ok := kept(r, rack.OrderSlept); !ok || o.Before != `{"mode":"high"}` || o.Value != 3200 {
			t.Errorf("kept: %+v", o)
		}
	})
	t.Run("a wake of which nothing is kept is not compared", func(t *testing.T) {
		r := minersRig(t)
		u := r.units["asic-3"]
		u.asleep, u.setting = true, `{"mode":"sleep"}`
		u.says = func(w Word) Word {
			if w.Same != nil {
				t.Errorf("compared with what is not kept")
			}
			return w
		}
		r.must("w1", rack.OpWake, "node/asic-3")
		r.run(20 * time.Second)
		r.expect("w1", rack.StateSucceeded, "")
	})
}
