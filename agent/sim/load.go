package sim

import "time"

// Load is what is plugged into one outlet or more. It is a step machine: it is told when its supply changes, and
// says what it draws from then on. The Rack calls it under its lock; a Load needs none of its own.
type Load interface {
	Plate() Plate
	// Begin puts the load where a world starts: running for long, or never powered.
	Begin(at time.Time, running bool)
	// Step tells which inlets have power from a moment on.
	Step(at time.Time, live []bool) Next
}

// Plate is what never changes about a load.
type Plate struct {
	Name       string
	Inlets     int
	PF         float64 // power factor, magnitude
	Capacitive bool    // current leads
	Noise      float64 // how far power wanders, as a part of itself
}

// Next is a load's answer to a step.
type Next struct {
	Draw  []Curve   // watts per inlet from the step on
	Again time.Time // step again at this moment even if nothing changes; zero: no need
	Down  bool      // a server that was up has just gone down for want of power
}

// Inrush is the surge of a switched-mode power supply when power comes: it charges its capacitors.
type Inrush struct {
	W   float64
	For time.Duration
}

// supplyInrush is 40 A peak at 230 V for a quarter of a cycle at 50 Hz (Intel, server power supply test
// specifications: at most 40 to 55 A).
var supplyInrush = Inrush{W: 6500, For: 5 * time.Millisecond}

// Resistive is a heater, a lamp, a fan: it draws what it draws, at once.
type Resistive struct {
	Name string
	W    float64
}

// Plate says power factor one.
func (l *Resistive) Plate() Plate { return Plate{Name: l.Name, Inlets: 1, PF: 1, Noise: 0.005} }

// Begin has nothing to remember.
func (l *Resistive) Begin(time.Time, bool) {}

// Step draws the nominal power wherever there is supply.
func (l *Resistive) Step(at time.Time, live []bool) Next {
	if !live[0] {
		return Next{Draw: []Curve{{{at, 0}}}}
	}
	return Next{Draw: []Curve{{{at, l.W}}}}
}

// Miner is an ASIC miner: a surge, a controller that boots, and hash boards that ramp up. Any loss of power starts
// it over.
type Miner struct {
	Name     string
	NominalW float64
	StandbyW float64       // controller alone: 25 W
	Boot     time.Duration // from power to the first hash
	Ramp     time.Duration // from the first hash to nominal power
	Soft     bool          // what feeds it charges its capacitors slowly: no surge

	live  bool
	since time.Time
}

// Plate gives a power factor of 0.98, capacitive, and half a percent of unrest.
func (l *Miner) Plate() Plate {
	return Plate{Name: l.Name, Inlets: 1, PF: 0.98, Capacitive: true, Noise: 0.005}
}

// Begin sets the miner hashing for long, or off.
func (l *Miner) Begin(at time.Time, running bool) {
	l.live, l.since = running, at.Add(-l.Boot-l.Ramp)
}

// Step begins a boot where power has come.
func (l *Miner) Step(at time.Time, live []bool) Next {
	came := live[0] && !l.live
	l.live = live[0]
	if !l.live {
		return Next{Draw: []Curve{{{at, 0}}}}
	}
	if came {
		l.since = at
	}
	draw := rise(l.since, l.StandbyW, l.Boot, l.Ramp, l.NominalW).from(at)
	if came && !l.Soft {
		draw = draw.under(at, supplyInrush.W, supplyInrush.For)
	}
	return Next{Draw: []Curve{draw}}
}

// rise is a start: standby for a time, then straight up to nominal.
func rise(at time.Time, standby float64, boot, ramp time.Duration, nominal float64) Curve {
	begin := at.Add(boot)
	return Curve{{at, standby}, {begin, standby}, {begin.Add(ramp), nominal}}
}
