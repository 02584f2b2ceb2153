package command

import (
	"strconv"
	"testing"
	"time"

	"rackagent/agent/rack"
)

// TestAFloodShutsOutNobodyElse: every issuer that is configured has a few commands beside the rate that all share.
func TestAFloodShutsOutNobodyElse(t *testing.T) {
	r := newRig(t)
	for n := range 10 * burst {
		r.send("flood"+strconv.Itoa(n), `"iss":"bob"`)
	}
	for n := range ownBurst {
		r.sendSigned("a"+strconv.Itoa(n), "alice-1", int64(n+1), "")
		r.expect(t, "a"+strconv.Itoa(n), "accepted 1")
	}
	r.sendSigned("a", "alice-2", 99, "") // two keys are one person
	r.expect(t, "a", "rejected 0 rate_limited")
	r.sendSigned("b", "bob-1", 1, "") // whose name the flood took in vain
	r.expect(t, "b", "accepted 1")
	r.now = r.now.Add(time.Second) // and one more each second
	for n := range 10 * burst {
		r.send("more"+strconv.Itoa(n), "")
	}
	r.sendSigned("a", "alice-2", 99, "")
	r.expect(t, "a", "rejected 0 rate_limited", "accepted 1")
}

// TestAFloodAtTheRack: neither who asks nor who may do nothing shuts out the person who acts.
func TestAFloodAtTheRack(t *testing.T) {
	r := newRig(t)
	from := func(peer, id, members string) {
		in := r.local(id, r.payload(id, members))
		in.Issuer = peer
		r.Offer(in)
		r.settle()
	}
	for n := range 10 * burst {
		from("uid:1002", "flood"+strconv.Itoa(n), "")
		from("uid:1002", "list"+strconv.Itoa(n), lists)
	}
	from("uid:1000", "l1", lists)
	if got := r.broker.told("l1"); len(got) != 1 || got[0] != "succeeded 1" {
		t.Errorf("alice asks: %v", got)
	}
	for n := range 10 * burst {
		from("uid:1000", "again"+strconv.Itoa(n), lists)
	}
	from("uid:1000", "c1", "")
	r.expect(t, "c1", "accepted 1")
	from("uid:1002", "l2", lists)
	if got := r.broker.told("l2"); len(got) != 1 || got[0] != "rejected 0 "+string(rack.CodeRateLimited) {
		t.Errorf("the one who floods: %v", got)
	}
}
