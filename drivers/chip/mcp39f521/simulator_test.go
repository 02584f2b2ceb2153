package mcp39f521_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip/mcp39f521"
	"rackagent/drivers/drivertest"
)

// line is a simulated bus as a driver sees it.
type line struct{ *drivertest.Bus }

func (l line) Tx(a uint16, w, r []byte) error  { return l.Bus.Tx(context.Background(), a, w, r) }
func (l line) SetSpeed(physic.Frequency) error { return drivers.Unsupported }

func TestAgainstTheSimulator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim, bus, d := wired(t, drivertest.MCP39F521Opts{Line: load(2300, 500), Delay: 25 * time.Millisecond}, false)
		if id, err := d.Identify(t.Context()); err != nil || id.Version != "6a21" {
			t.Fatalf("%+v, %v", id, err)
		}
		if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.Restarted) {
			t.Errorf("before Configure: %v", err)
		}
		if err := d.Configure(t.Context()); err != nil || !sim.Counting() {
			t.Fatalf("%t, %v", sim.Counting(), err)
		}
		before := sense(t, d)
		near(t, "V", float64(before.Voltage)/float64(physic.Volt), 230, 0.05)
		near(t, "Hz", float64(before.Frequency)/float64(physic.Hertz), 50, 0.0005)
		near(t, "A", float64(before.Current)/float64(physic.Ampere), 10.2335, 0.0001)
		near(t, "W", float64(before.Power)/float64(physic.Watt), 2300, 0.005)
		near(t, "var", float64(before.Reactive)/float64(physic.Watt), 500, 0.005)
		near(t, "VA", float64(before.Apparent)/float64(physic.Watt), math.Hypot(2300, 500), 0.005)
		near(t, "PF", before.PowerFactor, 2300/math.Hypot(2300, 500), 2e-5)
		begin := time.Now()
		time.Sleep(time.Hour)
		after := sense(t, d)
		joule := float64(after.Energy.ImportActive-before.Energy.ImportActive) * after.Energy.JoulePerCount
		near(t, "J", joule, 2300*time.Since(begin).Seconds(), 2300)
		near(t, "mvarh", float64(after.Energy.ImportReactive-before.Energy.ImportReactive), 500_000, 500)
		if after.Energy.ExportActive != 0 || after.Energy.ExportReactive != 0 {
			t.Errorf("%+v", after.Energy)
		}
		if err := d.Configure(t.Context()); err != nil || sense(t, d).Energy.ImportActive < after.Energy.ImportActive {
			t.Errorf("configuring again touched the counters: %v", err)
		}
		sim.Reset()
		if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.Restarted) {
			t.Errorf("brown-out: %v", err)
		}
		if f, w := sim.Forbidden(), sim.Writes(); len(f) != 0 || len(w) != 1 || w[0].Addr != 0x00dc {
			t.Errorf("forbidden % x, writes %+v", f, w)
		}
		if v := bus.Violations(); v != nil {
			t.Error(v)
		}
	})
}

func TestSignsAgainstTheSimulator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct{ w, q float64 }{{1000, 200}, {1000, -200}, {-1000, 200}, {-1000, -200}} {
			_, _, d := wired(t, drivertest.MCP39F521Opts{Line: load(c.w, c.q)}, false)
			if err := d.Configure(t.Context()); err != nil {
				t.Fatal(err)
			}
			m := sense(t, d)
			near(t, "W", float64(m.Power)/float64(physic.Watt), c.w, 0.005)
			near(t, "var", float64(m.Reactive)/float64(physic.Watt), c.q, 0.005)
		}
	})
}

// With a window other than N = 2 the counters of some meters are wrong; corrected, they give what flowed.
func TestCorrectionAgainstTheSimulator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, n := range []uint16{1, 2, 5} {
			_, _, d := wired(t, drivertest.MCP39F521Opts{Line: load(1000, 0), Cycles: n, EnergyErratum: true}, true)
			if err := d.Configure(t.Context()); err != nil {
				t.Fatal(err)
			}
			before, begin := sense(t, d), time.Now()
			time.Sleep(time.Hour)
			after := sense(t, d)
			joule := float64(after.Energy.ImportActive-before.Energy.ImportActive) * after.Energy.JoulePerCount
			near(t, "J", joule, 1000*time.Since(begin).Seconds(), 1000)
		}
	})
}

func TestFaultsAgainstTheSimulator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim, bus, d := wired(t, drivertest.MCP39F521Opts{Line: load(2300, 0)}, false)
		for name, c := range map[string]struct {
			change func()
			fault  drivers.Fault
		}{
			"wrong checksum": {func() { sim.SpoilSums(1) }, drivers.Corrupt},
			"misheard":       {func() { sim.Mishear(1) }, drivers.Corrupt},
			"refused":        {func() { sim.Deny(1) }, drivers.Unsupported},
			"no supply":      {func() { sim.SetPowered(false) }, drivers.NoAnswer},
			"floating":       {func() { bus.Inject(drivertest.Fault{Kind: drivertest.FaultOnes, Times: 12}) }, drivers.Implausible},
			"too slow":       {func() { sim.SetDelay(61 * time.Millisecond) }, drivers.Implausible},
		} {
			if err := d.Configure(t.Context()); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			c.change()
			if m, err := d.Sense(t.Context()); drivers.FaultOf(err) != c.fault || m != (mcp39f521.Measurement{}) {
				t.Errorf("%s: %+v, %v", name, m, err)
			}
			sim.SetDelay(0)
			sim.SetPowered(true)
		}
		if f := sim.Forbidden(); len(f) != 0 {
			t.Errorf("forbidden % x", f)
		}
	})
}

func wired(t *testing.T, o drivertest.MCP39F521Opts, correct bool) (*drivertest.MCP39F521, *drivertest.Bus, *mcp39f521.Dev) {
	t.Helper()
	sim := drivertest.NewMCP39F521(o)
	bus := drivertest.NewBus("bus", drivertest.BusOpts{})
	bus.Attach("meter", 0x74, sim)
	d, err := mcp39f521.New(line{bus}, mcp39f521.Opts{Name: "outlet", Addr: 0x74, CorrectEnergy: correct})
	if err != nil {
		t.Fatal(err)
	}
	return sim, bus, d
}

// load is one current on 230 V, 50 Hz.
func load(w, q float64) drivertest.Steady {
	va := math.Hypot(w, q)
	return drivertest.Steady{VoltsRMS: 230, Hertz: 50, Channel: [2]drivertest.Flow{{AmpsRMS: va / 230, Watts: w, Vars: q, VA: va}}}
}

func sense(t *testing.T, d *mcp39f521.Dev) mcp39f521.Measurement {
	t.Helper()
	m, err := d.Sense(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func near(t *testing.T, what string, got, want, width float64) {
	t.Helper()
	if math.Abs(got-want) > width+1e-9 {
		t.Errorf("%s: %.9g, want %.9g within %g", what, got, want, width)
	}
}
