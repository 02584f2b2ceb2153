package adm1272

import (
	"math"

	"rackagent/drivers/pmbus"
)

// Scale is what the codes of a part mean.
type Scale struct {
	Voltage     pmbus.Direct // VIN and VOUT
	Current     pmbus.Direct
	Power       pmbus.Direct
	Temperature pmbus.Direct

	vin, vout, power, temperature bool // sampled
}

// codeBits is the width of the registers of voltages, currents and temperatures.
const codeBits = 12

// ScaleOf gives the meaning of codes for a part whose PMON_CONFIG reads config. A quantity without coefficients is one
// the part does not measure. Coefficients are those of the Linux driver adm1275; it states them for a shunt of 1
// milliohm.
func ScaleOf(part Part, config uint16, shuntOhm float64) Scale {
	s := Scale{
		vin: config&pmonVin != 0, vout: config&pmonVout != 0,
		power: config&pmonVin != 0, temperature: config&pmonTemp != 0,
	}
	high := config&pmonVRange != 0
	switch part {
	case ADM1272:
		s.Voltage, s.Current, s.Power = adm1272Scale(high, config&pmonIRange != 0)
		s.Temperature = pmbus.Direct{M: 42, B: 31871, R: -1}
	case ADM1278:
		s.Voltage = pmbus.Direct{M: 19599, R: -2}
		s.Current = pmbus.Direct{M: 800, B: 20475, R: -1}
		s.Power = pmbus.Direct{M: 6123, R: -2}
		s.Temperature = pmbus.Direct{M: 42, B: 31880, R: -1}
	case ADM1275:
		s.vout = config&pmonVoutSelect != 0
		s.vin, s.power, s.temperature = !s.vout, false, false
		s.Voltage = pmbus.Direct{M: 6720, R: -1}
		if high {
			s.Voltage = pmbus.Direct{M: 19199, R: -2}
		}
		s.Current = pmbus.Direct{M: 807, B: 20475, R: -1}
	}
	milliohm := shuntOhm * 1000
	s.Voltage, s.Temperature = s.Voltage.Bits(codeBits), s.Temperature.Bits(codeBits)
	s.Current, s.Power = s.Current.Shunt(milliohm).Bits(codeBits), s.Power.Shunt(milliohm)
	return s
}

// adm1272Scale gives the coefficients for the range of 100 V or 60 V, and of 30 mV or 15 mV.
func adm1272Scale(v100, mV30 bool) (voltage, current, power pmbus.Direct) {
	voltage = pmbus.Direct{M: 6770, R: -2}
	if v100 {
		voltage = pmbus.Direct{M: 4062, R: -2}
	}
	current = pmbus.Direct{M: 1326, B: 20480, R: -1}
	if mV30 {
		current = pmbus.Direct{M: 663, B: 20480, R: -1}
	}
	switch {
	case v100 && mV30:
		power = pmbus.Direct{M: 10535, R: -3}
	case v100:
		power = pmbus.Direct{M: 21071, R: -3}
	case mV30:
		power = pmbus.Direct{M: 17561, R: -3}
	default:
		power = pmbus.Direct{M: 3512, R: -2}
	}
	return voltage, current, power
}

// current refuses the code 0, the lower end of a scale whose zero is in its middle: what a part gives that converts
// nothing.
func (s Scale) current() pmbus.Decode {
	return func(word uint16) (float64, bool) {
		v, ok := s.Current.Decode(word)
		return v, ok && word != 0
	}
}

// watts refuses the codes of 16 bits: a power code has 15.
func (s Scale) watts() pmbus.Decode { return pmbus.Decode(s.Power.Decode).Within(0, math.Inf(1)) }

// celsius refuses what is no temperature of a part that works: -55 to +175, arbitrary, the part's own limit is 150.
func (s Scale) celsius() pmbus.Decode { return pmbus.Decode(s.Temperature.Decode).Within(-55, 175) }

// Accumulator describes READ_EIN_EXT (Linux driver adm1275): 24 bits of sum, 16 of roll-overs, 24 of samples. Power
// codes have 15 bits. How often the part samples depends on its averaging and is not published; a pmbus.Meter learns it.
func Accumulator() pmbus.Accumulator {
	return pmbus.Accumulator{Modulus: 0x800000, RollOvers: 65536, Divisor: 256, Full: 0x7fff}
}
