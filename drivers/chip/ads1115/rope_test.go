package ads1115

import (
	"math"
	"testing"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
)

const vref = 3300 * physic.MilliVolt

func equalResistors(t *testing.T) Rope {
	t.Helper()
	p, err := NewRope(EqualResistors())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestNewRope(t *testing.T) {
	good := EqualResistors()
	for _, change := range []func(*RopeLimits){
		func(l *RopeLimits) { l.Short = 0 },
		func(l *RopeLimits) { l.Wet = l.Short },
		func(l *RopeLimits) { l.DryFrom = l.Wet },
		func(l *RopeLimits) { l.DryTo = l.DryFrom },
		func(l *RopeLimits) { l.Broken = l.DryTo },
		func(l *RopeLimits) { l.Broken = 1 },
		func(l *RopeLimits) { l.Wet = math.NaN() },
		func(l *RopeLimits) { *l = RopeLimits{} },
	} {
		l := good
		if change(&l); l == good {
			t.Fatal("nothing changed")
		}
		if _, err := NewRope(l); err == nil {
			t.Errorf("%+v was taken", l)
		}
	}
}

func TestRope(t *testing.T) {
	for _, c := range []struct {
		mV       physic.ElectricPotential
		state    RopeState
		wet, dry bool
		fault    drivers.Fault
	}{
		{1650, RopeDry, false, true, drivers.None},            // the end resistor of 10 kohm under a pull-up of 10 kohm
		{825, RopeWet, true, false, drivers.None},             // 5 kohm of water beside it
		{3100, RopeBroken, false, false, drivers.Implausible}, // open
		{3300, RopeBroken, false, false, drivers.Implausible},
		{3500, RopeBroken, false, false, drivers.Implausible}, // another supply
		{0, RopeShort, true, false, drivers.Implausible},
		{98, RopeShort, true, false, drivers.Implausible},
		{-1, RopeShort, true, false, drivers.Implausible}, // offset of the converter
		{99, RopeWet, true, false, drivers.None},
		{1154, RopeWet, true, false, drivers.None},
		{1155, RopeDegraded, false, false, drivers.Implausible},
		{1385, RopeDegraded, false, false, drivers.Implausible},
		{1386, RopeDry, false, true, drivers.None},
		{1914, RopeDry, false, true, drivers.None},
		{1915, RopeDegraded, false, false, drivers.Implausible},
		{2970, RopeDegraded, false, false, drivers.Implausible},
		{2971, RopeBroken, false, false, drivers.Implausible},
	} {
		r := equalResistors(t).Read(Sample{Voltage: c.mV * physic.MilliVolt}, vref)
		if r.State != c.state || r.Wet() != c.wet || r.Dry() != c.dry || r.Fault != c.fault {
			t.Errorf("%d mV: %+v", c.mV, r)
		}
	}
}

// Without a sample or without a supply a rope is neither wet nor dry.
func TestRopeUnknown(t *testing.T) {
	half := Sample{Voltage: vref / 2}
	for name, r := range map[string]RopeReading{
		"clipped":                    equalResistors(t).Read(Sample{vref / 2, 0x7fff, drivers.Implausible}, vref),
		"pull-up not driven":         equalResistors(t).Read(Sample{Voltage: 5 * physic.MilliVolt}, 10*physic.MilliVolt),
		"no supply":                  equalResistors(t).Read(half, 0),
		"negative supply":            equalResistors(t).Read(half, -vref),
		"a rope that nobody made":    Rope{}.Read(half, vref),
		"a reading that nobody made": {Fault: drivers.NotRead},
	} {
		if r.State != RopeUnknown || r.Wet() || r.Dry() || r.Fault == drivers.None {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// Whatever the sample, no fault is ever dry, and dry means that the ratio is that of a whole rope.
func FuzzRope(f *testing.F) {
	f.Add(int64(1650*physic.MilliVolt), byte(0), int64(vref))
	f.Add(int64(0), byte(0), int64(vref))
	f.Add(int64(math.MaxInt64), byte(drivers.Implausible), int64(math.MinInt64))
	f.Fuzz(func(t *testing.T, volt int64, fault byte, supply int64) {
		p, err := NewRope(EqualResistors())
		if err != nil {
			t.Fatal(err)
		}
		s := Sample{Voltage: physic.ElectricPotential(volt), Fault: drivers.Fault(fault)}
		r := p.Read(s, physic.ElectricPotential(supply))
		if r.Dry() && (r.Fault != drivers.None || r.Wet() || s.Fault != drivers.None || r.Ratio < 0.42 || r.Ratio > 0.58) {
			t.Errorf("%+v gives %+v", s, r)
		}
		if r.Fault == drivers.None && r.State != RopeDry && r.State != RopeWet {
			t.Errorf("%+v gives %+v without a fault", s, r)
		}
	})
}
