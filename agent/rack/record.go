package rack

import "time"

// RecordKind says what a journal record tells.
type RecordKind string

// The records. FORMAT.md beside the journal describes each.
const (
	RecordWaiting  RecordKind = "waiting"  // a command of two persons, before the second one has spoken
	RecordAccepted RecordKind = "accepted" // command and plan, before anything is done
	RecordRejected RecordKind = "rejected" // an outcome of a command that passed authorisation
	RecordProgress RecordKind = "progress" // a fact that must survive, before the write that needs it
	RecordEnded    RecordKind = "ended"    // the one terminal result
	RecordAcked    RecordKind = "acked"    // the broker acknowledged the terminal result
	RecordOrder    RecordKind = "order"    // an order came into force
	RecordReleased RecordKind = "released" // an order was released
	RecordWiring   RecordKind = "wiring"   // what became known about an outlet's wiring
	RecordWithdraw RecordKind = "withdraw" // an outlet was withdrawn from switching (welded)
	RecordObserved RecordKind = "observed" // a person accepted that the journal was lost (journal.accept)
)

// Record is one fact to be kept on disk. Exactly the fields that its kind needs are set.
type Record struct {
	Kind     RecordKind `json:"kind"`
	At       time.Time  `json:"at"`
	Boot     string     `json:"boot"` // of the agent, set by the journal
	ID       string     `json:"id,omitempty"`
	Command  *Command   `json:"command,omitempty"`  // accepted, rejected
	Plan     *Plan      `json:"plan,omitempty"`     // accepted
	Outcome  *Outcome   `json:"outcome,omitempty"`  // rejected, ended
	Progress *Progress  `json:"progress,omitempty"` // progress
	Order    *Order     `json:"order,omitempty"`    // order, released
	Outlet   OutletID   `json:"outlet,omitzero"`    // wiring, withdraw
	Wiring   Wiring     `json:"wiring,omitempty"`
	Serial   string     `json:"serial,omitempty"` // of the board the wiring is about
	Reason   string     `json:"reason,omitempty"` // wiring, withdraw, observed
	Until    time.Time  `json:"until,omitzero"`   // waiting: when it lapses
	By       string     `json:"by,omitempty"`     // observed: who
	// Lowers marks a record whose writes can only lower power: it may use the last reserve on a full disk.
	Lowers bool `json:"lowers,omitempty"`
}

// Progress is a fact read on the way that must survive a crash.
type Progress struct {
	Target Target `json:"t"`
	Step   int    `json:"step"`
	// Fact is one of the ProgressFacts.
	Fact string `json:"fact"`
	// Latch and Direction are the whole words to be written to a bank that was out of control.
	PDU       string  `json:"pdu,omitempty"`
	Bank      int     `json:"bank,omitempty"` // BankID.N; 0 where the PDU has one bank only
	Latch     *uint16 `json:"latch,omitempty"`
	Direction *uint16 `json:"direction,omitempty"`
}

// The facts of a Progress.
const (
	FactCycleOpen = "cycle_open" // the outlet is open and will be closed by the next step
	FactAdopt     = "adopt"      // the bank's whole latch and direction will be written as it stands
)

// Entry is all the journal knows about one command.
type Entry struct {
	Command  Command
	Plan     Plan
	Waiting  bool      // for a second person: neither accepted nor ended
	Until    time.Time // when it lapses, or would have
	Outcome  *Outcome  // nil: unfinished, or waiting
	Progress []Progress
	Boot     string // the boot that accepted or rejected it
	Acked    bool   // the broker has the terminal result
}
