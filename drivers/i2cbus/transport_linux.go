package i2cbus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"unsafe"

	"rackagent/drivers"
)

// ioctls of i2c-dev (Linux, include/uapi/linux/i2c-dev.h).
const (
	ioctlFuncs = 0x0705 // I2C_FUNCS
	ioctlRdwr  = 0x0707 // I2C_RDWR
)

// flagRead is I2C_M_RD (Linux, include/uapi/linux/i2c.h).
const flagRead = 0x0001

// message is struct i2c_msg. buf is a typed pointer, so that the garbage collector sees it.
type message struct {
	addr   uint16
	flags  uint16
	length uint16
	buf    *byte
}

// rdwr is struct i2c_rdwr_ioctl_data.
type rdwr struct {
	messages *message
	count    uint32
}

// device is an open /dev/i2c-N.
type device struct {
	path  string
	close func() error
	ioctl func(request uintptr, arg unsafe.Pointer) error

	mu    sync.Mutex // held from building the messages to the end of the ioctl
	msgs  [2]message
	block rdwr
}

// Open opens an I2C adapter by its device file ("/dev/i2c-1") as the Transport of a Bus. adapter is its name in
// sysfs and only serves error texts; it may be empty. No device on the bus is touched.
//
// An adapter that cannot move plain I2C messages is refused with drivers.Unsupported. One that has an owner
// already, in this process or another, is refused with drivers.Foreign (an advisory lock, flock(2)): two owners
// could split each other's jobs.
func Open(path, adapter string) (Transport, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, openError(path, err)
	}
	if err := lock(file); err != nil {
		err = fmt.Errorf("adapter %q has an owner already: %w", adapter, err)
		return nil, errors.Join(&drivers.Error{Op: "open", Device: path, Fault: drivers.Foreign, Err: err}, file.Close())
	}
	d := newDevice(path, file)
	if err := d.suitable(adapter); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Functions asks an adapter what it can do and closes it again. No device on the bus is touched.
func Functions(path string) (Funcs, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return 0, openError(path, err)
	}
	defer file.Close()
	return newDevice(path, file).funcs()
}

// openError keeps the errno of a failed open; a missing file and a missing permission are for a person to mend.
func openError(path string, err error) error {
	fault := drivers.BusFault
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		fault = drivers.Unsupported
	}
	return &drivers.Error{Op: "open", Device: path, Fault: fault, Err: errors.Unwrap(err)}
}

func newDevice(path string, file *os.File) *device {
	return &device{
		path:  path,
		close: file.Close,
		ioctl: func(request uintptr, arg unsafe.Pointer) error { return ioctl(file, request, arg) },
	}
}

// Tx makes one I2C_RDWR ioctl of the write, the read, or both with a repeated start between them. It cannot be
// interrupted: ctx is not looked at, the adapter's own time-out ends it.
//
// The kernel follows three levels of pointers, of which the system call itself keeps only the outermost alive. The
// headers are therefore part of the device (on the heap, never on a stack that could move), hold typed pointers,
// are written under the lock, and all they name is pinned until the ioctl has returned.
func (d *device) Tx(_ context.Context, addr uint16, w, r []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.forget()
	var pin runtime.Pinner
	defer pin.Unpin()

	d.add(&pin, addr, 0, w)
	d.add(&pin, addr, flagRead, r)
	if d.block.count == 0 {
		return &drivers.Error{Op: "transfer", Device: d.path, Fault: drivers.Unsupported, Err: ErrEmpty}
	}
	d.block.messages = &d.msgs[0]
	pin.Pin(d)
	err := d.ioctl(ioctlRdwr, unsafe.Pointer(&d.block))
	runtime.KeepAlive(w)
	runtime.KeepAlive(r)
	return err
}

// add appends a message, unless it is empty.
func (d *device) add(pin *runtime.Pinner, addr, flags uint16, data []byte) {
	if len(data) == 0 {
		return
	}
	pin.Pin(&data[0])
	d.msgs[d.block.count] = message{addr: addr, flags: flags, length: uint16(len(data)), buf: &data[0]}
	d.block.count++
}

// forget drops the pointers to the caller's buffers.
func (d *device) forget() {
	d.msgs = [2]message{}
	d.block = rdwr{}
}

// suitable refuses an adapter that cannot do what Tx needs.
func (d *device) suitable(adapter string) error {
	f, err := d.funcs()
	if err != nil || f.I2C() {
		return err
	}
	err = fmt.Errorf("adapter %q: %s, it has no plain I2C transfers", adapter, f)
	return &drivers.Error{Op: "open", Device: d.path, Fault: drivers.Unsupported, Err: err}
}

// funcs asks for the adapter's abilities. The kernel writes an unsigned long.
func (d *device) funcs() (Funcs, error) {
	mask := new(uintptr)
	if err := d.ioctl(ioctlFuncs, unsafe.Pointer(mask)); err != nil {
		return 0, &drivers.Error{Op: "ask for functions", Device: d.path, Fault: faultOf(err), Err: err}
	}
	return Funcs(*mask), nil
}

// Close closes the device file, which also releases its lock.
func (d *device) Close() error { return d.close() }

// String is the path.
func (d *device) String() string { return d.path }

// ioctl holds the file open during the call, so that its number cannot be given to another file meanwhile.
func ioctl(file *os.File, request uintptr, arg unsafe.Pointer) error {
	var errno syscall.Errno
	err := control(file, func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(arg))
	})
	if err != nil {
		return err
	}
	if errno != 0 {
		return errno
	}
	return nil
}

func lock(file *os.File) error {
	var locked error
	err := control(file, func(fd uintptr) {
		locked = syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB)
	})
	return errors.Join(err, locked)
}

func control(file *os.File, f func(fd uintptr)) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(f)
}
