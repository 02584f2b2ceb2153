package pca9552_test

import (
	"context"
	"errors"
	"testing"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip"
	"rackagent/drivers/chip/pca9552"
	"rackagent/drivers/drivertest"
)

// line is a simulated bus as a driver sees it.
type line struct{ *drivertest.Bus }

func (l line) Tx(a uint16, w, r []byte) error  { return l.Bus.Tx(context.Background(), a, w, r) }
func (l line) SetSpeed(physic.Frequency) error { return drivers.Unsupported }

func TestAgainstTheSimulator(t *testing.T) {
	sim := drivertest.NewPCA9552(nil)
	bus := drivertest.NewBus("bus", drivertest.BusOpts{})
	bus.Attach("relays", 0x63, sim)
	d, err := pca9552.New(line{bus}, pca9552.Opts{Name: "relays", Addr: 0x63})
	if err != nil {
		t.Fatal(err)
	}
	released := chip.Words{Latch: 0xffff}
	if w, err := d.Read(t.Context()); err != nil || w != released {
		t.Fatalf("power-on: %+v, %v", w, err)
	}
	if w, err := d.WriteLatch(t.Context(), 0x7ff6); err != nil || w.Word != 0x7ff6 || sim.Pins().Low() != 0x8009 || sim.Pins().Driven != 0x8009 {
		t.Fatalf("%+v, %v, pins %+v", w, err, sim.Pins())
	}
	if sim.LS() != [4]byte{0x14, 0x55, 0x55, 0x15} {
		t.Errorf("LS % x", sim.LS())
	}
	if got, err := d.ReadLatch(t.Context()); err != nil || got != 0x7ff6 {
		t.Errorf("%04x, %v", got, err)
	}

	// Broken off after the control byte and LS0: the first four pins have moved.
	bus.Inject(drivertest.Fault{Kind: drivertest.FaultNackData, Addr: 0x63, Writes: 2, Byte: 2, Times: 1})
	if w, err := d.WriteLatch(t.Context(), 0xffff); !errors.Is(err, drivers.Mismatch) || w.Word != 0x7fff || sim.Pins().Low() != 0x8000 {
		t.Errorf("%+v, %v, pins %+v", w, err, sim.Pins())
	}
	if _, err := d.WriteDirection(t.Context(), 0); !errors.Is(err, drivers.Unsupported) {
		t.Error(err)
	}
	sim.Load([4]byte{0x55, 0x58, 0x55, 0x55})
	if w, err := d.Read(t.Context()); err != nil || w != (chip.Words{Latch: 0xffef, Polarity: 0x0020}) || sim.Pins().Pulsed != 0x0020 {
		t.Errorf("a pin on a blinker: %+v, %v, pins %+v", w, err, sim.Pins())
	}
	if _, err := d.ReadLatch(t.Context()); !errors.Is(err, drivers.Foreign) {
		t.Error(err)
	}
	sim.Reset()
	if w, err := d.Read(t.Context()); err != nil || w != released {
		t.Errorf("brown-out: %+v, %v", w, err)
	}
	bus.Inject(drivertest.Fault{Kind: drivertest.FaultOnes, Times: 1})
	if w, err := d.Read(t.Context()); !errors.Is(err, drivers.Implausible) {
		t.Errorf("floating bus: %+v, %v", w, err)
	}
	if v := bus.Violations(); v != nil {
		t.Error(v)
	}
}
