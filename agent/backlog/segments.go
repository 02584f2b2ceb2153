package backlog

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"time"

	"rackagent/agent/rack"
)

const (
	segmentPrefix = "segment-"
	segmentName   = segmentPrefix + "%05d"
)

// slack is kept free at the end of a segment that is written, for the gaps that must be noted when there is no room for
// anything else, and so that two segments thinned to one half fit into one.
func (l *Log) slack() int64 { return l.o.segment / 16 }

// write puts records on the disk. When it returns nil they are durable.
func (l *Log) write(now time.Time, records []record) error {
	for len(records) > 0 {
		n, size := 0, int64(0)
		for n < len(records) && l.active != nil && l.active.end+size+records[n].size() <= l.o.segment-l.slack() {
			size += records[n].size()
			n++
		}
		if n == 0 {
			if records[0].size() > l.o.segment-l.slack()-firstAt {
				return ErrBatch
			}
			if err := l.rotate(now); err != nil {
				return err
			}
			continue
		}
		if err := l.put(records[:n]); err != nil {
			return err
		}
		records = records[n:]
	}
	return nil
}

// put appends records to the active segment, where there is room for them.
func (l *Log) put(records []record) error {
	s := l.active
	var buf []byte
	at := s.end
	if at == firstAt {
		buf, at = s.header.append(nil), 0
	}
	for _, r := range records {
		buf = r.append(buf, s.serial)
	}
	if err := l.flush(l.file, buf, at); err != nil {
		return err
	}
	s.end = at + int64(len(buf))
	for _, r := range records {
		s.note(r)
	}
	return nil
}

// note counts a record that stands in the segment. What was not packed just now is counted when it matters.
func (s *segment) note(r record) {
	if r.kind != kindBatches {
		return
	}
	s.blocks++
	s.batches += r.count
	s.epoch, s.last = r.epoch, r.last
	if s.since.IsZero() {
		s.since = r.since
	}
	if r.of == nil {
		s.left = nil
	}
	if s.left != nil {
		s.reckon(r.of)
	}
}

// flush writes once and makes it durable.
func (l *Log) flush(f File, b []byte, at int64) error {
	_, err := f.WriteAt(b, at)
	if err == nil {
		err = f.Sync()
	}
	l.count(func(s *Stats) { s.Written += uint64(len(b)); s.Syncs++ })
	return err
}

// rotate begins a new segment. The one before is closed, so that a reader knows what it must find in it.
func (l *Log) rotate(now time.Time) error {
	name, err := l.room(now)
	if err != nil {
		return err
	}
	if err := l.seal(); err != nil {
		return err
	}
	f, err := l.o.Disk.Open(name)
	if err != nil {
		return err
	}
	l.active = newSegment(name, header{serial: rand.Uint64(), from: l.next, to: l.next})
	l.file = f
	l.next++
	l.segs = append(l.segs, l.active)
	return nil
}

// seal closes the active segment.
func (l *Log) seal() error {
	if l.active == nil {
		return nil
	}
	s := l.active
	end := s.end
	err := l.put([]record{{kind: kindEnd}})
	s.closed, s.end = true, end
	err = errors.Join(err, l.file.Close())
	l.active, l.file = nil, nil
	return err
}

// room finds a file for a new segment, at the price of the oldest one if need be. One file stays for thinning.
func (l *Log) room(now time.Time) (string, error) {
	if len(l.segs) < l.limit()-1 {
		name, err := l.spare(now)
		if err == nil || !errors.Is(err, errFull) {
			return name, err
		}
	}
	if err := l.giveUp(now, rack.GapBudget); err != nil && !errors.Is(err, errFull) {
		return "", err
	}
	return l.spare(now)
}

// spare takes a file that is not in use, or makes one.
func (l *Log) spare(now time.Time) (string, error) {
	if n := len(l.free); n > 0 {
		if l.state.dirty { // a file that was left is missed as long as the state says that the reader is in it
			if err := l.save(now, false); err != nil {
				return "", err
			}
		}
		name := l.free[n-1]
		l.free = l.free[:n-1]
		return name, nil
	}
	if l.files >= l.limit() || now.Before(l.growAt) {
		return "", errFull
	}
	left, err := l.o.Disk.Room()
	if err != nil {
		return "", err
	}
	if left < l.o.segment+keepRoom {
		l.growAt = now.Add(retryAfter)
		return "", fmt.Errorf("%w: %d MiB are left on the disk, and %d MiB stay for others", errFull, left>>20, keepRoom>>20)
	}
	name, err := l.unused()
	if err == nil {
		err = l.o.Disk.Create(name, l.o.segment)
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		l.growAt = now.Add(retryAfter)
		return "", fmt.Errorf("%w: %w", errFull, err)
	}
	if err != nil {
		return "", err
	}
	l.files++
	l.count(func(s *Stats) { s.Written += uint64(l.o.segment); s.Syncs++ })
	return name, nil
}

// unused gives a name that no file has.
func (l *Log) unused() (string, error) {
	names, err := l.o.Disk.List()
	if err != nil {
		return "", err
	}
	for i := 1; ; i++ {
		if name := fmt.Sprintf(segmentName, i); !slices.Contains(names, name) {
			return name, nil
		}
	}
}

// release takes a segment out and keeps its file for later, unless there are too many.
func (l *Log) release(s *segment) error {
	l.segs = slices.DeleteFunc(l.segs, func(o *segment) bool { return o == s })
	return l.keep(s.name)
}

func (l *Log) keep(name string) error {
	if l.files <= l.limit() {
		l.free = append(l.free, name)
		return nil
	}
	l.files--
	return l.o.Disk.Remove(name)
}

// page reads a segment from a place on. What is missing in it stands in it as a gap.
func (l *Log) page(s *segment, from int64) (page, error) {
	f, err := l.o.Disk.Open(s.name)
	if err != nil {
		return page{}, err
	}
	defer f.Close()
	b := make([]byte, s.end+endLen)
	if n, err := f.ReadAt(b, 0); err != nil && !(errors.Is(err, io.EOF) && int64(n) >= s.end) {
		return page{}, err
	}
	return readPage(b, s.serial, from).mended(s), nil
}

// mended puts gaps where records are missing.
func (p page) mended(s *segment) page {
	var out []record
	epoch, last, end := "", int64(0), int64(firstAt)
	missing := func(to record, at int64) {
		g := rack.Gap{Epoch: to.epoch, From: 1, To: to.first - 1, Why: rack.GapDamaged, Until: to.since}
		if epoch == to.epoch {
			g.From = last + 1
		}
		if g.To == 0 || g.From <= g.To {
			r := gapRecord(g)
			r.end, r.found = at, true
			out = append(out, r)
		}
	}
	for i, r := range p.records {
		if slices.Contains(p.holes, i) {
			missing(r, end)
		}
		out = append(out, r)
		end = r.end
		if r.kind == kindBatches {
			epoch, last = r.epoch, r.last
		}
	}
	if p.end < s.end || s.closed && !p.closed {
		missing(record{epoch: s.epoch, first: s.last + 1}, s.end)
	}
	p.records, p.end, p.holes = out, max(p.end, s.end), nil
	return p
}

func isSegment(name string) bool { return strings.HasPrefix(name, segmentPrefix) }
