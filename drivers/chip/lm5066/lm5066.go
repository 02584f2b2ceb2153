// Package lm5066 drives the hot-swap controllers and power monitors LM5066 and LM5066I (Texas Instruments, SNVS655 and
// SNVS950). It reads; it switches nothing.
//
// What a code of current or power means hangs on the current-limit setting, 26 or 50 mV over the shunt. DEVICE_SETUP
// tells the setting only while bit 2 has it come from SMBus; otherwise the pin CL decides, which no register shows, and
// Opts.CL has to say how it is strapped (Oxide Hubris, driver lm5066). The Linux driver lm25066 looks at bit 4 alone and
// has its two sets of coefficients the other way round for these parts; a full scale of 38 mV can only belong to the
// limit of 26 mV.
//
// One BLOCK_READ gives current, voltages, power and temperature of one moment. VOUT_MODE is not asked for, since the part
// flags it as a bad command. Whether bit 11 of STATUS_WORD is PowerNotGood or its opposite is told differently by
// different sources: look at it on the bench before anything hangs on it.
package lm5066

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/pmbus"
)

// The maker's own commands.
const (
	readVAUX    pmbus.Command = 0xd0 // READ_VAUX
	deviceSetup pmbus.Command = 0xd9 // DEVICE_SETUP
	blockRead   pmbus.Command = 0xda // BLOCK_READ: DIAGNOSTIC_WORD, IIN, VOUT, VIN, PIN, temperature
)

// Bits of DEVICE_SETUP.
const (
	setupLowLimit = 1 << 4 // 26 mV, else 50 mV
	setupBySMBus  = 1 << 2 // bit 4 counts, else the pin CL
	setupOfLimit  = setupLowLimit | setupBySMBus
)

// Part is which of the two it is.
type Part string

// The parts.
const (
	LM5066  Part = "LM5066"
	LM5066I Part = "LM5066I" // also measures VAUX and counts energy
)

// CL is how the pin CL is strapped.
type CL int

// The straps. They matter while DEVICE_SETUP leaves the limit to the pin.
const (
	CLUnknown CL = iota
	CLToVDD      // 26 mV
	CLToGND      // 50 mV, and so is an open pin
)

// Opts describes one part as the board wires it.
type Opts struct {
	Name     string // for error texts
	Addr     uint16
	Part     Part
	ShuntOhm float64
	CL       CL
}

func (o Opts) check() error {
	switch {
	case o.Part != LM5066 && o.Part != LM5066I:
		return fmt.Errorf("part %q is none of %q", o.Part, []Part{LM5066, LM5066I})
	case !(o.ShuntOhm >= 1e-6 && o.ShuntOhm <= 1):
		return fmt.Errorf("shunt of %v ohm is outside 1e-6 to 1", o.ShuntOhm)
	case o.CL < CLUnknown || o.CL > CLToGND:
		return fmt.Errorf("strap %d is unknown", o.CL)
	default:
		return nil
	}
}

// Dev is one part. It remembers what Identify learnt and may be used from several goroutines if its bus may.
type Dev struct {
	port  *pmbus.Port
	o     Opts
	setup atomic.Pointer[byte] // DEVICE_SETUP; nil: not identified
}

// New checks the options and touches nothing.
func New(bus i2c.Bus, o Opts) (*Dev, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("lm5066 %q: %w", o.Name, err)
	}
	port, err := pmbus.New(bus, "lm5066", o.Name, o.Addr, pmbus.Profile{
		Reads: []pmbus.Command{
			pmbus.CAPABILITY, pmbus.STATUS_WORD, pmbus.READ_EIN, pmbus.MFR_ID, pmbus.MFR_MODEL, readVAUX, deviceSetup, blockRead,
		},
		Names: map[pmbus.Command]string{readVAUX: "READ_VAUX", deviceSetup: "DEVICE_SETUP", blockRead: "BLOCK_READ"},
		Proof: pmbus.Proof{Command: pmbus.MFR_ID, Answer: append([]byte{byte(len(manufacturer))}, manufacturer...)},
	})
	if err != nil {
		return nil, err
	}
	return &Dev{port: port, o: o}, nil
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.port.String() }

