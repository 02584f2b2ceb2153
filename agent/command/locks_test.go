package command

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

// orders keeps locks and brings them into force at once, or when told to.
type orders struct {
	mu      sync.Mutex
	locks   map[rack.Target]rack.Order
	refusal *rack.Refusal
	manual  bool // orders come into force with settle
	coming  []func()
	holds   []string // commands whose orders are in force, in order
}

func newOrders() *orders { return &orders{locks: map[rack.Target]rack.Order{}} }

func (o *orders) Lock(now time.Time, cmd rack.Command) (rack.Order, bool, *rack.Refusal) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.refusal != nil {
		return rack.Order{}, false, o.refusal
	}
	old, stands := o.locks[cmd.Target]
	switch {
	case stands:
		return old, true, nil
	case cmd.Op == rack.OpUnlock:
		return rack.Order{}, false, refuse(rack.CodePrecondition, "not locked")
	}
	return rack.Order{Kind: rack.OrderLock, Target: cmd.Target, Command: cmd.ID, Since: now}, false, nil
}

func (o *orders) Keep(cmd rack.Command, order rack.Order, released bool, done func()) {
	o.mu.Lock()
	o.coming = append(o.coming, func() {
		o.locks[order.Target] = order
		if released {
			delete(o.locks, order.Target)
		}
		o.holds = append(o.holds, cmd.ID)
		done()
	})
	manual := o.manual
	o.mu.Unlock()
	if !manual {
		o.settle()
	}
}

// found brings into force what a start found on disk.
func (o *orders) found(id string, order rack.Order, released bool) {
	if !slices.Contains(o.holds, id) {
		o.holds = append(o.holds, id)
	}
	o.locks[order.Target] = order
	if released {
		delete(o.locks, order.Target)
	}
}

// settle brings into force what waits.
func (o *orders) settle() {
	o.mu.Lock()
	coming := o.coming
	o.coming = nil
	o.mu.Unlock()
	for _, hold := range coming {
		hold()
	}
}

const (
	lockAsic   = `"op":"lock","target":"node/asic-1"`
	unlockAsic = `"op":"unlock","target":"node/asic-1"`
)

func TestLockAndUnlock(t *testing.T) {
	r := newRig(t)
	r.send("u0", unlockAsic)
	r.send("l1", lockAsic)
	r.send("l2", lockAsic)
	r.send("l3", `"op":"lock","target":"rack","dry":true`)
	r.send("u1", unlockAsic)
	r.send("u2", unlockAsic)
	r.expect(t, "u0", "rejected 1 precondition")
	for _, id := range []string{"l1", "l2", "l3", "u1"} {
		r.expect(t, id, "succeeded 1")
	}
	r.expect(t, "u2", "rejected 1 precondition")
	if !slices.Equal(r.orders.holds, []string{"l1", "u1"}) {
		t.Errorf("orders of %v", r.orders.holds)
	}
	if text := r.broker.last("l2").Text; !strings.Contains(text, "locked already, set by command l1") {
		t.Errorf("the second lock says %q", text)
	}
	want := []rack.RecordKind{rack.RecordRejected, rack.RecordAccepted, rack.RecordOrder, rack.RecordEnded, rack.RecordAccepted, rack.RecordEnded}
	if got := r.book.kinds; len(got) < 6 || !slices.Equal(got[:6], want) {
		t.Errorf("records %v, want %v first: the order stands between the command and its result", got, want)
	}
	if got := r.book.orders["l1"]; got.Target != rack.NodeTarget("asic-1") || got.Command != "l1" {
		t.Errorf("order %+v", got)
	}
}

// The result is told when the order is in force, and neither a repeat nor cmd.get tells it earlier.
func TestALockIsToldWhenItHolds(t *testing.T) {
	r := newRig(t)
	r.orders.manual = true
	p := r.send("l1", lockAsic)
	r.Offer(r.message("again", p))
	r.send("g1", `"op":"cmd.get","target":"rack","args":{"id":"l1"}`)
	r.send("u1", unlockAsic)
	r.send("l2", `"op":"lock","target":"node/gpu-1"`)
	r.expect(t, "l1", "accepted 1 dup")
	r.expect(t, "u1", "rejected 0 busy")
	r.expect(t, "l2")
	if r.acked["l1"]+r.acked["again"] != 0 {
		t.Errorf("acknowledged before it is in force: %v", r.acked)
	}
	r.orders.settle()
	r.settle()
	r.expect(t, "l1", "accepted 1 dup", "succeeded 1", "succeeded 1 dup")
	r.expect(t, "l2", "succeeded 1")
	if r.acked["l1"] != 1 || r.acked["again"] != 1 {
		t.Errorf("%v", r.acked)
	}
	r.send("u1", unlockAsic)
	r.orders.settle()
	r.settle()
	r.expect(t, "u1", "rejected 0 busy", "succeeded 1")
}

// A crash between the disk and the loop: the next life finds order and result, and tells it without doing it again.
func TestALockFoundAfterACrash(t *testing.T) {
	r := newRig(t)
	r.orders.manual = true
	p := r.send("l1", lockAsic)
	r.orders.coming = nil
	r.start(t)
	r.Offer(r.message("again", p))
	r.settle()
	r.expect(t, "l1", "succeeded 1", "succeeded 1 dup")
	if len(r.orders.coming) != 0 {
		t.Error("the order is given again")
	}
}

func TestLocksOnAFullDisk(t *testing.T) {
	r := newRig(t)
	r.book.full = true
	r.send("l1", lockAsic)
	r.expect(t, "l1", "succeeded 1")
	r.send("u1", unlockAsic)
	r.expect(t, "u1", "rejected 0 journal_full")
	if len(r.orders.locks) != 1 {
		t.Errorf("%v", r.orders.locks)
	}
}

