// Package air has the arithmetic of moist air. It belongs to no sensor: whatever measures temperature and humidity,
// an SHT3x, an SHT4x or a BME280, gives what it takes.
package air

import (
	"math"

	"periph.io/x/conn/v3/physic"
)

// Coefficients of the Magnus formula over water, fitted for -45 to +60 degrees Celsius (D. Sonntag, Zeitschrift für
// Meteorologie 70, 1990; also in Sensirion's application note "Introduction to Humidity", both from memory).
const (
	magnusA = 17.62
	magnusB = 243.12 // degrees
)

// The temperatures for which the coefficients were fitted.
const (
	Coldest = physic.ZeroCelsius - 45*physic.Celsius
	Warmest = physic.ZeroCelsius + 60*physic.Celsius
)

// DewPoint is the temperature of a surface on which water begins to condense from this air. It is false outside the
// temperatures of the formula, for humidities above 100 % and for none at all, where there is no such temperature.
func DewPoint(t physic.Temperature, rh physic.RelativeHumidity) (physic.Temperature, bool) {
	if t < Coldest || t > Warmest || rh <= 0 || rh > 100*physic.PercentRH {
		return 0, false
	}
	c := float64(t-physic.ZeroCelsius) / float64(physic.Celsius)
	g := math.Log(float64(rh)/float64(100*physic.PercentRH)) + magnusA*c/(magnusB+c)
	dew := magnusB * g / (magnusA - g)
	return physic.ZeroCelsius + physic.Temperature(math.Round(dew*float64(physic.Celsius))), true
}
