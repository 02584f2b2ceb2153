package sim

import (
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers/drivertest"
)

// ContactKind says what a contact does while its coil has no current.
type ContactKind uint8

// The two kinds of contact.
const (
	NormallyOpen   ContactKind = iota // closed by the coil
	NormallyClosed                    // opened by the coil
)

// operateTime is how long a contact takes to follow its coil: 10 ms, typical of power relays on circuit boards.
const operateTime = 10 * time.Millisecond

// relay is one coil with its contact.
type relay struct {
	at        rack.OutletID // its position on the board
	kind      ContactKind
	coil      bool
	closed    bool
	welded    bool // once closed, it never opens
	broken    bool // never closes
	commanded time.Time
	outlet    *outlet // what it really switches
}

// wanted is where the contact goes.
func (r *relay) wanted() bool {
	switch {
	case r.broken:
		return false
	case r.welded && r.closed:
		return true
	default:
		return r.coil == (r.kind == NormallyOpen)
	}
}

// coils takes the state of a board's expander pins: relay k hangs on pin k-1 and is driven by a high level.
func (r *Rack) coils(board string, pins drivertest.Pins) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	r.advance(now)
	for k, rl := range r.relays[board] {
		on := pins.High()&(1<<k) != 0
		if rl.coil == on {
			continue
		}
		rl.coil, rl.commanded = on, now
		if !r.started {
			rl.closed = rl.wanted()
			continue
		}
		r.after(now.Add(operateTime), func(at time.Time) { r.settle(rl, at, CauseCoil) })
	}
}

// settle moves a contact where it belongs by now. A coil that changed twice within the operate time has moved
// nothing.
func (r *Rack) settle(rl *relay, at time.Time, cause Cause) {
	if cause == CauseCoil && at.Sub(rl.commanded) < operateTime {
		return // a later change of the coil has its own moment
	}
	want := rl.wanted()
	if want == rl.closed {
		return
	}
	rl.closed = want
	r.contactMoved(rl.outlet, at, cause)
}

// contactMoved records what an outlet's relay did and lets the load follow.
func (r *Rack) contactMoved(o *outlet, at time.Time, cause Cause) {
	c := Contact{At: at, Outlet: o.id, Relay: o.relay.at, Closed: o.relay.closed, Cause: cause}
	if cause == CauseCoil {
		c.Commanded = o.relay.commanded
	}
	r.contacts = append(r.contacts, c)
	r.trace.add(at, c)
	r.supply(o.plug, at)
}

// weld makes a contact stay closed from its next closing on, or from now where it is closed.
func (r *Rack) weld(o rack.OutletID, on bool) {
	r.change(o, func(rl *relay) { rl.welded = on })
}

// breakOff makes a contact open and never close again.
func (r *Rack) breakOff(o rack.OutletID, on bool) {
	r.change(o, func(rl *relay) { rl.broken = on })
}

// change alters a relay and lets its contact go where it then belongs, at once.
func (r *Rack) change(id rack.OutletID, f func(*relay)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	r.advance(now)
	rl := r.outlets[id].own
	f(rl)
	r.settle(rl, now, CauseFault)
}

// cross swaps what two relays switch. Crossing twice undoes it.
func (r *Rack) cross(a, b rack.OutletID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	r.advance(now)
	oa, ob := r.outlets[a], r.outlets[b]
	differ := oa.relay.closed != ob.relay.closed
	oa.relay, ob.relay = ob.relay, oa.relay
	oa.relay.outlet, ob.relay.outlet = oa, ob
	if differ {
		r.contactMoved(oa, now, CauseFault)
		r.contactMoved(ob, now, CauseFault)
	}
}
