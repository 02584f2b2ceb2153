// Package ade7880 drives the three-phase energy meter ADE7880 (Analog Devices, data sheet revision C) in a four-wire
// inlet: three voltages, three currents and the neutral's, over I2C at the fixed address 0x38.
//
// Errors of the part at 25 degrees Celsius (first page): active energy under 0.1 % over 1000:1 and under 0.2 % over
// 5000:1, rms values under 0.1 % over 1000:1. The board's dividers and transformers come on top.
//
// What bites, and what this package does about it:
//
//   - The part chooses between SPI and I2C by pin levels until I2C_LOCK is written, so that is Configure's first write.
//   - After every reset the processor stands still and nothing is computed; the registers answer all the same. Sense
//     looks at RUN and RSTDONE and says drivers.Restarted.
//   - Writes to the processor's memory go through a pipeline: the last one is written three times (Configure).
//   - The energy registers clear when read unless RSTREAD is off, and roll over at 32 bits. They are read without
//     clearing and EnergyDelta takes the difference.
//   - The part cannot be probed for: its two-byte register addresses are writes to other parts that live at 0x38.
//   - The ADE7878 answers alike with other scales; Identify tells it by its checksum while it is not configured.
//
// The scale of all values belongs to the board and comes with Opts. Calibration gains and offsets of the part stay 0,
// so that a loss of supply cannot shift readings by percents unseen. Meter settings are no actuator. A Dev keeps no
// state. Registers, scales and the start sequence are the data sheet's; widths, defaults and the bits of Gain are those
// of ESPHome's and other public drivers of the part.
package ade7880

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

// Address is fixed in the part: one per bus segment or mux channel.
const Address = 0x38

// Settling is how long after Configure the first sample is good: the filters need 580 ms, and the data sheet allows
// 1.3 s from the start of the processor. A base for energy is taken no earlier.
const Settling = 1300 * time.Millisecond

// Opts describes one meter as the board wires it.
type Opts struct {
	Name    string // for error texts
	A, B, C Phase
	Gain    int // of the amplifier of the three phase currents: 1, 2, 4, 8 or 16; the voltages' is 1
	Neutral Neutral
	Hertz   int // of the grid, 50 or 60: chooses a filter
}

// Phase describes one phase.
type Phase struct {
	FullScaleV physic.ElectricPotential // rms voltage of a sine that fills the converter
	FullScaleI physic.ElectricCurrent   // rms current of a sine that fills the converter at Opts.Gain
}

// Neutral describes the sensor of the neutral current. FullScaleI 0: there is none, and it is not read.
type Neutral struct {
	FullScaleI physic.ElectricCurrent
	Gain       int // 1, 2, 4, 8 or 16; ignored where there is no sensor
}

// Dev is one meter.
type Dev struct {
	port     chip.Port
	o        Opts
	settings []setting
}

// New checks the options and touches nothing.
func New(bus i2c.Bus, o Opts) (*Dev, error) {
	port, err := chip.NewPort(bus, "ade7880", o.Name, Address, chip.At(Address))
	if err != nil {
		return nil, err
	}
	settings, err := o.settings()
	if err != nil {
		return nil, fmt.Errorf("%v: %w", port, err)
	}
	return &Dev{port: port, o: o, settings: settings}, nil
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.port.String() }

// Measurement is one sample of an AC inlet.
type Measurement struct {
	A, B, C Line
	N       NeutralLine
}

// Line is what one phase measures. The quantities are read one after the other, some milliseconds apart.
type Line struct {
	Voltage physic.ElectricPotential // rms, against neutral
	Current physic.ElectricCurrent   // rms
	Power   physic.Power             // active, W; negative: energy flows back, or the sensor is reversed
	// Reactive is var, of the fundamental alone. How exact it is, is not known: the part computes it with VLEVEL, which
	// stays at its reset value as in ESPHome.
	Reactive    physic.Power
	Apparent    physic.Power     // VA
	PowerFactor float64          // what its sign means, leading or backwards, is not confirmed: go by Power and Reactive
	Frequency   physic.Frequency // 0: too little voltage to see zero crossings, or not the 45 to 66 Hz that the part is made for
	Energy      uint32           // active energy counter, signed; see EnergyDelta and EnergyCount
	Raw         Codes
}

