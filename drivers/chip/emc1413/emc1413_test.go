package emc1413

import (
	"context"
	"errors"
	"reflect"
	"syscall"
	"testing"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2ctest"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
)

const addr = 0x4c

func TestNewChecksOptions(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true}
	for _, o := range []Opts{{Addr: 0x07, Remotes: 1}, {Addr: 0x78, Remotes: 1}, {Addr: addr}, {Addr: addr, Remotes: 4}, {Addr: addr, Remotes: -1}} {
		if _, err := New(bus, o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
	if _, err := New(nil, Opts{Addr: addr, Remotes: 1}); err == nil {
		t.Error("no bus was taken")
	}
}

func TestTemperature(t *testing.T) {
	for _, c := range []struct {
		code uint16
		wide bool
		want float64
		ok   bool
	}{
		{0x1900, false, 25, true},
		{0x3c80, false, 60.5, true},
		{0x0020, false, 0.125, true},
		{0x7fe0, false, 127.875, true},
		{0x8000, false, 0, false}, // above the default range
		{0x0000, false, 0, false}, // failed diode, or colder than the range
		{0x1910, false, 0, false}, // a bit that is always 0
		{0xffff, false, 0, false},
		{0x5900, true, 25, true}, // 89 - 64
		{0x0020, true, -63.875, true},
		{0x4000, true, 0, true},
		{0xffe0, true, 191.875, true},
		{0x0000, true, 0, false},
		{0xffff, true, 0, false},
	} {
		got, ok := Temperature(c.code, c.wide)
		if ok != c.ok || ok && got.Celsius() != c.want {
			t.Errorf("%04x, extended range %t: %v, %t", c.code, c.wide, got, ok)
		}
	}
}

// Whatever the code, a temperature is either refused or one of the part's steps within its range.
func FuzzTemperature(f *testing.F) {
	for _, c := range []uint16{0x1900, 0x7fe0, 0x8000, 0xffe0, 0xffff, 0} {
		f.Add(c, false)
		f.Add(c, true)
	}
	f.Fuzz(func(t *testing.T, code uint16, wide bool) {
		got, ok := Temperature(code, wide)
		if !ok {
			return
		}
		low, high := physic.Temperature(0), 128*physic.Celsius
		if wide {
			low, high = -64*physic.Celsius, 192*physic.Celsius
		}
		if c := got - physic.ZeroCelsius; c <= low || c >= high || c%(physic.Celsius/8) != 0 {
			t.Errorf("%04x, extended range %t, gives %v", code, wide, got)
		}
	})
}

func reg(at, v byte) i2ctest.IO { return i2ctest.IO{Addr: addr, W: []byte{at}, R: []byte{v}} }

func TestSense(t *testing.T) {
	good := func(c float64, raw uint16) Channel {
		return Channel{Temperature: physic.ZeroCelsius + physic.Temperature(c*float64(physic.Celsius)), Raw: raw}
	}
	bad := func(raw uint16) Channel { return Channel{Raw: raw, Fault: drivers.Implausible} }
	for _, c := range []struct {
		name    string
		remotes int
		ops     []i2ctest.IO
		want    Measurement
		fault   drivers.Fault
	}{
		{
			name: "one external diode", remotes: 1,
			ops:  []i2ctest.IO{reg(0x03, 0), reg(0x00, 0x19), reg(0x29, 0x00), reg(0x01, 0x3c), reg(0x10, 0x80), reg(0x1b, 0)},
			want: Measurement{Local: good(25, 0x1900), Remote: []Channel{good(60.5, 0x3c80)}},
		},
		{
			name: "three external diodes", remotes: 3,
			ops: []i2ctest.IO{
				reg(0x03, 0), reg(0x00, 0x19), reg(0x29, 0x20), reg(0x01, 0x3c), reg(0x10, 0x80),
				reg(0x23, 0x7f), reg(0x24, 0xe0), reg(0x2a, 0x20), reg(0x2b, 0x40), reg(0x1b, 0),
			},
			want: Measurement{Local: good(25.125, 0x1920), Remote: []Channel{good(60.5, 0x3c80), good(127.875, 0x7fe0), good(32.25, 0x2040)}},
		},
		{
			name: "extended range", remotes: 1,
			ops:  []i2ctest.IO{reg(0x03, 0x04), reg(0x00, 0x59), reg(0x29, 0x00), reg(0x01, 0x27), reg(0x10, 0x00), reg(0x1b, 0)},
			want: Measurement{Local: good(25, 0x5900), Remote: []Channel{good(-25, 0x2700)}},
		},
		{
			name: "an open diode leaves the others", remotes: 2,
			ops: []i2ctest.IO{
				reg(0x03, 0), reg(0x00, 0x19), reg(0x29, 0x00), reg(0x01, 0x2b), reg(0x10, 0x20),
				reg(0x23, 0x3c), reg(0x24, 0x80), reg(0x1b, 0x02),
			},
			want: Measurement{Local: good(25, 0x1900), Remote: []Channel{bad(0x2b20), good(60.5, 0x3c80)}},
		},
		{
			name: "the last diode open", remotes: 2,
			ops: []i2ctest.IO{
				reg(0x03, 0), reg(0x00, 0x19), reg(0x29, 0x00), reg(0x01, 0x2b), reg(0x10, 0x20),
				reg(0x23, 0x3c), reg(0x24, 0x80), reg(0x1b, 0x04),
			},
			want: Measurement{Local: good(25, 0x1900), Remote: []Channel{good(43.125, 0x2b20), bad(0x3c80)}},
		},
		{
			name: "an open diode whose sign was read before", remotes: 1,
			ops:  []i2ctest.IO{reg(0x03, 0), reg(0x00, 0x19), reg(0x29, 0x00), reg(0x01, 0), reg(0x10, 0), reg(0x1b, 0)},
			want: Measurement{Local: good(25, 0x1900), Remote: []Channel{bad(0)}},
		},
		{
			name: "high byte held once", remotes: 1,
			ops: []i2ctest.IO{
				reg(0x03, 0), reg(0x00, 0x19), reg(0x29, 0x00), reg(0x01, 0), reg(0x10, 0x80), reg(0xfe, 0x5d), reg(0x01, 0x3c), reg(0x10, 0x80), reg(0x1b, 0),
			},
			want: Measurement{Local: good(25, 0x1900), Remote: []Channel{good(60.5, 0x3c80)}},
		},
		{
			name: "half a degree", remotes: 1,
			ops: []i2ctest.IO{
				reg(0x03, 0), reg(0x00, 0), reg(0x29, 0x80), reg(0xfe, 0x5d), reg(0x00, 0), reg(0x29, 0x80), reg(0x01, 0x3c), reg(0x10, 0x80), reg(0x1b, 0),
			},
			want: Measurement{Local: good(0.5, 0x0080), Remote: []Channel{good(60.5, 0x3c80)}},
		},
		{
			name: "high byte undriven once in the extended range", remotes: 1,
			ops: []i2ctest.IO{
				reg(0x03, 0x04), reg(0x00, 0x59), reg(0x29, 0x00), reg(0x01, 0xff), reg(0x10, 0x20), reg(0xfe, 0x5d), reg(0x01, 0x27), reg(0x10, 0x20), reg(0x1b, 0),
			},
			want: Measurement{Local: good(25, 0x5900), Remote: []Channel{good(-24.875, 0x2720)}},
		},
		{
			name: "one end and then the other", remotes: 1,
			ops: []i2ctest.IO{
				reg(0x03, 0x04), reg(0x00, 0x59), reg(0x29, 0x00), reg(0x01, 0xff), reg(0x10, 0x20), reg(0xfe, 0x5d), reg(0x01, 0), reg(0x10, 0x20), reg(0x1b, 0),
			},
			want: Measurement{Local: good(25, 0x5900), Remote: []Channel{bad(0x0020)}},
		},
		{
			name: "high byte held for good", remotes: 1, fault: drivers.Implausible,
			ops: []i2ctest.IO{reg(0x03, 0), reg(0x00, 0), reg(0x29, 0x80), reg(0xfe, 0)},
		},
		{name: "standby", remotes: 1, ops: []i2ctest.IO{reg(0x03, 0x40)}, fault: drivers.Implausible},
		{name: "nobody there", remotes: 1, ops: []i2ctest.IO{reg(0x03, 0xff)}, fault: drivers.Implausible},
		{
			name: "gone between two diodes", remotes: 1,
			ops:   []i2ctest.IO{reg(0x03, 0), reg(0x00, 0x19), reg(0x29, 0), reg(0x01, 0xff), reg(0x10, 0xff)},
			fault: drivers.Implausible,
		},
		{
			name: "gone before the fault register", remotes: 1,
			ops:   []i2ctest.IO{reg(0x03, 0), reg(0x00, 0x19), reg(0x29, 0), reg(0x01, 0x3c), reg(0x10, 0x80), reg(0x1b, 0xff)},
			fault: drivers.Implausible,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			bus := &i2ctest.Playback{DontPanic: true, Ops: c.ops}
			m, err := device(t, bus, c.remotes).Sense(t.Context())
			if drivers.FaultOf(err) != c.fault {
				t.Fatalf("%v", err)
			}
			if !reflect.DeepEqual(m, c.want) {
				t.Errorf("got  %+v\nwant %+v", m, c.want)
			}
			if err := bus.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// In the extended range a configuration of 00 is either a loss of supply or a held bus, and never 64 degrees more.
func TestExtendedRangeIsRemembered(t *testing.T) {
	sample := []i2ctest.IO{reg(0x00, 0x59), reg(0x29, 0), reg(0x01, 0x59), reg(0x10, 0), reg(0x1b, 0)}
	ops := append([]i2ctest.IO{reg(0x03, 0x04)}, sample...)
	ops = append(append(ops, reg(0x03, 0x00), reg(0x03, 0x04)), sample...)
	ops = append(ops, reg(0xfe, 0x5d), reg(0xfd, 0x20), reg(0x03, 0x00)) // Identify
	bus := &i2ctest.Playback{DontPanic: true, Ops: append(ops, sample...)}
	d := device(t, bus, 1)
	for i, want := range []float64{25, 0, 25, 89} {
		if i == 3 {
			if _, err := d.Identify(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		m, err := d.Sense(t.Context())
		if (want == 0) != errors.Is(err, drivers.Restarted) || err == nil && m.Local.Temperature.Celsius() != want {
			t.Errorf("sample %d: %+v, %v", i, m, err)
		}
	}
	if err := bus.Close(); err != nil {
		t.Error(err)
	}
}

func TestIdentify(t *testing.T) {
	for _, c := range []struct {
		remotes   int
		smsc, pid byte
		part      string
		fault     drivers.Fault
	}{
		{1, 0x5d, 0x20, "EMC1412", drivers.None},
		{2, 0x5d, 0x21, "EMC1413", drivers.None},
		{3, 0x5d, 0x25, "EMC1414", drivers.None},
		{3, 0x5d, 0x23, "", drivers.WrongDevice}, // EMC1423
		{3, 0x5d, 0x21, "", drivers.WrongDevice}, // too few diodes
		{2, 0x55, 0x21, "", drivers.WrongDevice}, // TMP421
		{1, 0xff, 0xff, "", drivers.Implausible},
	} {
		id, err := device(t, &sensor{smsc: c.smsc, pid: c.pid}, c.remotes).Identify(t.Context())
		if drivers.FaultOf(err) != c.fault || id.Part != c.part {
			t.Errorf("%02x %02x: %+v, %v", c.smsc, c.pid, id, err)
		}
	}
}

func TestFaultsOfTheBusKeepTheirCause(t *testing.T) {
	nack := &drivers.Error{Op: "read", Fault: drivers.NoAnswer, Err: syscall.ENXIO}
	for left := range 6 {
		s := &sensor{err: nack, good: left}
		m, err := device(t, s, 1).Sense(t.Context())
		if !errors.Is(err, drivers.NoAnswer) || !errors.Is(err, syscall.ENXIO) || !reflect.DeepEqual(m, Measurement{}) {
			t.Errorf("after %d good transfers: %+v, %v", left, m, err)
		}
	}
	if _, err := device(t, &sensor{err: nack}, 1).Identify(t.Context()); !errors.Is(err, syscall.ENXIO) {
		t.Errorf("%v", err)
	}
}

func TestEndOfContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := device(t, &sensor{}, 1).Sense(ctx); !errors.Is(err, drivers.Cancelled) {
		t.Errorf("%v", err)
	}
}

func device(t *testing.T, bus i2c.Bus, remotes int) *Dev {
	t.Helper()
	d, err := New(bus, Opts{Name: "t", Addr: addr, Remotes: remotes})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// sensor is a register file that fails after a number of transfers.
type sensor struct {
	smsc, pid byte
	err       error
	good      int
}

func (s *sensor) String() string                  { return "sensor" }
func (s *sensor) SetSpeed(physic.Frequency) error { return nil }

func (s *sensor) Tx(_ uint16, w, r []byte) error {
	if s.good--; s.err != nil && s.good < 0 {
		return s.err
	}
	r[0] = map[byte]byte{0xfd: s.pid, 0xfe: s.smsc, 0x00: 0x19, 0x01: 0x3c}[w[0]]
	return nil
}
