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
	done, news := true, false
	for _, t := range j.targets {
		done, news = done && t.result != nil, news || t.changed
	}
	switch {
	case done:
		m.finish(now, j, j.words(func(*target) bool { return true }))
	case news && !j.found && (len(j.targets) == 1 || now.Sub(j.told) >= tellEvery):
		changed := j.words(func(t *target) bool { return t.changed })
		for _, t := range j.targets {
			t.changed = false
		}
		j.n++
		j.told = now
		m.do(Report{rack.Outcome{Command: j.cmd.ID, State: rack.StateRunning, N: j.n, At: now, Targets: changed}})
	}
}

// tellEvery is the pause between two states of a command with several targets: what changes meanwhile is told together.
// Arbitrary; the relays of a rack move within some seconds.
const tellEvery = 500 * time.Millisecond

// words are the present words of the targets that are wanted.
func (j *job) words(wanted func(*target) bool) []rack.TargetResult {
	var out []rack.TargetResult
	for _, t := range j.targets {
		if wanted(t) {
			out = append(out, t.report())
		}
	}
	return out
}

// report is the target's present word: its result, or how far its steps came.
func (t *target) report() rack.TargetResult {
	if t.result != nil {
		return *t.result
	}
	r := rack.TargetResult{Target: t.plan.Target, State: rack.StateRunning, Steps: append([]rack.StepResult(nil), t.steps...)}
	if t.current != nil {
		r.Steps = append(r.Steps, t.current.told())
	}
	return r
}

// told is the step's result as it may leave the loop: the proof goes on being written here.
func (w *switching) told() rack.StepResult {
	r := w.result
	if r.Proof != nil {
		p := *r.Proof
		r.Proof = &p
	}
	return r
}

func (m *Machine) finish(now time.Time, j *job, targets []rack.TargetResult) {
	j.n++
	j.ended = true
	m.ownEnded(now, j)
	o := rack.Outcome{Command: j.cmd.ID, N: j.n, At: now, Targets: targets}
	o.State, o.Code = rack.Conclude(targets)
	for _, t := range targets {
		if t.Code == o.Code && t.Text != "" {
			o.Text = t.Text
			if len(targets) > 1 {
				o.Text = t.Target.String() + ": " + t.Text
			}
			break
		}
	}
	if !j.begun && allExpired(targets) {
		o.State, o.Code = rack.StateExpired, rack.CodeExpired
	}
	m.owe(&owed{
		record:  rack.Record{Kind: rack.RecordEnded, At: now, ID: j.cmd.ID, Outcome: &o, Lowers: true},
		outcome: &o, behind: j.unkept,
	})
}

// owed is a record that must reach the disk in the end: a terminal result, or what was learnt about an outlet. A result
// is told to nobody before it is there: told first and lost in a crash, the same command would end twice (S5).
type owed struct {
	record  rack.Record
	outcome *rack.Outcome   // to be told afterwards; nil: nothing is
	refused bool            // the journal has refused it, and that was reported
	again   time.Time       // when it is offered to the journal again; zero: it is with the journal
	first   uint64          // token that it was offered with first: what was learnt later has a higher one
	behind  *owed           // must be on disk before; nil: nothing must
	kept    bool            // on disk
	then    func(time.Time) // what follows; nil: nothing
}

// subject is what a record tells the newest of: an older one that comes to the disk after it would undo it. Empty: there is
// only one such record.
func subject(r rack.Record) string {
	switch r.Kind {
	case rack.RecordOrder, rack.RecordReleased:
		return fmt.Sprintf("%s of %s", r.Order.Kind, r.Order.Target)
	case rack.RecordWiring:
		return fmt.Sprintf("wiring of %s", r.Outlet)
	}
	return ""
}

// outdate forgets what waits to be offered again and tells less than a newer record of the same subject.
func (m *Machine) outdate(newer rack.Record, first uint64) {
	about := subject(newer)
	for token, o := range m.owed {
		if about != "" && !o.again.IsZero() && o.first < first && subject(o.record) == about {
			delete(m.owed, token)
		}
	}
}

// outdated tells whether a newer record of the same subject is on its way.
func (m *Machine) outdated(old *owed) bool {
	about := subject(old.record)
	for _, o := range m.owed {
		if about != "" && o.first > old.first && subject(o.record) == about {
			return true
		}
	}
	return false
}

// oweRetry is the pause before a record that the journal refused is offered again, arbitrary.
const oweRetry = 5 * time.Second

func (m *Machine) owe(o *owed) {
	token := m.nextToken()
	if o.first == 0 {
		o.first = token
		m.outdate(o.record, token)
	}
	m.owed[token] = o
	if o.behind != nil && !o.behind.kept {
		o.again = m.world.At.Add(oweRetry)
		return
	}
	o.again = time.Time{}
	m.do(Keep{Token: token, Record: o.record})
}

// oweRecorded tells a result that is on disk, or keeps a record that is not for another try.
func (m *Machine) oweRecorded(now time.Time, in Recorded, o *owed) {
	if in.Err == nil {
		delete(m.owed, in.Token)
		o.kept = true
		if o.then != nil {
			o.then(now)
		}
		if o.outcome != nil {
			m.do(Report{Outcome: *o.outcome})
		}
		return
	}
	if m.outdated(o) {
		delete(m.owed, in.Token)
		return
	}
	o.again = now.Add(oweRetry)
	if !o.refused {
		o.refused = true
		m.emit(rack.Event{
			Kind: rack.EventJournal, Severity: rack.Critical, Command: o.record.ID, Outlet: o.record.Outlet, Reason: in.Err.Error(),
			Text: o.untold() + ": the journal does not take it and is asked again",
		})
	}
}

// untold says in words what the journal does not take.
func (o *owed) untold() string {
	switch {
	case o.outcome == nil && o.record.Order != nil:
		return fmt.Sprintf("%s of %s", o.record.Kind, o.record.Order.Target)
	case o.outcome == nil:
		return fmt.Sprintf("outlet %s: %s", o.record.Outlet, o.record.Reason)
	}
	return fmt.Sprintf("command %s ended %s %s, which is told when it is on disk", o.outcome.Command, o.outcome.State, o.outcome.Code)
}

func (m *Machine) offerAgain(now time.Time) {
	for token, o := range m.owed {
		if !o.again.IsZero() && !now.Before(o.again) {
			delete(m.owed, token)
			m.owe(o)
		}
	}
}

// allExpired tells whether no target did anything because exp had passed; those that the plan refused count for neither.
func allExpired(targets []rack.TargetResult) bool {
	expired := false
	for _, t := range targets {
		switch {
		case t.State == rack.StateRejected:
		case t.State == rack.StateCancelled && t.Code == rack.CodeExpired:
			expired = true
		default:
			return false
		}
	}
	return expired
}

// Busy tells whether time alone can bring a command further, so that the loop must tick.
func (m *Machine) Busy() bool { return len(m.jobs)+len(m.own.asked)+len(m.locks.due) > 0 }
