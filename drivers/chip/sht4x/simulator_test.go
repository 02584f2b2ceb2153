package sht4x_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip/sht4x"
	"rackagent/drivers/drivertest"
)

// line is a simulated bus as a driver sees it.
type line struct{ *drivertest.Bus }

func (l line) Tx(a uint16, w, r []byte) error  { return l.Bus.Tx(context.Background(), a, w, r) }
func (l line) SetSpeed(physic.Frequency) error { return drivers.Unsupported }

func TestAgainstTheSimulator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := drivertest.NewSHT4x(0x0bad1dea, nil)
		bus := drivertest.NewBus("bus", drivertest.BusOpts{})
		bus.Attach("aisle", 0x46, sim)
		d, err := sht4x.New(line{bus}, sht4x.Opts{Name: "aisle", Addr: 0x46})
		if err != nil {
			t.Fatal(err)
		}
		if id, err := d.Identify(t.Context()); err != nil || id.Serial != "0bad1dea" || id.Part != "SHT4x" {
			t.Errorf("%+v, %v", id, err)
		}
		for _, c := range []struct{ celsius, humidity float64 }{{25, 40}, {-39.9, 0}, {0, 100}, {35.5, 63.2}, {124.9, 5}} {
			sim.SetAir(c.celsius, c.humidity)
			m, err := d.Sense(t.Context())
			if err != nil || math.Abs(m.Temperature.Celsius()-c.celsius) > 0.0015 || math.Abs(float64(m.Humidity)/float64(physic.PercentRH)-c.humidity) > 0.001 {
				t.Errorf("%+v: %+v, %v", c, m, err)
			}
		}

		// The supply fails for a moment: in between samples nothing is lost, in a measurement that one.
		sim.Reset()
		time.Sleep(2 * time.Millisecond)
		if m, err := d.Sense(t.Context()); err != nil {
			t.Errorf("after a brown-out: %+v, %v", m, err)
		}
		bus.Inject(drivertest.Fault{Kind: drivertest.FaultDo, Times: 1, Do: func() { time.AfterFunc(5*time.Millisecond, sim.Reset) }})
		if m, err := d.Sense(t.Context()); !errors.Is(err, drivers.NoAnswer) {
			t.Errorf("brown-out in a measurement: %+v, %v", m, err)
		}
		if m, err := d.Sense(t.Context()); err != nil {
			t.Errorf("and after it: %+v, %v", m, err)
		}

		for word := range 2 {
			sim.CorruptCRC(1 + word)
			if m, err := d.Sense(t.Context()); !errors.Is(err, drivers.Corrupt) {
				t.Errorf("wrong checksum of word %d: %+v, %v", 1+word, m, err)
			}
		}
		sim.CorruptCRC(0)
		bus.Inject(drivertest.Fault{Kind: drivertest.FaultOnes, Times: 2})
		if m, err := d.Sense(t.Context()); !errors.Is(err, drivers.Implausible) {
			t.Errorf("floating bus: %+v, %v", m, err)
		}
	})
}
