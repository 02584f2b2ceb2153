package pdu_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/drivertest"
	"rackagent/drivers/pdu"
)

// upset is one fault of the bus: of this kind, from the nth transfer of a reading on, once or for ever.
type upset struct {
	kind  drivertest.FaultKind
	times int // 0: for ever
	n     int
}

func (u upset) String() string {
	return fmt.Sprintf("%s (times %d) at transfer %d", u.kind, u.times, u.n)
}

// upsets builds a board and calls one with every fault at every transfer of a reading, until it says that there is no such
// transfer.
func upsets(t *testing.T, kinds []drivertest.FaultKind, built func(t *testing.T) board, one func(t *testing.T, b board, u upset) bool) {
	t.Helper()
	for _, kind := range kinds {
		for _, times := range []int{1, 0} {
			synctest.Test(t, func(t *testing.T) {
				b := built(t)
				defer b.close()
				for n, more := 0, true; more; n++ {
					more = one(t, b, upset{kind, times, n})
					time.Sleep(5 * time.Minute) // a mux that hung is not left alone for longer
				}
			})
		}
	}
}

// with begins a fault at a transfer of read. It tells whether the fault struck.
func (b board) with(u upset, read func()) bool {
	before := len(b.trace.Transfers())
	fault := b.bus.Inject(drivertest.Fault{Kind: u.kind, First: uint64(before + u.n + 1), Times: u.times, Delay: time.Millisecond})
	defer fault.Clear()
	read()
	return len(b.trace.Transfers()) > before+u.n
}

// whatever a bus can do to a reading of a meter.
func allFaults() []drivertest.FaultKind {
	return []drivertest.FaultKind{
		drivertest.FaultOnes, drivertest.FaultZeros, drivertest.FaultReset, drivertest.FaultNackAddress, drivertest.FaultNackData,
		drivertest.FaultTimeout, drivertest.FaultArbitration, drivertest.FaultBusError,
	}
}

// ac8Board is an ac8 whose second meter measures this.
func ac8Board(t *testing.T, line drivertest.Steady) board {
	t.Helper()
	return build(t, "ac8", func(bus *drivertest.Bus) {
		mux := drivertest.NewPCA9548()
		bus.Attach("mux", 0x70, mux)
		mux.Channel(1).Attach("meter", 0x38, drivertest.NewADE7953(drivertest.ADE7953Opts{Line: line, Divider: 991, ShuntOhm: [2]float64{0.001, 0.001}}))
	})
}

// ac8BankBoard is an ac8-bank whose first meter measures this.
func ac8BankBoard(t *testing.T, line drivertest.Steady) board {
	t.Helper()
	return build(t, "ac8-bank", func(bus *drivertest.Bus) {
		bus.Attach("meter", 0x74, drivertest.NewMCP39F521(drivertest.MCP39F521Opts{Line: line, Delay: 5 * time.Millisecond}))
	})
}

// dc6Board is a shelf whose slots carry this. Its parts check their transfers as built, or not at all.
func dc6Board(t *testing.T, amps float64, pec drivertest.PMBusPEC) board {
	t.Helper()
	return build(t, "dc6", func(bus *drivertest.Bus) {
		mux := drivertest.NewPCA9548()
		bus.Attach("mux", 0x70, mux)
		for i := range 6 {
			mux.Channel(i).Attach("slot", 0x10, drivertest.NewADM1272(drivertest.ADM1272Opts{
				PMBusOpts: drivertest.PMBusOpts{Addr: 0x10, PEC: pec}, RsMilliohm: 0.5, Load: drivertest.ConstantLoad(54, amps),
			}))
		}
	})
}

// unlike is a load whose two inputs differ, with a power factor, fed back on the second.
func unlike() drivertest.Steady {
	l := steady(1500)
	l.Channel[0].Watts, l.Channel[0].Vars = 1200, 900
	l.Channel[1].Watts = -700
	return l
}

