// Package mcp39f521 drives the single-phase energy meter MCP39F521 (Microchip, DS20005442A): one outlet's voltage,
// current, powers, frequency and four counters of energy, all averaged over a window of 2^N line cycles.
//
// Error class of the part: 0.1 % over 4000:1 is what its first page calls possible for a calibrated board. The board's
// calibration decides, and lives in the meter's own flash.
//
// The meter speaks in frames, not registers: a frame is written, the meter thinks, and the answer is fetched in a
// second transfer. Frames, registers and scales are those of the libraries of santosjmp, Upbeat Labs (drwattson) and
// warpme. What is only recalled of the data sheet says so where it stands.
//
// What bites, and what this package does about it:
//
//   - Commands one byte away from a read save settings, erase memory or start a calibration. This package builds two
//     kinds of frame, a read and the one write that turns energy counting on, and there is no way to hand it another.
//   - The same addresses carry multiplexers that take any byte as their channels: never probe for this meter.
//   - It answers late. A verb waits, and fetches again while the answer is not there; the waits end with the context.
//     Do not give a Dev the bus of a job that may not be split: the waits would hold that bus for everybody.
//   - A restart clears the energy counters and stops counting; Sense says drivers.Restarted.
package mcp39f521

import (
	"context"
	"errors"
	"fmt"
	"math"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip"
)

// The two address pins place the part between these two addresses. All but the first are recalled.
const (
	FirstAddr = 0x74
	LastAddr  = 0x77
)

// Opts says where the part is and how its board was calibrated.
type Opts struct {
	Name  string // for error texts
	Addr  uint16
	Scale Scale // the zero value is DefaultScale
	// CorrectEnergy multiplies what a count of energy means by 2^(N-2). The meters that Upbeat Labs sells need it for
	// windows other than N = 2; whether a version of the meter does is to be measured.
	CorrectEnergy bool
}

// Dev is one meter. It keeps no state but its options.
type Dev struct {
	port    chip.Port
	scale   Scale
	correct bool
}

// New checks the options and touches nothing.
func New(bus i2c.Bus, o Opts) (*Dev, error) {
	port, err := chip.NewPort(bus, "mcp39f521", o.Name, o.Addr, chip.Range{First: FirstAddr, Last: LastAddr})
	if err != nil {
		return nil, err
	}
	if o.Scale == (Scale{}) {
		o.Scale = DefaultScale()
	}
	if err := o.Scale.check(); err != nil {
		return nil, fmt.Errorf("%v: %w", port, err)
	}
	return &Dev{port: port, scale: o.Scale, correct: o.CorrectEnergy}, nil
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.port.String() }

// Measurement is one sample of an AC outlet: averages over the meter's window, 80 ms at N = 2 and 50 Hz.
type Measurement struct {
	Voltage     physic.ElectricPotential // rms
	Frequency   physic.Frequency         // as the meter gives it, with or without a voltage to measure it on
	Current     physic.ElectricCurrent   // rms
	Power       physic.Power             // active, W; negative: energy flows back, or the sensor is reversed
	Reactive    physic.Power             // var; negative: capacitive
	Apparent    physic.Power             // VA
	PowerFactor float64
	Status      Status
	Energy      Energy
	Raw         Codes
}

// Energy are the meter's counters since it started. They are 64 bits wide and never roll over. Energy below the no-load
// level, 1 W unless the board says otherwise, is not counted.
type Energy struct {
	ImportActive, ExportActive     uint64
	ImportReactive, ExportReactive uint64
	// JoulePerCount is what a count means: joules, or var seconds for the reactive ones.
	JoulePerCount float64
}

// Codes are the registers behind a Measurement, to see whether a meter is frozen.
type Codes struct {
	Voltage, Frequency, PowerFactor     uint16
	Current, Active, Reactive, Apparent uint32
}

// Identify reads the version, a date, and checks that its month is one. The part has no name to read, so an Ident of
// this driver names the part that the caller asked for.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	v, err := d.word(ctx, "identify", systemVersion)
	if err != nil {
		return drivers.Ident{}, err
	}
	if month := v >> 8 & 0x0f; month < 1 || month > 12 {
		return drivers.Ident{}, d.port.Fail("identify", systemVersion.String(), drivers.WrongDevice, fmt.Errorf("%04x holds no month", v))
	}
	return drivers.Ident{Manufacturer: "Microchip", Part: "MCP39F521", Version: fmt.Sprintf("%04x", v)}, nil
}

// Configure turns energy counting on and reads that back. A meter that counts already is left alone, and so are its
// counters. Nothing is saved: after a restart it is to be done again. It moves no actuator.
func (d *Dev) Configure(ctx context.Context) error {
	on, err := d.word(ctx, "read", energyControl)
	if err != nil || on == counting {
		return err
	}
	if _, err := d.exchange(ctx, "write", energyControl, startCounting(), 1); err != nil {
		return err
	}
	return d.counts(ctx, drivers.Mismatch)
}

// Sense reads one sample. drivers.Restarted: the meter does not count energy, so it restarted (recalled: the switch is
// volatile); Configure it.
//
// The switch is read last: a restart in the middle then spoils the sample instead of mixing old and new counters.
func (d *Dev) Sense(ctx context.Context) (Measurement, error) {
	out, err := d.read(ctx, "read", systemStatus, outputBytes)
	if err != nil {
		return Measurement{}, err
	}
	m, ok := decode(out, d.scale)
	if !ok {
		return Measurement{}, d.port.Ones("read", "output registers")
	}
	energy, err := d.read(ctx, "read", importActive, energyBytes)
	if err != nil {
		return Measurement{}, err
	}
	m.Energy = decodeEnergy(energy)
	if m.Energy.JoulePerCount, err = d.joule(ctx); err != nil {
		return Measurement{}, err
	}
	if err := d.counts(ctx, drivers.Restarted); err != nil {
		return Measurement{}, err
	}
	return m, nil
}

// counts looks whether energy counting is on; off is for the caller to name.
func (d *Dev) counts(ctx context.Context, off drivers.Fault) error {
	on, err := d.word(ctx, "read", energyControl)
	switch {
	case err != nil:
		return err
	case on == counting:
		return nil
	case on == 0:
		return d.port.Fail("read", energyControl.String(), off, errors.New("energy is not counted"))
	default:
		return d.port.Fail("read", energyControl.String(), drivers.Mismatch, fmt.Errorf("%04x instead of %04x", on, counting))
	}
}

// joule is what a count of energy means.
func (d *Dev) joule(ctx context.Context) (float64, error) {
	if !d.correct {
		return d.scale.EnergyCount(), nil
	}
	n, err := d.word(ctx, "read", accumulationInterval)
	if err != nil {
		return 0, err
	}
	if n > longestInterval {
		return 0, d.port.Fail("read", accumulationInterval.String(), drivers.Implausible, fmt.Errorf("window of 2^%d cycles", n))
	}
	return math.Ldexp(d.scale.EnergyCount(), int(n)-trueInterval), nil
}

var _ fmt.Stringer = (*Dev)(nil)
