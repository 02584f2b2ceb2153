package poll

import (
	"context"
	"errors"
	"time"

	"rackagent/drivers"
)

// tries says how often a class of fault is tried within one turn, and how long the bus rests in between.
type tries struct {
	n        int
	min, max time.Duration // pause before the next try, random in between
	rest     time.Duration // pause after the last one, before anybody else is read
}

// triesOf is the retry policy. The times are arbitrary where no source is named.
func triesOf(f drivers.Fault) tries {
	const ms = time.Millisecond
	switch f {
	case drivers.NoAnswer:
		return tries{n: 3, min: 5 * ms, max: 5 * ms} // a busy part: an EEPROM's write cycle takes up to 5 ms
	case drivers.Arbitration:
		return tries{n: 3, min: 1 * ms, max: 5 * ms} // random, or two masters collide again
	case drivers.Implausible, drivers.Corrupt:
		return tries{n: 2, min: 1 * ms, max: 1 * ms}
	case drivers.Timeout, drivers.BusFault:
		return tries{n: 1, rest: 35 * ms} // SMBus 3.2, T_TIMEOUT,max: by then every device has let go of the bus
	default:
		return tries{n: 1} // another try would meet the same
	}
}

// pause is how long to wait before the next try; r is in [0, 1).
func (t tries) pause(r float64) time.Duration {
	return t.min + time.Duration(r*float64(t.max-t.min))
}

// sleep waits and tells whether the context is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// faultOf classifies an error. A job that the owner of a bus refuses because the bus is bad is Cancelled to whoever asks
// whether something was sent; here it is BusFenced. A context's own error that no driver has wrapped names no fault; a
// passed deadline is a time-out all the same.
func faultOf(err error) drivers.Fault {
	var known *drivers.Error
	switch {
	case errors.Is(err, drivers.BusFenced):
		return drivers.BusFenced
	case errors.As(err, &known):
		return drivers.FaultOf(err)
	case errors.Is(err, context.DeadlineExceeded):
		return drivers.Timeout
	case errors.Is(err, context.Canceled):
		return drivers.Cancelled
	default:
		return drivers.FaultOf(err)
	}
}
