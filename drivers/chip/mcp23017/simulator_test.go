package mcp23017_test

import (
	"context"
	"errors"
	"testing"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip"
	"rackagent/drivers/chip/mcp23017"
	"rackagent/drivers/drivertest"
)

// line is a simulated bus as a driver sees it.
type line struct{ *drivertest.Bus }

func (l line) Tx(a uint16, w, r []byte) error  { return l.Bus.Tx(context.Background(), a, w, r) }
func (l line) SetSpeed(physic.Frequency) error { return drivers.Unsupported }

func TestAgainstTheSimulator(t *testing.T) {
	sim := drivertest.NewMCP23017(nil)
	bus := drivertest.NewBus("bus", drivertest.BusOpts{})
	bus.Attach("relays", 0x20, sim)
	d, err := mcp23017.New(line{bus}, mcp23017.Opts{Name: "relays", Addr: 0x20})
	if err != nil {
		t.Fatal(err)
	}
	fresh := chip.Words{Direction: chip.AllInputs}
	if w, err := d.Read(t.Context()); err != nil || w != fresh {
		t.Fatalf("power-on: %+v, %v", w, err)
	}
	if w, err := d.WriteLatch(t.Context(), 0x0125); err != nil || w.Word != 0x0125 || sim.Pins().Driven != 0 {
		t.Fatalf("latch first: %+v, %v, pins %+v", w, err, sim.Pins())
	}
	if w, err := d.WriteDirection(t.Context(), 0xfe00); err != nil || w.Word != 0xfe00 || sim.Pins().High() != 0x0125 || sim.Pins().Low() != 0x00da {
		t.Fatalf("direction: %+v, %v, pins %+v", w, err, sim.Pins())
	}
	sim.Drive(0) // what is on the pins is no latch
	if got, err := d.ReadLatch(t.Context()); err != nil || got != 0x0125 {
		t.Errorf("%04x, %v", got, err)
	}
	bus.Inject(drivertest.Fault{Kind: drivertest.FaultTimeout, Addr: 0x20, Writes: 3, Times: 1, Delay: 1, Taken: true})
	if w, err := d.WriteLatch(t.Context(), 0x0124); err != nil || w.Word != 0x0124 || sim.Output() != 0x0124 {
		t.Errorf("a write that worked although the bus failed: %+v, %v", w, err)
	}

	// Both layouts in turn: with the other one the same bytes would set INTCONB and IOCON, and read back as written.
	sim.Disturb()
	before := sim.Output()
	if w, err := d.WriteLatch(t.Context(), 0x8000); !errors.Is(err, drivers.Foreign) || !w.At.IsZero() || sim.Output() != before {
		t.Errorf("%+v, %v, latch %04x", w, err, sim.Output())
	}
	if w, err := d.WriteDirection(t.Context(), 0xffff); !errors.Is(err, drivers.Foreign) || !w.At.IsZero() || sim.Direction() != 0xfe00 {
		t.Errorf("%+v, %v, direction %04x", w, err, sim.Direction())
	}
	if w, err := d.Read(t.Context()); !errors.Is(err, drivers.Foreign) || w != (chip.Words{}) {
		t.Errorf("%+v, %v", w, err)
	}
	sim.Reset()
	// The layout changes with the very write: it cannot be called proven, whatever stands there.
	bus.Inject(drivertest.Fault{Kind: drivertest.FaultDo, Addr: 0x20, Writes: 3, Times: 1, Do: sim.Disturb})
	if w, err := d.WriteLatch(t.Context(), 0x8000); !errors.Is(err, drivers.Foreign) || w.At.IsZero() || !w.Read.IsZero() {
		t.Errorf("%+v, %v", w, err)
	}
	sim.Reset()
	if w, err := d.Read(t.Context()); err != nil || w != fresh {
		t.Errorf("brown-out: %+v, %v", w, err)
	}
	bus.Inject(drivertest.Fault{Kind: drivertest.FaultOnes, Times: 2})
	if w, err := d.Read(t.Context()); !errors.Is(err, drivers.Implausible) {
		t.Errorf("floating bus: %+v, %v", w, err)
	}
	if v := bus.Violations(); v != nil {
		t.Error(v)
	}
}
