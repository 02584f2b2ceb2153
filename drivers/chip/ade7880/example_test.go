package ade7880_test

import (
	"fmt"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers/chip/ade7880"
)

// The scale of all readings belongs to the board: here 400 V and 80 A fill the converters.
func Example() {
	v, i := 400*physic.Volt, 80*physic.Ampere
	fmt.Printf("%.2f V\n", float64(ade7880.Voltage(2_165_779, v))/float64(physic.Volt))
	fmt.Printf("%.1f W\n", float64(ade7880.Power(0xFFE631A2, v, i))/float64(physic.Watt))
	fmt.Println(ade7880.Frequency(5120))
	// A counter that rolled over its sign.
	n := ade7880.EnergyDelta(0x7FFFFFF0, 0x80000010)
	fmt.Printf("%d counts, %.2f J\n", n, float64(n)*ade7880.EnergyCount(v, i))
	// Output:
	// 230.00 V
	// -32000.0 W
	// 50Hz
	// 32 counts, 14.88 J
}
