package drivertest

import "sync"

// Mux is an I2C switch: one control byte, bit n connects channel n to the upstream bus, several may be connected at
// once, and none is at power-on. While a channel is connected its devices answer on the upstream bus at their own
// addresses. A device may itself be a Mux.
//
// The connection follows the control byte at the STOP: a transfer that selects a channel does not reach what is behind
// it.
type Mux struct {
	mu         sync.Mutex
	channels   []Segment
	senses     bool // bits 7:4 show the channels' interrupt lines: PCA9545
	interrupts byte
	control    byte
	wedged     bool // a hang that nothing ends was once connected

	// Faults, a bit per channel.
	stuckOn, stuckOff   byte // the switch of the channel does not follow its bit
	bitsOn, bitsOff     byte // the bit does not follow what is written
	hangs, hangsForEver byte
}

// PCA9548 is the name of a Mux with eight channels.
type PCA9548 = Mux

// NewPCA9548 is an 8-channel switch (NXP PCA9548A, TI TCA9548A) with nothing connected.
func NewPCA9548() *Mux { return &Mux{channels: make([]Segment, 8)} }

// NewPCA9546 is a 4-channel switch (NXP PCA9546A, TI TCA9546A) with nothing connected. Bits 7:4 read 0.
func NewPCA9546() *Mux { return &Mux{channels: make([]Segment, 4)} }

// NewPCA9545 is a 4-channel switch (NXP PCA9545A, TI TCA9545A) with nothing connected. Bits 7:4 tell which channels pull
// their interrupt lines.
func NewPCA9545() *Mux { return &Mux{channels: make([]Segment, 4), senses: true} }

// Channel is the bus behind channel n, from 0; devices are attached to it.
func (c *Mux) Channel(n int) *Segment { return &c.channels[n] }

// Channels is how many channels the switch has.
func (c *Mux) Channels() int { return len(c.channels) }

// Control is the part of the control byte that connects channels, as it stands.
func (c *Mux) Control() byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.control
}

// Interrupt makes the devices of channel n of a PCA9545 pull their interrupt line, or let it go.
func (c *Mux) Interrupt(n int, on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	assign(&c.interrupts, 0x10<<n, on && c.senses)
}

// Stick breaks the switch of channel n: it stays connected or not, whatever the control byte says, which reads back as
// written. No reset ends it.
func (c *Mux) Stick(n int, connected bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	assign(&c.stuckOn, 1<<n, connected)
	assign(&c.stuckOff, 1<<n, !connected)
	c.settle()
}

// StickBit breaks bit n of the control byte: it stays as it is told, and shows it. No reset ends it.
func (c *Mux) StickBit(n int, set bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	assign(&c.bitsOn, 1<<n, set)
	assign(&c.bitsOff, 1<<n, !set)
	c.settle()
}

// Hang lets a device on channel n hold a line low. From the moment the channel is connected every transfer on the
// upstream bus, the switch's own included, fails as on a stuck bus, until Reset, the RESET pin, disconnects it; nine
// clocks do not help. Once a hang for ever has been connected nothing but Heal ends it.
func (c *Mux) Hang(n int, forEver bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hangs |= 1 << n
	assign(&c.hangsForEver, 1<<n, forEver)
	c.settle()
}

// Heal ends all faults of the switch and its channels.
func (c *Mux) Heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stuckOn, c.stuckOff, c.bitsOn, c.bitsOff, c.hangs, c.hangsForEver = 0, 0, 0, 0, 0, 0
	c.wedged = false
}

// Tx writes the control byte (of several the last counts) and reads it back.
func (c *Mux) Tx(w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(w) > 0 {
		c.control = w[len(w)-1]
		c.settle()
	}
	fill(r, c.control|c.interrupts)
	return nil
}

// Reset disconnects all channels: brown-out, RESET pin, or the switch that forgot its channel.
func (c *Mux) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.control = 0
	c.settle()
}

// settle brings what depends on the control byte up to date.
func (c *Mux) settle() {
	c.control &= 1<<len(c.channels) - 1
	c.control = (c.control | c.bitsOn) &^ c.bitsOff
	if c.joined()&c.hangsForEver != 0 {
		c.wedged = true
	}
}

// joined are the channels connected now, a bit each.
func (c *Mux) joined() byte { return (c.control | c.stuckOn) &^ c.stuckOff }

// connected are the segments now joined to the upstream bus.
func (c *Mux) connected() []*Segment {
	c.mu.Lock()
	joined := c.joined()
	c.mu.Unlock()
	var out []*Segment
	for n := range c.channels {
		if joined&(1<<n) != 0 {
			out = append(out, &c.channels[n])
		}
	}
	return out
}

// holds tells whether something behind the switch, or the switch itself, holds the upstream bus.
func (c *Mux) holds() bool {
	c.mu.Lock()
	held := c.wedged || c.joined()&c.hangs != 0
	c.mu.Unlock()
	if held {
		return true
	}
	for _, s := range c.connected() {
		if s.held() {
			return true
		}
	}
	return false
}

// assign sets or clears bits.
func assign(v *byte, bits byte, on bool) {
	if on {
		*v |= bits
	} else {
		*v &^= bits
	}
}
