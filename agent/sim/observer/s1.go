package observer

import (
	"fmt"
	"slices"
)

// explained reports writes without a reason, and take-overs that move a relay.
func explained(r *run) []Violation {
	var out []Violation
	for i, w := range r.writes {
		why := r.reasons[i]
		switch {
		case why.record == nil:
			out = append(out, r.report(w.at, w.seq, "%s, %s, is not explained: %s", w.about(), w.does(), why.problem))
		case why.step == nil && len(w.moves) > 0:
			out = append(out, r.report(w.at, w.seq, "the take-over for command %s is %s: a take-over moves nothing", why.entry.id, w.does()))
		}
	}
	return append(out, r.neverLost()...)
}

// neverLost reports take-overs of what cannot get out of control, or is not there.
func (r *run) neverLost() []Violation {
	var out []Violation
	for _, e := range r.book.entries {
		for _, p := range e.progress {
			if p.Progress == nil || p.Progress.Fact != factAdopt {
				continue
			}
			i := slices.IndexFunc(r.banks, func(b *bank) bool { return p.Progress.of(b.relays) })
			if i < 0 || r.banks[i].kind == operation {
				out = append(out, r.report(p.At, 0, "command %s takes over bank %d of %s, which is no relay bank with a direction", e.id, p.Progress.Bank, p.Progress.PDU))
			}
		}
	}
	return out
}

// onDisk reports writes that a copy of the state directory cannot explain although it was made after them.
func onDisk(r *run) []Violation {
	var out []Violation
	for _, c := range r.copies {
		if c.Seq == Final || c.err != nil {
			continue // the end says nothing about what came first; a copy that cannot be read is reported as such
		}
		for i, w := range r.writes {
			if why := r.reasons[i]; w.seq <= c.Seq && why.record != nil && !c.journal.has(why.record) {
				out = append(out, r.report(w.at, w.seq, "%s for command %s went to the bus, and %s holds no %s record of it: a crash would have lost the reason",
					w.does(), why.entry.id, c.where(), why.record.Kind))
			}
		}
	}
	return out
}

// where names a copy.
func (c copied) where() string { return fmt.Sprintf("the copy %s (made at record %d)", c.Path, c.Seq) }
