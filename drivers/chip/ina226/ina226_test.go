package ina226

import (
	"context"
	"errors"
	"math"
	"testing"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2ctest"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
)

const addr = 0x40

// The board of the vectors: 1 milliohm, 2 mA for a step of the current register.
func board() Opts { return Opts{Name: "t", Addr: addr, ShuntOhm: 0.001, MaxA: 65.536} }

func TestNewChecksOptions(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true}
	if _, err := New(nil, board()); err == nil {
		t.Error("no bus was taken")
	}
	for name, change := range map[string]func(*Opts){
		"address below":         func(o *Opts) { o.Addr = 0x3f },
		"address above":         func(o *Opts) { o.Addr = 0x50 },
		"no shunt":              func(o *Opts) { o.ShuntOhm = 0 },
		"negative shunt":        func(o *Opts) { o.ShuntOhm = -0.001 },
		"shunt not a number":    func(o *Opts) { o.ShuntOhm = math.NaN() },
		"endless shunt":         func(o *Opts) { o.ShuntOhm = math.Inf(1) },
		"no current":            func(o *Opts) { o.MaxA = 0 },
		"negative current":      func(o *Opts) { o.MaxA = -10 },
		"current not a number":  func(o *Opts) { o.MaxA = math.NaN() },
		"more than full scale":  func(o *Opts) { o.MaxA = 82 },
		"too little for 15 bit": func(o *Opts) { o.MaxA = 5 },
	} {
		o := board()
		change(&o)
		if _, err := New(bus, o); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	o := board()
	o.MaxA = 81.92 // exactly full scale
	if _, err := New(bus, o); err != nil {
		t.Error(err)
	}
}

func TestCalibration(t *testing.T) {
	if cal, err := Calibration(65.536, 0.001); cal != 0x0a00 || err != nil {
		t.Errorf("%04x, %v", cal, err)
	}
	if cal, err := Calibration(8.192, 0.01); cal != 2048 || err != nil { // 0.25 mA a step, 10 milliohm
		t.Errorf("%d, %v", cal, err)
	}
}

func TestConversions(t *testing.T) {
	for _, c := range []struct {
		shunt, bus uint16
		mV, v      float64
		a, w       float64 // through 1 milliohm
	}{
		{0x1f40, 0x2580, 20, 12, 20, 240},
		{0xe0c0, 0x2580, -20, 12, -20, -240},
		{0x0000, 0x0000, 0, 0, 0, 0},
		{0x0001, 0x0001, 0.0025, 0.00125, 0.0025, 3.125e-6},
		{0xffff, 0x7080, -0.0025, 36, -0.0025, -0.09},
		{0x7ffe, 0x7ffe, 81.915, 40.9575, 81.915, 3355.0336},
	} {
		shunt, ok := ShuntVoltage(c.shunt)
		v, okV := BusVoltage(c.bus)
		i := Current(shunt, 0.001)
		if !ok || !okV {
			t.Fatalf("%04x %04x: no value", c.shunt, c.bus)
		}
		near(t, "mV", float64(shunt)/float64(physic.MilliVolt), c.mV)
		near(t, "V", float64(v)/float64(physic.Volt), c.v)
		near(t, "A", float64(i)/float64(physic.Ampere), c.a)
		near(t, "W", float64(Power(v, i))/float64(physic.Watt), c.w)
	}
	for _, code := range []uint16{0x7fff, 0x8000} {
		if v, ok := ShuntVoltage(code); ok || v != 0 {
			t.Errorf("shunt %04x: %v", code, v)
		}
	}
	for _, code := range []uint16{0x7fff, 0x8000, 0xa580, 0xffff} {
		if v, ok := BusVoltage(code); ok || v != 0 {
			t.Errorf("bus %04x: %v", code, v)
		}
	}
}

