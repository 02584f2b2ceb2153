package drivertest

import "sync"

// Registers of the PCA9552 (NXP PCA9552; Linux driver leds-pca955x).
const (
	ledInput  = 0x00 // 00, 01
	ledPSC0   = 0x02 // prescaler and duty of PWM0, then of PWM1
	ledPWM0   = 0x03
	ledLS0    = 0x06 // 06-09: two bits per pin
	ledLast   = 0x09
	ledNext   = 0x10 // in the command byte: auto-increment
	ledNumber = 0x0F // in the command byte: the register
)

// The four things an LS field can ask of its pin.
const (
	ledLow      = 0
	ledReleased = 1
	ledPWM      = 2 // and 3, for PWM1
)

// PCA9552 is a 16-pin LED driver with open-drain outputs, used as an output expander: a pin pulls low or lets go, it
// never drives high. At power-on all pins are released.
//
// Left out: PSC0 and PSC1 are stored, and a pulsed pin does not change with time; LowShare tells how long it is low.
type PCA9552 struct {
	mu       sync.Mutex
	pointer  byte
	regs     [ledLast + 1]byte
	external uint16
	pins     func(Pins)
}

// NewPCA9552 is a driver after power-on. For the function see Expander.
func NewPCA9552(pins func(Pins)) *PCA9552 {
	c := &PCA9552{pins: pins, external: 0xFFFF}
	c.defaults()
	return c
}

// defaults are LS = 55, PSC = FF and PWM = 80 (QEMU's model of the part has the same).
func (c *PCA9552) defaults() {
	c.pointer = 0
	c.regs = [ledLast + 1]byte{0, 0, 0xFF, 0x80, 0xFF, 0x80, 0x55, 0x55, 0x55, 0x55}
}

// Reset is a brown-out: every register at its power-on value, every pin released.
func (c *PCA9552) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.defaults()
	c.report()
}

// Load puts LS0 to LS3 where a program that ran before would have left them.
func (c *PCA9552) Load(ls [4]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	copy(c.regs[ledLS0:], ls[:])
	c.report()
}

// LS are the registers LS0 to LS3.
func (c *PCA9552) LS() [4]byte { c.mu.Lock(); defer c.mu.Unlock(); return [4]byte(c.regs[ledLS0:]) }

// Drive sets the level that outside circuits, such as the pull-ups, put on released pins.
func (c *PCA9552) Drive(level uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.external = level
}

// Pins tells what the pins do now.
func (c *PCA9552) Pins() Pins { c.mu.Lock(); defer c.mu.Unlock(); return c.now() }

// LowShare is how much of the time pin k is low: 0 released, 1 low, between for a pulsed one. The duty is
// (256 - PWM) / 256 (Linux driver leds-pca955x).
func (c *PCA9552) LowShare(k int) float64 {
	if k < 0 || k > 15 {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch f := c.field(k); f {
	case ledLow:
		return 1
	case ledReleased:
		return 0
	default:
		return (256 - float64(c.regs[ledPWM0+2*(f-ledPWM)])) / 256
	}
}

// field is what LS asks of a pin: bits (2k mod 8) of LS[k/4].
func (c *PCA9552) field(k int) byte { return c.regs[ledLS0+k/4&3] >> (2 * k % 8) & 3 }

// Tx writes the command byte and then registers, and reads registers. With auto-increment the pointer moves on after
// each byte and from LS3 back to 00; without it all bytes concern one register. A command that names no register is
// acknowledged; writes to it are lost and it reads FF, which the data sheet leaves open.
func (c *PCA9552) Tx(w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(w) > 0 {
		c.pointer = w[0] & (ledNext | ledNumber)
		for _, b := range w[1:] {
			c.write(b)
			c.step()
		}
	}
	for i := range r {
		r[i] = c.read()
		c.step()
	}
	return nil
}

func (c *PCA9552) step() {
	if c.pointer&ledNext == 0 {
		return
	}
	n := c.pointer&ledNumber + 1
	if n > ledLast {
		n = 0
	}
	c.pointer = ledNext | n
}

func (c *PCA9552) write(b byte) {
	n := c.pointer & ledNumber
	if n < ledPSC0 || n > ledLast {
		return
	}
	c.regs[n] = b
	if n >= ledLS0 {
		c.report()
	}
}

func (c *PCA9552) read() byte {
	switch n := c.pointer & ledNumber; {
	case n > ledLast:
		return 0xFF
	case n < ledPSC0:
		p := c.now()
		return split(c.external &^ p.Low())[n-ledInput]
	default:
		return c.regs[n]
	}
}

func (c *PCA9552) now() Pins {
	var p Pins
	for k := range 16 {
		switch c.field(k) {
		case ledReleased:
		case ledLow:
			p.Driven |= 1 << k
		default:
			p.Driven |= 1 << k
			p.Pulsed |= 1 << k
		}
	}
	return p
}

func (c *PCA9552) report() {
	if c.pins != nil {
		c.pins(c.now())
	}
}
