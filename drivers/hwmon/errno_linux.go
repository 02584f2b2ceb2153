package hwmon

import "syscall"

// errRemoteIO is how some adapter drivers report a missing device.
const errRemoteIO = syscall.EREMOTEIO
