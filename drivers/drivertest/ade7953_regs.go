package drivertest

import "hash/crc32"

// Registers of the ADE7953 by address (Analog Devices, ADE7953 rev. C, tables 16 to 21).
const (
	adeDISNOLOAD   = 0x001
	adeLCYCMODE    = 0x004
	adePGAV        = 0x007
	adePGAIA       = 0x008
	adePGAIB       = 0x009
	adePROTECT     = 0x040
	adeLASTOP      = 0x0FD
	adeUNLOCK      = 0x0FE
	adeLASTDATA    = 0x0FF // and 1FF, 2FF, 3FF
	adeZXTOUT      = 0x100
	adeLINECYC     = 0x101
	adeCONFIG      = 0x102
	adePF          = 0x10A // A, B
	adeANGLE       = 0x10C // A, B
	adePERIOD      = 0x10E
	adeOPTIMUM     = 0x120
	adeLASTADD     = 0x1FE
	adeACCMODE     = 0x201
	adeNOLOAD      = 0x203 // active, reactive, apparent
	adeVA          = 0x210 // A, B; then W, VAR
	adeW           = 0x212
	adeVAR         = 0x214
	adeWAVE        = 0x216 // IA, IB, V
	adeIRMS        = 0x21A // A, B
	adeVRMS        = 0x21C
	adeENERGY      = 0x21E // W A, W B, VAR A, VAR B, VA A, VA B
	adeOVLVL       = 0x224
	adeOILVL       = 0x225
	adePEAK        = 0x226 // V, cleared V, IA, cleared IA, IB, cleared IB
	adeIRQENABLEA  = 0x22C
	adeIRQSTATUSA  = 0x22D
	adeIRQCLEARA   = 0x22E
	adeIRQENABLEB  = 0x22F
	adeIRQSTATUSB  = 0x230
	adeIRQCLEARB   = 0x231
	adeGAINA       = 0x280 // I, V, W, VAR, VA
	adeGAINB       = 0x28C // I, V, W, VAR, VA
	adeIRMSOFFSETA = 0x286
	adeVRMSOFFSET  = 0x288
	adeIRMSOFFSETB = 0x292
	adeOFFSETA     = 0x289 // W, VAR, VA
	adeOFFSETB     = 0x295
	adeCRC         = 0x37F
	adeVERSION     = 0x702
	adeEXREF       = 0x800
)

// Bits of CONFIG.
const (
	adeSoftReset = 1 << 7
	adeCRCOn     = 1 << 8
	adeUnlocked  = 1 << 15 // COMM_LOCK: 0 is locked
)

// Bits of the status register of channel A; channel B has 0 to 13 of them.
const (
	adeIRQOverflow = 1 << 3 // active, reactive, apparent
	adeIRQNoLoad   = 1 << 6 // active, reactive, apparent
	adeIRQOverI    = 1 << 13
	adeIRQNoZX     = 1 << 14
	adeIRQOverV    = 1 << 16
	adeIRQWindow   = 1 << 18
	adeIRQReset    = 1 << 20
	adeIRQCRC      = 1 << 21
)

// adeDefaults are the settings that can be written, with their values after a reset, and whether the checksum 37F
// covers them.
var adeDefaults = []struct {
	reg     uint16
	value   uint32
	covered bool
}{
	{0x000, 0, false},
	{adeDISNOLOAD, 0, true},
	{adeLCYCMODE, 0x40, true},
	{adePGAV, 0, true},
	{adePGAIA, 0, true},
	{adePGAIB, 0, true},
	{adePROTECT, 0, true},
	{adeZXTOUT, 0xFFFF, false},
	{adeLINECYC, 0, false},
	{adeCONFIG, 0x8004, true},
	{0x108, 0, true},
	{0x109, 0, true},
	{adeOPTIMUM, 0, false},
	{0x200, 0, false},
	{adeACCMODE, 0, true},
	{adeNOLOAD, 0x00E419, false},
	{adeNOLOAD + 1, 0x00E419, false},
	{adeNOLOAD + 2, 0, false},
	{adeOVLVL, 0xFFFFFF, false},
	{adeOILVL, 0xFFFFFF, false},
	{adeIRQENABLEA, 0x100000, true},
	{adeIRQENABLEB, 0, true},
	{0x280, 0x400000, true},
	{0x281, 0x400000, true},
	{0x282, 0x400000, true},
	{0x283, 0x400000, true},
	{0x284, 0x400000, true},
	{0x28C, 0x400000, true},
	{0x28D, 0x400000, true},
	{0x28E, 0x400000, true},
	{0x28F, 0x400000, true},
	{0x290, 0x400000, true},
	{adeIRMSOFFSETA, 0, true},
	{adeVRMSOFFSET, 0, true},
	{adeIRMSOFFSETB, 0, true},
	{0x289, 0, true},
	{0x28A, 0, true},
	{0x28B, 0, true},
	{0x295, 0, true},
	{0x296, 0, true},
	{0x297, 0, true},
	{adeEXREF, 0, true},
}

// adeCRCAtReset is 37F with the checksum on and every other register at its reset value.
const adeCRCAtReset = 0x48739163

// adeWidth is how many data bytes a register has: the address tells.
func adeWidth(reg uint16) int {
	switch reg >> 8 {
	case 0, 1, 2, 3:
		return int(reg>>8) + 1
	case 7, 8:
		return 1
	default:
		return 0
	}
}

// adeSame is the register's address in the tables: each 2xx register can also be reached at 3xx.
func adeSame(reg uint16) uint16 {
	if reg>>8 == 3 && reg != adeCRC {
		return reg - 0x100
	}
	return reg
}

// crcOf is the checksum of settings. The order in which the chip takes its registers is not published; only the
// value at reset is. So this is an ordinary CRC-32, shifted to give that value there: equal settings give equal
// sums, other settings other sums, and that is all a driver may rely on.
func (c *ADE7953) crc() uint32 {
	if c.regs[adeCONFIG]&adeCRCOn == 0 {
		return 0xFFFFFFFF
	}
	var now, reset []byte
	for _, d := range adeDefaults {
		if !d.covered {
			continue
		}
		v, r := c.regs[d.reg], d.value
		if d.reg == adeCONFIG {
			r |= adeCRCOn
		}
		if d.reg == adeACCMODE && c.o.CRCCountsLiveBits {
			v |= c.liveBits()
		}
		now = append(now, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
		reset = append(reset, byte(r>>24), byte(r>>16), byte(r>>8), byte(r))
	}
	return adeCRCAtReset ^ crc32.ChecksumIEEE(now) ^ crc32.ChecksumIEEE(reset)
}
