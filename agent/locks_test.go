package agent_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/sim"
)

// newest is the payload of the newest message on a topic.
func (r *rig) newest(sub string) string {
	r.t.Helper()
	var found string
	for _, m := range sim.Of[sim.Message](r.world.Trace().Entries()) {
		if !m.Out && m.Topic == topic.Up(sub) {
			found = string(m.Payload)
		}
	}
	return found
}

// A lock holds for every verb and through an orderly and a sudden end, is shown, and ends with its unlock.
func TestALockHoldsUntilItIsReleased(t *testing.T) {
	story(t, func(r *rig) {
		r.send("l1", "lock", "node/asic-2", `,"why":"new fans"`)
		r.expect("l1", rack.StateSucceeded, "")
		r.send("l2", "lock", "node/asic-2")
		if s := r.expect("l2", rack.StateSucceeded, ""); !strings.Contains(s.Text, "locked already, set by command l1 of unsigned") {
			t.Errorf("the second lock says %q", s.Text)
		}
		for i, life := range []func(){func() {}, func() { r.stop(); r.start() }, func() { r.crash() }} {
			life()
			id := string(rune('a' + i))
			r.send("c"+id, "outlet.cut", "outlet/pdu-a.2")
			r.expect("c"+id, rack.StateRejected, rack.CodeMaintenanceLock)
			r.send("d"+id, "outlet.cycle", "node/asic-2")
			r.expect("d"+id, rack.StateRejected, rack.CodeMaintenanceLock)
			if locks := r.agent.Status().Locks; len(locks) != 1 || locks[0].Target != rack.NodeTarget("asic-2") || locks[0].ID != "l1" || locks[0].Why != "new fans" || locks[0].Since.IsZero() {
				t.Errorf("status shows %+v", locks)
			}
			time.Sleep(6 * time.Second)
			if info := r.newest("info"); !strings.Contains(info, `"locks":[{"target":"node/asic-2","id":"l1","by":"unsigned","since":`) {
				t.Errorf("up/info lacks the lock: %s", info)
			}
		}
		r.send("u1", "unlock", "node/asic-2")
		r.expect("u1", rack.StateSucceeded, "")
		r.send("c9", "outlet.cut", "outlet/pdu-a.2")
		r.expect("c9", rack.StateSucceeded, "")
		if info := r.newest("info"); strings.Contains(info, `"locks"`) || len(r.agent.Status().Locks) != 0 {
			t.Errorf("the lock is still shown: %s", info)
		}
		events := strings.Join(r.events("lock"), "; ")
		if events != "node/asic-2 is locked by command l1 of unsigned: new fans; node/asic-2 is unlocked by command u1 of unsigned" {
			t.Errorf("events: %s", events)
		}
	})
}

// events are the texts of the events of one kind.
func (r *rig) events(kind string) []string {
	var out []string
	for _, m := range sim.Of[sim.Message](r.world.Trace().Entries()) {
		if m.Out || m.Topic != topic.Up("event") || !strings.Contains(string(m.Payload), `"kind":"`+kind+`"`) {
			continue
		}
		_, text, _ := strings.Cut(string(m.Payload), `"txt":"`)
		text, _, _ = strings.Cut(text, `"`)
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}

// Without a signature a server may be locked, not unlocked.
func TestAServersLockNeedsAnIdentityToFall(t *testing.T) {
	story(t, func(r *rig) {
		r.send("l1", "lock", "node/gpu-1")
		r.expect("l1", rack.StateSucceeded, "")
		r.send("u1", "unlock", "node/gpu-1")
		r.expect("u1", rack.StateRejected, rack.CodeFirmGuard)
		r.send("l2", "lock", "group/miners")
		r.expect("l2", rack.StateRejected, rack.CodeUnsupported)
		r.send("l3", "lock", "rack")
		r.expect("l3", rack.StateSucceeded, "")
		r.send("c1", "outlet.cut", "group/miners")
		r.expect("c1", rack.StateRejected, rack.CodeMaintenanceLock)
		if len(r.relayWrites()) != 0 {
			t.Errorf("%v", r.relayWrites())
		}
	})
}

// A lock that comes while its node is in the middle of a group's cycle: that node stays open, the others come back.
func TestALockInTheMiddleOfAGroup(t *testing.T) {
	story(t, func(r *rig) {
		r.send("c1", "outlet.cycle", "group/miners")
		time.Sleep(5 * time.Second)
		r.send("l1", "lock", "node/asic-4")
		r.expect("l1", rack.StateSucceeded, "")
		s := r.expect("c1", rack.StatePartial, rack.CodeMaintenanceLock)
		for _, tr := range s.Targets {
			locked := tr.Target.Name == "asic-4"
			if (tr.Code == rack.CodeMaintenanceLock) != locked || locked && len(tr.Steps) != 1 {
				t.Errorf("%+v", tr)
			}
		}
		if r.world.Rack().Closed(out(4)) || !r.world.Rack().Closed(out(5)) {
			t.Error("outlet 4 should be open and 5 closed")
		}
	})
}

// A group is cut at once: all relays are written within a second, whatever the journal and the broker do in between.
func TestAGroupIsCutAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigIn(t, rackOf("ac24"))
		r.start()
		began := time.Now()
		r.send("c1", "outlet.cut", "feed/row")
		s := r.expect("c1", rack.StatePartial, rack.CodeApprovalRequired)
		succeeded, rejected := 0, 0
		for _, tr := range s.Targets {
			switch {
			case tr.State == rack.StateSucceeded:
				succeeded++
			case tr.State == rack.StateRejected && strings.HasPrefix(tr.Target.Name, "gpu-"):
				rejected++
			}
		}
		if succeeded != 12 || rejected != 4 || len(r.relayWrites()) != 12 {
			t.Errorf("%d succeeded, %d rejected, %d writes", succeeded, rejected, len(r.relayWrites()))
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("it took %s", took)
		}
		r.close()
	})
}
