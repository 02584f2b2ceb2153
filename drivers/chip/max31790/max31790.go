// Package max31790 reads the fan controller MAX31790 (Maxim, data sheet revision 2, 1/2015): six fans, each with an
// 11-bit count of 8192 Hz periods over a number of tach periods that the part is told (SR, speed range).
//
// It is read only: the package holds no code that writes a register, so who drives the fans is left as found. Reading has
// one effect all the same: the part's I2C watchdog counts any transfer as a sign of life (recalled, not re-read), so on
// a board where another master drives the fans, polling here hides that master's death from the watchdog. The PWM pins that can be made six further tach inputs are not read.
//
// The largest count means that no edge came in time: the fan stands, is not plugged in, or has a cut tach line. The
// part cannot tell these apart; here they are Stopped with 0 rpm, a measurement. A channel whose tach input is
// switched off, or whose word is no count, is no measurement and carries a Fault. Neither touches the other fans.
package max31790

import (
	"context"
	"errors"
	"fmt"

	"periph.io/x/conn/v3/i2c"

	"rackagent/drivers"
	"rackagent/drivers/chip"
)

// The address pins place the part between these two addresses.
const (
	FirstAddr = 0x20
	LastAddr  = 0x2f
)

// Channels is how many fans the part has.
const Channels = 6

// Registers; those of fan n, counted from 0, follow one by one, or two by two where they are words (Linux max31790
// driver).
const (
	globalConfiguration = 0x00
	fan1Configuration   = 0x02
	fan1Dynamics        = 0x08
	fanFaultStatus1     = 0x11 // fans 1 to 6
	tach1Count          = 0x18
	pwmout1DutyCycle    = 0x30 // as driven now
)

const (
	standby     byte = 0x80 // Global Configuration
	watchdogHit byte = 0x01 // Global Configuration: I2C watchdog status
	tachEnable  byte = 0x08 // Fan Configuration

	standing = 0x7ff // no edge came in time
	clockHz  = 8192

	// fastest is arbitrary, well above what the fastest fans of 40 mm turn (about 38,000 rpm).
	fastest = 60_000
)

// Opts says where the part is and what hangs on it.
type Opts struct {
	Name   string // for error texts
	Addr   uint16
	Fitted uint8 // bit n-1: there is a fan n; 0: all six
	NP     int   // tach pulses per turn; 0: 2
}

// Dev is one controller. It holds no state but its options and may be used from several goroutines if its bus may.
type Dev struct {
	port chip.Port
	o    Opts
}

// New checks the options and touches nothing.
func New(bus i2c.Bus, o Opts) (*Dev, error) {
	port, err := chip.NewPort(bus, "max31790", o.Name, o.Addr, chip.Range{First: FirstAddr, Last: LastAddr})
	if err != nil {
		return nil, err
	}
	if o.Fitted == 0 {
		o.Fitted = 1<<Channels - 1
	}
	if o.NP == 0 {
		o.NP = 2
	}
	if o.Fitted>>Channels != 0 {
		return nil, fmt.Errorf("%s: fans %08b, the part has %d", port, o.Fitted, Channels)
	}
	if o.NP < 1 || o.NP > 8 { // the upper end is arbitrary; most fans give 2
		return nil, fmt.Errorf("%s: %d pulses per turn are outside 1-8", port, o.NP)
	}
	return &Dev{port, o}, nil
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.port.String() }

// Identify reads Global Configuration. The part has no identification register, so all it can prove is that
// something answers here: an Ident of this driver names the part that the caller asked for.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	if _, err := d.global(ctx, "identify"); err != nil {
		return drivers.Ident{}, err
	}
	return drivers.Ident{Manufacturer: "Maxim", Part: "MAX31790"}, nil
}

// Fan is one fan at one moment.
type Fan struct {
	N int // counted from 1, as the data sheet does

	// Fault says why RPM and Stopped mean nothing: drivers.Unsupported when the tach input is switched off,
	// drivers.Implausible for words that are no count. None: they are measured.
	Fault   drivers.Fault
	RPM     int
	Stopped bool // no tach edge came in time; whether it should turn is for the caller to say from Duty
	Raw     uint16

	Duty   uint16 // of the PWM output as driven now, 0 to 511
	SR     int    // tach periods per count, as the part is set now
	Failed bool   // the part's own judgement: slower than its target
}

