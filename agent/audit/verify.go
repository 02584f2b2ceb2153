package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"rackagent/agent/rack"
)

// Report is what a walk over the whole log found.
type Report struct {
	Files   []FileReport
	Entries int       // whole lines that belong to the log, changed ones included
	First   uint64    // number of the oldest line kept
	Head    Anchor    // the newest line
	At      time.Time // of the newest line
	// Breaks are the places where the log is not as it was written, in order, at most maxBreaks of them; NBreaks counts all.
	Breaks  []Break
	NBreaks int
	// Met are the anchors that the log holds; Older are those of lines that are not kept any more.
	Met, Older []Anchor
	// Notes are oddities that a crash or a failing disk leaves, and that the log itself explains.
	Notes []string
}

// Whole tells that no line was changed, removed, inserted or moved, as far as the lines themselves and the anchors tell.
func (r Report) Whole() bool { return r.NBreaks == 0 }

// FileReport is one file.
type FileReport struct {
	Name     string
	Lines    int
	First    uint64
	Last     uint64
	From, To time.Time
}

// Break is a place where the log is not as it was written.
type Break struct {
	File string
	Line int // counted from 1 within the file; one after the last where something is missing at the end
	Text string
}

// String reads "audit-000000000001.log, line 17: was changed ...".
func (b Break) String() string { return fmt.Sprintf("%s, line %d: %s", b.File, b.Line, b.Text) }

const (
	maxBreaks = 100
	retries   = 3 // of a walk that a rotation took a file away from
)

// ErrEmpty reports a directory without a log.
var ErrEmpty = errors.New("audit: there is no log in this directory")

// Verify walks the log from its oldest line to its newest and compares it with anchors. It may run on a copy, and while
// the agent writes. An error means that it could not be read; what it found wrong is in the report.
func Verify(d fs.FS, anchors ...Anchor) (Report, error) {
	for try := 0; ; try++ {
		w := newWalk(d, anchors)
		err := w.run()
		if errors.Is(err, fs.ErrNotExist) && try < retries {
			continue
		}
		if err == nil && len(w.files) == 0 {
			err = ErrEmpty
		}
		return w.r, err
	}
}

// walk is one pass over the log.
type walk struct {
	d     fs.FS
	files []stored
	r     Report
	asked map[uint64][]Anchor // anchors not yet come to

	// What the next line must say. Unknown after a line that cannot be read.
	known bool
	next  uint64
	prev  rack.Hash

	file *FileReport // under way
	end  int64       // of the newest file: where its last whole line ends
	rest int64       // of the newest file: bytes behind that
	// told is the index of the newest file that says that the log was broken, -1: none; before counts the breaks in front of it.
	told, before int
	each         func(l line, raw []byte) // sees every line that is whole; nil: nobody
}

func newWalk(d fs.FS, anchors []Anchor) *walk {
	w := &walk{d: d, asked: map[uint64][]Anchor{}, told: -1}
	for _, a := range anchors {
		w.asked[a.Seq] = append(w.asked[a.Seq], a)
	}
	return w
}

func (w *walk) run() error {
	var err error
	if w.files, err = list(w.d); err != nil || len(w.files) == 0 {
		return err
	}
	w.front()
	for i := range w.files {
		if err := w.walkFile(i); err != nil {
			return err
		}
	}
	w.missed()
	return nil
}

// front judges where the log begins. What was dropped for room is named by the newest file.
func (w *walk) front() {
	first := w.files[0]
	w.r.First = first.first
	if h := first.head; h != nil {
		w.compare(Anchor{Seq: h.Seq - 1, Hash: hashOf(h.Prev)}, first.name, 1)
	}
	if h := w.files[len(w.files)-1].head; h != nil && h.Oldest < first.first {
		w.broken(first.name, 1, fmt.Sprintf("files from %s on are missing before it: the newest file says that they are kept", nameOf(h.Oldest)))
	}
}

func hashOf(hexadecimal string) rack.Hash {
	var h rack.Hash
	_ = h.UnmarshalText([]byte(hexadecimal)) // a head has been parsed
	return h
}

