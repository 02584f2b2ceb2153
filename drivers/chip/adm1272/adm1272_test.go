package adm1272

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2ctest"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/pmbus"
)

const addr = 0x10

func TestNewChecksOptions(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true}
	good := Opts{Name: "t", Addr: addr, Part: ADM1272, ShuntOhm: 0.0005}
	for _, c := range []struct {
		name string
		with func(o *Opts)
	}{
		{"reserved address", func(o *Opts) { o.Addr = 0x78 }},
		{"unknown part", func(o *Opts) { o.Part = "ADM1276" }},
		{"no part", func(o *Opts) { o.Part = "" }},
		{"no shunt", func(o *Opts) { o.ShuntOhm = 0 }},
		{"shunt in milliohms", func(o *Opts) { o.ShuntOhm = 500 }},
		{"not a number", func(o *Opts) { o.ShuntOhm = math.NaN() }},
		{"voltage range", func(o *Opts) { o.VoltageRange = 80 }},
		{"current range", func(o *Opts) { o.CurrentRange = 25 }},
		{"range of a part without", func(o *Opts) { o.Part, o.VoltageRange = ADM1278, 60 }},
	} {
		o := good
		c.with(&o)
		if _, err := New(bus, o); err == nil {
			t.Errorf("%s was taken", c.name)
		}
	}
	if _, err := New(nil, good); err == nil {
		t.Error("no bus was taken")
	}
	if d, err := New(bus, good); err != nil || d.String() != `adm1272 "t"` {
		t.Errorf("%v, %v", d, err)
	}
}

// Worked numbers of the Linux driver adm1275. 1272: bit 5 is 100 V, bit 0 30 mV.
func TestScale(t *testing.T) {
	const v60, v100mV30, mV30, vBit = 0x3f14, 0x3f35, 0x3f15, 0x20
	volts := func(s Scale) pmbus.Direct { return s.Voltage }
	amperes := func(s Scale) pmbus.Direct { return s.Current }
	watts := func(s Scale) pmbus.Direct { return s.Power }
	celsius := func(s Scale) pmbus.Direct { return s.Temperature }
	for _, c := range []struct {
		part   Part
		config uint16
		shunt  float64
		of     func(Scale) pmbus.Direct
		value  float64
		code   uint16
	}{
		{ADM1272, v100mV30, 0.0005, volts, 51.18, 0x081f},
		{ADM1272, v100mV30, 0.0005, volts, 11.989, 0x01e7},
		{ADM1272, v60, 0.0005, volts, 48, 0x0cb2},
		{ADM1272, v100mV30, 0.0005, amperes, 20, 0x0a97},
		{ADM1272, mV30, 0.001, amperes, 20, 0x0d2e},
		{ADM1272, v60, 0.0005, amperes, 0, 0x0800},
		{ADM1272, v100mV30, 0.0005, amperes, 0, 0x0800},
		{ADM1272, v100mV30, 0.0005, watts, 1000, 0x1494},
		{ADM1272, v100mV30, 0.0005, celsius, 24.98, 0x0cdc},
		{ADM1278, v100mV30, 0.0005, volts, 12, 0x0930},
		{ADM1278, v100mV30, 0.0005, amperes, 30.0125, 0x0cb0},
		{ADM1278, v100mV30, 0.0005, watts, 360, 0x2b0d},
		{ADM1278, v100mV30, 0.0005, celsius, 40, 0x0d1c},
		{ADM1275, vBit, 0.001, volts, 12, 0x0900},
		{ADM1275, vBit, 0.001, amperes, 10, 0x0b26},
	} {
		d := c.of(ScaleOf(c.part, c.config, c.shunt))
		if got, ok := d.Encode(c.value); !ok || got != c.code {
			t.Errorf("%s %v: %04x, %t, want %04x", c.part, c.value, got, ok, c.code)
		}
		step := math.Pow10(-d.R) / d.M
		if v, ok := d.Decode(c.code); !ok || math.Abs(v-c.value) > step {
			t.Errorf("%s %04x: %v, %t, want %v", c.part, c.code, v, ok, c.value)
		}
	}
	// The other three powers of the 1272, by its coefficients.
	for config, code := range map[uint16]uint16{0x3f34: 10536, 0x3f15: 8780, 0x3f14: 17560} {
		if got, ok := ScaleOf(ADM1272, config, 0.0005).Power.Encode(1000); !ok || got != code {
			t.Errorf("%04x: 1000 W is %d, %t", config, got, ok)
		}
	}
	// A wrong range bit is off by these factors and no more: the code alone does not show it.
	v60V, _ := ScaleOf(ADM1272, v60, 0.001).Voltage.Decode(0x081f)
	v100V, _ := ScaleOf(ADM1272, v100mV30, 0.001).Voltage.Decode(0x081f)
	if r := v100V / v60V; math.Abs(r-1.67) > 0.005 {
		t.Errorf("ratio of the ranges %v", r)
	}
}

