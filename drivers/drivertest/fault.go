package drivertest

import (
	"context"
	"slices"
	"sync"
	"syscall"
	"time"

	"rackagent/drivers"
)

// FaultKind names a way in which a transfer goes wrong.
type FaultKind string

// The faults of a bus. Those that return an error stand for one errno of a Linux adapter.
const (
	FaultNackAddress FaultKind = "nack_address" // the address is not acknowledged
	FaultNackData    FaultKind = "nack_data"    // Byte bytes are taken, the next is not acknowledged
	FaultTimeout     FaultKind = "timeout"      // the adapter gives up after Delay: ETIMEDOUT
	FaultArbitration FaultKind = "arbitration"  // another master won: EAGAIN
	FaultBusError    FaultKind = "bus_error"    // unspecific: EIO
	FaultStuck       FaultKind = "stuck"        // a line is held low: EBUSY at once, for all, until Recover
	FaultHang        FaultKind = "hang"         // no return before the context ends or the fault is cleared
	FaultHangHard    FaultKind = "hang_hard"    // no return before the fault is cleared, whatever the context says
	FaultOnes        FaultKind = "ones"         // everything read is FF: a floating bus
	FaultZeros       FaultKind = "zeros"        // everything read is 00: a clamped bus
	FaultFlip        FaultKind = "flip"         // bit Bit of what is read is inverted; bit 0 is the first on the wire
	FaultReset       FaultKind = "reset"        // the device falls to its power-on values just before the transfer
	FaultDo          FaultKind = "do"           // Do is called just before the transfer
)

// defaultTimeout is what most Linux adapters wait before they give up.
const defaultTimeout = time.Second

// Fault is one injected failure. The zero values of its conditions match every transfer.
type Fault struct {
	Kind FaultKind
	// Chip is the name a device was attached with; only transfers that reach it are hit.
	Chip string
	// Addr hits only transfers to this address.
	Addr uint16
	// Writes hits only transfers that write at least this many bytes: 2 leaves plain register reads alone.
	Writes int
	// First is the first transfer number of the bus (Transfer.N) to be hit.
	First uint64
	// Times is how many transfers are hit; 0 is all until the fault is cleared.
	Times int

	Errno syscall.Errno // replaces the errno that the kind stands for
	Delay time.Duration // FaultTimeout: how long it takes; 0 is 1 s
	Byte  int           // FaultNackData: bytes taken before the refusal
	Bit   int           // FaultFlip
	Taken bool          // the device does what the transfer asked although an error comes back
	Do    func()        // FaultDo
}

// Injection is a Fault in force.
type Injection struct {
	fault   Fault
	mu      sync.Mutex
	left    int // transfers still to be hit; -1: no end
	cleared chan struct{}
	once    sync.Once
}

// Clear ends the fault and lets hung transfers return.
func (i *Injection) Clear() { i.once.Do(func() { close(i.cleared) }) }

// over tells whether the fault can hit nothing any more.
func (i *Injection) over() bool {
	select {
	case <-i.cleared:
		return true
	default:
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.left == 0
}

// take tells whether the fault hits a transfer, and counts it.
func (i *Injection) take(t Transfer) bool {
	f := i.fault
	switch {
	case i.over(),
		t.N < f.First,
		f.Addr != 0 && f.Addr != t.Addr,
		f.Chip != "" && !slices.Contains(t.Chips, f.Chip),
		len(t.W) < f.Writes:
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.left > 0 {
		i.left--
	}
	return true
}

// outcome is the error a fault makes of a transfer.
type outcome struct {
	fault drivers.Fault
	errno syscall.Errno
}

var outcomes = map[FaultKind]outcome{
	FaultNackData:    {drivers.NoAnswer, RemoteIO},
	FaultTimeout:     {drivers.Timeout, syscall.ETIMEDOUT},
	FaultArbitration: {drivers.Arbitration, syscall.EAGAIN},
	FaultBusError:    {drivers.BusFault, syscall.EIO},
	FaultStuck:       {drivers.BusFault, syscall.EBUSY},
	FaultHang:        {drivers.Timeout, syscall.ETIMEDOUT},
	FaultHangHard:    {drivers.Timeout, syscall.ETIMEDOUT},
}

// result is the error a fault returns with; false for faults that only spoil data or act on devices.
func (i *Injection) result(absent syscall.Errno) (outcome, bool) {
	out, ok := outcomes[i.fault.Kind]
	if i.fault.Kind == FaultNackAddress {
		out, ok = outcome{drivers.NoAnswer, absent}, true
	}
	if ok && i.fault.Errno != 0 {
		out = outcome{faultOf(i.fault.Errno), i.fault.Errno}
	}
	return out, ok
}

// faultOf sorts an errno as the Linux kernel's documentation of I2C fault codes does
// (Documentation/i2c/fault-codes.rst).
func faultOf(e syscall.Errno) drivers.Fault {
	switch e {
	case syscall.ENXIO, RemoteIO:
		return drivers.NoAnswer
	case syscall.EAGAIN:
		return drivers.Arbitration
	case syscall.ETIMEDOUT:
		return drivers.Timeout
	case syscall.EOPNOTSUPP:
		return drivers.Unsupported
	default:
		return drivers.BusFault
	}
}

// wait blocks for as long as the fault holds a transfer up.
func (i *Injection) wait(ctx context.Context) {
	switch i.fault.Kind {
	case FaultTimeout:
		d := i.fault.Delay
		if d == 0 {
			d = defaultTimeout
		}
		sleep(d)
	case FaultHang:
		select {
		case <-ctx.Done():
		case <-i.cleared:
		}
	case FaultHangHard:
		<-i.cleared
	}
}

// spoil changes what was read.
func (i *Injection) spoil(r []byte) {
	switch i.fault.Kind {
	case FaultOnes:
		fill(r, 0xFF)
	case FaultZeros:
		fill(r, 0)
	case FaultFlip:
		if n := i.fault.Bit / 8; n < len(r) {
			r[n] ^= 0x80 >> (i.fault.Bit % 8)
		}
	}
}

// sleep waits as a thread blocked in the kernel does: no context ends it.
func sleep(d time.Duration) {
	if d > 0 {
		<-time.NewTimer(d).C
	}
}
