package mcp9808

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2ctest"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
)

const addr = 0x18

func TestNewChecksOptions(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true}
	for _, a := range []uint16{0x17, 0x20, 0} {
		if _, err := New(bus, Opts{Addr: a}); err == nil {
			t.Errorf("address 0x%02x was taken", a)
		}
	}
	if _, err := New(nil, Opts{Addr: addr}); err == nil {
		t.Error("no bus was taken")
	}
}

// T = (high & 0F) * 16 + low / 16, less 256 where the sign is set (DS25095A).
func TestTemperature(t *testing.T) {
	for _, c := range []struct {
		code uint16
		want float64
		ok   bool
	}{
		{0x0194, 25.25, true},
		{0xc194, 25.25, true}, // flags
		{0x0001, 0.0625, true},
		{0x0000, 0, true},
		{0x8000, 0, true},
		{0x1fff, -0.0625, true},
		{0x3fff, -0.0625, true},
		{0x1e6c, -25.25, true},
		{0x1d80, -40, true},
		{0x07d0, 125, true},
		{0x1d7f, 0, false}, // outside the part's range
		{0x07d1, 0, false},
		{0x0fff, 0, false},
		{0x1000, 0, false},
		{0xffff, 0, false},
	} {
		got, ok := Temperature(c.code)
		if ok != c.ok || ok && got.Celsius() != c.want {
			t.Errorf("%04x: %v, %t", c.code, got, ok)
		}
	}
}

// Whatever the code, a temperature is either refused or the one of the data sheet's formula and within the range.
func FuzzTemperature(f *testing.F) {
	for _, c := range []uint16{0x0194, 0xc194, 0x1e6c, 0x1d80, 0x07d0, 0x07d1, 0xffff, 0x1000, 0} {
		f.Add(c)
	}
	f.Fuzz(func(t *testing.T, code uint16) {
		got, ok := Temperature(code)
		if !ok {
			return
		}
		want := float64(code>>8&0x0f)*16 + float64(code&0xff)/16
		if code&0x1000 != 0 {
			want -= 256
		}
		if c := got.Celsius(); c != want || c < -40 || c > 125 {
			t.Errorf("%04x gives %v instead of %v", code, got, want)
		}
	})
}

func word(reg, hi, lo byte) i2ctest.IO {
	return i2ctest.IO{Addr: addr, W: []byte{reg}, R: []byte{hi, lo}}
}

