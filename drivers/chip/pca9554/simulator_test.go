package pca9554_test

import (
	"context"
	"errors"
	"testing"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip"
	"rackagent/drivers/chip/pca9554"
	"rackagent/drivers/drivertest"
)

// line is a simulated bus as a driver sees it.
type line struct{ *drivertest.Bus }

func (l line) Tx(a uint16, w, r []byte) error  { return l.Bus.Tx(context.Background(), a, w, r) }
func (l line) SetSpeed(physic.Frequency) error { return drivers.Unsupported }

// A bank is taken over from power-on in the right order, switched, browned out and found.
func TestAgainstTheSimulator(t *testing.T) {
	for _, c := range []struct {
		part    pca9554.Part
		sim     *drivertest.Expander8
		powerOn uint16 // latch
	}{
		{pca9554.PCA9554, drivertest.NewPCA9554(nil), 0x00ff},
		{pca9554.TCA9554, drivertest.NewTCA9554(nil), 0x00ff},
		{pca9554.MAX7310, drivertest.NewMAX7310(nil), 0x0000},
	} {
		t.Run(string(c.part), func(t *testing.T) {
			bus := drivertest.NewBus("bus", drivertest.BusOpts{})
			bus.Attach("relays", 0x20, c.sim)
			d, err := pca9554.New(line{bus}, pca9554.Opts{Name: "relays", Addr: 0x20, Part: c.part})
			if err != nil {
				t.Fatal(err)
			}
			fresh := chip.Words{Latch: c.powerOn, Direction: chip.AllInputs}
			if w, err := d.Read(t.Context()); err != nil || w != fresh {
				t.Fatalf("power-on: %+v, %v", w, err)
			}
			if w, err := d.WriteLatch(t.Context(), 0x0025); err != nil || w.Word != 0x0025 || c.sim.Pins().Driven != 0 {
				t.Fatalf("latch first: %+v, %v, pins %+v", w, err, c.sim.Pins())
			}
			if w, err := d.WriteDirection(t.Context(), 0xffc0); err != nil || w.Word != 0xffc0 || c.sim.Pins().High() != 0x25 || c.sim.Pins().Low() != 0x1a {
				t.Fatalf("direction: %+v, %v, pins %+v", w, err, c.sim.Pins())
			}
			if w, err := d.Read(t.Context()); err != nil || w != (chip.Words{Latch: 0x0025, Direction: 0xffc0}) {
				t.Errorf("%+v, %v", w, err)
			}

			bus.Inject(drivertest.Fault{Kind: drivertest.FaultTimeout, Addr: 0x20, Writes: 2, Times: 1, Delay: 1, Taken: true})
			if w, err := d.WriteLatch(t.Context(), 0x0024); err != nil || w.Word != 0x0024 || c.sim.Output() != 0x24 {
				t.Errorf("a write that worked although the bus failed: %+v, %v", w, err)
			}
			bus.Inject(drivertest.Fault{Kind: drivertest.FaultNackAddress, Addr: 0x20, Writes: 2, Times: 1})
			if w, err := d.WriteLatch(t.Context(), 0x0000); !errors.Is(err, drivers.Mismatch) || w.Word != 0x0024 {
				t.Errorf("a write that was not taken: %+v, %v", w, err)
			}
			bus.Inject(drivertest.Fault{Kind: drivertest.FaultOnes, Times: 3})
			if w, err := d.Read(t.Context()); !errors.Is(err, drivers.Implausible) {
				t.Errorf("floating bus: %+v, %v", w, err)
			}
			c.sim.Reset()
			if w, err := d.Read(t.Context()); err != nil || w != fresh {
				t.Errorf("brown-out: %+v, %v", w, err)
			}
			if v := bus.Violations(); v != nil {
				t.Error(v)
			}
		})
	}
}
