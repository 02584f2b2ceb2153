package inventory

import (
	"context"
	"errors"
	"fmt"

	"rackagent/agent/poll"
	"rackagent/agent/rack"
	"rackagent/drivers"
	"rackagent/drivers/pdu"
)

// frozenMeter is how many equal power codes in a row make a meter suspect; poll adds its own minimum of a minute.
const frozenMeter = 60

const identitySuffix = "/identity"

// bankN is how the layout counts the relay bank at a place of the model.
func (u *unit) bankN(i int) int {
	if u.pdu.Model().RelayBanks() == 1 {
		return 0
	}
	return i + 1
}

func (u *unit) bankName(b rack.BankID) string {
	if b.N == 0 {
		return u.conf.Name + "/bank"
	}
	return fmt.Sprintf("%s/bank-%d", u.conf.Name, b.N)
}

func (u *unit) meterName(i int) string { return fmt.Sprintf("%s/meter-%d", u.conf.Name, i+1) }

// devices are what poll reads of one PDU: each relay bank, each meter, its temperatures, its identity. Each is a device
// of its own, so that one dead chip makes only its own values stale.
func (u *unit) devices() []poll.Device {
	var out []poll.Device
	for i := range u.pdu.Model().RelayBanks() {
		out = append(out, u.bank(i))
	}
	for i := range u.pdu.Meters() {
		out = append(out, u.meter(i))
	}
	if u.pdu.Sensors() > 0 {
		out = append(out, u.temperatures())
	}
	return append(out, u.identity())
}

func (u *unit) device(name string, points []poll.Point, read func(context.Context) ([]rack.Reading, error)) poll.Device {
	return poll.Device{Name: name, Bus: u.bus, Period: u.period, Points: points, Read: read}
}

func (u *unit) point(q rack.Quantity, index int) poll.Point {
	return poll.Point{Point: rack.Point{Device: u.conf.Name, Quantity: q, Index: index}}
}

func (u *unit) bank(i int) poll.Device {
	id := rack.BankID{PDU: u.conf.Name, N: u.bankN(i)}
	points := []poll.Point{{Point: id.Point()}}
	for _, o := range u.pdu.Model().Outlets {
		if o.RelayBank == i {
			points = append(points, u.point(rack.Relay, o.N))
		}
	}
	return u.device(u.bankName(id), points, func(ctx context.Context) ([]rack.Reading, error) {
		s, err := u.pdu.Bank(ctx, i)
		if err != nil {
			return nil, err
		}
		return bankReadings(points, s), nil
	})
}

// bankReadings tells where each relay stands. A bank that is neither under control nor at rest belongs to somebody
// else: its words are shown and nothing about it is believed.
func bankReadings(points []poll.Point, s pdu.BankSample) []rack.Reading {
	var out []rack.Reading
	for k, p := range points {
		r := rack.Reading{Point: p.Point, Raw: uint32(s.Latch), Quality: rack.QualityOK}
		if s.Fault == drivers.Foreign {
			r.Quality, r.Reason = rack.QualityBad, s.Fault.String()
		}
		switch {
		case p.Quantity == rack.Control && s.Controlled, p.Quantity == rack.Relay && s.Closed[k-1]:
			r.Value = 1
		}
		out = append(out, r)
	}
	return out
}

func (u *unit) meter(i int) poll.Device {
	var points []poll.Point
	for _, o := range u.pdu.Model().Outlets {
		if o.Metered && o.Meter == i {
			points = append(points, u.loadPoints(outletQuantities(), i, o.N)...)
		}
	}
	for k, s := range u.pdu.Model().Supplies {
		if s.Meter == i {
			points = append(points, u.loadPoints(supplyQuantities(), i, k+1)...)
		}
	}
	return u.device(u.meterName(i), points, func(ctx context.Context) ([]rack.Reading, error) {
		s, err := u.pdu.Meter(ctx, i)
		if err != nil {
			return nil, err
		}
		var out []rack.Reading
		for _, o := range s.Outlets {
			out = append(out, u.outletReadings(o)...)
		}
		return out, nil
	})
}

// quantities are the names under which what a meter measures of one load is told.
type quantities struct{ watts, amps, volts, energy, va, hz rack.Quantity }

func outletQuantities() quantities {
	return quantities{rack.PowerW, rack.CurrentA, rack.VoltageV, rack.EnergyWh, rack.ApparentV, rack.FrequHz}
}

