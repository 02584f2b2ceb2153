package power

import (
	"time"

	"rackagent/agent/rack"
)

// publish tells the desk what changed, and records the terminal result before it is told.
func (m *Machine) publish(now time.Time, j *job) {
	if j.ended {
		return
	}
	var changed, all []rack.TargetResult
	done := true
	for _, t := range j.targets {
		r := t.report()
		all = append(all, r)
		if t.changed {
			changed = append(changed, r)
			t.changed = false
		}
		done = done && t.result != nil
	}
	switch {
	case done:
		m.finish(now, j, all)
	case len(changed) > 0 && j.targets[0].found == nil:
		j.n++
		m.do(Report{rack.Outcome{Command: j.cmd.ID, State: rack.StateRunning, N: j.n, At: now, Targets: changed}})
	}
}

// report is the target's present word: its result, or how far its steps came.
func (t *target) report() rack.TargetResult {
	if t.result != nil {
		return *t.result
	}
	r := rack.TargetResult{Target: t.plan.Target, State: rack.StateRunning, Steps: append([]rack.StepResult(nil), t.steps...)}
	if t.current != nil {
		r.Steps = append(r.Steps, t.current.result)
	}
	return r
}

func (m *Machine) finish(now time.Time, j *job, targets []rack.TargetResult) {
	j.n++
	j.ended = true
	o := rack.Outcome{Command: j.cmd.ID, N: j.n, At: now, Targets: targets}
	o.State, o.Code = rack.Conclude(targets)
	for _, t := range targets {
		if t.Code == o.Code && t.Text != "" {
			o.Text = t.Text
			break
		}
	}
	if !j.begun && allExpired(targets) {
		o.State, o.Code = rack.StateExpired, rack.CodeExpired
	}
	token := m.nextToken()
	m.ending[token] = o
	m.do(Keep{Token: token, Record: rack.Record{Kind: rack.RecordEnded, At: now, ID: j.cmd.ID, Outcome: &o, Lowers: true}})
}

func allExpired(targets []rack.TargetResult) bool {
	for _, t := range targets {
		if t.State != rack.StateExpired {
			return false
		}
	}
	return true
}

// Busy tells whether time alone can bring a command further, so that the loop must tick.
func (m *Machine) Busy() bool { return len(m.jobs) > 0 }
