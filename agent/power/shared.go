package power

import (
	"fmt"
	"slices"
	"time"

	"rackagent/agent/rack"
)

// A shared meter measures the outlets of a supply bank together. It proves what happened on one of them by its step, and
// only where nothing else moved: steady before the write, no other step of ours on the same bank meanwhile, a step no
// larger than the node can make, and for a cut steady again behind it. Everything else ends unmetered: an outlet that
// welded and one that carried nothing look alike then.

// Figures of the proof by a shared meter.
const (
	steadySamples = 3 // so many samples before the write, arbitrary
	// steadyShare and steadyVA are how far samples may lie apart and still count as steady: twice the error class of a
	// metering chip (0.5 %, arbitrary) and what proves a cut elsewhere.
	steadyShare = 0.01
	steadyVA    = noLoadVA
	// stepFactor is how many times the unsteadiness a step must be to be one, arbitrary.
	stepFactor = 3
	// sameLoad is how far two measurements of one load may differ, one of them in VA; arbitrary.
	sameLoad    = 0.25
	startWindow = 2 * time.Second
	// mostShare is how much more than its maximum a node may draw and still be the one that moved, arbitrary.
	mostShare = 1.1
)

// SharedView is what is known of a meter that several outlets share.
type SharedView struct {
	W      rack.Reading
	recent [steadySamples]sample // oldest first
	from   time.Time             // samples from before are of another state of the bank: something moved
}

type sample struct {
	at time.Time
	w  float64
}

func (v SharedView) add(r rack.Reading) SharedView {
	fresh := r.Quality == rack.QualityOK && r.At.After(v.W.At)
	v.W = newer(v.W, r)
	if fresh && !r.At.Before(v.from) {
		copy(v.recent[:], v.recent[1:])
		v.recent[steadySamples-1] = sample{r.At, r.Value}
	}
	return v
}

// steady gives the mean of the last samples, if they are all there, not older than limit and close together.
func (v SharedView) steady(now time.Time, limit time.Duration) (mean float64, ok bool) {
	low, high := v.recent[0].w, v.recent[0].w
	for _, s := range v.recent {
		if s.at.IsZero() || now.Sub(s.at) > limit {
			return 0, false
		}
		low, high, mean = min(low, s.w), max(high, s.w), mean+s.w/steadySamples
	}
	return mean, high-low <= unsteadiness(mean)
}

func unsteadiness(w float64) float64 { return max(steadyVA, steadyShare*w) }

// sharedStep is the proof of one switching step by a shared meter.
type sharedStep struct {
	meter     rack.MeterID
	before    float64
	least     float64 // the smallest step that is one
	most      float64 // the largest step the node can make
	disturbed bool    // something else moved on the same bank
	last      float64 // the sample before
	proven    int     // samples in a row that show the step
}

// shareOf sets up the proof by the outlet's shared meter; nil where it cannot prove anything, with the reason.
func (s *Snapshot) shareOf(out rack.Outlet, node rack.Node) (*sharedStep, string) {
	id := out.SharedMeter()
	limit := (steadySamples + freshFor) * s.period(id.PDU)
	before, ok := s.Shared[id].steady(s.At, limit)
	v := s.Shared[id]
	switch {
	case !ok && v.recent[0].at.IsZero() && !v.from.IsZero():
		return nil, "something else moved on the same supply shortly before the write"
	case !ok:
		return nil, "the watts of its supply were not steady before the write"
	case s.firmOn(id):
		return nil, "a server hangs on the same supply, whose fall must not pass for this outlet's"
	case node.MaxW <= 0:
		return nil, "what its node draws is not known"
	}
	noise := 0.0
	if p, found := s.Layout.PDU(id.PDU); found && id.N <= len(p.Supplies) {
		noise = p.Supplies[id.N-1].NoiseW
	}
	least := stepFactor * max(unsteadiness(before), noise)
	return &sharedStep{meter: id, before: before, least: least, most: mostShare*(node.MaxW+node.SurgeW) + unsteadiness(before)}, ""
}

// steadySupplies are the means of the shared meters that are steady now.
func (s *Snapshot) steadySupplies() map[rack.MeterID]float64 {
	out := make(map[rack.MeterID]float64, len(s.Shared))
	for id, v := range s.Shared {
		if mean, ok := v.steady(s.At, (steadySamples+freshFor)*s.period(id.PDU)); ok {
			out[id] = mean
		}
	}
	return out
}

// supplyFell finds a supply, steady when the write was handed over and not moved by us since, that has lost what the
// outlet carried by its own meter: the outlet's cable then leads to another outlet of that supply.
func (w *switching) supplyFell(s *Snapshot) (name string, ok bool) {
	carried, known := w.before[w.step.On]
	if !known || carried < noLoadVA {
		return "", false
	}
	for id, was := range w.supplies {
		if s.Shared[id].from.After(w.began) {
			continue
		}
		now := s.Shared[id].W
		lost := was - now.Value
		fresh := now.Quality == rack.QualityOK && now.At.After(w.from)
		if fresh && lost >= stepFactor*unsteadiness(was) && abs(lost-carried) <= sameLoad*carried {
			return s.supplyName(id), true
		}
	}
	return "", false
}