// belongs tells how much of a file belongs to the log, as the next file says; -1: nobody says. orderly tells that
// nothing may stand behind it.
func (w *walk) belongs(i int) (size int64, orderly bool, err error) {
	if i == len(w.files)-1 {
		size, err = unwrittenTail(w.d, w.files[i])
		return size, false, err
	}
	h := w.files[i+1].head
	if h == nil || h.After != w.files[i].name {
		return -1, true, nil
	}
	return h.Size, h.How == howSize, nil
}

func (w *walk) walkFile(i int) error {
	f := w.files[i]
	size, orderly, err := w.belongs(i)
	if err != nil {
		return err
	}
	r, err := w.d.Open(f.name)
	if err != nil {
		return err
	}
	defer r.Close()
	w.r.Files = append(w.r.Files, FileReport{Name: f.name})
	w.file = &w.r.Files[len(w.r.Files)-1]
	s := newScanner(r)
	w.end, w.rest = 0, 0
	for s.next() && (size < 0 || s.begin < size) {
		w.piece(i, s, size)
	}
	if s.err != nil {
		return s.err
	}
	if i == len(w.files)-1 {
		w.tail(max(s.end, f.size))
		return nil
	}
	w.ends(i, s.end, size, orderly)
	return nil
}

// piece judges a line, or what is left at the end of a file.
func (w *walk) piece(i int, s *scanner, size int64) {
	switch {
	case size >= 0 && s.end > size:
		w.broken(w.file.Name, w.file.Lines+1, fmt.Sprintf("the part that belongs to the log ends within it, after %d bytes", size))
		w.known = false
	case s.whole:
		w.file.Lines++
		w.r.Entries++
		w.end = s.end
		w.line(i, s.raw)
	case i < len(w.files)-1:
		w.broken(w.file.Name, w.file.Lines+1, "the file ends within a line")
		w.known = false
	default: // a write that was torn leaves a piece of a line, and never more than one
		if _, err := parse(s.raw[:len(s.raw)-1]); err == nil {
			w.broken(w.file.Name, w.file.Lines+1, "was changed: it does not end as a line does")
		}
	}
}

// ends judges the end of a file that another one follows.
func (w *walk) ends(i int, end, size int64, orderly bool) {
	switch next := w.files[i+1].name; {
	case size < 0:
	case end < size:
		w.broken(w.file.Name, w.file.Lines+1, fmt.Sprintf("the file was cut: %s says that %d bytes of it belong to the log, and it has %d", next, size, end))
	case w.files[i].size > size && orderly:
		w.broken(w.file.Name, w.file.Lines+1, fmt.Sprintf("inserted: %s says that the log went on there after %d bytes", next, size))
	case w.files[i].size > size:
		w.note("%s: %d bytes after line %d do not count, as %s says", w.file.Name, w.files[i].size-size, w.file.Lines, next)
	}
}

// tail judges the end of the newest file.
func (w *walk) tail(end int64) {
	if w.file.Lines == 0 {
		w.broken(w.file.Name, 1, "the file holds no whole line, and is begun with one")
	}
	if w.rest = end - w.end; w.rest > 0 {
		w.note("%s: %d bytes after line %d are no whole line: they were being written, or a crash has torn them", w.file.Name, w.rest, w.file.Lines)
	}
}

func (w *walk) line(i int, raw []byte) {
	l, err := parse(raw)
	if err != nil {
		w.broken(w.file.Name, w.file.Lines, err.Error())
		w.known = false
		return
	}
	if h := w.files[i].head; w.file.Lines == 1 && h != nil && h.How == howBroken {
		w.declared(i)
	}
	if text := w.fault(i, l); text != "" {
		w.broken(w.file.Name, w.file.Lines, text)
	}
	if w.file.First == 0 {
		w.file.First, w.file.From = l.Seq, time.UnixMilli(l.at)
	}
	w.file.Last, w.file.To = l.Seq, time.UnixMilli(l.at)
	w.known, w.next, w.prev = true, l.Seq+1, l.Hash
	w.r.Head, w.r.At = l.Anchor, w.file.To
	w.compare(l.Anchor, w.file.Name, w.file.Lines)
	if w.each != nil {
		w.each(l, raw)
	}
}

