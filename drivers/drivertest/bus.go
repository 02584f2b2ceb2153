package drivertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"rackagent/drivers"
)

// BusOpts are what can differ between adapters.
type BusOpts struct {
	// BitRate in bit/s makes transfers take the time they need on the wire; 0 makes them take none.
	BitRate int
	// Absent is the errno for an address nobody answers: ENXIO on most adapters, EREMOTEIO on the Raspberry Pi's,
	// OMAP's and Tegra's. 0 is ENXIO.
	Absent syscall.Errno
	// Recorder keeps the transfers; nil keeps none.
	Recorder Recorder
	Now      func() time.Time // nil: the system's clock
}

// Bus is a simulated adapter with the devices on its bus. Attach devices to the embedded Segment.
//
// One caller at a time may have a transfer out: that is the contract of a bus transport. Calls that overlap are
// carried out one after the other and recorded as violations.
type Bus struct {
	Segment
	name string
	o    BusOpts

	wire sync.Mutex // held while devices act

	mu         sync.Mutex // guards what follows; never held while anything blocks
	gate       Gate
	faults     []*Injection
	out        int    // transfers handed over and not returned
	n          uint64 // transfers so far
	closed     bool
	violations []string
}

// NewBus is an empty bus.
func NewBus(name string, o BusOpts) *Bus {
	o.Now = clock(o.Now)
	if o.Absent == 0 {
		o.Absent = syscall.ENXIO
	}
	return &Bus{name: name, o: o}
}

// String is the bus's name.
func (b *Bus) String() string { return b.name }

// Close ends the bus: later transfers fail and are violations.
func (b *Bus) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}

// SetGate sets the function asked before and after each transfer; nil asks nobody.
func (b *Bus) SetGate(g Gate) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gate = g
}

// Inject puts a fault in force. Of several that return an error the first injected wins.
func (b *Bus) Inject(f Fault) *Injection {
	i := &Injection{fault: f, left: f.Times, cleared: make(chan struct{})}
	if f.Times == 0 {
		i.left = -1
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, i)
	return i
}

// Recover is what nine clocks and a STOP do: it frees a stuck bus.
func (b *Bus) Recover() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, i := range b.faults {
		if i.fault.Kind == FaultStuck {
			i.Clear()
		}
	}
}

// Violations are the breaches of the transport's contract so far.
func (b *Bus) Violations() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.violations...)
}

// Bits is how many bit times a transfer takes: 1 for START, 9 for each byte with its acknowledgement, address bytes
// included, 1 for a repeated START, 1 for STOP.
func Bits(written, read int) int {
	switch {
	case written > 0 && read > 0:
		return 1 + 9*(1+written) + 1 + 9*(1+read) + 1
	case written == 0 && read == 0:
		return 0
	default:
		return 1 + 9*(1+written+read) + 1
	}
}

// Tx carries out one transfer: w is written, then r is read after a repeated START. Both empty does nothing at all
// and succeeds, as on Linux. A context that has ended keeps the transfer off the wire; one that ends later changes
// nothing, except under FaultHang.
func (b *Bus) Tx(ctx context.Context, addr uint16, w, r []byte) error {
	t, gate := b.hand(addr, w, len(r))
	err := b.carry(ctx, &t, gate, r)
	t.Returned, t.R, t.Err = b.o.Now(), append([]byte(nil), r...), err
	b.back(t)
	return err
}

// hand notes that a transfer was given to the transport.
func (b *Bus) hand(addr uint16, w []byte, reads int) (Transfer, Gate) {
	t := Transfer{Bus: b.name, Handed: b.o.Now(), Mux: b.muxes(), Addr: addr, W: append([]byte(nil), w...), R: make([]byte, reads)}
	for _, sl := range b.at(addr) {
		t.Chips = append(t.Chips, sl.name)
	}
	b.mu.Lock()
	b.n++
	t.N = b.n
	if b.out > 0 {
		b.violations = append(b.violations, fmt.Sprintf("transfer %d to 0x%02x was handed over while %d had not returned", t.N, addr, b.out))
	}
	if b.closed {
		b.violations = append(b.violations, fmt.Sprintf("transfer %d to 0x%02x was handed over after Close", t.N, addr))
	}
	b.out++
	gate := b.gate
	b.mu.Unlock()
	if b.o.Recorder != nil {
		t.Seq = b.o.Recorder.Handed(t)
	}
	return t, gate
}

