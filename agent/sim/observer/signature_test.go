package observer

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
)

// secretOf is the private key of a name.
func secretOf(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func publicOf(name string) string { return b64(secretOf(name).Public().(ed25519.PublicKey)) }

// signedConfig is the rack where everybody has to sign.
func signedConfig() string {
	key := func(kid, issuer, role, more string) string {
		return fmt.Sprintf("    - {kid: %s, issuer: %s, role: %s, public: %s%s}\n", kid, issuer, role, publicOf(kid), more)
	}
	commands := "commands:\n  keys:\n" + key("alice-1", "alice", "operator", "") + key("alice-2", "alice", "operator", "") +
		key("alice-0", "alice", "operator", ", revoked: true") + key("bob-1", "bob", "automation", "") + key("wall-1", "wall", "read-only", "") +
		key("carol-1", "carol", "approver", "") +
		key("cell-1", "cell", "cell", "") +
		"  users: [{uid: 1000, issuer: alice, role: operator}, {uid: 1001, issuer: wall, role: read-only}]\n" +
		"  roles: [{name: cell, verbs: [outlet.cut], targets: [node/asic-1], life_s: 60}]\n"
	return strings.Replace(rackConfig, "commands: {unsigned: true}\n", commands, 1)
}

// letter is a signed command before it is sealed. Members with nil are left out.
type letter struct {
	kid     string
	header  string // "": as it should be
	members map[string]any
	seal    func(signed string) []byte // nil: by the key of kid
}

func (l letter) compact() string {
	header := l.header
	if header == "" {
		header = fmt.Sprintf(`{"alg":"EdDSA","kid":%q,"typ":"rackcmd+jws"}`, l.kid)
	}
	members := maps.Clone(l.members)
	maps.DeleteFunc(members, func(_ string, v any) bool { return v == nil })
	payload, err := json.Marshal(members)
	if err != nil {
		panic(err)
	}
	signed := b64([]byte(header)) + "." + b64(payload)
	if l.seal != nil {
		return signed + "." + b64(l.seal(signed))
	}
	return signed + "." + b64(ed25519.Sign(secretOf(l.kid), []byte(signed)))
}

// letter makes a signed cut of outlet 1, with members replaced or added.
func (r *rig) letter(id, kid string, seq int, members map[string]any) letter {
	now := time.Now()
	issuer, _, _ := strings.Cut(kid, "-")
	all := map[string]any{
		"v": 1, "id": id, "op": "outlet.cut", "target": "outlet/pdu-a.1", "exp": now.Add(time.Minute).UnixMilli(),
		"iss": issuer, "iat": now.UnixMilli(), "seq": seq, "aud": "demo/r1",
	}
	maps.Copy(all, members)
	return letter{kid: kid, members: all}
}

// post delivers a payload, and records it as signed by whom it says.
func (r *rig) post(id, kid, payload string) {
	r.t.Helper()
	issuer, _, _ := strings.Cut(kid, "-")
	r.sent[id], r.by[id] = payload, map[string]any{"signed": true, "kid": kid, "iss": issuer}
	r.publish("down/cmd", payload, false)
}

// carried delivers a signed command and cuts outlet 1 for it.
func carried(kid string, change func(*letter)) func(*rig) {
	return func(r *rig) {
		r.config = signedConfig()
		l := r.letter("c1", kid, 1, nil)
		if change != nil {
			change(&l)
		}
		r.post("c1", kid, l.compact())
		r.carryOut()
	}
}

// says changes one member of a signed command.
func says(name string, value any) func(*letter) { return func(l *letter) { l.members[name] = value } }

func headed(h string) func(*letter) { return func(l *letter) { l.header = h } }

// noted is a signed cut of outlet 1 that was accepted and failed.
func (r *rig) noted(id, kid string, seq int, members map[string]any) {
	r.t.Helper()
	r.post(id, kid, r.letter(id, kid, seq, members).compact())
	r.notedOnly(id)
}

func (r *rig) notedOnly(id string) {
	r.t.Helper()
	r.accept(id, "outlet.cut", "outlet/pdu-a.1", "cut pdu-a.1")
	r.end(id, "failed", "device_error")
	time.Sleep(time.Second)
}

// TestForgeriesAreFound plants one accepted command for each thing that a signature has to hold.
func TestForgeriesAreFound(t *testing.T) {
	s6 := []string{"S6"}
	public := []byte(secretOf("alice-1").Public().(ed25519.PublicKey))
	tell(t, []tale{
		{"as it should be", carried("alice-1", nil), "", nil},
		{"by the second key", carried("alice-2", nil), "", nil},
		{"by somebody else's key", carried("alice-1", func(l *letter) {
			l.seal = func(s string) []byte { return ed25519.Sign(secretOf("mallory"), []byte(s)) }
		}), `its signature is not of key "alice-1"`, s6},
		{"changed afterwards", func(r *rig) {
			r.config = signedConfig()
			l := r.letter("c1", "alice-1", 1, nil)
			p := strings.Split(l.compact(), ".")
			l.members["why"] = "test"
			r.post("c1", "alice-1", p[0]+"."+strings.Split(l.compact(), ".")[1]+"."+p[2])
			r.carryOut()
		}, `its signature is not of key "alice-1"`, s6},
		{"alg none", carried("alice-1", func(l *letter) {
			l.header, l.seal = `{"alg":"none","kid":"alice-1","typ":"rackcmd+jws"}`, func(string) []byte { return nil }
		}), `its algorithm is "none"`, s6},
		{"HS256 with the public key", carried("alice-1", func(l *letter) {
			l.header = `{"alg":"HS256","kid":"alice-1","typ":"rackcmd+jws"}`
			l.seal = func(s string) []byte { m := hmac.New(sha256.New, public); m.Write([]byte(s)); return m.Sum(nil) }
		}), `its algorithm is "HS256"`, s6},
		{"another type", carried("alice-1", headed(`{"alg":"EdDSA","kid":"alice-1","typ":"JWT"}`)), `its type is "JWT"`, s6},
		{"a key in the header", carried("alice-1", headed(`{"alg":"EdDSA","kid":"alice-1","typ":"rackcmd+jws","jwk":{}}`)), "not exactly the members", s6},
		{"no type", carried("alice-1", headed(`{"alg":"EdDSA","kid":"alice-1"}`)), "not exactly the members", s6},
		{"alg twice", carried("alice-1", headed(`{"alg":"none","alg":"EdDSA","kid":"alice-1","typ":"rackcmd+jws"}`)), "a member stands twice", s6},
		{"two parts", func(r *rig) {
			r.config = signedConfig()
			l := r.letter("c1", "alice-1", 1, nil).compact()
			r.post("c1", "alice-1", l[:strings.LastIndex(l, ".")])
			r.carryOut()
		}, "not three parts", s6},
		{"unknown key", carried("mallory-1", nil), `its key "mallory-1" is not configured`, s6},
		{"revoked key", carried("alice-0", nil), `its key "alice-0" is revoked`, s6},
		{"another issuer's name", carried("bob-1", says("iss", "alice")), `key "bob-1" signs for bob, and it says "alice"`, s6},
		{"no issuer", carried("alice-1", says("iss", nil)), "iss, iat, seq or aud is missing", s6},
		{"no iat", carried("alice-1", says("iat", nil)), "iss, iat, seq or aud is missing", s6},
		{"no number", carried("alice-1", says("seq", nil)), "iss, iat, seq or aud is missing", s6},
		{"no audience", carried("alice-1", says("aud", nil)), "iss, iat, seq or aud is missing", s6},
		{"another agent", carried("alice-1", says("aud", "demo/r2")), "it is for demo/r2", s6},
		{"this life", carried("alice-1", says("aud_boot", "boot-1")), "", nil},
		{"another life", carried("alice-1", says("aud_boot", "boot-0")), "it is for the life boot-0 of the agent, not boot-1", s6},
		{"made in the future", carried("alice-1", says("iat", time.Date(2000, 1, 1, 0, 0, 6, 0, time.UTC).UnixMilli())), "made 6.000 s after it was delivered", s6},
		{"a week late", carried("alice-1", says("exp", time.Date(1999, 12, 25, 0, 0, 0, 0, time.UTC).UnixMilli())), "it had expired 604800.000 s", s6},
		{"longer than the role allows", carried("cell-1", says("exp", time.Date(2000, 1, 1, 0, 1, 1, 0, time.UTC).UnixMilli())), "it would live for 61 s", s6},
		{"a member twice", func(r *rig) {
			r.config = signedConfig()
			l := r.letter("c1", "alice-1", 1, nil)
			payload, err := json.Marshal(l.members)
			r.must(err)
			text := b64([]byte(`{"alg":"EdDSA","kid":"alice-1","typ":"rackcmd+jws"}`)) + "." +
				b64([]byte(strings.Replace(string(payload), "{", `{"target":"outlet/pdu-a.2",`, 1)))
			r.post("c1", "alice-1", text+"."+b64(ed25519.Sign(secretOf("alice-1"), []byte(text))))
			r.carryOut()
		}, "a member stands twice", s6},
		{"verb that the role has not", carried("wall-1", nil), "role read-only does not allow outlet.cut", s6},
		{"target of the role", carried("cell-1", nil), "", nil},
		{"target that the role has not", carried("cell-1", says("target", "outlet/pdu-a.2")), "role cell does not reach outlet/pdu-a.2", s6},
		{"not signed", func(r *rig) {
			r.config = signedConfig()
			r.cut("c1", 1)
		}, "it is not signed", s6},
		{"recorded as another's", func(r *rig) {
			r.config = signedConfig()
			r.post("c1", "alice-1", r.letter("c1", "alice-1", 1, nil).compact())
			r.by["c1"] = map[string]any{"signed": true, "kid": "alice-2", "iss": "alice"}
			r.carryOut()
		}, `the record has signed true, key "alice-2"`, s6},
		{"recorded as signed", func(r *rig) {
			r.by["c1"] = map[string]any{"signed": true, "iss": "alice"}
			r.cut("c1", 1)
		}, "the record has signed true", s6},
	})
}

// TestFirmNodesMoveInSomebodysName: closing a server's outlet is no harm by itself, but nobody's is not done.
func TestFirmNodesMoveInSomebodysName(t *testing.T) {
	energise := func(config, kid, target string) func(*rig) {
		return func(r *rig) {
			r.config = config
			r.latch |= 1 << 6
			r.write(2, r.latch) // somebody opens outlet 7, which is reported too
			time.Sleep(61 * time.Second)
			const op = "outlet.energise"
			if kid == "" {
				r.send("c1", op, target)
			} else {
				r.post("c1", kid, r.letter("c1", kid, 1, map[string]any{"op": op, "target": target}).compact())
			}
			r.accept("c1", op, target, "energise pdu-a.7")
			r.relay(7, true)
			time.Sleep(time.Second)
			r.end("c1", "succeeded", "", step("energise", 7))
		}
	}
	opened, s6 := []string{"S1", "S3"}, []string{"S1", "S3", "S6"}
	tell(t, []tale{
		{"signed", energise(signedConfig(), "alice-1", "outlet/pdu-a.7"), "", opened},
		{"unsigned", energise(rackConfig, "", "outlet/pdu-a.7"), "closing pdu-a.7 (gpu-1) for command c1, which nobody signed", s6},
		{"role without firm nodes", energise(signedConfig(), "bob-1", "node/gpu-1"), "role automation does not allow firm nodes", s6},
		{"role without firm nodes, by a group of servers", energise(signedConfig()+"\ngroups: [{name: servers, nodes: [gpu-1]}]\n", "bob-1", "group/servers"), "for command c1, whose issuer may not move firm nodes", s6},
	})
}

// TestNumbers: each number of an issuer is taken once and only above those before.
func TestNumbers(t *testing.T) {
	s6 := []string{"S6"}
	var tales []tale
	add := func(name string, play func(*rig), words string, want ...string) {
		tales = append(tales, tale{name, func(r *rig) { r.config = signedConfig(); play(r) }, words, want})
	}
	add("counted up", func(r *rig) { r.noted("c1", "alice-1", 1, nil); r.noted("c2", "alice-2", 7, nil) }, "")
	add("swapped", func(r *rig) { r.noted("c1", "alice-1", 2, nil); r.noted("c2", "alice-1", 1, nil) },
		"command c2 with number 1 of alice was accepted after c1 with number 2", s6...)
	add("taken twice", func(r *rig) { r.noted("c1", "alice-1", 1, nil); r.noted("c2", "alice-1", 1, nil) },
		"command c2 with number 1 of alice was accepted after c1 with number 1", s6...)
	add("by the other key", func(r *rig) { r.noted("c1", "alice-1", 2, nil); r.noted("c2", "alice-2", 2, nil) }, "with number 2", s6...)
	add("another issuer", func(r *rig) {
		r.noted("c1", "alice-1", 2, nil)
		r.noted("c2", "bob-1", 1, nil)
	}, "")
	bound := map[string]any{"aud_boot": "boot-1"}
	add("a count for each life", func(r *rig) { r.noted("c1", "alice-1", 2, nil); r.noted("c2", "alice-1", 1, bound) }, "")
	add("swapped within a life", func(r *rig) { r.noted("c1", "alice-1", 2, bound); r.noted("c2", "alice-1", 1, bound) }, "with number 1 of alice", s6...)
	add("forgotten over a restart", func(r *rig) {
		r.noted("c1", "alice-1", 2, nil)
		r.book.boot = "boot-2"
		r.noted("c2", "alice-1", 1, nil)
	}, "with number 1 of alice", s6...)
	add("turned away before it was passed by", func(r *rig) {
		p := r.letter("c1", "alice-1", 1, nil).compact()
		r.post("c1", "alice-1", p)
		r.retell("c1", "rejected", "rate_limited", 0, false)
		time.Sleep(time.Second)
		r.noted("c2", "alice-1", 2, nil)
		r.post("c1", "alice-1", p)
		r.notedOnly("c1")
	}, "")
	add("turned away after it was passed by", func(r *rig) {
		r.noted("c2", "alice-1", 2, nil)
		p := r.letter("c1", "alice-1", 1, nil).compact()
		r.post("c1", "alice-1", p)
		r.retell("c1", "rejected", "rate_limited", 0, false)
		time.Sleep(time.Second)
		r.post("c1", "alice-1", p)
		r.notedOnly("c1")
	}, "with number 1 of alice", s6...)
	tell(t, tales)
}

// TestUsersOfTheSocket: what comes over the local socket has a person behind it whose role allows it.
func TestUsersOfTheSocket(t *testing.T) {
	local := func(op, target, issuer, config string) func(*rig) {
		return func(r *rig) {
			r.config = config
			r.by["c1"] = map[string]any{"origin": "local", "signed": true, "iss": issuer}
			r.accept("c1", op, target)
			r.end("c1", "failed", "device_error")
		}
	}
	cut, one := "outlet.cut", "outlet/pdu-a.1"
	tell(t, []tale{
		{"operator", local(cut, one, "alice", signedConfig()), "", nil},
		{"nobody", local(cut, one, "uid:7", signedConfig()), `no user of the local socket is "uid:7"`, []string{"S6"}},
		{"read-only", local(cut, one, "wall", signedConfig()), "role read-only does not allow outlet.cut", []string{"S6"}},
		{"reading", local("cmd.list", "rack", "uid:7", signedConfig()), "", nil},
		{"a lost journal, nobody entered", local("journal.accept", "rack", "uid:7", rackConfig), "", nil},
		{"a lost journal", local("journal.accept", "rack", "uid:7", signedConfig()), "no user of the local socket", []string{"S6"}},
	})
}
