package pca9552

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

const addr = 0x60

func TestNewChecksOptions(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true}
	for _, a := range []uint16{0x00, 0x5f, 0x68, 0x20} {
		if _, err := New(bus, Opts{Addr: a}); err == nil {
			t.Errorf("address 0x%02x was taken", a)
		}
	}
	if _, err := New(nil, Opts{Addr: addr}); err == nil {
		t.Error("no bus was taken")
	}
}

func TestSelectors(t *testing.T) {
	for _, c := range []struct {
		name  string
		latch uint16
		ls    [4]byte
	}{
		{"power-on: all released", 0xffff, [4]byte{0x55, 0x55, 0x55, 0x55}},
		{"pins 0 and 3 low", 0xfff6, [4]byte{0x14, 0x55, 0x55, 0x55}},
		{"all low", 0x0000, [4]byte{0x00, 0x00, 0x00, 0x00}},
		{"one pin of each register", 0x8421, [4]byte{0x01, 0x04, 0x10, 0x40}},
	} {
		if got := Selectors(c.latch); got != c.ls {
			t.Errorf("%s: % x", c.name, got)
		}
		if latch, blinking := Words(c.ls); latch != c.latch || blinking != 0 {
			t.Errorf("%s: latch %04x, blinking %04x", c.name, latch, blinking)
		}
	}
}

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name  string
		ls    []byte
		want  chip.Words
		fault drivers.Fault
	}{
		{name: "power-on is all released, not all inputs", ls: []byte{0x55, 0x55, 0x55, 0x55}, want: chip.Words{Latch: 0xffff}},
		{name: "pins 0 and 3 low", ls: []byte{0x14, 0x55, 0x55, 0x55}, want: chip.Words{Latch: 0xfff6}},
		{name: "pin 1 on blinker 0, pin 15 on blinker 1", ls: []byte{0x18, 0x55, 0x55, 0xd5}, want: chip.Words{Latch: 0xfff6, Polarity: 0x8002}},
		{name: "all low", ls: []byte{0, 0, 0, 0}},
		{name: "floating bus", ls: []byte{0xff, 0xff, 0xff, 0xff}, fault: drivers.Implausible},
	} {
		t.Run(c.name, func(t *testing.T) {
			bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{{Addr: addr, W: []byte{0x16}, R: c.ls}}}
			got, err := device(t, bus).Read(t.Context())
			if drivers.FaultOf(err) != c.fault || got != c.want {
				t.Errorf("%+v, %v", got, err)
			}
			if err := bus.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// One transfer carries all four registers: four would leave words that nobody asked for whenever one of them fails.
func TestWriteIsOneTransferAndReadBack(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		{Addr: addr, W: []byte{0x16, 0x14, 0x55, 0x55, 0x15}},
		{Addr: addr, W: []byte{0x16}, R: []byte{0x14, 0x55, 0x55, 0x15}},
		{Addr: addr, W: []byte{0x16}, R: []byte{0x14, 0x55, 0x55, 0x15}},
	}}
	d := device(t, bus)
	w, err := d.WriteLatch(t.Context(), 0x7ff6)
	if err != nil || w.Word != 0x7ff6 || w.At.IsZero() || w.Read.Before(w.At) {
		t.Errorf("%+v, %v", w, err)
	}
	if got, err := d.ReadLatch(t.Context()); err != nil || got != 0x7ff6 {
		t.Errorf("%04x, %v", got, err)
	}
	if err := bus.Close(); err != nil {
		t.Error(err)
	}
}

func TestThereIsNoDirection(t *testing.T) {
	d := device(t, &i2ctest.Playback{DontPanic: true}) // any transfer would fail
	w, err := d.WriteDirection(t.Context(), 0)
	if !errors.Is(err, drivers.Unsupported) || w != (chip.Written{}) {
		t.Errorf("%+v, %v", w, err)
	}
}

