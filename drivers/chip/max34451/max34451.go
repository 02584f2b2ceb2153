// Package max34451 drives the MAX34451 (Maxim; facts from the Linux driver max34440), a sequencer that monitors up to 16
// voltages or currents and its own temperature. It reads; it sequences nothing.
//
// What a channel measures is set in the part, per page: MFR_CHANNEL_CONFIG is read with every sample, in the same job of
// the bus as the page's selection and the value. External dividers and shunts are in the part's scale registers already.
// Pages 17 to 20 are sensors DS75LV on the part's own bus; whether they are fitted is a fact of the board.
//
// From revision 0012 on a channel can also stand for an input (READ_VIN, READ_IIN); this package reads it as an output.
// Limits are not offered: registers 46 and 4A are exchanged before that revision.
package max34451

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/i2cbus"
	"rackagent/drivers/pmbus"
)

// Channels is how many the part has: pages 0 to 15.
const Channels = 16

// Pages of temperatures.
const (
	internalPage  = 16
	FirstExternal = 17 // of up to four DS75LV
	LastExternal  = 20
)

// channelConfig is MFR_CHANNEL_CONFIG, of two bytes.
const channelConfig pmbus.Command = 0xe4

// Low six bits of MFR_CHANNEL_CONFIG.
const (
	selectMask      = 0x3f
	selectOff       = 0x00
	selectSequenced = 0x10 // sequenced and monitored voltage, pages 0 to 11
	selectVoltage   = 0x20
	selectReadV     = 0x21 // voltage, not monitored
	selectCurrent   = 0x22
	selectReadI     = 0x23 // current, not monitored
	selectInputLow  = 0x30 // general input, active low
	selectInputHigh = 0x34 // general input, active high
)

// pageDelay is what the maker recommends after PAGE (Linux driver max34440).
const pageDelay = 50 * time.Microsecond

// Opts says where the part is.
type Opts struct {
	Name string // for error texts
	Addr uint16
	// External lists the pages, FirstExternal to LastExternal, whose temperature sensor the board has.
	External []byte
}

// Dev is one part. It holds no state but where it is and may be used from several goroutines.
type Dev struct {
	port     *pmbus.Port
	conn     i2cbus.Conn
	external []byte
}

// New checks the options and touches nothing.
func New(conn i2cbus.Conn, o Opts) (*Dev, error) {
	if conn == nil {
		return nil, fmt.Errorf("max34451 %q: no bus", o.Name)
	}
	d := &Dev{conn: conn}
	for _, p := range o.External {
		if p < FirstExternal || p > LastExternal {
			return nil, fmt.Errorf("max34451 %q: page %d is no external sensor (%d to %d)", o.Name, p, FirstExternal, LastExternal)
		}
		d.external = append(d.external, p)
	}
	port, err := pmbus.New(conn, "max34451", o.Name, o.Addr, pmbus.Profile{
		Reads: []pmbus.Command{
			pmbus.CAPABILITY, pmbus.STATUS_WORD, pmbus.READ_VOUT, pmbus.READ_IOUT, pmbus.READ_TEMPERATURE_1,
			pmbus.MFR_ID, pmbus.MFR_MODEL, pmbus.MFR_REVISION, channelConfig,
		},
		Names:     map[pmbus.Command]string{channelConfig: "MFR_CHANNEL_CONFIG"},
		Pages:     pages(),
		PageDelay: pageDelay,
		Proof:     pmbus.Proof{Command: pmbus.MFR_ID, Answer: []byte{manufacturer}},
	})
	if err != nil {
		return nil, err
	}
	d.port = port
	return d, nil
}

func pages() []byte {
	var out []byte
	for p := range byte(LastExternal + 1) {
		out = append(out, p)
	}
	return out
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.port.String() }

// Values of MFR_ID and MFR_MODEL, which are one byte here and no blocks.
const (
	manufacturer = 0x4d
	model        = 0x59
)

// Identify compares MFR_ID and MFR_MODEL. A part that does not give its revision has no Version.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	if err := d.port.Negotiate(ctx); err != nil {
		return drivers.Ident{}, err
	}
	s := d.port.Series(ctx, "identify")
	for _, r := range []struct {
		at   pmbus.Command
		want byte
	}{{pmbus.MFR_ID, manufacturer}, {pmbus.MFR_MODEL, model}} {
		switch got := s.Byte(r.at); got {
		case r.want:
		case 0xff:
			s.Fail(r.at, drivers.Implausible, errors.New("all ones"))
		default:
			s.Fail(r.at, drivers.WrongDevice, fmt.Errorf("%02x instead of %02x", got, r.want))
		}
	}
	if s.Err() != nil {
		return drivers.Ident{}, s.Err()
	}
	revision, err := d.port.Word(ctx, "identify", pmbus.MFR_REVISION)
	if err != nil {
		return drivers.Ident{}, err
	}
	id := drivers.Ident{Manufacturer: "Maxim", Part: "MAX34451"}
	if revision != 0xffff { // so reads what is not supported, as in QEMU's model
		id.Version = fmt.Sprintf("%04x", revision)
	}
	return id, nil
}

