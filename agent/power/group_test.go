package power

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers"
)

// groupLayout is the demo rack with groups.
func groupLayout() *rack.Layout {
	l := demoLayout()
	l.Groups = []rack.Group{
		{Name: "three", Nodes: []string{"asic-1", "asic-2", "asic-3"}},
		{Name: "back", Nodes: []string{"asic-3", "asic-1"}},
		{Name: "mixed", Nodes: []string{"gpu-1", "asic-4"}},
		{Name: "servers", Nodes: []string{"gpu-1"}},
	}
	return l
}

func groupRig(t *testing.T) *rig {
	r := newRigWith(t, groupLayout(), nil)
	r.run(3 * time.Second)
	return r
}

// offRig is a rack whose miners have been off for long.
func offRig(t *testing.T, l *rack.Layout) *rig {
	r := newRigWith(t, l, nil)
	for n := 1; n <= 6; n++ {
		r.closed[outlet(n)] = false
	}
	r.run(35 * time.Second)
	return r
}

// told writes the targets of a result in one line: "asic-1 succeeded, gpu-1 rejected approval_required".
func told(o rack.Outcome) string {
	var out []string
	for _, t := range o.Targets {
		word := t.Target.Name + " " + string(t.State)
		if t.Code != "" {
			word += " " + string(t.Code)
		}
		out = append(out, word)
	}
	return strings.Join(out, ", ")
}

func expectTold(t *testing.T, o rack.Outcome, want string) {
	t.Helper()
	if got := told(o); got != want {
		t.Errorf("command %s\n got %s\nwant %s", o.Command, got, want)
	}
}

func TestCutOfSeveral(t *testing.T) {
	const firm = "gpu-1 rejected approval_required"
	for target, c := range map[string]struct {
		state rack.State
		code  rack.Code
		trace string
		told  string
	}{
		"group/three": {rack.StateSucceeded, "", "cut 1, cut 2, cut 3", "asic-1 succeeded, asic-2 succeeded, asic-3 succeeded"},
		"group/back":  {rack.StateSucceeded, "", "cut 3, cut 1", "asic-3 succeeded, asic-1 succeeded"},
		"group/mixed": {rack.StatePartial, rack.CodeApprovalRequired, "cut 4", firm + ", asic-4 succeeded"},
		"feed/row": {
			rack.StatePartial, rack.CodeApprovalRequired, "cut 1, cut 2, cut 3, cut 4, cut 5, cut 6",
			"asic-1 succeeded, asic-2 succeeded, asic-3 succeeded, asic-4 succeeded, asic-5 succeeded, asic-6 succeeded, " + firm,
		},
		"rack": {
			rack.StatePartial, rack.CodeApprovalRequired, "cut 1, cut 2, cut 3, cut 4, cut 5, cut 6",
			"asic-1 succeeded, asic-2 succeeded, asic-3 succeeded, asic-4 succeeded, asic-5 succeeded, asic-6 succeeded, " + firm,
		},
	} {
		t.Run(target, func(t *testing.T) {
			r := groupRig(t)
			began := r.now
			r.must("c1", rack.OpCut, target)
			r.run(6 * time.Second)
			o := r.expect("c1", c.state, c.code)
			expectTold(t, o, c.told)
			if r.trace() != c.trace {
				t.Errorf("trace %s, want %s", r.trace(), c.trace)
			}
			for _, w := range r.writes {
				if w.at != began {
					t.Errorf("outlet %d was cut %s later: cuts are never staggered", w.on.N, w.at.Sub(began))
				}
			}
			if d := o.At.Sub(began); d > 2*time.Second {
				t.Errorf("it took %s", d)
			}
		})
	}
}

