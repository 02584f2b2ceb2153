package sim

import (
	"slices"
	"sort"
	"time"
)

// Knot is a value from a moment on.
type Knot struct {
	At time.Time
	V  float64
}

// Curve is a value over time: straight between knots, constant after the last, zero before the first. Two knots at
// one moment are a step; at that moment the later one counts. Knots are in order of time.
type Curve []Knot

// last is the index of the last knot at or before a moment, -1 before the first.
func (c Curve) last(at time.Time) int {
	return sort.Search(len(c), func(i int) bool { return c[i].At.After(at) }) - 1
}

// At is the value at a moment.
func (c Curve) At(at time.Time) float64 {
	i := c.last(at)
	if i < 0 {
		return 0
	}
	return c.between(i, at)
}

// between is the value at a moment from knot i up to, not including, knot i+1.
func (c Curve) between(i int, at time.Time) float64 {
	if i+1 >= len(c) {
		return c[i].V
	}
	a, b := c[i], c[i+1]
	span := b.At.Sub(a.At)
	if span <= 0 {
		return b.V
	}
	return a.V + (b.V-a.V)*at.Sub(a.At).Seconds()/span.Seconds()
}

// stretch gives the pieces of the curve between two moments: their ends and the values there.
func (c Curve) stretch(from, to time.Time, piece func(a, b Knot)) {
	a := Knot{from, c.At(from)}
	i := c.last(from)
	for j := i + 1; j < len(c) && !c[j].At.After(to); j++ {
		if j > 0 {
			piece(a, c[j])
		} else {
			piece(a, Knot{c[j].At, 0}) // nothing before the first knot
		}
		a = c[j]
	}
	if n := c.last(to); n >= 0 && a.At.Before(to) {
		piece(a, Knot{to, c.between(n, to)})
	}
}

// Integral is the area under the curve between two moments: joules where the value is watts.
func (c Curve) Integral(from, to time.Time) float64 {
	var sum float64
	c.stretch(from, to, func(a, b Knot) { sum += (a.V + b.V) / 2 * b.At.Sub(a.At).Seconds() })
	return sum
}

// Mean is the value over an interval; where from is not before to, the value at to.
func (c Curve) Mean(from, to time.Time) float64 {
	if !from.Before(to) {
		return c.At(to)
	}
	return c.Integral(from, to) / to.Sub(from).Seconds()
}

// Max is the highest value between two moments, ends included.
func (c Curve) Max(from, to time.Time) float64 {
	top := max(c.At(from), c.At(to))
	c.stretch(from, to, func(a, b Knot) { top = max(top, a.V, b.V) })
	return top
}

// Then is the curve up to a moment, and another one from there on.
func (c Curve) Then(at time.Time, next Curve) Curve {
	if last := len(c) - 1; last >= 0 && len(next) == 1 && !c[last].At.After(at) && c[last].V == next[0].V && !next[0].At.After(at) {
		return c // it goes on as it was
	}
	i := sort.Search(len(c), func(i int) bool { return !c[i].At.Before(at) })
	out := slices.Clip(c[:i])
	if i > 0 {
		out = append(out, Knot{at, c.between(i-1, at)})
	}
	return append(out, next.from(at)...)
}

// from is the part of the curve from a moment on.
func (c Curve) from(at time.Time) Curve {
	out := Curve{{at, c.At(at)}}
	return append(out, c[c.last(at)+1:]...)
}

// times is the curve with all values multiplied.
func (c Curve) times(k float64) Curve {
	out := slices.Clone(c)
	for i := range out {
		out[i].V *= k
	}
	return out
}

// under is the curve with a pulse on top at its beginning, which hides what is below.
func (c Curve) under(at time.Time, v float64, d time.Duration) Curve {
	end := at.Add(d)
	return append(Curve{{at, v}, {end, v}}, c.from(end)...)
}
