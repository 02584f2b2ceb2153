package ltc4286

import (
	"context"
	"errors"
	"math"
	"testing"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2ctest"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/pmbus"
)

const addr = 0x41

func TestNewChecksOptions(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true}
	for _, o := range []Opts{
		{Addr: 0x05, Part: LTC4286, ShuntOhm: 0.0003},
		{Addr: addr, Part: "LTC4284", ShuntOhm: 0.0003},
		{Addr: addr, Part: LTC4286},
		{Addr: addr, Part: LTC4286, ShuntOhm: 300},
		{Addr: addr, Part: LTC4286, ShuntOhm: 0.0003, Range: 3},
	} {
		if _, err := New(bus, o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
	if _, err := New(nil, Opts{Addr: addr, Part: LTC4286, ShuntOhm: 0.0003}); err == nil {
		t.Error("no bus was taken")
	}
}

// Worked numbers of the Linux driver ltc4286 over its default shunt of 300 microohm.
func TestScale(t *testing.T) {
	high, low := ScaleOf(Range102V, 0.0003), ScaleOf(Range25V6, 0.0003)
	for _, c := range []struct {
		name  string
		d     pmbus.Direct
		value float64
		code  uint16
	}{
		{"48 V of 102.4", high.Voltage, 48, 0x3c00},
		{"12 V of 25.6", low.Voltage, 12, 0x3c00},
		{"100 A", high.Current, 100, 0x7800},
		{"100 A in the low range", low.Current, 100, 0x7800},
		{"4800 W", high.Power, 4800, 0x3840},
		{"1200 W in the low range", low.Power, 1200, 0x3840},
		{"45 degrees", high.Temperature, 45, 0x013e},
		{"-40 degrees", low.Temperature, -40, 0x00e9},
	} {
		if got, ok := c.d.Encode(c.value); !ok || got != c.code {
			t.Errorf("%s: %04x, %t", c.name, got, ok)
		}
		if v, ok := c.d.Decode(c.code); !ok || math.Abs(v-c.value) > 1e-9 {
			t.Errorf("%s: %v, %t", c.name, v, ok)
		}
	}
}

func word(at byte, w uint16) i2ctest.IO {
	return i2ctest.IO{Addr: addr, W: []byte{at}, R: []byte{byte(w), byte(w >> 8)}}
}

func block(at byte, s string) i2ctest.IO {
	return i2ctest.IO{Addr: addr, W: []byte{at}, R: append([]byte{byte(len(s))}, s...)}
}

func identity(config uint16) []i2ctest.IO {
	return []i2ctest.IO{
		{Addr: addr, W: []byte{0x19}, R: []byte{0x00}}, block(0x99, "LTC"), block(0x9a, "LTC4286"), word(0xf2, config),
	}
}

func TestIdentify(t *testing.T) {
	capability := i2ctest.IO{Addr: addr, W: []byte{0x19}, R: []byte{0x00}}
	for _, c := range []struct {
		name  string
		want  Range
		ops   []i2ctest.IO
		fault drivers.Fault
	}{
		{"as it is set", AnyRange, identity(0x5572), drivers.None},
		{"as expected", Range102V, identity(0x0002), drivers.None},
		{"the other range", Range102V, identity(0x5570), drivers.Mismatch},
		{"settings read ones", AnyRange, identity(0xffff), drivers.Implausible},
		{"another maker", AnyRange, []i2ctest.IO{capability, block(0x99, "ADI")}, drivers.WrongDevice},
		{"another model", AnyRange, []i2ctest.IO{capability, block(0x99, "LTC"), block(0x9a, "LTC4287")}, drivers.WrongDevice},
	} {
		t.Run(c.name, func(t *testing.T) {
			bus := &i2ctest.Playback{DontPanic: true, Ops: c.ops}
			d, err := New(bus, Opts{Name: "t", Addr: addr, Part: LTC4286, ShuntOhm: 0.0003, Range: c.want})
			if err != nil {
				t.Fatal(err)
			}
			id, err := d.Identify(t.Context())
			if drivers.FaultOf(err) != c.fault || err == nil && id.Product != "LTC4286" {
				t.Errorf("%+v, %v", id, err)
			}
			if err := bus.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSense(t *testing.T) {
	sense := func(status, vin, vout, iout, pin, temp, config uint16) []i2ctest.IO {
		return append(identity(0x0002), word(0x79, status), word(0x88, vin), word(0x8b, vout), word(0x8c, iout), word(0x97, pin), word(0x8d, temp), word(0xf2, config))
	}
	for _, c := range []struct {
		name  string
		ops   []i2ctest.IO
		fault drivers.Fault
		check func(m Measurement) bool
	}{
		{"under load", sense(0, 0x3c00, 0x3bff, 0x7800, 0x3840, 0x013e, 0x0002), drivers.None, func(m Measurement) bool {
			return m.VIN.Value == 48*physic.Volt && m.VOUT.Raw == 0x3bff && m.IOUT.Value == 100*physic.Ampere &&
				m.PIN.Value == 4800*physic.Watt && m.Temperature.Value == physic.ZeroCelsius+45*physic.Kelvin
		}},
		{"zeros are read twice", append(sense(0, 0, 0x3bff, 0, 0, 0x013e, 0x0002), word(0x88, 0x3c00), word(0x8c, 0x7800), word(0x97, 0)), drivers.None, func(m Measurement) bool {
			return m.VIN.Value == 48*physic.Volt && m.IOUT.Value == 100*physic.Ampere && m.PIN.Value == 0 && m.PIN.Fault == drivers.None
		}},
		{"zero, then ones", append(sense(0, 0, 0x3bff, 0x7800, 0x3840, 0x013e, 0x0002), word(0x88, 0xffff)), drivers.None, func(m Measurement) bool {
			return m.VIN.Fault == drivers.Implausible && m.IOUT.Value == 100*physic.Ampere
		}},
		{"a setting beside the range", append(sense(0x0840, 0x3c00, 0, 0, 0, 0x013e, 0x5572), word(0x8b, 0), word(0x8c, 0), word(0x97, 0)), drivers.None, func(m Measurement) bool {
			return m.Status.String() == "power_not_good off" && m.VOUT.Value == 0 && m.VOUT.Fault == drivers.None
		}},
		{"no temperature of a part that works", sense(0, 0x3c00, 0x3bff, 0x7800, 0x3840, 0, 0x0002), drivers.None, func(m Measurement) bool {
			return m.Temperature.Fault == drivers.Implausible && m.VIN.Fault == drivers.None
		}},
		{"below zero volts", sense(0, 0x8000, 0x3bff, 0x7800, 0x3840, 0x013e, 0x0002), drivers.None, func(m Measurement) bool {
			return m.VIN.Fault == drivers.Implausible
		}},
		{"the range changed", sense(0, 0x3c00, 0, 0, 0, 0x013e, 0x0000), drivers.Mismatch, nil},
		{"status reads ones", append(identity(2), word(0x79, 0xffff)), drivers.Implausible, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			bus := &i2ctest.Playback{DontPanic: true, Ops: c.ops}
			d := device(t, bus)
			if _, err := d.Identify(t.Context()); err != nil {
				t.Fatal(err)
			}
			m, err := d.Sense(t.Context())
			if drivers.FaultOf(err) != c.fault || err == nil && !c.check(m) || err != nil && m != (Measurement{}) {
				t.Errorf("%+v, %v", m, err)
			}
			if err := bus.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	if _, err := device(t, &i2ctest.Playback{DontPanic: true}).Sense(t.Context()); !errors.Is(err, drivers.NotRead) {
		t.Errorf("before Identify: %v", err)
	}
}

func TestEndOfContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := device(t, &i2ctest.Playback{DontPanic: true}).Identify(ctx); !errors.Is(err, drivers.Cancelled) {
		t.Errorf("%v", err)
	}
}

func FuzzScale(f *testing.F) {
	f.Add(uint16(0x3c00), false)
	f.Add(uint16(0x7fff), true)
	f.Add(uint16(0xffff), true)
	f.Fuzz(func(t *testing.T, code uint16, low bool) {
		r := Range102V
		if low {
			r = Range25V6
		}
		s := ScaleOf(r, 0.0003)
		for _, d := range []pmbus.Direct{s.Voltage, s.Current, s.Power, s.Temperature} {
			v, ok := d.Decode(code)
			if again, same := d.Encode(v); !ok || !same || again != code {
				t.Fatalf("%04x became %v became %04x", code, v, again)
			}
		}
	})
}

func device(t *testing.T, bus i2c.Bus) *Dev {
	t.Helper()
	d, err := New(bus, Opts{Name: "t", Addr: addr, Part: LTC4286, ShuntOhm: 0.0003})
	if err != nil {
		t.Fatal(err)
	}
	return d
}
