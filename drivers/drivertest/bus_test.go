package drivertest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers"
)

// rig is a bus with an expander at the adapter and a small EEPROM of equal address on two channels of a switch.
type rig struct {
	*Bus
	mux    *PCA9548
	relays *TCA9555
	rec    *Trace
}

func newRig(t *testing.T, o BusOpts) *rig {
	t.Helper()
	rec := &Trace{}
	o.Recorder = rec
	r := &rig{Bus: NewBus("sim-i2c-0", o), mux: NewPCA9548(), relays: NewTCA9555(nil), rec: rec}
	r.Attach("mux", 0x70, r.mux)
	r.Attach("relays", 0x20, r.relays)
	for i, first := range []byte{0xF0, 0x3C} {
		c, err := NewAT24C02([]byte{first}, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.mux.Channel(i).Attach(fmt.Sprintf("fru-%d", i), 0x50, c)
	}
	return r
}

// write hands over a write that must succeed.
func (r *rig) write(t *testing.T, addr uint16, w ...byte) {
	t.Helper()
	if err := r.Tx(t.Context(), addr, w, nil); err != nil {
		t.Fatal(err)
	}
}

// byteAt reads one byte.
func (r *rig) byteAt(addr uint16, reg byte) (byte, error) {
	b := []byte{0x55}
	err := r.Tx(context.Background(), addr, []byte{reg}, b)
	return b[0], err
}

func TestBusThroughSwitch(t *testing.T) {
	r := newRig(t, BusOpts{})
	if _, err := r.byteAt(0x50, 0); !errors.Is(err, syscall.ENXIO) || !errors.Is(err, drivers.NoAnswer) {
		t.Errorf("no channel: %v", err)
	}
	for _, c := range []struct {
		control, want byte
		chips         string
	}{
		{1, 0xF0, "[fru-0]"},
		{2, 0x3C, "[fru-1]"},
		{3, 0x30, "[fru-0 fru-1]"}, // both pull the lines low
	} {
		r.write(t, 0x70, c.control)
		got, err := r.byteAt(0x50, 0)
		if err != nil || got != c.want {
			t.Errorf("control %02x: %02x, %v, want %02x", c.control, got, err, c.want)
		}
		all := r.rec.Transfers()
		last := all[len(all)-1]
		if fmt.Sprint(last.Chips) != c.chips || fmt.Sprint(last.Mux) != fmt.Sprintf("[0x70=0x%02x]", c.control) {
			t.Errorf("recorded as %v behind %v", last.Chips, last.Mux)
		}
	}
	r.mux.Reset()
	if _, err := r.byteAt(0x50, 0); !errors.Is(err, drivers.NoAnswer) {
		t.Errorf("after the switch forgot its channel: %v", err)
	}
}

func TestBusRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, BusOpts{BitRate: 100_000})
		begin := time.Now()
		w := []byte{0x02, 0x3F, 0x00}
		if err := r.Tx(t.Context(), 0x20, w, nil); err != nil {
			t.Fatal(err)
		}
		w[1] = 0 // the record holds a copy
		if _, err := r.byteAt(0x20, 2); err != nil {
			t.Fatal(err)
		}
		all := r.rec.Transfers()
		if len(all) != 2 {
			t.Fatalf("%d transfers", len(all))
		}
		if s := all[0].String(); s != "sim-i2c-0 #1 0x20 (relays) w 02 3f 00" {
			t.Error(s)
		}
		if s := all[1].String(); s != "sim-i2c-0 #2 0x20 (relays) w 02 r 3f" {
			t.Error(s)
		}
		first, second := all[0], all[1]
		if first.Seq != 1 || second.Seq != 2 || !first.Wire || !first.Handed.Equal(begin) {
			t.Errorf("%+v", first)
		}
		// 38 bits for a word written, 39 for a byte read, at 10 µs each.
		if d := first.Returned.Sub(first.Handed); d != 380*time.Microsecond {
			t.Errorf("word written in %v", d)
		}
		if d := second.Returned.Sub(second.Handed); d != 390*time.Microsecond {
			t.Errorf("byte read in %v", d)
		}
	})
}

