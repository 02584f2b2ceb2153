package i2cbus

import (
	"context"
	"errors"
	"os"
	"syscall"

	"rackagent/drivers"
)

// faultOf classifies what a transport returned: a fault it names itself, an errno, or the end of the transfer's
// context. Anything else is BusFault.
func faultOf(err error) drivers.Fault {
	var f drivers.Fault
	var de *drivers.Error
	var errno syscall.Errno
	switch {
	case errors.As(err, &de):
		return de.Fault
	case errors.As(err, &f):
		return f
	case errors.As(err, &errno):
		return ErrnoFault(errno)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, os.ErrDeadlineExceeded):
		return drivers.Timeout
	default:
		return drivers.BusFault
	}
}

// ErrnoFault says what an errno from an I2C adapter, or from a device behind one, means (Linux,
// Documentation/i2c/fault-codes, and the adapter drivers: a missing device is ENXIO on i.MX, Rockchip, Aspeed and
// STM32, EREMOTEIO on bcm2835, OMAP and Tegra).
func ErrnoFault(e syscall.Errno) drivers.Fault {
	switch e {
	case 0:
		return drivers.None
	case syscall.ENXIO, errRemoteIO:
		return drivers.NoAnswer
	case syscall.EAGAIN:
		return drivers.Arbitration
	case syscall.ETIMEDOUT:
		return drivers.Timeout
	case syscall.EBADMSG, syscall.EPROTO: // checksum; block length outside 1..32
		return drivers.Corrupt
	case syscall.EOPNOTSUPP, syscall.EINVAL, syscall.ENOTTY: // adapter cannot; message too long; not an I2C adapter
		return drivers.Unsupported
	default: // EIO, EBUSY (held low), ESHUTDOWN (suspended), ENODEV (adapter gone) and what drivers invent
		return drivers.BusFault
	}
}