// A rack whose journal was lost may be locked: that moves nothing.
func TestLockWhileObserving(t *testing.T) {
	r := newRig(t)
	r.observing = true
	r.send("l1", `"op":"lock","target":"rack"`)
	r.expect(t, "l1", "succeeded 1")
}

func TestARefusedLock(t *testing.T) {
	r := newRig(t)
	r.orders.refusal = refuse(rack.CodeFirmGuard, "no identity")
	r.send("u1", `"op":"unlock","target":"node/gpu-1"`)
	r.send("l1", lockAsic+`,"if":{"gen":1}`)
	r.send("l2", lockAsic+`,"args":{"force":true}`)
	r.expect(t, "u1", "rejected 1 firm_guard")
	r.expect(t, "l1", "rejected 1 precondition")
	r.expect(t, "l2", "rejected 0 bad_schema")
}

// A role without firm nodes reaches them by no other name: not by a group of servers, not by unlocking the rack.
func TestWhatTouchesFirmNodes(t *testing.T) {
	l := rackR17()
	l.Groups = []rack.Group{{Name: "servers", Nodes: []string{"gpu-1"}}, {Name: "both", Nodes: []string{"asic-1", "gpu-1"}}, {Name: "miners", Nodes: []string{"asic-1"}}}
	for _, c := range []struct {
		op     rack.Op
		target string
		want   bool
	}{
		{rack.OpEnergise, "group/servers", true},
		{rack.OpEnergise, "group/both", false},
		{rack.OpCut, "rack", false},
		{rack.OpLock, "rack", false},
		{rack.OpUnlock, "rack", true},
		{rack.OpUnlock, "node/asic-1", false},
		{rack.OpUnlock, "node/gpu-1", true},
		{rack.OpCut, "group/miners", false},
		{rack.OpCut, "group/none", false},
		{rack.OpEnergise, "outlet/pdu-a.2", true},
	} {
		tg, err := rack.ParseTarget(c.target)
		if err != nil {
			t.Fatal(err)
		}
		if got := touchesFirm(l, c.op, tg); got != c.want {
			t.Errorf("%s of %s: %v", c.op, c.target, got)
		}
		r := &ring{roles: map[string]Role{"all-but-firm": {Name: "all-but-firm", Verbs: wire.Verbs()}}}
		bad := r.permits(l, &rack.Command{Op: c.op, Target: tg, Role: "all-but-firm", Issuer: "x"})
		if (bad != nil) != c.want {
			t.Errorf("%s of %s for a role without firm nodes: %v", c.op, c.target, bad)
		}
	}
}

// TestALockStopsNoServerWithoutARight: a cycle of a server that a lock stops in its open half leaves the server dark. Who has
// no right to servers cannot bring that about; whoever has may.
func TestALockStopsNoServerWithoutARight(t *testing.T) {
	for _, c := range []struct {
		name, kid, under, lock, said string
	}{
		{"the node, unsigned", "", "node/gpu-1", "node/gpu-1", "rejected 1 firm_guard"},
		{"its outlet, unsigned", "", "node/gpu-1", "outlet/pdu-a.2", "rejected 1 firm_guard"},
		{"the rack, unsigned", "", "outlet/pdu-a.2", "rack", "rejected 1 firm_guard"},
		{"the rack, of a role without firm nodes", "shed-1", "node/gpu-1", "rack", "rejected 1 firm_guard"},
		{"a miner beside it, unsigned", "", "node/gpu-1", "node/asic-1", "succeeded 1"},
		{"the node, of a role with firm nodes", "alice-1", "node/gpu-1", "node/gpu-1", "succeeded 1"},
		{"nothing under way on it, unsigned", "", "node/asic-1", "node/gpu-1", "succeeded 1"},
		{"the rack, a miner under way, unsigned", "", "node/asic-1", "rack", "succeeded 1"},
	} {
		for _, recording := range []bool{false, true} {
			r := newRig(t)
			r.book.manual = recording
			r.sendSigned("c1", "bob-1", 1, `"op":"outlet.cycle","target":"`+c.under+`"`)
			members := `"op":"lock","target":"` + c.lock + `","exp":` + at(20*time.Second)
			if c.kid == "" {
				r.send("l1", members)
			} else {
				r.sendSigned("l1", c.kid, 1, members)
			}
			r.book.commit(2)
			r.settle()
			if said := r.broker.said("l1"); !slices.Equal(said, []string{c.said}) {
				t.Errorf("%s, being recorded %t: %v", c.name, recording, said)
			}
		}
	}
	r := newRig(t)
	r.sendSigned("c1", "bob-1", 1, `"op":"outlet.cycle","target":"node/gpu-1"`)
	r.finish(t, "c1", rack.StateSucceeded, 2, "")
	r.send("l1", `"op":"lock","target":"node/gpu-1"`)
	r.expect(t, "l1", "succeeded 1") // it has ended
}

// TestWhoMayTouchFirmNodes: the power logic is told what the role says, not what the message does.
func TestWhoMayTouchFirmNodes(t *testing.T) {
	r := newRig(t)
	r.send("u", "")
	r.sendSigned("a", "alice-1", 1, "")
	r.sendSigned("s", "shed-1", 1, `"exp":`+at(20*time.Second))
	r.Offer(r.local("l", r.payload("l", ""))) // uid:1000 is alice
	r.settle()
	for id, want := range map[string]bool{"u": false, "a": true, "s": false, "l": true} {
		if got := r.open[id]; got == nil || got.cmd.Firm != want {
			t.Errorf("%s: %+v", id, got)
		}
	}
}
