package audit

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// FuzzLine: whatever the bytes are, a line is refused or is what it says, and has one form only.
func FuzzLine(f *testing.F) {
	files, err := filepath.Glob("testdata/v1/*.log")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for raw := range bytes.Lines(text) {
			f.Add(bytes.TrimSuffix(raw, []byte("\n")))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		l, err := parse(raw)
		if err != nil {
			return
		}
		var b body
		if err := json.Unmarshal(raw, &b); err != nil {
			t.Fatal(err)
		}
		if b.Seq != l.Seq || b.At != l.at || b.Boot != l.boot || b.Kind != l.kind || hashOf(b.Prev) != l.prev {
			t.Fatalf("%+v is read as %+v", b, l)
		}
	})
}

// FuzzLog: a directory with one file of whatever bytes. Walking it ends, and a start goes on.
func FuzzLog(f *testing.F) {
	files, err := filepath.Glob("testdata/v1/*.log")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p := newPaper()
		p.names[nameOf(1)] = &sheet{text: text, flushed: text}
		if _, err := Verify(p.Read()); err != nil {
			t.Fatal(err)
		}
		l := begin(t, p)
		l.say("later")
		l.finish(l.now)
		if !bytes.HasPrefix(p.names[nameOf(1)].text, text) {
			t.Fatal("the file was written over")
		}
		if l = begin(t, p); true {
			l.say("again")
		}
		if len(l.events) != 0 {
			t.Fatalf("told again: %+v", l.events)
		}
	})
}
