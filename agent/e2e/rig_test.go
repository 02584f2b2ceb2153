package e2e

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rackagent/agent"
	"rackagent/agent/inventory"
	"rackagent/agent/link"
	"rackagent/agent/rack"
	"rackagent/agent/sim"
	"rackagent/agent/wire"
	"rackagent/config"
	"rackagent/drivers/i2cbus"
)

// rackYAML is a rack of six miners and a server on one PDU. Its blanks: state directory, settings of the broker,
// seconds between two samples of an outlet.
const rackYAML = `schema: 1
site: test
agent: r1
state_dir: %s
mqtt: {%s}
commands: {unsigned: true}
http: {listen: ""}
poll: {outlet_period_s: %g, identity_period_s: 60}
telemetry: {period_s: 1}
buses:
  - {name: main, adapter: sim-i2c-0}
feeds:
  - {name: feed-a, lines: [L1], volts_v: 230, rating_a: 160}
pdus:
  - {name: pdu-a, model: ac8, bus: main, serial: SIM-0001, banks: {a: feed-a}}
nodes:
  - {name: asic-1, class: asic, outlets: [pdu-a.1], wiring: declared, max_w: 3300}
  - {name: asic-2, class: asic, outlets: [pdu-a.2], wiring: declared, max_w: 3300}
  - {name: asic-3, class: asic, outlets: [pdu-a.3], wiring: declared, max_w: 3300}
  - {name: asic-4, class: asic, outlets: [pdu-a.4], wiring: declared, max_w: 3300}
  - {name: asic-5, class: asic, outlets: [pdu-a.5], wiring: declared, max_w: 3300}
  - {name: asic-6, class: asic, outlets: [pdu-a.6], wiring: declared, max_w: 3300}
  - {name: gpu-1, class: gpu, outlets: [pdu-a.7, pdu-a.8], wiring: declared, max_w: 3300}
`

// topic are the topics of that rack's agent.
var topic = wire.Topic("test", "r1")

func out(n int) rack.OutletID { return rack.OutletID{PDU: "pdu-a", N: n} }

// rackWorld is the same rack from the hardware's side. bitRate is that of the bus; 0: transfers take no time.
func rackWorld(bitRate int) sim.Config {
	c := sim.Config{
		Seed: 1, BitRate: bitRate,
		Feeds:  []sim.Feed{{Name: "feed-a", Volts: 230, Hertz: 50}},
		Boards: []sim.Board{sim.AC8("pdu-a", "sim-i2c-0", "SIM-0001", "feed-a")},
	}
	for n := 1; n <= 6; n++ {
		c.Loads = append(c.Loads, sim.Plug{Load: sim.NewMiner(fmt.Sprintf("asic-%d", n)), Outlets: []rack.OutletID{out(n)}})
	}
	c.Loads = append(c.Loads, sim.Plug{Load: sim.NewServer("gpu-1"), Outlets: []rack.OutletID{out(7), out(8)}})
	return c
}

// load reads a configuration file as the product does. Warnings are left to the product.
func load(path string) (*config.Config, error) {
	c, findings, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	if config.HasErrors(findings) {
		return nil, fmt.Errorf("%v", findings)
	}
	if findings := c.Check(inventory.Catalogue()); config.HasErrors(findings) {
		return nil, fmt.Errorf("%v", findings)
	}
	return c, nil
}

// lasting is a bus that outlives the agent on it, as hardware does.
type lasting struct{ i2cbus.Transport }

func (lasting) Close() error { return nil }

// outside is the simulated rack with the real network, as the agent sees them. Broker, certificates and password come
// from the files that the configuration names, and are read at every attempt.
func outside(c *config.Config, w *sim.World, log *slog.Logger) (agent.World, error) {
	m := c.MQTT
	files := link.TLS{CA: m.CAFile, Cert: m.CertFile, Key: m.KeyFile, ServerName: m.ServerName, Names: []string{c.Agent, m.ClientID}}
	dial, err := link.Dialer(m.URLs(), files)
	if err != nil {
		return agent.World{}, err
	}
	world := agent.World{
		Bus: func(_ context.Context, b config.Bus) (i2cbus.Transport, error) {
			bus, err := w.Bus(b.Adapter)
			return lasting{bus}, err
		},
		Dial:  dial,
		Look:  files.Look,
		Clock: func() wire.Clock { return wire.Clock{Source: "simulated", OK: w.ClockSynced()} },
		Log:   log,
	}
	if m.PasswordFile != "" {
		world.Password = func() (string, error) {
			s, err := config.ReadSecret(m.PasswordFile)
			return s.Reveal(), err
		}
	}
	return world, nil
}

