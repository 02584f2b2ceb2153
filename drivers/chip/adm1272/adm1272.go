// Package adm1272 drives the hot-swap controllers and power monitors ADM1272, ADM1275 and ADM1278 (Analog Devices; facts
// from the Linux driver adm1275, the ADM1272's also from the QEMU model adm1272). One output behind a MOSFET is measured
// over a shunt and switched by OPERATION.
//
// What bites, and what this package does about it:
//
//   - What a code means hangs on range bits in PMON_CONFIG; with the wrong one a plausible value is off by 1.67 (volts)
//     or 2 (amperes). Identify takes the register as the part has it, and a Sense is only good if it still reads the
//     same afterwards.
//   - A part that lost its supply is back at its default, which samples neither VOUT nor temperature: drivers.Restarted
//     once Configure had set it otherwise.
//   - No current is code 0800, so a code of 0 is -61 A at 0.5 milliohm to a careless reader. It is refused.
//   - A part that starts has OPERATION at 80h (QEMU model): a loss of the controller's own supply ends with the output
//     on. Nothing here can change that, and nothing here switches it off again.
//
// CLEAR_FAULTS, POWER_CYCLE, the limits and everything that is stored in the part are not offered. Range bits are never
// written.
package adm1272

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/pmbus"
)

// The maker's own commands.
const (
	pmonConfig pmbus.Command = 0xd4 // PMON_CONFIG, two bytes, on the ADM1275 one
	readEINExt pmbus.Command = 0xdc // READ_EIN_EXT, a block of eight bytes
)

// Bits of PMON_CONFIG (Linux driver adm1275). Currents and what is not named are always sampled.
const (
	pmonIRange     = 1 << 0 // ADM1272: 30 mV, else 15 mV
	pmonVout       = 1 << 1 // VOUT is sampled
	pmonVin        = 1 << 2 // VIN is sampled
	pmonTemp       = 1 << 3 // the temperature is sampled
	pmonContinuous = 1 << 4 // samples on its own, for ever
	pmonVRange     = 1 << 5 // ADM1272: 100 V, else 60 V
	pmonVoutSelect = 1 << 6 // ADM1275: VOUT is sampled instead of VIN

	pmonDefault = 0x3f35 // of the parts with two bytes at power-on
	pmonSampled = pmonVout | pmonTemp
)

// Part is which of the family it is.
type Part string

// The parts.
const (
	ADM1272 Part = "ADM1272"
	ADM1275 Part = "ADM1275" // either VIN or VOUT, no power, energy or temperature
	ADM1278 Part = "ADM1278"
)

// Opts describes one part as the board wires it.
type Opts struct {
	Name     string // for error texts
	Addr     uint16
	Part     Part
	ShuntOhm float64
	// VoltageRange is 60 or 100 (volts) and CurrentRange 15 or 30 (millivolts over the shunt): what an ADM1272 must be
	// set to. 0 takes what it is set to when it is identified; the other parts have no choice here.
	VoltageRange, CurrentRange int
}

func (o Opts) check() error {
	if o.Part != ADM1272 && o.Part != ADM1275 && o.Part != ADM1278 {
		return fmt.Errorf("part %q is none of %q", o.Part, []Part{ADM1272, ADM1275, ADM1278})
	}
	if !(o.ShuntOhm >= 1e-6 && o.ShuntOhm <= 1) {
		return fmt.Errorf("shunt of %v ohm is outside 1e-6 to 1", o.ShuntOhm)
	}
	if o.Part != ADM1272 && (o.VoltageRange != 0 || o.CurrentRange != 0) {
		return fmt.Errorf("%s has no ranges to choose from", o.Part)
	}
	if o.VoltageRange != 0 && o.VoltageRange != 60 && o.VoltageRange != 100 {
		return fmt.Errorf("voltage range %d is neither 60 nor 100", o.VoltageRange)
	}
	if o.CurrentRange != 0 && o.CurrentRange != 15 && o.CurrentRange != 30 {
		return fmt.Errorf("current range %d is neither 15 nor 30", o.CurrentRange)
	}
	return nil
}

// Dev is one part. It remembers what Identify learnt and may be used from several goroutines if its bus may.
type Dev struct {
	port   *pmbus.Port
	o      Opts
	proven *atomic.Bool            // MFR_ID and MFR_MODEL were the part's when they were read last
	fitted *atomic.Bool            // and PMON_CONFIG was as the options say
	config *atomic.Pointer[uint16] // what PMON_CONFIG must read; nil: not identified
}

