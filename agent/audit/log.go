package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"rackagent/agent/rack"
)

// Defaults of Opts.
const (
	DefaultFileBytes = 1 << 20  // of one file, then the next is begun
	DefaultKeepBytes = 16 << 20 // of all files: some 40,000 entries
	DefaultKeepFiles = 256      // small ones, as a failing disk leaves
)

// Rates and bounds.
const (
	looseRate  = 2   // entries without effect per second, on average; 2/s of 450 B are 78 MB a day, 2 % of what flash bears
	looseBurst = 100 // of these at once (arbitrary)

	// A commit costs about 20 KiB of flash (operations.md 4.3). One a second all day would be over half of what flash
	// bears in ten years; one in ten seconds is 4 %.
	commitEvery = time.Second
	commitRate  = 0.1
	commitBurst = 60

	maxWaiting = 1024 // entries in memory: 0.5 MiB (arbitrary)
	maxReasons = 16   // by which counted entries are told apart

	retryFirst = time.Second // after the first failure of the disk, doubling
	retryLast  = 10 * time.Minute

	publishEvery = 10 * time.Minute // while there is something new
)

// Opts say where the log lives and who hears of it.
type Opts struct {
	Disk Disk
	Boot string // of this life of the agent, form of a command id

	Now       func() time.Time // default time.Now
	Synced    func() bool      // whether the clock is synchronised; default: it is. Asked on Run's goroutine
	FileBytes int64
	KeepBytes int64
	KeepFiles int

	// History tells that the journal is not new, so that there should be a log.
	History bool
	// Recent is what the journal knows of the newest commands. What of it an earlier life did not come to enter is entered
	// at the start.
	Recent []Entry

	// None of these may block. Published gets an anchor whose line is on disk: at the start, with every new file, and every
	// ten minutes while there is something new.
	Published func(a Anchor)
	Event     func(rack.Event)
	Alarm     func(rack.Alarm)
	Log       *slog.Logger
}

// The keys of the alarms that this package raises.
const (
	AlarmKey    = "audit"        // the log cannot be written; cleared when it can
	AlarmBroken = "audit.broken" // it was found changed; stands until the next start
)

// ErrOpts reports options that cannot be meant.
var ErrOpts = errors.New("audit: bad options")

func (o Opts) complete() (Opts, error) {
	switch {
	case o.Disk == nil:
		return o, fmt.Errorf("%w: no disk", ErrOpts)
	case !rack.ValidCommandID(o.Boot):
		return o, fmt.Errorf("%w: boot %q: want 1 to 36 characters A-Z, a-z, 0-9, _ and -", ErrOpts, o.Boot)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Synced == nil {
		o.Synced = func() bool { return true }
	}
	if o.Published == nil {
		o.Published = func(Anchor) {}
	}
	if o.Event == nil {
		o.Event = func(rack.Event) {}
	}
	if o.Alarm == nil {
		o.Alarm = func(rack.Alarm) {}
	}
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	o.FileBytes = cmp.Or(o.FileBytes, DefaultFileBytes)
	o.KeepBytes = cmp.Or(o.KeepBytes, DefaultKeepBytes)
	o.KeepFiles = cmp.Or(o.KeepFiles, DefaultKeepFiles)
	return o, nil
}

// Log is the audit log. Enter, Head and Stats may be called from any goroutine.
type Log struct {
	o    Opts
	wake chan struct{} // one slot: a signal that something waits is never lost and never piles up

	mu      sync.Mutex
	queue   []Entry        // in order, until they are on disk
	lost    int            // found no room in the queue
	counted map[string]int // loose ones over the rate, by what they were
	loose   bucket

	head    atomic.Pointer[Anchor] // the newest line on disk
	entries atomic.Uint64
	gone    atomic.Uint64 // lost, in all
	failing atomic.Bool

	// The rest belongs to Run.
	adopted   bool
	files     []stored // all, the one under way included
	file      File     // nil: not open
	size      int64    // of it, as far as it is on disk
	last      Anchor   // the newest line on disk
	beginning *body    // why a new file must be begun before the next entry; nil: it need not
	unsynced  *bool    // the clock, as the last line told it; nil: none has
	pace      bucket
	due       time.Time // not before this moment the disk is written to
	backoff   time.Duration
	published uint64    // number of the newest anchor that was published; 0: none yet
	told      time.Time // when
	renewed   bool      // a file was begun since
}

// Stats are figures for metrics.
type Stats struct {
	Entries uint64 // on disk, in this life
	Lost    uint64 // found no room
	Failing bool   // the disk
}

// New prepares a log. It touches no disk.
func New(o Opts) (*Log, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	return &Log{
		o: o, wake: make(chan struct{}, 1), counted: map[string]int{},
		loose: newBucket(looseRate, looseBurst), pace: newBucket(commitRate, commitBurst),
	}, nil
}

// Head is the newest line that this life has on disk; false: none yet.
func (l *Log) Head() (Anchor, bool) {
	if a := l.head.Load(); a != nil {
		return *a, true
	}
	return Anchor{}, false
}

// Stats gives the figures.
func (l *Log) Stats() Stats {
	return Stats{Entries: l.entries.Load(), Lost: l.gone.Load(), Failing: l.failing.Load()}
}

// Enter hands an entry over and returns at once. Its time is now where it has none.
func (l *Log) Enter(e Entry) {
	now := l.o.Now()
	if e.At.IsZero() {
		e.At = now
	}
	l.mu.Lock()
	switch {
	case e.Loose && !l.loose.take(now):
		l.count(e)
	case len(l.queue) >= maxWaiting:
		l.lost++
		l.gone.Add(1)
	default:
		l.queue = append(l.queue, e)
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// count keeps an entry as a number.
func (l *Log) count(e Entry) {
	why := cmp.Or(string(e.Code), e.What, string(e.State), string(e.Kind))
	if _, known := l.counted[why]; !known && len(l.counted) >= maxReasons {
		why = "others"
	}
	l.counted[why]++
}

// Run is the log's goroutine. It ends with ctx, when what has come in is on disk or the disk does not take it.
func (l *Log) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			l.finish(l.o.Now())
			return nil
		case <-l.wake:
		case <-timer.C:
		}
		timer.Reset(l.turn(l.o.Now()))
	}
}

// finish writes what is left. What a file does not take goes into another one; a disk that fails twice is left alone.
func (l *Log) finish(now time.Time) {
	for range 2 {
		if l.waiting() {
			l.commit(now)
		}
	}
	l.close()
}

// turn does what is due and tells after which time there is something to do even if nothing comes.
func (l *Log) turn(now time.Time) time.Duration {
	if wait := l.due.Sub(now); wait > 0 && l.waiting() {
		return wait
	}
	if l.waiting() {
		l.commit(now)
	}
	return max(l.publish(now), time.Millisecond)
}

// waiting tells whether there is something to write, or to read at the start.
func (l *Log) waiting() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.adopted || len(l.queue) > 0 || l.lost > 0 || len(l.counted) > 0
}

// publish tells the newest anchor if it is time to, and when to come again.
func (l *Log) publish(now time.Time) time.Duration {
	const never = time.Hour // whatever comes wakes the log
	next := never
	if l.waiting() {
		next = max(0, l.due.Sub(now))
	}
	a := l.head.Load()
	if a == nil || a.Seq == l.published {
		return next
	}
	if wait := l.told.Add(publishEvery).Sub(now); !l.told.IsZero() && !l.renewed && wait > 0 {
		return min(next, wait)
	}
	l.told, l.renewed, l.published = now, false, a.Seq
	l.o.Published(*a)
	return next
}
