package wire

import (
	"encoding/json"
	"fmt"
	"time"

	"rackagent/agent/rack"
)

// derivedTTL is how long a command that an agent passes on may wait for its start: the contract's life of a command.
// Another agent is a message away.
const derivedTTL = 300 * time.Second

// Passing is a person's command on its way through this agent to the one that it is about.
type Passing struct {
	Site, Agent string       // whom it goes to
	Command     rack.Command // as this agent took it
	Papers      rack.Parent  // the command's text and its approval's, as they were received
	Now         time.Time
	Seq         int64 // rises with every command of this agent, over its starts too
}

// passing is the envelope of such a command.
type passing struct {
	V      int         `json:"v"`
	ID     string      `json:"id"`
	Op     rack.Op     `json:"op"`
	Target string      `json:"target"`
	Args   rack.Args   `json:"args"`
	Exp    int64       `json:"exp"`
	Issuer string      `json:"iss"`
	Issued int64       `json:"iat"`
	Seq    int64       `json:"seq"`
	Aud    string      `json:"aud"`
	Dry    bool        `json:"dry,omitempty"`
	Why    string      `json:"why,omitempty"`
	Parent rack.Parent `json:"parent"`
}

// PassOn makes the signed command that carries a person's command to another agent: under the person's id, about all that
// agent is, with the person's arguments and the texts that prove it. The agent that gets it verifies them itself. What is
// too big with its papers is refused (CodeTooBig): persons' commands are a few hundred bytes.
func (k Key) PassOn(p Passing) ([]byte, error) {
	c := p.Command
	payload, err := json.Marshal(passing{
		V: 1, ID: c.ID, Op: c.Op, Target: string(rack.TargetRack), Args: c.Args, Exp: p.Now.Add(derivedTTL).UnixMilli(),
		Issuer: k.Issuer, Issued: p.Now.UnixMilli(), Seq: p.Seq, Aud: p.Site + "/" + p.Agent, Dry: c.Dry, Why: c.Why, Parent: p.Papers,
	})
	if err != nil {
		return nil, err
	}
	if _, bad := DecodeCommand(payload, p.Now); bad != nil {
		return nil, fmt.Errorf("command %s cannot be passed on: %w", c.ID, bad)
	}
	signed, err := k.Sign(payload)
	if err == nil && len(signed) > MaxCommandBytes {
		return nil, fmt.Errorf("command %s cannot be passed on: %w", c.ID, tooBig(signed))
	}
	return signed, err
}
