package tmp75

import (
	"context"
	"errors"
	"testing"

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
		{0x7ff0, 127.9375, true},
		{0x0000, 0, true},
		{0xfff0, -0.0625, true},
		{0xc900, -55, true},
		{0xc8f0, 0, false}, // below the part's range
		{0x8000, 0, false},
		{0xffff, 0, false}, // -1/256 degree to a careless reader
		{0x1901, 0, false},
		{0x190f, 0, false},
	} {
		got, ok := Temperature(c.code)
		if ok != c.ok || ok && got.Celsius() != c.want {
			t.Errorf("%04x: %v, %t", c.code, got, ok)
		}
	}
}

func TestSense(t *testing.T) {
	config := func(b byte) i2ctest.IO { return i2ctest.IO{Addr: addr, W: []byte{0x01}, R: []byte{b}} }
	temp := func(hi, lo byte) i2ctest.IO { return i2ctest.IO{Addr: addr, W: []byte{0x00}, R: []byte{hi, lo}} }
	for _, c := range []struct {
		name  string
		ops   []i2ctest.IO
		want  float64
		fault drivers.Fault
	}{
		{"warm", []i2ctest.IO{temp(0x3c, 0x80), config(0x60)}, 60.5, drivers.None},
		{"one-shot bit reads 1 on some parts", []i2ctest.IO{temp(0xe7, 0x00), config(0xe0)}, -25, drivers.None},
		{"zero twice", []i2ctest.IO{temp(0, 0), config(0x60), temp(0, 0)}, 0, drivers.None},
		{"zero once", []i2ctest.IO{temp(0, 0), config(0x60), temp(0x19, 0)}, 25, drivers.None},
		{"ones once", []i2ctest.IO{temp(0xff, 0xff), config(0x60), temp(0x19, 0)}, 25, drivers.None},
		{"ones twice", []i2ctest.IO{temp(0xff, 0xff), config(0x60), temp(0xff, 0xff)}, 0, drivers.Implausible},
		{"zero, then ones", []i2ctest.IO{temp(0, 0), config(0x60), temp(0xff, 0xff)}, 0, drivers.Implausible},
		{"held from the beginning", []i2ctest.IO{temp(0, 0), config(0x00)}, 0, drivers.Restarted},
		{"back at 9 bits", []i2ctest.IO{temp(0x19, 0), config(0x00)}, 0, drivers.Restarted},
		{"shut down", []i2ctest.IO{temp(0x19, 0), config(0x61)}, 0, drivers.Restarted},
		{"nobody there", []i2ctest.IO{temp(0xff, 0xff), config(0xff)}, 0, drivers.Implausible},
		{"gone in between", []i2ctest.IO{temp(0x19, 0), config(0xff)}, 0, drivers.Implausible},
		{"a bit below the twelfth", []i2ctest.IO{temp(0x19, 0x01), config(0x60)}, 0, drivers.Implausible},
	} {
		t.Run(c.name, func(t *testing.T) {
			bus := &i2ctest.Playback{DontPanic: true, Ops: c.ops}
			m, err := device(t, bus).Sense(t.Context())
			if drivers.FaultOf(err) != c.fault {
				t.Fatalf("%v", err)
			}
			if err == nil && m.Temperature.Celsius() != c.want {
				t.Errorf("%v", m.Temperature)
			}
			if err := bus.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestConfigure(t *testing.T) {
	for _, c := range []struct {
		name  string
		chip  sensor
		fault drivers.Fault
	}{
		{"fresh part", sensor{}, drivers.None},
		{"does not take it", sensor{deaf: true}, drivers.Mismatch},
		{"absent", sensor{err: drivers.NoAnswer}, drivers.NoAnswer},
	} {
		if err := device(t, &c.chip).Configure(t.Context()); drivers.FaultOf(err) != c.fault {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	s := &sensor{}
	if err := device(t, s).Configure(t.Context()); err != nil || s.config != 0x60 {
		t.Errorf("configuration %02x, %v", s.config, err)
	}
}

func TestIdentify(t *testing.T) {
	for _, c := range []struct {
		low, high uint16
		fault     drivers.Fault
	}{
		{0x4b00, 0x5000, drivers.None},
		{0x4b00, 0x4b00, drivers.WrongDevice},
		{0x0000, 0x0000, drivers.WrongDevice},
		{0xffff, 0xffff, drivers.Implausible},
	} {
		_, err := device(t, &sensor{low: c.low, high: c.high}).Identify(t.Context())
		if drivers.FaultOf(err) != c.fault {
			t.Errorf("%04x %04x: %v", c.low, c.high, err)
		}
	}
}

func TestEndOfContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := &sensor{}
	d := device(t, s)
	if _, err := d.Sense(ctx); !errors.Is(err, drivers.Cancelled) {
		t.Errorf("%v", err)
	}
	if err := d.Configure(ctx); !errors.Is(err, drivers.Cancelled) || s.config != 0 {
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

// sensor is a register file with faults.
type sensor struct {
	config    byte
	low, high uint16
	deaf      bool
	err       error
}

func (s *sensor) String() string                  { return "sensor" }
func (s *sensor) SetSpeed(physic.Frequency) error { return nil }

func (s *sensor) Tx(_ uint16, w, r []byte) error {
	switch {
	case s.err != nil:
		return s.err
	case len(r) == 0:
		if !s.deaf {
			s.config = w[1]
		}
	case len(r) == 1:
		r[0] = s.config
	default:
		v := map[byte]uint16{0x00: 0x1900, 0x02: s.low, 0x03: s.high}[w[0]]
		r[0], r[1] = byte(v>>8), byte(v)
	}
	return nil
}
