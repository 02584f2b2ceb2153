package telemetry

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent/rack"
)

// TestWhatCountsAsMoved has one row for each kind of quantity: from what was told last, up to which value nothing is news,
// and from which on it is.
func TestWhatCountsAsMoved(t *testing.T) {
	for _, c := range []struct {
		q                  rack.Quantity
		told, still, moved float64
	}{
		{rack.PowerW, 3000, 3149, 3151},
		{rack.PowerW, 3000, 2851, 2849},
		{rack.PowerW, 0, 10, 10.5},
		{rack.DCAmps, -1, -1.09, -1.11},
		{rack.VoltageV, 230, 234.5, 234.7},
		{rack.ACHz, 50, 50.04, 50.06},
		{rack.TempC, 24, 25, 25.1},
		{rack.HumidityPct, 40, 42, 42.1},
		{rack.FanRPM, 0, 100, 101},
		{rack.FanRPM, 6000, 6600, 6601},
		{rack.FlowLPM, 10, 11, 11.1},
		{rack.PressureBar, 2, 2.09, 2.11},
		{rack.Relay, 1, 1, 0},
		{rack.Leak, 0, 0, 1},
		{"new_one", 100, 105, 105.1},
		{rack.EnergyWh, 100, 1e9, math.Inf(1)},
	} {
		p := rack.Point{Device: "d", Quantity: c.q, Index: 1}
		w := watch{}
		w.tell([]rack.Reading{{Point: p, Value: c.told, Quality: rack.QualityOK}})
		if w.news(rack.Reading{Point: p, Value: c.still, Quality: rack.QualityOK}) {
			t.Errorf("%s: %v to %v is news", c.q, c.told, c.still)
		}
		if got, want := w.news(rack.Reading{Point: p, Value: c.moved, Quality: rack.QualityOK}), c.q != rack.EnergyWh; got != want {
			t.Errorf("%s: %v to %v: news %v", c.q, c.told, c.moved, got)
		}
	}
}

// plant is a set of readings that a test changes.
type plant struct {
	mu   sync.Mutex
	list []rack.Reading
}

func newPlant() *plant {
	p := &plant{}
	for _, device := range []string{"pdu-a", "pdu-b"} {
		for _, q := range []rack.Quantity{rack.PowerW, rack.VoltageV} {
			for n := range 3 {
				p.list = append(p.list, rack.Reading{Point: rack.Point{Device: device, Quantity: q, Index: n + 1}, Value: 1000, Quality: rack.QualityOK})
			}
		}
	}
	return p
}

func (p *plant) readings(time.Time) []rack.Reading {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.list)
}

func (p *plant) set(f func(r *rack.Reading), points ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.list {
		if slices.Contains(points, p.list[i].Point.String()) {
			f(&p.list[i])
		}
	}
}

// points is an encoder that writes nothing but the names.
func points(_ string, _ int64, _ time.Time, rs []rack.Reading) ([]byte, error) {
	var out []string
	for _, r := range rs {
		out = append(out, r.Point.String())
	}
	return fmt.Append(nil, out), nil
}

// watched runs a plant with looks once a second between batches of everything every 10 s.
func watched(t *testing.T, b *broker) (*plant, func()) {
	t.Helper()
	p, o := newPlant(), opts(b, &log{})
	o.Look, o.Readings, o.Encode = time.Second, p.readings, points
	_, stop := running(t, o)
	return p, stop
}

func TestWhatMovesIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, start := &broker{}, time.Now()
		p, stop := watched(t, b)
		defer stop()
		pass(12500 * time.Millisecond)
		p.set(func(r *rack.Reading) { r.Value = 3 }, "pdu-b.p_w.2")
		pass(2 * time.Second)
		p.set(func(r *rack.Reading) { r.Quality, r.Reason = rack.QualityStale, "nack" }, "pdu-a.u_v.1")
		pass(5 * time.Second)
		if len(b.got) != 3 {
			t.Fatalf("%d batches", len(b.got))
		}
		for i, want := range []struct {
			at     time.Duration
			points string
		}{{13 * time.Second, "[pdu-b.p_w.1 pdu-b.p_w.2 pdu-b.p_w.3]"}, {15 * time.Second, "[pdu-a.u_v.1 pdu-a.u_v.2 pdu-a.u_v.3]"}} {
			m := b.got[i+1]
			if m.Seq != int64(i+2) || m.At.Sub(start) != want.at || string(m.Payload) != want.points {
				t.Errorf("%d after %s: %s", m.Seq, m.At.Sub(start), m.Payload)
			}
		}
	})
}

// TestWhatIsNoNews: neither a passing doubt, nor a creep in steps too small, until the batch of the period tells it, nor
// what falls together with that batch.
func TestWhatIsNoNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broker{}
		p, stop := watched(t, b)
		defer stop()
		pass(10 * time.Second)
		p.set(func(r *rack.Reading) { r.Quality = rack.QualitySuspect }, "pdu-a.p_w.1")
		for range 3 {
			pass(15 * time.Second)
			p.set(func(r *rack.Reading) { r.Value += 40 }, "pdu-b.p_w.1")
		}
		pass(4500 * time.Millisecond)
		p.set(func(r *rack.Reading) { r.Value = 0 }, "pdu-a.p_w.3")
		pass(500 * time.Millisecond)
		if got := b.seqs(); !slices.Equal(got, span(1, 6)) {
			t.Errorf("%v", got)
		}
	})
}

// TestAnOutageCostsWhatThePeriodSays: what moves while batches wait is told by the next of the period only.
func TestAnOutageCostsWhatThePeriodSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broker{}
		p, stop := watched(t, b)
		defer stop()
		pass(10 * time.Second)
		b.set(true)
		for range 100 {
			pass(time.Second)
			p.set(func(r *rack.Reading) { r.Value = 4000 - r.Value }, "pdu-a.p_w.1")
		}
		b.set(false)
		pass(time.Millisecond)
		n := len(b.got)
		if n > 1+10+5 {
			t.Errorf("%d batches of an outage of 100 s", n)
		}
		p.set(func(r *rack.Reading) { r.Value = 0 }, "pdu-a.p_w.1")
		pass(2 * time.Second)
		if len(b.got) != n+1 {
			t.Errorf("%d, and %d afterwards", n, len(b.got))
		}
	})
}
