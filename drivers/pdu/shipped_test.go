package pdu_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/drivertest"
	"rackagent/drivers/i2cbus"
	"rackagent/drivers/pdu"
)

// board is a simulated PDU of a shipped model.
type board struct {
	bus   *drivertest.Bus
	trace *drivertest.Trace
	pdu   *pdu.PDU
	close func()
}

// build puts chips on a bus and a PDU of the model on top.
func build(t *testing.T, model string, attach func(bus *drivertest.Bus)) board {
	t.Helper()
	trace := new(drivertest.Trace)
	bus := drivertest.NewBus("sim", drivertest.BusOpts{Recorder: trace})
	attach(bus)
	owner := i2cbus.New(bus, i2cbus.Opts{})
	m, err := pdu.LoadModel(model)
	if err != nil {
		t.Fatal(err)
	}
	p, err := pdu.New(owner.Poll(), owner.Act(), pdu.Opts{Name: "pdu-a", Model: m})
	if err != nil {
		t.Fatal(err)
	}
	return board{bus: bus, trace: trace, pdu: p, close: func() { _ = owner.Close() }}
}

func steady(watts float64) drivertest.Steady {
	flow := drivertest.Flow{AmpsRMS: watts / 230, AmpsPeak: watts / 230 * math.Sqrt2, Watts: watts, VA: watts}
	return drivertest.Steady{VoltsRMS: 230, VoltsPeak: 230 * math.Sqrt2, Hertz: 50, Channel: [2]drivertest.Flow{flow, flow}}
}

// meter reads a meter until it has settled.
func meter(t *testing.T, p *pdu.PDU, i int) pdu.MeterSample {
	t.Helper()
	for range 10 {
		s, err := p.Meter(t.Context(), i)
		if err == nil {
			return s
		}
		if !errors.Is(err, drivers.Settling) {
			t.Fatalf("meter %d: %v", i, err)
		}
		time.Sleep(time.Second)
	}
	t.Fatalf("meter %d does not settle", i)
	return pdu.MeterSample{}
}

// 24 outlets: equal meters behind two switches on one segment, relays on two expanders.
func TestAC24(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lower, upper := drivertest.NewTCA9555(nil), drivertest.NewTCA9555(nil)
		muxes := []*drivertest.Mux{drivertest.NewPCA9548(), drivertest.NewPCA9548()}
		b := build(t, "ac24", func(bus *drivertest.Bus) {
			bus.Attach("mux.0", 0x70, muxes[0])
			bus.Attach("mux.1", 0x71, muxes[1])
			bus.Attach("lower", 0x20, lower)
			bus.Attach("upper", 0x21, upper)
			for i := range 12 {
				line := steady(100 * float64(i+1))
				muxes[i/8].Channel(i%8).Attach("meter", 0x38, drivertest.NewADE7953(drivertest.ADE7953Opts{Line: line, Divider: 991, ShuntOhm: [2]float64{0.001, 0.001}}))
			}
		})
		defer b.close()
		for i := range 12 {
			s := meter(t, b.pdu, i)
			for k, o := range s.Outlets {
				if o.N != 2*i+k+1 || o.Supply != 0 || math.Abs(o.W-100*float64(i+1)) > 1 {
					t.Errorf("meter %d: %+v", i, o)
				}
			}
		}
		lower.Load(0xffff, 0)
		upper.Load(0xff3f, 0xff00) // the two outlets at rest closed, the spare pins inputs
		if s, err := b.pdu.Cut(t.Context(), 17); err != nil || s.After != 0xff3e || upper.Output() != 0xff3e || lower.Output() != 0xffff {
			t.Errorf("outlet 17 is bit 0 of the upper part: %+v, %v", s, err)
		}
		// One expander loses its supply: the other is still under control, and only the lost one's words are taken over.
		upper.Reset()
		for i, want := range []drivers.Fault{drivers.None, drivers.OutOfControl} {
			if s, err := b.pdu.Bank(t.Context(), i); err != nil || s.Fault != want || len(s.Outlets) != [2]int{16, 8}[i] {
				t.Errorf("bank %d: %+v, %v", i, s, err)
			}
		}
		if _, err := b.pdu.Cut(t.Context(), 18); !errors.Is(err, drivers.OutOfControl) {
			t.Errorf("a relay of the lost bank was switched: %v", err)
		}
		if _, err := b.pdu.Energise(t.Context(), 3); err != nil {
			t.Errorf("the other bank: %v", err)
		}
		s, _ := b.pdu.Bank(t.Context(), 1)
		latch, direction := b.pdu.Standing(s)
		before := lower.Output()
		if _, err := b.pdu.Adopt(t.Context(), 1, latch, direction); err != nil || lower.Output() != before || upper.Direction() != 0xff00 {
			t.Errorf("taken over: %v", err)
		}
	})
}

