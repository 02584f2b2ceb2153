package pdu

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip/ade7953"
	"rackagent/drivers/chip/adm1272"
	"rackagent/drivers/chip/mcp39f521"
	"rackagent/drivers/i2cbus"
)

// MeterSample is what one meter measured for the outlets that hang on it.
type MeterSample struct {
	Meter   int
	At      time.Time // before the first value was read: every value is at least this new
	Outlets []OutletSample
}

// OutletSample is what a meter measured for one outlet, or for all outlets of one supply bank. Powers are instantaneous
// and carry ripple at twice the line frequency. W below zero: the outlet feeds back, or its sensor is reversed. With
// direct current VA, Var, PF and Hz mean nothing.
type OutletSample struct {
	N        int // of the outlet; 0: a supply bank
	Supply   int // place of the bank in Model.Supplies, counted from 1; 0: an outlet
	W        float64
	VA       float64
	Var      float64
	A        float64
	V        float64   // before the relay: it proves the feed, never the relay
	PF       float64   // negative: capacitive
	Hz       float64   // 0: no voltage to count crossings of, or not 45 to 66 Hz
	EnergyWh float64   // drawn since Since
	Since    time.Time // zero: the counter cannot be read, and EnergyWh means nothing
	Raw      Codes
}

// Codes are the registers behind an OutletSample, to see whether a meter is frozen.
type Codes struct{ W, VA, Var, A, V, Energy uint32 }

// startUp is how long an ADE7953 may take from supply to its announcement that it runs (data sheet revision C: 26 ms
// and about 40 ms; rounded up). After it the announcement is not waited for any more: an earlier process may have
// cleared it.
const startUp = 100 * time.Millisecond

// The frequencies of power systems with room for emergencies; anything else is a meter without a signal.
const (
	lowestHz  = 45
	highestHz = 66
)

// meter reads one metering part, in one job on the bus where its values must belong together.
type meter interface {
	sample(ctx context.Context) (MeterSample, error)
}

// meterSpec is one meter of a model.
type meterSpec struct {
	place
	// Exactly one is set, without a name.
	ade *ade7953.Opts
	mcp *mcp39f521.Opts
	adm *adm1272.Opts
}

// meter makes the reader of a meter and touches nothing.
func (s meterSpec) meter(conn i2cbus.Conn, name string, model *Model, index int) (meter, error) {
	switch {
	case s.ade != nil:
		o := *s.ade
		o.Name = name
		return newADE(conn, o, model, index), nil
	case s.mcp != nil:
		return newFramed(conn, name, *s.mcp, model, index)
	case s.adm != nil:
		return newHotSwap(conn, name, *s.adm, model, index)
	default:
		return nil, fmt.Errorf("%s: no part", name)
	}
}

// loads are the outlets and supply banks that hang on a meter. count says how the part counts the energy of an input.
func loads(model *Model, index int, count func(input int) counter) []*metered {
	var out []*metered
	for _, o := range model.Outlets {
		if o.Metered && o.Meter == index {
			out = append(out, &metered{n: o.N, input: o.input, energy: newEnergy(count(o.input), o.RatingA*model.NominalV)})
		}
	}
	for i, s := range model.Supplies {
		if s.Meter == index {
			out = append(out, &metered{supply: i + 1, input: s.input, energy: newEnergy(count(s.input), model.supplyA(s)*model.NominalV)})
		}
	}
	return out
}

// supplyA is the most a supply bank can carry: all its outlets at their rating.
func (m *Model) supplyA(s Supply) float64 {
	var a float64
	for _, o := range m.Outlets {
		if o.Bank == s.Bank {
			a += o.RatingA
		}
	}
	return a
}

// ade is one ADE7953 with the outlets on it. Jobs on conn use its state; they do not overlap, but one that lost a
// hung bus still returns while the next begins, hence the mutex.
type ade struct {
	conn     i2cbus.Conn
	opts     ade7953.Opts
	settling time.Duration
	index    int
	outlets  []*metered

	mu       sync.Mutex
	known    bool   // checksum is that of the right settings
	checksum uint32 // of the part over its settings
	settled  time.Time
	found    time.Time // when it was first seen at its defaults; zero: not now
}

// metered is one outlet, or one supply bank, on a meter.
type metered struct {
	n      int // 0: a supply bank
	supply int // counted from 1; 0: an outlet
	input  int
	energy energy
}

func newADE(conn i2cbus.Conn, o ade7953.Opts, model *Model, index int) *ade {
	m := &ade{conn: conn, opts: o, settling: model.Settling, index: index}
	m.outlets = loads(model, index, func(input int) counter {
		return counter{
			joule:   ade7953.EnergyCount(o.FullScaleV, [...]ade7953.Channel{o.A, o.B}[input].FullScaleI),
			delta:   func(before, after uint64) int64 { return int64(ade7953.EnergyDelta(uint32(before), uint32(after))) },
			longest: 30 * time.Second, // it turns half round in 40.5 s at full scale
		}
	})
	return m
}

