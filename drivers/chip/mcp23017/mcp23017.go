// Package mcp23017 drives the 16-bit I/O expander MCP23017 (Microchip, DS20001952C), as far as relays need it: the
// output latch, the direction and the polarity. Port A is the low byte of a word, port B the high one.
//
// At power-on all pins are inputs and the latch reads 0000, the opposite of other expanders of this size. A relay
// board must therefore write the latch before the direction; that order is the caller's, because only the caller
// knows what the latch must hold. Nothing is cached: every read asks the chip and no write is left out because it
// looks redundant, since a brown-out of the expander makes every remembered word wrong.
//
// The part has two register layouts, chosen by bit BANK of IOCON, and this package speaks the one of power-on,
// BANK = 0. In the other one the addresses used here are other registers, which take a write and give it back: a
// relay would be called switched that never moved. Every verb therefore looks at the layout first, and a write again
// before it believes its read-back. IOCON and GPINTEN must be 0, as at power-on; anything else is drivers.Foreign
// and nobody here repairs it, since the cure, a write to register 05, is a write to a part in an unknown state.
//
// It is not a GPIO package. The port registers are never read: on an output they show the pin, which proves neither
// latch nor relay, and reading them clears the interrupt that somebody else may wait for. From revision D of the
// data sheet on GPA7 and GPB7 are outputs only (recalled, not re-read): use them for nothing that is read.
package mcp23017

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/i2c"

	"rackagent/drivers"
	"rackagent/drivers/chip"
)

// The three address pins place the part between these two addresses.
const (
	FirstAddr = 0x20
	LastAddr  = 0x27
)

// Registers of port A with BANK = 0 (DS20001952C, table 3-1). The second byte of a transfer is port B's.
const (
	iodirA   = 0x00
	ipolA    = 0x02
	gpintenA = 0x04 // with BANK = 1 its second byte, 05, is IOCON, whose bit BANK is then set
	iocon    = 0x0a // both bytes are the same register; with BANK = 1 they are another one, which may read 00
	olatA    = 0x14
)

// Opts says where the part is.
type Opts struct {
	Name string // for error texts
	Addr uint16
}

// Dev is one expander. It holds no state but where it is and may be used from several goroutines if its bus may.
type Dev struct{ port chip.Port }

// New checks the options and touches nothing.
func New(bus i2c.Bus, o Opts) (*Dev, error) {
	port, err := chip.NewPort(bus, "mcp23017", o.Name, o.Addr, chip.Range{First: FirstAddr, Last: LastAddr})
	if err != nil {
		return nil, err
	}
	return &Dev{port}, nil
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.port.String() }

// Identify proves the layout and reads the three words. The part has no identification register, so all this can
// prove is that something answers here like one: an Ident of this driver names the part that the caller asked for.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	if _, err := d.Read(ctx); err != nil {
		return drivers.Ident{}, err
	}
	return drivers.Ident{Manufacturer: "Microchip", Part: "MCP23017"}, nil
}

// Read gives all three words, or none. FFFF is the power-on value of the direction; a bus on which nobody drives the
// line is found by IOCON, which has a bit that never reads 1. drivers.Foreign: the layout is not the one of power-on.
func (d *Dev) Read(ctx context.Context) (chip.Words, error) {
	if err := d.layout(ctx, "read"); err != nil {
		return chip.Words{}, err
	}
	var w chip.Words
	for _, r := range []struct {
		reg byte
		to  *uint16
	}{{olatA, &w.Latch}, {iodirA, &w.Direction}, {ipolA, &w.Polarity}} {
		v, err := d.port.WordLow(ctx, "read", regName(r.reg), r.reg)
		if err != nil {
			return chip.Words{}, err
		}
		*r.to = v
	}
	return w, nil
}

// ReadLatch gives the output latches alone, once the layout is proven.
func (d *Dev) ReadLatch(ctx context.Context) (uint16, error) { return d.proven(ctx, "read", olatA) }

// WriteLatch writes both output latches in one transfer and reads them back; chip.Port.WriteBack says what it
// promises. With a layout that is not the one of power-on, or cannot be read, nothing is written.
func (d *Dev) WriteLatch(ctx context.Context, word uint16) (chip.Written, error) {
	return d.write(ctx, olatA, word)
}

// WriteDirection writes both direction registers in one transfer and reads them back, with the same promises as
// WriteLatch.
func (d *Dev) WriteDirection(ctx context.Context, word uint16) (chip.Written, error) {
	return d.write(ctx, iodirA, word)
}

func (d *Dev) write(ctx context.Context, reg byte, word uint16) (chip.Written, error) {
	if err := d.layout(ctx, "write"); err != nil {
		return chip.Written{}, err
	}
	name := regName(reg)
	return d.port.WriteBack(ctx, name, word,
		func(ctx context.Context) error {
			return d.port.Tx(ctx, "write", name, []byte{reg, byte(word), byte(word >> 8)}, nil)
		},
		func(ctx context.Context) (uint16, error) { return d.proven(ctx, "read back", reg) })
}

// proven reads a word through a layout that was looked at just before.
func (d *Dev) proven(ctx context.Context, op string, reg byte) (uint16, error) {
	if err := d.layout(ctx, op); err != nil {
		return 0, err
	}
	return d.port.WordLow(ctx, op, regName(reg), reg)
}

// layout proves BANK = 0 and that nobody set anything else in IOCON. With BANK = 1 the second byte of the first word is
// IOCON itself. Neither word clears an interrupt in either layout.
func (d *Dev) layout(ctx context.Context, op string) error {
	gpinten, err := d.port.WordLow(ctx, op, regName(gpintenA), gpintenA)
	if err != nil {
		return err
	}
	control, err := d.port.WordLow(ctx, op, regName(iocon), iocon)
	switch {
	case err != nil:
		return err
	case gpinten&control == 0xffff: // bit 0 of IOCON is not implemented and reads 0
		return d.port.Ones(op, regName(iocon))
	case gpinten|control != 0:
		return d.port.Fail(op, regName(iocon), drivers.Foreign, fmt.Errorf("GPINTEN reads %04x and IOCON %04x instead of 0000", gpinten, control))
	}
	return nil
}

// regName spells a register as the data sheet does.
func regName(reg byte) string {
	switch reg {
	case iodirA:
		return "IODIRA"
	case ipolA:
		return "IPOLA"
	case gpintenA:
		return "GPINTENA"
	case iocon:
		return "IOCON"
	case olatA:
		return "OLATA"
	default:
		return fmt.Sprintf("%02xh", reg)
	}
}

var _ fmt.Stringer = (*Dev)(nil)
