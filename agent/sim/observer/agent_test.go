package observer

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent"
	"rackagent/agent/inventory"
	"rackagent/agent/sim"
	"rackagent/agent/wire"
	"rackagent/config"
	"rackagent/drivers/drivertest"
	"rackagent/drivers/i2cbus"
)

// realRack is the real agent in a simulated world.
type realRack struct {
	t      *testing.T
	w      *sim.World
	yaml   string
	dir    string                         // the agent's state directory
	moves  func(drivertest.Transfer) bool // tells the writes to relays from the other transfers
	states []State
	stop   func() // ends the agent that runs
}

// realStory has the agent itself live through something, with a copy of its state directory at each write to the
// relays, and judges it. It must break nothing.
func realStory(t *testing.T, writes int, play func(*realRack)) {
	t.Helper()
	realStoryIn(t, sim.Demo(3), rackConfig, func(x drivertest.Transfer) bool { return x.Addr == 0x20 && len(x.W) > 1 }, writes, play)
}

// realStoryIn is the same in a world and under a configuration of its own.
func realStoryIn(t *testing.T, c sim.Config, yaml string, moves func(drivertest.Transfer) bool, writes int, play func(*realRack)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c.StateDir = t.TempDir()
		w, err := sim.New(c)
		if err != nil {
			t.Fatal(err)
		}
		a := &realRack{t: t, w: w, dir: filepath.Join(c.StateDir, "state"), moves: moves}
		a.yaml = strings.Replace(yaml, "agent: r1\n", "agent: r1\nstate_dir: "+a.dir+"\n", 1)
		if err := w.Broker().Start(""); err != nil {
			t.Fatal(err)
		}
		a.watchWrites()
		a.stop = a.start("boot-1")
		play(a)
		a.stop()
		a.judge(writes)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// The agent cuts a miner, refuses to cut the server, finds a welded relay, is restarted and energises the miner again.
func TestRealAgent(t *testing.T) {
	realStory(t, 3, func(a *realRack) {
		a.order("c1", "outlet.cut", "outlet/pdu-a.3", "succeeded")
		a.order("c2", "outlet.cut", "node/gpu-1", "rejected")
		a.fault("welded=pdu-a.2")
		a.order("c3", "outlet.cut", "outlet/pdu-a.2", "failed")
		a.order("c1", "outlet.cut", "outlet/pdu-a.3", "succeeded") // a repeat
		a.restart()
		time.Sleep(31 * time.Second)
		a.order("c4", "outlet.energise", "outlet/pdu-a.3", "succeeded")
	})
}

// What goes wrong around the agent is not held against it.
func TestRealAgentUnderFaults(t *testing.T) {
	for name, x := range map[string]struct {
		writes int
		play   func(*realRack)
	}{
		"relay bank reset": {4, func(a *realRack) {
			a.fault("brownout=pdu-a")
			time.Sleep(40 * time.Second)
			a.order("x1", "outlet.energise", "node/asic-1", "succeeded") // behind a take-over of two writes
			a.order("x2", "outlet.energise", "node/asic-2", "succeeded")
		}},
		"bus hung": {0, func(a *realRack) {
			f := a.fault("hang=sim-i2c-0")
			time.Sleep(2 * time.Second)
			a.order("x1", "outlet.cut", "node/asic-1", "failed")
			if err := a.w.Heal(f); err != nil {
				a.t.Error(err)
			}
			time.Sleep(20 * time.Second)
		}},
		"meter dead": {1, func(a *realRack) {
			a.order("x1", "outlet.cut", "node/asic-1", "succeeded")
			a.fault("nack=pdu-a.meter.2")
			time.Sleep(20 * time.Second)
		}},
		"cables crossed": {1, func(a *realRack) {
			a.fault("crossed=pdu-a.1:pdu-a.2")
			a.order("x1", "outlet.cut", "node/asic-1", "failed")
			a.order("x2", "outlet.cut", "node/asic-2", "rejected")
		}},
		"restart within a cycle": {1, func(a *realRack) {
			a.publish("x1", "outlet.cycle", "node/asic-1")
			time.Sleep(10 * time.Second)
			a.restart()
			time.Sleep(40 * time.Second)
		}},
		"write lost": {2, func(a *realRack) {
			b, err := a.w.Bus(sim.DemoBus)
			if err != nil {
				a.t.Fatal(err)
			}
			b.Inject(drivertest.Fault{Kind: drivertest.FaultTimeout, Addr: 0x20, Writes: 2, Times: 1, Taken: true})
			a.publish("x1", "outlet.cut", "node/asic-1")
			time.Sleep(10 * time.Second)
			a.order("x2", "outlet.cut", "node/asic-2", "succeeded")
		}},
	} {
		t.Run(name, func(t *testing.T) { realStory(t, x.writes, x.play) })
	}
}

// restart ends the agent in order and starts the next one.
func (a *realRack) restart() {
	a.t.Helper()
	a.stop()
	a.stop = a.start("boot-2")
}

func (a *realRack) fault(s string) sim.Fault {
	a.t.Helper()
	f, err := sim.ParseFault(s)
	if err != nil {
		a.t.Fatal(err)
	}
	if err := a.w.Inject(f); err != nil {
		a.t.Fatal(err)
	}
	return f
}

// watchWrites copies the state directory whenever a write to the relays is about to go out.
func (a *realRack) watchWrites() {
	bus, err := a.w.Bus(sim.DemoBus)
	if err != nil {
		a.t.Fatal(err)
	}
	bus.SetGate(func(p drivertest.Phase, x drivertest.Transfer) error {
		if p == drivertest.Before && a.moves(x) {
			s, err := Copy(a.w, a.dir, filepath.Join(a.t.TempDir(), "copy"))
			if err != nil {
				a.t.Error(err)
			}
			a.states = append(a.states, s)
		}
		return nil
	})
}

// start runs the agent until stop, and returns when it has read all devices once.
func (a *realRack) start(boot string) (stop func()) {
	a.t.Helper()
	c, findings := config.Parse("rack.yaml", []byte(a.yaml))
	findings = append(findings, c.Check(inventory.Catalogue())...)
	if config.HasErrors(findings) {
		a.t.Fatal(findings)
	}
	ready := make(chan struct{})
	run, err := agent.New(c, agent.World{
		Bus:   func(_ context.Context, b config.Bus) (i2cbus.Transport, error) { return a.transport(b.Adapter) },
		Dial:  func(context.Context) (net.Conn, error) { return a.w.Broker().Pipe() },
		Clock: func() wire.Clock { return wire.Clock{Source: "simulated", OK: a.w.ClockSynced()} },
		Boot:  boot, Ready: func() { close(ready) },
	})
	if err != nil {
		a.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := run.Run(ctx); err != nil {
			a.t.Error(err)
		}
	})
	<-ready
	time.Sleep(5 * time.Second)
	return func() { cancel(); wg.Wait(); time.Sleep(5 * time.Second) } // paho ends some goroutines late
}