// Equal meters behind two switches are never connected together, whatever goes wrong in between.
func TestTwoSwitchesAreNeverOpenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		muxes := []*drivertest.Mux{drivertest.NewPCA9548(), drivertest.NewPCA9548()}
		b := build(t, "ac24", func(bus *drivertest.Bus) {
			for i, m := range muxes {
				bus.Attach([]string{"mux.0", "mux.1"}[i], 0x70+uint16(i), m)
				for ch := range 8 {
					m.Channel(ch).Attach("meter", 0x38, drivertest.NewADE7953(drivertest.ADE7953Opts{Line: steady(100 + 100*float64(i)), Divider: 991, ShuntOhm: [2]float64{0.001, 0.001}}))
				}
			}
		})
		defer b.close()
		for i := range 12 {
			meter(t, b.pdu, i)
		}
		for n := range uint64(60) { // the deselect of the first switch fails at every place it can
			b.bus.Inject(drivertest.Fault{Kind: drivertest.FaultNackAddress, Addr: 0x70, First: uint64(len(b.trace.Transfers())) + n, Times: 1 + int(n%4)})
			for _, i := range []int{0, 8, 1, 9} {
				s, err := b.pdu.Meter(t.Context(), i)
				if err != nil {
					continue
				}
				if want := 100 + 100*float64(i/8); math.Abs(s.Outlets[0].W-want) > 1 {
					t.Fatalf("meter %d reads %.1f W of another switch's", i, s.Outlets[0].W)
				}
			}
		}
		for _, tr := range b.trace.Transfers() {
			if tr.Addr != 0x38 || len(tr.Mux) < 2 {
				continue
			}
			if tr.Mux[0].Open != 0 && tr.Mux[1].Open != 0 {
				t.Fatalf("both switches are connected: %v", tr)
			}
		}
	})
}

// Eight outlets with a meter for each bank of four.
func TestAC8Bank(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		relays := drivertest.NewPCA9554(nil)
		meters := []*drivertest.MCP39F521{
			drivertest.NewMCP39F521(drivertest.MCP39F521Opts{Line: steady(1200), Delay: 5 * time.Millisecond}),
			drivertest.NewMCP39F521(drivertest.MCP39F521Opts{Line: steady(300), Delay: 5 * time.Millisecond}),
		}
		b := build(t, "ac8-bank", func(bus *drivertest.Bus) {
			bus.Attach("relays", 0x38, relays)
			bus.Attach("meter.0", 0x74, meters[0])
			bus.Attach("meter.1", 0x75, meters[1])
		})
		defer b.close()
		for i, want := range []float64{1200, 300} {
			s := meter(t, b.pdu, i)
			if len(s.Outlets) != 1 || s.Outlets[0].N != 0 || s.Outlets[0].Supply != i+1 || math.Abs(s.Outlets[0].W-want) > 1 {
				t.Errorf("meter %d: %+v", i, s)
			}
		}
		time.Sleep(time.Hour)
		if s := meter(t, b.pdu, 0); math.Abs(s.Outlets[0].EnergyWh-1200) > 12 {
			t.Errorf("%.1f Wh in an hour", s.Outlets[0].EnergyWh)
		}
		relays.Load(0xff, 0)
		if s, err := b.pdu.Cut(t.Context(), 8); err != nil || relays.Output() != 0x7f {
			t.Errorf("%+v, %v", s, err)
		}
		for _, m := range meters {
			if got := m.Forbidden(); len(got) > 0 {
				t.Errorf("commands that destroy the calibration: %v", got)
			}
		}
	})
}

