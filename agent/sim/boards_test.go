package sim

import (
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers"
)

// world builds a world and closes it at the end of the test.
func world(t *testing.T, c Config) *World {
	t.Helper()
	return demo(t, func(old *Config) {
		c.StateDir = old.StateDir
		*old = c
	})
}

// open lists the outlets whose contacts are open.
func open(w *World) (ns []int) {
	for i := range w.boards[DemoBoard].Outlets {
		if !w.Rack().Closed(out(i + 1)) {
			ns = append(ns, i+1)
		}
	}
	return ns
}

func equal(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// The racks begin with everything on and every bank under control, and draw what their loads draw.
func TestRacksBegin(t *testing.T) {
	for name, x := range map[string]struct {
		config Config
		feed   string
		watts  float64
	}{
		"ac24, first bank":  {RackAC24(1), BankFeedA, 4*3250 + 180 + 2*1600},
		"ac24, second bank": {RackAC24(1), BankFeedB, 4*3250 + 3*1600},
		"ac24, third bank":  {RackAC24(1), BankFeedC, 4*3250 + 3*1600},
		"ac8-bank":          {RackAC8Bank(1), BankFeedA, 4 * 1400},
		"dc6":               {RackDC6(1), ShelfFeed, 4*1100 + 2200},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := world(t, x.config)
				if got := w.Rack().FeedWattsAt(x.feed, time.Now()); !within(got, x.watts, 0.006) {
					t.Errorf("%.0f W, want %.0f", got, x.watts)
				}
				if len(open(w)) != 0 || len(w.Rack().Contacts()) != 0 {
					t.Errorf("open: %v, moved: %v", open(w), w.Rack().Contacts())
				}
			})
		})
	}
}

// Latch and direction of each expander, as a program before left them.
func TestBanksBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world(t, RackAC24(1))
		for addr, want := range map[uint16][4]byte{0x20: {0x3F, 0x3F, 0x00, 0x00}, 0x21: {0x3F, 0xFF, 0x00, 0xFF}} {
			got := append(tx(t, w, addr, []byte{2}, 2), tx(t, w, addr, []byte{6}, 2)...)
			if [4]byte(got) != want {
				t.Errorf("0x%02x: latch and direction % x, want % x", addr, got, want)
			}
		}
		w = world(t, RackAC8Bank(1))
		for reg, want := range map[byte]byte{1: 0xFF, 2: 0, 3: 0} {
			if got := tx(t, w, 0x38, []byte{reg}, 1)[0]; got != want {
				t.Errorf("register %d: %02x, want %02x", reg, got, want)
			}
		}
	})
}

// Each bit of each expander moves its outlet and no other.
func TestEveryBitItsOutlet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world(t, RackAC24(1))
		for n := 1; n <= 24; n++ {
			addr, bit, latch := uint16(0x20), (n-1)%16, uint16(0x3F3F)
			if n > 16 {
				addr, latch = 0x21, 0xFF3F
			}
			moved := latch ^ 1<<bit
			tx(t, w, addr, []byte{2, byte(moved), byte(moved >> 8)}, 0)
			time.Sleep(operateTime)
			if got := open(w); !equal(got, []int{n}) {
				t.Errorf("bit %d of 0x%02x opened %v, want %d", bit, addr, got, n)
			}
			tx(t, w, addr, []byte{2, byte(latch), byte(latch >> 8)}, 0)
			time.Sleep(time.Second)
		}
		w = world(t, RackAC8Bank(1))
		for n := 1; n <= 8; n++ {
			tx(t, w, 0x38, []byte{1, ^byte(1 << (n - 1))}, 0)
			time.Sleep(operateTime)
			if got := open(w); !equal(got, []int{n}) {
				t.Errorf("bit %d opened %v", n-1, got)
			}
		}
	})
}

