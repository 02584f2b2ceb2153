package backlog

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"rackagent/agent/rack"
)

// open reads what is there and begins this epoch. Nothing of it keeps the agent from running.
func (l *Log) open(now time.Time) {
	l.failed, l.seen = time.Time{}, 0
	l.drop()
	l.reader.reset()
	if err := l.load(now); err != nil && !errors.Is(err, errFull) {
		l.fail(now, "opening the backlog", err)
		return
	}
	l.tell(now, State{OK: true})
}

func (l *Log) load(now time.Time) error {
	names, err := l.o.Disk.List()
	if err != nil {
		return err
	}
	if err := l.loadState(names); err != nil {
		return err
	}
	found, err := l.headers(names)
	if err != nil {
		return err
	}
	for epoch, arrived := range l.state.Done {
		if _, ok := l.done[epoch]; !ok { // else this life knows better
			l.done[epoch] = arrived
		}
	}
	l.next = max(l.next, l.state.Place, 1)
	for _, s := range found {
		l.next = max(l.next, s.to+1)
	}
	if err := l.scan(l.needed(found)); err != nil {
		return err
	}
	for len(l.free) > 0 && l.files > l.limit() { // the budget was larger
		if err := l.o.Disk.Remove(l.free[0]); err != nil {
			return err
		}
		l.free = l.free[1:]
		l.files--
	}
	return l.beginEpoch(now)
}

// headers looks at every file. What is no segment is free to become one.
func (l *Log) headers(names []string) (found []*segment, err error) {
	for _, name := range names {
		if !isSegment(name) {
			continue
		}
		h, whole, err := l.header(name)
		switch {
		case err != nil:
			return nil, err
		case !whole: // a crash while it was made, or another size of segments
			if err := l.o.Disk.Remove(name); err != nil {
				return nil, err
			}
			continue
		case h.to == 0:
			l.free = append(l.free, name)
		default:
			found = append(found, newSegment(name, h))
		}
		l.files++
	}
	slices.SortFunc(found, func(a, b *segment) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(b.gen, a.gen)) })
	return found, nil
}

// header reads the header of a file. Places count from 1; to 0 means that there is none.
func (l *Log) header(name string) (h header, whole bool, err error) {
	f, err := l.o.Disk.Open(name)
	if err != nil {
		return header{}, false, err
	}
	defer f.Close()
	if n, err := f.Size(); err != nil || n != l.o.segment {
		return header{}, false, err
	}
	b := make([]byte, firstAt)
	if _, err := f.ReadAt(b, 0); err != nil {
		return header{}, false, err
	}
	h, ok := readHeader(b)
	if !ok {
		h = header{}
	}
	return h, true, nil
}

// covers tells whether what was in o is now in s, or was given up for it.
func (s *segment) covers(o *segment) bool {
	wider := s.from < o.from || o.to < s.to
	return s.from <= o.from && o.to <= s.to && (wider || s.gen > o.gen)
}

// needed picks the segments that hold something; the files of the others are free.
func (l *Log) needed(found []*segment) []*segment {
	return slices.DeleteFunc(slices.Clone(found), func(o *segment) bool {
		old := o.to < l.state.Place || slices.ContainsFunc(found, func(s *segment) bool { return s.covers(o) })
		if old {
			l.free = append(l.free, o.name)
		}
		return old
	})
}

// scan reads the segments that are left, in order.
func (l *Log) scan(segs []*segment) error {
	var freed [][2]uint64
	var firsts []record             // first record of each
	torn := make([]bool, len(segs)) // records at its end cannot be read
	for i, s := range segs {
		p, err := l.contents(s, i == len(segs)-1)
		if err != nil {
			return err
		}
		firsts = append(firsts, record{})
		for n, r := range p.records {
			if n == 0 {
				firsts[i] = r
			}
			s.note(r)
			if s.serial == l.state.Serial && r.end <= l.state.Offset {
				l.reader.blocks = s.blocks
			}
			if r.kind == kindBatches && r.epoch == l.state.Epoch {
				l.seen = max(l.seen, r.last)
			}
			if _, f, err := r.gap(); r.kind == kindGap && err == nil && f != nil {
				freed = append(freed, [2]uint64{f[0], f[1]})
			}
		}
		s.end, s.closed = p.end, p.closed
		torn[i] = slices.Contains(p.holes, len(p.records))
	}
	for i, s := range segs {
		isFree := func(f [2]uint64) bool { return f[0] <= s.from && s.to <= f[1] }
		switch {
		case slices.ContainsFunc(freed, isFree):
			l.free = append(l.free, s.name)
			continue
		case i < len(segs)-1 && (!s.closed || torn[i]): // the end of it cannot be read
			s.endsBefore(firsts[i+1])
		}
		l.missing(freed, firsts[i], s)
		l.segs = append(l.segs, s)
	}
	l.place()
	return l.goOn()
}