// New checks the options and touches nothing.
func New(bus i2c.Bus, o Opts) (*Dev, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("adm1272 %q: %w", o.Name, err)
	}
	port, err := pmbus.New(bus, "adm1272", o.Name, o.Addr, pmbus.Profile{
		Reads: []pmbus.Command{
			pmbus.CAPABILITY, pmbus.OPERATION, pmbus.STATUS_WORD, pmbus.READ_VIN, pmbus.READ_VOUT, pmbus.READ_IOUT,
			pmbus.READ_PIN, pmbus.READ_TEMPERATURE_1, pmbus.MFR_ID, pmbus.MFR_MODEL, pmonConfig, readEINExt,
		},
		Writes: []pmbus.Command{pmbus.OPERATION, pmonConfig},
		Names:  map[pmbus.Command]string{pmonConfig: "PMON_CONFIG", readEINExt: "READ_EIN_EXT"},
		Proof:  pmbus.Proof{Command: pmbus.MFR_ID, Answer: append([]byte{byte(len(manufacturer))}, manufacturer...)},
	})
	if err != nil {
		return nil, err
	}
	return &Dev{port: port, o: o, proven: new(atomic.Bool), fitted: new(atomic.Bool), config: new(atomic.Pointer[uint16])}, nil
}

// On is the same part reached through another handle of its bus, such as the one whose jobs go first. What either
// learnt of the part holds for both.
func (d *Dev) On(bus i2c.Bus) *Dev {
	return &Dev{port: d.port.On(bus), o: d.o, proven: d.proven, fitted: d.fitted, config: d.config}
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.port.String() }

const (
	manufacturer = "ADI"
	modelLen     = 10 // of "ADM1272-A1" (QEMU model); parts with another length are read twice
)

// Identify compares MFR_ID and MFR_MODEL with the options, learns whether the part checks its transfers and how
// PMON_CONFIG stands. drivers.Mismatch: the part is right but samples in other ranges than the options say, or not
// continuously. Its output may be switched off then (WriteOperation), and nothing else.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	if err := d.port.Negotiate(ctx); err != nil {
		return drivers.Ident{}, err
	}
	s := d.port.Series(ctx, "identify")
	if id := s.Text(pmbus.MFR_ID, len(manufacturer)); id != manufacturer {
		s.Fail(pmbus.MFR_ID, drivers.WrongDevice, fmt.Errorf("%q instead of %q", id, manufacturer))
	}
	model := s.Text(pmbus.MFR_MODEL, modelLen)
	if !strings.HasPrefix(model, string(d.o.Part)) {
		s.Fail(pmbus.MFR_MODEL, drivers.WrongDevice, fmt.Errorf("%q instead of %s", model, d.o.Part))
	}
	if err := s.Err(); err != nil {
		if errors.Is(err, drivers.WrongDevice) { // what answers here now is not to be written to
			d.proven.Store(false)
			d.fitted.Store(false)
			d.config.Store(nil)
		}
		return drivers.Ident{}, err
	}
	d.proven.Store(true)
	config := d.readConfig(s)
	if err := d.fits(config); err != nil {
		s.Fail(pmonConfig, drivers.Mismatch, err)
	}
	if err := s.Err(); err != nil {
		if errors.Is(err, drivers.Mismatch) {
			d.fitted.Store(false) // its codes mean something else than the options say
		}
		return drivers.Ident{}, err
	}
	d.config.Store(&config)
	d.fitted.Store(true)
	return drivers.Ident{Manufacturer: "Analog Devices", Part: string(d.o.Part), Product: model}, nil
}

// fits compares PMON_CONFIG with the options.
func (d *Dev) fits(config uint16) error {
	voltage, current := 60, 15
	if config&pmonVRange != 0 {
		voltage = 100
	}
	if config&pmonIRange != 0 {
		current = 30
	}
	switch {
	case d.o.Part != ADM1275 && config&pmonContinuous == 0:
		return fmt.Errorf("%04x does not sample continuously", config)
	case d.o.VoltageRange != 0 && d.o.VoltageRange != voltage:
		return fmt.Errorf("%04x is the range of %d V instead of %d", config, voltage, d.o.VoltageRange)
	case d.o.CurrentRange != 0 && d.o.CurrentRange != current:
		return fmt.Errorf("%04x is the range of %d mV instead of %d", config, current, d.o.CurrentRange)
	default:
		return nil
	}
}

func (d *Dev) readConfig(s *pmbus.Series) uint16 {
	if d.o.Part != ADM1275 {
		return s.Setting(pmonConfig)
	}
	b := s.Byte(pmonConfig)
	if s.Err() == nil && b == 0xff {
		s.Fail(pmonConfig, drivers.Implausible, errors.New("all ones"))
	}
	return uint16(b)
}

var (
	errUnidentified = errors.New("the part was not identified")
	errUnfit        = errors.New("the part is not known to be set up as the options say: its readings could not show what the load draws")
)

