package ade7953

import "fmt"

// Reg is a register address. Its upper digit tells the width of the register.
type Reg uint16

// Registers as the data sheet spells them.
//
//nolint:revive // underscores are the data sheet's
const (
	LCYCMODE      Reg = 0x004
	DISNOLOAD     Reg = 0x001
	PGA_V         Reg = 0x007
	PGA_IA        Reg = 0x008
	PGA_IB        Reg = 0x009
	WRITE_PROTECT Reg = 0x040
	unlock        Reg = 0x0fe // named by its use; the data sheet gives it no name
	CONFIG        Reg = 0x102
	PHCALA        Reg = 0x108
	PHCALB        Reg = 0x109
	PFA           Reg = 0x10a
	PFB           Reg = 0x10b
	PERIOD        Reg = 0x10e
	Reserved120   Reg = 0x120
	ACCMODE       Reg = 0x201
	AP_NOLOAD     Reg = 0x203
	VAR_NOLOAD    Reg = 0x204
	AVA           Reg = 0x210
	BVA           Reg = 0x211
	AWATT         Reg = 0x212
	BWATT         Reg = 0x213
	AVAR          Reg = 0x214
	BVAR          Reg = 0x215
	IRMSA         Reg = 0x21a
	IRMSB         Reg = 0x21b
	VRMS          Reg = 0x21c
	AENERGYA      Reg = 0x21e
	AENERGYB      Reg = 0x21f
	IRQSTATA      Reg = 0x22d
	RSTIRQSTATA   Reg = 0x22e
	AIGAIN        Reg = 0x280
	AVGAIN        Reg = 0x281
	AWGAIN        Reg = 0x282
	AVARGAIN      Reg = 0x283
	AVAGAIN       Reg = 0x284
	AIRMSOS       Reg = 0x286
	VRMSOS        Reg = 0x288
	AWATTOS       Reg = 0x289
	AVAROS        Reg = 0x28a
	AVAOS         Reg = 0x28b
	BIGAIN        Reg = 0x28c
	BVGAIN        Reg = 0x28d
	BWGAIN        Reg = 0x28e
	BVARGAIN      Reg = 0x28f
	BVAGAIN       Reg = 0x290
	BIRMSOS       Reg = 0x292
	BWATTOS       Reg = 0x295
	BVAROS        Reg = 0x296
	BVAOS         Reg = 0x297
	CRC           Reg = 0x37f
	Version       Reg = 0x702
)

// Values of CONFIG: bit 2 is the high-pass filter, bit 8 the checksum, bit 15 COMM_LOCK, where 0 means locked.
const (
	configReset   = 0x8004
	configLocked  = 0x0004
	configRunning = 0x0104
	commLock      = 0x8000
)

const (
	protectAll    = 0x07 // WRITE_PROTECT: 8-, 16- and 24/32-bit registers
	unlockKey     = 0xad
	optimum       = 0x0030     // the value the data sheet demands after every power-up and reset
	crcOff        = 0xffffffff // what CRC reads while it is off
	noLoadReset   = 0x00e419
	irqNoCrossing = 1 << 14
	irqReset      = 1 << 20
)

// width is the length of a register's data in bytes.
func (r Reg) width() int {
	switch r >> 8 {
	case 1, 2, 3:
		return int(r>>8) + 1
	default: // 0xx, 702, 800
		return 1
	}
}

// ones is what the register reads when nobody drives the bus.
func (r Reg) ones() uint32 { return uint32(1<<(8*r.width()) - 1) }

// String spells the register as the data sheet does; those that only Configure touches go by address.
func (r Reg) String() string {
	switch r {
	case CONFIG:
		return "CONFIG"
	case WRITE_PROTECT:
		return "WRITE_PROTECT"
	case DISNOLOAD:
		return "DISNOLOAD"
	case LCYCMODE:
		return "LCYCMODE"
	case PGA_V, PGA_IA, PGA_IB:
		return [...]string{"PGA_V", "PGA_IA", "PGA_IB"}[r-PGA_V]
	case PFA, PFB:
		return [...]string{"PFA", "PFB"}[r-PFA]
	case PERIOD:
		return "PERIOD"
	case AP_NOLOAD:
		return "AP_NOLOAD"
	case AVA, BVA, AWATT, BWATT, AVAR, BVAR:
		return [...]string{"AVA", "BVA", "AWATT", "BWATT", "AVAR", "BVAR"}[r-AVA]
	case IRMSA, IRMSB, VRMS:
		return [...]string{"IRMSA", "IRMSB", "VRMS"}[r-IRMSA]
	case AENERGYA, AENERGYB:
		return [...]string{"AENERGYA", "AENERGYB"}[r-AENERGYA]
	case IRQSTATA, RSTIRQSTATA:
		return [...]string{"IRQSTATA", "RSTIRQSTATA"}[r-IRQSTATA]
	case CRC:
		return "CRC"
	case Version:
		return "Version"
	default:
		return fmt.Sprintf("%03Xh", uint16(r))
	}
}
