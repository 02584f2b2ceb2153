package pdu

import (
	"context"
	"errors"
	"fmt"
	"time"

	"periph.io/x/conn/v3/i2c"

	"rackagent/drivers"
	"rackagent/drivers/chip"
)

// BankSample is how one relay bank stands.
type BankSample struct {
	Bank      int       // counted from 0
	At        time.Time // before the first word was read
	Latch     uint16
	Direction uint16
	Polarity  uint16
	// Controlled: direction and polarity are as this package leaves them, so the latch decides.
	Controlled bool
	// Fault is drivers.OutOfControl when all pins are inputs, as after a loss of the expander's supply;
	// drivers.Foreign in any other state but Controlled. Reason says it in words.
	Fault  drivers.Fault
	Reason string
	// Outlets are the numbers of the bank's outlets, in their order.
	Outlets []int
	// Closed tells for the outlet at the same place of Outlets what the words make of its contact: the latch where its pin is an output, the
	// position at rest where it is not. It says nothing about welded contacts. With Foreign it is a guess.
	Closed []bool
}

// Bank reads a relay bank, counted from 0, and judges it. A bank that is not under control is a result, not an error.
func (p *PDU) Bank(ctx context.Context, i int) (BankSample, error) {
	b, err := p.bankAt("read", i)
	if err != nil {
		return BankSample{}, err
	}
	var s BankSample
	err = b.poll.Do(ctx, func(tx i2c.Bus) error {
		part, err := b.chip(tx)
		if err != nil {
			return err
		}
		at := time.Now()
		w, err := part.Read(ctx)
		s = p.model.bank(i, w, at)
		if foreignSettings(err) { // a result, too
			s.Fault, s.Reason, s.Controlled = drivers.Foreign, err.Error(), false
			return nil
		}
		return err
	})
	if err != nil {
		return BankSample{}, err
	}
	return s, nil
}

// foreignSettings tells a part that somebody else has set up from one that the bus refuses to talk to, because a kernel
// driver owns it.
func foreignSettings(err error) bool {
	var part, below *drivers.Error
	return errors.As(err, &part) && part.Fault == drivers.Foreign && !errors.As(part.Err, &below)
}

// Standing gives the words that keep every relay where the sample found it, to be recorded and then given to
// Adopt: each outlet's bit makes its contact what Closed says, pins that drive no relay keep their latch bit.
// Change Closed where a measurement knows better.
func (p *PDU) Standing(b BankSample) (latch, direction uint16) {
	latch = b.Latch & p.model.banks[b.Bank].part.all()
	for i, o := range p.model.on(b.Bank) {
		if i < len(b.Closed) {
			latch = o.set(latch, b.Closed[i])
		}
	}
	return latch, p.model.direction(b.Bank)
}

func (m *Model) bank(i int, w chip.Words, at time.Time) BankSample {
	s := BankSample{Bank: i, At: at, Latch: w.Latch, Direction: w.Direction, Polarity: w.Polarity}
	s.Fault, s.Reason = m.judge(i, w)
	s.Controlled = s.Fault == drivers.None
	for _, o := range m.on(i) {
		s.Outlets = append(s.Outlets, o.N)
		s.Closed = append(s.Closed, o.closed(w))
	}
	return s
}

// judge compares direction and polarity with what they must be. A disturbed polarity is no brown-out, whatever the
// direction says: a reset clears it.
func (m *Model) judge(bank int, w chip.Words) (drivers.Fault, string) {
	want := m.direction(bank)
	switch {
	case w.Polarity != 0:
		return drivers.Foreign, fmt.Sprintf("polarity reads %04x instead of 0000", w.Polarity)
	case w.Direction == want:
		return drivers.None, ""
	case w.Direction == chip.AllInputs && m.banks[bank].part.directed:
		return drivers.OutOfControl, "direction reads all inputs: the expander lost its supply or was never set up"
	default:
		return drivers.Foreign, fmt.Sprintf("direction reads %04x instead of %04x", w.Direction, want)
	}
}

// closed tells what the words make of the outlet's contact. A pin that is an input leaves the coil without supply.
func (o Outlet) closed(w chip.Words) bool {
	driven := w.Direction&o.relay == 0
	energised := driven && (w.Latch&o.relay != 0) == o.activeHigh
	return energised == (o.contact != normallyClosed)
}

// set gives the latch with this outlet's bit so that its contact is closed or open.
func (o Outlet) set(latch uint16, closed bool) uint16 {
	energised := closed == (o.contact != normallyClosed)
	if energised == o.activeHigh {
		return latch | o.relay
	}
	return latch &^ o.relay
}
