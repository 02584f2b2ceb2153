package journal

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"rackagent/agent/rack"
)

// Get gives all that is known about one command; false if the id is not known. With a *DamageError the entry
// holds what could be read, its outcome is unknown where that could not, and the id counts as known. Other
// errors mean that nothing can be said about the id: ErrFailed, ErrClosed.
func (j *Journal) Get(id string) (rack.Entry, bool, error) {
	var e rack.Entry
	var known bool
	var damage error
	err := j.view(func(tx *bbolt.Tx) error {
		parts := partsOf(tx, id)
		if known = len(parts) > 0; known {
			e, _, damage = assemble(id, parts)
		}
		return nil
	})
	if err != nil {
		return rack.Entry{}, false, err
	}
	return e, known, damage
}

// List gives the last n entries, newest first by receipt. Damaged ones are as Get gives them. It is empty where
// nothing can be read.
func (j *Journal) List(n int) []rack.Entry {
	var out []rack.Entry
	err := j.view(func(tx *bbolt.Tx) error {
		for _, id := range newest(tx, n) {
			e, _, _ := assemble(id, partsOf(tx, id))
			out = append(out, e)
		}
		return nil
	})
	if err != nil {
		j.o.Log.Warn("listing the journal", "err", err)
		return nil
	}
	return out
}

// view runs a short read transaction. A long one would keep old pages from being used again.
func (j *Journal) view(f func(*bbolt.Tx) error) error {
	j.handle.RLock()
	defer j.handle.RUnlock()
	if j.db == nil {
		return cmp.Or(j.State().refuses(true), ErrClosed)
	}
	err := guarded(func() error { return j.db.View(f) })
	if errors.Is(err, errPanicked) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// partsOf reads one command's records in order.
func partsOf(tx *bbolt.Tx, id string) []part {
	var out []part
	prefix := prefixOf(id)
	c := tx.Bucket([]byte(bucketCommand)).Cursor()
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		_, p := readPart(k, v)
		out = append(out, p)
	}
	return out
}

// newest lists the ids of the last n entries, newest first. It reads keys only.
func newest(tx *bbolt.Tx, n int) []string {
	type first struct {
		id  string
		seq uint64
	}
	var all []first
	seen := ""
	c := tx.Bucket([]byte(bucketCommand)).Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		id, seq, kind, ok := splitKey(k)
		opens := kind == rack.RecordWaiting || kind == rack.RecordAccepted || kind == rack.RecordRejected
		if ok && opens && id != seen { // keys of one id stand in order of their numbers
			all = append(all, first{id, seq})
			seen = id
		}
	}
	slices.SortFunc(all, func(a, b first) int { return cmp.Compare(b.seq, a.seq) })
	ids := make([]string, 0, max(0, min(n, len(all))))
	for _, f := range all[:cap(ids)] {
		ids = append(ids, f.id)
	}
	return ids
}
