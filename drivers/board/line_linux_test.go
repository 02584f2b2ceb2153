package board

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/host/v3/sysfs"

	"rackagent/drivers"
)

// Layout of the kernel's structures, which is the same on every architecture (Linux, include/uapi/linux/gpio.h):
// constant expressions, so that "go vet" for any GOARCH checks them too.
const (
	_ = -(unsafe.Sizeof(lineInfo{}) ^ 256)
	_ = -(unsafe.Offsetof(lineInfo{}.offset) ^ 64)
	_ = -(unsafe.Offsetof(lineInfo{}.flags) ^ 72)
	_ = -(unsafe.Sizeof(lineRequest{}) ^ 592)
	_ = -(unsafe.Offsetof(lineRequest{}.consumer) ^ 256)
	_ = -(unsafe.Offsetof(lineRequest{}.config) ^ 288)
	_ = -(unsafe.Offsetof(lineRequest{}.lines) ^ 560)
	_ = -(unsafe.Offsetof(lineRequest{}.fd) ^ 588)
	_ = -(unsafe.Sizeof(lineValues{}) ^ 16)
	_ = -(unsafe.Offsetof(lineRequest{}.eventBuffer) ^ 564)
	_ = -(unsafe.Sizeof(lineRequest{}.config) ^ 272)
	_ = -(unsafe.Sizeof(lineRequest{}.config.attrs) ^ 240)
)

// chip is a GPIO chip with one line: what flags it has, what it reads, what fails.
type chip struct {
	t       *testing.T
	offset  uint32
	flags   uint64
	user    string
	bits    uint64
	infoErr error
	takeErr error
	readErr error
	setErr  error
	taken   bool
	want    func(*lineRequest) // what the request must ask for; nil: an input
}

func (c *chip) ioctl(request uintptr, arg unsafe.Pointer) error {
	switch request {
	case 0xc100b405:
		return c.info((*lineInfo)(arg))
	case 0xc250b407:
		return c.take((*lineRequest)(arg))
	case 0xc010b40e:
		v := (*lineValues)(arg)
		if v.mask != 1 {
			c.t.Errorf("mask %#x", v.mask)
		}
		v.bits = c.bits
		return c.readErr
	case 0xc010b40f:
		v := (*lineValues)(arg)
		if v.mask != 1 {
			c.t.Errorf("mask %#x", v.mask)
		}
		if c.setErr == nil {
			c.bits = v.bits
		}
		return c.setErr
	default:
		return syscall.ENOTTY
	}
}

func (c *chip) info(i *lineInfo) error {
	if i.offset != c.offset {
		return syscall.EINVAL
	}
	i.flags = c.flags
	copy(i.consumer[:], c.user)
	return c.infoErr
}

func (c *chip) take(r *lineRequest) error {
	if r.lines != 1 || r.offsets[0] != c.offset || string(r.consumer[:10]) != "rackagent\x00" {
		c.t.Errorf("request %+v", r)
	}
	if c.want != nil {
		c.want(r)
	} else if r.config.flags != flagInput || r.config.attrCount != 0 {
		c.t.Errorf("asks for more than an input: flags %#x", r.config.flags)
	}
	c.taken = true
	r.fd = 42
	return c.takeErr
}

func TestTakeALine(t *testing.T) {
	c := &chip{t: t, offset: 17, flags: flagInput}
	line := Line{Chip: "/dev/gpiochip0", Offset: 17}
	if err := line.ask(c.ioctl); err != nil {
		t.Fatal(err)
	}
	if fd, err := line.request(c.ioctl, asInput); fd != 42 || err != nil {
		t.Errorf("%d, %v", fd, err)
	}
	released := false
	in := Input{line, &chipLine{values: c.ioctl, release: func() error { released = true; return nil }}}
	for bits, want := range map[uint64]Level{0: Low, 1: High, 2: Low} {
		c.bits = bits
		if level, err := in.Read(); level != want || err != nil {
			t.Errorf("%v, %v, want %v", level, err, want)
		}
	}
	if err := in.Close(); err != nil || !released {
		t.Errorf("%v, released %v", err, released)
	}
}

