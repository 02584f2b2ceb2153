package ade7880

import (
	"math"

	"periph.io/x/conn/v3/physic"
)

// Codes of a full-scale sine (data sheet revision C). Power registers hold a sixteenth of what the processor adds up.
const (
	fullScaleRMS   = 3_766_572
	fullScaleSum   = 27_059_678 // PMAX
	fullScalePower = fullScaleSum / 16.0
)

// energyRate is how often per second a power is added up, and energyStep the part of the threshold that WTHR counts
// (data sheet revision A, equation 26).
const (
	energyRate = 1.024e6
	energyStep = 1 << 27
)

const (
	periodClock = 256_000 // hertz
	lowestHz    = 45
	highestHz   = 66
)

// noCrossing is the voltage code below which the part sees no zero crossings, a tenth of full scale (recalled). The
// period registers mean nothing then.
const noCrossing = fullScaleRMS / 10

// Voltage converts AVRMS, BVRMS and CVRMS.
func Voltage(code uint32, fullScale physic.ElectricPotential) physic.ElectricPotential {
	return physic.ElectricPotential(math.Round(float64(code) / fullScaleRMS * float64(fullScale)))
}

// Current converts AIRMS, BIRMS, CIRMS and NIRMS.
func Current(code uint32, fullScale physic.ElectricCurrent) physic.ElectricCurrent {
	return physic.ElectricCurrent(math.Round(float64(code) / fullScaleRMS * float64(fullScale)))
}

// Power converts the signed power registers; VA and var come in the same type as W.
func Power(code uint32, v physic.ElectricPotential, i physic.ElectricCurrent) physic.Power {
	return physic.Power(math.Round(float64(int32(code)) / fullScalePower * fullScaleWatts(v, i) * float64(physic.Watt)))
}

// PowerFactor converts APF, BPF and CPF.
func PowerFactor(code uint16) float64 { return float64(int16(code)) / 32768 }

// Frequency converts APERIOD, BPERIOD and CPERIOD. It is 0 where that is not 45 to 66 Hz.
func Frequency(period uint16) physic.Frequency {
	if f := periodClock / float64(period); f >= lowestHz && f <= highestHz {
		return physic.Frequency(math.Round(f * float64(physic.Hertz)))
	}
	return 0
}

// EnergyCount is the energy in joules behind one count of AWATTHR, BWATTHR or CWATTHR.
func EnergyCount(v physic.ElectricPotential, i physic.ElectricCurrent) float64 {
	return thresholdW * energyStep / (fullScaleSum * energyRate) * fullScaleWatts(v, i)
}

// EnergyDelta is the difference between two readings of an energy counter, modulo 2^32; negative: energy flowed back.
// It is right while less than half a turn lies between them, 8.6 h at full scale.
func EnergyDelta(before, after uint32) int32 { return int32(after - before) }

func fullScaleWatts(v physic.ElectricPotential, i physic.ElectricCurrent) float64 {
	return float64(v) / float64(physic.Volt) * (float64(i) / float64(physic.Ampere))
}

// rmsPlausible tells whether an rms register can hold a code: 24 bits of which the top one is a sign that is never set.
func rmsPlausible(code uint32) bool { return code < 1<<23 }

// powerPlausible tells whether a power register can hold a code: 24 bits with their sign extended.
func powerPlausible(code uint32) bool { return int32(code) >= -1<<23 && int32(code) < 1<<23 }
