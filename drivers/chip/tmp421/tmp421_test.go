package tmp421

import (
	"context"
	"errors"
	"reflect"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2ctest"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
)

const addr = 0x4c

func TestNewChecksOptions(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true}
	for _, o := range []Opts{
		{Addr: 0x4b, Remotes: 1},
		{Addr: 0x50, Remotes: 1},
		{Addr: 0x1b, Remotes: 1},
		{Addr: 0x20, Remotes: 1},
		{Addr: 0x2b, Remotes: 1},
		{Addr: addr, Remotes: 0},
		{Addr: addr, Remotes: 4},
		{Addr: addr, Remotes: -1},
	} {
		if _, err := New(bus, o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
	for _, a := range []uint16{0x1c, 0x1f, 0x2a, 0x4c, 0x4f} {
		if _, err := New(bus, Opts{Addr: a, Remotes: 3}); err != nil {
			t.Error(err)
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
		{0xe700, false, -25, true},
		{0x3c80, false, 60.5, true},
		{0x7ff0, false, 127.9375, true},
		{0xfff0, false, -0.0625, true},
		{0xc900, false, -55, true},
		{0xc8f0, false, 0, false},
		{0x0000, false, 0, true},
		{0x1901, false, 0, false}, // open diode
		{0x1902, false, 0, false}, // not valid
		{0x1904, false, 0, false}, // a bit that is always 0
		{0xffff, false, 0, false},
		{0x5900, true, 25, true}, // 89 - 64
		{0x2700, true, -25, true},
		{0x4000, true, 0, true},
		{0xd600, true, 150, true},
		{0xd610, true, 0, false}, // above the part's range
		{0x0900, true, -55, true},
		{0x08f0, true, 0, false},
		{0x0000, true, 0, false}, // -64: not converted yet
		{0x5901, true, 0, false},
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
	for _, c := range []uint16{0x1900, 0xe700, 0x7ff0, 0xffff, 0x8000, 0xd600, 0} {
		f.Add(c, false)
		f.Add(c, true)
	}
	f.Fuzz(func(t *testing.T, code uint16, wide bool) {
		got, ok := Temperature(code, wide)
		if !ok {
			return
		}
		c := got - physic.ZeroCelsius
		if c < -55*physic.Celsius || c > 150*physic.Celsius || c%(physic.Celsius/16) != 0 || code&0x0f != 0 {
			t.Errorf("%04x, extended range %t, gives %v", code, wide, got)
		}
	})
}

func reg(at byte, r ...byte) i2ctest.IO { return i2ctest.IO{Addr: addr, W: []byte{at}, R: r} }

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
			name: "one remote diode", remotes: 1,
			ops:  []i2ctest.IO{reg(0x00, 0x19, 0x00), reg(0x01, 0x3c, 0x80), reg(0x09, 0x00), reg(0x0a, 0x1c)},
			want: Measurement{Local: good(25, 0x1900), Remote: []Channel{good(60.5, 0x3c80)}},
		},
		{
			name: "three remote diodes", remotes: 3,
			ops: []i2ctest.IO{
				reg(0x00, 0x19, 0x00), reg(0x01, 0xe7, 0x00), reg(0x02, 0x3c, 0x80), reg(0x03, 0x7f, 0xf0), reg(0x09, 0x00), reg(0x0a, 0x7c),
			},
			want: Measurement{Local: good(25, 0x1900), Remote: []Channel{good(-25, 0xe700), good(60.5, 0x3c80), good(127.9375, 0x7ff0)}},
		},
		{
			name: "extended range", remotes: 1,
			ops:  []i2ctest.IO{reg(0x00, 0x59, 0x00), reg(0x01, 0xd6, 0x00), reg(0x09, 0x04), reg(0x0a, 0x1c)},
			want: Measurement{Local: good(25, 0x5900), Remote: []Channel{good(150, 0xd600)}},
		},
		{
			name: "an open diode leaves the others", remotes: 2,
			ops:  []i2ctest.IO{reg(0x00, 0x19, 0x00), reg(0x01, 0x00, 0x01), reg(0x02, 0x3c, 0x80), reg(0x09, 0x00), reg(0x0a, 0x3c)},
			want: Measurement{Local: good(25, 0x1900), Remote: []Channel{bad(0x0001), good(60.5, 0x3c80)}},
		},
		{
			name: "a conversion that is not valid", remotes: 1,
			ops:  []i2ctest.IO{reg(0x00, 0x19, 0x02), reg(0x01, 0x3c, 0x80), reg(0x09, 0x00), reg(0x0a, 0x1c)},
			want: Measurement{Local: bad(0x1902), Remote: []Channel{good(60.5, 0x3c80)}},
		},
		{
			name: "zero is read twice", remotes: 1,
			ops:  []i2ctest.IO{reg(0x00, 0, 0), reg(0x01, 0, 0), reg(0x09, 0x00), reg(0x0a, 0x1c), reg(0x00, 0x19, 0x00), reg(0x01, 0, 0)},
			want: Measurement{Local: good(25, 0x1900), Remote: []Channel{{Fault: drivers.Settling}}},
		},
		{
			name: "undriven once", remotes: 1,
			ops:  []i2ctest.IO{reg(0x00, 0x19, 0x00), reg(0x01, 0xff, 0xff), reg(0x09, 0x00), reg(0x0a, 0x1c), reg(0x01, 0x3c, 0x80)},
			want: Measurement{Local: good(25, 0x1900), Remote: []Channel{good(60.5, 0x3c80)}},
		},
		{
			name: "undriven twice", remotes: 1,
			ops:   []i2ctest.IO{reg(0x00, 0x19, 0x00), reg(0x01, 0xff, 0xff), reg(0x09, 0x00), reg(0x0a, 0x1c), reg(0x01, 0xff, 0xff)},
			fault: drivers.Implausible,
		},
		{
			name: "zero, then ones", remotes: 1,
			ops:   []i2ctest.IO{reg(0x00, 0x19, 0x00), reg(0x01, 0, 0), reg(0x09, 0x00), reg(0x0a, 0x1c), reg(0x01, 0xff, 0xff)},
			fault: drivers.Implausible,
		},
		{
			name: "held for good", remotes: 1,
			ops: []i2ctest.IO{reg(0x00, 0, 0), reg(0x01, 0, 0), reg(0x09, 0), reg(0x0a, 0)}, fault: drivers.Restarted,
		},
		{
			name: "shut down", remotes: 1,
			ops: []i2ctest.IO{reg(0x00, 0x19, 0x00), reg(0x01, 0x3c, 0x80), reg(0x09, 0x40)}, fault: drivers.Restarted,
		},
		{
			name: "a channel is off", remotes: 2, fault: drivers.Restarted,
			ops: []i2ctest.IO{reg(0x00, 0x19, 0x00), reg(0x01, 0x3c, 0x80), reg(0x02, 0, 0), reg(0x09, 0x00), reg(0x0a, 0x1c)},
		},
		{
			name: "nobody there", remotes: 1, fault: drivers.Implausible,
			ops: []i2ctest.IO{reg(0x00, 0xff, 0xff), reg(0x01, 0xff, 0xff), reg(0x09, 0xff)},
		},
		{
			name: "gone for the last register", remotes: 1, fault: drivers.Implausible,
			ops: []i2ctest.IO{reg(0x00, 0x19, 0x00), reg(0x01, 0x3c, 0x80), reg(0x09, 0x00), reg(0x0a, 0xff)},
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

// A register reads 0 until its first conversion, and at 0 degrees: then for longer.
func TestZeroIsBelievedWhenItLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sensor{config: [2]byte{0x00, 0x1c}} // whose temperatures are 0
		d := device(t, s, 1)
		for i, c := range []struct {
			wait  time.Duration
			err   error // of the bus
			fault drivers.Fault
		}{
			{0, nil, drivers.Settling},
			{Conversion - 1, nil, drivers.Settling},
			{1, nil, drivers.None},
			{time.Second, drivers.NoAnswer, drivers.NoAnswer}, // its supply is gone
			{time.Second, nil, drivers.Settling},
			{Conversion, nil, drivers.None},
		} {
			time.Sleep(c.wait)
			s.err = c.err
			m, err := d.Sense(t.Context())
			switch {
			case c.err != nil:
				if drivers.FaultOf(err) != c.fault {
					t.Errorf("sample %d: %v", i, err)
				}
			case err != nil || m.Local.Fault != c.fault || m.Remote[0].Fault != c.fault || c.fault == drivers.None && m.Local.Temperature != physic.ZeroCelsius:
				t.Errorf("sample %d: %+v, %v", i, m, err)
			}
		}
	})
}

