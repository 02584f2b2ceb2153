//go:build !linux

package drivertest

import "syscall"

// RemoteIO stands for Linux's EREMOTEIO, by the number it has on ARM and x86: other systems have no such errno.
const RemoteIO = syscall.Errno(121)
