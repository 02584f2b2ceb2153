package sim

import (
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers"
)

func out(n int) rack.OutletID { return rack.OutletID{PDU: DemoBoard, N: n} }

// demo builds the demonstration's world and closes it at the end of the test.
func demo(t *testing.T, change ...func(*Config)) *World {
	t.Helper()
	c := Demo(7)
	c.StateDir = t.TempDir()
	for _, f := range change {
		f(&c)
	}
	w, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if v := w.Violations(); len(v) > 0 {
			t.Errorf("violations: %q", v)
		}
	})
	return w
}

// tx is one transfer on the demonstration's bus that must succeed.
func tx(t *testing.T, w *World, addr uint16, data []byte, read int) []byte {
	t.Helper()
	b, err := w.Bus(DemoBus)
	if err != nil {
		t.Fatal(err)
	}
	r := make([]byte, read)
	if err := b.Tx(t.Context(), addr, data, r); err != nil {
		t.Fatalf("0x%02x % x: %v", addr, data, err)
	}
	return r
}

// latch writes the relay bank's latch.
func latch(t *testing.T, w *World, v uint16) {
	t.Helper()
	tx(t, w, 0x20, []byte{2, byte(v), byte(v >> 8)}, 0)
}

// running is the latch of a demonstration with everything on: ones for outlets 1 to 6, zeros for 7 and 8.
const running = 0xFF3F

// meterRegister reads a register of the meter with index i, 0 to 3.
func meterRegister(t *testing.T, w *World, i int, reg uint16, n int) uint32 {
	t.Helper()
	tx(t, w, 0x70, []byte{1 << i}, 0)
	var v uint32
	for _, b := range tx(t, w, 0x38, []byte{byte(reg >> 8), byte(reg)}, n) {
		v = v<<8 | uint32(b)
	}
	return v
}

// gain sets the gain of a meter's current channels to 16.
func gain(t *testing.T, w *World, i int) {
	t.Helper()
	tx(t, w, 0x70, []byte{1 << i}, 0)
	tx(t, w, 0x38, []byte{0, 8, 4}, 0)
	tx(t, w, 0x38, []byte{0, 9, 4}, 0)
}

// within tells whether v lies within a part of want.
func within(v, want, part float64) bool { return math.Abs(v-want) <= part*math.Abs(want) }

func TestDemoBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		for n, want := range []float64{3250, 3250, 3250, 180, 0, 0, 1600, 1600} {
			if !w.Rack().Closed(out(n + 1)) {
				t.Errorf("outlet %d is open", n+1)
			}
			if got := w.Rack().Watts(out(n + 1)); !within(got, want, 0.006) {
				t.Errorf("outlet %d draws %.1f W, want %.0f", n+1, got, want)
			}
		}
		if got := tx(t, w, 0x20, []byte{2}, 2); got[0] != 0x3F || got[1] != 0xFF {
			t.Errorf("latch % x", got)
		}
		if got := tx(t, w, 0x20, []byte{6}, 2); got[0] != 0 || got[1] != 0xFF {
			t.Errorf("direction % x", got)
		}
		if n := len(w.Rack().Contacts()); n != 0 {
			t.Errorf("%d contacts moved", n)
		}
		if !w.ClockSynced() {
			t.Error("clock is not synchronised")
		}
		if got, want := w.Rack().FeedWattsAt(DemoFeed, time.Now()), 3*3250+180+3200.0; !within(got, want, 0.006) {
			t.Errorf("feed carries %.0f W, want %.0f", got, want)
		}
		if !math.IsNaN(w.Rack().Watts(out(9))) {
			t.Error("an outlet that does not exist draws power")
		}
	})
}

