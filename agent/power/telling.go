package power

import (
	"fmt"
	"time"

	"rackagent/agent/rack"
)

// Figures of the proof that a miner sleeps or works.
const (
	// asleepW and asleepShare: a miner that draws no more than this, or this share of what it drew before, sleeps.
	asleepW     = 60.0
	asleepShare = 0.1
	// wokenShare: a miner that draws this share of what it drew before its sleep is awake. Arbitrary: a sleeping one draws a
	// tenth at most, one that tunes itself may stay below its full power for a quarter of an hour.
	wokenShare = 0.5
	// limitShare is what a miner may draw above a limit that it keeps to: what is counted for it on the feed. backShare is what
	// it draws at least of what it drew before a limit, once that is released. Both are what a meter and a load may differ by.
	limitShare = 1.05
	backShare  = 0.9
	// modeShare is by how much the watts have to differ to show that another mode is in force, arbitrary.
	modeShare = 0.05
	// limitHold is how long a limit must be kept to prove it: a miner that restarts to obey draws less for a moment, arbitrary.
	limitHold = 10 * time.Second
	// askGap is the pause between two questions whether a miner is as it was told, or a tenth of the time since, where that
	// is longer. Arbitrary: a question takes a miner some hundredths of a second.
	askGap = 2 * time.Second
	// sampleShare is the part of the time since the write after which an extra sample is asked for again, arbitrary.
	sampleShare = 20
)

// Reasons of an event of kind miner, stable: how what a miner says and what it does differ.
const (
	reasonUnchanged = "taken_unchanged"     // it took the verb, and neither its word nor its watts changed
	reasonDrawing   = "asleep_drawing"      // it says that it sleeps, and draws as before
	reasonIdle      = "not_hashing_drawing" // it does not hash, says not that it sleeps, and draws as before
	reasonRunning   = "quiet_running"       // it draws what a sleeping one does, and says that it works
	reasonDark      = "awake_no_load"       // it says that it is awake, and draws next to nothing
	reasonAbove     = "limit_exceeded"      // it says that it keeps to a limit, and draws more
	reasonOther     = "other_setting"       // it is told to do something else than what was given back
	reasonRebooted  = "rebooted"            // its controller began anew in the middle
	reasonByItself  = "woke_by_itself"      // it was put to sleep and is awake without a command of ours
	reasonForeign   = "foreign_owner"       // another controller holds it or has changed what it is told to do
)

// telling is what a step on a miner has beyond what every step has: the words of the miner, and the watts of all outlets of
// its node together.
type telling struct {
	node    rack.Node
	limit   *Limit      // of a limit
	before  string      // what it is to do again; of a sleep or a limit, what is kept before it is told
	compare string      // what it is compared with; empty: nothing was kept
	memory  rack.Record // what is kept of before, once it was read
	drawn   float64     // W before what is given back was interrupted; 0: not known

	word    Word      // newest
	told    bool      // any word came since the write
	asking  uint64    // the question that is with the lane
	askNext time.Time // when it is asked again
	sent    time.Time // when the verb was handed to the lane

	baseW    *float64 // of all its outlets when the verb was handed over; nil: not all of them are measured
	aim      aim
	newest   time.Time
	samples  int
	firstRaw []uint32  // of each outlet in the first sample after the write
	proven   int       // samples in a row that show what is wanted
	since    time.Time // of the first of them
	settled  time.Time

	answerBy    time.Time // of a start: until then it may boot; zero: it has to answer at once
	wrote       bool      // what it interrupts was written by this step
	silent      bool      // the newest question was not answered
	asked, kept bool      // its word of before was heard; what it interrupts is on disk, or nothing has to be
}

// sum is what the outlets of a node draw together, and the age of the oldest of the readings.
func (s *Snapshot) sum(n rack.Node) (w float64, oldest time.Time, ok bool) {
	for i, o := range n.Outlets {
		v, fresh := s.Watts(o)
		out, _ := s.Layout.Outlet(o)
		if !fresh || !out.Metered {
			return 0, time.Time{}, false
		}
		w += v
		if at := s.Outlets[o].W.At; i == 0 || at.Before(oldest) {
			oldest = at
		}
	}
	return w, oldest, len(n.Outlets) > 0
}

// asleepBelow is what a miner draws at most that sleeps, and drew base before.
func asleepBelow(base, fan float64) float64 { return max(asleepW, asleepShare*base) + fan }

