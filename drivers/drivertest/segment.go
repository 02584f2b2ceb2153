package drivertest

import (
	"errors"
	"fmt"
	"sync"
)

// Segment is a stretch of bus with devices on it: the one at the adapter, or one behind a switch's channel.
type Segment struct {
	mu    sync.Mutex
	slots []slot
}

// slot is a device in its place.
type slot struct {
	name string
	addr uint16
	chip Chip
}

// Attach puts a device on the segment. The name is what Transfer.Chips and Fault.Chip call it. A device of the same
// name is replaced: that is how a board is swapped for another one.
func (s *Segment) Attach(name string, addr uint16, c Chip) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.slots {
		if s.slots[i].name == name {
			s.slots[i] = slot{name, addr, c}
			return
		}
	}
	s.slots = append(s.slots, slot{name, addr, c})
}

// all lists the devices reachable from here through connected switch channels, nearest first.
func (s *Segment) all() []slot {
	s.mu.Lock()
	out := append([]slot(nil), s.slots...)
	s.mu.Unlock()
	for _, sl := range out {
		mux, ok := sl.chip.(*Mux)
		if !ok {
			continue
		}
		for _, child := range mux.connected() {
			out = append(out, child.all()...)
		}
	}
	return out
}

// at lists the devices that answer an address now. There can be several: one address on two connected channels.
func (s *Segment) at(addr uint16) []slot {
	var out []slot
	for _, sl := range s.all() {
		if sl.addr == addr {
			out = append(out, sl)
		}
	}
	return out
}

// held tells whether a line of the segment is held low from behind a switch.
func (s *Segment) held() bool {
	s.mu.Lock()
	slots := append([]slot(nil), s.slots...)
	s.mu.Unlock()
	for _, sl := range slots {
		if mux, ok := sl.chip.(*Mux); ok && mux.holds() {
			return true
		}
	}
	return false
}

// MuxState is the control byte of one switch.
type MuxState struct {
	Addr uint16
	Open uint8 // bit n: channel n is connected
}

// String writes 0x70=0x04.
func (m MuxState) String() string { return fmt.Sprintf("0x%02x=0x%02x", m.Addr, m.Open) }

// muxes gives the state of every switch that can be reached.
func (s *Segment) muxes() []MuxState {
	var out []MuxState
	for _, sl := range s.all() {
		if mux, ok := sl.chip.(*Mux); ok {
			out = append(out, MuxState{sl.addr, mux.Control()})
		}
	}
	return out
}

// deliver gives a transfer to all devices that share the address. The lines are wired-AND: any acknowledgement
// counts, and a bit reads 0 where any device pulls it low.
func deliver(to []slot, w, r []byte) error {
	fill(r, 0xFF)
	var acked, refused bool
	for _, sl := range to {
		part := make([]byte, len(r))
		switch err := sl.chip.Tx(w, part); {
		case err == nil:
			acked = true
			for i := range r {
				r[i] &= part[i]
			}
		case errors.Is(err, NackData):
			refused = true
		}
	}
	switch {
	case acked:
		return nil
	case refused:
		return NackData
	default:
		return NackAddress
	}
}

func fill(b []byte, v byte) {
	for i := range b {
		b[i] = v
	}
}
