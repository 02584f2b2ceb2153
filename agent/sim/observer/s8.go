package observer

import (
	"fmt"
	"time"

	"rackagent/agent/sim"
)

const (
	noLoadW     = 10.0 // a cut outlet draws less than this, or less than noLoadShare of before
	noLoadShare = 0.02
	loadW       = 5.0 // an energised outlet draws more than this, and more than noiseTimes its meter's noise
	noiseTimes  = 3
	// idleW is less than what any meter takes for a load: arbitrary, half of what proves a cut.
	idleW = noLoadW / 2
	// plainLoadW is a load that no meter misses: arbitrary, ten times the level of no load.
	plainLoadW = 100.0
	// judged is how long a cut may take to be judged: 5 s, and what the bus and the journal need.
	judged = 10 * time.Second
)

// provenOnly reports results that the world contradicts.
func provenOnly(r *run) []Violation {
	var out []Violation
	for _, e := range r.book.entries {
		for _, rec := range e.ended {
			if rec.Outcome != nil {
				out = append(out, r.untrue(e, rec)...)
			}
		}
	}
	for i, w := range r.writes {
		out = append(out, r.unfound(w, r.reasons[i])...)
	}
	return append(out, r.touched()...)
}

// untrue judges every target of a result.
func (r *run) untrue(e *entry, rec *record) []Violation {
	var out []Violation
	for _, t := range rec.Outcome.Targets {
		for k, s := range t.Steps {
			if why := r.slept(rec, t, s); why != "" {
				out = append(out, r.report(rec.At, 0, "command %s, %s of %s: %s", e.id, s.Do, s.On, why))
			}
			o := r.outletOf(s.On)
			if o == nil || t.Recovered && !lastOn(t.Steps, k) {
				continue // after a restart the present proves the last step only
			}
			why := ""
			switch {
			case t.State == "succeeded" && s.Settled == nil && s.Do == doEnergise && r.shownAwake(o, t.Steps[k+1:]):
			case t.State == "succeeded":
				why = r.unproved(e, rec, s, o, t.Recovered)
			case t.Code == "welded" && s.Do == doCut && lastOn(t.Steps, k) && !r.truth.closed(o, rec.At):
				why = "it ends welded, and the contact is open"
			}
			if why != "" {
				out = append(out, r.report(rec.At, 0, "command %s, %s of %s: %s", e.id, s.Do, o.label(), why))
			}
		}
	}
	return out
}

// lastOn tells whether a step is the last one on its outlet.
func lastOn(steps []stepResult, k int) bool {
	for _, later := range steps[k+1:] {
		if later.On == steps[k].On {
			return false
		}
	}
	return true
}

// unproved tells what contradicts a step that succeeded; empty: nothing.
func (r *run) unproved(e *entry, rec *record, s stepResult, o *outlet, recovered bool) string {
	if s.Settled == nil {
		return "it succeeded, and no moment is named at which watts proved it"
	}
	at := time.UnixMilli(*s.Settled)
	if at.After(rec.At) {
		return "it succeeded at a moment after its own record"
	}
	w := r.writeOf(e, s, o)
	switch {
	case w == nil && !recovered:
		return "it succeeded, and nothing was written for it"
	case w != nil && at.Before(w.at.Add(o.pdu.settling).Truncate(time.Millisecond)):
		return "it is settled " + at.Sub(w.at).String() + " after its write; the meter takes " + o.pdu.settling.String() + " to follow"
	}
	if why := r.noMeter(s, o); why != "" {
		return why
	}
	watts, closed := r.truth.watts(o, at), r.truth.closed(o, at)
	before, known := 0.0, w != nil && !recovered
	if w != nil {
		before = max(r.truth.mean(w.at.Add(-time.Second), w.at, o), r.truth.watts(o, w.at)) // a contact takes longer than that
	}
	if s.Do == doEnergise {
		// The meter follows within its settling time: what it shows is true of that time, also if the contact has opened in it.
		for lag := o.pdu.settling; lag > 0 && !closed; lag -= o.pdu.settling / 10 {
			watts, closed = r.truth.watts(o, at.Add(-lag)), r.truth.closed(o, at.Add(-lag))
		}
		why := energised(watts, closed, o)
		if why == "" && known && o.supply != nil && before > loadW {
			return fmt.Sprintf("it succeeded by a step of the bank's watts, and the outlet drew %.1f W before", before)
		}
		return why
	}
	limit := max(noLoadW, noLoadShare*before)
	switch {
	case closed:
		return "it succeeded, and the contact is closed"
	case watts >= limit:
		return watt("it succeeded, and the outlet draws %.1f W, at least %.1f W", watts, limit)
	case known && before < idleW:
		return fmt.Sprintf("it succeeded, and the outlet drew %.1f W before: nothing fell that could prove it", before)
	}
	return ""
}

