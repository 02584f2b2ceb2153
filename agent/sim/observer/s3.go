package observer

import (
	"fmt"
	"slices"
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
			if why := r.unforced(m.seq, m.outlet); why != "" {
				out = append(out, r.report(m.at, m.seq, "a write opens %s of the firm node %s: %s", m.outlet.id, n.name, why))
			}
		}
	}
	return out
}

// unforced tells why a write may not open an outlet of a firm node; empty: two persons wanted it. One sent a command with
// force for this node or this outlet, signed or over the local socket; another one, by a command that was accepted before,
// approved the very payload.
func (r *run) unforced(seq uint64, o *outlet) string {
	i := slices.IndexFunc(r.writes, func(w *write) bool { return w.seq == seq })
	if i < 0 || r.reasons[i].entry == nil || len(r.reasons[i].entry.accepted) == 0 {
		return "no command asks for it"
	}
	a := r.reasons[i].entry.accepted[0]
	c := a.Command
	switch {
	case c == nil || !c.Args.Force:
		return "its command does not say force"
	case c.Op != "outlet.cut" && c.Op != "outlet.cycle" || c.Target != "node/"+o.node.name && c.Target != "outlet/"+o.id.String():
		return fmt.Sprintf("its command is %s of %s", c.Op, c.Target)
	case !c.Signed || c.Issuer == "":
		return "nobody is known to have sent its command"
	case c.Approval == nil:
		return "nobody approved its command"
	case c.Approval.By == "" || c.Approval.By == c.Issuer:
		return "its issuer approved it"
	case c.Approval.Sha256 != c.Hash:
		return "the approval is of another payload"
	}
	if waited := r.reasons[i].entry.waiting; len(waited) == 0 || waited[0].Command == nil || waited[0].Command.Hash != c.Hash {
		return "its command never waited for an approval"
	}
	return r.unapproved(a)
}

// unapproved tells why there is no second person behind an approval; empty: there is.
func (r *run) unapproved(a *record) string {
	c := a.Command
	e := r.book.byID[c.Approval.ID]
	if e == nil || len(e.accepted) == 0 || e.accepted[0].Command == nil {
		return fmt.Sprintf("no command %s is in the journal that could have approved it", c.Approval.ID)
	}
	second := e.accepted[0]
	s := second.Command
	switch {
	case s.Op != "approve" || s.Args.ID != a.ID || s.Args.Sha256 != c.Hash:
		return fmt.Sprintf("command %s does not approve it", c.Approval.ID)
	case !s.Signed || s.Issuer != c.Approval.By:
		return fmt.Sprintf("command %s is not of %s", c.Approval.ID, c.Approval.By)
	case second.At.After(a.At):
		return fmt.Sprintf("command %s came later", c.Approval.ID)
	}
	return ""
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
