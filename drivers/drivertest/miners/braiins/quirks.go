package braiins

// Quirks is what is wrong with this firmware; all were reported from the field, or are forms that its documents leave open.
type Quirks struct {
	// RejectTokens is how many of the next good tokens are rejected with 401, and end.
	RejectTokens int
	// Reset401 is how many of the next 401 answers end with a reset right after their head.
	Reset401 int
	// GuardsVersion wants a token for version/ too.
	GuardsVersion bool
	// LockedStatus is how REST refuses writes while the machine is miners.Locked; zero: 403. 4028 refuses with Code 45.
	LockedStatus int
	// Denies4028 refuses pause and resume on 4028 with Code 45, whatever REST does.
	Denies4028 bool
	// NoPause4028 makes pause and resume unknown commands.
	NoPause4028 bool
	// Dead4028 closes that port while the web lives.
	Dead4028 bool

	// RangeStatus is how a power target outside the constraints is refused; zero: 400. No document says how.
	RangeStatus int
	// Clamps takes such a target as the nearest that is allowed.
	Clamps bool
	// NoConstraints leaves the limits of the power target out.
	NoConstraints bool
	// Tuner is what the tuner is set to; a power target that is accepted sets it to power.
	Tuner Tuner

	// WrongFlags turns the booleans round with which actions say whether the state was there before (reported: pyasic #40, #44).
	WrongFlags bool
	// ShowsWish has the status tell what was asked for, whatever the boards do.
	ShowsWish bool
	// StreamsStatus keeps the answer of miner/status open and adds to it what changes (OpenAPI document: a continuous stream of
	// JSON). Without it that is one object.
	StreamsStatus bool
	// RebootHangs gives no answer to a reboot and keeps the connection (reported: asic-rs #68).
	RebootHangs bool

	// Nulls makes the parts of miner/stats null, and psu_info.
	Nulls bool
	// EmptyLists makes the lists of boards and fans empty, and SUMMARY and DEVS of 4028.
	EmptyLists bool
	// ZeroAsleep estimates 0 W for a machine whose boards are off.
	ZeroAsleep bool
	// Misestimate is the part by which the estimate of the power is too high.
	Misestimate float64
	// Faults are what miner/errors shows.
	Faults []Fault
}

// Tuner is what the tuner is set to.
type Tuner string

// The settings.
const (
	TunesPower    Tuner = ""
	TunesHashrate Tuner = "hashrate" // to a hashrate: there is no power target
	TunerOff      Tuner = "off"
)

// Fault is one entry of miner/errors.
type Fault struct {
	Message   string
	Code      string
	Reason    string
	Component string
	Index     int
}
