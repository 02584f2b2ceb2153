package pca9554

import (
	"context"
	"errors"
	"syscall"
	"testing"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2ctest"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip"
)

func TestNewChecksOptions(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true}
	for _, c := range []struct {
		part Part
		addr uint16
		good bool
	}{
		{PCA9554, 0x20, true},
		{PCA9554, 0x27, true},
		{PCA9554, 0x1f, false},
		{PCA9554, 0x28, false},
		{PCA9554, 0x38, false},
		{TCA9554, 0x38, false},
		{PCA9554A, 0x38, true},
		{TCA9554A, 0x3f, true},
		{PCA9554A, 0x20, false},
		{TCA9554A, 0x40, false},
		{MAX7310, 0x18, true},
		{MAX7310, 0x5f, true},
		{MAX7310, 0x17, false},
		{MAX7310, 0x60, false},
		{"", 0x20, false},
		{"pca9555", 0x20, false},
	} {
		if _, err := New(bus, Opts{Addr: c.addr, Part: c.part}); (err == nil) != c.good {
			t.Errorf("%s at 0x%02x: %v", c.part, c.addr, err)
		}
	}
	for _, p := range Known() {
		if _, err := New(nil, Opts{Addr: 0x20, Part: p}); err == nil {
			t.Errorf("%s: no bus was taken", p)
		}
	}
}

