package max31785_test

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
	"rackagent/drivers/chip/max31785"
	"rackagent/drivers/drivertest"
)

// line is a simulated bus as a driver sees it.
type line struct{ *drivertest.Bus }

func (l line) Tx(a uint16, w, r []byte) error  { return l.Bus.Tx(context.Background(), a, w, r) }
func (l line) SetSpeed(physic.Frequency) error { return drivers.Unsupported }
func (l line) Do(_ context.Context, job func(tx i2c.Bus) error) error {
	return job(l)
}

const simAddr = 0x52

func TestAgainstTheSimulator(t *testing.T) {
	for _, c := range []struct {
		revision uint16
		fans     uint16 // MFR_FAN_CONFIG; bit 12 is the second rotor
	}{{0x3030, 0}, {0x3040, 0x1000}, {0x3061, 0}} {
		synctest.Test(t, func(t *testing.T) {
			sim := drivertest.NewMAX31785(drivertest.MAX31785Opts{
				PMBusOpts: drivertest.PMBusOpts{Addr: simAddr}, Revision: c.revision, MaxRPM: [6]float64{0: 20000, 2: 10000, 3: 12000}, MFRFanConfig: c.fans,
			})
			sim.Store(3, 0xf5, 0xe8, 0x03) // a fan below 1000 rpm is a fault
			for p, v := range map[int]float64{6: 31.5, 7: -2, 16: math.NaN()} {
				sim.SetCelsius(p, v)
			}
			bus := drivertest.NewBus("bus", drivertest.BusOpts{})
			bus.Attach("fans", simAddr, sim)
			d, err := max31785.New(line{bus}, max31785.Opts{Name: "fans", Addr: simAddr, Temperatures: []byte{6, 7, 16}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Identify(t.Context()); err != nil {
				t.Fatal(err)
			}
			sim.SetJammed(3, true)
			time.Sleep(10 * time.Second) // until they turn
			m, err := d.Sense(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for n, fan := range m.Fans {
				fitted := n == 0 || n == 2 || n == 3
				if (fan.Speed != nil) != fitted || fitted && (fan.Speed.Fault != drivers.None || math.Abs(float64(fan.Speed.Value)-sim.RPM(n)) > 1) {
					t.Errorf("fan %d: %+v, turns %v", n, fan, sim.RPM(n))
				}
			}
			if m.Fans[0].Speed.Value < 7900 || m.Fans[3].Speed.Value != 0 || m.Fans[3].Status&0x80 == 0 {
				t.Errorf("%+v, %+v", m.Fans[0].Speed, m.Fans[3])
			}
			if m.Temperatures[6].Value != physic.ZeroCelsius+31500*physic.MilliKelvin || m.Temperatures[7].Value != physic.ZeroCelsius-2*physic.Kelvin ||
				m.Temperatures[16].Fault != drivers.Implausible {
				t.Errorf("%+v, %+v, %+v", m.Temperatures[6], m.Temperatures[7], m.Temperatures[16])
			}
			sim.SetPowered(false)
			if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.NoAnswer) {
				t.Errorf("no supply: %v", err)
			}
			if sim.Clears() != 0 || sim.Writes(0x3b) != 0 {
				t.Errorf("%d times CLEAR_FAULTS, %d times FAN_COMMAND_1", sim.Clears(), sim.Writes(0x3b))
			}
		})
	}
}
