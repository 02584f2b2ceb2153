package air_test

import (
	"fmt"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers/air"
)

func ExampleDewPoint() {
	// Is a manifold of 12 degrees still dry?
	dew, ok := air.DewPoint(physic.ZeroCelsius+25*physic.Celsius, 40*physic.PercentRH)
	fmt.Printf("%.1f degrees, %t\n", dew.Celsius(), ok)
	// Output: 10.5 degrees, true
}
