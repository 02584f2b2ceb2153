package ina228

import (
	"context"
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

func (t *transfer) fail(reg Reg, f drivers.Fault, cause error) {
	if t.err == nil {
		t.err = t.d.port.Fail(t.op, reg.String(), f, cause)
	}
}

// read gives a register's bits, high byte first on the wire.
func (t *transfer) read(reg Reg) uint64 {
	if t.err != nil {
		return 0
	}
	var b [5]byte
	data := b[:reg.width(t.d.o.Part)]
	if t.err = t.d.port.Tx(t.ctx, t.op, reg.String(), []byte{byte(reg)}, data); t.err != nil {
		return 0
	}
	var v uint64
	for _, x := range data {
		v = v<<8 | uint64(x)
	}
	return v
}

// value is a register for chip.Sure.
func (t *transfer) value(reg Reg, to *uint64) chip.Value[uint64] {
	return chip.Value[uint64]{Reg: reg.String(), Ones: 1<<(8*reg.width(t.d.o.Part)) - 1, To: to, Read: func() (uint64, error) {
		v := t.read(reg)
		return v, t.err
	}}
}

// setting reads a register of two bytes whose all-ones pattern is no value.
func (t *transfer) setting(reg Reg) uint16 {
	v := uint16(t.read(reg))
	if v == 0xffff && t.err == nil {
		t.err = t.d.port.Ones(t.op, reg.String())
	}
	return v
}

func (t *transfer) expect(reg Reg, want uint16, otherwise drivers.Fault) {
	if got := t.setting(reg); got != want {
		t.fail(reg, otherwise, fmt.Errorf("%04x instead of %04x", got, want))
	}
}

// set writes a setting and reads it back.
func (t *transfer) set(reg Reg, v uint16) {
	if t.err != nil {
		return
	}
	t.err = t.d.port.Tx(t.ctx, t.op, reg.String(), []byte{byte(reg), byte(v >> 8), byte(v)}, nil)
	t.expect(reg, v, drivers.Mismatch)
}
