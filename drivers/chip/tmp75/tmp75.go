// Package tmp75 drives the temperature sensors TMP75 and TMP105 (Texas Instruments, SBOS288) and TMP1075
// (SBOS854) at their full resolution of 12 bits, 0.0625 degrees Celsius, -55 to +125.
//
// The classic parts have no identification register and wake at 9 bits. A sensor that lost its supply for a moment
// therefore goes on answering, but coarsely: Sense looks at the configuration first and says drivers.Restarted.
// Older LM75 parts convert 9 bits only and are not for this package. The alert pin is not used.
package tmp75

import (
	"context"
	"errors"
	"fmt"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
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
type Dev struct {
	bus  i2c.Bus
	addr uint16
	name string
}

// New checks the options and touches nothing.
func New(bus i2c.Bus, o Opts) (*Dev, error) {
	if bus == nil {
		return nil, errors.New("tmp75: no bus")
	}
	if o.Addr < FirstAddr || o.Addr > LastAddr {
		return nil, fmt.Errorf("tmp75 %q: address 0x%02x is outside 0x%02x-0x%02x", o.Name, o.Addr, FirstAddr, LastAddr)
	}
	return &Dev{bus: bus, addr: o.Addr, name: fmt.Sprintf("tmp75 %q", o.Name)}, nil
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.name }

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
			return drivers.Ident{}, d.fail("identify", r.reg, drivers.Implausible, errors.New("all ones"))
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
	if ctx.Err() != nil {
		return d.fail("write", configuration, drivers.Cancelled, context.Cause(ctx))
	}
	if err := d.bus.Tx(d.addr, []byte{configuration, resolution12}, nil); err != nil {
		return d.fail("write", configuration, drivers.FaultOf(err), err)
	}
	return d.configured(ctx, drivers.Mismatch)
}

// Sense reads the temperature. drivers.Restarted: the configuration is not the one Configure writes.
//
// FFFF (-1/256 degree to a careless reader) and every code with a bit set in the low nibble are no 12-bit sample.
// Exactly 0000 is legitimate but is also what a held bus gives, so it is read a second time.
func (d *Dev) Sense(ctx context.Context) (Measurement, error) {
	if err := d.configured(ctx, drivers.Restarted); err != nil {
		return Measurement{}, err
	}
	code, err := d.word(ctx, "read", temperature)
	if err == nil && code == 0 {
		code, err = d.word(ctx, "read", temperature)
	}
	if err != nil {
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
	var b [1]byte
	if err := d.tx(ctx, "read", configuration, b[:]); err != nil {
		return err
	}
	if b[0] == 0xff {
		return d.fail("read", configuration, drivers.Implausible, errors.New("all ones"))
	}
	if b[0]&^oneShot != resolution12 {
		return d.fail("read", configuration, otherwise, fmt.Errorf("%02x instead of %02x", b[0], resolution12))
	}
	return nil
}

func (d *Dev) word(ctx context.Context, op string, reg byte) (uint16, error) {
	var b [2]byte
	if err := d.tx(ctx, op, reg, b[:]); err != nil {
		return 0, err
	}
	return uint16(b[0])<<8 | uint16(b[1]), nil
}

func (d *Dev) tx(ctx context.Context, op string, reg byte, r []byte) error {
	if ctx.Err() != nil {
		return d.fail(op, reg, drivers.Cancelled, context.Cause(ctx))
	}
	if err := d.bus.Tx(d.addr, []byte{reg}, r); err != nil {
		return d.fail(op, reg, drivers.FaultOf(err), err)
	}
	return nil
}

func (d *Dev) fail(op string, reg byte, f drivers.Fault, cause error) error {
	names := [...]string{"Temperature", "Configuration", "TLOW", "THIGH"}
	return &drivers.Error{Op: op, Device: d.name, Reg: names[reg], Fault: f, Err: cause}
}

var _ fmt.Stringer = (*Dev)(nil)
