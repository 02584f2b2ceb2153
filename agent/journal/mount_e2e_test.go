//go:build e2e && linux

package journal

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"rackagent/agent/rack"
)

// small mounts a file system of so many bytes. It needs the right to mount (root, or a user and mount namespace).
func small(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Fatalf("mounting needs root or `unshare -Urm`: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestRealFullDisk fills a real file system: first to the reserve, then beyond it, then starts again with room.
func TestRealFullDisk(t *testing.T) {
	dir := small(t, 1<<20)
	c := &clock{now: t0}
	o := optsAt(dir)
	o.Now, o.Reserve = c.Now, 256<<10
	j, _ := open(t, o)
	stop := run(t, j)
	fill := func(op rack.Op, prefix string) (taken int, err error) {
		for n := range 5000 {
			r := accepted(fmt.Sprintf("%s%d", prefix, n), op)
			r.Command.Why = string(make([]byte, 3000))
			if err = keep(j, r); err != nil {
				return n, err
			}
		}
		return 5000, nil
	}
	raised, err := fill(rack.OpEnergise, "raise-")
	wantErr(t, "what raises power", err, ErrFull)
	wantErr(t, "its cause", err, syscall.ENOSPC)
	if j.State().Disk != DiskFull || exists(dir, fileReserve) {
		t.Fatalf("%+v", j.State())
	}
	c.pass(time.Hour)
	wantErr(t, "an hour later, still full", keep(j, accepted("raise", rack.OpEnergise)), ErrFull)
	lowered, err := fill(rack.OpCut, "lower-")
	wantErr(t, "what lowers power, in the end", err, ErrFailed)
	wantErr(t, "its cause", err, syscall.ENOSPC)
	if raised < 20 || lowered < 10 {
		t.Errorf("%d records before the disk was full, %d from the reserve", raised, lowered)
	}
	stop()
	j, f := open(t, o)
	if f.Lost || len(f.Damaged) > 0 || len(f.Unfinished) != raised+lowered || j.State().Disk != DiskFull {
		t.Errorf("lost %v, damaged %v, %d unfinished of %d, %+v", f.Lost, f.Damaged, len(f.Unfinished), raised+lowered, j.State())
	}
	stop = run(t, j)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=8m"); err != nil {
		t.Fatal(err)
	}
	c.pass(time.Hour)
	mustKeep(t, j, ended("lower-0", rack.StateUnknown))
	mustKeep(t, j, acked("lower-0"))
	mustKeep(t, j, accepted("raise", rack.OpEnergise))
	stop()
	t.Logf("%d records until full, %d more from the reserve of 256 KiB", raised, lowered)
}

// TestRealReadOnlyDisk starts on a file system that was remounted read-only.
func TestRealReadOnlyDisk(t *testing.T) {
	dir := small(t, 4<<20)
	state := filepath.Join(dir, "state")
	j, _ := open(t, optsAt(state))
	stop := run(t, j)
	mustKeep(t, j, everything()...)
	stop()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	j, f := open(t, optsAt(state))
	stop = run(t, j)
	if s := j.State(); s.Disk != DiskFailed || !errors.Is(s.Err, syscall.EROFS) {
		t.Errorf("%+v", s)
	}
	if f.Lost || f.Observing || len(f.Unfinished) != 1 {
		t.Errorf("%+v", f)
	}
	wantErr(t, "record", keep(j, acked("c-rej")), ErrFailed)
	stop()
	j, f = open(t, optsAt(filepath.Join(dir, "none"))) // a first start there
	defer j.Close()
	if s := j.State(); s.Disk != DiskFailed || !errors.Is(s.Err, syscall.EROFS) || !f.Observing {
		t.Errorf("%+v, %+v", s, f)
	}
}
