package inventory

import (
	"context"

	"rackagent/agent/power"
	"rackagent/drivers/pdu"
)

// relays carries what the lane asks to a PDU. The firm guard has been passed when a call arrives here.
type relays struct{ pdu *pdu.PDU }

func written(s pdu.Switched) power.Write { return power.Write{Taken: s.Taken, Confirmed: s.Confirmed} }

// Cut opens an outlet.
func (r relays) Cut(ctx context.Context, outlet int) (power.Write, error) {
	s, err := r.pdu.Cut(ctx, outlet)
	return written(s), err
}

// Energise closes an outlet.
func (r relays) Energise(ctx context.Context, outlet int) (power.Write, error) {
	s, err := r.pdu.Energise(ctx, outlet)
	return written(s), err
}

// TakeOver brings a bank that reads inputs under control as it stands.
func (r relays) TakeOver(ctx context.Context, bank int, latch, direction uint16) (power.Write, error) {
	a, err := r.pdu.Adopt(ctx, max(bank, 1)-1, latch, direction)
	w := written(a.Direction)
	if w.Taken.IsZero() {
		w.Taken = a.Latch.Taken
	}
	return w, err
}

var _ power.Relays = relays{}
