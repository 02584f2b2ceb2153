package audit

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"rackagent/agent/rack"
)

// Why a file was begun.
const (
	howFirst  = "first"  // there was no log
	howSize   = "size"   // the one before has its size
	howTorn   = "torn"   // a crash has torn the end of the one before
	howFailed = "failed" // the disk did not take the end of the one before
	howBroken = "broken" // the log before it is not as it was written
)

// commit writes what waits, in one piece, and flushes it. Without an error all of it is on disk; with one, none of it
// counts, and it is written again, into a new file.
func (l *Log) commit(now time.Time) {
	err := l.prepare(now)
	if err == nil {
		err = l.write(now)
	}
	if err != nil {
		l.fail(now, err)
		return
	}
	l.pace.take(now)
	l.due = now.Add(max(commitEvery, l.pace.wait(now)))
	if l.failing.Swap(false) {
		l.backoff = 0
		l.o.Alarm(rack.Alarm{Key: AlarmKey, Since: now, Severity: rack.Info, Cleared: true})
		l.o.Event(rack.Event{Kind: rack.EventAudit, Severity: rack.Info, At: now, Text: "the audit log is written again"})
	}
}

// prepare has a file open that may be written to.
func (l *Log) prepare(now time.Time) error {
	if !l.adopted {
		if err := l.adopt(now); err != nil {
			return err
		}
		l.adopted = true
	}
	switch {
	case l.beginning != nil:
		return l.begin(*l.beginning, now)
	case l.file == nil:
		return l.resume()
	}
	return nil
}

// resume opens the newest file, whose name may not have been made to last by the life that ended.
func (l *Log) resume() error {
	if err := l.o.Disk.Sync(); err != nil {
		return err
	}
	f, err := l.o.Disk.Append(l.newest().name)
	if err != nil {
		return err
	}
	l.file = f
	return nil
}

func (l *Log) newest() *stored { return &l.files[len(l.files)-1] }

// batch is what one commit takes from those that wait.
type batch struct {
	entries []Entry
	queued  int // of them from the queue
	lost    int
	counted map[string]int
}

