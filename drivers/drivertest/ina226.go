package drivertest

import (
	"math"
	"sync"
	"time"
)

// Registers of the INA226 (TI SBOS547).
const (
	ina226Config      = 0x00
	ina226Shunt       = 0x01
	ina226Bus         = 0x02
	ina226Power       = 0x03
	ina226Current     = 0x04
	ina226Calibration = 0x05
	ina226Mask        = 0x06
	ina226Limit       = 0x07
	ina226Maker       = 0xFE
	ina226Die         = 0xFF
)

const (
	ina226PowerOn = 0x4127 // continuous, shunt and bus, 1.1 ms each, no averaging
	inaTI         = 0x5449 // "TI"
)

// Bits of the Mask/Enable register.
const (
	ina226Latched  = 1 << 0
	ina226Overflow = 1 << 2
	ina226Ready    = 1 << 3
	ina226Alert    = 1 << 4
	ina226Settable = 0xFC03
)

// Conversion times and averages of the INA226 and the INA3221, by their codes (Linux driver ina2xx).
var (
	ina226Micros = [8]int{140, 204, 332, 588, 1100, 2116, 4156, 8244}
	inaAverages  = [8]int{1, 4, 16, 64, 128, 256, 512, 1024}
)

// INA226Opts is how a monitor is wired, and what it sees.
type INA226Opts struct {
	Amps     Quantity // through the shunt; nil is none
	Volts    Quantity // at the bus pin; nil is none
	ShuntOhm float64
	Now      func() time.Time // nil: the system's clock
}

// INA226 is a DC power monitor with 16-bit registers, high byte first (TI INA226, SBOS547). CALIBRATION is volatile: after
// a brown-out it is 0, and current and power read 0 while the voltages look well.
//
// Left out: the alert pin, the SMBus alert response and high-speed mode.
type INA226 struct {
	mu      sync.Mutex
	o       INA226Opts
	pointer byte
	regs    map[byte]uint16 // settings
	shunt   int16
	bus     uint16
	current uint16
	power   uint16
	flags   uint16
	begun   time.Time // the conversion now running
	idle    bool      // a triggered conversion is over
}

// NewINA226 is a monitor that has been powered for a while: a conversion is complete.
func NewINA226(o INA226Opts) *INA226 {
	o.Now = clock(o.Now)
	c := &INA226{o: o}
	c.defaults()
	c.measure(c.begun.Add(-c.period()), c.begun)
	return c
}

func (c *INA226) defaults() {
	c.pointer = 0
	c.regs = map[byte]uint16{ina226Config: ina226PowerOn, ina226Calibration: 0, ina226Mask: 0, ina226Limit: 0}
	c.shunt, c.bus, c.current, c.power, c.flags = 0, 0, 0, 0, 0
	c.begun, c.idle = c.o.Now(), false
}

// Reset is a brown-out: settings and results are lost, and the first conversion begins.
func (c *INA226) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.defaults()
}

// Calibration is the register that makes current and power mean something; 0 after power-on.
func (c *INA226) Calibration() uint16 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.regs[ina226Calibration]
}

