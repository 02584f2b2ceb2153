package tca9555

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

func reg(at byte, r ...byte) i2ctest.IO { return i2ctest.IO{Addr: addr, W: []byte{at}, R: r} }

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name            string
		latch, dir, pol []byte
		again           []i2ctest.IO
		want            chip.Words
		fault           drivers.Fault
	}{
		{name: "power-on", latch: []byte{0xff, 0xff}, dir: []byte{0xff, 0xff}, pol: []byte{0, 0}, again: []i2ctest.IO{reg(0x02, 0xff, 0xff), reg(0x06, 0xff, 0xff)}, want: chip.Words{Latch: 0xffff, Direction: 0xffff, Polarity: 0}},
		{name: "port 0 is the low byte", latch: []byte{0x3f, 0x80}, dir: []byte{0x00, 0xff}, pol: []byte{0, 0}, want: chip.Words{Latch: 0x803f, Direction: 0xff00, Polarity: 0}},
		{name: "disturbed polarity", latch: []byte{0, 1}, dir: []byte{0, 0xff}, pol: []byte{0x10, 0}, want: chip.Words{Latch: 0x0100, Direction: 0xff00, Polarity: 0x0010}},
		{name: "all pins low", latch: []byte{0, 0}, dir: []byte{0, 0xff}, pol: []byte{0, 0}, again: []i2ctest.IO{reg(0x02, 0, 0)}, want: chip.Words{Direction: 0xff00}},
		{name: "latch held once", latch: []byte{0, 0}, dir: []byte{0, 0xff}, pol: []byte{0, 0}, again: []i2ctest.IO{reg(0x02, 0x3f, 0x80)}, want: chip.Words{Latch: 0x803f, Direction: 0xff00}},
		{name: "latch undriven once", latch: []byte{0xff, 0xff}, dir: []byte{0, 0xff}, pol: []byte{0, 0}, again: []i2ctest.IO{reg(0x02, 0x3f, 0x80)}, want: chip.Words{Latch: 0x803f, Direction: 0xff00}},
		{name: "one thing and then the other", latch: []byte{0, 0}, dir: []byte{0, 0xff}, pol: []byte{0, 0}, again: []i2ctest.IO{reg(0x02, 0xff, 0xff)}, fault: drivers.Implausible},
		{name: "direction undriven once", latch: []byte{0x3f, 0x80}, dir: []byte{0xff, 0xff}, pol: []byte{0, 0}, again: []i2ctest.IO{reg(0x06, 0, 0xff)}, want: chip.Words{Latch: 0x803f, Direction: 0xff00}},
		{name: "floating bus", latch: []byte{0xff, 0xff}, dir: []byte{0xff, 0xff}, pol: []byte{0xff, 0xff}, fault: drivers.Implausible},
	} {
		t.Run(c.name, func(t *testing.T) {
			ops := []i2ctest.IO{reg(0x02, c.latch...), reg(0x06, c.dir...), reg(0x04, c.pol...)}
			bus := &i2ctest.Playback{DontPanic: true, Ops: append(ops, c.again...)}
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

// One transfer carries both ports: two would move the relays of the two ports at different times, and a failure
// between them would leave a word that nobody asked for.
func TestWritesAreOneTransferAndReadBack(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		{Addr: addr, W: []byte{0x02, 0x3f, 0x80}},
		{Addr: addr, W: []byte{0x02}, R: []byte{0x3f, 0x80}},
		{Addr: addr, W: []byte{0x06, 0x00, 0xff}},
		{Addr: addr, W: []byte{0x06}, R: []byte{0x00, 0xff}},
	}}
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
		{name: "no read-back", chip: expander{readErr: nack}, fault: drivers.NoAnswer, handed: true, also: syscall.ENXIO},
		{name: "nothing works", chip: expander{writeErr: drivers.Timeout, readErr: nack}, fault: drivers.Timeout, handed: true, also: syscall.ENXIO},
		{name: "the bus refuses", chip: expander{writeErr: drivers.Cancelled}, fault: drivers.Cancelled},
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
	if id, err := device(t, &expander{}).Identify(t.Context()); err != nil || id.Part != "TCA9555" {
		t.Errorf("%+v, %v", id, err)
	}
	if _, err := device(t, &expander{readErr: drivers.NoAnswer}).Identify(t.Context()); !errors.Is(err, drivers.NoAnswer) {
		t.Errorf("%v", err)
	}
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
	latch, direction  uint16
	stuck             uint16 // latch bits that stay set
	writeErr, readErr error
	takesAnyway       bool // the register takes a write that fails on the bus
	onWrite           func()
}

func (e *expander) String() string                  { return "expander" }
func (e *expander) SetSpeed(physic.Frequency) error { return nil }

func (e *expander) Tx(_ uint16, w, r []byte) error {
	reg := map[byte]*uint16{0x02: &e.latch, 0x04: new(uint16), 0x06: &e.direction}[w[0]]
	if len(r) == 2 {
		v := *reg
		r[0], r[1] = byte(v), byte(v>>8)
		return e.readErr
	}
	if e.onWrite != nil {
		e.onWrite()
	}
	if e.writeErr == nil || e.takesAnyway {
		*reg = uint16(w[1]) | uint16(w[2])<<8 | e.stuck
	}
	return e.writeErr
}
