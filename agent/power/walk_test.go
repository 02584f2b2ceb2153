package power

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rackagent/agent/rack"
)

// TestMain fixes the seed of the random walks unless one is asked for.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("rapid.seed"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("20261125")
	}
	os.Exit(m.Run())
}

// TestWalk sends random commands into a rig with random faults and judges the writes on the trace against the
// invariants, from the rig's world and not from the machine's state.
func TestWalk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWalk(t)
		for range rapid.IntRange(5, 40).Draw(t, "steps") {
			w.act(t)
			w.r.run(time.Duration(rapid.SampledFrom([]int{0, 10, 300, 1000, 5000, 31000}).Draw(t, "ms")) * time.Millisecond)
			w.judge(t)
		}
		w.r.journalTakes = time.Millisecond
		for range 60 {
			w.r.run(time.Minute)
			if !w.r.m.Busy() {
				break
			}
		}
		w.judge(t)
		w.judgeEnds(t)
	})
}

type walk struct {
	r      *rig
	n      int
	judged int
	ops    map[string]rack.Command
	cut    map[rack.OutletID]time.Time // when the trace says it was last opened
	lastOn time.Time
	spans  []lockSpan
	coming map[uint64]int // spans by the token of their order
}

func newWalk(t *rapid.T) *walk {
	l := groupLayout()
	l.Feeds[1].RatingA = rapid.SampledFrom([]float64{160, 120, 100}).Draw(t, "rating")
	w := &walk{r: newRigWith(t, l, nil), ops: make(map[string]rack.Command), cut: make(map[rack.OutletID]time.Time), coming: make(map[uint64]int)}
	for n := 1; n <= 6; n++ {
		w.r.closed[outlet(n)] = rapid.Bool().Draw(t, "closed")
		w.cut[outlet(n)] = w.r.now
	}
	w.r.run(3 * time.Second)
	return w
}

func (w *walk) act(t *rapid.T) {
	switch rapid.IntRange(0, 13).Draw(t, "act") {
	case 0, 1, 2, 3, 4, 5, 6:
		w.command(t)
	case 7:
		w.r.step(Cancel{ID: fmt.Sprintf("c%d", rapid.IntRange(0, max(1, w.n)).Draw(t, "cancel"))})
	case 8:
		o := outlet(rapid.IntRange(1, 8).Draw(t, "outlet"))
		m := rapid.SampledFrom([]map[rack.OutletID]bool{w.r.welded, w.r.frozen, w.r.deaf, w.r.hang}).Draw(t, "fault")
		m[o] = !m[o]
	case 9:
		w.r.journalTakes = time.Duration(rapid.SampledFrom([]int{1, 50, 3000}).Draw(t, "journal")) * time.Millisecond
	case 10:
		w.r.laneTakes = time.Duration(rapid.SampledFrom([]int{1, 50, 1500}).Draw(t, "lane")) * time.Millisecond
	case 11:
		w.r.lost = rapid.Bool().Draw(t, "lost")
	case 12:
		w.lock(t, rack.OpLock)
	case 13:
		w.lock(t, rack.OpUnlock)
	}
}

// lockSpan is the time in which a lock holds.
type lockSpan struct {
	target      rack.Target
	from, until time.Time // zero: not yet
}

func (s lockSpan) covers(x write) bool {
	if s.from.IsZero() || !x.at.After(s.from) || !s.until.IsZero() && !x.at.Before(s.until) {
		return false
	}
	switch s.target.Kind {
	case rack.TargetRack:
		return true
	case rack.TargetNode:
		return x.on.N == 0 || s.target.Name == fmt.Sprintf("asic-%d", x.on.N) || s.target.Name == "gpu-1" && x.on.N > 6
	default:
		return x.on.N == 0 || s.target.Outlet == x.on
	}
}

// lock sets or releases a lock, signed, and notes when it holds.
func (w *walk) lock(t *rapid.T, op rack.Op) {
	target := rapid.SampledFrom([]string{"node/asic-1", "node/asic-4", "outlet/pdu-a.2", "outlet/pdu-a.3", "rack", "node/gpu-1"}).Draw(t, "locked")
	tg, _ := rack.ParseTarget(target)
	w.n++
	if op == rack.OpUnlock {
		for i := range w.spans {
			if w.spans[i].target == tg && w.spans[i].until.IsZero() {
				w.spans[i].until = w.r.now
			}
		}
	}
	i := len(w.spans)
	w.r.onInForce = func(token uint64) {
		if i, ok := w.coming[token]; ok {
			w.spans[i].from = w.r.now
		}
	}
	token, _ := w.r.lock(fmt.Sprintf("k%d", w.n), op, target)
	if token == 0 || op == rack.OpUnlock {
		return
	}
	w.spans = append(w.spans, lockSpan{target: tg})
	w.coming[token] = i
	if slices.Contains(w.r.inForce, token) {
		w.spans[i].from = w.r.now
	}
}

