package pca9548

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"periph.io/x/conn/v3/i2c"

	"rackagent/drivers"
)

// Segment is what the switches on one stretch of bus know of each other: parts of equal addresses behind two of them
// are told apart only while one has no channel connected, so a job first proves that of every other switch whose state
// is in doubt or was seen on a line that may have been held low. All switches of a Segment share the bus, through whatever handle of it. The zero value is ready.
//
// A switch that acknowledges neither write nor read is without supply, in reset or not there, and connects nothing; it
// stays in doubt, is asked again by every job, and stops none. Any other failure to prove it refuses the job.
type Segment struct {
	mu    sync.Mutex
	muxes []*Dev
}

// join adds a switch. A nil Segment has room for any.
func (s *Segment) join(d *Dev) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.muxes {
		if other.o.Addr == d.o.Addr {
			return fmt.Errorf("%s: address 0x%02x is taken by %s", d, d.o.Addr, other)
		}
	}
	s.muxes = append(s.muxes, d)
	return nil
}

// others are the switches but d.
func (s *Segment) others(d *Dev) []*Dev {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.muxes), func(other *Dev) bool { return other == d })
}

// settle looks at the others whose off nobody has seen, now that the line lives: the control byte of d, which is not 0,
// was read before and is read again after them. One that has a channel connected after all is turned off, and the job
// refused, since its own channel was connected beside it.
func (d *Dev) settle(tx i2c.Bus, n int, v *visit) error {
	unseen := slices.DeleteFunc(d.o.Segment.others(d), func(other *Dev) bool { return !other.unseen.Load() })
	if len(unseen) == 0 {
		return nil
	}
	for _, other := range unseen {
		if err := other.look(tx, v); err != nil {
			return err
		}
	}
	if err := d.confirm(tx, n, v); err != nil {
		return err
	}
	for _, other := range unseen {
		other.unseen.Store(false)
	}
	return nil
}

// look reads the control byte of a switch that should have no channel connected.
func (d *Dev) look(tx i2c.Bus, v *visit) error {
	got, err := d.control(tx)
	v.note(err)
	switch {
	case err == nil && got == noChannel:
		return nil
	case err == nil:
		err = d.fail("look for other channels", drivers.Mismatch, fmt.Errorf("control byte reads %02x after it was turned off", got))
	}
	derr := d.deselect(tx)
	switch {
	case isNobody(derr):
		return nil
	case derr != nil:
		return also(err, derr)
	}
	return err
}

// nobody is the cause of a deselect of which neither the write nor the read was acknowledged.
type nobody struct{ err error }

func (n *nobody) Error() string { return n.err.Error() }
func (n *nobody) Unwrap() error { return n.err }

func isNobody(err error) bool {
	_, ok := errors.AsType[*nobody](err)
	return ok
}
