package miner

import (
	"context"
	"fmt"
	"sync"

	"rackagent/drivers"
)

// Turns lets calls through to one miner one at a time, as Miner asks for. An action goes first: it ends a reading that is
// under way, which then takes its turn anew. The zero value is not ready; NewTurns makes one.
type Turns struct {
	free chan struct{} // holds one token while nobody has the miner

	mu     sync.Mutex
	acting int                // actions that wait or are under way
	stop   context.CancelFunc // of the reading under way
}

// NewTurns makes Turns.
func NewTurns() *Turns {
	t := &Turns{free: make(chan struct{}, 1)}
	t.free <- struct{}{}
	return t
}

// Act gives f the miner, as soon as a reading under way has given up. The error is f's, or drivers.Timeout where ctx ended first.
func (t *Turns) Act(ctx context.Context, f func(ctx context.Context) error) error {
	t.mu.Lock()
	t.acting++
	if t.stop != nil {
		t.stop()
	}
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		t.acting--
		t.mu.Unlock()
	}()
	if err := t.take(ctx); err != nil {
		return err
	}
	defer t.give()
	return f(ctx)
}

// Read gives f the miner while no action wants it. f is called again if an action has ended its context.
func (t *Turns) Read(ctx context.Context, f func(ctx context.Context) error) error {
	for {
		again, err := t.read(ctx, f)
		if !again || ctx.Err() != nil {
			return err
		}
	}
}

func (t *Turns) read(ctx context.Context, f func(ctx context.Context) error) (again bool, err error) {
	if err := t.take(ctx); err != nil {
		return false, err
	}
	defer t.give()
	rctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !t.begin(cancel) {
		return true, nil
	}
	defer t.begin(nil)
	err = f(rctx)
	return err != nil && rctx.Err() != nil, err
}

// begin notes how the reading under way is ended; false: an action waits.
func (t *Turns) begin(stop context.CancelFunc) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stop = stop
	if stop == nil || t.acting == 0 {
		return true
	}
	t.stop = nil
	return false
}

func (t *Turns) take(ctx context.Context) error {
	select {
	case <-t.free:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: somebody else speaks to the miner", drivers.Timeout)
	}
}

func (t *Turns) give() { t.free <- struct{}{} }
