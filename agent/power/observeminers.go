package power

import (
	"fmt"
	"time"

	"rackagent/agent/rack"
)

// Figures of what is noticed about a miner that nobody has told anything.
const (
	// oddFor is how long a miner may say that it sleeps and draw all the same before an event says so; idleFor the same of one
	// that is awake and hashes nothing, which tunes itself for a quarter of an hour at most. Both arbitrary.
	oddFor  = time.Minute
	idleFor = 15 * time.Minute
	// foreignGap is the pause between two events about somebody else's changes of one miner: some firmwares change their
	// profile by themselves. Arbitrary.
	foreignGap = 5 * time.Minute
)

// observeMiner takes what a miner says of itself.
func (m *Machine) observeMiner(r rack.Reading) {
	node, ok := m.world.Layout.Node(r.Point.Device)
	if !ok || node.API == nil {
		return
	}
	v := m.world.Nodes[node.Name]
	switch r.Point.Quantity {
	case rack.AsleepFlag:
		old := v.Asleep
		v.Asleep = newer(v.Asleep, r)
		if r.Quality == rack.QualityOK && !r.At.Before(old.At) {
			v = m.noticeChange(node, v, old, r)
		}
	case rack.HashTHs:
		v.Rate = newer(v.Rate, r)
	case rack.Hashing:
		v.Hashing = newer(v.Hashing, r)
		v = m.noticeOdd(node, v)
	}
	m.world.Nodes[node.Name] = v
}

// concernsNode tells whether a command that is under way, or was a moment ago, explains what a miner does.
func (m *Machine) concernsNode(n rack.Node) bool {
	v := m.world.Nodes[n.Name]
	if !v.Told.IsZero() && m.world.At.Sub(v.Told) < max(n.API.SleepBy, n.API.WakeBy) {
		return true
	}
	for _, j := range m.jobs {
		for _, t := range j.targets {
			if t.result == nil && t.plan.Node == n.Name {
				return true
			}
		}
	}
	return false
}

// noticeChange reports a miner that woke, was put to sleep or was told to do something else without a command of ours.
func (m *Machine) noticeChange(n rack.Node, v NodeView, old, r rack.Reading) NodeView {
	awake := r.Value == 0
	slept := old.Quality == rack.QualityOK && old.Value == 1
	print := v.Print
	if awake {
		v.Print = r.Raw
	}
	if m.concernsNode(n) || old.Quality != rack.QualityOK {
		return v
	}
	kept, ours := m.world.kept(n, rack.OrderSlept)
	switch {
	case awake && slept && ours:
		m.emitMiner(n, reasonByItself, fmt.Sprintf("%s was put to sleep by command %s and is awake without a command of this agent", n.Name, kept.Command))
	case awake && slept:
		v = m.foreign(n, v, n.Name+" was woken without a command of this agent")
	case !awake && !slept:
		v = m.foreign(n, v, n.Name+" was put to sleep without a command of this agent")
	case awake && print != 0 && r.Raw != print:
		v = m.foreign(n, v, n.Name+" is told to do something else than before, without a command of this agent")
	}
	return v
}

func (m *Machine) foreign(n rack.Node, v NodeView, text string) NodeView {
	if v.Foreign.IsZero() || m.world.At.Sub(v.Foreign) >= foreignGap {
		v.Foreign = m.world.At
		m.emitMiner(n, reasonForeign, text)
	}
	return v
}

// noticeOdd reports a miner that draws without working, by its own word.
func (m *Machine) noticeOdd(n rack.Node, v NodeView) NodeView {
	limit := freshFor * n.API.Period
	w, _, ok := m.world.sum(n)
	asleep := v.Asleep.Fresh(m.world.At, limit) && v.Asleep.Value == 1
	idle := v.Hashing.Fresh(m.world.At, limit) && v.Hashing.Value == 0
	kept, _ := m.world.kept(n, rack.OrderSlept)
	if !ok || !idle || w <= asleepBelow(kept.Value, n.API.FanW) || m.concernsNode(n) {
		v.Odd, v.OddTold = time.Time{}, false
		return v
	}
	if v.Odd.IsZero() {
		v.Odd = m.world.At
	}
	after, reason, text := idleFor, reasonIdle, "hashes nothing"
	if asleep {
		after, reason, text = oddFor, reasonDrawing, "says that it sleeps"
	}
	if since := m.world.At.Sub(v.Odd); since >= after && !v.OddTold {
		v.OddTold = true
		m.emitMiner(n, reason, fmt.Sprintf("%s %s and draws %.0f W, for %s", n.Name, text, w, since.Round(time.Second)))
	}
	return v
}

func (m *Machine) emitMiner(n rack.Node, reason, text string) {
	m.emit(rack.Event{Kind: rack.EventMiner, Severity: rack.Warn, Device: n.Name, Node: n.Name, Reason: reason, Text: text})
}
