package drivertest

import (
	"fmt"
	"time"
)

// FRU is what an inventory EEPROM says of its board: the board area of the Platform Management FRU Information
// Storage Definition 1.0 (sections 8 and 11). Empty fields are stored with length zero.
type FRU struct {
	Manufacturer string
	Product      string
	Serial       string
	Part         string
	FileID       string
	Extra        []string
	Made         time.Time // zero: not stated
	SixBit       bool      // store the fields as 6-bit ASCII (upper case) instead of 8-bit text
}

// fruEpoch is the zero of the manufacturing time, which counts minutes.
var fruEpoch = time.Date(1996, 1, 1, 0, 0, 0, 0, time.UTC)

// Image is the memory of an EEPROM that holds a common header and the board area at offset 8.
func (f FRU) Image() ([]byte, error) {
	area := []byte{1, 0, 25, 0, 0, 0} // version, length (below), English, time (below)
	if !f.Made.IsZero() {
		m := uint32(f.Made.Sub(fruEpoch) / time.Minute)
		area[3], area[4], area[5] = byte(m), byte(m>>8), byte(m>>16)
	}
	for _, s := range append([]string{f.Manufacturer, f.Product, f.Serial, f.Part, f.FileID}, f.Extra...) {
		b, err := f.field(s)
		if err != nil {
			return nil, err
		}
		area = append(area, b...)
	}
	area = append(area, 0xC1)
	for len(area)%8 != 7 {
		area = append(area, 0)
	}
	if len(area)/8+1 > 0xFF {
		return nil, fmt.Errorf("fru: board area of %d bytes is too long", len(area)+1)
	}
	area[1] = byte(len(area)/8 + 1)
	area = append(area, zeroSum(area))
	head := []byte{1, 0, 0, 1, 0, 0, 0}
	return append(append(head, zeroSum(head)), area...), nil
}

// field is the type/length byte and the data. A field of one 8-bit character cannot be written: its type/length
// byte would be C1, the end of the list.
func (f FRU) field(s string) ([]byte, error) {
	if s == "" {
		return []byte{0xC0}, nil
	}
	kind, data := byte(0xC0), []byte(s)
	if f.SixBit {
		kind = 0x80
		var err error
		if data, err = SixBitASCII(s); err != nil {
			return nil, err
		}
	}
	if len(data) > 63 || kind|byte(len(data)) == 0xC1 {
		return nil, fmt.Errorf("fru: field %q of %d bytes cannot be stored", s, len(data))
	}
	return append([]byte{kind | byte(len(data))}, data...), nil
}

// SixBitASCII packs characters 0x20 to 0x5F into six bits each, low bits first (section 13).
func SixBitASCII(s string) ([]byte, error) {
	var out []byte
	var acc, bits uint
	for _, r := range s {
		if r < 0x20 || r > 0x5F {
			return nil, fmt.Errorf("fru: %q has no 6-bit code", r)
		}
		acc |= uint(r-0x20) << bits
		for bits += 6; bits >= 8; bits -= 8 {
			out = append(out, byte(acc))
			acc >>= 8
		}
	}
	if bits > 0 {
		out = append(out, byte(acc))
	}
	return out, nil
}

// zeroSum is the byte that makes the sum zero modulo 256.
func zeroSum(b []byte) byte {
	var sum byte
	for _, v := range b {
		sum += v
	}
	return -sum
}
