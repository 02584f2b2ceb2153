package ina228_test

import (
	"fmt"

	"rackagent/drivers/chip/ina228"
)

// Energy is booked from differences of a 40-bit counter: a smaller reading is either a turn, which the part announces,
// or a part that lost its supply.
func ExampleEnergyDelta() {
	joule := ina228.EnergyCount(ina228.CurrentLSB(ina228.INA228, 200))
	for _, c := range []struct {
		before, after uint64
		overflow      bool
	}{
		{1_000, 185_320, false},
		{1<<40 - 100, 184_220, true},
		{185_320, 12, false},
	} {
		n, ok := ina228.EnergyDelta(c.before, c.after, c.overflow)
		fmt.Println(float64(n)*joule, "J", ok)
	}
	// Output:
	// 3600 J true
	// 3600 J true
	// 0 J false
}
