package board

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/host/v3/gpioioctl"
	"periph.io/x/host/v3/sysfs"

	"rackagent/drivers"
	"rackagent/drivers/i2cbus"
)

// Lines of /dev/gpiochipN are found by periph and read by the ioctls here, because periph cannot say whether a line
// is an output before it takes it, and drops the error of a read. Source: Linux, include/uapi/linux/gpio.h, version 2
// of the interface, in kernels since 5.10; on older ones there are no lines.
const (
	ioctlLineInfo   = 0xc100b405 // GPIO_V2_GET_LINEINFO_IOCTL
	ioctlLine       = 0xc250b407 // GPIO_V2_GET_LINE_IOCTL
	ioctlLineValues = 0xc010b40e // GPIO_V2_LINE_GET_VALUES_IOCTL

	flagUsed   = 1 << 0 // GPIO_V2_LINE_FLAG_USED
	flagInput  = 1 << 2 // GPIO_V2_LINE_FLAG_INPUT
	flagOutput = 1 << 3 // GPIO_V2_LINE_FLAG_OUTPUT
)

// lineInfo is struct gpio_v2_line_info.
type lineInfo struct {
	name, consumer [32]byte
	offset         uint32
	attrCount      uint32
	flags          uint64
	attrs          [10]struct {
		id, padding uint32
		value       uint64
	}
	padding [4]uint32
}

// lineRequest is struct gpio_v2_line_request.
type lineRequest struct {
	offsets  [64]uint32
	consumer [32]byte
	config   struct {
		flags     uint64
		attrCount uint32
		padding   [5]uint32
		attrs     [10]struct {
			id, padding uint32
			value, mask uint64
		}
	}
	lines       uint32
	eventBuffer uint32
	padding     [5]uint32
	fd          int32
}

// lineValues is struct gpio_v2_line_values; bit 0 is the first line of a request.
type lineValues struct{ bits, mask uint64 }

// control is the ioctl call on one open file.
type control func(request uintptr, arg unsafe.Pointer) error

// chipLines lists the lines of the chips that periph found at its start.
func chipLines() []Line {
	var lines []Line
	for _, c := range gpioioctl.Chips {
		for _, l := range c.Lines() {
			lines = append(lines, Line{Name: l.Name(), Chip: c.Path(), Offset: l.Number()})
		}
	}
	return lines
}

// sideDoor tells whether p is a chip's line as the older sysfs interface offers it ("GPIO1796", numbered by the
// kernel at each boot). It must not be asked anything: the first question exports the line, which takes it from its
// user-space owner and makes the pin controller switch the pin over (seen on an AST2600, Linux 6.1, where listing
// 504 lines so made every chip line busy).
func sideDoor(p gpio.PinIO) bool {
	if alias, ok := p.(gpio.RealPin); ok {
		p = alias.Real()
	}
	_, ok := p.(*sysfs.Pin)
	return ok
}

// vacant is nil if the line is an input that nobody uses.
func (l Line) vacant() error {
	return l.onChip(func(chip control) error { return l.ask(chip) })
}

// take requests the line as an input.
func (l Line) take() (source, error) {
	var taken *os.File
	err := l.onChip(func(chip control) error {
		if err := l.ask(chip); err != nil {
			return err
		}
		fd, err := l.request(chip)
		if err != nil {
			return err
		}
		taken = os.NewFile(uintptr(fd), l.String())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &chipLine{values: controlOf(taken), release: taken.Close}, nil
}

// onChip opens the line's chip for f.
func (l Line) onChip(f func(chip control) error) error {
	file, err := os.Open(l.Chip)
	if err != nil {
		return &drivers.Error{Op: "open", Device: l.Chip, Fault: drivers.Unsupported, Err: errors.Unwrap(err)}
	}
	defer file.Close()
	return f(controlOf(file))
}

// ask refuses a line that is an output or has a user. It changes nothing.
func (l Line) ask(chip control) error {
	info := lineInfo{offset: uint32(l.Offset)}
	if err := chip(ioctlLineInfo, unsafe.Pointer(&info)); err != nil {
		return failed("ask for line", err)
	}
	switch {
	case info.flags&flagOutput != 0:
		return refused(drivers.Foreign, ErrOutput)
	case info.flags&flagUsed != 0:
		return refused(drivers.Foreign, fmt.Errorf("%w by %s", ErrInUse, user(info)))
	}
	return nil
}

// user names who has a line. The kernel names nobody for a pin that is muxed to another function, such as I2C.
func user(info lineInfo) string {
	name := bytes.TrimRight(info.consumer[:], "\x00")
	if len(name) == 0 {
		return "another function of the pin"
	}
	return strconv.Quote(string(name))
}

// request takes the line as an input whose bias stays as it is, and gives its file descriptor.
func (l Line) request(chip control) (int32, error) {
	var r lineRequest
	r.offsets[0] = uint32(l.Offset)
	r.lines = 1
	r.config.flags = flagInput
	copy(r.consumer[:], "rackagent")
	if err := chip(ioctlLine, unsafe.Pointer(&r)); err != nil {
		return 0, failed("request line", err)
	}
	return r.fd, nil
}

// chipLine is a requested line.
type chipLine struct {
	values  control
	release func() error
}

func (c *chipLine) read() (Level, error) {
	v := lineValues{mask: 1}
	if err := c.values(ioctlLineValues, unsafe.Pointer(&v)); err != nil {
		return Unknown, failed("get value", err)
	}
	if v.bits&1 != 0 {
		return High, nil
	}
	return Low, nil
}

func (c *chipLine) close() error { return c.release() }

// failed classifies the error of an ioctl: a line may sit on an expander behind I2C.
func failed(op string, err error) error {
	fault := drivers.BusFault
	var errno syscall.Errno
	if errors.As(err, &errno) {
		fault = i2cbus.ErrnoFault(errno)
	}
	return &drivers.Error{Op: op, Fault: fault, Err: err}
}

func controlOf(file *os.File) control {
	return func(request uintptr, arg unsafe.Pointer) error {
		raw, err := file.SyscallConn()
		if err != nil {
			return err
		}
		var errno syscall.Errno
		err = raw.Control(func(fd uintptr) {
			_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(arg))
		})
		if err == nil && errno != 0 {
			return errno
		}
		return err
	}
}
