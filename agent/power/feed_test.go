package power

import (
	"math"
	"testing"
	"time"

	"rackagent/agent/rack"
)

// TestLevelLoad checks the arithmetic of S2 by hand-computed figures: amperes per line are W / (nominal V x 0.95),
// a line-to-line load counts on both lines, a node counts once and whole at every level any of its outlets hangs on.
func TestLevelLoad(t *testing.T) {
	l := &rack.Layout{
		Feeds: []rack.Feed{
			{Name: "row", Lines: []string{"L1", "L2", "L3"}, VoltsV: 400, RatingA: 63, Continuous: 0.8},
			{Name: "a", Parent: "row", Lines: []string{"L1"}, VoltsV: 230, RatingA: 32, Continuous: 0.8},
			{Name: "b", Parent: "row", Lines: []string{"L2"}, VoltsV: 230, RatingA: 32, Continuous: 0.8},
			{Name: "ab", Parent: "row", Lines: []string{"L1", "L2"}, VoltsV: 400, RatingA: 32, Continuous: 0.8, ShareA: 10},
		},
		PDUs: []rack.PDU{{Name: "p", Period: time.Second, Outlets: []rack.Outlet{
			{ID: rack.OutletID{PDU: "p", N: 1}, Feed: "a", RatingA: 16, Continuous: 1},
			{ID: rack.OutletID{PDU: "p", N: 2}, Feed: "b", RatingA: 16, Continuous: 1},
			{ID: rack.OutletID{PDU: "p", N: 3}, Feed: "ab", RatingA: 16, Continuous: 1},
			{ID: rack.OutletID{PDU: "p", N: 4}, Feed: "a", RatingA: 16, Continuous: 1},
		}}},
		Nodes: []rack.Node{
			{Name: "pair", Class: rack.ClassGPU, Outlets: []rack.OutletID{{PDU: "p", N: 1}, {PDU: "p", N: 2}, {PDU: "p", N: 4}}, MaxW: 2185},
			{Name: "line", Class: rack.ClassASIC, Outlets: []rack.OutletID{{PDU: "p", N: 3}}, MaxW: 3800, SurgeW: 380},
		},
	}
	s := &Snapshot{Layout: l, Outlets: map[rack.OutletID]OutletView{}, Nodes: map[string]NodeView{}}
	now := time.Unix(0, 0)
	for _, c := range []struct {
		feed string
		w, a float64
		lim  float64
	}{
		{"a", 2185, 10, 25.6},               // 2185 / 218.5, once although two outlets hang on it
		{"b", 2185, 10, 25.6},               // whole on the other line as well
		{"ab", 3800, 10, 10},                // 3800 / 380 on both lines; the share is the limit
		{"row", 2185 + 3800, 10 + 10, 50.4}, // L1: both nodes, L2: both, L3: none
	} {
		f, _ := l.Feed(c.feed)
		got := s.ledger(now).load(f)
		if math.Abs(got.W-c.w) > 1e-6 || math.Abs(got.A-c.a) > 1e-6 || math.Abs(got.LimitA-c.lim) > 1e-6 {
			t.Errorf("%s: %+v, want %v W %v A of %v A", c.feed, got, c.w, c.a, c.lim)
		}
	}
	line, _ := l.Node("line")
	if r := s.ledger(now).overLimit(line, line.Outlets[0], s.startW(line, line.Outlets[0], now)); r == nil || r.Code != rack.CodeLimitExceeded {
		t.Errorf("11 A with its surge on a share of 10 A: %v", r)
	}
}

func TestReservation(t *testing.T) {
	l := demoLayout()
	now := time.Unix(1000, 0)
	n := l.Nodes[0]
	fresh := func(relay, w float64) OutletView {
		r := func(v float64) rack.Reading { return rack.Reading{Value: v, At: now, Quality: rack.QualityOK} }
		return OutletView{Relay: r(relay), W: r(w), VA: r(w)}
	}
	old := fresh(0, 0)
	old.W.At = now.Add(-10 * time.Second)
	old.VA.At = old.W.At
	for _, c := range []struct {
		name string
		out  OutletView
		node NodeView
		want float64
	}{
		{"proven off", fresh(0, 0), NodeView{}, 0},
		{"open, and the reading is old", old, NodeView{}, 3400},
		{"open with load", fresh(0, 50), NodeView{}, 3400},
		{"closed without load", fresh(1, 0), NodeView{}, 3400},
		{"never read", OutletView{}, NodeView{}, 3400},
		{"measured above its maximum", fresh(1, 3500), NodeView{PeakW: 3500}, 3500},
		{"starting", fresh(0, 0), NodeView{Starting: true}, 3600},
		{"surging", fresh(1, 3000), NodeView{SurgeUntil: now.Add(time.Second)}, 3600},
	} {
		s := &Snapshot{At: now, Layout: l, Outlets: map[rack.OutletID]OutletView{outlet(1): c.out}, Nodes: map[string]NodeView{n.Name: c.node}}
		if got := s.Reservation(n, now); got != c.want {
			t.Errorf("%s: %v W, want %v W", c.name, got, c.want)
		}
	}
}

func TestPeakForgetsAfterAMinute(t *testing.T) {
	var p peak
	for _, c := range []struct {
		at   time.Duration
		w    float64
		want float64
	}{
		{0, 100, 100},
		{5 * time.Second, 90, 100},
		{20 * time.Second, 300, 300},
		{69 * time.Second, 50, 300},
		{80 * time.Second, 50, 50},
		{10 * time.Minute, 10, 10},
	} {
		if got := p.add(c.at, c.w); got != c.want {
			t.Errorf("at %s: %v, want %v", c.at, got, c.want)
		}
	}
}
