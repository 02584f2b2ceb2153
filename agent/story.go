package agent

import (
	"context"
	"encoding/json"
	"time"

	"rackagent/agent/local"
	"rackagent/agent/rack"
)

// Story is all that is recorded of one command: who asked for it, what was planned, who approved it, what came of it. It is
// for a person at the rack who wants to know why.
type Story struct {
	Command rack.Command  `json:"command"`
	Plan    *rack.Plan    `json:"plan,omitempty"`    // absent: nothing was begun
	Waiting bool          `json:"waiting,omitempty"` // for a second person
	Until   time.Time     `json:"until,omitzero"`    // when it lapses, or would have
	Outcome *rack.Outcome `json:"outcome,omitempty"` // absent: it has not ended
	Boot    string        `json:"boot"`              // of the agent that took or refused it
	Acked   bool          `json:"acked"`             // the broker has its result
	Damaged string        `json:"damaged,omitempty"` // why a part of the record cannot be read
}

// story tells what the journal holds of a command.
func (a *Agent) story(_ context.Context, id string) ([]byte, error) {
	e, known, err := a.journal.Get(id)
	switch {
	case !known && err != nil:
		return nil, err
	case !known:
		return nil, local.ErrUnknown
	}
	s := Story{Command: e.Command, Waiting: e.Waiting, Until: e.Until, Outcome: e.Outcome, Boot: e.Boot, Acked: e.Acked}
	if len(e.Plan.Targets) > 0 {
		s.Plan = &e.Plan
	}
	if err != nil {
		s.Damaged = err.Error()
	}
	return json.Marshal(s)
}
