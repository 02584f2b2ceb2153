package command

import (
	"time"

	"rackagent/agent/rack"
)

// Orders is who knows the orders in force and sees to it that they hold.
type Orders interface {
	// Lock judges a lock or an unlock: the order that it sets or releases, and whether a lock on the target stands
	// already. It is asked on the desk's goroutine and must not wait for anything.
	Lock(now time.Time, cmd rack.Command) (order rack.Order, stands bool, bad *rack.Refusal)
	// Keep takes over an order that is on disk, or its release. It returns at once and calls done once, from any
	// goroutine, when the order is in force: nothing that it forbids is under way any more.
	Keep(cmd rack.Command, order rack.Order, released bool, done func())
}

// lock sets a maintenance lock or releases it. The order is on disk in one piece with the command and its result, and
// in force before the result is told: whoever hears of it may put a hand into the rack. There is one lock for a target.
// A second one changes nothing, says so, and does not make the first one longer: one unlock releases it.
func (d *Desk) lock(now time.Time, cmd rack.Command) (deed, *rack.Refusal) {
	for _, p := range d.flight {
		if (p.cmd.Op == rack.OpLock || p.cmd.Op == rack.OpUnlock) && p.cmd.Target == cmd.Target && !p.cmd.Dry {
			return deed{}, refuse(rack.CodeBusy, "command %s is about to change the lock of %s", p.cmd.ID, cmd.Target)
		}
	}
	order, stands, bad := d.o.Orders.Lock(now, cmd)
	unlock := cmd.Op == rack.OpUnlock
	switch {
	case bad != nil:
		return deed{}, bad
	case stands && !unlock:
		return deed{outcome: rack.Outcome{Text: cmd.Target.String() + " is locked already, set " + order.Set() + "; one unlock releases it"}}, nil
	}
	rec := rack.Record{Kind: rack.RecordOrder, At: now, ID: cmd.ID, Order: &order, Lowers: !unlock}
	text := cmd.Target.String() + " is locked: nothing on it is switched until it is unlocked"
	if unlock {
		rec.Kind = rack.RecordReleased
		text = cmd.Target.String() + " is unlocked; the lock was set " + order.Set()
	}
	return deed{
		outcome: rack.Outcome{Text: text}, records: []rack.Record{rec},
		order: func(done func()) { d.o.Orders.Keep(cmd, order, unlock, done) },
	}, nil
}

// keep hands an order that is on disk on, and tells the result once it is in force. Until then the command stays in
// flight: a repeat waits for the same moment.
func (d *Desk) keep(p *pending) {
	d.flight[p.cmd.ID] = p
	order := p.order
	p.order = nil
	order(func() { d.in.bring(func(c *contents) { c.recorded = append(c.recorded, answer{p, nil}) }) })
}
