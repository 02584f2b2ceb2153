// Package inventory turns configuration entries into ready devices: the layout in the agent's words, what poll is to
// read, and what power may switch. It is the one place that knows both the configuration and the devices.
//
// It is NOT a registry: nothing registers itself. It opens no bus, keeps no
// state beside the drivers' own and decides nothing.
package inventory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
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
	Models Models
	Buses  map[string]Bus // by the configuration's name
	// Identified is told what a board said it is, or why it did not answer. It must not block.
	Identified func(pdu string, id drivers.Ident, err error)
	// Sysfs is what Linux mounts at /sys; nil: there is none.
	Sysfs fs.FS
	// Line and Counter take a GPIO line for reading; nil: there are none.
	Line    func(name string) (Line, error)
	Counter func(name string) (Counter, error)
	// DialSensor connects to what is read over the network; nil: there is none.
	DialSensor func(ctx context.Context, network, address string) (net.Conn, error)
	// DialMiner connects to a miner's interface; nil: there is no network, and miners are absent.
	DialMiner func(ctx context.Context, network, address string) (net.Conn, error)
	// Password reads a miner's password; nil where its configuration names no file.
	Password func(m config.Miner) func() (string, error)
}

// Inventory is the rack, ready.
type Inventory struct {
	Layout  *rack.Layout
	Devices []poll.Device
	Relays  map[string]power.Relays // by PDU
	Miners  map[string]power.Miner  // by node
	units   map[string]*unit
	apis    map[string]rack.API // by node
	closers []func() error
}

// Close lets go of what the sensors hold. Poll has ended by then.
func (inv *Inventory) Close() error {
	var errs []error
	for _, c := range inv.closers {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}

// unit is one PDU with its place in the configuration.
type unit struct {
	conf   config.PDU
	index  int    // place in the configuration
	bus    string // the bus it hangs on, muxes in between or not
	pdu    *pdu.PDU
	period time.Duration // between two samples
	ident  time.Duration // between two readings of the identity
	found  func(drivers.Ident, error)
}

// Build makes every device of the configuration and touches none. The configuration has passed its check.
func Build(o Opts) (*Inventory, error) {
	if err := o.Models.Collisions(o.Config); err != nil {
		return nil, err
	}
	inv := &Inventory{Relays: make(map[string]power.Relays), Miners: make(map[string]power.Miner), apis: make(map[string]rack.API), units: make(map[string]*unit)}
	seg, err := newSegments(o.Config, o.Buses)
	if err != nil {
		return nil, err
	}
	for i, c := range o.Config.PDUs {
		u, err := build(o, seg, c)
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
	for _, c := range o.Config.Sensors {
		d, err := inv.sensor(o, seg, c)
		if err != nil {
			return nil, fmt.Errorf("sensor %s: %w", c.Name, err)
		}
		inv.Devices = append(inv.Devices, d)
	}
	if err := inv.miners(o); err != nil {
		return nil, err
	}
	inv.Layout = layout(o.Config, inv.units, inv.apis)
	return inv, nil
}

func (inv *Inventory) sensor(o Opts, seg *segments, c config.Sensor) (poll.Device, error) {
	p, ok := findPart(c.Part)
	if !ok {
		return poll.Device{}, fmt.Errorf("no part %q", c.Part)
	}
	if p.conf.Kind == config.PartKernel {
		made, err := openKernel(o, c)
		if err != nil {
			return poll.Device{}, err
		}
		return (&sensor{conf: c, part: made}).device(kernelBus), nil
	}
	if p.conf.Kind == config.PartNet {
		made, err := openUPS(o, c)
		if err != nil {
			return poll.Device{}, err
		}
		return (&sensor{conf: c, part: made}).device(upsBus + c.Name), nil
	}
	if p.conf.Kind == config.PartLine {
		made, closer, err := openLine(o, c)
		if err != nil {
			return poll.Device{}, err
		}
		inv.closers = append(inv.closers, closer)
		return (&sensor{conf: c, part: made}).device(lineBus(c.Part)), nil
	}
	conn, err := seg.poll(c.Bus, c.Via)
	if err != nil {
		return poll.Device{}, err
	}
	b := &batch{Conn: conn}
	made, err := p.open(b, c)
	if err != nil {
		return poll.Device{}, err
	}
	if c.Via != "" && !p.slow {
		made = made.quick(b)
	}
	return (&sensor{conf: c, part: made}).device(o.Config.BusOf(c.Bus, c.Via)), nil
}

func build(o Opts, seg *segments, c config.PDU) (*unit, error) {
	m, err := o.Models.Load(c.Model)
	if err != nil {
		return nil, err
	}
	polling, err := seg.poll(c.Bus, c.Via)
	if err != nil {
		return nil, err
	}
	acting, err := seg.act(c.Bus, c.Via)
	if err != nil {
		return nil, err
	}
	p, err := pdu.New(polling, acting, pdu.Opts{Name: c.Name, Model: m, Segment: seg.segment(c.Bus, c.Via)})
	if err != nil {
		return nil, err
	}
	found := func(id drivers.Ident, err error) { o.Identified(c.Name, id, err) }
	return &unit{conf: c, bus: o.Config.BusOf(c.Bus, c.Via), pdu: p, period: o.Config.Poll.OutletPeriod(), ident: o.Config.Poll.IdentityPeriod(), found: found}, nil
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
