// Package ina228 drives the 85 V power monitors INA228 (Texas Instruments, SLYS021A; 20 bits, counters of energy and
// charge), INA238 (SLYS025) and INA237 (SBOSA20; both 16 bits, no counters): the voltage of a DC supply, the current
// through a shunt of up to 163.84 or 40.96 mV, and the temperature of the part, all averaged over 16 conversions.
//
// Errors of the part alone at 25 degrees Celsius, at most: INA238 gain 0.1 % on both inputs, offset 5 uV on the shunt
// and 5 mV on the bus (SLYS025, Electrical Characteristics). INA228 gain 0.05 % and offset 1 uV, INA237 gain 0.3 % and
// offset 50 uV (both recalled). The shunt's tolerance comes on top.
//
// What bites, and what this package does about it:
//
//   - A part that lost its supply answers with one conversion instead of 16, and its counters begin at 0. Sense looks
//     at the settings and says drivers.Restarted.
//   - Current and power are computed here from the shunt and the bus voltage, so that nothing but the counters depends
//     on SHUNT_CAL, and current that flows back gives negative power: the part's own power register has no sign.
//   - ENERGY counts 40 bits without a sign and rolls over. EnergyDelta tells the turn from a reset by the overflow bit.
//
// The registers of the INA238 are those of the Linux driver ina238; what is the INA228's alone (widths, counters) and
// the bits of DIAG_ALRT are recalled from SLYS021A. The alert pin and limits are not used.
package ina228

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

// The two address pins place the part between these two addresses.
const (
	FirstAddr = 0x40
	LastAddr  = 0x4f
)

// Conversion is how long Configure needs until a sample is an average of the new settings: 16 conversions of three
// inputs at 1.052 ms are 50.5 ms, the rest is margin for the part's clock. Arbitrary.
const Conversion = 60 * time.Millisecond

// Part names one of the family.
type Part string

// The parts.
const (
	INA228 Part = "INA228"
	INA237 Part = "INA237" // has no identification registers
	INA238 Part = "INA238"
)

// Opts says which part is where and what it measures.
type Opts struct {
	Name     string // for error texts
	Part     Part
	Addr     uint16
	ShuntOhm float64
	// MaxA is the largest current expected. It scales the counters of an INA228 through SHUNT_CAL; the readings of
	// voltage, current and power do not depend on it. MaxA times ShuntOhm is within the range.
	MaxA   float64
	Narrow bool // the shunt range is 40.96 mV instead of 163.84 mV, with four times the resolution
}

// Dev is one monitor. It keeps no state but its options.
type Dev struct {
	port   chip.Port
	o      Opts
	config uint16
	cal    uint16
}

// New checks the options and touches nothing.
func New(bus i2c.Bus, o Opts) (*Dev, error) {
	port, err := chip.NewPort(bus, "ina228", o.Name, o.Addr, chip.Range{First: FirstAddr, Last: LastAddr})
	if err != nil {
		return nil, err
	}
	switch o.Part {
	case INA228, INA237, INA238:
	default:
		return nil, fmt.Errorf("%v: no part %q: INA228, INA237 or INA238", port, o.Part)
	}
	cal, err := o.shuntCal()
	if err != nil {
		return nil, fmt.Errorf("%v: %w", port, err)
	}
	d := &Dev{port: port, o: o, cal: cal}
	if o.Narrow {
		d.config = adcRange
	}
	return d, nil
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.port.String() }

// EnergyCount is the energy in joules behind one count of Counters.Energy.
func (d *Dev) EnergyCount() float64 { return EnergyCount(d.o.currentLSB(d.cal)) }

// ChargeCount is the charge in coulombs behind one count of Counters.Charge.
func (d *Dev) ChargeCount() float64 { return d.o.currentLSB(d.cal) }

// Measurement is one sample of a DC supply. The inputs are read one after the other and may be one average apart.
type Measurement struct {
	Voltage     physic.ElectricPotential // DC, at VBUS against GND, 0 to 85 V
	Shunt       physic.ElectricPotential // DC, negative: the current flows back
	Current     physic.ElectricCurrent   // DC, Shunt / ShuntOhm
	Power       physic.Power             // true power, Voltage times Current: of a supply whose voltage is steady
	Temperature physic.Temperature       // of the part, not of the shunt
	// CurrentFault is that of Shunt, Current and Power; the rest holds. Implausible: the shunt voltage is at the end of its
	// range, so the current is that or more, and the three are 0.
	CurrentFault drivers.Fault
	Counters     Counters
	Raw          Codes
}

// Counters are what an INA228 has added up since its supply came, or since another master cleared it. They go on
// through Configure; where that changed SHUNT_CAL, a difference that spans it means nothing.
type Counters struct {
	// Fault is Unsupported on parts without counters, and Implausible while the part's arithmetic overflows: more
	// current flows than MaxA. The counters mean nothing then.
	Fault          drivers.Fault
	Energy         uint64 // 40 bits, of the magnitude of power; see EnergyDelta and EnergyCount
	EnergyOverflow bool   // it rolled over since it was last read
	Charge         int64  // 40 bits with sign; see ChargeDelta and ChargeCount
	ChargeOverflow bool   // it rolled over since it was last read
}

// Codes are the registers behind a Measurement as read, to see whether a part is frozen.
type Codes struct {
	VSHUNT, VBUS uint32
	DIETEMP      uint16
}

