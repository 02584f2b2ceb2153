package power

import (
	"errors"
	"fmt"
	"time"

	"rackagent/agent/rack"
)

// recordLimit is how long the journal may take before a record counts as refused.
const recordLimit = 2 * time.Second

// begin starts the target's next step if everything it needs is true now; it waits for times that pass by
// themselves and ends the target for anything else.
func (m *Machine) begin(now time.Time, t *target) {
	st := t.plan.Steps[t.next]
	if m.closing || m.mustWait(now, t, st) {
		return
	}
	if r := m.stillAllowed(now, t, st); r != nil {
		m.endTarget(t, t.notAllowed(r))
		return
	}
	t.job.start(now)
	t.changed = true
	if st.Node != "" {
		t.current = m.newTelling(now, t, st)
		m.inquire(now, t)
		return
	}
	t.current = newSwitching(st)
	m.recordOrWrite(now, t)
}

// recordOrWrite keeps the fact that must be on disk first, if there is one, or hands the write to its lane.
func (m *Machine) recordOrWrite(now time.Time, t *target) {
	if t.current.miner != nil {
		m.keepOrTell(now, t)
		return
	}
	if rec := m.firstRecord(t, t.current); rec != nil {
		m.keepFirst(now, t, rec)
		return
	}
	m.write(now, t)
}

// goOn writes a step whose record is on disk. Time has passed since it was judged: it is judged again.
func (m *Machine) goOn(now time.Time, t *target) {
	if m.closing || m.mustWait(now, t, t.current.step) {
		return
	}
	if r := m.stillAllowed(now, t, t.current.step); r != nil {
		m.stepEnded(now, t, verdict{state: rack.StateFailed, code: r.Code, text: r.Text})
		return
	}
	m.recordOrWrite(now, t)
}

// mustWait holds what only time can cure.
func (m *Machine) mustWait(now time.Time, t *target, st rack.Step) bool {
	if t.late(now) || (!t.job.begun && !now.Before(t.job.cmd.StartBy)) {
		return true // expire ends it
	}
	if _, busy := m.takeOvers[m.world.Layout.BankOf(st.On)]; busy && st.Node == "" {
		return true
	}
	if t.next > 0 && now.Before(t.notBefore(st)) {
		return true
	}
	if w := t.current; w != nil && w.miner != nil && !w.miner.asked && now.Before(w.miner.askNext) {
		return true
	}
	if st.Do != rack.DoEnergise {
		return false
	}
	node, _ := m.world.Layout.NodeOf(st.On)
	if r := offLongEnough(now, &m.world, node, st.On); r != nil && !r.Earliest.IsZero() && (t.job.cmd.Op == rack.OpCycle || t.job.cmd.Op == rack.OpStart) {
		return true
	}
	top := topFeed(m.world.Layout, st.On)
	if _, busy := m.inFlight[top]; busy {
		return true
	}
	last, any := m.energised[top]
	return any && now.Before(last.Add(m.world.Layout.Stagger))
}

// stillAllowed judges again what planning judged: the world may have changed since.
func (m *Machine) stillAllowed(now time.Time, t *target, st rack.Step) *rack.Refusal {
	if st.Node != "" {
		node, _ := m.world.Layout.Node(st.Node)
		if r := tellable(&m.world, t.job.cmd, node, st.Do); r != nil || !st.Do.Raises() {
			return r
		}
		return roomAwake(m.world.ledger(now), node)
	}
	if r := admissible(now, &m.world, t.job.cmd, st.On); r != nil {
		return r
	}
	if st.Do != rack.DoEnergise {
		return nil
	}
	node, _ := m.world.Layout.NodeOf(st.On)
	if r := offLongEnough(now, &m.world, node, st.On); r != nil {
		return r
	}
	return m.world.ledger(now).overLimit(node, st.On, m.world.startW(node, st.On, now))
}

// firstRecord is the fact that must be on disk before this write: the words of a bank that is taken over, or the
// open half of a cycle.
func (m *Machine) firstRecord(t *target, w *switching) *rack.Progress {
	st := w.step
	if controlled, known := m.world.Controlled(m.world.Layout.BankOf(st.On)); known && !controlled {
		return m.adoptRecord(t, st)
	}
	if t.job.cmd.Op == rack.OpCycle && st.Do == rack.DoEnergise && !w.openKept {
		return &rack.Progress{Target: t.plan.Target, Step: t.next, Fact: rack.FactCycleOpen}
	}
	return nil
}