func TestFreshPower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t, func(c *Config) { c.FreshPower = true })
		if got := tx(t, w, 0x20, []byte{6}, 2); got[0] != 0xFF || got[1] != 0xFF {
			t.Errorf("direction % x, want all inputs", got)
		}
		for n := 1; n <= 8; n++ {
			if closed := w.Rack().Closed(out(n)); closed != (n >= 7) {
				t.Errorf("outlet %d closed: %v", n, closed)
			}
		}
		time.Sleep(time.Minute)
		if got := w.Rack().Watts(out(1)); got != 0 {
			t.Errorf("an open outlet draws %v W", got)
		}
		if got := w.Rack().Watts(out(7)) + w.Rack().Watts(out(8)); !within(got, 30, 0.01) {
			t.Errorf("the server that nobody started draws %v W", got)
		}
	})
}

// The latch as it stands and then the direction: every relay goes on carrying what it carried.
func TestSpareOutputs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t, func(c *Config) { c.Boards[0].SpareOutputs = true })
		if got := tx(t, w, 0x20, []byte{6}, 2); got[0] != 0 || got[1] != 0 {
			t.Errorf("direction % x, want all outputs", got)
		}
	})
}

func TestCutAndRamp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		r := w.Rack()
		begin := time.Now()
		latch(t, w, running&^1) // outlet 1
		if !r.Closed(out(1)) {
			t.Error("contact moved at once")
		}
		time.Sleep(operateTime)
		if r.Closed(out(1)) || r.Watts(out(1)) != 0 {
			t.Errorf("10 ms later: closed %v, %v W", r.Closed(out(1)), r.Watts(out(1)))
		}
		time.Sleep(time.Minute)
		latch(t, w, running)
		closing := time.Now().Add(operateTime)
		time.Sleep(time.Minute)
		for _, p := range []struct {
			after time.Duration
			want  float64
		}{
			{2 * time.Millisecond, 6500},
			{6 * time.Millisecond, 25},
			{1900 * time.Millisecond, 25},
			{6 * time.Second, (25 + 3250) / 2.0},
			{10 * time.Second, 3250},
			{50 * time.Second, 3250},
		} {
			if got := r.WattsAt(out(1), closing.Add(p.after)); !within(got, p.want, 0.006) {
				t.Errorf("%v after closing: %.1f W, want %.1f", p.after, got, p.want)
			}
		}
		// Surge 5 ms, 25 W for 2 s less that, and 8 s of ramp.
		if got, want := r.Joules(out(1), closing, closing.Add(10*time.Second)), 6500*.005+25*1.995+8*(25+3250)/2.0; !within(got, want, 1e-6) {
			t.Errorf("%.1f J, want %.1f", got, want)
		}
		moved := r.Contacts()
		if len(moved) != 2 || moved[0].Closed || !moved[1].Closed || moved[0].Outlet != out(1) || moved[0].Cause != CauseCoil {
			t.Fatalf("contacts: %+v", moved)
		}
		if !moved[0].At.Equal(begin.Add(operateTime)) || !moved[0].Commanded.Equal(begin) || !moved[1].At.Equal(closing) {
			t.Errorf("contacts: %+v", moved)
		}
		if n := len(r.Downs()); n != 0 {
			t.Errorf("%d servers went down", n)
		}
	})
}

// A pulse shorter than the operate time moves no contact.
func TestShortPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		latch(t, w, running&^1)
		time.Sleep(5 * time.Millisecond)
		latch(t, w, running)
		time.Sleep(time.Second)
		if n := len(w.Rack().Contacts()); n != 0 {
			t.Errorf("%d contacts moved", n)
		}
	})
}

func TestRedundantServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		r := w.Rack()
		latch(t, w, running|1<<6) // open 7: its coil opens a closed contact
		time.Sleep(time.Second)
		if a, b := r.Watts(out(7)), r.Watts(out(8)); a != 0 || !within(b, 3200, 0.006) {
			t.Errorf("one side dead: %v and %.0f W", a, b)
		}
		if len(r.Downs()) != 0 {
			t.Fatal("the server did not live on one side")
		}
		latch(t, w, running|3<<6)
		cut := time.Now().Add(operateTime)
		time.Sleep(operateTime + 9*time.Millisecond)
		if len(r.Downs()) != 0 {
			t.Error("down before the hold-up time was over")
		}
		time.Sleep(time.Millisecond)
		if d := r.Downs(); len(d) != 1 || d[0].Load != "gpu-1" || !d[0].At.Equal(cut.Add(10*time.Millisecond)) {
			t.Fatalf("downs: %+v", d)
		}
		latch(t, w, running)
		time.Sleep(5 * time.Minute)
		if got := r.Watts(out(7)) + r.Watts(out(8)); !within(got, 30, 0.01) {
			t.Errorf("the server came back by itself: %.0f W", got)
		}
		if err := r.PowerOn("gpu-1"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if a, b := r.Watts(out(7)), r.Watts(out(8)); !within(a, 1600, 0.006) || !within(b, 1600, 0.006) {
			t.Errorf("after the button: %.0f and %.0f W", a, b)
		}
		if n := len(r.Downs()); n != 1 {
			t.Errorf("%d downs", n)
		}
	})
}

// A gap shorter than the hold-up time is ridden through.
func TestHoldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		if err := w.SetFeed(DemoFeed, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(9 * time.Millisecond)
		if err := w.SetFeed(DemoFeed, true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if n := len(w.Rack().Downs()); n != 0 {
			t.Errorf("%d downs after 9 ms without power", n)
		}
		if err := w.SetFeed(DemoFeed, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Millisecond)
		if err := w.SetFeed(DemoFeed, true); err != nil {
			t.Fatal(err)
		}
		if n := len(w.Rack().Downs()); n != 1 {
			t.Errorf("%d downs after 11 ms without power", n)
		}
	})
}

func TestOrderlyHalt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		r := w.Rack()
		if err := r.PowerOff("gpu-1"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got := r.Watts(out(7)) + r.Watts(out(8)); !within(got, 30, 0.01) {
			t.Errorf("halted server draws %.0f W", got)
		}
		latch(t, w, running|3<<6)
		time.Sleep(time.Second)
		if n := len(r.Downs()); n != 0 {
			t.Errorf("cutting a halted server counted as %d downs", n)
		}
		for _, name := range []string{"asic-1", "nobody"} {
			if err := r.PowerOn(name); err == nil {
				t.Errorf("%s has a power button", name)
			}
		}
	})
}

func TestColdStandby(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t, func(c *Config) { c.Loads[4].Load.(*Server).ShareA = 0 })
		a, b := w.Rack().Watts(out(7)), w.Rack().Watts(out(8))
		if !within(a, 5, 0.01) || !within(b, 3200, 0.006) {
			t.Errorf("A %.0f W, B %.0f W", a, b)
		}
		latch(t, w, running|1<<7)
		time.Sleep(time.Second)
		if a := w.Rack().Watts(out(7)); !within(a, 3200, 0.006) || len(w.Rack().Downs()) != 0 {
			t.Errorf("A took over with %.0f W, downs %v", a, w.Rack().Downs())
		}
	})
}