func TestSense(t *testing.T) {
	config := func(hi, lo byte) i2ctest.IO { return word(0x01, hi, lo) }
	temp := func(hi, lo byte) i2ctest.IO { return word(0x05, hi, lo) }
	maker := func(hi, lo byte) i2ctest.IO { return word(0x06, hi, lo) }
	for _, c := range []struct {
		name  string
		ops   []i2ctest.IO
		want  float64
		raw   uint16
		fault drivers.Fault
	}{
		{"warm", []i2ctest.IO{temp(0xc3, 0xc8), config(0, 0)}, 60.5, 0xc3c8, drivers.None},
		{"cold", []i2ctest.IO{temp(0x3e, 0x70), config(0, 0)}, -25, 0x3e70, drivers.None},
		{"alert settings of somebody else", []i2ctest.IO{temp(0x01, 0x90), config(0x06, 0xcf)}, 25, 0x0190, drivers.None},
		{"zero twice", []i2ctest.IO{temp(0, 0), config(0, 0), maker(0, 0x54), temp(0, 0)}, 0, 0, drivers.Settling},
		{"zero with a flag", []i2ctest.IO{temp(0x80, 0), config(0, 0)}, 0, 0, drivers.Settling},
		{"zero once", []i2ctest.IO{temp(0, 0), config(0, 0), maker(0, 0x54), temp(0xc1, 0x90)}, 25, 0xc190, drivers.None},
		{"ones once", []i2ctest.IO{temp(0xff, 0xff), config(0, 0), maker(0, 0x54), temp(0xc1, 0x90)}, 25, 0xc190, drivers.None},
		{"ones twice", []i2ctest.IO{temp(0xff, 0xff), config(0, 0), maker(0, 0x54), temp(0xff, 0xff)}, 0, 0, drivers.Implausible},
		{"zero, then ones", []i2ctest.IO{temp(0, 0), config(0, 0), maker(0, 0x54), temp(0xff, 0xff)}, 0, 0, drivers.Implausible},
		{"held low", []i2ctest.IO{temp(0, 0), config(0, 0), maker(0, 0)}, 0, 0, drivers.Implausible},
		{"held, then gone", []i2ctest.IO{temp(0, 0), config(0, 0), maker(0xff, 0xff)}, 0, 0, drivers.Implausible},
		{"shut down", []i2ctest.IO{temp(0xc1, 0x90), config(0x01, 0)}, 0, 0, drivers.Implausible},
		{"nobody there", []i2ctest.IO{temp(0xff, 0xff), config(0xff, 0xff)}, 0, 0, drivers.Implausible},
		{"gone in between", []i2ctest.IO{temp(0xc1, 0x90), config(0xff, 0xff)}, 0, 0, drivers.Implausible},
		{"below the range", []i2ctest.IO{temp(0x30, 0), config(0, 0)}, 0, 0, drivers.Implausible},
	} {
		t.Run(c.name, func(t *testing.T) {
			bus := &i2ctest.Playback{DontPanic: true, Ops: c.ops}
			m, err := device(t, bus).Sense(t.Context())
			if drivers.FaultOf(err) != c.fault {
				t.Fatalf("%v", err)
			}
			if err == nil && (m.Temperature.Celsius() != c.want || m.Raw != c.raw) {
				t.Errorf("%+v", m)
			}
			if err != nil && m != (Measurement{}) {
				t.Errorf("%+v beside an error", m)
			}
			if err := bus.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A part reads 0 until its first conversion, and at 0 degrees: then for longer.
func TestZeroIsBelievedWhenItLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sensor{maker: 0x0054}
		d := device(t, s)
		for i, c := range []struct {
			wait  time.Duration
			err   error // of the bus
			fault drivers.Fault
		}{
			{0, nil, drivers.Settling},
			{Conversion - 1, nil, drivers.Settling},
			{1, nil, drivers.None},
			{time.Hour, nil, drivers.None},
			{time.Second, drivers.NoAnswer, drivers.NoAnswer}, // its supply is gone
			{time.Second, nil, drivers.Settling},
			{Conversion, nil, drivers.None},
		} {
			time.Sleep(c.wait)
			s.err = c.err
			if m, err := d.Sense(t.Context()); drivers.FaultOf(err) != c.fault || err == nil && m.Temperature.Celsius() != 0 {
				t.Errorf("sample %d: %+v, %v", i, m, err)
			}
		}
	})
}

func TestIdentify(t *testing.T) {
	for _, c := range []struct {
		maker, device uint16
		version       string
		fault         drivers.Fault
	}{
		{0x0054, 0x0400, "00", drivers.None},
		{0x0054, 0x0412, "12", drivers.None}, // another revision
		{0x0054, 0x0201, "", drivers.WrongDevice},
		{0x5449, 0x0400, "", drivers.WrongDevice},
		{0x0000, 0x0000, "", drivers.WrongDevice},
		{0xffff, 0xffff, "", drivers.Implausible},
		{0x0054, 0xffff, "", drivers.Implausible},
	} {
		id, err := device(t, &sensor{maker: c.maker, device: c.device}).Identify(t.Context())
		if drivers.FaultOf(err) != c.fault || (err == nil) != (id.Part == "MCP9808") || id.Version != c.version {
			t.Errorf("%04x %04x: %+v, %v", c.maker, c.device, id, err)
		}
	}
}

func TestFaultsOfTheBusKeepTheirCause(t *testing.T) {
	nack := &drivers.Error{Op: "read", Fault: drivers.NoAnswer, Err: syscall.ENXIO}
	d := device(t, &sensor{err: nack})
	if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.NoAnswer) || !errors.Is(err, syscall.ENXIO) {
		t.Errorf("%v", err)
	}
	if _, err := d.Identify(t.Context()); !errors.Is(err, drivers.NoAnswer) || !errors.Is(err, syscall.ENXIO) {
		t.Errorf("%v", err)
	}
}

func TestEndOfContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := &sensor{}
	if _, err := device(t, s).Sense(ctx); !errors.Is(err, drivers.Cancelled) || s.transfers != 0 {
		t.Errorf("%v after %d transfers", err, s.transfers)
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

// sensor is a register file with faults.
type sensor struct {
	maker, device uint16
	err           error
	transfers     int
}

func (s *sensor) String() string                  { return "sensor" }
func (s *sensor) SetSpeed(physic.Frequency) error { return nil }

func (s *sensor) Tx(_ uint16, w, r []byte) error {
	s.transfers++
	v := map[byte]uint16{0x06: s.maker, 0x07: s.device}[w[0]]
	for i := range r {
		r[i] = byte(v >> (8 - 8*i))
	}
	return s.err
}