func (m *Machine) adoptRecord(t *target, st rack.Step) *rack.Progress {
	bank := m.world.Layout.BankOf(st.On)
	p := &rack.Progress{Target: t.plan.Target, Step: t.next, Fact: rack.FactAdopt, PDU: bank.PDU, Bank: bank.N}
	closed, r := standing(&m.world, bank)
	if r == nil {
		latch, direction, err := m.words(bank, closed)
		if err == nil {
			p.Latch, p.Direction = &latch, &direction
		}
	}
	return p
}

// keepFirst asks for the record and holds the write until it is on disk.
func (m *Machine) keepFirst(now time.Time, t *target, p *rack.Progress) {
	w := t.current
	if p.Fact == rack.FactAdopt && p.Latch == nil {
		m.stepEnded(now, t, verdict{state: rack.StateFailed, code: rack.CodeExternalChange, text: "the bank of " + bankOf(p).String() + " cannot be taken over as it stands"})
		return
	}
	w.state, w.token, w.began = stageRecord, m.nextToken(), now
	if p.Fact == rack.FactAdopt {
		w.takeOver = p
		m.takeOvers[bankOf(p)] = w.token
	}
	m.waiting[w.token] = t
	m.do(Keep{Token: w.token, Record: rack.Record{
		Kind: rack.RecordProgress, At: now, ID: t.job.cmd.ID, Progress: p, Lowers: t.job.cmd.Op.OnlyLowers(),
	}})
}

// write hands the relay's move to its lane.
func (m *Machine) write(now time.Time, t *target) {
	w := t.current
	m.forgetDoubts(w.step)
	if t.plan.Node != "" {
		m.forgetDoubts(rack.Step{Node: t.plan.Node})
	}
	w.start(now, &m.world, m.carrying(), m.nextToken())
	out, _ := m.world.Layout.Outlet(w.step.On)
	if m.disturb(out.SharedMeter(), w) && w.shared != nil {
		w.shared.disturbed = true
	}
	m.waiting[w.token] = t
	m.touch(w.step.On, now, true)
	if w.step.Do == rack.DoEnergise {
		top := topFeed(m.world.Layout, w.step.On)
		m.energised[top], m.inFlight[top] = now, w.token
		closed, known := m.world.Closed(w.step.On)
		if w.warm = closed && known; !w.warm {
			m.setStarting(w.step.On, true, time.Time{})
		}
	}
	m.do(Switch{Token: w.token, Do: w.step.Do, Outlet: w.step.On, By: &t.job.cmd})
}

// touch notes a write of ours on a relay: its load may go or come by that.
func (m *Machine) touch(o rack.OutletID, now time.Time, writing bool) {
	v := m.world.Outlets[o]
	v.Writing, v.Written = writing, now
	m.world.Outlets[o] = v
}

// carrying is what the outlets carry now.
func (m *Machine) carrying() *carried {
	if m.loads == nil {
		m.loads = &carried{outlets: make(map[rack.OutletID]float64, len(m.world.Outlets)), supplies: m.world.steadySupplies()}
		for id := range m.world.Outlets {
			if va, ok := m.world.Apparent(id); ok {
				m.loads.outlets[id] = va
			}
		}
	}
	return m.loads
}

func (m *Machine) setStarting(o rack.OutletID, starting bool, taken time.Time) {
	node, ok := m.world.Layout.NodeOf(o)
	if !ok {
		return
	}
	v := m.world.Nodes[node.Name]
	v.Starting = starting
	if !taken.IsZero() {
		v.SurgeUntil = taken.Add(node.SurgeFor)
	}
	m.world.Nodes[node.Name] = v
}

