package lm5066

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

const addr = 0x17

func TestNewChecksOptions(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true}
	for _, o := range []Opts{
		{Addr: 0x00, Part: LM5066I, ShuntOhm: 0.0005},
		{Addr: addr, Part: "LM25066", ShuntOhm: 0.0005},
		{Addr: addr, Part: LM5066I},
		{Addr: addr, Part: LM5066I, ShuntOhm: 0.5e3},
		{Addr: addr, Part: LM5066I, ShuntOhm: 0.0005, CL: 3},
	} {
		if _, err := New(bus, o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
	if _, err := New(nil, Opts{Addr: addr, Part: LM5066I, ShuntOhm: 0.0005}); err == nil {
		t.Error("no bus was taken")
	}
}

// Worked numbers of the coefficients over 0.5 milliohm.
func TestScale(t *testing.T) {
	high, low := ScaleOf(LM5066I, false, 0.0005), ScaleOf(LM5066I, true, 0.0005)
	old, oldLow := ScaleOf(LM5066, false, 0.0005), ScaleOf(LM5066, true, 0.0005)
	for _, c := range []struct {
		name  string
		d     pmbus.Direct
		value float64
		code  uint16
	}{
		{"VIN", high.VIN, 48, 0x08a7},
		{"VOUT", high.VOUT, 48, 0x08a6},
		{"current", high.Current, 9.993, 0x017f},
		{"power", high.Power, 480.75, 0x00ce},
		{"temperature", high.Temperature, 30, 0x01e0},
		{"temperature below zero", high.Temperature, -10, 0xff60},
		{"current, 26 mV", low.Current, 9.993, 0x02ec},
		{"power, 26 mV", low.Power, 480.75, 0x0195},
		{"VAUX", high.VAUX, 1, 0x0569},
		{"LM5066 VIN", old.VIN, 48, 0x088e},
		{"LM5066 VOUT", old.VOUT, 48, 0x0882},
		{"LM5066 current", old.Current, 10, 0x0108},
		{"LM5066 current, 26 mV", oldLow.Current, 10, 0x020e},
		{"LM5066 power", old.Power, 480, 0x0089},
		{"LM5066 power, 26 mV", oldLow.Power, 480, 0x011b},
	} {
		if got, ok := c.d.Encode(c.value); !ok || got != c.code {
			t.Errorf("%s: %04x, %t, want %04x", c.name, got, ok, c.code)
		}
		step := math.Pow10(-c.d.R) / c.d.M
		if v, ok := c.d.Decode(c.code); !ok || math.Abs(v-c.value) > step {
			t.Errorf("%s: %v, %t", c.name, v, ok)
		}
	}
	for _, d := range []pmbus.Direct{high.VIN, high.VOUT, high.VAUX, high.Current, high.Power} {
		if v, ok := d.Decode(0x1000); ok {
			t.Errorf("13 bits of 12: %v", v)
		}
	}
	// The full scale over the shunt belongs to the limit: the coefficients cannot be the other way round.
	for limit, s := range map[float64]Scale{0.026: low, 0.050: high} {
		full, _ := s.Current.Decode(0x0fff)
		if mV := full * 0.0005; mV < limit || mV > 2*limit {
			t.Errorf("limit %v V: full scale %v V", limit, mV)
		}
	}
}

func TestLowLimit(t *testing.T) {
	for _, c := range []struct {
		setup byte
		pin   CL
		low   bool
		known bool
	}{
		{0x14, CLUnknown, true, true},
		{0x04, CLUnknown, false, true},
		{0x04, CLToVDD, false, true}, // SMBus decides
		{0x10, CLUnknown, false, false},
		{0x10, CLToGND, false, true}, // the pin decides
		{0x00, CLToVDD, true, true},
	} {
		if low, known := LowLimit(c.setup, c.pin); known != c.known || known && low != c.low {
			t.Errorf("%02x, %d: %t, %t", c.setup, c.pin, low, known)
		}
	}
}

func block(at byte, s string) i2ctest.IO {
	return i2ctest.IO{Addr: addr, W: []byte{at}, R: append([]byte{byte(len(s))}, s...)}
}

func setup(b byte) i2ctest.IO { return i2ctest.IO{Addr: addr, W: []byte{0xd9}, R: []byte{b}} }

func word(at byte, w uint16) i2ctest.IO {
	return i2ctest.IO{Addr: addr, W: []byte{at}, R: []byte{byte(w), byte(w >> 8)}}
}

var capability = i2ctest.IO{Addr: addr, W: []byte{0x19}, R: []byte{0x30}}

func identity(model string, b byte) []i2ctest.IO {
	return []i2ctest.IO{capability, block(0x99, "NSC"), block(0x9a, model), setup(b)}
}

func TestIdentify(t *testing.T) {
	for _, c := range []struct {
		name  string
		part  Part
		cl    CL
		ops   []i2ctest.IO
		fault drivers.Fault
	}{
		{"SMBus decides", LM5066I, CLUnknown, identity("LM5066I\x00", 0x04), drivers.None},
		{"the pin decides", LM5066, CLToVDD, identity("LM5066\x00\x00", 0x00), drivers.None},
		{"the pin decides and nobody says how", LM5066I, CLUnknown, identity("LM5066I\x00", 0x10), drivers.Mismatch},
		{"sister", LM5066, CLToVDD, []i2ctest.IO{capability, block(0x99, "NSC"), block(0x9a, "LM5066I\x00")}, drivers.WrongDevice},
		{"another maker", LM5066I, CLUnknown, []i2ctest.IO{capability, block(0x99, "LTC")}, drivers.WrongDevice},
		{"ones", LM5066I, CLUnknown, identity("LM5066I\x00", 0xff), drivers.Implausible},
	} {
		t.Run(c.name, func(t *testing.T) {
			bus := &i2ctest.Playback{DontPanic: true, Ops: c.ops}
			d, err := New(bus, Opts{Name: "t", Addr: addr, Part: c.part, ShuntOhm: 0.0005, CL: c.cl})
			if err != nil {
				t.Fatal(err)
			}
			id, err := d.Identify(t.Context())
			if drivers.FaultOf(err) != c.fault || err == nil && id.Part != string(c.part) {
				t.Errorf("%+v, %v", id, err)
			}
			if err := bus.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// DIAGNOSTIC_WORD, IIN, VOUT, VIN, PIN, temperature.
const telemetry = "\x00\x08\x7f\x01\xa6\x08\xa7\x08\xce\x00\xe0\x01"

func TestSense(t *testing.T) {
	const ein = "\x10\x7f\xfe\x00\x00\x01"
	sense := func(ops ...i2ctest.IO) []i2ctest.IO { return append(identity("LM5066I\x00", 0x04), ops...) }
	for _, c := range []struct {
		name  string
		ops   []i2ctest.IO
		fault drivers.Fault
		check func(m Measurement) bool
	}{
		{"under load", sense(word(0x79, 0), block(0xda, telemetry), word(0xd0, 0x0569), block(0x86, ein), setup(0x04)), drivers.None, func(m Measurement) bool {
			return about(float64(m.VIN.Value)/1e9, 48, 0.02) && about(float64(m.VOUT.Value)/1e9, 48, 0.02) &&
				about(float64(m.IIN.Value)/1e9, 9.993, 0.02) && about(float64(m.PIN.Value)/1e9, 480.75, 1.2) &&
				m.Temperature.Value == physic.ZeroCelsius+30*physic.Kelvin && about(float64(m.VAUX.Value)/1e9, 1, 0.001) &&
				m.Diagnostic == 0x0800 && m.Energy.Energy == 8_355_600 && m.Energy.Samples == 0x010000
		}},
		{"retries changed, the limit not", sense(word(0x79, 0), block(0xda, telemetry), word(0xd0, 0), block(0x86, ein), setup(0xe4)), drivers.None, func(m Measurement) bool {
			return m.Setup == 0xe4 && m.VIN.Fault == drivers.None
		}},
		{"13 bits of volts", sense(word(0x79, 0), block(0xda, "\x00\x00\x7f\x01\xa6\x18\xa7\x08\xce\x00\xe0\x01"), word(0xd0, 0), block(0x86, ein), setup(0x04)), drivers.None, func(m Measurement) bool {
			return m.VOUT.Fault == drivers.Implausible && m.VIN.Fault == drivers.None
		}},
		{"the limit changed", sense(word(0x79, 0), block(0xda, telemetry), word(0xd0, 0), block(0x86, ein), setup(0x14)), drivers.Mismatch, nil},
		{"the pin took over", sense(word(0x79, 0), block(0xda, telemetry), word(0xd0, 0), block(0x86, ein), setup(0x00)), drivers.Mismatch, nil},
		{"another length", sense(word(0x79, 0), i2ctest.IO{Addr: addr, W: []byte{0xda}, R: []byte("\x0a" + telemetry)}), drivers.Corrupt, nil},
		{"no supply", sense(word(0x79, 0), i2ctest.IO{Addr: addr, W: []byte{0xda}, R: ones(13)}), drivers.Implausible, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			bus := &i2ctest.Playback{DontPanic: true, Ops: c.ops}
			d := device(t, bus, LM5066I)
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
}

func TestLM5066HasNoEnergy(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true, Ops: append(identity("LM5066\x00\x00", 0x04), word(0x79, 0), block(0xda, telemetry), setup(0x04))}
	d := device(t, bus, LM5066)
	if _, err := d.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m, err := d.Sense(t.Context()); err != nil || m.Energy != nil || m.VAUX != nil || m.VIN == nil {
		t.Errorf("%+v, %v", m, err)
	}
	if err := bus.Close(); err != nil {
		t.Error(err)
	}
}

func TestBeforeIdentify(t *testing.T) {
	d := device(t, &i2ctest.Playback{DontPanic: true}, LM5066I)
	if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.NotRead) {
		t.Errorf("%v", err)
	}
	if w, ok := d.MeanPower(1); ok {
		t.Errorf("%v", w)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Identify(ctx); !errors.Is(err, drivers.Cancelled) {
		t.Errorf("%v", err)
	}
}

func TestMeanPower(t *testing.T) {
	d := device(t, &i2ctest.Playback{DontPanic: true, Ops: identity("LM5066I\x00", 0x04)}, LM5066I)
	if _, err := d.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w, ok := d.MeanPower(0xce); !ok || !about(float64(w)/float64(physic.Watt), 480.75, 1.2) {
		t.Errorf("%v, %t", w, ok)
	}
}

func FuzzTelemetry(f *testing.F) {
	f.Add([]byte(telemetry), false)
	f.Add(ones(12), true)
	f.Fuzz(func(t *testing.T, b []byte, low bool) {
		if len(b) != blockLen {
			return
		}
		var m Measurement
		m.fill(b, ScaleOf(LM5066I, low, 0.0005))
		for _, v := range []*pmbus.Voltage{m.VIN, m.VOUT} {
			if v.Fault == drivers.None && (v.Raw > 0x0fff || v.Value < -physic.Volt || v.Value > 100*physic.Volt) {
				t.Fatalf("%+v", v)
			}
		}
		if m.Temperature.Fault == drivers.None && m.Temperature.Value.Celsius() > 175 {
			t.Fatalf("%+v", m.Temperature)
		}
	})
}

func about(got, want, tolerance float64) bool { return math.Abs(got-want) <= tolerance }

func ones(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = 0xff
	}
	return b
}

func device(t *testing.T, bus i2c.Bus, p Part) *Dev {
	t.Helper()
	d, err := New(bus, Opts{Name: "t", Addr: addr, Part: p, ShuntOhm: 0.0005})
	if err != nil {
		t.Fatal(err)
	}
	return d
}
