package inventory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"periph.io/x/conn/v3/physic"

	"rackagent/agent/poll"
	"rackagent/agent/rack"
	"rackagent/config"
	"rackagent/drivers"
)

// value is one number that a sensor gives, with the point it belongs to.
type value struct {
	q       rack.Quantity
	i       int // input, counted from 1
	v       float64
	raw     uint32
	fault   drivers.Fault // not None: there is no value, for this reason
	rng     poll.Range    // what the part can show
	meaning rack.Meaning
	alone   bool // see poll.Point
}

// part is a driver made ready for poll.
type part struct {
	shape     []value // one for each point; the numbers mean nothing
	identify  func(context.Context) (drivers.Ident, error)
	configure func(context.Context) error // nil: nothing to set up
	always    bool                        // configure also when it was never seen at its power-on settings
	settle    time.Duration               // after configure, until the first sample means anything
	read      func(context.Context) ([]value, error)
	lost      func() // what it counts may have begun again; nil: it counts nothing
}

// driver is what every driver of a sensor offers.
type driver[M any] interface {
	Identify(ctx context.Context) (drivers.Ident, error)
	Sense(ctx context.Context) (M, error)
}

// of makes a part of a driver. values turns what it measures into numbers; that of the zero measurement names the points.
func of[M any](d driver[M], values func(M) []value) part {
	var none M
	return part{
		shape: values(none), identify: d.Identify,
		read: func(ctx context.Context) ([]value, error) {
			m, err := d.Sense(ctx)
			if err != nil {
				return nil, err
			}
			return values(m), nil
		},
	}
}

// setUp says that the part has to be set up where it is found at its power-on settings.
func (p part) setUp(configure func(context.Context) error, settle time.Duration) part {
	p.configure, p.settle = configure, settle
	return p
}

// labelled gives the points the configuration's words.
func (p part) labelled(inputs []config.Input) part {
	return p.label(inputs, func(rack.Quantity) bool { return true })
}

func (p part) label(inputs []config.Input, about func(rack.Quantity) bool) part {
	read := p.read
	label := func(vs []value) []value {
		for k := range vs {
			for _, in := range inputs {
				if in.Input == vs[k].i && about(vs[k].q) {
					vs[k].meaning.Label = in.Label
				}
			}
		}
		return vs
	}
	p.shape = label(p.shape)
	p.read = func(ctx context.Context) ([]value, error) {
		vs, err := read(ctx)
		return label(vs), err
	}
	return p
}

// named gives the inputs of the part's voltages words of the part's own.
func (p part) named(words ...string) part {
	var inputs []config.Input
	for i, w := range words {
		inputs = append(inputs, config.Input{Input: i + 1, Label: w})
	}
	volts := func(q rack.Quantity) bool { return q == rack.DCVolts }
	return p.label(inputs, volts)
}

// sensor is a part in its place. Its functions are called from the goroutine of its bus alone.
type sensor struct {
	conf config.Sensor
	part part

	unset   bool // the last sample found it at its power-on settings
	settled time.Time
}

// device is what poll reads.
func (s *sensor) device(bus string) poll.Device {
	d := poll.Device{Name: s.conf.Name, Bus: bus, Period: s.conf.Period(), Identify: s.identify, Read: s.read}
	for _, v := range s.part.shape {
		d.Points = append(d.Points, poll.Point{Point: s.point(v), Range: v.rng, Meaning: v.meaning, Alone: v.alone})
	}
	if s.part.identify == nil {
		d.Identify = nil
	}
	return d
}

func (s *sensor) point(v value) rack.Point {
	return rack.Point{Device: s.conf.Name, Quantity: v.q, Index: v.i}
}

// identify asks the part what it is before anything is written to it, and sets it up where a sample found that it has to
// be. A part that runs with its settings is taken over as it is.
func (s *sensor) identify(ctx context.Context) (drivers.Ident, error) {
	id, err := s.part.identify(ctx)
	if err != nil || !s.unset && !s.part.always {
		return id, err
	}
	if s.part.lost != nil {
		s.part.lost()
	}
	if err := s.part.configure(ctx); err != nil {
		return id, err
	}
	s.unset, s.settled = false, time.Now().Add(s.part.settle)
	return id, nil
}

func (s *sensor) read(ctx context.Context) ([]rack.Reading, error) {
	if time.Now().Before(s.settled) {
		return nil, &drivers.Error{Op: "read", Device: s.conf.Name, Fault: drivers.Settling}
	}
	vs, err := s.part.read(ctx)
	if errors.Is(err, drivers.Restarted) && s.part.configure != nil {
		s.unset = true
	}
	if err != nil {
		return nil, err
	}
	if len(vs) != len(s.part.shape) {
		return nil, &drivers.Error{Op: "read", Device: s.conf.Name, Fault: drivers.Corrupt, Err: fmt.Errorf("%d values for %d points", len(vs), len(s.part.shape))}
	}
	out := make([]rack.Reading, len(vs))
	for k, v := range vs {
		out[k] = rack.Reading{Point: s.point(v), Value: v.v, Raw: v.raw}
		if v.fault != drivers.None {
			out[k].Quality, out[k].Reason = rack.QualityBad, v.fault.String()
		}
	}
	return out, nil
}

// The units of the wire. Each takes the driver's type, so that a temperature cannot become a voltage on the way.

func celsius(q rack.Quantity, i int, t physic.Temperature, raw uint32, f drivers.Fault, low, high float64) value {
	return value{q: q, i: i, v: t.Celsius(), raw: raw, fault: f, rng: poll.Range{Min: low, Max: high}}
}

func humidity(i int, rh physic.RelativeHumidity, raw uint32) value {
	return value{q: rack.HumidityPct, i: i, v: float64(rh) / float64(physic.PercentRH), raw: raw, rng: poll.Range{Min: 0, Max: 100}}
}

func volts(q rack.Quantity, i int, u physic.ElectricPotential, raw uint32, f drivers.Fault, m rack.Meaning, low, high float64) value {
	return value{q: q, i: i, v: float64(u) / float64(physic.Volt), raw: raw, fault: f, meaning: m, rng: poll.Range{Min: low, Max: high}}
}

func amps(q rack.Quantity, i int, a physic.ElectricCurrent, raw uint32, f drivers.Fault, m rack.Meaning) value {
	return value{q: q, i: i, v: float64(a) / float64(physic.Ampere), raw: raw, fault: f, meaning: m}
}

func watts(q rack.Quantity, i int, p physic.Power, raw uint32, f drivers.Fault, m rack.Meaning) value {
	return value{q: q, i: i, v: float64(p) / float64(physic.Watt), raw: raw, fault: f, meaning: m}
}

func rpm(i, turns int, raw uint32, f drivers.Fault) value {
	return value{q: rack.FanRPM, i: i, v: float64(turns), raw: raw, fault: f, rng: poll.Range{Min: 0, Max: 40_000}} // arbitrary
}
