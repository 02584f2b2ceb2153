// Package lm75 drives the temperature sensor LM75 (National Semiconductor, now Texas Instruments, SNIS153) and the
// parts that other makers sell as its twins: 9 bits, 0.5 degree Celsius, -55 to +125, converting on their own from
// power-on.
//
// Nothing is ever written, so there is no Configure. Twins with more bits than nine exist; these bits are left out,
// because without an identification register nobody can say which of them count. For TMP75, TMP105 and TMP1075 at
// their full resolution there is package tmp75. The O.S. output is not used.
package lm75

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
	FirstAddr = 0x48
	LastAddr  = 0x4f
)

// Conversion is the longest time of one conversion (SNIS153, from memory). National's part
// begins anew after each transfer: asked more often than this it may never finish one.
const Conversion = 300 * time.Millisecond

// Pointer values.
const (
	temperature   = 0x00
	configuration = 0x01
	tHyst         = 0x02
	tOS           = 0x03
)

const (
	shutdown byte = 0x01 // bit D0: the register keeps the last conversion for ever

	tHystDefault uint16 = 0x4b00 // 75 degrees
	tOSDefault   uint16 = 0x5000 // 80 degrees

	open uint16 = 0x007f // bits of a word below the ninth, which mean nothing

	lowest = -55 * 2 // in steps of half a degree
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
	port, err := chip.NewPort(bus, "lm75", o.Name, o.Addr, chip.Range{First: FirstAddr, Last: LastAddr})
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
	Raw         uint16 // temperature register as read, bits below the ninth included
}

// Identify compares the nine bits of the limit registers with their power-on values, 75 and 80 degrees. Nothing of
// ours ever writes them, and no other fact tells this part from others at the same addresses.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	for _, r := range []struct {
		reg  byte
		want uint16
	}{{tHyst, tHystDefault}, {tOS, tOSDefault}} {
		got, err := d.port.Word(ctx, "identify", regName(r.reg), r.reg)
		if err != nil {
			return drivers.Ident{}, err
		}
		if got == 0xffff {
			return drivers.Ident{}, d.port.Ones("identify", regName(r.reg))
		}
		if got&^open != r.want {
			return drivers.Ident{}, d.port.Fail("identify", regName(r.reg), drivers.WrongDevice, fmt.Errorf("%04x instead of %04x", got, r.want))
		}
	}
	return drivers.Ident{Part: "LM75"}, nil
}

// Sense reads the temperature, and looks whether the part converts at all: in shut-down, which is not its power-on
// state, it repeats its last value without a word.
//
// FFFF is what nobody drives, not -0.5 degrees. Exactly 0000 is legitimate but is also what a held bus gives: it is
// read a second time. The configuration, 00 at power-on, cannot tell the two apart; a limit that is not 0 degrees can.
// And it is what the register holds until the first conversion, of which no setting tells: drivers.Settling until it has
// read so for longer than one takes.
func (d *Dev) Sense(ctx context.Context) (Measurement, error) {
	code, err := d.code(ctx)
	none := err == nil && code&^open == 0
	zero := d.zero.For(none)
	if err != nil {
		return Measurement{}, err
	}
	if none && zero < Conversion {
		return Measurement{}, d.port.Fail("read", regName(temperature), drivers.Settling, fmt.Errorf("code %04x, as before the first conversion", code))
	}
	t, ok := Temperature(code)
	if !ok {
		return Measurement{}, d.port.Fail("read", regName(temperature), drivers.Implausible, fmt.Errorf("code %04x", code))
	}
	return Measurement{Temperature: t, Raw: code}, nil
}

// code reads the temperature register.
func (d *Dev) code(ctx context.Context) (code uint16, err error) {
	value := d.port.WordValue(ctx, regName(temperature), temperature, &code)
	vouch := func() error {
		if err := d.converting(ctx); err != nil || !value.Doubtful() {
			return err
		}
		return d.limited(ctx)
	}
	err = chip.Sure(d.port, vouch, value)
	return code, err
}

// Temperature converts a temperature register: nine bits from the top, two's complement, half a degree each. What
// makers put below them is left out. It is false for all ones and below the range of
// the part; above it the register itself ends at 127.5.
func Temperature(code uint16) (physic.Temperature, bool) {
	steps := int16(code) >> 7
	if code == 0xffff || steps < lowest {
		return 0, false
	}
	return physic.ZeroCelsius + physic.Temperature(steps)*(physic.Celsius/2), true
}

func (d *Dev) converting(ctx context.Context) error {
	got, err := d.port.Byte(ctx, "read", regName(configuration), configuration)
	if err != nil {
		return err
	}
	if got == 0xff {
		return d.port.Ones("read", regName(configuration))
	}
	if got&shutdown != 0 {
		return d.port.Fail("read", regName(configuration), drivers.Implausible, errors.New("the part is shut down"))
	}
	return nil
}

// limited reads the limit that Identify found at 75 degrees. It need not be that any more, but somebody has to say
// something.
func (d *Dev) limited(ctx context.Context) error {
	got, err := d.port.Word(ctx, "read", regName(tHyst), tHyst)
	switch {
	case err != nil:
		return err
	case got == 0xffff:
		return d.port.Ones("read", regName(tHyst))
	case got == 0:
		return d.port.Fail("read", regName(tHyst), drivers.Implausible, errors.New("all zeros, as the temperature"))
	}
	return nil
}

// regName spells a pointer value as the data sheet does.
func regName(reg byte) string {
	return [...]string{"Temperature", "Configuration", "THYST", "TOS"}[reg]
}

var _ fmt.Stringer = (*Dev)(nil)
