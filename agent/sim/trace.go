package sim

import (
	"sync"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers/drivertest"
)

// Event is one thing that happened in a world: a Transfer, Contact, Down, Injected, Message or Session.
type Event interface{ event() }

// Transfer is one transaction on a bus. Its place in the record is where it was handed to the transport. Entries with
// a number below Ended were made before it returned, the others after; 0 while it is still out.
type Transfer struct {
	drivertest.Transfer
	Ended uint64
}

// Contact is a change of an outlet's contact.
type Contact struct {
	At        time.Time
	Outlet    rack.OutletID // what gained or lost its supply
	Relay     rack.OutletID // the relay that moved, by its position; another than Outlet where the wiring is crossed
	Closed    bool
	Cause     Cause
	Commanded time.Time // when the coil changed; zero where no coil did
}

// Cause says why a contact moved.
type Cause string

// The causes of a contact's change.
const (
	CauseCoil  Cause = "coil"  // the expander's pin or the controller's output changed: a write, or its reset
	CauseFault Cause = "fault" // an injected fault moved it
)

// Down is a server that lost power and went down.
type Down struct {
	At   time.Time
	Load string
}

// Injected is a fault put in force or, Healed, taken away.
type Injected struct {
	At     time.Time
	Fault  Fault
	Healed bool
}

func (Transfer) event() {}
func (Contact) event()  {}
func (Down) event()     {}
func (Injected) event() {}
func (Message) event()  {}
func (Session) event()  {}

// Entry is one line of the record.
type Entry struct {
	Seq   uint64    // from 1, without gaps
	At    time.Time // when it happened
	Event Event
}

// Trace is the record of a world, in the order in which things happened. Physics is worked out before every other
// entry is made, so a contact stands before the transfer that could first have noticed it.
type Trace struct {
	mu    sync.Mutex
	limit int // entries kept; 0: all
	first uint64
	all   []Entry
}

// NewTrace keeps the newest entries up to a limit; 0 keeps all.
func NewTrace(limit int) *Trace { return &Trace{limit: limit, first: 1} }

func (t *Trace) add(at time.Time, e Event) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	seq := t.first + uint64(len(t.all))
	if tr, ok := e.(Transfer); ok {
		tr.Seq = seq
		e = tr
	}
	t.all = append(t.all, Entry{seq, at, e})
	// Dropping in halves keeps the cost of the limit constant per entry.
	if t.limit > 0 && len(t.all) >= 2*t.limit {
		drop := len(t.all) - t.limit
		t.first += uint64(drop)
		t.all = append([]Entry(nil), t.all[drop:]...)
	}
	return seq
}

// finish replaces a transfer by its finished form.
func (t *Trace) finish(tr drivertest.Transfer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tr.Seq < t.first {
		return
	}
	end := t.first + uint64(len(t.all))
	t.all[tr.Seq-t.first].Event = Transfer{tr, end}
}

// Entries is a copy of what is kept, oldest first. Byte slices in it are shared and must not be changed.
func (t *Trace) Entries() []Entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Entry(nil), t.all...)
}

// Since is a copy of the entries after a sequence number; 0 gives all that is kept.
func (t *Trace) Since(seq uint64) []Entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	skip := 0
	if seq >= t.first {
		skip = min(int(seq-t.first)+1, len(t.all))
	}
	return append([]Entry(nil), t.all[skip:]...)
}

// Of picks the events of one kind, in order.
func Of[E Event](entries []Entry) []E {
	var out []E
	for _, x := range entries {
		if e, ok := x.Event.(E); ok {
			out = append(out, e)
		}
	}
	return out
}
