package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"
)

// files are the contents of a log, by name.
func files(t failer, d fs.FS) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	names, err := fs.Glob(d, "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if out[name], err = fs.ReadFile(d, name); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

type failer interface {
	Helper()
	Fatal(args ...any)
}

func asDisk(files map[string][]byte) fs.FS {
	out := fstest.MapFS{}
	for name, text := range files {
		out[name] = &fstest.MapFile{Data: text, Mode: 0o600}
	}
	return out
}

// told is a log of several files with its newest anchor.
func told(t *testing.T) (map[string][]byte, Anchor) {
	t.Helper()
	p := newPaper()
	story(t, p, func(l *life) { l.o.KeepBytes = 1 << 20 })
	d := p.Read()
	r := whole(t, d)
	if len(r.Files) < 4 {
		t.Fatalf("%+v", r)
	}
	return files(t, d), r.Head
}

// TestAnyChangeIsFound: one byte, one line gone, one twice, two exchanged, a file gone, the end gone. For the last two an
// anchor may be needed, which the others do without.
func TestAnyChangeIsFound(t *testing.T) {
	log, head := told(t)
	names := slices.Sorted(maps.Keys(log))
	rapid.Check(t, func(t *rapid.T) {
		changed := maps.Clone(log)
		name := rapid.SampledFrom(names).Draw(t, "file")
		lines := bytes.SplitAfter(bytes.TrimSuffix(log[name], []byte("\n")), []byte("\n"))
		lines[len(lines)-1] = append(bytes.Clone(lines[len(lines)-1]), '\n')
		n := rapid.IntRange(0, len(lines)-1).Draw(t, "line")
		var anchors []Anchor
		switch what := rapid.SampledFrom([]string{"byte", "byte", "byte", "remove", "twice", "swap", "file", "cut", "byte in", "byte out"}).Draw(t, "what"); what {
		case "byte":
			text := bytes.Clone(log[name])
			at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
			text[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "xor"))
			changed[name] = text
		case "byte in":
			at := rapid.IntRange(0, len(log[name])-1).Draw(t, "at") // behind the end it would be a torn write, and change nothing
			changed[name] = slices.Insert(bytes.Clone(log[name]), at, rapid.Byte().Draw(t, "byte"))
		case "byte out":
			at := rapid.IntRange(0, len(log[name])-1).Draw(t, "at")
			changed[name] = slices.Delete(bytes.Clone(log[name]), at, at+1)
			anchors = []Anchor{head} // of the last newline, nothing but an anchor tells
		case "remove":
			changed[name] = bytes.Join(slices.Delete(slices.Clone(lines), n, n+1), nil)
			anchors = []Anchor{head}
		case "twice":
			to := rapid.IntRange(0, len(lines)).Draw(t, "to")
			changed[name] = bytes.Join(slices.Insert(slices.Clone(lines), to, lines[n]), nil)
		case "swap":
			m := rapid.IntRange(0, len(lines)-1).Draw(t, "with")
			if m == n {
				return
			}
			swapped := slices.Clone(lines)
			swapped[n], swapped[m] = swapped[m], swapped[n]
			changed[name] = bytes.Join(swapped, nil)
		case "file":
			delete(changed, name)
			anchors = []Anchor{head}
		case "cut":
			last := names[len(names)-1]
			changed[last] = log[last][:rapid.IntRange(0, len(log[last])-1).Draw(t, "length")]
			anchors = []Anchor{head}
		}
		if r, err := Verify(asDisk(changed), anchors...); err == nil && r.Whole() {
			t.Fatalf("nothing found: %+v", r)
		}
	})
}

// TestALogWrittenAnewIsFoundByAnAnchor: who may write can make everything from some line on anew, with right hashes. The
// lines alone do not tell; an anchor from before does.
func TestALogWrittenAnewIsFoundByAnAnchor(t *testing.T) {
	p := newPaper()
	l := begin(t, p)
	l.say("c1")
	l.say("c2")
	l.finish(l.now)
	published := Anchor{Seq: l.last.Seq, Hash: l.last.Hash}
	q := newPaper()
	f := begin(t, q)
	f.say("c1")
	f.say("c9")
	f.finish(f.now)
	whole(t, q.Read())
	r, err := Verify(q.Read(), published)
	if err != nil || r.NBreaks != 1 || !strings.Contains(r.Breaks[0].Text, "written anew") {
		t.Errorf("%v, %+v", err, r)
	}
}

