package observer

import (
	"slices"
	"time"

	"rackagent/agent/sim"
)

// bank follows one relay expander through the record. It keeps every state the chip may be in: a transfer that failed
// on the wire may have been taken all the same, until a reading or a contact tells.
type bank struct {
	pdu     *pdu
	states  []expander
	history []epoch
}

// epoch is what a bank may have been in from a moment on.
type epoch struct {
	at     time.Time
	states []expander
}

// write is a transfer that carries data for the latch, the polarity or the direction of a relay bank. It counts from
// the moment it was handed to the transport, whatever became of it.
type write struct {
	seq    uint64
	at     time.Time
	pdu    *pdu
	pair   byte
	data   []byte
	before []expander // what the chip may have been in
	after  []expander // the same, each with the whole write taken
	moves  []move
}

// move is a change of what the registers make of a relay.
type move struct {
	outlet *outlet
	closed bool
	at     time.Time
	seq    uint64 // of the write
}

// newBank begins with the two ways in which a world begins: under control with every contact closed, or fresh from
// power-on. Which one it was is seen on the contacts that close by their coil.
func newBank(p *pdu, closed func(*outlet) bool) *bank {
	fresh := powerOn()
	control := expander{latch: 0xFFFF, direction: 0xFFFF}
	all := control
	all.direction = 0 // spare pins may be outputs too
	telling := slices.IndexFunc(p.outlets, func(o *outlet) bool { return !o.normallyClosed })
	for _, o := range p.outlets {
		control.direction &^= o.bit
		control, all = control.drive(o, !o.normallyClosed), all.drive(o, !o.normallyClosed)
	}
	states := []expander{fresh}
	switch {
	case telling < 0:
		states = append(states, control, all)
	case closed(p.outlets[telling]):
		states = []expander{control, all}
	}
	states = distinct(states)
	return &bank{pdu: p, states: states, history: []epoch{{states: states}}}
}

// follow takes one entry of the record; a write to the registers is returned.
func (b *bank) follow(e sim.Entry) *write {
	var w *write
	switch v := e.Event.(type) {
	case sim.Transfer:
		if v.Bus != b.pdu.bus || v.Addr != b.pdu.bank {
			return nil
		}
		w = b.write(e, v)
		b.transfer(v)
	case sim.Contact:
		if v.Relay.PDU != b.pdu.name || v.Cause != sim.CauseCoil {
			return nil
		}
		b.contact(v)
	case sim.Injected:
		if v.Fault.Kind != sim.FaultBrownout || v.Healed || v.Fault.Name != b.pdu.name {
			return nil
		}
		b.states = []expander{powerOn()}
	default:
		return nil
	}
	if !slices.Equal(b.history[len(b.history)-1].states, b.states) {
		b.history = append(b.history, epoch{e.At, slices.Clone(b.states)})
	}
	return w
}

// write describes a transfer with data for a register that counts.
func (b *bank) write(e sim.Entry, t sim.Transfer) *write {
	if len(t.W) < 2 || t.W[0]&7&^1 == pairInput {
		return nil
	}
	w := &write{seq: e.Seq, at: t.Handed, pdu: b.pdu, pair: t.W[0] & 7 &^ 1, data: t.W[1:], before: slices.Clone(b.states)}
	w.after = each(w.before, func(x expander) expander { return x.take(t.W) })
	for _, o := range b.pdu.outlets {
		for _, closed := range []bool{false, true} {
			if w.moved(t.W, o, closed) {
				w.moves = append(w.moves, move{o, closed, w.at, w.seq})
			}
		}
	}
	return w
}

// moved tells whether the write takes an outlet's relay to a position at any of its bytes, from any of the states.
func (w *write) moved(bytes []byte, o *outlet, closed bool) bool {
	for _, x := range w.before {
		for n := 2; n <= len(bytes); n++ {
			was, is := x.take(bytes[:n-1]), x.take(bytes[:n])
			if was.closed(o) != is.closed(o) && is.closed(o) == closed {
				return true
			}
		}
	}
	return false
}

// transfer lets the chip act.
func (b *bank) transfer(t sim.Transfer) {
	whole := each(b.states, func(x expander) expander { return x.take(t.W) })
	switch {
	case t.Ended != 0 && t.Err == nil:
		b.states = whole
	case t.Ended != 0 && !t.Wire:
		// It came back before a byte went out.
	default:
		out := slices.Clone(b.states)
		for n := 1; n <= len(t.W); n++ {
			out = append(out, each(b.states, func(x expander) expander { return x.take(t.W[:n]) })...)
		}
		b.states = distinct(out)
		return
	}
	if t.Err == nil && t.Ended != 0 && len(t.R) > 0 {
		b.read(t.R)
	}
	b.states = distinct(b.states)
}

// read drops the states that would have answered otherwise. An answer that fits none comes from a disturbed bus, or
// from a chip that fell to its power-on values unseen; the second becomes possible.
func (b *bank) read(r []byte) {
	var fit []expander
	for _, x := range b.states {
		if next, ok := x.tells(r); ok {
			fit = append(fit, next)
		}
	}
	if len(fit) > 0 {
		b.states = fit
		return
	}
	fresh := powerOn()
	fresh.pointer = b.states[0].pointer
	if _, ok := fresh.tells(r); ok {
		b.states = append(b.states, fresh)
	}
	b.states = each(b.states, func(x expander) expander {
		x.pointer ^= byte(len(r) & 1)
		return x
	})
}

// contact takes what a relay did for the state of its coil. If no state explains it, something other than the bus
// changed the chip.
func (b *bank) contact(c sim.Contact) {
	i := slices.IndexFunc(b.pdu.outlets, func(o *outlet) bool { return o.id == c.Relay })
	if i < 0 {
		return
	}
	o := b.pdu.outlets[i]
	fits := func(x expander) bool { return x.closed(o) == c.Closed }
	if slices.ContainsFunc(b.states, fits) {
		b.states = slices.DeleteFunc(slices.Clone(b.states), func(x expander) bool { return !fits(x) })
		return
	}
	b.states = distinct(each(b.states, func(x expander) expander { return x.drive(o, c.Closed != o.normallyClosed) }))
}

// during gives the states a bank may have been in within a window.
func (b *bank) during(from, to time.Time) []expander {
	var out []expander
	for i, e := range b.history {
		ends := i+1 < len(b.history) && !b.history[i+1].at.After(from)
		if !ends && !e.at.After(to) {
			out = append(out, e.states...)
		}
	}
	return out
}

// relays are the bits of a board's expander that have a relay.
func (p *pdu) relays() uint16 {
	var bits uint16
	for _, o := range p.outlets {
		bits |= o.bit
	}
	return bits
}
