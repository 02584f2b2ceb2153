package ads1115_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip/ads1115"
	"rackagent/drivers/drivertest"
)

// line is a simulated bus as a driver sees it.
type line struct{ *drivertest.Bus }

func (l line) Tx(a uint16, w, r []byte) error  { return l.Bus.Tx(context.Background(), a, w, r) }
func (l line) SetSpeed(physic.Frequency) error { return drivers.Unsupported }

func TestAgainstTheSimulator(t *testing.T) {
	for _, clock := range []float64{-0.1, 0, 0.1} {
		synctest.Test(t, func(t *testing.T) {
			flow, leak := drivertest.NewLoop(drivertest.LoopOpts{}), drivertest.NewRope(drivertest.RopeOpts{})
			sim := drivertest.NewADS1115(drivertest.ADS1115Opts{ClockError: clock})
			sim.SetInput(0, flow.Volts)
			sim.SetInput(1, leak.Volts)
			sim.SetInput(2, drivertest.Constant(3.3))
			bus := drivertest.NewBus("bus", drivertest.BusOpts{})
			bus.Attach("manifold", 0x48, sim)
			d, err := ads1115.New(line{bus}, ads1115.Opts{Name: "manifold", Addr: 0x48, Channels: []ads1115.Channel{
				{Input: ads1115.AIN0, Range: ads1115.FSR4096, Rate: ads1115.SPS128},
				{Input: ads1115.AIN1, Range: ads1115.FSR4096, Rate: ads1115.SPS860},
				{Input: ads1115.AIN2, Range: ads1115.FSR6144, Rate: ads1115.SPS8},
			}})
			if err != nil {
				t.Fatal(err)
			}
			if id, err := d.Identify(t.Context()); err != nil || id.Part != "ADS1115" {
				t.Errorf("%+v, %v", id, err)
			}
			loop, err := ads1115.NewLoop(ads1115.LoopOpts{Shunt: 150 * physic.Ohm, Range: ads1115.FSR4096, Lo: 0, Hi: 60})
			if err != nil {
				t.Fatal(err)
			}
			rope, err := ads1115.NewRope(ads1115.EqualResistors())
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct {
				name  string
				set   func()
				flow  ads1115.LoopState
				value float64
				leak  ads1115.RopeState
			}{
				{"30 L/min, dry", func() { flow.SetValue(30, 0, 60) }, ads1115.LoopValid, 30, ads1115.RopeDry},
				{"no flow", func() { flow.SetValue(0, 0, 60) }, ads1115.LoopValid, 0, ads1115.RopeDry},
				{"wet", func() { leak.SetWater(5e3) }, ads1115.LoopValid, 0, ads1115.RopeWet},
				{"crushed rope", func() { leak.SetShorted(true) }, ads1115.LoopValid, 0, ads1115.RopeShort},
				{"torn rope", func() { leak.SetShorted(false); leak.SetDry(); leak.SetOpen(true) }, ads1115.LoopValid, 0, ads1115.RopeBroken},
				{"water before the tear", func() { leak.SetWater(3e3) }, ads1115.LoopValid, 0, ads1115.RopeWet},
				{"corroded rope", func() { leak.SetOpen(false); leak.SetWater(4e4); leak.SetOpen(true) }, ads1115.LoopValid, 0, ads1115.RopeDegraded},
				{"failed low", func() { flow.SetMilliamps(3.5) }, ads1115.LoopFailedLow, 0, ads1115.RopeDegraded},
				{"undefined", func() { flow.SetMilliamps(3.7) }, ads1115.LoopUndefinedLow, 0, ads1115.RopeDegraded},
				{"saturated", func() { flow.SetMilliamps(20.4) }, ads1115.LoopValid, 60, ads1115.RopeDegraded},
				{"undefined high", func() { flow.SetMilliamps(20.8) }, ads1115.LoopUndefinedHigh, 0, ads1115.RopeDegraded},
				{"torn wire", func() { flow.SetOpen(true) }, ads1115.LoopFailedLow, 0, ads1115.RopeDegraded},
				{"shorted sensor", func() { flow.SetOpen(false); flow.SetShorted(true) }, ads1115.LoopFailedHigh, 0, ads1115.RopeDegraded},
			} {
				c.set()
				m, err := d.Sense(t.Context())
				if err != nil {
					t.Fatalf("%s: %v", c.name, err)
				}
				r := loop.Read(m.Channels[0])
				v, ok := r.Value()
				if r.State != c.flow || ok != (c.flow == ads1115.LoopValid) || ok && math.Abs(v-c.value) > 0.005 {
					t.Errorf("%s: %+v, %v, %t", c.name, r, v, ok)
				}
				if r := rope.Read(m.Channels[1], m.Channels[2].Voltage); r.State != c.leak {
					t.Errorf("%s: %+v", c.name, r)
				}
			}
		})
	}
}

