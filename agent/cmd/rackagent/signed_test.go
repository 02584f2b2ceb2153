package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/sim"
	"rackagent/agent/wire"
	"rackagent/config"
)

func exampleKey(t *testing.T) wire.Key {
	t.Helper()
	k, err := wire.DecodeKey([]byte(rfc8037Key))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The agent's own reader has to find in a signed payload what was typed, and by whom.
func TestSignedEnvelope(t *testing.T) {
	k := exampleKey(t)
	o := order{
		id: "cut-0001", op: "outlet.cut", target: "outlet/pdu-a.3", site: "ams1", agent: "r17", audBoot: "b1", ttl: time.Minute,
		key: k, sent: noon.Add(time.Hour), // another clock than the agent's
	}
	payload, err := o.encode(noon)
	if err != nil {
		t.Fatal(err)
	}
	s, bad := wire.ReadSigned(payload)
	if bad != nil {
		t.Fatalf("%s: %v", payload, bad)
	}
	cmd, bad := s.Open(k.Public, noon)
	if bad != nil {
		t.Fatalf("%s: %v", payload, bad)
	}
	if cmd.Key != "alice-2026" || cmd.Issuer != "alice" || cmd.Aud != "ams1/r17" || cmd.AudBoot != "b1" || cmd.Seq != noon.Add(time.Hour).UnixMilli() {
		t.Errorf("%+v", cmd)
	}
	if !cmd.Issued.Equal(noon) || !cmd.Exp.Equal(noon.Add(time.Minute)) {
		t.Errorf("iat %s and exp %s are not of one clock", cmd.Issued, cmd.Exp)
	}
	again, err := o.encode(noon)
	if err != nil || !bytes.Equal(again, payload) {
		t.Errorf("the same order is another payload: %v", err)
	}
	o.args = map[string]string{"off": "3"}
	if _, err := o.encode(noon); err == nil || !strings.Contains(err.Error(), "args.off") {
		t.Errorf("a slip is signed: %v", err)
	}
	public := k
	o.args, o.key = nil, wire.Key{ID: public.ID, Issuer: public.Issuer, Public: public.Public}
	if payload, err := o.encode(noon); err != nil || wire.IsSigned(payload) || strings.Contains(string(payload), `"iss"`) {
		t.Errorf("%s, %v", payload, err)
	}
}

// trusts puts lines about keys into the configuration, and takes unsigned commands no more.
func (r *rig) trusts(lines string) {
	r.t.Helper()
	text, err := os.ReadFile(r.config)
	if err != nil {
		r.t.Fatal(err)
	}
	before, after, found := strings.Cut(string(text), "commands: {unsigned: true}\n")
	if !found {
		r.t.Fatal("no such line")
	}
	write(r.t, r.config, before+lines+after)
}

// TestTwoKeysOfOnePerson is what alice types who changes her key: both are taken while both stand in the configuration.
func TestTwoKeysOfOnePerson(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first, second := filepath.Join(r.dir, "old.jwk"), filepath.Join(r.dir, "alice.jwk")
	made := r.types("keys", "new", "--kid", "alice-2025", "--issuer", "alice", first)
	later := r.types("keys", "new", "--kid", "alice-2026", "--issuer", "alice", second)
	if made.status != exitOK || later.status != exitOK {
		t.Fatal(made, later)
	}
	_, more, _ := strings.Cut(later.out, "keys:\n")
	r.trusts(made.out + more)
	r.runs()
	golden(t, "signed-cut", r.types("command", "outlet.cut", "outlet/pdu-a.3", "--id", "cut-0001", "--key", second))
	if s := r.types("command", "outlet.cut", "outlet/pdu-a.4", "--id", "cut-0002", "--key", first); s.status != exitOK {
		t.Errorf("%+v", s)
	}
	got := r.types("command", "cmd.get", "rack", "--arg", "id=cut-0001", "--key", second)
	if got.status != exitOK || !strings.Contains(got.out, "succeeded") {
		t.Errorf("%+v", got)
	}
	for _, k := range []string{first, second} {
		k, err := signingKey(k)
		if err != nil {
			t.Fatal(err)
		}
		if d := string(k.Reveal()); strings.Contains(made.out+later.out+got.out, d[strings.Index(d, `"d":"`)+5:][:43]) {
			t.Error("a private half was printed")
		}
	}
}

// A connection that is lost in the middle of a signed command: the same bytes go again.
func TestASignedCommandIsSentAgainAsItIs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	k := exampleKey(t)
	var b bytes.Buffer
	printKey(&app{outside: outside{out: &b}}, k, "operator", "")
	r.trusts(b.String())
	r.runs()
	s := session{site: "test", agent: "r1", mqtt: config.MQTT{Broker: "mqtt://" + r.world.Broker().Address()}}
	o := order{id: "cut-0001", op: "outlet.cut", target: "outlet/pdu-a.3", site: "test", agent: "r1", ttl: time.Minute, key: k}
	teller := &saboteur{act: r.world.Broker().Cut}
	if err := s.send(t.Context(), o, teller); err != nil {
		t.Error(err)
	}
	if n := len(teller.states); n < 2 || teller.states[n-1] != rack.StateSucceeded {
		t.Errorf("%v", teller.states)
	}
	var sent [][]byte
	for _, m := range sim.Of[sim.Message](r.world.Trace().Entries()) {
		if !m.Out && strings.HasSuffix(m.Topic, "/down/cmd") {
			sent = append(sent, m.Payload)
		}
	}
	if len(sent) < 2 {
		t.Fatalf("sent %d times", len(sent))
	}
	for _, payload := range sent {
		if !wire.IsSigned(payload) || !bytes.Equal(payload, sent[0]) {
			t.Errorf("sent\n%s\nand\n%s", sent[0], payload)
		}
	}
}

func TestKeysThatDoNotSign(t *testing.T) {
	public := strings.Replace(rfc8037Key, `"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",`, "", 1)
	for name, c := range map[string]struct {
		file string
		mode os.FileMode
		want string
	}{
		"public":     {public, 0o600, "private half"},
		"no issuer":  {strings.Replace(rfc8037Key, `"iss":"alice",`, "", 1), 0o600, `add "iss":"NAME"`},
		"PEM":        {"-----BEGIN PRIVATE KEY-----\n", 0o600, "--tls-key"},
		"for others": {rfc8037Key, 0o644, "chmod 0600"},
	} {
		path := keyFile(t, c.file, c.mode)
		s := typed(t, "command", "outlet.cut", "outlet/pdu-a.3", "--broker", "mqtt://127.0.0.1:1", "--site", "ams", "--agent", "r1", "--key", path)
		if s.status != exitUsage || !strings.Contains(s.err, c.want) || !strings.Contains(s.err, path) || strings.Contains(s.err, "nWGxne") {
			t.Errorf("%s: %+v", name, s)
		}
	}
}
