package agent_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/sim"
)

// TestACutIsSeenInTelemetryAtOnce: with a batch of everything once in 2 min, a subscriber sees relay and watts of a cut within
// 3 s, and hears nothing of a rack on which nothing happens.
func TestACutIsSeenInTelemetryAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.conf.Telemetry.PeriodS = 120
		r.start()
		time.Sleep(121 * time.Second)
		before := r.arrays()
		if len(before) == 0 {
			t.Fatal("no batch in 2 min")
		}
		time.Sleep(time.Minute)
		if n := len(r.arrays()); n != len(before) {
			t.Errorf("%d batches in a minute in which nothing happened", n-len(before))
		}
		r.send("cut-1", "outlet.cut", "outlet/pdu-a.3")
		time.Sleep(3 * time.Second)
		r.expect("cut-1", rack.StateSucceeded, "")
		open, watts := false, -1.0
		for _, a := range r.arrays()[len(before):] {
			if v := a["relay"]; len(v) > 0 {
				open = *v[2] == 0
			}
			if v := a["p_w"]; len(v) > 0 {
				watts = *v[2]
			}
		}
		if !open || watts < 0 || watts > 10 {
			t.Errorf("open %v, %.1f W", open, watts)
		}
		r.close()
	})
}

// arrays are the values of pdu-a in every batch, in order.
func (r *rig) arrays() []map[string][]*float64 {
	r.t.Helper()
	var out []map[string][]*float64
	for _, m := range sim.Of[sim.Message](r.world.Trace().Entries()) {
		if m.Out || m.Topic != topic.Up("tele") {
			continue
		}
		var b struct {
			D map[string]map[string][]*float64 `json:"d"`
		}
		if err := json.Unmarshal(m.Payload, &b); err != nil {
			r.t.Fatal(err)
		}
		out = append(out, b.D["pdu-a"])
	}
	return out
}
