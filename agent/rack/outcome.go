package rack

import "time"

// State is the state of a command or of one of its targets.
type State string

// The states. The five terminal results of an accepted command, expired, and those before them.
const (
	StateRejected  State = "rejected"
	StateWaiting   State = "waiting"
	StateAccepted  State = "accepted"
	StateRunning   State = "running"
	StateSucceeded State = "succeeded"
	StateConfirmed State = "confirmed" // targets only: read back, but no meter could prove it
	StatePartial   State = "partial"
	StateFailed    State = "failed"
	StateCancelled State = "cancelled"
	StateUnknown   State = "unknown"
	StateExpired   State = "expired"
)

// Terminal tells whether nothing follows this state of a command.
func (s State) Terminal() bool {
	switch s {
	case StateWaiting, StateAccepted, StateRunning, "":
		return false
	default:
		return true
	}
}

// Code is the stable reason of a state.
type Code string

// The codes.
const (
	CodeNone             Code = ""
	CodeBadSignature     Code = "bad_signature"
	CodeUnknownKey       Code = "unknown_key"
	CodeWrongAudience    Code = "wrong_audience"
	CodeReplay           Code = "replay"
	CodeIDConflict       Code = "id_conflict"
	CodeExpired          Code = "expired"
	CodeNotYetValid      Code = "not_yet_valid"
	CodeRetained         Code = "retained"
	CodeTooBig           Code = "too_big"
	CodeBadSchema        Code = "bad_schema"
	CodeUnsupported      Code = "unsupported"
	CodeUnknownTarget    Code = "unknown_target"
	CodePrecondition     Code = "precondition"
	CodeSuperseded       Code = "superseded"
	CodeInterlock        Code = "interlock"
	CodeBusy             Code = "busy"
	CodeRateLimited      Code = "rate_limited"
	CodeClockUnsynced    Code = "clock_unsynced"
	CodeDeviceTimeout    Code = "device_timeout"
	CodeDeviceError      Code = "device_error"
	CodeVerifyFailed     Code = "verify_failed"
	CodeCancelled        Code = "cancelled"
	CodeApprovalRequired Code = "approval_required"
	CodeWiringUnproven   Code = "wiring_unproven"
	CodeMinOff           Code = "min_off"
	CodeLimitExceeded    Code = "limit_exceeded"
	CodeWelded           Code = "welded"
	CodeNoLoad           Code = "no_load"
	CodeUnmetered        Code = "unmetered"
	CodeFirmGuard        Code = "firm_guard"
	CodeMaintenanceLock  Code = "maintenance_lock"
	CodeExternalChange   Code = "external_change"
	CodeExternalOwner    Code = "external_owner"
	CodeJournalFull      Code = "journal_full"
	CodeObserving        Code = "observing"
)

// Proof is what the meter said before and after a step. Watts are null where there was no fresh sample.
type Proof struct {
	Meter   string   `json:"meter"` // "pdu-a.3"
	BeforeW *float64 `json:"before_w"`
	AfterW  *float64 `json:"after_w"`
}

// StepResult is how far one step came. Times are ms UTC; nil means it never got there.
type StepResult struct {
	Do        Verb   `json:"do"`
	On        Target `json:"on"`
	Taken     *int64 `json:"taken"`     // the device took the write
	Confirmed *int64 `json:"confirmed"` // it reads back the new state
	Settled   *int64 `json:"settled"`   // metered watts prove it
	Proof     *Proof `json:"proof,omitempty"`
	Hot       bool   `json:"hot,omitempty"`
}

// TargetResult is the outcome of one target.
type TargetResult struct {
	Target    Target       `json:"t"`
	State     State        `json:"st"`
	Code      Code         `json:"code,omitempty"`
	Text      string       `json:"txt,omitempty"`
	Recovered bool         `json:"recovered,omitempty"` // judged by measurement after a restart
	Steps     []StepResult `json:"steps,omitempty"`
}

// Outcome is the present or final word on a command.
type Outcome struct {
	Command string `json:"id"`
	State   State  `json:"st"`
	// N counts the states of one command as published, from 1; a consumer keeps the highest. A result found
	// after a restart carries RecoveredN, above anything the earlier life can have published.
	N       int            `json:"n"`
	Code    Code           `json:"code,omitempty"`
	Text    string         `json:"txt,omitempty"`
	At      time.Time      `json:"at"`
	Targets []TargetResult `json:"targets,omitempty"`
	// Plan is filled for dry runs only.
	Plan *Plan `json:"plan,omitempty"`
	// Earliest is when a command rejected for a minimum time could be taken.
	Earliest time.Time `json:"earliest,omitzero"`
	// Until is when a waiting command lapses, and Sha256 the hash that its approval has to name.
	Until  time.Time `json:"until,omitzero"`
	Sha256 string    `json:"sha256,omitempty"`
	// Listed is the answer of cmd.list.
	Listed []Summary `json:"listed,omitempty"`
	// Ident is the answer of identify: board name to what the board says of itself.
	Ident map[string]Identity `json:"ident,omitempty"`
}

// RecoveredN is the N of a terminal result given after a restart.
const RecoveredN = 1_000_000

// Identity is what a board says of itself beside what the configuration expects.
type Identity struct {
	Serial   string `json:"serial"`
	Expected string `json:"expected,omitempty"`
	Product  string `json:"product,omitempty"`
	Wiring   Wiring `json:"wiring"`
}

// Summary is one line of cmd.list.
type Summary struct {
	Command  string    `json:"id"`
	Op       Op        `json:"op"`
	Target   Target    `json:"target"`
	State    State     `json:"st"`
	Code     Code      `json:"code,omitempty"`
	Received time.Time `json:"received"`
}

// Conclude gives the state and code of a command from its targets: all succeeded -> succeeded; else at least
// one succeeded or confirmed -> partial; else one unknown -> unknown; else all cancelled -> cancelled; else
// failed. The code is that of the worst target.
func Conclude(targets []TargetResult) (State, Code) {
	var ok, confirmed, unknown, cancelled int
	worst := TargetResult{State: StateSucceeded}
	for _, t := range targets {
		switch t.State {
		case StateSucceeded:
			ok++
		case StateConfirmed:
			confirmed++
		case StateUnknown:
			unknown++
		case StateCancelled:
			cancelled++
		}
		if badness(t.State) > badness(worst.State) {
			worst = t
		}
	}
	n := len(targets)
	switch {
	case n > 0 && ok == n:
		return StateSucceeded, CodeNone
	case ok+confirmed > 0:
		return StatePartial, worst.Code
	case unknown > 0:
		return StateUnknown, worst.Code
	case n > 0 && cancelled == n:
		return StateCancelled, worst.Code
	default:
		return StateFailed, worst.Code
	}
}

// badness orders target states for choosing the command's code.
func badness(s State) int {
	switch s {
	case StateSucceeded:
		return 0
	case StateConfirmed:
		return 1
	case StateCancelled:
		return 2
	case StateRejected:
		return 3
	case StateUnknown:
		return 4
	default:
		return 5
	}
}
