package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rackagent/agent/link"
	"rackagent/agent/sim"
	"rackagent/drivers/board"
	"rackagent/drivers/i2cbus"
	"rackagent/systemd"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestMain makes the test binary the product itself where another test has started it for that.
func TestMain(m *testing.M) {
	if os.Getenv(envChild) != "" {
		os.Exit(child())
	}
	goleak.VerifyTestMain(m)
}

// said is what one command line gave.
type said struct {
	status   int
	out, err string
}

// typed runs a command line in a world without hardware and without a clock that anybody sets.
func typed(t *testing.T, args ...string) said {
	t.Helper()
	o := outside{clocks: clocks{timesync: filepath.Join(t.TempDir(), "none", "synced"), chrony: silent}, hardware: bare, notifier: deaf, group: noGroup}
	return in(t.Context(), o, args...)
}

// silent is an address where nobody answers: UDP port 9 (discard) is not served by anything of today.
const silent = "127.0.0.1:9"

// deaf is a service manager that is not there.
func deaf(log *slog.Logger) (*systemd.Notifier, error) {
	return &systemd.Notifier{Log: log, Send: func(string) error { return nil }}, nil
}

// noGroup is a machine without groups.
func noGroup(name string) error { return user.UnknownGroupError(name) }

// bare is a machine without buses.
func bare(*slog.Logger) (hardware, error) { return fakeHardware{}, nil }

// in runs a command line in a world.
func in(ctx context.Context, o outside, args ...string) said {
	var out, err bytes.Buffer
	o.out, o.err = &out, &err
	code := execute(ctx, args, o)
	return said{code, out.String(), err.String()}
}

// fakeHardware is a board with the buses of a simulated world, or none.
type fakeHardware struct {
	adapters []board.Adapter
	lines    []board.Line
	bus      func(name string) (i2cbus.Transport, error)
}

func (f fakeHardware) Buses() ([]board.Adapter, error) { return f.adapters, nil }
func (f fakeHardware) Inputs() []board.Line            { return f.lines }
func (f fakeHardware) Find(name string) (board.Adapter, error) {
	for _, a := range f.adapters {
		if a.Name == name || a.Path == name {
			return a, nil
		}
	}
	return board.Adapter{}, fmt.Errorf("find bus %q: %w; the board has no I2C bus", name, board.ErrNotFound)
}
func (f fakeHardware) Bus(name string) (i2cbus.Transport, error) { return f.bus(name) }
func (f fakeHardware) Input(name string) (*board.Input, error) {
	return nil, fmt.Errorf("take line %q: %w", name, board.ErrNotFound)
}

func (f fakeHardware) Counter(name string, _ board.CounterOpts) (*board.Counter, error) {
	return nil, fmt.Errorf("take line %q: %w", name, board.ErrNotFound)
}

func (f fakeHardware) Clocks(scl, _ string) (*board.Clocks, error) {
	return nil, fmt.Errorf("find line %q: %w", scl, board.ErrNotFound)
}

func (f fakeHardware) AdapterReset(name string) (*board.AdapterReset, error) {
	return nil, fmt.Errorf("find bus %q: %w", name, board.ErrNotFound)
}

// lasting is a bus that outlives the process, or the part of it, that opened it.
type lasting struct{ i2cbus.Transport }

func (lasting) Close() error { return nil }

// rig is a simulated rack with a broker, and a configuration file for it.
type rig struct {
	t      *testing.T
	world  *sim.World
	dir    string // short, for paths of unix sockets
	config string
	socket string
	inTime bool // the clock is synchronised
	ahead  *atomic.Int64
}

// newRig is a rack of six miners and a server on one PDU.
func newRig(t *testing.T) *rig {
	t.Helper()
	ahead := new(atomic.Int64)
	c := sim.MinersAndServer(1)
	c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	c.StateDir = t.TempDir()
	w, err := sim.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if v := w.Violations(); len(v) > 0 {
			t.Errorf("the bus was used wrongly: %v", v)
		}
	})
	if err := w.Broker().Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, world: w, dir: shortDir(t), inTime: true, ahead: ahead}
	r.config, r.socket = filepath.Join(r.dir, "config.yaml"), filepath.Join(r.dir, "socket")
	r.configure("")
	return r
}

// ages lets time pass in the rack and nowhere else.
func (r *rig) ages(d time.Duration) { r.ahead.Add(int64(d)) }

