package journal

import (
	"errors"
	"sync"

	"rackagent/agent/rack"
)

// maxWaiting bounds the submissions that wait for one commit. A commit on the slowest card measured takes
// about 50 ms; 512 is a burst of 256 miners twice within that. Arbitrary above it.
const maxWaiting = 512

// ErrBusy refuses a submission because too many wait for the disk.
var ErrBusy = errors.New("journal: too many records are waiting")

// ErrClosed refuses a submission after the end.
var ErrClosed = errors.New("journal: closed")

// submission is a record set on its way: written whole or not at all.
type submission struct {
	items []item
	spare bool // all items may use the last reserve
	done  func(error)
	err   error // verdict, once there is one
	over  bool  // there is one
}

func (s *submission) settle(err error) { s.err, s.over = err, true }

// queue holds what waits for the writer. The zero queue is not ready: wake must be made.
type queue struct {
	mu      sync.Mutex
	waiting []*submission
	ended   bool
	wake    chan struct{} // one slot: a signal that something waits is never lost and never piles up
}

func (q *queue) add(s *submission) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.ended:
		return ErrClosed
	case len(q.waiting) >= maxWaiting:
		return ErrBusy
	}
	q.waiting = append(q.waiting, s)
	q.poke()
	return nil
}

// poke makes the writer look, even if nothing waits.
func (q *queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take hands over all that waits.
func (q *queue) take() []*submission {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.waiting
	q.waiting = nil
	return all
}

// end closes the queue and hands over what still waits.
func (q *queue) end() []*submission {
	q.mu.Lock()
	q.ended = true
	q.mu.Unlock()
	return q.take()
}

// Submit hands a record set to the writer and returns at once. The set is written whole or not at all; done is
// called exactly once, with nil when the set is on disk.
//
// done is called by the writer, in the order of submission, and must not block. Where no disk is needed to
// know the answer it is called before Submit returns, on the caller's goroutine: a record that is invalid by
// itself (ErrInvalid, ErrNoOutcome), a disk that is full or failed (ErrFull, ErrFailed), too many waiting
// (ErrBusy), the journal's end (ErrClosed). So the caller must hold no lock that done takes.
//
// The writer answers ErrKnown, ErrNotAccepted, ErrSecondEnd, ErrNotEnded, ErrObserving and ErrNotObserving
// where S5 or the state of the journal forbid the record; the other submissions of the same commit go on.
// After ErrFailed it is open whether the set is on disk: the next start tells.
//
// The records are copied before Submit returns. Boot is set by the journal, and At where it is zero.
func (j *Journal) Submit(recs []rack.Record, done func(error)) {
	s, err := j.submission(recs)
	if err == nil {
		s.done = done
		err = j.State().refuses(s.spare)
		if errors.Is(err, ErrFull) {
			j.queue.poke() // the writer looks whether there is room again
		}
	}
	if err == nil {
		err = j.queue.add(s)
	}
	if err != nil {
		done(err)
	}
}

func (j *Journal) submission(recs []rack.Record) (*submission, error) {
	if len(recs) == 0 {
		return nil, ErrInvalid
	}
	s := &submission{items: make([]item, len(recs)), spare: true}
	for i, r := range recs {
		it, err := j.prepare(r)
		if err != nil {
			return nil, err
		}
		s.items[i] = it
		s.spare = s.spare && it.spare
	}
	return s, nil
}
