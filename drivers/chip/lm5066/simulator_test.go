package lm5066_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip/lm5066"
	"rackagent/drivers/drivertest"
	"rackagent/drivers/pmbus"
)

// line is a simulated bus as a driver sees it.
type line struct{ *drivertest.Bus }

func (l line) Tx(a uint16, w, r []byte) error  { return l.Bus.Tx(context.Background(), a, w, r) }
func (l line) SetSpeed(physic.Frequency) error { return drivers.Unsupported }

const simAddr = 0x17

func TestAgainstTheSimulator(t *testing.T) {
	for _, c := range []struct {
		name  string
		part  lm5066.Part
		of    func(drivertest.LM5066Opts) *drivertest.LM5066
		vdd   bool // the pin CL
		says  lm5066.CL
		setup byte // DEVICE_SETUP; 0: as it starts
	}{
		{"50 mV by the pin", lm5066.LM5066I, drivertest.NewLM5066I, false, lm5066.CLToGND, 0},
		{"26 mV by the pin", lm5066.LM5066I, drivertest.NewLM5066I, true, lm5066.CLToVDD, 0},
		{"26 mV by SMBus", lm5066.LM5066I, drivertest.NewLM5066I, false, lm5066.CLToGND, 0x14},
		{"50 mV by SMBus", lm5066.LM5066I, drivertest.NewLM5066I, true, lm5066.CLUnknown, 0x04},
		{"the older part, 50 mV", lm5066.LM5066, drivertest.NewLM5066, false, lm5066.CLToGND, 0},
		{"the older part, 26 mV", lm5066.LM5066, drivertest.NewLM5066, true, lm5066.CLToVDD, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := c.of(drivertest.LM5066Opts{
					PMBusOpts: drivertest.PMBusOpts{Addr: simAddr}, RsMilliohm: 1, CLToVDD: c.vdd, VAUX: 1.5,
					Load: drivertest.ConstantLoad(48, 20), Celsius: func(time.Time) float64 { return 30 },
				})
				if c.setup != 0 {
					sim.Store(0, 0xd9, c.setup)
				}
				bus := drivertest.NewBus("bus", drivertest.BusOpts{})
				bus.Attach("feed", simAddr, sim)
				d, err := lm5066.New(line{bus}, lm5066.Opts{Name: "feed", Addr: simAddr, Part: c.part, ShuntOhm: 0.001, CL: c.says})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := d.Identify(t.Context()); err != nil {
					t.Fatal(err)
				}
				compare(t, d, c.part == lm5066.LM5066I)
				if c.part == lm5066.LM5066I {
					counted(t, d)
				}
				if c.setup != 0 { // a brown-out shows where the limit was set by SMBus
					sim.Reset()
					if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.Mismatch) {
						t.Errorf("brown-out: %v", err)
					}
				}
				sim.SetPowered(false)
				if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.NoAnswer) {
					t.Errorf("no supply: %v", err)
				}
				if sim.Clears() != 0 {
					t.Errorf("%d times CLEAR_FAULTS", sim.Clears())
				}
			})
		})
	}
}

func compare(t *testing.T, d *lm5066.Dev, i bool) {
	t.Helper()
	m, err := d.Sense(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	volt := func(r *pmbus.Voltage) float64 { return float64(r.Value) / float64(physic.Volt) }
	amps, watts := float64(m.IIN.Value)/float64(physic.Ampere), float64(m.PIN.Value)/float64(physic.Watt)
	if math.Abs(volt(m.VIN)-48) > 0.03 || math.Abs(volt(m.VOUT)-48) > 0.03 || math.Abs(amps-20) > 0.02 || math.Abs(watts-960) > 1.7 {
		t.Errorf("%v, %v, %v A, %v W", m.VIN, m.VOUT, amps, watts)
	}
	if m.Temperature.Value != physic.ZeroCelsius+30*physic.Kelvin || i && math.Abs(volt(m.VAUX)-1.5) > 0.001 {
		t.Errorf("%v, %v", m.Temperature, m.VAUX)
	}
}

// counted compares what the part counted with what flowed. At this load everything turns round within 10 s.
func counted(t *testing.T, d *lm5066.Dev) {
	t.Helper()
	meter := pmbus.NewMeter(lm5066.Accumulator(), lm5066.SampleRate)
	for n, want := range []pmbus.Basis{pmbus.Reference, pmbus.Counted, pmbus.Counted, pmbus.Estimated} {
		m, err := d.Sense(t.Context())
		if err != nil || m.Energy.Fault != drivers.None {
			t.Fatalf("%+v, %v", m.Energy, err)
		}
		i := meter.Add(m.Energy.Count, float64(m.PIN.Raw), time.Now())
		w, ok := d.MeanPower(i.Code)
		if i.Basis != want || want >= pmbus.Counted && (!ok || math.Abs(float64(w)/float64(physic.Watt)-960) > 1.7) {
			t.Errorf("interval %d: %+v, %v", n, i, w)
		}
		time.Sleep(time.Duration(n*n+1) * time.Second / 2)
	}
}

// The board says one strap and has the other: no register shows it, so nothing but a comparison of meters can.
func TestAgainstTheSimulatorWrongStrap(t *testing.T) {
	sim := drivertest.NewLM5066I(drivertest.LM5066Opts{
		PMBusOpts: drivertest.PMBusOpts{Addr: simAddr}, CLToVDD: true, Load: drivertest.ConstantLoad(48, 20),
	})
	bus := drivertest.NewBus("bus", drivertest.BusOpts{})
	bus.Attach("feed", simAddr, sim)
	d, err := lm5066.New(line{bus}, lm5066.Opts{Name: "feed", Addr: simAddr, Part: lm5066.LM5066I, ShuntOhm: 0.001, CL: lm5066.CLToGND})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	m, err := d.Sense(t.Context())
	if err != nil || math.Abs(float64(m.IIN.Value)/float64(physic.Ampere)-39.4) > 0.1 {
		t.Errorf("%+v, %v", m.IIN, err)
	}
}
