package drivertest

import "time"

// Line is what a metering chip is wired to: one voltage and two currents.
type Line interface {
	// Between describes an interval of the past. Where from is not before to, it describes the moment to.
	Between(from, to time.Time) Interval
}

// Interval is what one voltage and two currents did over some time. Means are over time; peaks are of the wave.
type Interval struct {
	VoltsRMS  float64
	VoltsPeak float64
	Hertz     float64
	Channel   [2]Flow // A, B
}

// Flow is one current with the power it carries.
type Flow struct {
	AmpsRMS  float64
	AmpsPeak float64
	Watts    float64
	Vars     float64 // positive: inductive
	VA       float64
}

// Steady is a Line that never changes.
type Steady Interval

// Between gives the same for every interval.
func (s Steady) Between(_, _ time.Time) Interval { return Interval(s) }
