package main

import (
	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

// teller shows what comes about a command.
type teller interface {
	// message is one message as it came, which may be a part of a state.
	message(payload []byte)
	// state is a whole state that is news.
	state(s wire.Status)
}

// rawTeller shows messages; wordTeller shows states in words.
type (
	rawTeller  struct{ *app }
	wordTeller struct{ *app }
)

func (t *rawTeller) message(payload []byte) { t.printf("%s\n", payload) }
func (t *rawTeller) state(wire.Status)      {}

func (t *wordTeller) message([]byte)      {}
func (t *wordTeller) state(s wire.Status) { printState(t.app, s) }

// follower puts the states of one command together as they come, over however many connections.
type follower struct {
	teller
	heard func(rack.State) // the agent lives and has spoken of the command
	first bool             // the first state is all that is asked for
	parts wire.Reassembly
	last  wire.Status
	any   bool // last is one
}

// take reads one message and tells whether the command has ended with it.
func (f *follower) take(payload []byte) bool {
	part, err := wire.DecodeStatus(payload)
	if err != nil {
		return false // not the agent's, or of a later version; whoever sent it, it ends nothing
	}
	f.heard(part.State)
	f.message(payload)
	whole, ok := f.parts.Add(part)
	if !ok {
		return false
	}
	news := !f.any || whole.N > f.last.N || whole.State != f.last.State
	f.last, f.any = whole, true
	if news {
		f.state(whole)
	}
	return f.first || whole.State.Terminal()
}

// verdict is how the program ends after the command has.
func (f *follower) verdict() error { return verdict(f.last.State) }

// verdict turns a terminal state into an exit status.
func verdict(s rack.State) error {
	switch s {
	case rack.StateSucceeded:
		return nil
	case rack.StateRejected:
		return status(exitRejected)
	default:
		return status(exitNotDone)
	}
}
