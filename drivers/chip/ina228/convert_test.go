package ina228

import (
	"math"
	"testing"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
)

func TestShuntCal(t *testing.T) {
	for _, c := range []struct {
		name   string
		part   Part
		narrow bool
		maxA   float64
		ohm    float64
		want   uint16
	}{
		{"INA238, 5 mA a step", INA238, false, 163.84, 0.0005, 0x0800},
		{"INA237 alike", INA237, false, 163.84, 0.0005, 0x0800},
		{"INA228, 200 A", INA228, false, 200, 0.0002, 1000},
		{"INA228, narrow", INA228, true, 200, 0.0002, 4000},
		{"full scale is the power-on value", INA228, false, 163.84, 0.001, 4096},
	} {
		o := Opts{Part: c.part, Narrow: c.narrow, MaxA: c.maxA, ShuntOhm: c.ohm}
		got, err := o.shuntCal()
		if err != nil || got != c.want {
			t.Errorf("%s: %d, %v", c.name, got, err)
		}
		near(t, c.name, o.currentLSB(got), CurrentLSB(c.part, c.maxA))
	}
}

// SHUNT_CAL is a whole number: what a count means follows from the rounded one.
func TestRoundedCalibration(t *testing.T) {
	o := Opts{Part: INA228, MaxA: 10, ShuntOhm: 0.00001} // 2.5 rounds to 3
	cal, err := o.shuntCal()
	if err != nil || cal != 3 {
		t.Fatalf("%d, %v", cal, err)
	}
	near(t, "A", o.currentLSB(cal), 1.2*CurrentLSB(INA228, 10))
}

func TestEnergyCount(t *testing.T) {
	count := EnergyCount(CurrentLSB(INA228, 200))
	near(t, "J", count, 0.01953125)
	if h := count * (1 << 40) / 10_000 / 3600; math.Round(h) != 597 {
		t.Errorf("rolls over after %g h at 10 kW", h)
	}
}

func TestEnergyDelta(t *testing.T) {
	const top = 1<<40 - 1
	for _, c := range []struct {
		name          string
		before, after uint64
		overflow      bool
		want          uint64
		ok            bool
	}{
		{"runs", 5, 1005, false, 1000, true},
		{"stands", 5, 5, false, 0, true},
		{"turns", top, 0, true, 1, true},
		{"turns", top - 99, 400, true, 500, true},
		{"began again", 1005, 5, false, 0, false},
		{"began again at 0", top, 0, false, 0, false},
		{"flag of an earlier turn", 5, 1005, true, 1000, true},
		{"all there is", 0, top, false, top, true},
	} {
		if got, ok := EnergyDelta(c.before, c.after, c.overflow); got != c.want || ok != c.ok {
			t.Errorf("%s: %d, %t", c.name, got, ok)
		}
	}
}

func TestChargeDelta(t *testing.T) {
	const most = 1<<39 - 1
	for _, c := range []struct{ before, after, want int64 }{
		{0, 5, 5},
		{5, 0, -5},
		{-3, 4, 7},
		{most, -most - 1, 1},
		{-most - 1, most, -1},
	} {
		if got := ChargeDelta(c.before, c.after); got != c.want {
			t.Errorf("%d to %d: %d", c.before, c.after, got)
		}
	}
}

func TestBusVoltage(t *testing.T) {
	for _, c := range []struct {
		part Part
		code uint32
		want float64
		ok   bool
	}{
		{INA238, 0x3c00, 48, true},
		{INA237, 0x3c00, 48, true},
		{INA228, 0x3c0000, 48, true},
		{INA238, 0, 0, true},
		{INA228, 0, 0, true},
		{INA228, 0x000010, 195.3125e-6, true},
		{INA238, 0x0001, 3.125e-3, true},
		{INA238, 0x6a40, 85, true},
		{INA238, 0x7fff, 0, false},
		{INA238, 0x8000, 0, false},
		{INA238, 0xffff, 0, false},
		{INA228, 0x3c0001, 0, false},
		{INA228, 0x7ffff0, 0, false},
		{INA228, 0x800000, 0, false},
		{INA228, 0xffffff, 0, false},
	} {
		got, ok := BusVoltage(c.part, c.code)
		if ok != c.ok {
			t.Errorf("%s %x: %v, %t", c.part, c.code, got, ok)
		}
		near(t, "V", float64(got)/float64(physic.Volt), c.want)
	}
}

