package air

import (
	"math"
	"testing"

	"periph.io/x/conn/v3/physic"
)

func celsius(c float64) physic.Temperature {
	return physic.ZeroCelsius + physic.Temperature(math.Round(c*float64(physic.Celsius)))
}

func TestDewPoint(t *testing.T) {
	for _, c := range []struct {
		t, rh, want float64
		ok          bool
	}{
		{25, 40, 10.5, true},
		{20, 50, 9.3, true},
		{35, 80, 31.0, true},
		{25, 100, 25, true},
		{-10, 50, -18.5, true}, // over water, not over ice
		{60, 100, 60, true},
		{-45, 100, -45, true},
		{25, 0, 0, false},
		{25, -1, 0, false},
		{25, 100.1, 0, false},
		{60.1, 40, 0, false},
		{-45.1, 40, 0, false},
	} {
		got, ok := DewPoint(celsius(c.t), physic.RelativeHumidity(math.Round(c.rh*float64(physic.PercentRH))))
		if ok != c.ok || ok && math.Abs(got.Celsius()-c.want) > 0.05 {
			t.Errorf("%v degrees, %v %%: %v, %t; want %v", c.t, c.rh, got, ok, c.want)
		}
	}
}

// Air is never drier than its dew point allows, and moister air condenses earlier.
func FuzzDewPoint(f *testing.F) {
	f.Add(int64(celsius(25)), int32(40*physic.PercentRH))
	f.Add(int64(Coldest), int32(1))
	f.Add(int64(Warmest), int32(100*physic.PercentRH))
	f.Add(int64(math.MinInt64), int32(math.MinInt32))
	f.Fuzz(func(t *testing.T, temperature int64, humidity int32) {
		at, rh := physic.Temperature(temperature), physic.RelativeHumidity(humidity)
		dew, ok := DewPoint(at, rh)
		if !ok {
			return
		}
		if dew > at+physic.MicroKelvin || dew <= 0 {
			t.Errorf("air of %v and %v condenses at %v", at, rh, dew)
		}
		if moister, ok := DewPoint(at, rh+physic.MilliRH); ok && moister < dew {
			t.Errorf("at %v the dew point falls from %v to %v when the humidity rises from %v", at, dew, moister, rh)
		}
	})
}
