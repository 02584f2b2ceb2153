package observer

import (
	"math"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/sim"
)

// truth is what the world knows and no agent does.
type truth struct {
	rack     *sim.Rack
	contacts map[rack.OutletID][]sim.Contact
	downs    []sim.Down
	faults   []sim.Injected
}

func newTruth(w *sim.World) *truth {
	t := &truth{rack: w.Rack(), contacts: map[rack.OutletID][]sim.Contact{}, downs: w.Rack().Downs(), faults: w.Faults()}
	for _, c := range t.rack.Contacts() {
		t.contacts[c.Outlet] = append(t.contacts[c.Outlet], c)
	}
	return t
}

// first tells whether an outlet's contact was closed when the world began.
func (t *truth) first(o *outlet) bool {
	if moved := t.contacts[o.id]; len(moved) > 0 {
		return !moved[0].Closed
	}
	return t.rack.Closed(o.id)
}

// last is the newest change of a contact up to a moment; nil where there was none.
func (t *truth) last(o *outlet, at time.Time) *sim.Contact {
	var found *sim.Contact
	for i, c := range t.contacts[o.id] {
		if !c.At.After(at) {
			found = &t.contacts[o.id][i]
		}
	}
	return found
}

// closed tells whether an outlet's contact was closed at a moment.
func (t *truth) closed(o *outlet, at time.Time) bool {
	if c := t.last(o, at); c != nil {
		return c.Closed
	}
	return t.first(o)
}

// watts is what an outlet drew at a moment.
func (t *truth) watts(o *outlet, at time.Time) float64 { return t.rack.WattsAt(o.id, at) }

// mean is what outlets drew together over an interval.
func (t *truth) mean(from, to time.Time, outlets ...*outlet) float64 {
	var sum float64
	for _, o := range outlets {
		sum += t.rack.Joules(o.id, from, to)
	}
	return sum / to.Sub(from).Seconds()
}

// between is the lowest and the highest power of outlets of one meter in a window, as means over stretches as short as
// its meter's.
func (t *truth) between(from, to time.Time, outlets ...*outlet) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	stretch := outlets[0].meter.integration
	for a := from; a.Before(to); a = a.Add(stretch) {
		v := t.mean(a, a.Add(stretch), outlets...)
		low, high = min(low, v), max(high, v)
	}
	return low, high
}

// span is the time in which a fault was in force; a zero end means it still is.
type span struct{ from, to time.Time }

func (s span) covers(at time.Time) bool {
	return !s.from.After(at) && (s.to.IsZero() || at.Before(s.to))
}

// overlaps tells whether the span and a window share a moment.
func (s span) overlaps(from, to time.Time) bool {
	return !s.from.After(to) && (s.to.IsZero() || s.to.After(from))
}

// once tells the faults that happen and are over.
func once(k sim.FaultKind) bool {
	return k == sim.FaultRestart || k == sim.FaultBrownout || k == sim.FaultForget
}

// recovery is how long after a fault has gone its effects may be seen: arbitrary, some sampling periods.
const recovery = 10 * time.Second

// spans lists when faults were in force that a condition picks. Those that happen once last for the recovery.
func (t *truth) spans(pick func(sim.Fault) bool) []span {
	var out []span
	open := map[sim.Fault]int{}
	for _, f := range t.faults {
		switch {
		case !pick(f.Fault):
		case once(f.Fault.Kind):
			out = append(out, span{f.At, f.At.Add(recovery)})
		case f.Healed:
			if i, ok := open[f.Fault]; ok {
				out[i].to = f.At
				delete(open, f.Fault)
			}
		default:
			open[f.Fault] = len(out)
			out = append(out, span{from: f.At})
		}
	}
	return out
}

// blinds tells whether a fault keeps an outlet's meter from being read.
func blinds(f sim.Fault, o *outlet) bool {
	switch f.Kind {
	case sim.FaultNack:
		return f.Name == o.meter.chip || f.Name == o.meter.mux && f.Name != ""
	case sim.FaultHang, sim.FaultStuck:
		return f.Name == o.pdu.bus
	case sim.FaultFeedLost:
		return f.Name == o.feed
	default:
		return false
	}
}

// falsifies tells whether a fault makes an outlet's meter say something else than the truth.
func falsifies(f sim.Fault, o *outlet) bool {
	switch f.Kind {
	case sim.FaultFrozen, sim.FaultZero, sim.FaultRestart:
		return f.Name == o.meter.chip
	case sim.FaultForget:
		return o.meter.mux != "" && (f.Name == o.pdu.name || f.Name == o.meter.mux)
	default:
		return false
	}
}

// disturbed tells whether any fault of an outlet's meter was in force in a window, or had just gone.
func (t *truth) disturbed(o *outlet, from, to time.Time) bool {
	for _, s := range t.spans(func(f sim.Fault) bool { return blinds(f, o) || falsifies(f, o) }) {
		if s.overlaps(from.Add(-recovery), to) {
			return true
		}
	}
	return false
}

// blind gives since when an outlet's meter cannot be read, if that is so at a moment.
func (t *truth) blind(o *outlet, at time.Time) (time.Time, bool) {
	var since time.Time
	for _, s := range t.spans(func(f sim.Fault) bool { return blinds(f, o) }) {
		if s.covers(at) && (since.IsZero() || s.from.Before(since)) {
			since = s.from
		}
	}
	return since, !since.IsZero()
}

// crossed tells whether an outlet was ever switched by another one's relay up to a moment.
func (t *truth) crossed(o *outlet, until time.Time) bool {
	for _, f := range t.faults {
		if f.Fault.Kind == sim.FaultCrossed && !f.At.After(until) && (f.Fault.Outlet == o.id || f.Fault.Other == o.id) {
			return true
		}
	}
	return false
}
