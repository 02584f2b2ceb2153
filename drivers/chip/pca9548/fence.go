package pca9548

import (
	"fmt"
	"time"

	"rackagent/drivers"
)

// How long a channel is left alone: this long the first time it holds the bus, twice as long each further time in a
// row, up to the longest. An act, which may be a shed that cannot wait, is refused for firstFence only, however long the
// fence. Arbitrary; the figures and the rule are those of a bus that fails as a whole.
const (
	firstFence   = time.Second
	longestFence = time.Minute
)

// FencedError says that a channel is left alone because with it connected the bus was held so that the control byte
// could not be written. It is drivers.BusFenced: nothing was sent, which the error around it says with drivers.Cancelled.
type FencedError struct {
	Channel  int
	Until    time.Time // when it is tried again; for an act that was refused, when an act may try
	Failures int       // in a row
	Err      error     // what happened the last time
}

// Error is without the name of the switch, which the error around it has.
func (e *FencedError) Error() string {
	return fmt.Sprintf("channel %d held the bus (%d in a row) and is left alone until %s: %v",
		e.Channel, e.Failures, e.Until.Format(time.RFC3339), e.Err)
}

// Unwrap gives both the Fault and the cause to errors.Is and errors.As.
func (e *FencedError) Unwrap() []error { return []error{drivers.BusFenced, e.Err} }

// fence is what is known against a channel.
type fence struct {
	raised   time.Time
	until    time.Time
	failures int // in a row; 0: nothing
	err      error
}

// Fenced tells whether jobs of channel n are refused now, those of handles that act apart, and why: nil or a *FencedError.
// When the time is over the next job is let through; one that leaves the bus free takes the fence away. It may be called
// from any goroutine.
func (d *Dev) Fenced(n int) error { return d.refuses(n, false) }

// refuses is Fenced for a handle that acts or does not.
func (d *Dev) refuses(n int, acts bool) error {
	if n < 0 || n >= d.part.channels {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.fences[n]
	until := f.until
	if soon := f.raised.Add(firstFence); acts && soon.Before(until) {
		until = soon
	}
	if f.failures == 0 || !time.Now().Before(until) {
		return nil
	}
	return &FencedError{Channel: n, Until: until, Failures: f.failures, Err: f.err}
}

// raise fences a channel off, for longer than the time before.
func (d *Dev) raise(n int, cause error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := &d.fences[n]
	wait := longestFence
	if f.failures < 6 { // 32 s is the last power of two below the longest
		wait = firstFence << f.failures
	}
	f.failures++
	f.raised, f.err = time.Now(), cause
	f.until = f.raised.Add(wait)
}

// lower forgets what is known against a channel.
func (d *Dev) lower(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fences[n] = fence{}
}
