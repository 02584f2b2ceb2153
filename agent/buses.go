package agent

import (
	"context"
	"fmt"
	"time"

	"rackagent/agent/rack"
	"rackagent/config"
	"rackagent/drivers"
	"rackagent/drivers/i2cbus"
)

// openBuses opens every configured bus. One that cannot be opened does not stop the rest: its devices are absent, and
// the event says why.
func (a *Agent) openBuses(ctx context.Context) error {
	a.buses = make(map[string]*i2cbus.Bus, len(a.conf.Buses))
	a.closed = make(map[string]string)
	for _, c := range a.conf.Buses {
		t, err := a.world.Bus(ctx, c)
		if err != nil {
			a.out.event(rack.Event{Kind: rack.EventBusHung, Severity: rack.Error, At: time.Now(), Device: c.Name, Reason: err.Error(), Text: "bus " + c.Name + " cannot be opened"})
			t = closedBus{name: c.Name, err: err}
			a.closed[c.Name] = err.Error()
		}
		var refuse map[uint16]string
		if a.closed[c.Name] == "" {
			if refuse, err = a.owned(c); err != nil {
				return fmt.Errorf("bus %s: kernel drivers on it: %w", c.Name, err)
			}
		}
		b := i2cbus.New(t, i2cbus.Opts{Refuse: refuse, OnChange: func(hung bool, since time.Time) { a.busChanged(c.Name, hung, since) }})
		a.buses[c.Name] = b
		if a.world.Opened != nil && a.closed[c.Name] == "" {
			a.world.Opened(b)
		}
	}
	return nil
}

func (a *Agent) owned(c config.Bus) (map[uint16]string, error) {
	if a.world.Owned == nil {
		return nil, nil
	}
	return a.world.Owned(c)
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
	for name, b := range a.buses {
		if err := b.Close(); err != nil {
			a.log.Warn("bus did not close", "bus", name, "err", err)
		}
	}
}

// closedBus stands for a bus that could not be opened.
type closedBus struct {
	name string
	err  error
}

func (c closedBus) Tx(context.Context, uint16, []byte, []byte) error {
	return &drivers.Error{Op: "transfer", Device: "bus " + c.name, Fault: drivers.FaultOf(c.err), Err: c.err}
}
func (c closedBus) Close() error   { return nil }
func (c closedBus) String() string { return c.name }
