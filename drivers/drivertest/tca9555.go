package drivertest

import "sync"

// Register numbers of the TCA9555 (TI SCPS200, table 3); odd numbers are port 1.
const (
	tcaInput     = 0
	tcaOutput    = 2
	tcaPolarity  = 4
	tcaDirection = 6
)

// TCA9555 is a 16-bit I/O expander (TI TCA9555, NXP PCA9555). At power-on all pins are inputs, pulled up through
// about 100 kΩ, and the output latch is all ones.
type TCA9555 struct {
	mu        sync.Mutex
	pointer   byte
	output    [2]byte
	polarity  [2]byte
	direction [2]byte
	external  uint16 // level an outside circuit puts on pins that are inputs
	pins      func(Pins)
}

// NewTCA9555 is an expander after power-on. The function, which may be nil, is called during a transfer or a reset,
// after each change of what the pins do, in order and never by two goroutines at once.
func NewTCA9555(pins func(Pins)) *TCA9555 {
	c := &TCA9555{pins: pins, external: 0xFFFF}
	c.defaults()
	return c
}

func (c *TCA9555) defaults() {
	c.pointer = 0
	c.output = [2]byte{0xFF, 0xFF}
	c.polarity = [2]byte{}
	c.direction = [2]byte{0xFF, 0xFF}
}

// Reset is a brown-out: every register at its power-on value, every pin an input.
func (c *TCA9555) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.defaults()
	c.report()
}

// Load puts the latch and the direction where a program that ran before would have left them, both at once.
func (c *TCA9555) Load(output, direction uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.output = split(output)
	c.direction = split(direction)
	c.report()
}

// Drive sets the level that outside circuits put on the pins; it shows where a pin is an input.
func (c *TCA9555) Drive(level uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.external = level
}

// Output is the output latch.
func (c *TCA9555) Output() uint16 { c.mu.Lock(); defer c.mu.Unlock(); return join(c.output) }

// Pins tells what the pins do now.
func (c *TCA9555) Pins() Pins { c.mu.Lock(); defer c.mu.Unlock(); return c.now() }

// Direction is the direction register; 1 is an input.
func (c *TCA9555) Direction() uint16 { c.mu.Lock(); defer c.mu.Unlock(); return join(c.direction) }

// Tx writes the command byte and then registers, and reads registers. After each data byte the pointer moves to the
// other port of the same pair, and back; it never leaves the pair (SCPS200, 8.5).
func (c *TCA9555) Tx(w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(w) > 0 {
		c.pointer = w[0] & 7
		for _, b := range w[1:] {
			c.write(b)
			c.pointer ^= 1
		}
	}
	for i := range r {
		r[i] = c.read()
		c.pointer ^= 1
	}
	return nil
}

func (c *TCA9555) write(b byte) {
	port := c.pointer & 1
	switch c.pointer &^ 1 {
	case tcaOutput:
		c.output[port] = b
	case tcaPolarity:
		c.polarity[port] = b
	case tcaDirection:
		c.direction[port] = b
	default: // the input registers take no writes
		return
	}
	c.report()
}

func (c *TCA9555) read() byte {
	port := c.pointer & 1
	switch c.pointer &^ 1 {
	case tcaOutput:
		return c.output[port]
	case tcaPolarity:
		return c.polarity[port]
	case tcaDirection:
		return c.direction[port]
	default:
		outside := split(c.external)[port]
		level := outside&c.direction[port] | c.output[port]&^c.direction[port]
		return level ^ c.polarity[port]
	}
}

func (c *TCA9555) report() {
	if c.pins != nil {
		c.pins(c.now())
	}
}

func (c *TCA9555) now() Pins { return Pins{Driven: ^join(c.direction), Level: join(c.output)} }

func join(b [2]byte) uint16  { return uint16(b[0]) | uint16(b[1])<<8 }
func split(v uint16) [2]byte { return [2]byte{byte(v), byte(v >> 8)} }
