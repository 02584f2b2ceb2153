//go:build !linux

package backlog

import "os"

func datasync(f *os.File) error { return f.Sync() }
