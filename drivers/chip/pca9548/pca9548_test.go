package pca9548

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2ctest"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/i2cbus"
)

const addr = 0x70

func TestNewChecksOptions(t *testing.T) {
	for _, a := range []uint16{0x6f, 0x78, 0x20} {
		if _, err := New(conn{}, Opts{Addr: a}); err == nil {
			t.Errorf("address 0x%02x was taken", a)
		}
	}
	if _, err := New(nil, Opts{Addr: addr}); err == nil {
		t.Error("no bus was taken")
	}
	for _, c := range []struct {
		part       Part
		last       uint16
		channels   int
		identified string
	}{
		{"", 0x77, 8, "PCA9548"},
		{PCA9548, 0x77, 8, "PCA9548"},
		{PCA9546, 0x77, 4, "PCA9546"},
		{PCA9545, 0x73, 4, "PCA9545"},
	} {
		d, err := New(&segment{}, Opts{Addr: addr, Part: c.part})
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{-1, c.channels} {
			if _, err := d.Port(n); err == nil {
				t.Errorf("%q: channel %d was taken", c.part, n)
			}
		}
		if _, err := d.Port(c.channels - 1); err != nil {
			t.Errorf("%q: %v", c.part, err)
		}
		if id, err := d.Identify(t.Context()); err != nil || id.Part != c.identified {
			t.Errorf("%q: %+v, %v", c.part, id, err)
		}
		for a, good := range map[uint16]bool{0x6f: false, 0x70: true, c.last: true, c.last + 1: false} {
			if _, err := New(conn{}, Opts{Addr: a, Part: c.part}); (err == nil) != good {
				t.Errorf("%q at 0x%02x: %v", c.part, a, err)
			}
		}
		if c.part != "" && c.part.Channels() != c.channels {
			t.Errorf("%q: %d channels", c.part, c.part.Channels())
		}
	}
	if _, err := New(conn{}, Opts{Addr: addr, Part: "pca9547"}); err == nil || Part("pca9547").Channels() != 0 {
		t.Error("an unknown part was taken")
	}
}

func TestBytes(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		// Nobody knows yet what is selected: off, and proven.
		{Addr: addr, W: []byte{0x00}},
		{Addr: addr, R: []byte{0x00}},
		{Addr: addr, W: []byte{0x08}},
		{Addr: addr, R: []byte{0x08}},
		{Addr: 0x38, W: []byte{0x02, 0x1c}, R: []byte{0x5a, 0x78, 0x43}},
		{Addr: addr, R: []byte{0x08}}, // it was read through this channel to the end
		{Addr: addr, W: []byte{0x00}},
		// The second job needs no proof first, and its select is sent although it was the last one.
		{Addr: addr, W: []byte{0x08}},
		{Addr: addr, R: []byte{0x08}},
		{Addr: 0x38, W: []byte{0x02, 0x1c}, R: []byte{0x5a, 0x78, 0x43}},
		{Addr: addr, R: []byte{0x08}}, // it was read through this channel to the end
		{Addr: addr, W: []byte{0x00}},
	}}
	p := port(t, conn{bus}, 3)
	for range 2 {
		r := make([]byte, 3)
		if err := p.Tx(0x38, []byte{0x02, 0x1c}, r); err != nil || !slices.Equal(r, []byte{0x5a, 0x78, 0x43}) {
			t.Fatalf("% x, %v", r, err)
		}
	}
	if err := bus.Close(); err != nil {
		t.Error(err)
	}
	if err := p.SetSpeed(physic.KiloHertz); !errors.Is(err, drivers.Unsupported) {
		t.Errorf("%v", err)
	}
}

// Whatever fails, and wherever: afterwards no channel is connected, or the caller has an error and the next job
// does not begin before it is proven.
func TestNoChannelStaysSelected(t *testing.T) {
	for _, broken := range []func(*segment, int) bool{
		func(_ *segment, n int) bool { return n == 0 }, // only the transfer itself
		func(_ *segment, n int) bool { return n >= 0 }, // everything from there on
	} {
		for at := range 9 {
			s := &segment{control: 0x40}
			p := port(t, s, 2)
			s.fails = func(n int) error {
				if broken(s, n-at) {
					return drivers.NoAnswer
				}
				return nil
			}
			err := p.Do(t.Context(), func(tx i2c.Bus) error { return tx.Tx(0x38, []byte{0}, make([]byte, 1)) })
			if s.control != 0 && err == nil {
				t.Errorf("failure at %d: channel left on without an error", at)
			}
			s.fails = nil
			err = p.Do(t.Context(), func(i2c.Bus) error {
				if s.control != 0x04 {
					t.Errorf("failure at %d: the next job ran with control byte %02x", at, s.control)
				}
				return nil
			})
			if err != nil || s.control != 0 {
				t.Errorf("failure at %d: next job: %v, control byte %02x", at, err, s.control)
			}
			if s.mixed {
				t.Errorf("failure at %d: two channels were on at once", at)
			}
		}
	}
}

