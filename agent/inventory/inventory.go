// Package inventory turns configuration entries into ready devices: the layout in the agent's words, what poll is to
// read, and what power may switch. It is the one place that knows both the configuration and the devices.
//
// It is NOT a registry: nothing registers itself. It opens no bus, keeps no
// state beside the drivers' own and decides nothing.
package inventory

import (
	"context"
	"fmt"
	"time"

	"rackagent/agent/poll"
	"rackagent/agent/power"
	"rackagent/agent/rack"
	"rackagent/config"
	"rackagent/drivers"
	"rackagent/drivers/i2cbus"
	"rackagent/drivers/pdu"
)

// Bus is what a device gets of the bus it hangs on: a handle for measuring and one that goes first.
type Bus struct{ Poll, Act i2cbus.Conn }

// Opts are what a rack is built from.
type Opts struct {
	Config *config.Config
	Buses  map[string]Bus // by the configuration's name
	// Identified is told what a board said it is, or why it did not answer. It must not block.
	Identified func(pdu string, id drivers.Ident, err error)
}

// Inventory is the rack, ready.
type Inventory struct {
	Layout  *rack.Layout
	Devices []poll.Device
	Relays  map[string]power.Relays // by PDU
	units   map[string]*unit
}

// unit is one PDU with its place in the configuration.
type unit struct {
	conf   config.PDU
	index  int // place in the configuration
	pdu    *pdu.PDU
	period time.Duration // between two samples
	ident  time.Duration // between two readings of the identity
	found  func(drivers.Ident, error)
}

// Build makes every device of the configuration and touches none. The configuration has passed its check.
func Build(o Opts) (*Inventory, error) {
	if err := Collisions(o.Config); err != nil {
		return nil, err
	}
	inv := &Inventory{Relays: make(map[string]power.Relays), units: make(map[string]*unit)}
	for i, c := range o.Config.PDUs {
		u, err := build(o, c)
		if err == nil {
			u.index = i
		}
		if err != nil {
			return nil, fmt.Errorf("pdu %s: %w", c.Name, err)
		}
		inv.units[c.Name] = u
		inv.Relays[c.Name] = relays{u.pdu}
		inv.Devices = append(inv.Devices, u.devices()...)
	}
	inv.Layout = layout(o.Config, inv.units)
	return inv, nil
}

func build(o Opts, c config.PDU) (*unit, error) {
	m, err := pdu.LoadModel(c.Model)
	if err != nil {
		return nil, err
	}
	bus, ok := o.Buses[c.Bus]
	if !ok {
		return nil, fmt.Errorf("no bus %q", c.Bus)
	}
	p, err := pdu.New(bus.Poll, bus.Act, pdu.Opts{Name: c.Name, Model: m})
	if err != nil {
		return nil, err
	}
	found := func(id drivers.Ident, err error) { o.Identified(c.Name, id, err) }
	return &unit{conf: c, pdu: p, period: o.Config.Poll.OutletPeriod(), ident: o.Config.Poll.IdentityPeriod(), found: found}, nil
}

// Collisions refuses two PDUs that take one address of one bus: a write meant for one board would reach both.
func Collisions(c *config.Config) error {
	taken := make(map[string]map[uint16]string)
	for _, p := range c.PDUs {
		m, err := pdu.LoadModel(p.Model)
		if err != nil {
			return fmt.Errorf("pdu %s: %w", p.Name, err)
		}
		if taken[p.Bus] == nil {
			taken[p.Bus] = make(map[uint16]string)
		}
		for _, addr := range m.Addresses() {
			if other, ok := taken[p.Bus][addr]; ok {
				return fmt.Errorf("pdu %s: address 0x%02x of bus %s is taken by pdu %s; give each board a bus of its own", p.Name, addr, p.Bus, other)
			}
			taken[p.Bus][addr] = p.Name
		}
	}
	return nil
}

// Models tells the configuration's check what a model offers.
func Models(name string) (outlets int, banks []string, ok bool) {
	m, err := pdu.LoadModel(name)
	if err != nil {
		return 0, nil, false
	}
	return len(m.Outlets), m.Banks(), true
}

// Words gives the register words that hold a relay bank as it stands; closed is in the order of rack.PDU.On. It is pure.
func (inv *Inventory) Words(bank rack.BankID, closed []bool) (latch, direction uint16, err error) {
	u, ok := inv.units[bank.PDU]
	if !ok || len(closed) != len(inv.Layout.PDUs[u.index].On(bank)) {
		return 0, 0, fmt.Errorf("relay bank %s: no words for %d outlets", bank, len(closed))
	}
	// Pins that drive no relay keep the power-on latch of most expanders: ones.
	latch, direction = u.pdu.Standing(pdu.BankSample{Bank: max(bank.N, 1) - 1, Latch: 0xFFFF, Direction: 0xFFFF, Closed: closed})
	return latch, direction, nil
}

// Identify asks the board of a PDU who it is, by reading alone.
func (inv *Inventory) Identify(ctx context.Context, name string) (drivers.Ident, error) {
	u, ok := inv.units[name]
	if !ok {
		return drivers.Ident{}, fmt.Errorf("no pdu %q", name)
	}
	id, err := u.pdu.Identify(ctx)
	u.found(id, err)
	return id, err
}

// IdentifiedBy names the device to be read when the board of a PDU is to say who it is.
func (inv *Inventory) IdentifiedBy(name string) string { return name + identitySuffix }

// SampledBy lists the devices to be read when a PDU's outlets are to be measured now.
func (inv *Inventory) SampledBy(name string) []string {
	u, ok := inv.units[name]
	if !ok {
		return nil
	}
	var out []string
	for i := range u.pdu.Meters() {
		out = append(out, u.meterName(i))
	}
	for _, b := range inv.Layout.PDUs[u.index].Banks() {
		out = append(out, u.bankName(b))
	}
	return out
}
