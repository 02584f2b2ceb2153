package journal

import (
	"context"
	"errors"

	"go.etcd.io/bbolt"
)

// Run is the writer. It returns when ctx ends, after writing what waits, and closes the journal.
func (j *Journal) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			j.commit(j.queue.end())
			return j.Close()
		case <-j.queue.wake:
			j.commit(j.queue.take())
			j.restoreReserve()
		}
	}
}

// commit writes a batch in one transaction and answers every submission, in order.
func (j *Journal) commit(batch []*submission) {
	err := j.write(batch)
	if outOfSpace(err) && j.State().Disk == DiskOK {
		j.useReserve(err)
		err = j.write(batch)
	}
	if err != nil {
		j.fail(reasonOf(err), err)
		refusal := j.State().refuses(true)
		for _, s := range batch {
			if !s.over {
				s.settle(refusal)
			}
		}
	}
	for _, s := range batch {
		s.done(s.err)
	}
}

func reasonOf(err error) string {
	if outOfSpace(err) {
		return "no space left and the reserve is used up"
	}
	return "writing the journal failed: " + err.Error()
}

// write puts what the disk's state allows into one transaction and settles it. An error means that the
// transaction failed; what it should have written is not settled then.
func (j *Journal) write(batch []*submission) error {
	state := j.State()
	var todo []*submission
	for _, s := range batch {
		if err := state.refuses(s.spare); err != nil {
			s.settle(err)
			continue
		}
		todo = append(todo, s)
	}
	if len(todo) == 0 {
		return nil
	}
	d, verdicts, err := j.transact(todo)
	if err != nil {
		return err
	}
	j.adopt(d)
	for i, s := range todo {
		s.settle(verdicts[i])
	}
	return nil
}

// errNothing rolls back a transaction that has nothing to write.
var errNothing = errors.New("nothing to write")

// transact runs one bbolt transaction over the submissions and gives a verdict on each. The draft is nil if
// nothing had to be written.
func (j *Journal) transact(todo []*submission) (*draft, []error, error) {
	var d *draft
	var verdicts []error
	var inner error
	update := func() error {
		inner = guarded(func() error {
			return j.db.Update(func(tx *bbolt.Tx) error {
				d = newDraft(tx, j.tally, j.observing.Load(), j.index.room(j.o.Most))
				verdicts = make([]error, len(todo))
				for i, s := range todo {
					verdicts[i] = d.submit(s.items)
				}
				if j.State().Disk == DiskOK {
					d.prune(j.index.stale(j.o.Now(), j.o, d.pruneLimit()), j.marks.bounded(j.o.Boot))
				}
				return d.finish()
			})
		})
		if errors.Is(inner, errNothing) {
			inner, d = nil, nil
		}
		return inner
	}
	err := j.o.Commit(update)
	if err == nil {
		err = inner // a wrapper that forgets the error must not turn it into success
	}
	if outOfSpace(err) && d != nil && j.tookEffect(d) {
		err = &tookEffectError{err}
	}
	return d, verdicts, err
}

// tookEffect tells whether the transaction of a draft can be seen in the file although its commit failed.
func (j *Journal) tookEffect(d *draft) bool {
	seen := true
	err := guarded(func() error {
		return j.db.View(func(tx *bbolt.Tx) error {
			seen = uint64(tx.ID()) >= d.tally.Tx
			return nil
		})
	})
	return err != nil || seen
}

// tookEffectError is a lack of space that left the new meta page in the file: not the harmless kind that
// outOfSpace recognises, so it does not unwrap, and answers for its errno only.
type tookEffectError struct{ cause error }

func (e *tookEffectError) Error() string {
	return "in effect, though reported as failed: " + e.cause.Error()
}

func (e *tookEffectError) Is(target error) bool { return errors.Is(e.cause, target) }

// adopt takes over what a committed draft changed.
func (j *Journal) adopt(d *draft) {
	if d == nil {
		return
	}
	j.tally = d.tally
	j.observing.Store(d.observing)
	j.marks.take(d.written)
	j.index.take(d.written)
	j.index.drop(d.pruned)
}
