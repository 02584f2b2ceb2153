package power

import (
	"fmt"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers"
)

// Limits of steps and thresholds of proof.
const (
	cutLimit      = 5 * time.Second  // from the write to two samples that prove it
	energiseLimit = 10 * time.Second // from the write to a load
	writeLimit    = 3 * time.Second  // queueing in the lane and the write itself, arbitrary
	// cutWriteLimit is the same of a cut, which outlasts a job behind a mux that meets a held line (three time-outs of an
	// adapter, 1 s each on Linux) and the clocks that free it. With cutLimit it makes the 10 s that a cut may take in all.
	cutWriteLimit = 5 * time.Second
	noLoadVA      = 10.0      // VA; below this a meter cannot prove a cut
	noLoadShare   = 0.02      // of the power before
	loadW         = 5.0       // W; an energised outlet carries more than this, or three times its noise
	hotW          = 60.0      // W; above what a sleeping miner draws: the load is running
	longestWait   = time.Hour // of a cycle's open half, arbitrary
)

// Plan turns a command into steps, judging from one snapshot, or refuses it and says why. It is pure: the same
// snapshot and command give the same plan. Nothing is reserved by planning; the machine judges again before each
// step.
func Plan(now time.Time, s *Snapshot, c rack.Command) (rack.Plan, *rack.Refusal) {
	if !c.Op.MovesPower() {
		return rack.Plan{}, refuse(rack.CodeUnsupported, "%s moves no outlet", c.Op)
	}
	if c.If != nil {
		return rack.Plan{}, refuse(rack.CodePrecondition, "preconditions (if) cannot be judged for %s", c.Op)
	}
	tp, r := resolve(s, c.Target)
	if r != nil {
		return rack.Plan{}, r
	}
	p := rack.Plan{Command: c.ID, Made: now}
	var later []rack.Step
	for _, o := range tp.outlets {
		if r := admissible(now, s, c, o); r != nil {
			return rack.Plan{}, r
		}
		steps, r := stepsFor(now, s, c, o)
		if r != nil {
			return rack.Plan{}, r
		}
		if len(later) > 0 {
			steps[len(steps)-1].WaitMS = 0 // the first outlet has waited; the minimum off time of each is judged anyway
		}
		// A cycle opens every outlet of the node before it closes the first one.
		tp.plan.Steps = append(tp.plan.Steps, steps[0])
		later = append(later, steps[1:]...)
	}
	tp.plan.Steps = append(tp.plan.Steps, later...)
	p.Targets = []rack.TargetPlan{tp.plan}
	setLoads(now, s, &p)
	return p, setDeadline(&p, c)
}

func refuse(code rack.Code, format string, args ...any) *rack.Refusal {
	return &rack.Refusal{Code: code, Text: fmt.Sprintf(format, args...)}
}

type resolved struct {
	plan    rack.TargetPlan
	outlets []rack.OutletID
}

// resolve finds the outlets a target stands for.
func resolve(s *Snapshot, t rack.Target) (resolved, *rack.Refusal) {
	switch t.Kind {
	case rack.TargetOutlet:
		if _, ok := s.Layout.Outlet(t.Outlet); !ok {
			return resolved{}, refuse(rack.CodeUnknownTarget, "no outlet %s is configured", t.Outlet)
		}
		node, _ := s.Layout.NodeOf(t.Outlet)
		return resolved{rack.TargetPlan{Target: t, Node: node.Name}, []rack.OutletID{t.Outlet}}, nil
	case rack.TargetNode:
		node, ok := s.Layout.Node(t.Name)
		if !ok {
			return resolved{}, refuse(rack.CodeUnknownTarget, "no node %s is configured", t.Name)
		}
		return resolved{rack.TargetPlan{Target: t, Node: node.Name}, node.Outlets}, nil
	default:
		return resolved{}, refuse(rack.CodeUnsupported, "outlet verbs take outlet/PDU.N or node/NAME, not %s", t)
	}
}

// admissible holds what must be true of an outlet before any step on it, in the order an operator would ask.
func admissible(now time.Time, s *Snapshot, c rack.Command, o rack.OutletID) *rack.Refusal {
	node, _ := s.Layout.NodeOf(o)
	if order, ok := s.locked(o, node.Name); ok {
		return refuse(rack.CodeMaintenanceLock, "outlet %s is under the maintenance lock of command %s", o, order.Command)
	}
	if c.Args.Force && !node.Class.Firm() {
		return refuse(rack.CodePrecondition, "force is only for a firm node, %s is not one", o)
	}
	if c.Op != rack.OpEnergise {
		if r := guardCut(s, o, &c); r != nil {
			return r
		}
	}
	if r := energisable(s, c, o, node); r != nil {
		return r
	}
	if why := s.Outlets[o].Withdrawn; why != "" {
		return refuse(rack.CodeWelded, "outlet %s is withdrawn from switching: %s", o, why)
	}
	return bankReady(s, o, c.Op)
}

