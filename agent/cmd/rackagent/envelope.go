package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

// envelope is a command as a sender writes it. iss, iat and seq are for signed ones alone: only a signature gives them a
// meaning.
type envelope struct {
	V      int                        `json:"v"`
	ID     string                     `json:"id"`
	Op     string                     `json:"op"`
	Target string                     `json:"target"`
	Args   map[string]json.RawMessage `json:"args,omitempty"`
	Exp    int64                      `json:"exp"` // ms UTC
	Iss    string                     `json:"iss,omitempty"`
	Iat    int64                      `json:"iat,omitempty"`      // ms UTC, by the same clock as exp
	Seq    int64                      `json:"seq,omitempty"`      // rises from one command of iss to the next
	Aud    string                     `json:"aud,omitempty"`      // SITE/AGENT: an agent that hears another one's commands refuses them
	Boot   string                     `json:"aud_boot,omitempty"` // an agent that has been started anew refuses it
	Dry    bool                       `json:"dry,omitempty"`
	Why    string                     `json:"why,omitempty"`
	Glass  bool                       `json:"break_glass,omitempty"` // on the local socket only; wants a why
}

// newID names a command: 26 characters that no other command will have.
func newID() string { return rand.Text() }

// order is what somebody wants of an agent, as typed.
type order struct {
	id, op, target string
	site, agent    string // empty on the local socket, where it goes to the one agent that there is
	args           map[string]string
	ttl            time.Duration // from now until the first step has to begin
	audBoot        string        // empty: any boot of the agent
	dry            bool
	why            string
	breakGlass     bool
	key            wire.Key  // without a private half: the command goes unsigned
	sent           time.Time // the moment of sending by the clock here: what a signed command is counted by
}

// encode writes the payload of down/cmd, signed if there is a key; now is by the agent's clock. It is judged by the agent's own reader first, so that a slip of the hand needs
// no broker to be found; verbs that this version does not know are left for the agent to judge.
func (o order) encode(now time.Time) ([]byte, error) {
	if o.ttl <= 0 {
		return nil, errors.New("ttl: want a time above 0, such as 60s")
	}
	e := envelope{
		V: 1, ID: o.id, Op: o.op, Target: o.target, Args: arguments(o.args), Exp: now.Add(o.ttl).UnixMilli(),
		Aud: o.to(), Boot: o.audBoot, Dry: o.dry, Why: o.why, Glass: o.breakGlass,
	}
	if o.key.HasPrivate() {
		// seq is the time in ms: whoever signs needs no memory of the last one, and a person's commands of one machine rise by
		// themselves.
		e.Iss, e.Iat, e.Seq = o.key.Issuer, now.UnixMilli(), o.sent.UnixMilli()
	}
	payload, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	if _, bad := wire.DecodeCommand(payload, now); bad != nil && bad.Code != rack.CodeUnsupported {
		return nil, errors.New(bad.Text)
	}
	if !o.key.HasPrivate() {
		return payload, nil
	}
	return o.key.Sign(payload)
}

// to is the agent's name as aud has it.
func (o order) to() string {
	if o.site == "" {
		return ""
	}
	return o.site + "/" + o.agent
}

// arguments gives each value its JSON type: numbers, true and false as such, everything else as text, and always so
// the arguments that are texts in the contract.
func arguments(typed map[string]string) map[string]json.RawMessage {
	args := make(map[string]json.RawMessage, len(typed))
	for key, value := range typed {
		if key != "id" && key != "reason" && key != "sha256" && key != "mode" && scalar(value) {
			args[key] = json.RawMessage(value)
			continue
		}
		args[key], _ = json.Marshal(value) // a text always encodes
	}
	return args
}

// scalar tells whether a text is a number, true or false in JSON.
func scalar(s string) bool {
	var v any
	if json.Unmarshal([]byte(s), &v) != nil {
		return false
	}
	switch v.(type) {
	case float64, bool:
		return true
	default:
		return false
	}
}

// String tells a person what is sent.
func (o order) String() string {
	text := fmt.Sprintf("%s %s", o.op, o.target)
	if o.breakGlass {
		text += " (break-glass)"
	}
	if o.dry {
		text += " (dry: nothing is done)"
	}
	way := "to " + o.to()
	if o.site == "" {
		way = "on this machine"
	}
	if o.key.HasPrivate() {
		way += fmt.Sprintf(", signed by %s with key %s", o.key.Issuer, o.key.ID)
	}
	return fmt.Sprintf("command %s %s: %s", o.id, way, text)
}