// In the extended range a configuration of 00 is either a loss of supply or a held bus, and never 64 degrees more.
func TestExtendedRangeIsRemembered(t *testing.T) {
	sample := func(config byte) []i2ctest.IO {
		return []i2ctest.IO{reg(0x00, 0x59, 0x00), reg(0x01, 0x59, 0x00), reg(0x09, config), reg(0x0a, 0x1c)}
	}
	ops := append(sample(0x04), sample(0x00)[:3]...)
	ops = append(ops, sample(0x04)...)
	ops = append(ops, reg(0x09, 0x00), reg(0x0a, 0x1c)) // Configure
	bus := &i2ctest.Playback{DontPanic: true, Ops: append(ops, sample(0x00)...)}
	d := device(t, bus, 1)
	for i, want := range []float64{25, 0, 25, 89} {
		if i == 3 {
			if err := d.Configure(t.Context()); err != nil {
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

func TestConfigure(t *testing.T) {
	for _, c := range []struct {
		name  string
		chip  sensor
		want  [2]byte
		fault drivers.Fault
	}{
		{name: "fresh part", chip: sensor{config: [2]byte{0x00, 0x1c}}, want: [2]byte{0x00, 0x1c}},
		{name: "shut down, extended range", chip: sensor{config: [2]byte{0x44, 0x1c}}, want: [2]byte{0x04, 0x1c}},
		{name: "channels off", chip: sensor{config: [2]byte{0x00, 0x44}}, want: [2]byte{0x00, 0x5c}},
		{name: "does not take it", chip: sensor{config: [2]byte{0x40, 0x1c}, deaf: true}, want: [2]byte{0x40, 0x1c}, fault: drivers.Mismatch},
		{name: "absent", chip: sensor{err: drivers.NoAnswer}, fault: drivers.NoAnswer},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := device(t, &c.chip, 1).Configure(t.Context())
			if drivers.FaultOf(err) != c.fault || c.chip.config != c.want {
				t.Errorf("% x, %v", c.chip.config, err)
			}
			if c.want == [2]byte{0x00, 0x1c} && c.chip.writes != 0 {
				t.Errorf("%d writes to registers that were right", c.chip.writes)
			}
		})
	}
}

func TestIdentify(t *testing.T) {
	for _, c := range []struct {
		remotes int
		id      [2]byte
		part    string
		fault   drivers.Fault
	}{
		{1, [2]byte{0x55, 0x21}, "TMP421", drivers.None},
		{2, [2]byte{0x55, 0x22}, "TMP422", drivers.None},
		{3, [2]byte{0x55, 0x23}, "TMP423", drivers.None},
		{2, [2]byte{0x55, 0x21}, "", drivers.WrongDevice}, // too few diodes
		{1, [2]byte{0x55, 0x41}, "", drivers.WrongDevice}, // TMP441
		{1, [2]byte{0x5d, 0x21}, "", drivers.WrongDevice}, // EMC1413
		{1, [2]byte{0xff, 0xff}, "", drivers.Implausible},
	} {
		id, err := device(t, &sensor{id: c.id}, c.remotes).Identify(t.Context())
		if drivers.FaultOf(err) != c.fault || id.Part != c.part {
			t.Errorf("% x: %+v, %v", c.id, id, err)
		}
	}
}

func TestFaultsOfTheBusKeepTheirCause(t *testing.T) {
	nack := &drivers.Error{Op: "read", Fault: drivers.NoAnswer, Err: syscall.ENXIO}
	d := device(t, &sensor{err: nack}, 1)
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
	s := &sensor{config: [2]byte{0x40, 0}}
	d := device(t, s, 1)
	if _, err := d.Sense(ctx); !errors.Is(err, drivers.Cancelled) {
		t.Errorf("%v", err)
	}
	if err := d.Configure(ctx); !errors.Is(err, drivers.Cancelled) || s.writes != 0 {
		t.Errorf("%v after %d writes", err, s.writes)
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

// sensor is a register file with faults.
type sensor struct {
	config, id [2]byte
	deaf       bool
	err        error
	writes     int
}

func (s *sensor) String() string                  { return "sensor" }
func (s *sensor) SetSpeed(physic.Frequency) error { return nil }

func (s *sensor) Tx(_ uint16, w, r []byte) error {
	if s.err != nil {
		return s.err
	}
	if len(r) == 2 {
		clear(r)
		return nil
	}
	at := map[byte]*byte{0x09: &s.config[0], 0x0a: &s.config[1], 0xfe: &s.id[0], 0xff: &s.id[1]}[w[0]]
	if len(r) > 0 {
		r[0] = *at
		return nil
	}
	s.writes++
	if !s.deaf {
		*at = w[1]
	}
	return nil
}
