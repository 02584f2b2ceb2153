package observer

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// published is where the journal's format keeps its vectors: data, not code.
const published = "../../journal/testdata/v1"

// The published journal reads as its description says.
func TestPublishedJournal(t *testing.T) {
	f, err := os.Open(filepath.Join(published, "journal.db.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	unpacked, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, journalFile), b, 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := readJournal(dir)
	if err != nil || len(j.damaged) > 0 || len(j.records) == 0 {
		t.Fatalf("%d records, damaged %q: %v", len(j.records), j.damaged, err)
	}
	for _, r := range j.records {
		if r.At.IsZero() || r.Boot == "" || r.seq == 0 {
			t.Errorf("%+v", r)
		}
	}
}

// Each published value reads as its kind.
func TestPublishedRecords(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(published, "*.hex"))
	if err != nil || len(files) != 10 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		bucket, key, value := vector(t, file)
		r, err := readRecord(bucket, key, value)
		if want := strings.TrimSuffix(filepath.Base(file), ".hex"); err != nil || r.Kind != want {
			t.Errorf("%s: %q, %v", file, r.Kind, err)
		}
		for i := range value {
			bad := slices.Clone(value)
			bad[i] ^= 0x10
			if _, err := readRecord(bucket, key, bad); err == nil {
				t.Errorf("%s: byte %d is wrong, and the value is believed", file, i)
			}
		}
		if _, err := readRecord("order", append([]byte("x"), key...), value); err == nil {
			t.Errorf("%s: believed in another place", file)
		}
	}
}

// vector reads a published key and value.
func vector(t testing.TB, file string) (bucket string, key, value []byte) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(string(b))
	if len(words) != 6 {
		t.Fatalf("%s: %d words", file, len(words))
	}
	key, err1 := hex.DecodeString(words[3])
	value, err2 := hex.DecodeString(words[5])
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return words[1], key, value
}

