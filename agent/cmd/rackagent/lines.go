package main

import (
	"fmt"
	"time"

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

// counter is a counted line of the board.
type counter struct{ *board.Counter }

// Count tells how many pulses there were.
func (c counter) Count() (uint64, error) {
	n, _, err := c.Counter.Count()
	return n, err
}

// pulseDebounce is how long a level must stand to count: the contact of a flow meter bounces for about a millisecond, and
// one that gives 100 pulses a second has 5 ms for each level. Arbitrary.
const pulseDebounce = 2 * time.Millisecond

// counters takes GPIO lines of the board for counting.
func counters(hw hardware) func(name string) (inventory.Counter, error) {
	return func(name string) (inventory.Counter, error) {
		c, err := hw.Counter(name, board.CounterOpts{Debounce: pulseDebounce})
		if err != nil {
			return nil, err
		}
		return counter{c}, nil
	}
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
