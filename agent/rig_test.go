package agent_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rackagent/agent"
	"rackagent/agent/audit"
	"rackagent/agent/backlog"
	"rackagent/agent/inventory"
	"rackagent/agent/rack"
	"rackagent/agent/sim"
	"rackagent/agent/sim/observer"
	"rackagent/agent/wire"
	"rackagent/config"
	"rackagent/drivers/drivertest"
	"rackagent/drivers/i2cbus"
)

// rig is a whole agent on a simulated rack, joined to the embedded broker by pipes, so that it runs in the virtual time
// of a synctest bubble. Tests judge from the record of the world.
type rig struct {
	t      *testing.T
	in     setting
	conf   *config.Config
	world  *sim.World
	agent  *agent.Agent
	dir    string
	copies []observer.State // of the state directory on the way

	life   *life
	change func(*agent.World) // what the agent is given, where it is not the ordinary; nil: it is
	ready  chan struct{}
	end    context.CancelFunc
	done   chan error
}

// newRig builds the world with the agent not yet started.
func newRig(t *testing.T, change ...func(*sim.Config)) *rig {
	t.Helper()
	return newRigIn(t, eight(), change...)
}

// newRigIn is newRig on another rack.
func newRigIn(t *testing.T, in setting, change ...func(*sim.Config)) *rig {
	t.Helper()
	text, err := os.ReadFile(in.file)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := config.Parse(in.file, text)
	if findings := c.Check(inventory.Catalogue()); config.HasErrors(findings) {
		t.Fatal(findings)
	}
	sc := in.world(1) // the rack of the file, from the hardware's side
	sc.StateDir = t.TempDir()
	for _, f := range change {
		f(&sc)
	}
	w, err := sim.New(sc)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Broker().Start(""); err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, in: in, conf: c, world: w, dir: filepath.Join(sc.StateDir, "state")}
	return r
}

func out(n int) rack.OutletID { return rack.OutletID{PDU: "pdu-a", N: n} }

// start brings the agent up and waits for its first sweep.
func (r *rig) start() {
	r.t.Helper()
	r.launch()
	select {
	case <-r.ready:
	case err := <-r.done:
		r.t.Fatalf("the agent ended at its start: %v", err)
	}
}

// launch brings the agent up and waits for nothing.
func (r *rig) launch() {
	r.t.Helper()
	conf := *r.conf
	conf.StateDir = r.dir
	ready := make(chan struct{})
	r.ready = ready
	if r.life == nil || r.life.isOver() {
		r.life = newLife(r.world, r.in.writes)
	}
	l := r.life
	outside := agent.World{
		Bus:         func(_ context.Context, b config.Bus) (i2cbus.Transport, error) { return wires{l, b.Adapter}, nil },
		Dial:        func(context.Context) (net.Conn, error) { return l.dial() },
		Clock:       func() wire.Clock { return wire.Clock{Source: "simulated", OK: r.world.ClockSynced()} },
		Commit:      l.commit,
		Random:      func() uint32 { return 1 << 31 }, // a walk is the same each time
		Audit:       paper{l, audit.Dir(filepath.Join(r.dir, "audit"))},
		Ready:       func() { close(ready) },
		BacklogDisk: func(inner backlog.Disk) backlog.Disk { return mortal{inner, l} },
		Log:         slog.New(slog.NewTextHandler(logTo{r.t}, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if r.change != nil {
		r.change(&outside)
	}
	a, err := agent.New(&conf, outside)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.agent, r.end, r.done = a, cancel, make(chan error, 1)
	go func() { r.done <- a.Run(ctx) }()
}

// stop ends the agent in order.
func (r *rig) stop() {
	r.t.Helper()
	r.end()
	if err := <-r.done; err != nil {
		r.t.Errorf("the agent ended with %v", err)
	}
}

// crash ends this life as a power cut would and begins another on what was on disk.
func (r *rig) crash() {
	copied := r.t.TempDir()
	r.life.crashed = func() {
		if err := os.CopyFS(copied, os.DirFS(r.dir)); err != nil {
			r.t.Error(err)
		}
		r.capture(filepath.Join(r.t.TempDir(), "seen"))
	}
	r.life.end()
	r.end()
	<-r.done
	r.dir = copied
	r.start()
}

// close ends agent and world.
func (r *rig) close() {
	r.t.Helper()
	r.stop()
	r.observe()
	r.conform()
	r.verify()
	if err := r.world.Close(); err != nil {
		r.t.Errorf("close the world: %v", err)
	}
}

// logTo shows the agent's warnings beside a failing test.
type logTo struct{ t *testing.T }

func (l logTo) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

var topic = wire.Topic("test", "r1")

// envelope is a command as an operator would write it.
func envelope(id, op, target, more string) string {
	return fmt.Sprintf(`{"v":1,"id":%q,"op":%q,"target":%q,"exp":%d%s}`, id, op, target, time.Now().Add(time.Minute).UnixMilli(), more)
}

// send publishes a command.
func (r *rig) send(id, op, target string, more ...string) {
	r.t.Helper()
	r.publish(envelope(id, op, target, strings.Join(more, "")), false)
}

func (r *rig) publish(payload string, retain bool) {
	r.t.Helper()
	if err := r.world.Broker().Publish(topic.Command(), []byte(payload), 1, retain); err != nil {
		r.t.Fatal(err)
	}
}

// statuses are all states of a command as the broker took them, in order.
func (r *rig) statuses(id string) []wire.Status {
	r.t.Helper()
	var out []wire.Status
	for _, m := range sim.Of[sim.Message](r.world.Trace().Entries()) {
		if m.Out || m.Topic != topic.Up("cmd/"+id) {
			continue
		}
		s, err := wire.DecodeStatus(m.Payload)
		if err != nil {
			r.t.Fatalf("%s: %v", m.Payload, err)
		}
		out = append(out, s)
	}
	return out
}

// await waits for the terminal state of a command.
func (r *rig) await(id string) wire.Status {
	r.t.Helper()
	for range 3000 {
		for _, s := range r.statuses(id) {
			if s.State.Terminal() {
				return s
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	r.t.Fatalf("command %s has no terminal state after 150 s: %v", id, r.states(id))
	return wire.Status{}
}

// states lists the states of a command in one line.
func (r *rig) states(id string) string {
	var words []string
	for _, s := range r.statuses(id) {
		word := string(s.State)
		if s.Code != "" {
			word += "/" + string(s.Code)
		}
		if s.Dup {
			word += " dup"
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

// expect checks how a command ended.
func (r *rig) expect(id string, state rack.State, code rack.Code) wire.Status {
	r.t.Helper()
	s := r.await(id)
	if s.State != state || s.Code != code {
		r.t.Errorf("command %s ended %s %q (%s), want %s %q", id, s.State, s.Code, s.Text, state, code)
	}
	return s
}

// relayWrites are the transfers that may move an outlet.
func (r *rig) relayWrites() []drivertest.Transfer {
	var out []drivertest.Transfer
	for _, e := range r.world.Trace().Entries() {
		if tr, ok := e.Event.(sim.Transfer); ok && r.in.writes(tr.Transfer) {
			out = append(out, tr.Transfer)
		}
	}
	return out
}

// damageJournal overwrites the middle of the journal's file.
func (r *rig) damageJournal() {
	r.t.Helper()
	name := filepath.Join(r.dir, "journal.db")
	b, err := os.ReadFile(name)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := range b {
		b[i] ^= 0xA5
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		r.t.Fatal(err)
	}
}
