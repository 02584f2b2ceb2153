// Package tmp421 drives the temperature sensors TMP421, TMP422 and TMP423 (Texas Instruments, SBOS398): the part's own
// temperature and that of one, two or three remote diodes, 12 bits, 0.0625 degrees Celsius.
//
// The parts convert all channels from power-on, so a supply that was lost for a moment changes no setting. What a
// driver must look at is what others may have set: the shut-down bit, in which the registers keep their last values
// for ever, the channel enables, and the extended range, in which every code is 64 degrees too high. The parts have
// no alert output.
package tmp421

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip"
)

// MaxRemotes is the number of remote diodes of the largest part, TMP423.
const MaxRemotes = 3

// Conversion is the longest time until all channels have been converted once: four of 130 ms (SBOS398, electrical
// characteristics; from memory). After Configure has changed something the first sample is good no earlier than that.
const Conversion = 4 * 130 * time.Millisecond

// Pointer values. Two bytes read from the high byte of a temperature are that and its low byte.
const (
	localTemperature = 0x00 // those of the remote diodes follow
	configuration1   = 0x09
	configuration2   = 0x0a
	manufacturerID   = 0xfe
	deviceID         = 0xff
)

const (
	idTI     byte = 0x55
	idFamily byte = 0x20 // plus the number of remote diodes (Linux driver tmp421)

	shutdown byte = 0x40 // SD in CONFIGURATION 1
	extended byte = 0x04 // RANGE in CONFIGURATION 1

	localEnable   byte = 0x08 // LEN in CONFIGURATION 2 (SBOS398, from memory)
	remoteEnable1 byte = 0x10 // REN; those of the remote diodes 2 and 3 follow (SBOS398, from memory)

	// flags are the bits below a temperature. 0 says that the diode is open (Linux driver tmp421), 1 that the
	// conversion is not valid, 2 and 3 are always 0 (SBOS398).
	flags uint16 = 0x000f

	lowest  = -55 * 16 // in steps of 1/16 degree
	highest = 150 * 16 // of the extended range; the other one ends at 127.9375
	offset  = 64 * 16  // of the extended range
)

// addresses at which the parts may sit: TMP421 by its two pins at any of them, the others by variant.
func addresses() []chip.Range {
	return []chip.Range{{First: 0x1c, Last: 0x1f}, chip.At(0x2a), {First: 0x4c, Last: 0x4f}}
}

// Opts says what the part is and where.
type Opts struct {
	Name    string // for error texts
	Addr    uint16
	Remotes int // how many remote diodes the part has: 1 TMP421, 2 TMP422, 3 TMP423
}

// Dev is one sensor. It remembers that the part was seen in the extended range: a CONFIGURATION 1 that a held bus makes
// 00 would else be the standard range, and every temperature 64 degrees too high. And it remembers since when a
// temperature has read 0.
type Dev struct {
	port    chip.Port
	remotes int
	wide    atomic.Bool
	zero    [1 + MaxRemotes]chip.Run
}

// New checks the options and touches nothing.
func New(bus i2c.Bus, o Opts) (*Dev, error) {
	port, err := chip.NewPort(bus, "tmp421", o.Name, o.Addr, addresses()...)
	if err != nil {
		return nil, err
	}
	if o.Remotes < 1 || o.Remotes > MaxRemotes {
		return nil, fmt.Errorf("%s: %d remote diodes, the parts have 1 to %d", port, o.Remotes, MaxRemotes)
	}
	return &Dev{port: port, remotes: o.Remotes}, nil
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.port.String() }

// Channel is one sample of one diode.
type Channel struct {
	Temperature physic.Temperature // means nothing where Fault is not drivers.None
	Raw         uint16             // both bytes as read
	Fault       drivers.Fault      // Implausible: open diode, conversion not valid, out of range. Settling: see Sense
}

// Measurement is one sample of every diode.
type Measurement struct {
	Local  Channel
	Remote []Channel // as many as Opts.Remotes
}

// Identify compares the manufacturer and the device identification.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	for _, r := range []struct{ reg, want byte }{{manufacturerID, idTI}, {deviceID, idFamily + byte(d.remotes)}} {
		got, err := d.port.Byte(ctx, "identify", regName(r.reg), r.reg)
		if err != nil {
			return drivers.Ident{}, err
		}
		if got == 0xff {
			return drivers.Ident{}, d.port.Ones("identify", regName(r.reg))
		}
		if got != r.want {
			return drivers.Ident{}, d.port.Fail("identify", regName(r.reg), drivers.WrongDevice, fmt.Errorf("%02x instead of %02x", got, r.want))
		}
	}
	return drivers.Ident{Manufacturer: "Texas Instruments", Part: fmt.Sprintf("TMP42%d", d.remotes)}, nil
}

// Configure makes the part convert: it takes away the shut-down bit and enables the channels of Opts, and leaves the
// range and every other bit as they are. A register that is right is not written; one that was written is read back.
func (d *Dev) Configure(ctx context.Context) error {
	for _, s := range d.settings() {
		got, err := d.register(ctx, s.reg)
		if err != nil {
			return err
		}
		if s.reg == configuration1 {
			d.wide.Store(got&extended != 0)
		}
		if got&s.mask == s.value {
			continue
		}
		if err := d.port.Tx(ctx, "write", regName(s.reg), []byte{s.reg, got&^s.mask | s.value}, nil); err != nil {
			return err
		}
		if got, err = d.register(ctx, s.reg); err != nil {
			return err
		}
		if got&s.mask != s.value {
			return d.differs(s, got, drivers.Mismatch)
		}
	}
	return nil
}

