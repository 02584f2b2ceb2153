package command

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

// paper is a signed text of a person to the controller ams1/ctl about its node gpu-9, which is the agent of the test.
func (r *rig) paper(id, kid string, members string) string {
	return r.signed(id, kid, 1, fmt.Sprintf(`"aud":"ams1/ctl","target":"node/gpu-9"%s`, comma(members)))
}

func comma(members string) string {
	if members == "" {
		return ""
	}
	return "," + members
}

func hashOf(text string) string { return rack.HashOf([]byte(text)).String() }

// passOn is the controller's command that carries both papers.
func (r *rig) passOn(id, kid, command, approval, members string) string {
	parent := map[string]string{"command": command}
	if approval != "" {
		parent["approval"] = approval
	}
	if command == "" {
		return r.signed(id, kid, 1, `"target":"rack"`+comma(members))
	}
	b, err := json.Marshal(parent)
	if err != nil {
		panic(err)
	}
	return r.signed(id, kid, 1, fmt.Sprintf(`"target":"rack","parent":%s%s`, b, comma(members)))
}

func derivedRig(t *testing.T) *rig {
	t.Helper()
	r := signedRig(t)
	ring, err := newRing(withAgents())
	if err != nil {
		t.Fatal(err)
	}
	r.ring = ring
	return r
}

// withAgents are the people, and two controllers. Issuers are what the helper of the tests makes of a kid: its first part.
func withAgents() Identities {
	ids := people()
	ids.Roles = append(ids.Roles, Role{Name: "cell", Verbs: []rack.Op{rack.OpApprove}, Targets: []rack.Target{rack.NodeTarget("gpu-1")}, Firm: true})
	ids.Keys = append(ids.Keys,
		Key{ID: "dora-1", Issuer: "dora", Role: "cell", Public: publicOf("dora-1")},
		Key{ID: "ams1/ctl-1", Issuer: "ams1/ctl", Node: "gpu-9", Public: publicOf("ams1/ctl-1")},
		Key{ID: "ams1/r99-1", Issuer: "ams1/r99", Node: "gpu-9", Public: publicOf("ams1/r99-1")},
	)
	return ids
}

func TestAnAgentPassesOnACommand(t *testing.T) {
	r := derivedRig(t)
	command := r.paper("p1", "alice-1", "")
	approval := r.paper("a1", "carol-1", approval("p1", hashOf(command)))
	ctl, err := wire.DecodeKey(fmt.Appendf(nil, `{"kty":"OKP","crv":"Ed25519","kid":"ams1/ctl-1","iss":"ams1/ctl","d":%q,"x":%q}`,
		base64.RawURLEncoding.EncodeToString(secretOf("ams1/ctl-1").Seed()), base64.RawURLEncoding.EncodeToString(publicOf("ams1/ctl-1"))))
	if err != nil {
		t.Fatal(err)
	}
	text, bad := wire.ReadSigned([]byte(command))
	if bad != nil {
		t.Fatal(bad)
	}
	taken, bad := text.Open(publicOf("alice-1"), r.now)
	if bad != nil {
		t.Fatal(bad)
	}
	passed, err := ctl.PassOn(wire.Passing{Site: "ams1", Agent: "r17", Command: taken, Papers: rack.Parent{Command: command, Approval: approval}, Now: r.now, Seq: 1})
	if err != nil {
		t.Fatal(err)
	}
	r.Offer(r.message("p1", string(passed)))
	r.settle()
	r.expect(t, "p1", "accepted 1")
	c := r.book.entries["p1"].Command
	if c.Issuer != "ams1/ctl" || c.Role != "operator" || c.Approval == nil || c.Approval.By != "carol" || c.Approval.Command != "a1" ||
		c.Approval.Sha256.String() != hashOf(command) || c.Parent == nil || c.Parent.Command != command {
		t.Errorf("%+v %+v", c, c.Approval)
	}
	if c.ApprovedByAnother() { // carol approved alice's text, which is not this one: no guard takes the one for the other
		t.Error("it passes for approved itself")
	}
}

// TestACommandIsPassedOnOnce: its id is the person's, so that a second one is another content under a known id.
func TestACommandIsPassedOnOnce(t *testing.T) {
	r := derivedRig(t)
	command := r.paper("p1", "alice-1", `"op":"outlet.energise"`)
	r.Offer(r.message("p1", r.passOn("p1", "ams1/ctl-1", command, "", `"op":"outlet.energise"`)))
	r.Offer(r.message("p1b", r.passOn("p1", "ams1/ctl-1", command, "", `"op":"outlet.energise","why":"again"`)))
	r.settle()
	if len(r.runner.started) != 1 {
		t.Errorf("started %v, said %v", r.runner.started, r.broker.said("p1"))
	}
}

