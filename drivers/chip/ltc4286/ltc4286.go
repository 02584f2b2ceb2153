// Package ltc4286 drives the hot-swap controllers and power monitors LTC4286 and LTC4287 (Analog Devices, LTC4286 data
// sheet of March 22, 2022, as the Linux driver ltc4286 cites it). It reads; it switches nothing.
//
// What a voltage or power code means hangs on one bit of MFR_CONFIG1, the range of 102.4 or 25.6 V: with the wrong one a
// plausible value is off by 4. Identify takes it as the part has it, and a Sense is only good if it still reads the same
// afterwards. The bit is never written. The energy registers are not offered: their format is not in the driver.
package ltc4286

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"

	"periph.io/x/conn/v3/i2c"

	"rackagent/drivers"
	"rackagent/drivers/pmbus"
)

// mfrConfig1 is MFR_CONFIG1, of two bytes.
const mfrConfig1 pmbus.Command = 0xf2

// vrangeSelect of MFR_CONFIG1: 1 is the range of 102.4 V, 0 the one of 25.6 V.
const vrangeSelect = 1 << 1

// Part is which of the two it is.
type Part string

// The parts.
const (
	LTC4286 Part = "LTC4286"
	LTC4287 Part = "LTC4287"
)

// Range is the full scale of the voltages.
type Range int

// The ranges.
const (
	AnyRange  Range = iota // as the part is set when it is identified
	Range25V6              // 25.6 V
	Range102V              // 102.4 V
)

// Opts describes one part as the board wires it.
type Opts struct {
	Name     string // for error texts
	Addr     uint16
	Part     Part
	ShuntOhm float64
	Range    Range
}

func (o Opts) check() error {
	switch {
	case o.Part != LTC4286 && o.Part != LTC4287:
		return fmt.Errorf("part %q is none of %q", o.Part, []Part{LTC4286, LTC4287})
	case !(o.ShuntOhm >= 1e-6 && o.ShuntOhm <= 1):
		return fmt.Errorf("shunt of %v ohm is outside 1e-6 to 1", o.ShuntOhm)
	case o.Range < AnyRange || o.Range > Range102V:
		return fmt.Errorf("range %d is unknown", o.Range)
	default:
		return nil
	}
}

// Dev is one part. It remembers the range that Identify found and may be used from several goroutines if its bus may.
type Dev struct {
	port *pmbus.Port
	o    Opts
	set  atomic.Int32 // the Range; AnyRange: not identified
}

// New checks the options and touches nothing.
func New(bus i2c.Bus, o Opts) (*Dev, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("ltc4286 %q: %w", o.Name, err)
	}
	port, err := pmbus.New(bus, "ltc4286", o.Name, o.Addr, pmbus.Profile{
		Reads: []pmbus.Command{
			pmbus.CAPABILITY, pmbus.STATUS_WORD, pmbus.READ_VIN, pmbus.READ_VOUT, pmbus.READ_IOUT, pmbus.READ_PIN,
			pmbus.READ_TEMPERATURE_1, pmbus.MFR_ID, pmbus.MFR_MODEL, mfrConfig1,
		},
		Names: map[pmbus.Command]string{mfrConfig1: "MFR_CONFIG1"},
		Proof: pmbus.Proof{Command: pmbus.MFR_ID, Answer: append([]byte{byte(len(manufacturer))}, manufacturer...)},
	})
	if err != nil {
		return nil, err
	}
	return &Dev{port: port, o: o}, nil
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.port.String() }

const manufacturer = "LTC" // 3 bytes, Linux driver ltc4286

// Identify compares MFR_ID and MFR_MODEL with the options and learns the range. drivers.Mismatch: the part is right but
// measures in another range than the options say.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	if err := d.port.Negotiate(ctx); err != nil {
		return drivers.Ident{}, err
	}
	s := d.port.Series(ctx, "identify")
	if id := s.Text(pmbus.MFR_ID, len(manufacturer)); id != manufacturer {
		s.Fail(pmbus.MFR_ID, drivers.WrongDevice, fmt.Errorf("%q instead of %q", id, manufacturer))
	}
	model := s.Text(pmbus.MFR_MODEL, len(d.o.Part))
	if !strings.HasPrefix(model, string(d.o.Part)) {
		s.Fail(pmbus.MFR_MODEL, drivers.WrongDevice, fmt.Errorf("%q instead of %s", model, d.o.Part))
	}
	set := rangeOf(s.Setting(mfrConfig1))
	if d.o.Range != AnyRange && d.o.Range != set {
		s.Fail(mfrConfig1, drivers.Mismatch, errors.New("set to the other voltage range"))
	}
	if s.Err() != nil {
		return drivers.Ident{}, s.Err()
	}
	d.set.Store(int32(set))
	return drivers.Ident{Manufacturer: "Analog Devices", Part: string(d.o.Part), Product: model}, nil
}

