package drivertest

import (
	"sync"
	"time"
)

// Times of the ADE7953 (data sheet rev. C, power-on and reset).
const (
	// adeStartup is from VDD past 2 V to the reset bit: 26 ms, and about 40 ms more.
	adeStartup = 66 * time.Millisecond
	// adeRestart is how long the chip answers nothing after a software reset. The data sheet gives no figure:
	// arbitrary, below the power-on time.
	adeRestart = 40 * time.Millisecond
)

// ADE7953Opts is how a metering chip is wired, and what it is wired to.
type ADE7953Opts struct {
	Line     Line
	Divider  float64    // mains volts per volt at the chip's pins
	ShuntOhm [2]float64 // of channel A and B
	Reversed [2]bool    // sensor the wrong way round: power is negative
	// NoiseCodes is the largest error of an rms or power code; 0 gives exact codes.
	NoiseCodes float64
	Seed       Noise
	Now        func() time.Time // nil: the system's clock
	// CRCCountsLiveBits makes the sign and no-load bits that ACCMODE shows part of the checksum. The data sheet
	// does not say whether they are.
	CRCCountsLiveBits bool
}

// ADE7953 is a single-phase metering chip with one voltage and two current channels (Analog Devices ADE7953 rev. C),
// as seen over I2C. It is created unlocked, at its reset values, long after power-on.
//
// Left out: PHCAL and the integrator are stored and change no reading; sag detection (SAGCYC, SAGLVL) is stored and
// never fires; the checksum 37F is up to date at once, not within 143 µs.
type ADE7953 struct {
	mu sync.Mutex
	o  ADE7953Opts

	regs     map[uint16]uint32 // settings
	noLoad   [3]uint32         // thresholds in force: taken over when detection is switched on
	address  uint16            // register last addressed
	last     adeAccess
	gate     bool // the transfer before this one wrote AD to 0FE
	deaf     bool // left I2C; only a reset brings it back
	powered  bool
	silent   time.Time // answers nothing before this
	began    time.Time // measuring since
	counted  time.Time // energies and flags are up to date to here
	energy   [6]float64
	peak     [3]float64 // volts, amps A, amps B
	idle     [2][3]bool // no load now: channel; active, reactive, apparent
	status   [2]uint32
	zxLost   time.Time // voltage too low for zero crossings since; zero: it is not
	window   time.Time // first line-cycle window began
	frozenAt time.Time // zero: not frozen
	scale    float64
}

// adeAccess is what the LAST_ registers tell.
type adeAccess struct {
	op   byte
	reg  uint16
	data uint32
}

// NewADE7953 wires a chip.
func NewADE7953(o ADE7953Opts) *ADE7953 {
	o.Now = clock(o.Now)
	c := &ADE7953{o: o, powered: true, scale: 1}
	c.reset(c.now())
	return c
}

// reset puts everything at its reset value; the chip measures and answers from a moment on.
func (c *ADE7953) reset(ready time.Time) {
	c.regs = make(map[uint16]uint32, len(adeDefaults))
	for _, d := range adeDefaults {
		c.regs[d.reg] = d.value
	}
	c.noLoad = [3]uint32{c.regs[adeNOLOAD], c.regs[adeNOLOAD+1], c.regs[adeNOLOAD+2]}
	c.address, c.last, c.gate, c.deaf = 0, adeAccess{}, false, false
	c.silent, c.began, c.counted, c.window = ready, ready, ready, ready
	c.energy, c.peak, c.idle = [6]float64{}, [3]float64{}, [2][3]bool{}
	c.status, c.zxLost = [2]uint32{adeIRQReset}, time.Time{}
}

// Reset is a brown-out of the chip: reset values, unlocked, silent until it has started.
func (c *ADE7953) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reset(c.now().Add(adeStartup))
}

// SetPowered takes away or gives back the chip's supply, which comes from its own feed. Without it nothing answers.
func (c *ADE7953) SetPowered(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if on && !c.powered {
		c.reset(c.now().Add(adeStartup))
	}
	c.powered = on
}

// Disturb puts a pulse on the pins that select the interface: an unlocked chip leaves I2C and stays deaf until a
// reset, a locked one takes no notice. It tells which.
func (c *ADE7953) Disturb() (deaf bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deaf = c.deaf || c.regs[adeCONFIG]&adeUnlocked != 0
	return c.deaf
}

// Freeze stops all measurement, or lets it go on: the chip answers, and its codes do not move.
func (c *ADE7953) Freeze(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance()
	switch {
	case on && c.frozenAt.IsZero():
		c.frozenAt = c.now()
	case !on && !c.frozenAt.IsZero():
		c.frozenAt = time.Time{}
		c.counted = c.now() // what passed meanwhile is not in the energy
	}
}

// SetScale makes every reading wrong by a factor: 1 is right, 0 a meter that sees nothing.
func (c *ADE7953) SetScale(f float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance()
	c.scale = f
}

// Optimum tells whether 0030 reached register 120 since the last reset.
func (c *ADE7953) Optimum() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.regs[adeOPTIMUM] == 0x0030
}

