package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"rackagent/agent/rack"
	"rackagent/config"
	"rackagent/drivers"
	"rackagent/drivers/i2cbus"
)

// openBuses opens every configured bus. One that cannot be opened yet does not stop the rest: its devices are absent, an
// alarm says why, and it is tried again.
func (a *Agent) openBuses(ctx context.Context) error {
	for _, c := range a.conf.Buses {
		late := &lateBus{agent: a, conf: c}
		refuse, err := late.open(ctx)
		if errors.Is(err, errOwners) {
			return err
		}
		var t i2cbus.Transport = late
		if err == nil {
			t = late.bus
		}
		b := i2cbus.New(t, i2cbus.Opts{
			Refuse: refuse, Recover: a.recovery(c, late),
			OnChange: func(hung bool, since time.Time) { a.busChanged(c.Name, hung, since) },
			OnBad:    func(bad bool, since time.Time) { a.busBad(c.Name, bad, since) },
		})
		a.buses[c.Name] = b
		if a.world.Opened != nil && err == nil {
			a.world.Opened(b)
		}
	}
	return nil
}

// recovery is what may be tried when a part holds the bus; nil: nothing.
func (a *Agent) recovery(c config.Bus, late *lateBus) func(context.Context) error {
	if a.world.Recover == nil || c.SCLLine == "" && !c.AdapterReset {
		return nil
	}
	return func(ctx context.Context) error {
		if late.bus == nil { // not open: there is nothing to free. The owner has the bus in hand and calls nothing else
			return nil
		}
		f := a.world.Recover(c, late.bus)
		if f == nil {
			return nil
		}
		err := f(ctx)
		e := rack.Event{Kind: rack.EventBusRecovery, Severity: rack.Warn, At: time.Now(), Device: c.Name, Text: "bus " + c.Name + ": a recovery was tried"}
		if err != nil {
			e.Severity, e.Reason, e.Text = rack.Error, err.Error(), e.Text+" and failed: "+err.Error()
		}
		a.out.event(e)
		return err
	}
}

// busBad tells of a bus on which nothing gets through, and of its return.
func (a *Agent) busBad(name string, bad bool, since time.Time) {
	e := rack.Event{Kind: rack.EventBusBack, Severity: rack.Info, At: time.Now(), Device: name, Text: "bus " + name + " works again"}
	if bad {
		e.Kind, e.Severity, e.Reason = rack.EventBusBad, rack.Error, drivers.BusFenced.String()
		e.Text = "bus " + name + " is bad: a part holds its lines, or its adapter fails; it is tried again from time to time"
	}
	a.out.event(e)
	a.out.alarm(rack.Alarm{Key: "busbad." + name, Since: since, Severity: rack.Error, Text: e.Text, Cleared: !bad})
}

func (a *Agent) busChanged(name string, hung bool, since time.Time) {
	e := rack.Event{Kind: rack.EventBusBack, Severity: rack.Info, At: time.Now(), Device: name, Text: "bus " + name + " answers again"}
	if hung {
		e.Kind, e.Severity, e.Text = rack.EventBusHung, rack.Error, "bus "+name+" hangs: a transfer does not return; its devices are fenced off"
	}
	a.out.event(e)
	a.out.alarm(rack.Alarm{Key: "bus." + name, Since: since, Severity: rack.Error, Text: e.Text, Cleared: !hung})
}

func (a *Agent) closeBuses() {
	if a.inv != nil {
		if err := a.inv.Close(); err != nil {
			a.log.Warn("lines did not close", "err", err)
		}
	}
	for name, b := range a.buses {
		if err := b.Close(); err != nil {
			a.log.Warn("bus did not close", "bus", name, "err", err)
		}
	}
}

// reopenEvery is the pause between two attempts to open a bus that was not there: rights that udev sets late, a module or
// an adapter that comes later. Arbitrary.
const reopenEvery = 10 * time.Second

// errOwners stands for a bus of which it cannot be told what the kernel owns on it.
var errOwners = errors.New("kernel drivers on it")

// lateBus is a bus that may not be there yet. Its owner is the only caller of Tx, as for any transport.
type lateBus struct {
	agent *Agent
	conf  config.Bus

	bus   i2cbus.Transport // nil: not open
	owned map[uint16]string
	tried time.Time

	mu  sync.Mutex
	err error // why it is not open
}

// open tries to open the bus, and tells what the kernel owns on it.
func (l *lateBus) open(ctx context.Context) (map[uint16]string, error) {
	l.tried = time.Now()
	t, err := l.agent.world.Bus(ctx, l.conf)
	if err == nil && l.agent.world.Owned != nil {
		if l.owned, err = l.agent.world.Owned(l.conf); err != nil {
			return nil, errors.Join(fmt.Errorf("bus %s: %w: %w", l.conf.Name, errOwners, err), t.Close())
		}
	}
	l.tell(err)
	if err != nil {
		return nil, err
	}
	l.bus = t
	return l.owned, nil
}

// tell reports a change of whether the bus is open.
func (l *lateBus) tell(err error) {
	l.mu.Lock()
	old := l.err
	l.err = err
	l.mu.Unlock()
	if (old == nil) == (err == nil) {
		return
	}
	e := rack.Event{Kind: rack.EventBusBack, Severity: rack.Info, At: time.Now(), Device: l.conf.Name, Text: "bus " + l.conf.Name + " is open now"}
	if err != nil {
		e.Kind, e.Severity, e.Reason = rack.EventBusHung, rack.Error, err.Error()
		e.Text = "bus " + l.conf.Name + " cannot be opened: " + err.Error()
	}
	l.agent.out.event(e)
	l.agent.out.alarm(rack.Alarm{Key: "bus." + l.conf.Name, Since: e.At, Severity: rack.Error, Text: e.Text, Cleared: err == nil})
	l.agent.setClosed(l.conf.Name, err)
}

// Tx opens the bus first if it is time to try again.
func (l *lateBus) Tx(ctx context.Context, addr uint16, w, r []byte) error {
	if l.bus == nil && time.Since(l.tried) >= reopenEvery {
		_, _ = l.open(ctx) // what came of it is told
	}
	if l.bus == nil {
		// Nothing was sent and no line was held: it is not the devices' fault, nor that of anything on the wires.
		return &drivers.Error{Op: "transfer", Device: "bus " + l.conf.Name, Fault: drivers.Cancelled, Err: errors.Join(drivers.BusFenced, l.err)}
	}
	if driver, ok := l.owned[addr]; ok {
		return &drivers.Error{Op: "transfer", Device: fmt.Sprintf("bus %s 0x%02x", l.conf.Name, addr), Fault: drivers.Foreign, Err: errors.New("owned by kernel driver " + driver)}
	}
	return l.bus.Tx(ctx, addr, w, r)
}

// Close closes what is open.
func (l *lateBus) Close() error {
	if l.bus == nil {
		return nil
	}
	return l.bus.Close()
}

func (l *lateBus) String() string { return l.conf.Name }

// setClosed keeps why a bus is not open, for the status; nil: it is.
func (a *Agent) setClosed(name string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.closed, name)
	if err != nil {
		a.closed[name] = err.Error()
	}
}

func (a *Agent) whyClosed(name string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.closed[name]
}