func TestCodesThatAreNoValue(t *testing.T) {
	s := ScaleOf(ADM1272, 0x3f3f, 0.0005)
	for _, c := range []struct {
		name string
		d    pmbus.Decode
		code uint16
	}{
		{"-61 A", s.current(), 0},
		{"current of 13 bits", s.current(), 0x1000},
		{"voltage of 13 bits", s.Voltage.Decode, 0x1000},
		{"temperature of 13 bits", s.celsius(), 0x1cdc},
		{"-759 degrees", s.celsius(), 0},
	} {
		if v, ok := c.d(c.code); ok {
			t.Errorf("%s: %v", c.name, v)
		}
	}
	if v, ok := s.current()(1); !ok || math.Abs(v+61.7) > 0.1 {
		t.Errorf("code 1: %v, %t", v, ok)
	}
}

func TestIdentify(t *testing.T) {
	for _, c := range []struct {
		name  string
		with  func(p *part, o *Opts)
		fault drivers.Fault
	}{
		{"the model of QEMU", nil, drivers.None},
		{"another length of name", func(p *part, _ *Opts) { p.blocks[0x9a] = "ADM1272-1ACPZ" }, drivers.None},
		{"ranges as expected", func(_ *part, o *Opts) { o.VoltageRange, o.CurrentRange = 100, 30 }, drivers.None},
		{"another maker", func(p *part, _ *Opts) { p.blocks[0x99] = "LTC" }, drivers.WrongDevice},
		{"longer maker", func(p *part, _ *Opts) { p.blocks[0x99] = "ADI2" }, drivers.WrongDevice},
		{"sister", func(p *part, _ *Opts) { p.blocks[0x9a] = "ADM1278-A1" }, drivers.WrongDevice},
		{"other voltage range", func(_ *part, o *Opts) { o.VoltageRange = 60 }, drivers.Mismatch},
		{"other current range", func(_ *part, o *Opts) { o.CurrentRange = 15 }, drivers.Mismatch},
		{"samples on demand", func(p *part, _ *Opts) { p.words[0xd4] = 0x3f25 }, drivers.Mismatch},
		{"settings read ones", func(p *part, _ *Opts) { p.words[0xd4] = 0xffff }, drivers.Implausible},
		{"nobody drives the line", func(p *part, _ *Opts) { p.float = true }, drivers.Implausible},
		{"absent", func(p *part, _ *Opts) { p.err = drivers.NoAnswer }, drivers.NoAnswer},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, o := fresh(), Opts{Name: "t", Addr: addr, Part: ADM1272, ShuntOhm: 0.0005}
			if c.with != nil {
				c.with(p, &o)
			}
			d, err := New(p, o)
			if err != nil {
				t.Fatal(err)
			}
			id, err := d.Identify(t.Context())
			if drivers.FaultOf(err) != c.fault {
				t.Fatal(err)
			}
			if err == nil && (id.Part != "ADM1272" || id.Product != p.blocks[0x9a]) {
				t.Errorf("%+v", id)
			}
			if len(p.written) != 0 {
				t.Errorf("identifying wrote %x", p.written)
			}
		})
	}
}

