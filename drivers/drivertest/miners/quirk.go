package miners

// Quirk is one way in which real miners go wrong; all were reported from the field.
type Quirk string

// On the wire, whatever the dialect.
const (
	Refuses  Quirk = "refuses"  // nothing listens
	Vanished Quirk = "vanished" // a connection is never answered
	Hangs    Quirk = "hangs"    // connections are taken, requests never answered
	Dawdles  Quirk = "dawdles"  // an answer takes 25 s
	HangsUp  Quirk = "hangs-up" // the connection ends before the answer
	CutsOff  Quirk = "cuts-off" // the answer ends in the middle
	Dribbles Quirk = "dribbles" // the answer comes byte by byte
	StaysOn  Quirk = "stays-on" // the connection stays open after the answer, which has no end mark
	Floods   Quirk = "floods"   // the answer does not end
)

// In what it does, whatever the dialect.
const (
	Ignores     Quirk = "ignores"      // a write is taken and nothing changes
	ObeysLate   Quirk = "obeys-late"   // a write has its effect a minute later
	Silent      Quirk = "silent"       // a write has its effect and no answer
	Averages    Quirk = "averages"     // the short windows show the average, which stays high through a sleep
	TextNumbers Quirk = "text-numbers" // numbers come as texts
	NoPools     Quirk = "no-pools"     // no pool is alive
	Locked      Quirk = "locked"       // writes are refused
)