// Configure has VOUT and the temperature sampled: bits 1 and 3 of PMON_CONFIG are set, the others stay as Identify found
// them, and the register is read back. It moves no actuator. On the ADM1275 there is nothing to set.
//
// drivers.Mismatch: another bit of the register changed since Identify; nothing is written then.
func (d *Dev) Configure(ctx context.Context) error {
	want := d.config.Load()
	if want == nil {
		return d.port.Fail("configure", pmonConfig, drivers.NotRead, errUnidentified)
	}
	if d.o.Part == ADM1275 {
		return nil
	}
	s := d.port.Series(ctx, "configure")
	got := s.Setting(pmonConfig)
	if s.Err() == nil && got|pmonSampled != *want|pmonSampled {
		s.Fail(pmonConfig, drivers.Mismatch, fmt.Errorf("%04x instead of %04x", got, *want))
	}
	if s.Err() != nil {
		return s.Err()
	}
	set := got | pmonSampled
	if _, err := d.port.SetWordBack(ctx, pmonConfig, set); err != nil {
		return err
	}
	d.config.Store(&set)
	return nil
}

// Measurement is one sample. What the part does not have or does not sample is nil.
type Measurement struct {
	Status      pmbus.StatusWord
	VIN, VOUT   *pmbus.Voltage
	IOUT        *pmbus.Current
	PIN         *pmbus.Power
	Temperature *pmbus.Temperature
	Energy      *pmbus.Energy // see Accumulator
	Config      uint16        // PMON_CONFIG as read
}

// Sense reads all that the part samples. PMON_CONFIG is read last: it then vouches for every code before it. Where
// transfers carry no packet error code, what read 0000 is then read a second time: a held bus gives that too.
//
// drivers.Restarted: the part is at its power-on default, Configure it. drivers.Mismatch: the register changed
// otherwise, Identify it. drivers.NotRead: it was not identified, or its set-up has never fitted.
func (d *Dev) Sense(ctx context.Context) (Measurement, error) {
	want := d.config.Load()
	if want == nil {
		return Measurement{}, d.port.Fail("read", pmonConfig, drivers.NotRead, errUnidentified)
	}
	scale := ScaleOf(d.o.Part, *want, d.o.ShuntOhm)
	s := d.port.Series(ctx, "read")
	m := Measurement{Status: s.Status(), IOUT: s.Current(pmbus.READ_IOUT, scale.current())}
	if scale.vin {
		m.VIN = s.Voltage(pmbus.READ_VIN, scale.Voltage.Decode)
	}
	if scale.vout {
		m.VOUT = s.Voltage(pmbus.READ_VOUT, scale.Voltage.Decode)
	}
	if scale.power {
		m.PIN = s.Power(pmbus.READ_PIN, scale.watts())
		m.Energy = s.Energy(readEINExt, Accumulator())
	}
	if scale.temperature {
		m.Temperature = s.Temperature(pmbus.READ_TEMPERATURE_1, scale.celsius())
	}
	m.Config = d.readConfig(s)
	d.unchanged(s, m.Config, *want)
	if !d.port.Checks() {
		m.zerosAgain(s, scale)
	}
	if s.Err() != nil {
		return Measurement{}, s.Err()
	}
	d.fitted.Store(true) // again, where it was otherwise meanwhile
	m.refuseUnconverted()
	return m, nil
}

func (m *Measurement) zerosAgain(s *pmbus.Series, scale Scale) {
	if zero(m.VIN) {
		m.VIN = s.Voltage(pmbus.READ_VIN, scale.Voltage.Decode)
	}
	if zero(m.VOUT) {
		m.VOUT = s.Voltage(pmbus.READ_VOUT, scale.Voltage.Decode)
	}
	if zero(m.PIN) {
		m.PIN = s.Power(pmbus.READ_PIN, scale.watts())
	}
}

func zero[T any](r *pmbus.Reading[T]) bool { return r != nil && r.Raw == 0 }

// refuseUnconverted takes zeros for what they are beside a current of code 0, which no conversion gives: registers of a
// part that has converted nothing since it started, as the ADM1275 until its host starts it.
func (m *Measurement) refuseUnconverted() {
	if m.IOUT.Raw != 0 {
		return
	}
	for _, v := range []*pmbus.Voltage{m.VIN, m.VOUT} {
		if v != nil && v.Raw == 0 {
			v.Fault = drivers.Implausible
		}
	}
	if m.PIN != nil && m.PIN.Raw == 0 {
		m.PIN.Fault = drivers.Implausible
	}
}

func (d *Dev) unchanged(s *pmbus.Series, got, want uint16) {
	switch {
	case s.Err() != nil || got == want:
	case d.o.Part != ADM1275 && got == pmonDefault:
		s.Fail(pmonConfig, drivers.Restarted, fmt.Errorf("%04x instead of %04x", got, want))
	default:
		s.Fail(pmonConfig, drivers.Mismatch, fmt.Errorf("%04x instead of %04x", got, want))
	}
}

// MeanPower converts a mean power code, as a pmbus.Meter gives it. It is false on a part that measures no power or was
// not identified.
func (d *Dev) MeanPower(code float64) (physic.Power, bool) {
	config := d.config.Load()
	if config == nil {
		return 0, false
	}
	scale := ScaleOf(d.o.Part, *config, d.o.ShuntOhm)
	w, ok := scale.Power.Value(code)
	return physic.Power(w * float64(physic.Watt)), ok && scale.power
}

var _ fmt.Stringer = (*Dev)(nil)