func reg(at, v byte) i2ctest.IO { return i2ctest.IO{Addr: 0x20, W: []byte{at}, R: []byte{v}} }

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name            string
		part            Part
		latch, dir, pol byte
		again           []i2ctest.IO
		want            chip.Words
		fault           drivers.Fault
	}{
		{name: "power-on", part: PCA9554, latch: 0xff, dir: 0xff, pol: 0x00, again: []i2ctest.IO{reg(0x01, 0xff), reg(0x03, 0xff)}, want: chip.Words{Latch: 0x00ff, Direction: 0xffff, Polarity: 0}},
		{name: "power-on of a MAX7310", part: MAX7310, latch: 0x00, dir: 0xff, pol: 0xf0, again: []i2ctest.IO{reg(0x01, 0), reg(0x03, 0xff)}, want: chip.Words{Latch: 0, Direction: 0xffff, Polarity: 0}},
		{name: "six relays", part: TCA9554, latch: 0x2a, dir: 0xc0, pol: 0x00, want: chip.Words{Latch: 0x002a, Direction: 0xffc0, Polarity: 0}},
		{name: "eight relays", part: TCA9554, latch: 0x2a, dir: 0, pol: 0, want: chip.Words{Latch: 0x002a, Direction: 0xff00}},
		{name: "eight relays off", part: TCA9554, latch: 0, dir: 0, pol: 0, again: []i2ctest.IO{reg(0x01, 0), reg(0x03, 0)}, want: chip.Words{Direction: 0xff00}},
		{name: "latch held once", part: TCA9554, latch: 0, dir: 0xc0, pol: 0, again: []i2ctest.IO{reg(0x01, 0x2a)}, want: chip.Words{Latch: 0x002a, Direction: 0xffc0}},
		{name: "latch undriven once", part: TCA9554, latch: 0xff, dir: 0xc0, pol: 0, again: []i2ctest.IO{reg(0x01, 0x2a)}, want: chip.Words{Latch: 0x002a, Direction: 0xffc0}},
		{name: "one thing and then the other", part: TCA9554, latch: 0, dir: 0xc0, pol: 0, again: []i2ctest.IO{reg(0x01, 0xff)}, fault: drivers.Implausible},
		{name: "direction held once after a loss of supply", part: TCA9554, latch: 0xff, dir: 0, pol: 0, again: []i2ctest.IO{reg(0x01, 0xff), reg(0x03, 0xff)}, fault: drivers.Implausible},
		{name: "disturbed polarity", part: PCA9554, latch: 0x2a, dir: 0xc0, pol: 0x10, want: chip.Words{Latch: 0x002a, Direction: 0xffc0, Polarity: 0x0010}},
		{name: "polarity of a MAX7310 cleared by somebody", part: MAX7310, latch: 0x01, dir: 0xc0, pol: 0x00, want: chip.Words{Latch: 0x0001, Direction: 0xffc0, Polarity: 0x00f0}},
		{name: "floating bus", part: PCA9554, latch: 0xff, dir: 0xff, pol: 0xff, fault: drivers.Implausible},
		{name: "floating bus where a MAX7310 should be", part: MAX7310, latch: 0xff, dir: 0xff, pol: 0xff, fault: drivers.Implausible},
	} {
		t.Run(c.name, func(t *testing.T) {
			ops := []i2ctest.IO{reg(0x01, c.latch), reg(0x03, c.dir), reg(0x02, c.pol)}
			bus := &i2ctest.Playback{DontPanic: true, Ops: append(ops, c.again...)}
			got, err := device(t, bus, c.part).Read(t.Context())
			if drivers.FaultOf(err) != c.fault || got != c.want {
				t.Errorf("%+v, %v", got, err)
			}
			if err := bus.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWritesAreReadBack(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		{Addr: 0x20, W: []byte{0x01, 0x2a}},
		{Addr: 0x20, W: []byte{0x01}, R: []byte{0x2a}},
		{Addr: 0x20, W: []byte{0x03, 0xc0}},
		{Addr: 0x20, W: []byte{0x03}, R: []byte{0xc0}},
		{Addr: 0x20, W: []byte{0x01}, R: []byte{0x2a}},
	}}
	d := device(t, bus, PCA9554)
	w, err := d.WriteLatch(t.Context(), 0x002a)
	if err != nil || w.Word != 0x002a || w.At.IsZero() || w.Read.Before(w.At) {
		t.Errorf("latch: %+v, %v", w, err)
	}
	w, err = d.WriteDirection(t.Context(), 0xffc0)
	if err != nil || w.Word != 0xffc0 {
		t.Errorf("direction: %+v, %v", w, err)
	}
	if got, err := d.ReadLatch(t.Context()); err != nil || got != 0x002a {
		t.Errorf("latch: %04x, %v", got, err)
	}
	if err := bus.Close(); err != nil {
		t.Error(err)
	}
}

// A word for sixteen relays would put the wrong eight of them on the pins.
func TestPinsThatThePartLacks(t *testing.T) {
	d := device(t, &i2ctest.Playback{DontPanic: true}, PCA9554) // any transfer would fail
	for _, word := range []uint16{0x0100, 0x8000, 0xff00} {
		if w, err := d.WriteLatch(t.Context(), word); !errors.Is(err, drivers.Unsupported) || !w.At.IsZero() {
			t.Errorf("latch %04x: %+v, %v", word, w, err)
		}
	}
	for _, word := range []uint16{0x00c0, 0x7fc0, 0xfec0} {
		if w, err := d.WriteDirection(t.Context(), word); !errors.Is(err, drivers.Unsupported) || !w.At.IsZero() {
			t.Errorf("direction %04x: %+v, %v", word, w, err)
		}
	}
}

func TestWriteOutcomes(t *testing.T) {
	nack := &drivers.Error{Op: "write", Fault: drivers.NoAnswer, Err: syscall.ENXIO}
	for _, c := range []struct {
		name    string
		chip    expander
		fault   drivers.Fault
		handed  bool
		read    bool
		reading uint16
		also    error
	}{
		{name: "a write equal to the latch is sent", chip: expander{latch: 0x01}, handed: true, read: true, reading: 1},
		{name: "lost acknowledgement of a write that worked", chip: expander{writeErr: nack, takesAnyway: true}, handed: true, read: true, reading: 1},
		{name: "refused write", chip: expander{latch: 4, writeErr: nack}, fault: drivers.Mismatch, handed: true, read: true, reading: 4, also: syscall.ENXIO},
		{name: "stuck bit", chip: expander{stuck: 0x80}, fault: drivers.Mismatch, handed: true, read: true, reading: 0x81},
		{name: "no read-back", chip: expander{readErr: nack}, fault: drivers.NoAnswer, handed: true, also: syscall.ENXIO},
		{name: "nothing works", chip: expander{writeErr: drivers.Timeout, readErr: nack}, fault: drivers.Timeout, handed: true, also: syscall.ENXIO},
		{name: "the bus refuses", chip: expander{writeErr: drivers.Cancelled}, fault: drivers.Cancelled},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, err := device(t, &c.chip, PCA9554).WriteLatch(t.Context(), 0x0001)
			if drivers.FaultOf(err) != c.fault {
				t.Errorf("error %v, want fault %v", err, c.fault)
			}
			if w.At.IsZero() == c.handed || w.Read.IsZero() == c.read || w.Word != c.reading {
				t.Errorf("%+v", w)
			}
			if c.also != nil && !errors.Is(err, c.also) {
				t.Errorf("%v lost %v", err, c.also)
			}
		})
	}
}

