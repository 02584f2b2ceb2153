package power

import (
	"errors"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers"
)

// switching is the machine of one step on one outlet, from the write to its proof. It sees the world only through
// the snapshots given to it.
type switching struct {
	step  rack.Step
	state stage
	token uint64    // of the lane action in flight
	began time.Time // when the action was handed to the lane

	takeOver *rack.Progress            // the words that bring a bank under control first
	openKept bool                      // the open half of a cycle is on disk
	warm     bool                      // the relay to be closed was known to be closed already: nothing starts
	before   map[rack.OutletID]float64 // apparent power of every outlet when the write was handed over; shared, not to be changed
	supplies map[rack.MeterID]float64  // watts of every steady shared meter at that moment; likewise
	result   rack.StepResult
	lastAt   time.Time // newest sample seen after the write
	below    int       // consecutive samples that prove a cut
	samples  int       // samples after the write
	firstRaw uint32
	moved    bool // raw codes differed between samples after the write
	asked    time.Time
	readBack time.Time // when the relay read back as written
	from     time.Time // samples count that were begun at or after this
	giveUp   time.Time // when the proof must be there
	loadW    float64   // what an energised outlet must carry
	shared   *sharedStep
	share    string   // why a shared meter cannot prove it; empty: it can, or there is none
	miner    *telling // of a step on a miner; nil: a relay is moved
	hollow   *verdict // what a cut ends with that its own meter cannot prove, once no other outlet has fallen instead
}

// stage is where a step stands.
type stage uint8

const (
	stageReady    stage = iota // nothing outstanding, not handed to the lane
	stageRecord                // a record must be on disk before the write
	stageAsking                // a miner is asked what it does before it is told anything
	stageTakeOver              // the bank is being brought under control
	stageWriting               // in the lane
	stageSettling              // written and read back, watts outstanding
	stageDone
)

// verdict is how a step ended.
type verdict struct {
	state rack.State
	code  rack.Code
	text  string
	// suspect is the outlet that moved instead.
	suspect rack.OutletID
	// supply is the shared meter that showed the step instead, of an outlet that has its own.
	supply string
	// lie is the reason of an event of kind miner, where what the miner says and what it does differ.
	lie string
}

// sampleGap is the shortest time between two samples that count as two. Source: ADE7953 data sheet rev. C, rms
// settling 200 ms.
const sampleGap = 200 * time.Millisecond

func newSwitching(st rack.Step) *switching {
	return &switching{step: st, result: rack.StepResult{Do: st.Do, On: st.Where(), Hot: st.Hot}}
}

// start notes the world before the write.
func (w *switching) start(now time.Time, s *Snapshot, loads *carried, token uint64) {
	w.state, w.token, w.began = stageWriting, token, now
	w.before, w.supplies = loads.outlets, loads.supplies
	w.loadW = threshold(s.Layout, w.step.On)
	out, _ := s.Layout.Outlet(w.step.On)
	if !out.Metered && out.Supply > 0 {
		node, _ := s.Layout.NodeOf(w.step.On)
		if w.shared, w.share = s.shareOf(out, node); w.shared != nil {
			w.result.Proof = w.shared.proof(s)
		}
		return
	}
	if out.Metered {
		w.result.Proof = &rack.Proof{Meter: w.step.On.String(), BeforeW: measured(s, w.step.On)}
	}
	w.result.Hot = w.step.Do == rack.DoCut && w.result.Proof != nil && w.result.Proof.BeforeW != nil && *w.result.Proof.BeforeW > hotW
}

// written takes the lane's answer. A verdict ends the step; nil means the watts are awaited.
func (w *switching) written(s *Snapshot, r Switched) *verdict {
	w.result.Taken, w.result.Confirmed = ms(r.Taken), ms(r.Confirmed)
	if r.Err != nil {
		return w.end(failedWrite(r))
	}
	w.hollow = w.unprovable(s)
	if w.hollow != nil && w.step.Do == rack.DoEnergise {
		return w.end(*w.hollow)
	}
	p, _ := s.Layout.PDU(w.step.On.PDU)
	w.state = stageSettling
	w.readBack = r.Confirmed
	w.from = r.Confirmed.Add(p.Settling)
	limit := cutLimit
	if w.step.Do == rack.DoEnergise {
		limit = energiseLimit
	}
	w.giveUp = r.Taken.Add(limit)
	return nil
}