// slots is a shelf of six hot-swap parts.
func slots(t *testing.T, load drivertest.DCLoad) (board, []*drivertest.ADM1272) {
	t.Helper()
	var parts []*drivertest.ADM1272
	mux := drivertest.NewPCA9548()
	b := build(t, "dc6", func(bus *drivertest.Bus) {
		bus.Attach("mux", 0x70, mux)
		for i := range 6 {
			p := drivertest.NewADM1272(drivertest.ADM1272Opts{PMBusOpts: drivertest.PMBusOpts{Addr: 0x10}, RsMilliohm: 0.5, Load: load})
			parts = append(parts, p)
			mux.Channel(i).Attach("slot", 0x10, p)
		}
	})
	return b, parts
}

// A shelf of six slots: the meter of a slot is its switch.
func TestDC6(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, parts := slots(t, drivertest.ConstantLoad(54, 20))
		defer b.close()
		if _, err := b.pdu.Cut(t.Context(), 3); !errors.Is(err, drivers.NotRead) {
			t.Errorf("a part that nobody has identified was switched: %v", err)
		}
		for i := range 6 {
			s := meter(t, b.pdu, i)
			if o := s.Outlets[0]; o.N != i+1 || math.Abs(o.W-1080) > 5 || math.Abs(o.V-54) > 0.1 || math.Abs(o.A-20) > 0.1 || o.VA != 0 {
				t.Errorf("slot %d: %+v", i+1, o)
			}
			if bank, err := b.pdu.Bank(t.Context(), i); err != nil || !bank.Controlled || !slices.Equal(bank.Outlets, []int{i + 1}) || !bank.Closed[0] {
				t.Errorf("slot %d: %+v, %v", i+1, bank, err)
			}
		}
		s, err := b.pdu.Cut(t.Context(), 3)
		if err != nil || s.Before != 1 || s.After != 0 || s.Taken.IsZero() || s.Confirmed.IsZero() {
			t.Fatalf("%+v, %v", s, err)
		}
		for i, p := range parts {
			if p.Output() != (i != 2) {
				t.Errorf("slot %d delivers: %t", i+1, p.Output())
			}
			if p.Clears() > 0 {
				t.Errorf("slot %d: faults were cleared", i+1)
			}
		}
		if o := meter(t, b.pdu, 2).Outlets[0]; math.Abs(o.W) > 5 {
			t.Errorf("after the cut: %+v", o)
		}
		if _, err := b.pdu.Energise(t.Context(), 3); err != nil || !parts[2].Output() {
			t.Errorf("energised: %v", err)
		}
		// Somebody else's value in OPERATION.
		parts[4].Force(0, 0x01, 0x40)
		bank, err := b.pdu.Bank(t.Context(), 4)
		if err != nil || bank.Fault != drivers.Foreign || bank.Controlled {
			t.Errorf("%+v, %v", bank, err)
		}
		if s, err := b.pdu.Cut(t.Context(), 5); !errors.Is(err, drivers.Foreign) || !s.Taken.IsZero() {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

// A range bit that is not the model's spoils the watts of a slot from the start of the agent on. The slot can be cut all
// the same; it is not energised, since no watts could show what it then draws.
func TestDC6SetUpOtherwise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, parts := slots(t, drivertest.ConstantLoad(54, 20))
		defer b.close()
		parts[2].Store(0, 0xd4, 0x15, 0x3f) // 60 V instead of 100
		for range 2 {
			if s, err := b.pdu.Meter(t.Context(), 2); !errors.Is(err, drivers.Mismatch) || len(s.Outlets) != 0 {
				t.Errorf("%+v, %v", s, err)
			}
		}
		if s, err := b.pdu.Cut(t.Context(), 3); err != nil || s.Confirmed.IsZero() || parts[2].Output() {
			t.Errorf("slot 3 is not cut: %+v, %v", s, err)
		}
		if s, err := b.pdu.Energise(t.Context(), 3); !errors.Is(err, drivers.NotRead) || !s.Taken.IsZero() || parts[2].Output() {
			t.Errorf("slot 3 is energised: %+v, %v", s, err)
		}
		parts[2].Store(0, 0xd4, 0x35, 0x3f)
		meter(t, b.pdu, 2)
		if _, err := b.pdu.Energise(t.Context(), 3); err != nil || !parts[2].Output() {
			t.Errorf("set up as the model says: %v", err)
		}
	})
}

