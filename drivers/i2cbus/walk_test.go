package i2cbus

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"
	"pgregory.net/rapid"

	"rackagent/drivers"
)

// caller is one job of a random schedule. Its index gives the address, so that the wire's log tells whose
// transfer was when.
type caller struct {
	at      time.Duration // when it asks
	act     bool
	n       int           // transfers
	takes   time.Duration // each; beyond the limit it hangs
	patient time.Duration // of its context; 0: no end

	asked, started, ended time.Time
	err                   error
}

func drawCallers(t *rapid.T) []*caller {
	one := rapid.Custom(func(t *rapid.T) *caller {
		return &caller{
			at:      time.Duration(rapid.IntRange(0, 4000).Draw(t, "at")) * time.Millisecond,
			act:     rapid.Bool().Draw(t, "act"),
			n:       rapid.IntRange(1, 3).Draw(t, "n"),
			takes:   time.Duration(rapid.SampledFrom([]int{1, 30, 400, 1500, 9000}).Draw(t, "ms")) * time.Millisecond,
			patient: time.Duration(rapid.SampledFrom([]int{0, 0, 50, 700}).Draw(t, "patience")) * time.Millisecond,
		}
	})
	return rapid.SliceOfN(one, 1, 12).Draw(t, "callers")
}

func (c *caller) run(b *Bus, addr uint16) {
	time.Sleep(c.at)
	ctx, cancel := context.Background(), func() {}
	if c.patient > 0 {
		ctx, cancel = context.WithTimeout(ctx, c.patient)
	}
	defer cancel()
	h := b.Poll()
	if c.act {
		h = b.Act()
	}
	c.asked = time.Now()
	c.err = h.Do(ctx, func(tx i2c.Bus) error {
		c.started = time.Now()
		for range c.n {
			if err := tx.Tx(addr, []byte{0}, nil); err != nil {
				return err
			}
		}
		return nil
	})
	c.ended = time.Now()
}

// TestRandomSchedules checks, for any mix of callers, patience, slow and hanging transfers: transfers never
// overlap (the wire says so), jobs are not split, Act goes first, what was cancelled while queued never began,
// nobody is held beyond the limit, and nobody is turned away as hung unless the bus hung.
func TestRandomSchedules(t *testing.T) {
	if err := flag.Set("rapid.seed", "20260117"); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		callers := drawCallers(rt)
		var log []string
		var stats Stats
		synctest.Test(t, func(t *testing.T) { log, stats = play(t, callers) })
		for i, c := range callers {
			checkCaller(rt, i, c, stats)
			for k, other := range callers {
				checkOrder(rt, i, c, k, other)
			}
		}
		checkUnsplit(rt, log)
	})
}

func play(t *testing.T, callers []*caller) ([]string, Stats) {
	w := newWire(t)
	w.slow = make(map[uint16]time.Duration)
	b := New(w, Opts{})
	var all sync.WaitGroup
	for i, c := range callers {
		w.slow[uint16(firstAddr+i)] = c.takes
	}
	for i, c := range callers {
		all.Go(func() { c.run(b, uint16(firstAddr+i)) })
	}
	all.Wait()
	time.Sleep(time.Minute) // the last hung transfer comes back
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	return w.traffic(), b.Stats()
}

func checkCaller(t *rapid.T, i int, c *caller, stats Stats) {
	const limit = DefaultDeadline + Grace // of a write
	if !c.started.IsZero() && c.ended.Sub(c.started) > time.Duration(c.n)*limit {
		t.Errorf("caller %d held for %v", i, c.ended.Sub(c.started))
	}
	waited := c.ended
	if !c.started.IsZero() {
		waited = c.started
	}
	if c.patient > 0 && waited.Sub(c.asked) > c.patient {
		t.Errorf("caller %d queued for %v", i, waited.Sub(c.asked))
	}
	if errors.Is(c.err, drivers.Hung) && stats.Hangs == 0 {
		t.Errorf("caller %d: %v, but nothing hung", i, c.err)
	}
	if c.err == nil && (c.started.IsZero() || c.takes > limit) {
		t.Errorf("caller %d succeeded without its transfers", i)
	}
	if n := stats.Address[uint16(firstAddr+i)].Transfers; c.started.IsZero() && n != 0 {
		t.Errorf("caller %d: %v, and %d transfers", i, c.err, n)
	}
}

// checkOrder fails if a job on Poll began while a job on Act was waiting.
func checkOrder(t *rapid.T, i int, p *caller, k int, a *caller) {
	if p.act || !a.act || p.started.IsZero() || !a.asked.Before(p.started) {
		return
	}
	left := a.ended
	if !a.started.IsZero() {
		left = a.started
	}
	if left.After(p.started) {
		t.Errorf("poll %d began at %v while act %d waited from %v to %v", i, p.started, k, a.asked, left)
	}
}

func checkUnsplit(t *rapid.T, log []string) {
	seen := make(map[string]bool)
	last := ""
	for _, line := range log {
		var addr string
		if _, err := fmt.Sscanf(line, "%s", &addr); err != nil {
			t.Fatal(err)
		}
		if addr != last && seen[addr] {
			t.Errorf("job of 0x%s was split: %q", addr, log)
		}
		seen[addr], last = true, addr
	}
}
