package inventory

import (
	"context"
	"errors"
	"math"
	"time"

	"periph.io/x/conn/v3/physic"

	"rackagent/agent/rack"
	"rackagent/config"
	"rackagent/drivers"
	"rackagent/drivers/chip/ade7880"
	"rackagent/drivers/chip/adm1272"
	"rackagent/drivers/chip/ina228"
	"rackagent/drivers/pmbus"
)

const joulesPerWh = 3600

// total is one energy that a part counts: the point it belongs to, and how a sample is added to it. Within an epoch the
// energy never falls and holds no guess. What cannot be known ends the epoch, and the next one begins at 0; before that
// the device gives no sample or the total a fault, so that the fall is no surprise.
type total[M any] struct {
	point value
	// book adds a sample. A fault is that of this energy alone.
	book    func(m M, at time.Time) (wh float64, raw uint32, f drivers.Fault)
	restart func()
}

// ledger is the energy of one sensor.
type ledger[M any] struct {
	totals     []total[M]
	mismatched bool // by the last sample a setting was not what it must be
}

// metered is of for a part that counts energy. The totals follow the values.
func metered[M any](d driver[M], values func(M) []value, totals ...total[M]) part {
	p := of(d, values)
	if len(totals) == 0 {
		return p
	}
	l := &ledger[M]{totals: totals}
	for _, t := range totals {
		p.shape = append(p.shape, t.point)
	}
	p.lost = l.restart
	p.read = func(ctx context.Context) ([]value, error) {
		at := time.Now()
		m, err := d.Sense(ctx)
		l.heard(err)
		if err != nil {
			return nil, err
		}
		return append(values(m), l.book(m, at)...), nil
	}
	return p
}

func (l *ledger[M]) restart() {
	for _, t := range l.totals {
		t.restart()
	}
}

// heard ends the epoch of a part whose settings, and with them what a count is, were others for longer than one bad
// transfer. That of a part that lost its supply ends when it is set up again, see part.lost.
func (l *ledger[M]) heard(err error) {
	mismatch := errors.Is(err, drivers.Mismatch)
	if mismatch && l.mismatched {
		l.restart()
	}
	if mismatch || err == nil {
		l.mismatched = mismatch
	}
}

func (l *ledger[M]) book(m M, at time.Time) []value {
	var out []value
	for _, t := range l.totals {
		v := t.point
		v.v, v.raw, v.fault = t.book(m, at)
		out = append(out, v)
	}
	return out
}

// slack is the uncertainty of when a counter was read. It only decides whether a difference is believed. Arbitrary.
const slack = time.Second

// counter says how a part counts energy; C is one reading of its register.
type counter[C any] struct {
	joule float64 // per count
	most  float64 // W, what the part can measure at all
	span  float64 // counts, from which on a difference has two meanings
	// delta is the difference of two readings; below zero: energy flowed back. It is false where the counter began again.
	delta func(before, after C) (int64, bool)
}

// tally adds up a counter.
type tally[C any] struct {
	counter[C]
	begun  bool
	last   C // that was believed
	at     time.Time
	counts int64
	odd    bool // the reading after last was not believed
}

func (t *tally[C]) restart() { t.begun = false }

// book takes a reading and gives the energy of the epoch in Wh. A reading that cannot follow from the one before it is
// refused. A second one in a row shows that the counter, not the reading, is another: the epoch ends with it.
func (t *tally[C]) book(c C, at time.Time) (wh float64, f drivers.Fault) {
	if !t.begun {
		t.begin(c, at)
		return 0, drivers.None
	}
	delta, ok := t.delta(t.last, c)
	switch {
	case ok && t.possible(delta, at.Sub(t.at)):
	case !t.odd:
		t.odd = true
		return 0, drivers.Implausible
	default:
		t.begin(c, at)
		return 0, drivers.Implausible
	}
	t.last, t.at, t.odd = c, at, false
	t.counts += max(delta, 0) // fed back is not drawn; the power's sign shows it
	return float64(t.counts) * t.joule / joulesPerWh, drivers.None
}

func (t *tally[C]) begin(c C, at time.Time) {
	t.begun, t.last, t.at, t.counts, t.odd = true, c, at, 0, false
}

// possible tells whether so many counts, in either direction, can have come in this time, and only they.
func (t *tally[C]) possible(delta int64, gap time.Duration) bool {
	most := t.most * (gap + slack).Seconds() / t.joule
	return most < t.span && math.Abs(float64(delta)) <= most
}

func wattHours(q rack.Quantity, i int, m rack.Meaning) value {
	m.Power = rack.Active
	return value{q: q, i: i, meaning: m}
}

