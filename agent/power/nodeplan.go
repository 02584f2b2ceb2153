package power

import (
	"fmt"
	"time"

	"rackagent/agent/rack"
)

// tellable holds what must be true of a node before its miner is told anything, in the order an operator would ask.
func tellable(s *Snapshot, c rack.Command, n rack.Node, do rack.Verb) *rack.Refusal {
	switch {
	case n.Class.Firm():
		return refuse(rack.CodeUnsupported, "%s is a server: %s is for miners", n.Name, do)
	case n.API == nil:
		return refuse(rack.CodeUnsupported, "%s has no interface in the configuration: %s cannot be said to it", n.Name, do)
	case n.API.ReadOnly:
		return refuse(rack.CodeUnsupported, "the interface of %s (%s) takes no verb: %s cannot be said to it", n.Name, n.API.Dialect, do)
	case c.Args.Force:
		return refuse(rack.CodePrecondition, "force is only for a firm node, %s is not one", n.Name)
	}
	if r := guardTell(s, n.Name); r != nil {
		return r
	}
	if do.Raises() || do == rack.DoLimit && !s.limitLowers(c, n) {
		if r := guardHeld(s, n); r != nil {
			return r
		}
	}
	open := 0
	for _, o := range n.Outlets {
		if closed, known := s.Closed(o); known && !closed {
			open++
		}
	}
	if open == len(n.Outlets) {
		return refuse(rack.CodePrecondition, "%s has no power: its outlets are open", n.Name)
	}
	return nil
}

// limitLowers tells whether a limit is below what is drawn now.
func (s *Snapshot) limitLowers(c rack.Command, n rack.Node) bool {
	w, _, ok := s.sum(n)
	return ok && c.Args.LimitW > 0 && c.Args.LimitW < w
}

// roomAwake refuses what makes a miner draw all it can where a level of its feed has no room for that.
func roomAwake(l *ledger, n rack.Node) *rack.Refusal {
	for _, o := range n.Outlets {
		if r := l.overLimit(n, o, l.s.awakeW(n)); r != nil {
			return r
		}
	}
	return nil
}

// awakeW is what a miner counts for once it is told to wake. Its supply is on: there is no surge.
func (s *Snapshot) awakeW(n rack.Node) float64 { return max(n.MaxW, s.Nodes[n.Name].PeakW) }

// planNode plans one node of a verb that is about nodes whole.
func planNode(now time.Time, l *ledger, c rack.Command, t rack.TargetPlan) rack.TargetPlan {
	node, _ := l.s.Layout.Node(t.Node)
	var r *rack.Refusal
	switch c.Op {
	case rack.OpShutdown:
		t.Steps, r = shutdownSteps(now, l, c, node)
	case rack.OpStart:
		t.Steps, r = startSteps(now, l, c, node)
	default:
		t.Steps, r = tellSteps(l, c, node)
	}
	if r != nil {
		return refused(t, r)
	}
	if c.Op.AddsPower() {
		l.set(node, max(l.get(node), mostOfNode(l.s, node, t.Steps)))
	}
	return t
}

// mostOfNode is what a node counts for once the steps are done.
func mostOfNode(s *Snapshot, n rack.Node, steps []rack.Step) float64 {
	for _, st := range steps {
		if st.Do == rack.DoEnergise {
			return s.coldW(n)
		}
	}
	return s.awakeW(n)
}

func tellSteps(l *ledger, c rack.Command, n rack.Node) ([]rack.Step, *rack.Refusal) {
	do := rack.Verb(c.Op)
	if r := tellable(l.s, c, n, do); r != nil {
		return nil, r
	}
	if do.Raises() {
		if r := roomAwake(l, n); r != nil {
			return nil, r
		}
	}
	if _, ok := l.s.kept(n, rack.OrderLimited); !ok && do == rack.DoRelease {
		return nil, refuse(rack.CodePrecondition, "nothing is kept of what %s did before a limit: there is none of this agent", n.Name)
	}
	return []rack.Step{tellStep(l.s, n, do, c.Args)}, nil
}

