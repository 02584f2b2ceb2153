package power

import (
	"slices"

	"rackagent/agent/rack"
)

// PowerState is what a node does, from its relays, its watts and, of a miner, its own word. What does not fit together is a
// fault, what is not known is unknown.
func (s *Snapshot) PowerState(n rack.Node) rack.PowerState {
	v := s.Nodes[n.Name]
	switch {
	case s.ProvenOff(n):
		return rack.PowerOff
	case v.Doing != "":
		return v.Doing
	case slices.ContainsFunc(n.Outlets, func(o rack.OutletID) bool { return s.Outlets[o].Live }):
		return rack.PowerFault // it draws behind an open relay
	}
	w, _, measured := s.sum(n)
	if n.API == nil {
		if measured && w > asleepW {
			return rack.PowerRunning
		}
		return rack.PowerUnknown
	}
	return s.minerState(n, w, measured)
}

func (s *Snapshot) minerState(n rack.Node, w float64, measured bool) rack.PowerState {
	v, limit := s.Nodes[n.Name], freshFor*n.API.Period
	said := v.Asleep.Fresh(s.At, limit)
	_, limited := s.kept(n, rack.OrderLimit)
	switch {
	case !said && measured && w > asleepBelow(0, n.API.FanW):
		return rack.PowerRunning // whatever it would say: it draws
	case !said:
		return rack.PowerUnknown
	case v.Asleep.Value == 1 && (s.sleeping(n) || !measured):
		return rack.PowerSleeping
	case v.Asleep.Value == 1:
		return rack.PowerFault // it draws, and says that it sleeps
	case v.Hashing.Value == 0 && s.At.Sub(v.Told) < n.API.WakeBy && !v.Told.IsZero():
		return rack.PowerStarting
	case limited:
		return rack.PowerLimited
	default:
		return rack.PowerRunning
	}
}

// doing is what a command that is under way makes of a node.
func doing(t *target) rack.PowerState {
	if t.current == nil && t.next == 0 {
		return "" // it has not begun
	}
	switch t.plan.Steps[min(t.next, len(t.plan.Steps)-1)].Do {
	case rack.DoCut, rack.DoSleep:
		return rack.PowerStopping
	case rack.DoEnergise, rack.DoWake:
		return rack.PowerStarting
	default:
		return ""
	}
}

// noteDoing notes what commands are making of nodes.
func (m *Machine) noteDoing() {
	now := make(map[string]rack.PowerState)
	for _, j := range m.jobs {
		for _, t := range j.targets {
			if t.result == nil && t.found == nil && t.plan.Node != "" && now[t.plan.Node] == "" {
				now[t.plan.Node] = doing(t)
			}
		}
	}
	for name, v := range m.world.Nodes {
		if v.Doing != now[name] {
			v.Doing = now[name]
			m.world.Nodes[name] = v
		}
		delete(now, name)
	}
	for name, what := range now {
		if what != "" {
			m.world.Nodes[name] = NodeView{Doing: what}
		}
	}
}
