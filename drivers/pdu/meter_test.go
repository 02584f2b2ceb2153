package pdu

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/chip/ade7953"
)

func TestFreshMeterIsConfiguredThenSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		p := ac8(t, b)
		_, err := p.Meter(t.Context(), 2)
		if drivers.FaultOf(err) != drivers.Settling || !errors.Is(err, drivers.Restarted) {
			t.Fatalf("first: %v", err)
		}
		if b.meters[2].regs[0x008] != 4 || b.meters[2].regs[0x102] != 0x0104 || b.meters[1].writes != 0 {
			t.Errorf("gain code %x, CONFIG %x, %d writes to a neighbour", b.meters[2].regs[0x008], b.meters[2].regs[0x102], b.meters[1].writes)
		}
		time.Sleep(299 * time.Millisecond)
		if _, err = p.Meter(t.Context(), 2); drivers.FaultOf(err) != drivers.Settling {
			t.Errorf("within settling: %v", err)
		}
		time.Sleep(time.Millisecond)
		s, err := p.Meter(t.Context(), 2)
		if err != nil || len(s.Outlets) != 2 || s.Meter != 2 || !s.At.Equal(time.Now()) {
			t.Fatalf("%+v, %v", s, err)
		}
		o := s.Outlets[0]
		for what, d := range map[string]float64{
			"W": o.W - 2300, "VA": o.VA - 2300, "A": o.A - 10, "V": o.V - 230, "Hz": o.Hz - 50, "PF": o.PF - 0.96, "var": o.Var,
		} {
			if math.Abs(d) > 1e-3 {
				t.Errorf("%s is off by %v", what, d)
			}
		}
		if o.N != 5 || s.Outlets[1].N != 6 || s.Outlets[1].W != 0 || s.Outlets[1].V != o.V {
			t.Errorf("%+v", s.Outlets)
		}
		if o.Raw != (Codes{W: 0x160a8b, VA: 0x160a8b, A: 0x3e5e7c, V: 0x5a7843}) {
			t.Errorf("raw codes %+v", o.Raw)
		}
		if b.control != 0 {
			t.Errorf("mux channel left on: %02x", b.control)
		}
	})
}

// A new process takes a running meter over: no write, no gap.
func TestRunningMeterIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		settled(t, ac8(t, b))
		writes := b.meters[0].writes
		if _, err := ac8(t, b).Meter(t.Context(), 0); err != nil || b.meters[0].writes != writes {
			t.Errorf("%v, %d writes", err, b.meters[0].writes-writes)
		}
	})
}

func TestMeterDisturbances(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*board)
		fault  drivers.Fault
		why    drivers.Fault
		writes bool
	}{
		"supply lost":               {func(b *board) { b.meters[0].reset() }, drivers.Settling, drivers.Restarted, true},
		"a gain moved":              {func(b *board) { b.meters[0].regs[0x008] = 0 }, drivers.Settling, drivers.Mismatch, true},
		"the sign of P, a live bit": {func(b *board) { b.meters[0].regs[0x201] |= 1 << 10 }, drivers.None, drivers.None, false},
		"feed lost":                 {func(b *board) { b.meters[0] = nil }, drivers.NoAnswer, drivers.NoAnswer, false},
		"all ones":                  {func(b *board) { b.meters[0].regs[0x21c] = 0xffffff }, drivers.Implausible, drivers.Implausible, false},
		"another chip":              {func(b *board) { b.meters[0].reset(); b.meters[0].regs[0x203] = 0 }, drivers.WrongDevice, drivers.WrongDevice, false},
		"mux gone": {func(b *board) {
			b.before = func(_ int, addr uint16, _ []byte) error {
				if addr == 0x70 {
					return drivers.NoAnswer
				}
				return nil
			}
		}, drivers.NoAnswer, drivers.NoAnswer, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBoard()
				p := ac8(t, b)
				settled(t, p)
				chip := b.meters[0]
				writes := chip.writes
				c.change(b)
				s, err := p.Meter(t.Context(), 0)
				if drivers.FaultOf(err) != c.fault || c.why != drivers.None && !errors.Is(err, c.why) {
					t.Errorf("%v", err)
				}
				if err != nil && len(s.Outlets) != 0 {
					t.Errorf("values beside an error: %+v", s)
				}
				if (chip.writes != writes) != c.writes {
					t.Errorf("%d writes", chip.writes-writes)
				}
			})
		})
	}
}

