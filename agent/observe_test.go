package agent_test

import (
	"os"
	"path/filepath"

	"rackagent/agent/sim/observer"
)

// observe has the whole run judged by the observer, which knows the bus trace, the true watts, the disk and the messages,
// and nothing of the agent. Call it after the last life has ended.
func (r *rig) observe() {
	r.t.Helper()
	text, err := os.ReadFile("testdata/rack.yaml")
	if err != nil {
		r.t.Fatal(err)
	}
	model, err := os.ReadFile(filepath.Join("..", "drivers", "pdu", "models", "ac8.yaml"))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, v := range observer.Observe(observer.Evidence{
		World: r.world, Config: text, Models: map[string][]byte{"ac8": model},
		States: append(r.copies, observer.State{Path: r.dir, Seq: observer.Final}),
	}) {
		r.t.Errorf("broken: %s", v)
	}
}

// capture copies the state directory as it is at this moment, for the observer.
func (r *rig) capture(to string) {
	st, err := observer.Copy(r.world, r.dir, to)
	if err != nil {
		r.t.Errorf("copy the state directory: %v", err)
		return
	}
	r.copies = append(r.copies, st)
}
