package max31790_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip/max31790"
	"rackagent/drivers/drivertest"
)

// line is a simulated bus as a driver sees it.
type line struct{ *drivertest.Bus }

func (l line) Tx(a uint16, w, r []byte) error  { return l.Bus.Tx(context.Background(), a, w, r) }
func (l line) SetSpeed(physic.Frequency) error { return drivers.Unsupported }

func TestAgainstTheSimulator(t *testing.T) {
	now := time.Unix(0, 0)
	sim := drivertest.NewMAX31790(drivertest.MAX31790Opts{
		StartDuty: 0.5,
		Fan:       func(fan int, duty float64, _ time.Time) float64 { return duty * float64(5000+1000*fan) },
		Now:       func() time.Time { return now },
	})
	bus := drivertest.NewBus("bus", drivertest.BusOpts{})
	bus.Attach("fans", 0x2f, sim)
	d, err := max31790.New(line{bus}, max31790.Opts{Name: "fans", Addr: 0x2f})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	m, err := d.Sense(t.Context())
	if err != nil || len(m.Fans) != max31790.Channels {
		t.Fatalf("%+v, %v", m, err)
	}
	for _, f := range m.Fans { // the tach inputs are off at power-on
		if f.Fault != drivers.Unsupported || f.RPM != 0 || f.Stopped {
			t.Errorf("power-on: %+v", f)
		}
	}

	for n := range byte(6) {
		sim.Load(0x02+n, 0x08)
		sim.Load(0x08+n, n<<5)
	}
	m, err = d.Sense(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for n, f := range m.Fans {
		want := int(sim.RPM(n)) // of a count of 30 and more
		if f.N != n+1 || f.Fault != drivers.None || f.RPM < want*97/100 || f.RPM > want*103/100 || f.SR != 1<<n || f.Duty != 256 {
			t.Errorf("%+v, want %d rpm", f, want)
		}
	}

	sim.SetFan(func(fan int, duty float64, _ time.Time) float64 {
		if fan == 2 {
			return 0 // its rotor is stuck
		}
		return 5000 * duty
	})
	if m, err = d.Sense(t.Context()); err != nil || !m.Fans[2].Stopped || !m.Fans[2].Failed || m.Fans[2].Fault != drivers.None || m.Fans[1].Stopped || m.Fans[1].Failed {
		t.Errorf("stuck: %+v, %v", m, err)
	}

	sim.Load(0x00, 0x02) // 5 s
	now = now.Add(6 * time.Second)
	if m, err = d.Sense(t.Context()); err != nil || !m.Watchdog || m.Fans[0].Duty != 511 {
		t.Errorf("watchdog: %+v, %v", m, err)
	}
	sim.Load(0x00, 0x80)
	if m, err = d.Sense(t.Context()); !errors.Is(err, drivers.Foreign) || m.Fans != nil {
		t.Errorf("standby: %+v, %v", m, err)
	}
	sim.Reset()
	if m, err = d.Sense(t.Context()); err != nil || m.Fans[5].Fault != drivers.Unsupported {
		t.Errorf("brown-out: %+v, %v", m, err)
	}
	for _, f := range []drivertest.FaultKind{drivertest.FaultOnes, drivertest.FaultNackAddress} {
		i := bus.Inject(drivertest.Fault{Kind: f})
		if m, err := d.Sense(t.Context()); err == nil || m.Fans != nil {
			t.Errorf("%s: %+v, %v", f, m, err)
		}
		i.Clear()
	}
	if w := sim.Writes(); w != nil {
		t.Errorf("written: %+v", w)
	}
}
