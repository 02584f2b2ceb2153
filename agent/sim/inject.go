package sim

import (
	"fmt"
	"slices"
	"strings"

	"rackagent/agent/rack"
	"rackagent/drivers/drivertest"
)

// Inject puts a fault in force. The error lists what there is where the fault names something that is not.
func (w *World) Inject(f Fault) error {
	k, ok := kinds[f.Kind]
	if !ok {
		return fmt.Errorf("no fault %q, have %s", f.Kind, kindNames())
	}
	if err := w.exists(f, k.shape); err != nil {
		return fmt.Errorf("fault %s: %w", f, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, on := w.active[f]; on {
		return fmt.Errorf("fault %s is in force already", f)
	}
	w.log(f, false) // first, so that the record has the cause before its effects
	injection, err := k.apply(w, f)
	if err != nil {
		return fmt.Errorf("fault %s: %w", f, err)
	}
	if k.heal != nil {
		w.active[f] = injection
	}
	return nil
}

// Heal takes a fault away that was injected.
func (w *World) Heal(f Fault) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, on := w.active[f]; !on {
		return fmt.Errorf("fault %s is not in force", f)
	}
	w.log(f, true)
	kinds[f.Kind].heal(w, f)
	delete(w.active, f)
	return nil
}

// Faults is every injection and healing so far, in order.
func (w *World) Faults() []Injected {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.faults)
}

// log notes a fault; the caller holds the lock.
func (w *World) log(f Fault, healed bool) {
	i := Injected{At: w.now(), Fault: f, Healed: healed}
	w.faults = append(w.faults, i)
	w.note(i.At, i)
}

// exists tells what is wrong with the names in a fault.
func (w *World) exists(f Fault, sh shape) error {
	switch sh {
	case shapeOutlet:
		return w.hasOutlets(f.Outlet)
	case shapePair:
		if err := w.hasOutlets(f.Outlet, f.Other); err != nil {
			return err
		}
		if w.slot(f.Outlet) != nil || w.slot(f.Other) != nil {
			return fmt.Errorf("a slot's switch and its meter are one part and cannot be crossed")
		}
		return nil
	case shapeBanks:
		return w.hasParts(f.Name, expanders)
	case shapeMuxes:
		return w.hasParts(f.Name, switches)
	case shapeDevice, shapeMeter:
		if w.where[f.Name] == "" {
			return fmt.Errorf("no device %q, have %s", f.Name, names(w.where))
		}
		return nil
	case shapeBus:
		_, err := w.Bus(f.Name)
		return err
	case shapeFeed:
		if w.rack.feeds[f.Name] == nil {
			return fmt.Errorf("no feed %q, have %s", f.Name, names(w.rack.feeds))
		}
		return nil
	default:
		_, err := w.Devices(f.Name)
		return err
	}
}

// hasParts wants a board with parts of a kind, or one of them.
func (w *World) hasParts(name string, of func(*Devices) []drivertest.Chip) error {
	if board, _, one := strings.Cut(name, "."); one && w.devices[board] != nil {
		if w.where[name] == "" {
			return fmt.Errorf("no device %q, have %s", name, names(w.where))
		}
		return nil
	}
	d, err := w.Devices(name)
	if err == nil && len(of(d)) == 0 {
		return fmt.Errorf("board %q has no such part, have %s", name, names(w.where))
	}
	return err
}

func (w *World) hasOutlets(ids ...rack.OutletID) error {
	all := w.rack.Outlets()
	for _, id := range ids {
		if slices.Contains(all, id) {
			continue
		}
		var have []string
		for _, o := range all {
			have = append(have, o.String())
		}
		return fmt.Errorf("no outlet %s, have %s", id, strings.Join(have, ", "))
	}
	return nil
}

// onBus injects a fault of transfers.
func (w *World) onBus(bus string, f drivertest.Fault) (*drivertest.Injection, error) {
	b, err := w.Bus(bus)
	if err != nil {
		return nil, err
	}
	return b.Inject(f), nil
}

// release ends a fault of transfers.
func (w *World) release(f Fault) { w.active[f].Clear() }

// chip finds a part by what the bus calls it; it exists.
func (w *World) chip(name string) drivertest.Chip {
	board, _, _ := strings.Cut(name, ".")
	return w.devices[board].named[name]
}

// meter finds a metering part by a name that exists and is one of a meter.
func (w *World) meter(name string) Meter {
	m, _ := w.chip(name).(Meter)
	return m
}

// slot finds the hot-swap controller of an outlet; nil where a relay switches it.
func (w *World) slot(o rack.OutletID) *Slot { return w.devices[o.PDU].Slots[o.N-1] }

// weld and breakOff do to an outlet's contact what the fault says; a controller sees what happens to its transistor.
func (w *World) weld(o rack.OutletID, on bool) {
	w.rack.weld(o, on)
	if s := w.slot(o); s != nil {
		s.weld(on)
	}
}

func (w *World) breakOff(o rack.OutletID, on bool) {
	w.rack.breakOff(o, on)
	if s := w.slot(o); s != nil {
		s.breakOff(on)
	}
}

// reset lets one part fall to its power-on values, or all parts of a board that pick picks.
func (w *World) reset(name string, all func(*Devices) []drivertest.Chip) {
	if d := w.devices[name]; d != nil {
		for _, c := range all(d) {
			c.Reset()
		}
		return
	}
	w.chip(name).Reset()
}

func expanders(d *Devices) (out []drivertest.Chip) {
	for _, c := range d.Relays {
		out = append(out, c)
	}
	return out
}

func switches(d *Devices) (out []drivertest.Chip) {
	for _, c := range d.Muxes {
		out = append(out, c)
	}
	return out
}

// renumber gives a board's inventory memory another serial number.
func (w *World) renumber(board, serial string) error {
	image, err := w.boards[board].image(serial)
	if err != nil {
		return err
	}
	w.devices[board].FRU.Load(image)
	return nil
}
