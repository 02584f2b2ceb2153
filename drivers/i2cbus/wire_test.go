package i2cbus

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wire is a bus with register files: a write of one byte sets the register pointer, more bytes are stored from
// there, a read goes on from there. It takes time, can fail, and can hang until it is let go.
type wire struct {
	t *testing.T

	mu      sync.Mutex
	regs    map[uint16]*[256]byte
	pointer map[uint16]byte
	takes   time.Duration
	slow    map[uint16]time.Duration // instead of takes
	fails   map[uint16]error
	hangs   chan struct{} // not nil: every transfer waits for it, deaf to its context
	heeds   bool          // returns early when the context ends
	busy    bool
	closed  bool
	log     []string
}

func newWire(t *testing.T) *wire {
	return &wire{t: t, regs: map[uint16]*[256]byte{}, pointer: map[uint16]byte{}, fails: map[uint16]error{}}
}

func (w *wire) Tx(ctx context.Context, addr uint16, out, in []byte) error {
	w.mu.Lock()
	if w.busy || w.closed {
		w.t.Errorf("transfer to 0x%02x while busy=%v closed=%v", addr, w.busy, w.closed)
	}
	w.busy = true
	w.log = append(w.log, fmt.Sprintf("%02x %x %d", addr, out, len(in)))
	takes, hangs, heeds := w.takes, w.hangs, w.heeds
	if d, ok := w.slow[addr]; ok {
		takes = d
	}
	w.mu.Unlock()

	early := w.wait(ctx, takes, hangs, heeds)

	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy = false
	if early != nil {
		return early
	}
	if err := w.fails[addr]; err != nil {
		return err
	}
	w.move(addr, out, in)
	return nil
}

func (w *wire) wait(ctx context.Context, takes time.Duration, hangs chan struct{}, heeds bool) error {
	if hangs != nil {
		<-hangs
		return nil
	}
	if !heeds {
		time.Sleep(takes)
		return nil
	}
	select {
	case <-time.After(takes):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *wire) move(addr uint16, out, in []byte) {
	regs := w.regs[addr]
	if regs == nil {
		regs = new([256]byte)
		w.regs[addr] = regs
	}
	p := w.pointer[addr]
	for i, b := range out {
		if i == 0 {
			p = b
			continue
		}
		regs[p] = b
		p++
	}
	for i := range in {
		in[i] = regs[p]
		p++
	}
	w.pointer[addr] = p
}

func (w *wire) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busy {
		w.t.Error("closed during a transfer")
	}
	w.closed = true
	return nil
}

func (w *wire) String() string { return "/dev/i2c-9" }

// hang makes transfers hang; the function returned lets them go.
func (w *wire) hang() (release func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := make(chan struct{})
	w.hangs = c
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.hangs = nil
		close(c)
	}
}

func (w *wire) traffic() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.log...)
}
