package power

import (
	"slices"
	"time"

	"rackagent/agent/rack"
)

// Words finds the two register words that hold a bank as it stands: closed[i] is the outlet at place i of PDU.On.
type Words func(bank rack.BankID, closed []bool) (latch, direction uint16, err error)

// Machine is the state of all accepted commands and of the outlets they touch. It has one owner, the loop; it reads
// no clock and does nothing but answer each input with actions.
type Machine struct {
	world Snapshot
	words Words
	born  time.Time
	peaks map[string]*peak

	jobs    []*job // unfinished commands, oldest first
	token   uint64
	waiting map[uint64]*target // lane and journal answers outstanding
	owed    map[uint64]*owed   // records that must reach the disk in the end

	energised map[string]time.Time   // by top feed: when the last energise was handed over or taken
	inFlight  map[string]uint64      // by top feed: the energise the lane has not answered yet
	takeOvers map[rack.BankID]uint64 // the bank is being brought under control
	over      map[string]bool        // levels found above their limit
	judged    time.Time              // when the levels were last looked at
	closing   bool                   // the program ends: nothing is begun any more
	doubts    []doubt                // commands that ended unknown
	expect    map[rack.OutletID]bool // where each relay was last known to stand: true closed
	coming    []Ordered              // orders whose writers were not told yet that they hold
	own       ownCommands            // what the agent begins by itself
	feeds     feedControl
	locks     interlocks
	observing bool // a lost journal was not accepted: nothing is begun by itself

	// Of one Step.
	out     []Action
	sampled map[string]bool // PDUs that an extra sample was asked of
	loads   *carried        // what outlets carry, for the writes of this step; nil: not looked at yet
}

// carried is what was measured when a write was handed over; the writes of one Step share it.
type carried struct {
	outlets  map[rack.OutletID]float64 // apparent power
	supplies map[rack.MeterID]float64  // watts of every steady shared meter
}

// job is one command under way.
type job struct {
	cmd      rack.Command
	span     time.Duration
	deadline time.Time // asked for: span from acceptance; else span from the first step, which exp bounds
	targets  []*target
	n        int       // states published so far
	told     time.Time // when a running was last published
	begun    bool      // the first step of any target began
	found    bool      // found unfinished at the start
	ended    bool      // the terminal result is with the journal
	unkept   *owed     // its first record, where it was begun without
}

// target is the part of a job on one node or outlet.
type target struct {
	job      *job
	plan     rack.TargetPlan
	keys     []string // what it contends for
	next     int      // step that is under way or comes next
	current  *switching
	done     *switching // the step before
	steps    []rack.StepResult
	stepDone time.Time // when the step before settled
	stop     *verdict  // ends with this instead of going on to the next step
	abandon  bool      // with stop: does not wait for the watts of a write that has answered
	forced   *verdict  // why its miner could not be put to sleep, so that its outlet is cut at once
	weakest  *verdict  // the weakest proof of the steps so far, where it is less than settled
	result   *rack.TargetResult
	changed  bool
	found    *rack.Entry // found unfinished at the start: judged, never continued
	until    time.Time   // the judgement does not wait longer than this
}

// New builds a machine for a rack. Withdrawn outlets come from the journal.
func New(now time.Time, layout *rack.Layout, words Words, orders []rack.Order, records []rack.Record) *Machine {
	m := &Machine{
		world: Snapshot{
			At: now, Layout: layout, Outlets: make(map[rack.OutletID]OutletView), Boards: make(map[string]BoardView),
			Banks: make(map[rack.BankID]rack.Reading), Shared: make(map[rack.MeterID]SharedView), Nodes: make(map[string]NodeView), Orders: orders,
		},
		words: words, born: now,
		peaks: make(map[string]*peak), waiting: make(map[uint64]*target), owed: make(map[uint64]*owed),
		energised: make(map[string]time.Time), inFlight: make(map[string]uint64), takeOvers: make(map[rack.BankID]uint64),
		over: make(map[string]bool), expect: make(map[rack.OutletID]bool), sampled: make(map[string]bool),
	}
	for _, p := range layout.PDUs {
		for _, o := range p.Outlets {
			m.world.Outlets[o.ID] = OutletView{}
		}
	}
	for _, r := range records {
		m.remember(r)
	}
	return m
}