// No fault of the bus passes as volts, amperes, watts or watt-hours of an outlet, nor as a frequency.
func TestNoFaultPassesAsAMeterValue(t *testing.T) {
	for _, c := range []struct {
		name  string
		meter int
		built func(t *testing.T) board
	}{
		{"ac8, idle", 1, func(t *testing.T) board { return ac8Board(t, steady(0)) }},
		{"ac8, two loads", 1, func(t *testing.T) board { return ac8Board(t, unlike()) }},
		{"ac8-bank, loaded", 0, func(t *testing.T) board { return ac8BankBoard(t, steady(1200)) }},
		{"ac8-bank, idle", 0, func(t *testing.T) board { return ac8BankBoard(t, steady(0)) }},
		{"dc6, loaded", 3, func(t *testing.T) board { return dc6Board(t, 20, drivertest.PECAsBuilt) }},
		{"dc6 without codes, loaded", 3, func(t *testing.T) board { return dc6Board(t, 20, drivertest.PECNone) }},
		{"dc6 without codes, idle", 3, func(t *testing.T) board { return dc6Board(t, 0, drivertest.PECNone) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			upsets(t, allFaults(), c.built, func(t *testing.T, b board, u upset) bool {
				want := meter(t, b.pdu, c.meter).Outlets
				time.Sleep(time.Second)
				var got pdu.MeterSample
				var err error
				struck := b.with(u, func() { got, err = b.pdu.Meter(t.Context(), c.meter) })
				if err == nil {
					compare(t, u.String(), got.Outlets, want)
				}
				time.Sleep(time.Second)
				compare(t, u.String()+", the sample after it", meter(t, b.pdu, c.meter).Outlets, want)
				return struck
			})
		})
	}
}

// compare judges a sample that was taken some seconds after the one it is compared with.
func compare(t *testing.T, when string, got, want []pdu.OutletSample) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d outlets instead of %d", when, len(got), len(want))
	}
	for k, w := range want {
		g := got[k]
		for _, q := range []struct {
			name      string
			got, want float64
		}{{"W", g.W, w.W}, {"VA", g.VA, w.VA}, {"var", g.Var, w.Var}, {"V", g.V, w.V}, {"A", g.A, w.A}, {"PF", g.PF, w.PF}, {"Hz", g.Hz, w.Hz}} {
			if !(math.Abs(q.got-q.want) <= 0.01*math.Abs(q.want)+0.02) {
				t.Errorf("%s: outlet %d passes with %v %s, it is %v", when, w.N, q.got, q.name, q.want)
			}
		}
		most := math.Max(w.W, 0)/3600*15 + 0.01
		if g.Since.Equal(w.Since) {
			most += w.EnergyWh
		}
		if g.EnergyWh > most {
			t.Errorf("%s: outlet %d passes with %v Wh, more than %v did not flow", when, w.N, g.EnergyWh, most)
		}
	}
}

// How relays may stand: the latch as it is loaded, and whether the part is under control or at power-on.
type standing struct {
	latch      uint16
	controlled bool
}