// startTelling notes the world before a miner is told.
func (w *switching) startTelling(now time.Time, s *Snapshot, loads *carried, token uint64) {
	h := w.miner
	w.state, w.token, w.began = stageWriting, token, now
	w.before, w.supplies = loads.outlets, loads.supplies
	h.sent = now
	if sum, _, ok := s.sum(h.node); ok {
		h.baseW = &sum
	}
	w.result.Proof = &rack.Proof{Meter: meterOf(h.node), BeforeW: h.baseW}
	h.aim = w.aimed()
}

// awakeAbove is what a miner draws at least that is awake, and drew so much before its sleep; 0: that is not known.
func awakeAbove(n rack.Node, drawn float64) float64 {
	if drawn > asleepBelow(0, n.API.FanW) { // else it did not work then
		return max(asleepW, wokenShare*drawn)
	}
	return asleepBelow(n.MaxW, n.API.FanW)
}

// meterOf names the meter that proves a step on a node: its outlet, or all of them.
func meterOf(n rack.Node) string {
	if len(n.Outlets) == 1 {
		return n.Outlets[0].String()
	}
	return rack.NodeTarget(n.Name).String()
}

// said takes the lane's answer to the verb. A verdict ends the step; nil means its word and its watts are awaited.
func (w *switching) said(s *Snapshot, r Said) *verdict {
	w.result.Taken = ms(r.Answer.Taken)
	if r.Err != nil && !unsure(r.Err) {
		return w.end(failedTelling(r.Err))
	}
	from := r.Answer.Taken
	if from.IsZero() {
		from = s.At
	}
	w.await(s, from)
	return nil
}

// await lets word and watts since a moment decide.
func (w *switching) await(s *Snapshot, from time.Time) {
	h := w.miner
	for _, o := range h.node.Outlets {
		p, _ := s.Layout.PDU(o.PDU)
		if at := from.Add(p.Settling); at.After(w.from) {
			w.from = at
		}
	}
	w.state, w.readBack = stageSettling, from
	h.askNext = from
	w.giveUp = from.Add(h.aim.within(h.node.API))
}

// heard takes the answer to a question after the write.
func (w *switching) heard(now time.Time, r Said) {
	h := w.miner
	h.asking = 0
	h.askNext = now.Add(max(askGap, now.Sub(w.readBack)/10))
	h.silent = r.Err != nil
	if h.silent || r.Word.At.Before(h.sent) {
		return
	}
	h.word, h.told = r.Word, true
	if w.result.Confirmed == nil && h.aim.obeys(r.Word) {
		w.result.Confirmed = ms(r.Word.At)
	}
}

// settleTelling looks at the newest samples and words. It gives a verdict, or what is wanted now.
func (w *switching) settleTelling(now time.Time, s *Snapshot) (v *verdict, sample, ask bool) {
	h := w.miner
	w.look(s)
	if done := w.settledTelling(); done != nil {
		return done, false, false
	}
	if !now.Before(w.giveUp) {
		return w.end(w.unprovenTelling(s)), false, false
	}
	if gap := max(sampleGap, now.Sub(w.readBack)/sampleShare); h.baseW != nil && h.settled.IsZero() && !now.Before(w.from) && now.Sub(w.asked) >= gap {
		w.asked, sample = now, true
	}
	wanted := w.result.Confirmed == nil || w.step.Do == rack.DoLimit // a limit holds while it hashes, and not while it restarts
	return nil, sample, wanted && h.asking == 0 && !now.Before(h.askNext)
}

// settledTelling ends a step that both the miner and the meters show, or that no meter can.
func (w *switching) settledTelling() *verdict {
	h := w.miner
	if w.result.Confirmed == nil {
		return nil
	}
	if h.baseW == nil {
		return w.end(verdict{state: rack.StateConfirmed, code: rack.CodeUnmetered, text: "the miner says so; not every outlet of its node was measured before"})
	}
	if why := h.aim.hollow(*h.baseW); why != "" {
		return w.end(verdict{state: rack.StateConfirmed, code: rack.CodeNoLoad, text: "the miner says so; " + why})
	}
	if !h.settled.IsZero() {
		w.result.Settled = ms(h.settled)
		return w.end(verdict{state: rack.StateSucceeded})
	}
	return nil
}

