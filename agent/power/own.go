package power

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"rackagent/agent/rack"
)

// The agent begins some commands by itself. They are commands like any other: planned from the same world, on disk with their
// plan before the first write, proven, told, and kept; their issuer is "local/RULE" and their why holds the trigger, what was
// measured and the rule. What only lowers power goes on without a record where the disk does not take one, because an overload
// does not wait; it is recorded as soon as the disk takes it.

// Own says what the agent may begin by itself. The zero Own is nothing.
type Own struct {
	Boot       string        // of this life of the agent: part of the commands' ids
	Config     string        // hash of the configuration that allows it
	Feeds      bool          // shed miners where a level of the feed is measured near its limit
	Interlocks bool          // do what interlocks demand
	Jitter     func() uint32 // by chance
}

const (
	// ownLife is how long a command of its own may wait for its first step.
	ownLife = 30 * time.Second
	// ownRecordBy is how long one that only lowers waits for its record. Arbitrary: many times what a flash card takes, and short
	// beside the 3 s in which an overload has to be gone.
	ownRecordBy = 500 * time.Millisecond
	issuerFeed  = "local/feed"
)

// ownCommands are what the agent begins by itself, until their records are on disk.
type ownCommands struct {
	may   Own
	n     int
	asked map[uint64]*ownCommand // by token of the record

	armAsked time.Time
	armed    bool // that it may is on disk
	volatile bool // it acts without
}

type ownCommand struct {
	Accepted
	record rack.Record
	at     time.Time
	begun  *owed  // it went on without its record, which is owed
	late   string // command of somebody else that came meanwhile
}

// MayAct allows what the agent may begin by itself.
func (m *Machine) MayAct(o Own) {
	m.own.may = o
	m.feeds.bands = newBands(m.own.jitter)
}

// arm has recorded that the agent may act by itself, and tells whether it may now: with the record, or without one that the disk
// does not take, since it moves nothing but miners (S1b).
func (m *Machine) arm(now time.Time) bool {
	f := &m.own
	switch {
	case m.observing:
		return false
	case f.armAsked.IsZero():
		f.armAsked = now
		o := rack.Order{Kind: rack.OrderArmed, Target: rack.Target{Kind: rack.TargetRack}, By: f.may.Boot, Why: f.may.Config, Since: now}
		m.owe(&owed{record: rack.Record{Kind: rack.RecordOrder, At: now, Order: &o, Lowers: true}, then: m.armedNow})
	case f.armed:
		return true
	case now.Sub(f.armAsked) >= recordLimit && !f.volatile:
		f.volatile = true
		m.do(Raise{rack.Alarm{Key: "armed-volatile", Since: now, Severity: rack.Critical, Text: "that the agent may act by itself is not on disk; it sheds miners all the same"}})
	}
	return f.armed || f.volatile
}

func (m *Machine) armedNow(now time.Time) {
	m.own.armed = true
	if m.own.volatile {
		m.own.volatile = false
		m.do(Raise{rack.Alarm{Key: "armed-volatile", Since: now, Severity: rack.Critical, Text: "that the agent may act by itself is on disk", Cleared: true}})
	}
}

func (o *ownCommands) jitter() time.Duration {
	if o.may.Jitter == nil {
		return 0
	}
	return time.Duration(float64(spread) * float64(o.may.Jitter()) / (1 << 32))
}

// idTail is how much of the boot id goes into the id of a command.
const idTail = 16

// beginOwn plans a command of the agent's own and has it recorded; it is carried out when it is on disk.
func (m *Machine) beginOwn(now time.Time, c rack.Command) *rack.Refusal {
	_, bad := m.beginOwnAs(now, c)
	return bad
}

// beginOwnAs tells the id as well.
func (m *Machine) beginOwnAs(now time.Time, c rack.Command) (string, *rack.Refusal) {
	if m.closing || m.observing {
		return "", refuse(rack.CodeObserving, "nothing is begun now")
	}
	m.own.n++
	boot := m.own.may.Boot
	c.ID = fmt.Sprintf("%s%s-%d", rack.OwnID, boot[max(0, len(boot)-idTail):], m.own.n)
	c.Origin, c.Received, c.Exp, c.StartBy = rack.OriginAgent, now, now.Add(ownLife), now.Add(ownLife)
	c.Hash = rack.HashOf([]byte(c.ID))
	plan, bad := Plan(now, &m.world, c)
	if bad != nil {
		return "", bad
	}
	rec := rack.Record{Kind: rack.RecordAccepted, At: now, ID: c.ID, Command: &c, Plan: &plan, Lowers: c.Op.OnlyLowers()}
	token := m.nextToken()
	if m.own.asked == nil {
		m.own.asked = make(map[uint64]*ownCommand)
	}
	m.own.asked[token] = &ownCommand{Accepted: Accepted{Command: c, Plan: plan}, record: rec, at: now}
	m.do(Keep{Token: token, Record: rec})
	return c.ID, nil
}