func TestWriteOutcomes(t *testing.T) {
	nack := &drivers.Error{Op: "write", Fault: drivers.NoAnswer, Err: syscall.ENXIO}
	on, off := [4]byte{0x54, 0x55, 0x55, 0x55}, [4]byte{0x55, 0x55, 0x55, 0x55}
	for _, c := range []struct {
		name    string
		chip    expander
		fault   drivers.Fault
		handed  bool
		read    bool
		reading uint16
		also    error
	}{
		{name: "a write equal to the latch is sent", chip: expander{ls: on, bytes: 4}, handed: true, read: true, reading: 0xfffe},
		{name: "lost acknowledgement of a write that worked", chip: expander{ls: off, bytes: 4, writeErr: nack}, handed: true, read: true, reading: 0xfffe},
		{name: "refused write", chip: expander{ls: off, writeErr: nack}, fault: drivers.Mismatch, handed: true, read: true, reading: 0xffff, also: syscall.ENXIO},
		{name: "broken off after the first register", chip: expander{bytes: 1, writeErr: nack}, fault: drivers.Mismatch, handed: true, read: true, reading: 0x000e, also: syscall.ENXIO},
		{name: "a pin is on a blinker afterwards", chip: expander{ls: [4]byte{0x56, 0x55, 0x55, 0x55}}, fault: drivers.Foreign, handed: true},
		{name: "no read-back", chip: expander{bytes: 4, readErr: nack}, fault: drivers.NoAnswer, handed: true, also: syscall.ENXIO},
		{name: "read-back from nobody", chip: expander{ls: [4]byte{0xff, 0xff, 0xff, 0xff}}, fault: drivers.Implausible, handed: true},
		{name: "nothing works", chip: expander{writeErr: drivers.Timeout, readErr: nack}, fault: drivers.Timeout, handed: true, also: syscall.ENXIO},
		{name: "the bus refuses", chip: expander{writeErr: drivers.Cancelled}, fault: drivers.Cancelled},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, err := device(t, &c.chip).WriteLatch(t.Context(), 0xfffe)
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

// The latch of a bank with a pin on a blinker is not a word to write back with one bit changed.
func TestNoLatchWhileAPinBlinks(t *testing.T) {
	d := device(t, &expander{ls: [4]byte{0x55, 0x55, 0x55, 0x95}})
	if got, err := d.ReadLatch(t.Context()); !errors.Is(err, drivers.Foreign) {
		t.Errorf("%04x, %v", got, err)
	}
}

func TestEndOfContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	chip := &expander{bytes: 4, onWrite: cancel}
	w, err := device(t, chip).WriteLatch(ctx, 0xfffe)
	if err != nil || w.Word != 0xfffe {
		t.Errorf("context ended during the write: %+v, %v: the read-back is owed", w, err)
	}
	w, err = device(t, chip).WriteLatch(ctx, 0xffff)
	if drivers.FaultOf(err) != drivers.Cancelled || !w.At.IsZero() || chip.ls[0] != 0x54 {
		t.Errorf("context ended before the write: %+v, %v, LS0 %02x", w, err, chip.ls[0])
	}
}

func TestIdentify(t *testing.T) {
	if id, err := device(t, &expander{}).Identify(t.Context()); err != nil || id.Part != "PCA9552" {
		t.Errorf("%+v, %v", id, err)
	}
	if _, err := device(t, &expander{readErr: drivers.NoAnswer}).Identify(t.Context()); !errors.Is(err, drivers.NoAnswer) {
		t.Errorf("%v", err)
	}
}

func FuzzWords(f *testing.F) {
	f.Add(byte(0x55), byte(0x55), byte(0x55), byte(0x55))
	f.Add(byte(0x14), byte(0x55), byte(0x55), byte(0x55))
	f.Add(byte(0x18), byte(0x00), byte(0x55), byte(0xd5))
	f.Fuzz(func(t *testing.T, a, b, c, d byte) {
		ls := [4]byte{a, b, c, d}
		latch, blinking := Words(ls)
		if blinking&^latch != 0 {
			t.Fatalf("% x: pins %04x blink and are low", ls, blinking&^latch)
		}
		if back := Selectors(latch); (back == ls) != (blinking == 0) {
			t.Fatalf("% x: latch %04x, blinking %04x, back % x", ls, latch, blinking, back)
		}
		if again, blinks := Words(Selectors(latch)); again != latch || blinks != 0 {
			t.Fatalf("%04x became %04x, blinking %04x", latch, again, blinks)
		}
	})
}

func device(t *testing.T, bus i2c.Bus) *Dev {
	t.Helper()
	d, err := New(bus, Opts{Name: "t", Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// expander is the four selectors with faults.
type expander struct {
	ls                [4]byte
	bytes             int // how many data bytes of a write are taken
	writeErr, readErr error
	onWrite           func()
}

func (e *expander) String() string                  { return "expander" }
func (e *expander) SetSpeed(physic.Frequency) error { return nil }

func (e *expander) Tx(_ uint16, w, r []byte) error {
	if w[0] != 0x16 {
		return drivers.Unsupported
	}
	if len(r) > 0 {
		copy(r, e.ls[:])
		return e.readErr
	}
	if e.onWrite != nil {
		e.onWrite()
	}
	copy(e.ls[:e.bytes], w[1:])
	return e.writeErr
}
