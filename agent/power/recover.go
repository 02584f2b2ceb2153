package power

import (
	"fmt"
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
		j := &job{cmd: e.Command, n: rack.RecoveredN - 1, begun: true, found: true}
		for _, tp := range e.Plan.Targets {
			t := m.newTarget(j, tp)
			t.found, t.until = e, now.Add(judgeWithin)
			m.mayRise(tp)
			j.targets = append(j.targets, t)
		}
		if e.Command.Emergency && e.Command.Origin == rack.OriginAgent { // a crash between its cuts and its locks
			m.latchAfter(e.Command.ID, rack.Demand{Target: e.Command.Target, Why: e.Command.Why})
		}
		m.jobs = append(m.jobs, j)
	}
}

// mayRise counts a miner in full that may have been told to do all it can before the restart.
func (m *Machine) mayRise(tp rack.TargetPlan) {
	for _, st := range tp.Steps {
		if st.Do.Raises() {
			v := m.world.Nodes[st.Node]
			v.Waking = true
			m.world.Nodes[st.Node] = v
		}
	}
}

// judge ends a found target once all its outlets are measured, or the wait is over.
func (m *Machine) judge(now time.Time, t *target) {
	steps := m.judgedSteps(t)
	proven := !slices.ContainsFunc(steps, func(r rack.StepResult) bool { return r.Settled == nil })
	switch {
	case proven:
		t.steps = steps
		for _, st := range t.plan.Steps {
			if st.Do == rack.DoWake {
				node, _ := m.world.Layout.Node(st.Node)
				m.given(now, t, node, rack.OrderSlept)
			}
		}
		m.endTarget(t, verdict{state: rack.StateSucceeded, text: "interrupted by a restart; proven by measurement since"})
	case !now.Before(t.until):
		t.steps = steps
		for _, st := range t.plan.Steps {
			m.doubt(now, t.job.cmd.ID, st)
		}
		m.endTarget(t, verdict{state: rack.StateUnknown, code: rack.CodeVerifyFailed, text: "interrupted by a restart; measurement does not prove that it was done"})
	}
}

// measurable tells whether an outlet has fresh readings that were taken after the start and the meter's settling time:
// the write may have been the last thing before the crash.
func (m *Machine) measurable(o rack.OutletID) bool {
	_, relay := m.world.Closed(o)
	_, watts := m.world.Watts(o)
	_, control := m.world.Controlled(m.world.Layout.BankOf(o))
	p, _ := m.world.Layout.PDU(o.PDU)
	return relay && watts && control && !m.world.Outlets[o].W.At.Before(m.born.Add(p.Settling))
}

