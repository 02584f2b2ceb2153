package pca9548

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Segment is what the switches on one stretch of bus know of each other: parts of equal addresses behind two of them
// are told apart only while one has no channel connected, so a job first proves that of every other switch whose state
// is in doubt. All switches of a Segment share the bus, through whatever handle of it. The zero value is ready.
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

// nobody is the cause of a deselect of which neither the write nor the read was acknowledged.
type nobody struct{ err error }

func (n *nobody) Error() string { return n.err.Error() }
func (n *nobody) Unwrap() error { return n.err }

func isNobody(err error) bool {
	_, ok := errors.AsType[*nobody](err)
	return ok
}