func TestShuntVoltage(t *testing.T) {
	for _, c := range []struct {
		part   Part
		narrow bool
		code   uint32
		want   float64 // mV
		fault  drivers.Fault
	}{
		{INA238, false, 0x4000, 81.92, drivers.None},
		{INA238, true, 0x4000, 20.48, drivers.None},
		{INA238, false, 0xc000, -81.92, drivers.None},
		{INA238, false, 0xffff, -0.005, drivers.None},
		{INA238, true, 0x0001, 0.00125, drivers.None},
		{INA238, false, 0x7fff, 0, drivers.Implausible},
		{INA238, false, 0x8000, 0, drivers.Implausible},
		{INA228, false, 0x400000, 81.92, drivers.None},
		{INA228, true, 0x400000, 20.48, drivers.None},
		{INA228, false, 0xfffff0, -0.0003125, drivers.None},
		{INA228, false, 0x000020, 0.000625, drivers.None},
		{INA228, false, 0x7ffff0, 0, drivers.Implausible},
		{INA228, false, 0x800000, 0, drivers.Implausible},
		{INA228, false, 0xffffff, 0, drivers.Corrupt},
		{INA228, false, 0x400001, 0, drivers.Corrupt},
	} {
		got, fault := ShuntVoltage(c.part, c.narrow, c.code)
		if fault != c.fault {
			t.Errorf("%s %x: %v", c.part, c.code, fault)
		}
		if diff := math.Abs(float64(got)/float64(physic.MilliVolt) - c.want); diff > 6e-7 { // half a nanovolt
			t.Errorf("%s %x: %v, want %g mV", c.part, c.code, got, c.want)
		}
	}
}

func TestTemperature(t *testing.T) {
	for _, c := range []struct {
		part Part
		code uint16
		want float64
		ok   bool
	}{
		{INA228, 0x0c80, 25, true},
		{INA228, 0xf380, -25, true},
		{INA228, 0xffff, -0.0078125, true},
		{INA238, 0x0c80, 25, true},
		{INA238, 0xf380, -25, true},
		{INA238, 0xfff0, -0.125, true},
		{INA238, 0x7ff0, 255.875, true},
		{INA238, 0x0c81, 0, false},
		{INA237, 0xffff, 0, false},
	} {
		got, ok := Temperature(c.part, c.code)
		if ok != c.ok || ok && math.Abs(got.Celsius()-c.want) > 1e-9 {
			t.Errorf("%s %04x: %v, %t", c.part, c.code, got, ok)
		}
	}
}

func TestPower(t *testing.T) {
	i := Current(-20*physic.MilliVolt, 0.0005)
	if p := Power(48*physic.Volt, i); i != -40*physic.Ampere || p != -1920*physic.Watt {
		t.Errorf("%v, %v", i, p)
	}
}

// No code of any part makes the converters panic or leave their range.
func FuzzConvert(f *testing.F) {
	for _, code := range []uint32{0, 0x3c00, 0x3c0000, 0x7fff, 0x8000, 0xffff, 0x7ffff0, 0x800000, 0xffffff} {
		f.Add(code)
	}
	f.Fuzz(func(t *testing.T, code uint32) {
		for _, p := range []Part{INA228, INA237, INA238} {
			in := code & (1<<(8*VBUS.width(p)) - 1)
			if v, ok := BusVoltage(p, in); v < 0 || v >= 102400*physic.MilliVolt || !ok && v != 0 {
				t.Errorf("%s %x: %v, %t", p, in, v, ok)
			}
			for narrow, most := range map[bool]physic.ElectricPotential{false: 163840 * physic.MicroVolt, true: 40960 * physic.MicroVolt} {
				if v, fault := ShuntVoltage(p, narrow, in); v <= -most || v >= most || fault != drivers.None && v != 0 {
					t.Errorf("%s %t %x: %v, %v", p, narrow, in, v, fault)
				}
			}
			if c, ok := Temperature(p, uint16(code)); ok && (c.Celsius() < -256.001 || c.Celsius() > 256.001) {
				t.Errorf("%s %04x: %v", p, uint16(code), c)
			}
		}
	})
}

// Whatever two readings a part gives, the difference is one that the counter can have made.
func FuzzEnergyDelta(f *testing.F) {
	f.Add(uint64(5), uint64(1005), false)
	f.Add(uint64(1<<40-1), uint64(0), true)
	f.Add(uint64(1<<40-1), uint64(0), false)
	f.Fuzz(func(t *testing.T, before, after uint64, overflow bool) {
		before, after = before&(1<<40-1), after&(1<<40-1)
		n, ok := EnergyDelta(before, after, overflow)
		if ok && (before+n)&(1<<40-1) != after || !ok && n != 0 || !ok && after >= before {
			t.Errorf("%d to %d (%t): %d, %t", before, after, overflow, n, ok)
		}
		b, a := signed(before, 40), signed(after, 40)
		if d := ChargeDelta(b, a); signed(uint64(b+d), 40) != a || d < -1<<39 || d > 1<<39-1 {
			t.Errorf("%d to %d: %d", b, a, d)
		}
	})
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9+1e-9*math.Abs(want) {
		t.Errorf("%s: %.12g, want %.12g", what, got, want)
	}
}
