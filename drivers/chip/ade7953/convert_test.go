package ade7953

import (
	"math"
	"testing"

	"periph.io/x/conn/v3/physic"
)

// The board of the vectors: divider 991, shunt 1 milliohm, gain 16.
var (
	boardV = FullScaleVoltage(991)
	boardI = FullScaleCurrent(16, 0.001)
)

func TestFullScale(t *testing.T) {
	near(t, "V", float64(boardV)/float64(physic.Volt), 350.371, 0.0005)
	near(t, "A", float64(boardI)/float64(physic.Ampere), 22.0971, 0.00005)
	near(t, "W", fullScaleWatts(boardV, boardI), 7742.19, 0.005)
	near(t, "J per count", EnergyCount(boardV, boardI), 0.03742, 1e-7)
}

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
		{"V", volts, 0x5a7843, 230, 2e-5},
		{"V", volts, 0x6cf503, 277, 2e-5},
		{"V", volts, 0x89d147, 350.371, 5e-4},
		{"A", amps, 0x3e5e7c, 10, 2e-6},
		{"A", amps, 0x63ca60, 16, 2e-6},
		{"A", amps, 0, 0, 0},
		{"W", watts, 0x160a8b, 2300, 1e-3},
		{"W", watts, 0xe9f575, -2300, 1e-3},
		{"Hz", hertz, 0x117a, 50, 1e-9},
		{"Hz", hertz, 0x0e90, 60.003, 5e-4},
		{"PF", pf, 0x7ae1, 0.960, 2e-5},
		{"PF", pf, 0xc000, -0.5, 0},
	} {
		near(t, c.what, c.f(c.code), c.want, c.width)
	}
}

func TestEnergyDelta(t *testing.T) {
	if n := EnergyDelta(0x7ffe00, 0x800123); n != 803 {
		t.Errorf("%d counts over the signed turn", n)
	}
	near(t, "J", 803*EnergyCount(boardV, boardI), 30.05, 0.005)
	for _, c := range []struct {
		before, after uint32
		want          int32
	}{
		{0xffffff, 0x000000, 1},
		{0x000000, 0xffffff, -1},
		{5, 5, 0},
		{0, 0x7fffff, 8_388_607},
		{0x800000, 0x7fffff, -1},
	} {
		if got := EnergyDelta(c.before, c.after); got != c.want {
			t.Errorf("%06x to %06x: %d, want %d", c.before, c.after, got, c.want)
		}
	}
}

func TestSettingCodes(t *testing.T) {
	for _, c := range []struct {
		what      string
		got, want uint32
	}{
		{"no-load 1/10,000", noLoadSetting(10_000), 0x00e419},
		{"no-load 1/20,000", noLoadSetting(20_000), 0x00c832},
		{"gain 1", calibrationGain(1), 0x400000},
		{"gain +1.25 %", calibrationGain(1.0125), 0x40cccd},
		{"advance 25", first(phaseSetting(25)), 0x0219},
		{"delay 25", first(phaseSetting(-25)), 0x0019},
		{"no phase", first(phaseSetting(0)), 0},
		{"amplifier 1", first(gainSetting(1, false)), 0},
		{"amplifier 16", first(gainSetting(16, false)), 4},
		{"amplifier 22", first(gainSetting(22, true)), 5},
	} {
		if c.got != c.want {
			t.Errorf("%s: %06x, want %06x", c.what, c.got, c.want)
		}
	}
}

func first(v uint32, _ error) uint32 { return v }

func near(t *testing.T, what string, got, want, width float64) {
	t.Helper()
	if math.Abs(got-want) > width {
		t.Errorf("%s: %.9g, want %.9g within %g", what, got, want, width)
	}
}
