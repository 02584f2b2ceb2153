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

// Switched says what became of one write to the relay bank. It is meaningful beside an error too.
type Switched struct {
	// Before is the word read just before the write, and After the word read back. After means something when
	// Confirmed is set or Taken is and the error is the part's own drivers.Mismatch.
	Before, After uint16
	// Taken is when the write transfer had returned: whatever the write did was done by then. Zero: no write was
	// handed to the bus. Set beside an error: the write may have happened.
	Taken time.Time
	// Confirmed is when the word that was written was read back. Zero: it was not, or the job failed afterwards: a mux
	// that cannot be proven to have had this channel, and no other, connected leaves open whose word was read.
	Confirmed time.Time
}

// unproven takes back what was read back in a job that failed afterwards.
func (s *Switched) unproven() { s.After, s.Confirmed = 0, time.Time{} }

// Adopted says what became of the two writes of Adopt.
type Adopted struct{ Latch, Direction Switched }

// Cut opens outlet n, counted from 1: it takes the load's power away. It does not ask whether it may; that is the
// caller's duty.
func (p *PDU) Cut(ctx context.Context, n int) (Switched, error) {
	return p.turn(ctx, fmt.Sprintf("cut outlet %d", n), n, false)
}

// Energise closes outlet n, counted from 1.
func (p *PDU) Energise(ctx context.Context, n int) (Switched, error) {
	return p.turn(ctx, fmt.Sprintf("energise outlet %d", n), n, true)
}

// turn moves one relay in one job: read, judge, write the whole latch with one bit changed, read back.
func (p *PDU) turn(ctx context.Context, op string, n int, closed bool) (Switched, error) {
	var s Switched
	if n < 1 || n > len(p.model.Outlets) {
		return s, p.fail(op, drivers.Unsupported, fmt.Errorf("there are %d outlets", len(p.model.Outlets)))
	}
	o := p.model.Outlets[n-1]
	err := p.job(ctx, op, o.RelayBank, func(part relayChip, last func() error) error {
		w, err := words(ctx, part)
		if err != nil {
			return err
		}
		if fault, reason := p.model.judge(o.RelayBank, w); fault != drivers.None {
			return p.fail(op, fault, errors.New(reason))
		}
		if err := last(); err != nil {
			return err
		}
		done, err := part.WriteLatch(context.WithoutCancel(ctx), o.set(w.Latch, closed))
		s = switched(w.Latch, done, err)
		return err
	})
	if err != nil && !s.Confirmed.IsZero() {
		s.unproven()
	}
	return s, err
}

// Adopt takes a bank, counted from 0, that is out of control back under control: it writes the whole latch, reads it back, and only
// then makes the relays' pins outputs. The words come from Standing and were recorded before; a direction that is
// not the model's is refused, and so is a bank whose direction does not read all inputs any more.
func (p *PDU) Adopt(ctx context.Context, bank int, latch, direction uint16) (Adopted, error) {
	const op = "adopt the bank"
	var a Adopted
	if _, err := p.bankAt(op, bank); err != nil {
		return a, err
	}
	if want := p.model.direction(bank); direction != want {
		return a, p.fail(op, drivers.Unsupported, fmt.Errorf("direction %04x is not the model's %04x", direction, want))
	}
	err := p.job(ctx, op, bank, func(part relayChip, last func() error) error {
		w, err := words(ctx, part)
		if err != nil {
			return err
		}
		if fault, reason := p.model.judge(bank, w); fault == drivers.None {
			return p.fail(op, drivers.Foreign, errors.New("the bank is under control already"))
		} else if fault != drivers.OutOfControl {
			return p.fail(op, fault, errors.New(reason))
		}
		if err := last(); err != nil {
			return err
		}
		done, err := part.WriteLatch(context.WithoutCancel(ctx), latch)
		if a.Latch = switched(w.Latch, done, err); err != nil {
			return err
		}
		if ctx.Err() != nil { // the pins are inputs still: stopping here moves nothing
			return p.fail(op, drivers.Cancelled, context.Cause(ctx))
		}
		done, err = part.WriteDirection(context.WithoutCancel(ctx), direction)
		a.Direction = switched(w.Direction, done, err)
		return err
	})
	if err != nil && !a.Direction.Confirmed.IsZero() {
		a.Latch.unproven()
		a.Direction.unproven()
	}
	return a, err
}

// job runs a switching job on the act handle. Up to the call of last the end of ctx stops it; from then on its
// transfers no longer hang on ctx, because a write without its read-back would leave the outcome open. last fails
// when ctx has ended already: then nothing may be written.
func (p *PDU) job(ctx context.Context, op string, bank int, run func(part relayChip, last func() error) error) error {
	b, err := p.bankAt(op, bank)
	if err != nil {
		return err
	}
	if p.wrong.Load() {
		return p.fail(op, drivers.WrongDevice, errors.New("the board's memory names another product"))
	}
	detached, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	detach := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	defer detach()
	last := func() error {
		if !detach() {
			return p.fail(op, drivers.Cancelled, context.Cause(ctx))
		}
		return nil
	}
	return b.act.Do(detached, func(tx i2c.Bus) error {
		part, err := b.chip(tx)
		if err != nil {
			return err
		}
		return run(part, last)
	})
}

// words reads the bank for a write that depends on it: the latch twice, since no checksum guards the wire and a
// bit read wrongly would be written back into another outlet's relay.
func words(ctx context.Context, part relayChip) (chip.Words, error) {
	w, err := part.Read(ctx)
	if err != nil {
		return w, err
	}
	again, err := part.ReadLatch(ctx)
	if err != nil {
		return w, err
	}
	if again != w.Latch {
		return w, &drivers.Error{
			Op: "read", Device: part.String(), Reg: "latch", Fault: drivers.Corrupt,
			Err: fmt.Errorf("%04x, then %04x", w.Latch, again),
		}
	}
	return w, nil
}

func switched(before uint16, w chip.Written, err error) Switched {
	s := Switched{Before: before, After: w.Word, Taken: w.At}
	if err == nil {
		s.Confirmed = w.Read
	}
	return s
}