// unprovable is the verdict of a step that no meter can prove even if all goes well; nil where one can.
func (w *switching) unprovable(s *Snapshot) *verdict {
	out, _ := s.Layout.Outlet(w.step.On)
	before, known := w.before[w.step.On]
	switch {
	case w.shared != nil:
		return nil
	case w.share != "":
		return &verdict{state: rack.StateConfirmed, code: rack.CodeUnmetered, text: "the relay reads back, the outlet has no meter of its own and " + w.share}
	case !out.Metered:
		return &verdict{state: rack.StateConfirmed, code: rack.CodeUnmetered, text: "the relay reads back, the outlet has no meter"}
	case w.step.Do == rack.DoCut && !known:
		return &verdict{state: rack.StateConfirmed, code: rack.CodeUnmetered, text: "the relay reads back, there were no fresh watts before the write"}
	case w.step.Do == rack.DoCut && before < noLoadVA:
		return &verdict{state: rack.StateConfirmed, code: rack.CodeNoLoad, text: "the relay reads back, there was no load that could prove it"}
	}
	return nil
}

// failedWrite names what a failed action means. Nothing is guessed: what may have been written is unknown.
func failedWrite(r Switched) verdict {
	var g *GuardError
	if errors.As(r.Err, &g) {
		return verdict{state: rack.StateFailed, code: g.Refusal.Code, text: g.Refusal.Text}
	}
	fault := drivers.FaultOf(r.Err)
	v := verdict{state: rack.StateFailed, code: rack.CodeDeviceError, text: r.Err.Error()}
	switch {
	case fault == drivers.OutOfControl || fault == drivers.Foreign:
		v.code = rack.CodeExternalChange
	case fault == drivers.Mismatch:
		v.code = rack.CodeVerifyFailed
	case !r.Taken.IsZero():
		v.state, v.code = rack.StateUnknown, rack.CodeVerifyFailed
	case fault == drivers.Timeout || fault == drivers.Hung || fault == drivers.Cancelled:
		v.code = rack.CodeDeviceTimeout
	}
	return v
}

// settle looks at the newest sample; it gives a verdict, or whether another sample is wanted now.
func (w *switching) settle(now time.Time, s *Snapshot) (v *verdict, sample bool) {
	if w.overturned(s) {
		return w.end(verdict{state: rack.StateFailed, code: rack.CodeExternalChange, text: "the relay read back as written and stands otherwise since"}), false
	}
	if w.shared != nil {
		return w.settleShared(now, s)
	}
	if w.hollow != nil && w.othersSeen(s) {
		return w.end(w.concludeHollow(s)), false
	}
	view := s.Outlets[w.step.On]
	if at := view.W.At; w.result.Proof != nil && view.W.Quality == rack.QualityOK && !at.Before(w.from) && at.Sub(w.lastAt) >= sampleGap {
		w.note(view)
		if w.proves(view) && w.hollow == nil {
			w.result.Settled = ms(at)
			return w.end(verdict{state: rack.StateSucceeded}), false
		}
	}
	if !now.Before(w.giveUp) {
		return w.end(w.unproven(s)), false
	}
	if !now.Before(w.from) && now.Sub(w.asked) >= sampleGap {
		w.asked = now
		return nil, true
	}
	return nil, false
}

// overturned tells whether the relay was read as it should not be after it had read back: its bank lost control, or
// somebody else moved it. Watts from before that prove nothing any more.
func (w *switching) overturned(s *Snapshot) bool {
	r := s.Outlets[w.step.On].Relay
	closed := w.step.Do == rack.DoEnergise
	return r.Quality == rack.QualityOK && r.At.After(w.readBack) && (r.Value != 0) != closed
}

// othersSeen tells whether every outlet that carried load has been measured since the write, and the own one twice.
func (w *switching) othersSeen(s *Snapshot) bool {
	if w.result.Proof != nil && w.samples < 2 {
		return false
	}
	for o, va := range w.before {
		if o != w.step.On && va >= noLoadVA && s.Outlets[o].W.At.Before(w.from) {
			return false
		}
	}
	return true
}

// concludeHollow ends a cut that its own meter cannot prove: another outlet that fell instead is found all the same, and
// so is a load that is there although there should be none.
func (w *switching) concludeHollow(s *Snapshot) verdict {
	if other, ok := w.fellInstead(s); ok {
		return w.otherFell(other)
	}
	if w.result.Proof != nil && w.samples >= 2 && w.below == 0 {
		return w.unproven(s)
	}
	return *w.hollow
}

