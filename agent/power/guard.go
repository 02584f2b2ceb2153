package power

import (
	"fmt"

	"rackagent/agent/rack"
)

// GuardError is the refusal of the guard in the lane.
type GuardError struct{ Refusal *rack.Refusal }

func (e *GuardError) Error() string { return "guard: " + e.Refusal.Error() }

// permitted decides at the moment of the write whether a relay may be moved: no lock forbids it, and a cut passes the
// firm guard. It judges from the newest snapshot and not from the plan.
func permitted(s *Snapshot, a Switch) error {
	if a.Do == rack.DoCut {
		return guard(s, a.Outlet, a.By)
	}
	if r := guardLock(s, a.Outlet); r != nil {
		return &GuardError{Refusal: r}
	}
	return nil
}

// guardTell decides at the moment of the write whether a miner may be told anything: it is one, and no lock is on it or on
// an outlet of it. What a server would make of it is not known.
func guardTell(s *Snapshot, name string) *rack.Refusal {
	node, ok := s.Layout.Node(name)
	switch {
	case !ok:
		return refuse(rack.CodeUnknownTarget, "no node %s is configured", name)
	case node.Class.Firm():
		return refuse(rack.CodeFirmGuard, "%s is a firm node (%s): nothing is said to it", name, node.Class)
	}
	for _, order := range s.Orders {
		if s.coversNode(order, node) {
			return refuse(rack.CodeMaintenanceLock, "%s is under the maintenance lock of %s, set %s", name, order.Target, order.Set())
		}
	}
	return nil
}

// guard decides at the moment of the write whether an outlet may be opened (S3, S11). It judges from the newest
// snapshot and not from the plan. No proof that a firm node is off exists yet: an outlet of one is opened only by force
// that a second person approved, and one whose wiring is not believed by nothing, as it may feed any firm node.
func guard(s *Snapshot, o rack.OutletID, by *rack.Command) error {
	if r := guardCut(s, o, by); r != nil {
		return &GuardError{Refusal: r}
	}
	return nil
}

// guardCut is the guard's judgement; by is the command that asks, nil for nobody's.
func guardCut(s *Snapshot, o rack.OutletID, by *rack.Command) *rack.Refusal {
	node, ok := s.Layout.NodeOf(o)
	if r := guardLock(s, o); r != nil && !passesLocks(by, node) {
		return r
	}
	if ok && node.Class.Firm() && !forced(by, node.Name, o) {
		return &rack.Refusal{Code: rack.CodeFirmGuard, Text: fmt.Sprintf(
			"outlet %s feeds %s, a firm node (%s): it is not opened without proof that the node is off", o, node.Name, node.Class)}
	}
	if w, why := s.Wiring(o); w == rack.WiringUnproven {
		return &rack.Refusal{Code: rack.CodeWiringUnproven, Text: fmt.Sprintf("outlet %s counts as firm: %s", o, why)}
	}
	return nil
}

// passesLocks tells whether a command is the cut that a leak or an emergency stop asks for of an interruptible node: whoever
// works there under a lock is safer without power.
func passesLocks(by *rack.Command, n rack.Node) bool {
	return by != nil && by.Emergency && by.Origin == rack.OriginAgent && by.Op == rack.OpCut && n.Name != "" && !n.Class.Firm()
}

// forced tells whether a command may open an outlet of a firm node without a proof: it says force, it names exactly this
// node or this outlet, and another person has approved the very payload. A dry run is shown what it would come to.
func forced(by *rack.Command, node string, o rack.OutletID) bool {
	if by == nil || !by.Args.Force || !by.Signed || by.Op != rack.OpCut && by.Op != rack.OpCycle {
		return false
	}
	if by.Target != rack.NodeTarget(node) && by.Target != rack.OutletTarget(o) {
		return false
	}
	return by.Dry || by.ApprovedByAnother()
}
