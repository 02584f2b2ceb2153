package rack

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// Op is the verb of a command.
type Op string

// The verbs carried out so far. Others of the contract are answered with CodeUnsupported.
const (
	OpEnergise      Op = "outlet.energise"
	OpCut           Op = "outlet.cut"
	OpCycle         Op = "outlet.cycle"
	OpShutdown      Op = "shutdown"
	OpStart         Op = "start"
	OpSleep         Op = "sleep"
	OpWake          Op = "wake"
	OpLimit         Op = "limit"
	OpRelease       Op = "release"
	OpIdentify      Op = "identify"
	OpGet           Op = "cmd.get"
	OpList          Op = "cmd.list"
	OpCancel        Op = "cmd.cancel"
	OpApprove       Op = "approve"
	OpLock          Op = "lock"
	OpUnlock        Op = "unlock"
	OpJournalAccept Op = "journal.accept" // local socket only
)

// MovesPower tells whether carrying out the verb can write an actuator.
func (o Op) MovesPower() bool { return o.OnlyLowers() || o.AddsPower() || o == OpLimit }

// OnlyLowers tells whether the verb can only lower power.
func (o Op) OnlyLowers() bool { return o == OpCut || o == OpSleep || o == OpShutdown }

// AddsPower tells whether the verb raises power at some point.
func (o Op) AddsPower() bool {
	return o == OpEnergise || o == OpCycle || o == OpWake || o == OpStart || o == OpRelease
}

// OfNodes tells whether the verb is about nodes whole: it does not take an outlet.
func (o Op) OfNodes() bool {
	switch o {
	case OpSleep, OpWake, OpShutdown, OpStart, OpLimit, OpRelease:
		return true
	default:
		return false
	}
}

// Hash is the SHA-256 of a command's payload exactly as received.
type Hash [sha256.Size]byte

// HashOf hashes a payload.
func HashOf(payload []byte) Hash { return sha256.Sum256(payload) }

// MarshalText writes lower-case hexadecimal.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// String is the hash in hexadecimal, as sha256sum prints it.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// UnmarshalText is the reverse of MarshalText.
func (h *Hash) UnmarshalText(b []byte) error {
	if len(b) != 2*sha256.Size {
		return hex.ErrLength
	}
	_, err := hex.Decode(h[:], b)
	return err
}

// Origin is how a command came in.
type Origin string

// The ways in.
const (
	OriginMQTT  Origin = "mqtt"
	OriginLocal Origin = "local" // unix socket; Issuer is "uid:N"
	OriginAgent Origin = "agent" // the agent's own, Issuer "local/..."
)

// Args are the arguments of all verbs.
type Args struct {
	ID        string  `json:"id,omitempty"`         // cmd.get, cmd.cancel: the other command
	N         int     `json:"n,omitempty"`          // cmd.list: how many
	DeadlineS float64 `json:"deadline_s,omitempty"` // bounds the end, from acceptance
	OffS      float64 `json:"off_s,omitempty"`      // outlet.cycle: open at least this long (never below the minimum off time)
	Force     bool    `json:"force,omitempty"`
	Reason    string  `json:"reason,omitempty"` // journal.accept
	Sha256    string  `json:"sha256,omitempty"` // approve: Hash of the other command, in hexadecimal
	Outlet    string  `json:"outlet,omitempty"` // shutdown: OutletKeep or OutletCut; empty: cut
	Now       bool    `json:"now,omitempty"`    // shutdown: cut at once
	// limit: one of the two. Mode is in the miner's own spelling.
	LimitW float64 `json:"limit_w,omitempty"`
	Mode   string  `json:"mode,omitempty"`
}

// What a shutdown does with the outlets of its node.
const (
	OutletKeep = "keep"
	OutletCut  = "cut"
)

// Words are the arguments that were given, as JSON behind a space; empty: there are none.
func (a Args) Words() string {
	raw, err := json.Marshal(a)
	if err != nil || string(raw) == "{}" {
		return ""
	}
	return " " + string(raw)
}

// If are preconditions; a command that carries one the agent cannot judge is rejected.
type If struct {
	Gen   *int64 `json:"gen,omitempty"`
	State string `json:"state,omitempty"`
}

// Parent is a person's command and its approval as another agent received them.
type Parent struct {
	Command  string `json:"command"`
	Approval string `json:"approval,omitempty"`
}

// OwnID begins the ids of what the agent does by itself; no command from outside may have one: it could not be recorded then.
const OwnID = "own-"

// Command is a decoded command. It is stored in the journal as it is.
type Command struct {
	ID      string    `json:"id"`
	Op      Op        `json:"op"`
	Target  Target    `json:"target"`
	Args    Args      `json:"args"`
	Exp     time.Time `json:"exp"` // start of the first step, wall time
	Issuer  string    `json:"iss,omitempty"`
	Issued  time.Time `json:"iat,omitzero"`
	Seq     int64     `json:"seq,omitempty"`
	Aud     string    `json:"aud,omitempty"`
	AudBoot string    `json:"aud_boot,omitempty"`
	If      *If       `json:"if,omitempty"`
	Dry     bool      `json:"dry,omitempty"`
	Why     string    `json:"why,omitempty"`
	Origin  Origin    `json:"origin"`
	Signed  bool      `json:"signed,omitempty"` // an identity stands behind Issuer
	Key     string    `json:"kid,omitempty"`    // id of the key that signed
	Role    string    `json:"role,omitempty"`   // what Issuer may do is the role's
	// Uncounted: it was refused before its number was taken, so that lower ones may still come.
	Uncounted bool `json:"uncounted,omitempty"`
	// BreakGlass: a person at the rack stands in for the second one. Only over the local socket, and only with Why.
	BreakGlass bool      `json:"break_glass,omitempty"`
	Approval   *Approval `json:"approval,omitempty"` // of a second person, where one was needed
	Parent     *Parent   `json:"parent,omitempty"`   // what another agent passes on
	// Emergency: a leak or a stop asks for it. Only the agent's own have it; such a cut of an interruptible node passes locks.
	Emergency bool      `json:"emergency,omitempty"`
	Hash      Hash      `json:"hash"`
	Received  time.Time `json:"received"` // carries the monotonic clock until it is stored
	// Firm: the role of its issuer reaches firm nodes, and so what counts as one. Never stored: a command is not continued.
	Firm bool `json:"-"`
	// StartBy is Exp turned into the monotonic clock on receipt; never stored, never moved afterwards.
	StartBy time.Time `json:"-"`
}

// AcceptedN is the N of the command's accepted state: the first, or the second after waiting.
func (c *Command) AcceptedN() int {
	if c.Approval != nil && c.Parent == nil { // what another agent passes on did not wait here
		return 2
	}
	return 1
}
