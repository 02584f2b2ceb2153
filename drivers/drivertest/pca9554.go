package drivertest

import "sync"

// Registers of the 8-bit expanders (NXP PCA9554, TI TCA9554; Maxim MAX7310 has one more).
const (
	x8Input = iota
	x8Output
	x8Polarity
	x8Direction
	x8Timeout // MAX7310 alone
)

// Expander8 is an 8-bit I/O expander. All pins are inputs at power-on. The command byte chooses a register, and all
// bytes that follow go to it or come from it: there is no auto-increment.
type Expander8 struct {
	mu       sync.Mutex
	powerOn  []byte
	pointer  byte
	regs     []byte // the input register's place holds the outside level
	external byte
	pins     func(Pins)
}

// NewPCA9554 is a PCA9554 after power-on: latch FF, polarity 00, configuration FF.
func NewPCA9554(pins func(Pins)) *Expander8 {
	return newExpander8([]byte{x8Output: 0xFF, x8Polarity: 0x00, x8Direction: 0xFF}, pins)
}

// NewTCA9554 is the same part by TI, with the same registers and power-on values.
func NewTCA9554(pins func(Pins)) *Expander8 { return NewPCA9554(pins) }

// NewMAX7310 is a MAX7310 after power-on: latch 00, polarity F0 (the upper four pins read inverted), configuration FF,
// and register 04, whose bit 0 lets a bus time-out reset the serial interface. The values are recalled from Maxim's
// data sheet, not read again; that bit 0 is set at power-on is the least certain of them.
func NewMAX7310(pins func(Pins)) *Expander8 {
	return newExpander8([]byte{x8Output: 0x00, x8Polarity: 0xF0, x8Direction: 0xFF, x8Timeout: 0x01}, pins)
}

func newExpander8(powerOn []byte, pins func(Pins)) *Expander8 {
	c := &Expander8{powerOn: powerOn, regs: make([]byte, len(powerOn)), external: 0xFF, pins: pins}
	copy(c.regs, powerOn)
	return c
}

// Reset is a brown-out: every register at its power-on value, every pin an input.
func (c *Expander8) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pointer = 0
	copy(c.regs, c.powerOn)
	c.report()
}

// Load puts the latch and the direction where a program that ran before would have left them, both at once, with
// straight polarity.
func (c *Expander8) Load(output, direction byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.regs[x8Output], c.regs[x8Direction], c.regs[x8Polarity] = output, direction, 0
	c.report()
}

// Drive sets the level that outside circuits put on the pins; it shows where a pin is an input.
func (c *Expander8) Drive(level uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.external = byte(level)
}

// Output is the output latch.
func (c *Expander8) Output() byte { c.mu.Lock(); defer c.mu.Unlock(); return c.regs[x8Output] }

// Direction is the configuration register; 1 is an input.
func (c *Expander8) Direction() byte { c.mu.Lock(); defer c.mu.Unlock(); return c.regs[x8Direction] }

// Polarity is the polarity register; 1 reads inverted.
func (c *Expander8) Polarity() byte { c.mu.Lock(); defer c.mu.Unlock(); return c.regs[x8Polarity] }

// Pins tells what the pins do now.
func (c *Expander8) Pins() Pins { c.mu.Lock(); defer c.mu.Unlock(); return c.now() }

// Tx writes the command byte and then the register it names, and reads that register. A command that names no register
// is acknowledged; writes to it are lost and it reads FF, which the data sheets leave open.
func (c *Expander8) Tx(w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(w) > 0 {
		c.pointer = w[0]
		for _, b := range w[1:] {
			c.write(b)
		}
	}
	fill(r, c.read())
	return nil
}

func (c *Expander8) write(b byte) {
	if c.pointer == x8Input || int(c.pointer) >= len(c.regs) {
		return
	}
	c.regs[c.pointer] = b
	if c.pointer != x8Timeout {
		c.report()
	}
}

func (c *Expander8) read() byte {
	switch {
	case int(c.pointer) >= len(c.regs):
		return 0xFF
	case c.pointer == x8Input:
		in := c.regs[x8Direction]
		return (c.external&in | c.regs[x8Output]&^in) ^ c.regs[x8Polarity]
	default:
		return c.regs[c.pointer]
	}
}

func (c *Expander8) now() Pins {
	return Pins{Driven: uint16(^c.regs[x8Direction]), Level: uint16(c.regs[x8Output])}
}

func (c *Expander8) report() {
	if c.pins != nil {
		c.pins(c.now())
	}
}
