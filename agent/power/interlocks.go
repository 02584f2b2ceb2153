package power

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"rackagent/agent/rack"
)

// Demanded is a change of an interlock.
type Demanded struct{ Demand rack.Demand }

func (Demanded) input() {}

const issuerInterlock = "local/interlock"

// interlocks are what the machine knows of those that are not clear.
type interlocks struct {
	due     []dueDemand          // tripped, and not yet acted on: not armed yet, or its plan was refused
	again   time.Time            // when those are tried again
	latches map[string]string    // by command of the agent's own: why its nodes are locked once it has ended
	sweep   time.Time            // when what is not down is looked for next
	said    map[string]rack.Code // refusals of single outlets that were told, by interlock and outlet
}

// dueDemand is a demand that waits, and the refusal of it that was told.
type dueDemand struct {
	rack.Demand
	said rack.Code
}

// demandAgain is the pause before a demand that could not be carried out is tried again, arbitrary.
const demandAgain = 5 * time.Second

// demanded takes a change of an interlock: power that is being added below it ends, and what it asks for is begun.
func (m *Machine) demanded(now time.Time, d rack.Demand) {
	held := maps.Clone(m.world.Held)
	if held == nil {
		held = make(map[string]rack.Demand)
	}
	delete(held, d.Name)
	m.locks.due = slices.DeleteFunc(m.locks.due, func(old dueDemand) bool { return old.Name == d.Name })
	maps.DeleteFunc(m.locks.said, func(key string, _ rack.Code) bool { return strings.HasPrefix(key, d.Name+" ") })
	sev, cleared := rack.Critical, false
	switch d.State {
	case rack.InterlockTripped:
		held[d.Name] = d
		if d.Do != "" {
			m.locks.due, m.locks.again = append(m.locks.due, dueDemand{Demand: d}), now
		}
	case rack.InterlockBlind:
		sev = rack.Error
	default:
		sev, cleared = rack.Info, true
	}
	m.world.Held = held
	m.emit(rack.Event{Kind: rack.EventInterlock, Severity: sev, Device: d.Name, To: string(d.State), Text: d.Why})
	m.do(Raise{rack.Alarm{Key: "interlock." + d.Name, Since: now, Severity: sev, Text: d.Why, Cleared: cleared}})
	m.stopHeld(d)
	m.carryOutDemands(now)
}

// stopHeld ends what adds power to miners under an interlock that has tripped.
func (m *Machine) stopHeld(d rack.Demand) {
	if d.State != rack.InterlockTripped {
		return
	}
	for _, j := range m.jobs {
		for _, t := range j.targets {
			n, ok := m.world.Layout.Node(t.plan.Node)
			adds := j.cmd.Op.AddsPower() || j.cmd.Op == rack.OpLimit && !t.lowers()
			if !ok || n.Class.Firm() || !adds || t.result != nil || t.found != nil || !m.world.under(d, n) {
				continue
			}
			m.stopTarget(t, verdict{state: rack.StateCancelled, code: rack.CodeInterlock, text: d.Why})
		}
	}
}

// carryOutDemands begins what tripped interlocks ask for.
func (m *Machine) carryOutDemands(now time.Time) {
	if len(m.locks.due) == 0 || now.Before(m.locks.again) || !m.arm(now) {
		return
	}
	m.locks.again = now.Add(demandAgain)
	var left []dueDemand
	for _, d := range m.locks.due {
		bad := m.carryOut(now, d.Demand)
		if bad == nil {
			continue
		}
		if bad.Code != d.said {
			m.noteUndone(d.Demand, bad)
			d.said = bad.Code
		}
		left = append(left, d)
	}
	m.locks.due = left
}

// carryOut begins one; a refusal may pass, and it is tried again.
func (m *Machine) carryOut(now time.Time, d rack.Demand) *rack.Refusal {
	c := rack.Command{Op: rack.OpSleep, Target: d.Target, Issuer: issuerInterlock, Why: d.Why, Emergency: d.Latch && d.Do == rack.DoCut}
	if d.Do == rack.DoCut {
		c.Op = rack.OpCut
	}
	id, bad := m.beginOwnAs(now, c)
	if bad != nil && d.Do == rack.DoSleep && bad.Code != rack.CodeObserving {
		d.Do = rack.DoCut // none of them can be told anything
		return m.carryOut(now, d)
	}
	if bad != nil {
		return bad
	}
	if d.Latch {
		m.latchAfter(id, d)
	}
	m.locks.sweep = now.Add(demandAgain)
	return nil
}

func (m *Machine) noteUndone(d rack.Demand, bad *rack.Refusal) {
	m.emit(rack.Event{
		Kind: rack.EventInterlock, Severity: rack.Critical, Device: d.Name, To: string(d.State), Reason: string(bad.Code),
		Text: fmt.Sprintf("%s; %s of %s is not begun: %s", d.Why, d.Do, d.Target, bad.Text),
	})
}

