package power

import (
	"fmt"
	"slices"
	"time"

	"rackagent/agent/rack"
)

// A maintenance lock is an order in the journal on the rack, a node or an outlet. It refuses every step on what it
// covers, lowering ones too: when planning, before each step, and in the lane right before the write. One does not stand
// for another: the rack's lock and a node's are set and released apart.

// covers tells whether a lock is on an outlet: its own, its node's, or the rack's.
func (s *Snapshot) covers(order rack.Order, o rack.OutletID) bool {
	if order.Kind != rack.OrderLock {
		return false
	}
	switch t := order.Target; t.Kind {
	case rack.TargetRack:
		return true
	case rack.TargetNode:
		node, ok := s.Layout.NodeOf(o)
		return ok && node.Name == t.Name
	case rack.TargetOutlet:
		return t.Outlet == o
	default:
		return false
	}
}

// coversNode tells whether a lock is on a node: its own, the rack's, or that of one of its outlets.
func (s *Snapshot) coversNode(order rack.Order, n rack.Node) bool {
	if order.Kind != rack.OrderLock {
		return false
	}
	return order.Target == rack.NodeTarget(n.Name) || slices.ContainsFunc(n.Outlets, func(o rack.OutletID) bool { return s.covers(order, o) })
}

// coversStep tells whether a lock is on what a step is on.
func (s *Snapshot) coversStep(order rack.Order, st rack.Step) bool {
	if st.Node == "" {
		return s.covers(order, st.On)
	}
	n, ok := s.Layout.Node(st.Node)
	return ok && s.coversNode(order, n)
}

// locked finds a maintenance lock on an outlet.
func (s *Snapshot) locked(o rack.OutletID) (rack.Order, bool) {
	for _, order := range s.Orders {
		if s.covers(order, o) {
			return order, true
		}
	}
	return rack.Order{}, false
}

// Locks lists the maintenance locks in force, oldest first.
func (s *Snapshot) Locks() []rack.Order {
	var out []rack.Order
	for _, o := range s.Orders {
		if o.Kind == rack.OrderLock {
			out = append(out, o)
		}
	}
	slices.SortStableFunc(out, func(a, b rack.Order) int { return a.Since.Compare(b.Since) })
	return out
}

// guardLock refuses any write on an outlet that is locked.
func guardLock(s *Snapshot, o rack.OutletID) *rack.Refusal {
	order, locked := s.locked(o)
	if !locked {
		return nil
	}
	return refuse(rack.CodeMaintenanceLock, "outlet %s is under the maintenance lock of %s, set %s", o, order.Target, order.Set())
}

// guardBank refuses to take a bank over on which any outlet is locked: that writes the whole latch and the direction of
// its relay, too, and where a contact stands is taken from the model.
func guardBank(s *Snapshot, bank rack.BankID) *rack.Refusal {
	p, _ := s.Layout.PDU(bank.PDU)
	for _, o := range p.On(bank) {
		if r := guardLock(s, o.ID); r != nil {
			r.Text = fmt.Sprintf("the relay bank of %s is out of control and is not taken over: %s", bank, r.Text)
			return r
		}
	}
	return nil
}

// Lock judges a lock or an unlock: the order that it sets or releases, and whether a lock stands already, which is then
// the order given.
func (s *Snapshot) Lock(now time.Time, c rack.Command) (order rack.Order, stands bool, bad *rack.Refusal) {
	if c.Target.Several() && c.Target.Kind != rack.TargetRack {
		return rack.Order{}, false, refuse(rack.CodeUnsupported, "%s takes the rack, a node or an outlet, not %s", c.Op, c.Target)
	}
	i := slices.IndexFunc(s.Orders, func(o rack.Order) bool { return o.Kind == rack.OrderLock && o.Target == c.Target })
	if c.Op == rack.OpUnlock {
		return s.unlock(c, i)
	}
	if i >= 0 {
		return s.Orders[i], true, nil
	}
	if !s.knows(c.Target) {
		return rack.Order{}, false, refuse(rack.CodeUnknownTarget, "%s is not configured", c.Target)
	}
	return rack.Order{Kind: rack.OrderLock, Target: c.Target, Command: c.ID, By: issuerOf(c), Since: now, Why: c.Why}, false, nil
}

// unlock judges the release of the lock at place i of the orders; below 0: there is none. It also releases a lock on what
// is no longer configured. What allows more on a firm node needs a right to it; a lock, which allows less, does not.
func (s *Snapshot) unlock(c rack.Command, i int) (rack.Order, bool, *rack.Refusal) {
	if i < 0 {
		text := fmt.Sprintf("%s has no lock", c.Target)
		for _, o := range s.Orders {
			if o.Kind == rack.OrderLock {
				text += fmt.Sprintf("; %s has one, set %s", o.Target, o.Set())
			}
		}
		return rack.Order{}, false, refuse(rack.CodePrecondition, "%s", text)
	}
	if why := s.firmBehind(c.Target); why != "" && !c.Firm {
		return rack.Order{}, false, refuse(rack.CodeFirmGuard, "%s: %s does not unlock it", why, withoutFirm(c))
	}
	return s.Orders[i], true, nil
}

