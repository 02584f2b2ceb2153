package drivertest

import (
	"sync"
	"time"
)

// Registers of the INA3221 (TI SBOS576). Shunt and bus of the channels alternate from 01 on, critical and
// warning limits from 07 on.
const (
	ina3Config     = 0x00
	ina3Shunt1     = 0x01
	ina3Bus3       = 0x06
	ina3Critical1  = 0x07
	ina3Warning1   = 0x08
	ina3Sum        = 0x0D
	ina3SumLimit   = 0x0E
	ina3Mask       = 0x0F
	ina3ValidUpper = 0x10
	ina3ValidLower = 0x11
	ina3Maker      = 0xFE
	ina3Die        = 0xFF
)

// Bits of the Mask/Enable register.
const (
	ina3Ready    = 1 << 0
	ina3Timing   = 1 << 1
	ina3Valid    = 1 << 2
	ina3Warning  = 1 << 5 // of channel 1; the others are below
	ina3SumAlert = 1 << 6
	ina3Critical = 1 << 9 // of channel 1; the others are below
	ina3Summed   = 1 << 14
	ina3Settable = 0x7C00
)

// ina3PowerOn are the settings at power-on; all but CONFIG's are recalled.
var ina3PowerOn = map[byte]uint16{
	ina3Config: 0x7127, 0x07: 0x7FF8, 0x08: 0x7FF8, 0x09: 0x7FF8, 0x0A: 0x7FF8, 0x0B: 0x7FF8, 0x0C: 0x7FF8,
	ina3SumLimit: 0x7FFE, ina3Mask: 0, ina3ValidUpper: 0x2710, ina3ValidLower: 0x2328,
}

// INA3221Channel is what one channel of the monitor is wired to.
type INA3221Channel struct {
	Amps     Quantity // through the shunt; nil is none
	Volts    Quantity // at the load side; nil is none
	ShuntOhm float64
}

// INA3221 is a DC monitor of three channels, shunt and bus voltage each, high byte first (TI INA3221, SBOS576). It
// computes no current. A channel that is switched off keeps its last results.
//
// Left out: the timing-control alert, whose flag stays 1, and the alert pins; a flag is set by the conversion that ends
// last before a transfer.
type INA3221 struct {
	mu       sync.Mutex
	now      func() time.Time
	channels [3]INA3221Channel
	pointer  byte
	regs     map[byte]uint16
	results  [6]uint16 // registers 01 to 06
	sum      uint16
	flags    uint16
	begun    time.Time
	idle     bool
}

// NewINA3221 is a monitor that has been powered for a while: a conversion is complete. now nil means the system's clock.
func NewINA3221(channels [3]INA3221Channel, now func() time.Time) *INA3221 {
	c := &INA3221{now: clock(now), channels: channels}
	c.defaults()
	c.measure(c.begun.Add(-c.period()), c.begun)
	return c
}

func (c *INA3221) defaults() {
	c.pointer = 0
	c.regs = make(map[byte]uint16, len(ina3PowerOn))
	for reg, v := range ina3PowerOn {
		c.regs[reg] = v
	}
	c.results, c.sum, c.flags = [6]uint16{}, 0, ina3Timing
	c.begun, c.idle = c.now(), false
}

// Reset is a brown-out: settings and results are lost, and the first conversion begins.
func (c *INA3221) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.defaults()
}

// Tx sets the pointer, writes a register and reads it, high byte first; reading on repeats the register.
func (c *INA3221) Tx(w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if from, to, ok := inaDue(c.regs[ina3Config], c.period(), &c.begun, &c.idle, c.now()); ok {
		c.measure(from, to)
	}
	if len(w) > 0 {
		c.pointer = w[0]
	}
	if len(w) >= 3 {
		c.write(word(w[1:]))
	}
	if len(r) > 0 {
		repeatWord(r, c.read())
	}
	return nil
}

func (c *INA3221) write(v uint16) {
	reg := c.pointer
	_, known := c.regs[reg]
	switch {
	case reg == ina3Config && v&0x8000 != 0:
		c.defaults()
	case reg == ina3Config:
		c.regs[reg] = v
		c.begun, c.idle = c.now(), false
		c.flags &^= ina3Ready
	case reg == ina3Mask:
		c.regs[reg] = v & ina3Settable
	case reg == ina3SumLimit:
		c.regs[reg] = v &^ 1
	case known:
		c.regs[reg] = v &^ 7
	}
}

// read gives the register at the pointer; 0000 where there is none, which the data sheet leaves open. Reading
// Mask/Enable takes the ready flag and the alerts away.
func (c *INA3221) read() uint16 {
	switch reg := c.pointer; {
	case reg >= ina3Shunt1 && reg <= ina3Bus3:
		return c.results[reg-ina3Shunt1]
	case reg == ina3Sum:
		return c.sum
	case reg == ina3Mask:
		v := c.regs[reg] | c.flags
		c.flags &= ina3Timing | ina3Valid
		return v
	case reg == ina3Maker:
		return inaTI
	case reg == ina3Die:
		return 0x3220
	default:
		return c.regs[reg]
	}
}

// enabled tells whether channel i converts: CONFIG bit 14 is channel 1.
func (c *INA3221) enabled(i int) bool { return c.regs[ina3Config]>>(14-i)&1 != 0 }

// period is how long one round over the enabled channels takes.
func (c *INA3221) period() time.Duration {
	n := 0
	for i := range c.channels {
		if c.enabled(i) {
			n++
		}
	}
	return inaPeriod(c.regs[ina3Config], n)
}

// measure makes the registers of one round: 13 bits, left-justified, 40 µV and 8 mV.
func (c *INA3221) measure(from, to time.Time) {
	config := c.regs[ina3Config]
	n := inaAverages[config>>9&7]
	for i, ch := range c.channels {
		if !c.enabled(i) {
			continue
		}
		if config&1 != 0 {
			code := nearest(mean(ch.Amps, from, to, n)*ch.ShuntOhm, 40e-6, -4096, 4095)
			c.results[2*i] = uint16(int16(code) << 3)
		}
		if config&2 != 0 {
			c.results[2*i+1] = uint16(nearest(mean(ch.Volts, from, to, n), 8e-3, 0, 4095)) << 3
		}
	}
	c.flags |= ina3Ready
	c.judge()
}

// judge sets the alerts, the sum of the channels chosen in Mask/Enable, and the flag for valid power.
func (c *INA3221) judge() {
	var sum int
	valid, lost := true, false
	for i := range c.channels {
		shunt, bus := int16(c.results[2*i]), c.results[2*i+1]
		if shunt > int16(c.regs[byte(ina3Critical1+2*i)]) {
			c.flags |= ina3Critical >> i
		}
		if shunt > int16(c.regs[byte(ina3Warning1+2*i)]) {
			c.flags |= ina3Warning >> i
		}
		if c.regs[ina3Mask]&(ina3Summed>>i) != 0 {
			sum += int(shunt >> 3)
		}
		if c.enabled(i) {
			valid = valid && bus >= c.regs[ina3ValidUpper]
			lost = lost || bus < c.regs[ina3ValidLower]
		}
	}
	c.sum = uint16(int16(min(max(sum, -1<<14), 1<<14-1)) << 1)
	if int16(c.sum) > int16(c.regs[ina3SumLimit]) {
		c.flags |= ina3SumAlert
	}
	switch {
	case valid:
		c.flags |= ina3Valid
	case lost:
		c.flags &^= ina3Valid
	}
}