// shutdownSteps put a miner to sleep, let its fans run on, and cut its outlets; or only the one or the other.
func shutdownSteps(now time.Time, l *ledger, c rack.Command, n rack.Node) ([]rack.Step, *rack.Refusal) {
	if n.Class.Firm() {
		return nil, refuse(rack.CodeUnsupported, "%s is a server: this version shuts no server down", n.Name)
	}
	var steps []rack.Step
	if !c.Args.Now && !allOpen(l.s, n, nil) {
		if r := tellable(l.s, c, n, rack.DoSleep); r != nil {
			if n.API == nil || n.API.ReadOnly {
				r.Text += "; now:true cuts it while it runs"
			}
			return nil, r
		}
		steps = append(steps, tellStep(l.s, n, rack.DoSleep, c.Args))
	}
	if c.Args.Outlet == rack.OutletKeep {
		if len(steps) == 0 {
			return nil, refuse(rack.CodePrecondition, "%s has no power: its outlets are open", n.Name)
		}
		return steps, nil
	}
	for i, o := range n.Outlets {
		if r := admissible(now, l.s, c, o); r != nil {
			return nil, r
		}
		cut := cutStep(l.s, o)
		if i == 0 && len(steps) > 0 {
			cut.WaitMS, cut.Hot = n.API.FanFor.Milliseconds(), false
		}
		steps = append(steps, cut)
	}
	return steps, nil
}

// startSteps close what is open of a miner's outlets and let it do again what was interrupted.
func startSteps(now time.Time, l *ledger, c rack.Command, n rack.Node) ([]rack.Step, *rack.Refusal) {
	if n.Class.Firm() {
		return nil, refuse(rack.CodeUnsupported, "%s is a server: this version starts none; outlet.energise closes its outlets", n.Name)
	}
	var steps []rack.Step
	for _, o := range n.Outlets {
		if closed, known := l.s.Closed(o); known && closed {
			continue
		}
		st, r := startOutlet(now, l, c, n, o)
		if r != nil {
			return nil, r
		}
		steps = append(steps, st)
	}
	told := n.API != nil && !n.API.ReadOnly
	switch {
	case told && len(steps) == 0:
		if r := tellable(l.s, c, n, rack.DoWake); r != nil {
			return nil, r
		}
		if r := roomAwake(l, n); r != nil {
			return nil, r
		}
		fallthrough
	case told:
		wake := tellStep(l.s, n, rack.DoWake, c.Args)
		wake.LimitMS += bootLimit.Milliseconds()
		steps = append(steps, wake)
	case len(steps) == 0:
		return nil, refuse(rack.CodePrecondition, "%s has power, and no interface that it could be woken by", n.Name)
	}
	return steps, nil
}

// startOutlet is the step that closes an outlet. A start waits for the minimum off time within its deadline.
func startOutlet(now time.Time, l *ledger, c rack.Command, n rack.Node, o rack.OutletID) (rack.Step, *rack.Refusal) {
	if r := admissible(now, l.s, c, o); r != nil {
		return rack.Step{}, r
	}
	st := energiseStep(l.s, o)
	if r := offLongEnough(now, l.s, n, o); r != nil {
		if r.Earliest.IsZero() {
			return rack.Step{}, r
		}
		st.WaitMS = r.Earliest.Sub(now).Milliseconds()
	}
	if r := l.overLimit(n, o, l.s.coldW(n)); r != nil {
		return rack.Step{}, r
	}
	return st, nil
}

// bootLimit is how long a miner may take from power until its interface answers. Source: a vendor's own fleet worker waits
// 240 s after a reboot.
const bootLimit = 240 * time.Second

// cutsOf is how long the cuts of a plan may take, or all that a target is told that has none: of the one that has the most.
func cutsOf(p *rack.Plan) time.Duration {
	var longest time.Duration
	for _, t := range p.Targets {
		need := cutsLeft(t.Steps)
		for _, st := range t.Steps {
			if cutsLeft(t.Steps) == 0 {
				need += st.Limit()
			}
		}
		longest = max(longest, need)
	}
	return longest
}

func cutsLeft(steps []rack.Step) time.Duration {
	var d time.Duration
	for _, st := range steps {
		if st.Do == rack.DoCut {
			d += st.Limit()
		}
	}
	return d
}

func tellStep(s *Snapshot, n rack.Node, do rack.Verb, args rack.Args) rack.Step {
	st := rack.Step{Do: do, Node: n.Name}
	within := n.API.WakeBy
	if sum, _, ok := s.sum(n); ok {
		st.BeforeW = &sum
	}
	switch {
	case do == rack.DoWake:
		kept, _ := s.kept(n, rack.OrderSlept)
		st.Proof = fmt.Sprintf("it says that it is awake, and two samples after that above %.0f W", awakeAbove(n, kept.Value))
	case do == rack.DoLimit && args.Mode != "":
		st.Proof = fmt.Sprintf("it says that it is in mode %s, and its watts differ by 5 %%", args.Mode)
	case do == rack.DoLimit:
		st.Proof = fmt.Sprintf("it says so, and for %s no sample above %.0f W", limitHold, limitShare*args.LimitW)
	case do == rack.DoRelease:
		kept, _ := s.kept(n, rack.OrderLimited)
		st.Proof = fmt.Sprintf("it says that it does again what it did before the limit, and two samples above %.0f W", backShare*kept.Value)
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
