package rack

import "time"

// InterlockState is what an interlock makes of its sensors.
type InterlockState string

// The states. Blind is none of the other two: a sensor that does not tell is not dry.
const (
	InterlockClear   InterlockState = "clear"
	InterlockTripped InterlockState = "tripped"
	InterlockBlind   InterlockState = "blind"
)

// Demand is a change of an interlock and what it asks for. It acts past the network and before every command (invariant S1b).
type Demand struct {
	Name   string // of the interlock
	State  InterlockState
	At     time.Time
	Target Target // whose miners are acted on; servers among them never are
	Do     Verb   // DoSleep, DoCut; empty: nothing, it is only told
	Latch  bool   // what was cut is locked afterwards, until a person unlocks it
	Why    string // sensor, value, limit and for how long, in words
}
