package ade7880

import (
	"math"
	"testing"

	"periph.io/x/conn/v3/physic"
)

// The board of the vectors: 400 V and 80 A fill the converters.
const (
	boardV = 400 * physic.Volt
	boardI = 80 * physic.Ampere
)

func TestConversions(t *testing.T) {
	volts := func(code uint32) float64 { return float64(Voltage(code, boardV)) / float64(physic.Volt) }
	amps := func(code uint32) float64 { return float64(Current(code, boardI)) / float64(physic.Ampere) }
	watts := func(code uint32) float64 { return float64(Power(code, boardV, boardI)) / float64(physic.Watt) }
	hertz := func(code uint32) float64 { return float64(Frequency(uint16(code))) / float64(physic.Hertz) }
	pf := func(code uint32) float64 { return PowerFactor(uint16(code)) }
	for _, c := range []struct {
		what  string
		f     func(uint32) float64
		code  uint32
		want  float64
		width float64 // half a step of the code
	}{
		{"V", volts, 3_766_572, 400, 1e-9},
		{"V", volts, 2_165_779, 230, 6e-5},
		{"V", volts, 0, 0, 0},
		{"A", amps, 3_766_572, 80, 1e-9},
		{"A", amps, 470_822, 10, 2e-5},
		{"W", watts, 1_691_230, 32_000, 0.01},
		{"W", watts, 845_615, 16_000, 0.01},
		{"W", watts, 0xffe631a2, -32_000, 0.01},
		{"W", watts, 0xffffffff, -0.0189, 1e-4},
		{"Hz", hertz, 5120, 50, 0},
		{"Hz", hertz, 4267, 59.9953, 5e-5},
		{"Hz", hertz, 5688, 45.007, 5e-4},
		{"Hz", hertz, 5689, 0, 0}, // 44.999 Hz
		{"Hz", hertz, 3878, 0, 0}, // 66.013 Hz
		{"Hz", hertz, 0, 0, 0},
		{"Hz", hertz, 0xffff, 0, 0},
		{"PF", pf, 0x7fff, 0.99997, 1e-5},
		{"PF", pf, 0xc000, -0.5, 0},
	} {
		if got := c.f(c.code); math.Abs(got-c.want) > c.width {
			t.Errorf("%s %x: %.9g, want %.9g within %g", c.what, c.code, got, c.want, c.width)
		}
	}
}

// The threshold of 3 makes 68,816 counts per second at full scale (data sheet revision A, equation 26).
func TestEnergyCount(t *testing.T) {
	joule := EnergyCount(boardV, boardI)
	if rate := 32_000 / joule; math.Abs(rate-68_816.3) > 0.1 {
		t.Errorf("%g counts per second at full scale", rate)
	}
	if half := (1 << 31) * joule / 32_000 / 3600; math.Abs(half-8.67) > 0.01 {
		t.Errorf("half a turn takes %g h", half)
	}
}

func TestEnergyDelta(t *testing.T) {
	for _, c := range []struct {
		before, after uint32
		want          int32
	}{
		{5, 1005, 1000},
		{0x7fffffff, 0x80000000, 1},
		{0xffffffff, 0, 1},
		{0, 0xffffffff, -1},
		{0x80000000, 0x7fffffff, -1},
		{7, 7, 0},
	} {
		if got := EnergyDelta(c.before, c.after); got != c.want {
			t.Errorf("%08x to %08x: %d", c.before, c.after, got)
		}
	}
}

func TestPlausible(t *testing.T) {
	for code, want := range map[uint32][2]bool{ // rms, power
		0:          {true, true},
		0x007fffff: {true, true},
		0x00800000: {false, false},
		0x01000000: {false, false},
		0xff800000: {false, true},
		0xff7fffff: {false, false},
		0xffffffff: {false, true},
	} {
		if got := [2]bool{rmsPlausible(code), powerPlausible(code)}; got != want {
			t.Errorf("%08x: %v", code, got)
		}
	}
}

func TestRegisters(t *testing.T) {
	for r, want := range map[Reg]struct {
		name  string
		width int
	}{
		AIRMS: {"AIRMS", 4}, CVRMS: {"CVRMS", 4}, BIRMS: {"BIRMS", 4}, NIRMS: {"NIRMS", 4}, Run: {"Run", 2}, CWATTHR: {"CWATTHR", 4},
		BFVAR: {"BFVAR", 4}, CVA: {"CVA", 4}, APF: {"APF", 2}, CPERIOD: {"CPERIOD", 2}, LCYCMODE: {"LCYCMODE", 1}, Gain: {"Gain", 2},
		WTHR: {"WTHR", 1}, CONFIG2: {"CONFIG2", 1}, Version: {"Version", 1}, STATUS1: {"STATUS1", 4}, VLEVEL: {"439F", 4}, dspSet: {"E7E3", 1},
	} {
		if r.width() != want.width || r.String() != want.name && r.String() != want.name+"h" {
			t.Errorf("%04x: %v, %d bytes", uint16(r), r, r.width())
		}
	}
}

// No code makes a converter panic or leave its range.
func FuzzConvert(f *testing.F) {
	for _, code := range []uint32{0, 1, 5120, 0x7fffff, 0x800000, 0xff800000, 0xffffffff, 3_766_572} {
		f.Add(code)
	}
	f.Fuzz(func(t *testing.T, code uint32) {
		if rmsPlausible(code) {
			if v := Voltage(code, boardV); v < 0 || v > 3*boardV {
				t.Errorf("%08x: %v", code, v)
			}
			if i := Current(code, boardI); i < 0 || i > 3*boardI {
				t.Errorf("%08x: %v", code, i)
			}
		}
		if powerPlausible(code) {
			if p := Power(code, boardV, boardI); math.Abs(float64(p)/float64(physic.Watt)) > 5*32_000 || (p < 0) != (int32(code) < 0) {
				t.Errorf("%08x: %v", code, p)
			}
		}
		if hz := Frequency(uint16(code)); hz != 0 && (hz < 45*physic.Hertz || hz > 66*physic.Hertz) {
			t.Errorf("%04x: %v", uint16(code), hz)
		}
		if pf := PowerFactor(uint16(code)); pf < -1 || pf >= 1 {
			t.Errorf("%04x: %g", uint16(code), pf)
		}
		if d := EnergyDelta(code, code+1000); d != 1000 {
			t.Errorf("%08x: %d", code, d)
		}
	})
}
