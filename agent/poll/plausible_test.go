package poll

import (
	"math"
	"testing"
	"time"

	"rackagent/agent/rack"
)

func TestRange(t *testing.T) {
	of := func(q rack.Quantity, r Range) Point { return Point{Point: rack.Point{Quantity: q}, Range: r} }
	for _, c := range []struct {
		p    Point
		v    float64
		want bool
	}{
		{of(rack.VoltageV, Range{}), 230, true},
		{of(rack.VoltageV, Range{}), 49.9, false},
		{of(rack.VoltageV, Range{}), 300, true},
		{of(rack.VoltageV, Range{}), 300.1, false},
		{of(rack.VoltageV, Range{Min: 350, Max: 450}), 400, true}, // a direct-current bus
		{of(rack.FrequHz, Range{}), 44.9, false},
		{of(rack.FrequHz, Range{}), 66, true},
		{of(rack.Relay, Range{}), 2, false},
		{of(rack.PowerW, Range{}), 1e9, true}, // only a rating bounds it
		{of(rack.PowerW, Range{Min: -50, Max: 4400}), -51, false},
		{of(rack.PowerW, Range{}), math.NaN(), false},
		{of(rack.PowerW, Range{}), math.Inf(1), false},
		{of(rack.TempC, Range{Min: -40, Max: 125}), -40, true},
	} {
		if got := c.p.plausible(c.v); got != c.want {
			t.Errorf("%s %v in %+v: %t", c.p.Quantity, c.v, c.p.Range, got)
		}
	}
}

func TestPowerCross(t *testing.T) {
	for _, c := range []struct {
		p, s float64
		want rack.Quality
	}{
		{3000, 3100, rack.QualityOK},
		{-3000, 3100, rack.QualityOK}, // a reversed sensor is another matter
		{980, 980, rack.QualityOK},
		{1000, 981, rack.QualityOK},
		{1000, 970, rack.QualitySuspect},
		{-1000, 970, rack.QualitySuspect},
		{1000, 950, rack.QualityBad},
		{3000, 0, rack.QualityBad},
		{9, 0, rack.QualityOK}, // noise
	} {
		if got := PowerCross(c.p, c.s); got != c.want {
			t.Errorf("P %v W, S %v VA: %s, want %s", c.p, c.s, got, c.want)
		}
	}
}

func TestProductCross(t *testing.T) {
	for _, c := range []struct {
		x, u, i float64
		want    rack.Quality
	}{
		{3120, 230, 13.5, rack.QualityOK},
		{3265, 230, 13.5, rack.QualityOK},      // 3105: 4.9 % of the larger
		{3280, 230, 13.5, rack.QualitySuspect}, // 5.3 %
		{2940, 230, 13.5, rack.QualitySuspect},
		{0, 230, 13.5, rack.QualitySuspect},
		{3120, 230, 0, rack.QualitySuspect},
		{0, 230, 0.04, rack.QualityOK}, // 9.2 VA: noise
		{55, 230, 0.2, rack.QualityOK}, // 46 VA, 9 apart
		{-600, 48, 12.5, rack.QualityOK},
		{600, 48, -12.5, rack.QualityOK}, // whose sign is which is another matter
		{700, 48, 12.5, rack.QualitySuspect},
	} {
		if got := ProductCross(c.x, c.u, c.i); got != c.want {
			t.Errorf("%v, %v V x %v A: %s, want %s", c.x, c.u, c.i, got, c.want)
		}
	}
}

func TestMaxStep(t *testing.T) {
	last := rack.Reading{Value: 20, At: zero}
	for _, c := range []struct {
		name  string
		limit float64
		last  rack.Reading
		v     float64
		after time.Duration
		want  bool
	}{
		{"slower", 0.5, last, 20.4, time.Second, false},
		{"as fast", 0.5, last, 20.5, time.Second, false},
		{"faster", 0.5, last, 20.6, time.Second, true},
		{"faster downwards", 0.5, last, 19.4, time.Second, true},
		{"in longer", 0.5, last, 24, 10 * time.Second, false},
		{"not judged", 0, last, 90, time.Second, false},
		{"the first", 0.5, rack.Reading{}, 90, time.Second, false},
		{"the same moment", 0.5, last, 90, 0, false},
	} {
		if got := (Point{MaxStep: c.limit}).jumped(c.last, c.v, zero.Add(c.after)); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestFrozen(t *testing.T) {
	rule := Frozen{Updates: 5, ZeroRests: true}
	run := func(raw uint32, rule Frozen, n int, every time.Duration) (frozen bool) {
		var s Standstill
		for i := range n {
			frozen = s.Step(zero.Add(time.Duration(i)*every), raw, rule)
		}
		return frozen
	}
	for _, c := range []struct {
		name  string
		raw   uint32
		rule  Frozen
		n     int
		every time.Duration
		want  bool
	}{
		{"many samples in a short time", 7, rule, 60, time.Second, false},
		{"just over a minute", 7, rule, 62, time.Second, true},
		{"few samples in a long time", 7, rule, 4, time.Minute, false},
		{"enough of both", 7, rule, 5, time.Minute, true},
		{"no load", 0, rule, 100, time.Minute, false},
		{"zero on a channel that has no no-load threshold", 0, Frozen{Updates: 5}, 100, time.Minute, true},
		{"no rule", 7, Frozen{}, 100, time.Minute, false},
	} {
		if got := run(c.raw, c.rule, c.n, c.every); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}

func TestFrozenEndsWithTheFirstNewCode(t *testing.T) {
	var s Standstill
	rule := Frozen{Updates: 2}
	s.Step(zero, 1, rule)
	if !s.Step(zero.Add(2*time.Minute), 1, rule) || s.Step(zero.Add(3*time.Minute), 2, rule) {
		t.Error("a standing code is frozen, a new one is not")
	}
}
