package interlock

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"rackagent/agent/rack"
)

// Kind says what a rule watches for; it decides which quantity that is, on which side of the limit, and how fast.
type Kind string

// The kinds.
const (
	Leak            Kind = "leak"             // water where none belongs
	Stop            Kind = "stop"             // an emergency stop
	OverTemperature Kind = "over_temperature" // °C
	LowFlow         Kind = "low_flow"         // L/min
	OnBattery       Kind = "on_battery"       // a contact of the supply
)

// trait is what a kind is like.
type trait struct {
	quantity rack.Quantity
	below    bool          // beyond the limit is below it
	flag     bool          // yes or no: the limit is between
	latch    bool          // a person has to look at it
	hold     time.Duration // how long by default
	back     float64       // hysteresis, in the quantity's unit
	unit     string
	word     string // of a flag that says yes
}

// traitOf gives the traits of a kind. Sources: hold of a leak and a battery 200 ms wired (domain reference E.5), of a flow 2 s
// (E.2); the others and the hysteresis are arbitrary.
func traitOf(k Kind) (trait, bool) {
	switch k {
	case Leak:
		return trait{quantity: rack.Leak, flag: true, latch: true, hold: 200 * time.Millisecond, word: "water"}, true
	case Stop:
		return trait{quantity: rack.Contact, flag: true, latch: true, word: "pressed"}, true
	case OnBattery:
		return trait{quantity: rack.Contact, flag: true, hold: 200 * time.Millisecond, word: "on battery"}, true
	case OverTemperature:
		return trait{quantity: rack.TempC, hold: 5 * time.Second, back: 3, unit: "°C"}, true
	case LowFlow:
		return trait{quantity: rack.FlowLPM, below: true, hold: 2 * time.Second, back: 0.5, unit: "L/min"}, true
	}
	return trait{}, false
}

// Kinds lists all kinds.
func Kinds() []Kind { return []Kind{Leak, Stop, OverTemperature, LowFlow, OnBattery} }

// Flag tells whether a kind watches a yes or no, and takes no limit.
func (k Kind) Flag() bool { t, _ := traitOf(k); return t.flag }

// Quantity is what a kind watches.
func (k Kind) Quantity() rack.Quantity { t, _ := traitOf(k); return t.quantity }

// Rule is one interlock.
type Rule struct {
	Name   string
	Kind   Kind
	Device string        // the sensor
	Index  int           // of its inputs; 0: any
	Limit  float64       // in the kind's unit; of a flag without meaning
	Hold   time.Duration // how long it has to be beyond; 0: the kind's
	Fresh  time.Duration // how old a reading may be
	Target rack.Target
	Do     rack.Verb // rack.DoSleep, rack.DoCut; empty: only told
}

// backFor is how long all sensors have to be back before a rule is clear: arbitrary, so that what hovers at a limit does not ring.
const backFor = time.Minute

// Machine follows all rules. It belongs to one goroutine.
type Machine struct{ rules []*watch }

type watch struct {
	Rule
	trait
	seen  map[int]*seen // by input
	state rack.InterlockState
	born  time.Time // of the first look
	back  time.Time // all are back since then; zero: they are not
}

// seen is what is known of one input.
type seen struct {
	value  float64
	at     time.Time
	told   bool      // the newest reading is a measurement
	since  time.Time // beyond the limit; zero: it is not
	counts int       // readings in a row beyond it
}

// New makes a machine. Rules of an unknown kind are left out.
func New(rules []Rule) *Machine {
	m := new(Machine)
	for _, r := range rules {
		if t, ok := traitOf(r.Kind); ok {
			if r.Hold > 0 {
				t.hold = r.Hold
			}
			m.rules = append(m.rules, &watch{Rule: r, trait: t, seen: make(map[int]*seen), state: rack.InterlockClear})
		}
	}
	return m
}

// Step takes what was read since the last step, and tells which rules have changed.
func (m *Machine) Step(now time.Time, batch []rack.Reading) []rack.Demand {
	var out []rack.Demand
	for _, w := range m.rules {
		for _, r := range batch {
			if r.Point.Device == w.Device && r.Point.Quantity == w.quantity && (w.Index == 0 || r.Point.Index == w.Index) {
				w.take(r)
			}
		}
		if d, changed := w.judge(now); changed {
			out = append(out, d)
		}
	}
	return out
}

// beyond tells whether a value is on the wrong side of the limit.
func (w *watch) beyond(v float64) bool {
	switch {
	case w.flag:
		return v != 0
	case w.below:
		return v < w.Limit
	}
	return v > w.Limit
}

