package telemetry

import (
	"slices"
	"time"
)

// kept is what Store has answered.
type kept struct {
	batches []Batch
	err     error
}

// Holds tells whether a batch is still in the ring, and will be delivered from there. Any goroutine may ask.
func (t *Telemetry) Holds(seq int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, found := slices.BinarySearch(t.holds, seq)
	return found
}

// store gives away what has waited long enough, with everything younger that waits, and answers when to ask again.
func (t *Telemetry) store(now time.Time) time.Duration {
	i := slices.IndexFunc(t.ring.list, func(h *held) bool { return !h.kept && !h.storing })
	if t.o.Store == nil || t.storing || i < 0 {
		return time.Hour // woken by what is made or answered
	}
	due := t.ring.list[i].At.Add(storeAfter)
	if due.Before(t.notUntil) {
		due = t.notUntil
	}
	if wait := due.Sub(now); wait > 0 {
		return wait
	}
	t.spill()
	return time.Hour
}

// spill gives everything to the store that it does not have.
func (t *Telemetry) spill() {
	var batches []Batch
	for _, h := range t.ring.list {
		if !h.kept && !h.storing {
			h.storing = true
			batches = append(batches, h.Batch)
		}
	}
	if len(batches) == 0 {
		return
	}
	t.storing = true
	t.o.Store(batches, func(err error) {
		t.mu.Lock()
		t.kept = &kept{batches, err}
		t.mu.Unlock()
		select {
		case t.wake <- struct{}{}:
		default: // it is told already
		}
	})
}

// answered notes what the store has. What the ring has given up meanwhile is in the store, or lost.
func (t *Telemetry) answered(now time.Time, k kept) {
	t.storing = false
	if k.err != nil {
		t.notUntil = now.Add(storeAgain)
	}
	in := make(map[int64]*held, len(t.ring.list))
	for _, h := range t.ring.list {
		in[h.Seq] = h
	}
	for _, b := range k.batches {
		if h := in[b.Seq]; h != nil {
			h.storing, h.kept = false, k.err == nil
			continue
		}
		at, orphan := t.orphans[b.Seq]
		delete(t.orphans, b.Seq)
		if !orphan {
			continue // delivered
		}
		t.give(now, []*held{{Batch: Batch{Epoch: b.Epoch, Seq: b.Seq, At: at}, kept: k.err == nil}})
	}
}

// leave gives the store what is left, and waits for it a moment.
func (t *Telemetry) leave() {
	if t.o.Store == nil {
		return
	}
	limit := time.NewTimer(lastStore)
	defer limit.Stop()
	for range 2 { // an answer that is on its way, and the last one
		if !t.storing {
			t.spill()
		}
		for t.storing {
			select {
			case <-t.wake:
				t.settle(time.Now())
			case <-limit.C:
				return
			}
		}
	}
}
