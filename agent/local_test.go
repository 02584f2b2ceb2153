package agent_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rackagent/agent"
	"rackagent/agent/local"
	"rackagent/agent/rack"
	"rackagent/agent/wire"
	"rackagent/config"
)

// socket gives the agent a real local socket.
func (r *rig) socket() (path string) {
	r.t.Helper()
	dir, err := os.MkdirTemp("", "rack") // short: the path of a unix socket has 104 bytes on some systems
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path = filepath.Join(dir, "s")
	r.change = func(w *agent.World) {
		w.Local = func(ctx context.Context) (net.Listener, error) { return local.Listen(ctx, path, "") }
	}
	return path
}

// operated makes whoever runs the test alice, an operator.
func (r *rig) operated() {
	r.conf.Commands.Users = []config.User{{UID: int64(os.Getuid()), Issuer: "alice", Role: "operator"}}
}

// withoutBroker takes the broker away from the agent, and leaves it what it was given otherwise.
func (r *rig) withoutBroker() {
	given := r.change
	r.change = func(w *agent.World) { given(w); w.Dial = nil }
}

// TestALocalCommandWithoutABroker: an agent that has no broker at all cuts a miner for a person at the rack, once, and
// knows its outcome afterwards. The socket is a real one, as the kernel vouches for the peer.
func TestALocalCommandWithoutABroker(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.conf.Commands.Unsigned = false
	path := r.socket()
	r.operated()
	r.withoutBroker()
	r.start()
	defer func() { // not judged by the observer, which looks for results at the broker
		r.stop()
		if err := r.world.Close(); err != nil {
			t.Error(err)
		}
	}()
	client := local.Dial(path)
	defer client.Close()
	cut := envelope("c1", "outlet.cut", "outlet/pdu-a.3", `,"why":"smoke"`)
	for range 2 {
		if got, last := posted(t, client, cut); last.State != rack.StateSucceeded || last.N != 3 {
			t.Errorf("%v, %+v", got, last)
		}
	}
	if got, _ := posted(t, client, envelope("c2", "outlet.cut", "node/gpu-1", "")); !slices.Equal(got, []rack.State{rack.StateRejected}) {
		t.Errorf("the server: %v", got)
	}
	if n := len(r.relayWrites()); n != 1 {
		t.Errorf("%d writes to the relays", n)
	}
	if len(r.world.Rack().Downs()) != 0 || r.world.Rack().Watts(out(3)) > 1 {
		t.Errorf("downs %v, %.0f W", r.world.Rack().Downs(), r.world.Rack().Watts(out(3)))
	}
}

// TestAnotherCommandUnderAnIDEndsNobodysFollowing: who follows a command hears its end, though another message comes
// under its id.
func TestAnotherCommandUnderAnIDEndsNobodysFollowing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	path := r.socket()
	r.operated()
	r.start()
	defer func() {
		r.stop()
		if err := r.world.Close(); err != nil {
			t.Error(err)
		}
	}()
	client := local.Dial(path)
	defer client.Close()
	other := func(s rack.State) {
		if s == rack.StateAccepted {
			r.send("c1", "outlet.cut", "outlet/pdu-a.4")
		}
	}
	got, _ := posted(t, client, envelope("c1", "outlet.cut", "outlet/pdu-a.3", ""), other)
	if got[len(got)-1] != rack.StateSucceeded || !strings.Contains(r.states("c1"), "rejected/id_conflict") {
		t.Errorf("%v; %s", got, r.states("c1"))
	}
}

// posted sends a command, tells its states as they come, and gives them and the last of them whole.
func posted(t *testing.T, c *local.Client, payload string, each ...func(rack.State)) (states []rack.State, last wire.Status) {
	t.Helper()
	var named struct{ ID string }
	if err := json.Unmarshal([]byte(payload), &named); err != nil {
		t.Fatal(err)
	}
	err := c.Command(t.Context(), []byte(payload), func(line []byte) bool {
		s, err := wire.DecodeStatus(line)
		if err != nil || s.Command != named.ID {
			t.Errorf("%s: %v", line, err)
			return true
		}
		states, last = append(states, s.State), s
		for _, f := range each {
			f(s.State)
		}
		return s.State.Terminal()
	})
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w", payload, err))
	}
	return states, last
}
