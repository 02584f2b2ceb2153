// Package pca9552 drives the 16-bit LED driver PCA9552 (NXP, PCA9552 rev. 6) where its open-drain outputs energise
// relay coils. It has two bits per pin in the four LED selector registers LS0 to LS3: 00 pulls the pin low, 01
// releases it, 10 and 11 let one of two blinkers decide.
//
// The latch word of this package has bit k set where pin k is released and clear where it is pulled low, so a coil
// between supply and pin is energised by 0, as an active-low one is elsewhere. The part has no direction register:
// a pin always pulls or lets go. Direction therefore always reads 0, and chip.AllInputs never occurs.
//
// That costs something. At power-on all selectors hold 55, all pins released, which is exactly how a bank looks whose
// coils were all let go on purpose; the blinkers and the inputs cannot tell the two apart either, since nobody here
// sets the blinkers. A brown-out reads as latch FFFF, and only the caller can find it: as a latch that differs from
// the word last written. The other reading, FFFF as a bank that lost its supply, would make the caller write a latch
// to a bank that may stand as it should, and so moves more relays on less evidence.
//
// A pin on a blinker belongs to nobody here. It sets its bit in Polarity, because that is the word of which callers
// demand that it be 0 before they write or believe a latch; what the latch says of that pin (released) is a guess.
// Nothing is cached, as a brown-out makes every remembered word wrong, and the input registers are not offered: they
// show the pin, which proves neither selector nor relay.
package pca9552

import (
	"context"
	"errors"
	"fmt"

	"periph.io/x/conn/v3/i2c"

	"rackagent/drivers"
	"rackagent/drivers/chip"
)

// The three address pins place the part between these two addresses.
const (
	FirstAddr = 0x60
	LastAddr  = 0x67
)

// ls0 is the control byte of the first of four consecutive LED selectors. autoIncrement makes one transfer reach all
// of them (PCA9552, table "Control register description").
const (
	ls0           = 0x06
	autoIncrement = 0x10

	selectors = ls0 | autoIncrement
	regName   = "LS0-LS3"
)

// What the two bits of a pin mean.
const (
	low      = 0b00
	released = 0b01
)

// Opts says where the part is.
type Opts struct {
	Name string // for error texts
	Addr uint16
}

// Dev is one driver. It holds no state but where it is and may be used from several goroutines if its bus may.
type Dev struct{ port chip.Port }

// New checks the options and touches nothing.
func New(bus i2c.Bus, o Opts) (*Dev, error) {
	port, err := chip.NewPort(bus, "pca9552", o.Name, o.Addr, chip.Range{First: FirstAddr, Last: LastAddr})
	if err != nil {
		return nil, err
	}
	return &Dev{port}, nil
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.port.String() }

// Identify reads the selectors. The part has no identification register, so all it can prove is that something
// answers here like one: an Ident of this driver names the part that the caller asked for.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	if _, err := d.Read(ctx); err != nil {
		return drivers.Ident{}, err
	}
	return drivers.Ident{Manufacturer: "NXP", Part: "PCA9552"}, nil
}

// Read gives all three words from one transfer, or none. Direction is always 0. Polarity has a bit for each pin on a
// blinker and must be 0. Selectors that are all FF would be 16 pins on the second blinker; they are taken for a bus
// on which nobody drives the line.
func (d *Dev) Read(ctx context.Context) (chip.Words, error) {
	latch, blinking, err := d.read(ctx, "read")
	if err != nil {
		return chip.Words{}, err
	}
	return chip.Words{Latch: latch, Polarity: blinking}, nil
}

// ReadLatch gives the latch alone. While a pin is on a blinker there is none: drivers.Foreign.
func (d *Dev) ReadLatch(ctx context.Context) (uint16, error) { return d.latch(ctx, "read") }

// WriteLatch writes all four selectors in one transfer and reads them back; chip.Port.WriteBack says what it
// promises. It takes pins off their blinkers. The pins follow byte by byte, so a transfer that breaks off has moved
// the lower pins, in groups of four; the word read back says which.
func (d *Dev) WriteLatch(ctx context.Context, word uint16) (chip.Written, error) {
	ls := Selectors(word)
	return d.port.WriteBack(ctx, regName, word,
		func(ctx context.Context) error {
			return d.port.Tx(ctx, "write", regName, append([]byte{selectors}, ls[:]...), nil)
		},
		func(ctx context.Context) (uint16, error) { return d.latch(ctx, "read back") })
}

// WriteDirection always fails with drivers.Unsupported and sends nothing: the part has no direction.
func (d *Dev) WriteDirection(context.Context, uint16) (chip.Written, error) {
	return chip.Written{}, d.port.Fail("write", "", drivers.Unsupported, errors.New("the part has no direction register"))
}

func (d *Dev) latch(ctx context.Context, op string) (uint16, error) {
	latch, blinking, err := d.read(ctx, op)
	if err != nil {
		return 0, err
	}
	if blinking != 0 {
		return 0, d.port.Fail(op, regName, drivers.Foreign, fmt.Errorf("pins %04x are on a blinker", blinking))
	}
	return latch, nil
}

func (d *Dev) read(ctx context.Context, op string) (latch, blinking uint16, err error) {
	var ls [4]byte
	if err := d.port.Tx(ctx, op, regName, []byte{selectors}, ls[:]); err != nil {
		return 0, 0, err
	}
	if ls == [4]byte{0xff, 0xff, 0xff, 0xff} {
		return 0, 0, d.port.Ones(op, regName)
	}
	latch, blinking = Words(ls)
	return latch, blinking, nil
}

// Selectors gives LS0 to LS3 for a latch: pin k is the two bits from 2k mod 8 on of LS[k/4].
func Selectors(latch uint16) [4]byte {
	var ls [4]byte
	for pin := range 16 {
		setting := byte(low)
		if latch>>pin&1 == 1 {
			setting = released
		}
		ls[pin/4] |= setting << (2 * pin % 8)
	}
	return ls
}

// Words is the reverse of Selectors: the pins not pulled low, and those of them that are on a blinker.
func Words(ls [4]byte) (latch, blinking uint16) {
	for pin := range 16 {
		switch ls[pin/4] >> (2 * pin % 8) & 0b11 {
		case low:
		case released:
			latch |= 1 << pin
		default:
			latch |= 1 << pin
			blinking |= 1 << pin
		}
	}
	return latch, blinking
}

var _ fmt.Stringer = (*Dev)(nil)