// firmOn tells whether a firm node hangs on the supply of a shared meter.
func (s *Snapshot) firmOn(id rack.MeterID) bool {
	p, _ := s.Layout.PDU(id.PDU)
	return slices.ContainsFunc(p.Outlets, func(o rack.Outlet) bool {
		node, ok := s.Layout.NodeOf(o.ID)
		return ok && node.Class.Firm() && o.SharedMeter() == id
	})
}

func (s *Snapshot) period(pdu string) time.Duration {
	p, _ := s.Layout.PDU(pdu)
	return p.Period
}

// take books a sample and tells whether the step is proven.
func (h *sharedStep) take(do rack.Verb, w float64) bool {
	step := w - h.before
	if do == rack.DoCut {
		step = -step
	}
	close := h.proven == 0 || do == rack.DoEnergise || abs(w-h.last) <= unsteadiness(h.before)
	if step >= h.least && step <= h.most && close {
		h.proven++
	} else {
		h.proven = 0
	}
	h.last = w
	return h.proven >= 2
}

// window is how long after the meter has settled the step may begin; what comes later was not this relay. A load that is
// cut is gone at once. One that is energised shows within the second that its supply needs to start (arbitrary); what
// takes longer cannot be told from a neighbour that wakes up.
func (h *sharedStep) window(do rack.Verb) time.Duration {
	if do == rack.DoCut {
		return 0
	}
	return startWindow
}

func abs(x float64) float64 { return max(x, -x) }

// settleShared is settle for an outlet whose supply is metered and it alone is not.
func (w *switching) settleShared(now time.Time, s *Snapshot) (v *verdict, sample bool) {
	h := w.shared
	if h.disturbed {
		return w.giveUpShare(s, "something else moved on the same supply at the same time"), false
	}
	r := s.Shared[h.meter].W
	if r.Quality == rack.QualityOK && !r.At.Before(w.from) && r.At.Sub(w.lastAt) >= sampleGap {
		watts := r.Value
		w.lastAt, w.result.Proof.AfterW = r.At, &watts
		if h.take(w.step.Do, watts) {
			w.result.Settled = ms(r.At)
			return w.end(verdict{state: rack.StateSucceeded}), false
		}
		if h.proven == 0 && r.At.Sub(w.from) >= h.window(w.step.Do) {
			return w.giveUpShare(s, "the watts of its supply made no step that proves it"), false
		}
	}
	if !now.Before(w.giveUp) {
		if v := w.giveUpShare(s, "the watts of its supply made no step that proves it"); v != nil {
			return v, false
		}
		return w.end(w.concludeHollow(s)), false
	}
	if !now.Before(w.from) && now.Sub(w.asked) >= sampleGap {
		w.asked = now
		return nil, true
	}
	return nil, false
}

// giveUpShare goes on without the shared meter: what is left to find out after a cut is whether another outlet fell
// instead.
func (w *switching) giveUpShare(s *Snapshot, why string) *verdict {
	w.shared, w.result.Proof = nil, nil
	w.hollow = &verdict{state: rack.StateConfirmed, code: rack.CodeUnmetered, text: "the relay reads back, the outlet has no meter of its own and " + why}
	if w.step.Do == rack.DoEnergise || w.othersSeen(s) {
		return w.end(w.concluded(s))
	}
	return nil
}

func (w *switching) concluded(s *Snapshot) verdict {
	if w.step.Do == rack.DoEnergise {
		return *w.hollow
	}
	return w.concludeHollow(s)
}

// disturb spoils the proofs by a shared meter that are under way while something else moves on it.
func (m *Machine) disturb(id rack.MeterID, except *switching) (found bool) {
	if id.IsZero() {
		return false
	}
	m.unsettle(id, m.world.At)
	for _, j := range m.jobs {
		for _, t := range j.targets {
			w := t.current
			if w == nil || w == except || w.state < stageWriting || w.state == stageDone {
				continue
			}
			out, _ := m.world.Layout.Outlet(w.step.On)
			if out.SharedMeter() != id {
				continue
			}
			found = true
			if w.shared != nil {
				w.shared.disturbed = true
			}
		}
	}
	return found
}

func (h *sharedStep) proof(s *Snapshot) *rack.Proof {
	before := h.before
	return &rack.Proof{Meter: s.supplyName(h.meter), BeforeW: &before}
}

func (s *Snapshot) supplyName(id rack.MeterID) string {
	p, _ := s.Layout.PDU(id.PDU)
	return fmt.Sprintf("%s.%s", id.PDU, p.Supplies[id.N-1].Name)
}

// unsettle forgets the samples of a shared meter from before something moved on it.
func (m *Machine) unsettle(id rack.MeterID, at time.Time) {
	p, ok := m.world.Layout.PDU(id.PDU)
	if id.IsZero() || !ok {
		return
	}
	v := m.world.Shared[id]
	v.recent = [steadySamples]sample{}
	if from := at.Add(p.Settling); from.After(v.from) {
		v.from = from
	}
	m.world.Shared[id] = v
}
