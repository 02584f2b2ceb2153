// Package chip is what the drivers of single I2C parts share: one part at one address of one bus (Port), whose
// transfers fail with an error that names the part and the register, and the words of parts whose pins drive relays
// (Words, Written, WriteBack).
//
// It knows no part, keeps no state, repeats nothing and holds no register map. A driver embeds nothing of it: it
// keeps a Port and says in its own words what a register means.
package chip

import (
	"context"
	"errors"
	"fmt"

	"periph.io/x/conn/v3/i2c"

	"rackagent/drivers"
)

// Range is a run of addresses, both ends included, at which a part may sit.
type Range struct{ First, Last uint16 }

// At is the range of one address.
func At(addr uint16) Range { return Range{addr, addr} }

// Strapped are the addresses that a part may be given by resistors or straps and that are no bus's own: 0x08 to
// 0x77 (I2C-bus specification UM10204, section 3.1.12).
func Strapped() Range { return Range{0x08, 0x77} }

// Port is one part at one address. It may be copied and used from several goroutines if its bus may.
type Port struct {
	bus  i2c.Bus
	addr uint16
	name string
}

// NewPort checks where a part is said to be and touches nothing. part is the word errors begin with, name the one
// the configuration gives.
func NewPort(bus i2c.Bus, part, name string, addr uint16, allowed ...Range) (Port, error) {
	if bus == nil {
		return Port{}, fmt.Errorf("%s %q: no bus", part, name)
	}
	for _, r := range allowed {
		if addr >= r.First && addr <= r.Last {
			return Port{bus: bus, addr: addr, name: fmt.Sprintf("%s %q", part, name)}, nil
		}
	}
	return Port{}, fmt.Errorf("%s %q: address 0x%02x is outside %s", part, name, addr, list(allowed))
}

func list(rs []Range) string {
	text := ""
	for i, r := range rs {
		if i > 0 {
			text += ", "
		}
		if text += fmt.Sprintf("0x%02x", r.First); r.Last != r.First {
			text += fmt.Sprintf("-0x%02x", r.Last)
		}
	}
	return text
}

// String names the part as its errors do.
func (p Port) String() string { return p.name }

// Addr is where the part sits.
func (p Port) Addr() uint16 { return p.addr }

// On is the same part reached through another handle of its bus, such as the one of a job that may not be split.
func (p Port) On(bus i2c.Bus) Port {
	p.bus = bus
	return p
}

// Tx is one transfer: w is written, then r is filled after a repeated START. op says what it is for ("read",
// "write", "identify"), reg which register, spelled as in the data sheet. A context that has ended sends nothing
// (drivers.Cancelled). r means nothing beside an error.
func (p Port) Tx(ctx context.Context, op, reg string, w, r []byte) error {
	if ctx.Err() != nil {
		return p.Fail(op, reg, drivers.Cancelled, context.Cause(ctx))
	}
	if err := p.bus.Tx(p.addr, w, r); err != nil {
		return p.Fail(op, reg, drivers.FaultOf(err), err)
	}
	return nil
}

// Byte reads a register of one byte.
func (p Port) Byte(ctx context.Context, op, reg string, at byte) (byte, error) {
	var b [1]byte
	err := p.Tx(ctx, op, reg, []byte{at}, b[:])
	return b[0], err
}

// Word reads a register of two bytes, high byte first.
func (p Port) Word(ctx context.Context, op, reg string, at byte) (uint16, error) {
	var b [2]byte
	err := p.Tx(ctx, op, reg, []byte{at}, b[:])
	return uint16(b[0])<<8 | uint16(b[1]), err
}

// WordLow reads a register of two bytes, low byte first, as SMBus words are.
func (p Port) WordLow(ctx context.Context, op, reg string, at byte) (uint16, error) {
	var b [2]byte
	err := p.Tx(ctx, op, reg, []byte{at}, b[:])
	return uint16(b[1])<<8 | uint16(b[0]), err
}

// Fail is an error of this part. cause may be nil.
func (p Port) Fail(op, reg string, f drivers.Fault, cause error) error {
	return &drivers.Error{Op: op, Device: p.name, Reg: reg, Fault: f, Err: cause}
}

// Ones is the error for a register that reads all ones where that is no value: nobody drives the line.
func (p Port) Ones(op, reg string) error {
	return p.Fail(op, reg, drivers.Implausible, errors.New("all ones"))
}
