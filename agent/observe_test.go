package agent_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"rackagent/agent/sim"
	"rackagent/agent/sim/observer"
	"rackagent/agent/wire"
)

// observe has the whole run judged by the observer, which knows the bus trace, the true watts, the disk and the messages,
// and nothing of the agent. Call it after the last life has ended.
func (r *rig) observe() {
	r.t.Helper()
	text, err := os.ReadFile(r.in.file)
	if err != nil {
		r.t.Fatal(err)
	}
	model, err := os.ReadFile(filepath.Join("..", "drivers", "pdu", "models", r.in.name+".yaml"))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, v := range observer.Observe(observer.Evidence{
		World: r.world, Config: text, Models: map[string][]byte{r.in.name: model},
		States: append(r.copies, observer.State{Path: r.dir, Seq: observer.Final}),
	}) {
		r.t.Errorf("broken: %s", v)
	}
}

// conform holds every message that the agent has published against the shipped schemas.
func (r *rig) conform() {
	r.t.Helper()
	schemas, err := compiled()
	if err != nil {
		r.t.Fatal(err)
	}
	kinds := map[string]string{"state": "state", "info": "info", "tele": "telemetry", "event": "event", "alarm": "alarm", "cmd": "status", "backfill": "telemetry", "gap": "gap", "selftest": "selftest"}
	for _, m := range sim.Of[sim.Message](r.world.Trace().Entries()) {
		sub, ours := strings.CutPrefix(m.Topic, topic.Up("x")[:len(topic.Up("x"))-1])
		if m.Out || !ours || len(m.Payload) == 0 {
			continue
		}
		word, _, _ := strings.Cut(sub, "/")
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(m.Payload))
		if err == nil {
			err = schemas[kinds[word]].Validate(v)
		}
		if err != nil {
			r.t.Errorf("%s does not fit its schema: %v\n%s", m.Topic, err, m.Payload)
		}
	}
}

// compiled are the shipped schemas by name. They are compiled once for all tests.
var compiled = sync.OnceValues(func() (map[string]*jsonschema.Schema, error) {
	out := make(map[string]*jsonschema.Schema)
	for _, name := range []string{"state", "info", "telemetry", "gap", "event", "alarm", "status", "selftest"} {
		raw, err := fs.ReadFile(wire.Schemas(), name+".json")
		if err != nil {
			return nil, err
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			return nil, err
		}
		c := jsonschema.NewCompiler()
		if err := c.AddResource("mem:///"+name, doc); err != nil {
			return nil, err
		}
		if out[name], err = c.Compile("mem:///" + name); err != nil {
			return nil, err
		}
	}
	return out, nil
})

// capture copies the state directory as it is at this moment, for the observer.
func (r *rig) capture(to string) {
	st, err := observer.Copy(r.world, r.dir, to)
	if err != nil {
		r.t.Errorf("copy the state directory: %v", err)
		return
	}
	r.copies = append(r.copies, st)
}
