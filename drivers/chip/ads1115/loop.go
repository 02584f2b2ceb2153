package ads1115

import (
	"errors"
	"fmt"
	"math"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
)

// Currents that divide a 4-20 mA loop (NAMUR recommendation NE 43, from memory). Below failedLow and above
// failedHigh the sensor or its wire has failed; between these and the valid ones nothing is known.
const (
	failedLow  = 3600 * physic.MicroAmpere
	validLow   = 3800 * physic.MicroAmpere
	spanLow    = 4000 * physic.MicroAmpere
	spanHigh   = 20000 * physic.MicroAmpere
	validHigh  = 20500 * physic.MicroAmpere
	failedHigh = 21000 * physic.MicroAmpere
)

// LoopState is the health of a loop. The zero value is LoopUnknown, so that a reading nobody made is no value.
type LoopState uint8

// The states, named after NE 43.
const (
	LoopUnknown       LoopState = iota // there was no sample
	LoopFailedLow                      // below 3.6 mA: open wire, no supply, or a sensor that reports its failure so
	LoopUndefinedLow                   // 3.6 to 3.8 mA
	LoopValid                          // 3.8 to 20.5 mA
	LoopUndefinedHigh                  // 20.5 to 21 mA
	LoopFailedHigh                     // above 21 mA: short, or a sensor that reports its failure so
)

// String is the stable short word.
func (s LoopState) String() string {
	names := [...]string{"unknown", "failed_low", "undefined_low", "valid", "undefined_high", "failed_high"}
	if int(s) < len(names) {
		return names[s]
	}
	return names[LoopUnknown]
}

// LoopOpts describe a loop.
type LoopOpts struct {
	Shunt  physic.ElectricResistance // what turns the current into a voltage
	Range  Range                     // of the channel that measures it
	Lo, Hi float64                   // value at 4 mA and at 20 mA, in the caller's unit; Hi may be the smaller one
}

// Loop turns the voltage over the shunt of a 4-20 mA sensor into the sensor's value. NewLoop makes it.
type Loop struct{ o LoopOpts }

// NewLoop refuses a shunt on which a failure upwards would lie beyond the range: a short could then not be told from a
// large value.
func NewLoop(o LoopOpts) (Loop, error) {
	switch {
	case o.Range < FSR6144 || o.Range > FSR0256:
		return Loop{}, fmt.Errorf("loop: range %d does not exist", o.Range)
	case o.Shunt <= 0:
		return Loop{}, fmt.Errorf("loop: shunt of %v", o.Shunt)
	case math.IsNaN(o.Lo) || math.IsInf(o.Lo, 0) || math.IsNaN(o.Hi) || math.IsInf(o.Hi, 0):
		return Loop{}, errors.New("loop: the values at 4 and 20 mA must be numbers")
	case o.Lo == o.Hi:
		return Loop{}, fmt.Errorf("loop: %v at 4 mA and at 20 mA", o.Lo)
	}
	l := Loop{o}
	if most := l.current(Voltage(math.MaxInt16, o.Range)); most <= failedHigh {
		return Loop{}, fmt.Errorf("loop: over %v the range ends at %v, a failed sensor may give more than %v", o.Shunt, most, failedHigh)
	}
	return l, nil
}

// LoopReading is one sample of a loop.
type LoopReading struct {
	Current physic.ElectricCurrent // where the sample was clipped, at least this
	State   LoopState
	Fault   drivers.Fault // None where State is LoopValid, and nowhere else

	value float64
}

// Value is what the sensor measured, in the unit of LoopOpts. It is false where there is no such value: a failed
// sensor is not one that measures nothing.
func (r LoopReading) Value() (float64, bool) { return r.value, r.State == LoopValid }

// Read says what a sample means. Between 3.8 and 4 mA and between 20 and 20.5 mA the value stays at the end of its
// span. A sample that is clipped above 21 mA is a failure upwards; with any other fault of the sample nothing is known.
func (l Loop) Read(s Sample) LoopReading {
	if l.o.Shunt <= 0 {
		return LoopReading{Fault: drivers.Implausible}
	}
	r := LoopReading{Current: l.current(s.Voltage)}
	if s.Fault != drivers.None && (s.Raw != math.MaxInt16 || r.Current <= failedHigh) {
		r.Fault = s.Fault
		return r
	}
	if r.State = state(r.Current); r.State != LoopValid {
		r.Fault = drivers.Implausible
		return r
	}
	within := min(max(r.Current, spanLow), spanHigh)
	r.value = l.between(float64(within-spanLow) / float64(spanHigh-spanLow))
	return r
}

// between is the value at a part of the span, 0 to 1. Rounding does not take it beyond the ends.
func (l Loop) between(part float64) float64 {
	v := l.o.Lo*(1-part) + l.o.Hi*part
	return min(max(v, min(l.o.Lo, l.o.Hi)), max(l.o.Lo, l.o.Hi))
}

func state(i physic.ElectricCurrent) LoopState {
	switch {
	case i < failedLow:
		return LoopFailedLow
	case i < validLow:
		return LoopUndefinedLow
	case i <= validHigh:
		return LoopValid
	case i <= failedHigh:
		return LoopUndefinedHigh
	default:
		return LoopFailedHigh
	}
}

// current is Ohm's law, held within what the type can carry.
func (l Loop) current(v physic.ElectricPotential) physic.ElectricCurrent {
	const most = float64(1000 * physic.Ampere)
	i := float64(v) / float64(l.o.Shunt) * float64(physic.Ampere)
	return physic.ElectricCurrent(math.Round(min(max(i, -most), most)))
}

var _ fmt.Stringer = LoopValid
