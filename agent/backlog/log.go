package backlog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"rackagent/agent/rack"
)

const (
	// DefaultBudget holds 9 days of 256 values every 5 s at full rate (see Days).
	DefaultBudget = 256 << 20
	// segmentSize is one flash erase block group of common eMMC, roughly; it also is what is given up at a time.
	segmentSize = 1 << 20
	// leastFiles is the smallest log that can thin and drop: one written, one read, one older, one to thin into.
	leastFiles = 4
	// keepRoom is left free in the file system, for the journal and everybody else. Arbitrary.
	keepRoom = 32 << 20
	// inboxLimit bounds what waits for a disk that does not answer. Arbitrary.
	inboxLimit = 8 << 20
	// retryAfter is how long a disk that failed or was full is left alone. Arbitrary.
	retryAfter = 10 * time.Minute
)

// Thinning begins at these shares of the budget (mqtt.md 8.3).
const (
	thinAt, thinTo         = 0.5, 10 * time.Second
	thinMoreAt, thinMoreTo = 0.8, 60 * time.Second
)

// Opts is what a Log needs. All functions must not block and may be called from Run's goroutine only.
type Opts struct {
	Disk   Disk
	Budget int64  // bytes on the disk; 0: DefaultBudget
	Epoch  string // names the numbers of this life

	// Send takes a batch over, keeps it over lost connections, and calls delivered once the broker has it, from any
	// goroutine. An error means that it was not taken, and it is offered again a second later.
	Send func(b Batch, delivered func()) error
	// Tell does the same with a gap.
	Tell func(g rack.Gap, delivered func()) error
	// Held tells whether the maker of a batch of this epoch still has it and will deliver it: it is waited for. May be nil.
	Held func(seq int64) bool
	// Up tells since when there is a connection, Busy whether a command runs: nothing is sent while it does.
	Up   func() (since time.Time, up bool)
	Busy func() bool
	// Wait is how long to leave a new connection alone. Default: a random time up to 60 s, so that the agents of a site do
	// not all begin at once.
	Wait func() time.Duration

	Event   func(rack.Event) // may be nil
	OnState func(State)      // may be nil

	segment int64 // bytes of a segment; tests take small ones
}

// State tells whether batches are stored.
type State struct {
	OK     bool
	Full   bool   // no room, and nothing that could be given up for it
	Reason string // empty while OK
}

// Stats is a copy of what is counted. What is stored is what the broker does not have yet.
type Stats struct {
	State   State
	Bytes   int64     // stored
	Blocks  int       // stored
	Oldest  time.Time // of what is stored; zero: nothing is
	Files   int       // segments on the disk, used or not
	Written uint64    // bytes given to the disk since the start
	Syncs   uint64
	Stored  uint64 // batches since the start
	Sent    uint64 // of them or of earlier lives, and acknowledged
	Thinned uint64 // batches given up by thinning
	Dropped uint64 // batches given up for room
}

var (
	// ErrOff is what Put answers while nothing can be stored.
	ErrOff = errors.New("the backlog is off")
	// ErrOpts is returned by New.
	ErrOpts = errors.New("backlog: Disk, Epoch, Send, Tell, Up and Busy are required")

	errFull = errors.New("no room, and nothing that could be given up")
)

// segment is a file with records in it.
type segment struct {
	header
	name    string
	end     int64 // where the next record goes
	closed  bool
	blocks  int
	batches int
	since   time.Time             // of the first block
	epoch   string                // of the last block
	last    int64                 // its last number
	left    map[time.Duration]int // batches that thinning would leave; nil: not reckoned yet
	thin    []*thinner
}

func newSegment(name string, h header) *segment {
	s := &segment{header: h, name: name, end: firstAt, left: make(map[time.Duration]int)}
	s.thin = []*thinner{{every: thinTo}, {every: thinMoreTo}}
	return s
}