// noMeter tells why the meter that a result names cannot have proven it; empty: it can. A result that names none has no
// claim to be wrong, unless its outlet has no meter of its own.
func (r *run) noMeter(s stepResult, o *outlet) string {
	want := o.id.String()
	if o.supply != nil {
		want = o.pdu.name + "." + o.supply.name
	}
	switch {
	case o.meter.chip == "":
		return "it succeeded, and the outlet has no meter"
	case s.Proof == nil && o.supply != nil:
		return "it succeeded, and names no meter; the outlet shares that of its bank, " + want
	case s.Proof != nil && s.Proof.Meter != want:
		return fmt.Sprintf("it succeeded by the meter %q; the outlet hangs on %s", s.Proof.Meter, want)
	}
	return ""
}

func energised(watts float64, closed bool, o *outlet) string {
	limit := max(loadW, noiseTimes*o.noiseW)
	switch {
	case !closed:
		return "it succeeded, and the contact is open"
	case watts <= limit:
		return watt("it succeeded, and the outlet draws %.1f W, not above %.1f W", watts, limit)
	}
	return ""
}

// writeOf finds the write that a step of a command explains.
func (r *run) writeOf(e *entry, s stepResult, o *outlet) *write {
	for i, why := range r.reasons {
		if why.entry == e && why.step != nil && why.step.Do == s.Do && why.step.On == o.id {
			return r.writes[i]
		}
	}
	return nil
}

// unfound reports a cut of a welded contact that did not end welded. It is not judged where the meter could not tell,
// where the load was too small, where another relay switches the outlet, where a restart or a cut came in between, and
// where the outlet shares a meter, which cannot tell a weld from an outlet without load. Any meter counts: one that fails
// beside a welded contact looks like a load that fell instead.
func (r *run) unfound(w *write, why reason) []Violation {
	if why.step == nil || why.step.Do != doCut {
		return nil
	}
	o := r.layout.outlets[why.step.On]
	welded := false
	for _, s := range r.truth.spans(func(f sim.Fault) bool { return f.Kind == sim.FaultWelded && f.Outlet == o.id }) {
		welded = welded || s.covers(w.at) && (s.to.IsZero() || s.to.After(w.at.Add(judged)))
	}
	if !welded || o.supply != nil || o.meter.chip == "" || r.truth.crossed(o, w.at) || r.anyDisturbed(w.at, w.at.Add(judged)) ||
		!r.truth.closed(o, w.at) || r.truth.mean(w.at.Add(-time.Second), w.at, o) < plainLoadW {
		return nil
	}
	for _, rec := range why.entry.ended {
		if rec.Outcome == nil || rec.Boot != why.record.Boot {
			continue
		}
		for _, t := range rec.Outcome.Targets {
			superseded := t.State == "cancelled" && why.record.Command.Op == opCycle
			if !hasStep(t, o) || t.State == "failed" && t.Code == "welded" || superseded {
				continue
			}
			return []Violation{r.report(w.at, w.seq, "command %s cut %s, whose contact is welded under load, and ended %s %q; the meter was sound",
				why.entry.id, o.label(), t.State, t.Code)}
		}
	}
	return nil
}

// anyDisturbed tells whether some outlet's meter could not tell the truth.
func (r *run) anyDisturbed(from, to time.Time) bool {
	for _, o := range r.layout.outlets {
		if r.truth.disturbed(o, from, to) {
			return true
		}
	}
	return false
}

func hasStep(t targetResult, o *outlet) bool {
	for _, s := range t.Steps {
		if s.Do == doCut && s.On == "outlet/"+o.id.String() {
			return true
		}
	}
	return false
}

// touched reports writes to a relay after a result called it welded: it is withdrawn from switching.
func (r *run) touched() []Violation {
	var out []Violation
	for _, e := range r.book.entries {
		for _, rec := range e.ended {
			if rec.Outcome == nil {
				continue
			}
			for _, t := range rec.Outcome.Targets {
				for _, s := range t.Steps {
					if o := r.outletOf(s.On); o != nil && t.Code == "welded" && s.Do == doCut {
						out = append(out, r.movedAfter(o, rec)...)
					}
				}
			}
		}
	}
	return out
}

func (r *run) movedAfter(o *outlet, rec *record) []Violation {
	for _, w := range r.writes {
		for _, m := range w.moves {
			if m.outlet == o && w.at.After(rec.At) {
				return []Violation{r.report(w.at, w.seq, "%s was found welded by command %s and is withdrawn from switching, and a write is %s", o.label(), rec.ID, w.does())}
			}
		}
	}
	return nil
}

// watt is a text with two powers in it.
func watt(format string, a, b float64) string { return fmt.Sprintf(format, a, b) }
