package power

import (
	"cmp"
	"fmt"
	"math"
	"slices"
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
//
// A group, a feed and the rack become one target for each of their nodes. One that cannot be planned is named in the
// plan with its refusal, and the others are planned all the same; only if none is left the command is refused.
func Plan(now time.Time, s *Snapshot, c rack.Command) (rack.Plan, *rack.Refusal) {
	if !c.Op.MovesPower() {
		return rack.Plan{}, refuse(rack.CodeUnsupported, "%s moves no outlet", c.Op)
	}
	if c.If != nil {
		return rack.Plan{}, refuse(rack.CodePrecondition, "preconditions (if) cannot be judged for %s", c.Op)
	}
	targets, r := resolve(s, c)
	if r == nil {
		r = s.crowded(c, len(targets))
	}
	if r != nil {
		return rack.Plan{}, r
	}
	p := rack.Plan{Command: c.ID, Made: now}
	l := s.ledger(now)
	for _, t := range targets {
		p.Targets = append(p.Targets, planTarget(now, l, c, t))
	}
	if r := nothingLeft(p); r != nil {
		return rack.Plan{}, r
	}
	order := inOrder(p)
	if len(order) > maxSteps {
		return rack.Plan{}, refuse(rack.CodeTooBig, "%d steps, at most %d go into one command: name smaller groups", len(order), maxSteps)
	}
	setLoads(now, s, order, len(p.Targets) > 1)
	return p, setDeadline(&p, s.Layout, c)
}

func refuse(code rack.Code, format string, args ...any) *rack.Refusal {
	return &rack.Refusal{Code: code, Text: fmt.Sprintf(format, args...)}
}

// Bounds of what is planned.
const (
	// maxSteps keeps a plan and its result within one value of the journal, 512 KiB: a step takes up to 350 bytes.
	maxSteps = 1024
	// maxUnderWay bounds the unfinished targets of all commands, arbitrary: sixteen commands on the largest rack. Those
	// that only lower power may be as many again.
	maxUnderWay = 4096
)

// crowded refuses what would make more unfinished targets than there is room for. It is no outcome of the command.
func (s *Snapshot) crowded(c rack.Command, targets int) *rack.Refusal {
	most := maxUnderWay
	if c.Op.OnlyLowers() {
		most *= 2
	}
	if c.Dry || s.UnderWay+targets <= most {
		return nil
	}
	return refuse(rack.CodeBusy, "%d targets of earlier commands are not finished", s.UnderWay)
}

// resolved is one target of a plan in the making.
type resolved struct {
	plan    rack.TargetPlan
	outlets []rack.OutletID
}

// resolve finds the targets that a command stands for, each with its outlets.
func resolve(s *Snapshot, c rack.Command) ([]resolved, *rack.Refusal) {
	t := c.Target
	switch {
	case t.Kind == rack.TargetOutlet && c.Op.OfNodes():
		return nil, refuse(rack.CodeUnsupported, "%s is about a node: name it, and not %s", c.Op, t)
	case t.Kind == rack.TargetOutlet:
		if _, ok := s.Layout.Outlet(t.Outlet); !ok {
			return nil, refuse(rack.CodeUnknownTarget, "no outlet %s is configured", t.Outlet)
		}
		node, _ := s.Layout.NodeOf(t.Outlet)
		return []resolved{{rack.TargetPlan{Target: t, Node: node.Name}, []rack.OutletID{t.Outlet}}}, nil
	case t.Kind == rack.TargetNode:
		node, ok := s.Layout.Node(t.Name)
		if !ok {
			return nil, refuse(rack.CodeUnknownTarget, "no node %s is configured", t.Name)
		}
		return []resolved{ofNode(node)}, nil
	case t.Several():
		return members(s, c)
	default:
		return nil, refuse(rack.CodeUnsupported, "outlet verbs do not take %s", t)
	}
}

func ofNode(n rack.Node) resolved {
	return resolved{rack.TargetPlan{Target: rack.NodeTarget(n.Name), Node: n.Name}, n.Outlets}
}

// members resolves a group, a feed or the rack. Only a command whose targets are all firm may wait for an approval; the
// firm nodes of any other are left out, whatever the verb.
func members(s *Snapshot, c rack.Command) ([]resolved, *rack.Refusal) {
	nodes, ok := s.Layout.Members(c.Target)
	switch {
	case !ok:
		return nil, refuse(rack.CodeUnknownTarget, "no %s %s is configured", c.Target.Kind, c.Target.Name)
	case len(nodes) == 0:
		return nil, refuse(rack.CodeUnknownTarget, "%s holds no configured node", c.Target)
	case c.Args.Force:
		return nil, refuse(rack.CodePrecondition, "force is only for exactly one firm node, and %s may be several", c.Target)
	}
	mixed := slices.ContainsFunc(nodes, func(n rack.Node) bool { return !n.Class.Firm() })
	var out []resolved
	for _, n := range nodes {
		t := ofNode(n)
		if mixed && n.Class.Firm() {
			t.plan.Refused = refuse(rack.CodeApprovalRequired, "%s is a firm node among others that are not: name it in a command of its own", n.Name)
		}
		out = append(out, t)
	}
	return out, nil
}

// planTarget plans one target or notes why not. What it will add counts for the targets behind it: all surges of a plan
// count as if they came together, which is more than they do.
func planTarget(now time.Time, l *ledger, c rack.Command, t resolved) rack.TargetPlan {
	if t.plan.Refused != nil {
		return refused(t.plan, t.plan.Refused)
	}
	if c.Op.OfNodes() {
		return planNode(now, l, c, t.plan)
	}
	var later []rack.Step
	for _, o := range t.outlets {
		if r := admissible(now, l.s, c, o); r != nil {
			return refused(t.plan, r)
		}
		steps, r := stepsFor(now, l, c, o)
		if r != nil {
			return refused(t.plan, r)
		}
		if len(later) > 0 {
			steps[len(steps)-1].WaitMS = 0 // the first outlet has waited; the minimum off time of each is judged anyway
		}
		// A cycle opens every outlet of the node before it closes the first one.
		t.plan.Steps = append(t.plan.Steps, steps[0])
		later = append(later, steps[1:]...)
	}
	t.plan.Steps = append(t.plan.Steps, later...)
	if node, ok := l.s.Layout.Node(t.plan.Node); ok && c.Op.AddsPower() {
		l.set(node, max(l.get(node), mostOf(l, c, node, t.outlets)))
	}
	return t.plan
}

func refused(t rack.TargetPlan, r *rack.Refusal) rack.TargetPlan {
	t.Steps, t.Refused = []rack.Step{}, r
	return t
}

// mostOf is what a node counts for once the outlets are closed.
func mostOf(l *ledger, c rack.Command, n rack.Node, outlets []rack.OutletID) float64 {
	if c.Op == rack.OpCycle {
		return l.s.coldW(n)
	}
	w := 0.0
	for _, o := range outlets {
		w = max(w, l.s.startW(n, o, l.now))
	}
	return w
}

// nothingLeft is the refusal of a plan that refuses all its targets: that of the first, as rack.Conclude has it, and the
// latest of the times at which they could be taken, so that all can.
func nothingLeft(p rack.Plan) *rack.Refusal {
	for _, t := range p.Targets {
		if t.Refused == nil {
			return nil
		}
	}
	r := *p.Targets[0].Refused
	if len(p.Targets) == 1 {
		return &r
	}
	for _, t := range p.Targets[1:] {
		if t.Refused.Earliest.After(r.Earliest) {
			r.Earliest = t.Refused.Earliest
		}
	}
	r.Text = fmt.Sprintf("none of the %d targets can be taken; %s: %s", len(p.Targets), p.Targets[0].Target, r.Text)
	return &r
}

// admissible holds what must be true of an outlet before any step on it, in the order an operator would ask.
func admissible(now time.Time, s *Snapshot, c rack.Command, o rack.OutletID) *rack.Refusal {
	c = asOutletVerb(c)
	node, _ := s.Layout.NodeOf(o)
	if r := guardLock(s, o); r != nil && !passesLocks(&c, node) {
		return r
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
	if c.Op.AddsPower() {
		if r := guardHeld(s, node); r != nil {
			return r
		}
	}
	if why := s.Outlets[o].Withdrawn; why != "" {
		return refuse(rack.CodeWelded, "outlet %s is withdrawn from switching: %s", o, why)
	}
	if controlled, known := s.Controlled(s.Layout.BankOf(o)); c.Origin == rack.OriginAgent && known && !controlled {
		return refuse(rack.CodeExternalChange, "the relay bank of %s is out of control: the agent takes none over by itself", o)
	}
	return bankReady(s, o, c.Op)
}

// asOutletVerb is a command about a node as what it does to an outlet of it.
func asOutletVerb(c rack.Command) rack.Command {
	switch c.Op {
	case rack.OpShutdown:
		c.Op = rack.OpCut
	case rack.OpStart:
		c.Op = rack.OpEnergise
	}
	return c
}

// energisable holds what only starts ask for: a right to firm nodes where the load may be one.
func energisable(s *Snapshot, c rack.Command, o rack.OutletID, node rack.Node) *rack.Refusal {
	if node.Name == "" {
		return refuse(rack.CodeWiringUnproven, "outlet %s feeds no configured node: what would start is not known", o)
	}
	if c.Op != rack.OpEnergise || c.Firm {
		return nil
	}
	if node.Class.Firm() {
		return refuse(rack.CodeFirmGuard, "outlet %s feeds %s, a firm node: %s does not move it", o, node.Name, withoutFirm(c))
	}
	if w, why := s.Wiring(o); w == rack.WiringUnproven {
		return refuse(rack.CodeWiringUnproven, "outlet %s counts as firm: %s; %s does not move it", o, why, withoutFirm(c))
	}
	return nil
}

// withoutFirm names a command that has no right to firm nodes.
func withoutFirm(c rack.Command) string {
	if c.Signed && c.Role != "" {
		return "role " + c.Role
	}
	return "an unsigned command"
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
	if r := guardBank(s, bank); r != nil {
		return r
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
func stepsFor(now time.Time, l *ledger, c rack.Command, o rack.OutletID) ([]rack.Step, *rack.Refusal) {
	s := l.s
	node, _ := s.Layout.NodeOf(o)
	switch c.Op {
	case rack.OpCut:
		return []rack.Step{cutStep(s, o)}, nil
	case rack.OpEnergise:
		if r := offLongEnough(now, s, node, o); r != nil {
			return nil, r
		}
		if r := l.overLimit(node, o, s.startW(node, o, now)); r != nil {
			return nil, r
		}
		return []rack.Step{energiseStep(s, o)}, nil
	case rack.OpCycle:
		if r := l.overLimit(node, o, s.coldW(node)); r != nil {
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

// inOrder lists the steps of all targets as they are expected to begin: what needs no waiting first, all first steps
// before all second ones, and in the order of the targets.
func inOrder(p rack.Plan) []*rack.Step {
	type place struct {
		step *rack.Step
		wait time.Duration
		nth  int
	}
	var places []place
	for i := range p.Targets {
		var wait time.Duration
		for j := range p.Targets[i].Steps {
			st := &p.Targets[i].Steps[j]
			wait += st.Wait()
			places = append(places, place{st, wait, j})
		}
	}
	slices.SortStableFunc(places, func(a, b place) int { return cmp.Or(cmp.Compare(a.wait, b.wait), cmp.Compare(a.nth, b.nth)) })
	out := make([]*rack.Step, len(places))
	for i := range places {
		out[i] = places[i].step
	}
	return out
}

// setLoads tells what each level of the feed carries after each step, by reservation: a node is gone once its last
// outlet is cut, and comes back whole with its surge.
func setLoads(now time.Time, s *Snapshot, order []*rack.Step, number bool) {
	l := s.ledger(now)
	cut := make(map[rack.OutletID]bool)
	for i, st := range order {
		if number {
			st.Seq = i + 1
		}
		if st.Node != "" {
			setTold(l, st)
			continue
		}
		node, ok := s.Layout.NodeOf(st.On)
		if !ok {
			continue
		}
		cold := cut[st.On]
		if st.Do == rack.DoEnergise && cold {
			st.BeforeW = nil // what it carries now it will not carry then
		}
		cut[st.On] = st.Do == rack.DoCut
		switch {
		case st.Do == rack.DoEnergise && cold:
			l.set(node, s.coldW(node))
		case st.Do == rack.DoEnergise:
			l.set(node, max(l.get(node), s.startW(node, st.On, now)))
		case allOpen(s, node, cut):
			l.set(node, 0)
		}
		st.Feeds = rounded(l.loads(node))
	}
}

// setTold tells the same of a step that is said to a miner.
func setTold(l *ledger, st *rack.Step) {
	node, _ := l.s.Layout.Node(st.Node)
	switch st.Do {
	case rack.DoSleep:
		l.set(node, min(l.get(node), sleepingW))
	case rack.DoWake, rack.DoRelease:
		l.set(node, max(l.get(node), l.s.awakeW(node)))
	}
	st.Feeds = rounded(l.loads(node))
}

// rounded keeps what the wire tells of a load: a plan for a whole rack must fit into one record.
func rounded(loads []rack.FeedLoad) []rack.FeedLoad {
	for i := range loads {
		loads[i].W = math.Round(loads[i].W*10) / 10
		loads[i].A = math.Round(loads[i].A*1000) / 1000
		loads[i].LimitA = math.Round(loads[i].LimitA*1000) / 1000
	}
	return loads
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

// setDeadline bounds the end of the plan: what the command asks, or what its steps may take. Targets run beside each
// other, so that is the longest of them, and the wait of the last energise for its turn below one top feed.
func setDeadline(p *rack.Plan, l *rack.Layout, c rack.Command) *rack.Refusal {
	var longest time.Duration
	turns := make(map[string]int) // energises by top feed
	most := 0
	for _, t := range p.Targets {
		var need time.Duration
		for _, st := range t.Steps {
			need += st.Wait() + st.Limit()
			if st.Do == rack.DoEnergise && len(p.Targets) > 1 {
				top := topFeed(l, st.On)
				turns[top]++
				most = max(most, turns[top])
			}
		}
		longest = max(longest, need)
	}
	need := longest + time.Duration(max(0, most-1))*l.Stagger
	p.DeadlineMS = need.Milliseconds()
	if c.Args.DeadlineS == 0 {
		return nil
	}
	asked := time.Duration(c.Args.DeadlineS * float64(time.Second))
	if c.Op == rack.OpShutdown {
		need = cutsOf(p) // it escalates in time
	}
	if asked < need {
		return refuse(rack.CodePrecondition, "deadline_s %.0f is shorter than the %.0f s the steps may take", c.Args.DeadlineS, need.Seconds())
	}
	p.DeadlineMS = asked.Milliseconds()
	return nil
}

// topFeed is the root of the supply tree above an outlet: the stagger holds below it.
func topFeed(l *rack.Layout, o rack.OutletID) string {
	out, _ := l.Outlet(o)
	levels := l.Levels(out.Feed)
	if len(levels) == 0 {
		return ""
	}
	return levels[len(levels)-1].Name
}
