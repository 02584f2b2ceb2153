//go:build !linux

package board

import (
	"fmt"
	"runtime"

	"periph.io/x/conn/v3/gpio"

	"rackagent/drivers"
)

// chipLines is empty: only Linux has /dev/gpiochipN.
func chipLines() []Line { return nil }

// sideDoor is false: only Linux has two interfaces to one line.
func sideDoor(gpio.PinIO) bool { return false }

func (l Line) vacant() error { return l.absent() }

func (l Line) take() (source, error) { return nil, l.absent() }

func (l Line) takeDrain() (drain, error) { return nil, l.absent() }

func (l Line) takePulses(CounterOpts) (pulses, error) { return nil, l.absent() }

func (l Line) absent() error {
	err := fmt.Errorf("%s has no GPIO chips", runtime.GOOS)
	return &drivers.Error{Op: "open", Device: l.Chip, Fault: drivers.Unsupported, Err: err}
}