// now is the chip's time: it stands still while the chip is frozen.
func (c *ADE7953) now() time.Time {
	if !c.frozenAt.IsZero() {
		return c.frozenAt
	}
	return c.o.Now()
}

// Tx takes a register address of two bytes, high byte first, and then data, or gives data back.
func (c *ADE7953) Tx(w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.powered || c.deaf || c.o.Now().Before(c.silent) {
		return NackAddress
	}
	c.advance()
	gate := c.gate
	c.gate = false
	if len(w) >= 2 {
		c.address = uint16(w[0])<<8 | uint16(w[1])
		if err := c.write(w[2:], gate); err != nil {
			return err
		}
	}
	if len(r) > 0 {
		c.read(r)
	}
	return nil
}

// write stores the data of a whole register; fewer bytes have no effect, more are refused.
func (c *ADE7953) write(data []byte, gate bool) error {
	width := adeWidth(c.address)
	if len(data) == 0 || width == 0 || len(data) < width {
		return nil
	}
	var v uint32
	for _, b := range data[:width] {
		v = v<<8 | uint32(b)
	}
	c.last = adeAccess{0xCA, c.address, v}
	if c.address == adeUNLOCK {
		c.gate = v == 0xAD
	} else if !c.protected(width) {
		if err := c.store(adeSame(c.address), v, gate); err != nil {
			return err
		}
	}
	if len(data) > width {
		return NackData
	}
	return nil
}

// protected tells whether WRITE_PROTECT keeps registers of this width; the write is acknowledged all the same.
func (c *ADE7953) protected(width int) bool {
	bit := min(width, 3) - 1
	return c.address != adePROTECT && c.regs[adePROTECT]&(1<<bit) != 0
}

// store changes one setting and what depends on it.
func (c *ADE7953) store(reg uint16, v uint32, gate bool) error {
	old, known := c.regs[reg]
	if !known || reg == adeOPTIMUM && !gate {
		return nil
	}
	sum := c.crc()
	switch reg {
	case adeCONFIG:
		if v&adeSoftReset != 0 {
			c.reset(c.now().Add(adeRestart))
			return NackData
		}
	case adeACCMODE:
		v &= 0x3FF // the bits above show states
	case adeDISNOLOAD:
		for i := range c.noLoad {
			if old&^v&(1<<i) != 0 {
				c.noLoad[i] = c.regs[adeNOLOAD+uint16(i)]
			}
		}
	case adeLCYCMODE, adeLINECYC:
		c.window = c.now()
	}
	if adeWidth(reg) == 3 {
		v &= 0xFFFFFF
	}
	c.regs[reg] = v
	if now := c.crc(); sum != now && sum != 0xFFFFFFFF {
		c.status[0] |= adeIRQCRC
	}
	return nil
}

// read gives the register last addressed, high byte first, and FF beyond its width.
func (c *ADE7953) read(r []byte) {
	reg, width := c.address, adeWidth(c.address)
	v := c.value(adeSame(reg))
	if width == 4 && reg != adeCRC && reg&0xFF != adeLASTDATA && v&0x800000 != 0 {
		v |= 0xFF000000
	}
	for i := range r {
		r[i] = 0xFF
		if i < width {
			r[i] = byte(v >> (8 * (width - 1 - i)))
		}
	}
	switch reg {
	case adeLASTOP, adeLASTADD, 0x0FF, 0x1FF, 0x2FF, 0x3FF:
	default:
		c.last = adeAccess{0x35, reg, v}
	}
	c.cleared(adeSame(reg))
}

// value is a register as it stands now.
func (c *ADE7953) value(reg uint16) uint32 {
	switch reg {
	case adeLASTOP:
		return uint32(c.last.op)
	case adeLASTADD:
		return uint32(c.last.reg)
	case 0x0FF, 0x1FF, 0x2FF:
		return c.last.data
	case adeACCMODE:
		return c.regs[adeACCMODE] | c.liveBits()
	case adeIRQSTATUSA, adeIRQCLEARA:
		return c.status[0]
	case adeIRQSTATUSB, adeIRQCLEARB:
		return c.status[1] & 0x3FFF
	case adeCRC:
		return c.crc()
	case adeVERSION:
		return 4 // the maker publishes no value; arbitrary
	}
	if v, ok := c.regs[reg]; ok {
		return v
	}
	return c.measured(reg)
}

// cleared does what reading a register does to it.
func (c *ADE7953) cleared(reg uint16) {
	switch {
	case reg == adeIRQCLEARA:
		c.status[0] = 0
	case reg == adeIRQCLEARB:
		c.status[1] = 0
	case reg > adePEAK && reg < adePEAK+6 && reg%2 == 1:
		c.peak[(reg-adePEAK)/2] = 0
	case reg >= adeENERGY && reg < adeENERGY+6 && c.regs[adeLCYCMODE]&0x40 != 0:
		c.energy[reg-adeENERGY] = 0
	}
}
