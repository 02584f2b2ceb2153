package wire

import (
	"time"

	"rackagent/agent/rack"
)

// The values of State.State, State.Reason and State.Mode.
const (
	Online         = "online"
	Offline        = "offline"
	ReasonLost     = "lost"     // in the will, published by the broker
	ReasonShutdown = "shutdown" // the agent's own farewell
	ModeNormal     = "normal"
	ModeObserving  = "observing" // commands that could move power are rejected
)

// State is the payload of up/state: birth, will or end. A consumer ignores an offline whose boot and conn are older
// than the newest online it saw; an offline proves nothing about the loads.
type State struct {
	State  string
	Reason string // of offline
	Boot   string
	Conn   int       // counts CONNECTs within the boot, from 1
	At     time.Time // of the birth or end; in a will, of the CONNECT
	// Sent is when this message was made. It is repeated as a heartbeat, with At staying that of the birth. Zero in a
	// will, which the broker sends.
	Sent     time.Time
	Clock    Clock
	Software string // version
	Mode     string
	// Unsigned tells the world that this agent takes commands without a signature.
	Unsigned bool
	// Audit is the newest line of the audit log on disk. Who keeps it can prove later that the log up to it is as it was.
	Audit *Anchor
}

// Anchor names a line of the audit log by its number and its hash.
type Anchor struct {
	Seq  uint64    `json:"seq"`
	Hash rack.Hash `json:"hash"`
}

// Clock says how far the agent's time stamps may be trusted.
type Clock struct {
	Source string `json:"src"` // who sets it: "ntp"; "none" where nobody does
	OK     bool   `json:"ok"`  // synchronised
	// ErrMS is how far the clock can be off, in ms, as who sets it reckons. 0: not known.
	ErrMS float64 `json:"err_ms,omitzero"`
}

type stateJSON struct {
	V        int     `json:"v"`
	State    string  `json:"state"`
	Reason   string  `json:"reason,omitempty"`
	Boot     string  `json:"boot"`
	Conn     int     `json:"conn"`
	At       int64   `json:"ts"`
	Sent     int64   `json:"sent,omitzero"`
	Clock    Clock   `json:"clock"`
	Software string  `json:"sw"`
	Mode     string  `json:"mode"`
	Unsigned bool    `json:"unsigned,omitempty"`
	Audit    *Anchor `json:"audit,omitempty"`
}

// Encode writes the message.
func (s State) Encode() []byte {
	return encode(stateJSON{
		V: 1, State: s.State, Reason: s.Reason, Boot: s.Boot, Conn: s.Conn, At: millis(s.At), Sent: millis(s.Sent),
		Clock: s.Clock, Software: s.Software, Mode: s.Mode, Unsigned: s.Unsigned, Audit: s.Audit,
	})
}
