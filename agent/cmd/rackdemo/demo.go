package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"rackagent/agent"
	"rackagent/agent/inventory"
	"rackagent/agent/link"
	"rackagent/agent/local"
	"rackagent/agent/rack"
	"rackagent/agent/sim"
	"rackagent/agent/wire"
	"rackagent/config"
	"rackagent/drivers/drivertest/miners"
	"rackagent/drivers/i2cbus"
)

//go:embed demo.yaml
var demoYAML []byte

// demo is a simulated rack with its broker and the agent on it.
type demo struct {
	conf  *config.Config
	world *sim.World
	herd  *sim.Herd // its miners
	agent *agent.Agent
	tell  *narrator
	ready chan struct{}
}

// run plays the demo until ctx ends, or the story is over.
func run(ctx context.Context, f flags, out io.Writer) error {
	d, err := newDemo(f, out)
	if err != nil {
		return err
	}
	defer func() { d.herd.Close(); _ = d.world.Close() }()
	ctx, end := context.WithCancel(ctx)
	defer end()
	var g errgroup.Group
	g.Go(func() error { d.tell.run(ctx); return nil })
	g.Go(func() error { defer end(); return d.agent.Run(ctx) })
	select {
	case <-d.ready:
	case <-ctx.Done():
		err = g.Wait()
		d.tell.rest()
		return err
	}
	d.tell.introduce(d)
	if f.Once {
		err = d.story(ctx)
		end()
	} else {
		d.keepLinesFresh(ctx)
	}
	err = errors.Join(err, g.Wait())
	d.tell.rest()
	return err
}

func newDemo(f flags, out io.Writer) (*demo, error) {
	c, findings := config.Parse("demo.yaml", demoYAML)
	if config.HasErrors(findings) {
		return nil, fmt.Errorf("the demo's own configuration: %v", findings)
	}
	if findings := c.Check(inventory.Catalogue()); config.HasErrors(findings) {
		return nil, fmt.Errorf("the demo's own configuration: %v", findings)
	}
	h, err := herd(c)
	if err != nil {
		return nil, err
	}
	hardware := sim.Showcase(f.Seed) // what demo.yaml describes, from the hardware's side
	h.Plug(&hardware)
	w, err := sim.New(hardware)
	if err != nil {
		return nil, err
	}
	for _, s := range f.Fault {
		if err := inject(w, s); err != nil {
			return nil, errors.Join(err, w.Close())
		}
	}
	if err := w.Broker().Start(f.Broker); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	c.StateDir = filepath.Join(w.StateDir(), "state")
	c.Commands.Users = whoStartedIt()
	d := &demo{conf: c, world: w, herd: h, ready: make(chan struct{}), tell: newNarrator(out)}
	d.agent, err = agent.New(c, d.outside(f))
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return d, nil
}

// liars say that they sleep and draw all the same; the one that hangs takes connections and says nothing.
func liars() []string { return []string{"asic-8", "asic-15"} }

const hangs = "asic-10"

// herd are the miners of the configuration. They boot and ramp up in seconds: real ones take minutes, too long to watch.
func herd(c *config.Config) (*sim.Herd, error) {
	var units []sim.Unit
	for _, m := range c.Miners {
		units = append(units, sim.Unit{Node: m.Node, API: m.API})
	}
	h, err := sim.NewHerd(units, func(n int) miners.Spec { return sim.ThreeModes(n, 3250, 5*time.Second, 8*time.Second) })
	if err != nil {
		return nil, err
	}
	for _, node := range liars() {
		h.Load(node).Lie(true)
	}
	h.Machine(hangs).Set(miners.Hangs, true)
	return h, nil
}

// whoStartedIt may command the rack through its socket, as an operator at a real one would.
func whoStartedIt() []config.User {
	if uid := os.Getuid(); uid >= 0 && uid != nobody {
		return []config.User{{UID: int64(uid), Issuer: "demo", Role: "operator"}}
	}
	return nil
}

// nobody is the uid of whom the kernel knows no name (user_namespaces(7)).
const nobody = 65534

func inject(w *sim.World, s string) error {
	fault, err := sim.ParseFault(s)
	if err != nil {
		return err
	}
	return w.Inject(fault)
}

