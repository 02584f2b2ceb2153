package power

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers"
)

// past is one command of the journal on one outlet.
func past(n int, steps ...rack.StepResult) rack.Entry {
	e := rack.Entry{Plan: rack.Plan{Targets: []rack.TargetPlan{{Steps: []rack.Step{{On: outlet(n)}}}}}}
	if steps != nil {
		e.Outcome = &rack.Outcome{State: rack.StateSucceeded, Targets: []rack.TargetResult{{Steps: steps}}}
	}
	return e
}

func did(verb rack.Verb, n int, taken, confirmed bool) rack.StepResult {
	at := int64(1)
	s := rack.StepResult{Do: verb, On: rack.OutletTarget(outlet(n))}
	if taken {
		s.Taken = &at
	}
	if confirmed {
		s.Confirmed = &at
	}
	return s
}

// judged is a command of an earlier start: its result says what was measured and nothing of its writes.
func judged(n int, verb rack.Verb, settled bool) rack.Entry {
	e, st := past(n, did(verb, n, false, false)), rack.StateUnknown
	if settled {
		at := int64(1)
		e.Outcome.Targets[0].Steps[0].Settled, st = &at, rack.StateSucceeded
	}
	e.Outcome.Targets[0].State, e.Outcome.Targets[0].Recovered = st, true
	return e
}

func takingOver(e rack.Entry) rack.Entry {
	e.Progress = []rack.Progress{{Fact: rack.FactAdopt, PDU: "pdu-a"}}
	return e
}

func TestLastSwitched(t *testing.T) {
	cut, on := did(rack.DoCut, 1, true, true), did(rack.DoEnergise, 1, true, true)
	for name, c := range map[string]struct {
		entries []rack.Entry // newest first
		want    map[rack.OutletID]bool
	}{
		"nothing":                      {nil, map[rack.OutletID]bool{}},
		"cut":                          {[]rack.Entry{past(1, cut)}, map[rack.OutletID]bool{outlet(1): false}},
		"energised after a cut":        {[]rack.Entry{past(1, on), past(1, cut)}, map[rack.OutletID]bool{outlet(1): true}},
		"cycle":                        {[]rack.Entry{past(1, cut, on)}, map[rack.OutletID]bool{outlet(1): true}},
		"newest without result":        {[]rack.Entry{past(1), past(1, cut)}, map[rack.OutletID]bool{}},
		"newest not read back":         {[]rack.Entry{past(1, did(rack.DoCut, 1, true, false)), past(1, on)}, map[rack.OutletID]bool{}},
		"newest never got there":       {[]rack.Entry{past(1, did(rack.DoCut, 1, false, false)), past(1, on)}, map[rack.OutletID]bool{outlet(1): true}},
		"newest judged by measurement": {[]rack.Entry{judged(1, rack.DoCut, true), past(1, on)}, map[rack.OutletID]bool{outlet(1): false}},
		"newest could not be judged":   {[]rack.Entry{judged(1, rack.DoCut, false), past(1, on)}, map[rack.OutletID]bool{}},
		"bank taken over since":        {[]rack.Entry{takingOver(past(2, did(rack.DoEnergise, 2, true, true))), past(1, on)}, map[rack.OutletID]bool{outlet(2): true}},
		"two outlets, two states":      {[]rack.Entry{past(1, cut), past(2, did(rack.DoEnergise, 2, true, true))}, map[rack.OutletID]bool{outlet(1): false, outlet(2): true}},
	} {
		if got := LastSwitched(demoLayout(), c.entries); !maps.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// A relay that moved while no agent ran is found with the first reading, and nothing is written.
func TestARelayThatMovedMeanwhileIsReported(t *testing.T) {
	for _, c := range []struct {
		standing map[rack.OutletID]bool
		lost     bool
		want     bool
	}{
		{map[rack.OutletID]bool{outlet(1): false}, false, true}, // cut by us, found closed
		{map[rack.OutletID]bool{outlet(1): true}, false, false}, // as it was left
		{nil, false, false}, // never switched
		{map[rack.OutletID]bool{outlet(1): false}, true, false}, // the bank lost control: bank_lost says it
	} {
		r := newRig(t)
		r.m = New(r.now, r.layout, words, nil, nil)
		r.m.LeftStanding(c.standing)
		r.step(Identified{PDU: "pdu-a", Ident: drivers.Ident{Serial: r.serial}})
		r.lost = c.lost
		r.run(3 * time.Second)
		found := false
		for _, e := range r.emitted {
			found = found || e.Kind == rack.EventExternalChange && e.Outlet == outlet(1) && strings.Contains(e.Text, "without a command")
		}
		if found != c.want || len(r.writes) > 0 {
			t.Errorf("%+v: reported %t, writes %v", c, found, r.writes)
		}
	}
}

func TestLeftShed(t *testing.T) {
	entry := func(op rack.Op, issuer string, nodes ...string) rack.Entry {
		e := rack.Entry{Command: rack.Command{Op: op, Issuer: issuer}}
		if strings.HasPrefix(issuer, "local/") {
			e.Command.Origin = rack.OriginAgent
		}
		for _, n := range nodes {
			e.Plan.Targets = append(e.Plan.Targets, rack.TargetPlan{Target: rack.NodeTarget(n), Node: n})
		}
		return e
	}
	got := LeftShed([]rack.Entry{ // newest first
		entry(rack.OpWake, issuerFeed, "asic-4"),
		entry(rack.OpStart, "alice", "asic-1", "asic-5"),
		entry(rack.OpSleep, issuerFeed, "asic-4"),
		entry(rack.OpCut, issuerFeed, "asic-3"),
		entry(rack.OpSleep, issuerFeed, "asic-2"),
		entry(rack.OpCut, issuerInterlock, "asic-6"),
		entry(rack.OpSleep, issuerFeed, "asic-1"),
		entry(rack.OpStart, "alice", "asic-2"),
	})
	if want := []string{"asic-2", "asic-3"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
