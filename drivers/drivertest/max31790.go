package drivertest

import (
	"math"
	"slices"
	"sync"
	"time"
)

// Registers of the MAX31790 (Maxim 19-6540; Linux driver max31790). Words are high byte first.
const (
	max790Global     = 0x00
	max790Frequency  = 0x01
	max790Config     = 0x02 // + fan
	max790Dynamics   = 0x08 // + fan
	max790Fault2     = 0x10 // tachometers 7 to 12
	max790Fault1     = 0x11 // tachometers 1 to 6
	max790Mask2      = 0x12
	max790Mask1      = 0x13
	max790Sequence   = 0x14
	max790Tach       = 0x18 // + 2 * tachometer
	max790Duty       = 0x30 // + 2 * fan
	max790DutyEnd    = 0x3B
	max790Target     = 0x40 // + 2 * fan: duty
	max790TargetEnd  = 0x4B
	max790Speed      = 0x50 // + 2 * fan: count
	max790SpeedEnd   = 0x5B
	max790User       = 0x60
	max790UserEnd    = 0x67
	max790Fans       = 6
	max790TachEnd    = 0x2F
	max790Stopped    = 0x7FF
	max790DutySteps  = 511
	max790ResetBit   = 1 << 6 // global configuration
	max790Standby    = 1 << 7
	max790Expired    = 1 << 0
	max790ByRPM      = 1 << 7 // fan configuration
	max790TachEnable = 1 << 3
)

// MAX31790Opts is how a fan controller is strapped, and what it drives.
type MAX31790Opts struct {
	Fan    FanFunc // nil: a fan of 4000 rpm
	Pulses int     // of the tachometer per turn; 0 is 2
	// StartDuty is the duty after power-on, 0 to 1: PWM_START.
	StartDuty float64
	// Hold leaves the duties as they are when the watchdog expires; otherwise they go to full. Which of the two a board
	// does is a matter of its straps and settings.
	Hold bool
	Now  func() time.Time // nil: the system's clock
}

// MAX31790 is a controller of six fans (Maxim MAX31790). Registers follow one another in reads and writes. Power-on
// values are recalled, but for the four tachometer periods in the dynamics registers.
//
// Left out: PWM outputs used as tachometers 7 to 12, whose counts read as stopped; spin-up, ramps and the sequential
// start. A closed loop finds its duty at once. A tachometer that is not enabled counts nothing (assumed).
type MAX31790 struct {
	mu      sync.Mutex
	o       MAX31790Opts
	pointer byte
	regs    map[byte]byte
	touched time.Time // last transfer
	writes  []FanWrite
}

// NewMAX31790 is a controller after power-on.
func NewMAX31790(o MAX31790Opts) *MAX31790 {
	o.Now = clock(o.Now)
	if o.Fan == nil {
		o.Fan = defaultFan
	}
	if o.Pulses == 0 {
		o.Pulses = 2
	}
	c := &MAX31790{o: o}
	c.defaults()
	return c
}

func (c *MAX31790) defaults() {
	c.pointer, c.touched = 0, c.o.Now()
	c.regs = map[byte]byte{
		max790Global: 0, max790Frequency: 0x44, max790Fault2: 0, max790Fault1: 0, max790Mask2: 0x3F, max790Mask1: 0x3F, max790Sequence: 0x45,
	}
	for n := range byte(max790Fans) {
		c.regs[max790Config+n], c.regs[max790Dynamics+n] = 0, 0x4C
		c.setWord(max790Target+2*n, uint16(nearest(c.o.StartDuty, 1.0/max790DutySteps, 0, max790DutySteps))<<7)
		c.setWord(max790Speed+2*n, 0x3C00)
	}
	for reg := byte(max790User); reg <= max790UserEnd; reg++ {
		c.regs[reg] = 0
	}
}

func (c *MAX31790) setWord(reg byte, v uint16) { c.regs[reg], c.regs[reg+1] = byte(v>>8), byte(v) }
func (c *MAX31790) word(reg byte) uint16       { return uint16(c.regs[reg])<<8 | uint16(c.regs[reg+1]) }

// Reset is a brown-out.
func (c *MAX31790) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.defaults()
}

// SetFan changes how the fans turn.
func (c *MAX31790) SetFan(f FanFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.o.Fan = f
}

// Load sets a register as a program that ran before would have left it; it is not recorded.
func (c *MAX31790) Load(reg, v byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.store(reg, v)
}

// Writes are the bytes written so far, in order, those without effect included.
func (c *MAX31790) Writes() []FanWrite {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.writes)
}