// One expander falls to its power-on values, and the other one's outlets stay.
func TestOneBankFalls(t *testing.T) {
	for what, want := range map[string][]int{
		"brownout=pdu-a.bank.1": {1, 2, 3, 4, 5, 6, 9, 10, 11, 12, 13, 14},
		"brownout=pdu-a.bank.2": {17, 18, 19, 20, 21, 22},
		"brownout=pdu-a":        {1, 2, 3, 4, 5, 6, 9, 10, 11, 12, 13, 14, 17, 18, 19, 20, 21, 22},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := world(t, RackAC24(1))
			inject(t, w, what)
			time.Sleep(time.Second)
			if got := open(w); !equal(got, want) {
				t.Errorf("%s: open %v, want %v", what, got, want)
			}
			// The fourth server hangs on outlets of both expanders that open without their coils.
			if downs := w.Rack().Downs(); (len(downs) == 1) != (what == "brownout=pdu-a") {
				t.Errorf("%s: down %v", what, downs)
			}
		})
	}
}

// One switch forgets its channel, and the other one keeps its own.
func TestOneSwitchForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world(t, RackAC24(1))
		control := func() [2]byte { return [2]byte{tx(t, w, 0x70, nil, 1)[0], tx(t, w, 0x71, nil, 1)[0]} }
		for what, want := range map[string][2]byte{"forget=pdu-a.mux.1": {0, 2}, "forget=pdu-a.mux.2": {4, 0}, "forget=pdu-a": {}} {
			tx(t, w, 0x70, []byte{4}, 0)
			tx(t, w, 0x71, []byte{2}, 0)
			inject(t, w, what)
			if got := control(); got != want {
				t.Errorf("%s: connected %02x, want %02x", what, got, want)
			}
		}
	})
}

// Behind two switches each meter sees its own two outlets.
func TestTwelveMeters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world(t, RackAC24(1))
		d, err := w.Devices(DemoBoard)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		for n := 1; n <= 24; n++ {
			meter := (n - 1) / 2
			mux := uint16(0x70 + meter/8)
			tx(t, w, 0x70, []byte{0}, 0)
			tx(t, w, 0x71, []byte{0}, 0)
			tx(t, w, mux, []byte{1 << (meter % 8)}, 0)
			tx(t, w, 0x38, []byte{0, 8, 4}, 0)
			tx(t, w, 0x38, []byte{0, 9, 4}, 0)
			time.Sleep(time.Second)
			raw := tx(t, w, 0x38, []byte{2, 0x12 + byte((n-1)%2)}, 3)
			got := float64(int32(uint32(raw[0])<<24|uint32(raw[1])<<16|uint32(raw[2])<<8)>>8) / 4862401 * 350.371 * 22.0971
			if truth := w.Rack().Watts(out(n)); math.Abs(got-truth) > 0.008*truth+0.1 {
				t.Errorf("outlet %d: meter %.2f W, truth %.2f", n, got, truth)
			}
		}
		if len(d.Meters) != 12 || len(d.Muxes) != 2 || len(d.Relays) != 2 || len(d.Temps) != 2 {
			t.Errorf("%+v", d)
		}
	})
}

// word39 reads registers of a MCP39F521, low byte first.
func word39(t *testing.T, w *World, addr uint16, reg, n byte) (v uint64) {
	t.Helper()
	frame := []byte{0xA5, 8, 0x41, 0, reg, 0x4E, n}
	var sum byte
	for _, b := range frame {
		sum += b
	}
	tx(t, w, addr, append(frame, sum), 0)
	time.Sleep(frameDelay)
	got := tx(t, w, addr, nil, int(n)+3)
	if got[0] != 6 {
		t.Fatalf("answer % x", got)
	}
	for i := range n {
		v |= uint64(got[2+i]) << (8 * i)
	}
	return v
}

// watts39 is active power: register 0012, 0.01 W.
func watts39(t *testing.T, w *World, addr uint16) float64 {
	t.Helper()
	return float64(word39(t, w, addr, 0x12, 4)) / 100
}

// A bank's meter sees the sum of its four outlets, and nothing of the other bank.
func TestBankMeters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world(t, RackAC8Bank(1))
		time.Sleep(time.Second)
		if a, b := watts39(t, w, 0x74), watts39(t, w, 0x75); !within(a, 5600, 0.006) || !within(b, 5600, 0.006) {
			t.Errorf("%.1f and %.1f W", a, b)
		}
		if amps := float64(word39(t, w, 0x74, 0x0E, 4)) / 10000; !within(amps, 5600/0.98/230, 0.01) {
			t.Errorf("%.2f A", amps)
		}
		tx(t, w, 0x38, []byte{1, 0xFF &^ 2}, 0)
		time.Sleep(time.Second)
		if a, b := watts39(t, w, 0x74), watts39(t, w, 0x75); !within(a, 4200, 0.006) || !within(b, 5600, 0.006) {
			t.Errorf("with outlet 2 open %.1f and %.1f W", a, b)
		}
	})
}

func TestBankMeterFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world(t, RackAC8Bank(1))
		time.Sleep(time.Second)
		inject(t, w, "frozen=pdu-a.meter.1")
		before := watts39(t, w, 0x74)
		tx(t, w, 0x38, []byte{1, 0xEE}, 0)
		time.Sleep(time.Minute)
		if a, b := watts39(t, w, 0x74), watts39(t, w, 0x75); a != before || !within(b, 4200, 0.006) {
			t.Errorf("frozen at %.2f W, now %.2f; the other one %.2f", before, a, b)
		}
		heal(t, w, "frozen=pdu-a.meter.1")
		inject(t, w, "zero=pdu-a.meter.2")
		time.Sleep(time.Second)
		if a, b := watts39(t, w, 0x74), watts39(t, w, 0x75); !within(a, 4200, 0.006) || b != 0 {
			t.Errorf("%.2f W, and blind %.2f", a, b)
		}
		inject(t, w, "feedlost="+BankFeedB)
		bus, err := w.Bus(DemoBus)
		if err != nil {
			t.Fatal(err)
		}
		if err := bus.Tx(t.Context(), 0x75, nil, make([]byte, 1)); !errors.Is(err, drivers.NoAnswer) {
			t.Errorf("meter of a dead feed: %v", err)
		}
		tx(t, w, 0x74, nil, 1)
		for _, what := range []string{"brownout=pdu-a.bank", "restart=pdu-a.meter.1", "nack=pdu-a.bank"} {
			inject(t, w, what)
		}
		time.Sleep(time.Second)
		if got := len(open(w)); got != 8 {
			t.Errorf("%d outlets open after a brown-out", got)
		}
		if err := w.Inject(fault(t, "forget=pdu-a")); err == nil || !strings.Contains(err.Error(), "no such part") {
			t.Errorf("a switch that is not there forgot: %v", err)
		}
	})
}

// slot sends a command to the controller of slot n, which must answer.
func slot(t *testing.T, w *World, n int, data []byte, read int) []byte {
	t.Helper()
	tx(t, w, 0x70, []byte{1 << (n - 1)}, 0)
	return tx(t, w, 0x10, data, read)
}

// pin, iin and vin are the readings of a slot: 100 V and 30 mV range, 0.5 mΩ (Linux driver adm1275).
func readings(t *testing.T, w *World, n int) (watts, amps, volts float64) {
	t.Helper()
	word := func(cmd byte) float64 {
		b := slot(t, w, n, []byte{cmd}, 2)
		return float64(uint16(b[0]) | uint16(b[1])<<8)
	}
	return word(0x97) * 1000 / (10535 * 0.5), (word(0x8C)*10 - 20480) / (663 * 0.5), word(0x88) * 100 / 4062
}

func TestSlotsMeasure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world(t, RackDC6(1))
		time.Sleep(time.Second)
		for n := 1; n <= 6; n++ {
			truth := w.Rack().Watts(out(n))
			watts, amps, volts := readings(t, w, n)
			if !within(watts, truth, 0.01) || !within(volts, 54, 0.003) || !within(amps, truth/54, 0.01) {
				t.Errorf("slot %d: %.1f W, %.2f A, %.2f V; in truth %.1f W", n, watts, amps, volts, truth)
			}
		}
	})
}

// OPERATION opens a slot's outlet and closes it; the controller measures what flows.
func TestSlotSwitches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world(t, RackDC6(1))
		r := w.Rack()
		begin := time.Now()
		slot(t, w, 3, []byte{1, 0x00}, 0)
		if !r.Closed(out(3)) || r.Coil(out(3)) {
			t.Error("the transistor was faster than light, or did not hear")
		}
		time.Sleep(time.Second)
		if got := open(w); !equal(got, []int{3}) {
			t.Errorf("open %v, want slot 3", got)
		}
		if watts, amps, volts := readings(t, w, 3); watts != 0 || math.Abs(amps) > 0.02 || !within(volts, 54, 0.003) {
			t.Errorf("off: %.1f W, %.2f A, %.2f V", watts, amps, volts)
		}
		slot(t, w, 3, []byte{1, 0x80}, 0)
		time.Sleep(time.Minute)
		if watts, _, _ := readings(t, w, 3); !within(watts, 1100, 0.01) {
			t.Errorf("on again: %.1f W", watts)
		}
		c := r.Contacts()
		if len(c) != 2 || c[0].Closed || !c[1].Closed || c[0].Outlet != out(3) || c[0].Cause != CauseCoil || !c[0].Commanded.Equal(begin) {
			t.Errorf("%+v", c)
		}
	})
}