// The table of transfer lengths: bits for so many bytes written and read.
func TestBits(t *testing.T) {
	for _, c := range []struct{ w, r, want int }{
		{1, 0, 20},
		{0, 1, 20},
		{2, 0, 29},
		{3, 0, 38},
		{1, 1, 39},
		{1, 2, 48},
		{1, 3, 57},
		{0, 6, 65},
		{1, 5, 75},
		{1, 7, 93},
		{1, 33, 327},
		{1, 128, 1182},
		{2, 256, 2343},
		{2, 1, 48},
		{2, 2, 57},
		{2, 3, 66},
		{2, 4, 75},
		{5, 0, 56},
		{0, 0, 0},
	} {
		if got := Bits(c.w, c.r); got != c.want {
			t.Errorf("%d written, %d read: %d bits, want %d", c.w, c.r, got, c.want)
		}
	}
}

func TestBusEmptyTransfer(t *testing.T) {
	r := newRig(t, BusOpts{})
	if err := r.Tx(t.Context(), 0x11, nil, nil); err != nil {
		t.Errorf("an empty transfer to nobody: %v, on Linux nothing happens", err)
	}
}

func TestBusContext(t *testing.T) {
	r := newRig(t, BusOpts{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := r.Tx(ctx, 0x20, []byte{2, 0, 0}, nil)
	if !errors.Is(err, drivers.Cancelled) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if r.relays.Output() != 0xFFFF {
		t.Error("a transfer whose context had ended reached the device")
	}
	if x := r.rec.Transfers()[0]; x.Wire || x.Err == nil || x.Returned.IsZero() {
		t.Errorf("recorded as %+v", x)
	}
}

func TestBusViolations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, BusOpts{BitRate: 100_000})
		done := make(chan error)
		for range 2 {
			go func() { done <- r.Tx(t.Context(), 0x20, []byte{2, 0, 0}, nil) }()
		}
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if v := r.Violations(); len(v) != 1 || !strings.Contains(v[0], "had not returned") {
			t.Errorf("overlapping calls: %q", v)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if err := r.Tx(t.Context(), 0x20, []byte{2}, nil); !errors.Is(err, drivers.BusFault) {
			t.Errorf("after Close: %v", err)
		}
		if v := r.Violations(); len(v) != 2 || !strings.Contains(v[1], "after Close") {
			t.Errorf("%q", v)
		}
	})
}