// declared notes a file that was begun because the log before it was broken. What is wrong there is told where it
// stands, unless it is not kept any more; the chain begins anew.
func (w *walk) declared(i int) {
	h := w.files[i].head
	w.told, w.before = i, w.r.NBreaks
	w.broken(w.file.Name, 1, fmt.Sprintf("the agent began a new file because it found the log broken: %s, line %d", h.File, h.Line))
	w.known = false
}

// fault tells what is wrong with the place of a line.
func (w *walk) fault(i int, l line) string {
	switch first := w.file.Lines == 1; {
	case first && (l.kind != KindAnchor || l.Seq != w.files[i].first):
		return "is not the first line of a file of this name"
	case !first && l.kind == KindAnchor:
		return "is the first line of another file"
	case l.Seq == 1 && l.prev != (rack.Hash{}):
		return "is the first line of the log and names one before it"
	case !w.known:
		return ""
	case l.Seq > w.next:
		return fmt.Sprintf("%s missing before it", plural(w.next, l.Seq-1))
	case l.Seq < w.next:
		return fmt.Sprintf("number %d stands where %d was due: it was moved or inserted", l.Seq, w.next)
	case l.prev != w.prev:
		return "does not follow the line before it: that one is another than it was"
	}
	return ""
}

func plural(from, to uint64) string {
	if from == to {
		return fmt.Sprintf("number %d is", from)
	}
	return fmt.Sprintf("numbers %d to %d are", from, to)
}

// compare holds a line against the anchors of its number.
func (w *walk) compare(l Anchor, file string, n int) {
	for _, a := range w.asked[l.Seq] {
		if a == l {
			w.r.Met = append(w.r.Met, a)
		} else {
			w.broken(file, n, fmt.Sprintf("number %d has another hash than the anchor %s: the log was written anew", l.Seq, a))
		}
	}
	delete(w.asked, l.Seq)
}

// missed judges the anchors whose lines did not come.
func (w *walk) missed() {
	for _, seq := range slices.Sorted(maps.Keys(w.asked)) {
		for _, a := range w.asked[seq] {
			switch {
			case seq < w.r.First:
				w.r.Older = append(w.r.Older, a)
			case seq > w.r.Head.Seq:
				w.broken(w.file.Name, w.file.Lines+1, fmt.Sprintf("the end was cut: the log ends with number %d, and the anchor names %d", w.r.Head.Seq, seq))
			default:
				w.broken(w.file.Name, w.file.Lines+1, fmt.Sprintf("number %d, which an anchor names, is not in the log", seq))
			}
		}
	}
}

func (w *walk) broken(file string, n int, text string) {
	w.r.NBreaks++
	if len(w.r.Breaks) < maxBreaks {
		w.r.Breaks = append(w.r.Breaks, Break{File: file, Line: n, Text: text})
	}
}

func (w *walk) note(format string, args ...any) {
	w.r.Notes = append(w.r.Notes, fmt.Sprintf(format, args...))
}

// Show gives the lines of the log in order, whole or not in its chain, as far as they are lines at all. It is for looking;
// Verify is for judging.
func Show(d fs.FS, visit func(raw []byte, about Subject) error) error {
	var failed error
	w := newWalk(d, nil)
	w.each = func(_ line, raw []byte) {
		var s Subject
		if failed == nil && json.Unmarshal(raw, &s) == nil {
			failed = visit(raw, s)
		}
	}
	err := w.run()
	if err == nil && len(w.files) == 0 {
		err = ErrEmpty
	}
	return errors.Join(err, failed)
}

// Subject is what a line can be picked by.
type Subject struct {
	Kind    Kind   `json:"kind"`
	Command string `json:"cmd"`
}
