package observer

import (
	"maps"
	"testing"
	"time"

	"rackagent/agent/rack"
)

// twoPersons plays a forced cut of one outlet of the server: alice's command, carol's approval, the write. change is
// given what the journal says of the command and of the approving one.
func twoPersons(change func(command, approving map[string]any)) func(*rig) {
	return func(r *rig) {
		r.config = signedConfig()
		target := map[string]any{"target": "outlet/pdu-a.8"}
		force := map[string]any{"args": map[string]any{"force": true}}
		payload := r.letter("c1", "alice-1", 1, merged(target, force)).compact()
		r.post("c1", "alice-1", payload)
		hash := text(rack.HashOf([]byte(payload)))
		args := map[string]any{"args": map[string]any{"id": "c1", "sha256": hash}}
		r.post("a1", "carol-1", r.letter("a1", "carol-1", 1, merged(map[string]any{"op": "approve", "target": "rack"}, args)).compact())
		command := merged(r.by["c1"].(map[string]any), force, map[string]any{"approval": map[string]any{"by": "carol", "kid": "carol-1", "id": "a1", "sha256": hash}})
		approving := merged(r.by["a1"].(map[string]any), args)
		if change != nil {
			change(command, approving)
		}
		if command["hasty"] == nil {
			waited := merged(command, map[string]any{"id": "c1", "op": "outlet.cut", "target": "outlet/pdu-a.8", "exp": time.Now().Add(time.Minute), "origin": "mqtt", "hash": hash, "received": time.Now()})
			delete(waited, "approval")
			r.book.add("command", "c1", 'v', "waiting", map[string]any{"id": "c1", "command": waited, "until": time.Now().Add(time.Minute)})
		}
		r.by["c1"], r.by["a1"] = command, approving
		if approving["gone"] == nil {
			r.recordAccepted("a1", "approve", "rack")
			r.end("a1", "succeeded", "")
		}
		r.accept("c1", "outlet.cut", "outlet/pdu-a.8", "cut pdu-a.8")
		r.relay(8, false)
		time.Sleep(time.Second)
		r.end("c1", "succeeded", "", step("cut", 8))
	}
}

func merged(maps_ ...map[string]any) map[string]any {
	out := map[string]any{}
	for _, m := range maps_ {
		maps.Copy(out, m)
	}
	return out
}

func text(h rack.Hash) string {
	b, err := h.MarshalText()
	if err != nil {
		panic(err)
	}
	return string(b)
}

// member replaces a member of a member.
func member(m map[string]any, name, key string, value any) {
	in, _ := m[name].(map[string]any)
	m[name] = merged(in, map[string]any{key: value})
}

func TestForceNeedsTwoPersons(t *testing.T) {
	tell(t, []tale{
		{"two persons", twoPersons(nil), "", nil},
		{"nobody approved", twoPersons(func(c, _ map[string]any) { delete(c, "approval") }), "nobody approved its command", []string{"S3"}},
		{"no force", twoPersons(func(c, _ map[string]any) { delete(c, "args") }), "its command does not say force", []string{"S3"}},
		{"one person", twoPersons(func(c, _ map[string]any) { member(c, "approval", "by", "alice") }), "its issuer approved it", []string{"S3"}},
		{"of another payload", twoPersons(func(c, _ map[string]any) { member(c, "approval", "sha256", "00") }), "the approval is of another payload", []string{"S3"}},
		{"no such approval", twoPersons(func(_, a map[string]any) { a["gone"] = true }), "no command a1 is in the journal", []string{"S3"}},
		{"it never waited", twoPersons(func(c, _ map[string]any) { c["hasty"] = true }), "its command never waited for an approval", []string{"S3"}},
		{"it approves another", twoPersons(func(_, a map[string]any) { member(a, "args", "id", "c2") }), "command a1 does not approve it", []string{"S3"}},
		{"it is somebody else's", twoPersons(func(_, a map[string]any) { a["iss"] = "bob" }), "command a1 is not of carol", []string{"S3", "S6"}},
	})
}
