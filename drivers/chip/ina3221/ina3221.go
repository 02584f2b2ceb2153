// Package ina3221 drives the three-channel power monitor INA3221 (Texas Instruments, SBOS576C): the voltages of three
// DC supplies of up to 26 V and the currents through three shunts of up to 163.8 mV, averaged over 16 conversions.
//
// Errors of the part alone at 25 degrees Celsius, at most: gain 0.25 %, offset 80 uV on the shunts (SBOS576B, page 1).
// With steps of 40 uV it is a coarse part: through 10 milliohm a step is 4 mA, the offset up to 8 mA.
//
// A part that lost its supply answers with single conversions and with all channels on. Sense looks at the
// configuration and says drivers.Restarted. The alert, warning and power-valid pins and limits are not used.
package ina3221

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

// The address pin, at GND, VS, SDA or SCL, places the part between these two addresses.
const (
	FirstAddr = 0x40
	LastAddr  = 0x43
)

// Channels is how many the part has.
const Channels = 3

// Conversion is how long Configure needs until a sample is an average of the new settings: 16 conversions of two
// inputs on three channels at 1.1 ms are 106 ms, the rest is margin for the part's clock. Arbitrary.
const Conversion = 120 * time.Millisecond

// Pointer addresses. Those of the shunt and bus voltages are of channel 1; each further channel is two higher.
const (
	configuration  = 0x00
	shuntVoltage   = 0x01
	busVoltage     = 0x02
	manufacturerID = 0xfe
	dieID          = 0xff
)

const (
	// configAverage: 16 averages, 1.1 ms for each input, both continuously; bits 14:12 enable channels 1 to 3 (Linux
	// driver ina3221).
	configAverage uint16 = 0x0527
	configDefault uint16 = 0x7127
	firstEnable   uint16 = 1 << 14 // channel 1

	manufacturerTI uint16 = 0x5449 // "TI"
	dieINA3221     uint16 = 0x3220

	shuntStep = 40 * physic.MicroVolt
	busStep   = 8 * physic.MilliVolt

	// Codes at the ends of the converter, as read.
	clippedHigh uint16 = 0x7ff8
	clippedLow  uint16 = 0x8000

	unused uint16 = 0x0007 // bits of a voltage register that always read 0

	// smallestOhm keeps currents far inside physic's range. Arbitrary; no shunt is that small.
	smallestOhm = 1e-6
)

// Opts says where the part is and what it measures.
type Opts struct {
	Name string // for error texts
	Addr uint16
	// ShuntOhm are the shunts of channels 1 to 3. A channel without one, 0, is not enabled and not read.
	ShuntOhm [Channels]float64
}

// Dev is one monitor. It keeps no state but its options.
type Dev struct {
	port   chip.Port
	ohm    [Channels]float64
	config uint16
}

// New checks the options and touches nothing.
func New(bus i2c.Bus, o Opts) (*Dev, error) {
	port, err := chip.NewPort(bus, "ina3221", o.Name, o.Addr, chip.Range{First: FirstAddr, Last: LastAddr})
	if err != nil {
		return nil, err
	}
	d := &Dev{port: port, ohm: o.ShuntOhm, config: configAverage}
	for i, ohm := range o.ShuntOhm {
		switch {
		case ohm == 0:
		case ohm >= smallestOhm && !math.IsInf(ohm, 1):
			d.config |= firstEnable >> i
		default:
			return nil, fmt.Errorf("%v: channel %d: shunt of %g ohm is not at least %g", port, i+1, ohm, smallestOhm)
		}
	}
	if d.config == configAverage {
		return nil, fmt.Errorf("%v: no channel has a shunt", port)
	}
	return d, nil
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.port.String() }

// Measurement is one sample of the enabled channels. Index 0 is channel 1.
type Measurement struct{ Channels [Channels]Channel }

// Channel is one DC supply. Its two inputs are read one after the other and may be one average apart.
type Channel struct {
	// Fault is why there are no values: NotRead on a channel that is not enabled, Implausible where the part gave a
	// code that it cannot give.
	Fault   drivers.Fault
	Voltage physic.ElectricPotential // DC, at IN- against GND, 0 to 26 V
	Shunt   physic.ElectricPotential // DC, negative: the current flows back
	Current physic.ElectricCurrent   // DC, Shunt / ShuntOhm
	Power   physic.Power             // true power, Voltage times Current: of a supply whose voltage is steady
	// CurrentFault is that of Shunt, Current and Power; Voltage holds. Implausible: the shunt voltage is at the end of
	// the converter, so the current is that or more, and the three are 0.
	CurrentFault drivers.Fault
	Raw          Codes
}

// Codes are the registers behind a Channel, to see whether a part is frozen.
type Codes struct{ Shunt, Bus uint16 }

// Identify reads both identification registers.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	for _, r := range []struct {
		reg  byte
		want uint16
	}{{manufacturerID, manufacturerTI}, {dieID, dieINA3221}} {
		got, err := d.word(ctx, "identify", r.reg)
		if err != nil {
			return drivers.Ident{}, err
		}
		if err := d.judge("identify", r.reg, got, r.want, drivers.WrongDevice); err != nil {
			return drivers.Ident{}, err
		}
	}
	return drivers.Ident{Manufacturer: "Texas Instruments", Part: "INA3221"}, nil
}

