// Package ina226 drives the power monitor INA226 (Texas Instruments, SBOS547B): the voltage of a DC supply of up to
// 36 V and the current through a shunt of up to 81.92 mV, both averaged over 16 conversions.
//
// Errors of the part alone at 25 degrees Celsius (SBOS547B, Electrical Characteristics): gain 0.02 % typical and 0.1 %
// at most on both inputs, offset 2.5 uV typical and 10 uV at most on the shunt, 1.25 mV and 7.5 mV on the bus. The
// shunt's own tolerance comes on top and is usually the larger.
//
// CALIBRATION is volatile. After a brown-out it is 0, the part's current and power registers read 0 and its voltages
// look fine (Linux driver ina2xx). Sense therefore looks at the settings and says drivers.Restarted, and it
// divides the shunt voltage by the shunt itself: what it reports needs no CALIBRATION. The alert pin is not used.
package ina226

import (
	"context"
	"fmt"
	"math"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip"
)

// The two address pins, each at GND, V+, SDA or SCL, place the part between these two addresses.
const (
	FirstAddr = 0x40
	LastAddr  = 0x4f
)

// Conversion is the longest time from Configure to the first average: 16 conversions of each input, 1.1 ms typical
// and 1.21 ms at most each (SBOS547B). A sample taken earlier is older than the settings, or 0 after power-on.
const Conversion = 39 * time.Millisecond

// Pointer addresses.
const (
	configuration  = 0x00
	shuntVoltage   = 0x01
	busVoltage     = 0x02
	calibration    = 0x05
	manufacturerID = 0xfe
	dieID          = 0xff
)

const (
	// configAverage: 16 averages, 1.1 ms for each input, both continuously (the setting of the Linux driver ina2xx).
	configAverage uint16 = 0x4527
	configDefault uint16 = 0x4127

	manufacturerTI uint16 = 0x5449 // "TI"
	dieINA226      uint16 = 0x2260

	shuntStep = 2500 * physic.NanoVolt
	busStep   = 1250 * physic.MicroVolt

	// Codes at the ends of the converter. A shunt voltage beyond them reads the same.
	clippedHigh uint16 = 0x7fff
	clippedLow  uint16 = 0x8000

	// smallestOhm keeps currents far inside physic's range. Arbitrary; no shunt is that small.
	smallestOhm = 1e-6

	calibrationScale = 0.00512 // SBOS547B, equation 1
	fullShunt        = 0.08192 // volts
	calibrationMax   = 0x7fff  // bit 15 always reads 0
)

// Opts says where the part is and what it measures.
type Opts struct {
	Name     string // for error texts
	Addr     uint16
	ShuntOhm float64
	// MaxA is the largest current expected. It scales the part's own current register through CALIBRATION; this
	// package's readings do not depend on it. MaxA times ShuntOhm is 5.12 mV to 81.92 mV.
	MaxA float64
}

// Dev is one monitor. It keeps no state but its options.
type Dev struct {
	port chip.Port
	ohm  float64
	cal  uint16
}

// New checks the options and touches nothing.
func New(bus i2c.Bus, o Opts) (*Dev, error) {
	port, err := chip.NewPort(bus, "ina226", o.Name, o.Addr, chip.Range{First: FirstAddr, Last: LastAddr})
	if err != nil {
		return nil, err
	}
	if !(o.ShuntOhm >= smallestOhm) { // written so that NaN fails too
		return nil, fmt.Errorf("%v: shunt of %g ohm is not at least %g", port, o.ShuntOhm, smallestOhm)
	}
	cal, err := Calibration(o.MaxA, o.ShuntOhm)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", port, err)
	}
	return &Dev{port: port, ohm: o.ShuntOhm, cal: cal}, nil
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.port.String() }

// Measurement is one sample of a DC supply. The two inputs are read one after the other and may be one average apart.
type Measurement struct {
	Voltage physic.ElectricPotential // DC, at VBUS against GND, 0 to 36 V
	Shunt   physic.ElectricPotential // DC, negative: the current flows back
	Current physic.ElectricCurrent   // DC, Shunt / ShuntOhm
	Power   physic.Power             // true power, Voltage times Current: of a supply whose voltage is steady
	// CurrentFault is that of Shunt, Current and Power; Voltage holds. Implausible: the shunt voltage is at the end of the
	// converter, so the current is that or more, and the three are 0.
	CurrentFault drivers.Fault
	Raw          Codes
}

// Codes are the registers behind a Measurement, to see whether a part is frozen.
type Codes struct{ Shunt, Bus uint16 }

// Identify reads both identification registers.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	for _, r := range []struct {
		reg  byte
		want uint16
	}{{manufacturerID, manufacturerTI}, {dieID, dieINA226}} {
		if err := d.expect(ctx, "identify", r.reg, r.want, drivers.WrongDevice); err != nil {
			return drivers.Ident{}, err
		}
	}
	return drivers.Ident{Manufacturer: "Texas Instruments", Part: "INA226"}, nil
}

// Configure sets the averaging and CALIBRATION and reads both back. It starts a new average; see Conversion. It moves
// no actuator. When it fails half-way the next Sense says so.
func (d *Dev) Configure(ctx context.Context) error {
	for _, r := range []struct {
		reg   byte
		value uint16
	}{{configuration, configAverage}, {calibration, d.cal}} {
		w := []byte{r.reg, byte(r.value >> 8), byte(r.value)}
		if err := d.port.Tx(ctx, "write", regName(r.reg), w, nil); err != nil {
			return err
		}
		if err := d.expect(ctx, "read", r.reg, r.value, drivers.Mismatch); err != nil {
			return err
		}
	}
	return nil
}

