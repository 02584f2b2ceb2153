package at24

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"periph.io/x/conn/v3/i2c/i2ctest"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
)

func TestNewChecksOptions(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true}
	for _, c := range []struct {
		o  Opts
		ok bool
	}{
		{Opts{Addr: 0x50, Part: "at24c02"}, true},
		{Opts{Addr: 0x57, Part: "at24c02"}, true},
		{Opts{Addr: 0x57, Part: "at24c512"}, true},
		{Opts{Addr: 0x54, Part: "at24c08"}, true},
		{Opts{Addr: 0x52, Part: "at24c08"}, false}, // its four address blocks begin at a multiple of 4
		{Opts{Addr: 0x58, Part: "at24c02"}, false},
		{Opts{Addr: 0x4f, Part: "at24c02"}, false},
		{Opts{Addr: 0x50, Part: "24c02"}, false},
		{Opts{Addr: 0x50}, false},
	} {
		if _, err := New(bus, c.o); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.o, err)
		}
	}
	if _, err := New(nil, Opts{Addr: 0x50, Part: "at24c02"}); err == nil {
		t.Error("no bus was taken")
	}
}

// The address pins A0 to A2 that a part of more than 256 bytes lacks are bits of its memory pointer (Microchip, AT24C04C,
// AT24C08C and AT24C16C, device addressing).
func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		o    Opts
		want []uint16
	}{
		{Opts{Addr: 0x50, Part: "at24c01"}, []uint16{0x50}},
		{Opts{Addr: 0x57, Part: "at24c02"}, []uint16{0x57}},
		{Opts{Addr: 0x52, Part: "at24c04"}, []uint16{0x52, 0x53}},
		{Opts{Addr: 0x54, Part: "at24c08"}, []uint16{0x54, 0x55, 0x56, 0x57}},
		{Opts{Addr: 0x50, Part: "at24c16"}, []uint16{0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57}},
		{Opts{Addr: 0x51, Part: "at24c32"}, []uint16{0x51}},
		{Opts{Addr: 0x56, Part: "at24c512"}, []uint16{0x56}},
		{Opts{Addr: 0x51, Part: "at24c04"}, nil},
		{Opts{Addr: 0x50, Part: "24c02"}, nil},
	} {
		if got := c.o.Addresses(); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %#x", c.o, got)
		}
	}
}

func TestPointersOnTheWire(t *testing.T) {
	for _, c := range []struct {
		part   Part
		off, n int
		ops    []i2ctest.IO
	}{
		{"at24c02", 8, 4, []i2ctest.IO{{Addr: 0x50, W: []byte{0x08}, R: pattern(8, 4)}}},
		{"at24c02", 0, 256, []i2ctest.IO{
			{Addr: 0x50, W: []byte{0x00}, R: pattern(0, 128)},
			{Addr: 0x50, W: []byte{0x80}, R: pattern(128, 128)},
		}},
		// Further address bits go into the device address, and no piece crosses from one to the next.
		{"at24c04", 250, 10, []i2ctest.IO{
			{Addr: 0x50, W: []byte{0xfa}, R: pattern(250, 6)},
			{Addr: 0x51, W: []byte{0x00}, R: pattern(256, 4)},
		}},
		{"at24c32", 0x01fe, 4, []i2ctest.IO{
			{Addr: 0x50, W: []byte{0x01, 0xfe}, R: pattern(0x1fe, 2)},
			{Addr: 0x50, W: []byte{0x02, 0x00}, R: pattern(0x200, 2)},
		}},
		{"at24c02", 256, 0, nil},
	} {
		t.Run(fmt.Sprintf("%s %d+%d", c.part, c.off, c.n), func(t *testing.T) {
			bus := &i2ctest.Playback{DontPanic: true, Ops: c.ops}
			d, err := New(bus, Opts{Addr: 0x50, Part: c.part})
			if err != nil {
				t.Fatal(err)
			}
			got, err := d.Read(t.Context(), c.off, c.n)
			if err != nil || !bytes.Equal(got, pattern(c.off, c.n)) {
				t.Errorf("% x, %v", got, err)
			}
			if err := bus.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestReadStaysInsideThePart(t *testing.T) {
	d, err := New(&memory{}, Opts{Addr: 0x50, Part: "at24c02"})
	if err != nil {
		t.Fatal(err)
	}
	const big = int(^uint(0) >> 1)
	for _, c := range [][2]int{{-1, 2}, {0, 257}, {255, 2}, {257, 0}, {1, -1}, {big, 1}, {1, big}} {
		if _, err := d.Read(t.Context(), c[0], c[1]); !errors.Is(err, drivers.Unsupported) {
			t.Errorf("read %v: %v", c, err)
		}
	}
}

// Every part, every offset: only reads with the part's own pointer width go out, never longer than 128 bytes, and
// what comes back is the memory.
func TestEveryPartReadsItself(t *testing.T) {
	for _, part := range Known() {
		m := &memory{t: t}
		d, err := New(m, Opts{Addr: 0x50, Part: part})
		if err != nil {
			t.Fatal(err)
		}
		m.pointer = d.geo.pointer
		got, err := d.Read(t.Context(), 0, d.Size())
		if err != nil || !bytes.Equal(got, pattern(0, d.Size())) {
			t.Errorf("%s: %v", part, err)
		}
	}
}

func TestFailedPieceGivesNothing(t *testing.T) {
	m := &memory{t: t, pointer: 1, failFrom: 128}
	d, err := New(m, Opts{Name: "fru", Addr: 0x50, Part: "at24c02"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := d.Read(t.Context(), 0, 256); got != nil || !errors.Is(err, drivers.NoAnswer) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if id, err := d.Identify(t.Context()); err != nil || id.Part != "AT24C02" {
		t.Errorf("%+v, %v", id, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Read(ctx, 0, 1); !errors.Is(err, drivers.Cancelled) {
		t.Errorf("%v", err)
	}
}

// pattern is the test memory: two bytes of each address mixed, so that neighbours and pages differ.
func pattern(off, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(off+i) ^ byte((off+i)>>8)*31
	}
	return out
}

// memory is an EEPROM of any size that refuses anything but reads.
type memory struct {
	t        *testing.T
	pointer  int
	failFrom int
}

func (m *memory) String() string                  { return "memory" }
func (m *memory) SetSpeed(physic.Frequency) error { return nil }

func (m *memory) Tx(addr uint16, w, r []byte) error {
	if len(w) != m.pointer || len(r) == 0 || len(r) > 128 {
		m.t.Errorf("transfer of %d bytes out, %d in", len(w), len(r))
	}
	off := int(addr-0x50)<<8 | int(w[0])
	if len(w) == 2 {
		off = int(w[0])<<8 | int(w[1])
	}
	if m.failFrom > 0 && off >= m.failFrom {
		return drivers.NoAnswer
	}
	copy(r, pattern(off, len(r)))
	return nil
}
