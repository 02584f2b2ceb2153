package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"rackagent/agent/rack"
)

// Kind says what a line tells.
type Kind string

// The kinds. The log itself writes anchor, clock, counted and gap.
const (
	KindAnchor  Kind = "anchor"  // the first line of every file
	KindStart   Kind = "start"   // the agent has started
	KindStop    Kind = "stop"    // it ends in order
	KindCommand Kind = "command" // a state of a command
	KindEvent   Kind = "event"   // something that happened beside commands
	KindRecord  Kind = "record"  // a record of the journal that is no state of a command
	KindClock   Kind = "clock"   // the clock became synchronised, or is no more
	KindCounted Kind = "counted" // what came faster than it is entered
	KindGap     Kind = "gap"     // what found no room while the disk failed
)

// Entry is one thing to be entered. Exactly the fields that are known are set. Nothing of it may be a secret.
type Entry struct {
	Kind Kind
	At   time.Time

	// Who asked, as far as it is known.
	Origin   rack.Origin // how it came in
	Issuer   string      // "uid:N", an operator's name, "local/..."
	Key      string      // id of the key that signed
	Role     string      // of that key
	Approver string      // the second identity
	Unsigned bool        // nothing proves the issuer
	// BreakGlass: a person at the rack stood in for the second one.
	BreakGlass bool

	Command string     // its id
	Op      rack.Op    // what was asked
	Target  string     // on what
	About   string     // id of the other command that this one is about
	Payload rack.Hash  // of the message as received; zero: there is none
	Dry     bool       // only a plan was asked for
	State   rack.State // what became of it
	Code    rack.Code  // the reason of that

	What     string // of an event its kind, of a record its kind
	From, To string // of an event

	Why      string // the sender's words
	Text     string // the agent's words
	Software string // of a start: version
	Config   string // of a start: hash of the effective configuration

	// Loose entries had no effect. They are entered at a bounded rate and counted beyond.
	Loose bool
	// Late marks what an earlier life did not come to enter.
	Late bool

	n        int  // how many, of entries that count
	unsynced bool // the clock was not synchronised when this was written
}

// Bounds of a line's words, in bytes. A line of nothing but characters that must be escaped stays below maxLine.
const (
	maxWord = 80
	maxText = 300
	maxLine = 16 << 10
)

// body is a line without its hash. The order of members is that of FORMAT.md and never changes.
type body struct {
	V    int    `json:"v"`
	Seq  uint64 `json:"seq"`
	Prev string `json:"prev"`
	At   int64  `json:"ts"`
	Boot string `json:"boot"`
	Kind Kind   `json:"kind"`

	// Of an anchor.
	How    string `json:"how,omitempty"`
	After  string `json:"after,omitempty"`
	Size   int64  `json:"size,omitempty"`
	Oldest uint64 `json:"oldest,omitempty"`
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`

	Origin     rack.Origin `json:"origin,omitempty"`
	Issuer     string      `json:"iss,omitempty"`
	Key        string      `json:"key,omitempty"`
	Role       string      `json:"role,omitempty"`
	Approver   string      `json:"approver,omitempty"`
	Unsigned   bool        `json:"unsigned,omitempty"`
	BreakGlass bool        `json:"break_glass,omitempty"`
	Command    string      `json:"cmd,omitempty"`
	Op         rack.Op     `json:"op,omitempty"`
	Target     string      `json:"target,omitempty"`
	About      string      `json:"about,omitempty"`
	Payload    string      `json:"payload,omitempty"`
	Dry        bool        `json:"dry,omitempty"`
	State      rack.State  `json:"st,omitempty"`
	Code       rack.Code   `json:"code,omitempty"`
	What       string      `json:"what,omitempty"`
	From       string      `json:"from,omitempty"`
	To         string      `json:"to,omitempty"`
	Why        string      `json:"why,omitempty"`
	Text       string      `json:"txt,omitempty"`
	Software   string      `json:"sw,omitempty"`
	Config     string      `json:"conf,omitempty"`
	N          int         `json:"n,omitempty"`
	Late       bool        `json:"late,omitempty"`
	Unsynced   bool        `json:"unsynced,omitempty"`
}

// hashMember is what stands between a body, without its closing brace, and its hash in hexadecimal.
const (
	hashMember = `,"hash":"`
	hashEnd    = `"}`
	hashLen    = len(hashMember) + 2*sha256.Size + len(hashEnd)
)

// bodyOf gives an entry its words, cut to their bounds.
func bodyOf(e Entry) body {
	b := body{
		At: e.At.UnixMilli(), Kind: e.Kind, Origin: rack.Origin(word(string(e.Origin))), Issuer: word(e.Issuer), Key: word(e.Key), Role: word(e.Role),
		Approver: word(e.Approver), Unsigned: e.Unsigned, BreakGlass: e.BreakGlass, About: word(e.About), Command: word(e.Command), Op: rack.Op(word(string(e.Op))), Target: word(e.Target), Dry: e.Dry,
		State: rack.State(word(string(e.State))), Code: rack.Code(word(string(e.Code))), What: word(e.What), From: word(e.From), To: word(e.To),
		Why: cut(e.Why, maxText), Text: cut(e.Text, maxText), Software: word(e.Software), Config: word(e.Config), Late: e.Late, N: e.n, Unsynced: e.unsynced,
	}
	if e.Payload != (rack.Hash{}) {
		b.Payload = hex.EncodeToString(e.Payload[:])
	}
	return b
}

func word(s string) string { return cut(s, maxWord) }

// cut shortens a text at a character.
func cut(s string, limit int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// encode writes a line with its newline, and gives the hash that it carries.
func (b body) encode() ([]byte, rack.Hash) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(b); err != nil {
		panic("audit: a body of texts and numbers does not encode: " + err.Error())
	}
	line := bytes.TrimSuffix(buf.Bytes(), []byte("}\n"))
	h := rack.Hash(sha256.Sum256(line))
	return fmt.Appendf(line, "%s%s%s\n", hashMember, h, hashEnd), h
}
