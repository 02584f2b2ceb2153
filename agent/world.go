package agent

import (
	"context"
	"io/fs"
	"log/slog"
	"net"
	"time"

	"rackagent/agent/audit"
	"rackagent/agent/backlog"
	"rackagent/agent/inventory"
	"rackagent/agent/link"
	"rackagent/agent/wire"
	"rackagent/config"
	"rackagent/drivers/i2cbus"
)

// Wires are what a bus shares its wires with.
type Wires struct {
	Owned   map[uint16]string // addresses that kernel drivers hold, and the drivers' names
	Adapter string            // device file or other name that no other bus has; empty: not known
	Above   []string          // the Adapters that it is a channel of, through muxes that the kernel operates
}

// World is what the outside offers: the real one in cmd/rackagent, a simulated one in cmd/rackdemo and in tests.
// Nothing else in the agent opens a bus, a socket or a clock.
type World struct {
	// Bus opens the transport of a configured bus. It may fail: the devices on it are then absent, the agent runs.
	Bus func(ctx context.Context, b config.Bus) (i2cbus.Transport, error)
	// Opened is told of every bus that the agent owns from now on; nil: nobody.
	Opened func(b *i2cbus.Bus)
	// Owned tells what else is on the wires of a bus, also of one that could not be opened; nil: nothing. It may be called
	// from several goroutines at a time, as Bus may.
	Owned func(b config.Bus) (Wires, error)
	// Recover gives what may be tried when a part holds a bus, for the transport that Bus gave; nil, or a nil result:
	// nothing. It is asked once for each bus: what it gives may remember what it has begun.
	Recover func(b config.Bus, t i2cbus.Transport) func(context.Context) error
	// Sysfs is what Linux mounts at /sys; nil: there is none.
	Sysfs fs.FS
	// Line and Counter take a GPIO line for reading, by name; nil: there are none. Nothing drives a line.
	Line    func(name string) (inventory.Line, error)
	Counter func(name string) (inventory.Counter, error)
	// Random spreads over racks what the agent does by itself; nil: chance.
	Random func() uint32
	// DialMiner connects to the interface of a miner, and MinerPassword reads the password for it; nil: there is no way to
	// one, none has a password.
	DialMiner     func(ctx context.Context, network, address string) (net.Conn, error)
	MinerPassword func(m config.Miner) func() (string, error)
	// Dial opens the connection to the broker, TLS included; nil: no broker.
	Dial func(ctx context.Context) (net.Conn, error)
	// Look looks at the files that Dial uses, its certificate among them; nil: there are none.
	Look func() link.Look
	// Key is the agent's own, issuer SITE/AGENT; without a private half: it has none.
	Key wire.Key
	// Password is asked before every connection; nil: none.
	Password func() (string, error)
	// Clock tells whether wall time is synchronised, and by what.
	Clock func() wire.Clock
	// Local and Metrics are the listeners of the unix socket and of /metrics; nil: none.
	Local, Metrics func(ctx context.Context) (net.Listener, error)
	// Commit goes around every commit of the journal; nil: nothing does.
	Commit func(update func() error) error
	// BacklogDisk goes around the directory of the backlog; nil: nothing does.
	BacklogDisk func(inner backlog.Disk) backlog.Disk
	// BackfillWait is how long a new connection is left alone before what is stored is sent; nil: a random time up to 60 s.
	BackfillWait func() time.Duration
	// Audit is where the audit log is kept; nil: in the directory audit of the state directory.
	Audit audit.Disk
	// Boot names this start, in the form of a command id; empty: a random one.
	Boot string
	// Ready is called once, when the first sweep of all devices is done or overdue; nil: nobody waits for it.
	Ready func()
	// Heard gets every event, after the log; nil: nobody.
	Heard func(Happening)
	Log   *slog.Logger
}
