package i2cbus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"

	"rackagent/drivers"
)

// Layout of the kernel's structures on this architecture (Linux, include/uapi/linux/i2c.h and i2c-dev.h): a
// constant expression, so that "go vet" for any GOARCH checks it too.
const (
	word = unsafe.Sizeof(uintptr(0))

	_ = -unsafe.Offsetof(message{}.addr)
	_ = -(unsafe.Offsetof(message{}.flags) ^ 2)
	_ = -(unsafe.Offsetof(message{}.length) ^ 4)
	_ = -(unsafe.Offsetof(message{}.buf) ^ 8)
	_ = -(unsafe.Sizeof(message{}) ^ (8 + word))
	_ = -unsafe.Offsetof(rdwr{}.messages)
	_ = -(unsafe.Offsetof(rdwr{}.count) ^ word)
	_ = -(unsafe.Sizeof(rdwr{}) ^ (2 * word))
)

func TestLayout(t *testing.T) {
	var m message
	var d rdwr
	got := []uintptr{
		unsafe.Offsetof(m.addr), unsafe.Offsetof(m.flags), unsafe.Offsetof(m.length), unsafe.Offsetof(m.buf),
		unsafe.Sizeof(m), unsafe.Offsetof(d.messages), unsafe.Offsetof(d.count), unsafe.Sizeof(d),
	}
	want := map[uintptr][]uintptr{
		4: {0, 2, 4, 8, 12, 0, 4, 8},
		8: {0, 2, 4, 8, 16, 0, 8, 16},
	}[word]
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", runtime.GOARCH, got, want)
	}
}

// kernel is the receiving end of the ioctls.
type kernel struct {
	mask uintptr
	errs map[uint16]error
	seen atomic.Int64
}

func (k *kernel) device() *device {
	return &device{path: "/dev/i2c-9", close: func() error { return nil }, ioctl: k.ioctl}
}

// ioctl follows the pointers as the kernel does. Payloads are made from the address, so a message that got mixed
// up with another, or points into memory that has moved, shows.
func (k *kernel) ioctl(request uintptr, arg unsafe.Pointer) error {
	switch request {
	case 0x0705:
		*(*uintptr)(arg) = k.mask
		return nil
	case 0x0707:
		return k.transfer((*rdwr)(arg))
	default:
		return syscall.ENOTTY
	}
}

func (k *kernel) transfer(d *rdwr) error {
	k.seen.Add(1)
	for _, m := range unsafe.Slice(d.messages, d.count) {
		if err := k.errs[m.addr]; err != nil {
			return err
		}
		runtime.Gosched()
		data := unsafe.Slice(m.buf, m.length)
		switch m.flags {
		case 0:
			if !bytes.Equal(data, payload(m.addr, len(data), false)) {
				return fmt.Errorf("message to 0x%02x carries % x", m.addr, data)
			}
		case 1:
			copy(data, payload(m.addr, len(data), true))
		default:
			return fmt.Errorf("flags %#x", m.flags)
		}
	}
	return nil
}

func payload(addr uint16, n int, fromDevice bool) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(addr) + byte(i)
		if fromDevice {
			p[i] = ^p[i]
		}
	}
	return p
}

func TestMessages(t *testing.T) {
	for _, c := range []struct{ w, r int }{{1, 0}, {0, 1}, {3, 2}, {8192, 8192}} {
		k := &kernel{}
		r := make([]byte, c.r)
		if err := k.device().Tx(t.Context(), 0x50, payload(0x50, c.w, false), r); err != nil {
			t.Errorf("%d out, %d in: %v", c.w, c.r, err)
		}
		if !bytes.Equal(r, payload(0x50, c.r, true)) {
			t.Errorf("%d out, %d in: read % x", c.w, c.r, r)
		}
	}
	k := &kernel{}
	if err := k.device().Tx(t.Context(), 0x50, nil, nil); !errors.Is(err, ErrEmpty) || k.seen.Load() != 0 {
		t.Errorf("empty transfer: %v, %d ioctls", err, k.seen.Load())
	}
}