// Codes are the registers behind a Line, to see whether a meter is frozen.
type Codes struct {
	VRMS, IRMS, WATT, FVAR, VA uint32
	PF, PERIOD                 uint16
}

// NeutralLine is what flows back through the neutral.
type NeutralLine struct {
	Fault   drivers.Fault          // NotRead: the board has no sensor
	Current physic.ElectricCurrent // rms
	Raw     uint32                 // NIRMS
}

// Identify tells a part that was just reset by its checksum over all settings, and one that Configure began with by
// the lock and the settings that lead to it. Version is the die's, 1 in the data sheet's list of anomalies.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	t := d.begin(ctx, "identify")
	version := t.measure(Version)
	if version == 0 {
		t.fail(Version, drivers.WrongDevice, errors.New("00"))
	}
	if sum := t.measure(CHECKSUM); sum != checksumReset {
		lock, mode := t.measure(CONFIG2), t.measure(LCYCMODE)
		if lock&i2cLock == 0 || mode != lcycReset && mode != lcycKeep {
			t.fail(CHECKSUM, drivers.WrongDevice, fmt.Errorf("%08x instead of %08x, and not ours either", sum, uint32(checksumReset)))
		}
	}
	if t.err != nil {
		return drivers.Ident{}, t.err
	}
	return drivers.Ident{Manufacturer: "Analog Devices", Part: "ADE7880", Version: fmt.Sprintf("%02x", version)}, nil
}

// Configure programs the part from any state, reads everything back and starts the processor. The counters are not
// cleared; see Settling. When it fails on a part that stood still, the next Sense says drivers.Restarted; on one that
// ran, Verify tells. Identify comes first; this writes.
func (d *Dev) Configure(ctx context.Context) error {
	t := d.begin(ctx, "write")
	t.set(CONFIG2, i2cLock, i2cLock)
	t.protect(dspOpen)
	for _, s := range d.settings {
		t.write(s.reg, s.value)
	}
	for _, r := range memory() {
		t.write(r, 0)
	}
	t.write(lastMemory, 0) // twice more, so that what is still in the pipeline arrives
	t.write(lastMemory, 0)
	t.protect(dspClosed)
	d.verify(t)
	// The data sheet reads the energies once here to clear them. With RSTREAD off that does nothing, and is not needed:
	// callers take differences.
	t.write(STATUS1, rstDone) // writing 1 clears it
	if status := t.read(STATUS1); status&rstDone != 0 {
		t.fail(STATUS1, drivers.Mismatch, errors.New("RSTDONE does not clear"))
	}
	t.set(Run, running, running)
	return t.err
}

// Verify reads every setting back. With it a process that has just begun takes over a running part without disturbing
// its counters. drivers.Restarted: the processor stands still; drivers.Mismatch: a setting differs.
func (d *Dev) Verify(ctx context.Context) error {
	t := d.begin(ctx, "verify")
	t.runs()
	t.compare(CONFIG2, i2cLock, i2cLock)
	d.verify(t)
	return t.err
}

func (d *Dev) verify(t *transfer) {
	for _, s := range d.settings {
		t.compare(s.reg, s.value, s.reg.ones())
	}
	for _, r := range memory() {
		t.compare(r, 0, r.ones())
	}
}

