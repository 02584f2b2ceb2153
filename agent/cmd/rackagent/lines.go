package main

import (
	"fmt"

	"rackagent/agent/inventory"
	"rackagent/drivers"
	"rackagent/drivers/board"
)

// gpioLine is an input of the board as the inventory reads it.
type gpioLine struct{ *board.Input }

// High tells the level.
func (l gpioLine) High() (bool, error) {
	level, err := l.Read()
	switch {
	case err != nil:
		return false, err
	case level == board.Unknown:
		return false, &drivers.Error{Op: "read line", Device: l.String(), Fault: drivers.Implausible, Err: fmt.Errorf("the level is not known")}
	}
	return level == board.High, nil
}

// lines takes GPIO lines of the board for reading.
func lines(hw hardware) func(name string) (inventory.Line, error) {
	return func(name string) (inventory.Line, error) {
		in, err := hw.Input(name)
		if err != nil {
			return nil, err
		}
		return gpioLine{in}, nil
	}
}