// The bytes of an ADM1272 at its defaults, 100 V and 30 mV over 0.5 milliohm.
func TestSense(t *testing.T) {
	word := func(at byte, w uint16) i2ctest.IO {
		return i2ctest.IO{Addr: addr, W: []byte{at}, R: []byte{byte(w), byte(w >> 8)}}
	}
	block := func(at byte, s string) i2ctest.IO {
		return i2ctest.IO{Addr: addr, W: []byte{at}, R: append([]byte{byte(len(s))}, s...)}
	}
	ein := block(0xdc, "\x56\x34\x12\x02\x01\x33\x22\x11")
	bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		{Addr: addr, W: []byte{0x19}, R: []byte{0x30}},
		block(0x99, "ADI"), block(0x9a, "ADM1272-A1"), word(0xd4, 0x3f35),
		// Sense: neither VOUT nor temperature is sampled.
		word(0x79, 0x0000), word(0x8c, 0x0a97), word(0x88, 0x081f), word(0x97, 0x1494), ein, word(0xd4, 0x3f35),
		// Configure
		word(0xd4, 0x3f35),
		{Addr: addr, W: []byte{0xd4, 0x3f, 0x3f}},
		word(0xd4, 0x3f3f),
		// Sense
		word(0x79, 0x0000), word(0x8c, 0x0800), word(0x88, 0x081f), word(0x8b, 0x01e7), word(0x97, 0x0000), ein, word(0x8d, 0x0cdc), word(0xd4, 0x3f3f),
		word(0x97, 0x0000), // once more: this part does not check its transfers
	}}
	d := device(t, bus, ADM1272)
	if _, err := d.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	m, err := d.Sense(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	near(t, "VIN", float64(m.VIN.Value)/float64(physic.Volt), 51.18, 0.013)
	near(t, "IOUT", float64(m.IOUT.Value)/float64(physic.Ampere), 20, 0.02)
	near(t, "PIN", float64(m.PIN.Value)/float64(physic.Watt), 1000, 0.1)
	if m.VOUT != nil || m.Temperature != nil {
		t.Errorf("what is not sampled is absent: %+v, %+v", m.VOUT, m.Temperature)
	}
	if m.Energy.Fault != drivers.None || m.Energy.Count != (pmbus.Count{Energy: 0x102*0x800000 + 0x123456, Samples: 0x112233}) {
		t.Errorf("%+v", m.Energy)
	}
	if err := d.Configure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m, err = d.Sense(t.Context()); err != nil {
		t.Fatal(err)
	}
	near(t, "VOUT", float64(m.VOUT.Value)/float64(physic.Volt), 11.989, 0.013)
	near(t, "temperature", m.Temperature.Value.Celsius(), 24.98, 0.01)
	if m.IOUT.Value != 0 || m.IOUT.Raw != 0x0800 || m.Config != 0x3f3f {
		t.Errorf("%+v", m.IOUT)
	}
	if w, ok := d.MeanPower(0x1494); !ok || math.Abs(float64(w)/float64(physic.Watt)-1000) > 0.1 {
		t.Errorf("mean power %v, %t", w, ok)
	}
	if err := bus.Close(); err != nil {
		t.Error(err)
	}
}

func TestSenseOfTheOthers(t *testing.T) {
	p := fresh()
	p.blocks[0x9a] = "ADM1278-A1"
	d := identified(t, p, ADM1278)
	m, err := d.Sense(t.Context())
	if err != nil || m.VIN == nil || m.PIN == nil || m.Temperature != nil {
		t.Errorf("ADM1278: %+v, %v", m, err)
	}
	for _, c := range []struct {
		config    byte
		vin, vout bool
	}{{0x20, true, false}, {0x60, false, true}} {
		p := fresh()
		p.blocks[0x9a], p.bytes[0xd4] = "ADM1275-1", c.config
		d := identified(t, p, ADM1275)
		if err := d.Configure(t.Context()); err != nil || len(p.written) != 0 {
			t.Errorf("configure: %v, %x", err, p.written)
		}
		m, err := d.Sense(t.Context())
		if err != nil || (m.VIN != nil) != c.vin || (m.VOUT != nil) != c.vout || m.PIN != nil || m.Energy != nil || m.Temperature != nil {
			t.Errorf("ADM1275 %02x: %+v, %v", c.config, m, err)
		}
		if _, ok := d.MeanPower(1); ok {
			t.Error("the ADM1275 measures no power")
		}
	}
}

func TestSenseFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		with  func(p *part)
		fault drivers.Fault
		after func(m Measurement) bool
	}{
		{"steady", func(*part) {}, drivers.None, func(m Measurement) bool { return m.VOUT != nil && m.Temperature != nil }},
		{"back at the default", func(p *part) { p.words[0xd4] = 0x3f35 }, drivers.Restarted, nil},
		{"another range", func(p *part) { p.words[0xd4] = 0x3f1f }, drivers.Mismatch, nil},
		{"no current code", func(p *part) { p.words[0x8c] = 0 }, drivers.None, func(m Measurement) bool { return m.IOUT.Fault == drivers.Implausible && m.VIN.Fault == drivers.None }},
		{"nothing converted yet", func(p *part) { p.words[0x8c], p.words[0x88], p.words[0x97] = 0, 0, 0 }, drivers.None, func(m Measurement) bool {
			return m.IOUT.Fault == drivers.Implausible && m.VIN.Fault == drivers.Implausible && m.PIN.Fault == drivers.Implausible && m.VOUT.Fault == drivers.None
		}},
		{"no input", func(p *part) { p.words[0x8c], p.words[0x88], p.words[0x97] = 0x0800, 0, 0 }, drivers.None, func(m Measurement) bool {
			return m.VIN.Fault == drivers.None && m.VIN.Value == 0 && m.PIN.Fault == drivers.None
		}},
		{"13 bits", func(p *part) { p.words[0x88] = 0x181f }, drivers.None, func(m Measurement) bool { return m.VIN.Fault == drivers.Implausible }},
		{"energy of another length", func(p *part) { p.blocks[0xdc] = "\x00\x00\x00\x00\x00\x00" }, drivers.None, func(m Measurement) bool { return m.Energy.Fault == drivers.Corrupt }},
		{"no supply", func(p *part) { p.float = true }, drivers.Implausible, nil},
		{"absent", func(p *part) { p.err = drivers.NoAnswer }, drivers.NoAnswer, nil},
		{"timeout", func(p *part) { p.err = drivers.Timeout }, drivers.Timeout, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := fresh()
			p.words[0xd4] = 0x3f3f
			d := identified(t, p, ADM1272)
			c.with(p)
			m, err := d.Sense(t.Context())
			if drivers.FaultOf(err) != c.fault {
				t.Fatal(err)
			}
			if err == nil && !c.after(m) {
				t.Errorf("%+v", m)
			}
			if err != nil && m != (Measurement{}) {
				t.Errorf("half a measurement: %+v", m)
			}
		})
	}
	if _, err := device(t, fresh(), ADM1272).Sense(t.Context()); !errors.Is(err, drivers.NotRead) {
		t.Errorf("before Identify: %v", err)
	}
}

func TestConfigure(t *testing.T) {
	for _, c := range []struct {
		name  string
		with  func(p *part)
		fault drivers.Fault
		want  uint16
	}{
		{"keeps what is set", func(*part) {}, drivers.None, 0x3f3f},
		{"after a restart", func(p *part) { p.words[0xd4] = 0x3f35 }, drivers.None, 0x3f3f},
		{"range changed meanwhile", func(p *part) { p.words[0xd4] = 0x3f15 }, drivers.Mismatch, 0x3f15},
		{"does not take it", func(p *part) { p.deaf = true }, drivers.Mismatch, 0x3f35},
		{"absent", func(p *part) { p.err = drivers.NoAnswer }, drivers.NoAnswer, 0x3f35},
	} {
		p := fresh()
		d := identified(t, p, ADM1272)
		c.with(p)
		if err := d.Configure(t.Context()); drivers.FaultOf(err) != c.fault || p.words[0xd4] != c.want {
			t.Errorf("%s: %v, %04x", c.name, err, p.words[0xd4])
		}
	}
	if err := device(t, fresh(), ADM1272).Configure(t.Context()); !errors.Is(err, drivers.NotRead) {
		t.Errorf("before Identify: %v", err)
	}
}

func TestReadOperation(t *testing.T) {
	for _, c := range []struct {
		value byte
		on    bool
		fault drivers.Fault
	}{
		{0x80, true, drivers.None},
		{0x00, false, drivers.None},
		{0x40, false, drivers.Foreign},
		{0xa8, false, drivers.Foreign},
		{0x01, false, drivers.Foreign},
		{0xff, false, drivers.Implausible},
	} {
		p := fresh()
		p.bytes[0x01] = c.value
		if on, err := device(t, p, ADM1272).ReadOperation(t.Context()); on != c.on || drivers.FaultOf(err) != c.fault {
			t.Errorf("%02x: %t, %v", c.value, on, err)
		}
	}
	p := fresh()
	p.err = drivers.NoAnswer
	if _, err := device(t, p, ADM1272).ReadOperation(t.Context()); !errors.Is(err, drivers.NoAnswer) {
		t.Errorf("%v", err)
	}
}

