package psu_test

import (
	"context"
	"errors"
	"math"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/drivertest"
	"rackagent/drivers/pmbus"
	"rackagent/drivers/psu"
)

// line is a simulated bus as a driver sees it.
type line struct{ *drivertest.Bus }

func (l line) Tx(a uint16, w, r []byte) error  { return l.Bus.Tx(context.Background(), a, w, r) }
func (l line) SetSpeed(physic.Frequency) error { return drivers.Unsupported }
func (l line) Do(_ context.Context, job func(tx i2c.Bus) error) error {
	return job(l)
}

const simAddr = 0x58

func simulated(t *testing.T, sim drivertest.Chip, m *psu.Model) *psu.Dev {
	t.Helper()
	bus := drivertest.NewBus("bus", drivertest.BusOpts{})
	bus.Attach("left", simAddr, sim)
	d, err := psu.New(line{bus}, psu.Opts{Name: "left", Addr: simAddr, Model: m})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAgainstTheSimulator(t *testing.T) {
	m, err := psu.LoadModel("crps")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		opts drivertest.CRPSOpts
	}{
		{"as built", drivertest.CRPSOpts{}},
		{"without packet error checking", drivertest.CRPSOpts{PMBusOpts: drivertest.PMBusOpts{PEC: drivertest.PECNone}}},
		{"claims packet error checking", drivertest.CRPSOpts{PMBusOpts: drivertest.PMBusOpts{PEC: drivertest.PECWrong}}},
		{"queues what is unread", drivertest.CRPSOpts{PMBusOpts: drivertest.PMBusOpts{QueuesUnread: true}}},
		{"like an AHE-50DC", drivertest.CRPSOpts{LikeAHE50DC: true}},
		{"another VOUT_MODE", drivertest.CRPSOpts{VoutMode: 0x14}},
		{"VOUT_MODE counts as a bad command", drivertest.CRPSOpts{PMBusOpts: drivertest.PMBusOpts{FalseBadCommand: []byte{0x20}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.opts.Load = drivertest.ConstantLoad(230, 82)
				sim := drivertest.NewCRPS(c.opts)
				d := simulated(t, sim, m)
				id, err := d.Identify(t.Context())
				if want := (drivers.Ident{Manufacturer: "SIMPOWER", Product: "CRPS2000-12", Serial: "SIM0000001", Version: "S1"}); err != nil || id != want {
					t.Fatalf("%+v, %v", id, err)
				}
				time.Sleep(time.Second)
				flowing(t, d)
				counted(t, d, m)
				troubled(t, d, sim)
				if sim.Clears() != 0 || sim.Glitches() != 0 || !sim.Output() || sim.Writes(0x01)+sim.Writes(0x00) != 0 {
					t.Errorf("%d times CLEAR_FAULTS, %d glitches, output %t", sim.Clears(), sim.Glitches(), sim.Output())
				}
			})
		})
	}
}

// flowing compares readings at 230 V and 82 A with what the supply makes of them: steps of LINEAR11 are up to 0.2 %.
func flowing(t *testing.T, d *psu.Dev) {
	t.Helper()
	m, err := d.Sense(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pout := 12.2 * 82
	pin := pout/0.94 + 6
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"VIN", float64(m.VIN.Value) / 1e9, 230},
		{"IIN", float64(m.IIN.Value) / 1e9, pin / 230},
		{"PIN", float64(m.PIN.Value) / 1e9, pin},
		{"VOUT", float64(m.VOUT.Value) / 1e9, 12.2},
		{"IOUT", float64(m.IOUT.Value) / 1e9, 82},
		{"POUT", float64(m.POUT.Value) / 1e9, pout},
		{"inlet", m.Temperatures[0].Value.Celsius(), 25},
		{"primary", m.Temperatures[2].Value.Celsius(), 50},
		{"fan", float64(m.Fans[0].Value), 12500},
	} {
		if math.Abs(c.got-c.want) > 0.003*c.want {
			t.Errorf("%s: %v, want %v", c.name, c.got, c.want)
		}
	}
}