func (w *walk) command(t *rapid.T) {
	w.n++
	id := fmt.Sprintf("c%d", w.n)
	op := rapid.SampledFrom([]rack.Op{rack.OpCut, rack.OpEnergise, rack.OpCycle}).Draw(t, "op")
	target := rapid.SampledFrom([]string{
		"outlet/pdu-a.1", "outlet/pdu-a.2", "outlet/pdu-a.3", "node/asic-1", "node/asic-4", "node/asic-5", "outlet/pdu-a.7", "node/gpu-1",
		"group/three", "group/back", "group/mixed", "group/servers", "feed/bank", "feed/row", "rack",
	}).Draw(t, "target")
	life := time.Duration(rapid.SampledFrom([]int{1, 10, 60}).Draw(t, "life")) * time.Second
	refusal := w.r.command(id, op, target, func(c *rack.Command) {
		c.StartBy = w.r.now.Add(life)
		w.ops[id] = *c
	})
	if refusal != nil {
		if refusal.Text == "" || refusal.Code == "" {
			t.Fatalf("%s %s is refused without a word: %+v", op, target, refusal)
		}
		delete(w.ops, id)
	}
}

// judge looks at the writes that are new on the trace.
func (w *walk) judge(t *rapid.T) {
	for ; w.judged < len(w.r.writes); w.judged++ {
		x := w.r.writes[w.judged]
		for _, s := range w.spans {
			if s.covers(x) {
				t.Fatalf("%v under the lock of %s since %s", x, s.target, s.from)
			}
		}
		switch {
		case x.on.N == 0: // a bank taken over as it stood
			if w.explained(rack.FactAdopt, x) == 0 {
				t.Fatalf("%v: a take-over without its words on disk", x)
			}
		case x.do == string(rack.DoCut):
			if x.on.N > 6 {
				t.Fatalf("S3: outlet %d of the server was cut", x.on.N)
			}
			w.cut[x.on] = x.at
			w.mustBeCommanded(t, x)
		default:
			w.mustBeCommanded(t, x)
			if off := x.at.Sub(w.cut[x.on]); off < 30*time.Second && !w.wasOn(x) {
				t.Fatalf("S4: outlet %d energised %s after it was opened", x.on.N, off)
			}
			if gap := x.at.Sub(w.lastOn); gap < 250*time.Millisecond {
				t.Fatalf("S4: two energisings %s apart", gap)
			}
			w.lastOn = x.at
			if x.on.N > 6 {
				t.Fatalf("an unsigned command energised outlet %d of the server", x.on.N)
			}
		}
	}
}

// wasOn tells whether the last write on the outlet before this one closed it.
func (w *walk) wasOn(x write) bool {
	on := w.cut[x.on].Equal(time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC))
	for _, y := range w.r.writes[:w.judged] {
		if y.on == x.on {
			on = y.do == string(rack.DoEnergise)
		}
	}
	return on
}

func (w *walk) mustBeCommanded(t *rapid.T, x write) {
	for _, rec := range w.r.records[:x.rec] {
		if rec.Kind != rack.RecordAccepted {
			continue
		}
		for _, tp := range rec.Plan.Targets {
			for _, st := range tp.Steps {
				if st.On == x.on && string(st.Do) == x.do {
					return
				}
			}
		}
	}
	t.Fatalf("S1: %v is explained by no plan on disk", x)
}

func (w *walk) explained(fact string, x write) int {
	n := 0
	for _, rec := range w.r.records[:x.rec] {
		if rec.Progress != nil && rec.Progress.Fact == fact && rec.Progress.PDU == x.on.PDU {
			n++
		}
	}
	return n
}

// judgeEnds checks S5 and S8: one terminal result each, and none reported done that was not.
func (w *walk) judgeEnds(t *rapid.T) {
	ends := make(map[string]int)
	for _, o := range w.r.reports {
		if o.State.Terminal() {
			ends[o.Command]++
		}
	}
	for id, c := range w.ops {
		if ends[id] != 1 {
			t.Fatalf("S5: %s %s %s has %d terminal results", id, c.Op, c.Target, ends[id])
		}
	}
	for _, o := range w.r.reports {
		for _, tr := range o.Targets {
			if o.State.Terminal() && tr.State == rack.StateSucceeded {
				for _, st := range tr.Steps {
					if st.Settled == nil || st.Confirmed == nil {
						t.Fatalf("S8: %s succeeded with a step that is not settled: %+v", o.Command, st)
					}
				}
			}
		}
	}
}
