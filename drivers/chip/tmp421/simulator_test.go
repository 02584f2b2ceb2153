package tmp421_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip/tmp421"
	"rackagent/drivers/drivertest"
)

// line is a simulated bus as a driver sees it.
type line struct{ *drivertest.Bus }

func (l line) Tx(a uint16, w, r []byte) error  { return l.Bus.Tx(context.Background(), a, w, r) }
func (l line) SetSpeed(physic.Frequency) error { return drivers.Unsupported }

func TestAgainstTheSimulator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := drivertest.NewTMP423(nil, 25, -25, 60.5, 127.9375)
		bus := drivertest.NewBus("bus", drivertest.BusOpts{})
		bus.Attach("board", 0x4c, sim)
		d, err := tmp421.New(line{bus}, tmp421.Opts{Name: "board", Addr: 0x4c, Remotes: 3})
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
			for n, c := range append([]tmp421.Channel{m.Local}, m.Remote...) {
				if ok := want[n] != bad; (c.Fault == drivers.None) != ok || ok && c.Temperature.Celsius() != want[n] {
					t.Errorf("%s: channel %d: %+v, want %v", when, n, c, want[n])
				}
			}
		}
		if id, err := d.Identify(t.Context()); err != nil || id.Part != "TMP423" {
			t.Errorf("%+v, %v", id, err)
		}
		if err := d.Configure(t.Context()); err != nil {
			t.Error(err)
		}
		expect("at first", 25, -25, 60.5, 127.9375)

		sim.SetOpen(1, true)
		sim.SetShorted(3, true)
		sim.SetCelsius(2, 61)
		time.Sleep(tmp421.Conversion)
		expect("one diode open, one shorted", 25, bad, 61, bad)
		sim.SetOpen(1, false)
		sim.SetShorted(3, false)

		// Somebody shuts the part down, switches a channel off and sets the extended range.
		for _, w := range [][]byte{{0x09, 0x44}, {0x0a, 0x6c}} {
			if err := (line{bus}).Tx(0x4c, w, nil); err != nil {
				t.Fatal(err)
			}
		}
		if m, err := d.Sense(t.Context()); !errors.Is(err, drivers.Restarted) {
			t.Errorf("shut down: %+v, %v", m, err)
		}
		if err := d.Configure(t.Context()); err != nil {
			t.Error(err)
		}
		sim.SetCelsius(3, 150)
		time.Sleep(2 * tmp421.Conversion) // the run that began before Configure, and one with all channels
		expect("extended range", 25, -25, 61, 150)

		// A brown-out leaves the part as it should be, in the standard range.
		sim.SetCelsius(3, 100)
		sim.Reset()
		time.Sleep(tmp421.Conversion)
		if m, err := d.Sense(t.Context()); !errors.Is(err, drivers.Restarted) {
			t.Errorf("another range than before: %+v, %v", m, err)
		}
		if err := d.Configure(t.Context()); err != nil {
			t.Error(err)
		}
		expect("after a brown-out", 25, -25, 61, 100)

		floating := bus.Inject(drivertest.Fault{Kind: drivertest.FaultOnes})
		if m, err := d.Sense(t.Context()); !errors.Is(err, drivers.Implausible) {
			t.Errorf("floating bus: %+v, %v", m, err)
		}
		floating.Clear()
		bus.Inject(drivertest.Fault{Kind: drivertest.FaultTimeout, Times: 1})
		if m, err := d.Sense(t.Context()); !errors.Is(err, drivers.Timeout) {
			t.Errorf("held clock: %+v, %v", m, err)
		}
		bus.Attach("board", 0x4c, drivertest.NewTMP422(nil))
		if _, err := d.Identify(t.Context()); !errors.Is(err, drivers.WrongDevice) {
			t.Errorf("smaller part: %v", err)
		}
	})
}

// bad is no temperature.
const bad = -1000