// Tx sets the pointer, writes a register and reads it, high byte first; reading on repeats the register.
func (c *INA226) Tx(w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.convert(c.o.Now())
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

func (c *INA226) write(v uint16) {
	switch c.pointer {
	case ina226Config:
		if v&0x8000 != 0 {
			pointer := c.pointer
			c.defaults()
			c.pointer = pointer
			return
		}
		c.regs[ina226Config] = v&0x0FFF | 0x4000
		c.begun, c.idle = c.o.Now(), false
		c.flags &^= ina226Ready
	case ina226Calibration:
		c.regs[ina226Calibration] = v & 0x7FFF
	case ina226Mask:
		c.regs[ina226Mask] = v & ina226Settable
	case ina226Limit:
		c.regs[ina226Limit] = v
	}
}

// read gives the register at the pointer; 0000 where there is none, which the data sheet leaves open. Reading
// Mask/Enable takes the ready flag away, and a latched alert.
func (c *INA226) read() uint16 {
	switch c.pointer {
	case ina226Shunt:
		return uint16(c.shunt)
	case ina226Bus:
		return c.bus
	case ina226Power:
		return c.power
	case ina226Current:
		return c.current
	case ina226Mask:
		v := c.regs[ina226Mask] | c.flags
		c.flags &^= ina226Ready
		if c.regs[ina226Mask]&ina226Latched != 0 {
			c.flags &^= ina226Alert
		}
		return v
	case ina226Maker:
		return inaTI
	case ina226Die:
		return 0x2260
	default:
		return c.regs[c.pointer]
	}
}

// period is how long one conversion of all that is enabled takes.
func (c *INA226) period() time.Duration { return inaPeriod(c.regs[ina226Config], 1) }

// inaPeriod is the time that a configuration of an INA226 or INA3221 asks for: averages times the enabled conversions.
func inaPeriod(config uint16, channels int) time.Duration {
	var us int
	if config&1 != 0 {
		us += ina226Micros[config>>3&7]
	}
	if config&2 != 0 {
		us += ina226Micros[config>>6&7]
	}
	return time.Duration(us*inaAverages[config>>9&7]*channels) * time.Microsecond
}

// convert completes the conversions that ended up to a moment.
func (c *INA226) convert(at time.Time) {
	if from, to, ok := inaDue(c.regs[ina226Config], c.period(), &c.begun, &c.idle, at); ok {
		c.measure(from, to)
	}
}

// inaDue finds the last conversion that ended up to a moment, if there is one. A triggered one is made once.
func inaDue(config uint16, period time.Duration, begun *time.Time, idle *bool, at time.Time) (from, to time.Time, ok bool) {
	if config&3 == 0 || *idle || period <= 0 || at.Sub(*begun) < period {
		return from, to, false
	}
	n := at.Sub(*begun) / period
	if config&4 == 0 {
		n, *idle = 1, true
	}
	*begun = begun.Add(n * period)
	return begun.Add(-period), *begun, true
}

// measure makes the registers of one conversion. Current and power are computed in the chip: from CALIBRATION, and
// wrong, with bit 2 set, where they do not fit. The data sheet calls them then "invalid"; here the upper bits are lost.
func (c *INA226) measure(from, to time.Time) {
	config := c.regs[ina226Config]
	n := inaAverages[config>>9&7]
	if config&1 != 0 {
		c.shunt = int16(nearest(mean(c.o.Amps, from, to, n)*c.o.ShuntOhm, 2.5e-6, math.MinInt16, math.MaxInt16))
	}
	if config&2 != 0 {
		c.bus = uint16(nearest(mean(c.o.Volts, from, to, n), 1.25e-3, 0, math.MaxInt16))
	}
	current := int64(c.shunt) * int64(c.regs[ina226Calibration]) / 2048
	c.flags |= ina226Ready
	c.flags &^= ina226Overflow
	if current < math.MinInt16 || current > math.MaxInt16 {
		c.flags |= ina226Overflow
	}
	c.current = uint16(current)
	power := magnitude(int64(int16(c.current))) * int64(c.bus) / 20000 // the power register has no sign (recalled)
	if power > math.MaxUint16 {
		c.flags |= ina226Overflow
	}
	c.power = uint16(power)
	c.alert()
}

// alert judges the limit whose enable bit is the highest.
func (c *INA226) alert() {
	mask, limit := c.regs[ina226Mask], c.regs[ina226Limit]
	var hit bool
	switch {
	case mask&0x8000 != 0:
		hit = c.shunt > int16(limit)
	case mask&0x4000 != 0:
		hit = c.shunt < int16(limit)
	case mask&0x2000 != 0:
		hit = c.bus > limit
	case mask&0x1000 != 0:
		hit = c.bus < limit
	case mask&0x0800 != 0:
		hit = c.power > limit
	}
	switch {
	case hit:
		c.flags |= ina226Alert
	case mask&ina226Latched == 0:
		c.flags &^= ina226Alert
	}
}

// meanPoints is how many moments an averaged conversion looks at: arbitrary, enough for steps and ramps in a test.
const meanPoints = 16

// mean is a quantity over a conversion of n samples; nil is 0.
func mean(q Quantity, from, to time.Time, n int) float64 {
	if q == nil {
		return 0
	}
	n = min(max(n, 1), meanPoints)
	var sum float64
	for i := range n {
		sum += q(from.Add(to.Sub(from) * time.Duration(2*i+1) / time.Duration(2*n)))
	}
	return sum / float64(n)
}

// nearest is a value as a code: rounded, and clipped at the ends of its register. What is no number gives the low end.
func nearest(v, step, low, high float64) int64 {
	n := math.Round(v / step)
	if !(n > low) {
		return int64(low)
	}
	return int64(min(n, high))
}

func magnitude(v int64) int64 {
	if v < 0 {
		return -v
	}
	return v
}

// word is the first two bytes of data, high byte first.
func word(b []byte) uint16 { return uint16(b[0])<<8 | uint16(b[1]) }

// repeatWord fills a read with a word, high byte first, over and over.
func repeatWord(r []byte, v uint16) {
	for i := range r {
		r[i] = byte(v >> (8 - i%2*8))
	}
}
