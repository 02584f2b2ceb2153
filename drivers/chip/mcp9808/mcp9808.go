// Package mcp9808 drives the temperature sensor MCP9808 (Microchip, DS25095A): 13 bits, 1/16 degree Celsius, -40 to
// +125, converting on its own from power-on at its finest resolution.
//
// Nothing is ever written, so there is no Configure: a part that somebody shut down stays so and is reported, one set to
// a coarser resolution gives coarser values. The limits, their flags and the alert output are not used.
package mcp9808

import (
	"context"
	"errors"
	"fmt"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip"
)

// The three address pins place the part between these two addresses.
const (
	FirstAddr = 0x18
	LastAddr  = 0x1f
)

// Conversion is time enough for one conversion: twice the typical 250 ms (DS25095A), which is arbitrary.
const Conversion = 500 * time.Millisecond

// Register pointers.
const (
	configuration  = 0x01
	ambient        = 0x05
	manufacturerID = 0x06
	deviceID       = 0x07
)

const (
	shutdown uint16 = 0x0100 // SHDN in CONFIG: T_A keeps the last conversion for ever

	idMicrochip uint16 = 0x0054
	idMCP9808   byte   = 0x04 // high byte of the Device ID; the low one is the revision

	celsius uint16 = 0x1fff // sign and magnitude in T_A; the three bits above are flags

	lowest  = -40 * 16 // in steps of 1/16 degree
	highest = 125 * 16
)

// Opts says where the part is.
type Opts struct {
	Name string // for error texts
	Addr uint16
}

// Dev is one sensor. It remembers since when the register has read 0.
type Dev struct {
	port chip.Port
	zero chip.Run
}

// New checks the options and touches nothing.
func New(bus i2c.Bus, o Opts) (*Dev, error) {
	port, err := chip.NewPort(bus, "mcp9808", o.Name, o.Addr, chip.Range{First: FirstAddr, Last: LastAddr})
	if err != nil {
		return nil, err
	}
	return &Dev{port: port}, nil
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.port.String() }

// Measurement is one sample.
type Measurement struct {
	Temperature physic.Temperature
	Raw         uint16 // T_A as read, flags included
}

// Identify compares the manufacturer and the device. The revision is told and not judged.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	maker, err := d.word(ctx, "identify", manufacturerID)
	if err != nil {
		return drivers.Ident{}, err
	}
	if maker != idMicrochip {
		return drivers.Ident{}, d.fail("identify", manufacturerID, drivers.WrongDevice, fmt.Errorf("%04x instead of %04x", maker, idMicrochip))
	}
	device, err := d.word(ctx, "identify", deviceID)
	if err != nil {
		return drivers.Ident{}, err
	}
	if byte(device>>8) != idMCP9808 {
		return drivers.Ident{}, d.fail("identify", deviceID, drivers.WrongDevice, fmt.Errorf("%04x instead of %02xxx", device, idMCP9808))
	}
	return drivers.Ident{Manufacturer: "Microchip", Part: "MCP9808", Version: fmt.Sprintf("%02x", byte(device))}, nil
}

// Sense reads the temperature, and looks whether the part converts at all: shut down, which is not its power-on state,
// it repeats its last value without a word.
//
// FFFF is what nobody drives, not -1/16 degree with every flag up. Exactly 0000 is legitimate, at 0 degrees between the
// limits, but is also what a held bus gives: it is read a second time. CONFIG, 0000 at power-on, cannot tell the two
// apart; the manufacturer can. And it is what the register holds until the first conversion, of which no setting tells:
// drivers.Settling until it has read so for longer than one takes.
func (d *Dev) Sense(ctx context.Context) (Measurement, error) {
	code, err := d.code(ctx)
	none := err == nil && code&celsius == 0
	zero := d.zero.For(none)
	if err != nil {
		return Measurement{}, err
	}
	if none && zero < Conversion {
		return Measurement{}, d.fail("read", ambient, drivers.Settling, fmt.Errorf("code %04x, as before the first conversion", code))
	}
	t, ok := Temperature(code)
	if !ok {
		return Measurement{}, d.fail("read", ambient, drivers.Implausible, fmt.Errorf("code %04x", code))
	}
	return Measurement{Temperature: t, Raw: code}, nil
}

// code reads T_A.
func (d *Dev) code(ctx context.Context) (code uint16, err error) {
	value := d.port.WordValue(ctx, regName(ambient), ambient, &code)
	vouch := func() error {
		if err := d.converting(ctx); err != nil || !value.Doubtful() {
			return err
		}
		return d.present(ctx)
	}
	err = chip.Sure(d.port, vouch, value)
	return code, err
}

// Temperature converts T_A: thirteen bits, two's complement, 1/16 degree each. The flags above them are left out. It is
// false for all ones and outside the range of the part.
func Temperature(code uint16) (physic.Temperature, bool) {
	steps := int16(code<<3) >> 3
	if code == 0xffff || steps < lowest || steps > highest {
		return 0, false
	}
	return physic.ZeroCelsius + physic.Temperature(steps)*(physic.Celsius/16), true
}

func (d *Dev) converting(ctx context.Context) error {
	got, err := d.word(ctx, "read", configuration)
	if err != nil {
		return err
	}
	if got&shutdown != 0 {
		return d.fail("read", configuration, drivers.Implausible, errors.New("the part is shut down"))
	}
	return nil
}

// present reads the manufacturer, which is neither all zeros nor all ones.
func (d *Dev) present(ctx context.Context) error {
	got, err := d.word(ctx, "read", manufacturerID)
	if err != nil {
		return err
	}
	if got != idMicrochip {
		return d.fail("read", manufacturerID, drivers.Implausible, fmt.Errorf("%04x instead of %04x", got, idMicrochip))
	}
	return nil
}

// word reads a register in which all ones are no value.
func (d *Dev) word(ctx context.Context, op string, reg byte) (uint16, error) {
	got, err := d.port.Word(ctx, op, regName(reg), reg)
	if err == nil && got == 0xffff {
		err = d.port.Ones(op, regName(reg))
	}
	return got, err
}

func (d *Dev) fail(op string, reg byte, f drivers.Fault, cause error) error {
	return d.port.Fail(op, regName(reg), f, cause)
}

// regName spells a register as the data sheet does.
func regName(reg byte) string {
	return map[byte]string{configuration: "CONFIG", ambient: "TA", manufacturerID: "Manufacturer ID", deviceID: "Device ID"}[reg]
}

var _ fmt.Stringer = (*Dev)(nil)