// TestWhatAnAgentMayNotPassOn: who holds a controller's key alone commands nothing.
func TestWhatAnAgentMayNotPassOn(t *testing.T) {
	r := derivedRig(t)
	command := r.paper("p1", "alice-1", "")
	good := r.paper("a1", "carol-1", approval("p1", hashOf(command)))
	forged, err := wire.Sign([]byte(r.payload("p1", `"iss":"alice","iat":1795348800000,"seq":1,"aud":"ams1/ctl","target":"node/gpu-9"`)), "alice-1", secretOf("ams1/ctl-1"))
	if err != nil {
		t.Fatal(err)
	}
	old := at(-derivedLife - time.Second)
	late := r.paper("p1", "alice-1", `"iat":`+at(-10*time.Minute))
	for _, c := range []struct{ name, kid, command, approval, members, said string }{
		{"nothing", "ams1/ctl-1", "", "", "", "rejected 0 unknown_key"},
		{"no approval", "ams1/ctl-1", command, "", "", "rejected 0 approval_required"},
		{"forged by itself", "ams1/ctl-1", string(forged), good, "", "rejected 0 bad_signature"},
		{"another verb", "ams1/ctl-1", command, good, `"op":"outlet.cycle"`, "rejected 0 unknown_key"},
		{"force that nobody asked for", "ams1/ctl-1", command, good, `"args":{"force":true}`, "rejected 0 unknown_key"},
		{"an outlet of this agent", "ams1/ctl-1", command, good, `"target":"outlet/pdu-a.1"`, "rejected 0 unknown_key"},
		{"a later end", "ams1/ctl-1", r.paper("p1", "alice-1", `"args":{"deadline_s":60}`), good, `"args":{"deadline_s":86400}`, "rejected 0 unknown_key"},
		{"done, where a plan was asked for", "ams1/ctl-1", r.paper("p1", "alice-1", `"dry":true`), good, "", "rejected 0 unknown_key"},
		{"of another node", "ams1/ctl-1", r.paper("p1", "alice-1", `"target":"node/gpu-8"`), good, "", "rejected 0 unknown_key"},
		{"to another controller", "ams1/r99-1", command, good, "", "rejected 0 wrong_audience"},
		{"under another id", "ams1/ctl-1", r.paper("p2", "alice-1", ""), good, "", "rejected 0 precondition"},
		{"too old", "ams1/ctl-1", r.paper("p1", "alice-1", `"iat":`+old), good, "", "rejected 0 expired"},
		{"a revoked key", "ams1/ctl-1", r.paper("p1", "alice-0", ""), good, "", "rejected 0 unknown_key"},
		{"a role without firm nodes", "ams1/ctl-1", r.paper("p1", "shed-1", ""), good, "", "rejected 0 unknown_key"},
		{"a role without the verb", "ams1/ctl-1", r.paper("p1", "wall-1", ""), good, "", "rejected 0 unknown_key"},
		{"another agent's command", "ams1/ctl-1", r.paper("p1", "ams1/r99-1", ""), good, "", "rejected 0 unknown_key"},
		{"approved by its issuer", "ams1/ctl-1", command, r.paper("a1", "alice-2", approval("p1", hashOf(command))), "", "rejected 0 approval_required"},
		{"approved by who may not", "ams1/ctl-1", command, r.paper("a1", "small-1", approval("p1", hashOf(command))), "", "rejected 0 unknown_key"},
		{"approved otherwise", "ams1/ctl-1", command, r.paper("a1", "carol-1", approval("p1", hashOf(good))), "", "rejected 0 approval_required"},
		{"approved as a dry run", "ams1/ctl-1", command, r.paper("a1", "carol-1", approval("p1", hashOf(command))+`,"dry":true`), "", "rejected 0 approval_required"},
		{"approved by whom the node is none of", "ams1/ctl-1", command, r.paper("a1", "dora-1", approval("p1", hashOf(command))), "", "rejected 0 unknown_key"},
		{"under a condition", "ams1/ctl-1", r.paper("p1", "alice-1", `"if":{"gen":4}`), good, "", "rejected 0 precondition"},
		{"no approval at all", "ams1/ctl-1", command, r.paper("a1", "carol-1", ""), "", "rejected 0 approval_required"},
		{"approved too late", "ams1/ctl-1", late, r.paper("a1", "carol-1", approval("p1", hashOf(late))), "", "rejected 0 approval_required"},
		{"by a person", "alice-1", command, good, "", "rejected 0 unknown_key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := derivedRig(t)
			r.Offer(r.message("p1", r.passOn("p1", c.kid, c.command, c.approval, c.members)))
			r.settle()
			r.expect(t, "p1", c.said)
			if len(r.runner.started) != 0 {
				t.Error("it was started")
			}
		})
	}
}

func TestAnAgentsKeyHasNoRole(t *testing.T) {
	for name, change := range map[string]func(*Key){
		"a role beside the node": func(k *Key) { k.Role = "operator" },
		"neither":                func(k *Key) { k.Node = "" },
	} {
		ids := withAgents()
		change(&ids.Keys[len(ids.Keys)-1])
		if _, err := newRing(ids); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
