package wire

import (
	"time"

	"rackagent/agent/rack"
)

type gapJSON struct {
	V      int            `json:"v"`
	Epoch  string         `json:"ep"`
	From   int64          `json:"from"`
	To     *int64         `json:"to"`
	Count  int64          `json:"n,omitempty"`
	Why    rack.GapReason `json:"why"`
	EveryS int            `json:"every_s,omitempty"`
	Since  int64          `json:"since,omitempty"`
	Until  int64          `json:"until,omitempty"`
	Next   string         `json:"next,omitempty"`
}

// EncodeGap writes the payload of up/gap: which numbers of telemetry will never arrive. Of from to to, n are lost and the
// others arrive; without n, all that do not arrive are lost. A null to means that the end is not known: epoch next follows.
func EncodeGap(g rack.Gap) []byte {
	j := gapJSON{V: 1, Epoch: g.Epoch, From: g.From, Count: g.Count, Why: g.Why, EveryS: int(g.Every / time.Second), Next: g.Next}
	if g.To != 0 {
		j.To = &g.To
	}
	if !g.Since.IsZero() {
		j.Since = millis(g.Since)
	}
	if !g.Until.IsZero() {
		j.Until = millis(g.Until)
	}
	return encode(j)
}
