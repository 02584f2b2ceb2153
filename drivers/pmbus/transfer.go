package pmbus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"periph.io/x/conn/v3/i2c"

	"rackagent/drivers"
	"rackagent/drivers/i2cbus"
)

// OnPage selects a page and runs do on it, as one job of the part's bus, which conn must be a handle of: between a
// selection and a read nobody else can select another page. The page stays selected. It is read back after do as well: a
// part that loses its supply in between answers for page 0, and what do read is then no value of this page.
//
// The delay of the profile comes before the read-back, since a part may not answer at all until it is over.
func (p *Port) OnPage(ctx context.Context, conn i2cbus.Conn, page byte, do func(on *Port) error) error {
	if !p.rules.pages[page] {
		return p.Fail("select", PAGE, drivers.Unsupported, fmt.Errorf("page %02x is not in the profile", page))
	}
	return conn.Do(ctx, func(tx i2c.Bus) error {
		on := p.On(tx)
		if err := on.sendChecked(ctx, "select", PAGE, []byte{byte(PAGE), page}); err != nil {
			return err
		}
		if err := on.sleep(ctx, "select", PAGE, p.rules.p.PageDelay); err != nil {
			return err
		}
		if err := on.selected(ctx, "select", page); err != nil {
			return err
		}
		if err := do(on); err != nil {
			return err
		}
		return on.selected(ctx, "read", page)
	})
}

// selected reads PAGE back.
func (p *Port) selected(ctx context.Context, op string, page byte) error {
	got, err := p.fetch(ctx, op, PAGE)
	switch {
	case err != nil:
		return err
	case got == everyPage:
		return p.part.Ones(op, p.name(PAGE))
	case got != page:
		return p.Fail(op, PAGE, drivers.Mismatch, fmt.Errorf("selected %02x, read back %02x", page, got))
	}
	return nil
}

func (p *Port) fetch(ctx context.Context, op string, c Command) (byte, error) {
	var r [1]byte
	err := p.settled(ctx, op, c, []byte{byte(c)}, r[:])
	return r[0], err
}

// read refuses what the profile does not list.
func (p *Port) read(ctx context.Context, op string, c Command, w, r []byte) error {
	if !p.rules.reads[c] {
		return p.Fail(op, c, drivers.Unsupported, errors.New("not in the part's list of reads"))
	}
	return p.settled(ctx, op, c, w, r)
}

// settled reads after making sure that the part does not hold an older answer.
func (p *Port) settled(ctx context.Context, op string, c Command, w, r []byte) error {
	if p.state.doubt.Load() {
		if err := p.resynchronise(ctx, op); err != nil {
			return err
		}
	}
	return p.exchange(ctx, op, c, w, r)
}

// exchange is one read. What breaks off, or does not add up, leaves doubt.
func (p *Port) exchange(ctx context.Context, op string, c Command, w, r []byte) error {
	buf := r
	if p.Checks() {
		buf = make([]byte, len(r)+1)
	}
	if err := p.tx(ctx, op, c, w, buf); err != nil {
		return err
	}
	copy(r, buf)
	if len(buf) == len(r) {
		return nil
	}
	if got, want := buf[len(r)], transferPEC(p.part.Addr(), w, r); got != want {
		p.state.doubt.Store(true)
		return p.Fail(op, c, drivers.Corrupt, &codeError{want: want, got: got})
	}
	return nil
}

// queued is how many unread bytes a part can hold at most after one of them was read: a count, the block and a code.
const queued = maxBlock + 1

// drain empties the part's queue by reads of one byte, each of which takes one of its bytes.
func (p *Port) drain(ctx context.Context, op string) error {
	c := CAPABILITY
	if !p.rules.reads[c] {
		c = PMBUS_REVISION
	}
	for range queued {
		if err := p.tx(ctx, op, c, []byte{byte(c)}, make([]byte, 1)); err != nil {
			return err
		}
	}
	p.state.doubt.Store(false)
	return nil
}

// resynchronise empties the queue and lets the part prove itself.
func (p *Port) resynchronise(ctx context.Context, op string) error {
	if err := p.drain(ctx, op); err != nil {
		return err
	}
	proof := p.rules.p.Proof
	if learnt := p.state.proof.Load(); learnt != nil {
		proof = *learnt
	}
	if len(proof.Answer) == 0 {
		return nil
	}
	r := make([]byte, len(proof.Answer))
	err := p.exchange(ctx, op, proof.Command, []byte{byte(proof.Command)}, r)
	if err == nil && !bytes.Equal(r, proof.Answer) {
		err = p.Fail(op, proof.Command, drivers.Corrupt, fmt.Errorf("%x instead of %x after an answer broke off", r, proof.Answer))
	}
	if err != nil {
		p.state.doubt.Store(true)
	}
	return err
}

// write refuses what the profile does not list. It does not wait for an empty queue: a write takes no byte out of it.
func (p *Port) write(ctx context.Context, c Command, w []byte) error {
	if !p.rules.writes[c] {
		return p.Fail("write", c, drivers.Unsupported, errors.New("not in the part's list of writes"))
	}
	return p.sendChecked(ctx, "write", c, w)
}

func (p *Port) sendChecked(ctx context.Context, op string, c Command, w []byte) error {
	if p.Checks() {
		w = append(bytes.Clone(w), transferPEC(p.part.Addr(), w, nil))
	}
	return p.tx(ctx, op, c, w, nil)
}

// tx is one transfer, no sooner after the last one than the profile says.
func (p *Port) tx(ctx context.Context, op string, c Command, w, r []byte) error {
	delay := p.rules.p.AccessDelay
	if last := p.state.last.Load(); delay > 0 && last != nil {
		if err := p.sleep(ctx, op, c, delay-time.Since(*last)); err != nil {
			return err
		}
	}
	err := p.part.Tx(ctx, op, p.name(c), w, r)
	if delay > 0 {
		now := time.Now()
		p.state.last.Store(&now)
	}
	if len(r) > 0 && brokeOff(err) {
		p.state.doubt.Store(true)
	}
	return err
}

// brokeOff tells the errors of a read that may have begun.
func brokeOff(err error) bool {
	switch drivers.FaultOf(err) {
	case drivers.None, drivers.NoAnswer, drivers.Cancelled, drivers.Unsupported, drivers.Foreign:
		return false
	default:
		return true
	}
}

func (p *Port) sleep(ctx context.Context, op string, c Command, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return p.Fail(op, c, drivers.Cancelled, context.Cause(ctx))
	}
}
