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

// envelope is a command as a sender writes it: an unsigned one, without the members that only a signature gives a
// meaning to.
type envelope struct {
	V      int                        `json:"v"`
	ID     string                     `json:"id"`
	Op     string                     `json:"op"`
	Target string                     `json:"target"`
	Args   map[string]json.RawMessage `json:"args,omitempty"`
	Exp    int64                      `json:"exp"`                // ms UTC
	Aud    string                     `json:"aud"`                // SITE/AGENT: an agent that hears another one's commands refuses them
	Boot   string                     `json:"aud_boot,omitempty"` // an agent that has been started anew refuses it
	Dry    bool                       `json:"dry,omitempty"`
	Why    string                     `json:"why,omitempty"`
}

// newID names a command: 26 characters that no other command will have.
func newID() string { return rand.Text() }

// order is what somebody wants of an agent, as typed.
type order struct {
	id, op, target string
	site, agent    string
	args           map[string]string
	ttl            time.Duration // from now until the first step has to begin
	audBoot        string        // empty: any boot of the agent
	dry            bool
	why            string
}

// encode writes the payload of down/cmd; now is by the agent's clock. It is judged by the agent's own reader first, so that a slip of the hand needs
// no broker to be found; verbs that this version does not know are left for the agent to judge.
func (o order) encode(now time.Time) ([]byte, error) {
	if o.ttl <= 0 {
		return nil, errors.New("ttl: want a time above 0, such as 60s")
	}
	payload, err := json.Marshal(envelope{
		V: 1, ID: o.id, Op: o.op, Target: o.target, Args: arguments(o.args), Exp: now.Add(o.ttl).UnixMilli(),
		Aud: o.site + "/" + o.agent, Boot: o.audBoot, Dry: o.dry, Why: o.why,
	})
	if err != nil {
		return nil, err
	}
	if _, bad := wire.DecodeCommand(payload, now); bad != nil && bad.Code != rack.CodeUnsupported {
		return nil, errors.New(bad.Text)
	}
	return payload, nil
}

// arguments gives each value its JSON type: numbers, true and false as such, everything else as text, and always so
// the two arguments that are texts in the contract.
func arguments(typed map[string]string) map[string]json.RawMessage {
	args := make(map[string]json.RawMessage, len(typed))
	for key, value := range typed {
		if key != "id" && key != "reason" && scalar(value) {
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
	if o.dry {
		text += " (dry: nothing is done)"
	}
	return fmt.Sprintf("command %s to %s/%s: %s", o.id, o.site, o.agent, text)
}
