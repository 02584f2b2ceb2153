package drivertest

import (
	"math"
	"sync"
	"time"
)

// LoopOpts describes a 4-20 mA loop.
type LoopOpts struct {
	Burden float64 // Ω, across which the converter measures; 0 is 150
	Supply float64 // V; 0 is 24
	Now    func() time.Time
}

// Loop is a transmitter that sends its measurement as a current through a burden resistor. Its voltage is an input of
// a converter. NAMUR NE 43 gives the currents a meaning: 3.8 to 20.5 mA measurement, up to 3.6 and from 21 mA failed.
type Loop struct {
	mu    sync.Mutex
	o     LoopOpts
	state history[loopState]
}

type loopState struct {
	milliamps Quantity
	open      bool
	shorted   bool
}

// NewLoop is a loop that carries 4 mA.
func NewLoop(o LoopOpts) *Loop {
	o.Now = clock(o.Now)
	if o.Burden == 0 {
		o.Burden = 150
	}
	if o.Supply == 0 {
		o.Supply = 24
	}
	l := &Loop{o: o}
	l.state.set(o.Now(), loopState{milliamps: Constant(4)})
	return l
}

// SetMilliamps sets the current the transmitter draws.
func (l *Loop) SetMilliamps(v float64) { l.Follow(Constant(v)) }

// SetValue makes the transmitter send a measurement of a span: 4 mA at its low end, 20 mA at its high end.
func (l *Loop) SetValue(v, low, high float64) { l.SetMilliamps(4 + 16*(v-low)/(high-low)) }

// Follow gives the transmitter's current in mA as a function of time.
func (l *Loop) Follow(milliamps Quantity) {
	l.change(func(s *loopState) { s.milliamps = milliamps })
}

// SetOpen breaks a wire of the loop or mends it: no current flows.
func (l *Loop) SetOpen(open bool) { l.change(func(s *loopState) { s.open = open }) }

// SetShorted shorts the transmitter or ends that: the burden has the whole supply.
func (l *Loop) SetShorted(shorted bool) { l.change(func(s *loopState) { s.shorted = shorted }) }

func (l *Loop) change(f func(*loopState)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.state.last()
	f(&s)
	l.state.set(l.o.Now(), s)
}

// Volts is the voltage across the burden at a moment. The transmitter cannot drive more than the supply has.
func (l *Loop) Volts(at time.Time) float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch s := l.state.at(at); {
	case s.open:
		return 0
	case s.shorted:
		return l.o.Supply
	default:
		return min(max(s.milliamps(at)*l.o.Burden/1000, 0), l.o.Supply)
	}
}

// RopeOpts describes a leak rope and what it hangs on.
type RopeOpts struct {
	PullUp    float64 // Ω, from the reference to the rope; 0 is 10,000
	EndOfLine float64 // Ω, at the far end of the rope; 0 is 10,000
	Reference float64 // V; 0 is 3.3
	// Settle is the time constant with which the voltage rises after the pull-up is switched on; 0 is at once.
	Settle time.Duration
	Now    func() time.Time
}

// Rope is a leak-sensing rope: two wires with a resistor between their far ends, which water bridges. Its voltage
// against ground is an input of a converter.
type Rope struct {
	mu    sync.Mutex
	o     RopeOpts
	state history[ropeState]
}

type ropeState struct {
	water   float64 // Ω; +Inf: dry
	open    bool    // broken between the water and the far end
	shorted bool
	driven  bool // the pull-up is switched on
	since   time.Time
}

// NewRope is a dry rope whose pull-up has been on for long.
func NewRope(o RopeOpts) *Rope {
	o.Now = clock(o.Now)
	if o.PullUp == 0 {
		o.PullUp = 10e3
	}
	if o.EndOfLine == 0 {
		o.EndOfLine = 10e3
	}
	if o.Reference == 0 {
		o.Reference = 3.3
	}
	r := &Rope{o: o}
	r.state.set(o.Now(), ropeState{water: math.Inf(1), driven: true, since: o.Now().Add(-time.Hour)})
	return r
}

// SetWater puts water on the rope that bridges it with a resistance in Ω.
func (r *Rope) SetWater(ohms float64) { r.change(func(s *ropeState) { s.water = ohms }) }

// SetDry takes the water away.
func (r *Rope) SetDry() { r.SetWater(math.Inf(1)) }

// SetOpen breaks the rope before its end or mends it. Water before the break is still seen.
func (r *Rope) SetOpen(open bool) { r.change(func(s *ropeState) { s.open = open }) }

// SetShorted joins the two wires or parts them.
func (r *Rope) SetShorted(shorted bool) { r.change(func(s *ropeState) { s.shorted = shorted }) }

// Drive switches the pull-up on or off.
func (r *Rope) Drive(on bool) {
	now := r.o.Now()
	r.change(func(s *ropeState) {
		if on && !s.driven {
			s.since = now
		}
		s.driven = on
	})
}

// Driven tells whether the pull-up is on. Direct current left on a rope corrodes it.
func (r *Rope) Driven() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.last().driven
}

func (r *Rope) change(f func(*ropeState)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.state.last()
	f(&s)
	r.state.set(r.o.Now(), s)
}

// Volts is the voltage of the rope at a moment: that of a divider of the pull-up and what lies between the wires.
func (r *Rope) Volts(at time.Time) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.state.at(at)
	if !s.driven {
		return 0
	}
	conductance := 1 / r.o.EndOfLine
	if s.open {
		conductance = 0
	}
	if conductance += 1 / s.water; s.shorted {
		conductance = math.Inf(1)
	}
	v := r.o.Reference / (1 + r.o.PullUp*conductance)
	if r.o.Settle > 0 {
		v *= 1 - math.Exp(-at.Sub(s.since).Seconds()/r.o.Settle.Seconds())
	}
	return v
}