func TestJournalStates(t *testing.T) {
	dir := t.TempDir()
	if j, err := readJournal(dir); err != nil || len(j.records) > 0 {
		t.Errorf("first start: %d records, %v", len(j.records), err)
	}
	var l ledger
	l.add("command", "c1", 'k', "acked", map[string]any{"id": "c1"})
	l.write(t, dir)
	if j, err := readJournal(dir); err != nil || len(j.records) != 1 {
		t.Errorf("%d records, %v", len(j.records), err)
	}
	if err := os.Remove(filepath.Join(dir, journalFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := readJournal(dir); !errors.Is(err, errLost) {
		t.Errorf("lost: %v", err)
	}
}

// A tally that is not that of the file discredits all of it.
func TestTally(t *testing.T) {
	for name, spin := range map[string]func(map[string]any){
		"older transaction": func(m map[string]any) { m["tx"] = m["tx"].(int) - 1 },
		"a key missing":     func(m map[string]any) { m["keys"] = m["keys"].(int) + 1 },
		"another key":       func(m map[string]any) { m["sum"] = m["sum"].(uint64) + 1 },
		"a later record":    func(m map[string]any) { m["seq"] = 0 },
	} {
		dir := t.TempDir()
		l := ledger{spin: spin}
		l.add("command", "c1", 'k', "acked", map[string]any{"id": "c1"})
		l.write(t, dir)
		if _, err := readJournal(dir); err == nil || !strings.Contains(err.Error(), "tally") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A value or a key that is wrong is found alone.
func TestDamagedRecords(t *testing.T) {
	for name, spoil := range map[string]func(*line){
		"checksum":      func(x *line) { x.value[9]++ },
		"version":       func(x *line) { x.value[0] = 2 },
		"short":         func(x *line) { x.value = []byte{1} },
		"no JSON":       func(x *line) { x.value = seal([]byte("{")) },
		"other subject": func(x *line) { x.key[0] = 'd' },
		"other kind":    func(x *line) { x.key[len(x.key)-1] = 'e' },
		"no kind":       func(x *line) { x.key[len(x.key)-1] = 'z' },
		"no subject":    func(x *line) { x.key = x.key[2:] },
	} {
		dir := t.TempDir()
		var l ledger
		l.add("command", "c1", 'k', "acked", map[string]any{"id": "c1"})
		l.add("command", "c2", 'k', "acked", map[string]any{"id": "c2"})
		spoil(&l.all[0])
		l.write(t, dir)
		if j, err := readJournal(dir); err != nil || len(j.damaged) != 1 || len(j.records) != 1 || j.records[0].ID != "c2" {
			t.Errorf("%s: %d records, damaged %q, %v", name, len(j.records), j.damaged, err)
		}
	}
}

// A torn file is an error, and never other records than were written.
func TestTornFile(t *testing.T) {
	dir := t.TempDir()
	var l ledger
	for range 20 {
		l.add("command", "c1", 'k', "acked", map[string]any{"id": "c1"})
	}
	l.write(t, dir)
	file := filepath.Join(dir, journalFile)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want, err := readJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	errs := 0
	try := func(name string, b []byte) {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := readJournal(dir)
		if err != nil || len(j.damaged) > 0 {
			errs++
			return
		}
		same := func(a, b record) bool { return a.key == b.key }
		if !slices.EqualFunc(j.records, want.records, same) {
			t.Errorf("%s: other records, and no error", name)
		}
	}
	for n := 0; n < len(whole); n += 4096 {
		try("truncated", whole[:n])
	}
	for n := 0; n < len(whole); n += 97 {
		b := slices.Clone(whole)
		b[n] ^= 0x55
		try("flipped", b)
	}
	if errs < 20 {
		t.Errorf("only %d of the damages were noticed", errs)
	}
}

func FuzzRecord(f *testing.F) {
	files, err := filepath.Glob(filepath.Join(published, "*.hex"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		bucket, key, value := vector(f, file)
		f.Add(bucket, key, value[5:])
	}
	f.Fuzz(func(t *testing.T, bucket string, key, body []byte) {
		value := seal(body) // a fuzzer does not guess checksums
		r, err := readRecord(bucket, key, value)
		if err != nil {
			return
		}
		if r.seq != binary.BigEndian.Uint64(key[len(key)-9:]) || !bytes.Contains(key, []byte{0}) {
			t.Errorf("%q is record %d", key, r.seq)
		}
		b := book{byID: map[string]*entry{}}
		b.enter(&r)
		run := &run{book: &b, mail: &mail{}, layout: &layout{}}
		for _, e := range b.entries {
			_ = run.wholeEntry(e) // no record makes the observer fall
		}
	})
}

// A journal of many pages: branches, and values that fill pages of their own.
func TestLargeJournal(t *testing.T) {
	dir := t.TempDir()
	var l ledger
	for i := range 3000 {
		l.add("command", fmt.Sprintf("c%04d", i*7919%3000), 'k', "acked", map[string]any{"id": fmt.Sprintf("c%04d", i*7919%3000)})
	}
	l.add("command", "big", 'k', "acked", map[string]any{"id": "big", "reason": strings.Repeat("x", 50_000)})
	l.write(t, dir)
	j, err := readJournal(dir)
	if err != nil || len(j.damaged) > 0 || len(j.records) != 3001 {
		t.Fatalf("%d records, damaged %q: %v", len(j.records), j.damaged, err)
	}
	for i, r := range j.records {
		if r.seq != uint64(i+1) {
			t.Fatalf("record %d stands at place %d", r.seq, i+1)
		}
	}
}

func FuzzPages(f *testing.F) {
	dir := f.TempDir()
	var l ledger
	l.add("command", "c1", 'k', "acked", map[string]any{"id": "c1"})
	l.write(f, dir)
	whole, err := os.ReadFile(filepath.Join(dir, journalFile))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint16(0), []byte{1})
	f.Add(uint16(8), []byte{0xFF, 0xFF, 0xFF})
	f.Add(uint16(5000), []byte{})
	// Bytes over a journal's own: nothing makes the reader fall, or run on for ever.
	f.Fuzz(func(t *testing.T, at uint16, over []byte) {
		b := slices.Clone(whole)
		copy(b[int(at)%len(b):], over)
		p, err := parsePages(b)
		if err == nil {
			var j journal
			_ = j.read(p)
		}
	})
}