// Sense reads all phases and the neutral, all or nothing. drivers.Restarted: the part was reset, Configure it.
// drivers.Mismatch: a setting that the scale or the counters hang on is not what Configure wrote.
//
// A phase without a load reads zeros, and an energy or a power of -1 all ones; both are also what a bus gives that is
// held or that nobody drives. The settings are read last: Run and WTHR are neither and vouch for the codes before them,
// and what is doubtful is then read a second time. LCYCMODE alone comes first, since with another one reading a counter
// clears it.
func (d *Dev) Sense(ctx context.Context) (Measurement, error) {
	t := d.begin(ctx, "read")
	if mode := t.measure(LCYCMODE); mode != lcycKeep {
		d.running(t) // a reset explains it
		t.fail(LCYCMODE, drivers.Mismatch, fmt.Errorf("%02x instead of %02x", mode, lcycKeep))
	}
	var codes [3][8]uint32
	var neutral uint32
	var values []chip.Value[uint32]
	for i, phase := range phases() {
		for k, r := range phase {
			values = append(values, t.value(r, &codes[i][k]))
		}
	}
	if d.o.Neutral.FullScaleI != 0 {
		values = append(values, t.value(NIRMS, &neutral))
	}
	if err := chip.Sure(d.port, func() error { d.running(t); return t.err }, values...); err != nil {
		return Measurement{}, err
	}
	m := Measurement{A: line(t, d.o, 0, codes[0]), B: line(t, d.o, 1, codes[1]), C: line(t, d.o, 2, codes[2]), N: d.neutral(t, neutral)}
	if t.err != nil {
		return Measurement{}, t.err
	}
	return m, nil
}

// running looks whether the processor computes, and with the scales of Opts.
func (d *Dev) running(t *transfer) {
	t.runs()
	if status := t.measure(STATUS1); status&rstDone != 0 {
		t.fail(STATUS1, drivers.Restarted, errors.New("RSTDONE is set"))
	}
	for _, s := range d.settings {
		if s.watched {
			t.compare(s.reg, s.value, s.reg.ones())
		}
	}
}

// phases are the registers that Sense reads of each phase.
func phases() [3][8]Reg {
	return [3][8]Reg{
		{AWATTHR, AWATT, AFVAR, AVA, APF, APERIOD, AIRMS, AVRMS},
		{BWATTHR, BWATT, BFVAR, BVA, BPF, BPERIOD, BIRMS, BVRMS},
		{CWATTHR, CWATT, CFVAR, CVA, CPF, CPERIOD, CIRMS, CVRMS},
	}
}

// line makes sense of the codes of one phase.
func line(t *transfer, o Opts, phase int, codes [8]uint32) Line {
	p, regs := [...]Phase{o.A, o.B, o.C}[phase], phases()[phase]
	l := Line{Energy: codes[0], Raw: Codes{
		WATT: t.power(regs[1], codes[1]), FVAR: t.power(regs[2], codes[2]), VA: t.power(regs[3], codes[3]),
		PF: uint16(codes[4]), PERIOD: uint16(codes[5]), IRMS: t.rms(regs[6], codes[6]), VRMS: t.rms(regs[7], codes[7]),
	}}
	power := func(code uint32) physic.Power { return Power(code, p.FullScaleV, p.FullScaleI) }
	l.Voltage, l.Current = Voltage(l.Raw.VRMS, p.FullScaleV), Current(l.Raw.IRMS, p.FullScaleI)
	l.Power, l.Reactive, l.Apparent = power(l.Raw.WATT), power(l.Raw.FVAR), power(l.Raw.VA)
	l.PowerFactor = PowerFactor(l.Raw.PF)
	if l.Raw.VRMS >= noCrossing {
		l.Frequency = Frequency(l.Raw.PERIOD)
	}
	return l
}

func (d *Dev) neutral(t *transfer, code uint32) NeutralLine {
	if d.o.Neutral.FullScaleI == 0 {
		return NeutralLine{Fault: drivers.NotRead}
	}
	t.rms(NIRMS, code)
	return NeutralLine{Current: Current(code, d.o.Neutral.FullScaleI), Raw: code}
}

var _ fmt.Stringer = (*Dev)(nil)