// Measurement is one sample of all pages. Pages are read one after the other, each in a job of its own.
type Measurement struct {
	Status   pmbus.StatusWord // of page 0
	Channels [Channels]Channel
	Internal *pmbus.Temperature
	External map[byte]*pmbus.Temperature // by page
}

// Channel is what one page measures: a voltage, a current, or nothing.
type Channel struct {
	Config  uint16         // MFR_CHANNEL_CONFIG as read
	Voltage *pmbus.Voltage // nil: not what this channel measures
	Current *pmbus.Current
	// Fault is drivers.Unsupported for a setting that is none of the data sheet's.
	Fault drivers.Fault
}

// Volts, Amperes and Celsius are the formats of the readings: millivolts, hundredths of an ampere, hundredths of a degree
// (Linux driver max34440).
func Volts() pmbus.Direct   { return pmbus.Direct{M: 1, R: 3} }
func Amperes() pmbus.Direct { return pmbus.Direct{M: 1, R: 2} }
func Celsius() pmbus.Direct { return pmbus.Direct{M: 1, R: 2} }

// Sense reads all channels and temperatures. What no page gives is the error of the whole.
//
// A value of 0000 is also what a held bus gives: the maker's identification then vouches, and it is read a second time.
// FFFF is no value of this part.
func (d *Dev) Sense(ctx context.Context) (Measurement, error) {
	var m Measurement
	for n := range m.Channels {
		err := d.onPage(ctx, byte(n), func(s *pmbus.Series) {
			if n == 0 {
				m.Status = s.Status()
			}
			m.Channels[n] = channel(s)
		})
		if err != nil {
			return Measurement{}, err
		}
	}
	if err := d.onPage(ctx, internalPage, func(s *pmbus.Series) { m.Internal = celsius(s) }); err != nil {
		return Measurement{}, err
	}
	for _, p := range d.external {
		err := d.onPage(ctx, p, func(s *pmbus.Series) {
			if m.External == nil {
				m.External = make(map[byte]*pmbus.Temperature)
			}
			m.External[p] = celsius(s)
		})
		if err != nil {
			return Measurement{}, err
		}
	}
	return m, nil
}

func (d *Dev) onPage(ctx context.Context, page byte, read func(s *pmbus.Series)) error {
	return d.port.OnPage(ctx, d.conn, page, func(on *pmbus.Port) error {
		s := on.Series(ctx, "read")
		read(s)
		return s.Err()
	})
}

func channel(s *pmbus.Series) Channel {
	c := Channel{Config: s.Setting(channelConfig)}
	switch c.Config & selectMask {
	case selectSequenced, selectVoltage, selectReadV:
		c.Voltage = sure(s, func() *pmbus.Voltage { return s.Voltage(pmbus.READ_VOUT, Volts().Decode) })
	case selectCurrent, selectReadI:
		c.Current = sure(s, func() *pmbus.Current { return s.Current(pmbus.READ_IOUT, Amperes().Decode) })
	case selectOff, selectInputLow, selectInputHigh:
	default:
		c.Fault = drivers.Unsupported
	}
	return c
}

// celsius refuses what the part does not measure: -40 to +125 with room for its error, arbitrary.
func celsius(s *pmbus.Series) *pmbus.Temperature {
	return sure(s, func() *pmbus.Temperature {
		return s.Temperature(pmbus.READ_TEMPERATURE_1, pmbus.Decode(Celsius().Decode).Within(-55, 150))
	})
}

// sure reads a value of 0000 a second time, after something that cannot be 0.
func sure[T any](s *pmbus.Series, read func() *pmbus.Reading[T]) *pmbus.Reading[T] {
	r := read()
	if s.Err() != nil || r.Raw != 0 {
		return r
	}
	if id := s.Byte(pmbus.MFR_ID); id != manufacturer {
		s.Fail(pmbus.MFR_ID, drivers.Implausible, fmt.Errorf("%02x instead of %02x", id, manufacturer))
	}
	return read()
}

var _ fmt.Stringer = (*Dev)(nil)
