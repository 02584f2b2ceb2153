package audit

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// The names of the directory.
const (
	namePrefix = "audit-"
	nameSuffix = ".log"
	nameDigits = 12
	nameNew    = "audit.new" // a file before its first line is on disk; never to be read
)

// nameOf names the file whose first line has the number.
func nameOf(seq uint64) string {
	return fmt.Sprintf("%s%0*d%s", namePrefix, nameDigits, seq, nameSuffix)
}

// numberOf is the reverse of nameOf; 0: not a file of the log.
func numberOf(name string) uint64 {
	digits, ok := strings.CutPrefix(name, namePrefix)
	digits, ok2 := strings.CutSuffix(digits, nameSuffix)
	n, err := strconv.ParseUint(digits, 10, 63)
	if !ok || !ok2 || err != nil || nameOf(n) != name {
		return 0
	}
	return n
}

// stored is a file of the log.
type stored struct {
	name  string
	first uint64 // number of its first line, by its name
	size  int64
	head  *body // its first line; nil where that is no whole line
}

// list gives the files in the order of their lines.
func list(d fs.FS) ([]stored, error) {
	names, err := fs.ReadDir(d, ".")
	if err != nil {
		return nil, err
	}
	var out []stored
	for _, e := range names {
		first := numberOf(e.Name())
		if first == 0 || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		out = append(out, stored{name: e.Name(), first: first, size: info.Size()})
	}
	slices.SortFunc(out, func(a, b stored) int { return cmp.Compare(a.first, b.first) })
	for i := range out {
		if out[i].head, err = head(d, out[i].name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// head reads the first line of a file; nil: there is no whole one.
func head(d fs.FS, name string) (*body, error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := newScanner(f)
	if !s.next() || !s.whole {
		return nil, s.err
	}
	if l, err := parse(s.raw); err != nil || l.kind != KindAnchor {
		return nil, nil
	}
	var b body
	if json.Unmarshal(s.raw, &b) != nil {
		return nil, nil
	}
	return &b, nil
}

// scanner splits a file into lines. It holds one line in memory, whatever the file is.
type scanner struct {
	r   *bufio.Reader
	err error // of reading

	raw        []byte // the line without its newline, at most maxLine of it
	begin, end int64  // where it stands, with its newline
	whole      bool   // it has its newline
}

func newScanner(r io.Reader) *scanner { return &scanner{r: bufio.NewReaderSize(r, maxLine)} }

// next goes to the next line; false: there is none, or reading failed.
func (s *scanner) next() bool {
	s.begin, s.raw, s.whole = s.end, nil, false
	for {
		piece, err := s.r.ReadSlice('\n')
		s.end += int64(len(piece))
		if s.raw == nil {
			s.raw = append([]byte{}, piece...)
		} else if len(s.raw) <= maxLine {
			s.raw = append(s.raw, piece...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			s.err = err
			return false
		}
		if s.whole = err == nil; s.whole {
			s.raw = bytes.TrimSuffix(s.raw, []byte("\n"))
		}
		return s.end > s.begin
	}
}

// Zeroes in a tail: a file system that had made a file longer and not written its blocks leaves them after a power cut.
const (
	tailLimit = 64 << 10 // more than one commit writes in one piece
	zeroes    = 16       // arbitrary: more than somebody's typing leaves
	sector    = 512
)

// unwritten tells where the tail of a file begins that was never written: with the line in which a run of zeroes stands
// that reaches to the end of a sector or of the file. -1: nowhere. No line has a zero in it.
func unwritten(tail []byte, at int64) int64 {
	zero := bytes.IndexByte(tail, 0)
	if zero < 0 {
		return -1
	}
	end := zero
	for end < len(tail) && tail[end] == 0 {
		end++
	}
	atEdge := end == len(tail) || (at+int64(end))%sector == 0
	if end-zero < zeroes || !atEdge {
		return -1
	}
	return at + int64(bytes.LastIndexByte(tail[:zero], '\n')+1)
}

// unwrittenTail looks at the end of a file.
func unwrittenTail(d fs.FS, f stored) (int64, error) {
	r, err := d.Open(f.name)
	if err != nil {
		return -1, err
	}
	defer r.Close()
	from := max(0, f.size-tailLimit)
	if _, err := io.CopyN(io.Discard, r, from); err != nil && !errors.Is(err, io.EOF) {
		return -1, err
	}
	tail, err := io.ReadAll(io.LimitReader(r, tailLimit))
	if err != nil {
		return -1, err
	}
	return unwritten(tail, from), nil
}