const (
	manufacturer = "NSC"
	modelLen     = 8 // padded with zeros
)

// Identify compares MFR_ID and MFR_MODEL with the options and learns DEVICE_SETUP. drivers.Mismatch: the part is right,
// but the pin CL decides what its codes mean and the options do not say how it is strapped.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	if err := d.port.Negotiate(ctx); err != nil {
		return drivers.Ident{}, err
	}
	s := d.port.Series(ctx, "identify")
	if id := s.Text(pmbus.MFR_ID, len(manufacturer)); id != manufacturer {
		s.Fail(pmbus.MFR_ID, drivers.WrongDevice, fmt.Errorf("%q instead of %q", id, manufacturer))
	}
	if model := s.Text(pmbus.MFR_MODEL, modelLen); model != string(d.o.Part) {
		s.Fail(pmbus.MFR_MODEL, drivers.WrongDevice, fmt.Errorf("%q instead of %s", model, d.o.Part))
	}
	setup := readSetup(s)
	if _, ok := LowLimit(setup, d.o.CL); !ok {
		s.Fail(deviceSetup, drivers.Mismatch, fmt.Errorf("%02x leaves the current limit to the pin CL, whose strap is not stated", setup))
	}
	if s.Err() != nil {
		return drivers.Ident{}, s.Err()
	}
	d.setup.Store(&setup)
	return drivers.Ident{Manufacturer: "Texas Instruments", Part: string(d.o.Part)}, nil
}

func readSetup(s *pmbus.Series) byte {
	setup := s.Byte(deviceSetup)
	if setup == 0xff {
		s.Fail(deviceSetup, drivers.Implausible, errors.New("all ones"))
	}
	return setup
}

// LowLimit tells whether the current limit is the one of 26 mV. It is false where the pin decides and its strap is not
// known.
func LowLimit(setup byte, pin CL) (low, known bool) {
	if setup&setupBySMBus != 0 {
		return setup&setupLowLimit != 0, true
	}
	return pin == CLToVDD, pin != CLUnknown
}

// Measurement is one sample. What the part does not have is nil.
type Measurement struct {
	Status      pmbus.StatusWord
	Diagnostic  uint16 // DIAGNOSTIC_WORD
	VIN, VOUT   *pmbus.Voltage
	VAUX        *pmbus.Voltage
	IIN         *pmbus.Current
	PIN         *pmbus.Power
	Temperature *pmbus.Temperature
	Energy      *pmbus.Energy // see Accumulator
	Setup       byte          // DEVICE_SETUP as read
}

// blockLen is the length of BLOCK_READ, six words.
const blockLen = 12

// Sense reads everything. DEVICE_SETUP is read last: it then vouches for every code before it. drivers.Mismatch: what
// decides the current limit changed, as after a loss of supply; Identify the part. drivers.NotRead: it was not
// identified.
func (d *Dev) Sense(ctx context.Context) (Measurement, error) {
	want := d.setup.Load()
	if want == nil {
		return Measurement{}, d.port.Fail("read", deviceSetup, drivers.NotRead, errors.New("the part was not identified"))
	}
	low, _ := LowLimit(*want, d.o.CL)
	scale := ScaleOf(d.o.Part, low, d.o.ShuntOhm)
	s := d.port.Series(ctx, "read")
	m := Measurement{Status: s.Status()}
	if b := s.Block(blockRead, blockLen); b != nil {
		m.fill(b, scale)
	}
	if d.o.Part == LM5066I {
		m.VAUX = s.Voltage(readVAUX, scale.VAUX.Decode)
		m.Energy = s.Energy(pmbus.READ_EIN, Accumulator())
	}
	m.Setup = readSetup(s)
	if s.Err() == nil && m.Setup&setupOfLimit != *want&setupOfLimit {
		s.Fail(deviceSetup, drivers.Mismatch, fmt.Errorf("%02x instead of %02x", m.Setup, *want))
	}
	if s.Err() != nil {
		return Measurement{}, s.Err()
	}
	return m, nil
}

