package ade7880

import (
	"context"
	"errors"
	"fmt"

	"rackagent/drivers"
	"rackagent/drivers/chip"
)

// transfer is a run of register accesses that stops at the first error, so that verbs read as the list of what they
// do. After an error nothing goes to the bus any more, reads give 0 and further failures are not recorded.
type transfer struct {
	d   *Dev
	ctx context.Context //nolint:containedctx // lives as long as one call of a verb
	op  string
	err error
}

func (d *Dev) begin(ctx context.Context, op string) *transfer {
	return &transfer{d: d, ctx: ctx, op: op}
}

func (t *transfer) fail(r Reg, f drivers.Fault, cause error) {
	if t.err == nil {
		t.err = t.d.port.Fail(t.op, r.String(), f, cause)
	}
}

// read gives a register's bits, high byte first on the wire.
func (t *transfer) read(r Reg) uint32 {
	if t.err != nil {
		return 0
	}
	var b [4]byte
	data := b[:r.width()]
	if t.err = t.d.port.Tx(t.ctx, t.op, r.String(), []byte{byte(r >> 8), byte(r)}, data); t.err != nil {
		return 0
	}
	var v uint32
	for _, x := range data {
		v = v<<8 | uint32(x)
	}
	return v
}

// measure is read for a register whose all-ones pattern is no value.
func (t *transfer) measure(r Reg) uint32 {
	v := t.read(r)
	if t.err == nil && v == r.ones() {
		t.err = t.d.port.Ones(t.op, r.String())
	}
	return v
}

// value is a register for chip.Sure.
func (t *transfer) value(r Reg, to *uint32) chip.Value[uint32] {
	return chip.Value[uint32]{Reg: r.String(), Ones: r.ones(), To: to, Read: func() (uint32, error) {
		v := t.read(r)
		return v, t.err
	}}
}

// rms passes the code of an rms register on.
func (t *transfer) rms(r Reg, code uint32) uint32 {
	if !rmsPlausible(code) {
		t.fail(r, drivers.Implausible, fmt.Errorf("code %08x", code))
	}
	return code
}

// power passes the code of a power register on.
func (t *transfer) power(r Reg, code uint32) uint32 {
	if !powerPlausible(code) {
		t.fail(r, drivers.Implausible, fmt.Errorf("code %08x", code))
	}
	return code
}

func (t *transfer) write(r Reg, v uint32) {
	if t.err != nil {
		return
	}
	w := []byte{byte(r >> 8), byte(r)}
	for i := r.width() - 1; i >= 0; i-- {
		w = append(w, byte(v>>(8*i)))
	}
	t.err = t.d.port.Tx(t.ctx, t.op, r.String(), w, nil)
}

// set writes bits of a register that has no others, and proves it.
func (t *transfer) set(r Reg, v, mask uint32) {
	t.write(r, v)
	t.compare(r, v, mask)
}

// protect opens or closes the processor's memory. The two registers cannot be read: only the acknowledgement proves
// it, and that the memory reads back.
func (t *transfer) protect(v uint32) {
	t.write(dspSelect, dspKey)
	t.write(dspSet, v)
}

// compare reads a register that must hold a value in some of its bits.
func (t *transfer) compare(r Reg, want, mask uint32) {
	if got := t.measure(r); got&mask != want {
		t.fail(r, drivers.Mismatch, fmt.Errorf("%0*x instead of %0*x", 2*r.width(), got, 2*r.width(), want))
	}
}

// runs looks whether the processor computes.
func (t *transfer) runs() {
	if t.measure(Run)&running == 0 {
		t.fail(Run, drivers.Restarted, errors.New("the processor stands still"))
	}
}
