package mcp23017

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

const addr = 0x20

func TestNewChecksOptions(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true}
	for _, a := range []uint16{0x00, 0x1f, 0x28, 0x38} {
		if _, err := New(bus, Opts{Addr: a}); err == nil {
			t.Errorf("address 0x%02x was taken", a)
		}
	}
	if _, err := New(nil, Opts{Addr: addr}); err == nil {
		t.Error("no bus was taken")
	}
}

// layout is what Read, ReadLatch and every write ask first.
func layout(gpintenA, gpintenB, ioconA, ioconB byte) []i2ctest.IO {
	return []i2ctest.IO{
		{Addr: addr, W: []byte{0x04}, R: []byte{gpintenA, gpintenB}},
		{Addr: addr, W: []byte{0x0a}, R: []byte{ioconA, ioconB}},
	}
}

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name             string
		olat, iodir, pol []byte
		want             chip.Words
	}{
		{"power-on", []byte{0, 0}, []byte{0xff, 0xff}, []byte{0, 0}, chip.Words{Latch: 0, Direction: 0xffff}},
		{"port A is the low byte", []byte{0x3f, 0x80}, []byte{0x00, 0xff}, []byte{0, 0}, chip.Words{Latch: 0x803f, Direction: 0xff00}},
		{"disturbed polarity", []byte{0, 0}, []byte{0, 0xff}, []byte{0x10, 0}, chip.Words{Direction: 0xff00, Polarity: 0x0010}},
		{"all ones are a latch", []byte{0xff, 0xff}, []byte{0, 0}, []byte{0, 0}, chip.Words{Latch: 0xffff}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bus := &i2ctest.Playback{DontPanic: true, Ops: append(layout(0, 0, 0, 0),
				i2ctest.IO{Addr: addr, W: []byte{0x14}, R: c.olat},
				i2ctest.IO{Addr: addr, W: []byte{0x00}, R: c.iodir},
				i2ctest.IO{Addr: addr, W: []byte{0x02}, R: c.pol},
			)}
			got, err := device(t, bus).Read(t.Context())
			if err != nil || got != c.want {
				t.Errorf("%+v, %v", got, err)
			}
			if err := bus.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A layout that is not the one of power-on stops every verb before it reads or writes anything else.
func TestLayout(t *testing.T) {
	for _, c := range []struct {
		name  string
		ops   []i2ctest.IO
		fault drivers.Fault
	}{
		{"BANK = 1, where 0A is a latch of zeros", layout(0x00, 0x80, 0x00, 0x00), drivers.Foreign},
		{"BANK = 1, where 0A is a latch of ones", layout(0xff, 0x80, 0xff, 0x00), drivers.Foreign},
		{"interrupts enabled", layout(0x01, 0x00, 0x00, 0x00), drivers.Foreign},
		{"interrupts of all pins", layout(0xff, 0xff, 0x00, 0x00), drivers.Foreign},
		{"byte mode", layout(0x00, 0x00, 0x20, 0x20), drivers.Foreign},
		{"hardware address of the SPI twin", layout(0x00, 0x00, 0x08, 0x08), drivers.Foreign},
		{"floating bus", layout(0xff, 0xff, 0xff, 0xff), drivers.Implausible},
	} {
		for verb, call := range map[string]func(*Dev) error{
			"Read":           func(d *Dev) error { _, err := d.Read(t.Context()); return err },
			"ReadLatch":      func(d *Dev) error { _, err := d.ReadLatch(t.Context()); return err },
			"WriteLatch":     func(d *Dev) error { w, err := d.WriteLatch(t.Context(), 0); return unless(w, err) },
			"WriteDirection": func(d *Dev) error { w, err := d.WriteDirection(t.Context(), 0); return unless(w, err) },
			"Identify":       func(d *Dev) error { _, err := d.Identify(t.Context()); return err },
		} {
			t.Run(c.name+", "+verb, func(t *testing.T) {
				bus := &i2ctest.Playback{DontPanic: true, Ops: c.ops}
				if err := call(device(t, bus)); drivers.FaultOf(err) != c.fault {
					t.Errorf("%v", err)
				}
				if err := bus.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// unless makes it an error that a write is said to have been handed to the bus.
func unless(w chip.Written, err error) error {
	if !w.At.IsZero() {
		return errors.New("a write was handed to the bus")
	}
	return err
}

// One transfer carries both ports: two would move the relays of the two ports at different times, and a failure
// between them would leave a word that nobody asked for.
func TestWritesAreOneTransferAndReadBack(t *testing.T) {
	ops := layout(0, 0, 0, 0)
	ops = append(ops, i2ctest.IO{Addr: addr, W: []byte{0x14, 0x3f, 0x80}})
	ops = append(ops, layout(0, 0, 0, 0)...)
	ops = append(ops, i2ctest.IO{Addr: addr, W: []byte{0x14}, R: []byte{0x3f, 0x80}})
	ops = append(ops, layout(0, 0, 0, 0)...)
	ops = append(ops, i2ctest.IO{Addr: addr, W: []byte{0x00, 0x00, 0xff}})
	ops = append(ops, layout(0, 0, 0, 0)...)
	ops = append(ops, i2ctest.IO{Addr: addr, W: []byte{0x00}, R: []byte{0x00, 0xff}})
	bus := &i2ctest.Playback{DontPanic: true, Ops: ops}
	d := device(t, bus)
	w, err := d.WriteLatch(t.Context(), 0x803f)
	if err != nil || w.Word != 0x803f || w.At.IsZero() || w.Read.Before(w.At) {
		t.Errorf("latch: %+v, %v", w, err)
	}
	w, err = d.WriteDirection(t.Context(), 0xff00)
	if err != nil || w.Word != 0xff00 {
		t.Errorf("direction: %+v, %v", w, err)
	}
	if err := bus.Close(); err != nil {
		t.Error(err)
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
		{name: "a write equal to the latch is sent", chip: expander{latch: 0x0001}, handed: true, read: true, reading: 1},
		{name: "lost acknowledgement of a write that worked", chip: expander{writeErr: nack, takesAnyway: true}, handed: true, read: true, reading: 1},
		{name: "refused write", chip: expander{latch: 4, writeErr: nack}, fault: drivers.Mismatch, handed: true, read: true, reading: 4, also: syscall.ENXIO},
		{name: "stuck bit", chip: expander{stuck: 0x0100}, fault: drivers.Mismatch, handed: true, read: true, reading: 0x0101},
		{name: "no read-back", chip: expander{deadAfterWrite: nack}, fault: drivers.NoAnswer, handed: true, also: syscall.ENXIO},
		{name: "nothing works after the write", chip: expander{writeErr: drivers.Timeout, deadAfterWrite: nack}, fault: drivers.Timeout, handed: true, also: syscall.ENXIO},
		{name: "the layout changes with the write", chip: expander{bankAfterWrite: true}, fault: drivers.Foreign, handed: true},
		{name: "the bus refuses", chip: expander{writeErr: drivers.Cancelled}, fault: drivers.Cancelled},
		{name: "nobody answers", chip: expander{dead: nack}, fault: drivers.NoAnswer, also: syscall.ENXIO},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, err := device(t, &c.chip).WriteLatch(t.Context(), 0x0001)
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

func TestEndOfContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	chip := &expander{onWrite: cancel}
	w, err := device(t, chip).WriteLatch(ctx, 0x0001)
	if err != nil || w.Word != 1 {
		t.Errorf("context ended during the write: %+v, %v: the read-back is owed", w, err)
	}
	w, err = device(t, chip).WriteLatch(ctx, 0x0002)
	if drivers.FaultOf(err) != drivers.Cancelled || !w.At.IsZero() || chip.latch != 1 {
		t.Errorf("context ended before the write: %+v, %v, latch %04x", w, err, chip.latch)
	}
}

func TestIdentify(t *testing.T) {
	if id, err := device(t, &expander{}).Identify(t.Context()); err != nil || id.Part != "MCP23017" {
		t.Errorf("%+v, %v", id, err)
	}
	if _, err := device(t, &expander{dead: drivers.NoAnswer}).Identify(t.Context()); !errors.Is(err, drivers.NoAnswer) {
		t.Errorf("%v", err)
	}
}

// Whatever the part holds: words come out only with the layout of power-on, and then they are the registers.
func FuzzRead(f *testing.F) {
	f.Add([]byte{0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0, 0xff, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x3f, 0x80})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, registers []byte) {
		var file fileOf
		copy(file[:], registers)
		w, err := device(t, &file).Read(t.Context())
		usual := file[0x04]|file[0x05]|file[0x0a]|file[0x0b] == 0
		if (err == nil) != usual {
			t.Fatalf("% x: %+v, %v", file, w, err)
		}
		want := chip.Words{Latch: file.word(0x14), Direction: file.word(0x00), Polarity: file.word(0x02)}
		if !usual {
			want = chip.Words{}
		}
		if w != want {
			t.Fatalf("% x: %+v", file, w)
		}
	})
}

// fileOf is a part that answers reads from a register file and takes no write.
type fileOf [0x16]byte

func (f *fileOf) String() string                  { return "registers" }
func (f *fileOf) SetSpeed(physic.Frequency) error { return nil }
func (f *fileOf) word(at int) uint16              { return uint16(f[at]) | uint16(f[at+1])<<8 }

func (f *fileOf) Tx(_ uint16, w, r []byte) error {
	if len(w) != 1 || copy(r, f[w[0]:]) != len(r) {
		return drivers.Unsupported
	}
	return nil
}

func device(t *testing.T, bus i2c.Bus) *Dev {
	t.Helper()
	d, err := New(bus, Opts{Name: "t", Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// expander is a register file with faults.
type expander struct {
	latch, direction, gpinten uint16
	stuck                     uint16 // latch bits that stay set
	writeErr                  error
	dead, deadAfterWrite      error // what reads fail with
	bankAfterWrite            bool
	takesAnyway               bool // the register takes a write that fails on the bus
	onWrite                   func()
}

func (e *expander) String() string                  { return "expander" }
func (e *expander) SetSpeed(physic.Frequency) error { return nil }

func (e *expander) Tx(_ uint16, w, r []byte) error {
	reg := map[byte]*uint16{0x00: &e.direction, 0x02: new(uint16), 0x04: &e.gpinten, 0x0a: new(uint16), 0x14: &e.latch}[w[0]]
	if reg == nil {
		return drivers.Unsupported
	}
	if len(r) == 2 {
		r[0], r[1] = byte(*reg), byte(*reg>>8)
		return e.dead
	}
	if e.onWrite != nil {
		e.onWrite()
	}
	if e.writeErr == nil || e.takesAnyway {
		*reg = uint16(w[1]) | uint16(w[2])<<8 | e.stuck
	}
	if e.deadAfterWrite != nil {
		e.dead = e.deadAfterWrite
	}
	if e.bankAfterWrite {
		e.gpinten = 0x8000
	}
	return e.writeErr
}
