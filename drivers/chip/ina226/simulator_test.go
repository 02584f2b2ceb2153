package ina226_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip/ina226"
	"rackagent/drivers/drivertest"
)

// line is a simulated bus as a driver sees it.
type line struct{ *drivertest.Bus }

func (l line) Tx(a uint16, w, r []byte) error  { return l.Bus.Tx(context.Background(), a, w, r) }
func (l line) SetSpeed(physic.Frequency) error { return drivers.Unsupported }

func TestAgainstTheSimulator(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	amps, volts := 20.0, 12.0
	sim := drivertest.NewINA226(drivertest.INA226Opts{
		Amps:     func(time.Time) float64 { return amps },
		Volts:    func(time.Time) float64 { return volts },
		ShuntOhm: 0.001,
		Now:      func() time.Time { return now },
	})
	bus := drivertest.NewBus("bus", drivertest.BusOpts{})
	bus.Attach("monitor", 0x44, sim)
	d, err := ina226.New(line{bus}, ina226.Opts{Name: "rail", Addr: 0x44, ShuntOhm: 0.001, MaxA: 65.536})
	if err != nil {
		t.Fatal(err)
	}
	if id, err := d.Identify(t.Context()); err != nil || id.Part != "INA226" {
		t.Fatalf("%+v, %v", id, err)
	}
	if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.Restarted) {
		t.Errorf("before Configure: %v", err)
	}
	if err := d.Configure(t.Context()); err != nil || sim.Calibration() != 0x0a00 {
		t.Fatalf("%04x, %v", sim.Calibration(), err)
	}
	for _, c := range []struct{ amps, volts float64 }{{20, 12}, {-20, 12}, {0, 0}, {0.0025, 36}, {81.9, 0.00125}} {
		amps, volts = c.amps, c.volts
		now = now.Add(ina226.Conversion)
		m, err := d.Sense(t.Context())
		if err != nil || m.CurrentFault != drivers.None {
			t.Fatalf("%+v: %+v, %v", c, m, err)
		}
		near(t, "V", float64(m.Voltage)/float64(physic.Volt), c.volts, 0.000625)
		near(t, "A", float64(m.Current)/float64(physic.Ampere), c.amps, 0.00125)
		near(t, "W", float64(m.Power)/float64(physic.Watt), c.amps*c.volts, 0.06)
	}
	for _, clipped := range []float64{82, -82, 500} {
		amps, volts = clipped, 12
		now = now.Add(ina226.Conversion)
		if m, err := d.Sense(t.Context()); err != nil || m.CurrentFault != drivers.Implausible || m.Voltage != 12*physic.Volt {
			t.Errorf("%g A: %+v, %v", clipped, m, err)
		}
	}
	sim.Reset()
	if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.Restarted) {
		t.Errorf("brown-out: %v", err)
	}
	if err := d.Configure(t.Context()); err != nil {
		t.Error(err)
	}
	floating := bus.Inject(drivertest.Fault{Kind: drivertest.FaultOnes})
	if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.Implausible) {
		t.Errorf("floating bus: %v", err)
	}
	floating.Clear()
	if v := bus.Violations(); v != nil {
		t.Error(v)
	}
}

func near(t *testing.T, what string, got, want, width float64) {
	t.Helper()
	if math.Abs(got-want) > width+1e-9 {
		t.Errorf("%s: %.9g, want %.9g within %g", what, got, want, width)
	}
}
