package backlog

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Disk is the directory of a Log. What it writes is durable when Sync has returned; everything else may be there after
// a power cut, or not, or a part of it.
type Disk interface {
	// List names the files.
	List() ([]string, error)
	// Create makes a file of zeros that is there, with its size, when Create returns.
	Create(name string, size int64) error
	// Open opens a file for reading and writing.
	Open(name string) (File, error)
	Remove(name string) error
	// Room is what the file system has left, in bytes.
	Room() (int64, error)
}

// File is one file of a Disk. Its size never changes.
type File interface {
	io.ReaderAt
	io.WriterAt
	// Sync makes durable what was written. After an error nothing about the writes before it is known.
	Sync() error
	Close() error
	Size() (int64, error)
}

// Dir is a Disk in a directory of the operating system. The directory is made when the first file is.
type Dir string

// List names the files.
func (d Dir) List() ([]string, error) {
	entries, err := os.ReadDir(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []string
	for _, e := range entries {
		if e.Type().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
			out = append(out, e.Name())
		}
	}
	return out, err
}

// Create writes the zeros: a file with holes would get its blocks, and the journal of the file system its commits, at
// each later write.
func (d Dir) Create(name string, size int64) (err error) {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return err
	}
	path := filepath.Join(string(d), name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	zeros := make([]byte, 64<<10)
	for done := int64(0); err == nil && done < size; done += int64(len(zeros)) {
		_, err = f.Write(zeros[:min(int64(len(zeros)), size-done)])
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path)) // a short file would only hold room
	}
	return errors.Join(syncDir(string(d)), syncDir(filepath.Dir(string(d))))
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Open opens a file.
func (d Dir) Open(name string) (File, error) {
	f, err := os.OpenFile(filepath.Join(string(d), name), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return file{f}, nil
}

// Remove removes a file.
func (d Dir) Remove(name string) error { return os.Remove(filepath.Join(string(d), name)) }

// Room asks the file system of the directory, or of the one above while there is none yet.
func (d Dir) Room() (int64, error) {
	n, err := room(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return room(filepath.Dir(string(d)))
	}
	return n, err
}

type file struct{ *os.File }

// Sync is fdatasync where there is one: the size of a file never changes.
func (f file) Sync() error { return datasync(f.File) }

func (f file) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// room is what is left for those without privileges.
func room(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(st.Bavail) * int64(st.Bsize), nil //nolint:unconvert // other types on other systems
}
