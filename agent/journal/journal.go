package journal

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"rackagent/agent/rack"
)

// Defaults of Opts.
const (
	DefaultReserve = 1 << 20        // bytes: some 35 commits of 29 KiB
	DefaultKeep    = 1000           // entries
	DefaultKeepFor = 24 * time.Hour // after a command's expiry

	// DefaultMost entries are some 24 MiB, and above what one way in takes at its highest rate within the life of its
	// commands: 10/s for 600 s, and crowdedFor.
	DefaultMost = 16384
)

// crowdedFor is how long an entry is kept past its expiry once there are half of those that there may be. The expiry
// itself keeps a repeat from being done again; this is for a clock that is set back. Arbitrary.
const crowdedFor = 5 * time.Minute

// Opts says where the journal lives and whose it is.
type Opts struct {
	Dir  string // of its own; made if missing
	Site string // with Agent: whose state this is; another's is refused
	// Agent is the agent's name.
	Agent string
	// Boot names this run of the agent; it is put into every record. Form of a command id.
	Boot string
	Now  func() time.Time // default time.Now
	Log  *slog.Logger     // default: nowhere
	// Commit is called around every commit, on the writer's goroutine or on Open's, and must call update once
	// and return its error. It is there to time commits. Nil: update is called directly.
	Commit func(update func() error) error
	// OnState is told of each change of the disk's state, on the writer's goroutine, or on Open's during
	// Open. It must not block and must not call back into the Journal other than State and Submit.
	OnState func(State)
	Reserve int64         // bytes set aside for the last records; default DefaultReserve
	Keep    int           // this many newest entries are kept whatever their age; default DefaultKeep
	KeepFor time.Duration // older entries are kept until their expiry and this long; default DefaultKeepFor
	// Most entries there may be. Then only what lowers power begins another; refusals may be half of them. Default
	// DefaultMost.
	Most int
}

// ErrOpts reports options that cannot be meant.
var ErrOpts = errors.New("journal: bad options")

func (o Opts) check() error {
	switch {
	case o.Dir == "":
		return fmt.Errorf("%w: no directory", ErrOpts)
	case !rack.ValidName(o.Site), !rack.ValidName(o.Agent):
		return fmt.Errorf("%w: site %q, agent %q: want 1 to 23 characters a-z, 0-9 and -", ErrOpts, o.Site, o.Agent)
	case !rack.ValidCommandID(o.Boot):
		return fmt.Errorf("%w: boot %q: want 1 to 36 characters A-Z, a-z, 0-9, _ and -", ErrOpts, o.Boot)
	case o.Reserve < 0, o.Keep < 0, o.KeepFor < 0, o.Most < 0:
		return fmt.Errorf("%w: reserve, keep, keep-for and most cannot be negative", ErrOpts)
	}
	return nil
}

// complete checks the options and fills in the defaults.
func (o Opts) complete() (Opts, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Commit == nil {
		o.Commit = func(update func() error) error { return update() }
	}
	if o.OnState == nil {
		o.OnState = func(State) {}
	}
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	o.Reserve = cmp.Or(o.Reserve, DefaultReserve)
	o.Keep = cmp.Or(o.Keep, DefaultKeep)
	o.KeepFor = cmp.Or(o.KeepFor, DefaultKeepFor)
	o.Most = cmp.Or(o.Most, DefaultMost)
	return o, o.check()
}

// Journal is the open journal. Submit, Get, List, State and Observing may be called from any goroutine.
type Journal struct {
	o    Opts
	lock *os.File // flock on the directory, held until Close

	// handle guards db against being closed under a reader. Only Open, the writer and Close change db.
	handle sync.RWMutex
	db     *bbolt.DB // nil: closed or never opened

	state     atomic.Pointer[State]
	observing atomic.Bool

	queue queue

	// The rest belongs to the writer.
	tally       tally
	index       index
	marks       marks     // how far issuers have counted
	lastReserve time.Time // last attempt to set the reserve aside again
}

// Observing tells whether the journal was lost and nobody has accepted that yet. Until then no command that
// moves power can be accepted.
func (j *Journal) Observing() bool { return j.observing.Load() }

// Close ends the journal: what waits gets ErrClosed, the file is closed, the directory is free for another.
// Run closes by itself; Close is for an agent that gives up between Open and Run, and for the second call.
func (j *Journal) Close() error {
	for _, s := range j.queue.end() {
		s.done(ErrClosed)
	}
	err := j.closeDB()
	if j.lock != nil {
		err = errors.Join(err, j.lock.Close()) // closing the last descriptor gives up the flock
		j.lock = nil
	}
	return err
}

func (j *Journal) closeDB() error {
	j.handle.Lock()
	defer j.handle.Unlock()
	if j.db == nil {
		return nil
	}
	err := j.db.Close()
	j.db = nil
	return err
}

// abandonDB gives up a database that panicked: bbolt may hold its own locks, and closing it could wait for ever.
// The descriptor and the mapping stay until the process ends.
func (j *Journal) abandonDB() {
	j.handle.Lock()
	j.db = nil
	j.handle.Unlock()
}