// put is what one call of Put left.
type put struct {
	batches []Batch
	done    func(error)
}

// inbox is what others leave for Run.
type inbox struct {
	puts      []put
	bytes     int
	delivered []Batch // without payload
	acked     []item
	yield     bool
	ended     bool // Run is over
}

// Log is the backlog on the disk. Its methods may be called from any goroutine.
type Log struct {
	o      Opts
	packer *packer

	// Run's own.
	segs   []*segment // what is not delivered, in order
	active *segment   // the last of them, or nil
	file   File       // the active segment's
	free   []string   // files without anything that is needed
	files  int
	next   uint64    // place of the next segment
	growAt time.Time // the disk was full: no new file before then
	failed time.Time // zero: the disk works
	stored int64     // last number of this epoch on the disk
	seen   int64     // last number of the epoch before that was found there
	holes  []hole    // gaps between segments that were found there, not yet told
	done   map[string]seqs
	reader reader
	state  saved
	told   State

	mu    sync.Mutex
	in    inbox
	stats Stats
	wake  chan struct{} // 1: there is something in the inbox
}

// New checks the options. The disk is not touched before Run.
func New(o Opts) (*Log, error) {
	if o.Disk == nil || o.Epoch == "" || len(o.Epoch) > maxEpoch || o.Send == nil || o.Tell == nil || o.Up == nil || o.Busy == nil {
		return nil, ErrOpts
	}
	if o.Budget == 0 {
		o.Budget = DefaultBudget
	}
	if o.segment == 0 {
		o.segment = segmentSize
	}
	if o.Wait == nil {
		o.Wait = func() time.Duration { return rand.N(time.Minute) }
	}
	if o.Held == nil {
		o.Held = func(int64) bool { return false }
	}
	if o.Event == nil {
		o.Event = func(rack.Event) {}
	}
	if o.OnState == nil {
		o.OnState = func(State) {}
	}
	return &Log{o: o, packer: newPacker(), done: make(map[string]seqs), wake: make(chan struct{}, 1), told: State{OK: true}, stats: Stats{State: State{OK: true}}}, nil
}

// limit is how many files the budget allows.
func (l *Log) limit() int { return max(int(l.o.Budget/l.o.segment), leastFiles) }

// Put has batches stored. done is called once, from any goroutine, when they are on the disk or cannot be. They must
// not be changed afterwards.
func (l *Log) Put(batches []Batch, done func(error)) {
	n := 0
	for _, b := range batches {
		n += len(b.Payload)
	}
	l.mu.Lock()
	refused := l.in.ended || l.in.bytes+n > inboxLimit
	if !refused {
		l.in.puts = append(l.in.puts, put{batches, done})
		l.in.bytes += n
	}
	l.mu.Unlock()
	if refused {
		done(fmt.Errorf("%w: the disk does not answer", ErrOff))
		return
	}
	l.nudge()
}

// Delivered tells that the broker has a batch that was given to Put: it need not be sent from here.
func (l *Log) Delivered(epoch string, seq int64) {
	l.leave(func(in *inbox) { in.delivered = append(in.delivered, Batch{Epoch: epoch, Seq: seq}) })
}

// Yield gives room back to the file system: what is not used at once, else a quarter of what is stored.
func (l *Log) Yield() { l.leave(func(in *inbox) { in.yield = true }) }

// Stats is a copy, for metrics and status.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}

func (l *Log) leave(f func(*inbox)) {
	l.mu.Lock()
	f(&l.in)
	l.mu.Unlock()
	l.nudge()
}

func (l *Log) nudge() {
	select {
	case l.wake <- struct{}{}:
	default: // it is told already
	}
}

func (l *Log) count(f func(*Stats)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(&l.stats)
}

// Run owns the disk until ctx ends. It never returns an error: without a disk it answers that it is off.
func (l *Log) Run(ctx context.Context) error {
	l.open(time.Now())
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wait := l.turn(time.Now())
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			l.close(time.Now())
			return nil
		case <-l.wake:
		case <-timer.C:
		}
	}
}