// energisable holds what only starts ask for: an identity where the load may be firm.
func energisable(s *Snapshot, c rack.Command, o rack.OutletID, node rack.Node) *rack.Refusal {
	if node.Name == "" {
		return refuse(rack.CodeWiringUnproven, "outlet %s feeds no configured node: what would start is not known", o)
	}
	if c.Op != rack.OpEnergise || c.Signed {
		return nil
	}
	if node.Class.Firm() {
		return refuse(rack.CodeFirmGuard, "outlet %s feeds %s, a firm node: an unsigned command does not move it", o, node.Name)
	}
	if w, why := s.Wiring(o); w == rack.WiringUnproven {
		return refuse(rack.CodeWiringUnproven, "outlet %s counts as firm: %s", o, why)
	}
	return nil
}

// bankReady refuses when nothing is known of the relay, or when a bank that lost control cannot be taken over as
// it stands.
func bankReady(s *Snapshot, o rack.OutletID, op rack.Op) *rack.Refusal {
	bank := s.Layout.BankOf(o)
	if b := s.Banks[bank]; b.Quality == rack.QualityBad && b.Reason == foreignReason() {
		return refuse(rack.CodeExternalChange, "the relay bank of %s is not as this agent leaves it: somebody else writes to it", bank)
	}
	if op == rack.OpCut && s.seen(bank) {
		return nil // the PDU reads the words again in the same job as the write
	}
	controlled, known := s.Controlled(bank)
	if !known {
		return refuse(rack.CodeDeviceError, "the relay bank of %s has no fresh reading (%s)", bank, reasonOf(s.Banks[bank]))
	}
	if _, known := s.Closed(o); !known && op != rack.OpCut {
		return refuse(rack.CodeDeviceError, "where the relay of %s stands is not known (%s)", o, reasonOf(s.Outlets[o].Relay))
	}
	if controlled {
		return nil
	}
	_, r := standing(s, bank)
	return r
}

// foreignReason is the fault of a bank whose direction or polarity somebody else has written.
func foreignReason() string { return drivers.Foreign.String() }

// seen tells whether the bank was under control in a reading that is not old, even if the poll after it failed.
func (s *Snapshot) seen(bank rack.BankID) bool {
	r := s.Banks[bank]
	young := !r.At.IsZero() && s.At.Sub(r.At) <= s.limitAge(bank.PDU)
	return young && r.Value != 0 && (r.Quality == rack.QualityOK || r.Quality == rack.QualitySuspect)
}

func reasonOf(r rack.Reading) string {
	if r.Reason != "" {
		return r.Reason
	}
	if r.At.IsZero() {
		return "not_read"
	}
	return "stale"
}

// standing tells where each relay of a bank out of control stands: the rest position of its contact, confirmed by
// watts. Where they disagree, or a firm node's outlet cannot be told, nothing may be written.
func standing(s *Snapshot, bank rack.BankID) ([]bool, *rack.Refusal) {
	p, ok := s.Layout.PDU(bank.PDU)
	if !ok {
		return nil, refuse(rack.CodeUnknownTarget, "no PDU %s is configured", bank.PDU)
	}
	outlets := p.On(bank)
	closed := make([]bool, len(outlets))
	for i, o := range outlets {
		c, known := s.Closed(o.ID)
		va, fresh := s.Apparent(o.ID)
		node, _ := s.Layout.NodeOf(o.ID)
		firm := node.Class.Firm() // also an outlet without a node
		switch {
		case !known:
			return nil, refuse(rack.CodeExternalChange, "%s is out of control and where relay %s stands is not known", bank, o.ID)
		case !c && fresh && va >= noLoadVA:
			return nil, refuse(rack.CodeExternalChange, "%s is out of control: relay %s should stand open but carries %.0f VA", bank, o.ID, va)
		case firm && node.Name != "" && !fresh:
			return nil, refuse(rack.CodeExternalChange, "%s is out of control and no watts tell where relay %s of firm node %s stands", bank, o.ID, node.Name)
		case firm && node.Name != "" && c && va < noLoadVA:
			return nil, refuse(rack.CodeExternalChange, "%s is out of control: relay %s of firm node %s should stand closed but carries no load", bank, o.ID, node.Name)
		}
		closed[i] = c
	}
	return closed, nil
}

