package miner_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/miner"
)

// TestTurns: one call at a time, an action before a reading, and a reading that gave way is made again.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := miner.NewTurns()
		var mu sync.Mutex
		at, most, reads := 0, 0, 0
		call := func(ctx context.Context, d time.Duration) error {
			mu.Lock()
			at++
			most = max(most, at)
			mu.Unlock()
			defer func() { mu.Lock(); at--; mu.Unlock() }()
			select {
			case <-time.After(d):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		began := time.Now()
		var all sync.WaitGroup
		all.Go(func() {
			err := turns.Read(t.Context(), func(ctx context.Context) error { reads++; return call(ctx, 5*time.Second) })
			if took := time.Since(began); err != nil || took != 9*time.Second || reads < 2 {
				t.Errorf("the reading: %v after %s, %d times", err, took, reads)
			}
		})
		time.Sleep(time.Second)
		for range 3 {
			all.Go(func() {
				if err := turns.Act(t.Context(), func(ctx context.Context) error { return call(ctx, time.Second) }); err != nil {
					t.Error(err)
				}
			})
		}
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			if err := turns.Act(ctx, func(context.Context) error { return nil }); err != nil && !errors.Is(err, drivers.Timeout) {
				t.Error(err)
			}
		})
		all.Wait()
		if most != 1 {
			t.Errorf("%d at once", most)
		}
	})
}

// TestAReadingThatFailsIsNotMadeAgain: its own error is no reason to wait for another turn.
func TestAReadingThatFailsIsNotMadeAgain(t *testing.T) {
	reads := 0
	err := miner.NewTurns().Read(t.Context(), func(context.Context) error { reads++; return drivers.Corrupt })
	if !errors.Is(err, drivers.Corrupt) || reads != 1 {
		t.Errorf("%v, %d times", err, reads)
	}
}
