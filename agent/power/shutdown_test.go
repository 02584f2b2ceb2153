package power

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers"
)

// story writes what was told and switched in one line: "sleep asic-3 at 0 s, cut 3 at 121 s".
func (r *rig) story(since time.Time) string {
	type line struct {
		at   time.Time
		text string
	}
	var lines []line
	for _, t := range r.tells {
		lines = append(lines, line{t.at, string(t.do) + " " + t.node})
	}
	for _, w := range r.writes {
		lines = append(lines, line{w.at, fmt.Sprintf("%s %d", w.do, w.on.N)})
	}
	slices.SortStableFunc(lines, func(a, b line) int { return a.at.Compare(b.at) })
	var out []string
	for _, l := range lines {
		if !l.at.Before(since) {
			out = append(out, fmt.Sprintf("%s at %.0f s", l.text, l.at.Sub(since).Seconds()))
		}
	}
	return strings.Join(out, ", ")
}

func TestShutdown(t *testing.T) {
	fault := func(f drivers.Fault) error { return &drivers.Error{Op: "write", Device: "miner", Fault: f} }
	for _, c := range []struct {
		name  string
		args  rack.Args
		world func(r *rig, u *unit)
		state rack.State
		code  rack.Code
		story string
		text  string
	}{
		{name: "sleep, fans, cut", state: rack.StateSucceeded, story: "sleep asic-3 at 0 s, cut 3 at 121 s"},
		{name: "the outlet is kept", args: rack.Args{Outlet: "keep"}, state: rack.StateSucceeded, story: "sleep asic-3 at 0 s"},
		{name: "at once", args: rack.Args{Now: true}, state: rack.StateSucceeded, story: "cut 3 at 0 s"},
		{
			name: "it does not obey", world: func(_ *rig, u *unit) { u.obeys = -1 }, state: rack.StateSucceeded,
			story: "sleep asic-3 at 0 s, cut 3 at 30 s", text: "nothing changed",
		},
		{
			name: "it lies", world: func(_ *rig, u *unit) { u.draws = 3200 }, state: rack.StateSucceeded,
			story: "sleep asic-3 at 0 s, cut 3 at 30 s", text: "still draws",
		},
		{
			name: "it cannot be reached", world: func(_ *rig, u *unit) { u.silent = fault(drivers.Unreachable) }, state: rack.StateSucceeded,
			story: "cut 3 at 30 s", text: "could not be put to sleep",
		},
		{
			name: "it answers the second question", world: func(r *rig, u *unit) {
				u.silent = fault(drivers.Timeout)
				r.after(3*time.Second, func() { u.silent = nil })
			}, state: rack.StateSucceeded, story: "sleep asic-3 at 5 s, cut 3 at 126 s",
		},
		{
			name: "its writes are locked", world: func(_ *rig, u *unit) { u.told = fault(drivers.Locked) }, state: rack.StateSucceeded,
			story: "sleep asic-3 at 0 s, cut 3 at 0 s", text: "locked",
		},
		{
			name: "it does not obey, and the outlet is kept", args: rack.Args{Outlet: "keep"}, world: func(_ *rig, u *unit) { u.obeys = -1 },
			state: rack.StateFailed, code: rack.CodeVerifyFailed, story: "sleep asic-3 at 0 s",
		},
		{
			name: "a deadline before the miner's own time is up", args: rack.Args{DeadlineS: 20}, world: func(_ *rig, u *unit) { u.obeys = -1 },
			state: rack.StateSucceeded, story: "sleep asic-3 at 0 s, cut 3 at 10 s",
		},
		{name: "a deadline before the fans stand", args: rack.Args{DeadlineS: 60}, state: rack.StateSucceeded, story: "sleep asic-3 at 0 s, cut 3 at 50 s"},
		{name: "a deadline with time for the cut alone", args: rack.Args{DeadlineS: 10}, state: rack.StateSucceeded, story: "cut 3 at 0 s", text: "deadline"},
		{
			name: "it does not obey, and its relay is welded", world: func(r *rig, u *unit) { u.obeys, r.welded[outlet(3)] = -1, true },
			state: rack.StateFailed, code: rack.CodeWelded, story: "sleep asic-3 at 0 s, cut 3 at 30 s",
		},
		{
			name: "it does not obey, and its wiring is no longer believed", world: func(r *rig, u *unit) {
				u.obeys = -1
				r.after(5*time.Second, func() {
					r.step(Identified{PDU: "pdu-a", Ident: drivers.Ident{Serial: "PA-9"}})
				})
			}, state: rack.StateFailed, code: rack.CodeVerifyFailed, story: "sleep asic-3 at 0 s", text: "not cut",
		},
		{
			name: "another outlet falls", world: func(r *rig, u *unit) {
				r.after(100*time.Millisecond, func() { u.draws, r.loadW[outlet(4)] = 3200, 20 })
			}, state: rack.StateFailed, code: rack.CodeWiringUnproven, story: "sleep asic-3 at 0 s",
		},
		{
			name: "a lock comes while the fans run", world: func(r *rig, _ *unit) {
				r.after(20*time.Second, func() { _, _ = r.lock("l1", rack.OpLock, "node/asic-3") })
			}, state: rack.StateFailed, code: rack.CodeMaintenanceLock, story: "sleep asic-3 at 0 s",
		},
		{
			name: "the journal does not keep what precedes the sleep", world: func(r *rig, _ *unit) {
				r.journalErr = errDiskFull
				r.after(time.Second, func() { r.journalErr = nil })
			}, state: rack.StateFailed, code: rack.CodeJournalFull, story: "",
		},
		{
			name: "it is off already", world: func(r *rig, u *unit) {
				r.must("c0", rack.OpCut, "node/asic-3")
				r.run(8 * time.Second)
			}, state: rack.StatePartial, code: rack.CodeNoLoad, story: "cut 3 at 0 s",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := minersRig(t)
			if c.world != nil {
				c.world(r, r.units["asic-3"])
			}
			began := r.now
			r.must("c1", rack.OpShutdown, "node/asic-3", func(cmd *rack.Command) { cmd.Args = c.args })
			r.run(200 * time.Second)
			o := r.expect("c1", c.state, c.code)
			if got := r.story(began); got != c.story {
				t.Errorf("%s\nwant %s", got, c.story)
			}
			if !strings.Contains(o.Targets[0].Text, c.text) {
				t.Errorf("%q does not tell %q", o.Targets[0].Text, c.text)
			}
			escalated := slices.ContainsFunc(r.emitted, func(e rack.Event) bool { return e.Kind == rack.EventEscalated })
			if cut := strings.Contains(c.story, "cut") && c.text != ""; cut && !escalated {
				t.Error("nobody was told that it was cut while it ran")
			}
		})
	}
	r := minersRig(t)
	for _, c := range []struct {
		target string
		args   rack.Args
		code   rack.Code
	}{
		{"node/asic-3", rack.Args{DeadlineS: 9}, rack.CodePrecondition},
		{"node/asic-3", rack.Args{DeadlineS: 20, Outlet: "keep"}, rack.CodePrecondition},
		{"node/gpu-1", rack.Args{}, rack.CodeUnsupported},
		{"node/gpu-1", rack.Args{Now: true}, rack.CodeUnsupported},
		{"outlet/pdu-a.3", rack.Args{}, rack.CodeUnsupported},
	} {
		if got := r.command("x", rack.OpShutdown, c.target, func(cmd *rack.Command) { cmd.Args = c.args }); got == nil || got.Code != c.code {
			t.Errorf("%s %+v: %v, want %s", c.target, c.args, got, c.code)
		}
	}
}

