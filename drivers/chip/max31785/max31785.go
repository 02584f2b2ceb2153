// Package max31785 reads the fan controllers MAX31785 and MAX31785A (Maxim; facts from the Linux driver max31785): the
// speeds of six fans and eleven temperatures. It sets no fan: speeds are what the board's firmware or its host commands.
//
// Fans are on pages 0 to 5, temperatures on pages 6 to 16. Every page is selected and read in one job of the bus. A fan
// that FAN_CONFIG_1_2 does not name as fitted is absent; which temperature sensors exist is a fact of the board.
package max31785

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"rackagent/drivers"
	"rackagent/drivers/i2cbus"
	"rackagent/drivers/pmbus"
)

// Pages of the part.
const (
	Fans             = 6 // pages 0 to 5
	FirstTemperature = 6
	LastTemperature  = 16
)

// fanFitted is bit 7 of FAN_CONFIG_1_2 (PMBus 1.2 part II, 14.10).
const fanFitted = 0x80

// Opts says where the part is.
type Opts struct {
	Name string // for error texts
	Addr uint16
	// Temperatures lists the pages, FirstTemperature to LastTemperature, that have a sensor.
	Temperatures []byte
}

// Dev is one part. It holds no state but where it is and may be used from several goroutines.
type Dev struct {
	port         *pmbus.Port
	conn         i2cbus.Conn
	temperatures []byte
}

// New checks the options and touches nothing.
func New(conn i2cbus.Conn, o Opts) (*Dev, error) {
	if conn == nil {
		return nil, fmt.Errorf("max31785 %q: no bus", o.Name)
	}
	for _, p := range o.Temperatures {
		if p < FirstTemperature || p > LastTemperature {
			return nil, fmt.Errorf("max31785 %q: page %d has no temperature (%d to %d)", o.Name, p, FirstTemperature, LastTemperature)
		}
	}
	port, err := pmbus.New(conn, "max31785", o.Name, o.Addr, pmbus.Profile{
		Reads: []pmbus.Command{
			pmbus.CAPABILITY, pmbus.STATUS_WORD, pmbus.FAN_CONFIG_1_2, pmbus.STATUS_FANS_1_2, pmbus.READ_FAN_SPEED_1,
			pmbus.READ_TEMPERATURE_1, pmbus.MFR_REVISION,
		},
		Pages: pages(),
	})
	if err != nil {
		return nil, err
	}
	return &Dev{port: port, conn: conn, temperatures: slices.Clone(o.Temperatures)}, nil
}

func pages() []byte {
	var out []byte
	for p := range byte(LastTemperature + 1) {
		out = append(out, p)
	}
	return out
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.port.String() }

// Identify compares MFR_REVISION, the only thing that tells this part from others.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	if err := d.port.Negotiate(ctx); err != nil {
		return drivers.Ident{}, err
	}
	s := d.port.Series(ctx, "identify")
	revision := s.Setting(pmbus.MFR_REVISION)
	part, known := map[uint16]string{0x3030: "MAX31785", 0x3040: "MAX31785", 0x3061: "MAX31785A"}[revision]
	if !known {
		s.Fail(pmbus.MFR_REVISION, drivers.WrongDevice, fmt.Errorf("%04x", revision))
	}
	if s.Err() != nil {
		return drivers.Ident{}, s.Err()
	}
	return drivers.Ident{Manufacturer: "Maxim", Part: part, Version: fmt.Sprintf("%04x", revision)}, nil
}

// Measurement is one sample of all pages, read one after the other.
type Measurement struct {
	Fans         [Fans]Fan
	Temperatures map[byte]*pmbus.Temperature // by page
}

// Fan is what one page tells of its fan.
type Fan struct {
	Speed  *pmbus.Speed // nil: not fitted
	Status byte         // STATUS_FANS_1_2; see pmbus.StatusNames
}

// RPM and Celsius are the formats of the readings: turns per minute, hundredths of a degree (Linux driver max31785).
func RPM() pmbus.Direct     { return pmbus.Direct{M: 1} }
func Celsius() pmbus.Direct { return pmbus.Direct{M: 1, R: 2} }

// Sense reads all fans that are fitted and the temperatures of the options.
//
// A speed or a temperature of 0000 and a status of FF, a fan with every fault at once, are also what a bus gives that is
// held or that nobody drives: a register that is neither then vouches, and they are read a second time.
func (d *Dev) Sense(ctx context.Context) (Measurement, error) {
	var m Measurement
	for n := range m.Fans {
		if err := d.onPage(ctx, byte(n), func(s *pmbus.Series) { m.Fans[n] = fan(s) }); err != nil {
			return Measurement{}, err
		}
	}
	for _, p := range d.temperatures {
		err := d.onPage(ctx, p, func(s *pmbus.Series) {
			if m.Temperatures == nil {
				m.Temperatures = make(map[byte]*pmbus.Temperature)
			}
			// What the part measures is -40 to +120; a sensor that fails reads the end of the scale. Limits arbitrary.
			m.Temperatures[p] = sure(s, part, func() *pmbus.Temperature {
				return s.Temperature(pmbus.READ_TEMPERATURE_1, pmbus.Decode(Celsius().Decode).Within(-55, 150))
			})
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

func fan(s *pmbus.Series) Fan {
	if !fitted(s) || s.Err() != nil {
		return Fan{}
	}
	f := Fan{Status: s.Byte(pmbus.STATUS_FANS_1_2)}
	if s.Err() == nil && f.Status == 0xff {
		still(s)
		f.Status = s.Byte(pmbus.STATUS_FANS_1_2)
	}
	f.Speed = sure(s, still, func() *pmbus.Speed { return s.Speed(pmbus.READ_FAN_SPEED_1, RPM().Decode) })
	return f
}

func fitted(s *pmbus.Series) bool {
	config := s.Byte(pmbus.FAN_CONFIG_1_2)
	if config == 0xff {
		s.Fail(pmbus.FAN_CONFIG_1_2, drivers.Implausible, errors.New("all ones"))
	}
	return config&fanFitted != 0
}

// still vouches for a fan that was found fitted.
func still(s *pmbus.Series) {
	if !fitted(s) {
		s.Fail(pmbus.FAN_CONFIG_1_2, drivers.Implausible, errors.New("the fan is not fitted any more"))
	}
}

// part vouches by what tells this part from others.
func part(s *pmbus.Series) {
	if revision := s.Setting(pmbus.MFR_REVISION); revision == 0 {
		s.Fail(pmbus.MFR_REVISION, drivers.Implausible, errors.New("all zeros"))
	}
}

// sure reads a value of 0000 a second time, after something that vouches.
func sure[T any](s *pmbus.Series, vouch func(*pmbus.Series), read func() *pmbus.Reading[T]) *pmbus.Reading[T] {
	r := read()
	if s.Err() != nil || r.Raw != 0 {
		return r
	}
	vouch(s)
	return read()
}

var _ fmt.Stringer = (*Dev)(nil)
