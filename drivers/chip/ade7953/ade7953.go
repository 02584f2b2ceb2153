// Package ade7953 drives the single-phase energy meter ADE7953 (Analog Devices, data sheet revision C): one
// voltage and two current channels, so two outlets of one phase, over I2C at the fixed address 0x38.
//
// What bites, and what this package does about it:
//
//   - Until COMM_LOCK is written the part chooses between SPI, I2C and UART by pin levels and may leave I2C. The
//     lock is therefore the first write of Configure.
//   - A part that lost its supply answers as if nothing had happened, with gain 1 and its meters at 0. Configure
//     turns the part's checksum over its own settings on; every Sense compares it and says drivers.Restarted or
//     drivers.Mismatch instead of a number.
//   - The energy registers clear when read unless RSTREAD is off, roll over at 24 bits and restart at 0. They are
//     read without clearing and EnergyDelta takes the difference modulo 2^24.
//   - The part cannot be probed for: its two-byte register addresses are writes to other parts that live at 0x38.
//
// The scale of all values belongs to the board and comes with Opts. Calibration gains of the chip stay at 1, so
// that a loss of supply cannot shift readings by percents unseen. Meter settings are no actuator. A Dev keeps no
// state: the checksum belongs to the caller, which hands it to Sense.
package ade7953

import (
	"context"
	"errors"
	"fmt"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip"
)

// Address is fixed in the part: one per bus segment or mux channel.
const Address = 0x38

// Opts describes one meter as the board wires it.
type Opts struct {
	Name       string                   // for error texts
	FullScaleV physic.ElectricPotential // rms voltage of a full-scale sine, see FullScaleVoltage
	A, B       Channel
	// NoLoad is the no-load threshold as a fraction 1/NoLoad of full-scale power; below it the energy counter
	// stands still. 0 means 10,000, the part's own default; 1,000 to 50,000.
	NoLoad float64
}

// Channel describes one current channel.
type Channel struct {
	FullScaleI physic.ElectricCurrent // rms current of a full-scale sine, see FullScaleCurrent
	Gain       int                    // of the programmable amplifier: 1, 2, 4, 8, 16, on channel A also 22
	Phase      int                    // steps of 1.117 us, -383 to 383, positive advances the current
}

// Dev is one meter.
type Dev struct {
	port     chip.Port
	o        Opts
	settings []setting
}

// New checks the options and touches nothing.
func New(bus i2c.Bus, o Opts) (*Dev, error) {
	port, err := chip.NewPort(bus, "ade7953", o.Name, Address, chip.At(Address))
	if err != nil {
		return nil, err
	}
	if o.NoLoad == 0 {
		o.NoLoad = 10_000
	}
	settings, err := o.settings()
	if err != nil {
		return nil, fmt.Errorf("%v: %w", port, err)
	}
	return &Dev{port: port, o: o, settings: settings}, nil
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.port.String() }

// Measurement is one sample of all quantities. Instantaneous powers carry ripple at twice the line frequency.
type Measurement struct {
	Voltage   physic.ElectricPotential
	Frequency physic.Frequency // 0: too little voltage to see zero crossings
	A, B      Load
	RawV      uint32 // VRMS
}

// Load is what one current channel measures.
type Load struct {
	Current     physic.ElectricCurrent
	Power       physic.Power // active, W; negative: energy flows back, or the sensor is reversed
	Apparent    physic.Power // VA
	Reactive    physic.Power // var
	PowerFactor float64      // its sign is leading or lagging (negative: capacitive), not the direction of power
	Energy      uint32       // active energy counter, 24 bits; see EnergyDelta
	Raw         Codes
}

// Codes are the registers behind a Load, to see whether a meter is frozen.
type Codes struct{ IRMS, WATT, VA, VAR uint32 }

// noCrossing is the voltage code below which the part sees no zero crossings, 1/1250 of full scale (data sheet
// revision C). PERIOD means nothing then.
const noCrossing = fullScaleRMS / 1250

// Sense reads both channels, all or nothing. The checksum is the one Configure or Verify returned.
//
// drivers.Restarted: the part is at its defaults, Configure it. drivers.Mismatch: the checksum moved; Verify tells
// whether a setting did. Reading the status clears it, so one process at a time may use a part.
//
// An idle outlet reads zeros, dithers through powers of -1, and its counter may stand for hours at either; both are also
// what a bus gives that is held or that nobody drives. The checksum, read after the values, vouches for them, and what is
// doubtful is then read a second time. The status comes last of all: a part that lost its supply announces its start in
// it, and clearing that before the checksum has told would lose it (Started).
func (d *Dev) Sense(ctx context.Context, checksum uint32) (Measurement, error) {
	t := &transfer{d: d, ctx: ctx}
	var m Measurement
	var status, period, pfA, pfB uint32
	if err := chip.Sure(
		d.port, func() error { d.unchanged(t, checksum); status = d.status(t); return t.err },
		t.value(AENERGYA, &m.A.Energy), t.value(AENERGYB, &m.B.Energy), t.value(VRMS, &m.RawV),
		t.value(AWATT, &m.A.Raw.WATT), t.value(AVAR, &m.A.Raw.VAR), t.value(AVA, &m.A.Raw.VA), t.value(PFA, &pfA), t.value(IRMSA, &m.A.Raw.IRMS),
		t.value(BWATT, &m.B.Raw.WATT), t.value(BVAR, &m.B.Raw.VAR), t.value(BVA, &m.B.Raw.VA), t.value(PFB, &pfB), t.value(IRMSB, &m.B.Raw.IRMS),
		t.value(PERIOD, &period),
	); err != nil {
		return Measurement{}, err
	}
	m.A.convert(d.o, d.o.A, pfA)
	m.B.convert(d.o, d.o.B, pfB)
	m.Voltage = Voltage(m.RawV, d.o.FullScaleV)
	t.measured(VRMS, m.RawV)
	t.measured(IRMSA, m.A.Raw.IRMS)
	t.measured(IRMSB, m.B.Raw.IRMS)
	if m.RawV >= noCrossing && status&irqNoCrossing == 0 {
		t.measured(PERIOD, period)
		m.Frequency = Frequency(uint16(period))
	}
	if t.err != nil {
		return Measurement{}, t.err
	}
	return m, nil
}

