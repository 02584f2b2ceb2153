package observer

import (
	"testing"
	"time"
)

// own is a verb without a plan that succeeds: lock, unlock.
func (r *rig) own(id, op, target string) {
	r.t.Helper()
	r.send(id, op, target)
	r.recordPlan(id, op, target)
	r.recordResult(id, "succeeded", "")
	r.tell(id, "succeeded", "")
}

func TestLocked(t *testing.T) {
	tell(t, []tale{
		{name: "a cut elsewhere", play: func(r *rig) {
			r.own("l1", "lock", "node/asic-1")
			r.own("l2", "lock", "outlet/pdu-a.3")
			r.cut("c1", 2)
		}},
		{name: "unlocked before", play: func(r *rig) {
			r.own("l1", "lock", "rack")
			time.Sleep(time.Second)
			r.own("u1", "unlock", "rack")
			r.cut("c1", 2)
		}},
		{
			name: "the node is cut", want: []string{"lock"}, words: "opening pdu-a.1 (asic-1), although node/asic-1 was locked by command l1",
			play: func(r *rig) {
				r.own("l1", "lock", "node/asic-1")
				r.cut("c1", 1)
			},
		},
		{
			name: "the outlet is cut", want: []string{"lock"}, words: "outlet/pdu-a.1 was locked",
			play: func(r *rig) {
				r.own("l1", "lock", "outlet/pdu-a.1")
				r.cut("c1", 1)
			},
		},
		{
			name: "the rack is locked", want: []string{"lock"}, words: "rack was locked",
			play: func(r *rig) {
				r.own("l1", "lock", "rack")
				r.cut("c1", 1)
			},
		},
		{
			name: "another lock is released", want: []string{"lock"}, words: "rack was locked",
			play: func(r *rig) {
				r.own("l1", "lock", "rack")
				r.own("l2", "lock", "node/asic-1")
				time.Sleep(time.Second)
				r.own("u1", "unlock", "node/asic-1")
				r.cut("c1", 1)
			},
		},
		{
			name: "locked again", want: []string{"lock"}, words: "by command l2",
			play: func(r *rig) {
				r.own("l1", "lock", "rack")
				time.Sleep(time.Second)
				r.own("u1", "unlock", "rack")
				time.Sleep(time.Second)
				r.own("l2", "lock", "rack")
				r.cut("c1", 1)
			},
		},
		{
			name: "a step that moves nothing", want: []string{"lock"}, words: "leaving every relay as it is",
			play: func(r *rig) {
				r.own("l1", "lock", "node/asic-1")
				r.accepted("c1", "energise", 1)
				r.relay(1, true)
				time.Sleep(time.Second)
				r.end("c1", "partial", "no_load")
			},
		},
		{
			name: "a bank is taken over", want: []string{"lock"}, words: "pdu-a.2",
			play: func(r *rig) {
				r.own("l1", "lock", "outlet/pdu-a.2")
				r.fault("brownout=pdu-a")
				time.Sleep(35 * time.Second)
				r.accepted("c1", "energise", 1)
				r.adopt("c1", 0xFF00, 0xFF00)
				r.write(2, 0xFF00)
				r.write(6, 0xFF00)
				r.end("c1", "failed", "device_error")
			},
		},
		{
			name: "after a restart", want: []string{"lock"}, words: "rack was locked",
			play: func(r *rig) { // its result never reached the broker
				r.send("l1", "lock", "rack")
				r.recordPlan("l1", "lock", "rack")
				r.recordResult("l1", "succeeded", "")
				time.Sleep(time.Second)
				r.book.boot = "boot-2"
				r.publish("up/state", `{"boot":"boot-2"}`, false)
				r.cut("c1", 1)
			},
		},
		{name: "a lock that failed", play: func(r *rig) {
			r.send("l1", "lock", "rack")
			r.recordPlan("l1", "lock", "rack")
			r.recordResult("l1", "unknown", "")
			r.tell("l1", "unknown", "")
			r.cut("c1", 1)
		}},
	})
}
