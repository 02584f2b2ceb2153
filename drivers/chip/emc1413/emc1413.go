// Package emc1413 drives the temperature sensors EMC1412 (Microchip, formerly SMSC, DS20005273), EMC1413 and EMC1414
// (DS20005274A): the part's own temperature and that of one, two or three external diodes, 11 bits, 0.125 degrees
// Celsius.
//
// The parts convert from power-on. They have limits and two alert outputs that may stop a supply; nothing is ever
// written here, so there is no Configure, and a part that somebody put into standby stays there and is reported.
// The temperature registers are unsigned (Linux driver emc1403): in the default range, 0 to 127.875 degrees, a part
// in the cold reads 0.
package emc1413

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip"
)

// MaxRemotes is the number of external diodes of the largest part, EMC1414.
const MaxRemotes = 3

// Register addresses.
const (
	internalHigh  = 0x00
	internalLow   = 0x29
	external1High = 0x01
	external1Low  = 0x10
	external2High = 0x23
	external2Low  = 0x24
	external3High = 0x2a
	external3Low  = 0x2b
	configuration = 0x03
	diodeFault    = 0x1b // bit n: external diode n is open or shorted (Linux driver emc1403)
	productID     = 0xfd
	smscID        = 0xfe
)

const (
	idSMSC byte = 0x5d

	standby  byte = 0x40 // RUN/STOP in Configuration: 1 stops converting (DS20005274A, from memory; bit: Linux driver emc1403)
	extended byte = 0x04 // RANGE in Configuration: 1 adds 64 degrees to every code (DS20005274A, from memory)

	unused uint16 = 0x001f // below a temperature of 11 bits, always 0
	offset        = 64 * 8 // of the extended range, in steps of 1/8 degree

	highestDefault  = 128*8 - 1
	highestExtended = 192*8 - 1
)

// product gives the identification of the part with so many external diodes (Linux driver emc1403, QEMU model emc141x).
// 23h is not EMC1414 but EMC1423.
func product(remotes int) byte { return [...]byte{0x20, 0x21, 0x25}[remotes-1] }

// Opts says what the part is and where.
type Opts struct {
	Name    string // for error texts
	Addr    uint16 // set by a resistor or by the variant, often 0x4c
	Remotes int    // how many external diodes the part has: 1 EMC1412, 2 EMC1413, 3 EMC1414
}

// Dev is one sensor. It remembers that the part was seen in the extended range: a Configuration that a held bus makes 00
// would else be the default range, and every temperature 64 degrees too high.
type Dev struct {
	port    chip.Port
	remotes int
	wide    atomic.Bool
}

// New checks the options and touches nothing.
func New(bus i2c.Bus, o Opts) (*Dev, error) {
	port, err := chip.NewPort(bus, "emc1413", o.Name, o.Addr, chip.Strapped())
	if err != nil {
		return nil, err
	}
	if o.Remotes < 1 || o.Remotes > MaxRemotes {
		return nil, fmt.Errorf("%s: %d external diodes, the parts have 1 to %d", port, o.Remotes, MaxRemotes)
	}
	return &Dev{port: port, remotes: o.Remotes}, nil
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.port.String() }

// Channel is one sample of one diode.
type Channel struct {
	Temperature physic.Temperature // means nothing where Fault is not drivers.None
	Raw         uint16             // high and low byte as read
	Fault       drivers.Fault      // Implausible: open or shorted diode, or a code outside the range
}

// Measurement is one sample of every diode.
type Measurement struct {
	Local  Channel
	Remote []Channel // as many as Opts.Remotes
}

// Identify compares the manufacturer and the product identification.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	for _, r := range []struct{ reg, want byte }{{smscID, idSMSC}, {productID, product(d.remotes)}} {
		got, err := d.register(ctx, "identify", r.reg)
		if err != nil {
			return drivers.Ident{}, err
		}
		if got != r.want {
			return drivers.Ident{}, d.port.Fail("identify", regName(r.reg), drivers.WrongDevice, fmt.Errorf("%02x instead of %02x", got, r.want))
		}
	}
	d.wide.Store(false) // whatever it was, the next sample learns it
	return drivers.Ident{Manufacturer: "Microchip", Part: fmt.Sprintf("EMC141%d", d.remotes+1)}, nil
}