// With two channels connected one write reaches two controllers.
func TestTwoSlotsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world(t, RackDC6(1))
		tx(t, w, 0x70, []byte{0b101}, 0)
		tx(t, w, 0x10, []byte{1, 0}, 0)
		time.Sleep(time.Second)
		if got := open(w); !equal(got, []int{1, 3}) {
			t.Errorf("open %v, want 1 and 3", got)
		}
	})
}

// A controller that restarts has its output on and samples neither VOUT nor temperature, whatever it was told before.
func TestSlotRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world(t, RackDC6(1))
		slot(t, w, 2, []byte{1, 0x00}, 0)
		slot(t, w, 2, []byte{0xD4, 0x3F, 0x3F}, 0)
		time.Sleep(time.Second)
		inject(t, w, "restart=pdu-a.meter.2")
		time.Sleep(time.Second)
		if len(open(w)) != 0 {
			t.Errorf("open: %v", open(w))
		}
		if op, config := slot(t, w, 2, []byte{1}, 1)[0], slot(t, w, 2, []byte{0xD4}, 2); op != 0x80 || config[0] != 0x35 || config[1] != 0x3F {
			t.Errorf("OPERATION %02x, PMON_CONFIG % x", op, config)
		}
		if c := w.Rack().Contacts(); len(c) != 2 || c[1].Cause != CauseCoil {
			t.Errorf("%+v", c)
		}
	})
}

// A shorted transistor carries on, and the controller sees it; an interrupted one does not.
func TestSlotContacts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world(t, RackDC6(1))
		inject(t, w, "welded=pdu-a.1")
		slot(t, w, 1, []byte{1, 0x00}, 0)
		time.Sleep(time.Second)
		watts, _, _ := readings(t, w, 1)
		if health := slot(t, w, 1, []byte{0x80}, 1)[0]; len(open(w)) != 0 || !within(watts, 1100, 0.01) || health&0x80 == 0 {
			t.Errorf("welded: open %v, %.1f W, STATUS_MFR %02x", open(w), watts, health)
		}
		heal(t, w, "welded=pdu-a.1")
		time.Sleep(time.Second)
		if got := open(w); !equal(got, []int{1}) {
			t.Errorf("healed: open %v", got)
		}
		inject(t, w, "stuckopen=pdu-a.2")
		slot(t, w, 2, []byte{0xD4, 0x3F, 0x3F}, 0)
		time.Sleep(time.Second)
		watts, _, _ = readings(t, w, 2)
		if vout := slot(t, w, 2, []byte{0x8B}, 2); watts != 0 || vout[0] != 0 || vout[1] != 0 {
			t.Errorf("stuck open: %.1f W, VOUT % x", watts, vout)
		}
		if err := w.Inject(fault(t, "crossed=pdu-a.1:pdu-a.2")); err == nil || !strings.Contains(err.Error(), "one part") {
			t.Errorf("%v", err)
		}
		if err := w.Inject(fault(t, "brownout=pdu-a")); err == nil || !strings.Contains(err.Error(), "no such part") {
			t.Errorf("%v", err)
		}
	})
}

func TestSlotMeterFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world(t, RackDC6(1))
		time.Sleep(time.Second)
		before := slot(t, w, 1, []byte{0xDC}, 9)
		inject(t, w, "frozen=pdu-a.meter.1")
		watts, _, _ := readings(t, w, 1)
		slot(t, w, 1, []byte{1, 0x00}, 0)
		time.Sleep(time.Minute)
		now, _, _ := readings(t, w, 1)
		if after := slot(t, w, 1, []byte{0xDC}, 9); now != watts || string(after) != string(before) {
			t.Errorf("frozen at %.1f W, now %.1f; energy % x, now % x", watts, now, before, after)
		}
		if got := open(w); !equal(got, []int{1}) {
			t.Errorf("a frozen monitor does not switch: open %v", got)
		}
		heal(t, w, "frozen=pdu-a.meter.1")
		if watts, _, _ := readings(t, w, 1); watts != 0 {
			t.Errorf("%.1f W", watts)
		}
		inject(t, w, "zero=pdu-a.meter.2")
		if watts, amps, volts := readings(t, w, 2); watts != 0 || math.Abs(amps) > 0.02 || volts != 0 {
			t.Errorf("blind: %.1f W, %.2f A, %.2f V", watts, amps, volts)
		}
	})
}

// POWER_CYCLE takes the output away and gives it back by itself, unless OPERATION says otherwise meanwhile.
func TestPowerCycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world(t, RackDC6(1))
		slot(t, w, 1, []byte{0xD9}, 0)
		slot(t, w, 2, []byte{0xD9}, 0)
		time.Sleep(time.Second)
		if got := open(w); !equal(got, []int{1, 2}) {
			t.Errorf("open %v, want 1 and 2", got)
		}
		slot(t, w, 1, []byte{0x88}, 2) // asking changes nothing
		slot(t, w, 2, []byte{1, 0x00}, 0)
		time.Sleep(9 * time.Second)
		if got := open(w); !equal(got, []int{1, 2}) {
			t.Errorf("10 s later open %v, want 1 and 2", got)
		}
		time.Sleep(200 * time.Millisecond)
		if got := open(w); !equal(got, []int{2}) {
			t.Errorf("10.2 s later open %v, want 2", got)
		}
	})
}

// Controllers live on what they switch: with it they lose their memory, and start with their output on.
func TestShelfLosesItsFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world(t, RackDC6(1))
		slot(t, w, 1, []byte{1, 0x00}, 0)
		time.Sleep(time.Second)
		inject(t, w, "feedlost="+ShelfFeed)
		bus, err := w.Bus(DemoBus)
		if err != nil {
			t.Fatal(err)
		}
		if err := bus.Tx(t.Context(), 0x10, []byte{1}, make([]byte, 1)); !errors.Is(err, drivers.NoAnswer) {
			t.Errorf("a controller without supply: %v", err)
		}
		time.Sleep(time.Second)
		if got := w.Rack().FeedWattsAt(ShelfFeed, time.Now()); got != 0 || len(w.Rack().Downs()) != 1 {
			t.Errorf("%.1f W, downs %v", got, w.Rack().Downs())
		}
		heal(t, w, "feedlost="+ShelfFeed)
		time.Sleep(time.Minute)
		if got := w.Rack().Watts(out(1)); len(open(w)) != 0 || !within(got, 1100, 0.01) {
			t.Errorf("open %v, slot 1 draws %.1f W", open(w), got)
		}
	})
}

// After a mains return slots are on, relays are at rest.
func TestFreshShelf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := RackDC6(1)
		c.FreshPower = true
		w := world(t, c)
		if got := w.Rack().Watts(out(1)); len(open(w)) != 0 || !within(got, 12, 0.01) {
			t.Errorf("open %v, a hash board draws %.1f W", open(w), got)
		}
		time.Sleep(time.Minute)
		if got := w.Rack().Watts(out(1)); !within(got, 1100, 0.01) {
			t.Errorf("a hash board draws %.1f W", got)
		}
		c = RackAC24(1)
		c.FreshPower = true
		w = world(t, c)
		if got := len(open(w)); got != 18 {
			t.Errorf("%d outlets open, want the 18 that need their coils", got)
		}
	})
}

// A hot-swap controller charges what hangs on it slowly.
func TestNoSurgeBehindASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world(t, RackDC6(1))
		for _, v := range []byte{0x00, 0x80} {
			slot(t, w, 1, []byte{1, v}, 0)
			slot(t, w, 5, []byte{1, v}, 0)
			time.Sleep(slotTime)
			if n, m := w.Rack().Watts(out(1)), w.Rack().Watts(out(5)); n > 1200 || m > 2300 {
				t.Errorf("%02x: %.0f and %.0f W", v, n, m)
			}
			time.Sleep(time.Second)
		}
	})
}