func (m *Machine) latchAfter(id string, d rack.Demand) {
	if m.locks.latches == nil {
		m.locks.latches = make(map[string]string)
	}
	m.locks.latches[id] = d.Why
}

// ownEnded locks what a leak or a stop has cut until a person has looked at it.
func (m *Machine) ownEnded(now time.Time, j *job) {
	id := j.cmd.ID
	why, ok := m.locks.latches[id]
	if !ok {
		return
	}
	delete(m.locks.latches, id)
	for _, t := range j.targets {
		n, known := m.world.Layout.Node(t.plan.Node)
		own := func(o rack.Order) bool { return o.Kind == rack.OrderLock && o.Target == rack.NodeTarget(n.Name) }
		if !known || n.Class.Firm() || slices.ContainsFunc(m.world.Orders, own) { // one lock does not stand for another
			continue
		}
		o := rack.Order{Kind: rack.OrderLock, Target: rack.NodeTarget(n.Name), Command: id, By: issuerInterlock, Since: now, Why: why}
		m.oweOrder(now, id, o, false)
		m.emit(rack.Event{Kind: rack.EventLock, Severity: rack.Warn, Node: n.Name, Command: id, Reason: "locked", Text: fmt.Sprintf("%s is locked until a person unlocks it: %s", n.Name, why)})
	}
	m.do(Learnt{})
}

// sweepHeld cuts, outlet by outlet, what tripped interlocks have not brought down: what their command left, what was refused then and
// is not any more, what has come back by itself.
func (m *Machine) sweepHeld(now time.Time) {
	if len(m.world.Held) == 0 || now.Before(m.locks.sweep) || m.closing || !m.arm(now) {
		return
	}
	m.locks.sweep = now.Add(demandAgain)
	for _, name := range slices.Sorted(maps.Keys(m.world.Held)) {
		d := m.world.Held[name]
		if d.Do == "" || slices.ContainsFunc(m.locks.due, func(w dueDemand) bool { return w.Name == name }) {
			continue
		}
		for _, n := range m.world.Layout.Nodes {
			if busy, _ := m.busyOwn(n.Name); !n.Class.Firm() && m.world.under(d, n) && !busy {
				m.sweepNode(now, d, n)
			}
		}
	}
}

func (m *Machine) sweepNode(now time.Time, d rack.Demand, n rack.Node) {
	if d.Do == rack.DoSleep && m.world.quiet(n) {
		return
	}
	for _, o := range n.Outlets {
		closed, known := m.world.Closed(o)
		wiring, _ := m.world.Wiring(o)
		if known && !closed || m.world.Outlets[o].Withdrawn != "" || wiring == rack.WiringUnproven {
			continue
		}
		again := d
		again.Do, again.Target = rack.DoCut, rack.OutletTarget(o)
		again.Why = d.Why + "; " + o.String() + " is not open yet"
		key := d.Name + " " + o.String()
		bad := m.carryOut(now, again)
		if bad == nil {
			delete(m.locks.said, key)
			continue
		}
		if m.locks.said == nil {
			m.locks.said = make(map[string]rack.Code)
		}
		if m.locks.said[key] != bad.Code {
			m.locks.said[key] = bad.Code
			m.noteUndone(again, bad)
		}
	}
}

// quiet tells whether a miner draws no more than a sleeping one.
func (s *Snapshot) quiet(n rack.Node) bool {
	v := s.Nodes[n.Name]
	w, _, measured := s.sum(n)
	if !measured {
		return n.API != nil && v.Asleep.Fresh(s.At, freshFor*n.API.Period) && v.Asleep.Value == 1
	}
	return w <= s.asleepLimit(n)
}

// heldBy is a tripped interlock that a node is under; nil: none.
func (s *Snapshot) heldBy(n rack.Node) *rack.Demand {
	for _, name := range slices.Sorted(maps.Keys(s.Held)) {
		d := s.Held[name]
		if s.under(d, n) {
			return &d
		}
	}
	return nil
}

// under tells whether a node is one that an interlock is about.
func (s *Snapshot) under(d rack.Demand, n rack.Node) bool {
	members, _ := s.Layout.Members(d.Target)
	return d.Target == rack.NodeTarget(n.Name) || slices.ContainsFunc(members, func(m rack.Node) bool { return m.Name == n.Name })
}

// guardHeld refuses to add power to a miner under a tripped interlock. Servers are not under them: what keeps one off is a
// person's to decide.
func guardHeld(s *Snapshot, n rack.Node) *rack.Refusal {
	if n.Class.Firm() {
		return nil
	}
	if d := s.heldBy(n); d != nil {
		return refuse(rack.CodeInterlock, "%s adds no power now: %s", n.Name, d.Why)
	}
	return nil
}
