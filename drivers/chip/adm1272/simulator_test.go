package adm1272_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip/adm1272"
	"rackagent/drivers/drivertest"
	"rackagent/drivers/pmbus"
)

// line is a simulated bus as a driver sees it.
type line struct{ *drivertest.Bus }

func (l line) Tx(a uint16, w, r []byte) error  { return l.Bus.Tx(context.Background(), a, w, r) }
func (l line) SetSpeed(physic.Frequency) error { return drivers.Unsupported }

const simAddr = 0x10

func TestAgainstTheSimulator(t *testing.T) {
	for _, c := range []struct {
		name string
		part adm1272.Part
		opts drivertest.PMBusOpts
		of   func(drivertest.ADM1272Opts) *drivertest.ADM1272
		vin  float64
	}{
		{"ADM1272", adm1272.ADM1272, drivertest.PMBusOpts{}, drivertest.NewADM1272, 51.2},
		{"ADM1272 without packet error checking", adm1272.ADM1272, drivertest.PMBusOpts{PEC: drivertest.PECNone}, drivertest.NewADM1272, 51.2},
		{"ADM1272 that queues", adm1272.ADM1272, drivertest.PMBusOpts{QueuesUnread: true, Unsupported: drivertest.UnsupportedOnes}, drivertest.NewADM1272, 51.2},
		{"ADM1278", adm1272.ADM1278, drivertest.PMBusOpts{}, drivertest.NewADM1278, 12},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.opts.Addr = simAddr
				sim := c.of(drivertest.ADM1272Opts{
					PMBusOpts: c.opts, RsMilliohm: 0.5, Load: drivertest.ConstantLoad(c.vin, 20),
					Celsius: func(time.Time) float64 { return 40 },
				})
				bus := drivertest.NewBus("bus", drivertest.BusOpts{})
				bus.Attach("outlet", simAddr, sim)
				d := simulated(t, bus, c.part)
				if id, err := d.Identify(t.Context()); err != nil || id.Part != string(c.part) {
					t.Fatalf("%+v, %v", id, err)
				}
				time.Sleep(10 * time.Millisecond)
				m, err := d.Sense(t.Context())
				if err != nil || m.VOUT != nil || m.Temperature != nil {
					t.Errorf("as it starts: %+v, %v", m, err)
				}
				if err := d.Configure(t.Context()); err != nil {
					t.Fatal(err)
				}
				measured(t, d, c.vin, 20)
				switched(t, d, sim, c.vin)
				counted(t, d, c.vin*20)

				// A brown-out of the part: the output is on again, and two quantities are sampled no more.
				if _, err := d.WriteOperation(t.Context(), false); err != nil {
					t.Error(err)
				}
				sim.Reset()
				if m, err := d.Sense(t.Context()); !errors.Is(err, drivers.Restarted) {
					t.Errorf("brown-out: %+v, %v", m, err)
				}
				if on, err := d.ReadOperation(t.Context()); !on || err != nil || !sim.Output() {
					t.Errorf("brown-out: on %t, %v", on, err)
				}
				if err := d.Configure(t.Context()); err != nil {
					t.Error(err)
				}
				measured(t, d, c.vin, 20)
				sim.SetPowered(false)
				if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.NoAnswer) {
					t.Errorf("no supply: %v", err)
				}
				if sim.Clears() != 0 || sim.PowerCycles() != 0 {
					t.Errorf("%d times CLEAR_FAULTS, %d times POWER_CYCLE", sim.Clears(), sim.PowerCycles())
				}
			})
		})
	}
}

