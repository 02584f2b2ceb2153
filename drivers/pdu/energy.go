package pdu

import (
	"time"
)

// overload is how much more than an outlet's rating may flow for a moment, and slack the uncertainty of when a
// counter was read. Both only decide whether a difference is believed. Arbitrary.
const (
	overload = 1.2
	slack    = time.Second
)

// counter says how a part counts energy.
type counter struct {
	joule float64 // per count
	// delta is the difference of two readings of the counter, which may have rolled over once in between.
	delta func(before, after uint64) int64
	// longest is the most that may lie between two readings: later the counter may have gone half round, after which a
	// difference has two meanings.
	longest time.Duration
}

// energy adds up the counter of one outlet. Within an epoch the total never falls and holds no guess: what cannot
// be known begins a new epoch at 0.
type energy struct {
	counter
	limitW float64 // more than this does not flow

	raw    uint64
	at     time.Time
	since  time.Time // begin of the epoch; zero: none
	counts int64
}

func newEnergy(c counter, ratingW float64) energy {
	return energy{counter: c, limitW: overload * ratingW}
}

// restart ends the epoch: the counter began again at 0, or its scale was another one.
func (e *energy) restart() { e.since = time.Time{} }

// book takes a reading and gives the total in Wh with the begin of its epoch.
func (e *energy) book(raw uint64, at time.Time) (wh float64, since time.Time) {
	delta := e.delta(e.raw, raw)
	gap := at.Sub(e.at)
	if e.since.IsZero() || gap > e.longest || !e.possible(delta, gap) {
		e.since, e.counts, delta = at, 0, 0
	}
	e.raw, e.at = raw, at
	e.counts += max(delta, 0) // fed back is not drawn; the power's sign shows it
	return float64(e.counts) * e.joule / 3600, e.since
}

// possible tells whether so many counts, in either direction, can have come in this time.
func (e *energy) possible(delta int64, gap time.Duration) bool {
	most := e.limitW * (gap + slack).Seconds() / e.joule
	return float64(delta) <= most && float64(delta) >= -most
}
