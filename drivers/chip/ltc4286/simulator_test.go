package ltc4286_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip/ltc4286"
	"rackagent/drivers/drivertest"
	"rackagent/drivers/pmbus"
)

// line is a simulated bus as a driver sees it.
type line struct{ *drivertest.Bus }

func (l line) Tx(a uint16, w, r []byte) error  { return l.Bus.Tx(context.Background(), a, w, r) }
func (l line) SetSpeed(physic.Frequency) error { return drivers.Unsupported }

const simAddr = 0x41

func TestAgainstTheSimulator(t *testing.T) {
	for _, c := range []struct {
		name   string
		part   ltc4286.Part
		config uint16 // MFR_CONFIG1; 0: as it starts
		vin    float64
		iout   float64
	}{
		{"102.4 V", ltc4286.LTC4286, 0, 48, 40},
		{"25.6 V", ltc4286.LTC4286, 0x5570, 12, 100},
		{"the sister", ltc4286.LTC4287, 0, 54, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			sim := drivertest.NewLTC4286(drivertest.LTC4286Opts{
				PMBusOpts: drivertest.PMBusOpts{Addr: simAddr}, Model: string(c.part), RsMicroohm: 250,
				Load: drivertest.ConstantLoad(c.vin, c.iout), Celsius: func(time.Time) float64 { return 45 },
			})
			if c.config != 0 {
				sim.Store(0, 0xf2, byte(c.config), byte(c.config>>8))
			}
			bus := drivertest.NewBus("bus", drivertest.BusOpts{})
			bus.Attach("shelf", simAddr, sim)
			d, err := ltc4286.New(line{bus}, ltc4286.Opts{Name: "shelf", Addr: simAddr, Part: c.part, ShuntOhm: 0.00025})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Identify(t.Context()); err != nil {
				t.Fatal(err)
			}
			m, err := d.Sense(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			v, out := float64(m.VIN.Value)/float64(physic.Volt), float64(m.VOUT.Value)/float64(physic.Volt)
			i, w := float64(m.IOUT.Value)/float64(physic.Ampere), float64(m.PIN.Value)/float64(physic.Watt)
			if math.Abs(v-c.vin) > 0.004 || math.Abs(out-c.vin) > 0.004 || math.Abs(i-c.iout) > 0.01 || math.Abs(w-c.vin*c.iout) > 0.5 {
				t.Errorf("%v V, %v V, %v A, %v W", v, out, i, w)
			}
			if m.Temperature.Value != physic.ZeroCelsius+45*physic.Kelvin || m.Status != 0 {
				t.Errorf("%v, %v", m.Temperature.Value, m.Status)
			}
			sim.Store(0, 0x01, 0x00) // somebody switches it off
			if m, err := d.Sense(t.Context()); err != nil || m.Status != pmbus.StatusOff|pmbus.StatusPowerNotGood || m.VOUT.Value != 0 {
				t.Errorf("off: %+v, %v", m, err)
			}
			// A brown-out shows where the board had chosen the other range.
			sim.Reset()
			m, err = d.Sense(t.Context())
			if want := map[bool]drivers.Fault{true: drivers.Mismatch}[c.config != 0]; drivers.FaultOf(err) != want {
				t.Errorf("brown-out: %+v, %v", m, err)
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