func simulated(t *testing.T, bus *drivertest.Bus, p adm1272.Part) *adm1272.Dev {
	t.Helper()
	d, err := adm1272.New(line{bus}, adm1272.Opts{Name: "outlet", Addr: simAddr, Part: p, ShuntOhm: 0.0005})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func measured(t *testing.T, d *adm1272.Dev, vin, iout float64) {
	t.Helper()
	time.Sleep(10 * time.Millisecond)
	m, err := d.Sense(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v, out := float64(m.VIN.Value)/float64(physic.Volt), float64(m.VOUT.Value)/float64(physic.Volt)
	i, w := float64(m.IOUT.Value)/float64(physic.Ampere), float64(m.PIN.Value)/float64(physic.Watt)
	if math.Abs(v-vin) > 0.03 || math.Abs(out-vin) > 0.03 || math.Abs(i-iout) > 0.05 || math.Abs(w-vin*iout) > 1 {
		t.Errorf("%v V, %v V, %v A, %v W", v, out, i, w)
	}
	if math.Abs(m.Temperature.Value.Celsius()-40) > 0.3 || m.Status != 0 {
		t.Errorf("%v, %v", m.Temperature.Value, m.Status)
	}
}

func switched(t *testing.T, d *adm1272.Dev, sim *drivertest.ADM1272, vin float64) {
	t.Helper()
	if w, err := d.WriteOperation(t.Context(), false); err != nil || w.Word != 0 || sim.Output() {
		t.Errorf("off: %+v, %v", w, err)
	}
	time.Sleep(10 * time.Millisecond)
	m, err := d.Sense(t.Context())
	if err != nil || m.IOUT.Value != 0 && math.Abs(float64(m.IOUT.Value)) > 0.05e9 || m.Status&pmbus.StatusOff == 0 {
		t.Errorf("off: %+v, %v", m, err)
	}
	if v := float64(m.VIN.Value) / float64(physic.Volt); math.Abs(v-vin) > 0.03 {
		t.Errorf("off: %v V in", v)
	}
	if on, err := d.ReadOperation(t.Context()); on || err != nil {
		t.Errorf("off: on %t, %v", on, err)
	}
	if w, err := d.WriteOperation(t.Context(), true); err != nil || w.Word != 0x80 || !sim.Output() {
		t.Errorf("on: %+v, %v", w, err)
	}
	measured(t, d, vin, 20)
}

// counted compares what the part counted with what flowed.
func counted(t *testing.T, d *adm1272.Dev, watts float64) {
	t.Helper()
	meter := pmbus.NewMeter(adm1272.Accumulator(), 0)
	for n, want := range []pmbus.Basis{pmbus.Reference, pmbus.Estimated, pmbus.Counted, pmbus.Counted} {
		m, err := d.Sense(t.Context())
		if err != nil || m.Energy.Fault != drivers.None {
			t.Fatalf("%+v, %v", m.Energy, err)
		}
		i := meter.Add(m.Energy.Count, float64(m.PIN.Raw), time.Now())
		w, ok := d.MeanPower(i.Code)
		if i.Basis != want || want >= pmbus.Counted && (!ok || math.Abs(float64(w)/float64(physic.Watt)-watts) > 1) {
			t.Errorf("interval %d: %+v, %v", n, i, w)
		}
		time.Sleep(time.Second)
	}
}

// The ADM1275 measures one of two voltages, and nothing before its host starts it.
func TestAgainstTheSimulatorADM1275(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := drivertest.NewADM1275(drivertest.ADM1272Opts{
			PMBusOpts: drivertest.PMBusOpts{Addr: simAddr}, RsMilliohm: 0.5, Load: drivertest.ConstantLoad(12, 10),
		})
		bus := drivertest.NewBus("bus", drivertest.BusOpts{})
		bus.Attach("outlet", simAddr, sim)
		d := simulated(t, bus, adm1272.ADM1275)
		if id, err := d.Identify(t.Context()); err != nil || id.Product != "ADM1275-1" {
			t.Fatalf("%+v, %v", id, err)
		}
		m, err := d.Sense(t.Context())
		if err != nil || m.VIN.Fault != drivers.Implausible || m.IOUT.Fault != drivers.Implausible || m.PIN != nil {
			t.Errorf("not started: %+v, %v", m, err)
		}
		for _, out := range []bool{false, true} {
			config := byte(0xac)
			if out {
				config = 0xec
			}
			sim.Store(0, 0xd4, config)
			sim.Store(0, 0xd3, 1)
			if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.Mismatch) {
				t.Errorf("changed under us: %v", err)
			}
			if _, err := d.Identify(t.Context()); err != nil {
				t.Fatal(err)
			}
			m, err := d.Sense(t.Context())
			if err != nil || (m.VIN == nil) != out || (m.VOUT == nil) == out || math.Abs(float64(m.IOUT.Value)/1e9-10) > 0.05 {
				t.Errorf("%02x: %+v, %v", config, m, err)
			}
		}
	})
}