// A line that an expander behind I2C does not answer for, or whose chip is gone, is unknown and never low.
func TestLostLine(t *testing.T) {
	c := &chip{t: t, bits: 0}
	in := Input{Line{Chip: "/dev/gpiochip3", Offset: 2}, &chipLine{values: c.ioctl}}
	for errno, fault := range map[syscall.Errno]drivers.Fault{
		syscall.EREMOTEIO: drivers.NoAnswer, syscall.ENXIO: drivers.NoAnswer,
		syscall.ENODEV: drivers.BusFault, syscall.ETIMEDOUT: drivers.Timeout,
	} {
		c.readErr = errno
		level, err := in.Read()
		if level != Unknown || !errors.Is(err, errno) || drivers.FaultOf(err) != fault {
			t.Errorf("%v, %v", level, err)
		}
		if !strings.HasPrefix(err.Error(), "/dev/gpiochip3:2: read line: "+fault.String()+": ") {
			t.Errorf("text %q", err)
		}
	}
}

func TestLinesThatAreNotTaken(t *testing.T) {
	for _, c := range []struct {
		name string
		chip chip
		is   error
		text string
	}{
		{"output", chip{flags: flagOutput}, ErrOutput, ""},
		{"output of a user", chip{flags: flagOutput | flagUsed, user: "fan"}, ErrOutput, ""},
		{"another's input", chip{flags: flagInput | flagUsed, user: "gpio-keys"}, ErrInUse, `"gpio-keys"`},
		{"pin of the I2C controller", chip{flags: flagInput | flagUsed}, ErrInUse, "another function"},
		{"not on the chip", chip{offset: 9}, syscall.EINVAL, ""},
	} {
		c.chip.t = t
		err := Line{Chip: "/dev/gpiochip0"}.ask(c.chip.ioctl)
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.text) || c.chip.taken {
			t.Errorf("%s: %v, taken %v", c.name, err, c.chip.taken)
		}
	}
	c := chip{t: t, takeErr: syscall.EBUSY}
	if _, err := (Line{}).request(c.ioctl, asInput); !errors.Is(err, syscall.EBUSY) {
		t.Error(err)
	}
}

func TestChipThatIsNotThere(t *testing.T) {
	b := on(t, plant(t, nil))
	_, err := b.Input("/dev/gpiochip98:1")
	if !errors.Is(err, os.ErrNotExist) || !errors.Is(err, drivers.Unsupported) {
		t.Error(err)
	}
	if err := (Line{Chip: os.DevNull}).vacant(); !errors.Is(err, syscall.ENOTTY) {
		t.Errorf("no chip at all: %v", err)
	}
}

// alias is a second name of a pin, as periph's registry makes them.
type alias struct{ gpio.PinIO }

func (a alias) Real() gpio.PinIO { return a.PinIO }

// A line of a chip is not offered a second time by the number that sysfs gives it.
func TestSysfsPinsAreLeftAlone(t *testing.T) {
	second := &sysfs.Pin{}
	for p, want := range map[gpio.PinIO]bool{second: true, alias{second}: true, &periphLine{}: false, alias{&periphLine{}}: false} {
		if sideDoor(p) != want {
			t.Errorf("%T: %v", p, !want)
		}
	}
}

