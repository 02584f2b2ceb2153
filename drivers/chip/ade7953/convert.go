package ade7953

import (
	"math"

	"periph.io/x/conn/v3/physic"
)

// Codes of a full-scale sine, 500 mV peak divided by the gain (data sheet revision C).
const (
	fullScaleRMS    = 9_032_007
	fullScalePower  = 4_862_401
	fullScaleEnergy = 206_900 // counts per second
)

// inputPeak is the largest input at gain 1 in volts.
const inputPeak = 0.5

// frequencyClock is the rate in hertz at which PERIOD counts.
const frequencyClock = 223_750

// FullScaleVoltage is the rms voltage that a divider of this ratio brings to full scale at gain 1.
func FullScaleVoltage(divider float64) physic.ElectricPotential {
	return physic.ElectricPotential(math.Round(inputPeak / math.Sqrt2 * divider * float64(physic.Volt)))
}

// FullScaleCurrent is the rms current that brings a shunt of so many ohms to full scale at this gain.
func FullScaleCurrent(gain int, shuntOhm float64) physic.ElectricCurrent {
	return physic.ElectricCurrent(math.Round(inputPeak / float64(gain) / math.Sqrt2 / shuntOhm * float64(physic.Ampere)))
}

// Voltage converts VRMS.
func Voltage(code uint32, fullScale physic.ElectricPotential) physic.ElectricPotential {
	return physic.ElectricPotential(math.Round(float64(code) / fullScaleRMS * float64(fullScale)))
}

// Current converts IRMSA and IRMSB.
func Current(code uint32, fullScale physic.ElectricCurrent) physic.ElectricCurrent {
	return physic.ElectricCurrent(math.Round(float64(code) / fullScaleRMS * float64(fullScale)))
}

// Power converts the 24-bit signed power registers; VA and var come in the same type as W.
func Power(code uint32, v physic.ElectricPotential, i physic.ElectricCurrent) physic.Power {
	return physic.Power(math.Round(float64(signed(code)) / fullScalePower * fullScaleWatts(v, i) * float64(physic.Watt)))
}

// Frequency converts PERIOD.
func Frequency(period uint16) physic.Frequency {
	return physic.Frequency(math.Round(frequencyClock / (float64(period) + 1) * float64(physic.Hertz)))
}

// PowerFactor converts PFA and PFB.
func PowerFactor(code uint16) float64 { return float64(int16(code)) / 32768 }

// EnergyCount is the energy in joules behind one count of AENERGYA or AENERGYB.
func EnergyCount(v physic.ElectricPotential, i physic.ElectricCurrent) float64 {
	return fullScaleWatts(v, i) / fullScaleEnergy
}

// EnergyDelta is the difference between two readings of an energy counter, modulo 2^24. It is right while less
// than half a turn lies between them, 40.5 s at full scale.
func EnergyDelta(before, after uint32) int32 { return signed(after - before) }

func fullScaleWatts(v physic.ElectricPotential, i physic.ElectricCurrent) float64 {
	return float64(v) / float64(physic.Volt) * (float64(i) / float64(physic.Ampere))
}

// signed extends the sign of 24 bits.
func signed(code uint32) int32 { return int32(code<<8) >> 8 }
