package drivertest

import (
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// near wants a number within a tolerance.
func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > tolerance {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestLoopVolts(t *testing.T) {
	now := time.Now()
	l := NewLoop(LoopOpts{})
	near(t, "at first", l.Volts(now), 0.6, 1e-12)
	for mA, volts := range map[float64]float64{4: 0.6, 12: 1.8, 20: 3, 3.5: 0.525, 21.5: 3.225, -1: 0, 1000: 24} {
		l.SetMilliamps(mA)
		near(t, "current", l.Volts(now.Add(time.Hour)), volts, 1e-12)
	}
	l.SetValue(30, 0, 60) // half of the span: 12 mA
	near(t, "value", l.Volts(now.Add(time.Hour)), 1.8, 1e-12)
	l.SetShorted(true)
	near(t, "shorted", l.Volts(now.Add(time.Hour)), 24, 0)
	l.SetOpen(true)
	near(t, "open", l.Volts(now.Add(time.Hour)), 0, 0)
	l.SetOpen(false)
	l.SetShorted(false)
	near(t, "mended", l.Volts(now.Add(time.Hour)), 1.8, 1e-12)
	near(t, "burden of 100 Ω", NewLoop(LoopOpts{Burden: 100}).Volts(now), 0.4, 1e-12)
}

// What a converter sees of a loop, and that it sees it as it was when the conversion ended.
func TestLoopOnConverter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLoop(LoopOpts{})
		c := NewADS1115(ADS1115Opts{})
		c.SetInput(0, l.Volts)
		for _, v := range []struct {
			set  func()
			want string
		}{
			{func() { l.SetValue(30, 0, 60) }, "3840"},
			{func() { l.SetOpen(true) }, "0000"},
			{func() { l.SetOpen(false); l.SetShorted(true) }, "7080"}, // the input clamps
			{func() { l.SetShorted(false); l.Follow(Constant(4)) }, "12c0"},
		} {
			v.set()
			convertOnce(t, c, "c383")
			get(t, c, "00", v.want)
		}
		put(t, c, "01c383")
		time.Sleep(9 * time.Millisecond)
		l.SetMilliamps(20)
		get(t, c, "00", "12c0")
	})
}

// Pull-up and end resistor 10 kΩ at 3.3 V.
func TestRopeVolts(t *testing.T) {
	later := time.Now().Add(time.Hour)
	r := NewRope(RopeOpts{})
	near(t, "dry", r.Volts(later), 1.65, 1e-12)
	r.SetWater(5000)
	near(t, "5 kΩ of water", r.Volts(later), 0.825, 1e-12)
	r.SetWater(100e3)
	near(t, "damp", r.Volts(later), 3.3*9090.909/19090.909, 1e-6)
	r.SetDry()
	r.SetOpen(true)
	near(t, "broken", r.Volts(later), 3.3, 1e-12)
	r.SetWater(5000)
	near(t, "broken and wet", r.Volts(later), 1.1, 1e-12)
	r.SetShorted(true)
	near(t, "shorted", r.Volts(later), 0, 0)
	r.SetShorted(false)
	r.SetOpen(false)
	r.SetWater(0)
	near(t, "no resistance", r.Volts(later), 0, 0)
	r.SetDry()
	r.Drive(false)
	near(t, "not driven", r.Volts(later), 0, 0)
	near(t, "other resistors", NewRope(RopeOpts{PullUp: 30e3, EndOfLine: 10e3, Reference: 4}).Volts(later), 1, 1e-12)
}

// The voltage rises with a time constant after the pull-up is switched on, and a conversion that ended before it was
// switched off is not touched by that.
func TestRopeSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRope(RopeOpts{Settle: 2 * time.Millisecond})
		c := NewADS1115(ADS1115Opts{})
		c.SetInput(3, r.Volts)
		near(t, "on for long", r.Volts(time.Now()), 1.65, 1e-9)
		r.Drive(false)
		if r.Driven() {
			t.Error("still driven")
		}
		time.Sleep(time.Second)
		r.Drive(true)
		near(t, "at once", r.Volts(time.Now()), 0, 1e-9)
		time.Sleep(2 * time.Millisecond)
		r.Drive(true) // it is already
		near(t, "after one time constant", r.Volts(time.Now()), 1.65*(1-1/math.E), 1e-9)
		time.Sleep(18 * time.Millisecond)
		put(t, c, "01f383")
		time.Sleep(8 * time.Millisecond)
		r.Drive(false)
		time.Sleep(time.Second)
		get(t, c, "00", "3390") // 1.65 V
	})
}
