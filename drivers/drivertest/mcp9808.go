package drivertest

import (
	"sync"
	"time"
)

// Registers of the MCP9808 (Microchip DS25095A, register pointer).
const (
	mcpConfig       = 1
	mcpUpper        = 2
	mcpLower        = 3
	mcpCritical     = 4
	mcpAmbient      = 5
	mcpManufacturer = 6
	mcpDevice       = 7
	mcpResolution   = 8 // the only one of 8 bits
)

// Bits of those registers. Which of T_A's flags means what, and which bits CONFIG and the limits have, is recalled.
const (
	mcpShutdown = 1 << 8  // CONFIG
	mcpSettings = 0x07CF  // bits of CONFIG that take a write
	mcpLimit    = 0x1FFC  // bits of a limit: 0.25 °C
	mcpCelsius  = 0x1FFF  // T_A: sign and magnitude
	mcpTooHot   = 1 << 15 // T_A: not below T_CRIT
	mcpAbove    = 1 << 14 // T_A: above T_UPPER
	mcpBelow    = 1 << 13 // T_A: below T_LOWER
)

// MCP9808 is a temperature sensor of 13 bits, 1/16 °C, with an identification and three flags in the word of the
// temperature. Nothing of it has to be set up. The alert output, its hysteresis and the locks of CONFIG are not
// simulated.
type MCP9808 struct {
	mu         sync.Mutex
	now        func() time.Time
	celsius    Quantity
	pointer    byte
	config     uint16
	limits     [3]uint16 // T_UPPER, T_LOWER, T_CRIT
	resolution byte
	value      uint16    // the last whole conversion, with its flags
	begun      time.Time // the conversion now running
}

// NewMCP9808 is a sensor that has been powered for a while: a conversion is complete. now nil means the system's clock.
func NewMCP9808(celsius Quantity, now func() time.Time) *MCP9808 {
	c := &MCP9808{now: clock(now), celsius: celsius}
	c.defaults()
	c.value = c.sample(c.begun)
	return c
}

// defaults are the power-on values: converting, limits at 0 °C (recalled), the finest resolution.
func (c *MCP9808) defaults() {
	c.pointer, c.config, c.limits, c.resolution = 0, 0, [3]uint16{}, 3
	c.begun = c.now()
	c.value = 0 // until the first conversion is complete
}

// Reset puts the registers at their power-on values. The temperature reads 0 °C without a flag until a conversion is
// complete.
func (c *MCP9808) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.defaults()
}

// SetCelsius sets the true temperature from now on. It shows when the next conversion is complete.
func (c *MCP9808) SetCelsius(v float64) { c.Follow(Constant(v)) }

// Follow gives the true temperature as a function of time.
func (c *MCP9808) Follow(q Quantity) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.convert(c.now())
	c.celsius = q
}

// Tx sets the pointer, writes a register and reads it, high byte first. What a read gives past the end of a register is
// left open by the data sheet; here it begins again.
func (c *MCP9808) Tx(w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.now()
	c.convert(at)
	if len(w) > 0 {
		c.pointer = w[0] & 0x0F
		c.write(w[1:], at)
	}
	v := c.register()
	for i := range r {
		r[i] = byte(v >> 8)
		if i%2 == 1 {
			r[i] = byte(v)
		}
	}
	return nil
}

// write stores whole registers only. T_A and the identification take no writes.
func (c *MCP9808) write(data []byte, at time.Time) {
	if c.pointer == mcpResolution && len(data) > 0 {
		c.resolution = data[0] & 3
		c.begun = at // whether the conversion now running begins anew is recalled
		return
	}
	if len(data) < 2 {
		return
	}
	word := uint16(data[0])<<8 | uint16(data[1])
	switch c.pointer {
	case mcpConfig:
		if c.config&^word&mcpShutdown != 0 { // woken up
			c.begun = at
		}
		c.config = word & mcpSettings
	case mcpUpper, mcpLower, mcpCritical:
		c.limits[c.pointer-mcpUpper] = word & mcpLimit
	}
}

// register is the word behind the pointer. The one of 8 bits reads the same byte again and again.
func (c *MCP9808) register() uint16 {
	switch c.pointer {
	case mcpConfig:
		return c.config
	case mcpUpper, mcpLower, mcpCritical:
		return c.limits[c.pointer-mcpUpper]
	case mcpAmbient:
		return c.value
	case mcpManufacturer:
		return 0x0054
	case mcpDevice:
		return 0x0400
	case mcpResolution:
		return uint16(c.resolution)<<8 | uint16(c.resolution)
	default: // reserved, and left open by the data sheet
		return 0
	}
}

// period is how long one conversion takes, typical (the three coarser ones are recalled).
func (c *MCP9808) period() time.Duration {
	return [...]time.Duration{30 * time.Millisecond, 65 * time.Millisecond, 130 * time.Millisecond, 250 * time.Millisecond}[c.resolution]
}

// convert completes the conversions that ended up to a moment. Shut down, it keeps the last one.
func (c *MCP9808) convert(at time.Time) {
	if c.config&mcpShutdown != 0 {
		return
	}
	if n := at.Sub(c.begun) / c.period(); n > 0 {
		c.begun = c.begun.Add(n * c.period())
		c.value = c.sample(c.begun)
	}
}

// sample is the register for the temperature at a moment: 1/16 °C, or as many as the resolution leaves, with the flags
// of the limits. It goes to the ends of the register: what the part gives outside -40 to 125 °C is left open.
func (c *MCP9808) sample(at time.Time) uint16 {
	steps := quantise(c.celsius(at), 0.0625, -4096, 4095) &^ (1<<(3-c.resolution) - 1)
	word := uint16(steps) & mcpCelsius
	if steps >= c.limit(mcpCritical) {
		word |= mcpTooHot
	}
	if steps > c.limit(mcpUpper) {
		word |= mcpAbove
	}
	if steps < c.limit(mcpLower) {
		word |= mcpBelow
	}
	return word
}

// limit is a limit in steps of the temperature.
func (c *MCP9808) limit(register int) int { return int(int16(c.limits[register-mcpUpper]<<3) >> 3) }
