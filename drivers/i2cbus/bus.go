package i2cbus

import (
	"context"
	"maps"
	"sync"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
)

const (
	// DefaultDeadline is the time one message may take. Most Linux adapter drivers give up after 1 s
	// (struct i2c_adapter, field timeout: HZ unless the driver sets another); set Opts.Deadline for those
	// that take longer, such as Tegra with 6 s.
	DefaultDeadline = time.Second

	// Grace is what a transfer may take beyond its deadline before the bus counts as hung. Arbitrary: long
	// enough for the adapter's own time-out to be reported first.
	Grace = time.Second
)

// Transport moves the bytes of one transfer: w is written, then r is filled, as one I2C transaction with a
// repeated start in between. Bus calls it from one goroutine, never two calls at a time, Close last. w and r
// are the transport's until Tx returns, whatever became of ctx. Tx may return early when ctx ends if it can do
// so without leaving the transfer running.
type Transport interface {
	Tx(ctx context.Context, addr uint16, w, r []byte) error
	Close() error
	String() string
}

// Conn is what drivers get: a handle on a bus with a fixed priority.
//
// Tx waits for the bus without limit of its own; use Do with a context where waiting must end.
// Do runs job alone on the bus, unsplit. tx is usable until job returns and takes the context of Do; job must
// not use the handle itself (it would wait for its own end), should not wait for anything but the bus, and loses
// the bus when it leaves it idle for longer than the deadline and Grace.
//
// Errors are *drivers.Error. Cancelled: nothing was sent; where drivers.BusFenced is in its chain (a *FencedError),
// because the bus was found bad. Hung and Timeout: it is not known whether the device took a write. r is filled only
// when the error is nil.
type Conn interface {
	i2c.Bus
	Do(ctx context.Context, job func(tx i2c.Bus) error) error
}

// Opts are the settings of a Bus. The zero value is usable.
type Opts struct {
	// Deadline is the time per message; a write followed by a read is two messages. 0 takes DefaultDeadline.
	Deadline time.Duration

	// Refuse maps addresses to the kernel drivers that own them (see OwnedBy): transfers to these are refused
	// with drivers.Foreign. The I2C_RDWR ioctl itself would not ask.
	Refuse map[uint16]string

	// OnChange, if not nil, is told that the bus hangs (since: when the transfer began that does not return) and
	// that it is back (since: when that transfer returned). It runs on the owner goroutine and must not block.
	OnChange func(hung bool, since time.Time)

	// Recover, if not nil, tries to free a bus that was found bad (board.Clocks, board.ResetPin, board.AdapterReset). It is
	// called with the bus in hand: no transfer runs, none begins before it has returned. It must end with its context,
	// after RecoverLimit; one that does not makes the bus hang like a transfer. It sends nothing to a device, and what
	// it returns is not looked at: the transfer after it decides.
	Recover func(ctx context.Context) error

	// RecoverLimit is what Recover may take. 0 takes DefaultRecoverLimit.
	RecoverLimit time.Duration

	// OnBad, if not nil, is told that the bus was found bad (since: when the first transfer began that failed) and that
	// it is good again (since: when the transfer returned that showed it). The same holds for it as for OnChange.
	OnBad func(bad bool, since time.Time)
}

// Bus is the one owner of a bus. It satisfies periph's i2c.BusCloser with Poll's priority; all methods may be
// called from any goroutine.
type Bus struct {
	transport Transport
	deadline  time.Duration
	refuse    map[uint16]string
	onChange  func(hung bool, since time.Time)
	onBad     func(bad bool, since time.Time)
	ledger    *ledger
	owner     *owner

	recover      func(ctx context.Context) error // nil: none
	recoverLimit time.Duration

	submit    chan *job      // unbuffered: a job is in a queue when the send returns
	leave     chan *job      // unbuffered: callers whose context ended
	transfers chan *transfer // unbuffered: from the job in progress
	over      chan *job      // unbuffered: jobs that returned
	start     chan *transfer // 1: there is one transfer at a time, so the owner never blocks
	returned  chan *transfer // 1: the same, and the mover can end after the owner has
	stop      chan struct{}  // closed by Close
	done      chan struct{}  // closed when the owner has ended
	closed    chan error     // 1: result of closing the transport

	close func() error

	registry   sync.Mutex // guards unregister
	unregister func() error
}

