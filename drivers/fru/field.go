package fru

import (
	"encoding/hex"
	"errors"
	"strings"
)

// endOfList is the type/length byte after the last field: 8-bit text of length 1, which no real field has.
const endOfList = 0xc1

// Types of a field, the two upper bits of its type/length byte.
const (
	typeBinary   = 0
	typeBCDPlus  = 1
	typeSixBit   = 2
	typeLatin1   = 3
	lengthOfType = 0x3f
)

// list reads type/length fields up to the end mark. An area that was cut without one ends where its bytes do, but a
// field that reaches beyond them is an error.
func list(b []byte) ([]string, error) {
	var out []string
	for len(b) > 0 && b[0] != endOfList {
		n := int(b[0] & lengthOfType)
		if 1+n > len(b) {
			return nil, errors.New("a field is longer than the area")
		}
		out = append(out, decode(b[0]>>6, b[1:1+n]))
		b = b[1+n:]
	}
	return out, nil
}

func decode(kind byte, b []byte) string {
	switch kind {
	case typeBinary:
		return hex.EncodeToString(b)
	case typeBCDPlus:
		return bcdPlus(b)
	case typeSixBit:
		return tidy(sixBit(b))
	default: // typeLatin1, as two bits have four values
		return tidy(latin1(b))
	}
}

// bcdPlus decodes two characters a byte, high nibble first; D to F are reserved and come out as '?'.
func bcdPlus(b []byte) string {
	const characters = "0123456789 -.???"
	out := make([]byte, 0, 2*len(b))
	for _, x := range b {
		out = append(out, characters[x>>4], characters[x&0x0f])
	}
	return strings.TrimRight(string(out), " ")
}

// sixBit decodes 6-bit ASCII: values of 0 to 63 count from the space character, packed low bits first, so three
// bytes hold four characters.
func sixBit(b []byte) string {
	var out []byte
	var bits, have uint
	for _, x := range b {
		bits |= uint(x) << have
		for have += 8; have >= 6; have -= 6 {
			out = append(out, byte(bits&0x3f)+' ')
			bits >>= 6
		}
	}
	return string(out)
}

func latin1(b []byte) string {
	runes := make([]rune, 0, len(b))
	for _, x := range b {
		runes = append(runes, rune(x))
	}
	return string(runes)
}

// tidy drops the padding that makers leave (spaces, NULs) and makes control characters visible as '?', since the
// text goes into messages and logs.
func tidy(s string) string {
	s = strings.Trim(s, " \x00")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}
