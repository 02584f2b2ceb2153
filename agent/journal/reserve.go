package journal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// reserveRetry is how long a full journal waits before it tries to set the reserve aside again. An attempt
// that fails half-way writes up to the whole reserve: at one a minute 1.4 GB a day, which the check for room
// keeps from happening. Arbitrary within that.
const reserveRetry = time.Minute

// hasReserve tells whether the reserve is there in full length. A crash while it was written leaves it short.
func hasReserve(dir string, size int64) bool {
	st, err := os.Stat(filepath.Join(dir, fileReserve))
	return err == nil && st.Mode().IsRegular() && st.Size() == size
}

// makeReserve writes real zero bytes, since a hole would hold no space, and makes them durable.
func makeReserve(dir string, size int64) error {
	path := filepath.Join(dir, fileReserve)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	zero := make([]byte, 64<<10)
	for left := size; left > 0 && err == nil; left -= int64(len(zero)) {
		_, err = f.Write(zero[:min(left, int64(len(zero)))])
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, dropReserve(dir))
	}
	return syncDir(dir)
}

// dropReserve gives the space back. Syncing the directory makes ext4 commit, which frees the blocks.
func dropReserve(dir string) error {
	if err := os.Remove(filepath.Join(dir, fileReserve)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(dir)
}

// roomFor tells whether the file system has so many bytes for us beyond the size itself.
func roomFor(dir string, size int64) bool {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return false
	}
	return int64(st.Bavail) >= 2*size/max(int64(st.Bsize), 1) //nolint:unconvert // int32 on some systems
}

// useReserve turns the disk's state to full and frees the reserve for the records that may still be written.
func (j *Journal) useReserve(cause error) {
	if err := dropReserve(j.o.Dir); err != nil {
		j.o.Log.Warn("freeing the journal's reserve", "err", err)
	}
	j.lastReserve = j.o.Now()
	j.setState(State{Disk: DiskFull, Reason: "no space left: the reserve is in use", Err: cause})
}

// restoreReserve ends the full state once there is room again for the reserve and as much beside it.
func (j *Journal) restoreReserve() {
	now := j.o.Now()
	if j.State().Disk != DiskFull || now.Sub(j.lastReserve) < reserveRetry {
		return
	}
	j.lastReserve = now
	if !roomFor(j.o.Dir, j.o.Reserve) {
		return
	}
	if err := makeReserve(j.o.Dir, j.o.Reserve); err != nil {
		j.o.Log.Warn("setting the journal's reserve aside again", "err", err)
		return
	}
	j.setState(State{Disk: DiskOK})
}
