package poll

import (
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers"
)

// channel is one point of a device: its rules, how long its code has stood, and what was last sampled. The
// quality kept in last is that of the sample itself; judge adds the health of the device and the age.
type channel struct {
	rule  Point
	stand Standstill
	last  rack.Reading
}

// judgeSample fills in the quality of each reading of one answer. What the driver called less than ok stays so.
func judgeSample(chs []channel, got []rack.Reading, began time.Time, probation bool) {
	for i := range got {
		got[i].At = began
		if got[i].Quality == "" {
			got[i].Quality = rack.QualityOK
		}
		if !chs[i].rule.plausible(got[i].Value) {
			lower(&got[i], rack.QualityBad, ReasonRange)
		}
	}
	judgeCross(got)
	for i := range got {
		if chs[i].stand.Step(began, got[i].Raw, chs[i].rule.Frozen) {
			lower(&got[i], rack.QualitySuspect, ReasonFrozen)
		}
		if probation {
			lower(&got[i], rack.QualitySuspect, ReasonProbation)
		}
	}
}

// judgeCross compares active with apparent power where an answer holds both for one outlet.
func judgeCross(got []rack.Reading) {
	for i := range got {
		want := got[i].Point
		switch want.Quantity {
		case rack.PowerW:
			want.Quantity = rack.ApparentV
		case rack.SupplyW:
			want.Quantity = rack.SupplyVA
		default:
			continue
		}
		if !carries(got[i].Quality) {
			continue
		}
		for j := range got {
			if got[j].Point != want || !carries(got[j].Quality) {
				continue
			}
			if q := PowerCross(got[i].Value, got[j].Value); q != rack.QualityOK {
				lower(&got[i], q, ReasonCross)
				lower(&got[j], q, ReasonCross)
			}
		}
	}
}

// lower makes a reading worse, never better, and keeps the first reason of the worst quality.
func lower(r *rack.Reading, q rack.Quality, why string) {
	if rank(q) > rank(r.Quality) {
		r.Quality, r.Reason = q, why
	}
}

func rank(q rack.Quality) int {
	switch q {
	case rack.QualityOK:
		return 0
	case rack.QualitySuspect:
		return 1
	default:
		return 2
	}
}

// carries tells whether a sample of this quality has a value of its own. One that has not keeps the last
// good value and its time.
func carries(q rack.Quality) bool { return rank(q) < 2 }

// take makes a judged reading the latest of its channel.
func (c *channel) take(r rack.Reading) {
	if !carries(r.Quality) {
		r.Value, r.Raw, r.At = c.last.Value, c.last.Raw, c.last.At
	}
	c.last = r
}

// judge gives a reading the quality it deserves now. It only ever lowers what the sample had: neither time
// nor the return of a device makes an old value good.
func judge(now time.Time, r rack.Reading, h *Health) rack.Reading {
	aged := !r.At.IsZero() && now.Sub(r.At) > stalePeriods*h.period
	switch {
	case h.state == StateAbsent:
		r.Quality, r.Reason = rack.QualityAbsent, h.fault.String()
	case r.Quality == "": // never sampled
		r.Quality, r.Reason = rack.QualityAbsent, h.reason(drivers.NotRead.String())
	case aged && r.Quality == rack.QualityOK:
		r.Quality, r.Reason = rack.QualityStale, h.reason(ReasonAge)
	case aged:
		r.Quality = rack.QualityStale
	case r.Quality == rack.QualityOK && h.state == StateProbation:
		r.Quality, r.Reason = rack.QualitySuspect, ReasonProbation
	case r.Quality == rack.QualityOK && h.state != StateOK:
		r.Quality, r.Reason = rack.QualitySuspect, h.reason(ReasonAge)
	}
	return r
}
