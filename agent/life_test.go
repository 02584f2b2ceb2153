package agent_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"

	"rackagent/agent/sim"
	"rackagent/drivers"
	"rackagent/drivers/drivertest"
)

// life is one life of an agent in the world, up to a crash: everything it touches goes through here, so that a test can
// end it at any transfer or commit. After the end nothing of it reaches the world, the disk or the broker any more.
type life struct {
	world *sim.World
	moves func(drivertest.Transfer) bool // what may move an outlet

	mu      sync.Mutex
	over    bool
	writes  int // actuator transactions so far
	commits int
	verbs   int // requests that may change a miner
	audits  int // operations on the disk of the audit log
	crash   point
	crashed func() // called at the crash, with the world as it is at that moment
}

// point is a place where a life ends. A zero point never comes.
type point struct {
	what  string // "write", "commit", "verb" or "audit"
	n     int    // counted from 1
	phase phase
}

type phase string

const (
	before   phase = "before" // nothing of it happened
	half     phase = "half"   // the first of two data bytes reached the chip; half of a line the disk
	inside   phase = "inside" // it happened, and its caller never learnt
	afterAck phase = "after"  // its caller learnt, and nothing follows
)

var errOver = errors.New("this life is over")

func newLife(w *sim.World, moves func(drivertest.Transfer) bool) *life {
	return &life{world: w, moves: moves}
}

func (l *life) isOver() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over
}

// counted tells how many relay writes, commits or operations on the audit log there were so far.
func (l *life) counted(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return map[string]int{"write": l.writes, "commit": l.commits, "verb": l.verbs, "audit": l.audits}[what]
}

// end is the crash: the moment is captured first, then everything goes silent.
func (l *life) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endLocked()
}

func (l *life) endLocked() {
	if l.over {
		return
	}
	l.over = true
	if l.crashed != nil {
		l.crashed()
	}
	l.world.Broker().Cut()
}

// due tells whether this is the crash's place.
func (l *life) due(what string, n int, p phase) bool {
	return l.crash == point{what, n, p}
}

// wires is a bus as this life sees it. It outlives the agent on it.
type wires struct {
	life *life
	name string
}

func (w wires) Tx(ctx context.Context, addr uint16, out, in []byte) error {
	l := w.life
	l.mu.Lock()
	if l.over {
		l.mu.Unlock()
		return &drivers.Error{Op: "transfer", Fault: drivers.Hung, Err: errOver}
	}
	bus, err := l.world.Bus(w.name)
	if err != nil {
		l.mu.Unlock()
		return err
	}
	if !l.moves(drivertest.Transfer{Addr: addr, W: out}) {
		l.mu.Unlock()
		return bus.Tx(ctx, addr, out, in)
	}
	defer l.mu.Unlock()
	l.writes++
	switch {
	case l.due("write", l.writes, before):
		l.endLocked()
	case l.due("write", l.writes, half):
		if len(out) > 2 { // of one data byte there is no half
			_ = bus.Tx(ctx, addr, out[:2], in)
		}
		l.endLocked()
	case l.due("write", l.writes, inside):
		_ = bus.Tx(ctx, addr, out, in)
		l.endLocked()
	case l.due("write", l.writes, afterAck):
		err := bus.Tx(ctx, addr, out, in)
		l.endLocked()
		return err
	default:
		return bus.Tx(ctx, addr, out, in)
	}
	return &drivers.Error{Op: "transfer", Fault: drivers.Hung, Err: errOver}
}

func (w wires) Close() error   { return nil }
func (w wires) String() string { return w.name }

func (l *life) dial() (net.Conn, error) {
	if l.isOver() {
		return nil, errOver
	}
	return l.world.Broker().Pipe()
}

// commit goes around every commit of the journal.
func (l *life) commit(update func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return syscall.EIO
	}
	l.commits++
	if l.due("commit", l.commits, before) {
		l.endLocked()
		return syscall.EIO
	}
	err := update()
	if l.due("commit", l.commits, inside) {
		l.endLocked()
		return syscall.EIO
	}
	return err
}
