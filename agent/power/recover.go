package power

import (
	"slices"
	"time"

	"rackagent/agent/rack"
)

// judgeWithin is how long the judgement of an unfinished command waits for fresh readings, arbitrary; poll needs
// a few periods for its first sweep.
const judgeWithin = 15 * time.Second

// adopt takes commands found without a terminal result. They are never continued: each target waits for fresh
// readings and is judged. Until then its node stands in line as for any command under way.
func (m *Machine) adopt(now time.Time, entries []rack.Entry) {
	for i := range entries {
		e := &entries[i]
		j := &job{cmd: e.Command, n: rack.RecoveredN - 1, begun: true}
		for _, tp := range e.Plan.Targets {
			j.targets = append(j.targets, &target{job: j, plan: tp, keys: m.keysOf(tp), found: e, until: now.Add(judgeWithin)})
		}
		m.jobs = append(m.jobs, j)
	}
}

// judge ends a found target once all its outlets are measured, or the wait is over.
func (m *Machine) judge(now time.Time, t *target) {
	for _, st := range t.plan.Steps {
		if !m.measurable(st.On) {
			if now.Before(t.until) {
				return
			}
			m.endTarget(t, verdict{state: rack.StateUnknown, code: rack.CodeVerifyFailed, text: "interrupted by a restart, and " + st.On.String() + " cannot be measured"})
			return
		}
	}
	t.steps = m.judgedSteps(t)
	for i := range t.plan.Steps {
		if t.steps[i].Settled == nil {
			m.endTarget(t, verdict{state: rack.StateUnknown, code: rack.CodeVerifyFailed, text: "interrupted by a restart; measurement does not prove that it was done"})
			return
		}
	}
	m.endTarget(t, verdict{state: rack.StateSucceeded, text: "interrupted by a restart; proven by measurement since"})
}

func (m *Machine) measurable(o rack.OutletID) bool {
	_, relay := m.world.Closed(o)
	_, watts := m.world.Watts(o)
	_, control := m.world.Controlled(o.PDU)
	return relay && watts && control
}

// judgedSteps fills in Settled for each step that the present measurement proves. The opening half of a cycle is
// proven only by its record: the present cannot show it any more.
func (m *Machine) judgedSteps(t *target) []rack.StepResult {
	out := make([]rack.StepResult, len(t.plan.Steps))
	for i, st := range t.plan.Steps {
		w, _ := m.world.Watts(st.On)
		r := rack.StepResult{Do: st.Do, On: rack.OutletTarget(st.On), Proof: &rack.Proof{Meter: st.On.String(), BeforeW: st.BeforeW, AfterW: &w}}
		proven := false
		switch {
		case st.Do == rack.DoEnergise:
			proven = m.provenOn(st)
		case t.job.cmd.Op == rack.OpCycle:
			proven = openedInCycle(t, st.On)
		default:
			proven = m.provenCut(st)
		}
		if proven {
			r.Settled = ms(m.world.Outlets[st.On].W.At)
		}
		out[i] = r
	}
	return out
}

func (m *Machine) provenOn(st rack.Step) bool {
	closed, _ := m.world.Closed(st.On)
	w, _ := m.world.Watts(st.On)
	return closed && w > threshold(m.world.Layout, st.On)
}

// provenCut needs a load before: without one the meter proves nothing.
func (m *Machine) provenCut(st rack.Step) bool {
	closed, _ := m.world.Closed(st.On)
	va, _ := m.world.Apparent(st.On)
	return !closed && st.BeforeW != nil && *st.BeforeW >= noLoadVA && va < max(noLoadVA, noLoadShare**st.BeforeW)
}

func openedInCycle(t *target, o rack.OutletID) bool {
	return slices.ContainsFunc(t.found.Progress, func(p rack.Progress) bool {
		return p.Fact == rack.FactCycleOpen && p.Target == t.plan.Target && p.Step < len(t.plan.Steps) && t.plan.Steps[p.Step].On == o
	})
}
