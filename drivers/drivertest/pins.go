package drivertest

// Pins is what an expander does to its pins now. Bit k is pin k: in 16-bit parts with two ports bit 0 is the first pin of
// port 0 and bit 8 the first of port 1; 8-bit parts leave the upper half 0.
type Pins struct {
	Driven uint16 // 1: the pin is an output
	Level  uint16 // level of driven pins; meaningless for the others
	Pulsed uint16 // 1: a driven pin that a blinker releases and drives again by itself
}

// High are the pins driven high all the time.
func (p Pins) High() uint16 { return p.Driven & p.Level &^ p.Pulsed }

// Low are the pins driven low all the time.
func (p Pins) Low() uint16 { return p.Driven &^ p.Level &^ p.Pulsed }

// PinDrive is what one pin does.
type PinDrive uint8

// What a pin can do to the circuit behind it.
const (
	PinReleased PinDrive = iota // an input, or an open drain that does not pull
	PinLow
	PinHigh
	PinPulsed
)

// String is the word for a test's message.
func (d PinDrive) String() string {
	switch d {
	case PinLow:
		return "low"
	case PinHigh:
		return "high"
	case PinPulsed:
		return "pulsed"
	default:
		return "released"
	}
}

// Pin is what pin k does; a pin that the part does not have is released.
func (p Pins) Pin(k int) PinDrive {
	if k < 0 || k > 15 {
		return PinReleased
	}
	bit := uint16(1) << k
	switch {
	case p.Driven&bit == 0:
		return PinReleased
	case p.Pulsed&bit != 0:
		return PinPulsed
	case p.Level&bit != 0:
		return PinHigh
	default:
		return PinLow
	}
}

// Expander is a chip with pins that relays, lamps or contacts hang on. Each constructor takes a function, which may be
// nil; it is called during a transfer or a reset, after each write that can change what the pins do, in order and never
// by two goroutines at once. It must not call the chip.
type Expander interface {
	Chip
	// Pins tells what the pins do now.
	Pins() Pins
	// Drive sets the level that outside circuits put on the pins; it shows where a pin is not driven.
	Drive(level uint16)
}

var (
	_ Expander = (*TCA9555)(nil)
	_ Expander = (*Expander8)(nil)
	_ Expander = (*PCA9552)(nil)
	_ Expander = (*MCP23017)(nil)
)