// phaseTotals are the active energies of the three phases of an inlet.
func phaseTotals(p ade7880.Phase) []total[ade7880.Measurement] {
	var out []total[ade7880.Measurement]
	for i := range 3 {
		t := &tally[uint32]{counter: counter[uint32]{
			joule: ade7880.EnergyCount(p.FullScaleV, p.FullScaleI),
			most:  float64(p.FullScaleV) / float64(physic.Volt) * float64(p.FullScaleI) / float64(physic.Ampere),
			span:  1 << 31, // 32 bits with sign
			delta: func(before, after uint32) (int64, bool) { return int64(ade7880.EnergyDelta(before, after)), true },
		}}
		out = append(out, total[ade7880.Measurement]{
			point: wattHours(rack.ACWh, i+1, rack.Meaning{Current: rack.AC, ClassPct: 0.1}),
			book: func(m ade7880.Measurement, at time.Time) (float64, uint32, drivers.Fault) {
				code := [...]ade7880.Line{m.A, m.B, m.C}[i].Energy
				wh, f := t.book(code, at)
				return wh, code, f
			},
			restart: t.restart,
		})
	}
	return out
}

// railTotals are the energy of a rail as an INA228 counts it; its relatives count none. How exact the counter is, is not
// known: the part's own power register and clock go into it.
func railTotals(d *ina228.Dev, kind ina228.Part, c config.Sensor) []total[ina228.Measurement] {
	if kind != ina228.INA228 {
		return nil
	}
	t := &tally[ina228.Counters]{counter: counter[ina228.Counters]{
		joule: d.EnergyCount(), most: 85 * c.MaxA, span: 1 << 40, delta: railDelta,
	}}
	return []total[ina228.Measurement]{{
		point: wattHours(rack.DCWh, 1, rack.Meaning{Current: rack.DC}),
		book: func(m ina228.Measurement, at time.Time) (float64, uint32, drivers.Fault) {
			if f := m.Counters.Fault; f != drivers.None {
				t.restart() // what the part added up means nothing; the part says so until it is set up again
				return 0, 0, f
			}
			wh, f := t.book(m.Counters, at)
			return wh, uint32(m.Counters.Energy), f
		},
		restart: t.restart,
	}}
}

// railDelta gives the counted energy the direction of the charge: the part counts the magnitude of power.
func railDelta(before, after ina228.Counters) (int64, bool) {
	n, ok := ina228.EnergyDelta(before.Energy, after.Energy, after.EnergyOverflow)
	if ina228.ChargeDelta(before.Charge, after.Charge) < 0 {
		return -int64(n), ok
	}
	return int64(n), ok
}

// hotSwapTotals are the energy behind a hot-swap part; the ADM1275 counts none.
func hotSwapTotals(d *adm1272.Dev, kind adm1272.Part) []total[adm1272.Measurement] {
	if kind == adm1272.ADM1275 {
		return nil
	}
	h := &hotSwapEnergy{watts: d.MeanPower}
	return []total[adm1272.Measurement]{{
		point: wattHours(rack.DCWh, 1, dcMeaning()),
		book: func(m adm1272.Measurement, at time.Time) (float64, uint32, drivers.Fault) {
			if m.Energy == nil {
				return 0, 0, drivers.Unsupported
			}
			wh, f := h.book(*m.Energy, at)
			return wh, uint32(m.Energy.Count.Energy), f
		},
		restart: h.restart,
	}}
}

// hotSwapEnergy adds up the accumulator of a hot-swap part as mean power x time.
type hotSwapEnergy struct {
	watts    func(code float64) (physic.Power, bool)
	meter    *pmbus.Meter // nil: the next reading begins an epoch
	readings int          // of this meter, at most learning
	joules   float64
}

// learning is how many readings a pmbus.Meter needs to learn how often the part samples. Nothing is booked for them.
const learning = 2

func (h *hotSwapEnergy) restart() { h.meter = nil }

// book takes a reading of the accumulator. A gap that it cannot bridge, as when it may have turned round unseen, ends the
// epoch: nothing is estimated.
func (h *hotSwapEnergy) book(e pmbus.Energy, at time.Time) (wh float64, f drivers.Fault) {
	if e.Fault != drivers.None {
		return 0, e.Fault // the next one spans it
	}
	if h.meter == nil {
		h.meter, h.readings, h.joules = pmbus.NewMeter(adm1272.Accumulator(), 0), 0, 0
	}
	learnt := h.readings == learning
	h.readings = min(h.readings+1, learning)
	in := h.meter.Add(e.Count, math.NaN(), at)
	switch in.Basis {
	case pmbus.Counted:
		p, ok := h.watts(in.Code)
		if !ok {
			h.restart()
			return 0, drivers.Implausible
		}
		h.joules += float64(max(p, 0)) / float64(physic.Watt) * in.Elapsed.Seconds()
	case pmbus.Reference:
		if h.joules = 0; learnt {
			return 0, drivers.Implausible
		}
	}
	return h.joules / joulesPerWh, drivers.None
}
