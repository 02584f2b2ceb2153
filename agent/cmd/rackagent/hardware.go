package main

import (
	"context"
	"log/slog"
	"sync"

	"rackagent/agent"
	"rackagent/config"
	"rackagent/drivers/board"
	"rackagent/drivers/i2cbus"
)

// hardware is the controller board: *board.Board.
type hardware interface {
	Buses() ([]board.Adapter, error)
	Inputs() []board.Line
	Find(name string) (board.Adapter, error)
	Bus(name string) (i2cbus.Transport, error)
	Input(name string) (*board.Input, error)
	Counter(name string, o board.CounterOpts) (*board.Counter, error)
	Clocks(scl, sda string) (*board.Clocks, error)
	AdapterReset(name string) (*board.AdapterReset, error)
}

// placeOf is the name by which the configuration knows a bus: a device path or an adapter's own name.
func placeOf(b config.Bus) string {
	if b.Device != "" {
		return b.Device
	}
	return b.Adapter
}

// buses opens the configured buses for the agent. Those that are late are opened by several goroutines at a time.
type buses struct {
	hardware hardware

	mu     sync.Mutex
	opened map[string]board.Adapter // by the configuration's name
}

// open opens one bus. Without knowing what kernel drivers own on it, it is not opened at all.
func (b *buses) open(ctx context.Context, c config.Bus) (i2cbus.Transport, error) {
	found, err := b.hardware.Find(placeOf(c))
	if err != nil {
		return nil, err
	}
	open := func(context.Context) (i2cbus.Transport, error) { return b.hardware.Bus(placeOf(c)) }
	var t i2cbus.Transport
	if c.AdapterReset { // its driver cannot be taken away while the bus is open
		t, err = i2cbus.Reopen(ctx, open)
	} else {
		t, err = open(ctx)
	}
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.opened == nil {
		b.opened = make(map[string]board.Adapter)
	}
	b.opened[c.Name] = found
	return t, nil
}

// recover gives what the configuration allows when a part holds the bus: clocks on the lines beside it; a reset of the
// adapter, with the clocks in between where there are lines, since the pins are free then. An adapter that was not bound
// again is bound by the next call of what it gives.
func (b *buses) recover(c config.Bus, t i2cbus.Transport) func(context.Context) error {
	var clocks func(context.Context) error
	if c.SCLLine != "" {
		clocks = func(ctx context.Context) error {
			k, err := b.hardware.Clocks(c.SCLLine, c.SDALine)
			if err != nil {
				return err
			}
			return k.Recover(ctx)
		}
	}
	again, ok := t.(*i2cbus.Reopening)
	if !ok {
		return clocks
	}
	var reset *board.AdapterReset
	return func(ctx context.Context) error {
		if reset == nil {
			found, err := b.hardware.AdapterReset(placeOf(c))
			if err != nil {
				return err
			}
			reset = found
		}
		between := clocks
		if between == nil {
			between = func(context.Context) error { return nil }
		}
		return again.Away(ctx, func(ctx context.Context) error { return reset.Rebind(ctx, between) })
	}
}

// ownedOn tells what else is on the wires of a bus. On one that could not be opened kernel drivers own nothing: nothing
// reaches it.
func (b *buses) ownedOn(c config.Bus) (agent.Wires, error) {
	b.mu.Lock()
	found, ok := b.opened[c.Name]
	b.mu.Unlock()
	if ok {
		return agent.Wires{Owned: found.Owned, Adapter: found.Path, Above: found.Above}, nil
	}
	found, err := b.hardware.Find(placeOf(c))
	if err != nil {
		return agent.Wires{}, nil //nolint:nilerr // it is not there: who opens it tells why
	}
	return agent.Wires{Adapter: found.Path, Above: found.Above}, nil
}

// register has periph's tools share the agent's owner of a bus instead of opening it a second time. Where they cannot, the
// agent runs all the same: the kernel's lock on the device keeps a second owner out.
func register(log *slog.Logger) func(*i2cbus.Bus) {
	return func(b *i2cbus.Bus) {
		if err := i2cbus.Register(b); err != nil {
			log.Warn("bus is not in periph's registry", "bus", b.String(), "err", err)
		}
	}
}
