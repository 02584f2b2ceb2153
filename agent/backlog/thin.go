package backlog

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"rackagent/agent/rack"
)

// worthIt is the share of the batches that thinning may leave at most: two segments must fit into one.
const worthIt = 0.55

// thinner picks the batches that stay: of each span of wall time the first, with all parts of its period.
type thinner struct {
	every time.Duration
	begun bool
	last  time.Time
	kept  bool
	slot  int64
}

func (t *thinner) keep(at time.Time) bool {
	if t.begun && at.Equal(t.last) {
		return t.kept
	}
	slot := at.UnixMilli() / t.every.Milliseconds()
	t.kept = !t.begun || slot != t.slot
	t.begun, t.last = true, at
	if t.kept {
		t.slot = slot
	}
	return t.kept
}

// reckon counts what thinning would leave of some more batches.
func (s *segment) reckon(batches []Batch) {
	for _, t := range s.thin {
		for _, b := range batches {
			if t.keep(b.At) {
				s.left[t.every]++
			}
		}
	}
}

// tidy thins one step where the budget asks for it, and has itself called again while there is more to do.
func (l *Log) tidy(now time.Time) error {
	full := float64(len(l.segs)) / float64(l.limit())
	did, err := false, error(nil)
	if full > thinAt {
		did, err = l.thin(now, thinTo)
	}
	if !did && err == nil && full > thinMoreAt {
		did, err = l.thin(now, thinMoreTo)
	}
	if did {
		l.nudge()
	}
	return err
}

// thin replaces the oldest segments that it is worth for by one. It tells whether it did.
func (l *Log) thin(now time.Time, every time.Duration) (bool, error) {
	run, err := l.thinnable(every)
	if err != nil || len(run) < 2 {
		return false, err
	}
	name, err := l.spare(now)
	if err != nil {
		if errors.Is(err, errFull) {
			return false, nil
		}
		return false, err
	}
	d := draft{log: l, every: every, serial: rand.Uint64()}
	for _, s := range run {
		fits, err := d.add(s)
		if err != nil {
			return false, err
		}
		if !fits {
			break
		}
	}
	if len(d.from) < 2 {
		l.free = append(l.free, name)
		for _, s := range d.from {
			s.left[every] = s.batches // it saves nothing
		}
		return false, nil
	}
	return true, l.replace(now, name, &d)
}

// thinnable gives the first neighbours among the segments that thinning would halve: closed, and the reader has not
// begun with them.
func (l *Log) thinnable(every time.Duration) (run []*segment, err error) {
	for _, s := range l.segs {
		ours := s != l.active && !l.reader.entered(s)
		if ours && s.left == nil {
			if err := l.recount(s); err != nil {
				return nil, err
			}
		}
		switch {
		case ours && float64(s.left[every]) <= worthIt*float64(s.batches):
			run = append(run, s)
		case len(run) > 1:
			return run, nil
		default:
			run = nil
		}
	}
	return run, nil
}

// recount reads what thinning would leave of a segment that was found at the start.
func (l *Log) recount(s *segment) error {
	p, err := l.page(s, firstAt)
	if err != nil {
		return err
	}
	fresh := newSegment(s.name, s.header)
	s.left, s.thin = fresh.left, fresh.thin
	for _, r := range p.records {
		if r.kind != kindBatches {
			continue
		}
		if batches, err := r.batches(); err == nil {
			s.reckon(batches)
		}
	}
	return nil
}

// draft is a segment that is being put together in memory out of others.
type draft struct {
	log    *Log
	every  time.Duration
	serial uint64
	gen    uint32
	from   []*segment
	parts  []record
	size   int64
	gaps   []rack.Gap // to be written down
	fresh  []rack.Gap // of them, what nobody has heard of yet
}

// add takes in what is left of a segment, whole or not at all.
func (d *draft) add(s *segment) (fits bool, err error) {
	p, err := d.log.page(s, firstAt)
	if err != nil {
		return false, err
	}
	left, noted, fresh := d.log.sift(p, rack.GapThinned, d.every)
	records, err := d.log.packer.pack(left)
	if err != nil {
		return false, err
	}
	gaps := mergeGaps(slices.Clone(d.gaps), noted, fresh)
	size, tail := sizeOf(records), int64(endLen)
	for _, g := range gaps {
		tail += gapRecord(g).size()
	}
	if firstAt+d.size+size+tail > d.log.o.segment {
		return false, nil
	}
	d.from, d.parts, d.size = append(d.from, s), append(d.parts, records...), d.size+size
	d.gaps, d.fresh = gaps, mergeGaps(d.fresh, fresh)
	d.gen = max(d.gen, s.gen+1)
	return true, nil
}

