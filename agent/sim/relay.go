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

const (
	// operateTime is how long a contact takes to follow its coil: 10 ms, typical of power relays on circuit boards.
	operateTime = 10 * time.Millisecond
	// slotTime is how long a hot-swap controller's transistor takes to follow OPERATION: arbitrary, it is fast.
	slotTime = time.Millisecond
)

// relay is one coil with its contact; or a hot-swap controller with its transistor, whose coil has current while the
// controller wants its output on.
type relay struct {
	at        rack.OutletID // its position on the board
	kind      ContactKind
	operate   time.Duration // from coil to contact
	coil      bool
	closed    bool
	welded    bool // once closed, it never opens
	broken    bool // never closes
	commanded time.Time
	back      time.Time // the coil gets its current back by itself then; zero: it does not
	outlet    *outlet   // what it really switches
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

// wired is a relay on a pin of an expander.
type wired struct {
	bit   uint16
	relay *relay
}

// coils takes the state of an expander's pins: a high level gives a coil current.
func (r *Rack) coils(on []wired, pins drivertest.Pins) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	r.advance(now)
	for _, x := range on {
		r.drive(x.relay, pins.High()&x.bit != 0, now)
	}
}

// output takes what a hot-swap controller makes of its output, and when it will be on again by itself, if it will.
func (r *Rack) output(rl *relay, on bool, back time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	r.advance(now)
	r.drive(rl, on, now)
	if rl.back.Equal(back) {
		return
	}
	rl.back = back
	if !back.IsZero() {
		r.after(back, func(at time.Time) {
			if rl.back.Equal(back) {
				r.drive(rl, true, at)
			}
		})
	}
}

// drive gives a coil current or takes it; the contact follows.
func (r *Rack) drive(rl *relay, on bool, at time.Time) {
	if rl.coil == on {
		return
	}
	rl.coil, rl.commanded = on, at
	if !r.started {
		rl.closed = rl.wanted()
		return
	}
	r.after(at.Add(rl.operate), func(at time.Time) { r.settle(rl, at, CauseCoil) })
}

// settle moves a contact where it belongs by now. A coil that changed twice within the operate time has moved
// nothing.
func (r *Rack) settle(rl *relay, at time.Time, cause Cause) {
	if cause == CauseCoil && at.Sub(rl.commanded) < rl.operate {
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
