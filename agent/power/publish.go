package power

import (
	"fmt"
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
	m.keepEnd(&ending{outcome: o})
}

// ending is a terminal result that is not on disk yet. It is told to nobody before it is: told first and lost in a
// crash, the same command would end twice (S5).
type ending struct {
	outcome rack.Outcome
	refused bool      // the journal has refused it, and that was reported
	again   time.Time // when it is offered to the journal again; zero: it is with the journal
}

// endRetry is the pause before a result that the journal refused is offered again, arbitrary.
const endRetry = 5 * time.Second

func (m *Machine) keepEnd(e *ending) {
	token := m.nextToken()
	m.ending[token] = e
	e.again = time.Time{}
	m.do(Keep{Token: token, Record: rack.Record{Kind: rack.RecordEnded, At: e.outcome.At, ID: e.outcome.Command, Outcome: &e.outcome, Lowers: true}})
}

// endRecorded tells a result that is on disk, or keeps one that is not for another try.
func (m *Machine) endRecorded(now time.Time, in Recorded, e *ending) {
	if in.Err == nil {
		delete(m.ending, in.Token)
		m.do(Report{Outcome: e.outcome})
		return
	}
	e.again = now.Add(endRetry)
	if !e.refused {
		e.refused = true
		m.emit(rack.Event{
			Kind: rack.EventJournal, Severity: rack.Critical, Command: e.outcome.Command, Reason: in.Err.Error(), To: string(e.outcome.State),
			Text: fmt.Sprintf("command %s ended %s %s, and the journal does not take it: its result is told when it does", e.outcome.Command, e.outcome.State, e.outcome.Code),
		})
	}
}

func (m *Machine) retryEnds(now time.Time) {
	for token, e := range m.ending {
		if !e.again.IsZero() && !now.Before(e.again) {
			delete(m.ending, token)
			m.keepEnd(e)
		}
	}
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
