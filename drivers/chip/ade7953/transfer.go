package ade7953

import (
	"context"
	"errors"
	"fmt"

	"rackagent/drivers"
	"rackagent/drivers/chip"
)

var errAllOnes = errors.New("all ones")

// transfer is a run of register accesses that stops at the first error, so that verbs read as the list of what
// they do. After an error nothing goes to the bus any more and reads give 0.
type transfer struct {
	d   *Dev
	ctx context.Context //nolint:containedctx // lives as long as one call of a verb
	err error
}

// fail records the first error.
func (t *transfer) fail(op string, r Reg, f drivers.Fault, cause error) {
	if t.err == nil {
		t.err = t.d.port.Fail(op, r.String(), f, cause)
	}
}

func (t *transfer) tx(op string, r Reg, w, data []byte) {
	if t.err == nil {
		t.err = t.d.port.Tx(t.ctx, op, r.String(), w, data)
	}
}

// read gives a register's bits, high byte first on the wire.
func (t *transfer) read(r Reg) uint32 {
	var b [4]byte
	data := b[:r.width()]
	t.tx("read", r, []byte{byte(r >> 8), byte(r)}, data)
	if t.err != nil {
		return 0
	}
	var v uint32
	for _, x := range data {
		v = v<<8 | uint32(x)
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

// measure is read for a register whose all-ones pattern is no measurement.
func (t *transfer) measure(r Reg) uint32 {
	v := t.read(r)
	t.measured(r, v)
	return v
}

// measured refuses all ones in such a register.
func (t *transfer) measured(r Reg, v uint32) {
	if v == r.ones() {
		t.fail("read", r, drivers.Implausible, errAllOnes)
	}
}

func (t *transfer) write(r Reg, v uint32) {
	w := []byte{byte(r >> 8), byte(r)}
	for i := r.width() - 1; i >= 0; i-- {
		w = append(w, byte(v>>(8*i)))
	}
	t.tx("write", r, w, nil)
}

// set writes a setting and proves it: protected registers ignore writes without a word.
func (t *transfer) set(s setting) {
	t.write(s.reg, s.value)
	t.compare("write", s, drivers.Mismatch)
}

// verify compares a setting that was written before.
func (t *transfer) verify(s setting) {
	if !s.step {
		t.compare("verify", s, drivers.Mismatch)
	}
}

func (t *transfer) expect(op string, r Reg, v uint32, otherwise drivers.Fault) {
	t.compare(op, setting{reg: r, value: v}, otherwise)
}

func (t *transfer) compare(op string, s setting, otherwise drivers.Fault) {
	mask := s.mask
	if mask == 0 {
		mask = s.reg.ones()
	}
	if got := t.read(s.reg); t.err == nil && got&mask != s.value {
		t.fail(op, s.reg, otherwise, fmt.Errorf("%x instead of %x", got, s.value))
	}
}
