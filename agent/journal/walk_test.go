package journal

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"rackagent/agent/rack"
)

// model is what the journal must remember, kept in maps.
type model struct {
	standing map[string]standing
	state    map[string]rack.State // of the outcome
	order    []string
	orders   map[rack.OrderKind]float64
	wiring   map[rack.OutletID]rack.Wiring
	withdraw map[rack.OutletID]bool
}

func newModel() *model {
	return &model{
		standing: map[string]standing{}, state: map[string]rack.State{}, orders: map[rack.OrderKind]float64{},
		wiring: map[rack.OutletID]rack.Wiring{}, withdraw: map[rack.OutletID]bool{},
	}
}

func (m *model) clone() *model {
	return &model{
		maps.Clone(m.standing), maps.Clone(m.state), slices.Clone(m.order),
		maps.Clone(m.orders), maps.Clone(m.wiring), maps.Clone(m.withdraw),
	}
}

// take says whether S5 lets the record in, in words of its own, and follows it.
func (m *model) take(r rack.Record) bool {
	s := m.standing[r.ID]
	switch r.Kind {
	case rack.RecordWaiting:
		if s.waiting || s.accepted || s.rejected {
			return false
		}
		m.order = append(m.order, r.ID)
		s.waiting = true
	case rack.RecordAccepted, rack.RecordRejected:
		if s.accepted || s.rejected {
			return false
		}
		if !s.waiting {
			m.order = append(m.order, r.ID)
		}
		s.accepted, s.rejected = r.Kind == rack.RecordAccepted, r.Kind == rack.RecordRejected
	case rack.RecordProgress:
		if !s.accepted || s.ended {
			return false
		}
	case rack.RecordEnded:
		if !s.accepted || s.ended {
			return false
		}
		s.ended = true
	case rack.RecordAcked:
		if !s.rejected && !s.ended {
			return false
		}
		s.acked = true
	case rack.RecordOrder:
		m.orders[r.Order.Kind] = r.Order.Value
	case rack.RecordReleased:
		delete(m.orders, r.Order.Kind)
	case rack.RecordWiring:
		m.wiring[r.Outlet] = r.Wiring
	case rack.RecordWithdraw:
		m.withdraw[r.Outlet] = true
	}
	if r.Outcome != nil {
		m.state[r.ID] = r.Outcome.State
	}
	if r.ID != "" {
		m.standing[r.ID] = s
	}
	return true
}

// takeAll follows a set, or nothing of it.
func (m *model) takeAll(recs []rack.Record) (*model, bool) {
	next := m.clone()
	for _, r := range recs {
		if !next.take(r) {
			return m, false
		}
	}
	return next, true
}

func (m *model) differs(f Found) error {
	var waiting, unfinished, unacked []string
	for _, id := range m.order {
		switch s := m.standing[id]; {
		case s.waiting && !s.accepted && !s.rejected:
			waiting = append(waiting, id)
		case s.accepted && !s.ended:
			unfinished = append(unfinished, id)
		case !s.acked:
			unacked = append(unacked, id+" "+string(m.state[id]))
		}
	}
	var gotWaiting, gotUnfinished, gotUnacked []string
	for _, e := range f.Waiting {
		gotWaiting = append(gotWaiting, e.Command.ID)
	}
	for _, e := range f.Unfinished {
		gotUnfinished = append(gotUnfinished, e.Command.ID)
	}
	for _, o := range f.Unacked {
		gotUnacked = append(gotUnacked, o.Command+" "+string(o.State))
	}
	orders, wiring, withdraw := map[rack.OrderKind]float64{}, map[rack.OutletID]rack.Wiring{}, map[rack.OutletID]bool{}
	for _, o := range f.Orders {
		orders[o.Kind] = o.Value
	}
	for _, r := range f.Wiring {
		wiring[r.Outlet] = r.Wiring
	}
	for _, r := range f.Withdrawn {
		withdraw[r.Outlet] = true
	}
	switch {
	case !slices.Equal(gotWaiting, waiting):
		return fmt.Errorf("waiting %v, want %v", gotWaiting, waiting)
	case !slices.Equal(gotUnfinished, unfinished):
		return fmt.Errorf("unfinished %v, want %v", gotUnfinished, unfinished)
	case !slices.Equal(gotUnacked, unacked):
		return fmt.Errorf("unacknowledged %v, want %v", gotUnacked, unacked)
	case !maps.Equal(orders, m.orders) || !maps.Equal(wiring, m.wiring) || !maps.Equal(withdraw, m.withdraw):
		return fmt.Errorf("orders %v, wiring %v, withdrawn %v, want %v, %v, %v", orders, wiring, withdraw, m.orders, m.wiring, m.withdraw)
	case f.Lost || f.Observing || len(f.Damaged) > 0:
		return fmt.Errorf("lost %v, observing %v, damaged %v", f.Lost, f.Observing, f.Damaged)
	}
	return nil
}

