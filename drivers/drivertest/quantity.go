package drivertest

import (
	"math"
	"time"
)

// Quantity is something a sensor measures, over time: °C, % relative humidity, V, mA. It is asked for moments of the
// past, those at which a conversion ended, and must not call back into the chip that asks.
type Quantity func(time.Time) float64

// Constant is a quantity that never changes.
func Constant(v float64) Quantity { return func(time.Time) float64 { return v } }

// quantise is a quantity as a converter gives it: whole steps, rounded down, kept inside the range of the register.
// What is no number gives the low end.
func quantise(v, step float64, low, high int) int {
	n := math.Floor(v / step)
	switch {
	case n >= float64(high):
		return high
	case n > float64(low):
		return int(n)
	default:
		return low
	}
}

// history is a setting with its past. Chips convert when they are next asked, for the moment at which the conversion
// ended; by then the setting may have changed.
type history[T any] struct{ steps []historyStep[T] }

type historyStep[T any] struct {
	from  time.Time
	value T
}

// historySteps is how many changes are remembered. It is arbitrary; more than a few within one conversion are rare.
const historySteps = 64

// set changes the setting from a moment on.
func (h *history[T]) set(from time.Time, v T) {
	if len(h.steps) == historySteps {
		h.steps = append(h.steps[:0], h.steps[1:]...)
	}
	h.steps = append(h.steps, historyStep[T]{from, v})
}

// at is the setting at a moment; before all that is remembered it is the oldest.
func (h *history[T]) at(t time.Time) T {
	i := len(h.steps) - 1
	for i > 0 && h.steps[i].from.After(t) {
		i--
	}
	return h.steps[i].value
}

// last is the setting now.
func (h *history[T]) last() T { return h.steps[len(h.steps)-1].value }
