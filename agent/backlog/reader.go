package backlog

import (
	"slices"
	"time"

	"rackagent/agent/rack"
)

const (
	// window and windowBytes are how much may be sent and not acknowledged. On a line of 1 Mbit/s a result that comes
	// behind it waits for half a second.
	window      = 16
	windowBytes = 64 << 10
	// pace is the time between two blocks (mqtt.md 8.3: 20 blocks a second).
	pace = 50 * time.Millisecond
	// look is how often a connection, the end of a command or room in the link's queue is looked for.
	look = time.Second
)

// reader sends what is stored, oldest first. Its place moves on when the broker has acknowledged; what it has read and
// not yet passed is open.
type reader struct {
	seg   *segment // nil: not begun
	page  page
	i     int   // next record of the page
	at    int64 // how far everything has arrived, in the first segment
	items []item
	open  []*unit

	out, outBytes int
	since         time.Time // of the connection that start is for
	start         time.Time // nothing is sent before
	next          time.Time // nothing is read before
	blocks        int       // passed in the first segment
}

// unit is a record that was read, until everything of it has arrived.
type unit struct {
	seg    *segment
	end    int64
	left   int
	since  time.Time
	blocks int
}

// item is one message of a unit.
type item struct {
	of    *unit
	batch *Batch
	gap   *rack.Gap
	size  int
}

// reset forgets what was read: it is sent again.
func (r *reader) reset() {
	*r = reader{at: firstAt, since: r.since, start: r.start, out: r.out, outBytes: r.outBytes}
}

// entered tells whether something of a segment was read: it may be on its way.
func (r *reader) entered(s *segment) bool {
	return r.seg == s || slices.ContainsFunc(r.open, func(u *unit) bool { return u.seg == s })
}

func (r *reader) acked(m item) {
	r.out--
	r.outBytes -= m.size
	if slices.Contains(r.open, m.of) { // else it was read before the disk failed
		m.of.left--
	}
}

// passed is how much of the first segment has arrived.
func (r *reader) passed(l *Log) int64 {
	if len(l.segs) == 0 {
		return 0
	}
	return max(r.at, firstAt) - firstAt
}

// oldest is the time of the first batch that has not arrived.
func (r *reader) oldest(l *Log) time.Time {
	switch {
	case len(r.open) > 0:
		return r.open[0].since
	case r.seg != nil && r.i < len(r.page.records):
		return r.page.records[r.i].since
	case len(l.segs) > 0:
		return l.segs[0].since
	default:
		return time.Time{}
	}
}

// settle moves on over what has arrived, and lets go of the segments that are behind.
func (r *reader) settle(l *Log) {
	for len(r.open) > 0 && r.open[0].left == 0 {
		u := r.open[0]
		r.open = r.open[1:]
		for l.segs[0] != u.seg {
			r.leave(l)
		}
		r.at = u.end
		r.blocks += u.blocks
		l.state.dirty = true
	}
	for len(l.segs) > 0 && l.segs[0] != l.active && len(r.open) == 0 && r.seg == l.segs[0] && r.at >= r.seg.end {
		r.leave(l)
	}
	if len(r.open) == 0 && r.atEnd(l) {
		clear(l.done)
	}
}

// leave lets the first segment go. A file that cannot be removed is no reason to stop.
func (r *reader) leave(l *Log) {
	s := l.segs[0]
	_ = l.release(s)
	if r.seg == s {
		r.seg, r.page, r.i = nil, page{}, 0
	}
	r.at, r.blocks = firstAt, 0
	l.state.dirty = true
}

// atEnd tells whether everything that is stored has arrived.
func (r *reader) atEnd(l *Log) bool {
	return len(l.segs) == 0 || len(l.segs) == 1 && r.at >= l.segs[0].end
}

// feed sends what may be sent now, and answers when to look again.
func (l *Log) feed(now time.Time) time.Duration {
	r := &l.reader
	r.settle(l)
	if len(r.items) == 0 && len(r.open) == 0 && r.atEnd(l) {
		return idle
	}
	since, up := l.o.Up()
	if !up {
		return look
	}
	if !since.Equal(r.since) {
		r.since, r.start = since, now.Add(l.o.Wait())
	}
	if now.Before(r.start) {
		return r.start.Sub(now)
	}
	for !l.o.Busy() {
		if len(r.items) == 0 {
			if now.Before(r.next) {
				return r.next.Sub(now)
			}
			if !l.read(now) {
				return idle // woken by what is stored or acknowledged
			}
			r.next = now.Add(pace)
			r.settle(l)
			continue
		}
		m := r.items[0]
		if b := m.batch; b != nil && l.done[b.Epoch].has(b.Seq) {
			r.items = r.items[1:]
			m.of.left--
			r.settle(l)
			continue
		}
		if b := m.batch; b != nil && b.Epoch == l.o.Epoch && l.o.Held(b.Seq) {
			return look
		}
		if r.out > 0 && (r.out >= window || r.outBytes+m.size > windowBytes) {
			return idle
		}
		if err := l.send(m); err != nil {
			return look
		}
		r.items = r.items[1:]
	}
	return look
}

// send gives one message away.
func (l *Log) send(m item) error {
	l.reader.out++
	l.reader.outBytes += m.size
	arrived := func() { l.leave(func(in *inbox) { in.acked = append(in.acked, m) }) }
	var err error
	if m.gap != nil {
		err = l.o.Tell(*m.gap, arrived)
	} else {
		err = l.o.Send(*m.batch, arrived)
	}
	if err != nil {
		l.reader.out--
		l.reader.outBytes -= m.size
	}
	return err
}

// read opens the next record; false if there is none.
func (l *Log) read(now time.Time) bool {
	r := &l.reader
	if !l.turnPage(now) {
		return false
	}
	rec := r.page.records[r.i]
	u := &unit{seg: r.seg, end: rec.end, since: rec.since}
	r.i++
	r.open = append(r.open, u)
	if rec.kind == kindGap {
		if g, _, err := rec.gap(); err == nil {
			if rec.found {
				l.lost(now, g)
			}
			r.add(u, item{gap: &g})
		}
		return true
	}
	u.blocks = 1
	batches, err := rec.batches()
	if err != nil {
		g := unreadable(rec)
		l.lost(now, g)
		r.add(u, item{gap: &g})
		return true
	}
	for _, b := range batches {
		if !l.done[b.Epoch].has(b.Seq) {
			r.add(u, item{batch: &b, size: len(b.Payload)})
		}
	}
	return true
}

func (r *reader) add(u *unit, m item) {
	m.of = u
	u.left++
	r.items = append(r.items, m)
}

// turnPage makes sure that there is a next record; false if everything was read.
func (l *Log) turnPage(now time.Time) bool {
	r := &l.reader
	for r.seg == nil || r.i >= len(r.page.records) {
		s, from := r.seg, r.page.end
		switch {
		case len(l.segs) == 0:
			return false
		case s == nil:
			s, from = l.segs[0], max(r.at, firstAt)
		case s == l.active && from >= s.end:
			return false
		case from >= s.end:
			i := slices.Index(l.segs, s) + 1
			if i >= len(l.segs) {
				return false
			}
			s, from = l.segs[i], firstAt
		}
		p, err := l.page(s, from)
		if err != nil {
			l.fail(now, "reading the backlog", err)
			return false
		}
		r.seg, r.page, r.i = s, p, 0
	}
	return true
}
