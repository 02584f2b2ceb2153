package i2cbus

import (
	"errors"
	"maps"
	"sync"
	"time"

	"rackagent/drivers"
)

// Wait is how long jobs waited for the bus.
type Wait struct {
	Jobs     uint64 // that got the bus
	Sum, Max time.Duration
}

// Counts is what happened to the transfers of a bus or of one address.
type Counts struct {
	Transfers uint64                   // begun
	Errors    map[drivers.Fault]uint64 // of those begun
	Busy      time.Duration            // in the transport, hung time included once it is over
	Wait      Wait                     // of an address: of the jobs whose first transfer went there
}

// Stats are the counters of a bus since New.
type Stats struct {
	Counts
	Act, Poll Wait // Counts.Wait by queue
	// Refused counts the jobs and transfers that never began: Hung, BusFenced, Cancelled, Foreign, Unsupported.
	Refused    map[drivers.Fault]uint64
	Revoked    uint64        // jobs that lost the bus because they left it idle
	Hangs      uint64        // recoveries that did not return included
	HungSince  time.Time     // when the transfer began that does not return; zero: the bus is not hung
	Bad        uint64        // times the bus was found bad
	BadSince   time.Time     // when the first transfer began that failed; zero: the bus is good
	Fenced     time.Duration // for how long it was bad, the present time included
	Recoveries uint64        // calls of Opts.Recover
	Recovered  uint64        // of these, those after which a transfer showed the bus to be good
	Address    map[uint16]Counts
}

// ledger keeps the Stats. The owner writes most of it, callers write refusals, anybody reads.
type ledger struct {
	mu   sync.Mutex
	bus  Stats
	addr map[uint16]*Counts

	helped bool // Opts.Recover was called, and no transfer has shown yet whether it helped
}

func newLedger() *ledger {
	l := &ledger{addr: make(map[uint16]*Counts)}
	l.bus.Errors = make(map[drivers.Fault]uint64)
	l.bus.Refused = make(map[drivers.Fault]uint64)
	return l
}

func (l *ledger) granted(q queue, waited time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bus.Wait.add(waited)
	if q == act {
		l.bus.Act.add(waited)
	} else {
		l.bus.Poll.add(waited)
	}
}

func (l *ledger) refused(f drivers.Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bus.Refused[f]++
}

// turnedAway counts a job that did not get the bus. What the fence refuses is Cancelled to its caller.
func (l *ledger) turnedAway(err error) {
	if errors.Is(err, drivers.BusFenced) {
		l.refused(drivers.BusFenced)
		return
	}
	l.refused(drivers.FaultOf(err))
}

// bad begins a time in which the bus is bad.
func (l *ledger) bad(since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bus.Bad++
	l.bus.BadSince = since
}

// sound ends it.
func (l *ledger) sound(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bus.Fenced += now.Sub(l.bus.BadSince)
	l.bus.BadSince = time.Time{}
	if l.helped {
		l.bus.Recovered++
	}
	l.helped = false
}

// recovering counts a call of Opts.Recover.
func (l *ledger) recovering() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bus.Recoveries++
	l.helped = true
}

// failedTrial says that it did not help.
func (l *ledger) failedTrial() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.helped = false
}

func (l *ledger) revoked() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bus.Revoked++
}

// moved counts a transfer that came back in time.
func (l *ledger) moved(x *transfer, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var fault drivers.Fault
	if x.err != nil {
		fault = faultOf(x.err)
	}
	for _, c := range l.begun(x) {
		c.Busy += now.Sub(x.began)
		if fault != drivers.None {
			c.Errors[fault]++
		}
	}
}

// hung counts a transfer that did not.
func (l *ledger) hung(x *transfer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !x.recovery {
		for _, c := range l.begun(x) {
			c.Errors[drivers.Hung]++
		}
	}
	l.bus.Hangs++
	l.bus.HungSince = x.began
}

// back ends a hang.
func (l *ledger) back(x *transfer, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bus.HungSince = time.Time{}
	if x.recovery {
		return
	}
	for _, c := range []*Counts{&l.bus.Counts, l.at(x.addr)} {
		c.Busy += now.Sub(x.began)
	}
}

// begun counts a transfer at the bus and at its address and gives both. mu must be held.
func (l *ledger) begun(x *transfer) []*Counts {
	at := l.at(x.addr)
	if j := x.job; !j.counted {
		j.counted = true
		at.Wait.add(j.waited)
	}
	l.bus.Transfers++
	at.Transfers++
	return []*Counts{&l.bus.Counts, at}
}

func (l *ledger) at(addr uint16) *Counts {
	c := l.addr[addr]
	if c == nil {
		c = &Counts{Errors: make(map[drivers.Fault]uint64)}
		l.addr[addr] = c
	}
	return c
}

func (l *ledger) copy() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.bus
	if !s.BadSince.IsZero() {
		s.Fenced += time.Since(s.BadSince)
	}
	s.Errors = maps.Clone(s.Errors)
	s.Refused = maps.Clone(s.Refused)
	s.Address = make(map[uint16]Counts, len(l.addr))
	for addr, c := range l.addr {
		cc := *c
		cc.Errors = maps.Clone(cc.Errors)
		s.Address[addr] = cc
	}
	return s
}

func (w *Wait) add(d time.Duration) {
	w.Jobs++
	w.Sum += d
	w.Max = max(w.Max, d)
}
