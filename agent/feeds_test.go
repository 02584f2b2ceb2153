package agent_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent"
	"rackagent/agent/rack"
)

// feed finds a level in the agent's status.
func (r *rig) feed(name string) agent.FeedStatus {
	r.t.Helper()
	for _, f := range r.agent.Status().Feeds {
		if f.Feed == name {
			return f
		}
	}
	r.t.Fatalf("the status has no feed %s", name)
	return agent.FeedStatus{}
}

// on finds a node on a bank.
func (r *rig) on(bank, node string) agent.FeedNode {
	r.t.Helper()
	for _, n := range r.feed(bank).Nodes {
		if n.Node == node {
			return n
		}
	}
	r.t.Fatalf("%s is not on %s", node, bank)
	return agent.FeedNode{}
}

// TestFeedsInTheStatus: what hangs on a bank stands there, a server with two supplies on both of its banks, and what no meter
// tells is not made up.
func TestFeedsInTheStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigIn(t, rackOf("ac24"))
		r.start()
		if got := r.feed("row"); len(got.Nodes) != 0 || got.LimitA != 128 || got.ReservedA <= 0 || got.AssumedW != 0 {
			t.Errorf("%+v", got)
		}
		a, b := r.on("bank-a", "gpu-1"), r.on("bank-b", "gpu-1")
		if len(a.Outlets) != 1 || len(b.Outlets) != 1 || a.Outlets[0] != out(7) || a.Elsewhere[0] != b.Outlets[0] || b.Elsewhere[0] != a.Outlets[0] {
			t.Errorf("%+v, %+v", a, b)
		}
		if *a.ReservedW != 3300 || *b.ReservedW != 3300 || a.Class != rack.ClassGPU || a.State != rack.PowerRunning {
			t.Errorf("it counts whole on both: %+v, %+v", a, b)
		}
		if *a.MeasuredW < 1000 || *b.MeasuredW < 1000 || *a.MeasuredW+*b.MeasuredW > 3300 {
			t.Errorf("each bank shows its own part: %.0f W and %.0f W", *a.MeasuredW, *b.MeasuredW)
		}
		if stray := r.on("bank-a", ""); len(stray.Outlets) != 2 || stray.Outlets[0] != out(5) || stray.ReservedW != nil || stray.MeasuredW == nil {
			t.Errorf("%+v", stray)
		}
		sum := 0.0
		for _, n := range r.feed("bank-a").Nodes {
			sum += *n.MeasuredW
		}
		if all := r.feed("bank-a").MeasuredW; math.Abs(all-sum) > 10 { // noise below zero counts as nothing
			t.Errorf("%.1f W at the outlets, %.1f W on the bank", sum, all)
		}
		r.inject("nack=pdu-a.meter.1")
		time.Sleep(10 * time.Second)
		if n := r.on("bank-a", "asic-1"); n.MeasuredW != nil || *n.ReservedW != 3300 {
			t.Errorf("without its meter: %+v", n)
		}
		if f := r.feed("bank-a"); f.AssumedW < 3300 || f.AssumedW > f.MeasuredW {
			t.Errorf("%+v", f.FeedUse)
		}
		r.close()
	})
}