// idle is how long Run sleeps when nothing is due; it is woken for everything else.
const idle = time.Hour

// turn does what is due and answers how long nothing else will be.
func (l *Log) turn(now time.Time) time.Duration {
	if !l.failed.IsZero() && now.Sub(l.failed) >= retryAfter {
		l.open(now)
	}
	l.take(now)
	wait := idle
	if l.failed.IsZero() {
		l.try(now, func() error { return l.tidy(now) })
	}
	if l.failed.IsZero() {
		wait = min(wait, l.feed(now))
	}
	if l.failed.IsZero() {
		wait = min(wait, l.persist(now))
	}
	if !l.failed.IsZero() {
		wait = max(retryAfter-now.Sub(l.failed), time.Millisecond)
	}
	l.publish()
	return wait
}

// take does what others have asked for.
func (l *Log) take(now time.Time) {
	l.mu.Lock()
	in := l.in
	l.in = inbox{}
	l.mu.Unlock()
	l.store(now, in.puts)
	for _, b := range in.delivered {
		s := l.done[b.Epoch]
		s.add(b.Seq)
		l.done[b.Epoch] = s
		l.state.dirty = true
	}
	for _, m := range in.acked {
		l.reader.acked(m)
		l.count(func(s *Stats) { s.Sent++ })
	}
	if in.yield && l.failed.IsZero() {
		l.try(now, func() error { return l.yield(now) })
	}
}

// store writes what was put.
func (l *Log) store(now time.Time, puts []put) {
	if len(puts) == 0 {
		return
	}
	var all []Batch
	for _, p := range puts {
		all = append(all, p.batches...)
	}
	err := ErrOff
	if l.failed.IsZero() {
		err = l.append(now, all)
	}
	switch {
	case err == nil:
		l.count(func(s *Stats) { s.Stored += uint64(len(all)) })
		l.tell(now, State{OK: true})
	case errors.Is(err, errFull):
		l.tell(now, State{Full: true, Reason: err.Error()})
	case !errors.Is(err, ErrOff) && !errors.Is(err, ErrBatch):
		l.fail(now, "storing telemetry", err)
	}
	for _, p := range puts {
		p.done(err)
	}
}

func (l *Log) append(now time.Time, batches []Batch) error {
	records, err := l.packer.pack(batches)
	if err != nil {
		return err
	}
	if err := l.write(now, records); err != nil {
		return err
	}
	for _, b := range batches {
		if b.Epoch == l.o.Epoch {
			l.stored = max(l.stored, b.Seq)
		}
	}
	return nil
}

// try does something with the disk; an error is the end of the disk.
func (l *Log) try(now time.Time, f func() error) {
	if err := f(); err != nil && !errors.Is(err, errFull) {
		l.fail(now, "keeping the backlog in order", err)
	}
}

// fail turns the disk off. After an error of a write or a flush nothing about the file is known, and a second flush would
// succeed without the data: nothing is tried again before everything has been read anew.
func (l *Log) fail(now time.Time, doing string, err error) {
	l.failed = now
	l.drop()
	l.tell(now, State{Reason: doing + ": " + err.Error()})
}

// drop forgets what was known of the disk.
func (l *Log) drop() {
	if l.file != nil {
		l.file.Close()
	}
	l.segs, l.active, l.file, l.free, l.files, l.holes = nil, nil, nil, nil, 0, nil
	l.reader.reset()
}

// tell makes a change of the state known.
func (l *Log) tell(now time.Time, s State) {
	if l.told == s {
		return
	}
	changed := l.told.OK != s.OK || l.told.Full != s.Full
	l.told = s
	l.count(func(st *Stats) { st.State = s })
	if !changed {
		return
	}
	e := rack.Event{Kind: rack.EventBacklog, Severity: rack.Error, At: now, Reason: s.Reason, Text: "telemetry cannot be stored; an outage is bridged from memory only"}
	if s.OK {
		e.Severity, e.Text = rack.Info, "telemetry can be stored again"
	}
	l.o.Event(e)
	l.o.OnState(s)
}

