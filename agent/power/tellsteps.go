package power

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers"
)

// newTelling begins a step on a miner.
func (m *Machine) newTelling(now time.Time, t *target, st rack.Step) *switching {
	w := newSwitching(st)
	node, _ := m.world.Layout.Node(st.Node)
	w.miner = &telling{node: node}
	switch kept, ok := m.world.kept(node, keptBy(st.Do)); {
	case st.Do == rack.DoLimit:
		a := t.job.cmd.Args
		w.miner.limit = &Limit{W: a.LimitW, Mode: a.Mode}
	case ok && st.Do != rack.DoSleep:
		w.miner.before, w.miner.compare, w.miner.drawn = kept.Before, kept.Before, kept.Value
	}
	switch {
	case t.job.cmd.Op == rack.OpStart:
		w.miner.answerBy = now.Add(bootLimit)
	case t.escalates(): // its own time is what it has before its outlet is cut
		w.miner.answerBy = now.Add(node.API.SleepBy)
	}
	return w
}

// inquire asks a miner what it does and what it is told to do, before anything is said to it.
func (m *Machine) inquire(now time.Time, t *target) {
	w := t.current
	w.state, w.token, w.began = stageAsking, m.nextToken(), now
	m.waiting[w.token] = t
	m.do(Inquire{Token: w.token, Node: w.step.Node, Question: w.question(true)})
}

// question is what has to be known of a miner: before it is told anything, and whether it does as told.
func (w *switching) question(first bool) Question {
	h := w.miner
	q := Question{Whole: first || w.step.Do != rack.DoSleep, Limit: h.limit}
	if h.limit == nil {
		q.Before = h.compare
	}
	return q
}

// keptBy is the kind under which a verb keeps what it interrupts, or finds what it gives back.
func keptBy(do rack.Verb) rack.OrderKind {
	if do == rack.DoLimit || do == rack.DoRelease {
		return rack.OrderLimited
	}
	return rack.OrderSlept
}

// said takes a lane's answer about a miner.
func (m *Machine) said(now time.Time, in Said) {
	t, ok := m.waiting[in.Token]
	if !ok {
		return
	}
	delete(m.waiting, in.Token)
	w := t.current
	switch {
	case w == nil || w.miner == nil: // the target has gone on
	case w.state == stageAsking && w.token == in.Token:
		m.asked(now, t, in)
	case w.state == stageWriting && w.token == in.Token:
		m.told(now, t, in)
	case w.miner.asking == in.Token:
		w.heard(now, in)
		t.changed = t.changed || w.result.Confirmed != nil
	}
}

// asked judges what a miner says before it is told anything.
func (m *Machine) asked(now time.Time, t *target, in Said) {
	w := t.current
	if t.abandon {
		m.endTarget(t, *t.stop)
		return
	}
	if in.Err != nil {
		if now.Before(w.miner.answerBy) && mayAnswerLater(t, in.Err) {
			w.state, w.miner.askNext = stageReady, now.Add(bootGap)
			return
		}
		m.stepEnded(now, t, failedTelling(in.Err))
		return
	}
	w.miner.word, w.miner.asked = in.Word, true
	if t.job.cmd.Op == rack.OpStart && isFalse(in.Word.Asleep) && !isFalse(in.Word.Same) {
		m.watchStart(now, t)
		return
	}
	if v := m.needless(w); v != nil {
		m.stepEnded(now, t, *v)
		return
	}
	_, limited := m.world.kept(w.miner.node, rack.OrderLimited)
	_, slept := m.world.kept(w.miner.node, rack.OrderSlept)
	switch {
	case w.step.Do == rack.DoSleep: // what it does now is not what was interrupted, if it sleeps or was only just told to wake
		w.miner.kept = isTrue(in.Word.Asleep) || slept && (!isFalse(in.Word.Asleep) || m.world.Nodes[w.step.Node].Waking)
	case w.step.Do == rack.DoLimit:
		w.miner.kept = limited // by an earlier limit: that is what a release gives back
		w.miner.before = in.Word.Setting
	case w.miner.before == "":
		w.miner.before = in.Word.Setting
		fallthrough
	default:
		w.miner.kept = true
	}
	if slept && isFalse(in.Word.Asleep) && (w.step.Do == rack.DoLimit || w.step.Do == rack.DoRelease) {
		m.given(now, t, w.miner.node, rack.OrderSlept) // it is awake: what it was interrupted in is past
	}
	w.state = stageReady
}

