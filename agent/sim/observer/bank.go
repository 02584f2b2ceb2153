package observer

import (
	"fmt"
	"slices"
	"time"

	"rackagent/agent/sim"
)

// relays is one relay bank of a PDU: the relays that one part drives and that lose control together.
type relays struct {
	pdu     *pdu
	n       int // as the journal counts it, from 1; 0: the PDU has one only
	kind    kind
	addr    uint16
	chip    string // what the world calls the part
	outlets []*outlet
}

// label names a bank: "pdu-a", or "pdu-a bank 2" where there are several.
func (u *relays) label() string {
	if u.n == 0 {
		return u.pdu.name
	}
	return fmt.Sprintf("%s bank %d", u.pdu.name, u.n)
}

// bits are those of the part that drive a relay.
func (u *relays) bits() uint16 {
	var bits uint16
	for _, o := range u.outlets {
		bits |= o.bit
	}
	return bits
}

// struck tells whether a fault lets the part fall to its power-on values.
func (u *relays) struck(f sim.Fault) bool {
	switch f.Kind {
	case sim.FaultBrownout:
		return u.kind != operation && (f.Name == u.pdu.name || f.Name == u.chip)
	case sim.FaultRestart:
		return u.kind == operation && f.Name == u.chip
	default:
		return false
	}
}

// bank follows one relay bank through the record. It keeps every state the part may be in: a transfer that failed on the
// wire may have been taken all the same, until a reading or a contact tells.
type bank struct {
	*relays
	states  []chip
	history []epoch
}

// epoch is what a bank may have been in from a moment on.
type epoch struct {
	at     time.Time
	states []chip
}

// write is a transfer that carries data for a register that counts. It counts from the moment it was handed to the
// transport, whatever became of it.
type write struct {
	seq    uint64
	at     time.Time
	bank   *relays
	reg    register
	data   []byte
	before []chip // what the part may have been in
	after  []chip // the same, each with the whole write taken
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
func newBank(u *relays, closed func(*outlet) bool) *bank {
	fresh := powerOn(u.kind)
	control := fresh
	all := control
	all.direction = 0 // spare pins may be outputs too
	telling := slices.IndexFunc(u.outlets, func(o *outlet) bool { return !o.normallyClosed })
	for _, o := range u.outlets {
		control.direction &^= o.bit
		control, all = control.drive(o, !o.normallyClosed), all.drive(o, !o.normallyClosed)
	}
	states := []chip{fresh}
	switch {
	case telling < 0:
		states = append(states, control, all)
	case u.kind == operation:
		states = []chip{fresh.drive(u.outlets[telling], closed(u.outlets[telling]))}
	case closed(u.outlets[telling]):
		states = []chip{control, all}
	}
	states = distinct(states)
	return &bank{relays: u, states: states, history: []epoch{{states: states}}}
}

// follow takes one entry of the record; a write to the registers is returned.
func (b *bank) follow(e sim.Entry) *write {
	var w *write
	switch v := e.Event.(type) {
	case sim.Transfer:
		if !b.hears(v) {
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
		if v.Healed || !b.struck(v.Fault) {
			return nil
		}
		b.states = []chip{powerOn(b.kind)}
	default:
		return nil
	}
	if !slices.Equal(b.history[len(b.history)-1].states, b.states) {
		b.history = append(b.history, epoch{e.At, slices.Clone(b.states)})
	}
	return w
}

// hears tells whether a transfer reaches the part. Controllers share one address and sit behind switches: what counts is
// which of them were connected, be it several at once.
func (b *bank) hears(t sim.Transfer) bool {
	if b.kind == operation {
		return t.Bus == b.pdu.bus && slices.Contains(t.Chips, b.chip)
	}
	return t.Bus == b.pdu.bus && t.Addr == b.addr
}

// write describes a transfer with data for a register that counts.
func (b *bank) write(e sim.Entry, t sim.Transfer) *write {
	if len(t.W) == 0 {
		return nil
	}
	reg := b.kind.register(t.W[0])
	order := reg == regPowerCycle && len(t.R) == 0 // carries no data
	if reg == "" || len(t.W) < 2 && !order {
		return nil
	}
	w := &write{seq: e.Seq, at: t.Handed, bank: b.relays, reg: reg, data: t.W[1:], before: slices.Clone(b.states)}
	w.after = each(w.before, func(x chip) chip { return x.take(b.heard(t, len(t.W))) })
	for _, o := range b.outlets {
		for _, closed := range []bool{false, true} {
			if w.moved(b, t, o, closed) {
				w.moves = append(w.moves, move{o, closed, w.at, w.seq})
			}
		}
	}
	return w
}

// heard is what the part makes of the first n bytes of a transfer.
func (b *bank) heard(t sim.Transfer, n int) []byte { return b.kind.heard(b.addr, t.W[:n], len(t.R)) }

// moved tells whether the write takes an outlet's relay to a position at any of its bytes, from any of the states. A
// controller acts at the end; POWER_CYCLE takes the output away, and gives it back by itself.
func (w *write) moved(b *bank, t sim.Transfer, o *outlet, closed bool) bool {
	for _, x := range w.before {
		if w.reg == regPowerCycle && x.closed(o) && !closed {
			return true
		}
		for n := 2; n <= len(t.W); n++ {
			first := n - 1
			if b.kind == operation {
				first, n = 1, len(t.W)
			}
			was, is := x.take(b.heard(t, first)), x.take(b.heard(t, n))
			if was.closed(o) != is.closed(o) && is.closed(o) == closed {
				return true
			}
		}
	}
	return false
}

// transfer lets the part act.
func (b *bank) transfer(t sim.Transfer) {
	whole := each(b.states, func(x chip) chip { return x.take(b.heard(t, len(t.W))) })
	switch {
	case t.Ended != 0 && t.Err == nil:
		b.states = whole
	case t.Ended != 0 && !t.Wire:
		// It came back before a byte went out.
	default:
		out := slices.Clone(b.states)
		for n := 1; n <= len(t.W); n++ {
			out = append(out, each(b.states, func(x chip) chip { return x.take(b.heard(t, n)) })...)
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
	var fit []chip
	for _, x := range b.states {
		if next, ok := x.tells(r); ok {
			fit = append(fit, next)
		}
	}
	if len(fit) > 0 {
		b.states = fit
		return
	}
	fresh := powerOn(b.kind)
	fresh.pointer = b.states[0].pointer
	if _, ok := fresh.tells(r); ok {
		b.states = append(b.states, fresh)
	}
	b.states = each(b.states, func(x chip) chip {
		x.next(len(r))
		return x
	})
}

// contact takes what a relay did for the state of its coil. If no state explains it, something other than the bus
// changed the chip.
func (b *bank) contact(c sim.Contact) {
	i := slices.IndexFunc(b.outlets, func(o *outlet) bool { return o.id == c.Relay })
	if i < 0 {
		return
	}
	o := b.outlets[i]
	fits := func(x chip) bool { return x.closed(o) == c.Closed }
	if slices.ContainsFunc(b.states, fits) {
		b.states = slices.DeleteFunc(slices.Clone(b.states), func(x chip) bool { return !fits(x) })
		return
	}
	b.states = distinct(each(b.states, func(x chip) chip { return x.drive(o, c.Closed != o.normallyClosed) }))
}

// during gives the states a bank may have been in within a window.
func (b *bank) during(from, to time.Time) []chip {
	var out []chip
	for i, e := range b.history {
		ends := i+1 < len(b.history) && !b.history[i+1].at.After(from)
		if !ends && !e.at.After(to) {
			out = append(out, e.states...)
		}
	}
	return out
}