// returned tells whether a value is back, by more than the hysteresis.
func (w *watch) returned(v float64) bool {
	switch {
	case w.flag:
		return v == 0
	case w.below:
		return v >= w.Limit+w.trait.back
	}
	return v <= w.Limit-w.trait.back
}

func (w *watch) take(r rack.Reading) {
	s := w.seen[r.Point.Index]
	if s == nil {
		s = new(seen)
		w.seen[r.Point.Index] = s
	}
	if s.told = r.Quality == rack.QualityOK; !s.told || !r.At.After(s.at) {
		return
	}
	if r.At.Sub(s.at) > w.Fresh { // what was between is not known
		s.since, s.counts = time.Time{}, 0
	}
	s.value, s.at = r.Value, r.At
	if !w.beyond(r.Value) {
		s.since, s.counts = time.Time{}, 0
		return
	}
	if s.counts++; s.since.IsZero() {
		s.since = r.At
	}
}

// looks is how many readings have to show it: one may be wrong. A stop is pressed by a person and is not asked twice.
func (w *watch) looks() int {
	if w.Kind == Stop {
		return 1
	}
	return 2
}

// judge tells what the rule makes of its inputs now.
func (w *watch) judge(now time.Time) (rack.Demand, bool) {
	if w.born.IsZero() {
		w.born = now
	}
	tripped, telling, back := -1, 0, true
	for _, i := range w.inputs() {
		s := w.seen[i]
		fresh := s.told && now.Sub(s.at) <= w.Fresh
		if fresh {
			telling++
			if !s.since.IsZero() && s.counts >= w.looks() && s.at.Sub(s.since) >= w.hold {
				tripped = i
			}
		}
		back = back && (s.at.IsZero() || fresh && w.returned(s.value)) // one that never told is not waited for
	}
	state := w.state
	switch {
	case tripped >= 0:
		state, w.back = rack.InterlockTripped, time.Time{}
	case state == rack.InterlockTripped && !back: // also where its sensor tells no more
		w.back = time.Time{}
	case state == rack.InterlockTripped && w.back.IsZero():
		w.back = now
	case state == rack.InterlockTripped && now.Sub(w.back) < backFor:
	case telling == 0 && (len(w.seen) > 0 || now.Sub(w.born) > w.Fresh) || w.lost(now):
		state = rack.InterlockBlind
	case w.begun(): // one is beyond, and not for long enough: it stays what it is
	case telling > 0:
		state = rack.InterlockClear
	}
	if state == w.state {
		return rack.Demand{}, false
	}
	w.state = state
	return w.demand(now, state, tripped), true
}

// begun tells whether an input is beyond the limit.
func (w *watch) begun() bool {
	for _, s := range w.seen {
		if !s.since.IsZero() {
			return true
		}
	}
	return false
}

// lost tells whether an input that has told once tells no more.
func (w *watch) lost(now time.Time) bool {
	for _, s := range w.seen {
		if !s.at.IsZero() && (!s.told || now.Sub(s.at) > w.Fresh) {
			return true
		}
	}
	return false
}

func (w *watch) inputs() []int {
	var out []int
	for i := range w.seen {
		out = append(out, i)
	}
	slices.Sort(out)
	return out
}

func (w *watch) demand(now time.Time, state rack.InterlockState, input int) rack.Demand {
	d := rack.Demand{Name: w.Name, State: state, At: now, Target: w.Target, Do: w.Do, Latch: w.latch && w.Do == rack.DoCut}
	switch state {
	case rack.InterlockTripped:
		s := w.seen[input]
		d.Why = fmt.Sprintf("interlock %s: %s %s, for %s", w.Name, w.place(input), w.words(s.value), s.at.Sub(s.since).Round(10*time.Millisecond))
	case rack.InterlockBlind:
		d.Why = fmt.Sprintf("interlock %s: %s does not tell: it is neither clear nor tripped", w.Name, w.Device)
	default:
		d.Why = fmt.Sprintf("interlock %s: %s is back", w.Name, w.Device)
	}
	return d
}

func (w *watch) place(input int) string {
	if len(w.seen) == 1 {
		return w.Device
	}
	return fmt.Sprintf("%s, input %d,", w.Device, input)
}

// words are a value beside the limit, for people.
func (w *watch) words(v float64) string {
	switch {
	case w.flag:
		return "says " + w.word
	case w.below:
		return strings.TrimSpace(fmt.Sprintf("shows %.1f %s, below %.1f", v, w.unit, w.Limit))
	}
	return strings.TrimSpace(fmt.Sprintf("shows %.1f %s, above %.1f", v, w.unit, w.Limit))
}