// diary keeps what the agent logs, for a test that fails.
type diary struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (d *diary) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.Write(p)
}

func (d *diary) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.String()
}

// rig is a rack with its configuration file and state directory. The agent on it can be started and stopped.
type rig struct {
	tb    testing.TB
	file  string
	conf  *config.Config
	world *sim.World
	log   diary

	change func(*agent.World) // what the agent is given, where it is not the ordinary; nil: it is

	agent *agent.Agent // the newest one
	ready chan struct{}
	end   context.CancelFunc // nil: no agent runs
	done  chan error
}

// newRig writes the configuration and builds the world. mqtt is the inside of the configuration's mqtt map; edits are
// pairs of an old and a new text in the rest.
func newRig(tb testing.TB, mqtt string, periodS float64, c sim.Config, edits ...string) *rig {
	tb.Helper()
	dir := tb.TempDir()
	r := &rig{tb: tb, file: filepath.Join(dir, "config.yaml")}
	text := fmt.Sprintf(strings.NewReplacer(edits...).Replace(rackYAML), filepath.Join(dir, "state"), mqtt, periodS)
	if err := os.WriteFile(r.file, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	r.furnish(c)
	var err error
	if r.conf, err = load(r.file); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("the agent's log:\n%s", &r.log)
		}
	})
	return r
}

// furnish puts a new world around the state directory.
func (r *rig) furnish(c sim.Config) {
	r.tb.Helper()
	c.StateDir = filepath.Dir(r.file)
	w, err := sim.New(c)
	if err != nil {
		r.tb.Fatal(err)
	}
	r.world = w
	r.tb.Cleanup(func() {
		r.stop()
		if err := w.Close(); err != nil {
			r.tb.Errorf("close the world: %v", err)
		}
	})
}

// launch starts an agent and waits for nothing.
func (r *rig) launch() {
	r.tb.Helper()
	w, err := outside(r.conf, r.world, slog.New(slog.NewTextHandler(&r.log, nil)))
	if err != nil {
		r.tb.Fatal(err)
	}
	ready := make(chan struct{})
	w.Ready = func() { close(ready) }
	if r.change != nil {
		r.change(&w)
	}
	a, err := agent.New(r.conf, w)
	if err != nil {
		r.tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	r.agent, r.ready, r.end, r.done = a, ready, cancel, done
}

// start starts an agent and waits for its first sweep.
func (r *rig) start() {
	r.tb.Helper()
	r.launch()
	select {
	case <-r.ready:
	case err := <-r.done:
		r.end = nil
		r.tb.Fatalf("the agent ended at its start: %v", err)
	case <-time.After(30 * time.Second):
		r.tb.Fatal("the agent is not ready after 30 s")
	}
}

// stop ends the agent in order, if one runs.
func (r *rig) stop() {
	r.tb.Helper()
	if r.end == nil {
		return
	}
	r.end()
	r.end = nil
	if err := <-r.done; err != nil {
		r.tb.Errorf("the agent ended with %v", err)
	}
}

// envelope is a command as an operator would write it.
func envelope(id, op, target string, life time.Duration, more string) string {
	return fmt.Sprintf(`{"v":1,"id":%q,"op":%q,"target":%q,"exp":%d%s}`, id, op, target, time.Now().Add(life).UnixMilli(), more)
}

// relayWrites are the transfers that write latch, polarity or direction of the relay expander, from a number of the
// record on.
func (r *rig) relayWrites(since uint64) []sim.Transfer {
	var writes []sim.Transfer
	for _, tr := range sim.Of[sim.Transfer](r.world.Trace().Since(since)) {
		if tr.Addr == 0x20 && len(tr.W) > 1 && tr.W[0] >= 2 { // PCA9555 data sheet, table 4: commands 2 to 7 are outputs, polarity, configuration
			writes = append(writes, tr)
		}
	}
	return writes
}
