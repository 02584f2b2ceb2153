package lm75

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

const addr = 0x48

func TestNewChecksOptions(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true}
	for _, a := range []uint16{0x47, 0x50, 0} {
		if _, err := New(bus, Opts{Addr: a}); err == nil {
			t.Errorf("address 0x%02x was taken", a)
		}
	}
	if _, err := New(nil, Opts{Addr: addr}); err == nil {
		t.Error("no bus was taken")
	}
}

func TestTemperature(t *testing.T) {
	for _, c := range []struct {
		code uint16
		want float64
		ok   bool
	}{
		{0x1900, 25, true},
		{0xe700, -25, true},
		{0x3c80, 60.5, true},
		{0x7d00, 125, true},
		{0x7ff0, 127.5, true}, // 127.9375 of a 12-bit twin
		{0x1960, 25, true},    // 25.375 of an 11-bit twin
		{0x197f, 25, true},
		{0x0000, 0, true},
		{0xff80, -0.5, true},
		{0xffe0, -0.5, true},
		{0xc900, -55, true},
		{0xc880, 0, false}, // below the part's range
		{0x8000, 0, false},
		{0xffff, 0, false},
	} {
		got, ok := Temperature(c.code)
		if ok != c.ok || ok && got.Celsius() != c.want {
			t.Errorf("%04x: %v, %t", c.code, got, ok)
		}
	}
}

// Whatever the code, a temperature is either refused or one of the part's steps within its range.
func FuzzTemperature(f *testing.F) {
	for _, c := range []uint16{0x1900, 0xe700, 0x3c80, 0x7ff0, 0xffff, 0x8000, 0} {
		f.Add(c)
	}
	f.Fuzz(func(t *testing.T, code uint16) {
		got, ok := Temperature(code)
		if !ok {
			return
		}
		c := got - physic.ZeroCelsius
		if c < -55*physic.Celsius || c >= 128*physic.Celsius || c%(physic.Celsius/2) != 0 {
			t.Errorf("%04x gives %v", code, got)
		}
	})
}

func TestSense(t *testing.T) {
	config := func(b byte) i2ctest.IO { return i2ctest.IO{Addr: addr, W: []byte{0x01}, R: []byte{b}} }
	temp := func(hi, lo byte) i2ctest.IO { return i2ctest.IO{Addr: addr, W: []byte{0x00}, R: []byte{hi, lo}} }
	hyst := func(hi, lo byte) i2ctest.IO { return i2ctest.IO{Addr: addr, W: []byte{0x02}, R: []byte{hi, lo}} }
	for _, c := range []struct {
		name  string
		ops   []i2ctest.IO
		want  float64
		raw   uint16
		fault drivers.Fault
	}{
		{"warm", []i2ctest.IO{temp(0x3c, 0x80), config(0x00)}, 60.5, 0x3c80, drivers.None},
		{"twin with more bits", []i2ctest.IO{temp(0x3c, 0xe0), config(0x60)}, 60.5, 0x3ce0, drivers.None},
		{"alert settings of somebody else", []i2ctest.IO{temp(0xe7, 0x00), config(0x1e)}, -25, 0xe700, drivers.None},
		{"zero twice", []i2ctest.IO{temp(0, 0), config(0x00), hyst(0x4b, 0), temp(0, 0)}, 0, 0, drivers.Settling},
		{"zero once", []i2ctest.IO{temp(0, 0), config(0x00), hyst(0x4b, 0), temp(0x19, 0)}, 25, 0x1900, drivers.None},
		{"zero with somebody's limit", []i2ctest.IO{temp(0, 0), config(0x00), hyst(0x32, 0), temp(0, 0)}, 0, 0, drivers.Settling},
		{"ones once", []i2ctest.IO{temp(0xff, 0xff), config(0x00), hyst(0x4b, 0), temp(0x19, 0)}, 25, 0x1900, drivers.None},
		{"ones twice", []i2ctest.IO{temp(0xff, 0xff), config(0x00), hyst(0x4b, 0), temp(0xff, 0xff)}, 0, 0, drivers.Implausible},
		{"zero, then ones", []i2ctest.IO{temp(0, 0), config(0x00), hyst(0x4b, 0), temp(0xff, 0xff)}, 0, 0, drivers.Implausible},
		{"held low", []i2ctest.IO{temp(0, 0), config(0x00), hyst(0, 0)}, 0, 0, drivers.Implausible},
		{"held, then gone", []i2ctest.IO{temp(0, 0), config(0x00), hyst(0xff, 0xff)}, 0, 0, drivers.Implausible},
		{"shut down", []i2ctest.IO{temp(0x19, 0), config(0x01)}, 0, 0, drivers.Implausible},
		{"nobody there", []i2ctest.IO{temp(0xff, 0xff), config(0xff)}, 0, 0, drivers.Implausible},
		{"gone in between", []i2ctest.IO{temp(0x19, 0), config(0xff)}, 0, 0, drivers.Implausible},
		{"below the range", []i2ctest.IO{temp(0x80, 0x00), config(0x00)}, 0, 0, drivers.Implausible},
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
		s := &sensor{hyst: 0x4b00}
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
		hyst, os uint16
		fault    drivers.Fault
	}{
		{0x4b00, 0x5000, drivers.None},
		{0x4b2a, 0x507f, drivers.None}, // makers who leave the low bits open
		{0x4b80, 0x5000, drivers.WrongDevice},
		{0x4b00, 0x4b00, drivers.WrongDevice},
		{0x0000, 0x0000, drivers.WrongDevice},
		{0xffff, 0xffff, drivers.Implausible},
	} {
		id, err := device(t, &sensor{hyst: c.hyst, os: c.os}).Identify(t.Context())
		if drivers.FaultOf(err) != c.fault || (err == nil) != (id.Part == "LM75") {
			t.Errorf("%04x %04x: %+v, %v", c.hyst, c.os, id, err)
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
	hyst, os  uint16
	err       error
	transfers int
}

func (s *sensor) String() string                  { return "sensor" }
func (s *sensor) SetSpeed(physic.Frequency) error { return nil }

func (s *sensor) Tx(_ uint16, w, r []byte) error {
	s.transfers++
	v := map[byte]uint16{0x02: s.hyst, 0x03: s.os}[w[0]]
	for i := range r {
		r[i] = byte(v >> (8 - 8*i))
	}
	return s.err
}
