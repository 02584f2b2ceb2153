package observer

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"rackagent/agent/rack"
)

// record is one fact of a journal. Only the members that a rule looks at are read.
type record struct {
	Kind     string        `json:"kind"`
	At       time.Time     `json:"at"`
	Boot     string        `json:"boot"`
	ID       string        `json:"id"`
	Command  *command      `json:"command"`
	Plan     *plan         `json:"plan"`
	Outcome  *outcome      `json:"outcome"`
	Progress *progress     `json:"progress"`
	Outlet   rack.OutletID `json:"outlet"`
	Order    *order        `json:"order"`
	Wiring   string        `json:"wiring"`
	Reason   string        `json:"reason"`

	seq uint64 // place in the journal
	key string // bucket, key and value: what makes two records the same
}

type order struct {
	Kind   string `json:"kind"`
	Target string `json:"target"`
}

type command struct {
	Op     string    `json:"op"`
	Target string    `json:"target"`
	Exp    time.Time `json:"exp"`
	Dry    bool      `json:"dry"`
	Origin string    `json:"origin"`
	Hash   string    `json:"hash"`
	Issuer string    `json:"iss"`
	Signed bool      `json:"signed"`
	Key    string    `json:"kid"`
	// Emergency: a leak or a stop asked for it.
	Emergency bool `json:"emergency"`
	Args      struct {
		ID     string `json:"id"`
		Force  bool   `json:"force"`
		Sha256 string `json:"sha256"`
		// DeadlineS bounds the end, from acceptance; 0: the plan's own, from the first step.
		DeadlineS float64 `json:"deadline_s"`
	} `json:"args"`
	Approval *approval `json:"approval"`
}

// approval is a second person's word, as it stands beside the command it is about.
type approval struct {
	By     string `json:"by"`
	ID     string `json:"id"` // of the approving command
	Sha256 string `json:"sha256"`
}

type plan struct {
	DeadlineMS int64 `json:"deadline_ms"`
	Targets    []struct {
		Target  string     `json:"t"`
		Steps   []planStep `json:"steps"`
		Refused *struct{}  `json:"refused"` // nothing may be done for it
	} `json:"targets"`
}

type planStep struct {
	Do string        `json:"do"`
	On rack.OutletID `json:"on"`
}

type outcome struct {
	State   string         `json:"st"`
	N       int            `json:"n"`
	Code    string         `json:"code"`
	At      time.Time      `json:"at"`
	Targets []targetResult `json:"targets"`
}

type targetResult struct {
	Target    string       `json:"t"`
	State     string       `json:"st"`
	Code      string       `json:"code"`
	Recovered bool         `json:"recovered"`
	Steps     []stepResult `json:"steps"`
}

type stepResult struct {
	Do      string `json:"do"`
	On      string `json:"on"` // "outlet/pdu-a.3"
	Taken   *int64 `json:"taken"`
	Settled *int64 `json:"settled"`
	Proof   *struct {
		Meter string `json:"meter"`
	} `json:"proof"`
}

type progress struct {
	Fact      string  `json:"fact"`
	PDU       string  `json:"pdu"`
	Bank      int     `json:"bank"` // counted from 1; 0: the PDU has one relay bank
	Latch     *uint16 `json:"latch"`
	Direction *uint16 `json:"direction"`
}

// The words of the journal.
const (
	kindWaiting  = "waiting"
	kindAccepted = "accepted"
	kindRejected = "rejected"
	kindProgress = "progress"
	kindEnded    = "ended"
	kindAcked    = "acked"
	factAdopt    = "adopt"
	doCut        = "cut"
	doEnergise   = "energise"
	opCycle      = "outlet.cycle"
	opShutdown   = "shutdown"
	opStart      = "start"
	doSleep      = "sleep"
	doWake       = "wake"
)

// kinds is the word for the letter at the end of a key, by bucket.
func kinds(bucket string, letter byte) (string, bool) {
	word, ok := map[string]string{
		"command/v": kindWaiting, "command/a": kindAccepted, "command/r": kindRejected, "command/p": kindProgress, "command/e": kindEnded, "command/k": kindAcked,
		"order/o": "order", "order/l": "released", "wiring/w": "wiring", "withdraw/x": "withdraw", "observed/j": "observed",
	}[bucket+"/"+string(letter)]
	return word, ok
}

// castagnoli is the table of CRC-32C.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// The ways in which a value is damaged.
var (
	errShort    = errors.New("shorter than its head of five bytes")
	errVersion  = errors.New("not of version 1")
	errChecksum = errors.New("its checksum is wrong")
)

// maxValue bounds the JSON of a value, in bytes.
const maxValue = 524288

// payload checks the head of a value and gives the JSON behind it: a version byte, CRC-32C over it and the rest.
func payload(value []byte) ([]byte, error) {
	if len(value) < 5 {
		return nil, errShort
	}
	sum := crc32.Update(crc32.Checksum(value[:1], castagnoli), castagnoli, value[5:])
	switch {
	case sum != binary.BigEndian.Uint32(value[1:5]):
		return nil, errChecksum
	case value[0] != 1:
		return nil, fmt.Errorf("version %d: %w", value[0], errVersion)
	case len(value)-5 > maxValue:
		return nil, fmt.Errorf("%d bytes, at most %d are allowed", len(value)-5, maxValue)
	}
	return value[5:], nil
}

// readRecord reads one key and value of a bucket.
func readRecord(bucket string, key, value []byte) (record, error) {
	subject, rest, ok := bytes.Cut(key, []byte{0})
	if !ok || len(subject) == 0 || len(rest) != 9 {
		return record{}, errors.New("its key has not the form of one")
	}
	kind, ok := kinds(bucket, rest[8])
	if !ok {
		return record{}, fmt.Errorf("letter %q is no kind of the bucket %s", rest[8], bucket)
	}
	raw, err := payload(value)
	if err != nil {
		return record{}, err
	}
	var r record
	if err := json.Unmarshal(raw, &r); err != nil {
		return record{}, err
	}
	if r.Kind != kind || !r.about(bucket, string(subject)) {
		return record{}, fmt.Errorf("its key says %s of %s, its value %s of %q", kind, subject, r.Kind, r.ID)
	}
	r.seq = binary.BigEndian.Uint64(rest)
	r.key = bucket + "\x00" + string(key) + string(value)
	return r, nil
}

// about tells whether a value belongs under the subject of its key.
func (r *record) about(bucket, subject string) bool {
	switch bucket {
	case "command":
		return r.ID == subject
	case "wiring", "withdraw":
		return r.Outlet.String() == subject
	case "order":
		return r.Order != nil && r.Order.Kind+"/"+r.Order.Target == subject
	default: // observed
		return subject == "journal"
	}
}
