package power

import (
	"fmt"
	"time"

	"rackagent/agent/rack"
)

// stillShare is the part of a step that another outlet, or an outlet of the node itself, has to move by to count as moved
// (S11).
const stillShare = 0.1

// harvest takes a sleep that is settled for a proof of the node's wiring (S11): nothing else was done on the boards
// concerned, exactly this node's outlets moved, and their sum moved as expected. What is only declared becomes proven; what
// is not trusted for a reason stays so until a person has corrected it.
func (m *Machine) harvest(now time.Time, t *target) {
	w := t.done
	if w == nil || w.miner.baseW == nil || w.result.Proof.AfterW == nil {
		return
	}
	step := *w.miner.baseW - *w.result.Proof.AfterW
	if !m.quiet(w, step) {
		return
	}
	for _, o := range w.miner.node.Outlets {
		p, _ := m.world.Layout.PDU(o.PDU)
		v := m.world.Outlets[o]
		if wiring, _ := m.world.Wiring(o); wiring != rack.WiringDeclared || p.Serial == "" || m.fell(w, o) < stillShare*step {
			continue
		}
		v.Proven = true
		m.world.Outlets[o] = v
		m.do(Learnt{})
		text := fmt.Sprintf("outlet %s is proven to feed %s: it was told to sleep, and exactly its outlets moved", o, w.miner.node.Name)
		m.owe(&owed{record: rack.Record{Kind: rack.RecordWiring, At: now, ID: t.job.cmd.ID, Outlet: o, Wiring: rack.WiringProven, Serial: p.Serial, Reason: text}})
		m.emit(rack.Event{Kind: rack.EventWiringProven, Severity: rack.Info, Device: o.PDU, Outlet: o, Node: w.miner.node.Name, Command: t.job.cmd.ID, Text: text})
	}
}

// fell is by how much an outlet's apparent power is lower than when the verb was said; what is not known has not moved.
func (m *Machine) fell(w *switching, o rack.OutletID) float64 {
	was, known := w.before[o]
	va, fresh := m.world.Apparent(o)
	if !known || !fresh || m.world.Outlets[o].W.At.Before(w.from) {
		return 0
	}
	return was - va
}

// quiet tells whether nothing but the node's outlets was touched or moved on the boards that they hang on.
func (m *Machine) quiet(w *switching, step float64) bool {
	own := make(map[rack.OutletID]bool)
	boards := make(map[string]bool)
	for _, o := range w.miner.node.Outlets {
		own[o], boards[o.PDU] = true, true
	}
	for name := range boards {
		p, _ := m.world.Layout.PDU(name)
		for _, o := range p.Outlets {
			if !own[o.ID] && !m.still(w, o, step) {
				return false
			}
		}
	}
	return true
}

// still tells whether an outlet of something else has neither been touched nor moved since the verb was said.
func (m *Machine) still(w *switching, o rack.Outlet, step float64) bool {
	v := m.world.Outlets[o.ID]
	node, _ := m.world.Layout.NodeOf(o.ID)
	if v.Writing || !v.Written.Before(w.began) {
		return false
	}
	if told := m.world.Nodes[node.Name].Told; node.API != nil && !told.IsZero() && told.Add(max(node.API.SleepBy, node.API.WakeBy)).After(w.began) {
		return false
	}
	if !o.Metered {
		return false // nobody knows
	}
	was, known := w.before[o.ID]
	va, fresh := m.world.Apparent(o.ID)
	return known && fresh && !v.W.At.Before(w.from) && abs(was-va) < stillShare*step
}
