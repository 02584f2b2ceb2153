package poll

import (
	"time"

	"rackagent/drivers"
)

const (
	spoilErrors = 5 // within spoilTime; arbitrary
	spoilTime   = time.Minute
	spoilWindow = 100 // attempts of which more than spoilMost may not fail; arbitrary
	spoilMost   = 20
)

// Spoiler tells whether a device spoils its bus for the others: whether its attempts fail often in the ways that cost
// everybody time, a clock that is held until the adapter gives up, a bus error, an arbitration lost although it was
// tried again. It holds no clock. The zero Spoiler has heard nothing.
//
// Only while the others answer: failures in a row of everybody are the bus's, whatever the reason.
type Spoiler struct {
	late [spoilErrors]time.Time // of the latest failures, a ring
	n    int                    // failures so far

	ring   [spoilWindow]bool // the latest attempts: true failed
	tries  int
	failed int // in the ring
}

// Step takes an attempt's outcome and when another device of the bus last answered (zero: never). It answers whether the
// device is to be set apart now.
func (s *Spoiler) Step(at time.Time, f drivers.Fault, others time.Time) bool {
	if saysNothing(f) || ofTheBus(f) {
		return false
	}
	spoils := f == drivers.Timeout || f == drivers.BusFault || f == drivers.Arbitration
	s.push(spoils)
	if !spoils {
		return false
	}
	var before time.Time // the failure before this one
	if s.n > 0 {
		before = s.late[(s.n-1)%spoilErrors]
	}
	s.late[s.n%spoilErrors] = at
	s.n++
	if !others.After(before) {
		return false
	}
	first := s.late[s.n%spoilErrors] // the oldest of the ring
	often := s.n >= spoilErrors && at.Sub(first) <= spoilTime
	much := s.tries >= spoilWindow && s.failed > spoilMost
	return often || much
}

func (s *Spoiler) push(spoils bool) {
	slot := &s.ring[s.tries%spoilWindow]
	if *slot {
		s.failed--
	}
	if *slot = spoils; spoils {
		s.failed++
	}
	s.tries++
}

const (
	rateReads = 1000
	rateMost  = 10 // 1 %
)

// ErrorRate tells whether too many of a device's reads come with a wrong checksum, length or format: noise on the wires
// that retries hide. The zero ErrorRate has heard nothing.
type ErrorRate struct {
	reads, wrong int // of this thousand
	high         bool
}

// Step takes the outcome of one read and answers whether High has changed. It rises as soon as a thousand reads can no
// longer be good, and falls after a thousand that were. Reads that brought no bytes do not count.
func (r *ErrorRate) Step(f drivers.Fault) (changed bool) {
	if f != drivers.None && f != drivers.Corrupt {
		return false
	}
	was := r.high
	r.reads++
	if f == drivers.Corrupt {
		r.wrong++
	}
	if r.wrong > rateMost {
		r.high = true
	}
	if r.reads == rateReads {
		if r.wrong <= rateMost {
			r.high = false
		}
		r.reads, r.wrong = 0, 0
	}
	return r.high != was
}

// High tells whether more than 1 % of the latest thousand reads were wrong.
func (r *ErrorRate) High() bool { return r.high }