// mayAnswerLater tells whether a question is worth asking again: a miner that boots says many things, one that is put to sleep
// may have been busy.
func mayAnswerLater(t *target, err error) bool {
	switch drivers.FaultOf(err) {
	case drivers.Unreachable, drivers.Timeout, drivers.Corrupt, drivers.Busy:
		return true
	}
	return t.job.cmd.Op == rack.OpStart
}

// bootGap is the pause between two questions to a miner that boots, arbitrary.
const bootGap = 5 * time.Second

// watchStart goes on without a verb: a miner that was started is awake by itself, and its watts are awaited.
func (m *Machine) watchStart(now time.Time, t *target) {
	w := t.current
	w.startTelling(now, &m.world, m.carrying(), 0)
	w.result.Confirmed = ms(w.miner.word.At)
	w.miner.told = true
	w.await(&m.world, now)
}

// needless ends a step on a miner that is already as it is to be: nothing is said to it.
func (m *Machine) needless(w *switching) *verdict {
	h := w.miner
	sum, _, measured := m.world.sum(h.node)
	waking := m.world.Nodes[h.node.Name].Waking // it was told so, and may only not have got to it yet
	switch {
	case w.step.Do == rack.DoSleep && isTrue(h.word.Asleep) && !waking && (!measured || sum <= asleepBelow(0, h.node.API.FanW)):
		w.result.Confirmed = ms(h.word.At)
		return w.end(verdict{state: rack.StateConfirmed, code: rack.CodeNoLoad, text: "it says that it sleeps already; nothing was said to it"})
	case w.step.Do == rack.DoWake && isFalse(h.word.Asleep) && h.answerBy.IsZero():
		w.result.Confirmed = ms(h.word.At)
		text := "it says that it is awake already; nothing was said to it"
		if isFalse(h.word.Same) {
			text += ", although it is told to do something else than before its sleep"
		}
		return w.end(verdict{state: rack.StateConfirmed, code: rack.CodeNoLoad, text: text})
	case w.step.Do != rack.DoSleep && w.step.Do != rack.DoWake && isTrue(h.word.Asleep):
		return w.end(verdict{state: rack.StateFailed, code: rack.CodePrecondition, text: "it sleeps: wake it first"})
	case w.step.Do == rack.DoLimit && isTrue(h.word.Same) && !m.limitedOtherwise(h):
		w.result.Confirmed = ms(h.word.At)
		return w.end(verdict{state: rack.StateConfirmed, code: rack.CodeNoLoad, text: "it says that it keeps to that already; nothing was said to it"})
	case w.step.Do == rack.DoRelease && isTrue(h.word.Same):
		w.result.Confirmed = ms(h.word.At)
		return w.end(verdict{state: rack.StateConfirmed, code: rack.CodeNoLoad, text: "it says that it does already what it did before the limit; nothing was said to it"})
	case h.word.Setting == "":
		return w.end(verdict{state: rack.StateFailed, code: rack.CodeDeviceError, text: "it does not say what it is told to do, so that could not be given back"})
	}
	return nil
}

// limitedOtherwise tells whether a limit of ours is in force that is another one.
func (m *Machine) limitedOtherwise(h *telling) bool {
	o, ok := m.world.kept(h.node, rack.OrderLimit)
	return ok && (o.Value != h.limit.W || o.Mode != h.limit.Mode)
}

// keepOrTell keeps what a verb is about to interrupt, or tells the miner.
func (m *Machine) keepOrTell(now time.Time, t *target) {
	w := t.current
	switch {
	case !w.miner.asked:
		m.inquire(now, t)
	case !w.miner.kept:
		m.keepInterrupted(now, t)
	default:
		m.tell(now, t)
	}
}

