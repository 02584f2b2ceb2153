package local

import (
	"crypto/rand"
	"encoding/json"
	"time"

	"rackagent/agent/rack"
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
	id := "local-" + rand.Text()
	payload, err := json.Marshal(envelope{
		V: 1, ID: id, Op: op, Target: rack.Target{Kind: rack.TargetRack}, Args: args,
		Exp: time.Now().Add(life).UnixMilli(), AudBoot: s.o.Boot,
	})
	return Request{ID: id, About: args.ID, Payload: payload, Issuer: p.Issuer()}, err
}