// Sense reads all diodes. Implausible: the part is in standby and repeats its last values, or nobody is there. Restarted:
// it is no longer in the extended range, Identify it.
//
// A diode that cannot be measured has a Fault and does not hide the others; an error of the bus hides all. The fault
// register is read last, so that a diode that failed in between is not believed.
func (d *Dev) Sense(ctx context.Context) (Measurement, error) {
	config, err := d.register(ctx, "read", configuration)
	if err != nil {
		return Measurement{}, err
	}
	if config&standby != 0 {
		return Measurement{}, d.port.Fail("read", regName(configuration), drivers.Implausible, errors.New("the part is in standby"))
	}
	wide := config&extended != 0
	if d.wide.Load() && !wide {
		return Measurement{}, d.port.Fail("read", regName(configuration), drivers.Restarted, fmt.Errorf("%02x: no longer in the extended range", config))
	}
	d.wide.Store(wide)
	var all []Channel
	for _, r := range []struct{ high, low byte }{
		{internalHigh, internalLow}, {external1High, external1Low}, {external2High, external2Low}, {external3High, external3Low},
	}[:1+d.remotes] {
		c, err := d.channel(ctx, r.high, r.low, wide)
		if err != nil {
			return Measurement{}, err
		}
		all = append(all, c)
	}
	failed, err := d.register(ctx, "read", diodeFault)
	if err != nil {
		return Measurement{}, err
	}
	for n := range all {
		if n > 0 && failed>>n&1 != 0 {
			all[n] = Channel{Raw: all[n].Raw, Fault: drivers.Implausible}
		}
	}
	return Measurement{Local: all[0], Remote: all[1:]}, nil
}

// channel reads one diode.
//
// A value whose high byte is 00 or FF lies within a degree of the ends of the range, or is half a value whose other half
// a held bus or one that nobody drives made up: the maker's identification vouches, and it is read a second time. A low
// byte that was held costs less than one degree and passes.
func (d *Dev) channel(ctx context.Context, high, low byte, wide bool) (Channel, error) {
	code, err := d.code(ctx, high, low)
	if err != nil {
		return Channel{}, err
	}
	t, ok := Temperature(code, wide)
	if ok && doubtful(code) {
		id, err := d.register(ctx, "read", smscID)
		if err != nil {
			return Channel{}, err
		}
		if id != idSMSC {
			return Channel{}, d.port.Fail("read", regName(smscID), drivers.Implausible, fmt.Errorf("%02x instead of %02x", id, idSMSC))
		}
		first := code
		if code, err = d.code(ctx, high, low); err != nil {
			return Channel{}, err
		}
		t, ok = Temperature(code, wide)
		ok = ok && (!doubtful(code) || code>>8 == first>>8)
	}
	if !ok {
		return Channel{Raw: code, Fault: drivers.Implausible}, nil
	}
	return Channel{Temperature: t, Raw: code}, nil
}

func doubtful(code uint16) bool { return code>>8 == 0 || code>>8 == 0xff }

// code reads both bytes of a temperature. The high one comes first: reading it holds the low one (DS20005274A, from
// memory).
func (d *Dev) code(ctx context.Context, high, low byte) (uint16, error) {
	hi, err := d.port.Byte(ctx, "read", regName(high), high)
	if err != nil {
		return 0, err
	}
	lo, err := d.port.Byte(ctx, "read", regName(low), low)
	if err != nil {
		return 0, err
	}
	code := uint16(hi)<<8 | uint16(lo)
	if code == 0xffff {
		return 0, d.port.Ones("read", regName(high))
	}
	return code, nil
}

// Temperature converts high and low byte of a temperature. wide says that the part is set to the extended range. It
// is false for codes that no part gives and for 0000: that is what a failed diode reads (DS20005274A, from memory),
// what everything below the range reads, and what a held bus reads.
func Temperature(code uint16, wide bool) (physic.Temperature, bool) {
	steps, highest := int(code>>5), highestDefault
	if wide {
		steps, highest = steps-offset, highestExtended
	}
	if code == 0 || code&unused != 0 || steps > highest {
		return 0, false
	}
	return physic.ZeroCelsius + physic.Temperature(steps)*(physic.Celsius/8), true
}

func (d *Dev) register(ctx context.Context, op string, reg byte) (byte, error) {
	got, err := d.port.Byte(ctx, op, regName(reg), reg)
	if err == nil && got == 0xff {
		err = d.port.Ones(op, regName(reg))
	}
	return got, err
}

// regName spells a register as the data sheet does.
func regName(reg byte) string {
	switch reg {
	case internalHigh:
		return "Internal Diode High Byte"
	case internalLow:
		return "Internal Diode Low Byte"
	case external1High:
		return "External Diode 1 High Byte"
	case external1Low:
		return "External Diode 1 Low Byte"
	case external2High:
		return "External Diode 2 High Byte"
	case external2Low:
		return "External Diode 2 Low Byte"
	case external3High:
		return "External Diode 3 High Byte"
	case external3Low:
		return "External Diode 3 Low Byte"
	case configuration:
		return "Configuration"
	case diodeFault:
		return "External Diode Fault"
	case productID:
		return "Product ID"
	case smscID:
		return "SMSC ID"
	default:
		return fmt.Sprintf("%02xh", reg)
	}
}

var _ fmt.Stringer = (*Dev)(nil)