func rangeOf(config uint16) Range {
	if config&vrangeSelect != 0 {
		return Range102V
	}
	return Range25V6
}

// Measurement is one sample.
type Measurement struct {
	Status      pmbus.StatusWord
	VIN, VOUT   *pmbus.Voltage
	IOUT        *pmbus.Current
	PIN         *pmbus.Power
	Temperature *pmbus.Temperature
	Config      uint16 // MFR_CONFIG1 as read
}

// Sense reads everything. MFR_CONFIG1 is read last: it then vouches for every code before it. drivers.Mismatch: the range
// changed, as after a loss of supply; Identify the part. drivers.NotRead: it was not identified.
//
// Where transfers carry no packet error code, what read 0000 is then read a second time: a held bus gives that too.
func (d *Dev) Sense(ctx context.Context) (Measurement, error) {
	set := Range(d.set.Load())
	if set == AnyRange {
		return Measurement{}, d.port.Fail("read", mfrConfig1, drivers.NotRead, errors.New("the part was not identified"))
	}
	scale := ScaleOf(set, d.o.ShuntOhm)
	volts := pmbus.Decode(scale.Voltage.Decode).Within(0, math.Inf(1))
	watts := pmbus.Decode(scale.Power.Decode).Within(0, math.Inf(1))
	s := d.port.Series(ctx, "read")
	m := Measurement{
		Status:      s.Status(),
		VIN:         s.Voltage(pmbus.READ_VIN, volts),
		VOUT:        s.Voltage(pmbus.READ_VOUT, volts),
		IOUT:        s.Current(pmbus.READ_IOUT, scale.Current.Decode),
		PIN:         s.Power(pmbus.READ_PIN, watts),
		Temperature: s.Temperature(pmbus.READ_TEMPERATURE_1, pmbus.Decode(scale.Temperature.Decode).Within(-55, 175)),
		Config:      s.Setting(mfrConfig1),
	}
	if rangeOf(m.Config) != set {
		s.Fail(mfrConfig1, drivers.Mismatch, fmt.Errorf("%04x is the other voltage range", m.Config))
	}
	if !d.port.Checks() {
		if zero(m.VIN) {
			m.VIN = s.Voltage(pmbus.READ_VIN, volts)
		}
		if zero(m.VOUT) {
			m.VOUT = s.Voltage(pmbus.READ_VOUT, volts)
		}
		if zero(m.IOUT) {
			m.IOUT = s.Current(pmbus.READ_IOUT, scale.Current.Decode)
		}
		if zero(m.PIN) {
			m.PIN = s.Power(pmbus.READ_PIN, watts)
		}
	}
	if s.Err() != nil {
		return Measurement{}, s.Err()
	}
	return m, nil
}

func zero[T any](r *pmbus.Reading[T]) bool { return r != nil && r.Raw == 0 }

// Scale is what the codes of a part mean.
type Scale struct{ Voltage, Current, Power, Temperature pmbus.Direct }

// ScaleOf gives the meaning of codes (Linux driver ltc4286).
func ScaleOf(r Range, shuntOhm float64) Scale {
	microohm := shuntOhm * 1e6
	s := Scale{
		Voltage:     pmbus.Direct{M: 32, R: 1},
		Current:     pmbus.Direct{M: 1024, R: -3}.Shunt(microohm),
		Power:       pmbus.Direct{M: 1, R: -2}.Shunt(microohm),
		Temperature: pmbus.Direct{M: 1, B: 273},
	}
	if r == Range25V6 {
		s.Voltage.M *= 4
		s.Power.M *= 4
	}
	return s
}

var _ fmt.Stringer = (*Dev)(nil)