// ownRecorded takes the journal's answer to the record of a command of its own.
func (m *Machine) ownRecorded(now time.Time, in Recorded) bool {
	o, ok := m.own.asked[in.Token]
	if !ok {
		return false
	}
	delete(m.own.asked, in.Token)
	switch {
	case o.begun != nil && in.Err == nil:
		o.begun.kept = true
	case o.begun != nil:
		m.owe(o.begun)
	case in.Err == nil:
		m.startOwn(now, o)
	case o.Command.Op.OnlyLowers() && !m.observing:
		m.startUnrecorded(now, o)
		m.owe(o.begun)
	default:
		m.emit(rack.Event{
			Kind: rack.EventOwn, Severity: rack.Warn, Node: o.Plan.Targets[0].Node, Command: o.Command.ID, Reason: in.Err.Error(),
			Text: "not begun, because the journal does not take it: " + o.Command.Why,
		})
	}
	return true
}

// ownOverdue goes on without a record with what only lowers.
func (m *Machine) ownOverdue(now time.Time) {
	for _, token := range slices.Sorted(maps.Keys(m.own.asked)) {
		o := m.own.asked[token]
		if o.begun == nil && o.Command.Op.OnlyLowers() && now.Sub(o.at) >= ownRecordBy && !m.observing {
			m.startUnrecorded(now, o)
		}
	}
}

func (m *Machine) startOwn(now time.Time, o *ownCommand) {
	c := &o.Command
	m.emit(rack.Event{
		Kind: rack.EventOwn, Severity: rack.Warn, Node: o.Plan.Targets[0].Node, Command: c.ID, Reason: c.Issuer,
		Text: fmt.Sprintf("the agent begins %s of %s by itself: %s", c.Op, c.Target, c.Why),
	})
	m.do(Report{Outcome: rack.Outcome{Command: c.ID, State: rack.StateAccepted, N: c.AcceptedN(), At: now}})
	m.accept(now, o.Accepted)
	if o.late != "" {
		m.stopTarget(m.jobs[len(m.jobs)-1].targets[0], verdict{state: rack.StateCancelled, code: rack.CodeSuperseded, text: "command " + o.late + " came meanwhile"})
	}
}

func (m *Machine) startUnrecorded(now time.Time, o *ownCommand) {
	o.begun = &owed{record: o.record}
	m.startOwn(now, o)
	m.jobs[len(m.jobs)-1].unkept = o.begun
	m.emit(rack.Event{
		Kind: rack.EventJournal, Severity: rack.Critical, Command: o.Command.ID, Reason: "not recorded",
		Text: fmt.Sprintf("command %s is carried out before it is on disk: it only lowers power, and the journal does not answer", o.Command.ID),
	})
}

// busyOwn tells whether commands of the agent's own that lower power are under way on a node or wait for their record, and
// whether one of them cuts.
func (m *Machine) busyOwn(node string) (lowers, cuts bool) {
	note := func(op rack.Op) { lowers, cuts = lowers || op.OnlyLowers(), cuts || op == rack.OpCut }
	for _, o := range m.own.asked {
		if o.begun == nil && slices.ContainsFunc(o.Plan.Targets, func(t rack.TargetPlan) bool { return t.Node == node && t.Refused == nil }) {
			note(o.Command.Op)
		}
	}
	for _, j := range m.jobs {
		for _, t := range j.targets {
			if j.cmd.Origin == rack.OriginAgent && t.result == nil && t.plan.Node == node {
				note(j.cmd.Op)
			}
		}
	}
	return lowers, cuts
}

// overrule ends what is said to a miner, or is about to be, where a command of the agent's own cuts its outlet: it must not
// wait for a miner, for its fans, nor for the judgement of what a restart has found. A cut that is under way is let come to its
// end.
func (m *Machine) overrule(by *job) {
	if by.cmd.Op != rack.OpCut {
		return
	}
	for _, j := range m.jobs {
		for _, t := range j.targets {
			told := t.next < len(t.plan.Steps) && t.plan.Steps[t.next].Do.Told()
			runsOn := t.next > 0 && t.current == nil // a shutdown that lets the fans run on
			if t.result != nil || t.found == nil && !told && !runsOn ||
				!slices.ContainsFunc(by.targets, func(b *target) bool { return b.result == nil && b.plan.Node == t.plan.Node && b.plan.Node != "" }) {
				continue
			}
			v := verdict{state: rack.StateCancelled, code: rack.CodeInterlock, text: "command " + by.cmd.ID + " of the agent's own cuts its outlet"}
			if t.found != nil {
				v.state, v.code = rack.StateUnknown, rack.CodeVerifyFailed
			}
			m.stopTarget(t, v)
		}
	}
}

// giveUp leaves nodes to whoever commands them.
func (m *Machine) giveUp(j *job) {
	for _, t := range j.targets {
		if m.feeds.bands != nil && t.result == nil && t.plan.Node != "" {
			m.feeds.bands.forget(t.plan.Node)
			for _, o := range m.own.asked {
				if o.begun == nil && o.Command.Op.AddsPower() && o.Plan.Targets[0].Node == t.plan.Node {
					o.late = j.cmd.ID
				}
			}
		}
	}
}
