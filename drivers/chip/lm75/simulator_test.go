package lm75_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip/lm75"
	"rackagent/drivers/drivertest"
)

// line is a simulated bus as a driver sees it.
type line struct{ *drivertest.Bus }

func (l line) Tx(a uint16, w, r []byte) error  { return l.Bus.Tx(context.Background(), a, w, r) }
func (l line) SetSpeed(physic.Frequency) error { return drivers.Unsupported }

func TestAgainstTheSimulator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, garbage := range []bool{false, true} {
			sim := drivertest.NewLM75(drivertest.LM75Opts{Celsius: 31.7, Garbage: garbage})
			bus := drivertest.NewBus("bus", drivertest.BusOpts{})
			bus.Attach("air", 0x4f, sim)
			d, err := lm75.New(line{bus}, lm75.Opts{Name: "air", Addr: 0x4f})
			if err != nil {
				t.Fatal(err)
			}
			if id, err := d.Identify(t.Context()); err != nil || id.Part != "LM75" {
				t.Errorf("%+v, %v", id, err)
			}
			if m, err := d.Sense(t.Context()); err != nil || m.Temperature.Celsius() != 31.5 {
				t.Errorf("%+v, %v", m, err)
			}
			for _, c := range []float64{-55, -0.5, 0, 60.5, 125} {
				sim.SetCelsius(c)
				time.Sleep(lm75.Conversion)
				if c == 0 {
					if m, err := d.Sense(t.Context()); !errors.Is(err, drivers.Settling) {
						t.Errorf("at 0 for the first time: %+v, %v", m, err)
					}
					time.Sleep(lm75.Conversion)
				}
				if m, err := d.Sense(t.Context()); err != nil || m.Temperature.Celsius() != c {
					t.Errorf("at %v: %+v, %v", c, m, err)
				}
			}

			// Shut down by somebody else, it would give its last value for ever.
			if err := (line{bus}).Tx(0x4f, []byte{0x01, 0x01}, nil); err != nil {
				t.Fatal(err)
			}
			if m, err := d.Sense(t.Context()); !errors.Is(err, drivers.Implausible) {
				t.Errorf("shut down: %+v, %v", m, err)
			}
			sim.Reset()
			if m, err := d.Sense(t.Context()); !errors.Is(err, drivers.Settling) {
				t.Errorf("before the first conversion: %+v, %v", m, err)
			}
			time.Sleep(lm75.Conversion)
			if m, err := d.Sense(t.Context()); err != nil || m.Temperature.Celsius() != 125 {
				t.Errorf("after a brown-out: %+v, %v", m, err)
			}
			bus.Inject(drivertest.Fault{Kind: drivertest.FaultOnes, First: 1, Times: 4}) // a sample gives up at the second
			for range 2 {
				if m, err := d.Sense(t.Context()); !errors.Is(err, drivers.Implausible) {
					t.Errorf("floating bus: %+v, %v", m, err)
				}
			}
			bus.Inject(drivertest.Fault{Kind: drivertest.FaultNackAddress, Times: 1})
			if m, err := d.Sense(t.Context()); !errors.Is(err, drivers.NoAnswer) {
				t.Errorf("absent: %+v, %v", m, err)
			}
		}
	})
}

// A part that begins anew after each transfer gives new values to who leaves it the time for a conversion.
func TestAgainstTheSimulatorInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := drivertest.NewLM75(drivertest.LM75Opts{Celsius: 20, Interrupted: true})
		bus := drivertest.NewBus("bus", drivertest.BusOpts{})
		bus.Attach("air", 0x48, sim)
		d, err := lm75.New(line{bus}, lm75.Opts{Name: "air", Addr: 0x48})
		if err != nil {
			t.Fatal(err)
		}
		sim.SetCelsius(40)
		time.Sleep(lm75.Conversion)
		if m, err := d.Sense(t.Context()); err != nil || m.Temperature.Celsius() != 40 {
			t.Errorf("%+v, %v", m, err)
		}
	})
}
