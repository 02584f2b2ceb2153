//go:build !linux

package i2cbus

import (
	"fmt"
	"runtime"

	"rackagent/drivers"
)

// Open is there for Linux only; elsewhere it returns drivers.Unsupported. See Periph.
func Open(path, adapter string) (Transport, error) {
	return nil, noDevice(path)
}

// Functions is there for Linux only; elsewhere it returns drivers.Unsupported.
func Functions(path string) (Funcs, error) {
	return 0, noDevice(path)
}

func noDevice(path string) error {
	return &drivers.Error{
		Op: "open", Device: path, Fault: drivers.Unsupported,
		Err: fmt.Errorf("%s has no I2C device files", runtime.GOOS),
	}
}
