package backlog

import (
	"os"
	"syscall"
)

// datasync flushes content, and the size only where it has changed: no commit of the file system's journal.
func datasync(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