// endsBefore notes how far a segment went whose end cannot be read: to the first record of the next one. Its end is
// behind its last record, so that it is not left before the gap there is told.
func (s *segment) endsBefore(next record) {
	s.closed, s.last = true, 0
	s.end++
	if s.epoch == "" && next.kind == kindBatches { // nothing of it can be read
		s.epoch = next.epoch
	}
	if next.epoch == s.epoch {
		s.last = next.before()
	}
}

// before is the number in front of a block's first; 0: not known.
func (r record) before() int64 {
	if r.kind != kindBatches {
		return 0
	}
	return r.first - 1
}

// hole is a gap between segments, and the places that are missing there.
type hole struct {
	gap    rack.Gap
	places [2]uint64
}

// missing notes what stood in front of a segment and is not there: a file that does not say any more which segment it
// was. In front of the first one the state knows: it is saved before a file is used again.
func (l *Log) missing(freed [][2]uint64, first record, s *segment) {
	from, epoch, last := l.state.Place, "", int64(0)
	if n := len(l.segs); n > 0 {
		before := l.segs[n-1]
		from, epoch, last = before.to+1, before.epoch, before.last
	} else if from == 0 { // no state
		return
	}
	for _, f := range freed {
		if f[0] <= from && from <= f[1] {
			from = f[1] + 1
		}
	}
	if from >= s.from {
		return
	}
	note := func(g rack.Gap) {
		g.Why = rack.GapDamaged
		l.holes = append(l.holes, hole{g, [2]uint64{from, s.from - 1}})
	}
	if epoch == first.epoch && epoch != "" {
		note(rack.Gap{Epoch: epoch, From: last + 1, To: first.before()})
		return
	}
	if epoch != "" {
		note(rack.Gap{Epoch: epoch, From: last + 1})
	}
	if first.epoch != "" {
		note(rack.Gap{Epoch: first.epoch, From: 1, To: first.before()})
	}
}

// contents reads a whole segment as it is on the disk. Of the last one, what a crash of the agent has left in the memory
// of the operating system is made durable first: from here on it counts as stored.
func (l *Log) contents(s *segment, last bool) (page, error) {
	f, err := l.o.Disk.Open(s.name)
	if err != nil {
		return page{}, err
	}
	defer f.Close()
	if last {
		if err := f.Sync(); err != nil {
			return page{}, err
		}
	}
	b := make([]byte, l.o.segment)
	if _, err := f.ReadAt(b, 0); err != nil {
		return page{}, err
	}
	return readPage(b, s.serial, firstAt), nil
}

// place puts the reader where the last life was.
func (l *Log) place() {
	if len(l.segs) == 0 {
		return
	}
	if s := l.segs[0]; s.serial == l.state.Serial && l.state.Offset <= s.end {
		l.reader.at = max(l.state.Offset, firstAt)
		return
	}
	l.reader.blocks = 0
}

// goOn opens the last segment for writing if there is still room in it.
func (l *Log) goOn() error {
	if len(l.segs) == 0 {
		return nil
	}
	s := l.segs[len(l.segs)-1]
	if s.closed {
		return nil
	}
	f, err := l.o.Disk.Open(s.name)
	if err != nil {
		return err
	}
	l.active, l.file = s, f
	return nil
}

// beginEpoch notes that this life has begun, and what the one before has left undone.
func (l *Log) beginEpoch(now time.Time) error {
	before := l.state.stateJSON
	for _, h := range l.holes {
		if err := l.note(now, h.gap, h.places[:]...); err != nil {
			return err
		}
	}
	l.holes = nil
	if before.Epoch == l.o.Epoch { // opened again after a fault
		return nil
	}
	for _, g := range l.endOf(before) {
		g.Epoch, g.Until = before.Epoch, now
		if err := l.note(now, g); err != nil {
			return err
		}
	}
	return l.save(now, false)
}

// note writes a gap down, with the places that are free from then on, and tells it.
func (l *Log) note(now time.Time, g rack.Gap, frees ...uint64) error {
	if err := l.write(now, []record{gapRecord(g, frees...)}); err != nil {
		return err
	}
	l.lost(now, g)
	return nil
}

// endOf is what is missing at the end of the epoch before.
func (l *Log) endOf(before stateJSON) (gaps []rack.Gap) {
	// Where nothing of the last segment can be read, it was this epoch's: a segment is there with its first record. And
	// where there is none, the only one does not say any more that it is one.
	gone := before.Ended && before.Serial != 0
	if n := len(l.segs); n > 0 {
		gone = l.segs[n-1].epoch == before.Epoch || l.segs[n-1].epoch == ""
	}
	if gone && l.seen < before.Stored {
		gaps = append(gaps, rack.Gap{From: l.seen + 1, To: before.Stored, Why: rack.GapDamaged})
	}
	if before.Epoch != "" && !before.Ended {
		gaps = append(gaps, rack.Gap{From: max(before.Stored, l.seen) + 1, Why: rack.GapCrash, Next: l.o.Epoch})
	}
	return gaps
}
