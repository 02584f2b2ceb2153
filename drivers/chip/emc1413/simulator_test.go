package emc1413_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip/emc1413"
	"rackagent/drivers/drivertest"
)

// line is a simulated bus as a driver sees it.
type line struct{ *drivertest.Bus }

func (l line) Tx(a uint16, w, r []byte) error  { return l.Bus.Tx(context.Background(), a, w, r) }
func (l line) SetSpeed(physic.Frequency) error { return drivers.Unsupported }

func TestAgainstTheSimulator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := drivertest.NewEMC1414(nil, 25, 43.125, 60.5, 127.875)
		bus := drivertest.NewBus("bus", drivertest.BusOpts{})
		bus.Attach("riser", 0x4c, sim)
		d, err := emc1413.New(line{bus}, emc1413.Opts{Name: "riser", Addr: 0x4c, Remotes: 3})
		if err != nil {
			t.Fatal(err)
		}
		expect := func(when string, want ...float64) {
			t.Helper()
			m, err := d.Sense(t.Context())
			if err != nil {
				t.Errorf("%s: %v", when, err)
				return
			}
			for n, c := range append([]emc1413.Channel{m.Local}, m.Remote...) {
				if ok := want[n] != bad; (c.Fault == drivers.None) != ok || ok && c.Temperature.Celsius() != want[n] {
					t.Errorf("%s: channel %d: %+v, want %v", when, n, c, want[n])
				}
			}
		}
		if id, err := d.Identify(t.Context()); err != nil || id.Part != "EMC1414" {
			t.Errorf("%+v, %v", id, err)
		}
		expect("at first", 25, 43.125, 60.5, 127.875)

		sim.SetOpen(1, true)
		sim.SetShorted(3, true)
		sim.SetCelsius(2, 61.25)
		time.Sleep(time.Second)
		for range 3 { // faster than the part converts: its fault register was cleared by the read before
			expect("one diode open, one shorted", 25, bad, 61.25, bad)
		}
		sim.SetOpen(1, false)
		sim.SetShorted(3, false)
		sim.SetCelsius(0, -5)
		time.Sleep(time.Second)
		_, _ = d.Sense(t.Context()) // the last sign of the faults
		expect("colder than the default range", bad, 43.125, 61.25, 127.875)

		if err := (line{bus}).Tx(0x4c, []byte{0x03, 0x04}, nil); err != nil { // extended range
			t.Fatal(err)
		}
		sim.SetCelsius(3, 150.5)
		time.Sleep(time.Second)
		expect("extended range", -5, 43.125, 61.25, 150.5)

		if err := (line{bus}).Tx(0x4c, []byte{0x03, 0x40}, nil); err != nil { // standby
			t.Fatal(err)
		}
		if m, err := d.Sense(t.Context()); !errors.Is(err, drivers.Implausible) {
			t.Errorf("standby: %+v, %v", m, err)
		}
		sim.SetCelsius(0, 30)
		sim.SetCelsius(3, 90)
		sim.Reset()
		time.Sleep(time.Second)
		if m, err := d.Sense(t.Context()); !errors.Is(err, drivers.Restarted) {
			t.Errorf("another range than before: %+v, %v", m, err)
		}
		if _, err := d.Identify(t.Context()); err != nil {
			t.Error(err)
		}
		expect("after a brown-out", 30, 43.125, 61.25, 90)

		bus.Inject(drivertest.Fault{Kind: drivertest.FaultOnes, Times: 1})
		if m, err := d.Sense(t.Context()); !errors.Is(err, drivers.Implausible) {
			t.Errorf("floating bus: %+v, %v", m, err)
		}
		bus.Inject(drivertest.Fault{Kind: drivertest.FaultArbitration, Times: 1})
		if m, err := d.Sense(t.Context()); !errors.Is(err, drivers.Arbitration) {
			t.Errorf("another master: %+v, %v", m, err)
		}
		bus.Attach("riser", 0x4c, drivertest.NewEMC1413(nil))
		if _, err := d.Identify(t.Context()); !errors.Is(err, drivers.WrongDevice) {
			t.Errorf("smaller part: %v", err)
		}
	})
}

// bad is no temperature.
const bad = -1000