// No fault of the bus passes as the position of relays: a bank that is said to be under control is, and its contacts are
// as said.
//
// One thing cannot be told apart. A part all of whose pins drive relays reads nothing but zeros when all pins are low,
// as a bus does that is held low from the first transfer to the last.
func TestNoFaultPassesAsRelays(t *testing.T) {
	for _, c := range []struct {
		model string
		bank  int
		all   bool // pins drive relays
		addr  uint16
		part  func() (chip drivertest.Chip, load func(latch uint16))
	}{
		{"ac8", 0, false, 0x20, expander(0xff00)},
		{"ac24", 0, true, 0x20, expander(0)},
		{"ac24", 1, false, 0x21, expander(0xff00)},
		{"ac8-bank", 0, true, 0x38, func() (drivertest.Chip, func(uint16)) {
			c := drivertest.NewPCA9554(nil)
			return c, func(latch uint16) { c.Load(byte(latch), 0) }
		}},
	} {
		for _, s := range []standing{{0x5a37, true}, {0xff01, true}, {0, true}, {0xffff, true}, {0xffff, false}} {
			t.Run(fmt.Sprintf("%s.%d latch %04x controlled %t", c.model, c.bank, s.latch, s.controlled), func(t *testing.T) {
				part, load := c.part()
				bare := func(t *testing.T) board {
					return build(t, c.model, func(bus *drivertest.Bus) { bus.Attach("relays", c.addr, part) })
				}
				upsets(t, allFaults(), bare, func(t *testing.T, b board, u upset) bool {
					part.Reset()
					if s.controlled {
						load(s.latch)
					}
					silent := c.all && u.kind == drivertest.FaultZeros && u.times == 0 && u.n == 0
					return judgeBank(t, b, c.bank, u, silent)
				})
			})
		}
	}
}

func expander(direction uint16) func() (drivertest.Chip, func(uint16)) {
	return func() (drivertest.Chip, func(uint16)) {
		c := drivertest.NewTCA9555(nil)
		return c, func(latch uint16) { c.Load(latch, direction) }
	}
}

// A slot's relay is its hot-swap part's OPERATION.
func TestNoFaultPassesAsASlot(t *testing.T) {
	const slot = 3
	faults := slices.DeleteFunc(allFaults(), func(k drivertest.FaultKind) bool {
		return k == drivertest.FaultReset // after which the output is on
	})
	for _, c := range []struct {
		off bool
		pec drivertest.PMBusPEC
	}{{false, drivertest.PECAsBuilt}, {true, drivertest.PECAsBuilt}, {false, drivertest.PECNone}, {true, drivertest.PECNone}} {
		t.Run(fmt.Sprintf("cut %t, codes %t", c.off, c.pec != drivertest.PECNone), func(t *testing.T) {
			cut := func(t *testing.T) board {
				b := dc6Board(t, 20, c.pec)
				meter(t, b.pdu, slot-1)
				if c.off {
					if _, err := b.pdu.Cut(t.Context(), slot); err != nil {
						t.Fatal(err)
					}
				}
				return b
			}
			upsets(t, faults, cut, func(t *testing.T, b board, u upset) bool {
				return judgeBank(t, b, slot-1, u, false)
			})
		})
	}
}

// judgeBank reads a bank under a fault, and once more when it is over.
func judgeBank(t *testing.T, b board, bank int, u upset, silent bool) bool {
	t.Helper()
	want, err := b.pdu.Bank(t.Context(), bank)
	if err != nil {
		t.Fatal(err)
	}
	judge := func(when string, got pdu.BankSample, err error) {
		t.Helper()
		switch {
		case err != nil:
		case got.Controlled && (!want.Controlled || !slices.Equal(got.Closed, want.Closed)):
			t.Errorf("%s passes as latch %04x direction %04x closed %v, it is %+v", when, got.Latch, got.Direction, got.Closed, want)
		case got.Fault == drivers.OutOfControl && want.Controlled:
			t.Errorf("%s passes as a loss of supply", when)
		}
	}
	var got pdu.BankSample
	struck := b.with(u, func() { got, err = b.pdu.Bank(t.Context(), bank) })
	if u.kind == drivertest.FaultReset { // which is a loss of supply, and is seen now or by the next sample
		if err == nil && got.Controlled && !slices.Equal(got.Closed, want.Closed) {
			t.Errorf("%s passes as latch %04x direction %04x", u, got.Latch, got.Direction)
		}
		return struck
	}
	if !silent {
		judge(u.String(), got, err)
	}
	got, err = b.pdu.Bank(t.Context(), bank) // which may be refused for a while behind a mux that hung
	judge(u.String()+", after it", got, err)
	return struck
}
