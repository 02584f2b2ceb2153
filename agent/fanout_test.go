package agent

import (
	"log/slog"
	"testing"

	"rackagent/agent/rack"
)

// A waiter that reads slowly misses states on the way, and never the last one.
func TestTheLastWordIsHeard(t *testing.T) {
	f := newFanout(slog.New(slog.DiscardHandler), "b1", nil, func(rack.EventKind) {})
	states, done := f.await("x")
	for n := range 100 {
		f.Publish(rack.Outcome{Command: "x", State: rack.StateRunning, N: n + 1}, false, nil)
		f.Publish(rack.Outcome{Command: "y", State: rack.StateRunning, N: n + 1}, false, nil)
	}
	f.Publish(rack.Outcome{Command: "x", State: rack.StateSucceeded, N: 101}, true, nil)
	var last told
	for n := 0; len(states) > 0; n++ {
		s := <-states
		if s.N <= last.N || s.Command != "x" {
			t.Errorf("%+v after %+v", s, last)
		}
		last = s
	}
	if last.State != rack.StateSucceeded || !last.dup {
		t.Errorf("the last word is %+v", last)
	}
	done()
	f.Publish(rack.Outcome{Command: "x", State: rack.StateSucceeded, N: 102}, false, nil)
	if len(states) > 0 || len(f.waiters) > 0 {
		t.Error("told after the end")
	}
}