// keepInterrupted asks for the record of what the miner does, and holds the verb until it is on disk.
func (m *Machine) keepInterrupted(now time.Time, t *target) {
	w := t.current
	w.miner.before = w.miner.word.Setting
	o := m.interruptedBy(t, w)
	o.Since = now
	w.miner.memory = rack.Record{Kind: rack.RecordOrder, At: now, ID: t.job.cmd.ID, Order: &o, Lowers: true}
	w.state, w.token, w.began = stageRecord, m.nextToken(), now
	m.waiting[w.token] = t
	m.do(Keep{Token: w.token, Record: w.miner.memory})
}

func (m *Machine) interruptedBy(t *target, w *switching) rack.Order {
	o := rack.Order{
		Kind: keptBy(w.step.Do), Target: rack.NodeTarget(w.miner.node.Name), Command: t.job.cmd.ID, By: issuerOf(t.job.cmd), Before: w.miner.before,
	}
	if sum, _, ok := m.world.sum(w.miner.node); ok {
		o.Value = sum
	}
	return o
}

// remembered goes on once what a verb interrupts is on disk.
func (m *Machine) remembered(t *target) {
	w := t.current
	m.setOrder(*w.miner.memory.Order, false)
	m.outdate(w.miner.memory, w.token)
	w.miner.kept, w.miner.wrote = true, true
	w.state = stageReady
}

// setOrder takes an order into the snapshot in the place of an older one of its kind and target, or takes it away.
func (m *Machine) setOrder(o rack.Order, released bool) {
	m.world.Orders = slices.DeleteFunc(slices.Clone(m.world.Orders), func(old rack.Order) bool { return old.Kind == o.Kind && old.Target == o.Target })
	if !released {
		m.world.Orders = append(m.world.Orders, o)
	}
}

// tell hands the verb to the miner's lane.
func (m *Machine) tell(now time.Time, t *target) {
	w := t.current
	m.forgetDoubts(w.step)
	w.startTelling(now, &m.world, m.carrying(), m.nextToken())
	for _, o := range w.miner.node.Outlets {
		out, _ := m.world.Layout.Outlet(o)
		m.disturb(out.SharedMeter(), w)
	}
	v := m.world.Nodes[w.step.Node]
	v.Told = now
	v.Waking = v.Waking || w.step.Do == rack.DoWake
	m.world.Nodes[w.step.Node] = v
	m.waiting[w.token] = t
	m.do(Tell{Token: w.token, Node: w.step.Node, Do: w.step.Do, Before: w.miner.before, Limit: w.miner.limit, Within: w.miner.node.API.Write, By: &t.job.cmd})
}

// told takes the lane's answer to a verb.
func (m *Machine) told(now time.Time, t *target, in Said) {
	w := t.current
	m.guardSpoke(t, in.Err)
	if !in.Answer.Taken.IsZero() {
		m.emit(rack.Event{
			Kind: rack.EventMinerTold, Severity: rack.Info, Device: w.step.Node, Node: w.step.Node, Command: t.job.cmd.ID, To: string(w.step.Do),
			Reason: strings.Join(in.Answer.Notes, "; "), Text: fmt.Sprintf("%s took the verb %s", w.step.Node, w.step.Do),
		})
	}
	if in.Err != nil && !unsure(in.Err) && w.miner.wrote { // it was not told: nothing was interrupted
		m.given(now, t, w.miner.node, keptBy(w.step.Do))
	}
	v := w.said(&m.world, in)
	switch {
	case t.abandon:
		m.endTarget(t, *t.stop)
	case v != nil:
		m.stepEnded(now, t, *v)
	}
}

// settleTelling brings a step on a miner further that was told.
func (m *Machine) settleTelling(now time.Time, t *target) {
	w := t.current
	v, sample, ask := w.settleTelling(now, &m.world)
	if v != nil {
		delete(m.waiting, w.miner.asking)
		m.stepEnded(now, t, *v)
		return
	}
	for _, o := range w.miner.node.Outlets {
		if sample {
			m.sample(o.PDU)
		}
	}
	if ask {
		w.miner.asking = m.nextToken()
		m.waiting[w.miner.asking] = t
		m.do(Inquire{Token: w.miner.asking, Node: w.step.Node, Question: w.question(false)})
	}
}

// unsure tells whether a verb without an answer may have been taken all the same.
func unsure(err error) bool { return drivers.FaultOf(err) == drivers.Unsure }