// shortDir is a directory whose path leaves room for a socket's name: sun_path has 104 bytes on some systems.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rack")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// configure writes the configuration, with lines of its own at the end.
func (r *rig) configure(more string) {
	r.t.Helper()
	group, err := user.LookupGroupId(strconv.Itoa(os.Getgid()))
	if err != nil {
		r.t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `schema: 1
site: test
agent: r1
state_dir: %s
mqtt: {broker: "mqtt://%s"}
commands: {unsigned: true}
local: {socket: %s, group: %s}
http: {listen: ""}
poll: {outlet_period_s: 0.2, identity_period_s: 60}
buses:
  - {name: main, adapter: sim-i2c-0}
feeds:
  - {name: feed-a, lines: [L1], volts_v: 230, rating_a: 160}
pdus:
  - {name: pdu-a, model: ac8, bus: main, serial: SIM-0001, banks: {a: feed-a}}
nodes:
`, filepath.Join(r.dir, "state"), r.world.Broker().Address(), r.socket, group.Name)
	for n := 1; n <= 6; n++ {
		fmt.Fprintf(&b, "  - {name: asic-%d, class: asic, outlets: [pdu-a.%d], wiring: declared, max_w: 3300}\n", n, n)
	}
	b.WriteString("  - {name: gpu-1, class: gpu, outlets: [pdu-a.7, pdu-a.8], wiring: declared, max_w: 3300}\n")
	write(r.t, r.config, b.String()+more)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// outside is the machine: the simulated world's buses and a clock.
func (r *rig) outside() outside {
	c := clocks{timesync: filepath.Join(r.dir, "none", "synced"), chrony: silent}
	if r.inTime {
		c.timesync = r.config // exists
	}
	return outside{clocks: c, hardware: hardwareOf(r.hardware()), notifier: deaf, group: group}
}

func hardwareOf(hw fakeHardware) func(*slog.Logger) (hardware, error) {
	return func(*slog.Logger) (hardware, error) { return hw, nil }
}

func (r *rig) hardware() fakeHardware {
	return fakeHardware{
		adapters: []board.Adapter{{Path: "/dev/i2c-1", Name: "sim-i2c-0", Funcs: 1, Owned: map[uint16]string{0x51: "rtc-pcf8563"}}},
		bus: func(name string) (i2cbus.Transport, error) {
			b, err := r.world.Bus(name)
			return lasting{b}, err
		},
	}
}

// types runs a command line on this machine.
func (r *rig) types(args ...string) said {
	r.t.Helper()
	return in(r.t.Context(), r.outside(), append(args, "--config", r.config)...)
}

// runs starts the agent and waits until it is ready. The function stops it and gives what it said.
func (r *rig) runs() (stop func() said) {
	r.t.Helper()
	o := r.outside()
	ready := make(chan struct{}, 1)
	o.notifier = func(log *slog.Logger) (*systemd.Notifier, error) {
		return &systemd.Notifier{Log: log, Send: func(state string) error {
			if strings.HasPrefix(state, "READY=1\n") {
				ready <- struct{}{}
			}
			return nil
		}}, nil
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan said, 1)
	go func() { ended <- in(ctx, o, "run", "--config", r.config) }()
	select {
	case <-ready:
	case s := <-ended:
		r.t.Fatalf("the agent ended with %d:\n%s%s", s.status, s.out, s.err)
	}
	r.awaitBirth()
	end := sync.OnceValue(func() said { cancel(); return <-ended })
	r.t.Cleanup(func() { end() })
	return end
}

// awaitBirth waits until the broker holds the agent's birth, which follows its subscription.
func (r *rig) awaitBirth() {
	r.t.Helper()
	c, err := link.Connect(r.t.Context(), link.ClientOpts{Site: "test", Dial: func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", r.world.Broker().Address())
	}})
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	err = c.Follow(r.t.Context(), "r1", "state", func(m link.Received) bool { return !strings.Contains(string(m.Payload), `"online"`) })
	if err != nil {
		r.t.Fatal(err)
	}
}

// masks hide what differs from run to run and from machine to machine, and nothing else. Those that stand in tables keep
// their width.
var masks = []struct{ find, put string }{
	{`\b[0-9a-f]{26}\b`, "b00tb00tb00tb00tb00tb00tb0"},
	{`\b[A-Z2-7]{26}\b`, "RANDOMRANDOMRANDOMRANDOMRA"},
	{`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`, "YYYY-MM-DD hh:mm:ss"},
	{`possible from \d\d:\d\d:\d\d`, "possible from hh:mm:ss"},
	{`proven \d\.\d\d s`, "proven n.nn s"},
	{`\b3[12]\d\d\.\d\b`, "3###.#"},
	{`\b3[12]\d\d W\b`, "3### W"},
	{`\b1[56]\d\d W\b`, "1### W"},
	{`\b2[12]\d{3} W\b`, "2#### W"},
	{`\b10[01]\.\d A( \d)\d %  2#### W`, "10#.# A$1# %  2#### W"},
	{`"(measured_[aw])": (\d)[\d.]+`, `"$1": $2###`},
	{`\b[01] W after`, "0 W after"},
	{`\b1[56]\d\d\.\d\b`, "1###.#"},
	{`open    -?\d\.\d +`, "open    #.#     "},
	{`up \d+s`, "up Ns"},
	{`, \d+s remain`, ", Ns remain"},
	{`sha256:[0-9a-f]{64}`, "sha256:DIGEST"},
	{`\b[0-9a-f]{64}\b`, "HASH"},
	{`number \d{13}\b`, "number 1234567890123"},
	{`go1\.\d+(\.\d+)?`, "GO"},
	// Of what is told on the way the newest takes the place of what was not read yet: how much is seen depends on the host.
	{`(?m)^accepted\n(running\n(  .*\n)*)*`, "accepted, and running as far as it was told\n"},
	{`\b(linux|darwin)/\w+(/\d)?`, "PLATFORM"},
	{`127\.0\.0\.1:\d{4,5}`, "127.0.0.1:PORT"},
	{`/\S*/example\.yaml`, "EXAMPLE"},
	{`/\S*/config\.yaml`, "CONFIG"},
	{`/\S*/socket2?\b`, "SOCKET"},
	{`/\S*/state\b`, "STATE"},
	{`/\S*/alice\.jwk`, "/home/alice/alice.jwk"},
}

func masked(s string) string {
	for _, m := range masks {
		s = regexp.MustCompile(m.find).ReplaceAllString(s, m.put)
	}
	return s
}

// golden compares with testdata/NAME.golden. Read such a file as the person would who gets to see it.
func golden(t *testing.T, name string, s said) {
	t.Helper()
	got := masked(s.out)
	if s.err != "" {
		got += "--- standard error\n" + masked(s.err)
	}
	got += fmt.Sprintf("--- status %d\n", s.status)
	path := filepath.Join("testdata", name+".golden")
	if *update {
		write(t, path, got)
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}
