package sim

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers"
)

func fault(t *testing.T, s string) Fault {
	t.Helper()
	f, err := ParseFault(s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func inject(t *testing.T, w *World, s string) {
	t.Helper()
	if err := w.Inject(fault(t, s)); err != nil {
		t.Fatal(err)
	}
}

func heal(t *testing.T, w *World, s string) {
	t.Helper()
	if err := w.Heal(fault(t, s)); err != nil {
		t.Fatal(err)
	}
}

func TestParseFault(t *testing.T) {
	for _, s := range []string{
		"welded=pdu-a.3", "stuckopen=pdu-a.2", "crossed=pdu-a.1:pdu-a.2", "nack=pdu-a.meter.1", "nack=pdu-a.bank", "nack=pdu-a.temp.1",
		"frozen=pdu-a.meter.2", "zero=pdu-a.meter.2", "restart=pdu-a.meter.4", "brownout=pdu-a", "forget=pdu-a",
		"brownout=pdu-a.bank", "brownout=pdu-a.bank.2", "forget=pdu-a.mux.1",
		"hang=sim-i2c-0", "stuck=/dev/i2c-1", "serial=pdu-a:OTHER", "feedlost=feed-a",
	} {
		if f, err := ParseFault(s); err != nil || f.String() != s {
			t.Errorf("%q: %v, %v", s, f, err)
		}
	}
}

func TestParseFaultMistakes(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", "welded=PDU.N"},
		{"welded", "want one of"},
		{"melted=pdu-a.3", "brownout=PDU or PDU.bank.N, crossed=PDU.N:PDU.N"},
		{"welded=", "want welded=PDU.N"},
		{"welded=pdu-a", "want PDU.N, for example pdu-a.3"},
		{"welded=pdu-a.03", "not 1 to 99"},
		{"crossed=pdu-a.1", "want crossed=PDU.N:PDU.N"},
		{"crossed=pdu-a.1:pdu-a.1", "with itself"},
		{"nack=pdu-a", "not such a name"},
		{"frozen=pdu-a.bank", "want frozen=PDU.meter.N"},
		{"frozen=pdu-a.meter.0", "not such a name"},
		{"brownout=PDU", "not such a name"},
		{"brownout=pdu-a.mux.1", "want brownout=PDU or PDU.bank.N"},
		{"forget=pdu-a.bank", "want forget=PDU or PDU.mux.N"},
		{"serial=pdu-a", "not a serial number"},
		{"serial=pdu-a:x", "not a serial number"},
		{"serial=pdu a:OTHER", "not such a name"},
		{"hang=", "not such a name"},
	} {
		if f, err := ParseFault(c.in); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %+v, %v, want an error with %q", c.in, f, err, c.want)
		}
	}
}

func FuzzParseFault(f *testing.F) {
	for _, s := range []string{"welded=pdu-a.3", "crossed=pdu-a.1:pdu-a.2", "serial=pdu-a:OTHER", "hang=sim-i2c-0", "nack=pdu-a.meter.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseFault(s)
		if err != nil {
			if got != (Fault{}) {
				t.Fatalf("%q: %v beside an error", s, got)
			}
			return
		}
		if got.String() != s {
			t.Fatalf("%q reads back as %q", s, got.String())
		}
		again, err := ParseFault(got.String())
		if err != nil || again != got {
			t.Fatalf("%q: %+v, then %+v, %v", s, got, again, err)
		}
	})
}

func TestInjectNamesWhatExists(t *testing.T) {
	w := demo(t)
	for _, c := range []struct{ in, want string }{
		{"welded=pdu-a.9", "no outlet pdu-a.9, have pdu-a.1, pdu-a.2"},
		{"crossed=pdu-a.1:pdu-b.1", "no outlet pdu-b.1"},
		{"nack=pdu-a.meter.5", "have pdu-a.bank, pdu-a.fru, pdu-a.meter.1"},
		{"frozen=pdu-b.meter.1", "no device"},
		{"brownout=pdu-b", `no board "pdu-b", have pdu-a`},
		{"brownout=pdu-a.bank.2", `no device "pdu-a.bank.2", have pdu-a.bank, pdu-a.fru`},
		{"forget=pdu-b.mux", `no board "pdu-b.mux", have pdu-a`},
		{"serial=pdu-b:OTHER", "have pdu-a"},
		{"hang=i2c-7", `no bus "i2c-7", have sim-i2c-0`},
		{"feedlost=feed-b", `no feed "feed-b", have feed-a`},
	} {
		if err := w.Inject(fault(t, c.in)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.in, err, c.want)
		}
	}
	if n := len(w.Faults()); n != 0 {
		t.Errorf("%d faults logged that were none", n)
	}
	if err := w.Inject(Fault{Kind: "melted"}); err == nil {
		t.Error("an unknown kind was taken")
	}
}

func TestFaultLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		begin := time.Now()
		inject(t, w, "frozen=pdu-a.meter.2")
		if err := w.Inject(fault(t, "frozen=pdu-a.meter.2")); err == nil {
			t.Error("one fault was injected twice")
		}
		time.Sleep(time.Second)
		inject(t, w, "brownout=pdu-a")
		heal(t, w, "frozen=pdu-a.meter.2")
		for _, s := range []string{"frozen=pdu-a.meter.2", "brownout=pdu-a"} {
			if err := w.Heal(fault(t, s)); err == nil {
				t.Errorf("%s was healed, and it is not in force", s)
			}
		}
		log := w.Faults()
		if len(log) != 3 || log[0].Fault.Kind != FaultFrozen || log[0].Healed || !log[2].Healed ||
			!log[0].At.Equal(begin) || !log[2].At.Equal(begin.Add(time.Second)) {
			t.Errorf("%+v", log)
		}
		e := w.Trace().Entries()
		if n := len(Of[Injected](e)); n != 3 {
			t.Errorf("%d faults in the record", n)
		}
		if _, first := e[1].Event.(Injected); !first {
			t.Errorf("the brown-out stands behind its effects: %+v", e[1])
		}
	})
}

func TestWelded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		r := w.Rack()
		inject(t, w, "welded=pdu-a.3")
		latch(t, w, running&^(1<<2))
		time.Sleep(time.Minute)
		if r.Coil(out(3)) || !r.Closed(out(3)) || !within(r.Watts(out(3)), 3250, 0.006) {
			t.Errorf("welded contact: coil %v, closed %v, %.0f W", r.Coil(out(3)), r.Closed(out(3)), r.Watts(out(3)))
		}
		heal(t, w, "welded=pdu-a.3")
		if r.Closed(out(3)) || r.Watts(out(3)) != 0 {
			t.Error("the weld broke, and the contact did not follow its coil")
		}
		if c := r.Contacts(); len(c) != 1 || c[0].Cause != CauseFault {
			t.Errorf("%+v", c)
		}
	})
}

// A contact that welds while open closes once more, and stays.
func TestWeldsAtItsNextClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		r := w.Rack()
		latch(t, w, running&^1)
		time.Sleep(time.Second)
		inject(t, w, "welded=pdu-a.1")
		if r.Closed(out(1)) {
			t.Fatal("a fault alone energised an outlet")
		}
		for _, v := range []uint16{running, running &^ 1} {
			latch(t, w, v)
			time.Sleep(time.Second)
		}
		if !r.Closed(out(1)) {
			t.Error("welded contact opened")
		}
	})
}

func TestStuckOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		r := w.Rack()
		inject(t, w, "stuckopen=pdu-a.2")
		if r.Closed(out(2)) || r.Watts(out(2)) != 0 {
			t.Error("broken contact carries power")
		}
		for _, v := range []uint16{running &^ 2, running} {
			latch(t, w, v)
			time.Sleep(time.Second)
		}
		if r.Closed(out(2)) {
			t.Error("broken contact closed")
		}
	})
}

func TestCrossed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		r := w.Rack()
		inject(t, w, "crossed=pdu-a.1:pdu-a.2")
		if n := len(r.Contacts()); n != 0 {
			t.Errorf("crossing two closed contacts moved %d", n)
		}
		latch(t, w, running&^1) // outlet 1, as the board believes
		time.Sleep(time.Second)
		if !r.Closed(out(1)) || r.Closed(out(2)) || r.Watts(out(2)) != 0 {
			t.Errorf("outlet 1 closed %v, outlet 2 closed %v", r.Closed(out(1)), r.Closed(out(2)))
		}
		c := r.Contacts()
		if len(c) != 1 || c[0].Outlet != out(2) || c[0].Relay != out(1) {
			t.Errorf("%+v", c)
		}
		heal(t, w, "crossed=pdu-a.1:pdu-a.2")
		if r.Closed(out(1)) || !r.Closed(out(2)) {
			t.Error("uncrossed wiring does not follow the coils")
		}
	})
}

func TestBrownout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		inject(t, w, "brownout=pdu-a")
		time.Sleep(time.Second)
		for n := 1; n <= 8; n++ {
			if closed := w.Rack().Closed(out(n)); closed != (n >= 7) {
				t.Errorf("outlet %d closed: %v", n, closed)
			}
		}
		if got := tx(t, w, 0x20, []byte{6}, 2); got[0] != 0xFF || got[1] != 0xFF {
			t.Errorf("direction % x", got)
		}
		if n := len(w.Rack().Downs()); n != 0 {
			t.Errorf("%d servers went down on contacts that stay closed", n)
		}
	})
}

func TestNackAndForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		bus, err := w.Bus(DemoBus)
		if err != nil {
			t.Fatal(err)
		}
		config := func() error { return bus.Tx(t.Context(), 0x38, []byte{1, 2}, make([]byte, 2)) }
		inject(t, w, "nack=pdu-a.meter.1")
		tx(t, w, 0x70, []byte{1}, 0)
		if err := config(); !errors.Is(err, drivers.NoAnswer) {
			t.Errorf("meter 1: %v", err)
		}
		tx(t, w, 0x70, []byte{2}, 0)
		if err := config(); err != nil {
			t.Errorf("meter 2, which is well: %v", err)
		}
		heal(t, w, "nack=pdu-a.meter.1")
		tx(t, w, 0x70, []byte{1}, 0)
		if err := config(); err != nil {
			t.Errorf("meter 1 after healing: %v", err)
		}
		inject(t, w, "forget=pdu-a")
		if err := config(); !errors.Is(err, drivers.NoAnswer) {
			t.Errorf("behind a switch that forgot: %v", err)
		}
	})
}

func TestMeterFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		gain(t, w, 0)
		watts := func() uint32 { return meterRegister(t, w, 0, 0x212, 3) }
		time.Sleep(time.Second)
		inject(t, w, "frozen=pdu-a.meter.1")
		before := watts()
		latch(t, w, running&^1)
		time.Sleep(time.Minute)
		if got := watts(); got != before {
			t.Errorf("frozen meter went from %06x to %06x", before, got)
		}
		heal(t, w, "frozen=pdu-a.meter.1")
		if got := float64(int32(watts()<<8) >> 8); got > 100 || got < -100 {
			t.Errorf("code %v without load", got)
		}
		latch(t, w, running)
		time.Sleep(time.Minute)
		inject(t, w, "zero=pdu-a.meter.1")
		if got := watts(); got != 0 {
			t.Errorf("blind meter: %06x", got)
		}
		heal(t, w, "zero=pdu-a.meter.1")
		inject(t, w, "restart=pdu-a.meter.1")
		time.Sleep(time.Second)
		if got := meterRegister(t, w, 0, 0x008, 1); got != 0 {
			t.Errorf("gain %02x after a restart", got)
		}
	})
}

func TestHangAndStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		bus, err := w.Bus(DemoBus)
		if err != nil {
			t.Fatal(err)
		}
		inject(t, w, "stuck=sim-i2c-0")
		if err := bus.Tx(t.Context(), 0x20, []byte{2}, make([]byte, 1)); !errors.Is(err, drivers.BusFault) {
			t.Errorf("stuck: %v", err)
		}
		heal(t, w, "stuck=sim-i2c-0")
		inject(t, w, "hang=sim-i2c-0")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- bus.Tx(ctx, 0x20, []byte{2}, make([]byte, 1)) }()
		time.Sleep(time.Hour)
		if len(done) != 0 {
			t.Error("hung transfer returned")
		}
		heal(t, w, "hang=sim-i2c-0")
		if err := <-done; !errors.Is(err, drivers.Timeout) {
			t.Errorf("released: %v", err)
		}
		tx(t, w, 0x20, []byte{2}, 1)
	})
}

// Closing a world lets what hangs in it return, so that no goroutine is left behind.
func TestCloseReleasesHungTransfers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		bus, err := w.Bus(DemoBus)
		if err != nil {
			t.Fatal(err)
		}
		inject(t, w, "hang=sim-i2c-0")
		done := make(chan error, 1)
		go func() { done <- bus.Tx(context.Background(), 0x20, []byte{2}, make([]byte, 1)) }()
		synctest.Wait()
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err == nil {
			t.Error("a hung transfer succeeded")
		}
	})
}

func TestOtherSerial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		inject(t, w, "serial=pdu-a:OTHER-77")
		if got := string(tx(t, w, 0x50, []byte{0}, 256)); !strings.Contains(got, "OTHER-77") || strings.Contains(got, "SIM-0001") {
			t.Errorf("%q", got)
		}
		heal(t, w, "serial=pdu-a:OTHER-77")
		if got := string(tx(t, w, 0x50, []byte{0}, 256)); !strings.Contains(got, "SIM-0001") {
			t.Errorf("%q", got)
		}
	})
}

func TestFeedLostByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		inject(t, w, "feedlost=feed-a")
		time.Sleep(time.Second)
		if got := w.Rack().Watts(out(1)); got != 0 {
			t.Errorf("%v W", got)
		}
		heal(t, w, "feedlost=feed-a")
		time.Sleep(time.Minute)
		if got := w.Rack().Watts(out(1)); !within(got, 3250, 0.006) {
			t.Errorf("%v W", got)
		}
	})
}
