package bme280_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip/bme280"
	"rackagent/drivers/drivertest"
)

// line is a simulated bus as a driver sees it.
type line struct{ *drivertest.Bus }

func (l line) Tx(a uint16, w, r []byte) error  { return l.Bus.Tx(context.Background(), a, w, r) }
func (l line) SetSpeed(physic.Frequency) error { return drivers.Unsupported }

func TestAgainstTheSimulator(t *testing.T) {
	for _, slow := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			sim := drivertest.NewBME280(drivertest.BME280Opts{Slow: slow})
			bus := drivertest.NewBus("bus", drivertest.BusOpts{})
			bus.Attach("aisle", 0x77, sim)
			d, err := bme280.New(line{bus}, bme280.Opts{Name: "aisle", Addr: 0x77})
			if err != nil {
				t.Fatal(err)
			}
			if id, err := d.Identify(t.Context()); err != nil || id.Part != "BME280" {
				t.Errorf("%+v, %v", id, err)
			}
			if m, err := d.Sense(t.Context()); !errors.Is(err, drivers.Restarted) {
				t.Errorf("not set up: %+v, %v", m, err)
			}
			if err := d.Configure(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct{ celsius, pascal, humidity float64 }{{25, 101325, 40}, {-20, 95000, 80}, {60, 62000, 5}} {
				sim.SetAir(c.celsius, c.pascal, c.humidity)
				m, err := d.Sense(t.Context())
				if err != nil || math.Abs(m.Temperature.Celsius()-c.celsius) > 0.02 || math.Abs(float64(m.Pressure)/float64(physic.Pascal)-c.pascal) > 5 ||
					math.Abs(float64(m.Humidity)/float64(physic.PercentRH)-c.humidity) > 0.1 {
					t.Errorf("%+v: %+v, %v", c, m, err)
				}
			}
			sim.SetRaw(0x7ed00, 0x65a0, 0x7000)
			if m, err := d.Sense(t.Context()); !errors.Is(err, drivers.Implausible) {
				t.Errorf("denser than air is: %+v, %v", m, err)
			}
			sim.SetAir(25, 101325, 40)

			// After a brown-out the part would measure on, without humidity.
			sim.Reset()
			if m, err := d.Sense(t.Context()); !errors.Is(err, drivers.Restarted) {
				t.Errorf("brown-out: %+v, %v", m, err)
			}
			if err := d.Configure(t.Context()); !errors.Is(err, drivers.Settling) {
				t.Errorf("just powered: %v", err)
			}
			time.Sleep(2 * time.Millisecond)
			if err := d.Configure(t.Context()); err != nil {
				t.Error(err)
			}
			if m, err := d.Sense(t.Context()); err != nil || m.RawHumidity == 0x8000 {
				t.Errorf("set up again: %+v, %v", m, err)
			}
			bus.Inject(drivertest.Fault{Kind: drivertest.FaultDo, Writes: 2, Times: 1, Do: func() { time.AfterFunc(4*time.Millisecond, sim.Reset) }})
			if m, err := d.Sense(t.Context()); !errors.Is(err, drivers.Implausible) {
				t.Errorf("brown-out in a measurement: %+v, %v", m, err)
			}

			bus.Inject(drivertest.Fault{Kind: drivertest.FaultTimeout, Times: 1})
			if m, err := d.Sense(t.Context()); !errors.Is(err, drivers.Timeout) {
				t.Errorf("held clock: %+v, %v", m, err)
			}
		})
	}
}

// A bus that floats from some transfer on would keep periph's driver asking for ever.
func TestAgainstTheSimulatorFloating(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for first := range uint64(4) {
			sim := drivertest.NewBME280(drivertest.BME280Opts{})
			bus := drivertest.NewBus("bus", drivertest.BusOpts{})
			bus.Attach("aisle", 0x76, sim)
			d, err := bme280.New(line{bus}, bme280.Opts{Name: "aisle", Addr: 0x76})
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Configure(t.Context()); err != nil {
				t.Fatal(err)
			}
			configured := uint64(7)
			bus.Inject(drivertest.Fault{Kind: drivertest.FaultOnes, First: configured + 1 + first})
			if m, err := d.Sense(t.Context()); !errors.Is(err, drivers.Implausible) {
				t.Errorf("from transfer %d on: %+v, %v", first, m, err)
			}
		}
	})
}
