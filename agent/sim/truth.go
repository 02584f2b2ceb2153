package sim

import (
	"fmt"
	"math"
	"time"

	"rackagent/agent/rack"
)

// Outlets lists all outlets in the order of their boards.
func (r *Rack) Outlets() []rack.OutletID { return append([]rack.OutletID(nil), r.order...) }

// look finds an outlet and brings the physics up to a moment. The lock is held when it returns.
func (r *Rack) look(id rack.OutletID) (*outlet, bool) {
	r.mu.Lock()
	r.advance(r.now())
	o, ok := r.outlets[id]
	return o, ok
}

// Watts is what an outlet draws now; NaN for an outlet that does not exist.
func (r *Rack) Watts(id rack.OutletID) float64 { return r.WattsAt(id, r.now()) }

// WattsAt is what an outlet drew at a moment of the past, noise included; NaN for an outlet that does not exist.
func (r *Rack) WattsAt(id rack.OutletID, at time.Time) float64 {
	o, ok := r.look(id)
	defer r.mu.Unlock()
	if !ok {
		return math.NaN()
	}
	return o.watts.At(at) * o.wander(at, at)
}

// Joules is the energy of an outlet between two moments of the past, without noise; NaN for an outlet that does not
// exist.
func (r *Rack) Joules(id rack.OutletID, from, to time.Time) float64 {
	o, ok := r.look(id)
	defer r.mu.Unlock()
	if !ok {
		return math.NaN()
	}
	return o.watts.Integral(from, to)
}

// FeedWattsAt is what all outlets of a feed drew together at a moment of the past, surges included.
func (r *Rack) FeedWattsAt(name string, at time.Time) float64 {
	var sum float64
	for _, id := range r.order {
		if r.outlets[id].feed.Name == name {
			sum += r.WattsAt(id, at)
		}
	}
	return sum
}

// Closed tells whether the contact that switches an outlet is closed.
func (r *Rack) Closed(id rack.OutletID) bool {
	o, ok := r.look(id)
	defer r.mu.Unlock()
	return ok && o.relay.closed
}

// Coil tells whether the relay of an outlet's position has current; of a slot, whether its controller wants it on.
func (r *Rack) Coil(id rack.OutletID) bool {
	o, ok := r.look(id)
	defer r.mu.Unlock()
	return ok && o.own.coil
}

// Contacts is every change of a contact since the start, in order.
func (r *Rack) Contacts() []Contact {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.advance(r.now())
	return append([]Contact(nil), r.contacts...)
}

// Downs is every time a server went down for want of power, in order.
func (r *Rack) Downs() []Down {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.advance(r.now())
	return append([]Down(nil), r.downs...)
}

// PowerOn presses a server's button, or does what its management controller does on request.
func (r *Rack) PowerOn(load string) error { return r.press(load, true) }

// PowerOff is a server's orderly halt: it draws standby power from then on, and that is no Down.
func (r *Rack) PowerOff(load string) error { return r.press(load, false) }

func (r *Rack) press(load string, on bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	r.advance(now)
	pl := r.plugs[load]
	if pl == nil {
		return fmt.Errorf("no load %q, have %s", load, names(r.plugs))
	}
	s, ok := pl.load.(*Server)
	if !ok {
		return fmt.Errorf("load %q has no power button", load)
	}
	s.switchTo(now, on)
	r.supply(pl, now)
	return nil
}