func supplyQuantities() quantities {
	return quantities{rack.SupplyW, rack.SupplyA, rack.SupplyV, rack.SupplyWh, rack.SupplyVA, rack.SupplyHz}
}

// loadPoints are the points of one outlet or supply bank on a meter. Direct current has no apparent power and no frequency.
func (u *unit) loadPoints(q quantities, meter, index int) []poll.Point {
	watts, volts := u.point(q.watts, index), u.point(q.volts, index)
	watts.Frozen = poll.Frozen{Updates: frozenMeter, ZeroRests: true}
	points := []poll.Point{watts, u.point(q.amps, index), volts, u.point(q.energy, index)}
	current := rack.DC
	if !u.pdu.Model().DC {
		current = rack.AC
		points = append(points, u.point(q.va, index), u.point(q.hz, index))
		points[4].Meaning.Power = rack.Apparent
	} else {
		points[2].Range = poll.Range{Min: 0, Max: 1.25 * u.pdu.Model().NominalV} // above it a part of the shelf is broken, arbitrary
	}
	for i := range points {
		points[i].Meaning.Current = current
	}
	for _, i := range []int{0, 3} { // power and energy
		points[i].Meaning.Power, points[i].Meaning.ClassPct = rack.Active, u.pdu.Model().MeterClass(meter)
	}
	return points
}

func (u *unit) outletReadings(o pdu.OutletSample) []rack.Reading {
	q, index := outletQuantities(), o.N
	if o.Supply > 0 {
		q, index = supplyQuantities(), o.Supply
	}
	r := func(q rack.Quantity, v float64, raw uint32) rack.Reading {
		return rack.Reading{Point: rack.Point{Device: u.conf.Name, Quantity: q, Index: index}, Value: v, Raw: raw}
	}
	out := []rack.Reading{r(q.watts, o.W, o.Raw.W), r(q.amps, o.A, o.Raw.A), r(q.volts, o.V, o.Raw.V), r(q.energy, o.EnergyWh, o.Raw.Energy)}
	if o.Since.IsZero() { // its counter cannot be read
		out[3].Quality, out[3].Reason = rack.QualityBad, drivers.Corrupt.String()
	}
	if u.pdu.Model().DC {
		return out
	}
	hz := r(q.hz, o.Hz, 0)
	if o.Hz == 0 { // no voltage to count crossings of
		hz.Quality, hz.Reason = rack.QualityBad, drivers.Implausible.String()
	}
	return append(out, r(q.va, o.VA, o.Raw.VA), hz)
}

func (u *unit) temperatures() poll.Device {
	var points []poll.Point
	for i := range u.pdu.Sensors() {
		p := u.point(rack.TempC, i+1)
		p.Range = poll.Range{Min: -40, Max: 125} // TMP75 data sheet SBOS288, specified range
		points = append(points, p)
	}
	return u.device(u.conf.Name+"/temp", points, func(ctx context.Context) ([]rack.Reading, error) {
		temps, err := u.pdu.Temps(ctx)
		var out []rack.Reading
		for _, t := range temps {
			r := rack.Reading{Point: rack.Point{Device: u.conf.Name, Quantity: rack.TempC, Index: t.Sensor + 1}, Value: t.C, Raw: uint32(t.Raw)}
			if t.Err == nil {
				err = nil // one good sensor is an answer
			} else {
				r.Quality, r.Reason = rack.QualityBad, drivers.FaultOf(t.Err).String()
			}
			out = append(out, r)
		}
		if err != nil {
			return nil, err
		}
		return out, nil
	})
}

// identity reads who the board is, at the start and from time to time: boards are exchanged while the agent runs. The
// value is 1 where it says the configured serial.
func (u *unit) identity() poll.Device {
	p := u.point(rack.Identified, 1)
	d := u.device(u.conf.Name+identitySuffix, []poll.Point{p}, func(ctx context.Context) ([]rack.Reading, error) {
		id, err := u.pdu.Identify(ctx)
		u.found(id, err)
		if err != nil && !errors.Is(err, drivers.WrongDevice) {
			return nil, err
		}
		r := rack.Reading{Point: p.Point}
		if err == nil && id.Serial == u.conf.Serial {
			r.Value = 1
		}
		return []rack.Reading{r}, nil
	})
	d.Period = u.ident
	return d
}