// A start brings back exactly what the shutdown interrupted, whatever the miner would come back to by itself.
func TestStart(t *testing.T) {
	for _, c := range []struct {
		name  string
		world func(r *rig, u *unit)
		state rack.State
		code  rack.Code
		story string
	}{
		{"it comes back awake", func(*rig, *unit) {}, rack.StateSucceeded, "", "energise 3 at 0 s"},
		{"it comes back asleep", func(_ *rig, u *unit) { u.keeps = true }, rack.StateSucceeded, "", "energise 3 at 0 s, wake asic-3 at 40 s"},
		{"it comes back awake and set otherwise", func(r *rig, u *unit) { u.setting = `{"mode":"normal"}` }, rack.StateSucceeded, "", "energise 3 at 0 s, wake asic-3 at 40 s"},
		{"it does not come back", func(_ *rig, u *unit) { u.boot = time.Hour }, rack.StateFailed, rack.CodeDeviceTimeout, "energise 3 at 0 s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := minersRig(t)
			u := r.units["asic-3"]
			u.boot = 40 * time.Second
			r.must("c1", rack.OpShutdown, "node/asic-3")
			r.run(3 * time.Minute)
			r.expect("c1", rack.StateSucceeded, "")
			c.world(r, u)
			began := r.now
			r.must("c2", rack.OpStart, "node/asic-3")
			r.run(10 * time.Minute)
			r.expect("c2", c.state, c.code)
			if got := r.story(began); got != c.story {
				t.Errorf("%s\nwant %s", got, c.story)
			}
			if c.state == rack.StateSucceeded && u.setting != `{"mode":"high"}` {
				t.Errorf("it is set to %s", u.setting)
			}
			_, kept := r.m.Snapshot(r.now).kept(r.layout.Nodes[2], rack.OrderSlept)
			if kept == (c.state == rack.StateSucceeded) {
				t.Errorf("what was interrupted is kept: %v", kept)
			}
		})
	}
}

