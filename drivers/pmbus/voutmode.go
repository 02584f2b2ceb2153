package pmbus

// VoutMode is the register VOUT_MODE (PMBus 1.2 part II, 8.3): the format of READ_VOUT and of the limits of the output
// voltage. It belongs to a page.
type VoutMode byte

// VoutFormat is the format that a VoutMode names.
type VoutFormat byte

// The formats, as bits 6:5 have them.
const (
	VoutLinear VoutFormat = iota // ULINEAR16
	VoutVID                      // codes of a processor's table
	VoutDirect
	VoutHalf // IEEE 754 binary16
)

const (
	voutRelative  = 0x80
	voutParameter = 0x1f
)

// Format is the format of the output voltage.
func (m VoutMode) Format() VoutFormat { return VoutFormat(m >> 5 & 3) }

// Relative tells whether limits are given as a share of VOUT_COMMAND. It changes nothing for READ_VOUT.
func (m VoutMode) Relative() bool { return m&voutRelative != 0 }

// Exponent is the exponent of the linear format, -16 to 15.
func (m VoutMode) Exponent() int { return int(int8(m<<3) >> 3) }

// Table is the number of the VID table.
func (m VoutMode) Table() int { return int(m & voutParameter) }

// Decode gives the decoder of READ_VOUT. It is false for VID codes, which need the processor's table, for DIRECT,
// whose coefficients stand elsewhere, and for what no part can mean: both formats have no parameter, so that FF, which
// a bus reads that nobody drives, is none either.
func (m VoutMode) Decode() (Decode, bool) {
	switch m.Format() {
	case VoutLinear:
		n := m.Exponent()
		return func(word uint16) (float64, bool) { return ULinear16(word, n), true }, true
	case VoutHalf:
		return Half, m&voutParameter == 0
	default:
		return nil, false
	}
}
