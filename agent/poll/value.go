package poll

import (
	"slices"
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
	judgeCross(chs, got)
	for i := range got {
		if chs[i].rule.jumped(chs[i].last, got[i].Value, began) {
			lower(&got[i], rack.QualitySuspect, ReasonStep)
		}
		if chs[i].stand.Step(began, got[i].Raw, chs[i].rule.Frozen) {
			lower(&got[i], rack.QualitySuspect, ReasonFrozen)
		}
		if probation {
			lower(&got[i], rack.QualitySuspect, ReasonProbation)
		}
	}
}

// judgeCross compares, where an answer holds the parts, active with apparent power and powers with volts times amperes.
func judgeCross(chs []channel, got []rack.Reading) {
	for i := range got {
		if other, ok := apparentOf(got[i].Point.Quantity); ok && !chs[i].rule.Alone {
			compare(got, i, func(v []float64) rack.Quality { return PowerCross(v[0], v[1]) }, other)
		}
	}
	for i := range got {
		if u, a, ok := factorsOf(got[i].Point.Quantity); ok && !chs[i].rule.Alone {
			compare(got, i, func(v []float64) rack.Quality { return ProductCross(v[0], v[1], v[2]) }, u, a)
		}
	}
}

// apparentOf gives the apparent power that belongs to an active power.
func apparentOf(q rack.Quantity) (rack.Quantity, bool) {
	switch q {
	case rack.PowerW:
		return rack.ApparentV, true
	case rack.SupplyW:
		return rack.SupplyVA, true
	case rack.ACWatts:
		return rack.ACVA, true
	default:
		return "", false
	}
}

// factorsOf gives the voltage and the current whose product a quantity is.
func factorsOf(q rack.Quantity) (u, a rack.Quantity, ok bool) {
	switch q {
	case rack.ApparentV:
		return rack.VoltageV, rack.CurrentA, true
	case rack.SupplyVA:
		return rack.SupplyV, rack.SupplyA, true
	case rack.ACVA:
		return rack.ACVolts, rack.ACAmps, true
	case rack.DCWatts:
		return rack.DCVolts, rack.DCAmps, true
	default:
		return "", "", false
	}
}

// compare lowers reading i and the others of its device and index to what rule says of their values, the first being that
// of i. Where one of them is not there or is no measurement, nothing is compared.
func compare(got []rack.Reading, i int, rule func([]float64) rack.Quality, others ...rack.Quantity) {
	at, values := []int{i}, []float64{got[i].Value}
	for _, q := range others {
		p := got[i].Point
		p.Quantity = q
		k := slices.IndexFunc(got, func(r rack.Reading) bool { return r.Point == p })
		if k < 0 {
			return
		}
		at, values = append(at, k), append(values, got[k].Value)
	}
	for _, k := range at {
		if !carries(got[k].Quality) {
			return
		}
	}
	if q := rule(values); q != rack.QualityOK {
		for _, k := range at {
			lower(&got[k], q, ReasonCross)
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
