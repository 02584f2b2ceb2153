package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
)

// fileOlder is the prefix of the name under which a journal of an older schema is kept; its number follows.
const fileOlder = "journal.db.schema-"

// migrate brings a journal of an older schema forward. Schema 2 only adds to schema 1: a kind of record, members, and a key
// of meta. So the records stay as they are, and one transaction gives the file its new number. Before that the file is
// copied, whole and durable, under a name of its own: an earlier program can be given the copy back.
//
// A crash before the copy is in place leaves the journal as it was, and a copy begun (.new) that nobody reads; one
// after it leaves both, and the next start copies again, over the same content; the transaction happens or not.
func (j *Journal) migrate(c *contents) (*contents, error) {
	if j.State().Disk == DiskFailed {
		return c, nil // it can be read, and nothing will be written
	}
	from := c.identity
	if err := j.closeDB(); err != nil {
		return nil, err
	}
	kept := keptName(from.Schema)
	if err := copyFile(j.o.Dir, fileJournal, kept); err != nil {
		return nil, fmt.Errorf("keeping the journal of schema %d: %w", from.Schema, err)
	}
	db, err := openBolt(filepath.Join(j.o.Dir, fileJournal), false)
	if err != nil {
		return nil, err
	}
	to := from
	to.Schema = schema
	err = j.o.Commit(func() error {
		return guarded(func() error {
			return db.Update(func(tx *bbolt.Tx) error {
				t := c.tally
				t.Tx = uint64(tx.ID())
				return errors.Join(putMeta(tx, keyIdentity, to), putMeta(tx, keyTally, t))
			})
		})
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return nil, err
	}
	j.o.Log.Info("journal brought forward", "from", from.Schema, "to", schema, "kept", kept)
	return j.openDB()
}

func keptName(schema int) string { return fmt.Sprintf("%s%d", fileOlder, schema) }

// copyFile copies within the directory so that a crash leaves no copy or a whole one.
func copyFile(dir, from, to string) error {
	in, err := os.Open(filepath.Join(dir, from))
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(filepath.Join(dir, to+fileNew), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	return moveInto(dir, to+fileNew, to)
}
