//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"rackagent/agent/sim/observer"
)

// period is the time between two samples of an outlet in the tests, in s. A reading is fresh for three of them, which
// must bridge the hiccups of a busy machine.
const period = 0.5

// theRack is a rig on a real broker.
func theRack(t *testing.T, m *mosquitto) *rig {
	t.Helper()
	return newRig(t, m.setting(), period, rackWorld(0))
}

// join starts the agent and waits until its birth is heard: it has subscribed then.
func (r *rig) join(t *testing.T, w *witness) {
	t.Helper()
	before := w.births()
	r.start()
	eventually(t, 10*time.Second, "the agent's birth", func() bool { return w.births() > before })
}

// judge stops the agent and holds what must be true of its bus, whatever was sent: every write is explained by a step
// of an accepted command of the journal, carried out once, in its life and in time (S1); the server stays up; what is
// called proven was true (S8). Then it counts: writes is the number of steps of the commands that were heard accepted.
//
// What the broker saw is not in the world's record, so the rules about messages (S5, S6, S7) are the tests' own. except
// names further rules that the observer cannot judge in this run.
func (r *rig) judge(t *testing.T, writes int, except ...string) {
	t.Helper()
	r.stop()
	text, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	model, err := os.ReadFile("../../drivers/pdu/models/ac8.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := observer.Observe(observer.Evidence{
		World: r.world, Config: text, Models: map[string][]byte{"ac8": model},
		States: []observer.State{{Path: filepath.Join(filepath.Dir(r.file), "state"), Seq: observer.Final}},
	})
	for _, v := range found {
		if !slices.Contains(append(except, "S5", "S6", "S7"), v.Rule) {
			t.Errorf("the bus: %s", v)
		}
	}
	if n := len(r.relayWrites(0)); n != writes {
		t.Errorf("%d writes to the relays, want %d", n, writes)
	}
	if v := r.world.Violations(); len(v) > 0 {
		t.Errorf("the bus was used wrongly: %v", v)
	}
}

// accepted counts the commands that were heard accepted, or ended as only an accepted one does.
func (w *witness) accepted(ids []string) (n int) {
	for _, id := range ids {
		if slices.ContainsFunc(w.words(id), func(x word) bool { return x.State != "rejected" }) {
			n++
		}
	}
	return n
}