// counted compares the energy counter with the power it adds up. At this load everything turns round within 2.4 minutes.
func counted(t *testing.T, d *psu.Dev, model *psu.Model) {
	t.Helper()
	a, ok := model.Accumulator()
	if !ok {
		t.Fatal("no accumulator")
	}
	meter, want := pmbus.NewMeter(a, 0), 12.2*82/0.94+6
	for n, basis := range []pmbus.Basis{pmbus.Reference, pmbus.Estimated, pmbus.Counted, pmbus.Counted} {
		m, err := d.Sense(t.Context())
		if err != nil || m.EIN.Fault != drivers.None {
			t.Fatalf("%+v, %v", m.EIN, err)
		}
		i := meter.Add(m.EIN.Count, float64(m.PIN.Value)/float64(physic.Watt), time.Now())
		w, ok := model.MeanPower(i.Code)
		if i.Basis != basis || basis >= pmbus.Counted && (!ok || math.Abs(w-want) > 0.002*want) {
			t.Errorf("interval %d: %+v, %v W", n, i, w)
		}
		time.Sleep(10 * time.Second)
	}
}

func troubled(t *testing.T, d *psu.Dev, sim *drivertest.CRPS) {
	t.Helper()
	sim.SetFanRPM(1, 0)
	sim.SetCelsius(2, 120)
	m, err := d.Sense(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"fans", "fan_1_fault", "temperature", "ot_warning"} {
		if !slices.Contains(m.Faults, f) {
			t.Errorf("%q is not among %q", f, m.Faults)
		}
	}
	if m.Fans[0].Value != 0 || m.Fans[0].Fault != drivers.None || m.Temperatures[1].Value != physic.ZeroCelsius+120*physic.Kelvin {
		t.Errorf("%+v, %+v", m.Fans[0], m.Temperatures[1])
	}
	// The mains go; the standby rail is fed by another supply.
	sim.SetLoad(drivertest.ConstantLoad(0, 0))
	m, err = d.Sense(t.Context())
	if err != nil || m.VIN.Fault != drivers.None || m.VIN.Value != 0 || m.VOUT.Value != 0 || !slices.Contains(m.Faults, "off_input_low") || m.Status&pmbus.StatusOff == 0 {
		t.Errorf("mains away: %+v, %q, %v", m.VIN, m.Faults, err)
	}
	sim.SetPowered(false)
	if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.NoAnswer) {
		t.Errorf("pulled out: %v", err)
	}
	sim.SetPowered(true)
	sim.SetLoad(drivertest.ConstantLoad(230, 82))
	sim.SetFanRPM(1, -1)
	sim.SetCelsius(2, 45)
	if _, err := d.Identify(t.Context()); err != nil {
		t.Error(err)
	}
	time.Sleep(time.Second)
	flowing(t, d)
}

// A supply with pages that takes 20 ms after PAGE, and VOUT as LINEAR11.
func TestAgainstTheSimulatorOdd(t *testing.T) {
	data, err := os.ReadFile("testdata/paged.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := psu.ParseModel("paged.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	for _, stale := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			sim := drivertest.NewCRPS(drivertest.CRPSOpts{
				PMBusOpts:    drivertest.PMBusOpts{PageDelay: 20 * time.Millisecond, StaleAfterPage: stale, PEC: drivertest.PECNone},
				VoutLinear11: true, EnergyLinear: true, EnergyExponent: 2, Load: drivertest.ConstantLoad(230, 40),
			})
			d := simulated(t, sim, m)
			if _, err := d.Identify(t.Context()); err != nil {
				t.Fatal(err)
			}
			got, err := d.Sense(t.Context())
			if err != nil || math.Abs(float64(got.VOUT.Value)/1e9-12.2) > 0.02 || got.EIN.Exponent != 2 || got.EIN.Fault != drivers.None {
				t.Errorf("%+v, %+v, %v", got.VOUT, got.EIN, err)
			}
			if sim.Writes(0x00) != 1 || sim.Clears() != 0 {
				t.Errorf("PAGE %d times, CLEAR_FAULTS %d times", sim.Writes(0x00), sim.Clears())
			}
		})
	}
}