func TestJobErrorsKeepTheirFault(t *testing.T) {
	s := &segment{}
	p := port(t, s, 0)
	err := p.Do(t.Context(), func(i2c.Bus) error { return drivers.Restarted })
	if drivers.FaultOf(err) != drivers.Restarted || s.control != 0 {
		t.Errorf("%v, control byte %02x", err, s.control)
	}
}

func TestWrongChannelIsFound(t *testing.T) {
	s := &segment{flip: 0x01}
	ran := false
	err := port(t, s, 1).Do(t.Context(), func(i2c.Bus) error { ran = true; return nil })
	if !errors.Is(err, drivers.Mismatch) || ran {
		t.Errorf("job ran: %t, %v", ran, err)
	}
}

func TestDeselectNotProven(t *testing.T) {
	s := &segment{}
	p := port(t, s, 5)
	if err := p.Do(t.Context(), func(i2c.Bus) error { s.frozen = true; return drivers.NoAnswer }); !errors.Is(err, drivers.Mismatch) {
		t.Errorf("channel cannot be turned off: %v", err)
	}
	ran := false
	if err := p.Do(t.Context(), func(i2c.Bus) error { ran = true; return nil }); err == nil || ran {
		t.Errorf("a job ran on a switch in doubt: %t, %v", ran, err)
	}
	s.frozen = false
	if err := p.Do(t.Context(), func(i2c.Bus) error { return nil }); err != nil || s.control != 0 {
		t.Errorf("%v, control byte %02x", err, s.control)
	}
}

func TestPanicInAJobDeselects(t *testing.T) {
	s := &segment{}
	p := port(t, s, 5)
	func() {
		defer func() { _ = recover() }()
		_ = p.Do(t.Context(), func(i2c.Bus) error { panic("driver") })
	}()
	if s.control != 0 {
		t.Errorf("control byte %02x", s.control)
	}
}

// The bus refuses transfers of a job whose context has ended. The deselect must not be among them.
func TestEndOfContextInAJob(t *testing.T) {
	s := &segment{}
	p := port(t, s, 5)
	ctx, cancel := context.WithCancel(t.Context())
	err := p.Do(ctx, func(i2c.Bus) error { cancel(); return ctx.Err() })
	if !errors.Is(err, context.Canceled) || s.control != 0 {
		t.Errorf("%v, control byte %02x", err, s.control)
	}
	before := s.count
	if err := p.Do(ctx, func(i2c.Bus) error { return nil }); !errors.Is(err, context.Canceled) || s.count != before {
		t.Errorf("job of an ended context: %v, %d transfers", err, s.count-before)
	}
}

func TestIdentifyTurnsAllOff(t *testing.T) {
	s := &segment{control: 0xff}
	d, err := New(s, Opts{Name: "t", Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Identify(t.Context()); err != nil || s.control != 0 {
		t.Errorf("%v, control byte %02x", err, s.control)
	}
	s.fails = func(int) error { return drivers.NoAnswer }
	if _, err := d.Identify(t.Context()); !errors.Is(err, drivers.NoAnswer) || !strings.Contains(err.Error(), `pca9548 "t"`) {
		t.Errorf("%v", err)
	}
}

func port(t *testing.T, up i2cbus.Conn, n int) *Port {
	t.Helper()
	d, err := New(up, Opts{Name: "t", Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	p, err := d.Port(n)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// conn makes a Conn of a plain bus.
type conn struct{ i2c.Bus }

func (c conn) Do(_ context.Context, job func(tx i2c.Bus) error) error { return job(c.Bus) }

// segment is a switch that remembers its control byte, on a bus that refuses jobs whose context has ended.
type segment struct {
	mu      sync.Mutex
	control byte
	flip    byte            // bits that every non-zero write gets wrong
	frozen  bool            // writes are acknowledged and change nothing
	fails   func(int) error // by transfer, counted from 0
	count   int
	mixed   bool // more than one channel was on after a select
}

func (s *segment) String() string                    { return "segment" }
func (s *segment) SetSpeed(physic.Frequency) error   { return nil }
func (s *segment) Tx(addr uint16, w, r []byte) error { return s.tx(context.Background(), addr, w, r) }

func (s *segment) Do(ctx context.Context, job func(tx i2c.Bus) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		return &drivers.Error{Op: "wait", Fault: drivers.Cancelled, Err: context.Cause(ctx)}
	}
	return job(lease{s, ctx})
}

func (s *segment) tx(ctx context.Context, a uint16, w, r []byte) error {
	if ctx.Err() != nil {
		return drivers.Cancelled
	}
	n := s.count
	s.count++
	if s.fails != nil {
		if err := s.fails(n); err != nil {
			return err
		}
	}
	if a != addr {
		return nil
	}
	if len(w) == 1 && !s.frozen {
		s.mixed = s.mixed || s.control != 0 && w[0] != 0
		s.control = w[0]
		if w[0] != 0 {
			s.control ^= s.flip
		}
	}
	if len(r) == 1 {
		r[0] = s.control
	}
	return nil
}

type lease struct {
	*segment
	ctx context.Context //nolint:containedctx // as the bus does
}

func (l lease) Tx(addr uint16, w, r []byte) error { return l.tx(l.ctx, addr, w, r) }
