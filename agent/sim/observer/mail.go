package observer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/sim"
)

// mail is what went through the broker to and from the agent.
type mail struct {
	deliveries []*delivery
	statuses   []*status
	batches    []*batch
	births     []birth
	last       time.Time // newest message of the agent
	unread     []unread
}

// unread is a message of the agent that is not what its topic promises.
type unread struct {
	at    time.Time
	seq   uint64
	topic string
	err   error
}

// delivery is a message that the broker gave to the agent.
type delivery struct {
	seq     uint64
	at      time.Time
	topic   string // below down/
	payload []byte
	hash    string // SHA-256 of the payload, lower-case hexadecimal
	retain  bool
	signed  *signature // nil: it has not the form of a signed command
	order   envelope
	err     error // why the payload is no command
}

// envelope is a command as it was sent. Pointers tell what is missing.
type envelope struct {
	V      *int    `json:"v"`
	ID     *string `json:"id"`
	Op     *string `json:"op"`
	Target *string `json:"target"`
	Exp    *int64  `json:"exp"` // ms UTC
	Dry    bool    `json:"dry"`
	// What a signature gives a meaning to.
	Iss     *string `json:"iss"`
	Iat     *int64  `json:"iat"` // ms UTC
	Seq     *int64  `json:"seq"`
	Aud     *string `json:"aud"`
	AudBoot string  `json:"aud_boot"`
	// What the agent must understand before it asks who sent it.
	If     json.RawMessage `json:"if"`
	Parent json.RawMessage `json:"parent"`
}

// status is a state of a command as the agent told it.
type status struct {
	seq   uint64
	at    time.Time
	same  string // the message without what may differ in a repeat
	V     int    `json:"v"`
	ID    string `json:"id"`
	State string `json:"st"`
	N     int    `json:"n"`
	Boot  string `json:"boot"`
	Dup   bool   `json:"dup"`
	Code  string `json:"code"`
	Part  int    `json:"part"`
}

// batch is a message with readings.
type batch struct {
	seq uint64
	at  time.Time
	TS  int64                            `json:"ts"` // ms UTC
	D   map[string]map[string][]*float64 `json:"d"`
	X   map[string]doubt                 `json:"x"`
}

// doubt is what a batch says beside a value.
type doubt struct {
	Quality string `json:"q"`
	AgeMS   *int64 `json:"age_ms"`
}

// birth is a life's word on itself.
type birth struct {
	at   time.Time
	Boot string `json:"boot"`
}

// maxCommand is the largest command in bytes that may be taken.
const maxCommand = 8 << 10

func newMail(l *layout, entries []sim.Entry) *mail {
	m := &mail{}
	root := "rackagent/v1/" + l.site + "/" + l.agent + "/"
	for _, e := range entries {
		msg, ok := e.Event.(sim.Message)
		if !ok {
			continue
		}
		if below, ok := strings.CutPrefix(msg.Topic, root+"down/"); ok && msg.Out && msg.Client == l.client {
			m.deliveries = append(m.deliveries, deliveryOf(e, msg, below))
		}
		if below, ok := strings.CutPrefix(msg.Topic, root+"up/"); ok && !msg.Out {
			if !msg.Will {
				m.last = e.At
			}
			if err := m.told(e, msg.Payload, below); err != nil {
				m.unread = append(m.unread, unread{e.At, e.Seq, msg.Topic, err})
			}
		}
	}
	return m
}

func deliveryOf(e sim.Entry, msg sim.Message, topic string) *delivery {
	sum := sha256.Sum256(msg.Payload)
	d := &delivery{seq: e.Seq, at: e.At, topic: topic, payload: msg.Payload, hash: hex.EncodeToString(sum[:]), retain: msg.Retain}
	var text []byte
	d.signed, text = readSigned(msg.Payload)
	d.order, d.err = readEnvelope(text)
	return d
}

// readEnvelope reads a command and tells what makes it none.
func readEnvelope(payload []byte) (envelope, error) {
	var o envelope
	if _, err := memberNames(payload); err != nil {
		return o, err
	}
	if err := json.Unmarshal(payload, &o); err != nil {
		return o, fmt.Errorf("it is no JSON object: %w", err)
	}
	switch {
	case o.V == nil || o.ID == nil || o.Op == nil || o.Target == nil || o.Exp == nil:
		return o, fmt.Errorf("v, id, op, target or exp is missing")
	case *o.V != 1:
		return o, fmt.Errorf("its version is %d", *o.V)
	case !rack.ValidCommandID(*o.ID):
		return o, fmt.Errorf("its id is not 1 to 36 letters, digits, _ and -")
	}
	_, err := rack.ParseTarget(*o.Target)
	return o, err
}

// told reads a message of the agent.
func (m *mail) told(e sim.Entry, payload []byte, topic string) error {
	switch id, isStatus := strings.CutPrefix(topic, "cmd/"); {
	case isStatus:
		s, err := readStatus(payload)
		if err != nil {
			return err
		}
		if s.ID != id {
			return fmt.Errorf("it is about command %q", s.ID)
		}
		s.seq, s.at = e.Seq, e.At
		m.statuses = append(m.statuses, s)
	case topic == "tele":
		b := &batch{seq: e.Seq, at: e.At}
		if err := json.Unmarshal(payload, b); err != nil {
			return err
		}
		m.batches = append(m.batches, b)
	case topic == "state":
		s := birth{at: e.At}
		if err := json.Unmarshal(payload, &s); err != nil {
			return err
		}
		m.births = append(m.births, s)
	}
	return nil
}

// readStatus reads a state, and makes the form in which repeats of one part are equal: without dup, and without the
// boot that speaks.
func readStatus(payload []byte) (*status, error) {
	s := &status{}
	if err := json.Unmarshal(payload, s); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.UseNumber()
	var all map[string]any
	if err := dec.Decode(&all); err != nil {
		return nil, err
	}
	delete(all, "dup")
	delete(all, "boot")
	same, err := json.Marshal(all)
	s.same = string(same)
	return s, err
}

// terminal tells whether nothing may follow a state of a command.
func terminal(state string) bool {
	switch state {
	case "waiting", "accepted", "running":
		return false
	default:
		return true
	}
}

// noOutcome tells a rejection that leaves its id free.
func (s *status) noOutcome() bool { return s.State == "rejected" && s.N == 0 }