// A direction that cannot be read back as written is a mismatch in the pins that exist, never in those that do not.
func TestDirectionMismatch(t *testing.T) {
	w, err := device(t, &expander{stuck: 0x01}, PCA9554).WriteDirection(t.Context(), 0xffc0)
	if !errors.Is(err, drivers.Mismatch) || w.Word != 0xffc1 {
		t.Errorf("%+v, %v", w, err)
	}
}

func TestEndOfContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	chip := &expander{onWrite: cancel}
	w, err := device(t, chip, PCA9554).WriteLatch(ctx, 0x0001)
	if err != nil || w.Word != 1 {
		t.Errorf("context ended during the write: %+v, %v: the read-back is owed", w, err)
	}
	w, err = device(t, chip, PCA9554).WriteLatch(ctx, 0x0002)
	if drivers.FaultOf(err) != drivers.Cancelled || !w.At.IsZero() || chip.latch != 1 {
		t.Errorf("context ended before the write: %+v, %v, latch %02x", w, err, chip.latch)
	}
}

func TestIdentify(t *testing.T) {
	if id, err := device(t, &expander{}, TCA9554).Identify(t.Context()); err != nil || id.Part != "TCA9554" {
		t.Errorf("%+v, %v", id, err)
	}
	if _, err := device(t, &expander{readErr: drivers.NoAnswer}, PCA9554).Identify(t.Context()); !errors.Is(err, drivers.NoAnswer) {
		t.Errorf("%v", err)
	}
}

// Whatever the registers hold: the pins that the part lacks are inputs, and 0 in polarity means the power-on value.
func FuzzWords(f *testing.F) {
	f.Add(byte(0xff), byte(0xff), byte(0x00), false)
	f.Add(byte(0x00), byte(0xff), byte(0xf0), true)
	f.Add(byte(0xff), byte(0xff), byte(0xff), false)
	f.Fuzz(func(t *testing.T, latch, dir, pol byte, maxim bool) {
		part, woken := PCA9554, byte(0x00)
		if maxim {
			part, woken = MAX7310, 0xf0
		}
		ops := []i2ctest.IO{reg(0x01, latch), reg(0x03, dir), reg(0x02, pol)}
		doubtful := latch == 0 || latch == 0xff
		if doubtful {
			ops = append(ops, reg(0x01, latch))
		}
		if dir == 0xff || dir == 0 && doubtful {
			ops = append(ops, reg(0x03, dir))
		}
		bus := &i2ctest.Playback{DontPanic: true, Ops: ops}
		w, err := device(t, bus, part).Read(t.Context())
		if latch == 0xff && dir == 0xff && pol == 0xff {
			if !errors.Is(err, drivers.Implausible) || w != (chip.Words{}) {
				t.Fatalf("%+v, %v", w, err)
			}
			return
		}
		if err != nil || w.Latch != uint16(latch) || w.Direction != 0xff00|uint16(dir) || (w.Polarity == 0) != (pol == woken) || w.Polarity > 0xff {
			t.Fatalf("%+v, %v", w, err)
		}
	})
}

func device(t *testing.T, bus i2c.Bus, part Part) *Dev {
	t.Helper()
	d, err := New(bus, Opts{Name: "t", Addr: 0x20, Part: part})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// expander is a register file with faults.
type expander struct {
	latch, direction  byte
	stuck             byte // bits that stay set
	writeErr, readErr error
	takesAnyway       bool // the register takes a write that fails on the bus
	onWrite           func()
}

func (e *expander) String() string                  { return "expander" }
func (e *expander) SetSpeed(physic.Frequency) error { return nil }

func (e *expander) Tx(_ uint16, w, r []byte) error {
	reg := map[byte]*byte{0x01: &e.latch, 0x02: new(byte), 0x03: &e.direction}[w[0]]
	if len(r) == 1 {
		r[0] = *reg
		return e.readErr
	}
	if e.onWrite != nil {
		e.onWrite()
	}
	if e.writeErr == nil || e.takesAnyway {
		*reg = w[1] | e.stuck
	}
	return e.writeErr
}