// judgedSteps fills in Settled for each step that the present measurement proves. The opening half of a cycle is
// proven only by its record: the present cannot show it any more.
func (m *Machine) judgedSteps(t *target) []rack.StepResult {
	out := make([]rack.StepResult, len(t.plan.Steps))
	for i, st := range t.plan.Steps {
		if st.Node != "" {
			out[i] = m.judgedTold(st)
			continue
		}
		r := rack.StepResult{Do: st.Do, On: st.Where(), Proof: &rack.Proof{Meter: st.On.String(), BeforeW: st.BeforeW, AfterW: measured(&m.world, st.On)}}
		if !m.measurable(st.On) {
			out[i] = r
			continue
		}
		proven := false
		switch {
		case st.Do == rack.DoEnergise:
			proven = m.provenOn(st, m.born)
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

// judgedTold is the same for what a miner was told.
func (m *Machine) judgedTold(st rack.Step) rack.StepResult {
	node, _ := m.world.Layout.Node(st.Node)
	r := rack.StepResult{Do: st.Do, On: st.Where(), Proof: &rack.Proof{Meter: meterOf(node), BeforeW: st.BeforeW}}
	sum, oldest, ok := m.world.sum(node)
	if !ok || !m.allMeasurable(node) {
		return r
	}
	r.Proof.AfterW = &sum
	if m.provenTold(st, m.born) {
		r.Settled = ms(oldest)
	}
	return r
}

func (m *Machine) allMeasurable(n rack.Node) bool {
	return len(n.Outlets) > 0 && !slices.ContainsFunc(n.Outlets, func(o rack.OutletID) bool { return !m.measurable(o) })
}

// provenTold needs, of a sleep, more watts before than a sleeping miner draws, and of a wake, codes that have moved.
func (m *Machine) provenTold(st rack.Step, since time.Time) bool {
	node, _ := m.world.Layout.Node(st.Node)
	sum, _, ok := m.world.sum(node)
	if !ok || node.API == nil || slices.ContainsFunc(node.Outlets, func(o rack.OutletID) bool { closed, known := m.world.Closed(o); return !closed || !known }) {
		return false // without power it draws nothing, whatever it was told
	}
	switch st.Do {
	case rack.DoSleep:
		return st.BeforeW != nil && *st.BeforeW > asleepBelow(*st.BeforeW, node.API.FanW) && sum <= asleepBelow(*st.BeforeW, node.API.FanW)
	case rack.DoWake:
	default: // the watts of now do not show what they came from
		return false
	}
	kept, _ := m.world.kept(node, rack.OrderSlept)
	moved := slices.ContainsFunc(node.Outlets, func(o rack.OutletID) bool { return m.world.Outlets[o].MovedAt.After(since) })
	return moved && sum > awakeAbove(node, kept.Value)
}

// provenOn needs codes that have moved since: a meter frozen at a load shows it for ever.
func (m *Machine) provenOn(st rack.Step, since time.Time) bool {
	closed, _ := m.world.Closed(st.On)
	w, _ := m.world.Watts(st.On)
	return closed && w > threshold(m.world.Layout, st.On) && m.world.Outlets[st.On].MovedAt.After(since)
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

// doubt is a step that ended unknown. What measurement tells later is an event with the command's id; its result stays.
type doubt struct {
	id    string
	step  rack.Step
	since time.Time
}

// Bounds of what is kept of unknown ends, arbitrary.
const (
	doubtFor  = time.Hour
	maxDoubts = 64
)

func (m *Machine) doubt(now time.Time, id string, st rack.Step) {
	if len(m.doubts) == maxDoubts {
		m.doubts = m.doubts[1:]
	}
	m.doubts = append(m.doubts, doubt{id, st, now})
}

// resolveDoubts looks whether measurement proves meanwhile what could not be proven.
func (m *Machine) resolveDoubts(now time.Time) {
	m.doubts = slices.DeleteFunc(m.doubts, func(d doubt) bool {
		if now.Sub(d.since) > doubtFor {
			return true
		}
		if !m.measuredSince(d.step, d.since) {
			return false
		}
		proven := m.provenNow(d.step, d.since)
		if proven {
			m.emit(rack.Event{
				Kind: rack.EventRecovered, Severity: rack.Info, Device: d.step.On.PDU, Outlet: d.step.On, Node: d.step.Node, Command: d.id, To: string(d.step.Do),
				Text: fmt.Sprintf("command %s ended unknown; measurement now shows that the %s of %s is done", d.id, d.step.Do, d.step.Subject()),
			})
		}
		return proven
	})
}

// measuredSince tells whether all that a step is on was measured after a moment.
func (m *Machine) measuredSince(st rack.Step, since time.Time) bool {
	outlets := []rack.OutletID{st.On}
	if st.Node != "" {
		node, _ := m.world.Layout.Node(st.Node)
		outlets = node.Outlets
	}
	return !slices.ContainsFunc(outlets, func(o rack.OutletID) bool { return m.world.Outlets[o].W.At.Before(since) || !m.measurable(o) })
}

// provenNow tells whether the present shows that a step was done.
func (m *Machine) provenNow(st rack.Step, since time.Time) bool {
	switch {
	case st.Node != "":
		return m.provenTold(st, since)
	case st.Do == rack.DoEnergise:
		return m.provenOn(st, since)
	default:
		return m.provenCut(st)
	}
}

// forgetDoubts ends the doubts about what is done anew.
func (m *Machine) forgetDoubts(st rack.Step) {
	m.doubts = slices.DeleteFunc(m.doubts, func(d doubt) bool { return d.step.Where() == st.Where() })
}