func (w *switching) otherFell(other rack.OutletID) verdict {
	return verdict{
		state: rack.StateFailed, code: rack.CodeWiringUnproven, suspect: other,
		text: "outlet " + other.String() + " lost its load instead: the wiring is not as configured",
	}
}

// note books one sample taken after the write.
func (w *switching) note(v OutletView) {
	if w.samples == 0 {
		w.firstRaw = v.W.Raw
	} else if v.W.Raw != w.firstRaw {
		w.moved = true
	}
	w.samples++
	w.lastAt = v.W.At
	watts := v.W.Value
	w.result.Proof.AfterW = &watts
}

// proves tells whether the samples so far settle the step.
func (w *switching) proves(v OutletView) bool {
	if w.step.Do == rack.DoEnergise {
		return v.W.Value > w.loadW && (w.moved || !w.loadedBefore()) // watts that were there before prove nothing if they are frozen
	}
	va := v.W.Value
	if v.VA.At.Equal(v.W.At) && v.VA.Quality == rack.QualityOK {
		va = v.VA.Value
	}
	if va < max(noLoadVA, noLoadShare*w.before[w.step.On]) {
		w.below++
	} else {
		w.below = 0
	}
	return w.below >= 2
}

// loadedBefore tells whether the meter showed a load before the write already.
func (w *switching) loadedBefore() bool {
	return w.result.Proof.BeforeW != nil && *w.result.Proof.BeforeW > w.loadW
}

// unproven is the verdict when time is up.
func (w *switching) unproven(s *Snapshot) verdict {
	if w.step.Do == rack.DoEnergise {
		if w.samples == 0 {
			return verdict{state: rack.StateUnknown, code: rack.CodeVerifyFailed, text: "the relay reads back, its meter gave no fresh sample"}
		}
		if after := w.result.Proof.AfterW; after != nil && *after > w.loadW {
			return verdict{state: rack.StateUnknown, code: rack.CodeVerifyFailed, text: "the relay reads back closed, its meter is frozen"}
		}
		return verdict{state: rack.StateConfirmed, code: rack.CodeNoLoad, text: "the relay reads back, no load came"}
	}
	if other, ok := w.fellInstead(s); ok {
		return w.otherFell(other)
	}
	if name, ok := w.supplyFell(s); ok {
		return verdict{
			state: rack.StateFailed, code: rack.CodeWiringUnproven, supply: name,
			text: "the supply " + name + " lost this load instead: the wiring is not as configured",
		}
	}
	switch {
	case w.hollow != nil && (w.result.Proof == nil || w.below > 0):
		return *w.hollow
	case w.samples == 0:
		return verdict{state: rack.StateUnknown, code: rack.CodeVerifyFailed, text: "the relay reads back open, its meter gave no fresh sample"}
	case w.below > 0:
		return verdict{state: rack.StateUnknown, code: rack.CodeVerifyFailed, text: "the relay reads back open, its load fell too late to be proven"}
	case !w.moved:
		return verdict{state: rack.StateUnknown, code: rack.CodeVerifyFailed, text: "the relay reads back open, its meter is frozen"}
	default:
		return verdict{state: rack.StateFailed, code: rack.CodeWelded, text: "the relay reads back open and the load is still there"}
	}
}

// fellInstead finds an outlet that carried load when the write was handed over and carries none now, although its
// own relay reads closed and no write of ours has touched it since: several may be cut at once.
func (w *switching) fellInstead(s *Snapshot) (rack.OutletID, bool) {
	for _, p := range s.Layout.PDUs {
		for _, o := range p.Outlets {
			was, known := w.before[o.ID]
			if v := s.Outlets[o.ID]; o.ID == w.step.On || !known || was < noLoadVA || v.Writing || !v.Written.Before(w.began) {
				continue
			}
			if node, _ := s.Layout.NodeOf(o.ID); s.toldLately(node, w.began) {
				continue
			}
			va, fresh := s.Apparent(o.ID)
			closed, sure := s.Closed(o.ID)
			if fresh && sure && closed && s.Outlets[o.ID].W.At.After(w.began) && va < max(noLoadVA, noLoadShare*was) {
				return o.ID, true
			}
		}
	}
	return rack.OutletID{}, false
}

func (w *switching) end(v verdict) *verdict {
	w.state = stageDone
	return &v
}

// ms gives a time as the wire has it; nil for the zero time.
func ms(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	v := t.UnixMilli()
	return &v
}
