package observer

import (
	"slices"
	"time"

	"rackagent/agent/sim"
)

// holdUp is how long before a server goes down its supply may have gone: arbitrary, five times the hold-up time of a
// power supply.
const holdUp = 50 * time.Millisecond

// serversUp reports servers that a write took down.
func serversUp(r *run) []Violation {
	var out []Violation
	for _, d := range r.truth.downs {
		for _, o := range r.supplies(d) {
			c := r.truth.last(o, d.At)
			if c == nil || c.Closed {
				continue
			}
			if w := r.openedBy(c); w != nil && (o.node == nil || r.unforced(w.seq, o) != "") {
				out = append(out, r.report(d.At, w.seq, "server %s goes down: a write opened %s %.3f s before", d.Load, o.label(), d.At.Sub(w.at).Seconds()))
				break
			}
		}
	}
	return out
}

// supplies lists the outlets of a server as the configuration has them. Where all of their contacts are closed, and
// no feed was lost, the configuration is wrong about them, and whatever opened just before is meant.
func (r *run) supplies(d sim.Down) []*outlet {
	for _, n := range r.layout.nodes {
		open := func(o *outlet) bool { return !r.truth.closed(o, d.At) }
		if n.name == d.Load && (slices.ContainsFunc(n.outlets, open) || r.feedLost(d.At)) {
			return n.outlets
		}
	}
	var out []*outlet
	for _, u := range r.layout.pdus {
		for _, o := range u.outlets {
			if c := r.truth.last(o, d.At); c != nil && !c.Closed && d.At.Sub(c.At) <= holdUp {
				out = append(out, o)
			}
		}
	}
	return out
}

func (r *run) feedLost(at time.Time) bool {
	return slices.ContainsFunc(r.truth.spans(func(f sim.Fault) bool { return f.Kind == sim.FaultFeedLost }), func(s span) bool { return s.covers(at) })
}

// openedBy finds the write that opened a contact; nil where a fault did it, or a relay that switches another outlet's
// cable.
func (r *run) openedBy(c *sim.Contact) *write {
	if c.Cause != sim.CauseCoil || c.Relay != c.Outlet {
		return nil
	}
	o := r.layout.outlets[c.Relay]
	for _, s := range r.truth.spans(func(f sim.Fault) bool { return o != nil && o.bank.struck(f) }) {
		if s.from.Equal(c.Commanded) {
			return nil
		}
	}
	var last *write
	for _, w := range r.writes {
		for _, m := range w.moves {
			if m.outlet.id == c.Relay && !m.closed && !w.at.After(c.Commanded) {
				last = w
			}
		}
	}
	return last
}
