package journal

import (
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"rackagent/agent/rack"
)

// observation is why the journal observes; it stands in bucketMeta until an observed record is written.
type observation struct {
	Since  time.Time `json:"since"`
	Boot   string    `json:"boot"`
	Reason string    `json:"reason"`
	Aside  string    `json:"aside,omitempty"` // name of the file set aside; empty: there was none
}

// contents is all that a journal file holds, as read at the start.
type contents struct {
	identity  identity
	observing *observation
	tally     tally
	seqs      []markJSON // of entries that are pruned
	entries   []loaded   // in order of receipt
	orders    []rack.Order
	withdrawn []rack.Record
	wiring    []rack.Record
	damaged   []*DamageError
	last      time.Time // newest time of any record

	counted  tally // recomputed from the keys found
	subjects map[string]bool
}

// loaded is one entry with what only the journal needs.
type loaded struct {
	seq      uint64 // of its first record
	entry    rack.Entry
	standing standing
	err      error // *DamageError
}

// load reads everything. An error is errUnreadable where keys are missing, strange or stale, so that the file
// as a whole cannot be believed; ErrNewer where a later version wrote it. Values damaged by themselves are no
// error.
func load(tx *bbolt.Tx) (*contents, error) {
	c := &contents{subjects: map[string]bool{}}
	if err := c.loadMeta(tx); err != nil {
		return nil, err
	}
	n := 0
	if err := tx.ForEach(func([]byte, *bbolt.Bucket) error { n++; return nil }); err != nil {
		return nil, unreadable("buckets: %w", err)
	}
	if n != len(recordBuckets())+1 {
		return nil, unreadable("%d buckets", n)
	}
	parts := map[string][]part{}
	var ids []string
	for _, name := range recordBuckets() {
		b := tx.Bucket([]byte(name))
		if b == nil {
			return nil, unreadable("no bucket %q", name)
		}
		err := b.ForEach(func(k, v []byte) error {
			subject, p, err := c.part(name, k, v)
			switch {
			case err != nil:
				return err
			case name == bucketCommand && parts[subject] == nil:
				ids = append(ids, subject)
				fallthrough
			case name == bucketCommand:
				parts[subject] = append(parts[subject], p)
				return nil
			default:
				return c.fact(name, subject, p)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return c, c.conclude(tx, ids, parts)
}

func (c *contents) loadMeta(tx *bbolt.Tx) error {
	b := tx.Bucket([]byte(bucketMeta))
	if b == nil {
		return unreadable("no bucket %q", bucketMeta)
	}
	if err := metaValue(b, keyIdentity, &c.identity); err != nil {
		return err
	}
	if c.identity.Schema > schema {
		return newerSchema(c.identity.Schema) // the rest may look different
	}
	if err := metaValue(b, keyTally, &c.tally); err != nil {
		return err
	}
	if b.Get([]byte(keyObserving)) != nil {
		c.observing = &observation{}
		if err := metaValue(b, keyObserving, c.observing); err != nil {
			return err
		}
	}
	if b.Get([]byte(keySeqs)) != nil {
		if err := metaValue(b, keySeqs, &c.seqs); err != nil {
			return err
		}
	}
	return b.ForEach(func(k, _ []byte) error {
		if string(k) != keyTally {
			c.counted.add(bucketMeta, k)
		}
		return nil
	})
}

// metaValue reads a value of bucketMeta. Without these the journal cannot be believed, so damage is no detail.
func metaValue(b *bbolt.Bucket, key string, into any) error {
	err := unseal(b.Get([]byte(key)), into)
	switch {
	case errors.Is(err, errNewerValue):
		return fmt.Errorf("%w: %s: %w", ErrNewer, key, err)
	case err != nil:
		return unreadable("%s: %w", key, err)
	}
	return nil
}

// part reads one key and value and counts it.
func (c *contents) part(bucket string, k, v []byte) (string, part, error) {
	subject, p := readPart(k, v)
	home, _, _ := place(p.kind)
	switch {
	case errors.Is(p.err, errMisplaced):
		return "", part{}, unreadable("key %q in bucket %q: %w", k, bucket, p.err)
	case home != bucket || p.seq > c.tally.Seq:
		return "", part{}, unreadable("%s with number %d in bucket %q", p.kind, p.seq, bucket)
	case errors.Is(p.err, errNewerValue):
		return "", part{}, fmt.Errorf("%w: %s of %s: %w", ErrNewer, p.kind, subject, p.err)
	}
	c.counted.add(bucket, k)
	if p.rec.At.After(c.last) {
		c.last = p.rec.At
	}
	return subject, p, nil
}

// fact takes a record of the rack. A damaged one counts as what allows less: an outlet withdrawn, a wiring
// unproven, an order in force. Only a limit is worth nothing without its value.
func (c *contents) fact(bucket, subject string, p part) error {
	if replaces(bucket) {
		if c.subjects[bucket+subject] {
			return unreadable("two records of %q in bucket %q", subject, bucket)
		}
		c.subjects[bucket+subject] = true
	}
	if p.err != nil {
		c.damaged = append(c.damaged, &DamageError{Kind: p.kind, Subject: subject, Err: p.err})
		p.rec = cautious(p.kind, subject)
	}
	switch p.kind {
	case rack.RecordOrder:
		if p.rec.Order != nil {
			c.orders = append(c.orders, *p.rec.Order)
		}
	case rack.RecordWiring:
		c.wiring = append(c.wiring, p.rec)
	case rack.RecordWithdraw:
		c.withdrawn = append(c.withdrawn, p.rec)
	}
	return nil
}

const damagedReason = "the record in the journal is damaged"

// cautious makes the record that stands in for a damaged one, from its key alone.
func cautious(kind rack.RecordKind, subject string) rack.Record {
	r := rack.Record{Kind: kind, Reason: damagedReason}
	switch kind {
	case rack.RecordOrder:
		r.Order = orderOf(subject)
	case rack.RecordWiring:
		r.Wiring = rack.WiringUnproven
		fallthrough
	case rack.RecordWithdraw:
		if o, err := rack.ParseOutletID(subject); err == nil {
			r.Outlet = o
		}
	}
	return r
}

// conclude compares the tally with what was found and puts the commands together.
func (c *contents) conclude(tx *bbolt.Tx, ids []string, parts map[string][]part) error {
	c.counted.Tx, c.counted.Seq = uint64(tx.ID()), c.tally.Seq
	if c.counted != c.tally {
		return unreadable("keys do not match the tally: want %+v, found %+v", c.tally, c.counted)
	}
	for _, id := range ids {
		var s standing
		for _, p := range parts[id] {
			var err error
			if s, err = s.after(p.kind); err != nil {
				return unreadable("%s of %s: %w", p.kind, id, err)
			}
		}
		e, s, damage := assemble(id, parts[id])
		c.entries = append(c.entries, loaded{seq: parts[id][0].seq, entry: e, standing: s, err: damage})
	}
	sortBySeq(c.entries)
	return nil
}
