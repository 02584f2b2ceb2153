package journal

import (
	"slices"
	"time"

	"rackagent/agent/rack"
)

// age is what pruning must know of one entry.
type age struct {
	id            string
	exp           time.Time
	closed, acked bool
	refused       bool // it has never been more than a refusal
}

// index lists the entries, oldest first. It belongs to the writer and follows what is on disk.
type index struct {
	order   []*age
	byID    map[string]*age
	refused int // of them
}

// room is how many entries may begin.
type room struct{ refused, all int }

func (x *index) room(most int) room {
	return room{refused: most/2 - x.refused, all: most - len(x.order)}
}

func (x *index) add(a *age) {
	if x.byID == nil {
		x.byID = map[string]*age{}
	}
	x.order = append(x.order, a)
	x.byID[a.id] = a
	if a.refused {
		x.refused++
	}
}

// take follows committed records.
func (x *index) take(written []item) {
	for _, it := range written {
		switch it.kind {
		case rack.RecordWaiting, rack.RecordAccepted, rack.RecordRejected:
			if x.byID[it.id] == nil {
				x.add(&age{id: it.id, exp: it.exp, refused: it.kind == rack.RecordRejected})
			}
			x.byID[it.id].closed = it.kind == rack.RecordRejected
		case rack.RecordEnded:
			x.byID[it.id].closed = true
		case rack.RecordAcked:
			x.byID[it.id].acked = true
		}
	}
}

// drop follows committed removals.
func (x *index) drop(ids []string) {
	if len(ids) == 0 {
		return
	}
	for _, id := range ids {
		if a := x.byID[id]; a != nil && a.refused {
			x.refused--
		}
		delete(x.byID, id)
	}
	x.order = slices.DeleteFunc(x.order, func(a *age) bool { return slices.Contains(ids, a.id) })
}

// stale lists up to limit entries that need no longer be kept, oldest first: not among the newest keep, ended,
// acknowledged by the broker (S5: a result is kept until then, however old), and as long past their expiry as the
// options say, or crowdedFor where there are many.
func (x *index) stale(now time.Time, o Opts, limit int) []string {
	left := x.room(o.Most)
	crowded, flooded := left.all <= o.Most/2, left.refused <= o.Most/4
	var out []string
	for _, a := range x.order[:max(0, len(x.order)-o.Keep)] {
		if len(out) >= limit {
			break
		}
		keepFor := o.KeepFor
		if crowded || flooded && a.refused {
			keepFor = min(keepFor, crowdedFor)
		}
		if a.closed && a.acked && now.Sub(a.exp) > keepFor {
			out = append(out, a.id)
		}
	}
	return out
}