// Measurement are the fitted fans, lowest number first.
type Measurement struct {
	Fans     []Fan
	Watchdog bool // the part's I2C watchdog has expired; what it drives since then is a setting of its own (recalled)
}

// Sense reads all fitted fans, or none. drivers.Foreign: somebody put the part into standby, where it neither drives
// nor counts.
func (d *Dev) Sense(ctx context.Context) (Measurement, error) {
	global, err := d.global(ctx, "read")
	if err != nil {
		return Measurement{}, err
	}
	if global&standby != 0 {
		return Measurement{}, d.port.Fail("read", "Global Configuration", drivers.Foreign, errors.New("the part is in standby"))
	}
	failed, err := d.port.Byte(ctx, "read", "Fan Fault Status 1", fanFaultStatus1)
	if err != nil {
		return Measurement{}, err
	}
	if failed == 0xff { // there are six fans
		return Measurement{}, d.port.Ones("read", "Fan Fault Status 1")
	}
	m := Measurement{Watchdog: global&watchdogHit != 0}
	for n := range Channels {
		if d.o.Fitted>>n&1 == 0 {
			continue
		}
		f, err := d.fan(ctx, byte(n))
		if err != nil {
			return Measurement{}, err
		}
		f.Failed = failed>>n&1 == 1
		m.Fans = append(m.Fans, f)
	}
	return m, nil
}

// global reads Global Configuration, of which FF would be a part at once in reset and standby.
func (d *Dev) global(ctx context.Context, op string) (byte, error) {
	v, err := d.port.Byte(ctx, op, "Global Configuration", globalConfiguration)
	if err == nil && v == 0xff {
		err = d.port.Ones(op, "Global Configuration")
	}
	return v, err
}

// fan reads fan n, counted from 0. Its configuration comes last: with the tach input on it is not 00, and vouches for the
// words before it, a dynamics register among them that would be another speed range.
func (d *Dev) fan(ctx context.Context, n byte) (Fan, error) {
	name := func(format string) string { return fmt.Sprintf(format, n+1) }
	f := Fan{N: int(n) + 1}
	var configuration byte
	var dynamics, duty uint16
	if err := chip.Sure(
		d.port, func() (err error) { configuration, err = d.configuration(ctx, n); return err },
		d.port.ByteValue(ctx, name("Fan %d Dynamics"), fan1Dynamics+n, &dynamics),
		d.port.WordValue(ctx, name("TACH %d Count"), tach1Count+2*n, &f.Raw),
		d.port.WordValue(ctx, name("PWMOUT %d Duty Cycle"), pwmout1DutyCycle+2*n, &duty),
	); err != nil {
		return Fan{}, err
	}
	f.Duty, f.SR = duty>>7, SpeedRange(byte(dynamics))
	rpm, ok := RPM(f.Raw, f.SR, d.o.NP)
	switch {
	case configuration&tachEnable == 0:
		f.Fault = drivers.Unsupported
	case !ok || duty == 0xffff: // nine bits, and zeros below them
		f.Fault = drivers.Implausible
	default:
		f.RPM, f.Stopped = rpm, rpm == 0
	}
	return f, nil
}

// configuration reads Fan Configuration, of which FF would be an output that is driven by speed and a tach input at once.
func (d *Dev) configuration(ctx context.Context, n byte) (byte, error) {
	name := fmt.Sprintf("Fan %d Configuration", n+1)
	v, err := d.port.Byte(ctx, "read", name, fan1Configuration+n)
	if err == nil && v == 0xff {
		err = d.port.Ones("read", name)
	}
	return v, err
}

// SpeedRange is how many tach periods a fan's count spans, from its dynamics register.
func SpeedRange(dynamics byte) int { return min(1<<(dynamics>>5), 32) }

// RPM converts a tach count: it is in the upper 11 bits and
//
//	rpm = 60 * sr * 8192 / (np * count)
//
// (Linux max31790 driver, which assumes two pulses per turn). 0 means that no edge came in time (count 7FF). It is
// false for FFFF, which the part does not give since the lower five bits read 0, for count 0, and for speeds beyond
// 60,000 rpm.
func RPM(tach uint16, sr, np int) (int, bool) {
	count := int(tach >> 5)
	switch {
	case tach == 0xffff || count == 0:
		return 0, false
	case count == standing:
		return 0, true
	}
	rpm := 60 * sr * clockHz / (np * count)
	if rpm > fastest {
		return 0, false
	}
	return rpm, true
}

var _ fmt.Stringer = (*Dev)(nil)