// Sense reads all diodes. drivers.Restarted: the part is not as Configure leaves it, or no longer in the extended range,
// Configure it.
//
// A diode that cannot be measured has a Fault and does not hide the others; an error of the bus hides all. All ones,
// which no channel can give, is an error of the bus. A code of 0000 is 0 degrees, and what a held bus gives: the channel
// enables, which are read last and are neither 00 nor FF, vouch for the codes before them, and it is read a second time.
// And it is what a register holds until its first conversion, of which no setting tells: the channel is Settling until
// it has read so for longer than that takes.
func (d *Dev) Sense(ctx context.Context) (Measurement, error) {
	codes := make([]uint16, 1+d.remotes) // the part's own diode first
	var values []chip.Value[uint16]
	for n := range codes {
		reg := localTemperature + byte(n)
		values = append(values, d.port.WordValue(ctx, regName(reg), reg, &codes[n]))
	}
	var config1 byte
	configured := func() (err error) { config1, err = d.configured(ctx); return err }
	err := chip.Sure(d.port, configured, values...)
	zero := d.zeros(codes, err)
	if err != nil {
		return Measurement{}, err
	}
	d.wide.Store(config1&extended != 0)
	all := make([]Channel, len(codes))
	for n, code := range codes {
		if code == 0xffff {
			return Measurement{}, d.port.Ones("read", values[n].Reg)
		}
		t, ok := Temperature(code, config1&extended != 0)
		switch {
		case !ok:
			all[n] = Channel{Raw: code, Fault: drivers.Implausible}
		case code == 0 && zero[n] < Conversion:
			all[n] = Channel{Raw: code, Fault: drivers.Settling}
		default:
			all[n] = Channel{Temperature: t, Raw: code}
		}
	}
	return Measurement{Local: all[0], Remote: all[1:]}, nil
}

// zeros tells for how long each channel has read 0.
func (d *Dev) zeros(codes []uint16, err error) []time.Duration {
	out := make([]time.Duration, len(codes))
	for n, code := range codes {
		out[n] = d.zero[n].For(err == nil && code == 0)
	}
	return out
}

// configured compares the settings with what Configure leaves and gives CONFIGURATION 1.
func (d *Dev) configured(ctx context.Context) (config1 byte, err error) {
	for _, s := range d.settings() {
		got, err := d.register(ctx, s.reg)
		if err != nil {
			return 0, err
		}
		if got&s.mask != s.value {
			return 0, d.differs(s, got, drivers.Restarted)
		}
		if s.reg == configuration1 {
			config1 = got
			if d.wide.Load() && got&extended == 0 {
				return 0, d.port.Fail("read", regName(s.reg), drivers.Restarted, fmt.Errorf("%02x: no longer in the extended range", got))
			}
		}
	}
	return config1, nil
}

// Temperature converts both bytes of a temperature, high byte first. wide says that the part is set to the extended
// range. It is false for an open diode, a conversion that is not valid and a code outside the part's range.
func Temperature(code uint16, wide bool) (physic.Temperature, bool) {
	steps := int(int16(code) >> 4)
	if wide {
		steps = int(code>>4) - offset
	}
	if code&flags != 0 || steps < lowest || steps > highest {
		return 0, false
	}
	return physic.ZeroCelsius + physic.Temperature(steps)*(physic.Celsius/16), true
}

// setting is what some bits of a register must be.
type setting struct {
	reg, mask, value byte
	otherwise        string // what another value says
}

func (d *Dev) settings() [2]setting {
	channels := localEnable
	for n := range d.remotes {
		channels |= remoteEnable1 << n
	}
	return [2]setting{
		{configuration1, shutdown, 0, "shut down"},
		{configuration2, channels, channels, "not all channels are enabled"},
	}
}

func (d *Dev) differs(s setting, got byte, f drivers.Fault) error {
	return d.port.Fail("read", regName(s.reg), f, fmt.Errorf("%02x: %s", got, s.otherwise))
}

func (d *Dev) register(ctx context.Context, reg byte) (byte, error) {
	got, err := d.port.Byte(ctx, "read", regName(reg), reg)
	if err == nil && got == 0xff {
		err = d.port.Ones("read", regName(reg))
	}
	return got, err
}

// regName spells a pointer value as the data sheet does.
func regName(reg byte) string {
	switch reg {
	case localTemperature:
		return "Local Temperature"
	case localTemperature + 1, localTemperature + 2, localTemperature + 3:
		return fmt.Sprintf("Remote Temperature %d", reg)
	case configuration1:
		return "Configuration 1"
	case configuration2:
		return "Configuration 2"
	case manufacturerID:
		return "Manufacturer ID"
	case deviceID:
		return "Device ID"
	default:
		return fmt.Sprintf("%02xh", reg)
	}
}

var _ fmt.Stringer = (*Dev)(nil)