func (l *Log) take(now time.Time) batch {
	unsynced := !l.o.Synced()
	var b batch
	if l.unsynced != nil && *l.unsynced != unsynced {
		text := "the clock is synchronised"
		if unsynced {
			text = "the clock is not synchronised any more"
		}
		b.entries = append(b.entries, Entry{Kind: KindClock, At: now, Text: text})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b.entries = append(b.entries, l.queue...)
	b.queued, b.lost, b.counted = len(l.queue), l.lost, maps.Clone(l.counted)
	if b.lost > 0 {
		b.entries = append(b.entries, Entry{Kind: KindGap, At: now, n: b.lost, Text: "entries found no room while the disk failed"})
	}
	if len(b.counted) > 0 {
		b.entries = append(b.entries, counted(b.counted, now))
	}
	for i := range b.entries {
		b.entries[i].unsynced = unsynced
	}
	return b
}

func counted(by map[string]int, now time.Time) Entry {
	e := Entry{Kind: KindCounted, At: now}
	var words []string
	for _, why := range slices.Sorted(maps.Keys(by)) {
		e.n += by[why]
		words = append(words, fmt.Sprintf("%s %d", why, by[why]))
	}
	e.Text = strings.Join(words, ", ")
	return e
}

// settle forgets what is on disk.
func (l *Log) settle(b batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = slices.Clone(l.queue[b.queued:])
	l.lost -= b.lost
	for why, n := range b.counted {
		if l.counted[why] -= n; l.counted[why] == 0 {
			delete(l.counted, why)
		}
	}
	l.entries.Add(uint64(len(b.entries)))
}

// write appends a batch to the file under way, or to a new one if that has its size.
func (l *Log) write(now time.Time) error {
	b := l.take(now)
	if len(b.entries) == 0 {
		return nil
	}
	text, last := l.render(b.entries)
	if n := l.newest(); l.size+int64(len(text)) > l.o.FileBytes && l.last.Seq > n.first {
		if err := l.begin(body{How: howSize, After: n.name, Size: l.size}, now); err != nil {
			return err
		}
		text, last = l.render(b.entries)
	}
	if _, err := l.file.Write(text); err != nil {
		return err
	}
	if err := l.file.Sync(); err != nil {
		return err
	}
	l.size += int64(len(text))
	l.newest().size = l.size
	l.last = last
	l.head.Store(&last)
	unsynced := b.entries[len(b.entries)-1].unsynced
	l.unsynced = &unsynced
	l.settle(b)
	return nil
}

// render writes the lines that follow the newest one.
func (l *Log) render(entries []Entry) ([]byte, Anchor) {
	var text []byte
	last := l.last
	for _, e := range entries {
		b := bodyOf(e)
		line, h := l.number(&b, last)
		text, last = append(text, line...), Anchor{Seq: last.Seq + 1, Hash: h}
	}
	return text, last
}

// number puts a line behind another.
func (l *Log) number(b *body, after Anchor) ([]byte, rack.Hash) {
	b.V, b.Seq, b.Prev, b.Boot = 1, after.Seq+1, hex.EncodeToString(after.Hash[:]), l.o.Boot
	return b.encode()
}

// begin puts a new file in place, with its first line on disk before it has its name. A crash leaves the file whole or
// not at all.
func (l *Log) begin(b body, now time.Time) error {
	b.Kind, b.At, b.Oldest = KindAnchor, now.UnixMilli(), l.oldest()
	text, h := l.number(&b, l.last)
	name := nameOf(b.Seq)
	f, err := l.o.Disk.Create(nameNew)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = l.o.Disk.Rename(nameNew, name)
	}
	if err == nil {
		err = l.o.Disk.Sync()
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.close()
	l.file, l.size, l.last, l.beginning, l.renewed = f, int64(len(text)), Anchor{Seq: b.Seq, Hash: h}, nil, true
	l.files = append(l.files, stored{name: name, first: b.Seq, size: l.size})
	l.drop(b.Oldest)
	return nil
}

// oldest is the first line that is kept when a file is begun now: the newest files that keep within the bounds, and the one
// before the new one in any case.
func (l *Log) oldest() uint64 {
	if len(l.files) == 0 {
		return 1
	}
	from := len(l.files) - 1
	total := l.files[from].size + l.o.FileBytes
	for from > 0 && total+l.files[from-1].size <= l.o.KeepBytes && len(l.files)-from+2 <= l.o.KeepFiles {
		from--
		total += l.files[from].size
	}
	return l.files[from].first
}

// drop removes the files before a line. The new file has said so already; one that cannot be removed is tried again with
// the next.
func (l *Log) drop(oldest uint64) {
	l.files = slices.DeleteFunc(l.files, func(f stored) bool {
		if f.first >= oldest {
			return false
		}
		err := l.o.Disk.Remove(f.name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			l.o.Log.Warn("an old file of the audit log cannot be removed", "file", f.name, "err", err)
			return false
		}
		return true
	})
}

// fail gives up the file. What waits stays in memory.
func (l *Log) fail(now time.Time, cause error) {
	l.close()
	if l.adopted && l.beginning == nil {
		l.beginning = &body{How: howFailed, After: l.newest().name, Size: l.size, Text: cut(cause.Error(), maxText)}
	}
	l.backoff = min(max(2*l.backoff, retryFirst), retryLast)
	l.due = now.Add(l.backoff)
	if l.failing.Swap(true) {
		return
	}
	text := "the audit log cannot be written; entries are kept in memory, as many as there is room for"
	l.o.Event(rack.Event{Kind: rack.EventAudit, Severity: rack.Critical, At: now, Reason: cause.Error(), Text: text})
	l.o.Alarm(rack.Alarm{Key: AlarmKey, Since: now, Severity: rack.Critical, Text: text})
}

// close gives the file back. All that counts in it has been flushed.
func (l *Log) close() {
	if l.file == nil {
		return
	}
	if err := l.file.Close(); err != nil {
		l.o.Log.Debug("closing a file of the audit log", "err", err)
	}
	l.file = nil
}