// stepsFor builds the steps of one outlet and refuses what could not be begun.
func stepsFor(now time.Time, s *Snapshot, c rack.Command, o rack.OutletID) ([]rack.Step, *rack.Refusal) {
	node, _ := s.Layout.NodeOf(o)
	switch c.Op {
	case rack.OpCut:
		return []rack.Step{cutStep(s, o)}, nil
	case rack.OpEnergise:
		if r := offLongEnough(now, s, node, o); r != nil {
			return nil, r
		}
		if r := s.overLimit(node, o, now); r != nil {
			return nil, r
		}
		return []rack.Step{energiseStep(s, o)}, nil
	case rack.OpCycle:
		if r := s.overLimit(node, o, now); r != nil {
			return nil, r
		}
		cut, on := cutStep(s, o), energiseStep(s, o)
		wait := max(node.MinOff, time.Duration(c.Args.OffS*float64(time.Second)))
		if wait > longestWait {
			return nil, refuse(rack.CodePrecondition, "off_s of %.0f s is longer than %s", c.Args.OffS, longestWait)
		}
		on.WaitMS = wait.Milliseconds()
		return []rack.Step{cut, on}, nil
	default:
		return nil, refuse(rack.CodeUnsupported, "%s is not a verb of outlets", c.Op)
	}
}

// offLongEnough refuses an energise inside the minimum off time (S4), with the earliest time it could be taken.
func offLongEnough(now time.Time, s *Snapshot, node rack.Node, o rack.OutletID) *rack.Refusal {
	closed, known := s.Closed(o)
	if known && closed {
		return nil
	}
	since := s.Outlets[o].OpenSince
	if since.IsZero() {
		return refuse(rack.CodeMinOff, "how long %s has been off is not known yet", o)
	}
	if live := s.Outlets[o].LiveAt; live.After(since) {
		since = live // it was not off then, whatever its relay read
	}
	if earliest := since.Add(node.MinOff); now.Before(earliest) {
		r := refuse(rack.CodeMinOff, "outlet %s must stay off %s after a cut, %s remain", o, node.MinOff, earliest.Sub(now).Round(time.Second))
		r.Earliest = earliest
		return r
	}
	return nil
}

func cutStep(s *Snapshot, o rack.OutletID) rack.Step {
	before := measured(s, o)
	st := rack.Step{
		Do: rack.DoCut, On: o, BeforeW: before, LimitMS: (cutLimit + cutWriteLimit).Milliseconds(),
		Proof: fmt.Sprintf("two samples after the write below %.0f VA or 2 %% of the power before", noLoadVA),
	}
	st.Hot = before != nil && *before > hotW
	return st
}

func energiseStep(s *Snapshot, o rack.OutletID) rack.Step {
	return rack.Step{
		Do: rack.DoEnergise, On: o, BeforeW: measured(s, o), LimitMS: (energiseLimit + writeLimit).Milliseconds(),
		Proof: fmt.Sprintf("a sample after the write above %.0f W", threshold(s.Layout, o)),
	}
}

// setLoads tells what each level of the feed carries after each step, by reservation: a node is gone once its last
// outlet is cut, and comes back whole with its surge.
func setLoads(now time.Time, s *Snapshot, p *rack.Plan) {
	instead, cut := make(map[string]float64), make(map[rack.OutletID]bool)
	for i := range p.Targets {
		for j := range p.Targets[i].Steps {
			st := &p.Targets[i].Steps[j]
			node, ok := s.Layout.NodeOf(st.On)
			if !ok {
				continue
			}
			if st.Do == rack.DoEnergise && cut[st.On] {
				st.BeforeW = nil // what it carries now it will not carry then
			}
			cut[st.On] = st.Do == rack.DoCut
			switch {
			case st.Do == rack.DoEnergise:
				instead[node.Name] = s.startW(node)
			case allOpen(s, node, cut):
				instead[node.Name] = 0
			}
			st.Feeds = s.loads(node, instead, now)
		}
	}
}

func allOpen(s *Snapshot, n rack.Node, cut map[rack.OutletID]bool) bool {
	for _, o := range n.Outlets {
		if closed, known := s.Closed(o); !cut[o] && (closed || !known) {
			return false
		}
	}
	return true
}

// threshold is what an energised outlet must carry to be settled.
func threshold(l *rack.Layout, o rack.OutletID) float64 {
	out, _ := l.Outlet(o)
	return max(loadW, 3*out.NoiseW)
}

func measured(s *Snapshot, o rack.OutletID) *float64 {
	if w, ok := s.Watts(o); ok {
		return &w
	}
	return nil
}

// setDeadline bounds the end of the plan: what the command asks, or the sum of its steps.
func setDeadline(p *rack.Plan, c rack.Command) *rack.Refusal {
	var need time.Duration
	for _, t := range p.Targets {
		for _, st := range t.Steps {
			need += st.Wait() + st.Limit()
		}
	}
	p.DeadlineMS = need.Milliseconds()
	if c.Args.DeadlineS == 0 {
		return nil
	}
	asked := time.Duration(c.Args.DeadlineS * float64(time.Second))
	if asked < need {
		return refuse(rack.CodePrecondition, "deadline_s %.0f is shorter than the %.0f s the steps may take", c.Args.DeadlineS, need.Seconds())
	}
	p.DeadlineMS = asked.Milliseconds()
	return nil
}
