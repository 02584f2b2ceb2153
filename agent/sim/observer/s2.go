package observer

import (
	"slices"
	"time"
)

// lowVoltage is the lowest voltage that counts, as a part of the nominal one: the same watts draw more amperes there.
const lowVoltage = 0.95

// pending is how long a relay that was told to close counts as closed although its contact has not moved: arbitrary,
// ten times the operate time of a contact.
const pending = 100 * time.Millisecond

// withinLimits adds up what each level above a closing outlet must carry.
func withinLimits(r *run) []Violation {
	var out []Violation
	for _, m := range r.closings {
		held := r.reservations(m)
		for _, level := range r.levelsOf(m.outlet) {
			for _, line := range level.lines {
				if a := r.amperes(held, level, line); a > level.limitA {
					out = append(out, r.report(m.at, m.seq, "closing %s takes %s to %.2f A on %s, by reservation and surge; its limit is %.2f A",
						m.outlet.label(), level.name, a, line, level.limitA))
				}
			}
		}
		if n := m.outlet.node; n != nil {
			if a := held[n] / (r.layout.feeds[m.outlet.feed].volts * lowVoltage); a > m.outlet.limitA {
				out = append(out, r.report(m.at, m.seq, "closing %s puts %.2f A on an outlet of %.0f A", m.outlet.label(), a, m.outlet.limitA))
			}
		}
	}
	return out
}

// reservations are the watts held for each node once a relay has closed: its most, and its surge while it starts.
func (r *run) reservations(m move) map[*node]float64 {
	held := map[*node]float64{}
	for _, n := range r.layout.nodes {
		if n == m.outlet.node || r.on(n, m) {
			held[n] = n.maxW
			if n != m.outlet.node && r.asleep(n, m.at) {
				_, most := r.truth.between(m.at.Add(-50*time.Second), m.at, n.outlets...)
				held[n] = max(sleepingW, most)
			}
		}
	}
	for _, c := range r.closings {
		n := c.outlet.node
		if n == nil || c.seq > m.seq || m.at.Sub(c.at) > n.surgeFor || r.on(n, c) {
			continue
		}
		if held[n] > 0 || c.seq == m.seq {
			held[n] = n.maxW + n.surgeW
		}
	}
	return held
}

// on tells whether a node has, or may have, power just before a relay closes: one of its contacts is closed, or was
// told to close a moment before.
func (r *run) on(n *node, m move) bool {
	return slices.ContainsFunc(n.outlets, func(o *outlet) bool {
		if r.truth.closed(o, m.at) || r.truth.watts(o, m.at) > 0 {
			return true
		}
		return slices.ContainsFunc(r.closings, func(c move) bool {
			return c.outlet == o && c.seq < m.seq && m.at.Sub(c.at) < pending
		})
	})
}

// levelsOf lists the levels above all outlets of what an outlet feeds, each once.
func (r *run) levelsOf(o *outlet) []feed {
	outlets := []*outlet{o}
	if o.node != nil {
		outlets = o.node.outlets
	}
	var out []feed
	for _, o := range outlets {
		for _, level := range r.layout.levels(o.feed) {
			if !slices.ContainsFunc(out, func(f feed) bool { return f.name == level.name }) {
				out = append(out, level)
			}
		}
	}
	return out
}

// amperes is what the reservations come to on one line of a level. A node counts once and whole on each line that any
// of its outlets hangs on; a load between two lines counts on both.
func (r *run) amperes(held map[*node]float64, level feed, line string) float64 {
	var sum float64
	for n, w := range held {
		var most float64
		for _, o := range n.outlets {
			leaf := r.layout.feeds[o.feed]
			below := slices.ContainsFunc(r.layout.levels(o.feed), func(f feed) bool { return f.name == level.name })
			if below && slices.Contains(leaf.lines, line) && leaf.volts > 0 {
				most = max(most, w/(leaf.volts*lowVoltage))
			}
		}
		sum += most
	}
	return sum
}

// sleepingW is what a miner counts for at least that sleeps.
const sleepingW = 50.0

// asleep tells whether a miner counts as asleep: a command has ended with a proof that it sleeps, and none that raises it was
// accepted since.
func (r *run) asleep(n *node, at time.Time) bool {
	slept := time.Time{}
	for _, e := range r.book.entries {
		for _, rec := range e.ended {
			if rec.Outcome == nil || rec.At.After(at) {
				continue
			}
			for _, t := range rec.Outcome.Targets {
				for _, s := range t.Steps {
					if s.Do == doSleep && s.On == "node/"+n.name && s.Settled != nil && rec.At.After(slept) {
						slept = rec.At
					}
				}
			}
		}
	}
	if slept.IsZero() {
		return false
	}
	for _, e := range r.book.entries {
		for _, a := range e.accepted {
			raises := a.Command != nil && (a.Command.Op == "wake" || a.Command.Op == opStart || a.Command.Op == "release")
			if raises && a.At.After(slept.Add(-time.Second)) && a.At.Before(at) && slices.Contains(r.layout.members(a.Command.Target), n) {
				return false
			}
		}
	}
	return true
}