func drawRecord(t *rapid.T) rack.Record {
	id := rapid.SampledFrom([]string{"a", "ab", "b", "c", "d", "e"}).Draw(t, "id")
	o := rack.OutletID{PDU: "pdu-a", N: rapid.IntRange(1, 3).Draw(t, "outlet")}
	switch rapid.SampledFrom([]rack.RecordKind{
		rack.RecordWaiting, rack.RecordAccepted, rack.RecordAccepted, rack.RecordRejected, rack.RecordProgress, rack.RecordEnded, rack.RecordEnded,
		rack.RecordAcked, rack.RecordAcked, rack.RecordOrder, rack.RecordReleased, rack.RecordWiring, rack.RecordWithdraw,
	}).Draw(t, "kind") {
	case rack.RecordWaiting: // the hash is that of the id, in waiting, accepted and rejected alike
		return waiting(id)
	case rack.RecordAccepted:
		return accepted(id, rapid.SampledFrom([]rack.Op{rack.OpCut, rack.OpEnergise}).Draw(t, "op"))
	case rack.RecordRejected:
		return rejected(id, rack.CodeMinOff)
	case rack.RecordProgress:
		return progressed(id)
	case rack.RecordEnded:
		return ended(id, rapid.SampledFrom([]rack.State{rack.StateSucceeded, rack.StateFailed, rack.StateUnknown}).Draw(t, "state"))
	case rack.RecordAcked:
		return acked(id)
	case rack.RecordOrder:
		return orderRecord(rack.RecordOrder, rack.OrderLimit, float64(rapid.IntRange(1, 3).Draw(t, "watts")))
	case rack.RecordReleased:
		return orderRecord(rack.RecordReleased, rack.OrderLimit, 0)
	case rack.RecordWiring:
		return wired(o, rapid.SampledFrom([]rack.Wiring{rack.WiringProven, rack.WiringUnproven}).Draw(t, "wiring"), "")
	default:
		return withdrawn(o)
	}
}

// walked is a running journal whose power can be cut: within any commit the bytes on disk can be taken away
// and a start made from them.
type walked struct {
	tb   testing.TB
	dir  string
	j    *Journal
	stop func()

	cut    bool   // take the bytes at the next commit
	before []byte // before the transaction
	after  []byte
}

func (w *walked) start() Found {
	o := optsAt(w.dir)
	o.Commit = func(update func() error) error {
		if !w.cut {
			return update()
		}
		path := filepath.Join(w.dir, fileJournal)
		w.before, _ = os.ReadFile(path)
		err := update()
		w.after, _ = os.ReadFile(path)
		return err
	}
	j, f := open(w.tb, o)
	w.j, w.stop = j, run(w.tb, j)
	return f
}

// crash starts again from the bytes given.
func (w *walked) crash(image []byte) Found {
	w.stop()
	if err := os.WriteFile(filepath.Join(w.dir, fileJournal), image, 0o600); err != nil {
		w.tb.Fatal(err)
	}
	return w.start()
}

// TestWalk makes random record sets and power cuts and compares with the model after each start.
func TestWalk(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &walked{tb: t, dir: memoryDir(t)}
		if f := w.start(); !f.First {
			rt.Fatal("not a first start")
		}
		defer func() { w.stop() }()
		m := newModel()
		submit := func(rt *rapid.T) (next *model) {
			recs := rapid.SliceOfN(rapid.Custom(drawRecord), 1, 4).Draw(rt, "set")
			next, ok := m.takeAll(recs)
			if err := keep(w.j, recs...); (err == nil) != ok {
				rt.Fatalf("%v, and the model says %v", err, ok)
			}
			return next
		}
		check := func(f Found) {
			if err := m.differs(f); err != nil {
				rt.Fatal(err)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"submit": func(rt *rapid.T) { m = submit(rt) },
			"restart": func(*rapid.T) {
				w.stop()
				check(w.start())
			},
			"cut power": func(rt *rapid.T) {
				w.before, w.after, w.cut = nil, nil, true
				next := submit(rt)
				w.cut = false
				if w.before == nil {
					return // refused before any commit
				}
				if rapid.Bool().Draw(rt, "after the commit") {
					m = next
					check(w.crash(w.after))
				} else {
					check(w.crash(w.before))
				}
			},
			"": func(rt *rapid.T) {
				for _, id := range []string{"a", "ab", "b", "c", "d", "e"} {
					e, known, err := w.j.Get(id)
					s := m.standing[id]
					if err != nil || known != (s.waiting || s.known()) || known && (e.Waiting == s.known() || e.Acked != s.acked || (e.Outcome != nil) != s.closed()) {
						rt.Fatalf("%s: %+v, %v, %v, want %+v", id, e, known, err, s)
					}
				}
			},
		})
	})
}
