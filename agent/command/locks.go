package command

import (
	"iter"
	"slices"
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
	if bad := d.mayHalt(cmd); bad != nil {
		return deed{}, bad
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

// mayHalt holds a lock that has no right to firm nodes off what is under way on one: it would stop it before its next step,
// and a cycle that is stopped in its open half leaves a server without power.
func (d *Desk) mayHalt(cmd rack.Command) *rack.Refusal {
	if cmd.Op != rack.OpLock || cmd.Firm {
		return nil
	}
	locked := nodesOf(d.o.Layout, cmd.Target)
	under := func(other *rack.Command) bool {
		return touchesFirm(d.o.Layout, other.Op, other.Target) && slices.ContainsFunc(nodesOf(d.o.Layout, other.Target), func(n rack.Node) bool {
			return slices.ContainsFunc(locked, func(l rack.Node) bool { return l.Name == n.Name })
		})
	}
	for id, other := range d.moving() {
		if under(other) {
			return refuse(rack.CodeFirmGuard, "command %s is under way on %s, a firm target: whoever has no right to firm nodes stops nothing there; lock it when that has ended", id, other.Target)
		}
	}
	return nil
}

// moving are the commands with a plan that is carried out, or is being recorded for that.
func (d *Desk) moving() iter.Seq2[string, *rack.Command] {
	return func(yield func(string, *rack.Command) bool) {
		for id, u := range d.open {
			if u.cmd.Op.MovesPower() && !yield(id, &u.cmd) {
				return
			}
		}
		for id, p := range d.flight {
			if p.plan != nil && !yield(id, &p.cmd) {
				return
			}
		}
	}
}

// keep hands an order that is on disk on, and tells the result once it is in force. Until then the command stays in
// flight: a repeat waits for the same moment.
func (d *Desk) keep(p *pending) {
	d.flight[p.cmd.ID] = p
	order := p.order
	p.order = nil
	order(func() { d.in.bring(func(c *contents) { c.recorded = append(c.recorded, answer{p, nil}) }) })
}
