package ina228

import "fmt"

// Reg is a pointer address.
type Reg byte

// Registers as the data sheet spells them.
//
//nolint:revive // underscores are the data sheet's
const (
	CONFIG          Reg = 0x00
	ADC_CONFIG      Reg = 0x01
	SHUNT_CAL       Reg = 0x02
	VSHUNT          Reg = 0x04
	VBUS            Reg = 0x05
	DIETEMP         Reg = 0x06
	ENERGY          Reg = 0x09
	CHARGE          Reg = 0x0a
	DIAG_ALRT       Reg = 0x0b
	MANUFACTURER_ID Reg = 0x3e
	DEVICE_ID       Reg = 0x3f
)

// Values of settings.
const (
	adcRange   uint16 = 1 << 4 // CONFIG: 40.96 mV instead of 163.84 mV
	adcAverage uint16 = 0xfb6a // ADC_CONFIG: all inputs continuously, 1052 us, 16 samples
	adcDefault uint16 = 0xfb68 // the same with 1 sample
	calDefault uint16 = 0x1000 // SHUNT_CAL at power-on (recalled)
)

// Values of the identification registers.
const (
	manufacturerTI uint16 = 0x5449 // "TI"
	deviceINA228   uint16 = 0x2280 // bits 3:0 are the revision
	deviceINA238   uint16 = 0x2381
)

// Bits of DIAG_ALRT.
const (
	memoryGood     uint16 = 1 << 0 // MEMSTAT: 0 says that the trim memory fails its checksum
	mathOverflow   uint16 = 1 << 9
	chargeOverflow uint16 = 1 << 10
	energyOverflow uint16 = 1 << 11
)

// width is the length of a register's data in bytes on a part.
func (r Reg) width(p Part) int {
	switch {
	case p != INA228:
		return 2
	case r == VSHUNT || r == VBUS:
		return 3
	case r == ENERGY || r == CHARGE:
		return 5
	default:
		return 2
	}
}

// String spells the register as the data sheet does.
func (r Reg) String() string {
	switch r {
	case CONFIG:
		return "CONFIG"
	case ADC_CONFIG:
		return "ADC_CONFIG"
	case SHUNT_CAL:
		return "SHUNT_CAL"
	case VSHUNT:
		return "VSHUNT"
	case VBUS:
		return "VBUS"
	case DIETEMP:
		return "DIETEMP"
	case ENERGY:
		return "ENERGY"
	case CHARGE:
		return "CHARGE"
	case DIAG_ALRT:
		return "DIAG_ALRT"
	case MANUFACTURER_ID:
		return "MANUFACTURER_ID"
	case DEVICE_ID:
		return "DEVICE_ID"
	default:
		return fmt.Sprintf("%02Xh", byte(r))
	}
}
