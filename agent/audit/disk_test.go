package audit

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"syscall"
	"testing/fstest"
)

// paper is a disk in memory that keeps apart what was written and what was flushed, and that fails or ends a life at
// the operation it is told.
type paper struct {
	names   map[string]*sheet // as every process sees them
	lasting map[string]*sheet // as they are after a power cut

	ops  []string // done so far, by name
	at   int      // operation at which the fault comes, from 1; 0: never
	kind faultKind
	over bool // the life has ended: nothing reaches the disk any more
	sick bool // every operation fails
}

// sheet is a file.
type sheet struct {
	text    []byte
	flushed []byte // what is surely on disk
	gone    bool   // a flush has failed: later ones write nothing of what was there before
}

type faultKind string

const (
	crashBefore faultKind = "crash before"
	crashTorn   faultKind = "crash in the middle"
	crashAfter  faultKind = "crash after"
	failEIO     faultKind = "EIO"
	failTorn    faultKind = "ENOSPC in the middle"
	failLate    faultKind = "EIO after it was done"
)

var errOver = errors.New("this life is over")

func newPaper() *paper {
	return &paper{names: map[string]*sheet{}, lasting: map[string]*sheet{}}
}

// op counts an operation and does it, as far as the fault lets it. half does a part of it.
func (p *paper) op(name string, half, whole func()) error {
	if p.over {
		return errOver
	}
	p.ops = append(p.ops, name)
	if p.sick {
		return syscall.EROFS
	}
	if len(p.ops) != p.at {
		whole()
		return nil
	}
	switch p.kind {
	case crashBefore:
		p.over = true
	case crashTorn:
		half()
		p.over = true
	case crashAfter:
		whole()
		p.over = true
	case failEIO:
		return syscall.EIO
	case failTorn:
		half()
		return syscall.ENOSPC
	case failLate:
		whole()
		return syscall.EIO
	}
	return errOver
}

func nothing() {}

func (p *paper) Make() error { return p.op("make", nothing, nothing) }

// Read gives the files as every process sees them.
func (p *paper) Read() fs.FS { return view(p.names, func(s *sheet) []byte { return s.text }) }

func view(names map[string]*sheet, content func(*sheet) []byte) fs.FS {
	out := fstest.MapFS{}
	for name, s := range names {
		out[name] = &fstest.MapFile{Data: bytes.Clone(content(s)), Mode: 0o600}
	}
	return out
}

func (p *paper) Create(name string) (File, error) {
	s := &sheet{}
	err := p.op("create", nothing, func() { p.names[name] = s })
	if err != nil {
		return nil, err
	}
	return &pen{p, s}, nil
}

func (p *paper) Append(name string) (File, error) {
	s := p.names[name]
	if s == nil {
		return nil, fs.ErrNotExist
	}
	if err := p.op("append", nothing, nothing); err != nil {
		return nil, err
	}
	return &pen{p, s}, nil
}

func (p *paper) Rename(from, to string) error {
	return p.op("rename", nothing, func() {
		p.names[to] = p.names[from]
		delete(p.names, from)
	})
}

func (p *paper) Remove(name string) error {
	return p.op("remove", nothing, func() { delete(p.names, name) })
}

func (p *paper) Sync() error {
	return p.op("flush names", nothing, func() { p.lasting = maps.Clone(p.names) })
}

// pen writes to a sheet.
type pen struct {
	p *paper
	s *sheet
}

func (f *pen) Write(b []byte) (int, error) {
	n := 0
	put := func(k int) func() { return func() { f.s.text, n = append(f.s.text, b[:k]...), k } }
	err := f.p.op("write", put(len(b)/2), put(len(b)))
	return n, err
}

// Sync flushes. One that fails leaves the pages clean: what was not on disk will never be, whatever later ones say.
func (f *pen) Sync() error {
	err := f.p.op("flush", nothing, func() {
		if !f.s.gone {
			f.s.flushed = bytes.Clone(f.s.text)
		}
	})
	f.s.gone = f.s.gone || err != nil
	return err
}

func (f *pen) Close() error { return nil }

// after gives the disk that another life finds.
func (p *paper) after(way aftermath) *paper {
	next := newPaper()
	names := p.names
	if way == powerCut {
		names = p.lasting
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		text := way.of(names[name])
		next.names[name] = &sheet{text: text, flushed: text}
	}
	next.lasting = maps.Clone(next.names)
	return next
}

// aftermath is what a crash leaves.
type aftermath string

const (
	killed    aftermath = "killed"          // the kernel lives on and has all that was written
	powerCut  aftermath = "power cut"       // what was flushed, under the names that were
	powerHalf aftermath = "half of it"      // and half of the rest
	powerMost aftermath = "all but a byte"  //
	powerZero aftermath = "zeroes for rest" // the file has its length and not its blocks
)

func aftermaths() []aftermath {
	return []aftermath{killed, powerCut, powerHalf, powerMost, powerZero}
}

func (w aftermath) of(s *sheet) []byte {
	on, all := len(s.flushed), len(s.text)
	switch w {
	case powerHalf:
		return bytes.Clone(s.text[:on+(all-on)/2])
	case powerMost:
		return bytes.Clone(s.text[:max(on, all-1)])
	case powerZero:
		return append(bytes.Clone(s.flushed), make([]byte, all-on)...)
	case powerCut:
		return bytes.Clone(s.flushed)
	default:
		return bytes.Clone(s.text)
	}
}