// Each fault that ends a transfer: what the caller sees, how long it takes, whether the device acted.
func TestFaultsThatFail(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault Fault
		want  drivers.Fault
		errno syscall.Errno
		takes time.Duration
		latch uint16
	}{
		{"nack", Fault{Kind: FaultNackAddress}, drivers.NoAnswer, syscall.ENXIO, 0, 0xFFFF},
		{"nack as OMAP", Fault{Kind: FaultNackAddress, Errno: RemoteIO}, drivers.NoAnswer, RemoteIO, 0, 0xFFFF},
		{"nack taken", Fault{Kind: FaultNackAddress, Taken: true}, drivers.NoAnswer, syscall.ENXIO, 0, 0},
		{"data nack", Fault{Kind: FaultNackData}, drivers.NoAnswer, RemoteIO, 0, 0xFFFF},
		{"data nack half way", Fault{Kind: FaultNackData, Byte: 2}, drivers.NoAnswer, RemoteIO, 0, 0xFF00},
		{"timeout", Fault{Kind: FaultTimeout}, drivers.Timeout, syscall.ETIMEDOUT, time.Second, 0xFFFF},
		{"timeout taken", Fault{Kind: FaultTimeout, Taken: true, Delay: 35 * time.Millisecond}, drivers.Timeout, syscall.ETIMEDOUT, 35 * time.Millisecond, 0},
		{"arbitration", Fault{Kind: FaultArbitration}, drivers.Arbitration, syscall.EAGAIN, 0, 0xFFFF},
		{"bus error", Fault{Kind: FaultBusError}, drivers.BusFault, syscall.EIO, 0, 0xFFFF},
		{"stuck", Fault{Kind: FaultStuck}, drivers.BusFault, syscall.EBUSY, 0, 0xFFFF},
		{"stuck, as the i.MX says it", Fault{Kind: FaultStuck, Errno: syscall.ETIMEDOUT}, drivers.Timeout, syscall.ETIMEDOUT, 0, 0xFFFF},
		{"not able", Fault{Kind: FaultBusError, Errno: syscall.EOPNOTSUPP}, drivers.Unsupported, syscall.EOPNOTSUPP, 0, 0xFFFF},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, BusOpts{})
				r.Inject(c.fault)
				begin := time.Now()
				err := r.Tx(t.Context(), 0x20, []byte{2, 0, 0}, nil)
				var e *drivers.Error
				if !errors.As(err, &e) || !errors.Is(err, c.want) || !errors.Is(err, c.errno) {
					t.Errorf("%v, want %v and %v", err, c.want, c.errno)
				}
				if d := time.Since(begin); d != c.takes {
					t.Errorf("took %v", d)
				}
				if got := r.relays.Output(); got != c.latch {
					t.Errorf("latch %04x, want %04x", got, c.latch)
				}
				if x := r.rec.Transfers()[0]; !x.Wire || !errors.Is(x.Err, c.want) {
					t.Errorf("recorded as %v", x)
				}
			})
		})
	}
}

func TestFaultsThatSpoil(t *testing.T) {
	for _, c := range []struct {
		fault Fault
		want  string
	}{
		{Fault{Kind: FaultOnes}, "ffff"},
		{Fault{Kind: FaultZeros}, "0000"},
		{Fault{Kind: FaultFlip, Bit: 0}, "b412"},
		{Fault{Kind: FaultFlip, Bit: 15}, "3413"},
		{Fault{Kind: FaultFlip, Bit: 16}, "3412"}, // beyond what was read
	} {
		r := newRig(t, BusOpts{})
		r.write(t, 0x20, 2, 0x34, 0x12)
		r.Inject(c.fault)
		b := make([]byte, 2)
		if err := r.Tx(t.Context(), 0x20, []byte{2}, b); err != nil || fmt.Sprintf("%x", b) != c.want {
			t.Errorf("%v: %x, %v, want %s", c.fault.Kind, b, err, c.want)
		}
		if r.relays.Output() != 0x1234 {
			t.Errorf("%v changed the device", c.fault.Kind)
		}
	}
}

func TestFaultConditions(t *testing.T) {
	r := newRig(t, BusOpts{})
	r.write(t, 0x70, 3)
	read := func() string {
		_, a := r.byteAt(0x20, 2)
		_, b := r.byteAt(0x50, 0)
		return fmt.Sprint(a == nil, b == nil)
	}
	for _, c := range []struct {
		name  string
		fault Fault
		want  []string // for three rounds of relays and memory
	}{
		{"one device, for ever", Fault{Kind: FaultNackAddress, Chip: "fru-1"}, []string{"true false", "true false", "true false"}},
		{"one address, twice", Fault{Kind: FaultNackAddress, Addr: 0x20, Times: 2}, []string{"false true", "false true", "true true"}},
		{"any, once", Fault{Kind: FaultNackAddress, Times: 1}, []string{"false true", "true true", "true true"}},
		{"writes alone", Fault{Kind: FaultNackAddress, Writes: 2}, []string{"true true", "true true", "true true"}},
	} {
		i := r.Inject(c.fault)
		for n, want := range c.want {
			if got := read(); got != want {
				t.Errorf("%s, round %d: %s, want %s", c.name, n+1, got, want)
			}
		}
		i.Clear()
	}
}

