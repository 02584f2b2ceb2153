// Package tmp75 drives the temperature sensors TMP75 and TMP105 (Texas Instruments, SBOS288) and TMP1075
// (SBOS854) at their full resolution of 12 bits, 0.0625 degrees Celsius, -55 to +125.
//
// The classic parts have no identification register and wake at 9 bits. A sensor that lost its supply for a moment
// therefore goes on answering, but coarsely: Sense looks at the configuration with every sample and says
// drivers.Restarted.
// Older LM75 parts convert 9 bits only and are not for this package. The alert pin is not used.
package tmp75

import (
	"context"
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

// Conversion is the longest time of one 12-bit conversion on a TMP75 (Linux lm75 driver: 220 ms). After Configure
// the first sample is good no earlier than that.
const Conversion = 220 * time.Millisecond

// Pointer values.
const (
	temperature   = 0x00
	configuration = 0x01
	tLow          = 0x02
	tHigh         = 0x03
)

const (
	resolution12 byte = 0x60 // R1 and R0 set: 12 bits
	oneShot      byte = 0x80 // OS: reads 0 or 1 by part, not a setting

	tLowDefault  uint16 = 0x4b00 // 75 degrees
	tHighDefault uint16 = 0x5000 // 80 degrees

	lowest  = -55 * 16 // in steps of 1/16 degree
	highest = 128*16 - 1
)

// Opts says where the part is.
type Opts struct {
	Name string // for error texts
	Addr uint16
}

// Dev is one sensor.
type Dev struct{ port chip.Port }

// New checks the options and touches nothing.
func New(bus i2c.Bus, o Opts) (*Dev, error) {
	port, err := chip.NewPort(bus, "tmp75", o.Name, o.Addr, chip.Range{First: FirstAddr, Last: LastAddr})
	if err != nil {
		return nil, err
	}
	return &Dev{port}, nil
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.port.String() }

// Measurement is one sample.
type Measurement struct {
	Temperature physic.Temperature
	Raw         uint16 // temperature register as read
}

// Identify compares the limit registers with their power-on values, 75 and 80 degrees. Nothing of ours ever writes
// them, and no other fact tells this part from others.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	for _, r := range []struct {
		reg  byte
		want uint16
	}{{tLow, tLowDefault}, {tHigh, tHighDefault}} {
		got, err := d.word(ctx, "identify", r.reg)
		if err != nil {
			return drivers.Ident{}, err
		}
		if got == 0xffff {
			return drivers.Ident{}, d.port.Ones("identify", regName(r.reg))
		}
		if got != r.want {
			return drivers.Ident{}, d.fail("identify", r.reg, drivers.WrongDevice, fmt.Errorf("%04x instead of %04x", got, r.want))
		}
	}
	return drivers.Ident{Part: "TMP75"}, nil
}

// Configure selects continuous conversion with 12 bits and reads the configuration back. It moves no actuator: the
// alert output keeps its power-on behaviour.
func (d *Dev) Configure(ctx context.Context) error {
	if err := d.port.Tx(ctx, "write", regName(configuration), []byte{configuration, resolution12}, nil); err != nil {
		return err
	}
	return d.configured(ctx, drivers.Mismatch)
}

// Sense reads the temperature and then the configuration, which is neither 00 nor FF and so vouches for the code before
// it. drivers.Restarted: the configuration is not the one Configure writes.
//
// FFFF (-1/256 degree to a careless reader) and every code with a bit set in the low nibble are no 12-bit sample.
// Exactly 0000 is legitimate but is also what a held bus gives: it is read a second time.
func (d *Dev) Sense(ctx context.Context) (Measurement, error) {
	var code uint16
	configured := func() error { return d.configured(ctx, drivers.Restarted) }
	if err := chip.Sure(d.port, configured, d.port.WordValue(ctx, regName(temperature), temperature, &code)); err != nil {
		return Measurement{}, err
	}
	t, ok := Temperature(code)
	if !ok {
		return Measurement{}, d.fail("read", temperature, drivers.Implausible, fmt.Errorf("code %04x", code))
	}
	return Measurement{Temperature: t, Raw: code}, nil
}

// Temperature converts a temperature register. It is false for codes that no 12-bit part can give.
func Temperature(code uint16) (physic.Temperature, bool) {
	steps := int16(code) >> 4
	if code&0x0f != 0 || steps < lowest || steps > highest {
		return 0, false
	}
	return physic.ZeroCelsius + physic.Temperature(steps)*(physic.Celsius/16), true
}

func (d *Dev) configured(ctx context.Context, otherwise drivers.Fault) error {
	got, err := d.port.Byte(ctx, "read", regName(configuration), configuration)
	if err != nil {
		return err
	}
	if got == 0xff {
		return d.port.Ones("read", regName(configuration))
	}
	if got&^oneShot != resolution12 {
		return d.port.Fail("read", regName(configuration), otherwise, fmt.Errorf("%02x instead of %02x", got, resolution12))
	}
	return nil
}

func (d *Dev) word(ctx context.Context, op string, reg byte) (uint16, error) {
	return d.port.Word(ctx, op, regName(reg), reg)
}

func (d *Dev) fail(op string, reg byte, f drivers.Fault, cause error) error {
	return d.port.Fail(op, regName(reg), f, cause)
}

// regName spells a pointer value as the data sheet does.
func regName(reg byte) string {
	return [...]string{"Temperature", "Configuration", "TLOW", "THIGH"}[reg]
}

var _ fmt.Stringer = (*Dev)(nil)
