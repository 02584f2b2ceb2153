package drivertest

import "sync"

// muxChannels is how many downstream buses a PCA9548 has; a PCA9546 has the first four.
const muxChannels = 8

// PCA9548 is an 8-channel I2C switch (NXP PCA9548A, TI TCA9548A): one control byte, bit n connects channel n to the
// upstream bus, several may be connected at once, and none is at power-on. While a channel is connected its devices
// answer on the upstream bus at their own addresses.
type PCA9548 struct {
	mu       sync.Mutex
	control  byte
	channels [muxChannels]Segment
}

// NewPCA9548 is a switch with nothing connected.
func NewPCA9548() *PCA9548 { return &PCA9548{} }

// Channel is the bus behind channel n, 0 to 7; devices are attached to it.
func (c *PCA9548) Channel(n int) *Segment { return &c.channels[n] }

// Control is the control byte as it stands.
func (c *PCA9548) Control() byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.control
}

// Tx writes the control byte (of several the last counts) and reads it back.
func (c *PCA9548) Tx(w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(w) > 0 {
		c.control = w[len(w)-1]
	}
	for i := range r {
		r[i] = c.control
	}
	return nil
}

// Reset disconnects all channels: brown-out, RESET pin, or the switch that forgot its channel.
func (c *PCA9548) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.control = 0
}

// connected are the segments now joined to the upstream bus.
func (c *PCA9548) connected() []*Segment {
	control := c.Control()
	var out []*Segment
	for n := range c.channels {
		if control&(1<<n) != 0 {
			out = append(out, &c.channels[n])
		}
	}
	return out
}
