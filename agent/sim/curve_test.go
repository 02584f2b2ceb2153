package sim

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func sec(s float64) time.Time { return epoch.Add(time.Duration(s * float64(time.Second))) }

// A step to 100 at 10 s, a ramp to 200 at 20 s, a step to 0 at 30 s.
func hill() Curve {
	return Curve{{sec(10), 100}, {sec(20), 200}, {sec(30), 200}, {sec(30), 0}}
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-6*(1+math.Abs(b)) }

func TestCurve(t *testing.T) {
	c := hill()
	for _, v := range []struct{ at, want float64 }{
		{0, 0}, {9.999, 0}, {10, 100}, {15, 150}, {20, 200}, {29, 200}, {30, 0}, {99, 0},
	} {
		if got := c.At(sec(v.at)); !near(got, v.want) {
			t.Errorf("at %v s: %v, want %v", v.at, got, v.want)
		}
	}
	for _, v := range []struct{ from, to, area, top float64 }{
		{0, 10, 0, 100},
		{0, 5, 0, 0},
		{10, 20, 1500, 200},
		{12, 14, 260, 140},
		{0, 40, 3500, 200},
		{29, 31, 200, 200},
		{31, 40, 0, 0},
		{15, 15, 0, 150},
	} {
		if got := c.Integral(sec(v.from), sec(v.to)); !near(got, v.area) {
			t.Errorf("area from %v to %v s: %v, want %v", v.from, v.to, got, v.area)
		}
		if got := c.Max(sec(v.from), sec(v.to)); !near(got, v.top) {
			t.Errorf("top from %v to %v s: %v, want %v", v.from, v.to, got, v.top)
		}
	}
	if got := c.Mean(sec(15), sec(15)); !near(got, 150) {
		t.Errorf("mean of a moment: %v", got)
	}
	if got := (Curve{}).Integral(sec(0), sec(10)); got != 0 {
		t.Errorf("area of nothing: %v", got)
	}
}

// Whatever follows, the past stays, and the new part begins at its moment.
func TestCurveThen(t *testing.T) {
	draw := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		c := hill()
		at := float64(draw.IntN(40_000)+2) / 1000
		v := draw.Float64() * 500
		next := c.Then(sec(at), Curve{{sec(at - 1), v}})
		for _, p := range []float64{0, at / 2, at - 0.001} {
			if got, want := next.At(sec(p)), c.At(sec(p)); !near(got, want) {
				t.Fatalf("changed at %v s to %v: at %v s of the past %v, want %v", at, v, p, got, want)
			}
		}
		if got := next.At(sec(at)); !near(got, v) {
			t.Fatalf("changed at %v s to %v: there it is %v", at, v, got)
		}
		want := c.Integral(sec(0), sec(at)) + v*7
		if got := next.Integral(sec(0), sec(at+7)); math.Abs(got-want) > 1e-3*(1+want) {
			t.Fatalf("changed at %v s to %v: area %v, want %v", at, v, got, want)
		}
	}
}
