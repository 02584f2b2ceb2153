package observer

import (
	"fmt"
	"time"

	"rackagent/agent/sim"
)

// firmStays reports writes that open an outlet of a firm node, or of no node.
func firmStays(r *run) []Violation {
	var out []Violation
	for _, m := range r.openings {
		switch n := m.outlet.node; {
		case n == nil:
			out = append(out, r.report(m.at, m.seq, "a write opens %s, of which nobody said what hangs on it", m.outlet.id))
		case n.firm:
			out = append(out, r.report(m.at, m.seq, "a write opens %s of the firm node %s", m.outlet.id, n.name))
		}
	}
	return out
}

// wiringKnown reports writes that open an outlet of which it is not known what it feeds.
func wiringKnown(r *run) []Violation {
	var out []Violation
	for _, m := range r.openings {
		if why := r.unproven(m); why != "" {
			out = append(out, r.report(m.at, m.seq, "a write opens %s, whose wiring is unproven: %s", m.outlet.label(), why))
		}
	}
	return out
}

// unproven tells why an outlet's wiring must count as unproven at a move; empty: it need not.
func (r *run) unproven(m move) string {
	o := m.outlet
	switch {
	case o.node != nil && o.node.unproven:
		return "the configuration does not declare it"
	case o.pdu.noIdentity && r.layout.hasFirm():
		return "its board has no serial, and there are firm nodes"
	}
	if why := r.otherBoard(m); why != "" {
		return why
	}
	wiring, why := "", ""
	for _, rec := range r.book.records {
		if rec.Kind == "wiring" && rec.Outlet == o.id && !rec.At.After(m.at) {
			wiring, why = rec.Wiring, rec.Reason
		}
	}
	if wiring == "unproven" {
		return "the journal says so: " + why
	}
	return ""
}

// board is what could be known of a board's serial at a point of the record.
type board struct {
	serial string    // what its memory says
	since  time.Time // of another serial than the configuration's
	before bool      // it was read while it was the configured board
	after  bool      // it was read since
}

// otherBoard tells that a move is on a board with another serial than the configuration's. The agent had to know if
// it had read the board's memory since the exchange, or if the reading was due; a board that was never read as the
// configured one is not trusted from the start.
func (r *run) otherBoard(m move) string {
	p := m.outlet.pdu
	b := r.boardAt(p, m.seq)
	due := b.since.Add(r.layout.identity + recovery)
	if p.noIdentity || b.serial == p.serial || b.before && !b.after && !m.at.After(due) {
		return ""
	}
	return fmt.Sprintf("its board says serial %s since %.3f s after the start, the configuration %s", b.serial, b.since.Sub(r.start).Seconds(), p.serial)
}

// boardAt follows a board's memory up to an entry of the record. That it began with the configured serial is taken
// for granted: the record tells of exchanges only.
func (r *run) boardAt(p *pdu, seq uint64) board {
	b := board{serial: p.serial}
	for _, e := range r.entries[:seq] {
		switch v := e.Event.(type) {
		case sim.Injected:
			if v.Fault.Kind != sim.FaultSerial || v.Fault.Name != p.name {
				continue
			}
			b.serial, b.since, b.after = v.Fault.Serial, v.At, false
			if v.Healed {
				b.serial = p.serial
			}
		case sim.Transfer:
			if v.Bus != p.bus || v.Addr != p.fru || len(v.R) == 0 || v.Err != nil || v.Ended == 0 || v.Ended > seq {
				continue
			}
			b.before = b.before || b.serial == p.serial
			b.after = true
		}
	}
	return b
}