// LeftStanding says where the commands of earlier lives left relays: one that is found elsewhere was moved by somebody
// else meanwhile.
func (m *Machine) LeftStanding(closed map[rack.OutletID]bool) {
	for o, c := range closed {
		if _, ok := m.world.Outlets[o]; ok {
			m.expect[o] = c
		}
	}
}

// remember takes over what an earlier life learnt about an outlet.
func (m *Machine) remember(r rack.Record) {
	v, ok := m.world.Outlets[r.Outlet]
	p, _ := m.world.Layout.PDU(r.Outlet.PDU)
	if !ok || (r.Serial != "" && r.Serial != p.Serial) { // another board was entered since; a damaged record names none
		return
	}
	switch {
	case r.Kind == rack.RecordWithdraw:
		v.Withdrawn = r.Reason
	case r.Kind == rack.RecordWiring && r.Wiring == rack.WiringUnproven:
		v.Unproven = r.Reason
	case r.Kind == rack.RecordWiring && r.Wiring == rack.WiringProven:
		v.Proven = r.Serial != ""
	}
	m.world.Outlets[r.Outlet] = v
}

// Snapshot is a copy of what is known now.
func (m *Machine) Snapshot(now time.Time) *Snapshot { return m.world.clone(now) }

// Step takes one input at a time now and returns what is to be done. Actions are to be carried out in their order.
func (m *Machine) Step(now time.Time, in Input) []Action {
	m.world.At = now
	m.out, m.loads = nil, nil
	clear(m.sampled)
	switch in := in.(type) {
	case Readings:
		m.observe(now, in)
	case Identified:
		m.identify(now, in)
	case Accepted:
		m.accept(now, in)
	case Cancel:
		m.cancel(in.ID)
	case Closing:
		m.closing = true
	case Ordered:
		m.ordered(in)
	case Unfinished:
		m.adopt(now, in)
	case Switched:
		m.switched(now, in)
	case Said:
		m.said(now, in)
	case Demanded:
		m.demanded(now, in.Demand)
	case Recorded:
		m.recorded(now, in)
	case Tick:
	}
	if m.own.may.Feeds || m.own.may.Interlocks {
		m.arm(now)
	}
	m.ownOverdue(now)
	m.carryOutDemands(now)
	m.sweepHeld(now)
	m.advance(now)
	m.holds()
	return m.out
}

func (m *Machine) do(a Action) { m.out = append(m.out, a) }

func (m *Machine) nextToken() uint64 {
	m.token++
	return m.token
}

// accept queues a command behind what already runs on the same nodes and outlets. One that only lowers power
// ends every power-adding one before it on an interruptible node.
func (m *Machine) accept(now time.Time, in Accepted) {
	j := &job{cmd: in.Command, span: in.Plan.Deadline(), n: in.Command.AcceptedN()}
	if in.Command.Args.DeadlineS > 0 {
		j.deadline = now.Add(j.span)
	}
	for _, tp := range in.Plan.Targets {
		j.targets = append(j.targets, m.newTarget(j, tp))
	}
	if in.Command.Op.OnlyLowers() || in.Command.Op == rack.OpLimit {
		m.supersede(j)
	}
	if in.Command.Origin == rack.OriginAgent {
		m.overrule(j)
	} else {
		m.giveUp(j)
	}
	m.jobs = append(m.jobs, j)
}

// newTarget begins a target; one that the plan refuses has its result.
func (m *Machine) newTarget(j *job, tp rack.TargetPlan) *target {
	t := &target{job: j, plan: tp, keys: m.keysOf(tp)}
	if r := tp.Refused; r != nil {
		t.result = &rack.TargetResult{Target: tp.Target, State: rack.StateRejected, Code: r.Code, Text: r.Text}
		t.changed = true
	}
	return t
}

