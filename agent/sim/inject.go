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
		return w.hasOutlets(f.Outlet, f.Other)
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

// meter finds a metering chip by a device name that exists.
func (w *World) meter(name string) *drivertest.ADE7953 {
	board, rest, _ := strings.Cut(name, ".")
	for i, m := range w.devices[board].Meters {
		if meterName(board, i) == board+"."+rest {
			return m
		}
	}
	return nil
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
