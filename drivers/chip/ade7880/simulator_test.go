package ade7880_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip/ade7880"
	"rackagent/drivers/drivertest"
)

// line is a simulated bus as a driver sees it.
type line struct{ *drivertest.Bus }

func (l line) Tx(a uint16, w, r []byte) error  { return l.Bus.Tx(context.Background(), a, w, r) }
func (l line) SetSpeed(physic.Frequency) error { return drivers.Unsupported }

const fullV, fullA = 400.0, 80.0 // at gain 1

func TestAgainstTheSimulator(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	inlet := drivertest.SteadyPhases{Phase: [3]drivertest.PhaseFlow{
		{VoltsRMS: 230, AmpsRMS: 16, Watts: 3500, Vars: 1075.64, VA: 3680, Hertz: 50},
		{VoltsRMS: 231, AmpsRMS: 10, Watts: 2200, Vars: -704.34, VA: 2310, Hertz: 50.021},
		{}, // no feed
	}, NeutralAmps: 7.5}
	sim := drivertest.NewADE7880(drivertest.ADE7880Opts{
		Line: inlet, FullVolts: fullV, FullAmps: fullA, Reversed: [3]bool{false, true, false}, Now: func() time.Time { return now },
	})
	bus := drivertest.NewBus("bus", drivertest.BusOpts{})
	bus.Attach("meter", ade7880.Address, sim)
	d := inletMeter(t, bus)
	if id, err := d.Identify(t.Context()); err != nil || id.Part != "ADE7880" {
		t.Fatalf("%+v, %v", id, err)
	}
	if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.Restarted) {
		t.Errorf("before Configure: %v", err)
	}
	if err := d.Configure(t.Context()); err != nil || !sim.Running() {
		t.Fatalf("%t, %v", sim.Running(), err)
	}
	if sim.Disturb() {
		t.Error("the part was not locked to I2C")
	}
	now = now.Add(ade7880.Settling)
	sim.SetEnergy(0, math.MaxInt32-1000)
	before, err := d.Sense(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what             string
		l                ade7880.Line
		v, a, w, q, s, f float64
	}{
		{"A", before.A, 230, 16, 3500, 1075.64, 3680, 50},
		{"B", before.B, 231, 10, -2200, 704.34, 2310, 50.0195}, // nearest period code
		{"C", before.C, 0, 0, 0, 0, 0, 0},
	} {
		near(t, c.what+" V", float64(c.l.Voltage)/float64(physic.Volt), c.v, 1e-4)
		near(t, c.what+" A", float64(c.l.Current)/float64(physic.Ampere), c.a, 1e-5)
		near(t, c.what+" W", float64(c.l.Power)/float64(physic.Watt), c.w, 0.01)
		near(t, c.what+" var", float64(c.l.Reactive)/float64(physic.Watt), c.q, 0.01)
		near(t, c.what+" VA", float64(c.l.Apparent)/float64(physic.Watt), c.s, 0.01)
		near(t, c.what+" Hz", float64(c.l.Frequency)/float64(physic.Hertz), c.f, 1e-4)
	}
	near(t, "PF", before.A.PowerFactor, 3500.0/3680, 2e-5)
	near(t, "N A", float64(before.N.Current)/float64(physic.Ampere), 7.5, 1e-5)

	now = now.Add(time.Hour)
	after, err := d.Sense(t.Context())
	if err != nil || int32(after.A.Energy) >= 0 {
		t.Fatalf("%08x, %v", after.A.Energy, err)
	}
	count := ade7880.EnergyCount(physic.ElectricPotential(fullV*float64(physic.Volt)), physic.ElectricCurrent(fullA/2*float64(physic.Ampere)))
	near(t, "A J", float64(ade7880.EnergyDelta(before.A.Energy, after.A.Energy))*count, 3500*3600, 10)
	near(t, "B J", float64(ade7880.EnergyDelta(before.B.Energy, after.B.Energy))*count, -2200*3600, 10)

	if err := d.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	sim.Change(0x4380, 0x100000)
	if err := d.Verify(t.Context()); !errors.Is(err, drivers.Mismatch) {
		t.Errorf("a gain moved: %v", err)
	}
	sim.Change(0xe60f, 0)
	if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.Mismatch) {
		t.Errorf("the amplifier moved: %v", err)
	}
	if err := d.Configure(t.Context()); err != nil { // the memory is closed now
		t.Error(err)
	}
	if err := d.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	sim.Reset()
	now = now.Add(time.Second)
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
	sim.SetPowered(false)
	if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.NoAnswer) {
		t.Errorf("feed lost: %v", err)
	}
	if v := bus.Violations(); v != nil {
		t.Error(v)
	}
}

// inletMeter is a meter whose phase currents run at gain 2 and whose neutral at gain 4.
func inletMeter(t *testing.T, bus *drivertest.Bus) *ade7880.Dev {
	t.Helper()
	p := ade7880.Phase{
		FullScaleV: physic.ElectricPotential(fullV * float64(physic.Volt)),
		FullScaleI: physic.ElectricCurrent(fullA / 2 * float64(physic.Ampere)),
	}
	n := ade7880.Neutral{FullScaleI: physic.ElectricCurrent(fullA / 4 * float64(physic.Ampere)), Gain: 4}
	d, err := ade7880.New(line{bus}, ade7880.Opts{Name: "inlet", A: p, B: p, C: p, Gain: 2, Neutral: n, Hertz: 50})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func near(t *testing.T, what string, got, want, width float64) {
	t.Helper()
	if math.Abs(got-want) > width+1e-9 {
		t.Errorf("%s: %.9g, want %.9g within %g", what, got, want, width)
	}
}