// The mux fails after the read-back of a slot: which slot was read is open, so the write is taken and not confirmed.
func TestDC6MuxFailsAfterTheReadBack(t *testing.T) {
	for name, c := range map[string]struct {
		before uint64 // the first transfer that fails, counted from the last of the job
		fault  drivertest.Fault
	}{
		"channel cannot be looked at":  {1, drivertest.Fault{Kind: drivertest.FaultTimeout, Times: 1}},
		"channel lost":                 {1, drivertest.Fault{Kind: drivertest.FaultZeros, Times: 1}},
		"deselect refused for ever":    {0, drivertest.Fault{Kind: drivertest.FaultNackAddress}},
		"deselect held for ever":       {0, drivertest.Fault{Kind: drivertest.FaultBusError}},
		"neither looked at nor let go": {1, drivertest.Fault{Kind: drivertest.FaultBusError}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, parts := slots(t, drivertest.ConstantLoad(54, 20))
				defer b.close()
				meter(t, b.pdu, 2)
				start := len(b.trace.Transfers())
				if _, err := b.pdu.Cut(t.Context(), 3); err != nil {
					t.Fatal(err)
				}
				job := uint64(len(b.trace.Transfers()) - start) // a job of the same transfers follows
				if _, err := b.pdu.Energise(t.Context(), 3); err != nil {
					t.Fatal(err)
				}
				c.fault.Addr, c.fault.First = 0x70, uint64(len(b.trace.Transfers()))+job-c.before
				b.bus.Inject(c.fault)
				s, err := b.pdu.Cut(t.Context(), 3)
				if err == nil || s.Taken.IsZero() || !s.Confirmed.IsZero() || parts[2].Output() {
					t.Errorf("%+v, %v, output %t", s, err, parts[2].Output())
				}
			})
		})
	}
}

// The watts of a shelf add up over the part's accumulator, and a brown-out of the part begins again at nothing.
func TestDC6Energy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, parts := slots(t, drivertest.ConstantLoad(54, 20))
		defer b.close()
		meter(t, b.pdu, 0)
		for range 600 {
			time.Sleep(time.Second)
			meter(t, b.pdu, 0)
		}
		if wh := meter(t, b.pdu, 0).Outlets[0].EnergyWh; math.Abs(wh-180) > 4 {
			t.Errorf("%.1f Wh in ten minutes at 1080 W", wh)
		}
		parts[0].Reset()
		if _, err := b.pdu.Meter(t.Context(), 0); !errors.Is(err, drivers.Restarted) {
			t.Errorf("a part at its power-on settings: %v", err)
		}
		if wh := meter(t, b.pdu, 0).Outlets[0].EnergyWh; wh > 1 {
			t.Errorf("%.1f Wh after a restart", wh)
		}
	})
}

// Whatever the bus does to a cut of a slot, no other slot moves, and what is said of the write is true.
func TestDC6FaultsAtEveryTransfer(t *testing.T) {
	for _, kind := range []drivertest.FaultKind{drivertest.FaultNackAddress, drivertest.FaultTimeout, drivertest.FaultArbitration, drivertest.FaultOnes, drivertest.FaultZeros, drivertest.FaultFlip} {
		for n := range uint64(12) {
			for _, taken := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					b, parts := slots(t, drivertest.ConstantLoad(54, 20))
					defer b.close()
					for i := range 6 {
						meter(t, b.pdu, i)
					}
					b.bus.Inject(drivertest.Fault{Kind: kind, First: uint64(len(b.trace.Transfers())) + 1 + n, Times: 1, Taken: taken, Bit: int(n)})
					s, err := b.pdu.Cut(context.WithoutCancel(t.Context()), 3)
					for i, p := range parts {
						if i != 2 && !p.Output() {
							t.Fatalf("%s at transfer %d: slot %d was cut", kind, n, i+1)
						}
					}
					switch {
					case err == nil && parts[2].Output():
						t.Errorf("%s at transfer %d: done, it says, and it is not", kind, n)
					case err != nil && !s.Confirmed.IsZero():
						t.Errorf("%s at transfer %d: read back, it says, and %v", kind, n, err)
					case s.Taken.IsZero() && !parts[2].Output():
						t.Errorf("%s at transfer %d: not written, it says: %v", kind, n, err)
					}
				})
			}
		}
	}
}
