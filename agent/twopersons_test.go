package agent_test

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent/rack"
)

// twoPersons has alice send a forced cut and carol approve it.
func (r *rig) twoPersons(id, approval string, seq int, target string) {
	r.t.Helper()
	text := write(id, "alice-1", seq, map[string]any{"target": target, "args": map[string]any{"force": true}}).String()
	r.publish(text, false)
	time.Sleep(time.Second)
	r.publish(r.approval(approval, "carol-1", seq, id, text), false)
}

// approval is kid's word on the text of a command.
func (r *rig) approval(id, kid string, seq int, about, text string) string {
	r.t.Helper()
	sum := sha256.Sum256([]byte(text))
	return write(id, kid, seq, map[string]any{
		"op": "approve", "target": "rack", "args": map[string]any{"id": about, "sha256": hex.EncodeToString(sum[:])},
	}).String()
}

// TestTwoPersonsOpenAServersOutlet, and one person does not, whichever way they try.
func TestTwoPersonsOpenAServersOutlet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigIn(t, keyed(t, eight(), false))
		r.start()
		force := map[string]any{"target": "outlet/pdu-a.8", "args": map[string]any{"force": true}}
		r.publish(write("plain", "alice-1", 1, map[string]any{"target": "outlet/pdu-a.8"}).String(), false)
		r.expect("plain", rack.StateRejected, rack.CodeFirmGuard)
		r.publish(write("auto", "bob-1", 1, force).String(), false) // automation names no firm node
		r.expect("auto", rack.StateRejected, rack.CodeUnknownKey)

		text := write("c1", "alice-1", 2, force).String()
		r.publish(text, false)
		time.Sleep(time.Second)
		w := r.statuses("c1")
		if len(w) != 1 || w[0].State != rack.StateWaiting || w[0].Code != rack.CodeApprovalRequired || w[0].Until.IsZero() || len(w[0].Sha256) != 64 {
			t.Fatalf("%+v", w)
		}
		r.publish(r.approval("own", "alice-2", 3, "c1", text), false)
		r.expect("own", rack.StateRejected, rack.CodeUnknownKey) // an operator does not approve
		r.publish(r.approval("other", "carol-1", 1, "c1", text+"x"), false)
		r.expect("other", rack.StateRejected, rack.CodePrecondition)
		if n := len(r.relayWrites()); n != 0 {
			t.Fatalf("%d writes to the relays", n)
		}
		r.publish(r.approval("a1", "carol-1", 2, "c1", text), false)
		r.expect("a1", rack.StateSucceeded, "")
		s := r.expect("c1", rack.StateSucceeded, "")
		if got := r.states("c1"); !strings.HasPrefix(got, "waiting/approval_required, accepted, ") {
			t.Errorf("states: %s", got)
		}
		var last int
		for _, st := range r.statuses("c1") {
			if st.N <= last {
				t.Errorf("n %d after %d", st.N, last)
			}
			last = st.N
		}
		if p := s.Targets[0].Steps[0].Proof; p == nil || p.AfterW == nil || *p.AfterW > 10 || len(r.relayWrites()) != 1 {
			t.Errorf("proof %+v, writes %v", p, r.relayWrites())
		}
		r.publish(text, false) // the same bytes again
		time.Sleep(2 * time.Second)
		if n := len(r.relayWrites()); n != 1 || len(r.world.Rack().Downs()) != 0 {
			t.Errorf("%d writes to the relays, downs %v", n, r.world.Rack().Downs())
		}
		r.close()
	})
}

// TestWhatWaitsEndsWithARestart, and an approval that comes afterwards is about nothing.
func TestWhatWaitsEndsWithARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigIn(t, keyed(t, eight(), false))
		r.start()
		text := write("c1", "alice-1", 1, map[string]any{"target": "node/gpu-1", "args": map[string]any{"force": true}}).String()
		r.publish(text, false)
		time.Sleep(time.Second)
		r.stop()
		r.start()
		r.expect("c1", rack.StateExpired, rack.CodeExpired)
		r.publish(r.approval("a1", "carol-1", 1, "c1", text), false)
		r.expect("a1", rack.StateRejected, rack.CodePrecondition)
		r.publish(write("late", "alice-2", 1, nil).String(), false) // the number was taken in the life before
		r.expect("late", rack.StateRejected, rack.CodeReplay)
		if slices.Contains(r.answers(), "c1 accepted") || len(r.relayWrites()) != 0 {
			t.Errorf("answers %v, writes %v", r.answers(), r.relayWrites())
		}
		r.close()
	})
}
