package inventory

import (
	"context"
	"errors"
	"net"

	"rackagent/agent/poll"
	"rackagent/agent/rack"
	"rackagent/config"
	"rackagent/drivers"
	"rackagent/drivers/nut"
)

// upsBus begins the name under which poll reads a UPS: each has a line of its own, so that a server that hangs delays nothing else.
const upsBus = "UPS "

// The inputs of a UPS.
const (
	upsOnBattery = 1
	upsLow       = 2
)

// openUPS makes a part of a UPS behind the server of Network UPS Tools.
func openUPS(o Opts, c config.Sensor) (part, error) {
	dial := o.DialSensor
	if dial == nil {
		dial = func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("there is no network here")
		}
	}
	d, err := nut.New(nut.Opts{Name: c.Name, Host: c.Host, UPS: c.UPS, Dial: dial})
	if err != nil {
		return part{}, err
	}
	read := func(ctx context.Context) ([]value, error) {
		s, err := d.Sense(ctx)
		if err != nil {
			return nil, err
		}
		return upsValues(s), nil
	}
	return part{shape: upsValues(nut.Status{}), read: read}, nil
}

// upsValues are the numbers of one reading. What the UPS does not tell has no value.
func upsValues(s nut.Status) []value {
	var battery *float64
	if s.OnBattery != nil {
		n := flagged(*s.OnBattery)
		battery = &n
	}
	low := flagged(s.Low)
	return []value{
		maybe(value{q: rack.Contact, i: upsOnBattery, rng: poll.Range{Min: 0, Max: 1}, meaning: rack.Meaning{Label: "on-battery"}}, battery),
		maybe(value{q: rack.Contact, i: upsLow, rng: poll.Range{Min: 0, Max: 1}, meaning: rack.Meaning{Label: "battery-low"}}, &low),
		maybe(value{q: rack.LevelPct, i: 1, rng: poll.Range{Min: 0, Max: 100}}, s.ChargePct),
		maybe(value{q: rack.RuntimeS, i: 1, rng: poll.Range{Min: 0, Max: 1e7}}, s.RuntimeS), // arbitrary: four months
	}
}

// maybe is a value, or that the part does not tell it.
func maybe(v value, n *float64) value {
	if n == nil {
		v.fault = drivers.Unsupported
		return v
	}
	v.v, v.raw = *n, uint32(*n)
	return v
}

func flagged(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

// netParts are what is read over the network.
func netParts() []sensorPart {
	return []sensorPart{{name: "ups", conf: config.Part{Kind: config.PartNet, Keys: []string{"ups"}, Needs: []string{"host", "ups"}}}}
}