// back notes that a transfer returned.
func (b *Bus) back(t Transfer) {
	b.mu.Lock()
	b.out--
	b.mu.Unlock()
	if b.o.Recorder != nil {
		b.o.Recorder.Returned(t)
	}
}

// carry runs a transfer between the two moments of its gate.
func (b *Bus) carry(ctx context.Context, t *Transfer, gate Gate, r []byte) error {
	if err := ctx.Err(); err != nil {
		return b.fail(*t, drivers.Cancelled, err)
	}
	if b.isClosed() {
		return b.fail(*t, drivers.BusFault, os.ErrClosed)
	}
	if len(t.W) == 0 && len(r) == 0 {
		return nil
	}
	if gate == nil {
		gate = func(Phase, Transfer) error { return nil }
	}
	if err := gate(Before, *t); err != nil {
		return err
	}
	err := b.exchange(ctx, t, r)
	seen := *t
	seen.R, seen.Err = append([]byte(nil), r...), err
	if late := gate(After, seen); late != nil {
		return late
	}
	return err
}

func (b *Bus) isClosed() bool { b.mu.Lock(); defer b.mu.Unlock(); return b.closed }

// exchange lets the faults and the devices act.
func (b *Bus) exchange(ctx context.Context, t *Transfer, r []byte) error {
	hits := b.hits(*t)
	for _, i := range hits {
		b.upset(i, t.Addr)
	}
	if b.o.BitRate > 0 {
		sleep(time.Duration(Bits(len(t.W), len(r))) * time.Second / time.Duration(b.o.BitRate))
	}
	t.Wire = true
	for _, i := range hits {
		if out, ok := i.result(b.o.Absent); ok {
			b.half(i.fault, t, r)
			i.wait(ctx)
			return b.fail(*t, out.fault, cause(ctx, i, out.errno))
		}
	}
	err := b.act(t, r)
	for _, i := range hits {
		i.spoil(r)
	}
	return err
}

// hits are the faults that strike a transfer, in the order they were injected; ended ones are forgotten.
func (b *Bus) hits(t Transfer) []*Injection {
	b.mu.Lock()
	defer b.mu.Unlock()
	var hit, keep []*Injection
	for _, i := range b.faults {
		if i.take(t) {
			hit = append(hit, i)
		}
		if !i.over() {
			keep = append(keep, i)
		}
	}
	b.faults = keep
	return hit
}

// upset does what a fault does to devices before the transfer.
func (b *Bus) upset(i *Injection, addr uint16) {
	switch i.fault.Kind {
	case FaultDo:
		i.fault.Do()
	case FaultReset:
		for _, sl := range b.at(addr) {
			if i.fault.Chip == "" || i.fault.Chip == sl.name {
				sl.chip.Reset()
			}
		}
	}
}

// half gives the devices as much of a failing transfer as they see.
func (b *Bus) half(f Fault, t *Transfer, r []byte) {
	switch {
	case f.Taken:
		_ = b.act(t, r) // the caller is told of the fault, not of this
	case f.Kind == FaultNackData && f.Byte > 0:
		part := *t
		part.W = t.W[:min(f.Byte, len(t.W))]
		_ = b.act(&part, nil)
	}
	fill(r, 0)
}

// act gives a transfer to the devices that are connected at this moment.
func (b *Bus) act(t *Transfer, r []byte) error {
	b.wire.Lock()
	defer b.wire.Unlock()
	if b.held() {
		fill(r, 0)
		stuck := outcomes[FaultStuck]
		return b.fail(*t, stuck.fault, stuck.errno)
	}
	err := deliver(b.at(t.Addr), t.W, r)
	var nack Nack
	if !errors.As(err, &nack) {
		return nil
	}
	fill(r, 0)
	return b.fail(*t, drivers.NoAnswer, b.o.Absent)
}

// fail is the error of a transfer as a transport gives it.
func (b *Bus) fail(t Transfer, f drivers.Fault, cause error) error {
	op := "write"
	switch {
	case len(t.W) > 0 && len(t.R) > 0:
		op = "write and read"
	case len(t.R) > 0:
		op = "read"
	}
	return &drivers.Error{Op: op, Device: fmt.Sprintf("%s 0x%02x", b.name, t.Addr), Fault: f, Err: cause}
}

// cause is the errno, or the context's error where that is what ended a hang.
func cause(ctx context.Context, i *Injection, errno syscall.Errno) error {
	if i.fault.Kind == FaultHang && ctx.Err() != nil {
		return ctx.Err()
	}
	return errno
}