// look books the samples taken since the write.
func (w *switching) look(s *Snapshot) {
	h := w.miner
	sum, oldest, ok := s.sum(h.node)
	if h.baseW == nil || !ok || oldest.Before(w.from) || oldest.Sub(h.newest) < sampleGap {
		return
	}
	h.newest = oldest
	h.samples++
	w.result.Proof.AfterW = &sum
	for i, o := range h.node.Outlets {
		raw := s.Outlets[o].W.Raw
		if h.samples == 1 {
			h.firstRaw = append(h.firstRaw, raw)
		}
		w.moved = w.moved || raw != h.firstRaw[i]
	}
	restarts := w.step.Do == rack.DoLimit && (!h.told || h.silent || isFalse(h.word.Hashing) || sum <= asleepBelow(0, h.node.API.FanW))
	if restarts || !h.aim.shows(sum, *h.baseW, w.moved) {
		h.proven, h.settled = 0, time.Time{}
		return
	}
	if h.proven == 0 {
		h.since = oldest
	}
	if h.proven++; h.settled.IsZero() && h.proven >= 2 && oldest.Sub(h.since) >= h.aim.hold() {
		h.settled = oldest
	}
}

// rebooted tells whether the miner's controller began anew after the write.
func (h *telling) rebooted() bool { return h.told && h.word.Booted.After(h.sent) }

// unprovenTelling is the verdict when time is up.
func (w *switching) unprovenTelling(s *Snapshot) verdict {
	out := w.untold(s)
	if w.miner.rebooted() && out.state != rack.StateSucceeded {
		out.lie = reasonRebooted
		out.text += "; its controller began anew meanwhile"
	}
	return out
}

// untold holds what its word and its watts show against each other.
func (w *switching) untold(s *Snapshot) verdict {
	h, words := w.miner, w.miner.aim.words()
	unknown := verdict{state: rack.StateUnknown, code: rack.CodeVerifyFailed}
	failed := verdict{state: rack.StateFailed, code: rack.CodeVerifyFailed}
	confirmed := w.result.Confirmed != nil
	switch {
	case h.told && words.other != "" && isFalse(h.word.Asleep) && isFalse(h.word.Same):
		failed.lie, failed.text = reasonOther, words.other
		return failed
	case !h.settled.IsZero() && !h.told:
		w.result.Settled = ms(h.settled)
		return verdict{state: rack.StateSucceeded, text: words.shown + "; its interface has not answered since"}
	case !h.settled.IsZero():
		unknown.lie, unknown.text = words.denies, words.shown+", and it says otherwise"
		return unknown
	case h.baseW == nil:
		unknown.text = "it does not say that it does as told, and not every outlet of its node is measured"
		return unknown
	case h.samples == 0:
		unknown.text = "its meters gave no fresh sample" + saying(confirmed)
		return unknown
	case !w.moved:
		unknown.text = "its meters are frozen" + saying(confirmed)
		return unknown
	}
	if other, ok := w.lostInstead(s); ok && w.step.Do == rack.DoSleep {
		out := w.otherFell(other)
		out.text = fmt.Sprintf("outlet %s lost its load when this miner was told to sleep: the wiring is not as configured", other)
		return out
	}
	switch {
	case confirmed:
		failed.lie, failed.text = words.lies, words.unshown
	case w.step.Do == rack.DoSleep && isFalse(h.word.Hashing) && h.told:
		failed.lie, failed.text = reasonIdle, "it does not hash and does not say that it sleeps, and still draws"
	case w.result.Taken != nil:
		failed.lie, failed.text = reasonUnchanged, "it took the verb, and nothing changed"
	default:
		failed.text = "it did not say whether it took the verb, and nothing changed"
	}
	return failed
}

func saying(confirmed bool) string {
	if confirmed {
		return "; it says that it does as told"
	}
	return ""
}

// lostInstead finds an outlet of no command of ours that lost about what this miner was to lose: its cable may lead there.
func (w *switching) lostInstead(s *Snapshot) (rack.OutletID, bool) {
	base := *w.miner.baseW
	for _, p := range s.Layout.PDUs {
		for _, o := range p.Outlets {
			v := s.Outlets[o.ID]
			was, known := w.before[o.ID]
			node, _ := s.Layout.NodeOf(o.ID)
			if !known || was < noLoadVA || node.Name == w.miner.node.Name || v.Writing || !v.Written.Before(w.began) || s.toldLately(node, w.began) {
				continue
			}
			va, fresh := s.Apparent(o.ID)
			closed, sure := s.Closed(o.ID)
			if fresh && sure && closed && v.W.At.After(w.from) && va < asleepBelow(was, w.miner.node.API.FanW) && abs(was-base) <= sameLoad*base {
				return o.ID, true
			}
		}
	}
	return rack.OutletID{}, false
}