// Duty is what fan n (from 0) is driven with now, 0 to 1.
func (c *MAX31790) Duty(n int) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watch()
	return float64(c.duty(n)) / max790DutySteps
}

// RPM is how fast fan n (from 0) turns now.
func (c *MAX31790) RPM(n int) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watch()
	return c.o.Fan(n, float64(c.duty(n))/max790DutySteps, c.o.Now())
}

// Tx sets the register address, writes registers and reads them, one after another. Every transfer feeds the watchdog.
func (c *MAX31790) Tx(w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watch()
	c.touched = c.o.Now()
	if len(w) > 0 {
		c.pointer = w[0]
		for _, b := range w[1:] {
			c.writes = append(c.writes, FanWrite{c.pointer, b})
			c.store(c.pointer, b)
			c.pointer++
		}
	}
	for i := range r {
		r[i] = c.read(c.pointer)
		c.pointer++
	}
	return nil
}

// watch does what the board does when the watchdog expires: 5, 10 or 30 s without a transfer.
func (c *MAX31790) watch() {
	limit := [4]time.Duration{0, 5 * time.Second, 10 * time.Second, 30 * time.Second}[c.regs[max790Global]>>1&3]
	if limit == 0 || c.o.Now().Sub(c.touched) < limit {
		return
	}
	c.regs[max790Global] |= max790Expired
	if c.o.Hold {
		return
	}
	for n := range byte(max790Fans) {
		c.setWord(max790Target+2*n, max790DutySteps<<7)
		c.regs[max790Config+n] &^= max790ByRPM
	}
}

func (c *MAX31790) store(reg, v byte) {
	if _, known := c.regs[reg]; !known || reg == max790Fault1 || reg == max790Fault2 {
		return // read only, or nothing there
	}
	if reg == max790Global && v&max790ResetBit != 0 {
		pointer := c.pointer
		c.defaults()
		c.pointer = pointer
		return
	}
	switch low := reg&1 != 0; {
	case reg >= max790Target && reg <= max790TargetEnd && low:
		v &= 0x80
	case reg >= max790Speed && reg <= max790SpeedEnd && low:
		v &= 0xE0
	}
	c.regs[reg] = v
}

// read gives a register; 00 where there is none. The watchdog's status bit is cleared by writing it.
func (c *MAX31790) read(reg byte) byte {
	half := func(v uint16) byte { return byte(v >> (8 - reg&1*8)) }
	switch n := int(reg&^1) - max790Tach; {
	case reg >= max790Tach && reg <= max790TachEnd:
		return half(uint16(c.count(n/2)) << 5)
	case reg >= max790Duty && reg <= max790DutyEnd:
		return half(uint16(c.duty(int(reg-max790Duty)/2)) << 7)
	case reg == max790Fault1:
		return c.faults()
	}
	return c.regs[reg]
}

// faults are the enabled fans that turn more slowly than their target count (recalled).
func (c *MAX31790) faults() (v byte) {
	for n := range byte(max790Fans) {
		if c.regs[max790Config+n]&max790TachEnable != 0 && c.count(int(n)) > int(c.word(max790Speed+2*n)>>5) {
			v |= 1 << n
		}
	}
	return v
}

// duty is the drive of a fan in steps of 1/511: as set, or what its loop has found; none in standby.
func (c *MAX31790) duty(n int) int {
	fan := byte(n)
	switch {
	case c.regs[max790Global]&max790Standby != 0:
		return 0
	case c.regs[max790Config+fan]&max790ByRPM == 0:
		return int(c.word(max790Target+2*fan) >> 7)
	}
	target := int(c.word(max790Speed+2*fan) >> 5)
	return int(math.Round(max790DutySteps * loop(max790DutySteps, func(duty float64) bool { return c.countAt(n, duty) <= target })))
}

// count is what a tachometer counts; stopped where it is not enabled, and in standby.
func (c *MAX31790) count(n int) int {
	if n >= max790Fans || c.regs[max790Config+byte(n)]&max790TachEnable == 0 || c.regs[max790Global]&max790Standby != 0 {
		return max790Stopped
	}
	return c.countAt(n, float64(c.duty(n))/max790DutySteps)
}

// countAt is how many 8192 Hz clocks SR tachometer periods take: 60 * SR * 8192 / (NP * rpm), 7FF at most.
func (c *MAX31790) countAt(n int, duty float64) int {
	periods := float64(int(1) << min(c.regs[max790Dynamics+byte(n)]>>5, 5))
	count := 60 * periods * 8192 / (float64(c.o.Pulses) * c.o.Fan(n, duty, c.o.Now()))
	if !(count >= 0 && count < max790Stopped) {
		return max790Stopped
	}
	return int(math.Round(count))
}
