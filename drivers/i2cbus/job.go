package i2cbus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
)

// Causes of errors whose Fault is drivers.Cancelled or drivers.Unsupported: nothing was sent.
var (
	// ErrClosed says that the bus was closed before the job or the transfer began.
	ErrClosed = errors.New("the bus is closed")

	// ErrJobOver says that tx was used after its job had returned, or had lost the bus by hanging or idling.
	ErrJobOver = errors.New("the job does not have the bus any more")

	// ErrEmpty refuses a transfer without bytes: i2c-dev would not send it and would report success, so that
	// every address seems to answer.
	ErrEmpty = errors.New("neither bytes to write nor bytes to read")
)

// maxMessage is the longest message that i2c-dev takes (Linux, drivers/i2c/i2c-dev.c, i2cdev_ioctl_rdwr).
const maxMessage = 8192

// First and last address of devices; the others are reserved (I2C-bus specification UM10204, table 4). 0x00 is
// the general call, which can reset every expander of a bus at once.
const (
	firstAddr = 0x08
	lastAddr  = 0x77
)

// queue is one of the two lines of waiting jobs.
type queue int

const (
	act queue = iota // served first
	poll
	queues
)

// job is a caller that waits for the bus or has it.
type job struct {
	ctx     context.Context
	queue   queue
	granted chan error // 1: the owner's one answer; nil means that the job has the bus

	// Of the owner.
	queued  time.Time
	waited  time.Duration // until granted
	counted bool          // waited stands at the address of the first transfer
}

// transfer is one call of the transport, or of Opts.Recover. Its buffers belong to the bus, so that a transfer which
// returns after its caller has left writes into no memory of the caller's.
type transfer struct {
	recovery bool // has no job, no address and no bytes

	job   *job
	addr  uint16
	w, r  []byte
	reply chan error // 1: the owner's one answer

	began time.Time // of the owner
	err   error     // of the mover until it has returned the transfer, then of the owner
}

// messages is how many I2C messages the transfer has.
func (x *transfer) messages() int {
	return min(len(x.w), 1) + min(len(x.r), 1)
}

// acquire waits until the owner gives j the bus. After an error j will never have it.
func (b *Bus) acquire(j *job) error {
	select {
	case b.submit <- j:
	case <-b.done:
		return b.fault(waiting, drivers.Cancelled, ErrClosed)
	}
	var err error
	select {
	case err = <-j.granted:
	case <-j.ctx.Done():
		select {
		case b.leave <- j:
		case <-b.done:
		}
		err = <-j.granted // the answer to leaving, or the grant that crossed with it
	}
	if err == nil && j.ctx.Err() != nil { // ended before the grant, or at the same time
		b.release(j)
		return b.cancelled(j)
	}
	return err
}

// release gives the bus back.
func (b *Bus) release(j *job) {
	select {
	case b.over <- j:
	case <-b.done:
	}
}

// waiting names, in errors, the time before a job has the bus.
const waiting = "wait for the bus"

func (b *Bus) cancelled(j *job) error {
	return b.fault(waiting, drivers.Cancelled, context.Cause(j.ctx))
}

// lease is the bus as a job sees it.
type lease struct {
	bus *Bus
	job *job
}

// Tx asks the owner for one transfer and waits for its outcome: the transfer's own, or Hung.
func (l *lease) Tx(addr uint16, w, r []byte) error {
	err := l.tx(addr, w, r)
	if err == nil {
		return nil
	}
	return transferError(l.bus.String(), addr, w, r, err)
}

func (l *lease) tx(addr uint16, w, r []byte) error {
	b := l.bus
	if err := b.check(addr, w, r); err != nil {
		b.ledger.refused(drivers.FaultOf(err))
		return err
	}
	if l.job.ctx.Err() != nil {
		b.ledger.refused(drivers.Cancelled)
		return &drivers.Error{Fault: drivers.Cancelled, Err: context.Cause(l.job.ctx)}
	}
	x := &transfer{job: l.job, addr: addr, w: slices.Clone(w), r: make([]byte, len(r)), reply: make(chan error, 1)}
	select {
	case b.transfers <- x:
	case <-b.done:
		b.ledger.refused(drivers.Cancelled)
		return &drivers.Error{Fault: drivers.Cancelled, Err: ErrClosed}
	}
	if err := <-x.reply; err != nil {
		return err
	}
	copy(r, x.r)
	return nil
}

// SetSpeed is Bus.SetSpeed.
func (l *lease) SetSpeed(f physic.Frequency) error { return l.bus.SetSpeed(f) }

// String is the bus's name.
func (l *lease) String() string { return l.bus.String() }

// check refuses what must not or cannot go on the bus.
func (b *Bus) check(addr uint16, w, r []byte) error {
	if driver, owned := b.refuse[addr]; owned {
		return &drivers.Error{Fault: drivers.Foreign, Err: fmt.Errorf("kernel driver %q owns this address", driver)}
	}
	var err error
	switch {
	case len(w) == 0 && len(r) == 0:
		err = ErrEmpty
	case addr < firstAddr || addr > lastAddr:
		err = fmt.Errorf("address is reserved or wider than 7 bits (devices have 0x%02x to 0x%02x)", firstAddr, lastAddr)
	case len(w) > maxMessage || len(r) > maxMessage:
		err = fmt.Errorf("message of %d bytes, the kernel takes %d", max(len(w), len(r)), maxMessage)
	default:
		return nil
	}
	return &drivers.Error{Fault: drivers.Unsupported, Err: err}
}

// transferError names bus, address and operation in whatever a transfer failed with.
func transferError(bus string, addr uint16, w, r []byte, err error) error {
	e := &drivers.Error{Op: operation(w, r), Device: fmt.Sprintf("%s 0x%02x", bus, addr), Fault: faultOf(err), Err: err}
	switch inner := err.(type) { //nolint:errorlint // only the outermost layer is ours to replace
	case *drivers.Error:
		e.Err = inner.Err
	case drivers.Fault:
		e.Err = nil
	}
	return e
}

func operation(w, r []byte) string {
	switch {
	case len(r) == 0:
		return "write"
	case len(w) == 0:
		return "read"
	default:
		return "write and read"
	}
}

var _ i2c.Bus = (*lease)(nil)