// What the meter says, against the truth: scale of the board, with gain 16.
func TestMetersSeeTheTruth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		const vfs, ifs = 350.371, 22.0971
		for i := range 4 {
			gain(t, w, i)
		}
		time.Sleep(time.Second)
		for n := 1; n <= 8; n++ {
			chip, ch := (n-1)/2, uint16((n-1)%2)
			truth := w.Rack().Watts(out(n))
			got := float64(int32(meterRegister(t, w, chip, 0x212+ch, 3)<<8)>>8) / 4862401 * vfs * ifs
			if math.Abs(got-truth) > 0.008*truth+0.1 { // the truth is a moment's, the meter's a mean of 200 ms
				t.Errorf("outlet %d: meter %.2f W, truth %.2f", n, got, truth)
			}
			if v := float64(meterRegister(t, w, chip, 0x21C, 3)) / 9032007 * vfs; !within(v, 230, 0.0025) {
				t.Errorf("meter %d: %.2f V", chip+1, v)
			}
		}
		amps := float64(meterRegister(t, w, 0, 0x21A, 3)) / 9032007 * ifs
		if want := 3250 / 0.98 / 230; !within(amps, want, 0.01) {
			t.Errorf("outlet 1: %.3f A, want %.3f", amps, want)
		}
		if f := 223750 / float64(meterRegister(t, w, 0, 0x10E, 2)+1); !within(f, 50, 0.001) {
			t.Errorf("%.3f Hz", f)
		}
		if pf := float64(int16(meterRegister(t, w, 0, 0x10A, 2))) / 32768; !within(pf, -0.98, 0.001) {
			t.Errorf("power factor %.3f, want 0.98 capacitive", pf)
		}
	})
}

func TestMetersMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		gain(t, w, 0)
		seen := map[uint32]bool{}
		for range 20 {
			time.Sleep(250 * time.Millisecond)
			seen[meterRegister(t, w, 0, 0x212, 3)] = true
		}
		if len(seen) < 15 {
			t.Errorf("%d codes in 20 samples", len(seen))
		}
	})
}

// Energy over a cut and a return, counted by the chip, is the energy that flowed.
func TestMeterEnergy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		gain(t, w, 0)
		tx(t, w, 0x38, []byte{0, 4, 0}, 0)
		begin, before := time.Now(), meterRegister(t, w, 0, 0x21E, 3)
		time.Sleep(7 * time.Second)
		latch(t, w, running&^1)
		time.Sleep(31 * time.Second)
		latch(t, w, running)
		time.Sleep(20 * time.Second)
		got := float64((meterRegister(t, w, 0, 0x21E, 3)-before)&0xFFFFFF) * 0.0374200
		if want := w.Rack().Joules(out(1), begin, time.Now()); !within(got, want, 0.001) {
			t.Errorf("meter %.0f J, truth %.0f J", got, want)
		}
	})
}

func TestFeedLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		if err := w.SetFeed(DemoFeed, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got := w.Rack().FeedWattsAt(DemoFeed, time.Now()); got != 0 {
			t.Errorf("a dead feed carries %v W", got)
		}
		tx(t, w, 0x70, []byte{1}, 0)
		bus, err := w.Bus(DemoBus)
		if err != nil {
			t.Fatal(err)
		}
		if err := bus.Tx(t.Context(), 0x38, []byte{1, 2}, make([]byte, 2)); !errors.Is(err, drivers.NoAnswer) {
			t.Errorf("meter of a dead feed: %v", err)
		}
		if got := tx(t, w, 0x20, []byte{2}, 1); got[0] != 0x3F {
			t.Errorf("latch %02x after a feed was lost", got[0])
		}
		if n := len(w.Rack().Downs()); n != 1 {
			t.Errorf("%d downs", n)
		}
		if err := w.SetFeed(DemoFeed, true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if v := meterRegister(t, w, 0, 0x102, 2); v != 0x8004 {
			t.Errorf("CONFIG %04x, want its reset value", v)
		}
		if err := w.SetFeed("feed-x", true); err == nil || !strings.Contains(err.Error(), "have feed-a") {
			t.Errorf("%v", err)
		}
	})
}

func TestInventory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		if got := string(tx(t, w, 0x50, []byte{0}, 256)); !strings.Contains(got, "SIM-0001") || !strings.Contains(got, "AC8") {
			t.Errorf("%q", got)
		}
		temp := tx(t, w, 0x48, []byte{0}, 2)
		if v := float64(int16(uint16(temp[0])<<8|uint16(temp[1]))) / 256; v < 29 || v > 33 {
			t.Errorf("%v °C", v)
		}
	})
}
