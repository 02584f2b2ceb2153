package chip

import (
	"context"
	"fmt"
	"time"

	"rackagent/drivers"
)

// Words are the registers that decide what up to 16 pins do, whatever the part calls them. Bits of pins that a part
// does not have read 1 in Direction and 0 elsewhere.
type Words struct {
	Latch     uint16 // what the pins drive once they are outputs
	Direction uint16 // 1: the pin is an input and drives nothing
	Polarity  uint16 // must be 0: a disturbed one inverts what inputs read
}

// AllInputs is the direction word of a part that was just powered up: no pin drives anything.
const AllInputs uint16 = 0xffff

// Written says what became of a write.
type Written struct {
	At   time.Time // when the write transfer returned, acknowledged or not; zero: no write was handed to the bus
	Word uint16    // what the register held afterwards; means nothing while Read is zero
	Read time.Time // when Word was read back; zero: it could not be read
}

// WriteBack writes a word with write and reads it back with read.
//
// The read-back decides, not the acknowledgement: if the register holds the word after a write that failed on the
// bus, the write worked and the error is nil. drivers.Mismatch means another word was read (it is in Written.Word).
// Any other error with Written.At set means the write may have happened; with Written.At zero it did not. Once the
// write was handed to the bus the end of ctx no longer stops the read-back. Nothing is repeated.
func (p Port) WriteBack(ctx context.Context, reg string, word uint16, write func(context.Context) error, read func(context.Context) (uint16, error)) (Written, error) {
	if ctx.Err() != nil {
		return Written{}, p.Fail("write", reg, drivers.Cancelled, context.Cause(ctx))
	}
	werr := write(ctx)
	if notSent(werr) {
		return Written{}, werr
	}
	done := Written{At: time.Now()}
	got, rerr := read(context.WithoutCancel(ctx))
	if rerr != nil {
		cause := also(werr, rerr)
		return done, p.Fail("write", reg, drivers.FaultOf(cause), cause)
	}
	done.Word, done.Read = got, time.Now()
	if got == word {
		return done, nil
	}
	return done, p.Fail("write", reg, drivers.Mismatch, also(werr, fmt.Errorf("wrote %04x, read back %04x", word, got)))
}

// also puts two causes on one line; the first may be nil.
func also(first, second error) error {
	if first == nil {
		return second
	}
	return fmt.Errorf("%w; %w", first, second)
}

// notSent tells the faults with which a bus refuses a transfer from those of a transfer that began.
func notSent(err error) bool {
	switch drivers.FaultOf(err) {
	case drivers.Cancelled, drivers.Unsupported, drivers.Foreign:
		return true
	default:
		return false
	}
}
