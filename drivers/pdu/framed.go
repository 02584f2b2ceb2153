package pdu

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip/mcp39f521"
	"rackagent/drivers/i2cbus"
)

// framed is one MCP39F521 with the outlet or the supply bank on it. Its protocol is a frame, a pause and an answer, and
// the bus is free in the pause.
type framed struct {
	dev      *mcp39f521.Dev
	name     string
	settling time.Duration
	index    int
	load     *metered // nil: nothing hangs on it

	mu      sync.Mutex
	settled time.Time
}

// wattHour is how long the counters of 64 bits may stay unread: they do not turn round in a life.
const neverRound = 365 * 24 * time.Hour

func newFramed(conn i2cbus.Conn, name string, o mcp39f521.Opts, model *Model, index int) (*framed, error) {
	o.Name = name
	dev, err := mcp39f521.New(conn, o)
	if err != nil {
		return nil, err
	}
	scale := o.Scale
	if scale == (mcp39f521.Scale{}) {
		scale = mcp39f521.DefaultScale()
	}
	m := &framed{dev: dev, name: name, settling: model.Settling, index: index}
	for _, l := range loads(model, index, func(int) counter {
		return counter{joule: scale.EnergyCount(), delta: plainDelta, longest: neverRound}
	}) {
		m.load = l
	}
	return m, nil
}

// plainDelta is the difference of counters that do not turn round. One that fell has begun again.
func plainDelta(before, after uint64) int64 {
	if after < before {
		return math.MinInt64
	}
	return int64(min(after-before, math.MaxInt64))
}

func (m *framed) sample(ctx context.Context) (MeterSample, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Now().Before(m.settled) {
		return MeterSample{}, m.unsettled(nil)
	}
	at := time.Now()
	r, err := m.dev.Sense(ctx)
	if errors.Is(err, drivers.Restarted) {
		return MeterSample{}, m.configure(ctx, err)
	}
	if err != nil {
		return MeterSample{}, err
	}
	s := MeterSample{Meter: m.index, At: at}
	if m.load == nil {
		return s, nil
	}
	hz := float64(r.Frequency) / float64(physic.Hertz)
	if hz < lowestHz || hz > highestHz {
		hz = 0
	}
	wh, since := m.load.energy.book(r.Energy.ImportActive, at)
	s.Outlets = []OutletSample{{
		N: m.load.n, Supply: m.load.supply, W: watts(r.Power), VA: watts(r.Apparent), Var: watts(r.Reactive),
		A: float64(r.Current) / float64(physic.Ampere), V: float64(r.Voltage) / float64(physic.Volt),
		PF: r.PowerFactor, Hz: hz, EnergyWh: wh, Since: since,
		Raw: Codes{W: r.Raw.Active, VA: r.Raw.Apparent, Var: r.Raw.Reactive, A: r.Raw.Current, V: uint32(r.Raw.Voltage), Energy: uint32(r.Energy.ImportActive)},
	}}
	return s, nil
}

// configure turns energy counting on after a restart and always returns an error: the first values come later.
func (m *framed) configure(ctx context.Context, why error) error {
	if m.load != nil {
		m.load.energy.restart()
	}
	if _, err := m.dev.Identify(ctx); err != nil {
		return err
	}
	if err := m.dev.Configure(ctx); err != nil {
		return err
	}
	m.settled = time.Now().Add(m.settling)
	return m.unsettled(why)
}

func (m *framed) unsettled(why error) error {
	return &drivers.Error{Op: "read", Device: fmt.Sprintf("mcp39f521 %q", m.name), Fault: drivers.Settling, Err: why}
}