// What a miner draws once it is awake proves the outlet behind it, unless it has two.
func TestAWakeProvesTheOneOutletBehindIt(t *testing.T) {
	hollow := verdict{state: rack.StateConfirmed, code: rack.CodeNoLoad, text: "the relay reads back, no load came"}
	one := []rack.OutletID{{PDU: "pdu-a", N: 1}}
	for _, c := range []struct {
		name    string
		op      rack.Op
		outlets []rack.OutletID
		want    rack.State
	}{
		{"one outlet", rack.OpStart, one, rack.StateSucceeded},
		{"two outlets", rack.OpStart, append(one, rack.OutletID{PDU: "pdu-a", N: 2}), rack.StateConfirmed},
		{"no start", rack.OpShutdown, one, rack.StateConfirmed},
	} {
		j := &job{}
		j.cmd.Op = c.op
		tg := &target{job: j, weakest: &hollow, done: &switching{miner: &telling{node: rack.Node{Outlets: c.outlets}}}}
		if got := tg.conclude(verdict{state: rack.StateSucceeded}); got.state != c.want {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// A start waits for the minimum off time, and closes one outlet of a feed after the other.
func TestStartWaits(t *testing.T) {
	r := minersRig(t)
	r.must("c1", rack.OpShutdown, "group/three", func(c *rack.Command) { c.Args.Now, c.Target = true, rack.Target{Kind: rack.TargetFeed, Name: "bank"} })
	r.run(5 * time.Second)
	began := r.now
	r.must("c2", rack.OpStart, "feed/bank")
	r.run(3 * time.Minute)
	if got := r.story(began); !strings.HasPrefix(got, "energise 1 at 25 s, energise 2 at 25 s, energise 3 at 26 s, energise 4 at 26 s, energise 5 at 26 s, energise 6 at 26 s") {
		t.Error(got)
	}
	o := r.result("c2")
	if o.State != rack.StatePartial || o.Targets[0].State != rack.StateSucceeded {
		t.Errorf("%+v", o)
	}
}

// A miner that takes no verb is cut only where that was asked for, and started by its outlet alone.
func TestAMinerThatTakesNoVerb(t *testing.T) {
	r := minersRig(t)
	r.layout.Nodes[2].API.ReadOnly = true
	if got := r.command("d0", rack.OpShutdown, "node/asic-3"); got == nil || got.Code != rack.CodeUnsupported || !strings.Contains(got.Text, "now:true") {
		t.Errorf("%v", got)
	}
	began := r.now
	r.must("d1", rack.OpShutdown, "node/asic-3", func(c *rack.Command) { c.Args.Now = true })
	r.run(40 * time.Second)
	r.expect("d1", rack.StateSucceeded, "")
	r.must("u1", rack.OpStart, "node/asic-3")
	r.run(20 * time.Second)
	r.expect("u1", rack.StateSucceeded, "")
	if got := r.story(began); got != "cut 3 at 0 s, energise 3 at 40 s" {
		t.Error(got)
	}
}