// status reads what happened since it was last read, and forgets it.
func (d *Dev) status(t *transfer) uint32 {
	status := t.measure(RSTIRQSTATA)
	if status&irqReset != 0 {
		t.fail("read", RSTIRQSTATA, drivers.Restarted, nil)
	}
	return status
}

// convert makes the values of a Load of its codes.
func (l *Load) convert(o Opts, c Channel, pf uint32) {
	power := func(code uint32) physic.Power { return Power(code, o.FullScaleV, c.FullScaleI) }
	l.Current = Current(l.Raw.IRMS, c.FullScaleI)
	l.Power, l.Apparent, l.Reactive = power(l.Raw.WATT), power(l.Raw.VA), power(l.Raw.VAR)
	l.PowerFactor = PowerFactor(uint16(pf))
}

// unchanged compares the part's checksum. All ones mean that it is off, unless nobody drives the bus.
func (d *Dev) unchanged(t *transfer, checksum uint32) {
	switch got := t.read(CRC); {
	case t.err != nil || got == checksum && got != crcOff:
	case got != crcOff:
		t.fail("read", CRC, drivers.Mismatch, fmt.Errorf("checksum %08x instead of %08x", got, checksum))
	default:
		t.measure(CONFIG)
		t.fail("read", CRC, drivers.Restarted, nil)
	}
}

// Identify tells a part at its defaults by two registers and one that was configured by its CONFIG. The silicon
// version's value is not published; it must only not be 00 or FF.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	t := &transfer{d: d, ctx: ctx}
	config := t.measure(CONFIG)
	switch {
	case t.err != nil:
	case config == configReset:
		t.expect("identify", AP_NOLOAD, noLoadReset, drivers.WrongDevice)
	case config != configLocked && config != configRunning:
		t.fail("identify", CONFIG, drivers.WrongDevice, fmt.Errorf("%04x is neither the default nor ours", config))
	}
	version := t.measure(Version)
	if version == 0 {
		t.fail("identify", Version, drivers.WrongDevice, errors.New("00"))
	}
	if t.err != nil {
		return drivers.Ident{}, t.err
	}
	return drivers.Ident{Manufacturer: "Analog Devices", Part: "ADE7953", Version: fmt.Sprintf("%02x", version)}, nil
}

// Started tells whether the part has announced the end of its start-up, 26 ms plus about 40 ms after its supply
// came. The announcement is gone once a Sense or Configure cleared it.
func (d *Dev) Started(ctx context.Context) (bool, error) {
	t := &transfer{d: d, ctx: ctx}
	status := t.read(IRQSTATA)
	return t.err == nil && status != 0xffffff && status&irqReset != 0, t.err
}

// Verify reads every setting back and returns the checksum to compare with from now on. With it a process that
// has just begun takes over a running part without disturbing its counters. drivers.Restarted: the part was not
// configured since it started; drivers.Mismatch: a setting differs.
func (d *Dev) Verify(ctx context.Context) (uint32, error) {
	t := &transfer{d: d, ctx: ctx}
	if config := t.measure(CONFIG); t.err == nil && config != configRunning {
		t.fail("verify", CONFIG, drivers.Restarted, fmt.Errorf("%04x instead of %04x", config, configRunning))
	}
	for _, s := range d.settings {
		t.verify(s)
	}
	t.expect("verify", WRITE_PROTECT, protectAll, drivers.Mismatch)
	sum := t.read(CRC)
	if sum == crcOff {
		t.fail("verify", CRC, drivers.Restarted, nil)
	}
	if t.err != nil {
		return 0, t.err
	}
	return sum, nil
}

// Configure programs the part from any state and returns the checksum for Sense. Each write is read back. The
// first samples are good 200 ms later. When it fails half-way the checksum stays off, so that the next Sense says
// drivers.Restarted. Identify comes first; this writes.
func (d *Dev) Configure(ctx context.Context) (uint32, error) {
	t := &transfer{d: d, ctx: ctx}
	if config := t.measure(CONFIG); config&commLock == 0 {
		t.set(setting{reg: WRITE_PROTECT, value: 0}) // locked before: a protected register would swallow what follows
	}
	t.set(setting{reg: CONFIG, value: configLocked})
	// The unlock key and the setting it unlocks must follow each other without a read in between, and the data
	// sheet does not say how the register reads: the one write that only the acknowledgement proves.
	t.write(unlock, unlockKey)
	t.write(Reserved120, optimum)
	for _, s := range d.settings {
		t.set(s)
	}
	t.read(RSTIRQSTATA)
	t.set(setting{reg: CONFIG, value: configRunning})
	t.set(setting{reg: WRITE_PROTECT, value: protectAll})
	sum := t.read(CRC)
	if sum == crcOff {
		t.fail("configure", CRC, drivers.Mismatch, errors.New("the checksum did not start"))
	}
	if t.err != nil {
		return 0, t.err
	}
	return sum, nil
}

var _ fmt.Stringer = (*Dev)(nil)
