package whatsminer

import "time"

// lateFirmware is the date from which v2 writes are reported to be rejected (users of pyasic, on firmware of 2024-11).
const lateFirmware = "202411"

// Quirks is what is wrong with this firmware; all were reported from the field or stand in a vendor's document.
type Quirks struct {
	// RejectsV2 answers Code 14 to every v2 write. New sets it for firmware dated 2024-11 or later.
	RejectsV2 bool
	// LockedCode and LockedText are v2's answer while the writes are locked: 45 and "can't access write cmd".
	LockedCode int
	LockedText string
	// ExpireOnce refuses the next v2 write with Code 135, and all tokens end with it.
	ExpireOnce bool
	// OverMax refuses get_token with Code 136.
	OverMax bool
	// NoModeReply hangs up on v2's mode changes instead of answering.
	NoModeReply bool
	// EmptyFor is how long the summary is empty after a stop.
	EmptyFor time.Duration
	// RefusesFor is how long 4028 refuses connections after btminer was stopped or restarted.
	RefusesFor time.Duration
	// NewSalts gives other salts after a boot.
	NewSalts bool
	// PoolsFail makes v3 refuse the pools view alone while the machine is stopped.
	PoolsFail bool
	// StartDelay and StopDelay hold starts and stops back; a v3 write sets them (cmdRandom). The firmware picks a random
	// time up to these; here they pass in full.
	StartDelay time.Duration
	StopDelay  time.Duration
	// Faults are what the error lists tell, in the form of Errors.
	Faults []Fault
	Errors ErrorForm
	// Fans is the form of fan speeds.
	Fans FanForm
}

func usual() Quirks { return Quirks{LockedCode: codeDenied, LockedText: "can't access write cmd"} }

// Fault is one entry of the error list.
type Fault struct {
	Code  int
	Text  string
	Since time.Time
}

// ErrorForm is how an error list is written.
type ErrorForm string

// The forms.
const (
	ErrorsPlain     ErrorForm = ""          // v2: objects of one pair; v3: objects with a reason
	ErrorsMixed     ErrorForm = "mixed"     // bare codes, texts and objects by turns
	ErrorsMalformed ErrorForm = "malformed" // v2: "error_code":["k":"v"], which is no JSON; v3: as plain
	ErrorsText      ErrorForm = "text"      // v3: one text instead of a list, as while btminer is down; v2: as plain
)

// FanForm is how a fan speed is written.
type FanForm string

// The forms.
const (
	FanNumber   FanForm = ""
	FanText     FanForm = "text"
	FanFraction FanForm = "fraction"
	FanBoth     FanForm = "text-fraction"
)
