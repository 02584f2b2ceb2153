package power

import (
	"fmt"
	"time"

	"rackagent/agent/rack"
)

// A shutdown that cannot put its miner to sleep goes on to the cut of its outlets, at once and without letting the fans run
// on: when the miner's own time is up, or when what is left until the deadline is just enough for the cuts. It does not where
// the outlets are to stay closed, where their wiring is not believed, where somebody stopped it, and where the journal did not
// keep what precedes the sleep: nothing was said to that miner, and a cut needs the journal as well.

// cutGrace is how much later than that a cut may begin: turns of the loop go by before it does. It is far within what a cut's
// limit allows for a lane that is held up.
const cutGrace = time.Second

// escalates tells whether the step that is under way or comes next is one that a cut follows if it fails.
func (t *target) escalates() bool {
	st := t.plan.Steps[t.next]
	return t.job.cmd.Op == rack.OpShutdown && st.Do == rack.DoSleep && t.next+1 < len(t.plan.Steps)
}

// outOfTime tells whether a miner that is being put to sleep must be given up for the cut.
func (t *target) outOfTime(now time.Time) bool {
	return t.current.miner != nil && t.escalates() && t.job.cmd.Args.DeadlineS > 0 && !now.Before(t.job.deadline.Add(-cutsLeft(t.plan.Steps)))
}

// giveUpTelling ends a sleep for want of time. Its lane is told so; what it still answers is heard by nobody.
func (m *Machine) giveUpTelling(now time.Time, t *target) {
	w := t.current
	v := verdict{state: rack.StateUnknown, code: rack.CodeDeviceTimeout, text: "the deadline left no more time for it"}
	switch w.state {
	case stageSettling:
		v = w.unprovenTelling(&m.world)
	case stageAsking, stageWriting:
		m.do(Abort{Token: w.token, On: w.step.Where()})
	}
	delete(m.waiting, w.token)
	delete(m.waiting, w.miner.asking)
	m.stepEnded(now, t, v)
}

// escalate goes on from a sleep that failed to the cut; false: it does not.
func (m *Machine) escalate(now time.Time, t *target, v verdict) bool {
	if !t.escalates() || t.stop != nil || !v.suspect.IsZero() || v.code == rack.CodeMaintenanceLock || v.code == rack.CodeJournalFull {
		return false
	}
	t.forced = &v
	t.next++
	t.stepDone = time.Time{}
	m.emit(rack.Event{
		Kind: rack.EventEscalated, Severity: rack.Warn, Device: t.plan.Node, Node: t.plan.Node, Command: t.job.cmd.ID, Reason: string(v.code),
		Text: fmt.Sprintf("%s could not be put to sleep (%s): its outlet is cut while it runs", t.plan.Node, v.text),
	})
	return true
}

// notBefore is when the step may begin at the earliest, as far as the step before it goes. What a deadline leaves no time for
// is not waited for.
func (t *target) notBefore(st rack.Step) time.Time {
	wait := t.stepDone.Add(st.Wait())
	if t.forced != nil {
		return time.Time{}
	}
	if j := t.job; j.cmd.Op == rack.OpShutdown && j.cmd.Args.DeadlineS > 0 {
		if latest := j.deadline.Add(-cutsLeft(t.plan.Steps[t.next:])); latest.Before(wait) {
			return latest
		}
	}
	return wait
}

// notAllowed is the verdict of a step that the world forbids by now.
func (t *target) notAllowed(r *rack.Refusal) verdict {
	v := verdict{state: rack.StateFailed, code: r.Code, text: r.Text}
	if t.forced != nil {
		v.text = t.forced.text + "; its outlet is not cut: " + r.Text
		if r.Code == rack.CodeWiringUnproven {
			v.code = rack.CodeVerifyFailed
		}
	}
	return v
}
