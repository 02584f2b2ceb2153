package i2cbus

import (
	"context"
	"fmt"
	"time"

	"rackagent/drivers"
)

// How long a bad bus is left alone after a failed attempt: 1 s, doubling up to 60 s. A bus that was good for as long as
// the longest starts anew; one that was not goes on where it was, so that a device which spoils the bus again and again
// is not answered with recoveries without end.
const (
	firstRest   = time.Second
	longestRest = time.Minute
)

// DefaultRecoverLimit is what a recovery may take: nine clocks take about 1 ms, an adapter that is taken away and
// brought back the time its driver and udev need. Arbitrary.
const DefaultRecoverLimit = 3 * time.Second

// stage is where a bus stands.
type stage int

const (
	sound  stage = iota // transfers are judged
	due                 // bad; the next moment at which the bus is free begins an attempt
	trial               // bad; the next transfer whose outcome proves something decides, or a round where nobody was heard yet
	fenced              // bad, and left alone until rest is over
)

// fence says what may be sent. It holds no clock and does nothing.
type fence struct {
	verdict
	stage    stage
	since    time.Time // when the bus went bad: its first failed transfer began
	last     error     // what its latest transfer failed with
	attempts int       // since the bus was last good for longestRest
	tries    round     // of the trial
	rest     time.Time // no attempt before, but for an act
	tried    time.Time // when the latest attempt was decided
	good     time.Time // when an attempt last succeeded
}

func newFence() *fence { return &fence{} }

// heard takes the outcome of a transfer. decided: it ended a trial, or a transfer of the same job made good what the
// trial had said.
func (f *fence) heard(now time.Time, addr uint16, fault drivers.Fault, began time.Time, cause error) (decided bool) {
	p := proof(fault)
	if p == held {
		f.last = cause
	}
	switch {
	case f.stage == sound:
		f.note(addr, fault, began)
		return false
	case p == moves:
		f.stage, f.good, f.rest, f.tried = sound, now, now.Add(f.pause()), now
		f.acquit()
		f.note(addr, fault, began)
		return true
	case p == held && f.stage == trial && f.vague(fault) && !f.alone() && !f.tries.complete(addr):
		return false // perhaps a part that is missing; one that is there is still to have its turn
	case p == held && f.stage == trial:
		f.stage, f.rest, f.tried = fenced, now.Add(f.pause()), now
		return true
	default:
		return false
	}
}

// judge is asked whenever no job has the bus; found: the bus is bad from now on.
func (f *fence) judge(now time.Time) (found bool) {
	if f.stage != sound || !f.bad() {
		return false
	}
	f.stage, f.since = due, f.first
	switch {
	case now.Sub(f.good) >= longestRest:
		f.attempts = 0
	case now.Before(f.rest):
		f.stage = fenced
	}
	return true
}

// refuses tells whether a job that comes now is turned away. The first one after the rest brings an attempt with it; an
// act, which may be a shed that cannot wait, does so a second after the last attempt however long the rest is.
func (f *fence) refuses(now time.Time, q queue) bool {
	if f.stage != fenced {
		return false
	}
	rest := f.rest
	if soon := f.tried.Add(firstRest); q == act && soon.Before(rest) {
		rest = soon
	}
	if now.Before(rest) {
		return true
	}
	f.stage = due
	return false
}

// attempt begins one.
func (f *fence) attempt() {
	f.attempts++
	f.stage, f.tries = trial, round{}
}

// pause is the rest after the latest attempt.
func (f *fence) pause() time.Duration {
	const doublings = 6 // 32 s is the last power of two below the longest
	switch {
	case f.attempts == 0:
		return 0
	case f.attempts > doublings:
		return longestRest
	default:
		return firstRest << (f.attempts - 1)
	}
}

// cause is the error of what is refused now.
func (f *fence) cause(now time.Time) error {
	return &FencedError{Since: f.since, Until: f.rest, at: now, why: f.last}
}

// FencedError says that a bus was found bad and is left alone: nothing was sent. It is drivers.BusFenced; what the last
// transfers failed with is told in words only, as it did not happen to what was refused.
type FencedError struct {
	Since time.Time // when the bus went bad
	Until time.Time // when it is tried again

	at  time.Time
	why error
}

// Error says for how long, and why.
func (e *FencedError) Error() string {
	return fmt.Sprintf("%s: the bus is bad for %s (%v) and left alone for another %s", drivers.BusFenced,
		e.at.Sub(e.Since).Round(time.Millisecond), e.why, e.Until.Sub(e.at).Round(time.Millisecond))
}

// Unwrap gives the fault.
func (e *FencedError) Unwrap() error { return drivers.BusFenced }

// recovery runs Opts.Recover as the mover's work.
func (b *Bus) recovery() error {
	ctx, cancel := context.WithTimeout(context.Background(), b.recoverLimit)
	defer cancel()
	return b.recover(ctx)
}