// Off is what a held bus reads: without a packet error code it is read twice, and the part says who it is in between.
func TestOffIsReadTwice(t *testing.T) {
	operation := func(v byte) i2ctest.IO { return i2ctest.IO{Addr: addr, W: []byte{0x01}, R: []byte{v}} }
	maker := func(s string) i2ctest.IO { return i2ctest.IO{Addr: addr, W: []byte{0x99}, R: []byte(s)} }
	for _, c := range []struct {
		name  string
		ops   []i2ctest.IO
		on    bool
		fault drivers.Fault
	}{
		{"off", []i2ctest.IO{operation(0), maker("\x03ADI"), operation(0)}, false, drivers.None},
		{"held once", []i2ctest.IO{operation(0), maker("\x03ADI"), operation(0x80)}, true, drivers.None},
		{"held for good", []i2ctest.IO{operation(0), maker("\x00\x00\x00\x00")}, false, drivers.Corrupt},
		{"somebody else", []i2ctest.IO{operation(0), maker("\x03LTC")}, false, drivers.Implausible},
		{"off, and then gone", []i2ctest.IO{operation(0), maker("\x03ADI"), operation(0xff)}, false, drivers.Implausible},
		{"on", []i2ctest.IO{operation(0x80)}, true, drivers.None},
	} {
		bus := &i2ctest.Playback{DontPanic: true, Ops: c.ops}
		if on, err := device(t, bus, ADM1272).ReadOperation(t.Context()); on != c.on || drivers.FaultOf(err) != c.fault {
			t.Errorf("%s: %t, %v", c.name, on, err)
		}
		if err := bus.Close(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestWriteOperation(t *testing.T) {
	for _, c := range []struct {
		name   string
		with   func(p *part)
		fault  drivers.Fault
		handed bool
		read   bool
		holds  byte
	}{
		{"off", func(*part) {}, drivers.None, true, true, 0x00},
		{"off is off already", func(p *part) { p.bytes[0x01] = 0 }, drivers.None, true, true, 0x00},
		{"lost acknowledgement of a write that worked", func(p *part) { p.writeErr = drivers.NoAnswer }, drivers.None, true, true, 0x00},
		{"refused", func(p *part) { p.writeErr, p.deaf = drivers.NoAnswer, true }, drivers.Mismatch, true, true, 0x80},
		{"taken and not kept", func(p *part) { p.deaf = true }, drivers.Mismatch, true, true, 0x80},
		{"no read-back", func(p *part) { p.readErr = drivers.Timeout }, drivers.Timeout, true, false, 0x00},
		{"the bus refuses", func(p *part) { p.err = drivers.Foreign }, drivers.Foreign, false, false, 0x80},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := fresh()
			d := identified(t, p, ADM1272)
			c.with(p)
			w, err := d.WriteOperation(t.Context(), false)
			if drivers.FaultOf(err) != c.fault {
				t.Errorf("%v", err)
			}
			if w.At.IsZero() == c.handed || w.Read.IsZero() == c.read || p.bytes[0x01] != c.holds {
				t.Errorf("%+v, the part holds %02x", w, p.bytes[0x01])
			}
			if n := len(p.written); n > 1 {
				t.Errorf("written %d times", n)
			}
			if len(p.written) == 1 && !slices.Equal(p.written[0], []byte{0x01, 0x00}) {
				t.Errorf("wrote %x", p.written[0])
			}
		})
	}
	p := fresh()
	p.bytes[0x01] = 0
	if w, err := identified(t, p, ADM1272).WriteOperation(t.Context(), true); err != nil || w.Word != 0x80 || p.bytes[0x01] != 0x80 {
		t.Errorf("on: %+v, %v", w, err)
	}
}

// Nothing is switched on a part that was not, or is no longer, the one the options name.
func TestWriteNeedsIdentity(t *testing.T) {
	p := fresh()
	d := device(t, p, ADM1272)
	if w, err := d.WriteOperation(t.Context(), false); !errors.Is(err, drivers.NotRead) || !w.At.IsZero() || len(p.written) != 0 {
		t.Errorf("not identified: %+v, %v", w, err)
	}
	if _, err := d.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	act := d.On(p) // another handle shares what was learnt
	if w, err := act.WriteOperation(t.Context(), false); err != nil || w.At.IsZero() {
		t.Errorf("%+v, %v", w, err)
	}
	p.blocks[0x9a], p.written = "ADM1278-A1", nil
	if _, err := d.Identify(t.Context()); !errors.Is(err, drivers.WrongDevice) {
		t.Fatal(err)
	}
	for _, on := range []bool{true, false} {
		if w, err := act.WriteOperation(t.Context(), on); !errors.Is(err, drivers.NotRead) || !w.At.IsZero() || len(p.written) != 0 {
			t.Errorf("swapped: on %t: %+v, %v", on, w, err)
		}
	}
}

// A set-up that the options do not say spoils the readings. It keeps no load on, and puts none on that nothing could show.
func TestWriteWithAnotherSetUp(t *testing.T) {
	for name, c := range map[string]struct {
		with  func(p *part)
		fault drivers.Fault
	}{
		"range of volts":     {func(p *part) { p.words[0xd4] = 0x3f15 }, drivers.Mismatch},
		"range of current":   {func(p *part) { p.words[0xd4] = 0x3f34 }, drivers.Mismatch},
		"samples on demand":  {func(p *part) { p.words[0xd4] = 0x3f25 }, drivers.Mismatch},
		"set-up is not read": {func(p *part) { p.words[0xd4] = 0xffff }, drivers.Implausible},
	} {
		p := fresh()
		c.with(p)
		d, err := New(p, Opts{Name: "t", Addr: addr, Part: ADM1272, ShuntOhm: 0.0005, VoltageRange: 100, CurrentRange: 30})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Identify(t.Context()); drivers.FaultOf(err) != c.fault {
			t.Errorf("%s: %v", name, err)
		}
		act := d.On(p)
		if w, err := act.WriteOperation(t.Context(), true); !errors.Is(err, drivers.NotRead) || !errors.Is(err, errUnfit) || !w.At.IsZero() || len(p.written) != 0 {
			t.Errorf("%s: on: %+v, %v", name, w, err)
		}
		if w, err := act.WriteOperation(t.Context(), false); err != nil || w.Read.IsZero() || p.bytes[0x01] != 0 {
			t.Errorf("%s: off: %+v, %v", name, w, err)
		}
		if m, err := d.Sense(t.Context()); !errors.Is(err, drivers.NotRead) || m != (Measurement{}) {
			t.Errorf("%s: a reading of unknown scale: %+v, %v", name, m, err)
		}
	}
}

// The same where the set-up fitted once: on is refused from the look on that finds it changed, until one finds it right.
func TestSetUpChangesUnderTheOptions(t *testing.T) {
	p := fresh()
	d, err := New(p, Opts{Name: "t", Addr: addr, Part: ADM1272, ShuntOhm: 0.0005, VoltageRange: 100, CurrentRange: 30})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		config uint16
		fault  drivers.Fault
		on     drivers.Fault
	}{{0x3f35, drivers.None, drivers.None}, {0x3f15, drivers.Mismatch, drivers.NotRead}, {0x3f35, drivers.None, drivers.None}} {
		p.words[0xd4] = c.config
		if _, err := d.Identify(t.Context()); drivers.FaultOf(err) != c.fault {
			t.Errorf("%04x: %v", c.config, err)
		}
		if _, err := d.WriteOperation(t.Context(), false); err != nil {
			t.Errorf("%04x: off: %v", c.config, err)
		}
		if _, err := d.WriteOperation(t.Context(), true); drivers.FaultOf(err) != c.on {
			t.Errorf("%04x: on: %v", c.config, err)
		}
	}
	// A sample that finds it as it was is such a look, too.
	p.words[0xd4] = 0x3f15
	_, idErr := d.Identify(t.Context())
	_, err = d.Sense(t.Context())
	if !errors.Is(idErr, drivers.Mismatch) || !errors.Is(err, drivers.Mismatch) {
		t.Errorf("%v, %v", idErr, err)
	}
	p.words[0xd4] = 0x3f35
	if _, err := d.Sense(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := d.WriteOperation(t.Context(), true); err != nil {
		t.Errorf("on: %v", err)
	}
}

func TestEndOfContext(t *testing.T) {
	p := fresh()
	d := identified(t, p, ADM1272)
	ctx, cancel := context.WithCancel(t.Context())
	p.onWrite = cancel
	if w, err := d.WriteOperation(ctx, false); err != nil || w.Read.IsZero() {
		t.Errorf("context ended during the write: %+v, %v: the read-back is owed", w, err)
	}
	if w, err := d.WriteOperation(ctx, true); !errors.Is(err, drivers.Cancelled) || !w.At.IsZero() || p.bytes[0x01] != 0 {
		t.Errorf("context ended before the write: %+v, %v", w, err)
	}
	if _, err := d.Sense(ctx); !errors.Is(err, drivers.Cancelled) {
		t.Errorf("%v", err)
	}
}

func FuzzSense(f *testing.F) {
	f.Add([]byte("\x30\x03ADI\x0aADM1272-A1\x3f\x3f"), byte(0))
	f.Add([]byte("\xff"), byte(1))
	f.Add([]byte("\x00\x08"), byte(2))
	f.Fuzz(func(t *testing.T, answers []byte, which byte) {
		o := Opts{Name: "t", Addr: addr, Part: []Part{ADM1272, ADM1275, ADM1278}[which%3], ShuntOhm: 0.0005}
		d, err := New(&part{babble: answers, float: len(answers) == 0}, o)
		if err != nil {
			t.Fatal(err)
		}
		config := uint16(0x3f3f)
		d.config.Store(&config)
		m, err := d.Sense(context.Background())
		if err != nil {
			return
		}
		for _, v := range []*pmbus.Voltage{m.VIN, m.VOUT} {
			if v != nil && v.Fault == drivers.None && (v.Raw > 0x0fff || v.Value < 0 || v.Value > 110*physic.Volt) {
				t.Fatalf("%+v", v)
			}
		}
		if m.IOUT.Fault == drivers.None && (m.IOUT.Raw == 0 || m.IOUT.Raw > 0x0fff) {
			t.Fatalf("%+v", m.IOUT)
		}
	})
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func device(t *testing.T, bus i2c.Bus, p Part) *Dev {
	t.Helper()
	d, err := New(bus, Opts{Name: "t", Addr: addr, Part: p, ShuntOhm: 0.0005})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func identified(t *testing.T, p *part, which Part) *Dev {
	t.Helper()
	d := device(t, p, which)
	if _, err := d.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

// part is a register file with faults.
type part struct {
	words             map[byte]uint16
	bytes             map[byte]byte
	blocks            map[byte]string
	written           [][]byte
	err               error // of every transfer, which then does nothing
	writeErr, readErr error
	deaf              bool // registers do not change
	float             bool // nobody drives the line
	onWrite           func()
	babble            []byte
	n                 int
}

func fresh() *part {
	return &part{
		words: map[byte]uint16{
			0x79: 0, 0x88: 0x081f, 0x8b: 0x01e7, 0x8c: 0x0a97, 0x97: 0x1494, 0x8d: 0x0cdc, 0xd4: 0x3f35,
		},
		bytes:  map[byte]byte{0x01: 0x80, 0x19: 0x30},
		blocks: map[byte]string{0x99: "ADI", 0x9a: "ADM1272-A1", 0xdc: "\x00\x00\x00\x00\x00\x00\x00\x00"},
	}
}

func (p *part) String() string                  { return "part" }
func (p *part) SetSpeed(physic.Frequency) error { return nil }

func (p *part) Tx(_ uint16, w, r []byte) error {
	switch {
	case p.err != nil:
		return p.err
	case len(r) > 0:
		p.answer(w[0], r)
		return p.readErr
	}
	p.written = append(p.written, slices.Clone(w))
	if p.onWrite != nil {
		p.onWrite()
	}
	if !p.deaf {
		if len(w) == 2 {
			p.bytes[w[0]] = w[1]
		} else {
			p.words[w[0]] = binary.LittleEndian.Uint16(w[1:])
		}
	}
	return p.writeErr
}

func (p *part) answer(at byte, r []byte) {
	v, isWord := p.words[at]
	for i := range r {
		r[i] = 0xff
	}
	switch {
	case len(p.babble) > 0:
		for i := range r {
			r[i] = p.babble[p.n%len(p.babble)]
			p.n++
		}
	case p.float:
	case p.blocks[at] != "":
		copy(r, append([]byte{byte(len(p.blocks[at]))}, p.blocks[at]...))
	case isWord && len(r) == 2:
		r[0], r[1] = byte(v), byte(v>>8)
	default:
		if b, ok := p.bytes[at]; ok {
			r[0] = b
		}
	}
}
