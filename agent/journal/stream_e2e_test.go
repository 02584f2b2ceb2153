//go:build e2e && linux

package journal

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"rackagent/agent/rack"
)

// writerDir names the directory for the process that TestWhatWasAcknowledgedWasFlushed watches.
const writerDir = "JOURNAL_WRITER_DIR"

// TestWriterProcess is not a test of its own: it is the process that is watched, and does nothing elsewhere.
func TestWriterProcess(t *testing.T) {
	dir := os.Getenv(writerDir)
	if dir == "" {
		return
	}
	j, _ := open(t, optsAt(dir))
	stop := run(t, j)
	for k := 1; k <= streamRecords; k++ {
		mustKeep(t, j, accepted(fmt.Sprintf("c%d", k), rack.OpCut))
		fmt.Fprintf(os.Stdout, "acked %d\n", k)
	}
	stop()
}

const streamRecords = 12

// TestWhatWasAcknowledgedWasFlushed records every write and flush of a journal at work, as the kernel saw them, and
// replays them into a file that holds only what had been flushed: at each acknowledgement the file must open and hold
// all that was acknowledged. A commit without its flush is found here and nowhere else.
func TestWhatWasAcknowledgedWasFlushed(t *testing.T) {
	dir := t.TempDir()
	disk := newFlushed(filepath.Join(dir, fileJournal))
	acks := 0
	for line := range lines(t, watch(t, dir)) {
		switch done, k := disk.take(t, line); {
		case done:
			acks++
			if k != acks {
				t.Fatalf("acknowledgement %d came where %d was expected", k, acks)
			}
			holds(t, dir, disk.file, k)
		}
	}
	if acks != streamRecords || disk.flushes < 2*streamRecords {
		t.Fatalf("%d acknowledgements and %d flushes were seen for %d records", acks, disk.flushes, streamRecords)
	}
}

// watch runs the writer under strace and gives what it did.
func watch(t *testing.T, dir string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "trace")
	cmd := exec.CommandContext(t.Context(), "strace", "-f", "-y", "-xx", "-s", "1000000", "-o", out,
		"-e", "trace=pwrite64,ftruncate,fdatasync,fsync,write", os.Args[0], "-test.run", "^TestWriterProcess$")
	cmd.Env = append(os.Environ(), writerDir+"="+dir)
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("strace of the writer (is strace installed?): %v\n%s", err, b)
	}
	trace, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return trace
}

func lines(t *testing.T, b []byte) func(func(string) bool) {
	return func(yield func(string) bool) {
		s := bufio.NewScanner(bytes.NewReader(b))
		s.Buffer(nil, 64<<20)
		for s.Scan() && yield(s.Text()) {
		}
		if s.Err() != nil {
			t.Error(s.Err())
		}
	}
}

// flushed is a disk that keeps only what was flushed.
type flushed struct {
	path    string
	file    []byte
	pending []func([]byte) []byte
	flushes int
}

func newFlushed(path string) *flushed { return &flushed{path: path} }

// A line reads: 4098 pwrite64(7</dir/journal.db>, "\x00...", 4096, 8192) = 4096. Names and data are in hexadecimal. A
// call that another thread's line interrupts ends in "<unfinished ...>"; it began here, which is what counts.
var call = regexp.MustCompile(`^\d+\s+(\w+)\((\d+)<([^>]*)>(?:, "([^"]*)")?(?:, (\d+))?(?:, (\d+))?`)

// take works one line of the trace off; acked gives the number of an acknowledgement.
func (f *flushed) take(t *testing.T, line string) (acked bool, k int) {
	t.Helper()
	m := call.FindStringSubmatch(line)
	if m == nil {
		return false, 0
	}
	name, data := fromStrace(t, m[3]), fromStrace(t, m[4])
	if m[1] == "write" && m[2] == "1" {
		if n, ok := strings.CutPrefix(strings.TrimSpace(data), "acked "); ok {
			k, err := strconv.Atoi(n)
			if err != nil {
				t.Fatal(err)
			}
			return true, k
		}
	}
	if name != f.path && name != f.path+fileNew { // it is made under the second name and then put in place
		return false, 0
	}
	switch m[1] {
	case "pwrite64":
		at, _ := strconv.Atoi(m[6])
		f.pending = append(f.pending, func(b []byte) []byte {
			b = append(b, make([]byte, max(0, at+len(data)-len(b)))...)
			copy(b[at:], data)
			return b
		})
	case "write":
		t.Fatalf("the journal is written without a position: %.80s", line)
	case "ftruncate":
		size, _ := strconv.Atoi(m[5])
		f.pending = append(f.pending, func(b []byte) []byte {
			return append(b, make([]byte, max(0, size-len(b)))...)[:size]
		})
	case "fdatasync", "fsync":
		for _, change := range f.pending {
			f.file = change(f.file)
		}
		f.pending = nil
		f.flushes++
	}
	return false, 0
}

func fromStrace(t *testing.T, s string) string {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, `\x`, ""))
	if err != nil {
		t.Fatalf("%.80s: %v", s, err)
	}
	return string(b)
}

// holds opens a journal made of the flushed bytes and looks for the first k records.
func holds(t *testing.T, written string, file []byte, k int) {
	t.Helper()
	dir := t.TempDir()
	marker, err := os.ReadFile(filepath.Join(written, fileMarker))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{fileJournal: file, fileMarker: marker} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	j, found, err := Open(optsAt(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	if found.Lost {
		t.Fatalf("after acknowledgement %d what was flushed does not open: %s", k, found.Reason)
	}
	for i := 1; i <= k; i++ {
		if _, ok, err := j.Get(fmt.Sprintf("c%d", i)); !ok || err != nil {
			t.Fatalf("after acknowledgement %d record %d is not among what was flushed (%v)", k, i, err)
		}
	}
}