// keysOf names what a target contends for: its node, or outlets that feed none.
func (m *Machine) keysOf(tp rack.TargetPlan) []string {
	var keys []string
	for _, st := range tp.Steps {
		key := st.On.String()
		if n, ok := m.world.Layout.NodeOf(st.On); ok {
			key = n.Name
		}
		if st.Node != "" {
			key = st.Node
		}
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// supersede ends older power-adding work on the interruptible nodes of a command that lowers: what is in flight is read
// back, nothing further begins. Of a group only these nodes' parts end. On firm nodes the order of arrival stands.
func (m *Machine) supersede(by *job) {
	lowered := make(map[string]bool)
	for _, t := range by.targets {
		if n, ok := m.world.Layout.Node(t.plan.Node); !ok || n.Class.Firm() || !t.lowers() {
			continue
		}
		for _, k := range t.keys {
			lowered[k] = true
		}
	}
	for _, j := range m.jobs {
		if !j.cmd.Op.AddsPower() && j.cmd.Op != rack.OpLimit {
			continue
		}
		for _, t := range j.targets {
			if j.cmd.Op == rack.OpLimit && by.cmd.Op == rack.OpLimit && t.lowers() {
				continue // what lowers more than a limit does not wait for its watts either
			}
			if t.result != nil || !slices.ContainsFunc(t.keys, func(k string) bool { return lowered[k] }) {
				continue
			}
			v := verdict{state: rack.StateCancelled, code: rack.CodeSuperseded, text: "command " + by.cmd.ID + " lowers the power of the same node"}
			if t.found != nil { // interrupted by a restart and not judged yet: nobody will know any more
				v.state, v.code = rack.StateUnknown, rack.CodeVerifyFailed
			}
			m.stopTarget(t, v)
		}
	}
}

// lowers tells whether a target of a command that can lower power does: a limit does below what is drawn.
func (t *target) lowers() bool {
	if t.job.cmd.Op != rack.OpLimit {
		return true
	}
	w := t.job.cmd.Args.LimitW
	return w > 0 && len(t.plan.Steps) > 0 && t.plan.Steps[0].BeforeW != nil && w < *t.plan.Steps[0].BeforeW
}

// stopTarget ends a target now, or as soon as its write in flight has answered.
func (m *Machine) stopTarget(t *target, v verdict) {
	if t.abandon {
		return
	}
	t.stop, t.abandon = &v, true // also one that was cancelled and waits for its watts
	if w := t.current; w != nil && (w.state == stageWriting || w.state == stageTakeOver || w.state == stageAsking) {
		m.do(Abort{Token: w.token, On: w.step.Where()})
		return
	}
	m.endTarget(t, v)
}

// cancel stops a command before its next step and undoes nothing.
func (m *Machine) cancel(id string) {
	for _, j := range m.jobs {
		if j.cmd.ID != id || j.ended {
			continue
		}
		for _, t := range j.targets {
			last := t.next == len(t.plan.Steps)-1 && t.current != nil && t.current.state >= stageWriting
			if t.result == nil && t.found == nil && !last {
				m.cancelTarget(t)
			}
		}
	}
}

// cancelTarget lets a step that has begun come to its end.
func (m *Machine) cancelTarget(t *target) {
	v := verdict{state: rack.StateCancelled, code: rack.CodeCancelled, text: "cancelled before its next step"}
	if t.current != nil && t.current.state >= stageTakeOver {
		t.stop = &v
		return
	}
	m.endTarget(t, v)
}

// advance moves every target as far as it goes now, in order of arrival.
func (m *Machine) advance(now time.Time) {
	busy := make(map[string]bool)
	m.world.UnderWay = 0
	for _, j := range m.jobs {
		for _, t := range j.targets {
			if t.result != nil {
				continue
			}
			if free := !slices.ContainsFunc(t.keys, func(k string) bool { return busy[k] }); free {
				m.advanceTarget(now, t)
			}
			if t.result == nil {
				m.expire(now, t)
			}
			if t.result == nil {
				m.world.UnderWay++
				for _, k := range t.keys {
					busy[k] = true
				}
			}
		}
		m.publish(now, j)
	}
	m.jobs = slices.DeleteFunc(m.jobs, func(j *job) bool { return j.ended })
	m.noteDoing()
	m.offerAgain(now)
}

// late tells whether the target's next step may not begin any more: a deadline that was asked for bounds its end, too. What a
// shutdown says to a miner ends by itself in time for the cut.
func (t *target) late(now time.Time) bool {
	j, st := t.job, t.plan.Steps[t.next]
	switch {
	case j.cmd.Args.DeadlineS == 0:
	case t.current != nil && t.current.miner != nil && !t.escalates(): // it has begun with a question
	case t.job.cmd.Op == rack.OpShutdown && st.Do == rack.DoCut, t.escalates():
		now = now.Add(cutsLeft(t.plan.Steps[t.next:]) - cutGrace)
	default:
		now = now.Add(st.Limit())
	}
	return !j.deadline.IsZero() && now.After(j.deadline)
}

// start notes that the first step of the command begins now.
func (j *job) start(now time.Time) {
	if !j.begun && j.deadline.IsZero() {
		j.deadline = now.Add(j.span)
	}
	j.begun = true
}

// expire ends a target that could not begin in time.
func (m *Machine) expire(now time.Time, t *target) {
	j := t.job
	switch {
	case t.found != nil || (t.current != nil && t.current.state != stageReady):
	case !j.begun && !now.Before(j.cmd.StartBy):
		m.endTarget(t, verdict{state: rack.StateCancelled, code: rack.CodeExpired, text: "no step could begin before exp"})
	case t.late(now):
		m.endTarget(t, verdict{state: rack.StateFailed, code: rack.CodeExpired, text: "the deadline passed before the next step could begin"})
	}
}

// advanceTarget runs the target's steps one after the other.
func (m *Machine) advanceTarget(now time.Time, t *target) {
	if t.found != nil {
		m.judge(now, t)
		return
	}
	if t.current == nil {
		m.begin(now, t)
		return
	}
	if t.outOfTime(now) {
		m.giveUpTelling(now, t)
		return
	}
	switch t.current.state {
	case stageReady:
		m.goOn(now, t)
		return
	case stageRecord:
		m.overdue(now, t)
		return
	case stageSettling:
	default:
		return
	}
	if t.current.miner != nil {
		m.settleTelling(now, t)
		return
	}
	v, sample := t.current.settle(now, &m.world)
	if sample {
		m.sample(t.current.step.On.PDU)
	}
	if v != nil {
		m.stepEnded(now, t, *v)
	}
}

// sample asks for an extra sample of a PDU, once in a Step however many wait for one.
func (m *Machine) sample(pdu string) {
	if !m.sampled[pdu] {
		m.sampled[pdu] = true
		m.do(Sample{PDU: pdu})
	}
}

// stepEnded books a step's verdict and goes on to the next step, or ends the target.
func (m *Machine) stepEnded(now time.Time, t *target, v verdict) {
	st := t.current.step
	t.steps = append(t.steps, t.current.result)
	t.done, t.current, t.changed = t.current, nil, true
	m.learn(now, t, st, v)
	proven := v.state == rack.StateSucceeded || v.state == rack.StateConfirmed
	switch {
	case !proven && m.escalate(now, t, v):
	case !proven:
		m.endTarget(t, v)
	case t.next+1 == len(t.plan.Steps):
		m.endTarget(t, t.conclude(v))
	case t.stop != nil:
		m.endTarget(t, *t.stop)
	default:
		if v.state == rack.StateConfirmed && st.Node == "" { // the cut behind a sleep proves more
			t.weakest = &v
		}
		t.next++
		t.stepDone = now
	}
}

// conclude is the verdict of a target whose last step is proven: the weakest of its steps.
func (t *target) conclude(v verdict) verdict {
	if t.forced != nil && v.text == "" {
		v.text = "its miner could not be put to sleep (" + t.forced.text + "): its outlet was cut while it ran"
	}
	// The watts of a miner with one outlet are those of its outlet; of two, one may draw it all.
	started := t.job.cmd.Op == rack.OpStart && t.done != nil && t.done.miner != nil && len(t.done.miner.node.Outlets) == 1
	if v.state == rack.StateSucceeded && t.weakest != nil && !started {
		return *t.weakest
	}
	return v
}

// endTarget fixes the target's result.
func (m *Machine) endTarget(t *target, v verdict) {
	if t.result != nil {
		return
	}
	if w := t.current; w != nil {
		if w.state == stageRecord { // its record may still come: nobody waits for it
			m.forgetTakeOver(w)
			delete(m.waiting, w.token)
		}
		t.steps = append(t.steps, w.result)
		t.current = nil
	}
	t.result = &rack.TargetResult{Target: t.plan.Target, State: v.state, Code: v.code, Text: v.text, Recovered: t.found != nil && v.state == rack.StateSucceeded, Steps: t.steps}
	t.changed = true
}
