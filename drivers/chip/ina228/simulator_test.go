package ina228_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip/ina228"
	"rackagent/drivers/drivertest"
)

// line is a simulated bus as a driver sees it.
type line struct{ *drivertest.Bus }

func (l line) Tx(a uint16, w, r []byte) error  { return l.Bus.Tx(context.Background(), a, w, r) }
func (l line) SetSpeed(physic.Frequency) error { return drivers.Unsupported }

func TestAgainstTheSimulator(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	amps, volts := 100.0, 48.0
	wired := drivertest.INA228Opts{
		Amps:     func(time.Time) float64 { return amps },
		Volts:    func(time.Time) float64 { return volts },
		Celsius:  drivertest.Constant(31.5),
		ShuntOhm: 0.0002,
		Now:      func() time.Time { return now },
	}
	for part, sim := range map[ina228.Part]*drivertest.INA228{
		ina228.INA228: drivertest.NewINA228(wired), ina228.INA237: drivertest.NewINA237(wired), ina228.INA238: drivertest.NewINA238(wired),
	} {
		for _, narrow := range []bool{false, true} {
			t.Run(string(part), func(t *testing.T) {
				bus := drivertest.NewBus("bus", drivertest.BusOpts{})
				bus.Attach("monitor", 0x4f, sim)
				d, err := ina228.New(line{bus}, ina228.Opts{Name: "shelf", Part: part, Addr: 0x4f, ShuntOhm: 0.0002, MaxA: 200, Narrow: narrow})
				if err != nil {
					t.Fatal(err)
				}
				sim.Reset()
				if id, err := d.Identify(t.Context()); err != nil || id.Part != string(part) {
					t.Fatalf("%+v, %v", id, err)
				}
				if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.Restarted) {
					t.Errorf("before Configure: %v", err)
				}
				if err := d.Configure(t.Context()); err != nil {
					t.Fatal(err)
				}
				for _, c := range []struct{ amps, volts float64 }{{100, 48}, {-100, 48}, {0, 0}, {0.2, 85}, {199, 12}} {
					amps, volts = c.amps, c.volts
					now = now.Add(ina228.Conversion)
					m, err := d.Sense(t.Context())
					if err != nil || m.CurrentFault != drivers.None {
						t.Fatalf("%+v: %+v, %v", c, m, err)
					}
					near(t, "V", float64(m.Voltage)/float64(physic.Volt), c.volts, 0.0016)
					near(t, "A", float64(m.Current)/float64(physic.Ampere), c.amps, 0.0126)
					near(t, "W", float64(m.Power)/float64(physic.Watt), c.amps*c.volts, 1.1)
					near(t, "C", m.Temperature.Celsius(), 31.5, 1e-6)
				}
				amps = 1000 // more than both ranges
				now = now.Add(ina228.Conversion)
				if m, err := d.Sense(t.Context()); err != nil || m.CurrentFault != drivers.Implausible || m.Voltage != 12*physic.Volt {
					t.Errorf("clipped: %+v, %v", m, err)
				}
				amps, volts = 100, 48
				sim.Reset()
				if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.Restarted) {
					t.Errorf("brown-out: %v", err)
				}
				bus.Inject(drivertest.Fault{Kind: drivertest.FaultOnes, Times: 1})
				if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.Implausible) {
					t.Errorf("floating bus: %v", err)
				}
			})
		}
	}
}

// What the counters say over an hour is what flowed, also over a turn; after a brown-out nothing is booked.
func TestCountersAgainstTheSimulator(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	sim := drivertest.NewINA228(drivertest.INA228Opts{
		Amps: drivertest.Constant(100), Volts: drivertest.Constant(48), ShuntOhm: 0.0002, Now: func() time.Time { return now },
	})
	bus := drivertest.NewBus("bus", drivertest.BusOpts{})
	bus.Attach("monitor", 0x40, sim)
	d, err := ina228.New(line{bus}, ina228.Opts{Name: "shelf", Part: ina228.INA228, Addr: 0x40, ShuntOhm: 0.0002, MaxA: 200})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Configure(t.Context()); err != nil {
		t.Fatal(err)
	}
	now = now.Add(ina228.Conversion)
	const joules, coulombs = 4800 * 3600, 100 * 3600
	sim.SetEnergy(1<<40 - uint64(joules/2/d.EnergyCount())) // turns in half an hour
	before := counters(t, d)
	now = now.Add(time.Hour)
	after := counters(t, d)
	n, ok := ina228.EnergyDelta(before.Energy, after.Energy, after.EnergyOverflow)
	if !ok || !after.EnergyOverflow || after.Energy >= before.Energy {
		t.Errorf("%+v to %+v: %d, %t", before, after, n, ok)
	}
	near(t, "J", float64(n)*d.EnergyCount(), joules, joules*1e-4)
	near(t, "C", float64(ina228.ChargeDelta(before.Charge, after.Charge))*d.ChargeCount(), coulombs, coulombs*1e-4)
	if again := counters(t, d); again.EnergyOverflow {
		t.Error("the turn was announced twice")
	}
	sim.Reset()
	if err := d.Configure(t.Context()); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	if n, ok := ina228.EnergyDelta(after.Energy, counters(t, d).Energy, false); ok || n != 0 {
		t.Errorf("booked %d over a brown-out", n)
	}
}

func counters(t *testing.T, d *ina228.Dev) ina228.Counters {
	t.Helper()
	m, err := d.Sense(t.Context())
	if err != nil || m.Counters.Fault != drivers.None {
		t.Fatalf("%+v, %v", m, err)
	}
	return m.Counters
}

func near(t *testing.T, what string, got, want, width float64) {
	t.Helper()
	if math.Abs(got-want) > width+1e-9 {
		t.Errorf("%s: %.9g, want %.9g within %g", what, got, want, width)
	}
}
