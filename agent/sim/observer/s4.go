package observer

import "time"

// notTooSoon reports outlets that are closed before their time.
func notTooSoon(r *run) []Violation {
	var out []Violation
	newest := map[string]move{} // by top feed
	for _, m := range r.closings {
		if n := m.outlet.node; n != nil {
			if off, known := r.offSince(m); known && m.at.Sub(off) < n.minOff {
				out = append(out, r.report(m.at, m.seq, "%s is closed %.3f s after it was opened; %s must be off for %.0f s",
					m.outlet.label(), m.at.Sub(off).Seconds(), n.name, n.minOff.Seconds()))
			}
		}
		top := r.layout.top(m.outlet.feed)
		if before, ok := newest[top]; ok && m.at.Sub(before.at) < r.layout.stagger {
			out = append(out, r.report(m.at, m.seq, "%s is closed %.0f ms after %s (record %d); closings below %s are %.0f ms apart",
				m.outlet.label(), m.at.Sub(before.at).Seconds()*1000, before.outlet.label(), before.seq, top, r.layout.stagger.Seconds()*1000))
		}
		newest[top] = m
	}
	return out
}

// offSince tells since when an outlet has been open at a move that closes it; false if its contact is closed anyway.
// Where a coil opened it the change of the coil counts: the contact follows both ways in the same time.
func (r *run) offSince(m move) (time.Time, bool) {
	if r.truth.closed(m.outlet, m.at) {
		return time.Time{}, false
	}
	c := r.truth.last(m.outlet, m.at)
	switch {
	case c == nil:
		return r.firstReading(), true
	case c.Commanded.IsZero():
		return c.At, true
	default:
		return c.Commanded, true
	}
}
