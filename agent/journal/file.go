package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// lockTimeout is how long a start waits for another instance to end: a stopping one needs one commit.
const lockTimeout = 2 * time.Second

// ErrInUse reports that another process holds the journal.
var ErrInUse = errors.New("journal: in use by another process")

// lockDir takes the whole directory, marker and reserve included, for this process.
func lockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	const pause = 50 * time.Millisecond
	for waited := time.Duration(0); ; waited += pause {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(err, f.Close())
		}
		if waited >= lockTimeout {
			return nil, errors.Join(fmt.Errorf("%w: %s", ErrInUse, dir), f.Close())
		}
		time.Sleep(pause)
	}
}

func boltOptions(readOnly bool) *bbolt.Options {
	return &bbolt.Options{
		Timeout:        lockTimeout,
		ReadOnly:       readOnly,
		NoFreelistSync: true, // one page less per commit; opening scans the pages, which verify does anyway
		FreelistType:   bbolt.FreelistMapType,
	}
}

func openBolt(path string, readOnly bool) (db *bbolt.DB, err error) {
	err = guarded(func() error {
		db, err = bbolt.Open(path, 0o600, boltOptions(readOnly))
		return err
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("%w: %s", ErrInUse, path)
	case errors.Is(err, errPanicked):
		return nil, unreadable("%w", err)
	}
	return db, err
}

// openDB opens the journal that is there, after verifying its pages. Where it can be read and not written, it
// is opened for reading and the disk has failed.
func (j *Journal) openDB() (*contents, error) {
	path := filepath.Join(j.o.Dir, fileJournal)
	if err := verifyFile(path); err != nil {
		return nil, err
	}
	db, err := openBolt(path, false)
	var readOnly error
	if err != nil && !errors.Is(err, ErrInUse) && !errors.Is(err, errUnreadable) {
		readOnly = err
		db, err = openBolt(path, true)
	}
	if err != nil {
		return nil, err
	}
	c, err := read(db)
	if err == nil {
		err = c.identity.suits(j.o)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	j.db = db
	if readOnly != nil {
		j.setState(State{Disk: DiskFailed, Reason: "the journal can only be read: " + readOnly.Error(), Err: readOnly})
	}
	return c, nil
}

func verifyFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	return verify(f, st.Size())
}

func read(db *bbolt.DB) (c *contents, err error) {
	err = guarded(func() error {
		return db.View(func(tx *bbolt.Tx) error {
			c, err = load(tx)
			return err
		})
	})
	if errors.Is(err, errPanicked) {
		err = unreadable("%w", err)
	}
	return c, err
}

// create makes a new journal under another name, moves it into place and opens it. What an earlier attempt left
// under that name never became a journal and is overwritten.
func (j *Journal) create(o *observation) (*contents, error) {
	temp := filepath.Join(j.o.Dir, fileJournal+fileNew)
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	db, err := openBolt(temp, false)
	if err != nil {
		return nil, err
	}
	err = j.o.Commit(func() error {
		return guarded(func() error { return db.Update(func(tx *bbolt.Tx) error { return lay(tx, j.identity(), o) }) })
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return nil, err
	}
	if err := moveInto(j.o.Dir, fileJournal+fileNew, fileJournal); err != nil {
		return nil, err
	}
	// The directory may be new itself, and its own name must last as well. Whoever may not open the parent did not
	// make it here.
	if err := syncDir(filepath.Dir(j.o.Dir)); err != nil {
		j.o.Log.Debug("syncing the directory above the journal", "err", err)
	}
	return j.openDB()
}

// identity is what a state directory begun now is given.
func (j *Journal) identity() identity {
	return identity{Schema: schema, Site: j.o.Site, Agent: j.o.Agent, Created: j.o.Now().UTC().Round(0)}
}

// lay puts the buckets and the journal's own records into an empty file.
func lay(tx *bbolt.Tx, id identity, o *observation) error {
	for _, name := range append(recordBuckets(), bucketMeta) {
		if _, err := tx.CreateBucket([]byte(name)); err != nil {
			return err
		}
	}
	t := tally{Tx: uint64(tx.ID())}
	put := func(key string, v any) error {
		t.add(bucketMeta, []byte(key))
		return putMeta(tx, key, v)
	}
	if err := put(keyIdentity, id); err != nil {
		return err
	}
	if o != nil {
		if err := put(keyObserving, o); err != nil {
			return err
		}
	}
	return putMeta(tx, keyTally, t)
}