// TestTheFirstBreakIsNamed tells file and line of each kind of change.
func TestTheFirstBreakIsNamed(t *testing.T) {
	log, head := told(t)
	names := slices.Sorted(maps.Keys(log))
	second := names[1]
	lines := bytes.SplitAfter(log[second], []byte("\n"))
	with := func(change func([][]byte) [][]byte) map[string][]byte {
		changed := maps.Clone(log)
		changed[second] = bytes.Join(change(slices.Clone(lines)), nil)
		return changed
	}
	beyond := Anchor{Seq: head.Seq + 3, Hash: head.Hash}
	for _, c := range []struct {
		name    string
		log     map[string][]byte
		anchors []Anchor
		want    string
	}{
		{"changed", with(func(l [][]byte) [][]byte { l[2] = bytes.Replace(l[2], []byte("ctl-1"), []byte("ctl-2"), 1); return l }), nil, second + ", line 3: was changed"},
		{"made anew", with(func(l [][]byte) [][]byte { l[2] = forged(t, l[2]); return l }), nil, second + ", line 4: does not follow the line before it"},
		{"removed", with(func(l [][]byte) [][]byte { return slices.Delete(l, 2, 3) }), nil, second + ", line 3: number"},
		{"exchanged", with(func(l [][]byte) [][]byte { l[2], l[1] = l[1], l[2]; return l }), nil, second + ", line 2: number"},
		{"no line", with(func(l [][]byte) [][]byte { l[1] = []byte("hello\n"); return l }), nil, second + ", line 2: is not a line"},
		{"long line", with(func(l [][]byte) [][]byte { l[1] = append(bytes.Repeat([]byte("x"), 5*maxLine), '\n'); return l }), nil, second + ", line 2: "},
		{"appended", with(func(l [][]byte) [][]byte { return append(l, l[1]) }), nil, fmt.Sprintf("%s, line %d: inserted", second, len(lines))},
		{"cut", with(func(l [][]byte) [][]byte { return l[:len(l)-2] }), nil, fmt.Sprintf("%s, line %d: the file was cut", second, len(lines)-1)},
		{"end cut", log, []Anchor{beyond}, "the end was cut"},
	} {
		r, err := Verify(asDisk(c.log), c.anchors...)
		if err != nil || r.Whole() || !strings.Contains(r.Breaks[0].String(), c.want) {
			t.Errorf("%s: %v, %v, want %s", c.name, err, r.Breaks, c.want)
		}
	}
}

// forged is a line with another issuer and the hash that belongs to it.
func forged(t *testing.T, raw []byte) []byte {
	t.Helper()
	var b body
	if err := json.Unmarshal(raw, &b); err != nil {
		t.Fatal(err)
	}
	b.Issuer = "ctl-9"
	text, _ := b.encode()
	return text
}

func TestVerifyOfNothing(t *testing.T) {
	if _, err := Verify(fstest.MapFS{}); !errors.Is(err, ErrEmpty) {
		t.Error(err)
	}
	if err := Show(fstest.MapFS{"audit.new": {}}, nil); !errors.Is(err, ErrEmpty) {
		t.Error(err)
	}
	if _, err := Verify(asDisk(map[string][]byte{nameOf(1): nil})); err != nil {
		t.Error(err)
	}
}

// vanishing loses its oldest file between listing and reading, as a rotation does.
type vanishing struct {
	fstest.MapFS
	name string
}

func (v vanishing) Open(name string) (fs.File, error) {
	f, err := v.MapFS.Open(name)
	if name == v.name {
		delete(v.MapFS, name)
	}
	return f, err
}

func TestVerifyDuringARotation(t *testing.T) {
	p := newPaper()
	story(t, p, func(*life) {})
	d := p.Read().(fstest.MapFS)
	oldest := slices.Sorted(maps.Keys(d))[0]
	d[nameOf(1)] = d[oldest] // not dropped yet
	delete(d, nameOf(1))
	if _, err := Verify(vanishing{d, "none"}); err != nil {
		t.Error(err)
	}
}

func TestAnchorTexts(t *testing.T) {
	a := Anchor{Seq: 17, Hash: [32]byte{1, 2, 255}}
	if got, err := ParseAnchor(a.String()); err != nil || got != a {
		t.Error(got, err)
	}
	for _, bad := range []string{"", "17", "17:", "0:" + strings.Repeat("0", 64), "-1:" + strings.Repeat("0", 64), "x:" + strings.Repeat("0", 64), "17:" + strings.Repeat("0", 63), "17:" + strings.Repeat("g", 64)} {
		if _, err := ParseAnchor(bad); !errors.Is(err, ErrAnchor) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