// From a transfer number on: the third transfer of the bus meets an expander that has just fallen to its defaults.
func TestFaultByNumber(t *testing.T) {
	r := newRig(t, BusOpts{})
	r.Inject(Fault{Kind: FaultReset, Chip: "relays", First: 3, Times: 1})
	r.write(t, 0x20, 2, 0x34, 0x12)
	want := []byte{0x34, 0xFF, 0xFF}
	for i, w := range want {
		if got, err := r.byteAt(0x20, 2); err != nil || got != w {
			t.Errorf("read %d: %02x, %v, want %02x", i+1, got, err, w)
		}
	}
	var called []uint64
	r.Inject(Fault{Kind: FaultDo, First: 6, Times: 1, Do: func() { called = append(called, r.n) }})
	for range 4 {
		if _, err := r.byteAt(0x20, 2); err != nil {
			t.Fatal(err)
		}
	}
	if fmt.Sprint(called) != "[6]" {
		t.Errorf("called at %v", called)
	}
}

func TestStuckBusUntilRecovered(t *testing.T) {
	r := newRig(t, BusOpts{})
	r.Inject(Fault{Kind: FaultStuck})
	for _, addr := range []uint16{0x20, 0x70} {
		if _, err := r.byteAt(addr, 0); !errors.Is(err, syscall.EBUSY) {
			t.Errorf("0x%02x: %v", addr, err)
		}
	}
	r.Recover()
	if _, err := r.byteAt(0x20, 0); err != nil {
		t.Error(err)
	}
}

func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, BusOpts{})
		i := r.Inject(Fault{Kind: FaultHang})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begin := time.Now()
		err := r.Tx(ctx, 0x20, []byte{2}, nil)
		if !errors.Is(err, drivers.Timeout) || !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		i.Clear()
		if _, err := r.byteAt(0x20, 0); err != nil {
			t.Error(err)
		}
	})
}

func TestHangThatIgnoresItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, BusOpts{})
		i := r.Inject(Fault{Kind: FaultHangHard})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- r.Tx(ctx, 0x20, []byte{2, 0, 0}, nil) }()
		time.Sleep(time.Minute)
		select {
		case err := <-done:
			t.Fatalf("returned %v", err)
		default:
		}
		if x := r.rec.Transfers()[0]; !x.Returned.IsZero() {
			t.Errorf("recorded as returned: %v", x)
		}
		i.Clear()
		if err := <-done; !errors.Is(err, drivers.Timeout) {
			t.Error(err)
		}
		if r.relays.Output() != 0xFFFF {
			t.Error("the hung write was carried out")
		}
	})
}

func TestGateFreezesTheWorld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			phase Phase
			latch uint16
		}{{Before, 0xFFFF}, {After, 0x0000}} {
			r := newRig(t, BusOpts{})
			release := make(chan struct{})
			crash := errors.New("crashed")
			r.SetGate(func(p Phase, _ Transfer) error {
				if p != c.phase {
					return nil
				}
				<-release
				return crash
			})
			done := make(chan error, 1)
			go func() { done <- r.Tx(t.Context(), 0x20, []byte{2, 0, 0}, nil) }()
			synctest.Wait()
			if got := r.relays.Output(); got != c.latch {
				t.Errorf("frozen %v the transfer: latch %04x, want %04x", c.phase, got, c.latch)
			}
			close(release)
			if err := <-done; !errors.Is(err, crash) {
				t.Errorf("%v", err)
			}
			if x := r.rec.Transfers()[0]; x.Wire != (c.phase == After) {
				t.Errorf("%v: wire %v", c.phase, x.Wire)
			}
			r.SetGate(nil)
			if _, err := r.byteAt(0x20, 2); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestSwappedDevice(t *testing.T) {
	r := newRig(t, BusOpts{})
	r.write(t, 0x70, 1)
	other, err := NewAT24C02([]byte{0x77}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.mux.Channel(0).Attach("fru-0", 0x50, other)
	if got, err := r.byteAt(0x50, 0); err != nil || got != 0x77 {
		t.Errorf("%02x, %v", got, err)
	}
}
