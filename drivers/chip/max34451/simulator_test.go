package max34451_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip/max34451"
	"rackagent/drivers/drivertest"
)

// line is a simulated bus as a driver sees it.
type line struct{ *drivertest.Bus }

func (l line) Tx(a uint16, w, r []byte) error  { return l.Bus.Tx(context.Background(), a, w, r) }
func (l line) SetSpeed(physic.Frequency) error { return drivers.Unsupported }
func (l line) Do(_ context.Context, job func(tx i2c.Bus) error) error {
	return job(l)
}

const simAddr = 0x36

func TestAgainstTheSimulator(t *testing.T) {
	for _, opts := range []drivertest.PMBusOpts{
		{Addr: simAddr, PageDelay: 50 * time.Microsecond},
		{Addr: simAddr, PageDelay: 50 * time.Microsecond, StaleAfterPage: true},
		{Addr: simAddr, QueuesUnread: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			sim := drivertest.NewMAX34451(drivertest.MAX34451Opts{
				PMBusOpts: opts, Revision: 0x0012, Config: []uint16{0x10, 0x20, 0x21, 0x22, 0x23, 0x30, 0x34, 0},
			})
			for p, v := range map[int]float64{0: 12.034, 1: 3.3, 2: 0, 3: 12.5, 4: 0.07, 5: 1, 15: 1.8, 16: 45.5, 17: -5, 18: math.NaN()} {
				sim.SetChannel(p, v)
			}
			bus := drivertest.NewBus("bus", drivertest.BusOpts{})
			bus.Attach("rails", simAddr, sim)
			d, err := max34451.New(line{bus}, max34451.Opts{Name: "rails", Addr: simAddr, External: []byte{17, 18}})
			if err != nil {
				t.Fatal(err)
			}
			if id, err := d.Identify(t.Context()); err != nil || id.Version != "0012" {
				t.Fatalf("%+v, %v", id, err)
			}
			m, err := d.Sense(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for p, want := range map[int]physic.ElectricPotential{
				0: 12034 * physic.MilliVolt, 1: 3300 * physic.MilliVolt, 2: 0, 15: 1800 * physic.MilliVolt,
			} {
				if c := m.Channels[p]; c.Voltage == nil || c.Voltage.Fault != drivers.None || c.Voltage.Value != want || c.Current != nil {
					t.Errorf("channel %d: %+v", p, c)
				}
			}
			for p, want := range map[int]physic.ElectricCurrent{3: 12500 * physic.MilliAmpere, 4: 70 * physic.MilliAmpere} {
				if c := m.Channels[p]; c.Current == nil || c.Current.Value != want || c.Voltage != nil {
					t.Errorf("channel %d: %+v", p, c)
				}
			}
			for _, p := range []int{5, 6, 7} {
				if c := m.Channels[p]; c.Voltage != nil || c.Current != nil || c.Fault != drivers.None {
					t.Errorf("channel %d: %+v", p, c)
				}
			}
			if m.Internal.Value != physic.ZeroCelsius+45500*physic.MilliKelvin || m.External[17].Value != physic.ZeroCelsius-5*physic.Kelvin ||
				m.External[18].Fault != drivers.Implausible {
				t.Errorf("%+v, %+v, %+v", m.Internal, m.External[17], m.External[18])
			}
			// Another master leaves PAGE elsewhere between two pages of ours: nothing hangs on where it stood.
			sim.Reset()
			if m, err := d.Sense(t.Context()); err != nil || m.Channels[3].Current.Value != 12500*physic.MilliAmpere {
				t.Errorf("%+v, %v", m.Channels[3], err)
			}
			sim.SetPowered(false)
			if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.NoAnswer) {
				t.Errorf("no supply: %v", err)
			}
			if sim.Clears() != 0 {
				t.Errorf("%d times CLEAR_FAULTS", sim.Clears())
			}
		})
	}
}