// close stores what is left, and notes that nothing is missing at the end of this epoch.
func (l *Log) close(now time.Time) {
	l.take(now)
	l.mu.Lock()
	l.in.ended = true
	late := l.in.puts
	l.mu.Unlock()
	l.store(now, late)
	if l.failed.IsZero() {
		l.reader.settle(l)
		l.try(now, func() error { return l.save(now, true) })
	}
	l.publish()
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
}

// publish copies what Run knows to where others may read it.
func (l *Log) publish() {
	bytes, blocks := int64(0), 0
	for _, s := range l.segs {
		bytes += s.end - firstAt
		blocks += s.blocks
	}
	bytes, blocks = bytes-l.reader.passed(l), blocks-l.reader.blocks
	l.count(func(s *Stats) {
		s.Bytes, s.Blocks, s.Oldest, s.Files = bytes, blocks, l.reader.oldest(l), l.files
		if blocks == 0 {
			s.Oldest = time.Time{}
		}
	})
}

// lost counts and reports a gap to people; to machines it goes as a record.
func (l *Log) lost(now time.Time, g rack.Gap) {
	l.count(func(s *Stats) {
		switch g.Why {
		case rack.GapThinned:
			s.Thinned += uint64(g.Count)
		case rack.GapBudget, rack.GapYielded:
			s.Dropped += uint64(g.Count)
		}
	})
	l.o.Event(rack.Event{Kind: rack.EventTelemetryLost, Severity: rack.Warn, At: now, Reason: string(g.Why), Text: words(g)})
}

// words is a gap for people.
func words(g rack.Gap) string {
	text := fmt.Sprintf("epoch %s: ", g.Epoch)
	switch {
	case g.Why == rack.GapCrash:
		return text + fmt.Sprintf("the agent ended without a farewell: what was made from seq %d on and has not arrived is lost; epoch %s follows", g.From, g.Next)
	case g.Count == 0:
		text += fmt.Sprintf("telemetry lost: what of seq %d to %d has not arrived", g.From, g.To)
	case g.Count == g.To-g.From+1:
		text += fmt.Sprintf("telemetry lost: seq %d to %d", g.From, g.To)
	default:
		text += fmt.Sprintf("telemetry lost: %d batches within seq %d to %d", g.Count, g.From, g.To)
	}
	switch g.Why {
	case rack.GapThinned:
		return text + fmt.Sprintf(": the backlog was thinned to one batch in %s", g.Every)
	case rack.GapBudget:
		return text + ": the backlog is full, and the oldest has to go"
	case rack.GapYielded:
		return text + ": the disk is full, and commands come first"
	default:
		return text + ": the backlog cannot be read there"
	}
}

// mergeGaps adds gaps to a list, each together with one of the same epoch and reason: a segment would else collect more
// and more of them.
func mergeGaps(list []rack.Gap, more ...[]rack.Gap) []rack.Gap {
	for _, g := range slices.Concat(more...) {
		i := slices.IndexFunc(list, func(o rack.Gap) bool { return o.Epoch == g.Epoch && o.Why == g.Why && o.To != 0 && g.To != 0 })
		if i < 0 {
			list = append(list, g)
			continue
		}
		o := &list[i]
		if g.From < o.From {
			o.From, o.Since = g.From, g.Since
		}
		if g.To > o.To {
			o.To, o.Until = g.To, g.Until
		}
		if o.Count == 0 || g.Count == 0 {
			o.Count = 0
		} else {
			o.Count += g.Count
		}
		o.Every = max(o.Every, g.Every)
	}
	return list
}
