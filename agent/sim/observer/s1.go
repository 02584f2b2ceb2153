package observer

import "fmt"

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