// recorded takes the journal's answer: a write may follow now, or a terminal result may be told.
func (m *Machine) recorded(now time.Time, in Recorded) {
	if o, ok := m.owed[in.Token]; ok {
		m.oweRecorded(now, in, o)
		return
	}
	if m.ownRecorded(now, in) {
		return
	}
	t, ok := m.waiting[in.Token]
	if !ok || t.current == nil || t.current.token != in.Token || t.current.state != stageRecord {
		return
	}
	delete(m.waiting, in.Token)
	w := t.current
	if in.Err != nil {
		m.recordRefused(now, t, in.Err)
		return
	}
	switch {
	case w.miner != nil:
		m.remembered(t)
		return
	case w.takeOver == nil:
		w.state, w.openKept = stageReady, true
		return
	}
	w.state, w.token = stageTakeOver, m.nextToken()
	m.waiting[w.token] = t
	m.takeOvers[bankOf(w.takeOver)] = w.token
	m.do(TakeOver{Token: w.token, Bank: bankOf(w.takeOver), Latch: *w.takeOver.Latch, Direction: *w.takeOver.Direction})
}

// bankOf is the bank whose words a record holds.
func bankOf(p *rack.Progress) rack.BankID { return rack.BankID{PDU: p.PDU, N: p.Bank} }

func (m *Machine) recordRefused(now time.Time, t *target, err error) {
	m.forgetTakeOver(t.current)
	m.stepEnded(now, t, verdict{state: rack.StateFailed, code: rack.CodeJournalFull, text: "the record that must precede this write was not kept: " + err.Error()})
}

func (m *Machine) forgetTakeOver(w *switching) {
	if w != nil && w.takeOver != nil {
		delete(m.takeOvers, bankOf(w.takeOver))
	}
}

// errNoRecord stands for a journal that did not answer.
var errNoRecord = errors.New("no answer from the journal")

// overdue ends a step whose record never came.
func (m *Machine) overdue(now time.Time, t *target) {
	if now.Sub(t.current.began) >= recordLimit {
		delete(m.waiting, t.current.token)
		m.recordRefused(now, t, errNoRecord)
	}
}

// switched takes the lane's answer to a write.
func (m *Machine) switched(now time.Time, in Switched) {
	t, ok := m.waiting[in.Token]
	if !ok {
		return
	}
	delete(m.waiting, in.Token)
	w := t.current
	if w.state == stageTakeOver {
		m.tookOver(now, t, in)
		return
	}
	m.touch(w.step.On, now, false)
	m.relayMoved(now, t, in)
	m.guardSpoke(t, in.Err)
	v := w.written(&m.world, in)
	switch {
	case t.abandon: // the step's times say how far it came
		m.endTarget(t, *t.stop)
	case v != nil:
		m.stepEnded(now, t, *v)
	}
}

func (m *Machine) tookOver(now time.Time, t *target, in Switched) {
	w := t.current
	m.forgetTakeOver(w)
	if t.abandon {
		m.endTarget(t, *t.stop)
		return
	}
	if in.Err != nil {
		m.stepEnded(now, t, failedWrite(in))
		return
	}
	bank := bankOf(w.takeOver)
	b := m.world.Banks[bank]
	b.Value, b.At, b.Quality, b.Reason = 1, in.Confirmed, rack.QualityOK, ""
	m.world.Banks[bank] = b
	m.bankRegained(bank)
	w.state, w.takeOver = stageReady, nil
	if t.stop != nil { // the relay itself has not moved
		m.endTarget(t, *t.stop)
	}
}

// relayMoved books what the lane read back: it is a measurement of the relay, newer than any poll.
func (m *Machine) relayMoved(now time.Time, t *target, in Switched) {
	w, o := t.current, t.current.step.On
	if out, _ := m.world.Layout.Outlet(o); !in.Taken.IsZero() {
		m.unsettle(out.SharedMeter(), now)
	}
	closed := w.step.Do == rack.DoEnergise
	if closed {
		top := topFeed(m.world.Layout, o)
		delete(m.inFlight, top)
		if !in.Taken.IsZero() {
			m.energised[top] = in.Taken
		}
		if !w.warm {
			m.setStarting(o, false, in.Taken)
		}
	}
	if in.Taken.IsZero() {
		return
	}
	v := m.world.Outlets[o]
	v.Relay.At, v.Relay.Quality, v.Relay.Reason = in.Confirmed, rack.QualityOK, ""
	v.Relay.Value, v.OpenSince = 0, in.Confirmed
	if closed {
		v.Relay.Value, v.OpenSince = 1, time.Time{}
	}
	if in.Confirmed.IsZero() { // taken and not read back: nothing is known until the next poll
		v.Relay.At, v.Relay.Quality, v.Relay.Reason = now, rack.QualityBad, "unconfirmed"
		v.OpenSince = time.Time{}
		delete(m.expect, o)
	} else {
		m.expect[o] = closed
		m.emit(rack.Event{
			Kind: rack.EventRelayMoved, Severity: rack.Info, Device: o.PDU, Outlet: o, Node: t.plan.Node, Command: t.job.cmd.ID,
			To: openOrClosed(closed), Text: fmt.Sprintf("relay of outlet %s reads back %s", o, openOrClosed(closed)),
		})
	}
	m.world.Outlets[o] = v
}

