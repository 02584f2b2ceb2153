package power

import (
	"fmt"

	"rackagent/agent/rack"
)

// GuardError is the firm guard's refusal.
type GuardError struct{ Refusal *rack.Refusal }

func (e *GuardError) Error() string { return "firm guard: " + e.Refusal.Error() }

// guard decides at the moment of the write whether an outlet may be opened (S3, S11). It judges from the newest
// snapshot and not from the plan. No proof that a firm node is off exists yet, so every outlet of one is refused, and
// so is an outlet whose wiring is not believed: it may feed a firm node.
func guard(s *Snapshot, o rack.OutletID) error {
	if r := guardCut(s, o); r != nil {
		return &GuardError{Refusal: r}
	}
	return nil
}

func guardCut(s *Snapshot, o rack.OutletID) *rack.Refusal {
	node, ok := s.Layout.NodeOf(o)
	if order, locked := s.locked(o, node.Name); locked {
		return refuse(rack.CodeMaintenanceLock, "outlet %s is under the maintenance lock of command %s", o, order.Command)
	}
	if ok && node.Class.Firm() {
		return &rack.Refusal{Code: rack.CodeFirmGuard, Text: fmt.Sprintf(
			"outlet %s feeds %s, a firm node (%s): it is not opened without proof that the node is off", o, node.Name, node.Class)}
	}
	if w, why := s.Wiring(o); w == rack.WiringUnproven {
		return &rack.Refusal{Code: rack.CodeWiringUnproven, Text: fmt.Sprintf("outlet %s counts as firm: %s", o, why)}
	}
	return nil
}
