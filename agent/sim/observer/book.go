package observer

import (
	"cmp"
	"slices"
	"time"
)

// book is all that any copy of the journal holds, with nothing twice.
type book struct {
	records  []*record // in order of time, then of their place
	entries  []*entry  // in order of their first record
	byID     map[string]*entry
	complete bool // the end of the run is in it
}

// entry is all that is recorded of one command.
type entry struct {
	id       string
	waiting  []*record
	accepted []*record
	rejected []*record
	progress []*record
	ended    []*record
	acked    []*record
}

// newBook joins what the copies hold.
func newBook(copies []copied) *book {
	b := &book{byID: map[string]*entry{}}
	seen := map[string]bool{}
	for _, c := range copies {
		b.complete = c.Seq == Final && c.err == nil
		for i := range c.journal.records {
			if r := &c.journal.records[i]; !seen[r.key] {
				seen[r.key] = true
				b.records = append(b.records, r)
			}
		}
	}
	slices.SortStableFunc(b.records, func(x, y *record) int { return cmp.Or(x.At.Compare(y.At), cmp.Compare(x.seq, y.seq)) })
	for _, r := range b.records {
		b.enter(r)
	}
	return b
}

func (b *book) enter(r *record) {
	e := b.byID[r.ID]
	var list *[]*record
	switch r.Kind {
	case kindWaiting, kindAccepted, kindRejected, kindProgress, kindEnded, kindAcked:
		if e == nil {
			e = &entry{id: r.ID}
			b.byID[r.ID] = e
			b.entries = append(b.entries, e)
		}
		list = e.list(r.Kind)
	default:
		return
	}
	*list = append(*list, r)
}

func (e *entry) list(kind string) *[]*record {
	switch kind {
	case kindWaiting:
		return &e.waiting
	case kindAccepted:
		return &e.accepted
	case kindRejected:
		return &e.rejected
	case kindProgress:
		return &e.progress
	case kindEnded:
		return &e.ended
	default:
		return &e.acked
	}
}

// result is the terminal outcome of a command; nil while there is none.
func (e *entry) result() *outcome {
	for _, list := range [][]*record{e.ended, e.rejected} {
		if len(list) > 0 {
			return list[0].Outcome
		}
	}
	return nil
}

// endedBefore tells whether a command had its terminal result before a moment.
func (e *entry) endedBefore(at time.Time) (time.Time, bool) {
	for _, r := range e.ended {
		if r.At.Before(at) {
			return r.At, true
		}
	}
	return time.Time{}, false
}