func TestCommandsOnSeveralThatAreRefused(t *testing.T) {
	force := func(c *rack.Command) { c.Args.Force = true }
	for _, c := range []struct {
		name, target string
		op           rack.Op
		change       func(*rack.Command)
		code         rack.Code
	}{
		{"no such group", "group/none", rack.OpCut, nil, rack.CodeUnknownTarget},
		{"no such feed", "feed/none", rack.OpCut, nil, rack.CodeUnknownTarget},
		{"a feed of nobody", "feed/spare", rack.OpCut, nil, rack.CodeUnknownTarget},
		{"only servers", "group/servers", rack.OpCut, nil, rack.CodeFirmGuard},
		{"only servers, unsigned", "group/servers", rack.OpEnergise, nil, rack.CodeFirmGuard},
		{"forced", "group/three", rack.OpCut, force, rack.CodePrecondition},
		{"forced, one server", "group/servers", rack.OpCut, force, rack.CodePrecondition},
		{"forced, mixed", "rack", rack.OpCycle, force, rack.CodePrecondition},
		{"a deadline too short", "group/three", rack.OpCut, func(c *rack.Command) { c.Args.DeadlineS = 3 }, rack.CodePrecondition},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := groupLayout()
			l.Feeds = append(l.Feeds, rack.Feed{Name: "spare", Parent: "row", Lines: []string{"L2"}, VoltsV: 230, RatingA: 16, Continuous: 0.8})
			r := newRigWith(t, l, nil)
			r.run(3 * time.Second)
			if c.change == nil {
				c.change = func(*rack.Command) {}
			}
			got := r.command("c1", c.op, c.target, c.change)
			if got == nil || got.Code != c.code || got.Text == "" {
				t.Errorf("%v, want %s", got, c.code)
			}
			r.run(time.Second)
			if len(r.writes) != 0 {
				t.Errorf("trace %s", r.trace())
			}
		})
	}
}

// What cannot be planned for one target does not keep the others from being done.
func TestTheRestOfAGroupRuns(t *testing.T) {
	r := groupRig(t)
	r.welded[outlet(2)] = true
	r.must("c0", rack.OpCut, "node/asic-2")
	r.run(8 * time.Second)
	r.must("c1", rack.OpCut, "group/three")
	r.run(8 * time.Second)
	o := r.expect("c1", rack.StatePartial, rack.CodeWelded)
	expectTold(t, o, "asic-1 succeeded, asic-2 rejected welded, asic-3 succeeded")
	if !strings.HasPrefix(o.Text, "node/asic-2: ") {
		t.Errorf("text %q does not name the target", o.Text)
	}

	// All three are refused, the first with its own reason.
	if got := r.command("c2", rack.OpEnergise, "group/three"); got == nil || got.Code != rack.CodeMinOff || !strings.Contains(got.Text, "none of the 3 targets") || got.Earliest.IsZero() {
		t.Errorf("%+v", got)
	}
}

func TestAWeldedRelayAmongOthers(t *testing.T) {
	r := groupRig(t)
	r.welded[outlet(2)] = true
	r.oneByOne, r.laneTakes = true, 40*time.Millisecond
	r.must("c1", rack.OpCut, "feed/bank")
	r.run(10 * time.Second)
	o := r.expect("c1", rack.StatePartial, rack.CodeWelded)
	expectTold(t, o, "asic-1 succeeded, asic-2 failed welded, asic-3 succeeded, asic-4 succeeded, asic-5 succeeded, asic-6 succeeded, gpu-1 rejected approval_required")
}

// An outlet without a meter is judged as soon as all others were measured since. One that is being cut at that moment by
// the same command has not fallen instead.
func TestNothingFellInsteadInAGroup(t *testing.T) {
	for takes := 30; takes <= 700; takes += 67 {
		t.Run(fmt.Sprint(takes), func(t *testing.T) {
			l := groupLayout()
			l.PDUs[0].Outlets[0].Metered = false
			r := newRigWith(t, l, nil)
			r.oneByOne, r.laneTakes, r.takenEarly = true, time.Duration(takes)*time.Millisecond, true
			r.run(3 * time.Second)
			r.must("c1", rack.OpCut, "rack")
			r.run(15 * time.Second)
			o := r.expect("c1", rack.StatePartial, rack.CodeApprovalRequired)
			expectTold(t, o, "asic-1 confirmed unmetered, asic-2 succeeded, asic-3 succeeded, asic-4 succeeded, asic-5 succeeded, asic-6 succeeded, gpu-1 rejected approval_required")
		})
	}
}

