package drivertest

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Transfer is one transaction on a bus. It counts from the moment it is handed to the transport: from then on the
// devices may have taken it, whatever the caller is told.
type Transfer struct {
	Seq      uint64    // place in the record, from 1; several buses may share a record
	N        uint64    // number on its bus, from 1
	Bus      string    // as the bus is called
	Handed   time.Time // given to the transport
	Returned time.Time // given back; zero: still out
	Mux      []MuxState
	Addr     uint16
	Chips    []string // devices that were connected at the address when it was handed over
	W        []byte   // copy of what was written
	R        []byte   // copy of what was read; before the return only its length means something
	Wire     bool     // bytes went to the wire: a device may have taken them, also where Err is set
	Err      error
}

// String is one line for a log: bus, address, bytes, result.
func (t Transfer) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s #%d 0x%02x", t.Bus, t.N, t.Addr)
	if len(t.Chips) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(t.Chips, ", "))
	}
	if len(t.W) > 0 {
		fmt.Fprintf(&b, " w % x", t.W)
	}
	if len(t.R) > 0 {
		fmt.Fprintf(&b, " r % x", t.R)
	}
	if t.Err != nil {
		fmt.Fprintf(&b, ": %v", t.Err)
	}
	return b.String()
}

// Recorder keeps transfers. Both methods get a Transfer that the recorder may keep.
type Recorder interface {
	// Handed is called when a transfer is given to the transport; the result becomes its Seq.
	Handed(t Transfer) uint64
	// Returned is called with the finished transfer.
	Returned(t Transfer)
}

// Trace is a Recorder that keeps everything in memory. It may be shared by several buses.
type Trace struct {
	mu  sync.Mutex
	all []Transfer
}

// Handed appends a transfer.
func (r *Trace) Handed(t Transfer) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.Seq = uint64(len(r.all) + 1)
	r.all = append(r.all, t)
	return t.Seq
}

// Returned replaces a transfer by its finished form.
func (r *Trace) Returned(t Transfer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[t.Seq-1] = t
}

// Transfers is a copy of the record so far; the byte slices are shared and must not be changed.
func (r *Trace) Transfers() []Transfer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Transfer(nil), r.all...)
}

// Phase is a moment of a transfer at which a Gate is asked.
type Phase uint8

// The two moments: before any byte goes to the wire, and after the devices have acted, before the caller hears.
const (
	Before Phase = iota + 1
	After
)

// String is the word for a log.
func (p Phase) String() string {
	if p == After {
		return "after"
	}
	return "before"
}

// Gate is called before and after each transfer, outside all locks of the bus. It may block, which freezes the
// caller exactly there. An error from it is what the caller gets: before, the devices see nothing of the transfer;
// after, they have done what it asked.
type Gate func(p Phase, t Transfer) error
