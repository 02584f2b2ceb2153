package ina228

import (
	"errors"
	"fmt"
	"math"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
)

// Full scales of the shunt input in volts, by range.
const (
	fullShunt       = 0.16384
	fullShuntNarrow = 0.04096
)

// smallestOhm keeps currents far inside physic's range. Arbitrary; no shunt is that small.
const smallestOhm = 1e-6

// calMax is the largest SHUNT_CAL: bit 15 is reserved.
const calMax = 0x7fff

// CurrentLSB is the current behind one step of the part's current register when it reaches maxA: 2^19 steps on an
// INA228, 2^15 on the others.
func CurrentLSB(p Part, maxA float64) float64 {
	if p == INA228 {
		return maxA / (1 << 19)
	}
	return maxA / (1 << 15)
}

// ShuntCal is the value of SHUNT_CAL for a step of the current register.
func ShuntCal(p Part, narrow bool, currentLSB, shuntOhm float64) float64 {
	return calScale(p, narrow) * currentLSB * shuntOhm
}

// calScale is the factor of SHUNT_CAL: 819.2e6 (Linux driver ina238), 13107.2e6 on an INA228, four times that in the
// narrow range.
func calScale(p Part, narrow bool) float64 {
	scale := 819.2e6
	if p == INA228 {
		scale = 13107.2e6
	}
	if narrow {
		scale *= 4
	}
	return scale
}

// shuntCal checks what SHUNT_CAL depends on and rounds it.
func (o Opts) shuntCal() (uint16, error) {
	full := fullShunt
	if o.Narrow {
		full = fullShuntNarrow
	}
	switch {
	case !(o.ShuntOhm >= smallestOhm): // written so that NaN fails too
		return 0, fmt.Errorf("shunt of %g ohm is not at least %g", o.ShuntOhm, smallestOhm)
	case !(o.MaxA > 0):
		return 0, errors.New("the largest current must be above zero")
	case !(o.MaxA*o.ShuntOhm <= full*(1+1e-9)):
		return 0, fmt.Errorf("%g A through %g ohm is more than %g V", o.MaxA, o.ShuntOhm, full)
	}
	cal := math.Round(ShuntCal(o.Part, o.Narrow, CurrentLSB(o.Part, o.MaxA), o.ShuntOhm))
	if cal < 1 || cal > calMax {
		return 0, fmt.Errorf("%g A through %g ohm needs SHUNT_CAL %g, outside 1 to %d", o.MaxA, o.ShuntOhm, cal, calMax)
	}
	return uint16(cal), nil
}

// currentLSB is the step that a rounded SHUNT_CAL really gives.
func (o Opts) currentLSB(cal uint16) float64 {
	return float64(cal) / (calScale(o.Part, o.Narrow) * o.ShuntOhm)
}

// EnergyCount is the energy in joules behind one count of ENERGY: 16 times the power step of 3.2 * currentLSB.
func EnergyCount(currentLSB float64) float64 { return 51.2 * currentLSB }

// EnergyDelta is how many counts lie between two readings of ENERGY. It is right while less than a whole turn of 2^40
// does: 597 h at 10 kW with 200 A of range. It is false where the counter is smaller and did not roll over, so that it
// began again at 0; take the second reading as the new base then and book nothing.
//
// A turn in the moment between the two transfers that read the flag and the counter looks like a new beginning.
func EnergyDelta(before, after uint64, overflow bool) (uint64, bool) {
	switch {
	case after >= before:
		return after - before, true
	case overflow:
		return (after - before) & (1<<40 - 1), true
	default:
		return 0, false
	}
}

// ChargeDelta is the difference between two readings of CHARGE, modulo 2^40. It is right while less than half a turn
// lies between them, and does not tell a counter that began again: go by EnergyDelta.
func ChargeDelta(before, after int64) int64 { return signed(uint64(after-before), 40) }

// ShuntVoltage converts VSHUNT as read. Implausible: it is at the end of its range, where the voltage may be anything
// beyond. Corrupt: bits are set that the part never sets.
func ShuntVoltage(p Part, narrow bool, code uint32) (physic.ElectricPotential, drivers.Fault) {
	step, bits := 5000.0, 16 // nanovolt
	if p == INA228 {
		if code&0x0f != 0 {
			return 0, drivers.Corrupt
		}
		step, bits, code = 312.5, 20, code>>4
	}
	if narrow {
		step /= 4
	}
	n := signed(uint64(code), bits)
	if end := int64(1) << (bits - 1); n == end-1 || n == -end {
		return 0, drivers.Implausible
	}
	return physic.ElectricPotential(math.Round(float64(n) * step)), drivers.None
}

// BusVoltage converts VBUS as read. It is false for codes that the part never gives, and at the end of the converter
// at 102.4 V, which is beyond what the part stands.
func BusVoltage(p Part, code uint32) (physic.ElectricPotential, bool) {
	step, end := 3_125_000.0, uint32(0x7fff) // nanovolt
	if p == INA228 {
		if code&0x0f != 0 {
			return 0, false
		}
		step, end, code = 195_312.5, 0x7ffff, code>>4
	}
	if code >= end { // the top bit is never set
		return 0, false
	}
	return physic.ElectricPotential(math.Round(float64(code) * step)), true
}

// Temperature converts DIETEMP as read. It is false for codes that the part never gives.
func Temperature(p Part, code uint16) (physic.Temperature, bool) {
	if p == INA228 {
		return physic.ZeroCelsius + physic.Temperature(int16(code))*(7812500*physic.NanoKelvin), true
	}
	if code&0x0f != 0 {
		return 0, false
	}
	return physic.ZeroCelsius + physic.Temperature(int16(code)>>4)*(125*physic.MilliKelvin), true
}

// Current is what flows through a shunt.
func Current(shunt physic.ElectricPotential, shuntOhm float64) physic.ElectricCurrent {
	return physic.ElectricCurrent(math.Round(float64(shunt) / shuntOhm))
}

// Power is the product of a steady voltage and a current.
func Power(v physic.ElectricPotential, i physic.ElectricCurrent) physic.Power {
	return physic.Power(math.Round(float64(v) * float64(i) / float64(physic.Volt)))
}

// signed extends the sign of so many bits.
func signed(code uint64, bits int) int64 { return int64(code<<(64-bits)) >> (64 - bits) }