// What goes wrong on the wire while an output is switched.
func TestAgainstTheSimulatorFaults(t *testing.T) {
	for _, c := range []struct {
		name   string
		fault  drivertest.Fault
		want   drivers.Fault
		output bool
		read   bool
	}{
		{"refused at the address", drivertest.Fault{Kind: drivertest.FaultNackAddress, Times: 1}, drivers.Mismatch, true, true},
		{"refused at the data", drivertest.Fault{Kind: drivertest.FaultNackData, Byte: 1, Times: 1}, drivers.Mismatch, true, true},
		{"taken, and its answer lost", drivertest.Fault{Kind: drivertest.FaultTimeout, Taken: true, Times: 1}, drivers.None, false, true},
		{"not taken, clock held", drivertest.Fault{Kind: drivertest.FaultTimeout, Times: 1}, drivers.Mismatch, true, true},
		{"the bus stays dead", drivertest.Fault{Kind: drivertest.FaultBusError}, drivers.BusFault, true, false},
		{"restarts just before", drivertest.Fault{Kind: drivertest.FaultReset, Times: 1}, drivers.None, false, true},
		{"restarts between write and read-back", drivertest.Fault{Kind: drivertest.FaultReset, Times: 1, First: 1}, drivers.Mismatch, true, true},
		{"a bit of the read-back flips", drivertest.Fault{Kind: drivertest.FaultFlip, Bit: 3, Times: 1, First: 1}, drivers.Corrupt, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := drivertest.NewADM1272(drivertest.ADM1272Opts{
					PMBusOpts: drivertest.PMBusOpts{Addr: simAddr}, RsMilliohm: 0.5, Load: drivertest.ConstantLoad(51.2, 20),
				})
				count := uint64(0)
				bus := drivertest.NewBus("bus", drivertest.BusOpts{})
				bus.SetGate(func(p drivertest.Phase, x drivertest.Transfer) error { count = x.N; return nil })
				bus.Attach("outlet", simAddr, sim)
				d := simulated(t, bus, adm1272.ADM1272)
				if _, err := d.Identify(t.Context()); err != nil {
					t.Fatal(err)
				}
				if c.fault.First > 0 { // counted from the write
					c.fault.First += count + 1
				}
				before := sim.Writes(0x01)
				bus.Inject(c.fault)
				w, err := d.WriteOperation(t.Context(), false)
				if drivers.FaultOf(err) != c.want || w.At.IsZero() || w.Read.IsZero() == c.read {
					t.Errorf("%+v, %v", w, err)
				}
				if sim.Output() != c.output || sim.Writes(0x01)-before > 1 {
					t.Errorf("output %t, written %d times", sim.Output(), sim.Writes(0x01)-before)
				}
			})
		})
	}
}

// Codes that are wrong on the wire are refused, and an answer that broke off shifts no later one.
func TestAgainstTheSimulatorWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := drivertest.NewADM1272(drivertest.ADM1272Opts{
			PMBusOpts: drivertest.PMBusOpts{Addr: simAddr}, RsMilliohm: 0.5, Load: drivertest.ConstantLoad(51.2, 20),
		})
		bus := drivertest.NewBus("bus", drivertest.BusOpts{})
		bus.Attach("outlet", simAddr, sim)
		d := simulated(t, bus, adm1272.ADM1272)
		if _, err := d.Identify(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
		sim.CorruptPEC(1)
		if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.Corrupt) {
			t.Errorf("wrong code: %v", err)
		}
		sim.SetCounts(0xdc, 6)
		if m, err := d.Sense(t.Context()); err != nil || m.Energy.Fault != drivers.Corrupt || m.VIN.Fault != drivers.None {
			t.Errorf("wrong length: %+v, %v", m, err)
		}
		sim.SetCounts(0xdc)
		if m, err := d.Sense(t.Context()); err != nil || m.Energy.Fault != drivers.None {
			t.Errorf("%+v, %v", m, err)
		}
		bus.Inject(drivertest.Fault{Kind: drivertest.FaultOnes, Times: 3})
		if _, err := d.Sense(t.Context()); err == nil {
			t.Error("a floating bus passed")
		}
		if _, err := d.Sense(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
