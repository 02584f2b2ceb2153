package i2cbus

import (
	"time"

	"rackagent/drivers"
)

// aloneFails is how many failures in a row convict a bus on which nobody but the failing device is in use. Arbitrary.
const aloneFails = 3

// verdict tells from the outcomes of transfers whether the bus is bad, or one device on it. A held line fails
// everybody's transfers, a device its own: two addresses in a row that fail with Timeout or BusFault, nobody having
// been heard in between, convict the bus.
//
// Only an address that has answered is a witness, as long as one has: some adapters report a missing device as a
// time-out, so two missing ones next to each other would look like a held line for ever. Where nobody has answered yet,
// as after the start, time-outs must come round to an address a second time: a part that is there gets its turn.
type verdict struct {
	seen     map[uint16]bool // addresses that were sent to
	answered map[uint16]bool // those that answered since the bus was last found good after bad
	fails    int             // of witnesses, in a row
	first    time.Time       // when the first of them began
	who      uint16          // its address
	several  bool            // another address failed as well
	round    round           // of failures, while nobody has answered
}

// round tells when failures have come round: an address fails again after another one did.
type round struct {
	failed map[uint16]bool
	last   uint16
}

func (r *round) complete(addr uint16) bool {
	again := r.failed[addr] && addr != r.last
	if r.failed == nil {
		r.failed = make(map[uint16]bool)
	}
	r.failed[addr], r.last = true, addr
	return again
}

// note takes the outcome of a transfer that began at the given time.
func (v *verdict) note(addr uint16, f drivers.Fault, began time.Time) {
	if v.seen == nil {
		v.seen, v.answered = make(map[uint16]bool), make(map[uint16]bool)
	}
	v.seen[addr] = true
	switch proof(f) {
	case moves:
		v.fails, v.several, v.round = 0, false, round{}
		if f != drivers.NoAnswer {
			v.answered[addr] = true
		}
	case held:
		if len(v.answered) > 0 && !v.answered[addr] {
			return
		}
		if v.fails == 0 {
			v.first, v.who = began, addr
		}
		if v.vague(f) {
			v.several = v.round.complete(addr) || v.several
		} else {
			v.several = v.several || addr != v.who
		}
		v.fails++
	case silent:
	}
}

// vague tells that a failure may be that of a part which is not there: a time-out while nobody has answered yet.
func (v *verdict) vague(f drivers.Fault) bool { return f == drivers.Timeout && len(v.answered) == 0 }

// bad is the verdict.
func (v *verdict) bad() bool {
	return v.several || (v.fails >= aloneFails && v.alone())
}

// alone tells whether nobody but the failing device is in use.
func (v *verdict) alone() bool {
	others := v.answered
	if len(others) == 0 {
		others = v.seen
	}
	for addr := range others {
		if addr != v.who {
			return false
		}
	}
	return true
}

// acquit forgets everything: whether the witnesses are still there must be seen anew.
func (v *verdict) acquit() { *v = verdict{} }

// evidence is what a transfer says of the lines.
type evidence int

const (
	silent evidence = iota // nothing
	moves                  // they move
	held                   // somebody may hold one
)

// proof sorts outcomes. For a NACK the data line was high in the ninth clock, and a wrong checksum was counted in bits
// that came. A lost arbitration may be another master's work as well as a held line's.
func proof(f drivers.Fault) evidence {
	switch f {
	case drivers.None, drivers.NoAnswer, drivers.Corrupt:
		return moves
	case drivers.Timeout, drivers.BusFault:
		return held
	default:
		return silent
	}
}
