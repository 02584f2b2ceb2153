package chip

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"rackagent/drivers"
)

// Value is a register that is read for its value, and where the code goes. A register of one byte is a word whose upper
// half is 0.
type Value[T uint16 | uint32 | uint64] struct {
	Reg  string // as errors name it
	Ones T      // what it reads where nobody drives the line
	To   *T
	Read func() (T, error)
}

// WordValue is the value of a register that Word reads.
func (p Port) WordValue(ctx context.Context, reg string, at byte, to *uint16) Value[uint16] {
	return Value[uint16]{Reg: reg, Ones: 0xffff, To: to, Read: func() (uint16, error) { return p.Word(ctx, "read", reg, at) }}
}

// ByteValue is the value of a register that Byte reads.
func (p Port) ByteValue(ctx context.Context, reg string, at byte, to *uint16) Value[uint16] {
	return Value[uint16]{Reg: reg, Ones: 0xff, To: to, Read: func() (uint16, error) {
		b, err := p.Byte(ctx, "read", reg, at)
		return uint16(b), err
	}}
}

// Doubtful tells whether the code that was read is one that a bus gives without the part: all zeros while somebody holds
// the line low, all ones where nobody drives it.
func (v Value[T]) Doubtful() bool { return *v.To == 0 || *v.To == v.Ones }

// again reads a doubtful value once more. The second code counts, unless it is the other of the two: then one of them
// was none, and nobody can say which.
func (v Value[T]) again(p Port) error {
	first := *v.To
	second, err := v.Read()
	if err != nil {
		return err
	}
	if *v.To = second; second != first && v.Doubtful() {
		return p.Fail("read", v.Reg, drivers.Implausible, fmt.Errorf("%x, then %x", first, second))
	}
	return nil
}

// Sure reads values, then calls vouch, and then reads once more those that were doubtful.
//
// vouch reads what can be neither all zeros nor all ones, an identification or a setting that is neither, and fails when
// it is not what it must be. So a bus that went bad for good is found by vouch, for every value before it, and one that
// was bad for a single transfer by the second look. Where nothing is doubtful this costs what vouch costs: nothing, if
// the setting had to be looked at anyway. No error is repeated.
func Sure[T uint16 | uint32 | uint64](p Port, vouch func() error, values ...Value[T]) error {
	for _, v := range values {
		var err error
		if *v.To, err = v.Read(); err != nil {
			return err
		}
	}
	if err := vouch(); err != nil {
		return err
	}
	for _, v := range values {
		if !v.Doubtful() {
			continue
		}
		if err := v.again(p); err != nil {
			return err
		}
	}
	return nil
}

// Run tells for how long something has held without a break, as far as anybody looked. It may be used from several
// goroutines.
type Run struct {
	mu    sync.Mutex
	since time.Time // zero: it does not hold
}

// For notes whether it holds now. What cannot be told is a break.
func (r *Run) For(holds bool) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch now := time.Now(); {
	case !holds:
		r.since = time.Time{}
		return 0
	case r.since.IsZero():
		r.since = now
		return 0
	default:
		return now.Sub(r.since)
	}
}

// SureWords reads the registers of a part whose pins drive relays: latch, direction, polarity, and then once more what
// is doubtful. FF is a power-on value of latch and direction and thus legitimate there; with the polarity at FF too it is
// a bus on which nobody drives the line.
//
// The polarity reads 0 and the direction of a board all of whose pins drive relays does too: against a line that is held
// low for good such a part has nothing to say, and all zeros are all pins low. A direction of 0 is what every sample of
// such a board reads, so it gets a second look only where the latch is doubtful as well, as after a loss of supply.
func (p Port) SureWords(latch, direction, polarity Value[uint16]) error {
	rest := func() error {
		for _, v := range []Value[uint16]{direction, polarity} {
			var err error
			if *v.To, err = v.Read(); err != nil {
				return err
			}
		}
		if *latch.To == latch.Ones && *direction.To == direction.Ones && *polarity.To == polarity.Ones {
			return p.Fail("read", "", drivers.Implausible, errors.New("all registers read ones"))
		}
		return nil
	}
	if err := Sure(p, rest, latch); err != nil {
		return err
	}
	if *direction.To == direction.Ones || *direction.To == 0 && latch.Doubtful() {
		return direction.again(p)
	}
	return nil
}
