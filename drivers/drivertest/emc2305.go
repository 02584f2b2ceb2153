package drivertest

import (
	"math"
	"slices"
	"sync"
	"time"
)

// FanFunc is how fast a fan turns, in turns a minute: fan from 0, duty 0 to 1. It may lie: a stuck rotor is 0 at any
// duty. Closed loops expect it to grow with the duty.
type FanFunc func(fan int, duty float64, at time.Time) float64

// FanWrite is one byte that a master wrote to a fan controller.
type FanWrite struct {
	Reg   byte
	Value byte
}

// defaultFan turns with 4000 rpm at full duty, and not below a tenth: arbitrary.
func defaultFan(_ int, duty float64, _ time.Time) float64 {
	if duty < 0.1 {
		return 0
	}
	return 4000 * duty
}

// Registers of the EMC2305 (Microchip DS20006532; Linux driver emc2305). Those of fan n begin at 30 + 10h * n.
const (
	emc23Config    = 0x20
	emc23Status    = 0x24
	emc23Stall     = 0x25
	emc23Spin      = 0x26
	emc23DriveFail = 0x27
	emc23Fan       = 0x30
	emc23FanEnd    = 0x80
	emc23Product   = 0xFD
	emc23Maker     = 0xFE
	emc23Revision  = 0xFF

	// Within a fan's block.
	emc23Setting    = 0x0
	emc23Config1    = 0x2
	emc23ValidTach  = 0x9
	emc23TargetLow  = 0xC
	emc23TargetHigh = 0xD
	emc23TachHigh   = 0xE
	emc23TachLow    = 0xF
)

// Bits.
const (
	emc23WatchdogOn = 1 << 5 // configuration
	emc23ClosedLoop = 1 << 7 // fan configuration 1
	emc23Watchdog   = 1 << 7 // status; the bits of the status register are recalled
	emc23AnyStall   = 1 << 0
)

// emc23Watch is how long the chip waits for a write (recalled).
const emc23Watch = 4 * time.Second

// emc23Block are the power-on values of a fan's registers. Configuration 1 gives range 2 and 5 edges, as the count's
// usual formula wants; the others are recalled.
var emc23Block = [16]byte{
	0x00, 0x01, 0x2B, 0x28, 0x00, 0x2A, 0x19, 0x10, 0x66, 0xF5, 0x00, 0x00, 0xF8, 0xFF, 0xFF, 0xF8,
}

// EMC2305Opts is what a fan controller drives.
type EMC2305Opts struct {
	Fans int              // 5, 3, 2 or 1: EMC2305, 2303, 2302, 2301; 0 is 5
	Fan  FanFunc          // nil: a fan of 4000 rpm
	Now  func() time.Time // nil: the system's clock
}

// EMC2305 is a controller of up to five fans (Microchip EMC2305). Registers follow one another in reads and writes.
//
// Left out: the watchdog that some descriptions give the chip directly after power-up; spin-up and drive failures, ramps
// and minimum drive; polarity. A closed loop finds its duty at once.
type EMC2305 struct {
	mu      sync.Mutex
	o       EMC2305Opts
	pointer byte
	regs    map[byte]byte
	touched time.Time // last write
	status  byte
	stalled byte
	writes  []FanWrite
}

// NewEMC2305 is a controller after power-on.
func NewEMC2305(o EMC2305Opts) *EMC2305 {
	o.Now = clock(o.Now)
	if o.Fan == nil {
		o.Fan = defaultFan
	}
	if o.Fans == 0 {
		o.Fans = 5
	}
	c := &EMC2305{o: o}
	c.defaults()
	return c
}

func (c *EMC2305) defaults() {
	c.pointer, c.status, c.stalled = 0, 0, 0
	c.touched = c.o.Now()
	product := map[int]byte{5: 0x34, 3: 0x35, 2: 0x36, 1: 0x37}[c.o.Fans]
	c.regs = map[byte]byte{
		emc23Config: 0x40, emc23Status: 0, emc23Stall: 0, emc23Spin: 0, emc23DriveFail: 0, 0x29: 0, 0x2A: 0, 0x2B: 0, 0x2C: 0, 0x2D: 0,
		emc23Product: product, emc23Maker: 0x5D, emc23Revision: 0x80,
	}
	for n := range c.o.Fans {
		for i, v := range emc23Block {
			c.regs[byte(emc23Fan+16*n+i)] = v
		}
	}
}

// Reset is a brown-out.
func (c *EMC2305) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.defaults()
}

// SetFan changes how the fans turn.
func (c *EMC2305) SetFan(f FanFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.o.Fan = f
}

// Load sets a register as a program that ran before would have left it; it is not recorded.
func (c *EMC2305) Load(reg, v byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.store(reg, v)
}

// Writes are the bytes written so far, in order, those without effect included.
func (c *EMC2305) Writes() []FanWrite {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.writes)
}