// New starts the owner of t, which nothing else may use from here on. It touches no device. Close ends it.
func New(t Transport, o Opts) *Bus {
	if o.Deadline <= 0 {
		o.Deadline = DefaultDeadline
	}
	if o.RecoverLimit <= 0 {
		o.RecoverLimit = DefaultRecoverLimit
	}
	b := &Bus{
		transport: t,
		deadline:  o.Deadline,
		refuse:    maps.Clone(o.Refuse),
		onChange:  o.OnChange,
		onBad:     o.OnBad,
		ledger:    newLedger(),
		submit:    make(chan *job),
		leave:     make(chan *job),
		transfers: make(chan *transfer),
		over:      make(chan *job),
		start:     make(chan *transfer, 1),
		returned:  make(chan *transfer, 1),
		stop:      make(chan struct{}),
		done:      make(chan struct{}),
		closed:    make(chan error, 1),

		recover:      o.Recover,
		recoverLimit: o.RecoverLimit,
	}
	b.close = sync.OnceValue(b.shut)
	b.owner = newOwner(b)
	go b.owner.run()
	go b.move()
	return b
}

// Poll gives a handle for measuring.
func (b *Bus) Poll() *Handle { return &Handle{bus: b, queue: poll} }

// Act gives a handle whose jobs go before all jobs waiting on Poll.
func (b *Bus) Act() *Handle { return &Handle{bus: b, queue: act} }

// Tx is Poll().Tx.
func (b *Bus) Tx(addr uint16, w, r []byte) error { return b.Poll().Tx(addr, w, r) }

// SetSpeed always returns drivers.Unsupported: the speed of a bus belongs to the board's device tree and would
// change for every device on it.
func (b *Bus) SetSpeed(physic.Frequency) error {
	return b.fault("set speed", drivers.Unsupported, nil)
}

// String is the name that the transport has, for instance "/dev/i2c-1".
func (b *Bus) String() string { return b.transport.String() }

// Stats returns a copy of the counters.
func (b *Bus) Stats() Stats { return b.ledger.copy() }

// Close fails what is queued, waits for the transfer in progress (at most until the bus counts as hung), closes
// the transport and takes the bus out of periph's registry. While the bus is hung it returns drivers.Hung at
// once; the transport is then closed when the transfer returns. Later calls return the same.
func (b *Bus) Close() error { return b.close() }

func (b *Bus) shut() error {
	close(b.stop)
	<-b.done
	unregistered := b.takeUnregister()()
	if b.owner.hung {
		return b.fault("close", drivers.Hung, b.owner.hungCause())
	}
	if err := <-b.closed; err != nil {
		return b.fault("close", drivers.BusFault, err)
	}
	return unregistered
}

// fault is an error about the bus rather than about one device on it.
func (b *Bus) fault(op string, f drivers.Fault, cause error) error {
	return &drivers.Error{Op: op, Device: b.String(), Fault: f, Err: cause}
}

// Handle is a Conn on a Bus.
type Handle struct {
	bus   *Bus
	queue queue
}

// Acts tells whether the handle is Act's. Whatever refuses jobs for a time on its own account, such as a mux with a bad
// channel, asks it in order to refuse an act for no longer than the bus does.
func (h *Handle) Acts() bool { return h.queue == act }

// Tx runs one transfer as a job of its own.
func (h *Handle) Tx(addr uint16, w, r []byte) error {
	return h.Do(context.Background(), func(tx i2c.Bus) error { return tx.Tx(addr, w, r) })
}

// Do runs job alone on the bus, on the caller's goroutine. It returns what job returns, or a *drivers.Error
// without having called it.
func (h *Handle) Do(ctx context.Context, run func(tx i2c.Bus) error) error {
	j := &job{ctx: ctx, queue: h.queue, granted: make(chan error, 1)}
	if err := h.bus.acquire(j); err != nil {
		h.bus.ledger.turnedAway(err)
		return err
	}
	defer h.bus.release(j)
	return run(&lease{bus: h.bus, job: j})
}

// SetSpeed is Bus.SetSpeed.
func (h *Handle) SetSpeed(f physic.Frequency) error { return h.bus.SetSpeed(f) }

// String is the bus's name.
func (h *Handle) String() string { return h.bus.String() }

var (
	_ i2c.BusCloser = (*Bus)(nil)
	_ Conn          = (*Handle)(nil)
)
