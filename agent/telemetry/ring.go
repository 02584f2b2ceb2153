package telemetry

import (
	"slices"
	"time"
)

// ring holds what the broker does not have yet, oldest first. It is Run's own.
//
// What was given to the link is the link's to deliver and is not given up for want of room or time: after an
// outage it arrives first. Only when the broker has a later batch and this one is still missing at the end of its
// time has the link failed to deliver it.
type ring struct {
	limit int           // bytes of payload
	hold  time.Duration // how long a batch may wait
	list  []*held
	bytes int
	sent  int   // given to the link and not delivered
	last  int64 // highest seq delivered
}

type held struct {
	Batch
	sent    bool
	storing bool // given to the store
	kept    bool // the store has it
}

// push adds a batch and answers which older ones had to go for it.
func (r *ring) push(b Batch) (lost []*held) {
	for r.bytes+len(b.Payload) > r.limit {
		i := slices.IndexFunc(r.list, func(h *held) bool { return !h.sent })
		if i < 0 {
			break // the window is above the limit by itself; it is bounded, too
		}
		lost = append(lost, r.drop(i))
	}
	r.list = append(r.list, &held{Batch: b})
	r.bytes += len(b.Payload)
	return lost
}

// trim takes out what has waited too long.
func (r *ring) trim(now time.Time) (lost []*held) {
	for i := 0; i < len(r.list); {
		h := r.list[i]
		if now.Sub(h.At) < r.hold {
			break
		}
		if h.sent && h.Seq > r.last {
			i++
			continue
		}
		lost = append(lost, r.drop(i))
	}
	return lost
}

// empty takes out everything.
func (r *ring) empty() (lost []*held) {
	for len(r.list) > 0 {
		lost = append(lost, r.drop(0))
	}
	return lost
}

// next is the oldest batch that was not sent, or nil.
func (r *ring) next() *held {
	for _, h := range r.list {
		if !h.sent {
			return h
		}
	}
	return nil
}

func (r *ring) mark(h *held) {
	h.sent = true
	r.sent++
}

// delivered takes out a batch that the broker has; nil if it was given up before.
func (r *ring) delivered(seq int64) *held {
	r.last = max(r.last, seq)
	i := slices.IndexFunc(r.list, func(h *held) bool { return h.Seq == seq })
	if i < 0 {
		return nil
	}
	return r.drop(i)
}

func (r *ring) drop(i int) *held {
	h := r.list[i]
	r.list = slices.Delete(r.list, i, i+1)
	r.bytes -= len(h.Payload)
	if h.sent {
		r.sent--
	}
	return h
}

func (r *ring) oldest() time.Time {
	if len(r.list) == 0 {
		return time.Time{}
	}
	return r.list[0].At
}