// transport lends a bus: an agent closes what it was given, and the next one needs it.
func (a *realRack) transport(name string) (i2cbus.Transport, error) {
	b, err := a.w.Bus(name)
	return lent{b}, err
}

type lent struct{ *drivertest.Bus }

func (lent) Close() error { return nil }

// publish sends a command as an operator would; its expiry is the same for repeats.
func (a *realRack) publish(id, op, target string) {
	a.t.Helper()
	exp := time.Date(2000, 1, 1, 0, 4, 0, 0, time.UTC).UnixMilli()
	payload := fmt.Sprintf(`{"v":1,"id":%q,"op":%q,"target":%q,"exp":%d}`, id, op, target, exp)
	if err := a.w.Broker().Publish(root+"down/cmd", []byte(payload), 1, false); err != nil {
		a.t.Fatal(err)
	}
}

// order publishes a command and waits for its result.
func (a *realRack) order(id, op, target, want string) {
	a.t.Helper()
	e := a.w.Trace().Entries()
	from := e[len(e)-1].Seq
	a.publish(id, op, target)
	for range 200 {
		time.Sleep(100 * time.Millisecond)
		for _, m := range sim.Of[sim.Message](a.w.Trace().Since(from)) {
			s, err := readStatus(m.Payload)
			if !m.Out && m.Topic == root+"up/cmd/"+id && err == nil && terminal(s.State) {
				if s.State != want {
					a.t.Errorf("command %s ended %s, want %s: %s", id, s.State, want, m.Payload)
				}
				return
			}
		}
	}
	a.t.Fatalf("command %s has no result", id)
}

// judge lists what was broken, and makes sure that there was something to judge.
func (a *realRack) judge(writes int) {
	a.t.Helper()
	e := Evidence{
		World: a.w, Config: []byte(a.yaml), Models: models(a.t), States: append(a.states, State{Path: a.dir, Seq: Final}),
	}
	for _, v := range Observe(e) {
		a.t.Error(v)
	}
	r, err := newRun(e)
	if err != nil {
		a.t.Fatal(err)
	}
	if len(r.writes) != writes || len(a.states) != writes {
		a.t.Errorf("%d writes to the relays and %d copies, want %d", len(r.writes), len(a.states), writes)
	}
	if len(r.mail.batches) < 2 || len(r.mail.statuses) == 0 || len(r.mail.deliveries) == 0 || len(r.book.entries) == 0 {
		a.t.Errorf("too little was seen: %d batches, %d states, %d commands, %d entries",
			len(r.mail.batches), len(r.mail.statuses), len(r.mail.deliveries), len(r.book.entries))
	}
}