// Configure sets the averaging and enables the channels that have a shunt, and reads the configuration back. It
// starts new averages; see Conversion. It moves no actuator.
func (d *Dev) Configure(ctx context.Context) error {
	w := []byte{configuration, byte(d.config >> 8), byte(d.config)}
	if err := d.port.Tx(ctx, "write", regName(configuration), w, nil); err != nil {
		return err
	}
	got, err := d.word(ctx, "read", configuration)
	if err != nil {
		return err
	}
	return d.judge("read", configuration, got, d.config, drivers.Mismatch)
}

// Sense reads the enabled channels, all of them or none: channels fail on their own only by what they read.
// drivers.Restarted: the configuration is at its power-on value, Configure the part. drivers.Mismatch: it holds
// another value than Configure wrote.
//
// No current and no voltage, 0000, are also what a held bus gives. The configuration, read last, cannot be 0 and vouches
// for the codes before it, and what is doubtful is then read a second time.
func (d *Dev) Sense(ctx context.Context) (Measurement, error) {
	var raw [Channels]Codes
	var values []chip.Value[uint16]
	for i := range raw {
		if d.enabled(i) {
			s, b := shuntVoltage+byte(2*i), busVoltage+byte(2*i)
			values = append(values, d.port.WordValue(ctx, regName(s), s, &raw[i].Shunt), d.port.WordValue(ctx, regName(b), b, &raw[i].Bus))
		}
	}
	if err := chip.Sure(d.port, func() error { return d.configured(ctx) }, values...); err != nil {
		return Measurement{}, err
	}
	var m Measurement
	for i := range m.Channels {
		m.Channels[i] = Channel{Fault: drivers.NotRead}
		if d.enabled(i) {
			m.Channels[i] = Convert(raw[i], d.ohm[i])
		}
	}
	return m, nil
}

func (d *Dev) enabled(i int) bool { return d.config&(firstEnable>>i) != 0 }

// configured compares the configuration with what Configure wrote.
func (d *Dev) configured(ctx context.Context) error {
	got, err := d.word(ctx, "read", configuration)
	if err != nil {
		return err
	}
	otherwise := drivers.Mismatch
	if got == configDefault {
		otherwise = drivers.Restarted
	}
	return d.judge("read", configuration, got, d.config, otherwise)
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

// Convert makes a channel's values of its two registers.
func Convert(raw Codes, shuntOhm float64) Channel {
	c := Channel{Raw: raw}
	v, ok := BusVoltage(raw.Bus)
	if !ok {
		return Channel{Raw: raw, Fault: drivers.Implausible}
	}
	c.Voltage = v
	shunt, fault := ShuntVoltage(raw.Shunt)
	switch fault {
	case drivers.None:
		c.Shunt = shunt
		c.Current = physic.ElectricCurrent(math.Round(float64(shunt) / shuntOhm))
		c.Power = physic.Power(math.Round(float64(v) * float64(c.Current) / float64(physic.Volt)))
	case drivers.Implausible:
		c.CurrentFault = fault
	default:
		return Channel{Raw: raw, Fault: drivers.Implausible}
	}
	return c
}

// ShuntVoltage converts a shunt voltage register as read: 13 bits with sign above three unused ones, 40 uV a step.
// Implausible: it is at the end of the converter, where the voltage may be anything beyond. Corrupt: bits are set
// that the part never sets.
func ShuntVoltage(code uint16) (physic.ElectricPotential, drivers.Fault) {
	switch {
	case code&unused != 0:
		return 0, drivers.Corrupt
	case code == clippedHigh || code == clippedLow:
		return 0, drivers.Implausible
	default:
		return physic.ElectricPotential(int16(code)>>3) * shuntStep, drivers.None
	}
}

// BusVoltage converts a bus voltage register as read: 13 bits with sign above three unused ones, 8 mV a step. It is
// false for codes that the part never gives, and at the end of the converter at 32.76 V, which is beyond what the part
// stands.
func BusVoltage(code uint16) (physic.ElectricPotential, bool) {
	if code&unused != 0 || code >= clippedHigh {
		return 0, false
	}
	return physic.ElectricPotential(code>>3) * busStep, true
}

// regName spells a pointer address as the data sheet does.
func regName(reg byte) string {
	switch {
	case reg == configuration:
		return "Configuration"
	case reg >= shuntVoltage && reg < shuntVoltage+2*Channels && reg%2 == 1:
		return fmt.Sprintf("Channel-%d Shunt-Voltage", (reg+1)/2)
	case reg >= busVoltage && reg < busVoltage+2*Channels && reg%2 == 0:
		return fmt.Sprintf("Channel-%d Bus-Voltage", reg/2)
	case reg == manufacturerID:
		return "Manufacturer ID"
	case reg == dieID:
		return "Die ID"
	default:
		return fmt.Sprintf("%02Xh", reg)
	}
}

var _ fmt.Stringer = (*Dev)(nil)
