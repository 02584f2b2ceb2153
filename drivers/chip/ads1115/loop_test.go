package ads1115

import (
	"math"
	"testing"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
)

// over150 is a flow sensor of 0 to 60 L/min over 150 ohms.
func over150(t *testing.T) Loop {
	t.Helper()
	l, err := NewLoop(LoopOpts{Shunt: 150 * physic.Ohm, Range: FSR4096, Lo: 0, Hi: 60})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// at is a sample over 150 ohms.
func at(mA float64) Sample {
	return Sample{Voltage: physic.ElectricPotential(math.Round(mA * 150 * float64(physic.MilliVolt)))}
}

func TestNewLoop(t *testing.T) {
	good := LoopOpts{Shunt: 150 * physic.Ohm, Range: FSR4096, Lo: 0, Hi: 60}
	for _, c := range []struct {
		name string
		o    LoopOpts
		ok   bool
	}{
		{"150 ohms", good, true},
		{"falling", LoopOpts{good.Shunt, good.Range, 60, 0}, true},
		{"194 ohms, 21.1 mA at the end", LoopOpts{194 * physic.Ohm, FSR4096, 0, 1}, true},
		{"196 ohms, 20.9 mA at the end", LoopOpts{196 * physic.Ohm, FSR4096, 0, 1}, false},
		{"250 ohms", LoopOpts{250 * physic.Ohm, FSR4096, 0, 1}, false},
		{"250 ohms in the widest range", LoopOpts{250 * physic.Ohm, FSR6144, 0, 1}, true},
		{"no shunt", LoopOpts{0, FSR4096, 0, 1}, false},
		{"negative shunt", LoopOpts{-150 * physic.Ohm, FSR4096, 0, 1}, false},
		{"no range", LoopOpts{150 * physic.Ohm, 0, 0, 1}, false},
		{"no span", LoopOpts{150 * physic.Ohm, FSR4096, 5, 5}, false},
		{"not a number", LoopOpts{150 * physic.Ohm, FSR4096, 0, math.NaN()}, false},
		{"endless", LoopOpts{150 * physic.Ohm, FSR4096, math.Inf(-1), 1}, false},
	} {
		if _, err := NewLoop(c.o); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestLoop(t *testing.T) {
	for _, c := range []struct {
		mA    float64
		state LoopState
		value float64
	}{
		{0, LoopFailedLow, 0},
		{-1, LoopFailedLow, 0},
		{3.5999, LoopFailedLow, 0},
		{3.6, LoopUndefinedLow, 0},
		{3.7999, LoopUndefinedLow, 0},
		{3.8, LoopValid, 0},
		{4, LoopValid, 0},
		{12, LoopValid, 30},
		{16, LoopValid, 45},
		{20, LoopValid, 60},
		{20.5, LoopValid, 60},
		{20.5001, LoopUndefinedHigh, 0},
		{21, LoopUndefinedHigh, 0},
		{21.0001, LoopFailedHigh, 0},
		{27, LoopFailedHigh, 0},
	} {
		r := over150(t).Read(at(c.mA))
		v, ok := r.Value()
		if r.State != c.state || ok != (c.state == LoopValid) || ok && math.Abs(v-c.value) > 1e-9 {
			t.Errorf("%v mA: %+v, %v, %t", c.mA, r, v, ok)
		}
		if (r.Fault == drivers.None) != ok {
			t.Errorf("%v mA: fault %v beside value %t", c.mA, r.Fault, ok)
		}
	}
}

func TestLoopFromCode(t *testing.T) {
	r := over150(t).Read(Sample{Voltage: Voltage(0x3840, FSR4096), Raw: 0x3840})
	if v, ok := r.Value(); !ok || v != 30 || r.Current != 12*physic.MilliAmpere {
		t.Errorf("%+v: %v, %t", r, v, ok)
	}
	falling, err := NewLoop(LoopOpts{Shunt: 150 * physic.Ohm, Range: FSR4096, Lo: 60, Hi: 0})
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := falling.Read(at(8)).Value(); !ok || v != 45 {
		t.Errorf("falling span: %v, %t", v, ok)
	}
}

// A short drives the converter to the end of its scale. That is a failure upwards, not an unknown one.
func TestLoopClipped(t *testing.T) {
	l := over150(t)
	for _, c := range []struct {
		name string
		s    Sample
		want LoopState
	}{
		{"short", Sample{Voltage(0x7fff, FSR4096), 0x7fff, drivers.Implausible}, LoopFailedHigh},
		{"clipped at 13.7 mA in another range", Sample{Voltage(0x7fff, FSR2048), 0x7fff, drivers.Implausible}, LoopUnknown},
		{"clipped below", Sample{Voltage(-0x8000, FSR4096), -0x8000, drivers.Implausible}, LoopUnknown},
		{"any other fault", Sample{at(12).Voltage, 0, drivers.NotRead}, LoopUnknown},
		{"any other fault, above", Sample{at(25).Voltage, 0, drivers.NotRead}, LoopUnknown},
	} {
		r := l.Read(c.s)
		if _, ok := r.Value(); r.State != c.want || ok || r.Fault == drivers.None {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
}

// What nobody made has no value.
func TestLoopZeroValues(t *testing.T) {
	if _, ok := (LoopReading{}).Value(); ok {
		t.Error("a reading that nobody made has a value")
	}
	r := Loop{}.Read(at(12))
	if _, ok := r.Value(); ok || r.Fault == drivers.None {
		t.Errorf("a loop that nobody made reads %+v", r)
	}
}

// Whatever the sample: a value is a number within its span, comes with a valid current and no fault, and a fault
// never comes with a value.
func FuzzLoop(f *testing.F) {
	f.Add(int64(1800*physic.MilliVolt), int16(0x3840), byte(0), 0.0, 60.0)
	f.Add(int64(0), int16(0), byte(0), 0.0, 60.0)
	f.Add(int64(math.MaxInt64), int16(math.MaxInt16), byte(drivers.Implausible), 60.0, 0.0)
	f.Add(int64(math.MinInt64), int16(math.MinInt16), byte(drivers.NotRead), -1e308, 1e308)
	f.Fuzz(func(t *testing.T, volt int64, raw int16, fault byte, lo, hi float64) {
		l, err := NewLoop(LoopOpts{Shunt: 150 * physic.Ohm, Range: FSR4096, Lo: lo, Hi: hi})
		if err != nil {
			return
		}
		s := Sample{physic.ElectricPotential(volt), raw, drivers.Fault(fault)}
		r := l.Read(s)
		v, ok := r.Value()
		if ok != (r.Fault == drivers.None) || ok != (r.State == LoopValid) {
			t.Fatalf("%+v gives %+v, value %t", s, r, ok)
		}
		if !ok {
			return
		}
		if s.Fault != drivers.None || r.Current < validLow || r.Current > validHigh {
			t.Errorf("%+v gives %+v", s, r)
		}
		if math.IsNaN(v) || v < min(lo, hi) || v > max(lo, hi) {
			t.Errorf("%+v gives %v outside %v to %v", s, v, lo, hi)
		}
	})
}
