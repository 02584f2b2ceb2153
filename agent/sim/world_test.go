package sim

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers/drivertest"
)

// The record holds everything in one order: the write, the contact it moved, the reading that could notice.
func TestTraceIsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		latch(t, w, running&^1)
		time.Sleep(time.Second)
		tx(t, w, 0x20, []byte{2}, 2)
		e := w.Trace().Entries()
		if len(e) != 3 {
			t.Fatalf("%d entries: %+v", len(e), e)
		}
		write, ok1 := e[0].Event.(Transfer)
		contact, ok2 := e[1].Event.(Contact)
		read, ok3 := e[2].Event.(Transfer)
		if !ok1 || !ok2 || !ok3 || contact.Outlet != out(1) {
			t.Fatalf("%+v", e)
		}
		if write.Seq != 1 || write.Ended != 2 || read.Seq != 3 || read.Ended != 4 || e[1].Seq != 2 {
			t.Errorf("numbers: write %d to %d, contact %d, read %d to %d", write.Seq, write.Ended, e[1].Seq, read.Seq, read.Ended)
		}
		if len(write.Chips) != 1 || write.Chips[0] != "pdu-a.bank" {
			t.Errorf("written to %v", write.Chips)
		}
		if n := len(w.Trace().Since(2)); n != 1 {
			t.Errorf("%d entries after the second", n)
		}
		if n := len(Of[Transfer](w.Trace().Entries())); n != 2 {
			t.Errorf("%d transfers", n)
		}
	})
}

func TestTraceLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t, func(c *Config) { c.TraceLimit = 10 })
		for range 100 {
			tx(t, w, 0x20, []byte{2}, 2)
		}
		e := w.Trace().Entries()
		if len(e) < 10 || len(e) > 20 || e[len(e)-1].Seq != 100 {
			t.Errorf("%d entries, the last is number %d", len(e), e[len(e)-1].Seq)
		}
		if n := len(w.Trace().Since(98)); n != 2 {
			t.Errorf("%d entries after 98", n)
		}
		if n := len(w.Trace().Since(5)); n != len(e) {
			t.Errorf("%d entries after one that is gone, have %d", n, len(e))
		}
	})
}

func TestSameSeedSameWorld(t *testing.T) {
	codes := func(seed uint64) (v [8]uint32) {
		synctest.Test(t, func(t *testing.T) {
			w := demo(t, func(c *Config) { c.Seed = seed })
			time.Sleep(1234 * time.Millisecond)
			for i := range v {
				v[i] = meterRegister(t, w, i/2, 0x212+uint16(i%2), 3)
			}
		})
		return v
	}
	if first, again := codes(1), codes(1); first != again {
		t.Error("one seed gave two worlds")
	}
	if codes(1) == codes(2) {
		t.Error("two seeds gave one world")
	}
}

// The world under the system's clock, with transfers that take their time.
func TestRealClock(t *testing.T) {
	c := Demo(1)
	c.BitRate = 400_000
	w, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	latch(t, w, running)
	if got := w.Rack().Watts(out(1)); !within(got, 3250, 0.006) {
		t.Errorf("%.0f W", got)
	}
	dir := w.StateDir()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.CopyState(t.TempDir()); err == nil {
		t.Errorf("state directory %s survived its world", dir)
	}
}

func TestConfigMistakes(t *testing.T) {
	socket := func(n int, f func(*Socket)) func(*Config) {
		return func(c *Config) { f(&c.Boards[0].Outlets[n-1]) }
	}
	for name, change := range map[string]func(*Config){
		"feed twice":        func(c *Config) { c.Feeds = append(c.Feeds, c.Feeds[0]) },
		"board twice":       func(c *Config) { c.Boards = append(c.Boards, c.Boards[0]) },
		"no such feed":      func(c *Config) { c.Boards[0] = AC8(DemoBoard, DemoBus, "SIM-0001", "feed-x") },
		"bad name":          func(c *Config) { c.Boards[0].Name = "PDU A" },
		"no outlets":        func(c *Config) { c.Boards[0].Outlets = nil },
		"feeds do not fit":  socket(1, func(s *Socket) { s.Feed = "feed-x" }),
		"pin taken":         socket(1, func(s *Socket) { s.Bit = 1 }),
		"no such pin":       socket(1, func(s *Socket) { s.Bit = 16 }),
		"no such relays":    socket(1, func(s *Socket) { s.Relays = 1 }),
		"no such meter":     socket(1, func(s *Socket) { s.Meter = 4 }),
		"input taken":       socket(1, func(s *Socket) { s.Input = 1 }),
		"slot of a relay":   socket(1, func(s *Socket) { s.Slot = true }),
		"relay of a slot":   func(c *Config) { c.Boards[0].Meters[0].Kind = "adm1272" },
		"idle meter":        func(c *Config) { c.Boards[0].Meters = append(c.Boards[0].Meters, c.Boards[0].Meters[0]) },
		"unknown relays":    func(c *Config) { c.Boards[0].Relays[0].Kind = "pcf8574" },
		"unknown meter":     func(c *Config) { c.Boards[0].Meters[0].Kind = "ade9000" },
		"no such switch":    func(c *Config) { c.Boards[0].Meters[0].Mux = 1 },
		"no such channel":   func(c *Config) { c.Boards[0].Meters[0].Channel = 8 },
		"no such outlet":    func(c *Config) { c.Loads[0].Outlets[0].N = 9 },
		"outlet taken":      func(c *Config) { c.Loads[0].Outlets[0].N = 2 },
		"load twice":        func(c *Config) { c.Loads[1].Load = NewMiner("asic-1") },
		"inlet without one": func(c *Config) { c.Loads[4].Outlets = c.Loads[4].Outlets[:1] },
		"serial too long":   func(c *Config) { c.Boards[0].Serial = strings.Repeat("x", 64) },
	} {
		c := Demo(1)
		c.StateDir = t.TempDir()
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	w := demo(t)
	if _, err := w.Bus("i2c-9"); err == nil || !strings.Contains(err.Error(), "have sim-i2c-0") {
		t.Errorf("%v", err)
	}
	if _, err := w.Devices("pdu-x"); err == nil || !strings.Contains(err.Error(), "have pdu-a") {
		t.Errorf("%v", err)
	}
}

// A crash between the write and its effect: the test holds the world exactly there.
func TestFreezeAtAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		bus, err := w.Bus(DemoBus)
		if err != nil {
			t.Fatal(err)
		}
		crash := errors.New("crashed")
		bus.SetGate(func(p drivertest.Phase, x drivertest.Transfer) error {
			if p == drivertest.After && x.Addr == 0x20 && x.W[0] == 2 {
				return crash
			}
			return nil
		})
		if err := bus.Tx(context.Background(), 0x20, []byte{2, 0x3E, 0xFF}, nil); !errors.Is(err, crash) {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if w.Rack().Closed(out(1)) {
			t.Error("the write was handed over, and the contact stayed")
		}
		if x := Of[Transfer](w.Trace().Entries())[0]; !x.Wire || !errors.Is(x.Err, crash) {
			t.Errorf("recorded as %v", x)
		}
	})
}