// failedTelling names what a failed question or verb means.
func failedTelling(err error) verdict {
	var g *GuardError
	if errors.As(err, &g) {
		return verdict{state: rack.StateFailed, code: g.Refusal.Code, text: g.Refusal.Text}
	}
	v := verdict{state: rack.StateFailed, code: rack.CodeDeviceError, text: err.Error()}
	switch drivers.FaultOf(err) {
	case drivers.Unsupported:
		v.code = rack.CodeUnsupported
	case drivers.Busy:
		v.code, v.lie = rack.CodeExternalOwner, reasonForeign
	case drivers.Unreachable, drivers.Timeout, drivers.Hung, drivers.Cancelled:
		v.code = rack.CodeDeviceTimeout
	case drivers.Unsure:
		v.state, v.code = rack.StateUnknown, rack.CodeVerifyFailed
	}
	return v
}

// learnOfMiner keeps what a verdict on a miner says beyond the command.
func (m *Machine) learnOfMiner(now time.Time, t *target, st rack.Step, v verdict) {
	node, _ := m.world.Layout.Node(st.Node)
	if v.lie != "" {
		m.emit(rack.Event{
			Kind: rack.EventMiner, Severity: rack.Error, Device: st.Node, Node: st.Node, Command: t.job.cmd.ID, Reason: v.lie,
			Text: fmt.Sprintf("%s was told to %s: %s", st.Node, st.Do, v.text),
		})
	}
	if !v.suspect.IsZero() {
		for _, o := range node.Outlets {
			m.distrust(now, o, "outlet "+v.suspect.String(), t.job.cmd.ID)
		}
		m.distrust(now, v.suspect, "an outlet of "+st.Node, t.job.cmd.ID)
	}
	// A miner that was released or asleep already is as it was told, too; one that was limited already is not so by us.
	already := v.state == rack.StateConfirmed && (st.Do == rack.DoRelease || st.Do == rack.DoSleep || t.done.miner.obeyed(st.Do, t.done.result.Taken != nil))
	if v.state == rack.StateSucceeded || v.state == rack.StateConfirmed && v.code == rack.CodeUnmetered || already {
		m.didAsTold(now, t, st, node, v)
	}
}

// obeyed tells, of a verb that no watts prove, whether the miner is as it was told all the same: limited by us, or awake as
// before.
func (h *telling) obeyed(do rack.Verb, taken bool) bool {
	if do == rack.DoLimit {
		return taken
	}
	return do == rack.DoWake && h.compare != "" && isTrue(h.word.Same)
}

// didAsTold keeps what follows from a verb that a miner has obeyed.
func (m *Machine) didAsTold(now time.Time, t *target, st rack.Step, node rack.Node, v verdict) {
	switch st.Do {
	case rack.DoSleep:
		view := m.world.Nodes[st.Node]
		view.Waking = false
		m.world.Nodes[st.Node] = view
		if v.state == rack.StateSucceeded {
			m.harvest(now, t)
		}
	case rack.DoLimit:
		cmd := &t.job.cmd
		m.oweOrder(now, cmd.ID, rack.Order{
			Kind: rack.OrderLimit, Target: rack.NodeTarget(st.Node), Value: cmd.Args.LimitW, Mode: cmd.Args.Mode, Command: cmd.ID, By: issuerOf(*cmd), Since: now, Why: cmd.Why,
		}, false)
	case rack.DoRelease:
		m.given(now, t, node, rack.OrderLimited)
		m.given(now, t, node, rack.OrderLimit)
	default:
		m.given(now, t, node, rack.OrderSlept)
	}
}

// given releases an order, or what was kept, of a node.
func (m *Machine) given(now time.Time, t *target, node rack.Node, kind rack.OrderKind) {
	if o, ok := m.world.kept(node, kind); ok {
		m.oweOrder(now, t.job.cmd.ID, o, true)
	}
}

// oweOrder takes an order or its release over, and has it recorded.
func (m *Machine) oweOrder(now time.Time, id string, o rack.Order, released bool) {
	m.setOrder(o, released)
	kind := rack.RecordOrder
	if released {
		kind = rack.RecordReleased
	}
	m.owe(&owed{record: rack.Record{Kind: kind, At: now, ID: id, Order: &o, Lowers: true}})
}
