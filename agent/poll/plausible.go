package poll

import (
	"math"
	"time"

	"rackagent/agent/rack"
)

// Reasons that are no drivers.Fault. They appear in telemetry and never change.
const (
	ReasonRange     = "range"     // outside what the point can be
	ReasonCross     = "cross"     // contradicts another value of the same outlet
	ReasonFrozen    = "frozen"    // the same code for longer than noise allows
	ReasonProbation = "probation" // the device came back and has not yet given 3 good samples
	ReasonAge       = "age"       // no sample for 3 periods, and no fault known
	ReasonStep      = "step"      // changed faster than the point can

	ReasonQuarantined = "quarantined" // the device is read rarely because it spoils the bus for the others
	ReasonErrorRate   = "error_rate"  // of an event: too many reads with a wrong checksum or format
)

// Range bounds what a point can be, both ends included. The zero Range stands for that of the quantity.
type Range struct{ Min, Max float64 }

// DefaultRange is what a quantity can be anywhere. ok is false for quantities that only the rating of a part
// bounds.
func DefaultRange(q rack.Quantity) (r Range, ok bool) {
	switch q {
	case rack.VoltageV, rack.SupplyV:
		return Range{50, 300}, true // single-phase mains; below it a meter's own supply is in doubt. EnergyMe-Home's limits
	case rack.FrequHz, rack.SupplyHz:
		return Range{45, 66}, true // 50 and 60 Hz mains with 10 %; below 10 % of the voltage a meter finds no zero crossing
	case rack.Relay, rack.Control, rack.Identified:
		return Range{0, 1}, true
	default:
		return Range{}, false
	}
}

// Holds tells whether v is a number inside the range.
func (r Range) Holds(v float64) bool { return v >= r.Min && v <= r.Max }

// plausible judges a value by the point's own range, or else by that of its quantity.
func (p Point) plausible(v float64) bool {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return false
	}
	r := p.Range
	if r == (Range{}) {
		def, ok := DefaultRange(p.Quantity)
		if !ok {
			return true
		}
		r = def
	}
	return r.Holds(v)
}

// crossFloor is the apparent or active power, in VA or W, below which active and apparent power are not
// compared: there both are mostly noise. Arbitrary.
const crossFloor = 10

// PowerCross judges active power (W, signed) by apparent power (VA) of the same outlet. No load has
// |P| > S; two registers read one after the other at a load step, and their separate gains, may say so
// within a few percent. S >= 0.98 |P| is ok, up to |P| = 1.05 S suspect, beyond it bad.
func PowerCross(p, s float64) rack.Quality {
	p = math.Abs(p)
	switch {
	case max(p, math.Abs(s)) < crossFloor, s >= 0.98*p:
		return rack.QualityOK
	case p <= 1.05*s:
		return rack.QualitySuspect
	default:
		return rack.QualityBad
	}
}

// crossPart is how far apart two ways to the same quantity may be. Gains of two registers differ by less than 1 % each
// when calibrated, and voltage and current are measured a moment apart. Arbitrary.
const crossPart = 0.05

// ProductCross judges apparent power (VA) by the product of rms voltage and rms current, or the power of direct current
// by the product of both, of the same outlet, phase or rail. Signs are not compared. Which of the three is wrong cannot
// be told, so beyond the tolerance, 5 % of the larger but at least what is noise, all of them are suspect.
func ProductCross(x, u, i float64) rack.Quality {
	x, p := math.Abs(x), math.Abs(u*i)
	if math.Abs(x-p) <= max(crossFloor, crossPart*max(x, p)) {
		return rack.QualityOK
	}
	return rack.QualitySuspect
}

// jumped tells whether a value lies further from the last one than the point can have moved since.
func (p Point) jumped(last rack.Reading, v float64, at time.Time) bool {
	if p.MaxStep <= 0 || last.At.IsZero() || !at.After(last.At) {
		return false
	}
	return math.Abs(v-last.Value) > p.MaxStep*at.Sub(last.At).Seconds()
}

// Frozen says when a standing code is no measurement: on a channel with known noise the least significant
// bits never rest.
type Frozen struct {
	Updates int // that many samples with one code; 0: not judged
	// ZeroRests says that the code 0 may stand for ever: metering chips hold it below their no-load threshold
	// (ADE7953 data sheet rev. C, "No-load detection").
	ZeroRests bool
}

// frozenFor is the shortest time a code must have stood, whatever the number of samples.
const frozenFor = 60 * time.Second

// Standstill counts how long a raw code has been the same.
type Standstill struct {
	raw   uint32
	since time.Time
	n     int
}

// Step takes the next sample and tells whether the channel is frozen by the rule.
func (s *Standstill) Step(at time.Time, raw uint32, rule Frozen) bool {
	if s.n == 0 || raw != s.raw {
		*s = Standstill{raw: raw, since: at, n: 1}
		return false
	}
	s.n++
	if rule.Updates <= 0 || (raw == 0 && rule.ZeroRests) {
		return false
	}
	return s.n >= rule.Updates && at.Sub(s.since) > frozenFor
}