func sizeOf(records []record) (n int64) {
	for _, r := range records {
		n += r.size()
	}
	return n
}

// sift parts what a segment holds: batches that stay, gaps that were noted before, and those of the batches that go. With
// every 0 all go. What has arrived is neither.
func (l *Log) sift(p page, why rack.GapReason, every time.Duration) (left []Batch, noted, fresh []rack.Gap) {
	t := thinner{every: every}
	for _, r := range p.records {
		if r.kind == kindGap {
			g, _, err := r.gap()
			switch {
			case err != nil: // the checksum was right: of a later version
			case r.found:
				fresh = mergeGaps(fresh, []rack.Gap{g})
			default:
				noted = mergeGaps(noted, []rack.Gap{g})
			}
			continue
		}
		batches, err := r.batches()
		if err != nil {
			fresh = mergeGaps(fresh, []rack.Gap{unreadable(r)})
			continue
		}
		for _, b := range batches {
			switch {
			case l.done[b.Epoch].has(b.Seq):
			case every > 0 && t.keep(b.At):
				left = append(left, b)
			default:
				fresh = mergeGaps(fresh, []rack.Gap{{Epoch: b.Epoch, From: b.Seq, To: b.Seq, Count: 1, Why: why, Every: every, Since: b.At, Until: b.At}})
			}
		}
	}
	return left, noted, fresh
}

// unreadable is the gap that a block leaves whose checksum is right and whose content is not.
func unreadable(r record) rack.Gap {
	return rack.Gap{Epoch: r.epoch, From: r.first, To: r.last, Count: int64(r.count), Why: rack.GapDamaged, Since: r.since, Until: r.until}
}

// replace puts a draft in the place of the segments that it was made of. Its header is written when everything else is
// durable: a crash before that leaves the old ones, one after it the new one.
func (l *Log) replace(now time.Time, name string, d *draft) error {
	first, last := d.from[0], d.from[len(d.from)-1]
	s := newSegment(name, header{serial: d.serial, from: first.from, to: last.to, gen: d.gen})
	var buf []byte
	for _, r := range d.parts {
		buf = r.append(buf, s.serial)
		s.note(r)
	}
	for _, g := range d.gaps {
		buf = gapRecord(g).append(buf, s.serial)
	}
	s.end = firstAt + int64(len(buf))
	buf = record{kind: kindEnd}.append(buf, s.serial)
	s.closed = true
	f, err := l.o.Disk.Open(name)
	if err != nil {
		return err
	}
	err = l.flush(f, buf, firstAt)
	if err == nil {
		err = l.flush(f, s.header.append(nil), 0)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	i := slices.Index(l.segs, first)
	l.segs = slices.Replace(l.segs, i, i+len(d.from), s)
	for _, old := range d.from {
		if err := l.keep(old.name); err != nil {
			return err
		}
	}
	for _, g := range d.fresh {
		l.lost(now, g)
	}
	return nil
}

// giveUp drops the oldest segment that the reader has not begun with. What goes is written down before the file is used
// again, in the segment that is being written.
func (l *Log) giveUp(now time.Time, why rack.GapReason) error {
	i := slices.IndexFunc(l.segs, func(s *segment) bool { return s != l.active && !l.reader.entered(s) })
	if i < 0 || l.active == nil {
		return errFull
	}
	s := l.segs[i]
	p, err := l.page(s, firstAt)
	if err != nil {
		return err
	}
	_, noted, fresh := l.sift(p, why, 0)
	for i, g := range noted {
		if g.To != 0 && g.Why != rack.GapDamaged {
			noted[i].Why, noted[i].Every = why, 0 // one gap instead of two
		}
	}
	var records []record
	for _, g := range mergeGaps(noted, fresh) {
		records = append(records, gapRecord(g, s.from, s.to))
	}
	size := sizeOf(records) + endLen
	if l.active.end+size > l.o.segment {
		return errFull
	}
	if len(records) > 0 {
		if err := l.put(records); err != nil {
			return err
		}
	}
	for _, g := range fresh {
		l.lost(now, g)
	}
	return l.release(s)
}

// yield gives room back: files that are not in use, else a quarter of what is stored.
func (l *Log) yield(now time.Time) error {
	l.growAt = now.Add(retryAfter)
	for n := len(l.segs) / 4; len(l.free) == 0 && n >= 0; n-- {
		if err := l.giveUp(now, rack.GapYielded); err != nil {
			if errors.Is(err, errFull) {
				break
			}
			return err
		}
		if err := l.removeFree(); err != nil {
			return err
		}
	}
	return l.removeFree()
}

func (l *Log) removeFree() error {
	for _, name := range l.free {
		if err := l.o.Disk.Remove(name); err != nil {
			return err
		}
		l.files--
	}
	l.free = nil
	return nil
}
