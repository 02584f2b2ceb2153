package observer

import (
	"slices"
	"strings"
	"time"
)

// lockSpan is the time in which a maintenance lock must hold.
type lockSpan struct {
	target string
	id     string // of the command that set it
	from   uint64 // entry of the world's record from which on it holds
	at     time.Time
	until  time.Time // when the command that released it was taken; zero: never
}

// lockSpans lists when locks must hold: from the moment that the result was told or, if that is earlier, from the first
// sign of the next life of the agent; until an unlock of the same target was taken. What the agent keeps as orders is not
// asked: its journal holds the newest of each target only.
func (r *run) lockSpans() []lockSpan {
	var out []lockSpan
	for _, e := range r.book.entries {
		if !e.succeeded("lock") {
			continue
		}
		sp := lockSpan{target: e.accepted[0].Command.Target, id: e.id, from: Final}
		if i := slices.IndexFunc(r.mail.statuses, func(s *status) bool { return s.ID == e.id && s.State == "succeeded" }); i >= 0 {
			sp.from, sp.at = r.mail.statuses[i].seq, r.mail.statuses[i].at
		}
		if b, ok := r.laterBoot(e.ended[0].Boot, time.Unix(1<<40, 0)); ok && (sp.at.IsZero() || b.first.Before(sp.at)) {
			sp.from, sp.at = r.entryAt(b.first), b.first
		}
		if sp.from == Final {
			continue
		}
		sp.until = r.unlocked(sp.target, e.ended[0].At)
		out = append(out, sp)
	}
	return out
}

// succeeded tells whether a command with a verb did what it says.
func (e *entry) succeeded(op string) bool {
	return len(e.accepted) > 0 && len(e.ended) > 0 && e.accepted[0].Command != nil && e.accepted[0].Command.Op == op &&
		!e.accepted[0].Command.Dry && e.ended[0].Outcome != nil && e.ended[0].Outcome.State == "succeeded"
}

// unlocked is when the first unlock of a target after a moment was taken.
func (r *run) unlocked(target string, after time.Time) time.Time {
	var first time.Time
	for _, e := range r.book.entries {
		if !e.succeeded("unlock") || e.accepted[0].Command.Target != target || e.accepted[0].At.Before(after) {
			continue
		}
		if at := e.accepted[0].At; first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first
}

// entryAt is the first entry of the world's record at or after a moment.
func (r *run) entryAt(at time.Time) uint64 {
	for _, e := range r.entries {
		if !e.At.Before(at) {
			return e.Seq
		}
	}
	return Final
}

// covers tells whether a lock is on an outlet.
func (l lockSpan) covers(o *outlet) bool {
	kind, name, _ := strings.Cut(l.target, "/")
	switch kind {
	case "rack":
		return true
	case "node":
		return o.node != nil && o.node.name == name
	default:
		return o.id.String() == name
	}
}

// lockedStays reports writes on what was locked: those of a step on it, those that move its relay, and those that take
// its bank over.
func lockedStays(r *run) []Violation {
	var out []Violation
	for _, l := range r.lockSpans() {
		for i, w := range r.writes {
			if w.seq <= l.from || !l.until.IsZero() && !w.at.Before(l.until) {
				continue
			}
			if o := r.touchedBy(i, l); o != nil && !passes(r.reasons[i], o) {
				out = append(out, r.report(w.at, w.seq, "%s, although %s was locked by command %s, told %.3f s before: %s",
					w.does(), l.target, l.id, w.at.Sub(l.at).Seconds(), o.label()))
			}
		}
	}
	return out
}

// passes tells whether a write is the cut of a miner that a leak or an emergency stop asked for: that passes locks.
func passes(why reason, o *outlet) bool {
	return why.step != nil && why.step.Do == doCut && why.record.Command != nil && why.record.Command.Emergency && why.record.Command.Origin == "agent" &&
		o.node != nil && !o.node.firm
}

// touchedBy finds an outlet that a lock covers among those that a write is about; nil: none.
func (r *run) touchedBy(i int, l lockSpan) *outlet {
	w, why := r.writes[i], r.reasons[i]
	for _, m := range w.moves {
		if l.covers(m.outlet) {
			return m.outlet
		}
	}
	if why.step != nil {
		if o := r.layout.outlets[why.step.On]; o != nil && l.covers(o) {
			return o
		}
	} else if why.record != nil {
		for _, o := range w.bank.outlets {
			if l.covers(o) {
				return o
			}
		}
	}
	return nil
}