// A line for rescue is asked for as an open-drain output that pulls nothing, and pulls when it is told to.
func TestTakeADrain(t *testing.T) {
	c := &chip{t: t, offset: 17, flags: flagInput, bits: 1}
	asked := 0
	c.want = func(r *lineRequest) {
		asked++
		const openDrainOutput = 0x48
		a := r.config.attrs[0]
		if r.config.flags != openDrainOutput || r.config.attrCount != 1 || a.id != 2 || a.value != 1 || a.mask != 1 {
			t.Errorf("%+v", r.config)
		}
	}
	line := Line{Chip: "/dev/gpiochip0", Offset: 17}
	if fd, err := line.request(c.ioctl, asDrain); fd != 42 || err != nil || asked != 1 {
		t.Errorf("%d, %v", fd, err)
	}
	d := &chipLine{values: c.ioctl, release: func() error { return nil }}
	for _, released := range []bool{false, true, false} {
		want := map[bool]uint64{true: 1, false: 0}[released]
		if err := d.set(released); err != nil || c.bits != want {
			t.Errorf("released %v: %v, level %d", released, err, c.bits)
		}
	}
	c.setErr = syscall.ENODEV
	if err := d.set(true); !errors.Is(err, syscall.ENODEV) || drivers.FaultOf(err) != drivers.BusFault {
		t.Error(err)
	}
}

// The whole recovery over the ioctls: the two lines of one chip, of which the second holds out for two clocks.
func TestClocksOverIoctls(t *testing.T) {
	scl, sda := &chip{t: t, flags: flagInput, bits: 1}, &chip{t: t, flags: flagInput, bits: 1}
	rising, given := 0, 0
	scLine := func(request uintptr, arg unsafe.Pointer) error {
		if before := scl.bits; request == ioctlLineSet && before == 0 && (*lineValues)(arg).bits == 1 {
			rising++
		}
		return scl.ioctl(request, arg)
	}
	sdLine := func(request uintptr, arg unsafe.Pointer) error {
		err := sda.ioctl(request, arg)
		if request == ioctlLineValues && rising < 2 {
			(*lineValues)(arg).bits = 0
		}
		return err
	}
	lines := map[string]control{"SCL": scLine, "SDA": sdLine}
	c := &Clocks{scl: Line{Name: "SCL"}, sda: Line{Name: "SDA"}, take: func(l Line) (drain, error) {
		return &chipLine{values: lines[l.Name], release: func() error { given++; return nil }}, nil
	}}
	if err := c.Recover(t.Context()); err != nil || rising != 2 || given != 2 || scl.bits != 1 || sda.bits != 1 {
		t.Errorf("%v after %d clocks, %d given back, levels %d and %d", err, rising, given, scl.bits, sda.bits)
	}
}

// A counter asks for the edges and nothing more; the kernel debounces.
func TestTakePulses(t *testing.T) {
	for _, c := range []struct {
		o     CounterOpts
		flags uint64
		us    uint64
	}{
		{CounterOpts{}, 0x14, 0},
		{CounterOpts{Edge: Falling}, 0x24, 0},
		{CounterOpts{Edge: Both, Debounce: 1500 * time.Microsecond}, 0x34, 1500},
	} {
		asked := false
		ch := &chip{t: t, flags: flagInput, want: func(r *lineRequest) {
			asked = true
			if r.config.flags != c.flags || r.eventBuffer != 256 {
				t.Errorf("%+v: flags %#x, buffer %d", c.o, r.config.flags, r.eventBuffer)
			}
			if a := r.config.attrs[0]; c.us > 0 && (r.config.attrCount != 1 || a.id != 3 || a.value != c.us || a.mask != 1) {
				t.Errorf("%+v: %+v", c.o, r.config)
			}
			if c.us == 0 && r.config.attrCount != 0 {
				t.Errorf("%+v: %+v", c.o, r.config)
			}
		}}
		if _, err := (Line{}).request(ch.ioctl, asPulses(c.o)); err != nil || !asked {
			t.Errorf("%v, asked %v", err, asked)
		}
	}
}

// A wait for events ends with Close, on a real file: a pipe that nobody writes to.
func TestCloseEndsTheWait(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	c := newCounter(Line{Name: "FLOW"}, &pulseLine{chipLine{(&chip{t: t}).ioctl, r.Close}, r})
	if _, err := w.Write(eventsOf(1)); err != nil {
		t.Fatal(err)
	}
	for n := uint64(0); n == 0; n, _, _ = c.Count() {
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