// A load on a bank's meter that the same command cuts is not the load of the welded outlet beside it.
func TestNoSupplyFellInsteadInAGroup(t *testing.T) {
	l := groupLayout()
	p := &l.PDUs[0]
	p.Supplies = []rack.Supply{{ID: rack.MeterID{PDU: "pdu-a", N: 1}, Name: "a", NoiseW: 2}}
	p.Outlets[0].Metered, p.Outlets[0].Supply = false, 1
	for _, group := range []string{"three", "back"} {
		r := newRigWith(t, l, nil)
		r.run(5 * time.Second)
		r.welded[outlet(3)] = true
		r.must("c1", rack.OpCut, "group/"+group)
		r.run(10 * time.Second)
		o := r.expect("c1", rack.StatePartial, rack.CodeWelded)
		if i := slices.IndexFunc(o.Targets, func(t rack.TargetResult) bool { return t.Target.Name == "asic-3" }); o.Targets[i].Code != rack.CodeWelded {
			t.Errorf("%s: %s", group, told(o))
		}
	}
}

func TestEnergiseOfSeveralIsOrderedAndStaggered(t *testing.T) {
	for _, c := range []struct {
		target, trace string
	}{{"group/back", "energise 3, energise 1"}, {"rack", "energise 1, energise 2, energise 3, energise 4, energise 5, energise 6"}} {
		r := offRig(t, groupLayout())
		r.must("c1", rack.OpEnergise, c.target, func(c *rack.Command) { c.Signed, c.Firm = true, true })
		r.run(15 * time.Second)
		r.result("c1")
		if r.trace() != c.trace {
			t.Errorf("%s: trace %s, want %s: a server among miners is named in a command of its own", c.target, r.trace(), c.trace)
		}
		for i := 1; i < len(r.writes); i++ {
			if gap := r.writes[i].at.Sub(r.writes[i-1].at); gap < 250*time.Millisecond || gap > 300*time.Millisecond {
				t.Errorf("energisings %d and %d are %s apart", i, i+1, gap)
			}
		}
	}
}

// A server is energised with others only where all of them are servers and somebody has signed for it.
func TestEnergiseOfServersTogether(t *testing.T) {
	r := offRig(t, groupLayout())
	r.must("c1", rack.OpEnergise, "group/servers", func(c *rack.Command) { c.Signed, c.Firm = true, true })
	r.run(15 * time.Second)
	r.expect("c1", rack.StateSucceeded, "")
	if r.trace() != "energise 7, energise 8" {
		t.Error(r.trace())
	}
}

// The limit leaves room for four nodes and their surges; the first four of the group get it, and a second command finds
// the room that the surges left.
func TestALimitIsGivenOutInOrder(t *testing.T) {
	l := groupLayout()
	l.Feeds[1].RatingA = (4*3600 + 3000 + 200) / (230 * 0.95) / 0.8
	r := offRig(t, l)
	r.must("c1", rack.OpEnergise, "rack")
	r.run(15 * time.Second)
	o := r.expect("c1", rack.StatePartial, rack.CodeLimitExceeded)
	expectTold(t, o, "asic-1 succeeded, asic-2 succeeded, asic-3 succeeded, asic-4 succeeded, asic-5 rejected limit_exceeded, asic-6 rejected limit_exceeded, gpu-1 rejected approval_required")
	if r.trace() != "energise 1, energise 2, energise 3, energise 4" {
		t.Error(r.trace())
	}
}

