package drivertest

import "syscall"

// RemoteIO is the errno by which some adapters report a missing acknowledgement.
const RemoteIO = syscall.EREMOTEIO
