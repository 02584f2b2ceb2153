package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"rackagent/config"
	"rackagent/drivers"
	"rackagent/drivers/board"
	"rackagent/drivers/i2cbus"
)

// Buses that come late are opened each by its own owner.
func TestBusesOpenAtTheSameTime(t *testing.T) {
	hw := fakeHardware{bus: func(string) (i2cbus.Transport, error) { return unwritable{}, nil }}
	for i := range 4 {
		hw.adapters = append(hw.adapters, board.Adapter{Path: fmt.Sprintf("/dev/i2c-%d", i), Above: []string{"/dev/i2c-0"}, Owned: map[uint16]string{uint16(i): "lm75"}})
	}
	b := &buses{hardware: hw}
	var all sync.WaitGroup
	for i := range 4 {
		c := config.Bus{Name: fmt.Sprintf("bus-%d", i), Device: fmt.Sprintf("/dev/i2c-%d", i)}
		all.Go(func() {
			if w, err := b.ownedOn(c); err != nil || w.Adapter != c.Device || len(w.Owned) > 0 {
				t.Errorf("before it is open: %+v, %v", w, err)
			}
			for range 2000 {
				if _, err := b.open(t.Context(), c); err != nil {
					t.Error(err)
					return
				}
				if w, err := b.ownedOn(c); err != nil || w.Owned[uint16(i)] != "lm75" || !slices.Equal(w.Above, []string{"/dev/i2c-0"}) {
					t.Errorf("%+v, %v", w, err)
					return
				}
			}
		})
	}
	all.Wait()
	if w, err := b.ownedOn(config.Bus{Name: "none", Device: "/dev/i2c-9"}); err != nil || w.Adapter != "" {
		t.Errorf("a bus that is not there: %+v, %v", w, err)
	}
}

// resetHardware counts who asks for an adapter's reset.
type resetHardware struct {
	fakeHardware
	asked int
	found *board.AdapterReset // nil: there is none
}

func (r *resetHardware) AdapterReset(string) (*board.AdapterReset, error) {
	r.asked++
	if r.found == nil {
		return nil, board.ErrNotFound
	}
	return r.found, nil
}

// An adapter whose bind failed is known to nobody but the AdapterReset that took it away.
func TestAdapterResetIsKept(t *testing.T) {
	hw := &resetHardware{fakeHardware: fakeHardware{
		adapters: []board.Adapter{{Path: "/dev/i2c-1"}}, bus: func(string) (i2cbus.Transport, error) { return unwritable{}, nil },
	}}
	b := &buses{hardware: hw}
	c := config.Bus{Name: "main", Device: "/dev/i2c-1", AdapterReset: true}
	bus, err := b.open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	again := b.recover(c, bus)
	if err := again(t.Context()); !errors.Is(err, board.ErrNotFound) || hw.asked != 1 {
		t.Fatalf("%v, asked %d times", err, hw.asked)
	}
	hw.found = new(board.AdapterReset)
	over, cancel := context.WithCancel(t.Context())
	cancel() // nothing is touched
	for range 3 {
		if err := again(over); !errors.Is(err, drivers.Cancelled) {
			t.Error(err)
		}
	}
	if hw.asked != 2 {
		t.Errorf("asked %d times: the first found none, and what the second found must be kept", hw.asked)
	}
}
