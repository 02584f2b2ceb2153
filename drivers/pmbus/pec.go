package pmbus

// PEC is the packet error code of SMBus 2.0 (5.4): CRC-8 with the polynomial x^8 + x^2 + x + 1, over every byte of a
// transfer, the address bytes with their read bit included.
func PEC(data ...byte) byte {
	var crc byte
	for _, b := range data {
		crc ^= b
		for range 8 {
			if crc&0x80 != 0 {
				crc = crc<<1 ^ 0x07
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

// transferPEC covers a transfer with the part at addr: what is written, and what is read after a repeated START.
func transferPEC(addr uint16, w, r []byte) byte {
	covered := append([]byte{byte(addr << 1)}, w...)
	if len(r) > 0 {
		covered = append(append(covered, byte(addr<<1)|1), r...)
	}
	return PEC(covered...)
}