// A part that has not announced itself may still be starting; after 100 ms it is configured all the same, since
// another process may have cleared the announcement.
func TestMeterStillStarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		b.meters[0].regs[0x22d] = 0
		p := ac8(t, b)
		for _, c := range []struct {
			wait   time.Duration
			writes bool
		}{{0, false}, {99 * time.Millisecond, false}, {time.Millisecond, true}} {
			time.Sleep(c.wait)
			if _, err := p.Meter(t.Context(), 0); drivers.FaultOf(err) != drivers.Settling || (b.meters[0].writes > 0) != c.writes {
				t.Errorf("after %v more: %v, %d writes", c.wait, err, b.meters[0].writes)
			}
		}
	})
}

func TestEnergyEpochs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		p := ac8(t, b)
		b.meters[0].regs[0x21e] = 0xfffe00
		first := settled(t, p).Outlets[0]
		if first.EnergyWh != 0 || !first.Since.Equal(time.Now()) {
			t.Errorf("first reading: %+v", first)
		}
		time.Sleep(time.Second)
		b.meters[0].regs[0x21e] = 0x000123 // over the unsigned turn: 803 counts
		s := read(t, p)
		if math.Abs(s.EnergyWh*3600-30.05) > 0.005 || !s.Since.Equal(first.Since) {
			t.Errorf("%v J since %v", s.EnergyWh*3600, s.Since)
		}
		time.Sleep(time.Second)
		b.meters[0].regs[0x21e] = 0x000100 // fed back: not drawn
		if again := read(t, p); again.EnergyWh != s.EnergyWh || !again.Since.Equal(first.Since) {
			t.Errorf("fed back: %+v", again)
		}
		b.meters[0].reset()
		if _, err := p.Meter(t.Context(), 0); !errors.Is(err, drivers.Restarted) {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if s = read(t, p); s.EnergyWh != 0 || !s.Since.Equal(time.Now()) {
			t.Errorf("restarted: %+v", s)
		}
	})
}

func TestEnergyIsBelievedOrNot(t *testing.T) {
	const joule, rated = 0.03742, 3680.0 // 118,000 counts a second at 1.2 x rating
	begin := time.Unix(1000, 0)
	for _, c := range []struct {
		name  string
		gap   time.Duration
		raw   uint32
		epoch bool
		wh    float64
	}{
		{"one second at full load", time.Second, 100_000, false, 100_000 * joule / 3600},
		{"nothing", time.Second, 0, false, 0},
		{"more than can flow", time.Second, 300_000, true, 0},
		{"more back than can flow", time.Second, 0x1000000 - 300_000, true, 0},
		{"30 s", 30 * time.Second, 3_000_000, false, 3_000_000 * joule / 3600},
		{"too long a gap", 30*time.Second + 1, 1000, true, 0},
	} {
		e := newEnergy(counter{
			joule: joule, longest: 30 * time.Second,
			delta: func(a, b uint64) int64 { return int64(ade7953.EnergyDelta(uint32(a), uint32(b))) },
		}, rated)
		e.book(0, begin)
		wh, since := e.book(uint64(c.raw), begin.Add(c.gap))
		if math.Abs(wh-c.wh) > 1e-9 || since.Equal(begin) == c.epoch {
			t.Errorf("%s: %v Wh since %v", c.name, wh, since)
		}
	}
}

func TestNoSuchMeter(t *testing.T) {
	b := newBoard()
	for _, i := range []int{-1, 4} {
		if _, err := ac8(t, b).Meter(t.Context(), i); !errors.Is(err, drivers.Unsupported) || b.count != 0 {
			t.Errorf("%v, %d transfers", err, b.count)
		}
	}
}

func TestFrequencyOutsideTheGrid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		p := ac8(t, b)
		settled(t, p)
		b.meters[0].regs[0x10e] = 100 // 2215 Hz
		if s := read(t, p); s.Hz != 0 || s.V == 0 {
			t.Errorf("%+v", s)
		}
	})
}

// settled brings meter 0 to its first values.
func settled(t *testing.T, p *PDU) MeterSample {
	t.Helper()
	if _, err := p.Meter(t.Context(), 0); drivers.FaultOf(err) != drivers.Settling {
		t.Fatalf("%v", err)
	}
	time.Sleep(300 * time.Millisecond)
	s, err := p.Meter(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// read gives what meter 0 says of outlet 1.
func read(t *testing.T, p *PDU) OutletSample {
	t.Helper()
	s, err := p.Meter(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return s.Outlets[0]
}
