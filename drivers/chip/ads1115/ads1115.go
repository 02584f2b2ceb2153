// Package ads1115 drives the analogue-to-digital converter ADS1115 (Texas Instruments, SBAS444): four inputs, 16 bits,
// one converter behind a multiplexer. Loop and Rope are pure and say what its voltages mean where 4-20 mA sensors and
// supervised leak ropes hang on it.
//
// Every conversion is a single shot. What still runs is waited for, then the whole configuration is written and read back
// until the part says that it is done. So no code of another input or of another moment can pass for this one, there is
// nothing to Configure, and a part that lost its supply in between is noticed. The comparator and its ALERT/RDY pin stay off.
package ads1115

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip"
)

// The address pin places the part between these two addresses.
const (
	FirstAddr = 0x48
	LastAddr  = 0x4b
)

// Pointer values.
const (
	conversion    = 0x00
	configuration = 0x01
	loThresh      = 0x02
	hiThresh      = 0x03
)

const (
	loThreshDefault uint16 = 0x8000 // SBAS444, from memory; the same for the next
	hiThreshDefault uint16 = 0x7fff
)

// A part that is not done when it should be is asked again so often, so far apart. Arbitrary.
const (
	furtherPolls = 3
	between      = time.Millisecond
)

// Opts says where the part is and what hangs on it.
type Opts struct {
	Name     string // for error texts
	Addr     uint16
	Channels []Channel // measured in this order
}

// Dev is one converter. It is used by one caller at a time: there is one converter for all inputs.
type Dev struct {
	port     chip.Port
	channels []Channel
}

// New checks the options and touches nothing.
func New(bus i2c.Bus, o Opts) (*Dev, error) {
	port, err := chip.NewPort(bus, "ads1115", o.Name, o.Addr, chip.Range{First: FirstAddr, Last: LastAddr})
	if err != nil {
		return nil, err
	}
	if len(o.Channels) == 0 {
		return nil, fmt.Errorf("%s: no channels", port)
	}
	for i, c := range o.Channels {
		if err := c.check(); err != nil {
			return nil, fmt.Errorf("%s: channel %d: %w", port, i, err)
		}
	}
	return &Dev{port, slices.Clone(o.Channels)}, nil
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.port.String() }

// Sample is one conversion of one channel.
type Sample struct {
	Voltage physic.ElectricPotential // where Fault is set, the end of the scale: the true one lies beyond
	Raw     int16                    // conversion register as read
	Fault   drivers.Fault            // Implausible: clipped, so not a measurement
}

// Measurement is one conversion of every channel.
type Measurement struct {
	Channels []Sample // in the order of Opts.Channels
}

// Identify looks for what every configuration of ours has in common with that at power-on, the comparator off, and for
// the power-on values of its thresholds, which nothing of ours ever writes. The part has no identification register.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	for _, r := range []struct {
		reg        byte
		mask, want uint16
	}{{configuration, compareAll, noCompare}, {loThresh, 0xffff, loThreshDefault}, {hiThresh, 0xffff, hiThreshDefault}} {
		got, err := d.port.Word(ctx, "identify", regName(r.reg), r.reg)
		if err != nil {
			return drivers.Ident{}, err
		}
		if got == 0xffff {
			return drivers.Ident{}, d.port.Ones("identify", regName(r.reg))
		}
		if got&r.mask != r.want {
			return drivers.Ident{}, d.port.Fail("identify", regName(r.reg), drivers.WrongDevice, fmt.Errorf("%04x instead of %04x", got, r.want))
		}
	}
	return drivers.Ident{Manufacturer: "Texas Instruments", Part: "ADS1115"}, nil
}

// Sense converts all channels, one after the other. A channel that is clipped has a Fault and does not hide the
// others; any error hides all.
func (d *Dev) Sense(ctx context.Context) (Measurement, error) {
	var m Measurement
	for n := range d.channels {
		s, err := d.SenseChannel(ctx, n)
		if err != nil {
			return Measurement{}, err
		}
		m.Channels = append(m.Channels, s)
	}
	return m, nil
}

