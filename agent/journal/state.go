package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime/debug"
	"syscall"

	"rackagent/agent/rack"
)

// Disk says what the journal's disk can still take.
type Disk string

// The states of the disk.
const (
	DiskOK     Disk = "ok"
	DiskFull   Disk = "full"   // only records that end, take away or lower are written, from the reserve
	DiskFailed Disk = "failed" // nothing is written until the next start
)

// State is the state of the disk, with the reason in words.
type State struct {
	Disk   Disk
	Reason string // empty when ok
	Err    error  // the cause, with its errno where there is one
}

// ErrFull refuses a record that could raise power while the disk is full.
var ErrFull = errors.New("journal: disk full: only what lowers power is recorded")

// ErrFailed refuses every record after the disk failed. The cause is in the chain.
var ErrFailed = errors.New("journal: disk failed: nothing is recorded")

// State tells what the disk can still take.
func (j *Journal) State() State { return *j.state.Load() }

func (j *Journal) setState(s State) {
	old := j.state.Swap(&s)
	if old != nil && old.Disk == s.Disk {
		return
	}
	level := slog.LevelInfo
	if s.Disk != DiskOK {
		level = slog.LevelError
	}
	j.o.Log.Log(context.Background(), level, "journal disk state", "disk", string(s.Disk), "reason", s.Reason)
	j.o.OnState(s)
}

// refuses gives the error for a submission that the disk's state rules out; spare is what a full disk still takes.
func (s State) refuses(spare bool) error {
	switch {
	case s.Disk == DiskFailed:
		return fmt.Errorf("%w: %w", ErrFailed, s.Err)
	case s.Disk == DiskFull && !spare:
		return fmt.Errorf("%w: %w", ErrFull, s.Err)
	default:
		return nil
	}
}

// fail gives up the file for the rest of this run. After a failed fsync Linux marks the pages clean, and a
// second fsync would report success for data that never reached the disk: so nothing is ever tried twice.
func (j *Journal) fail(reason string, cause error) {
	if errors.Is(cause, errPanicked) {
		j.abandonDB()
	} else if err := j.closeDB(); err != nil {
		j.o.Log.Warn("closing the failed journal", "err", err)
	}
	j.setState(State{Disk: DiskFailed, Reason: reason, Err: cause})
}

// outOfSpace tells whether a *write* found no room. The same errno from fsync is no such thing: by then the
// pages may be lost, and the file is not to be trusted. os.File.WriteAt wraps with Op "write"; bbolt passes on
// fdatasync's errno bare, and Sync's with Op "sync".
func outOfSpace(err error) bool {
	var pe *fs.PathError
	if !errors.As(err, &pe) || pe.Op != "write" {
		return false
	}
	return errors.Is(pe.Err, syscall.ENOSPC) || errors.Is(pe.Err, syscall.EDQUOT)
}

// spare tells whether a record may use the last reserve: it is marked as lowering, closes a command, or takes
// away something the agent could otherwise do.
func spare(r *rack.Record) bool {
	switch r.Kind {
	case rack.RecordEnded, rack.RecordAcked, rack.RecordWithdraw:
		return true
	case rack.RecordWiring:
		return r.Lowers || r.Wiring == rack.WiringUnproven
	default:
		return r.Lowers
	}
}

// errPanicked reports a panic or a memory fault inside bbolt.
var errPanicked = errors.New("journal: bbolt panicked")

// guarded runs op so that a panic of bbolt, or a page that cannot be read through the mapping (SIGBUS), is an
// error. Both settings hold for the calling goroutine only.
func guarded(op func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errPanicked, p)
		}
	}()
	return op()
}
