package journal

import (
	"bytes"
	"errors"

	"go.etcd.io/bbolt"

	"rackagent/agent/rack"
)

// ErrObserving refuses a command that moves power while a lost journal has not been accepted by a person.
var ErrObserving = errors.New("journal: observing: a lost journal has not been accepted yet")

// ErrNotObserving refuses to accept a loss that is not there.
var ErrNotObserving = errors.New("journal: not observing: no loss to accept")

// ErrCrowded refuses a new entry because there are as many as there may be.
var ErrCrowded = errors.New("journal: too many commands are kept: only what lowers power is recorded")

// draft is one transaction in the making. Nothing outside it changes until the commit succeeded.
type draft struct {
	tx        *bbolt.Tx
	tally     tally
	observing bool
	written   []item
	pruned    []string
	room      room
	born      int   // entries new in this transaction
	err       error // a key or value that bbolt cannot hold: fails the transaction
}

func newDraft(tx *bbolt.Tx, t tally, observing bool, r room) *draft {
	t.Tx = uint64(tx.ID())
	return &draft{tx: tx, tally: t, observing: observing, room: r}
}

// submit writes a record set, or nothing of it and says why.
func (d *draft) submit(items []item) error {
	already, err := d.admit(items)
	if err != nil {
		return err
	}
	for i, it := range items {
		if already[i] {
			continue
		}
		d.err = errors.Join(d.err, d.put(it))
	}
	return nil
}

// admit judges a set against what is written and against its own earlier records. The result marks the records
// that are there already.
func (d *draft) admit(items []item) (already []bool, err error) {
	already = make([]bool, len(items))
	standings := map[string]standing{}
	observing := d.observing
	for i, it := range items {
		switch {
		case it.kind == rack.RecordObserved && !observing:
			return nil, ErrNotObserving
		case it.kind == rack.RecordObserved:
			observing = false
		case it.movesPower && observing:
			return nil, ErrObserving
		}
		if bucket, _, _ := place(it.kind); bucket != bucketCommand {
			continue
		}
		s, ok := standings[it.id]
		if !ok {
			s = d.standing(it.id)
		}
		if s.waiting && !s.known() && d.waits(it.id, items[:i]) != it.hash && (it.kind == rack.RecordAccepted || it.kind == rack.RecordRejected) {
			return nil, ErrOtherCommand
		}
		if begins(it.kind) && s == (standing{}) && !d.fits(it) {
			return nil, ErrCrowded
		}
		s, err = s.after(it.kind)
		if already[i] = errors.Is(err, errAlready); err != nil && !already[i] {
			return nil, err
		}
		standings[it.id] = s
	}
	return already, nil
}

// fits tells whether a new entry may begin.
func (d *draft) fits(it item) bool {
	return it.spare || d.room.all > 0 && (it.kind != rack.RecordRejected || d.room.refused > 0)
}

// waits gives the hash of the command that waits under an id: in this set, or on disk. One that cannot be read any more
// gives none, and nothing but its end (endDamaged) follows it.
func (d *draft) waits(id string, set []item) rack.Hash {
	for _, it := range set {
		if it.id == id && it.kind == rack.RecordWaiting {
			return it.hash
		}
	}
	for _, p := range partsOf(d.tx, id) {
		if p.kind == rack.RecordWaiting && p.rec.Command != nil {
			return p.rec.Command.Hash
		}
	}
	return rack.Hash{}
}

// standing reads a command's keys, those of this transaction included.
func (d *draft) standing(id string) standing {
	var s standing
	for _, k := range d.keys(bucketCommand, id) {
		_, _, kind, _ := splitKey(k)
		s = s.with(kind)
	}
	return s
}

// keys lists the keys of one subject.
func (d *draft) keys(bucket, subject string) [][]byte {
	var out [][]byte
	prefix := prefixOf(subject)
	c := d.tx.Bucket([]byte(bucket)).Cursor()
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		out = append(out, bytes.Clone(k))
	}
	return out
}

func (d *draft) put(it item) error {
	bucket, letter, _ := place(it.kind)
	if replaces(bucket) {
		if err := d.remove(bucket, it.subject); err != nil {
			return err
		}
	}
	d.tally.Seq++
	it.seq = d.tally.Seq
	key := keyOf(it.subject, it.seq, letter)
	if err := d.tx.Bucket([]byte(bucket)).Put(key, it.value); err != nil {
		return err
	}
	d.tally.add(bucket, key)
	d.written = append(d.written, it)
	switch {
	case begins(it.kind):
		d.born++
		d.room.all--
		if it.kind == rack.RecordRejected {
			d.room.refused--
		}
	case it.kind == rack.RecordObserved:
		return d.accept()
	}
	return nil
}

// begins tells the records that an entry may begin with.
func begins(k rack.RecordKind) bool {
	return k == rack.RecordWaiting || k == rack.RecordAccepted || k == rack.RecordRejected
}

// accept ends the observing state of a lost journal.
func (d *draft) accept() error {
	d.observing = false
	d.tally.remove(bucketMeta, []byte(keyObserving))
	return d.tx.Bucket([]byte(bucketMeta)).Delete([]byte(keyObserving))
}

// remove deletes all keys of one subject.
func (d *draft) remove(bucket, subject string) error {
	b := d.tx.Bucket([]byte(bucket))
	for _, k := range d.keys(bucket, subject) {
		if err := b.Delete(k); err != nil {
			return err
		}
		d.tally.remove(bucket, k)
	}
	return nil
}

// pruneLimit bounds the work of one commit: twice what came in, so that the journal shrinks back after a burst,
// and 8 beside it. A deleted entry dirties about one page. Arbitrary.
func (d *draft) pruneLimit() int {
	if len(d.written) == 0 {
		return 0 // never a commit for pruning's sake
	}
	return 8 + 2*d.born
}

// prune deletes entries whole. How far their issuers had counted outlives them.
func (d *draft) prune(ids []string, kept marks) {
	for _, id := range ids {
		d.err = errors.Join(d.err, d.remove(bucketCommand, id))
	}
	if len(ids) > 0 && len(kept) > 0 {
		if d.tx.Bucket([]byte(bucketMeta)).Get([]byte(keySeqs)) == nil {
			d.tally.add(bucketMeta, []byte(keySeqs))
		}
		d.err = errors.Join(d.err, putMeta(d.tx, keySeqs, kept.list()))
	}
	d.pruned = ids
}

// finish writes the tally, which makes the transaction one that a later start will believe.
func (d *draft) finish() error {
	if d.err != nil {
		return d.err
	}
	if len(d.written) == 0 {
		return errNothing
	}
	return putMeta(d.tx, keyTally, d.tally)
}

func putMeta(tx *bbolt.Tx, key string, v any) error {
	b, err := seal(v)
	if err != nil {
		return err
	}
	return tx.Bucket([]byte(bucketMeta)).Put([]byte(key), b)
}
