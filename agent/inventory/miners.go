package inventory

import (
	"context"
	"fmt"
	"net"
	"strings"

	"rackagent/agent/poll"
	"rackagent/agent/rack"
	"rackagent/config"
	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/luxos"
	"rackagent/drivers/miner/whatsminer"
)

// minerAPIs are the names that an interface has in the configuration.
func minerAPIs() []string {
	return []string{luxos.Dialect, whatsminer.DialectV2, whatsminer.DialectV3}
}

// openMiner makes the client of one interface. It is the one switch that names them.
func openMiner(api string, o miner.Opts) (miner.Miner, error) {
	switch api {
	case luxos.Dialect:
		return luxos.New(o)
	case whatsminer.DialectV2:
		return whatsminer.NewV2(o, whatsminer.Options{})
	case whatsminer.DialectV3:
		return whatsminer.NewV3(o, whatsminer.Options{})
	default:
		return nil, fmt.Errorf("no interface %q", api)
	}
}

const (
	// minerTimeout bounds a whole reading: some reports of a few hundredths of a second each, and one that hangs.
	minerTimeout = 2 * miner.ReadLimit
	// notTold is why a value is missing that the miner could tell and does not.
	notTold = "not_told"
)

// noNetwork is where miners are where there is no way to them.
func noNetwork(context.Context, string, string) (net.Conn, error) { return nil, drivers.Unreachable }

// minerBus begins the name under which poll reads a miner: each stands alone. No bus of the configuration can be called so,
// as it holds a space.
const minerBus = "miner "

// OfMiner tells whether a bus of poll's is the interface of a miner.
func OfMiner(bus string) bool { return strings.HasPrefix(bus, minerBus) }

// newMiner makes what poll reads of a miner. Each is read by itself: one that hangs delays no other and no bus.
func newMiner(o Opts, c config.Miner) (poll.Device, error) {
	opts := miner.Opts{Host: c.Host, User: c.User, MAC: c.MAC, Dial: o.DialMiner}
	if opts.Dial == nil {
		opts.Dial = noNetwork
	}
	if o.Password != nil {
		opts.Password = o.Password(c)
	}
	m, err := openMiner(c.API, opts)
	if err != nil {
		return poll.Device{}, err
	}
	d := poll.Device{Name: c.Node + "/" + c.API, Bus: minerBus + c.Node, Period: c.Period(), Timeout: minerTimeout}
	for _, v := range told(&miner.Status{}) {
		d.Points = append(d.Points, poll.Point{Point: rack.Point{Device: c.Node, Quantity: v.q, Index: v.i}, Range: v.rng, Alone: true})
	}
	d.Read = func(ctx context.Context) ([]rack.Reading, error) {
		s, err := m.Status(ctx)
		if err != nil {
			return nil, err
		}
		if err := opts.Meant(s.MAC, "status"); err != nil {
			return nil, err
		}
		return readings(c.Node, told(&s)), nil
	}
	return d, nil
}

func readings(node string, values []toldValue) []rack.Reading {
	var out []rack.Reading
	for _, v := range values {
		r := rack.Reading{Point: rack.Point{Device: node, Quantity: v.q, Index: v.i}}
		if v.v == nil {
			r.Quality, r.Reason = rack.QualityBad, notTold
		} else {
			r.Value = *v.v
		}
		out = append(out, r)
	}
	return out
}

// toldValue is one number of a status; nil: the miner does not tell it.
type toldValue struct {
	q   rack.Quantity
	i   int
	v   *float64
	rng poll.Range
}

// told are the numbers of a status, always the same ones in the same order. Ranges keep out what no miner is, arbitrary, ten
// times the largest of 2026.
func told(s *miner.Status) []toldValue {
	rate, watts, heat, flag := poll.Range{Max: 10_000}, poll.Range{Max: 200_000}, poll.Range{Min: -60, Max: 250}, poll.Range{Max: 1}
	out := []toldValue{
		{rack.HashTHs, 1, nil, rate},
		{rack.HashMeanTHs, 1, nil, rate},
		{rack.HashPlanTHs, 1, s.Nominal, rate},
		{rack.ToldW, 1, nil, watts},
		{rack.LimitW, 1, s.LimitW, watts},
		{rack.Hashing, 1, nil, flag},
		{rack.AsleepFlag, 1, nil, flag},
		{rack.TempC, 1, nil, heat},
		{rack.TempC, 2, nil, heat},
	}
	if s.Hashrate != nil {
		out[0].v = &s.Hashrate.THs
	}
	if s.Average != nil {
		out[1].v = &s.Average.THs
	}
	if s.Power != nil {
		out[3].v = &s.Power.W
	}
	if s.State != miner.Unknown && s.State != "" {
		out[5].v, out[6].v = is(s.State == miner.Mining), is(s.State == miner.Asleep)
	}
	for _, b := range s.Boards {
		out[7].v, out[8].v = hotter(out[7].v, b.ChipMaxC), hotter(out[8].v, b.BoardC)
	}
	return out
}

func is(b bool) *float64 {
	v := 0.0
	if b {
		v = 1
	}
	return &v
}

func hotter(a, b *float64) *float64 {
	if a == nil || b != nil && *b > *a {
		return b
	}
	return a
}
