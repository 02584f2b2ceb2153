package audit

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Disk is the directory of the log, as far as the log writes to it.
type Disk interface {
	// Make makes the directory where there is none.
	Make() error
	// Read is the directory for reading.
	Read() fs.FS
	// Create makes a new file for writing; one of that name is removed before, not written over.
	Create(name string) (File, error)
	// Append opens a file for writing at its end.
	Append(name string) (File, error)
	// Rename gives a file another name, and Sync makes names last.
	Rename(from, to string) error
	Sync() error
	Remove(name string) error
}

// File is an open file of the log.
type File interface {
	io.Writer
	// Sync returns when all that was written is on disk. After an error nothing is known of it, and the file is given up.
	Sync() error
	Close() error
}

// Dir is the Disk of a directory of the operating system.
func Dir(path string) Disk { return dir(path) }

type dir string

func (d dir) path(name string) string { return filepath.Join(string(d), name) }

func (d dir) Read() fs.FS { return os.DirFS(string(d)) }

// Make also makes the new name last, unless the directory above may not be opened: then it was not made here.
func (d dir) Make() error {
	_, err := os.Stat(string(d))
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return err
	}
	return syncDir(filepath.Dir(string(d)))
}

func (d dir) Create(name string) (File, error) {
	if err := d.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(d.path(name), os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
}

func (d dir) Append(name string) (File, error) {
	return os.OpenFile(d.path(name), os.O_WRONLY|os.O_APPEND, 0)
}

func (d dir) Rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }

func (d dir) Remove(name string) error { return os.Remove(d.path(name)) }

func (d dir) Sync() error { return syncDir(string(d)) }

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
