package ina3221_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip/ina3221"
	"rackagent/drivers/drivertest"
)

// line is a simulated bus as a driver sees it.
type line struct{ *drivertest.Bus }

func (l line) Tx(a uint16, w, r []byte) error  { return l.Bus.Tx(context.Background(), a, w, r) }
func (l line) SetSpeed(physic.Frequency) error { return drivers.Unsupported }

func TestAgainstTheSimulator(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	amps := 2.0
	sim := drivertest.NewINA3221([3]drivertest.INA3221Channel{
		{Amps: func(time.Time) float64 { return amps }, Volts: drivertest.Constant(12), ShuntOhm: 0.01},
		{Amps: drivertest.Constant(5), Volts: drivertest.Constant(5), ShuntOhm: 0.02},
		{Amps: drivertest.Constant(-0.5), Volts: drivertest.Constant(3.304), ShuntOhm: 0.1},
	}, func() time.Time { return now })
	bus := drivertest.NewBus("bus", drivertest.BusOpts{})
	bus.Attach("monitor", 0x43, sim)
	d, err := ina3221.New(line{bus}, ina3221.Opts{Name: "rails", Addr: 0x43, ShuntOhm: [3]float64{0.01, 0, 0.1}})
	if err != nil {
		t.Fatal(err)
	}
	if id, err := d.Identify(t.Context()); err != nil || id.Part != "INA3221" {
		t.Fatalf("%+v, %v", id, err)
	}
	if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.Restarted) {
		t.Errorf("before Configure: %v", err)
	}
	if err := d.Configure(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, amps = range []float64{2, -2, 0, 16.3} {
		now = now.Add(ina3221.Conversion)
		m, err := d.Sense(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		one, three := m.Channels[0], m.Channels[2]
		if one.Fault != drivers.None || m.Channels[1] != (ina3221.Channel{Fault: drivers.NotRead}) {
			t.Errorf("%+v", m)
		}
		near(t, "V", float64(one.Voltage)/float64(physic.Volt), 12, 0.004)
		near(t, "A", float64(one.Current)/float64(physic.Ampere), amps, 0.002)
		near(t, "W", float64(one.Power)/float64(physic.Watt), 12*amps, 0.1)
		near(t, "V", float64(three.Voltage)/float64(physic.Volt), 3.304, 0.004)
		near(t, "A", float64(three.Current)/float64(physic.Ampere), -0.5, 0.0002)
	}
	amps = 20 // 200 mV
	now = now.Add(ina3221.Conversion)
	if m, err := d.Sense(t.Context()); err != nil || m.Channels[0].CurrentFault != drivers.Implausible || m.Channels[2].CurrentFault != drivers.None {
		t.Errorf("clipped: %+v, %v", m, err)
	}
	sim.Reset()
	if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.Restarted) {
		t.Errorf("brown-out: %v", err)
	}
	bus.Inject(drivertest.Fault{Kind: drivertest.FaultOnes})
	if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.Implausible) {
		t.Errorf("floating bus: %v", err)
	}
}

func near(t *testing.T, what string, got, want, width float64) {
	t.Helper()
	if math.Abs(got-want) > width+1e-9 {
		t.Errorf("%s: %.9g, want %.9g within %g", what, got, want, width)
	}
}
