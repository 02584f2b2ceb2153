package ade7953_test

import (
	"fmt"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers/chip/ade7953"
)

// The scale of all readings belongs to the board: here a divider of 991 and a shunt of 1 milliohm at gain 16.
func Example() {
	v := ade7953.FullScaleVoltage(991)
	i := ade7953.FullScaleCurrent(16, 0.001)
	fmt.Printf("%.3f V, %.4f A full scale\n", float64(v)/float64(physic.Volt), float64(i)/float64(physic.Ampere))
	fmt.Printf("%.2f V\n", float64(ade7953.Voltage(0x5A7843, v))/float64(physic.Volt))
	fmt.Printf("%.1f W\n", float64(ade7953.Power(0xE9F575, v, i))/float64(physic.Watt))
	fmt.Printf("%.2f J\n", float64(ade7953.EnergyDelta(0x7FFE00, 0x800123))*ade7953.EnergyCount(v, i))
	// Output:
	// 350.371 V, 22.0971 A full scale
	// 230.00 V
	// -2300.0 W
	// 30.05 J
}