// SenseChannel converts one channel, counted from 0 in the order of Opts.Channels, and leaves the bus free while the
// part works. drivers.Restarted: the part lost its supply in between. Mismatch: somebody else wrote its configuration.
// Timeout: it did not get done.
func (d *Dev) SenseChannel(ctx context.Context, n int) (Sample, error) {
	if n < 0 || n >= len(d.channels) {
		return Sample{}, d.port.Fail("read", "", drivers.Unsupported, fmt.Errorf("channel %d is outside 0-%d", n, len(d.channels)-1))
	}
	c := d.channels[n]
	word := c.word()
	if err := d.free(ctx, word); err != nil {
		return Sample{}, err
	}
	if err := d.begin(ctx, word); err != nil {
		return Sample{}, err
	}
	if err := d.done(ctx, word); err != nil {
		return Sample{}, err
	}
	// 0000 and FFFF, nothing and one step below it, are also what a bus gives that is held or that nobody drives. The
	// configuration, which is neither, then vouches, and the code, which the part keeps, is read a second time.
	var code uint16
	value := d.port.WordValue(ctx, regName(conversion), conversion, &code)
	vouch := func() (err error) {
		if value.Doubtful() {
			_, err = d.idle(ctx, word)
		}
		return err
	}
	if err := chip.Sure(d.port, vouch, value); err != nil {
		return Sample{}, err
	}
	s := Sample{Voltage: Voltage(int16(code), c.Range), Raw: int16(code)}
	if Clipped(s.Raw) {
		s.Fault = drivers.Implausible
	}
	return s, nil
}

// free waits for the end of a conversion that still runs: one whose caller left, or one of an earlier process. The part
// would finish it, ignore the start and let its code pass for ours. A part that somebody made convert for ever is told
// to stop first; it does so after the conversion that runs.
func (d *Dev) free(ctx context.Context, word uint16) error {
	got, err := d.port.Word(ctx, "read", regName(configuration), configuration)
	if err != nil {
		return err
	}
	if got == 0xffff {
		return d.port.Ones("read", regName(configuration))
	}
	if got&start != 0 {
		return nil
	}
	if got&singleShot != 0 {
		return d.done(ctx, got|start)
	}
	if err := d.begin(ctx, word); err != nil {
		return err
	}
	if err := pause(ctx, longest(got)); err != nil {
		return d.port.Fail("read", regName(configuration), drivers.Cancelled, err)
	}
	return d.done(ctx, word)
}

// begin writes a configuration that starts a conversion.
func (d *Dev) begin(ctx context.Context, word uint16) error {
	return d.port.Tx(ctx, "write", regName(configuration), []byte{configuration, byte(word >> 8), byte(word)}, nil)
}

// done waits until the conversion of a configuration is over.
func (d *Dev) done(ctx context.Context, word uint16) error {
	wait := longest(word)
	for further := 0; ; further++ {
		if err := pause(ctx, wait); err != nil {
			return d.port.Fail("read", regName(configuration), drivers.Cancelled, err)
		}
		idle, err := d.idle(ctx, word)
		if err != nil || idle {
			return err
		}
		if further == furtherPolls {
			return d.port.Fail("read", regName(configuration), drivers.Timeout, errors.New("the conversion does not end"))
		}
		wait = between
	}
}

// idle says whether the part has done what word told it.
func (d *Dev) idle(ctx context.Context, word uint16) (bool, error) {
	got, err := d.port.Word(ctx, "read", regName(configuration), configuration)
	if err != nil {
		return false, err
	}
	if got == 0xffff {
		return false, d.port.Ones("read", regName(configuration))
	}
	if got|start == word {
		return got == word, nil
	}
	fault := drivers.Mismatch
	if got|start == defaults {
		fault = drivers.Restarted
	}
	return false, d.port.Fail("read", regName(configuration), fault, fmt.Errorf("%04x instead of %04x", got|start, word))
}

// pause waits. After the end of ctx it gives the reason.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// regName spells a pointer value as the data sheet does.
func regName(reg byte) string {
	return [...]string{"Conversion", "Config", "Lo_thresh", "Hi_thresh"}[reg]
}

var _ fmt.Stringer = (*Dev)(nil)