// Identify reads the identification registers. The INA237 has none: there ADC_CONFIG must hold its power-on value or
// ours, and the Ident names the part that the options name.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	t := d.begin(ctx, "identify")
	id := drivers.Ident{Manufacturer: "Texas Instruments", Part: string(d.o.Part)}
	switch d.o.Part {
	case INA237:
		if got := t.setting(ADC_CONFIG); got != adcDefault && got != adcAverage {
			t.fail(ADC_CONFIG, drivers.WrongDevice, fmt.Errorf("%04x is neither the power-on value nor ours", got))
		}
	case INA238:
		t.expect(MANUFACTURER_ID, manufacturerTI, drivers.WrongDevice)
		t.expect(DEVICE_ID, deviceINA238, drivers.WrongDevice)
	default:
		t.expect(MANUFACTURER_ID, manufacturerTI, drivers.WrongDevice)
		got := t.setting(DEVICE_ID)
		if got&^0x000f != deviceINA228 {
			t.fail(DEVICE_ID, drivers.WrongDevice, fmt.Errorf("%04x instead of %03xx", got, deviceINA228>>4))
		}
		id.Version = fmt.Sprintf("%x", got&0x000f)
	}
	if t.err != nil {
		return drivers.Ident{}, t.err
	}
	return id, nil
}

// Configure sets the range, SHUNT_CAL and the averaging and reads each back. ADC_CONFIG comes last: until it is
// written Sense says drivers.Restarted. It clears no counter and moves no actuator. See Conversion.
func (d *Dev) Configure(ctx context.Context) error {
	t := d.begin(ctx, "write")
	t.set(CONFIG, d.config)
	t.set(SHUNT_CAL, d.cal)
	t.set(ADC_CONFIG, adcAverage)
	return t.err
}

// Sense reads one sample. drivers.Restarted: a setting is at its power-on value, Configure the part.
// drivers.Mismatch: it is not what Configure wrote either. drivers.Corrupt: the part finds its trim memory damaged.
//
// Reading DIAG_ALRT and the counters clears what they announce, so one process at a time may use a part.
//
// Zeros are legitimate everywhere, and all ones too in places: a shunt or a temperature one step below 0, a counter
// before its turn. They are also what a bus gives that is held or that nobody drives. The settings, of which ADC_CONFIG
// is neither, are read last and vouch for the codes before them, and what is doubtful is then read a second time.
func (d *Dev) Sense(ctx context.Context) (Measurement, error) {
	t := d.begin(ctx, "read")
	diag := t.setting(DIAG_ALRT)
	if diag&memoryGood == 0 {
		t.fail(DIAG_ALRT, drivers.Corrupt, errors.New("the trim memory fails its checksum"))
	}
	var shunt, temperature, energy, charge, bus uint64
	values := []chip.Value[uint64]{t.value(VSHUNT, &shunt), t.value(DIETEMP, &temperature)}
	if d.o.Part == INA228 {
		values = append(values, t.value(ENERGY, &energy), t.value(CHARGE, &charge))
	}
	configured := func() error { d.configured(t); return t.err }
	if err := chip.Sure(d.port, configured, append(values, t.value(VBUS, &bus))...); err != nil {
		return Measurement{}, err
	}
	m := Measurement{
		Raw:      Codes{VSHUNT: uint32(shunt), VBUS: uint32(bus), DIETEMP: uint16(temperature)},
		Counters: d.counters(energy, charge, diag),
	}
	d.convert(t, &m)
	if t.err != nil {
		return Measurement{}, t.err
	}
	return m, nil
}

// configured compares the settings with what Configure wrote. A part that lost its supply while Configure wrote them has
// some of both.
func (d *Dev) configured(t *transfer) {
	for _, s := range []struct {
		reg             Reg
		want, atPowerOn uint16
	}{{ADC_CONFIG, adcAverage, adcDefault}, {CONFIG, d.config, 0}, {SHUNT_CAL, d.cal, calDefault}} {
		switch got := t.setting(s.reg); got {
		case s.want:
		case s.atPowerOn:
			t.fail(s.reg, drivers.Restarted, fmt.Errorf("%04x, the power-on value", got))
		default:
			t.fail(s.reg, drivers.Mismatch, fmt.Errorf("%04x instead of %04x", got, s.want))
		}
	}
}

// counters makes sense of both. The flags were read before them: reading a counter clears its flag.
func (d *Dev) counters(energy, charge uint64, diag uint16) Counters {
	switch {
	case d.o.Part != INA228:
		return Counters{Fault: drivers.Unsupported}
	case diag&mathOverflow != 0:
		return Counters{Fault: drivers.Implausible}
	}
	return Counters{
		Energy: energy, EnergyOverflow: diag&energyOverflow != 0,
		Charge: signed(charge, 40), ChargeOverflow: diag&chargeOverflow != 0,
	}
}

func (d *Dev) convert(t *transfer, m *Measurement) {
	var ok bool
	if m.Voltage, ok = BusVoltage(d.o.Part, m.Raw.VBUS); !ok {
		t.fail(VBUS, drivers.Implausible, fmt.Errorf("code %0*x", 2*VBUS.width(d.o.Part), m.Raw.VBUS))
	}
	if m.Temperature, ok = Temperature(d.o.Part, m.Raw.DIETEMP); !ok {
		t.fail(DIETEMP, drivers.Implausible, fmt.Errorf("code %04x", m.Raw.DIETEMP))
	}
	shunt, fault := ShuntVoltage(d.o.Part, d.o.Narrow, m.Raw.VSHUNT)
	switch fault {
	case drivers.None:
		m.Shunt, m.Current = shunt, Current(shunt, d.o.ShuntOhm)
		m.Power = Power(m.Voltage, m.Current)
	case drivers.Implausible:
		m.CurrentFault = fault
	default:
		t.fail(VSHUNT, drivers.Implausible, fmt.Errorf("code %0*x", 2*VSHUNT.width(d.o.Part), m.Raw.VSHUNT))
	}
}

var _ fmt.Stringer = (*Dev)(nil)