// Duty is what fan n (from 0) is driven with now, 0 to 1.
func (c *EMC2305) Duty(n int) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watch()
	return c.duty(n)
}

// RPM is how fast fan n (from 0) turns now.
func (c *EMC2305) RPM(n int) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watch()
	return c.rpm(n)
}

// Tx sets the register address, writes registers and reads them, one after another.
func (c *EMC2305) Tx(w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watch()
	if len(w) > 0 {
		c.pointer = w[0]
		for _, b := range w[1:] {
			c.writes = append(c.writes, FanWrite{c.pointer, b})
			c.store(c.pointer, b)
			c.touched = c.o.Now()
			c.pointer++
		}
	}
	for i := range r {
		r[i] = c.read(c.pointer)
		c.pointer++
	}
	return nil
}

// watch drives everything at full when the watchdog expired.
func (c *EMC2305) watch() {
	if c.regs[emc23Config]&emc23WatchdogOn == 0 || c.o.Now().Sub(c.touched) < emc23Watch {
		return
	}
	c.status |= emc23Watchdog
	for n := range c.o.Fans {
		c.regs[byte(emc23Fan+16*n+emc23Setting)] = 0xFF
		c.regs[byte(emc23Fan+16*n+emc23Config1)] &^= emc23ClosedLoop
	}
}

func (c *EMC2305) store(reg, v byte) {
	_, known := c.regs[reg]
	tach := reg >= emc23Fan && reg < emc23FanEnd && reg&0xF >= emc23TachHigh
	if !known || tach || reg >= emc23Product || reg >= emc23Status && reg <= emc23DriveFail {
		return // read only, or nothing there
	}
	c.regs[reg] = v
}

// read gives a register; 00 where there is none. The status registers are cleared by reading, and set again where the
// cause is still there.
func (c *EMC2305) read(reg byte) byte {
	fan := reg >= emc23Fan && reg < emc23FanEnd && int(reg-emc23Fan)/16 < c.o.Fans
	switch n := int(reg-emc23Fan) / 16; {
	case reg == emc23Status:
		c.stalls()
		v := c.status
		c.status = 0
		return v
	case reg == emc23Stall:
		c.stalls()
		v := c.stalled
		c.stalled = 0
		return v
	case fan && reg&0xF == emc23Setting:
		return byte(math.Round(255 * c.duty(n)))
	case fan && reg&0xF == emc23TachHigh:
		return byte(c.count(n) >> 5)
	case fan && reg&0xF == emc23TachLow:
		return byte(c.count(n) << 3)
	}
	return c.regs[reg]
}

// stalls notes fans that are driven and turn too slowly for their valid-tach limit.
func (c *EMC2305) stalls() {
	for n := range c.o.Fans {
		if c.duty(n) > 0 && byte(c.count(n)>>5) >= c.regs[byte(emc23Fan+16*n+emc23ValidTach)] {
			c.stalled |= 1 << n
			c.status |= emc23AnyStall
		}
	}
}

// duty is the drive of a fan: as set, or what its loop has found.
func (c *EMC2305) duty(n int) float64 {
	base := byte(emc23Fan + 16*n)
	if c.regs[base+emc23Config1]&emc23ClosedLoop == 0 {
		return float64(c.regs[base+emc23Setting]) / 255
	}
	target := int(c.regs[base+emc23TargetHigh])<<5 | int(c.regs[base+emc23TargetLow])>>3
	return loop(255, func(duty float64) bool { return c.countAt(n, duty) <= target })
}

func (c *EMC2305) rpm(n int) float64 { return c.o.Fan(n, c.duty(n), c.o.Now()) }

func (c *EMC2305) count(n int) int { return c.countAt(n, c.duty(n)) }

// countAt is how many 32.768 kHz clocks the edges take that configuration 1 names, times its range: 7,864,320 / rpm at
// power-on. 1FFF is a fan that stands.
func (c *EMC2305) countAt(n int, duty float64) int {
	config := c.regs[byte(emc23Fan+16*n+emc23Config1)]
	steps := float64(int(1) << (config >> 5 & 3)) // range 1, 2, 4, 8
	edges := float64(2 + 2*int(config>>3&3))      // after the first: 2, 4, 6, 8; a turn of a fan with two poles has 4
	count := steps * edges / 2 * 60 * 32768 / c.o.Fan(n, duty, c.o.Now())
	if !(count >= 0 && count < 0x1FFF) {
		return 0x1FFF
	}
	return int(math.Round(count))
}

// loop is the smallest of some steps of duty at which a fan is fast enough, or full.
func loop(steps int, fast func(duty float64) bool) float64 {
	low, high := 0, steps
	for low < high {
		if mid := (low + high) / 2; fast(float64(mid) / float64(steps)) {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return float64(low) / float64(steps)
}
