package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"rackagent/agent/sim"

	"rackagent/agent/rack"
	"rackagent/agent/wire"
	"rackagent/config"
)

// saboteur hears states and acts on the first.
type saboteur struct {
	states []rack.State
	act    func()
}

func (s *saboteur) message([]byte) {}
func (s *saboteur) state(st wire.Status) {
	if len(s.states) == 0 {
		s.act()
	}
	s.states = append(s.states, st.State)
}

// A broker that cuts all connections in the middle of a command: the agent acts once, and its result is found.
func TestTheBrokerCutsTheConnection(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.runs()
	s := session{site: "test", agent: "r1", mqtt: config.MQTT{Broker: "mqtt://" + r.world.Broker().Address()}}
	o := order{id: "cut-0001", op: "outlet.cut", target: "outlet/pdu-a.3", site: "test", agent: "r1", ttl: time.Minute}
	teller := &saboteur{act: r.world.Broker().Cut}
	if err := s.send(t.Context(), o, teller); err != nil {
		t.Error(err)
	}
	if n := len(teller.states); n < 2 || teller.states[n-1] != rack.StateSucceeded {
		t.Errorf("%v", teller.states)
	}
	if moved := r.world.Rack().Contacts(); len(moved) != 1 {
		t.Errorf("contacts moved: %+v", moved)
	}
}

// An agent that does not answer, and a person who gives up.
func TestNoWordFromTheAgent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	go func() { // the operator gives up once the command is out
		for tick := time.NewTicker(10 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			for _, m := range sim.Of[sim.Message](r.world.Trace().Entries()) {
				if !m.Out && strings.HasSuffix(m.Topic, "/down/cmd") {
					cancel(errors.New("interrupt signal received"))
				}
			}
		}
	}()
	golden(t, "no-word", in(ctx, r.outside(), "command", "outlet.cut", "outlet/pdu-a.3", "--id", "cut-0001", "--config", r.config))
}
