package pdu_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers/drivertest"
	"rackagent/drivers/i2cbus"
	"rackagent/drivers/pdu"
)

// ac24Board is a PDU of 24 metered outlets at a bit rate.
func ac24Board(t testing.TB, o drivertest.BusOpts) (*drivertest.Bus, *i2cbus.Bus, *pdu.PDU) {
	t.Helper()
	bus := drivertest.NewBus("sim", o)
	for i := range 2 {
		m := drivertest.NewPCA9548()
		bus.Attach([]string{"mux.0", "mux.1"}[i], 0x70+uint16(i), m)
		for ch := range 8 {
			m.Channel(ch).Attach("meter", 0x38, drivertest.NewADE7953(drivertest.ADE7953Opts{Line: steady(1000), Divider: 991, ShuntOhm: [2]float64{0.001, 0.001}}))
		}
	}
	owner := i2cbus.New(bus, i2cbus.Opts{})
	m, err := pdu.LoadModel("ac24")
	if err != nil {
		t.Fatal(err)
	}
	p, err := pdu.New(owner.Poll(), owner.Act(), pdu.Opts{Name: "pdu-a", Model: m})
	if err != nil {
		t.Fatal(err)
	}
	return bus, owner, p
}

// A sweep of 24 outlets takes the time of its bits on the wire, and next to nothing besides.
func TestASweepRunsAtTheRateOfTheWire(t *testing.T) {
	for _, rate := range []int{100_000, 400_000} {
		synctest.Test(t, func(t *testing.T) {
			trace := new(drivertest.Trace)
			_, owner, p := ac24Board(t, drivertest.BusOpts{BitRate: rate, Recorder: trace})
			defer owner.Close()
			for i := range p.Meters() {
				meter(t, p, i)
			}
			before, began := len(trace.Transfers()), time.Now()
			for i := range p.Meters() {
				if _, err := p.Meter(t.Context(), i); err != nil {
					t.Fatal(err)
				}
			}
			took, bits := time.Since(began), 0
			for _, tr := range trace.Transfers()[before:] {
				bits += drivertest.Bits(len(tr.W), len(tr.R))
			}
			wire := time.Duration(bits) * time.Second / time.Duration(rate)
			if share := float64(wire) / float64(took); share < 0.95 {
				t.Errorf("%d bit/s: %v on the wire, %v in all: %.1f %%", rate, wire, took, 100*share)
			}
			t.Logf("%d bit/s: %d transfers, %d bits, %v", rate, len(trace.Transfers())-before, bits, took)
		})
	}
}

// BenchmarkSweep is what a sweep of 24 outlets costs beside the wire; BenchmarkSweepBare is the same transfers handed to
// the bus without anything above it, as the baseline.
func BenchmarkSweep(b *testing.B) {
	_, owner, p := ac24Board(b, drivertest.BusOpts{})
	defer owner.Close()
	for i := range p.Meters() { // set the meters up
		for range 20 {
			if _, err := p.Meter(context.Background(), i); err == nil {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	for b.Loop() {
		for i := range p.Meters() {
			if _, err := p.Meter(context.Background(), i); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkSweepBare(b *testing.B) {
	trace := new(drivertest.Trace)
	bus, owner, p := ac24Board(b, drivertest.BusOpts{Recorder: trace})
	defer owner.Close()
	for range 20 {
		if _, err := p.Meter(context.Background(), 0); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	before := len(trace.Transfers())
	if _, err := p.Meter(context.Background(), 0); err != nil {
		b.Fatal(err)
	}
	one := trace.Transfers()[before:]
	for b.Loop() {
		for range p.Meters() {
			for _, tr := range one {
				_ = bus.Tx(context.Background(), tr.Addr, tr.W, make([]byte, len(tr.R)))
			}
		}
	}
}