// A node that runs starts nothing when its closed relay is told to close: it needs no room for a surge, and leaves it to
// the others.
func TestWhatRunsNeedsNoSurge(t *testing.T) {
	l := groupLayout()
	l.Feeds[1].RatingA = (6*3400 + 200 + 3000) / (230 * 0.95) / 0.8
	r := newRigWith(t, l, nil)
	r.closed[outlet(6)] = false
	r.run(35 * time.Second)
	r.must("c1", rack.OpEnergise, "feed/row")
	r.run(15 * time.Second)
	o := r.expect("c1", rack.StatePartial, rack.CodeApprovalRequired)
	expectTold(t, o, "asic-1 succeeded, asic-2 succeeded, asic-3 succeeded, asic-4 succeeded, asic-5 succeeded, asic-6 succeeded, gpu-1 rejected approval_required")
}

// The dry run of a cycle of two: both are gone before either comes back, each step with what the level carries then.
func TestLoadsOfAPlanAddUp(t *testing.T) {
	r := groupRig(t)
	p, refusal := Plan(r.now, r.m.Snapshot(r.now), rack.Command{ID: "c", Op: rack.OpCycle, Target: rack.Target{Kind: rack.TargetGroup, Name: "back"}, Dry: true})
	if refusal != nil {
		t.Fatal(refusal)
	}
	const all = 6*3400 + 3000
	type line struct {
		seq  int
		do   rack.Verb
		on   int
		w    float64
		wait int64
	}
	var got []line
	for _, tp := range p.Targets {
		for _, st := range tp.Steps {
			got = append(got, line{st.Seq, st.Do, st.On.N, st.Feeds[0].W, st.WaitMS})
			if len(st.Feeds) != 2 || st.Feeds[0].Feed != "bank" || st.Feeds[1].Feed != "row" || st.Feeds[1].W != st.Feeds[0].W {
				t.Errorf("levels of %+v", st)
			}
		}
	}
	want := []line{
		{1, rack.DoCut, 3, all - 3400, 0},
		{3, rack.DoEnergise, 3, all - 2*3400 + 3600, 30000},
		{2, rack.DoCut, 1, all - 2*3400, 0},
		{4, rack.DoEnergise, 1, all + 2*200, 30000},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	// Two halves of 10 s and 13 s with 30 s between them, and one turn.
	if p.DeadlineMS != 10_000+30_000+13_000+250 {
		t.Errorf("deadline %d ms", p.DeadlineMS)
	}
	single, _ := Plan(r.now, r.m.Snapshot(r.now), rack.Command{ID: "c", Op: rack.OpCut, Target: rack.NodeTarget("asic-1")})
	if single.Targets[0].Steps[0].Seq != 0 {
		t.Error("a plan for one target numbers its steps")
	}
}

func TestRunningTellsWhatChanged(t *testing.T) {
	r := groupRig(t)
	r.oneByOne, r.laneTakes = true, 100*time.Millisecond
	began := r.now
	r.must("c1", rack.OpCut, "rack")
	r.run(8 * time.Second)
	r.result("c1")
	var last time.Time
	n, seen := 1, make(map[string]int)
	for _, o := range r.reports {
		if o.N != n+1 {
			t.Errorf("state %d follows %d", o.N, n)
		}
		n = o.N
		if o.State.Terminal() {
			continue
		}
		if !last.IsZero() && o.At.Sub(last) < 500*time.Millisecond {
			t.Errorf("two states %s apart", o.At.Sub(last))
		}
		if last.IsZero() && o.At != began {
			t.Errorf("the first state came after %s", o.At.Sub(began))
		}
		last = o.At
		for _, tr := range o.Targets {
			seen[tr.Target.Name]++
		}
	}
	if seen["gpu-1"] != 1 || seen["asic-1"] < 2 || seen["asic-1"] > 3 {
		t.Errorf("%v: a target is told when it changes", seen)
	}
}

// A cancel stops each target before its next step.
func TestCancelOfAGroup(t *testing.T) {
	r := groupRig(t)
	r.must("c1", rack.OpCycle, "group/three")
	r.run(10 * time.Second)
	r.step(Cancel{ID: "c1"})
	r.run(60 * time.Second)
	o := r.expect("c1", rack.StateCancelled, rack.CodeCancelled)
	expectTold(t, o, "asic-1 cancelled cancelled, asic-2 cancelled cancelled, asic-3 cancelled cancelled")
	if r.trace() != "cut 1, cut 2, cut 3" {
		t.Errorf("trace %s: nothing is undone", r.trace())
	}

	// Within the stagger: what was energised stays and is proven, the rest is not begun.
	r = offRig(t, groupLayout())
	r.must("c1", rack.OpEnergise, "group/three")
	r.run(260 * time.Millisecond)
	r.step(Cancel{ID: "c1"})
	r.run(15 * time.Second)
	o = r.expect("c1", rack.StatePartial, rack.CodeCancelled)
	expectTold(t, o, "asic-1 succeeded, asic-2 succeeded, asic-3 cancelled cancelled")
	if r.trace() != "energise 1, energise 2" {
		t.Error(r.trace())
	}
}

// A cut of one node ends only its part of a group that adds power.
func TestACutTakesItsNodeOutOfAGroup(t *testing.T) {
	r := offRig(t, groupLayout())
	r.must("on", rack.OpEnergise, "group/three")
	r.run(10 * time.Millisecond)
	r.must("off", rack.OpCut, "node/asic-2")
	r.run(20 * time.Second)
	expectTold(t, r.expect("on", rack.StatePartial, rack.CodeSuperseded), "asic-1 succeeded, asic-2 cancelled superseded, asic-3 succeeded")
	r.expect("off", rack.StatePartial, rack.CodeNoLoad) // it was open already
	if r.trace() != "energise 1, cut 2, energise 3" {
		t.Error(r.trace())
	}
}

// A cut of a group waits for nothing that adds power, neither queued nor with the device, and takes the rest of an
// overlapping command no further than its own nodes.
func TestACutOfAGroupWaitsForNoStart(t *testing.T) {
	r := offRig(t, groupLayout())
	r.hang[outlet(1)] = true
	r.must("on", rack.OpEnergise, "rack")
	r.run(100 * time.Millisecond)
	began := r.now
	r.must("off", rack.OpCut, "group/three")
	r.run(500 * time.Millisecond)
	var cuts []write
	for _, w := range r.writes {
		if w.do == string(rack.DoCut) {
			cuts = append(cuts, w)
		}
	}
	if len(cuts) != 3 {
		t.Fatalf("trace %s", r.trace())
	}
	for _, w := range cuts {
		if d := w.at.Sub(began); d > 20*time.Millisecond {
			t.Errorf("outlet %d was cut after %s", w.on.N, d)
		}
	}
	r.run(20 * time.Second)
	expectTold(t, r.result("on"), "asic-1 cancelled superseded, asic-2 cancelled superseded, asic-3 cancelled superseded, "+
		"asic-4 succeeded, asic-5 succeeded, asic-6 succeeded, gpu-1 rejected approval_required")
}

// A start of a group waits for the cuts on its nodes, node by node, and then finds the minimum off time.
func TestAStartOfAGroupWaitsForCuts(t *testing.T) {
	r := groupRig(t)
	r.closed[outlet(1)] = false
	r.run(35 * time.Second)
	r.must("off", rack.OpCut, "node/asic-2")
	r.must("on", rack.OpEnergise, "group/three")
	r.run(100 * time.Millisecond)
	if r.trace() != "cut 2, energise 1" {
		t.Errorf("trace %s", r.trace())
	}
	r.run(20 * time.Second)
	r.expect("off", rack.StateSucceeded, "")
	expectTold(t, r.expect("on", rack.StatePartial, rack.CodeMinOff), "asic-1 succeeded, asic-2 failed min_off, asic-3 succeeded")
}

// Two cuts of overlapping groups: the second cuts what the first does not, at once, and the rest in its turn.
func TestTwoCutsOfGroups(t *testing.T) {
	r := groupRig(t)
	r.must("c1", rack.OpCut, "group/back")
	r.must("c2", rack.OpCut, "group/three")
	r.run(time.Millisecond)
	if r.trace() != "cut 3, cut 1, cut 2" {
		t.Errorf("trace %s", r.trace())
	}
	r.run(10 * time.Second)
	r.expect("c1", rack.StateSucceeded, "")
	expectTold(t, r.expect("c2", rack.StatePartial, rack.CodeNoLoad), "asic-1 confirmed no_load, asic-2 succeeded, asic-3 confirmed no_load")
}

// On firm nodes the order of arrival stands, whatever lowers and whatever adds.
func TestOnServersTheOrderOfArrivalStands(t *testing.T) {
	r := offRig(t, groupLayout())
	signed := func(c *rack.Command) { c.Signed, c.Firm = true, true }
	r.hang[outlet(7)] = true
	r.must("s1", rack.OpEnergise, "group/servers", signed)
	r.must("s2", rack.OpEnergise, "outlet/pdu-a.8", signed)
	r.run(time.Second)
	r.must("off", rack.OpCut, "rack")
	r.run(time.Second)
	if r.trace() != "energise 7, cut 1, cut 2, cut 3, cut 4, cut 5, cut 6" {
		t.Errorf("trace %s", r.trace())
	}
	r.run(30 * time.Second)
	if o := r.result("s1"); o.Code == rack.CodeSuperseded {
		t.Errorf("a cut of the miners ended a start of the server: %s", told(o))
	}
	if !strings.HasSuffix(r.trace(), ", energise 8") {
		t.Errorf("trace %s: the second one waits for the first", r.trace())
	}
}

func TestAGroupThatCouldNotBeginExpires(t *testing.T) {
	r := groupRig(t)
	r.must("c1", rack.OpCycle, "node/asic-4")
	r.must("c2", rack.OpCut, "node/asic-4")
	r.must("c3", rack.OpCycle, "group/mixed", func(c *rack.Command) { c.StartBy = r.now.Add(300 * time.Millisecond) })
	r.run(40 * time.Second)
	o := r.expect("c3", rack.StateExpired, rack.CodeExpired)
	expectTold(t, o, "gpu-1 rejected approval_required, asic-4 cancelled expired")
}

// A group found unfinished is judged target by target; what the plan refused stays refused.
func TestAGroupFoundUnfinished(t *testing.T) {
	before := 3200.0
	cut := func(n int) []rack.Step {
		return []rack.Step{{Do: rack.DoCut, On: outlet(n), BeforeW: &before, LimitMS: 1}}
	}
	r := newRigWith(t, groupLayout(), []rack.Entry{{
		Command: rack.Command{ID: "c1", Op: rack.OpCut, Target: rack.Target{Kind: rack.TargetRack}},
		Plan: rack.Plan{Command: "c1", Targets: []rack.TargetPlan{
			{Target: rack.NodeTarget("asic-1"), Node: "asic-1", Steps: cut(1)},
			{Target: rack.NodeTarget("asic-2"), Node: "asic-2", Steps: cut(2)},
			{Target: rack.NodeTarget("gpu-1"), Node: "gpu-1", Steps: []rack.Step{}, Refused: &rack.Refusal{Code: rack.CodeApprovalRequired, Text: "alone"}},
		}},
	}})
	r.closed[outlet(1)] = false
	r.run(20 * time.Second)
	o := r.expect("c1", rack.StatePartial, rack.CodeVerifyFailed)
	expectTold(t, o, "asic-1 succeeded, asic-2 unknown verify_failed, gpu-1 rejected approval_required")
	if !o.Targets[0].Recovered || len(r.writes) != 0 || len(r.reports) != 1 {
		t.Errorf("%+v, trace %s, %d reports", o, r.trace(), len(r.reports))
	}
}

// fleet is a rack of n miners on PDUs of 32 outlets, four levels deep, two of them on two outlets.
func fleet(n int) *rack.Layout {
	l := &rack.Layout{
		Site: "test", Agent: "r1", Stagger: 250 * time.Millisecond,
		Feeds: []rack.Feed{
			{Name: "site", Lines: []string{"L1", "L2", "L3"}, VoltsV: 400, RatingA: 1e5, Continuous: 0.8},
			{Name: "row", Parent: "site", Lines: []string{"L1", "L2", "L3"}, VoltsV: 400, RatingA: 1e5, Continuous: 0.8},
		},
	}
	for i := range n {
		pdu := fmt.Sprintf("pdu-%d", i/32)
		if i%32 == 0 {
			bank, phase := fmt.Sprintf("bank-%d", i/32), fmt.Sprintf("phase-%d", i/32)
			l.Feeds = append(l.Feeds, rack.Feed{Name: phase, Parent: "row", Lines: []string{"L1"}, VoltsV: 230, RatingA: 1e4, Continuous: 0.8},
				rack.Feed{Name: bank, Parent: phase, Lines: []string{"L1"}, VoltsV: 230, RatingA: 1e4, Continuous: 0.8})
			p := rack.PDU{Name: pdu, Model: "ac32", Serial: "S", Bus: "bus-" + pdu, Settling: 300 * time.Millisecond, Period: time.Second}
			for k := range 32 {
				p.Outlets = append(p.Outlets, rack.Outlet{ID: rack.OutletID{PDU: pdu, N: k + 1}, Feed: bank, RatingA: 20, Continuous: 1, Metered: true, NoiseW: 1})
			}
			l.PDUs = append(l.PDUs, p)
		}
		l.Nodes = append(l.Nodes, rack.Node{
			Name: fmt.Sprintf("asic-%d", i), Class: rack.ClassASIC, Outlets: []rack.OutletID{{PDU: pdu, N: i%32 + 1}},
			MaxW: 3400, SurgeW: 200, SurgeFor: 5 * time.Second, MinOff: 30 * time.Second, Wiring: rack.WiringDeclared,
		})
	}
	return l.Indexed()
}

func fleetRig(t judge, n int) *rig {
	r := newRigWith(t, fleet(n), nil)
	r.oneByOne = true
	for _, p := range r.layout.PDUs {
		r.step(Identified{PDU: p.Name, Ident: drivers.Ident{Serial: "S"}})
	}
	r.run(3 * time.Second)
	return r
}

// A plan for twice the nodes costs about twice as much, counted in allocations: what is measured in time on a shared
// machine proves nothing, and the benchmarks below tell it.
func TestPlansGrowWithTheirNodes(t *testing.T) {
	small, large := fleetRig(t, 128), fleetRig(t, 256)
	for _, op := range []rack.Op{rack.OpCut, rack.OpCycle, rack.OpEnergise} {
		allocations := func(r *rig) float64 {
			snap := r.m.Snapshot(r.now)
			return testing.AllocsPerRun(3, func() {
				p, refusal := Plan(r.now, snap, rack.Command{ID: "c", Op: op, Target: rack.Target{Kind: rack.TargetRack}})
				if refusal != nil || len(p.Targets) != len(r.layout.Nodes) {
					t.Fatal(refusal)
				}
			})
		}
		if half, all := allocations(small), allocations(large); all > 2.2*half || all > 256*80 {
			t.Errorf("%s: %v allocations for 128 nodes, %v for 256", op, half, all)
		}
	}
}

func TestCutOfTheLargestRack(t *testing.T) {
	r := fleetRig(t, 256)
	began := r.now
	r.must("c1", rack.OpCut, "rack")
	r.run(4 * time.Second)
	if o := r.expect("c1", rack.StateSucceeded, ""); len(o.Targets) != 256 || o.At.Sub(began) > 2*time.Second {
		t.Errorf("%d targets after %s", len(o.Targets), o.At.Sub(began))
	}
}

// BenchmarkCutOf256 tells the slowest turn of the machine while it cuts the largest rack; it has 50 ms.
func BenchmarkCutOf256(b *testing.B) {
	var slowest time.Duration
	for b.Loop() {
		r := fleetRig(fatal{b}, 256)
		r.slowest = 0
		r.must("c1", rack.OpCut, "rack")
		r.run(3 * time.Second)
		slowest = max(slowest, r.slowest)
	}
	b.ReportMetric(float64(slowest.Microseconds()), "µs/slowest-turn")
}

func BenchmarkPlanOf256(b *testing.B) {
	r := fleetRig(fatal{b}, 256)
	snap := r.m.Snapshot(r.now)
	for _, op := range []rack.Op{rack.OpCut, rack.OpCycle} {
		b.Run(string(op), func(b *testing.B) {
			for b.Loop() {
				if _, refusal := Plan(r.now, snap, rack.Command{ID: "c", Op: op, Target: rack.Target{Kind: rack.TargetRack}}); refusal != nil {
					b.Fatal(refusal)
				}
			}
		})
	}
}

// fatal is a benchmark as the rig wants it.
type fatal struct{ *testing.B }

// The largest plan and its result fit into one value of the journal, 524,288 bytes, with room for the command.
func TestTheLargestPlanFitsIntoOneRecord(t *testing.T) {
	r := fleetRig(t, 512)
	p, refusal := Plan(r.now, r.m.Snapshot(r.now), rack.Command{ID: strings.Repeat("c", 36), Op: rack.OpCycle, Target: rack.Target{Kind: rack.TargetRack}})
	if refusal != nil {
		t.Fatal(refusal)
	}
	steps := 0
	o := rack.Outcome{Command: p.Command, State: rack.StatePartial}
	for _, tp := range p.Targets {
		res := rack.TargetResult{Target: tp.Target, State: rack.StateFailed, Code: rack.CodeWiringUnproven, Text: strings.Repeat("x", 200)}
		for _, st := range tp.Steps {
			steps++
			ms, w := int64(1795411616000), 3245.678901234
			res.Steps = append(res.Steps, rack.StepResult{
				Do: st.Do, On: rack.OutletTarget(st.On), Taken: &ms, Confirmed: &ms, Settled: &ms, Hot: true, Proof: &rack.Proof{Meter: st.On.String(), BeforeW: &w, AfterW: &w},
			})
		}
		o.Targets = append(o.Targets, res)
	}
	if steps != maxSteps {
		t.Fatalf("%d steps", steps)
	}
	for name, v := range map[string]any{"plan": p, "result": o} {
		b, err := json.Marshal(v)
		if err != nil || len(b) > 510_000 {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
}

// More steps than fit into one record are refused, and more targets than there is room for are turned away.
func TestBoundsOfPlans(t *testing.T) {
	snapshot := func(n int) *Snapshot {
		return fleetRig(t, n).m.Snapshot(time.Date(2026, 11, 25, 12, 0, 3, 0, time.UTC))
	}
	everything := rack.Target{Kind: rack.TargetRack}
	s := snapshot(544)
	if _, got := Plan(s.At, s, rack.Command{ID: "c", Op: rack.OpCycle, Target: everything}); got == nil || got.Code != rack.CodeTooBig {
		t.Errorf("1088 steps: %v", got)
	}
	s = snapshot(32)
	for _, c := range []struct {
		underWay int
		op       rack.Op
		dry      bool
		code     rack.Code
	}{
		{4064, rack.OpCycle, false, ""},
		{4065, rack.OpCycle, false, rack.CodeBusy},
		{4065, rack.OpCycle, true, ""},
		{4065, rack.OpCut, false, ""},
		{8161, rack.OpCut, false, rack.CodeBusy},
	} {
		s.UnderWay = c.underWay
		_, got := Plan(s.At, s, rack.Command{ID: "c", Op: c.op, Target: everything, Dry: c.dry})
		if (got == nil) != (c.code == "") || got != nil && got.Code != c.code {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
