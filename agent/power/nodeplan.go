package power

import (
	"fmt"

	"rackagent/agent/rack"
)

// tellable holds what must be true of a node before its miner is told anything, in the order an operator would ask.
func tellable(l *ledger, c rack.Command, n rack.Node, do rack.Verb) *rack.Refusal {
	switch {
	case n.Class.Firm():
		return refuse(rack.CodeUnsupported, "%s is a server: %s is for miners", n.Name, do)
	case n.API == nil:
		return refuse(rack.CodeUnsupported, "%s has no interface in the configuration: %s cannot be said to it", n.Name, do)
	case c.Args.Force:
		return refuse(rack.CodePrecondition, "force is only for a firm node, %s is not one", n.Name)
	}
	if r := guardTell(l.s, n.Name); r != nil {
		return r
	}
	open := 0
	for _, o := range n.Outlets {
		if closed, known := l.s.Closed(o); known && !closed {
			open++
		}
	}
	if open == len(n.Outlets) {
		return refuse(rack.CodePrecondition, "%s has no power: its outlets are open", n.Name)
	}
	if do != rack.DoWake {
		return nil
	}
	for _, o := range n.Outlets {
		if r := l.overLimit(n, o, l.s.awakeW(n)); r != nil {
			return r
		}
	}
	return nil
}

// awakeW is what a miner counts for once it is told to wake. Its supply is on: there is no surge.
func (s *Snapshot) awakeW(n rack.Node) float64 { return max(n.MaxW, s.Nodes[n.Name].PeakW) }

// planTold plans one node of a verb that is said to miners.
func planTold(l *ledger, c rack.Command, t rack.TargetPlan) rack.TargetPlan {
	node, _ := l.s.Layout.Node(t.Node)
	do := rack.DoSleep
	if c.Op == rack.OpWake {
		do = rack.DoWake
	}
	if r := tellable(l, c, node, do); r != nil {
		return refused(t, r)
	}
	t.Steps = []rack.Step{tellStep(l.s, node, do)}
	if c.Op.AddsPower() {
		l.set(node, max(l.get(node), l.s.awakeW(node)))
	}
	return t
}

func tellStep(s *Snapshot, n rack.Node, do rack.Verb) rack.Step {
	st := rack.Step{Do: do, Node: n.Name}
	within := n.API.WakeBy
	if sum, _, ok := s.sum(n); ok {
		st.BeforeW = &sum
	}
	switch {
	case do == rack.DoWake:
		kept, _ := s.interrupted(n)
		st.Proof = fmt.Sprintf("it says that it is awake, and two samples after that above %.0f W", awakeAbove(n, kept.Value))
	case st.BeforeW != nil:
		within = n.API.SleepBy
		st.Proof = fmt.Sprintf("it says that it sleeps, and two samples after that below %.0f W", asleepBelow(*st.BeforeW, n.API.FanW))
	default:
		within = n.API.SleepBy
		st.Proof = "it says that it sleeps; no meter shows what it draws"
	}
	st.LimitMS = (askLimit + recordLimit + n.API.Write + within).Milliseconds()
	return st
}
