package emc2305_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip/emc2305"
	"rackagent/drivers/drivertest"
)

// line is a simulated bus as a driver sees it.
type line struct{ *drivertest.Bus }

func (l line) Tx(a uint16, w, r []byte) error  { return l.Bus.Tx(context.Background(), a, w, r) }
func (l line) SetSpeed(physic.Frequency) error { return drivers.Unsupported }

func TestAgainstTheSimulator(t *testing.T) {
	for _, c := range []struct {
		part emc2305.Part
		fans int
	}{{emc2305.EMC2301, 1}, {emc2305.EMC2302, 2}, {emc2305.EMC2303, 3}, {emc2305.EMC2305, 5}} {
		t.Run(string(c.part), func(t *testing.T) {
			sim := drivertest.NewEMC2305(drivertest.EMC2305Opts{Fans: c.fans, Fan: func(fan int, duty float64, _ time.Time) float64 {
				return duty * float64(5000+1000*fan)
			}})
			bus := drivertest.NewBus("bus", drivertest.BusOpts{})
			bus.Attach("fans", 0x2f, sim)
			d, err := emc2305.New(line{bus}, emc2305.Opts{Name: "fans", Addr: 0x2f, Part: c.part})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Identify(t.Context()); err != nil {
				t.Fatal(err)
			}
			m, err := d.Sense(t.Context())
			if err != nil || len(m.Fans) != c.fans {
				t.Fatalf("%+v, %v", m, err)
			}
			for _, f := range m.Fans { // not driven after power-on
				if f.Fault != drivers.None || !f.Stopped || f.Stalled || f.Drive != 0 {
					t.Errorf("power-on: %+v", f)
				}
			}

			for n := range c.fans {
				sim.Load(byte(0x30+0x10*n), 0x80)
			}
			m, err = d.Sense(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for n, f := range m.Fans {
				if want := int(sim.RPM(n)); f.N != n+1 || f.Fault != drivers.None || f.Stopped || f.RPM < want-5 || f.RPM > want+5 || f.Drive != 0x80 {
					t.Errorf("%+v, want %d rpm", f, want)
				}
			}

			sim.SetFan(func(fan int, duty float64, _ time.Time) float64 {
				if fan == 0 {
					return 0 // its rotor is stuck
				}
				return 5000 * duty
			})
			for range 2 { // the part repeats itself as long as it lasts
				if m, err = d.Sense(t.Context()); err != nil || !m.Fans[0].Stopped || !m.Fans[0].Stalled || m.Fans[0].Fault != drivers.None {
					t.Errorf("stuck: %+v, %v", m, err)
				}
				for _, f := range m.Fans[1:] {
					if f.RPM == 0 || f.Stalled {
						t.Errorf("beside a stuck one: %+v", f)
					}
				}
			}
			sim.Load(0x32, 0x4b) // multiplier 4
			if m, err = d.Sense(t.Context()); err != nil || m.Fans[0].Fault != drivers.Foreign {
				t.Errorf("counted otherwise: %+v, %v", m, err)
			}
			if w := sim.Writes(); w != nil {
				t.Errorf("written: %+v", w)
			}
		})
	}
}

func TestSimulatorSetUpByTheBoard(t *testing.T) {
	sim := drivertest.NewEMC2305(drivertest.EMC2305Opts{})
	bus := drivertest.NewBus("bus", drivertest.BusOpts{})
	bus.Attach("fans", 0x2c, sim)
	d, err := emc2305.New(line{bus}, emc2305.Opts{Name: "fans", Addr: 0x2c, Fitted: 0b00010, Poles: 2, Edges: 9, Multiplier: 4})
	if err != nil {
		t.Fatal(err)
	}
	sim.Load(0x40, 0xff)
	sim.Load(0x42, 0x5b)
	if m, err := d.Sense(t.Context()); err != nil || len(m.Fans) != 1 || m.Fans[0].RPM < 3995 || m.Fans[0].RPM > 4005 {
		t.Errorf("%+v, %v", m, err)
	}
	sim.Reset()
	if m, err := d.Sense(t.Context()); err != nil || m.Fans[0].Fault != drivers.Restarted || m.Fans[0].RPM != 0 {
		t.Errorf("brown-out: %+v, %v", m, err)
	}
	for _, f := range []drivertest.FaultKind{drivertest.FaultOnes, drivertest.FaultNackAddress} {
		i := bus.Inject(drivertest.Fault{Kind: f})
		if m, err := d.Sense(t.Context()); err == nil || m.Fans != nil {
			t.Errorf("%s: %+v, %v", f, m, err)
		}
		if _, err := d.Identify(t.Context()); err == nil {
			t.Errorf("%s: identified", f)
		}
		i.Clear()
	}
	wrong, err := emc2305.New(line{bus}, emc2305.Opts{Name: "fans", Addr: 0x2c, Part: emc2305.EMC2303})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wrong.Identify(t.Context()); !errors.Is(err, drivers.WrongDevice) {
		t.Error(err)
	}
	if w := sim.Writes(); w != nil {
		t.Errorf("written: %+v", w)
	}
}