func (s *Snapshot) knows(t rack.Target) bool {
	switch t.Kind {
	case rack.TargetNode:
		_, ok := s.Layout.Node(t.Name)
		return ok
	case rack.TargetOutlet:
		_, ok := s.Layout.Outlet(t.Outlet)
		return ok
	default:
		return t.Kind == rack.TargetRack
	}
}

// firmBehind tells why a target counts as firm; empty: it does not. What is no longer configured does.
func (s *Snapshot) firmBehind(t rack.Target) string {
	switch t.Kind {
	case rack.TargetNode:
		n, ok := s.Layout.Node(t.Name)
		if !ok {
			return t.String() + " is not configured and counts as firm"
		}
		return s.firmNode(n)
	case rack.TargetOutlet:
		if n, ok := s.Layout.NodeOf(t.Outlet); ok {
			return s.firmNode(n)
		}
		return t.String() + " feeds no configured node and counts as firm"
	default:
		for _, n := range s.Layout.Nodes {
			if why := s.firmNode(n); why != "" {
				return why
			}
		}
		return ""
	}
}

func (s *Snapshot) firmNode(n rack.Node) string {
	if n.Class.Firm() {
		return n.Name + " is a firm node"
	}
	for _, o := range n.Outlets {
		if w, why := s.Wiring(o); w == rack.WiringUnproven {
			return fmt.Sprintf("outlet %s counts as firm: %s", o, why)
		}
	}
	return ""
}

// issuerOf is who stands behind a command.
func issuerOf(c rack.Command) string {
	if (c.Signed || c.Origin == rack.OriginAgent) && c.Issuer != "" {
		return c.Issuer
	}
	return "unsigned"
}

// ordered takes an order, or its release, that is on disk.
func (m *Machine) ordered(in Ordered) {
	o := in.Order
	m.world.Orders = slices.DeleteFunc(slices.Clone(m.world.Orders), func(old rack.Order) bool { return old.Kind == o.Kind && old.Target == o.Target })
	word := "unlocked"
	if !in.Released {
		word = "locked"
		m.world.Orders = append(m.world.Orders, o)
		m.halt(o)
	}
	m.coming = append(m.coming, in)
	if o.Kind != rack.OrderLock {
		return
	}
	m.do(Learnt{})
	text := fmt.Sprintf("%s is %s by command %s of %s", o.Target, word, in.Command, in.By)
	if in.Why != "" {
		text += ": " + in.Why
	}
	m.emit(rack.Event{Kind: rack.EventLock, Severity: rack.Info, Outlet: o.Target.Outlet, Node: nodeOf(o.Target), Command: in.Command, To: word, Reason: in.Why, Text: text})
}

func nodeOf(t rack.Target) string {
	if t.Kind == rack.TargetNode {
		return t.Name
	}
	return ""
}

// halt lets nothing further begin on what a lock covers. A step that has begun comes to its end: its write is read back
// and, if it was the last one, judged by its watts.
func (m *Machine) halt(order rack.Order) {
	for _, j := range m.jobs {
		for _, t := range j.targets {
			node, _ := m.world.Layout.Node(t.plan.Node)
			if t.result != nil || t.found != nil || t.stop != nil || !m.concerned(order, t) || passesLocks(&j.cmd, node) {
				continue
			}
			v := verdict{state: rack.StateFailed, code: rack.CodeMaintenanceLock, text: "the maintenance lock of " + order.Target.String() + " was set meanwhile, " + order.Set()}
			if t.current != nil && t.current.state >= stageTakeOver {
				t.stop = &v
				continue
			}
			m.endTarget(t, v)
		}
	}
}

// concerned tells whether a step of a target that is not over is on what a lock covers, or is about to take its bank over.
func (m *Machine) concerned(order rack.Order, t *target) bool {
	if slices.ContainsFunc(t.plan.Steps[t.next:], func(st rack.Step) bool { return m.world.coversStep(order, st) }) {
		return true
	}
	return t.current != nil && t.current.takeOver != nil && m.coversBank(order, bankOf(t.current.takeOver))
}

func (m *Machine) coversBank(order rack.Order, bank rack.BankID) bool {
	p, _ := m.world.Layout.PDU(bank.PDU)
	return slices.ContainsFunc(p.On(bank), func(o rack.Outlet) bool { return m.world.covers(order, o.ID) })
}

// holds tells which orders are in force now: no write that they forbid is with a lane any more. A lock's result is told
// after that, so that whoever reads it finds everything at rest.
func (m *Machine) holds() {
	m.coming = slices.DeleteFunc(m.coming, func(in Ordered) bool {
		if !in.Released && m.writing(in.Order) {
			return false
		}
		m.do(InForce{Token: in.Token})
		return true
	})
}

// writing tells whether a write on what a lock covers is with a lane.
func (m *Machine) writing(order rack.Order) bool {
	for _, t := range m.waiting {
		w := t.current
		switch {
		case w == nil:
		case w.state == stageWriting && m.world.coversStep(order, w.step):
			return true
		case w.state == stageTakeOver && m.coversBank(order, bankOf(w.takeOver)):
			return true
		}
	}
	return false
}