// A sample belongs to its own channel and its own moment, or there is none.
func TestAgainstTheSimulatorDisturbed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := drivertest.NewADS1115(drivertest.ADS1115Opts{ClockError: -0.1, Supply: 5})
		sim.SetInput(0, drivertest.Constant(1))
		sim.SetInput(1, drivertest.Constant(2))
		sim.SetInput(2, drivertest.Constant(4.5))
		bus := drivertest.NewBus("bus", drivertest.BusOpts{})
		bus.Attach("manifold", 0x49, sim)
		d, err := ads1115.New(line{bus}, ads1115.Opts{Name: "manifold", Addr: 0x49, Channels: []ads1115.Channel{
			{Input: ads1115.AIN0, Range: ads1115.FSR4096, Rate: ads1115.SPS8},
			{Input: ads1115.AIN1, Range: ads1115.FSR4096, Rate: ads1115.SPS860},
			{Input: ads1115.AIN2, Range: ads1115.FSR4096, Rate: ads1115.SPS860},
			{Input: ads1115.AIN0AIN1, Range: ads1115.FSR2048, Rate: ads1115.SPS860},
		}})
		if err != nil {
			t.Fatal(err)
		}
		second := func(when string) {
			t.Helper()
			if s, err := d.SenseChannel(t.Context(), 1); err != nil || s.Fault != drivers.None || s.Voltage != 2*physic.Volt {
				t.Errorf("%s: %+v, %v", when, s, err)
			}
		}
		if m, err := d.Sense(t.Context()); err != nil || m.Channels[2].Fault != drivers.Implausible || m.Channels[3].Voltage != -physic.Volt {
			t.Errorf("%+v, %v", m, err)
		}

		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := d.SenseChannel(ctx, 0); !errors.Is(err, drivers.Cancelled) {
			t.Error(err)
		}
		second("while the channel that was left is still converted")

		if err := (line{bus}).Tx(0x49, []byte{0x01, 0xc2, 0x03}, nil); err != nil { // AIN0 for ever, 8 per second
			t.Fatal(err)
		}
		second("after somebody made the part convert for ever")

		bus.Inject(drivertest.Fault{Kind: drivertest.FaultDo, Writes: 2, Times: 1, Do: func() { time.AfterFunc(time.Millisecond, sim.Reset) }})
		if s, err := d.SenseChannel(t.Context(), 1); !errors.Is(err, drivers.Restarted) {
			t.Errorf("brown-out in a conversion: %+v, %v", s, err)
		}
		second("after a brown-out")

		for _, k := range []drivertest.FaultKind{drivertest.FaultOnes, drivertest.FaultNackAddress} {
			i := bus.Inject(drivertest.Fault{Kind: k})
			if s, err := d.SenseChannel(t.Context(), 1); err == nil {
				t.Errorf("%s: %+v", k, s)
			}
			i.Clear()
		}
		second("after faults of the bus")
	})
}