func TestSenseBytes(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		word(0x01, 0x1f40), word(0x02, 0x2580), word(0x00, 0x4527), word(0x05, 0x0a00),
	}}
	m, err := device(t, bus).Sense(t.Context())
	want := Measurement{
		Voltage: 12 * physic.Volt, Shunt: 20 * physic.MilliVolt, Current: 20 * physic.Ampere, Power: 240 * physic.Watt,
		Raw: Codes{Shunt: 0x1f40, Bus: 0x2580},
	}
	if err != nil || m != want {
		t.Errorf("%+v, %v", m, err)
	}
	if err := bus.Close(); err != nil {
		t.Error(err)
	}
}

func TestSenseFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		ops   []i2ctest.IO
		fault drivers.Fault
	}{
		{"back at defaults", []i2ctest.IO{word(0, 0x4127)}, drivers.Restarted},
		{"calibration lost", []i2ctest.IO{word(0, 0x4527), word(5, 0)}, drivers.Restarted},
		{"averaging moved", []i2ctest.IO{word(0, 0x4427)}, drivers.Mismatch},
		{"shut down", []i2ctest.IO{word(0, 0x4520)}, drivers.Mismatch},
		{"calibration moved", []i2ctest.IO{word(0, 0x4527), word(5, 0x0a01)}, drivers.Mismatch},
		{"held for the settings", []i2ctest.IO{word(0, 0)}, drivers.Mismatch},
		{"gone for the settings", []i2ctest.IO{word(0, 0xffff)}, drivers.Implausible},
		{"gone for the second", []i2ctest.IO{word(0, 0x4527), word(5, 0xffff)}, drivers.Implausible},
	} {
		bus := &i2ctest.Playback{DontPanic: true, Ops: append([]i2ctest.IO{word(1, 0x1f40), word(2, 0x2580)}, c.ops...)}
		m, err := device(t, bus).Sense(t.Context())
		if drivers.FaultOf(err) != c.fault {
			t.Errorf("%s: %v", c.name, err)
		}
		if m != (Measurement{}) {
			t.Errorf("%s: a failed sample gave %+v", c.name, m)
		}
		if err := bus.Close(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// What a bus gives by itself is confirmed: by the settings after it, and by a second look.
func TestSenseDoubtfulCodes(t *testing.T) {
	settings := []i2ctest.IO{word(0, 0x4527), word(5, 0x0a00)}
	for _, c := range []struct {
		name       string
		shunt, bus uint16
		then       []i2ctest.IO
		want       Codes
		fault      drivers.Fault
	}{
		{"no current", 0, 0x2580, append(settings, word(1, 0)), Codes{0, 0x2580}, drivers.None},
		{"a step below none", 0xffff, 0x2580, append(settings, word(1, 0xffff)), Codes{0xffff, 0x2580}, drivers.None},
		{"no supply", 0, 0, append(settings, word(1, 0), word(2, 0)), Codes{0, 0}, drivers.None},
		{"shunt held once", 0, 0x2580, append(settings, word(1, 0x1f40)), Codes{0x1f40, 0x2580}, drivers.None},
		{"shunt undriven once", 0xffff, 0x2580, append(settings, word(1, 0x1f40)), Codes{0x1f40, 0x2580}, drivers.None},
		{"bus held once", 0x1f40, 0, append(settings, word(2, 0x2580)), Codes{0x1f40, 0x2580}, drivers.None},
		{"bus undriven once", 0x1f40, 0xffff, append(settings, word(2, 0x2580)), Codes{0x1f40, 0x2580}, drivers.None},
		{"one thing and then the other", 0, 0x2580, append(settings, word(1, 0xffff)), Codes{}, drivers.Implausible},
		{"bus undriven twice", 0x1f40, 0xffff, append(settings, word(2, 0xffff)), Codes{}, drivers.Implausible},
		{"bus at its end", 0x1f40, 0x7fff, settings, Codes{}, drivers.Implausible},
		{"held for good", 0, 0, []i2ctest.IO{word(0, 0)}, Codes{}, drivers.Mismatch},
		{"nobody there", 0xffff, 0xffff, []i2ctest.IO{word(0, 0xffff)}, Codes{}, drivers.Implausible},
		{"lost its supply", 0, 0, []i2ctest.IO{word(0, 0x4127)}, Codes{}, drivers.Restarted},
	} {
		bus := &i2ctest.Playback{DontPanic: true, Ops: append([]i2ctest.IO{word(1, c.shunt), word(2, c.bus)}, c.then...)}
		m, err := device(t, bus).Sense(t.Context())
		if drivers.FaultOf(err) != c.fault || m.Raw != c.want {
			t.Errorf("%s: %+v, %v", c.name, m, err)
		}
		if err := bus.Close(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// A clipped shunt takes the current with it, and leaves the voltage.
func TestClippedShunt(t *testing.T) {
	for _, code := range []uint16{0x7fff, 0x8000} {
		m, err := device(t, &monitor{regs: running(code, 0x2580)}).Sense(t.Context())
		if err != nil || m.CurrentFault != drivers.Implausible {
			t.Fatalf("%04x: %+v, %v", code, m, err)
		}
		if m.Voltage != 12*physic.Volt || m.Current != 0 || m.Shunt != 0 || m.Power != 0 || m.Raw.Shunt != code {
			t.Errorf("%04x: %+v", code, m)
		}
	}
}

func TestSenseStopsAtAnyTransfer(t *testing.T) {
	for at := 1; at <= 4; at++ {
		m, err := device(t, &monitor{regs: running(0x1f40, 0x2580), failAt: at}).Sense(t.Context())
		if !errors.Is(err, drivers.NoAnswer) || m != (Measurement{}) {
			t.Errorf("transfer %d: %+v, %v", at, m, err)
		}
	}
}

func TestConfigure(t *testing.T) {
	c := &monitor{regs: map[byte]uint16{0x00: 0x4127}}
	d := device(t, c)
	if _, err := d.Sense(t.Context()); !errors.Is(err, drivers.Restarted) {
		t.Errorf("before: %v", err)
	}
	if err := d.Configure(t.Context()); err != nil || c.regs[0x00] != 0x4527 || c.regs[0x05] != 0x0a00 {
		t.Fatalf("%04x %04x, %v", c.regs[0x00], c.regs[0x05], err)
	}
	if _, err := d.Sense(t.Context()); err != nil {
		t.Errorf("after: %v", err)
	}
	for _, reg := range []byte{0x00, 0x05} {
		deaf := &monitor{regs: map[byte]uint16{0x00: 0x4127}, deaf: map[byte]bool{reg: true}}
		var e *drivers.Error
		if err := device(t, deaf).Configure(t.Context()); !errors.As(err, &e) || e.Fault != drivers.Mismatch || e.Reg != regName(reg) {
			t.Errorf("%s deaf: %v", regName(reg), err)
		}
	}
}

// However far Configure comes, the part is not taken for configured unless it is.
func TestConfigureInterrupted(t *testing.T) {
	for at := 1; at <= 4; at++ {
		c := &monitor{regs: map[byte]uint16{0x00: 0x4127}, failAt: at}
		d := device(t, c)
		if err := d.Configure(t.Context()); !errors.Is(err, drivers.NoAnswer) {
			t.Fatalf("transfer %d: %v", at, err)
		}
		whole := c.regs[0x00] == 0x4527 && c.regs[0x05] == 0x0a00
		if _, err := d.Sense(t.Context()); (err == nil) != whole {
			t.Errorf("transfer %d: %v", at, err)
		}
	}
}

func TestIdentify(t *testing.T) {
	for _, c := range []struct {
		maker, die uint16
		fault      drivers.Fault
	}{
		{0x5449, 0x2260, drivers.None},
		{0x5449, 0x3220, drivers.WrongDevice}, // an INA3221
		{0x5448, 0x2260, drivers.WrongDevice},
		{0x0000, 0x0000, drivers.WrongDevice},
		{0xffff, 0xffff, drivers.Implausible},
		{0x5449, 0xffff, drivers.Implausible},
	} {
		m := &monitor{regs: map[byte]uint16{0xfe: c.maker, 0xff: c.die}}
		id, err := device(t, m).Identify(t.Context())
		if drivers.FaultOf(err) != c.fault || (err == nil) != (id.Part == "INA226") {
			t.Errorf("%04x %04x: %+v, %v", c.maker, c.die, id, err)
		}
		if m.writes != 0 {
			t.Errorf("%04x %04x: identifying wrote", c.maker, c.die)
		}
	}
}

func TestEndOfContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := &monitor{regs: running(0, 0)}
	d := device(t, c)
	_, identified := d.Identify(ctx)
	_, sensed := d.Sense(ctx)
	for _, err := range []error{identified, sensed, d.Configure(ctx)} {
		if !errors.Is(err, drivers.Cancelled) {
			t.Errorf("%v", err)
		}
	}
	if c.transfers != 0 {
		t.Errorf("%d transfers", c.transfers)
	}
}

// Whatever the registers hold, a sample is whole or none, and its numbers follow from its codes.
func FuzzSense(f *testing.F) {
	for _, s := range [][4]uint16{
		{0x4527, 0x0a00, 0x1f40, 0x2580}, {0x4527, 0x0a00, 0x7fff, 0x2580}, {0x4127, 0, 0, 0}, {0xffff, 0xffff, 0xffff, 0xffff},
	} {
		f.Add(s[0], s[1], s[2], s[3])
	}
	f.Fuzz(func(t *testing.T, config, cal, shunt, bus uint16) {
		c := &monitor{regs: map[byte]uint16{0x00: config, 0x05: cal, 0x01: shunt, 0x02: bus}}
		m, err := device(t, c).Sense(t.Context())
		if err != nil {
			if m != (Measurement{}) {
				t.Fatalf("%+v beside %v", m, err)
			}
			return
		}
		if config != 0x4527 || cal != 0x0a00 || bus >= 0x7fff || m.Raw != (Codes{Shunt: shunt, Bus: bus}) {
			t.Fatalf("%04x %04x %04x %04x gave %+v", config, cal, shunt, bus, m)
		}
		if m.Voltage < 0 || m.Voltage >= 40960*physic.MilliVolt {
			t.Errorf("%v", m.Voltage)
		}
		if clipped := shunt == 0x7fff || shunt == 0x8000; clipped != (m.CurrentFault != drivers.None) {
			t.Errorf("%04x: fault %v", shunt, m.CurrentFault)
		}
		if (m.Current < 0) != (m.Shunt < 0) || (m.Power < 0) != (m.Shunt < 0 && bus > 0) {
			t.Errorf("signs of %+v", m)
		}
	})
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-7+1e-7*math.Abs(want) {
		t.Errorf("%s: %.9g, want %.9g", what, got, want)
	}
}

func word(reg byte, v uint16) i2ctest.IO {
	return i2ctest.IO{Addr: addr, W: []byte{reg}, R: []byte{byte(v >> 8), byte(v)}}
}

// running are the registers of a configured part.
func running(shunt, bus uint16) map[byte]uint16 {
	return map[byte]uint16{0x00: 0x4527, 0x05: 0x0a00, 0x01: shunt, 0x02: bus}
}

func device(t *testing.T, bus i2c.Bus) *Dev {
	t.Helper()
	d, err := New(bus, board())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// monitor is a register file with faults.
type monitor struct {
	regs      map[byte]uint16
	deaf      map[byte]bool // registers that take no write
	failAt    int           // this transfer is not acknowledged, counted from 1
	transfers int
	writes    int
}

func (c *monitor) String() string                  { return "monitor" }
func (c *monitor) SetSpeed(physic.Frequency) error { return nil }

func (c *monitor) Tx(_ uint16, w, r []byte) error {
	if c.transfers++; c.transfers == c.failAt {
		return drivers.NoAnswer
	}
	if len(r) == 0 {
		c.writes++
		if !c.deaf[w[0]] {
			c.regs[w[0]] = uint16(w[1])<<8 | uint16(w[2])
		}
		return nil
	}
	v := c.regs[w[0]]
	r[0], r[1] = byte(v>>8), byte(v)
	return nil
}