// Sense reads one sample. drivers.Restarted: a setting is at its power-on value, Configure the part.
// drivers.Mismatch: it holds another value than Configure wrote.
//
// Shunt codes of 0000 and FFFF, no current and -2.5 uV, are legitimate, and so is a bus voltage of 0; they are also what
// a bus gives that is held or that nobody drives. The settings, read last, are neither and vouch for the codes before
// them, and what is doubtful is then read a second time.
func (d *Dev) Sense(ctx context.Context) (Measurement, error) {
	var m Measurement
	if err := chip.Sure(d.port, func() error { return d.configured(ctx) },
		d.port.WordValue(ctx, regName(shuntVoltage), shuntVoltage, &m.Raw.Shunt),
		d.port.WordValue(ctx, regName(busVoltage), busVoltage, &m.Raw.Bus)); err != nil {
		return Measurement{}, err
	}
	v, ok := BusVoltage(m.Raw.Bus)
	if !ok {
		return Measurement{}, d.port.Fail("read", regName(busVoltage), drivers.Implausible, fmt.Errorf("code %04x", m.Raw.Bus))
	}
	m.Voltage = v
	shunt, ok := ShuntVoltage(m.Raw.Shunt)
	if !ok {
		m.CurrentFault = drivers.Implausible
		return m, nil
	}
	m.Shunt, m.Current = shunt, Current(shunt, d.ohm)
	m.Power = Power(m.Voltage, m.Current)
	return m, nil
}

// configured compares both settings with what Configure wrote.
func (d *Dev) configured(ctx context.Context) error {
	for _, r := range []struct {
		reg             byte
		want, atPowerOn uint16
	}{{configuration, configAverage, configDefault}, {calibration, d.cal, 0}} {
		got, err := d.word(ctx, "read", r.reg)
		if err != nil {
			return err
		}
		otherwise := drivers.Mismatch
		if got == r.atPowerOn {
			otherwise = drivers.Restarted
		}
		if err := d.judge("read", r.reg, got, r.want, otherwise); err != nil {
			return err
		}
	}
	return nil
}

// expect reads a register that must hold one value.
func (d *Dev) expect(ctx context.Context, op string, reg byte, want uint16, otherwise drivers.Fault) error {
	got, err := d.word(ctx, op, reg)
	if err != nil {
		return err
	}
	return d.judge(op, reg, got, want, otherwise)
}

func (d *Dev) judge(op string, reg byte, got, want uint16, otherwise drivers.Fault) error {
	switch got {
	case want:
		return nil
	case 0xffff:
		return d.port.Ones(op, regName(reg))
	default:
		return d.port.Fail(op, regName(reg), otherwise, fmt.Errorf("%04x instead of %04x", got, want))
	}
}

func (d *Dev) word(ctx context.Context, op string, reg byte) (uint16, error) {
	return d.port.Word(ctx, op, regName(reg), reg)
}

// Calibration is the value of CALIBRATION for a current register whose 32768 steps reach maxA.
func Calibration(maxA, shuntOhm float64) (uint16, error) {
	cal := math.Round(calibrationScale / (maxA / 32768 * shuntOhm))
	if !(maxA*shuntOhm <= fullShunt*(1+1e-9)) || !(cal >= 1 && cal <= calibrationMax) {
		return 0, fmt.Errorf("%g A through %g ohm is not 5.12 mV to 81.92 mV", maxA, shuntOhm)
	}
	return uint16(cal), nil
}

// ShuntVoltage converts the shunt voltage register, 2.5 uV a step. It is false at the ends of the converter, where
// the voltage may be anything beyond.
func ShuntVoltage(code uint16) (physic.ElectricPotential, bool) {
	if code == clippedHigh || code == clippedLow {
		return 0, false
	}
	return physic.ElectricPotential(int16(code)) * shuntStep, true
}

// BusVoltage converts the bus voltage register, 1.25 mV a step. It is false at the end of the converter and for codes
// with bit 15, which the part never sets.
func BusVoltage(code uint16) (physic.ElectricPotential, bool) {
	if code >= clippedHigh {
		return 0, false
	}
	return physic.ElectricPotential(code) * busStep, true
}

// Current is what flows through a shunt.
func Current(shunt physic.ElectricPotential, shuntOhm float64) physic.ElectricCurrent {
	return physic.ElectricCurrent(math.Round(float64(shunt) / shuntOhm))
}

// Power is the product of a steady voltage and a current.
func Power(v physic.ElectricPotential, i physic.ElectricCurrent) physic.Power {
	return physic.Power(math.Round(float64(v) * float64(i) / float64(physic.Volt)))
}

// regName spells a pointer address as the data sheet does.
func regName(reg byte) string {
	switch reg {
	case configuration:
		return "Configuration"
	case shuntVoltage:
		return "Shunt Voltage"
	case busVoltage:
		return "Bus Voltage"
	case calibration:
		return "Calibration"
	case manufacturerID:
		return "Manufacturer ID"
	case dieID:
		return "Die ID"
	default:
		return fmt.Sprintf("%02Xh", reg)
	}
}

var _ fmt.Stringer = (*Dev)(nil)
