package pmbus

import "math"

// Decode turns a register word into a value in volts, amperes, watts, degrees Celsius or rpm. It is false for words
// that are no value.
type Decode func(word uint16) (float64, bool)

// Within refuses values outside low to high, both included.
func (d Decode) Within(low, high float64) Decode {
	return func(word uint16) (float64, bool) {
		v, ok := d(word)
		return v, ok && v >= low && v <= high
	}
}

// Parts of a LINEAR11 word (PMBus 1.2 part II, 7.1): a signed exponent of 5 bits over a signed mantissa of 11.
const (
	mantissaBits = 11
	maxMantissa  = 1<<(mantissaBits-1) - 1
	minExponent  = -16
	maxExponent  = 15
)

const allOnes uint16 = 0xffff

// Linear11 decodes a LINEAR11 word. FFFF, which would be -0.5, is what a released bus reads and no value.
func Linear11(word uint16) (float64, bool) {
	if word == allOnes {
		return 0, false
	}
	mantissa := int16(word<<5) >> 5
	exponent := int16(word) >> mantissaBits
	return math.Ldexp(float64(mantissa), int(exponent)), true
}

// EncodeLinear11 gives the nearest LINEAR11 word, its mantissa between 512 and 1023 where the exponent allows it (as the
// Linux PMBus core has it). It is false for what the format cannot hold.
func EncodeLinear11(v float64) (uint16, bool) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, false
	}
	for n := minExponent; n <= maxExponent; n++ {
		y := math.Round(math.Ldexp(v, -n))
		if math.Abs(y) > maxMantissa {
			continue
		}
		if y == 0 {
			return 0, true
		}
		return uint16(n)<<mantissaBits | uint16(int16(y))&(1<<mantissaBits-1), true
	}
	return 0, false
}

// ULinear16 decodes an unsigned mantissa with an exponent that stands elsewhere, in VOUT_MODE. Every word is a value.
func ULinear16(word uint16, exponent int) float64 { return math.Ldexp(float64(word), exponent) }

// EncodeULinear16 gives the nearest word. It is false for what the format cannot hold.
func EncodeULinear16(v float64, exponent int) (uint16, bool) {
	y := math.Round(math.Ldexp(v, -exponent))
	if !(y >= 0 && y <= math.MaxUint16) { // also what is not a number
		return 0, false
	}
	return uint16(y), true
}

// Half decodes an IEEE 754 binary16. Infinities and what is not a number, FFFF among it, are no value.
func Half(word uint16) (float64, bool) {
	exponent, fraction := int(word>>10&0x1f), float64(word&0x3ff)
	var v float64
	switch exponent {
	case 0x1f:
		return 0, false
	case 0:
		v = math.Ldexp(fraction, -24)
	default:
		v = math.Ldexp(fraction+0x400, exponent-25)
	}
	if word&0x8000 != 0 {
		v = -v
	}
	return v, true
}

// Direct is a DIRECT format (PMBus 1.2 part II, 7.2): word = (M * value + B) * 10^R. Where a part measures over a
// shunt M depends on it, see Shunt.
type Direct struct {
	M, B float64
	R    int
	// Width is how many bits the register has. 16, or 0, is a signed word; fewer are unsigned, and a word with a bit
	// above them is no value.
	Width int
}

// Shunt gives the coefficients for a shunt of so many times what M is stated for.
func (d Direct) Shunt(ratio float64) Direct {
	d.M *= ratio
	return d
}

// Bits gives the coefficients for a register of so many bits.
func (d Direct) Bits(width int) Direct {
	d.Width = width
	return d
}

// Decode is a Decode.
func (d Direct) Decode(word uint16) (float64, bool) {
	low, high := d.limits()
	y := float64(int16(word))
	if low == 0 {
		y = float64(word)
	}
	if y > high {
		return 0, false
	}
	return d.Value(y)
}

// Value decodes a code that need not be whole, such as the mean of many. It is false where the coefficients give none.
func (d Direct) Value(code float64) (float64, bool) {
	v := (code*math.Pow10(-d.R) - d.B) / d.M
	return v, !math.IsNaN(v) && !math.IsInf(v, 0)
}

// Code is the inverse of Value.
func (d Direct) Code(v float64) float64 { return (d.M*v + d.B) * math.Pow10(d.R) }

// Encode gives the nearest word, the even one of two. It is false for what the register cannot hold.
func (d Direct) Encode(v float64) (uint16, bool) {
	low, high := d.limits()
	y := math.RoundToEven(d.Code(v))
	if !(y >= low && y <= high) { // also what is not a number
		return 0, false
	}
	return uint16(int32(y)), true
}

func (d Direct) limits() (low, high float64) {
	if d.Width > 0 && d.Width < 16 {
		return 0, float64(int(1)<<d.Width - 1)
	}
	return math.MinInt16, math.MaxInt16
}

// coefficientsLen is the length of the answer to COEFFICIENTS after its count.
const coefficientsLen = 5

// ParseCoefficients reads the five data bytes that a part answers COEFFICIENTS with (PMBus 1.2 part II, 14.1): m and b
// signed words, low byte first, R a signed byte. Parts that measure over a shunt leave it out of m.
func ParseCoefficients(data []byte) (Direct, bool) {
	if len(data) != coefficientsLen {
		return Direct{}, false
	}
	m := int16(uint16(data[0]) | uint16(data[1])<<8)
	b := int16(uint16(data[2]) | uint16(data[3])<<8)
	d := Direct{M: float64(m), B: float64(b), R: int(int8(data[4]))}
	return d, m != 0 && (m != -1 || b != -1 || d.R != -1) // all ones: nobody answered
}
