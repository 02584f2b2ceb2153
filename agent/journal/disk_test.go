package journal

import (
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"rackagent/agent/rack"
)

// disk stands around the commits and fails them as told.
type disk struct {
	fails   []error // of the next commits, in order; nil: goes through
	late    bool    // the transaction goes through before the error is reported
	commits int
	states  []State
}

func (d *disk) commit(update func() error) error {
	d.commits++
	if len(d.fails) == 0 {
		return update()
	}
	err := d.fails[0]
	d.fails = d.fails[1:]
	if err == nil || d.late {
		return errors.Join(update(), err)
	}
	return err
}

func noSpace(errno syscall.Errno) error {
	return &fs.PathError{Op: "write", Path: "journal.db", Err: errno}
}

func (d *disk) opts(dir string, c *clock) Opts {
	o := optsAt(dir)
	o.Now, o.Commit = c.Now, d.commit
	o.OnState = func(s State) { d.states = append(d.states, s) }
	return o
}

// diskful is a running journal on a disk that will do as told, with one command accepted.
func diskful(t *testing.T) (*Journal, *disk, *clock, func()) {
	t.Helper()
	d, c := &disk{}, &clock{now: t0}
	j, _ := open(t, d.opts(memoryDir(t), c))
	stop := run(t, j)
	mustKeep(t, j, accepted("old", rack.OpEnergise))
	return j, d, c, stop
}

func TestFullDisk(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT} {
		t.Run(errno.Error(), func(t *testing.T) {
			j, d, c, stop := diskful(t)
			defer stop()
			d.fails = []error{noSpace(errno)}
			err := keep(j, accepted("raise", rack.OpEnergise))
			wantErr(t, "what raises power", err, ErrFull)
			wantErr(t, "its cause", err, errno)
			if j.State().Disk != DiskFull || exists(j.o.Dir, fileReserve) {
				t.Fatalf("state %+v, reserve there: %v", j.State(), exists(j.o.Dir, fileReserve))
			}
			before := d.commits
			for name, r := range map[string]rack.Record{
				"energise": accepted("raise", rack.OpEnergise), "rejection": rejected("r", rack.CodeJournalFull),
				"release": orderRecord(rack.RecordReleased, rack.OrderLock, 0), "proof": wired(outlet, rack.WiringProven, ""),
				"progress": progressed("old"),
			} {
				wantErr(t, name, keep(j, r), ErrFull)
				wantErr(t, name+" beside an end", keep(j, ended("old", rack.StateFailed), r), ErrFull)
			}
			if d.commits != before {
				t.Error("a refused record went to the disk")
			}
			mustKeep(t, j, accepted("lower", rack.OpCut))
			mustKeep(t, j, ended("lower", rack.StateFailed), withdrawn(outlet), wired(outlet, rack.WiringUnproven, "other fell"))
			mustKeep(t, j, acked("lower"), ended("old", rack.StateUnknown))

			c.pass(reserveRetry - time.Second)
			wantErr(t, "before the minute is over", keep(j, accepted("raise", rack.OpEnergise)), ErrFull)
			c.pass(time.Second)
			mustKeep(t, j, acked("old"))
			mustKeep(t, j, withdrawn(outlet)) // its answer proves that the turn of the one before is over
			if j.State().Disk != DiskOK || !hasReserve(j.o.Dir, j.o.Reserve) {
				t.Fatalf("state %+v with room again", j.State())
			}
			mustKeep(t, j, accepted("raise", rack.OpEnergise))
			var seen []Disk
			for _, s := range d.states {
				seen = append(seen, s.Disk)
			}
			if !slices.Equal(seen, []Disk{DiskFull, DiskOK}) {
				t.Errorf("states told: %v", seen)
			}
		})
	}
}

// TestFullDiskAnswersTheRestOfTheGroup: of one commit that finds no room, what lowers is written from the reserve.
func TestFullDiskAnswersTheRestOfTheGroup(t *testing.T) {
	d := &disk{}
	j, _ := open(t, d.opts(memoryDir(t), &clock{now: t0}))
	var got []error
	submit := func(recs ...rack.Record) { j.Submit(recs, func(err error) { got = append(got, err) }) }
	submit(accepted("raise", rack.OpEnergise))
	submit(accepted("lower", rack.OpCut))
	submit(accepted("raise2", rack.OpCycle))
	submit(ended("lower", rack.StateSucceeded))
	d.fails = []error{noSpace(syscall.ENOSPC)}
	run(t, j)()
	if len(got) != 4 || !errors.Is(got[0], ErrFull) || got[1] != nil || !errors.Is(got[2], ErrFull) || got[3] != nil {
		t.Errorf("%v", got)
	}
	if f := mustLook(t, j.o.Dir); !slices.Equal(f.order, []string{"lower"}) {
		t.Errorf("%v", f.order)
	}
}

// TestARefusedRecordLooksForRoom: with nothing but records that are refused, the full state ends all the same.
func TestARefusedRecordLooksForRoom(t *testing.T) {
	d, c := &disk{}, &clock{now: t0}
	o := d.opts(memoryDir(t), c)
	back := make(chan struct{})
	o.OnState = func(s State) {
		if s.Disk == DiskOK {
			close(back)
		}
	}
	j, _ := open(t, o)
	defer run(t, j)()
	d.fails = []error{noSpace(syscall.ENOSPC)}
	wantErr(t, "raise", keep(j, accepted("raise", rack.OpEnergise)), ErrFull)
	c.pass(reserveRetry)
	wantErr(t, "raise", keep(j, accepted("raise", rack.OpEnergise)), ErrFull)
	<-back
	mustKeep(t, j, accepted("raise", rack.OpEnergise))
}