// fill takes BLOCK_READ apart.
func (m *Measurement) fill(b []byte, scale Scale) {
	word := func(n int) uint16 { return binary.LittleEndian.Uint16(b[2*n:]) }
	m.Diagnostic = word(0)
	m.IIN = pmbus.NewCurrent(word(1), scale.Current.Decode)
	m.VOUT = pmbus.NewVoltage(word(2), scale.VOUT.Decode)
	m.VIN = pmbus.NewVoltage(word(3), scale.VIN.Decode)
	m.PIN = pmbus.NewPower(word(4), scale.Power.Decode)
	m.Temperature = pmbus.NewTemperature(word(5), pmbus.Decode(scale.Temperature.Decode).Within(-55, 175))
}

// MeanPower converts a mean power code, as a pmbus.Meter gives it. It is false on a part that was not identified.
func (d *Dev) MeanPower(code float64) (physic.Power, bool) {
	setup := d.setup.Load()
	if setup == nil {
		return 0, false
	}
	low, _ := LowLimit(*setup, d.o.CL)
	w, ok := ScaleOf(d.o.Part, low, d.o.ShuntOhm).Power.Value(code)
	return physic.Power(w * float64(physic.Watt)), ok
}

// Scale is what the codes of a part mean.
type Scale struct {
	VIN, VOUT, VAUX pmbus.Direct
	Current, Power  pmbus.Direct
	Temperature     pmbus.Direct
}

// codeBits is the width of the registers but the temperature's, which is signed.
const codeBits = 12

// ScaleOf gives the meaning of codes with the limit of 26 mV (low) or 50 mV (coefficients of the Linux driver lm25066,
// stated for a shunt of 1 milliohm, VAUX of the data sheet).
func ScaleOf(part Part, low bool, shuntOhm float64) Scale {
	s := Scale{
		VIN:         pmbus.Direct{M: 4587, B: -1200, R: -2},
		VOUT:        pmbus.Direct{M: 4587, B: -2400, R: -2},
		Current:     pmbus.Direct{M: 5405, B: -600, R: -2},
		Power:       pmbus.Direct{M: 605, B: -8000, R: -3},
		Temperature: pmbus.Direct{M: 16},
	}
	switch {
	case part == LM5066I:
		s.VIN = pmbus.Direct{M: 4617, B: -140, R: -2}
		s.VOUT = pmbus.Direct{M: 4602, B: 500, R: -2}
		s.VAUX = pmbus.Direct{M: 13774, B: 73, R: -1}
		s.Current = pmbus.Direct{M: 7645, B: 100, R: -2}
		s.Power = pmbus.Direct{M: 861, B: -965, R: -3}
		if low {
			s.Current = pmbus.Direct{M: 15076, B: -504, R: -2}
			s.Power = pmbus.Direct{M: 1701, B: -4000, R: -3}
		}
	case low:
		s.Current = pmbus.Direct{M: 10753, B: -1200, R: -2}
		s.Power = pmbus.Direct{M: 1204, B: -6000, R: -3}
	}
	milliohm := shuntOhm * 1000
	s.VIN, s.VOUT, s.VAUX = s.VIN.Bits(codeBits), s.VOUT.Bits(codeBits), s.VAUX.Bits(codeBits)
	s.Current, s.Power = s.Current.Shunt(milliohm).Bits(codeBits), s.Power.Shunt(milliohm).Bits(codeBits)
	return s
}

// SampleRate is how many power samples the part takes per second.
const SampleRate = 1000

// Accumulator describes READ_EIN of the LM5066I: 15 bits of sum, 8 of roll-overs, 24 of samples, power codes of 12 bits.
// At full scale everything turns round within 2.05 s, so what was read later than that is estimated.
func Accumulator() pmbus.Accumulator {
	return pmbus.Accumulator{Modulus: 0x8000, RollOvers: 256, Full: 1<<codeBits - 1}
}

var _ fmt.Stringer = (*Dev)(nil)
