package i2cbus

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"rackagent/drivers"
)

// lookEvery is the pause between two looks for a device file that udev makes anew. Arbitrary.
const lookEvery = 20 * time.Millisecond

// Reopening is a Transport that can be closed and opened again under its Bus, for a recovery that takes the adapter
// away: Linux blocks who unbinds an adapter's driver for as long as the adapter's device file is open (seen on Linux 6.1).
type Reopening struct {
	open func(ctx context.Context) (Transport, error)
	name string

	mu     sync.Mutex // held during transfers and while away
	now    Transport  // nil: not open
	closed bool
}

// Reopen opens a transport for the first time. open looks the bus up anew each time, best by the adapter's name:
// numbers can change when an adapter comes back.
func Reopen(ctx context.Context, open func(ctx context.Context) (Transport, error)) (*Reopening, error) {
	t, err := open(ctx)
	if err != nil {
		return nil, err
	}
	return &Reopening{open: open, name: t.String(), now: t}, nil
}

// Away closes the transport, runs f and opens it again, whatever f returned; it tries to until ctx ends. It is meant for
// Opts.Recover. A transport that could not be opened is tried again at each transfer, which fails with drivers.BusFault
// until then.
func (r *Reopening) Away(ctx context.Context, f func(ctx context.Context) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return r.fail("reopen", os.ErrClosed)
	}
	var closed error
	if r.now != nil {
		closed = r.now.Close()
		r.now = nil
	}
	done := f(ctx)
	return errors.Join(closed, done, r.await(ctx))
}

// await opens the transport as soon as it is there.
func (r *Reopening) await(ctx context.Context) error {
	again := time.NewTicker(lookEvery)
	defer again.Stop()
	for {
		err := r.enter(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return err
		}
	}
}

// enter opens the transport if it is not open.
func (r *Reopening) enter(ctx context.Context) error {
	switch {
	case r.closed:
		return r.fail("open", os.ErrClosed)
	case r.now != nil:
		return nil
	}
	t, err := r.open(ctx)
	if err != nil {
		return r.fail("open", err)
	}
	r.now = t
	return nil
}

// Tx is that of the transport.
func (r *Reopening) Tx(ctx context.Context, addr uint16, w, b []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.enter(ctx); err != nil {
		return err
	}
	return r.now.Tx(ctx, addr, w, b)
}

// Close closes the transport for good.
func (r *Reopening) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.now == nil {
		return nil
	}
	t := r.now
	r.now = nil
	return t.Close()
}

// String is the name that the transport had at first.
func (r *Reopening) String() string { return r.name }

// fail is an error of the adapter as a whole, also where the cause sounds like a mistake in the configuration: it was
// there before.
func (r *Reopening) fail(op string, cause error) error {
	return &drivers.Error{Op: op, Device: r.name, Fault: drivers.BusFault, Err: cause}
}

var _ Transport = (*Reopening)(nil)
