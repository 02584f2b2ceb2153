package sim

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"rackagent/drivers/drivertest"
)

// Config describes a world.
type Config struct {
	Now    func() time.Time // nil: the system's clock
	Seed   uint64           // of all noise
	Feeds  []Feed
	Boards []Board
	Loads  []Plug
	// FreshPower begins as after a mains return: relay banks at their power-on values, all pins inputs, loads off. Slots
	// are on, as after every start of their controllers. Otherwise banks are under control, every contact is closed, and
	// loads have been running for long.
	FreshPower bool
	BitRate    int    // of all buses, bit/s; 0: transfers take no time
	StateDir   string // empty: a new temporary directory, removed by Close
	TraceLimit int    // entries kept in the record; 0: all
	Broker     BrokerOpts
}

// World is one simulated rack with everything an agent touches.
type World struct {
	now     func() time.Time
	rack    *Rack
	trace   *Trace
	broker  *Broker
	buses   map[string]*drivertest.Bus
	boards  map[string]*Board
	devices map[string]*Devices
	where   map[string]string // device name -> bus
	synced  atomic.Bool
	dir     string
	ownDir  bool

	mu     sync.Mutex
	active map[Fault]*drivertest.Injection // faults in force; nil where no bus carries them
	faults []Injected
}

// New builds a world. Its clock is synchronised; its broker is not started.
func New(c Config) (*World, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	t := NewTrace(c.TraceLimit)
	w := &World{
		now: c.Now, rack: newRack(c.Now, c.Seed, t), trace: t,
		buses: map[string]*drivertest.Bus{}, boards: map[string]*Board{}, devices: map[string]*Devices{}, where: map[string]string{},
		active: map[Fault]*drivertest.Injection{}, dir: c.StateDir,
	}
	w.synced.Store(true)
	w.broker = newBroker(c.Broker, c.Now, w.note)
	if err := w.assemble(c); err != nil {
		return nil, fmt.Errorf("simulated world: %w", err)
	}
	if w.dir == "" {
		dir, err := os.MkdirTemp("", "rackagent-sim-")
		if err != nil {
			return nil, fmt.Errorf("simulated world: %w", err)
		}
		w.dir, w.ownDir = dir, true
	}
	return w, nil
}

// assemble builds feeds, boards and loads, and sets them going.
func (w *World) assemble(c Config) error {
	for _, f := range c.Feeds {
		if err := w.rack.addFeed(f); err != nil {
			return err
		}
	}
	for i := range c.Boards {
		if err := w.addBoard(c.Boards[i], c.BitRate); err != nil {
			return err
		}
	}
	for _, p := range c.Loads {
		if err := w.rack.addLoad(p); err != nil {
			return err
		}
	}
	if !c.FreshPower {
		for name, d := range w.devices {
			for i, x := range d.Relays {
				x.Preset(w.boards[name].closedLatch(i), w.boards[name].direction(i))
			}
		}
	}
	w.rack.start(!c.FreshPower)
	return nil
}

func (w *World) addBoard(b Board, bitRate int) error {
	if err := b.check(); err != nil {
		return err
	}
	if w.boards[b.Name] != nil {
		return fmt.Errorf("board %q is there twice", b.Name)
	}
	bus := w.buses[b.Bus]
	if bus == nil {
		bus = drivertest.NewBus(b.Bus, drivertest.BusOpts{BitRate: bitRate, Recorder: recorder{w}, Now: w.now})
		w.buses[b.Bus] = bus
	}
	d, err := b.build(w.rack, bus)
	if err != nil {
		return err
	}
	w.boards[b.Name], w.devices[b.Name] = &b, d
	for name := range d.named {
		w.where[name] = b.Bus
	}
	return nil
}

// recorder keeps the transfers of all buses in the world's record.
type recorder struct{ w *World }

// Handed notes a transfer where it is given to the transport.
func (r recorder) Handed(t drivertest.Transfer) uint64 {
	r.w.rack.Advance()
	return r.w.trace.add(t.Handed, Transfer{Transfer: t})
}

// Returned notes its end.
func (r recorder) Returned(t drivertest.Transfer) {
	r.w.rack.Advance()
	r.w.trace.finish(t)
}

// note keeps what the broker saw.
func (w *World) note(at time.Time, e Event) {
	w.rack.Advance()
	w.trace.add(at, e)
}

// Rack is the physics.
func (w *World) Rack() *Rack { return w.rack }

// Broker is the world's MQTT broker.
func (w *World) Broker() *Broker { return w.broker }

// Trace is the record of everything that happened, brought up to now.
func (w *World) Trace() *Trace {
	w.rack.Advance()
	return w.trace
}

// Bus finds a bus by name. It is closed with the world.
func (w *World) Bus(name string) (*drivertest.Bus, error) {
	if b := w.buses[name]; b != nil {
		return b, nil
	}
	return nil, fmt.Errorf("no bus %q, have %s", name, names(w.buses))
}

// Buses lists the names of all buses.
func (w *World) Buses() []string { return slices.Sorted(maps.Keys(w.buses)) }

// Devices are the chips of a board.
func (w *World) Devices(board string) (*Devices, error) {
	if d := w.devices[board]; d != nil {
		return d, nil
	}
	return nil, fmt.Errorf("no board %q, have %s", board, names(w.devices))
}

// ClockSynced tells whether the machine's wall clock is synchronised.
func (w *World) ClockSynced() bool { return w.synced.Load() }

// SetClockSynced says whether the machine's wall clock is synchronised.
func (w *World) SetClockSynced(on bool) { w.synced.Store(on) }

// StateDir is where an agent in this world keeps its state. It outlives the agent, not the world, unless the
// configuration named it.
func (w *World) StateDir() string { return w.dir }

// CopyState copies the state directory as it is now, to a directory that must not exist or be empty: what a machine
// that lost power at this moment would start from, if its disk had written everything handed to it.
func (w *World) CopyState(to string) error {
	if err := os.CopyFS(to, os.DirFS(w.dir)); err != nil {
		return fmt.Errorf("copy state: %w", err)
	}
	return nil
}

// SetFeed takes a feed away or gives it back: its loads lose power and its meters, which it supplies, fall silent
// and start over. Relay banks have a supply of their own.
func (w *World) SetFeed(name string, live bool) error {
	if w.rack.feeds[name] == nil {
		return fmt.Errorf("no feed %q, have %s", name, names(w.rack.feeds))
	}
	w.rack.setFeed(name, live)
	for board, d := range w.devices {
		for i, m := range d.Meters {
			if w.boards[board].feedOf(i) == name {
				m.SetPowered(live)
			}
		}
	}
	return nil
}

// Violations are the breaches of the transport's contract on all buses.
func (w *World) Violations() []string {
	var out []string
	for _, name := range w.Buses() {
		for _, v := range w.buses[name].Violations() {
			out = append(out, name+": "+v)
		}
	}
	return out
}

// Close lets hung transfers return, stops the broker, closes the buses and removes the state directory where it is
// the world's own.
func (w *World) Close() error {
	w.mu.Lock()
	for _, i := range w.active {
		if i != nil {
			i.Clear()
		}
	}
	w.mu.Unlock()
	errs := []error{w.broker.Stop()}
	for _, b := range w.buses {
		errs = append(errs, b.Close())
	}
	if w.ownDir {
		errs = append(errs, os.RemoveAll(w.dir))
	}
	return errors.Join(errs...)
}

// names lists the keys of a map for an error message.
func names[V any](m map[string]V) string {
	if len(m) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}
