package inventory

import (
	"context"
	"fmt"
	"hash/crc32"
	"net"
	"strings"
	"sync"

	"rackagent/agent/poll"
	"rackagent/agent/rack"
	"rackagent/config"
	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/antminer"
	"rackagent/drivers/miner/braiins"
	"rackagent/drivers/miner/cgminer"
	"rackagent/drivers/miner/luxos"
	"rackagent/drivers/miner/whatsminer"
)

// minerAPIs are the names that an interface has in the configuration.
func minerAPIs() []string {
	return []string{antminer.Dialect, braiins.Dialect, cgminer.Dialect, luxos.Dialect, whatsminer.DialectV2, whatsminer.DialectV3}
}

// openMiner makes the client of one interface, and tells how long its verbs take. It is the one switch that names them.
func openMiner(api string, o miner.Opts) (miner.Miner, miner.Times, error) {
	var m miner.Miner
	var err error
	var times miner.Times
	switch api {
	case antminer.Dialect:
		m, err = antminer.New(o, antminer.Options{})
		times = antminer.Times()
	case braiins.Dialect:
		m, err = braiins.New(o, braiins.Options{})
		times = braiins.Times()
	case cgminer.Dialect:
		m, err = cgminer.New(o)
	case luxos.Dialect:
		m, err = luxos.New(o)
		times = luxos.Times()
	case whatsminer.DialectV2:
		m, err = whatsminer.NewV2(o, whatsminer.Options{})
		times = whatsminer.Times()
	case whatsminer.DialectV3:
		m, err = whatsminer.NewV3(o, whatsminer.Options{})
		times = whatsminer.Times()
	default:
		err = fmt.Errorf("no interface %q", api)
	}
	return m, times, err
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

// miners makes the clients of all interfaces.
func (inv *Inventory) miners(o Opts) error {
	o.DialMiner = atMost(mostSockets, o.DialMiner)
	for _, c := range o.Config.Miners {
		m, err := newMinerUnit(o, c)
		if err != nil {
			return fmt.Errorf("miner %s: %w", c.Node, err)
		}
		inv.Miners[c.Node] = m
		inv.apis[c.Node] = m.api
		inv.Devices = append(inv.Devices, m.device())
	}
	return nil
}

// mostSockets bounds the connections to all miners of the rack together. Each has one at a time, so that only on a larger rack
// one waits for another.
const mostSockets = 256

// atMost bounds the connections that are open at once.
func atMost(n int, dial func(ctx context.Context, network, address string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	if dial == nil {
		return nil
	}
	room := make(chan struct{}, n)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		conn, err := dial(ctx, network, address)
		if err != nil {
			<-room
			return nil, err
		}
		return &counted{Conn: conn, leave: func() { <-room }}, nil
	}
}

// counted is a connection that gives its place back.
type counted struct {
	net.Conn
	once  sync.Once
	leave func()
}

// Close ends it.
func (c *counted) Close() error {
	c.once.Do(c.leave)
	return c.Conn.Close()
}

// minerUnit is one interface. Poll and the lane of its node share it: what is told goes before what is read.
type minerUnit struct {
	conf  config.Miner
	opts  miner.Opts
	miner miner.Miner
	turns *miner.Turns
	api   rack.API
}

func newMinerUnit(o Opts, c config.Miner) (*minerUnit, error) {
	opts := miner.Opts{Host: c.Host, User: c.User, MAC: c.MAC, Dial: o.DialMiner}
	if opts.Dial == nil {
		opts.Dial = noNetwork
	}
	if o.Password != nil {
		opts.Password = o.Password(c)
	}
	m, t, err := openMiner(c.API, opts)
	if err != nil {
		return nil, err
	}
	return &minerUnit{conf: c, opts: opts, miner: m, turns: miner.NewTurns(), api: rack.API{
		Dialect: c.API, ReadOnly: c.API == cgminer.Dialect, Period: c.Period(), Write: t.Write, Confirm: t.Confirm, SleepBy: t.SleepBy, WakeBy: t.WakeBy, FanW: c.FanW, FanFor: c.FanFor(),
	}}, nil
}

// device is what poll reads of it. Each is read by itself: one that hangs delays no other and no bus.
func (u *minerUnit) device() poll.Device {
	d := poll.Device{Name: u.conf.Node + "/" + u.conf.API, Bus: minerBus + u.conf.Node, Period: u.conf.Period(), Timeout: minerTimeout}
	for _, v := range told(&miner.Status{}) {
		d.Points = append(d.Points, poll.Point{Point: rack.Point{Device: u.conf.Node, Quantity: v.q, Index: v.i}, Range: v.rng, Alone: true})
	}
	d.Read = func(ctx context.Context) (out []rack.Reading, err error) {
		err = u.turns.Read(ctx, func(ctx context.Context) error {
			s, err := u.status(ctx)
			if err == nil {
				out = readings(u.conf.Node, told(&s))
			}
			return err
		})
		return out, err
	}
	return d
}

// status reads, and refuses another unit than the one that is meant.
func (u *minerUnit) status(ctx context.Context) (miner.Status, error) {
	s, err := u.miner.Status(ctx)
	if err == nil && (!u.api.ReadOnly || s.MAC != "") { // what takes no verb and tells no MAC is read all the same
		err = u.opts.Meant(s.MAC, "status")
	}
	return s, err
}

func readings(node string, values []toldValue) []rack.Reading {
	var out []rack.Reading
	for _, v := range values {
		r := rack.Reading{Point: rack.Point{Device: node, Quantity: v.q, Index: v.i}}
		if v.v == nil {
			r.Quality, r.Reason = rack.QualityBad, notTold
		} else {
			r.Value, r.Raw = *v.v, v.raw
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
	raw uint32 // changes with what it is told to do, on AsleepFlag
}

// told are the numbers of a status, always the same ones in the same order. Ranges keep out what no miner is, arbitrary, ten
// times the largest of 2026.
func told(s *miner.Status) []toldValue {
	rate, watts, heat, flag := poll.Range{Max: 10_000}, poll.Range{Max: 200_000}, poll.Range{Min: -60, Max: 250}, poll.Range{Max: 1}
	out := []toldValue{
		{rack.HashTHs, 1, nil, rate, 0},
		{rack.HashMeanTHs, 1, nil, rate, 0},
		{rack.HashPlanTHs, 1, s.Nominal, rate, 0},
		{rack.ToldW, 1, nil, watts, 0},
		{rack.LimitW, 1, s.LimitW, watts, 0},
		{rack.Hashing, 1, nil, flag, 0},
		{rack.AsleepFlag, 1, nil, flag, 0},
		{rack.TempC, 1, nil, heat, 0},
		{rack.TempC, 2, nil, heat, 0},
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
		out[6].raw = printOf(s)
	}
	for _, b := range s.Boards {
		out[7].v, out[8].v = hotter(out[7].v, b.ChipMaxC), hotter(out[8].v, b.BoardC)
	}
	return out
}

// printOf is another number for every mode and limit that a miner says that it is told to keep to.
func printOf(s *miner.Status) uint32 {
	text := s.Mode
	if s.LimitW != nil {
		text += fmt.Sprintf("\x00%.0f", *s.LimitW)
	}
	return crc32.ChecksumIEEE([]byte(text))
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
