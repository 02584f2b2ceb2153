package mcp9808_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip/mcp9808"
	"rackagent/drivers/drivertest"
)

// line is a simulated bus as a driver sees it.
type line struct{ *drivertest.Bus }

func (l line) Tx(a uint16, w, r []byte) error  { return l.Bus.Tx(context.Background(), a, w, r) }
func (l line) SetSpeed(physic.Frequency) error { return drivers.Unsupported }

func TestAgainstTheSimulator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := drivertest.NewMCP9808(drivertest.Constant(31.7), nil)
		bus := drivertest.NewBus("bus", drivertest.BusOpts{})
		bus.Attach("air", 0x1f, sim)
		d, err := mcp9808.New(line{bus}, mcp9808.Opts{Name: "air", Addr: 0x1f})
		if err != nil {
			t.Fatal(err)
		}
		if id, err := d.Identify(t.Context()); err != nil || id.Part != "MCP9808" {
			t.Errorf("%+v, %v", id, err)
		}
		if m, err := d.Sense(t.Context()); err != nil || m.Temperature.Celsius() != 31.6875 {
			t.Errorf("%+v, %v", m, err)
		}
		for _, c := range []float64{-40, -0.0625, 0, 0.0625, 60.5, 125} {
			sim.SetCelsius(c)
			time.Sleep(mcp9808.Conversion)
			if c == 0 {
				if m, err := d.Sense(t.Context()); !errors.Is(err, drivers.Settling) {
					t.Errorf("at 0 for the first time: %+v, %v", m, err)
				}
				time.Sleep(mcp9808.Conversion)
			}
			if m, err := d.Sense(t.Context()); err != nil || m.Temperature.Celsius() != c {
				t.Errorf("at %v: %+v, %v", c, m, err)
			}
		}

		// Shut down by somebody else, it would give its last value for ever.
		if err := (line{bus}).Tx(0x1f, []byte{0x01, 0x01, 0x00}, nil); err != nil {
			t.Fatal(err)
		}
		if m, err := d.Sense(t.Context()); !errors.Is(err, drivers.Implausible) {
			t.Errorf("shut down: %+v, %v", m, err)
		}
		sim.Reset()
		if m, err := d.Sense(t.Context()); !errors.Is(err, drivers.Settling) {
			t.Errorf("before the first conversion: %+v, %v", m, err)
		}
		time.Sleep(mcp9808.Conversion)
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
	})
}
