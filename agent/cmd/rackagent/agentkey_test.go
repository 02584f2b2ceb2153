package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rackagent/agent/sim"
	"rackagent/agent/wire"
)

// last is what the agent told last on a topic below up/.
func (r *rig) last(topic string) []byte {
	var payload []byte
	for _, m := range sim.Of[sim.Message](r.world.Trace().Entries()) {
		if !m.Out && strings.HasSuffix(m.Topic, "/up/"+topic) {
			payload = m.Payload
		}
	}
	return payload
}

// TestTheAgentsOwnKey: made and entered as the README says, told on up/info by its public half, and its private half in
// nothing that the agent says.
func TestTheAgentsOwnKey(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	path := filepath.Join(r.dir, "agent.jwk")
	made := r.types("keys", "new", "--kid", "test/r1", "--issuer", "test/r1", "--node", "gpu-9", path)
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(made.out, "agents:\n    - agent: \"r1\"\n      kid: \"test/r1\"\n") || !strings.Contains(made.out, "node: \"gpu-9\"") {
		t.Fatalf("%+v %v", made, err)
	}
	if again := r.types("keys", "show", "--node", "gpu-9", path); !strings.HasSuffix(made.out, again.out) || again.status != exitOK {
		t.Errorf("%+v", again)
	}
	r.trusts("commands:\n  key_file: " + path + "\n")
	if s := r.types("check", "--here"); s.status != exitOK {
		t.Errorf("%+v", s)
	}
	s := r.runs()()
	told := r.last("info")
	key, err := wire.DecodeKey(text)
	if err != nil {
		t.Fatal(err)
	}
	var info struct{ Key struct{ KID, Public string } }
	if err := json.Unmarshal(told, &info); err != nil || info.Key.KID != "test/r1" || info.Key.Public != key.X() {
		t.Errorf("%v %+v", err, info)
	}
	var private struct{ D string }
	if err := json.Unmarshal(text, &private); err != nil || private.D == "" {
		t.Fatal(err)
	}
	for _, said := range []string{string(told), s.out, s.err, made.out} {
		if strings.Contains(said, private.D) {
			t.Errorf("the private half is told: %s", said)
		}
	}
}

// TestAnAgentsKeyThatCannotBeUsed: it is told, and the agent runs without one.
func TestAnAgentsKeyThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	path := filepath.Join(r.dir, "alice.jwk")
	write(t, path, rfc8037Key)
	r.trusts("commands:\n  unsigned: true\n  key_file: " + path + "\n")
	golden(t, "agentkey-other", r.types("check", "--here"))
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	golden(t, "agentkey-open", r.types("check", "--here"))
	s := r.runs()()
	if told := r.last("info"); len(told) == 0 || strings.Contains(string(told), `"key"`) {
		t.Errorf("told: %s", told)
	}
	if !strings.Contains(s.err, "the agent's own key is not used") || strings.Contains(s.err, "nWGxne") {
		t.Errorf("%s", s.err)
	}
	if s := typed(t, "keys", "show", "--node", "gpu-9", keyFile(t, rfc8037Key, 0o600)); s.status != exitUsage || !strings.Contains(s.err, "SITE/AGENT") {
		t.Errorf("%+v", s)
	}
}
