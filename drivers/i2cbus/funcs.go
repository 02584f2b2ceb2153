package i2cbus

import "fmt"

// Funcs is what an adapter says it can do: the mask of the I2C_FUNCS ioctl (Linux, include/uapi/linux/i2c.h).
type Funcs uint64

const (
	funcI2C   Funcs = 0x00000001 // I2C_FUNC_I2C: plain transfers
	funcSMBus Funcs = 0x0eff0008 // I2C_FUNC_SMBUS_EMUL: what can be made of plain transfers, PEC included
)

// I2C tells whether the adapter moves plain I2C messages, which this package needs.
func (f Funcs) I2C() bool { return f&funcI2C != 0 }

// String says it in words.
func (f Funcs) String() string {
	switch {
	case f.I2C():
		return "I2C"
	case f&funcSMBus != 0:
		return "SMBus only"
	default:
		return fmt.Sprintf("neither I2C nor SMBus (0x%08x)", uint64(f))
	}
}
