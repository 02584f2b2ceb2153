package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rackagent/agent"
	"rackagent/agent/rack"
	"rackagent/agent/sim"
	"rackagent/agent/wire"
)

// knows enters the user of the test in the configuration.
func (r *rig) knows(role string) {
	r.t.Helper()
	r.trusts(fmt.Sprintf("commands:\n  unsigned: true\n  users:\n    - {uid: %d, issuer: alice, role: %s}\n", os.Getuid(), role))
}

// told are the states of a command that the broker has taken.
func (r *rig) told(id string) []wire.Status {
	r.t.Helper()
	var out []wire.Status
	for _, m := range sim.Of[sim.Message](r.world.Trace().Entries()) {
		if m.Out || !strings.HasSuffix(m.Topic, "/up/cmd/"+id) {
			continue
		}
		s, err := wire.DecodeStatus(m.Payload)
		if err != nil {
			r.t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}

// TestAPersonAtTheRackNeedsNoBroker: a miner is cut and energised through the local socket while the broker is dead, and
// its results are published once it is back.
func TestAPersonAtTheRackNeedsNoBroker(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.knows("operator")
	r.runs()
	address := r.world.Broker().Address()
	if err := r.world.Broker().Stop(); err != nil {
		t.Fatal(err)
	}
	golden(t, "local-cut", r.types("command", "--local", "outlet.cut", "outlet/pdu-a.3", "--id", "cut-0001", "--why", "smoke"))
	golden(t, "local-firm", r.types("command", "--local", "outlet.cut", "node/gpu-1", "--id", "cut-0002"))
	golden(t, "local-taken-id", r.types("command", "--local", "outlet.cut", "outlet/pdu-a.4", "--id", "cut-0001"))
	golden(t, "local-get", r.types("get", "cut-0001"))
	got := r.types("command", "--local", "--json", "cmd.get", "rack", "--arg", "id=cut-0001")
	if s, err := wire.DecodeStatus([]byte(strings.TrimSpace(got.out))); err != nil || s.Command != "cut-0001" || s.State != rack.StateSucceeded || !s.Dup || got.status != exitOK {
		t.Errorf("%+v, %v", got, err)
	}
	if moved := r.world.Rack().Contacts(); len(moved) != 1 || moved[0].Outlet != (rack.OutletID{PDU: "pdu-a", N: 3}) || moved[0].Closed {
		t.Errorf("contacts moved: %+v", moved)
	}
	if told := r.told("cut-0001"); len(told) != 0 {
		t.Errorf("the dead broker took %+v", told)
	}
	if err := r.world.Broker().Start(address); err != nil {
		t.Fatal(err)
	}
	published := func() bool {
		return slices.ContainsFunc(r.told("cut-0001"), func(s wire.Status) bool { return s.State == rack.StateSucceeded && s.N == 3 })
	}
	for tick, tries := time.NewTicker(10*time.Millisecond), 0; !published(); <-tick.C {
		if tries++; tries > 3000 {
			t.Fatalf("%+v", r.told("cut-0001"))
		}
	}
	if downs := r.world.Rack().Downs(); len(downs) > 0 {
		t.Errorf("the server went down: %v", downs)
	}
}

// Whoever has no role may read and do nothing else, by the same word of the desk as over MQTT.
func TestRolesHoldOnTheLocalSocket(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.runs()
	golden(t, "local-no-role", r.types("command", "--local", "outlet.cut", "outlet/pdu-a.3", "--id", "cut-0001"))
	if s := r.types("list"); s.status != exitOK {
		t.Errorf("%+v", s)
	}
	other := newRig(t)
	other.knows("approver")
	other.runs()
	golden(t, "local-other-role", other.types("command", "--local", "outlet.cut", "outlet/pdu-a.3", "--id", "cut-0001"))
	for _, r := range []*rig{r, other} {
		if moved := r.world.Rack().Contacts(); len(moved) != 0 {
			t.Errorf("contacts moved: %+v", moved)
		}
	}
}

func TestWhatIsTypedWronglyBesideLocal(t *testing.T) {
	cut := []string{"command", "--local", "outlet.cut", "outlet/pdu-a.3", "--socket", filepath.Join(t.TempDir(), "socket")}
	for want, more := range map[string][]string{
		"leave one of them out":  {"--key", "alice.jwk"},
		"and --broker":           {"--broker", "mqtts://ams"},
		"--why TEXT":             {"--break-glass"},
		"args.off":               {"--arg", "off=3"},
		"is the agent running?":  nil,
		"why: want text of 0 to": {"--break-glass", "--why", strings.Repeat("x", 300)},
	} {
		s := typed(t, append(cut, more...)...)
		if s.status == exitOK || !strings.Contains(s.err, want) {
			t.Errorf("%s: %+v", want, s)
		}
	}
	if s := typed(t, "command", "outlet.cut", "outlet/pdu-a.3", "--break-glass", "--why", "fire"); s.status != exitUsage || !strings.Contains(s.err, "--local alone") {
		t.Errorf("%+v", s)
	}
}

// An agent that says nothing about a command leaves it open whether it was carried out.
func TestNoWordOnTheLocalSocket(t *testing.T) {
	socket := serves(t, agent.Status{Boot: "b1"})
	golden(t, "local-no-word", typed(t, "command", "--local", "outlet.cut", "outlet/pdu-a.3", "--id", "cut-0001", "--socket", socket))
}

func TestBreakGlassIsInTheEnvelope(t *testing.T) {
	o := order{id: "x", op: "outlet.cut", target: "node/gpu-1", ttl: time.Minute, why: "fire", breakGlass: true}
	payload, err := o.encode(noon)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"v":1,"id":"x","op":"outlet.cut","target":"node/gpu-1","exp":1795411676000,"why":"fire","break_glass":true}`; string(payload) != want {
		t.Errorf("%s", payload)
	}
}
