package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"rackagent/agent/inventory"
	"rackagent/agent/rack"
	"rackagent/config"
	"rackagent/drivers"
	"rackagent/drivers/i2cbus"
)

// openBuses opens every configured bus. One that cannot be opened yet does not stop the rest: its devices are absent, an
// alarm says why, and it is tried again.
func (a *Agent) openBuses(ctx context.Context) error {
	shared := &sharedWires{agent: a, refused: make(map[string]map[uint16]string)}
	shared.look()
	for _, c := range a.conf.Buses {
		late := &lateBus{agent: a, conf: c, shared: shared}
		refuse, err := late.open(ctx)
		if errors.Is(err, errOwners) {
			return err
		}
		var t i2cbus.Transport = late
		if err == nil {
			t = &apart{Transport: late.bus, shared: shared, bus: c.Name}
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
	var f func(context.Context) error // asked for once: it knows of an adapter that is away
	return func(ctx context.Context) error {
		if late.bus == nil { // not open: there is nothing to free. The owner has the bus in hand and calls nothing else
			return nil
		}
		if f == nil {
			f = a.world.Recover(c, late.bus)
		}
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
	agent  *Agent
	conf   config.Bus
	shared *sharedWires

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
		w, err := l.agent.world.Owned(l.conf)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("bus %s: %w: %w", l.conf.Name, errOwners, err), t.Close())
		}
		l.owned = w.Owned
		l.shared.look()
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
	if err := l.shared.refusal(l.conf.Name, addr); err != nil { // asked last: opening may have found it
		return err
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

// sharedWires knows the addresses that are configured on two buses of which one is a channel of a mux that the kernel
// operates on the other. A relay's latch written on one is written on both, so neither is sent anything.
type sharedWires struct {
	agent *Agent

	mu      sync.Mutex
	refused map[string]map[uint16]string // by bus and address: why
}

// look learns anew how the buses of the configuration hang together. What was refused once stays so: a mux that is not
// seen at the moment may come back.
func (s *sharedWires) look() {
	a := s.agent
	if a.world.Owned == nil {
		return
	}
	known := make(map[string]Wires)
	for _, b := range a.conf.Buses {
		if w, err := a.world.Owned(b); err == nil && w.Adapter != "" {
			known[b.Name] = w
		}
	}
	models, _ := inventory.ReadModels(a.conf.ModelFiles) // what is wrong with them ends the start later
	found, err := models.Overheard(a.conf, func(bus, other string) bool {
		w, ok := known[other]
		return ok && slices.Contains(known[bus].Above, w.Adapter)
	})
	if err != nil {
		return // likewise
	}
	for _, o := range found {
		if s.refuse(o) {
			a.log.Error("two buses reach one address", "err", o.String())
		}
	}
}

// refuse takes an address down on both buses, and tells whether that is new.
func (s *sharedWires) refuse(o inventory.Overheard) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	added := false
	for _, bus := range o.Buses {
		if s.refused[bus] == nil {
			s.refused[bus] = make(map[uint16]string)
		}
		if _, known := s.refused[bus][o.Addr]; !known {
			s.refused[bus][o.Addr], added = o.String(), true
		}
	}
	return added
}

// refusal is why nothing is sent to an address; nil: nothing speaks against it.
func (s *sharedWires) refusal(bus string, addr uint16) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	why, refused := s.refused[bus][addr]
	if !refused {
		return nil
	}
	return &drivers.Error{Op: "transfer", Device: fmt.Sprintf("bus %s 0x%02x", bus, addr), Fault: drivers.Foreign, Err: errors.New(why)}
}

// apart is the transport of an open bus, without the addresses that another bus reaches as well.
type apart struct {
	i2cbus.Transport
	shared *sharedWires
	bus    string
}

// Tx is that of the transport.
func (t *apart) Tx(ctx context.Context, addr uint16, w, r []byte) error {
	if err := t.shared.refusal(t.bus, addr); err != nil {
		return err
	}
	return t.Transport.Tx(ctx, addr, w, r)
}
