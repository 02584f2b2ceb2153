package drivertest

import (
	"math"
	"sync"
	"time"
)

// Bits of the TMP75's configuration register (TI SBOS288, table 7).
const (
	tmpShutdown = 1 << 0
	tmpOneShot  = 1 << 7
)

// TMP75 is a temperature sensor. It converts on its own with 9 bits at power-on; the resolution is set in the
// configuration register and takes effect with the next whole conversion.
type TMP75 struct {
	mu      sync.Mutex
	now     func() time.Time
	celsius func(time.Time) float64
	pointer byte
	config  byte
	limits  [2]uint16 // T_low, T_high
	value   uint16    // the last whole conversion
	begun   time.Time // the conversion now running
}

// NewTMP75 is a sensor that has just been powered and has finished one conversion. The function gives the true
// temperature; now nil means the system's clock.
func NewTMP75(celsius func(time.Time) float64, now func() time.Time) *TMP75 {
	c := &TMP75{now: clock(now), celsius: celsius}
	c.defaults()
	return c
}

func (c *TMP75) defaults() {
	c.pointer, c.config = 0, 0
	c.limits = [2]uint16{0x4B00, 0x5000} // 75 and 80 °C
	c.begun = c.now()
	c.value = c.sample(c.begun)
}

// Reset puts the registers at their power-on values.
func (c *TMP75) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.defaults()
}

// Tx sets the pointer, writes registers and reads them, high byte first.
func (c *TMP75) Tx(w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.convert(c.now())
	if len(w) > 0 {
		c.pointer = w[0] & 3
		c.write(w[1:])
	}
	v := c.register()
	for i := range r {
		if i%2 == 0 || c.pointer == 1 {
			r[i] = byte(v >> 8)
		} else {
			r[i] = byte(v)
		}
	}
	return nil
}

func (c *TMP75) write(data []byte) {
	switch {
	case c.pointer == 1 && len(data) > 0:
		c.config = data[0]
		c.begun = c.now()
		if c.config&tmpOneShot != 0 && c.config&tmpShutdown != 0 {
			c.value = c.sample(c.begun)
		}
	case c.pointer >= 2 && len(data) >= 2:
		c.limits[c.pointer-2] = uint16(data[0])<<8 | uint16(data[1])
	}
}

func (c *TMP75) register() uint16 {
	switch c.pointer {
	case 0:
		return c.value
	case 1:
		return uint16(c.config&^tmpOneShot) << 8
	default:
		return c.limits[c.pointer-2]
	}
}

// resolution is how many bits count: 9 to 12.
func (c *TMP75) resolution() int { return 9 + int(c.config>>5&3) }

// period is how long one conversion takes, typical: 27.5, 55, 110, 220 ms (SBOS288, table 8).
func (c *TMP75) period() time.Duration {
	return 27500 * time.Microsecond << (c.resolution() - 9)
}

// convert completes the conversions that ended up to a moment.
func (c *TMP75) convert(at time.Time) {
	if c.config&tmpShutdown != 0 {
		return
	}
	if n := at.Sub(c.begun) / c.period(); n > 0 {
		c.begun = c.begun.Add(n * c.period())
		c.value = c.sample(c.begun)
	}
}

// sample is the register for the temperature at a moment: 1/256 °C, unused low bits zero, clamped at the range of
// the register.
func (c *TMP75) sample(at time.Time) uint16 {
	unused := 16 - c.resolution()
	steps := math.Floor(c.celsius(at) * 256 / float64(int(1)<<unused))
	limit := float64(int(1) << (15 - unused))
	steps = min(max(steps, -limit), limit-1)
	return uint16(int16(int(steps) << unused))
}
