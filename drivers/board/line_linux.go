package board

import (
	"bytes"
	"errors"
	"fmt"
	"io"
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
	ioctlLineSet    = 0xc010b40f // GPIO_V2_LINE_SET_VALUES_IOCTL

	flagUsed      = 1 << 0 // GPIO_V2_LINE_FLAG_USED
	flagInput     = 1 << 2 // GPIO_V2_LINE_FLAG_INPUT
	flagOutput    = 1 << 3 // GPIO_V2_LINE_FLAG_OUTPUT
	flagRising    = 1 << 4 // GPIO_V2_LINE_FLAG_EDGE_RISING
	flagFalling   = 1 << 5 // GPIO_V2_LINE_FLAG_EDGE_FALLING
	flagOpenDrain = 1 << 6 // GPIO_V2_LINE_FLAG_OPEN_DRAIN

	attrValues   = 2 // GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES
	attrDebounce = 3 // GPIO_V2_LINE_ATTR_ID_DEBOUNCE, in us
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
	taken, err := l.open(asInput)
	if err != nil {
		return nil, err
	}
	return &chipLine{values: controlOf(taken), release: taken.Close}, nil
}

// takeDrain requests the line as an open-drain output that is let go of.
func (l Line) takeDrain() (drain, error) {
	taken, err := l.open(asDrain)
	if err != nil {
		return nil, err
	}
	return &chipLine{values: controlOf(taken), release: taken.Close}, nil
}

// open requests a line that is an input and has no user.
func (l Line) open(as func(*lineRequest)) (*os.File, error) {
	var taken *os.File
	err := l.onChip(func(chip control) error {
		if err := l.ask(chip); err != nil {
			return err
		}
		fd, err := l.request(chip, as)
		if err != nil {
			return err
		}
		if err := syscall.SetNonblock(int(fd), true); err != nil { // so that Close ends a wait for events
			return errors.Join(failed("request line", err), syscall.Close(int(fd)))
		}
		taken = os.NewFile(uintptr(fd), l.String())
		return nil
	})
	return taken, err
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

// request takes the line and gives its file descriptor. Its bias stays as it is.
func (l Line) request(chip control, as func(*lineRequest)) (int32, error) {
	var r lineRequest
	r.offsets[0] = uint32(l.Offset)
	r.lines = 1
	as(&r)
	copy(r.consumer[:], "rackagent")
	if err := chip(ioctlLine, unsafe.Pointer(&r)); err != nil {
		return 0, failed("request line", err)
	}
	return r.fd, nil
}

func asInput(r *lineRequest) { r.config.flags = flagInput }

// asDrain asks for an output that pulls nothing until it is told to.
func asDrain(r *lineRequest) {
	r.config.flags = flagOutput | flagOpenDrain
	r.attribute(attrValues, 1)
}

// asPulses asks for an input whose edges are reported.
func asPulses(o CounterOpts) func(*lineRequest) {
	edges := [...]uint64{Rising: flagRising, Falling: flagFalling, Both: flagRising | flagFalling}
	return func(r *lineRequest) {
		r.config.flags = flagInput | edges[o.Edge]
		r.eventBuffer = eventBuffer
		if o.Debounce > 0 {
			r.attribute(attrDebounce, uint64(o.Debounce.Microseconds()))
		}
	}
}

// pulseLine is a line whose edges are reported.
type pulseLine struct {
	chipLine
	file *os.File
}

// takePulses requests the line as an input whose edges are reported.
func (l Line) takePulses(o CounterOpts) (pulses, error) {
	taken, err := l.open(asPulses(o))
	if err != nil {
		return nil, err
	}
	return &pulseLine{chipLine: chipLine{values: controlOf(taken), release: taken.Close}, file: taken}, nil
}

func (p *pulseLine) events() io.Reader { return p.file }

// attribute adds one for the first and only line.
func (r *lineRequest) attribute(id uint32, value uint64) {
	a := &r.config.attrs[r.config.attrCount]
	a.id, a.value, a.mask = id, value, 1
	r.config.attrCount++
}

// chipLine is a requested line. Only those that were requested as open-drain can be set.
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

func (c *chipLine) set(released bool) error {
	v := lineValues{mask: 1}
	if released {
		v.bits = 1
	}
	if err := c.values(ioctlLineSet, unsafe.Pointer(&v)); err != nil {
		return failed("set value", err)
	}
	return nil
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
