package drivertest

import "math"

// pmLinear11 is the LINEAR11 code of a value: five bits of exponent and eleven of mantissa, both signed. The mantissa
// is kept between 512 and 1023 as far as the exponent's range -16..15 allows (Linux driver pmbus_core); what does not
// fit is clamped.
func pmLinear11(x float64) uint16 {
	if x == 0 || math.IsNaN(x) {
		return 0
	}
	n := -16
	for n < 15 && math.Abs(math.RoundToEven(math.Ldexp(x, -n))) > 1023 {
		n++
	}
	y := min(max(math.RoundToEven(math.Ldexp(x, -n)), -1024), 1023)
	return uint16(n&0x1F)<<11 | uint16(int16(y))&0x7FF
}

// pmULinear16 is the unsigned mantissa of a voltage; the exponent stands in VOUT_MODE.
func pmULinear16(x float64, exponent int) uint16 {
	return uint16(pmClamp(math.Ldexp(x, -exponent), 0, math.MaxUint16))
}

// pmDirect is one row of DIRECT coefficients: code = (m*x + b) * 10^r.
type pmDirect struct {
	m, b float64
	r    int
}

// exact is the code before it is rounded and clamped. Dividing, unlike multiplying by 0.1, keeps halves halves.
func (d pmDirect) exact(x float64) float64 {
	if d.r < 0 {
		return (d.m*x + d.b) / math.Pow10(-d.r)
	}
	return (d.m*x + d.b) * math.Pow10(d.r)
}

// code rounds and clamps to a register's range.
func (d pmDirect) code(x, low, high float64) uint16 {
	return uint16(int32(pmClamp(d.exact(x), low, high)))
}

// times multiplies the slope: current and power are given per milliohm of shunt.
func (d pmDirect) times(f float64) pmDirect { d.m *= f; return d }

func pmClamp(x, low, high float64) float64 {
	if math.IsNaN(x) {
		return low
	}
	return min(max(math.RoundToEven(x), low), high)
}

// pmLE puts a code on the wire, low byte first.
func pmLE(v uint16) []byte { return []byte{byte(v), byte(v >> 8)} }

// pmLEs is several of them.
func pmLEs(vs ...uint16) []byte {
	var out []byte
	for _, v := range vs {
		out = append(out, pmLE(v)...)
	}
	return out
}

// pmPEC is the SMBus packet error code: polynomial x^8+x^2+x+1, start value 0, most significant bit first (SMBus 2.0,
// 5.4.1.2).
func pmPEC(b []byte) byte {
	var crc byte
	for _, v := range b {
		crc ^= v
		for range 8 {
			top := crc&0x80 != 0
			crc <<= 1
			if top {
				crc ^= 0x07
			}
		}
	}
	return crc
}
