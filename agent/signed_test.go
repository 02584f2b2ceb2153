package agent_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/sim"
)

// secretOf is the private key of a name.
func secretOf(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func publicOf(name string) []byte { return secretOf(name).Public().(ed25519.PublicKey) }

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// keyed is a rack whose configuration names keys; unsigned tells whether commands without a signature are taken too.
func keyed(t *testing.T, in setting, unsigned bool) setting {
	t.Helper()
	text, err := os.ReadFile(in.file)
	if err != nil {
		t.Fatal(err)
	}
	commands := fmt.Sprintf("commands:\n  unsigned: %t\n  keys:\n", unsigned)
	for _, k := range []struct{ kid, role, more string }{
		{"alice-1", "operator", ""},
		{"alice-2", "operator", ""},
		{"alice-0", "operator", ", revoked: true"},
		{"bob-1", "automation", ""},
		{"wall-1", "read-only", ""},
		{"carol-1", "approver", ""},
	} {
		issuer, _, _ := strings.Cut(k.kid, "-")
		commands += fmt.Sprintf("    - {kid: %s, issuer: %s, role: %s, public: %s%s}\n", k.kid, issuer, k.role, b64(publicOf(k.kid)), k.more)
	}
	in.file = filepath.Join(t.TempDir(), "rack.yaml")
	changed := strings.Replace(string(text), "commands: {unsigned: true}\n", commands, 1)
	if changed == string(text) {
		t.Fatal("the configuration has no line about commands")
	}
	if err := os.WriteFile(in.file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	return in
}

// letter is a signed command, made by hand: nothing of the agent helps to write it.
type letter struct {
	kid     string
	header  string                     // "": as it should be
	members map[string]any             // nil values are left out
	body    func(string) string        // changes the JSON before it is signed
	seal    func(signed string) []byte // nil: by the key of kid
}

// write makes a letter of a cut of outlet 3, good for a minute, with members replaced or added.
func write(id, kid string, seq int, members map[string]any) letter {
	now := time.Now()
	issuer, _, _ := strings.Cut(kid, "-")
	all := map[string]any{
		"v": 1, "id": id, "op": "outlet.cut", "target": "outlet/pdu-a.3", "exp": now.Add(time.Minute).UnixMilli(),
		"iss": issuer, "iat": now.UnixMilli(), "seq": seq, "aud": "test/r1",
	}
	maps.Copy(all, members)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return letter{kid: kid, members: all}
}

func (l letter) String() string {
	body, err := json.Marshal(l.members)
	if err != nil {
		panic(err)
	}
	text, header := string(body), l.header
	if l.body != nil {
		text = l.body(text)
	}
	if header == "" {
		header = fmt.Sprintf(`{"alg":"EdDSA","kid":%q,"typ":"rackcmd+jws"}`, l.kid)
	}
	signed := b64([]byte(header)) + "." + b64([]byte(text))
	if l.seal != nil {
		return signed + "." + b64(l.seal(signed))
	}
	return signed + "." + b64(ed25519.Sign(secretOf(l.kid), []byte(signed)))
}

// headed is a letter under another algorithm, with what stands for a signature there.
func (l letter) headed(alg string, seal func(string) []byte) string {
	l.header, l.seal = fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"rackcmd+jws"}`, alg, l.kid), seal
	return l.String()
}

// by is a letter signed with another key than its kid says.
func (l letter) by(name string) string {
	l.seal = func(s string) []byte { return ed25519.Sign(secretOf(name), []byte(s)) }
	return l.String()
}

// hs256 takes the public key for a shared secret, which a reader does that lets the sender choose the algorithm.
func hs256(kid string) func(string) []byte {
	return func(s string) []byte {
		m := hmac.New(sha256.New, publicOf(kid))
		m.Write([]byte(s))
		return m.Sum(nil)
	}
}

// es256 is a true signature, of a key that nobody knows.
func es256(s string) []byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256([]byte(s))
	r, v, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		panic(err)
	}
	return append(r.FillBytes(make([]byte, 32)), v.FillBytes(make([]byte, 32))...)
}

// answers are what the agent has said about commands and refused messages so far, in order: "c1 succeeded dup",
// "event bad_signature".
func (r *rig) answers() []string {
	r.t.Helper()
	var out []string
	for _, m := range sim.Of[sim.Message](r.world.Trace().Entries()) {
		if m.Out {
			continue
		}
		if id, ok := strings.CutPrefix(m.Topic, topic.Up("cmd")+"/"); ok {
			var s struct {
				State string `json:"st"`
				Code  string `json:"code"`
				Dup   bool   `json:"dup"`
			}
			if err := json.Unmarshal(m.Payload, &s); err != nil {
				r.t.Fatal(err)
			}
			word := id + " " + s.State
			if s.Code != "" {
				word += "/" + s.Code
			}
			if s.Dup {
				word += " dup"
			}
			out = append(out, word)
		}
		if m.Topic == topic.Up("event") {
			var e struct{ Kind, Reason string }
			if err := json.Unmarshal(m.Payload, &e); err != nil {
				r.t.Fatal(err)
			}
			if e.Kind == string(rack.EventMessageDropped) {
				out = append(out, "event "+e.Reason)
			}
		}
	}
	return out
}

// attack delivers a payload and checks that it has exactly one answer and moves nothing.
func (r *rig) attack(name, payload, want string) {
	r.t.Helper()
	writes, before := len(r.relayWrites()), len(r.answers())
	r.publish(payload, false)
	time.Sleep(2 * time.Second) // one event a second is told
	got := r.answers()[before:]
	slices.Sort(got) // an event and a state that are told together go out in either order
	if got := strings.Join(got, ", "); got != want {
		r.t.Errorf("%s: %q, want %q", name, got, want)
	}
	if n := len(r.relayWrites()) - writes; n != 0 {
		r.t.Errorf("%s: %d writes to the relays", name, n)
	}
}

// TestASignedCutAndEveryForgeryOfIt: one honest signed command, and then all that is like one and is none.
func TestASignedCutAndEveryForgeryOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigIn(t, keyed(t, eight(), false))
		r.start()
		good := write("c1", "alice-1", 10, nil).String()
		r.publish(good, false)
		s := r.expect("c1", rack.StateSucceeded, "")
		if p := s.Targets[0].Steps[0].Proof; p == nil || *p.BeforeW < 3000 || *p.AfterW > 10 || len(r.relayWrites()) != 1 {
			t.Errorf("proof %+v, writes %v", p, r.relayWrites())
		}
		for _, x := range forgeries(r, good) {
			r.attack(x.name, x.payload(), x.want)
		}
		if n := len(r.relayWrites()); n != 1 {
			t.Errorf("%d writes to the relays in all", n)
		}
		r.close()
	})
}

type forgery struct {
	name    string
	payload func() string // made when it is sent, as its times count
	want    string        // the one answer
}

// forgeries are about outlet 4, which stays closed; good is the command that was carried out.
func forgeries(r *rig, good string) []forgery {
	cut := func(kid string, seq int, more map[string]any) letter {
		m := map[string]any{"target": "outlet/pdu-a.4", "exp": time.Now().Add(4 * time.Minute).UnixMilli()} // longer than all of it takes
		maps.Copy(m, more)
		return write("x", kid, seq, m)
	}
	text := func(l letter) func() string { return func() string { return l.String() } }
	as := func(id string, l letter) letter { l.members["id"] = id; return l }
	parts := strings.Split(good, ".")
	week := time.Now().Add(-7 * 24 * time.Hour).UnixMilli()
	return []forgery{
		{"unsigned", func() string { return envelope("x", "outlet.cut", "outlet/pdu-a.4", "") }, "event bad_signature"},
		{"the JSON out of a signed one", func() string { b, _ := base64.RawURLEncoding.DecodeString(parts[1]); return string(b) }, "event bad_signature"},
		{"the same bytes", func() string { return good }, "c1 succeeded dup"},
		{"the same under another id", func() string {
			return parts[0] + "." + b64([]byte(strings.Replace(string(unb64(parts[1])), `"c1"`, `"c2"`, 1))) + "." + parts[2]
		}, "event bad_signature"},
		{"its number under another id", text(as("x1", cut("alice-1", 10, nil))), "x1 rejected/replay"},
		{"its number by the other key", text(as("x2", cut("alice-2", 10, nil))), "x2 rejected/replay"},
		{"another command under its id", text(as("c1", cut("alice-1", 11, nil))), "c1 rejected/id_conflict, event id_conflict"},
		{"a later one", func() string { return as("x3", cut("alice-1", 13, map[string]any{"dry": true})).String() }, "x3 succeeded"},
		{"the one before", text(as("x4", cut("alice-1", 12, nil))), "x4 rejected/replay"},
		{"another issuer's name", text(as("x5", cut("bob-1", 20, map[string]any{"iss": "alice"}))), "x5 rejected/unknown_key"},
		{"alg none", func() string { return cut("alice-1", 20, nil).headed("none", func(string) []byte { return nil }) }, "event bad_signature"},
		{"alg nOnE", func() string { return cut("alice-1", 20, nil).headed("nOnE", func(string) []byte { return nil }) }, "event bad_signature"},
		{"none over a true signature", func() string {
			return b64([]byte(`{"alg":"none","kid":"alice-1","typ":"rackcmd+jws"}`)) + "." + parts[1] + "." + parts[2]
		}, "event bad_signature"},
		{"no signature", func() string { return parts[0] + "." + parts[1] + "." }, "event bad_signature"},
		{"HS256 with the public key", func() string { return cut("alice-1", 20, nil).headed("HS256", hs256("alice-1")) }, "event bad_signature"},
		{"EdDSA over HS256's sum", func() string { return cut("alice-1", 20, nil).headed("EdDSA", hs256("alice-1")) }, "event bad_signature"},
		{"ES256", func() string { return cut("alice-1", 20, nil).headed("ES256", es256) }, "event bad_signature"},
		{"a key of its own in the header", func() string {
			l := cut("alice-1", 20, nil)
			l.header = fmt.Sprintf(`{"alg":"EdDSA","kid":"alice-1","typ":"rackcmd+jws","jwk":{"kty":"OKP","crv":"Ed25519","x":%q}}`, b64(publicOf("mallory")))
			return l.by("mallory")
		}, "event bad_signature"},
		{"more in the header than belongs there", func() string {
			l := cut("alice-1", 20, nil)
			l.header = fmt.Sprintf(`{"alg":"EdDSA","kid":"alice-1","typ":"rackcmd+jws","jwk":{"kty":"OKP","crv":"Ed25519","x":%q}}`, b64(publicOf("alice-1")))
			return l.String()
		}, "event bad_signature"},
		{"alg twice", func() string {
			l := cut("alice-1", 20, nil)
			l.header = `{"alg":"none","alg":"EdDSA","kid":"alice-1","typ":"rackcmd+jws"}`
			return l.String()
		}, "event bad_schema"},
		{"another type", func() string {
			l := cut("alice-1", 20, nil)
			l.header = `{"alg":"EdDSA","kid":"alice-1","typ":"JWT"}`
			return l.String()
		}, "event bad_signature"},
		{"the kid of another", func() string { return cut("alice-1", 20, nil).by("bob-1") }, "event bad_signature"},
		{"unknown key", text(cut("mallory-1", 20, nil)), "event unknown_key"},
		{"revoked key", text(cut("alice-0", 20, nil)), "event unknown_key"},
		{"another agent", text(as("x6", cut("alice-1", 20, map[string]any{"aud": "test/r2"}))), "x6 rejected/wrong_audience"},
		{"no audience", text(as("x7", cut("alice-1", 20, map[string]any{"aud": nil}))), "x7 rejected/bad_schema"},
		{"another life", text(as("x8", cut("alice-1", 20, map[string]any{"aud_boot": "01JD9X3M"}))), "x8 rejected/replay"},
		{"a week late", text(as("x9", cut("alice-1", 20, map[string]any{"iat": week, "exp": week + 60_000}))), "x9 rejected/expired"},
		{"good for a week", func() string {
			return as("x10", cut("alice-1", 20, map[string]any{"exp": time.Now().Add(7 * 24 * time.Hour).UnixMilli()})).String()
		}, "x10 rejected/precondition"},
		{"made in an hour", func() string {
			return as("x11", cut("alice-1", 20, map[string]any{"iat": time.Now().Add(time.Hour).UnixMilli()})).String()
		}, "x11 rejected/not_yet_valid"},
		{"a member twice", func() string {
			l := cut("alice-1", 20, nil)
			l.body = func(s string) string { return strings.Replace(s, "{", `{"target":"node/gpu-1",`, 1) }
			return l.String()
		}, "event bad_schema"},
		{"a member twice, in another case", func() string {
			l := cut("alice-1", 20, nil)
			l.body = func(s string) string { return strings.Replace(s, "{", `{"Dry":true,"dry":false,`, 1) }
			return l.String()
		}, "event bad_schema"},
		{"too big", text(cut("alice-1", 20, map[string]any{"why": strings.Repeat("x", 9000)})), "event too_big"},
		{"four parts", func() string { return cut("alice-1", 20, nil).String() + "." }, "event bad_schema"},
		{"with padding", func() string { return cut("alice-1", 20, nil).String() + "==" }, "event bad_schema"},
		{"with a line end", func() string { return cut("alice-1", 20, nil).String() + "\n" }, "event bad_schema"},
		{"the JSON form of a JWS", func() string {
			p := strings.Split(cut("alice-1", 20, nil).String(), ".")
			return fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, p[1], p[0], p[2])
		}, "event bad_schema"},
		{"its JSON form with an id", func() string {
			p := strings.Split(cut("alice-1", 20, nil).String(), ".")
			return fmt.Sprintf(`{"v":1,"id":"x","op":"outlet.cut","target":"outlet/pdu-a.4","exp":%d,"payload":%q,"protected":%q,"signature":%q}`,
				time.Now().Add(time.Minute).UnixMilli(), p[1], p[0], p[2])
		}, "event bad_signature"},
		{"somebody who may only read", text(as("x12", cut("wall-1", 1, nil))), "x12 rejected/unknown_key"},
		{"a program names the server", text(as("x13", cut("bob-1", 20, map[string]any{"target": "node/gpu-1"}))), "x13 rejected/unknown_key"},
		{"a program names its outlet", text(as("x14", cut("bob-1", 21, map[string]any{"target": "outlet/pdu-a.7"}))), "x14 rejected/unknown_key"},
		{"an operator names the server", text(as("x15", cut("alice-1", 20, map[string]any{"target": "node/gpu-1"}))), "x15 rejected/firm_guard"},
		{"this life", func() string {
			return as("x16", cut("alice-1", 1, map[string]any{"aud_boot": r.agent.Status().Boot, "dry": true})).String()
		}, "x16 succeeded"},
		{"its number again within this life", func() string {
			return as("x17", cut("alice-1", 1, map[string]any{"aud_boot": r.agent.Status().Boot})).String()
		}, "x17 rejected/replay"},
	}
}

func unb64(s string) []byte {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// TestARetainedSignedCommandHasNoEffect: the signature is good, and the command an old one.
func TestARetainedSignedCommandHasNoEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigIn(t, keyed(t, eight(), false))
		r.publish(write("c1", "alice-1", 1, nil).String(), true)
		r.start()
		time.Sleep(5 * time.Second)
		if got := strings.Join(r.answers(), ", "); got != "event retained" || len(r.relayWrites()) != 0 {
			t.Errorf("%q, writes %v", got, r.relayWrites())
		}
		r.close()
	})
}

// TestSignedCommandsWithoutAClock: until the clock is synchronised a command is bound to this life of the agent.
func TestSignedCommandsWithoutAClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigIn(t, keyed(t, eight(), false))
		r.world.SetClockSynced(false)
		r.start()
		r.attack("no boot", write("x1", "alice-1", 1, nil).String(), "x1 rejected/clock_unsynced")
		r.attack("another boot", write("x2", "alice-1", 2, map[string]any{"aud_boot": "01JD9X3M"}).String(), "x2 rejected/replay")
		r.publish(write("c1", "alice-1", 3, map[string]any{"aud_boot": r.agent.Status().Boot}).String(), false)
		r.expect("c1", rack.StateSucceeded, "")
		if n := len(r.relayWrites()); n != 1 {
			t.Errorf("%d writes to the relays", n)
		}
		r.close()
	})
}

// TestUnsignedBesideSigned: a signature gives a name, and only what has one may move a server's outlet.
func TestUnsignedBesideSigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigIn(t, keyed(t, eight(), true))
		r.start()
		r.send("c1", "outlet.cut", "outlet/pdu-a.3")
		r.expect("c1", rack.StateSucceeded, "")
		r.publish(write("c2", "alice-1", 1, map[string]any{"target": "outlet/pdu-a.4"}).String(), false)
		r.expect("c2", rack.StateSucceeded, "")
		r.attack("unsigned, and claims a name", envelope("x1", "outlet.energise", "node/gpu-1", `,"iss":"alice","seq":9,"signed":true,"role":"operator"`), "x1 rejected/firm_guard")
		r.attack("forged beside", write("x2", "alice-1", 2, nil).by("mallory"), "event bad_signature")
		if n := len(r.relayWrites()); n != 2 {
			t.Errorf("%d writes to the relays", n)
		}
		r.close()
	})
}

// TestNumbersOutliveAnAgent: what was taken or passed by in one life stays so in the next, and a number that was never
// taken, as of a command for another rack, shuts nobody out.
func TestNumbersOutliveAnAgent(t *testing.T) {
	for name, next := range map[string]func(*rig){
		"restart": func(r *rig) { r.stop(); r.start() },
		"crash":   (*rig).crash,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRigIn(t, keyed(t, eight(), false))
				r.start()
				dry := func(id string, seq int, more ...any) string {
					m := map[string]any{"dry": true, "exp": time.Now().Add(4 * time.Minute).UnixMilli()}
					for i := 0; i < len(more); i += 2 {
						m[more[i].(string)] = more[i+1]
					}
					return write(id, "alice-1", seq, m).String()
				}
				good, late, late12 := write("c1", "alice-1", 10, nil).String(), dry("c2", 9), dry("c3", 12)
				r.publish(good, false)
				r.expect("c1", rack.StateSucceeded, "")
				r.attack("refused by its plan", dry("x1", 13, "target", "node/gpu-1"), "x1 rejected/firm_guard")
				r.attack("for another rack", dry("x2", 9000, "aud", "test/r2"), "x2 rejected/wrong_audience")
				r.attack("of the future", dry("x3", 9001, "iat", time.Now().Add(time.Hour).UnixMilli()), "x3 rejected/not_yet_valid")
				next(r)
				time.Sleep(20 * time.Second) // what a crash left is told again
				r.attack("the same bytes", good, "c1 succeeded dup")
				r.attack("held back", late, "c2 rejected/replay")
				r.attack("held back, and passed by by one that was refused", late12, "c3 rejected/replay")
				r.attack("the next", dry("c4", 14), "c4 succeeded")
				if n := len(r.relayWrites()); n != 1 {
					t.Errorf("%d writes to the relays", n)
				}
				r.close()
			})
		})
	}
}