func openOrClosed(closed bool) string {
	if closed {
		return "closed"
	}
	return "open"
}

// guardSpoke reports a cut that the firm guard stopped in the lane: planning had let it pass.
func (m *Machine) guardSpoke(t *target, err error) {
	var g *GuardError
	if errors.As(err, &g) {
		m.emit(rack.Event{
			Kind: rack.EventFirmGuard, Severity: rack.Error, Device: t.current.step.On.PDU, Outlet: t.current.step.On, Node: t.plan.Node,
			Command: t.job.cmd.ID, Reason: string(g.Refusal.Code), Text: g.Refusal.Text,
		})
	}
}

// learn keeps what a verdict says about outlets beyond the command.
func (m *Machine) learn(now time.Time, t *target, st rack.Step, v verdict) {
	if v.state == rack.StateUnknown {
		m.doubt(now, t.job.cmd.ID, st)
	}
	if st.Node != "" {
		m.learnOfMiner(now, t, st, v)
		return
	}
	switch {
	case v.code == rack.CodeWelded && v.state == rack.StateFailed && st.Do == rack.DoCut:
		m.withdraw(now, st.On, t.plan.Node, t.job.cmd.ID)
	case !v.suspect.IsZero():
		m.distrust(now, st.On, "outlet "+v.suspect.String(), t.job.cmd.ID)
		m.distrust(now, v.suspect, "outlet "+st.On.String(), t.job.cmd.ID)
	case v.supply != "":
		m.distrust(now, st.On, "an outlet of supply "+v.supply, t.job.cmd.ID)
	}
}

func (m *Machine) withdraw(now time.Time, o rack.OutletID, node, cmd string) {
	v := m.world.Outlets[o]
	v.Withdrawn = "welded: it read back open under command " + cmd + " and its load stayed"
	m.world.Outlets[o] = v
	p, _ := m.world.Layout.PDU(o.PDU)
	m.owe(&owed{record: rack.Record{Kind: rack.RecordWithdraw, At: now, ID: cmd, Outlet: o, Serial: p.Serial, Reason: v.Withdrawn, Lowers: true}})
	m.emit(rack.Event{
		Kind: rack.EventWelded, Severity: rack.Error, Device: o.PDU, Outlet: o, Node: node, Command: cmd,
		Text: fmt.Sprintf("outlet %s is welded: the relay reads back open and the load is still there; it is no longer switched and isolates nothing", o),
	})
	m.do(Raise{rack.Alarm{Key: "welded." + o.String(), Since: now, Severity: rack.Error, Text: "outlet " + o.String() + " is welded"}})
}

func (m *Machine) distrust(now time.Time, o rack.OutletID, other, cmd string) {
	v := m.world.Outlets[o]
	m.do(Learnt{})
	v.Proven = false
	v.Unproven = fmt.Sprintf("under command %s outlet %s and %s did not move as wired", cmd, o, other)
	m.world.Outlets[o] = v
	p, _ := m.world.Layout.PDU(o.PDU)
	m.owe(&owed{record: rack.Record{
		Kind: rack.RecordWiring, At: now, ID: cmd, Outlet: o, Wiring: rack.WiringUnproven, Serial: p.Serial, Reason: v.Unproven, Lowers: true,
	}})
	m.emit(rack.Event{Kind: rack.EventWiring, Severity: rack.Error, Device: o.PDU, Outlet: o, Command: cmd, Reason: v.Unproven, Text: "outlet " + o.String() + " counts as firm until a person corrects its wiring"})
}

func (m *Machine) emit(e rack.Event) {
	if e.At.IsZero() {
		e.At = m.world.At
	}
	m.do(Emit{Event: e})
}