// outside is the simulated world as the agent sees it.
func (d *demo) outside(f flags) agent.World {
	log := slog.New(slog.DiscardHandler)
	if f.Log {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	w := agent.World{
		Bus:       func(_ context.Context, b config.Bus) (i2cbus.Transport, error) { return d.world.Bus(b.Adapter) },
		Dial:      d.dial,
		DialMiner: d.herd.Dial,
		Clock:     func() wire.Clock { return wire.Clock{Source: "simulated", OK: d.world.ClockSynced()} },
		Ready:     func() { close(d.ready) },
		Heard:     d.tell.hear,
		Log:       log,
	}
	if f.Broker != "" {
		w.Local = func(ctx context.Context) (net.Listener, error) { return local.Listen(ctx, d.socket(), "") }
	}
	return w
}

// dial connects to the embedded broker: over loopback, or inside the process where it does not listen.
func (d *demo) dial(ctx context.Context) (net.Conn, error) {
	address := d.world.Broker().Address()
	if address == "" {
		return d.world.Broker().Pipe()
	}
	return new(net.Dialer).DialContext(ctx, "tcp", address)
}

func (d *demo) socket() string { return filepath.Join(d.world.StateDir(), "socket") }

// life is how long a printed line may be used; the contract allows 300 s from receipt.
const life = 290 * time.Second

// keepLinesFresh prints lines to copy, and new ones before the old expire.
func (d *demo) keepLinesFresh(ctx context.Context) {
	for n := 1; ; n++ {
		d.tell.lines(d.pubLines(n, time.Now()))
		select {
		case <-ctx.Done():
			return
		case <-time.After(life):
		}
	}
}

// pubLines are complete command lines for a shell.
func (d *demo) pubLines(round int, now time.Time) []string {
	host, port, _ := net.SplitHostPort(d.world.Broker().Address())
	topic := wire.Topic(d.conf.Site, d.conf.Agent).Command()
	var out []string
	for i, c := range []struct{ op, target, more string }{
		{"outlet.cut", "outlet/pdu-a.1", ""},
		{"outlet.cut", "node/gpu-1", ""},
		{"outlet.cycle", "outlet/pdu-a.2", ""},
		{"outlet.energise", "outlet/pdu-a.1", ""},
		{"outlet.cut", "node/asic-4", `,"dry":true`},
		{"sleep", "node/asic-3", ""},
		{"wake", "node/asic-3", ""},
		{"limit", "node/asic-5", `,"args":{"limit_w":2500}`},
		{"shutdown", "group/miners", ""},
		{"start", "group/miners", ""},
	} {
		out = append(out, fmt.Sprintf(`mosquitto_pub -h %s -p %s -q 1 -t %s -m '{"v":1,"id":"demo-%d-%d","op":%q,"target":%q,"exp":%d%s}'`,
			host, port, topic, round, i+1, c.op, c.target, now.Add(life).UnixMilli(), c.more))
	}
	return out
}

// send publishes a command as any operator would and follows it to its end.
func (d *demo) send(ctx context.Context, id string, op rack.Op, target string) (wire.Status, error) {
	c, err := link.Connect(ctx, link.ClientOpts{Site: d.conf.Site, Dial: d.dial})
	if err != nil {
		return wire.Status{}, err
	}
	defer c.Close()
	payload := fmt.Sprintf(`{"v":1,"id":%q,"op":%q,"target":%q,"exp":%d}`, id, op, target, time.Now().Add(time.Minute).UnixMilli())
	var last wire.Status
	var parts wire.Reassembly
	err = c.Do(ctx, d.conf.Agent, link.Command{ID: id, Payload: []byte(payload), Status: func(p []byte) bool {
		st, err := wire.DecodeStatus(p)
		if err != nil {
			return false
		}
		whole, ok := parts.Add(st)
		if ok {
			last = whole
		}
		return ok && whole.State.Terminal()
	}})
	return last, err
}

// story is what --once plays.
func (d *demo) story(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := inject(d.world, "welded=pdu-a.5"); err != nil {
		return err
	}
	var wrong []string
	for i, c := range []struct {
		say    string
		op     rack.Op
		target string
		state  rack.State
		code   rack.Code
	}{
		{"A miner is shed: its outlet opens, and the meter proves it.", rack.OpCut, "outlet/pdu-a.3", rack.StateSucceeded, ""},
		{"The GPU server must not go down: the same command is refused.", rack.OpCut, "node/gpu-1", rack.StateRejected, rack.CodeFirmGuard},
		{"A relay whose contact is welded: it reads back open, and the watts stay.", rack.OpCut, "outlet/pdu-a.5", rack.StateFailed, rack.CodeWelded},
		{"A miner is put to sleep by its own interface: no relay moves, and the meter proves it.", rack.OpSleep, "node/asic-1", rack.StateSucceeded, ""},
		{"It is woken, and does what it did before.", rack.OpWake, "node/asic-1", rack.StateSucceeded, ""},
	} {
		d.tell.say(time.Time{}, c.say)
		st, err := d.send(ctx, fmt.Sprintf("story-%d", i+1), c.op, c.target)
		if err != nil {
			return fmt.Errorf("command %d: %w", i+1, err)
		}
		if st.State != c.state || st.Code != c.code {
			wrong = append(wrong, fmt.Sprintf("%s of %s ended %s %s, expected %s %s", c.op, c.target, st.State, st.Code, c.state, c.code))
		}
	}
	if downs := d.world.Rack().Downs(); len(downs) > 0 {
		wrong = append(wrong, fmt.Sprintf("the server went down %d times", len(downs)))
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	d.tell.say(time.Time{}, "All five went as they must.")
	return nil
}