// Meters is how many meters there are.
func (p *PDU) Meters() int { return len(p.meters) }

// Meter reads the meter at index i, counted from 0.
//
// A meter that is not configured, or whose settings were disturbed, is configured; that and the time until it has
// settled give drivers.Settling, with the reason (drivers.Restarted, drivers.Mismatch) in the chain, and no values.
// One that runs with the right settings when it is first met is taken over as it is.
func (p *PDU) Meter(ctx context.Context, i int) (MeterSample, error) {
	if i < 0 || i >= len(p.meters) {
		return MeterSample{}, p.fail("read", drivers.Unsupported, fmt.Errorf("there is no meter %d", i))
	}
	return p.meters[i].sample(ctx)
}

func (m *ade) sample(ctx context.Context) (s MeterSample, err error) {
	err = m.conn.Do(ctx, func(tx i2c.Bus) error {
		s, err = m.measure(ctx, tx)
		return err
	})
	if err != nil {
		return MeterSample{}, err
	}
	return s, nil
}

func (m *ade) measure(ctx context.Context, tx i2c.Bus) (MeterSample, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	chip, err := ade7953.New(tx, m.opts)
	if err != nil {
		return MeterSample{}, err
	}
	if err := m.ready(ctx, chip); err != nil {
		return MeterSample{}, err
	}
	at := time.Now()
	r, err := chip.Sense(ctx, m.checksum)
	if disturbed(err) {
		// The checksum also covers bits that live; only a look at the settings tells.
		m.known = false
		if err := m.ready(ctx, chip); err != nil {
			return MeterSample{}, err
		}
		at = time.Now()
		r, err = chip.Sense(ctx, m.checksum)
	}
	if err != nil {
		return MeterSample{}, err
	}
	return m.convert(r, at), nil
}

// disturbed tells errors that say something about the part's settings from those of the bus.
func disturbed(err error) bool {
	f := drivers.FaultOf(err)
	return f == drivers.Restarted || f == drivers.Mismatch
}

// ready returns nil when the part measures with the right settings and has settled.
func (m *ade) ready(ctx context.Context, chip *ade7953.Dev) error {
	if !m.known {
		sum, err := chip.Verify(ctx)
		if disturbed(err) {
			return m.configure(ctx, chip, err)
		}
		if err != nil {
			return err
		}
		m.checksum, m.known, m.found = sum, true, time.Time{}
	}
	if time.Now().Before(m.settled) {
		return m.unsettled(nil)
	}
	return nil
}

// configure programs the part and always returns an error: the first values come with a later sample.
func (m *ade) configure(ctx context.Context, chip *ade7953.Dev, why error) error {
	for _, o := range m.outlets {
		o.energy.restart()
	}
	if _, err := chip.Identify(ctx); err != nil {
		return err
	}
	if early, err := m.early(ctx, chip, why); err != nil {
		return err
	} else if early {
		return m.unsettled(why)
	}
	sum, err := chip.Configure(ctx)
	if err != nil {
		return err
	}
	m.checksum, m.known, m.found = sum, true, time.Time{}
	m.settled = time.Now().Add(m.settling)
	return m.unsettled(why)
}

// early tells whether a part at its defaults may still be starting up, when it would lose what is written to it.
func (m *ade) early(ctx context.Context, chip *ade7953.Dev, why error) (bool, error) {
	if !errors.Is(why, drivers.Restarted) {
		return false, nil
	}
	if m.found.IsZero() {
		m.found = time.Now()
	}
	started, err := chip.Started(ctx)
	return !started && time.Since(m.found) < startUp, err
}

func (m *ade) unsettled(why error) error {
	return &drivers.Error{Op: "read", Device: fmt.Sprintf("ade7953 %q", m.opts.Name), Fault: drivers.Settling, Err: why}
}

func (m *ade) convert(r ade7953.Measurement, at time.Time) MeterSample {
	s := MeterSample{Meter: m.index, At: at}
	hz := float64(r.Frequency) / float64(physic.Hertz)
	if hz < lowestHz || hz > highestHz {
		hz = 0
	}
	for _, o := range m.outlets {
		l := r.A
		if o.input == 1 {
			l = r.B
		}
		wh, since := o.energy.book(uint64(l.Energy), at)
		s.Outlets = append(s.Outlets, OutletSample{
			N: o.n, Supply: o.supply, W: watts(l.Power), VA: watts(l.Apparent), Var: watts(l.Reactive),
			A: float64(l.Current) / float64(physic.Ampere), V: float64(r.Voltage) / float64(physic.Volt),
			PF: l.PowerFactor, Hz: hz, EnergyWh: wh, Since: since,
			Raw: Codes{W: l.Raw.WATT, VA: l.Raw.VA, Var: l.Raw.VAR, A: l.Raw.IRMS, V: r.RawV, Energy: l.Energy},
		})
	}
	return s
}

func watts(p physic.Power) float64 { return float64(p) / float64(physic.Watt) }