func TestReserveIsNotMadeWithoutRoomToSpare(t *testing.T) {
	d, c := &disk{}, &clock{now: t0}
	j, _ := open(t, d.opts(memoryDir(t), c))
	defer j.Close()
	j.useReserve(syscall.ENOSPC)
	j.o.Reserve = 1 << 60 // more than any disk has
	c.pass(reserveRetry)
	j.restoreReserve()
	if j.State().Disk != DiskFull || exists(j.o.Dir, fileReserve) {
		t.Errorf("state %+v", j.State())
	}
}

// TestReserveThatCannotBeMade: the disk stays full, and the next attempt waits its minute again.
func TestReserveThatCannotBeMade(t *testing.T) {
	d, c := &disk{}, &clock{now: t0}
	j, _ := open(t, d.opts(memoryDir(t), c))
	defer j.Close()
	j.useReserve(syscall.ENOSPC)
	path := filepath.Join(j.o.Dir, fileReserve)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	c.pass(reserveRetry)
	j.restoreReserve()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	c.pass(reserveRetry - 1)
	j.restoreReserve()
	if j.State().Disk != DiskFull {
		t.Fatal("tried again within the minute")
	}
	c.pass(1)
	j.restoreReserve()
	if j.State().Disk != DiskOK {
		t.Errorf("%+v", j.State())
	}
}

func TestFailedDisk(t *testing.T) {
	for _, c := range []struct {
		name  string
		fails []error
		late  bool
		errno error
	}{
		{"EIO", []error{syscall.EIO}, false, syscall.EIO},
		{"EIO of a write", []error{&fs.PathError{Op: "write", Err: syscall.EIO}}, false, syscall.EIO},
		{"EROFS", []error{&fs.PathError{Op: "write", Err: syscall.EROFS}}, false, syscall.EROFS},
		{"no space at fsync", []error{syscall.ENOSPC}, false, syscall.ENOSPC},
		{"no space at sync", []error{&fs.PathError{Op: "sync", Err: syscall.ENOSPC}}, false, syscall.ENOSPC},
		{"reserve used up", []error{noSpace(syscall.ENOSPC), noSpace(syscall.ENOSPC)}, false, syscall.ENOSPC},
		{"no space, yet in effect", []error{noSpace(syscall.ENOSPC)}, true, syscall.ENOSPC},
	} {
		t.Run(c.name, func(t *testing.T) {
			j, d, _, stop := diskful(t)
			d.fails, d.late = c.fails, c.late
			err := keep(j, accepted("lower", rack.OpCut))
			wantErr(t, "the record", err, ErrFailed)
			wantErr(t, "its cause", err, c.errno)
			if s := j.State(); s.Disk != DiskFailed || s.Reason == "" || !errors.Is(s.Err, c.errno) {
				t.Errorf("state %+v", s)
			}
			commits := d.commits
			for _, r := range []rack.Record{accepted("x", rack.OpCut), ended("old", rack.StateFailed), acked("old")} {
				wantErr(t, "afterwards", keep(j, r), ErrFailed)
			}
			if d.commits != commits {
				t.Error("tried again on a failed file")
			}
			_, known, err := j.Get("old")
			wantErr(t, "Get", err, ErrFailed)
			if known || j.List(10) != nil || j.db != nil {
				t.Error("the failed file is still read")
			}
			stop()
			if last := d.states[len(d.states)-1]; last.Disk != DiskFailed {
				t.Errorf("told %+v", last)
			}
			want := []string{"old"}
			if c.late {
				want = append(want, "lower")
			}
			if f := mustLook(t, j.o.Dir); !slices.Equal(f.order, want) {
				t.Errorf("after a restart: %v, want %v", f.order, want)
			}
		})
	}
}

// A wrapper that loses the error must not make the record count as kept.
func TestAForgetfulCommitWrapper(t *testing.T) {
	o := optsAt(memoryDir(t))
	o.Commit = func(update func() error) error { _ = update(); return nil }
	j, _ := open(t, o)
	defer run(t, j)()
	if err := j.db.Close(); err != nil { // bbolt now answers ErrDatabaseNotOpen
		t.Fatal(err)
	}
	wantErr(t, "record", keep(j, accepted("c", rack.OpCut)), ErrFailed)
}

func TestAPanicOfBoltIsAFailedDisk(t *testing.T) {
	o := optsAt(memoryDir(t))
	j, _ := open(t, o)
	defer run(t, j)()
	if err := j.db.Update(func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte(bucketCommand)) }); err != nil {
		t.Fatal(err)
	}
	_, _, err := j.Get("c")
	wantErr(t, "Get", err, ErrDamaged)
	wantErr(t, "record", keep(j, accepted("c", rack.OpCut)), ErrFailed)
}

// TestFileSizeLimit makes the kernel refuse to let the file grow (EFBIG): a real failing commit of bbolt.
func TestFileSizeLimit(t *testing.T) {
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	dir := memoryDir(t)
	j, _ := open(t, optsAt(dir))
	stop := run(t, j)
	mustKeep(t, j, accepted("old", rack.OpCut))
	st, err := os.Stat(filepath.Join(dir, fileJournal))
	if err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	tight := limit
	tight.Cur = uint64(st.Size())
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &tight); err != nil {
		t.Fatal(err)
	}
	big := accepted("big", rack.OpCut)
	big.Reason = string(make([]byte, 2*st.Size()))
	err = keep(j, big)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "a record too big for the limit", err, ErrFailed)
	stop()
	if f := mustLook(t, dir); !slices.Equal(f.order, []string{"old"}) || !f.whole() {
		t.Errorf("after a restart: %+v", f)
	}
}
