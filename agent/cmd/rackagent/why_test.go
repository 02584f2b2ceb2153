package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rackagent/agent"
	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

// TestWhy: what people at the rack read about commands that ended in different ways.
func TestWhy(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := keyFile(t, rfc8037Key, 0o600)
	shown := typed(t, "keys", "show", key)
	r.trusts(strings.Replace(shown.out, "commands:\n", "commands:\n  unsigned: true\n", 1))
	r.runs()
	r.types("command", "outlet.cut", "outlet/pdu-a.3", "--id", "cut-0001", "--key", key, "--why", "grid event 5521", "--arg", "deadline_s=30")
	r.types("command", "outlet.cut", "node/gpu-1", "--id", "cut-0002")
	golden(t, "why-cut", r.types("why", "cut-0001"))
	golden(t, "why-firm", r.types("why", "cut-0002"))
	golden(t, "why-unknown", r.types("why", "cut-9999"))
	s := r.types("why", "cut-0001", "--json")
	var st agent.Story
	if err := json.Unmarshal([]byte(s.out), &st); err != nil || st.Outcome == nil || st.Outcome.State != rack.StateSucceeded || st.Command.Key != "alice-2026" || !st.Acked {
		t.Errorf("%+v, %v", s, err)
	}
	if bad := r.types("why", "a.b"); bad.status != exitUsage {
		t.Errorf("%+v", bad)
	}
}

// Who stands behind a command, in words.
func TestSenderWords(t *testing.T) {
	for want, c := range map[string]rack.Command{
		"alice, role operator, signed with key alice-1, number 7": {Origin: rack.OriginMQTT, Signed: true, Issuer: "alice", Role: "operator", Key: "alice-1", Seq: 7},
		"alice, role operator, over the local socket":             {Origin: rack.OriginLocal, Signed: true, Issuer: "alice", Role: "operator"},
		"uid:1000, over the local socket":                         {Origin: rack.OriginLocal, Signed: true, Issuer: "uid:1000"},
		"somebody who says to be alice, unsigned over MQTT":       {Origin: rack.OriginMQTT, Issuer: "alice"},
		"nobody known, unsigned over MQTT":                        {Origin: rack.OriginMQTT},
		"the agent itself (local/power-return)":                   {Origin: rack.OriginAgent, Issuer: "local/power-return"},
	} {
		if got := senderWords(c); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestTwoPersons: alice asks for what needs a second person, bob approves it from his machine, and the outlet of the
// server opens; alice cannot approve her own.
func TestTwoPersons(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	alice, bob := filepath.Join(r.dir, "alice.jwk"), filepath.Join(r.dir, "bob.jwk")
	a := r.types("keys", "new", "--kid", "alice-2026", "--issuer", "alice", alice)
	b := r.types("keys", "new", "--kid", "bob-2026", "--issuer", "bob", "--role", "approver", bob)
	_, more, _ := strings.Cut(b.out, "keys:\n")
	r.trusts(a.out + more)
	r.runs()
	ended := make(chan said, 1)
	go func() {
		ended <- r.types("command", "outlet.cut", "node/gpu-1", "--arg", "force=true", "--id", "cut-0001", "--key", alice, "--why", "fire")
	}()
	waits := func(s wire.Status) bool { return s.State == rack.StateWaiting }
	for tick, tries := time.NewTicker(10*time.Millisecond), 0; !slices.ContainsFunc(r.told("cut-0001"), waits); <-tick.C {
		if tries++; tries > 3000 || len(ended) > 0 {
			t.Fatalf("%+v, %+v", r.told("cut-0001"), <-ended)
		}
	}
	golden(t, "approve-own", r.types("approve", "cut-0001", "--key", alice))
	golden(t, "approve-other-hash", r.types("approve", "cut-0001", "--key", bob, "--sha256", strings.Repeat("0", 64)))
	if moved := r.world.Rack().Contacts(); len(moved) != 0 {
		t.Errorf("contacts moved: %+v", moved)
	}
	golden(t, "approve-waiting", r.types("why", "cut-0001"))
	golden(t, "approve", r.types("approve", "cut-0001", "--key", bob))
	golden(t, "approved-cut", <-ended)
	golden(t, "approve-again", r.types("approve", "cut-0001", "--key", bob))
	golden(t, "approve-why", r.types("why", "cut-0001"))
	golden(t, "approve-unknown", r.types("approve", "cut-9999", "--key", bob))
	if s := r.types("approve", "cut-0001"); s.status != exitUsage || !strings.Contains(s.err, "--local") {
		t.Errorf("%+v", s)
	}
}
