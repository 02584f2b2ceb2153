//go:build !linux

package hwmon

import "syscall"

// errRemoteIO is Linux's EREMOTEIO by number, for simulated adapters; this system has no such errno.
const errRemoteIO = syscall.Errno(121)
