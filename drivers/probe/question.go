package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"periph.io/x/conn/v3/i2c"

	"rackagent/drivers"
)

// question is the asking of one address. A register that the part does not acknowledge, or a part that is not there, is no
// answer; any other failure ends the asking: nothing more is sent, and err says why.
type question struct {
	ctx      context.Context
	bus      i2c.Bus
	addr     uint16
	row      row
	answered bool
	err      error
	heard    []answer
}

// answer is what a register read with some length gave, so that no row asks twice.
type answer struct {
	pointer byte
	data    []byte
}

// errNotAllowed is a mistake in this package: a row that asks for more than it states.
var errNotAllowed = errors.New("the table does not allow this transfer")

// tx is the only place from which anything is sent. It holds each transfer to the row: at most one byte is written, one
// that the row lists, and something is read with it.
func (q *question) tx(w []byte, r []byte) bool {
	if q.err != nil {
		return false
	}
	if Untouchable(q.addr) || len(r) == 0 || len(w) > 1 || len(w) == 1 && !q.row.may(w[0]) {
		q.err = &drivers.Error{Op: "recognise", Device: fmt.Sprintf("0x%02x", q.addr), Fault: drivers.Unsupported, Err: errNotAllowed}
		return false
	}
	if q.ctx.Err() != nil {
		q.err = &drivers.Error{Op: "recognise", Device: q.bus.String(), Fault: drivers.Cancelled, Err: context.Cause(q.ctx)}
		return false
	}
	switch err := q.bus.Tx(q.addr, w, r); {
	case err == nil:
		q.answered = true
		return true
	case !errors.Is(err, drivers.NoAnswer):
		q.err = err
	}
	return false
}

// receive reads a byte without writing one.
func (q *question) receive() (byte, bool) {
	var r [1]byte
	ok := q.tx(nil, r[:])
	return r[0], ok
}

// read reads n bytes of a register, or what the same read gave before.
func (q *question) read(pointer byte, n int) ([]byte, bool) {
	for _, a := range q.heard {
		if a.pointer == pointer && len(a.data) == n {
			return a.data, true
		}
	}
	r, ok := q.again(pointer, n)
	if ok {
		q.heard = append(q.heard, answer{pointer, r})
	}
	return r, ok
}

// again reads n bytes of a register.
func (q *question) again(pointer byte, n int) ([]byte, bool) {
	r := make([]byte, n)
	ok := q.tx([]byte{pointer}, r)
	return r, ok
}

// byte reads a register of one byte.
func (q *question) byte(pointer byte) (byte, bool) {
	r, ok := q.read(pointer, 1)
	return r[0], ok
}

// word reads a register of two bytes, high byte first.
func (q *question) word(pointer byte) (uint16, bool) {
	r, ok := q.read(pointer, 2)
	return uint16(r[0])<<8 | uint16(r[1]), ok
}

// mostBlock is the longest block (SMBus 2.0, 5.5.7).
const mostBlock = 32

// block reads a block of a PMBus part that is likely n bytes long. Where the count says otherwise the same register is read
// until an answer has ended, and then once more from its beginning: a part whose firmware queues what a master left unread
// would hand the rest out at somebody else's next read of a voltage.
func (q *question) block(pointer byte, n int) ([]byte, bool) {
	r, ok := q.read(pointer, 1+n)
	count := int(r[0])
	switch {
	case !ok, bytes.Count(r, []byte{0xff}) == len(r), count == 0, count > mostBlock:
		return nil, false
	case count == n:
		return r[1:], true
	}
	whole := 1 + count
	if rest := (whole - (1+n)%whole) % whole; rest > 0 {
		if _, ok := q.again(pointer, rest); !ok {
			return nil, false
		}
	}
	r, ok = q.again(pointer, whole)
	return r[1:], ok && int(r[0]) == count
}