// What the kernel sees stays intact while 16 goroutines wait for one device, stacks move and the collector runs
// without a break.
func TestMessagesUnderCollection(t *testing.T) {
	k := &kernel{}
	d := k.device()
	const callers, each = 16, 100
	var collector, all sync.WaitGroup
	var stop atomic.Bool
	collector.Go(func() {
		for !stop.Load() {
			runtime.GC()
		}
	})
	for i := range callers {
		addr := uint16(firstAddr + i)
		all.Go(func() {
			for n := range each {
				deeper(n%20, func() { tx(t, d, addr, 1+n%40) })
			}
		})
	}
	all.Wait()
	stop.Store(true)
	collector.Wait()
	if n := k.seen.Load(); n != callers*each {
		t.Errorf("%d ioctls of %d", n, callers*each)
	}
}

func tx(t *testing.T, d *device, addr uint16, n int) {
	r := make([]byte, n)
	if err := d.Tx(context.Background(), addr, payload(addr, n, false), r); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(r, payload(addr, n, true)) {
		t.Errorf("0x%02x read % x", addr, r)
	}
}

// deeper calls f from a stack that has to grow on the way.
func deeper(n int, f func()) {
	var frame [512]byte
	frame[n] = 1
	if n > 0 {
		deeper(n-1, f)
	} else {
		f()
	}
	runtime.KeepAlive(&frame)
}

func TestErrnoSurvives(t *testing.T) {
	k := &kernel{errs: map[uint16]error{0x10: syscall.ENXIO, 0x11: syscall.EREMOTEIO, 0x12: syscall.ETIMEDOUT}}
	b := New(k.device(), Opts{})
	defer b.Close()
	for addr, fault := range map[uint16]drivers.Fault{0x10: drivers.NoAnswer, 0x11: drivers.NoAnswer, 0x12: drivers.Timeout} {
		err := b.Tx(addr, payload(addr, 1, false), nil)
		if !errors.Is(err, k.errs[addr]) || !errors.Is(err, fault) {
			t.Errorf("0x%02x: %v", addr, err)
		}
	}
}

// I2C_FUNC_I2C and I2C_FUNC_SMBUS_EMUL, as most adapters on ARM boards have; what i801 of Linux 6.1 reports; nothing.
func TestAdapterAbility(t *testing.T) {
	for _, c := range []struct {
		mask uintptr
		text string
		ok   bool
	}{
		{0x0eff0009, "I2C", true},
		{0x1fff8008, "SMBus only", false},
		{0, "neither I2C nor SMBus (0x00000000)", false},
	} {
		d := (&kernel{mask: c.mask}).device()
		f, err := d.funcs()
		if err != nil || f.String() != c.text || f.I2C() != c.ok {
			t.Errorf("%#x: %v, %v", c.mask, f, err)
		}
		err = d.suitable("SMBus I801 adapter at efa0")
		if c.ok != (err == nil) {
			t.Errorf("%#x: %v", c.mask, err)
		}
		if err != nil && (!errors.Is(err, drivers.Unsupported) || !strings.Contains(err.Error(), "SMBus I801 adapter at efa0")) {
			t.Errorf("%#x: %v", c.mask, err)
		}
	}
}

func TestOpenWhatIsNoAdapter(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "i2c-9")
	if _, err := Open(missing, ""); !errors.Is(err, os.ErrNotExist) || !errors.Is(err, drivers.Unsupported) {
		t.Errorf("missing: %v", err)
	}
	if _, err := Functions(missing); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	file := filepath.Join(t.TempDir(), "i2c-8")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, ""); !errors.Is(err, syscall.ENOTTY) || !errors.Is(err, drivers.Unsupported) {
		t.Errorf("an ordinary file: %v", err)
	}
	if _, err := Functions(file); !errors.Is(err, syscall.ENOTTY) {
		t.Errorf("an ordinary file: %v", err)
	}
}

func TestOneOwnerPerAdapter(t *testing.T) {
	name := filepath.Join(t.TempDir(), "i2c-7")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := lock(file); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(name, "bcm2835 (i2c@7e804000)"); !errors.Is(err, drivers.Foreign) || !strings.Contains(err.Error(), "bcm2835") {
		t.Errorf("second owner: %v", err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(name, ""); errors.Is(err, drivers.Foreign) {
		t.Errorf("after the first owner has gone: %v", err)
	}
}
