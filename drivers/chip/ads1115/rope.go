package ads1115

import (
	"fmt"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
)

// leastReference is the supply of a rope below which a ratio means nothing, as when its pull-up is not driven.
// Arbitrary: lower than any logic supply.
const leastReference = physic.Volt

// RopeState is what a rope says. The zero value is RopeUnknown, so that a reading nobody made is not dry.
type RopeState uint8

// The states.
const (
	RopeUnknown  RopeState = iota // there was no sample
	RopeDry                       // the end resistor alone
	RopeWet                       // water beside it
	RopeShort                     // water or a crushed cable: wet, and a fault at once
	RopeBroken                    // the end resistor is not reached
	RopeDegraded                  // none of these: corroded, badly joined, or of another kind
)

// String is the stable short word.
func (s RopeState) String() string {
	names := [...]string{"unknown", "dry", "wet", "short", "broken", "degraded"}
	if int(s) < len(names) {
		return names[s]
	}
	return names[RopeUnknown]
}

// RopeLimits divide the ratio of the rope's voltage to its supply. In rising order: below Short, below Wet, from
// DryFrom to DryTo, above Broken; what lies in between is degraded.
type RopeLimits struct{ Short, Wet, DryFrom, DryTo, Broken float64 }

// EqualResistors are the limits for a pull-up as large as the end resistor, which gives 0.5 when dry. They are
// engineering judgement and to be tried on the rope in question.
func EqualResistors() RopeLimits {
	return RopeLimits{Short: 0.03, Wet: 0.35, DryFrom: 0.42, DryTo: 0.58, Broken: 0.9}
}

// Rope is a supervised leak rope: two wires that water connects, with a resistor at their far end, from an input to
// ground, and a pull-up from a supply to the input. Standing voltage corrodes a rope: drive the pull-up for the
// sample only and let it settle first.
type Rope struct{ limits RopeLimits }

// NewRope checks the limits.
func NewRope(l RopeLimits) (Rope, error) {
	if !(l.Short > 0 && l.Wet > l.Short && l.DryFrom > l.Wet && l.DryTo > l.DryFrom && l.Broken > l.DryTo && l.Broken < 1) {
		return Rope{}, fmt.Errorf("rope: limits %+v do not rise from 0 to 1", l)
	}
	return Rope{l}, nil
}

// RopeReading is one sample of a rope. One wet sample is no leak yet: how many make one is the caller's rule.
type RopeReading struct {
	Ratio float64 // means nothing where State is RopeUnknown
	State RopeState
	Fault drivers.Fault // None where State is RopeDry or RopeWet, and nowhere else
}

// Wet says that there may be water. It is false for RopeUnknown, RopeBroken and RopeDegraded, which do not say dry
// either: look at Fault first.
func (r RopeReading) Wet() bool { return r.State == RopeWet || r.State == RopeShort }

// Dry says that the rope is whole and nothing lies on it.
func (r RopeReading) Dry() bool { return r.State == RopeDry }

// Read says what a sample means. supply is the voltage at the far end of the pull-up while it was taken.
func (p Rope) Read(s Sample, supply physic.ElectricPotential) RopeReading {
	if s.Fault != drivers.None {
		return RopeReading{Fault: s.Fault}
	}
	if supply < leastReference || p.limits == (RopeLimits{}) {
		return RopeReading{Fault: drivers.Implausible}
	}
	r := RopeReading{Ratio: float64(s.Voltage) / float64(supply)}
	r.State, r.Fault = p.state(r.Ratio)
	return r
}

func (p Rope) state(ratio float64) (RopeState, drivers.Fault) {
	switch l := p.limits; {
	case ratio < l.Short:
		return RopeShort, drivers.Implausible
	case ratio < l.Wet:
		return RopeWet, drivers.None
	case ratio > l.Broken:
		return RopeBroken, drivers.Implausible
	case ratio >= l.DryFrom && ratio <= l.DryTo:
		return RopeDry, drivers.None
	default:
		return RopeDegraded, drivers.Implausible
	}
}

var _ fmt.Stringer = RopeDry
