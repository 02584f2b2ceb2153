package i2cbus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
)

// Meanings as in Linux, Documentation/i2c/fault-codes.
func TestErrnoFault(t *testing.T) {
	for _, c := range []struct {
		errno syscall.Errno
		want  drivers.Fault
	}{
		{0, drivers.None},
		{syscall.ENXIO, drivers.NoAnswer},
		{errRemoteIO, drivers.NoAnswer},
		{syscall.EIO, drivers.BusFault},
		{syscall.ETIMEDOUT, drivers.Timeout},
		{syscall.EAGAIN, drivers.Arbitration},
		{syscall.EBUSY, drivers.BusFault},
		{syscall.EBADMSG, drivers.Corrupt},
		{syscall.EPROTO, drivers.Corrupt},
		{syscall.EOPNOTSUPP, drivers.Unsupported},
		{syscall.EINVAL, drivers.Unsupported},
		{syscall.ENOTTY, drivers.Unsupported},
		{syscall.ESHUTDOWN, drivers.BusFault},
		{syscall.ENODEV, drivers.BusFault},
		{syscall.Errno(4095), drivers.BusFault},
	} {
		if got := ErrnoFault(c.errno); got != c.want {
			t.Errorf("errno %d (%v): %v, want %v", c.errno, c.errno, got, c.want)
		}
	}
}

func TestFaultOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want drivers.Fault
	}{
		{fmt.Errorf("transfer: %w", syscall.ENXIO), drivers.NoAnswer},
		{os.NewSyscallError("ioctl", syscall.EAGAIN), drivers.Arbitration},
		{&drivers.Error{Fault: drivers.Corrupt, Err: syscall.ENXIO}, drivers.Corrupt},
		{fmt.Errorf("world: %w", drivers.Restarted), drivers.Restarted},
		{context.DeadlineExceeded, drivers.Timeout},
		{context.Canceled, drivers.Timeout}, // under way, so not drivers.Cancelled
		{os.ErrDeadlineExceeded, drivers.Timeout},
		{errors.New("?"), drivers.BusFault},
	} {
		if got := faultOf(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}

// Texts as periph.io/x/host v3.8.5 makes them: sysfs/i2c.go wraps Linux's errno text with %v, ftdi/i2c.go and
// ftdi/handle.go write their own with the reasons of periph.io/x/d2xx v0.1.1. Written out, because the errno texts
// of the system that runs this test may be others.
func TestPeriphFault(t *testing.T) {
	for _, c := range []struct {
		text string
		want drivers.Fault
	}{
		{"sysfs-i2c: no such device or address", drivers.NoAnswer},
		{"sysfs-i2c: remote I/O error", drivers.NoAnswer},
		{"sysfs-i2c: resource temporarily unavailable", drivers.Arbitration},
		{"sysfs-i2c: connection timed out", drivers.Timeout},
		{"sysfs-i2c: input/output error", drivers.BusFault},
		{"sysfs-i2c: device or resource busy", drivers.BusFault},
		{"sysfs-i2c: cannot send after transport endpoint shutdown", drivers.BusFault},
		{"sysfs-i2c: no such device", drivers.BusFault},
		{"sysfs-i2c: bad message", drivers.Corrupt},
		{"sysfs-i2c: protocol error", drivers.Corrupt},
		{"sysfs-i2c: operation not supported", drivers.Unsupported},
		{"sysfs-i2c: invalid argument", drivers.Unsupported},
		{"sysfs-i2c: inappropriate ioctl for device", drivers.Unsupported},
		{"sysfs-i2c: invalid address", drivers.Unsupported},
		{"sysfs-i2c: not supported", drivers.Unsupported},
		{"got NAK", drivers.NoAnswer},
		{"ftdi: Write: I/O error", drivers.BusFault},
		{"ftdi: Read/GetQueueStatus: device not found; see https://periph.io/device/ftdi/ for help", drivers.BusFault},
		{"ftdi: Open: can't be used without cgo", drivers.Unsupported},
		{"EOF", drivers.BusFault},
	} {
		if got := periphFault(errors.New(c.text)); got != c.want {
			t.Errorf("%q: %v, want %v", c.text, got, c.want)
		}
	}
	if got := periphFault(fmt.Errorf("newer periph: %w", syscall.ENXIO)); got != drivers.NoAnswer {
		t.Errorf("an errno in the chain: %v", got)
	}
}

// bridge is a periph bus that answers at one address, as an FTDI bridge would.
type bridge struct {
	addr   uint16
	closed bool
}

func (b *bridge) String() string                  { return "ft232h(A1)" }
func (b *bridge) Close() error                    { b.closed = true; return nil }
func (b *bridge) SetSpeed(physic.Frequency) error { return nil }
func (b *bridge) Tx(addr uint16, w, r []byte) error {
	if addr != b.addr {
		return errors.New("got NAK")
	}
	for i := range r {
		r[i] = w[0] + byte(i)
	}
	return nil
}

var _ i2c.BusCloser = (*bridge)(nil)

func TestPeriph(t *testing.T) {
	p := &bridge{addr: 0x40}
	b := New(Periph(p), Opts{})
	r := make([]byte, 2)
	if err := b.Tx(0x40, []byte{0x10}, r); err != nil || r[0] != 0x10 || r[1] != 0x11 {
		t.Errorf("% x, %v", r, err)
	}
	err := b.Tx(0x41, []byte{0x10}, r)
	if !errors.Is(err, drivers.NoAnswer) || err.Error() != "ft232h(A1) 0x41: write and read: nack: got NAK" {
		t.Errorf("error %v", err)
	}
	if err := b.Close(); err != nil || !p.closed {
		t.Errorf("Close: %v, closed %v", err, p.closed)
	}
}
