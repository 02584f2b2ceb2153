package local

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

// Request is a command on its way to the desk.
type Request struct {
	ID      string // of the command
	About   string // cmd.get: the other command, whose state is the answer; else empty
	Payload []byte // as it would come over MQTT
	Issuer  string // "uid:1000"
}

// life is how long a command may wait for its start. Arbitrary: far more than the desk needs.
const life = 60 * time.Second

// envelope is a command as any client of the contract writes it.
type envelope struct {
	V       int         `json:"v"`
	ID      string      `json:"id"`
	Op      rack.Op     `json:"op"`
	Target  rack.Target `json:"target"`
	Args    rack.Args   `json:"args,omitzero"`
	Exp     int64       `json:"exp"`
	AudBoot string      `json:"aud_boot"`
}

// request makes a command for the rack. It is bound to this boot of the agent, and its exp to the agent's own clock: one
// that is not synchronised must not keep a person at the rack from reading, nor from accepting a lost journal.
func (s *Server) request(p Peer, op rack.Op, args rack.Args) (Request, error) {
	id := newID()
	payload, err := json.Marshal(envelope{
		V: 1, ID: id, Op: op, Target: rack.Target{Kind: rack.TargetRack}, Args: args,
		Exp: time.Now().Add(life).UnixMilli(), AudBoot: s.o.Boot,
	})
	return Request{ID: id, About: args.ID, Payload: payload, Issuer: p.Issuer()}, err
}

// newID names a command that has no name yet.
func newID() string { return "local-" + rand.Text() }

// errCommand is shown to the peer.
var errCommand = errors.New("want a command: one JSON object")

// take makes a request of a command as a client wrote it. What it left out of id, exp and aud_boot is put in as request
// does it: a person at the rack need not know the boot. All else stays as it is for the desk to judge, a member that stands
// twice or in another case among it.
//
// A client that means to send a command again writes all three itself: only equal bytes are a repeat.
func (s *Server) take(p Peer, body []byte) (Request, error) {
	var given map[string]json.RawMessage
	if json.Unmarshal(body, &given) != nil || given == nil {
		return Request{}, errCommand
	}
	now := time.Now()
	payload, err := complete(body, given, map[string]any{"id": newID(), "exp": now.Add(life).UnixMilli(), "aud_boot": s.o.Boot})
	if err != nil {
		return Request{}, err
	}
	cmd, bad := wire.DecodeCommand(payload, now)
	if bad != nil && !bad.Answerable { // the desk would count it and answer nobody
		return Request{}, errors.New(bad.Text)
	}
	r := Request{ID: cmd.ID, Payload: payload, Issuer: p.Issuer()}
	if bad == nil && cmd.Op == rack.OpGet {
		r.About = cmd.Args.ID
	}
	return r, nil
}

// complete puts members in front of those that an object has, but for those that it has.
func complete(object []byte, has map[string]json.RawMessage, members map[string]any) ([]byte, error) {
	for key := range has {
		delete(members, key)
	}
	if len(members) == 0 {
		return object, nil
	}
	first, err := json.Marshal(members)
	if err != nil || len(has) == 0 {
		return first, err
	}
	_, rest, _ := bytes.Cut(object, []byte("{")) // white space alone stands before it
	return append(append(first[:len(first)-1], ','), rest...), nil
}
