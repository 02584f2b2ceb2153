package journal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"rackagent/agent/rack"
)

// nobody is the uid that owns nothing here.
const nobody = 65534

// withoutWriteAccess runs f on a thread that may read the directory and not write it. For root that takes another
// file system uid, which also drops the right to override permissions (setfsuid(2)); for others it is no change.
func withoutWriteAccess(t *testing.T, dir string, f func()) {
	t.Helper()
	for _, name := range []string{fileJournal, fileMarker, fileReserve} {
		if err := os.Chmod(filepath.Join(dir, name), 0o444); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o755)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if os.Geteuid() == 0 {
		if err := syscall.Setfsuid(nobody); err != nil {
			t.Fatal(err)
		}
		defer syscall.Setfsuid(0)
	}
	f()
}

// TestReadOnlyJournal: a journal that can be read and not written still tells what was going on, and takes nothing.
func TestReadOnlyJournal(t *testing.T) {
	dir := filled(t)
	var j *Journal
	var f Found
	withoutWriteAccess(t, dir, func() { j, f = open(t, optsAt(dir)) })
	defer run(t, j)()
	if s := j.State(); s.Disk != DiskFailed || !errors.Is(s.Err, fs.ErrPermission) {
		t.Errorf("state %+v", s)
	}
	if f.First || f.Lost || f.Observing || len(f.Unfinished) != 1 || len(f.Wiring) != 2 {
		t.Errorf("%+v", f)
	}
	if e, known, err := j.Get("c-done"); err != nil || !known || e.Outcome.State != rack.StateSucceeded {
		t.Errorf("%+v, %v, %v", e, known, err)
	}
	if n := len(j.List(100)); n != 8 {
		t.Errorf("%d entries", n)
	}
	for _, r := range []rack.Record{accepted("x", rack.OpCut), ended("c-open", rack.StateUnknown), acked("c-rej")} {
		wantErr(t, string(r.Kind), keep(j, r), ErrFailed)
	}
}

// TestReadOnlyLoss: a lost journal that cannot be set aside is lost all the same, and stays where it is.
func TestReadOnlyLoss(t *testing.T) {
	dir := filled(t)
	put(t, dir, fileJournal, []byte("rubbish"))
	var j *Journal
	var f Found
	withoutWriteAccess(t, dir, func() { j, f = open(t, optsAt(dir)) })
	defer j.Close()
	if !f.Lost || !f.Observing || f.Reason == "" || j.State().Disk != DiskFailed {
		t.Errorf("%+v, %+v", f, j.State())
	}
	if string(get(t, dir, fileJournal)) != "rubbish" {
		t.Error("the lost file was touched")
	}
}
