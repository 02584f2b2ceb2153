package drivertest

import (
	"math"
	"slices"
	"sync"
	"time"
)

// First bytes on the wire.
const (
	m39Header  = 0xA5
	m39Done    = 0x06
	m39BadSum  = 0x51 // our checksum was wrong
	m39Refused = 0x15
	m39Silent  = 0xFF // no answer yet: the lines are released
)

// Commands inside a frame (santosjmp/MCP39F521, upbeatlabs/drwattson).
const (
	m39Pointer    = 0x41
	m39Read       = 0x4E
	m39Write      = 0x4D
	m39PageRead   = 0x42
	m39PageWrite  = 0x50
	m39Save       = 0x53
	m39Erase      = 0x4F // the whole EEPROM
	m39CalGain    = 0x5A
	m39CalReact   = 0x7A
	m39CalFreq    = 0x76
	m39MostBytes  = 32
	m39Pages      = 32
	m39PageBytes  = 16
	m39RegsLength = 0xE2
)

// Registers; data low byte first.
const (
	m39Status   = 0x0002
	m39Version  = 0x0004
	m39Volts    = 0x0006
	m39Hertz    = 0x0008
	m39Factor   = 0x000C
	m39Amps     = 0x000E
	m39P        = 0x0012
	m39Q        = 0x0016
	m39S        = 0x001A
	m39Energies = 0x001E // P in, P out, Q in, Q out, 8 bytes each
	m39Settings = 0x005E // from here on registers are stored as written
	m39Gains    = 0x0060 // I, V, P, Q
	m39Cycles   = 0x009E // N: a window is 2^N line cycles
	m39Sag      = 0x00A0
	m39Surge    = 0x00A2
	m39OverI    = 0x00A4
	m39OverP    = 0x00A8
	m39Counting = 0x00DC
	m39NoLoad   = 0x00E0
)

// m39Unity is a gain register that changes nothing (recalled).
const m39Unity = 0x8000

// MCP39F521Opts is how a metering chip is set up at the factory, and what it is wired to.
type MCP39F521Opts struct {
	Line      Line          // channel A is its current; nil is nothing
	Reversed  bool          // sensor the wrong way round: power is negative
	FloorAmps float64       // rms that it shows without current
	Delay     time.Duration // from a frame to its answer
	Version   uint16        // date code, a nibble each for year, month, tens and ones of the day; 0 is 6A21
	Cycles    uint16        // N; 0 is 2, the window that the part is delivered with
	// EnergyErratum makes the counters wrong by 2^(2-N), as the parts on the market do.
	EnergyErratum bool
	EEPROM        []byte           // up to 512 bytes; the rest is FF
	Now           func() time.Time // nil: the system's clock
}

// MCP39F521Write is one command that changes something in the chip.
type MCP39F521Write struct {
	Command byte   // 4D or 50
	Addr    uint16 // register, or page of the EEPROM
	Data    []byte
}

// MCP39F521 is a single-phase metering chip with a framed protocol (Microchip MCP39F521). It is created long after
// power-on, calibrated to V/10, A/10000, W/100, mWh, with energy counting off.
//
// It never does what could destroy its calibration or its EEPROM: 53, 5A, 7A, 76 and 4F are refused, and Forbidden
// tells which were tried.
//
// Left out: minimum and maximum records, offsets, phase compensation and the event pin are stored at most. That a switch
// from off to on clears the energy counters, that the sign bits are 1 for positive power, and the sign of the power
// factor, that of P, are recalled.
type MCP39F521 struct {
	mu sync.Mutex
	o  MCP39F521Opts

	regs      [m39RegsLength]byte // settings; live registers are computed
	eeprom    [m39Pages * m39PageBytes]byte
	pointer   uint16
	answer    []byte
	ready     time.Time // the answer can be read from then on
	powered   bool
	began     time.Time  // measuring since
	counted   time.Time  // energies are up to date to here
	energy    [4]float64 // mWh
	scale     float64
	frozenAt  time.Time // zero: not frozen
	spoil     int       // answers still to get a wrong sum
	deny      map[byte]int
	forbidden []byte
	writes    []MCP39F521Write
}

// NewMCP39F521 wires a chip.
func NewMCP39F521(o MCP39F521Opts) *MCP39F521 {
	o.Now = clock(o.Now)
	if o.Line == nil {
		o.Line = Steady{}
	}
	if o.Version == 0 {
		o.Version = 0x6A21 // arbitrary
	}
	if o.Cycles == 0 {
		o.Cycles = 2
	}
	c := &MCP39F521{o: o, powered: true, scale: 1, deny: map[byte]int{}}
	fill(c.eeprom[:], 0xFF)
	copy(c.eeprom[:], o.EEPROM)
	c.reset()
	c.began = c.began.Add(-time.Minute)
	return c
}

// reset loads the settings from flash; the counters start at 0, and counting is off (recalled).
func (c *MCP39F521) reset() {
	c.regs = [m39RegsLength]byte{}
	for i := range uint16(4) {
		c.set(m39Gains+2*i, m39Unity, 2)
	}
	c.set(m39Cycles, uint64(c.o.Cycles), 2)
	c.set(m39NoLoad, 100, 2) // 1 W, the default
	c.pointer, c.answer, c.energy = 0, nil, [4]float64{}
	c.began, c.counted = c.now(), c.now()
}

// Reset is a brown-out of the chip.
func (c *MCP39F521) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reset()
}

// SetPowered takes away or gives back the chip's supply, which comes from its own feed. Without it nothing answers.
func (c *MCP39F521) SetPowered(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if on && !c.powered {
		c.reset()
	}
	c.powered = on
}

// SetDelay changes how long the chip thinks about a frame; the answer to the last one is not affected.
func (c *MCP39F521) SetDelay(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.o.Delay = d
}

// SpoilSums gives the next answers with data, so many, a wrong checksum.
func (c *MCP39F521) SpoilSums(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spoil = n
}

// Deny answers the next frames, so many, with 15: refused. They have no effect.
func (c *MCP39F521) Deny(n int) { c.denyWith(m39Refused, n) }

// Mishear answers the next frames, so many, with 51: as if a byte had been disturbed on the way in. They have no effect.
func (c *MCP39F521) Mishear(n int) { c.denyWith(m39BadSum, n) }

func (c *MCP39F521) denyWith(first byte, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deny[first] = n
}

// Freeze stops all measurement, or lets it go on: the chip answers, and its values do not move.
func (c *MCP39F521) Freeze(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance()
	switch {
	case on && c.frozenAt.IsZero():
		c.frozenAt = c.o.Now()
	case !on && !c.frozenAt.IsZero():
		c.frozenAt = time.Time{}
		c.counted = c.o.Now() // what passed meanwhile is not in the energy
	}
}

// SetScale makes every reading wrong by a factor: 1 is right, 0 a meter that sees nothing.
func (c *MCP39F521) SetScale(f float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance()
	c.scale = f
}

// SetEnergy puts the counters: mWh of P in, P out, Q in, Q out.
func (c *MCP39F521) SetEnergy(mWh [4]uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance()
	for i, v := range mWh {
		c.energy[i] = float64(v)
	}
}

// Counting tells whether energy counting is on.
func (c *MCP39F521) Counting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counting()
}

// Forbidden are the commands that came and may never come, in order: save to flash, calibrate, erase.
func (c *MCP39F521) Forbidden() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.forbidden)
}

// Writes are the register and EEPROM writes so far, refused ones included, in order.
func (c *MCP39F521) Writes() []MCP39F521Write {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.writes)
}

// now is the time of what is measured: it stands still while the chip is frozen.
func (c *MCP39F521) now() time.Time {
	if !c.frozenAt.IsZero() {
		return c.frozenAt
	}
	return c.o.Now()
}

// Tx takes a frame, or gives the answer to the last one, which can be read again. Until it is ready, and after its end,
// FF is read.
func (c *MCP39F521) Tx(w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.powered {
		return NackAddress
	}
	c.advance()
	if len(w) > 0 {
		c.answer = c.frame(w)
		c.ready = c.o.Now().Add(c.o.Delay)
	}
	fill(r, m39Silent)
	if !c.o.Now().Before(c.ready) {
		copy(r, c.answer)
	}
	return nil
}

// frame carries out a frame and gives the answer; none where the frame is not whole.
func (c *MCP39F521) frame(w []byte) []byte {
	if len(w) < 4 || w[0] != m39Header || int(w[1]) < 4 || int(w[1]) > len(w) {
		return nil
	}
	n := int(w[1]) - 1
	if sum8(w[:n]) != w[n] {
		return []byte{m39BadSum}
	}
	for _, first := range [2]byte{m39BadSum, m39Refused} {
		if c.deny[first] > 0 {
			c.deny[first]--
			return []byte{first}
		}
	}
	data, ok := c.commands(w[2:n])
	switch {
	case !ok:
		return []byte{m39Refused}
	case len(data) == 0:
		return []byte{m39Done}
	}
	out := append([]byte{m39Done, byte(len(data) + 3)}, data...)
	sum := sum8(out)
	if c.spoil > 0 {
		c.spoil--
		sum++
	}
	return append(out, sum)
}

// commands carries out the commands of a frame, up to the first it refuses, and collects what they read.
func (c *MCP39F521) commands(b []byte) (data []byte, ok bool) {
	for len(b) > 0 {
		used, out, ok := c.command(b[0], b[1:])
		if !ok || len(data)+len(out) > m39MostBytes {
			return nil, false
		}
		data, b = append(data, out...), b[1+used:]
	}
	return data, true
}

// command carries out one command; it tells how many of the bytes behind it belong to it.
func (c *MCP39F521) command(command byte, b []byte) (used int, out []byte, ok bool) {
	switch command {
	case m39Pointer:
		if len(b) < 2 {
			return 0, nil, false
		}
		c.pointer = word(b)
		return 2, nil, true
	case m39Read:
		if len(b) < 1 || int(b[0]) > m39MostBytes || int(c.pointer)+int(b[0]) > m39RegsLength {
			return 0, nil, false
		}
		image := c.image()
		return 1, image[c.pointer : c.pointer+uint16(b[0])], true
	case m39Write:
		if len(b) < 1 || len(b) < 1+int(b[0]) {
			return 0, nil, false
		}
		return 1 + int(b[0]), nil, c.store(b[1 : 1+int(b[0])])
	case m39PageRead:
		if len(b) < 1 || b[0] >= m39Pages {
			return 0, nil, false
		}
		return 1, slices.Clone(c.page(b[0])), true
	case m39PageWrite:
		if len(b) < 1+m39PageBytes {
			return 0, nil, false
		}
		data := slices.Clone(b[1 : 1+m39PageBytes])
		c.writes = append(c.writes, MCP39F521Write{command, uint16(b[0]), data})
		if b[0] >= m39Pages {
			return 0, nil, false
		}
		copy(c.page(b[0]), data)
		return 1 + m39PageBytes, nil, true
	case m39Save, m39Erase, m39CalGain, m39CalReact, m39CalFreq:
		c.forbidden = append(c.forbidden, command)
	}
	return 0, nil, false
}

func (c *MCP39F521) page(n byte) []byte {
	return c.eeprom[int(n)*m39PageBytes:][:m39PageBytes]
}

// store writes registers at the pointer. Results take no writes.
func (c *MCP39F521) store(data []byte) bool {
	c.writes = append(c.writes, MCP39F521Write{m39Write, c.pointer, slices.Clone(data)})
	if int(c.pointer)+len(data) > m39RegsLength {
		return false
	}
	counted := c.counting()
	for i, b := range data {
		if at := int(c.pointer) + i; at >= m39Settings {
			c.regs[at] = b
		}
	}
	if c.counting() && !counted {
		c.energy = [4]float64{}
	}
	return true
}

func (c *MCP39F521) counting() bool { return c.regs[m39Counting]&1 != 0 }

// get and set are registers of some bytes, low byte first.
func (c *MCP39F521) get(reg uint16, bytes int) (v uint64) {
	for i := range bytes {
		v |= uint64(c.regs[int(reg)+i]) << (8 * i)
	}
	return v
}

func (c *MCP39F521) set(reg uint16, v uint64, bytes int) { put8(c.regs[reg:], v, bytes) }

func put8(b []byte, v uint64, bytes int) {
	for i := range bytes {
		b[i] = byte(v >> (8 * i))
	}
}

func sum8(b []byte) (sum byte) {
	for _, v := range b {
		sum += v
	}
	return sum
}

// m39Seen is what the chip makes of its line.
type m39Seen struct {
	volts, hertz, amps, watts, vars, va float64
}

// see gives an interval with the chip's wiring, calibration and faults.
func (c *MCP39F521) see(in Interval) m39Seen {
	gain := func(i uint16) float64 { return c.scale * float64(c.get(m39Gains+2*i, 2)) / m39Unity }
	f := in.Channel[0]
	if c.o.Reversed {
		f.Watts, f.Vars = -f.Watts, -f.Vars
	}
	return m39Seen{
		volts: in.VoltsRMS * gain(1),
		hertz: in.Hertz,
		amps:  math.Hypot(f.AmpsRMS, c.o.FloorAmps) * gain(0),
		watts: f.Watts * gain(2),
		vars:  f.Vars * gain(3),
		va:    math.Hypot(f.VA, in.VoltsRMS*c.o.FloorAmps) * gain(0),
	}
}

// window is how long 2^N line cycles take: 80 ms for N = 2 at 50 Hz. Without voltage 50 Hz is taken.
func (c *MCP39F521) window(hertz float64) time.Duration {
	if !(hertz >= 1) {
		hertz = 50
	}
	cycles := uint64(1) << min(c.get(m39Cycles, 2), 8) // 8 is the longest in the data sheet (recalled)
	return time.Duration(float64(cycles) / hertz * float64(time.Second))
}

// last is what was seen in the last whole window; nothing before the first has ended.
func (c *MCP39F521) last() m39Seen {
	now := c.now()
	length := c.window(c.o.Line.Between(now, now).Hertz)
	n := now.Sub(c.began) / length
	if n < 1 {
		return m39Seen{}
	}
	end := c.began.Add(n * length)
	return c.see(c.o.Line.Between(end.Add(-length), end))
}

// advance brings the energies up to now. Below the no-load level nothing is counted.
func (c *MCP39F521) advance() {
	from, to := c.counted, c.now()
	if !to.After(from) {
		return
	}
	c.counted = to
	if !c.counting() {
		return
	}
	s := c.see(c.o.Line.Between(from, to))
	noLoad := float64(c.get(m39NoLoad, 2)) / 100
	for i, p := range [2]float64{s.watts, s.vars} {
		if math.Abs(p) < noLoad {
			continue
		}
		counter := 2 * i
		if p < 0 {
			counter++
		}
		mWh := math.Abs(p) * to.Sub(from).Seconds() / 3.6
		if c.o.EnergyErratum {
			mWh *= math.Exp2(2 - float64(c.get(m39Cycles, 2)))
		}
		c.energy[counter] += mWh
	}
}

// image is all registers as they stand.
func (c *MCP39F521) image() [m39RegsLength]byte {
	b, s := c.regs, c.last()
	put8(b[m39Status:], uint64(c.status(s)), 2)
	put8(b[m39Version:], uint64(c.o.Version), 2)
	put8(b[m39Volts:], uint64(nearest(s.volts, 0.1, 0, math.MaxUint16)), 2)
	put8(b[m39Hertz:], uint64(nearest(s.hertz, 0.001, 0, math.MaxUint16)), 2)
	put8(b[m39Factor:], uint64(c.factor(s)), 2)
	put8(b[m39Amps:], uint64(nearest(s.amps, 0.0001, 0, math.MaxUint32)), 4)
	for reg, v := range map[uint16]float64{m39P: s.watts, m39Q: s.vars, m39S: s.va} {
		put8(b[reg:], uint64(nearest(math.Abs(v), 0.01, 0, math.MaxUint32)), 4)
	}
	for i, v := range c.energy {
		put8(b[m39Energies+8*i:], uint64(v), 8)
	}
	return b
}

// factor is signed / 32768; without apparent power it is 0.
func (c *MCP39F521) factor(s m39Seen) uint16 {
	if s.va <= 0 {
		return 0
	}
	return uint16(nearest(s.watts/s.va, 1.0/32768, math.MinInt16, math.MaxInt16))
}

// status judges the limits, of which 0 is none, and shows the signs.
func (c *MCP39F521) status(s m39Seen) (v uint16) {
	limit := func(reg uint16, bytes int, step float64) float64 { return float64(c.get(reg, bytes)) * step }
	for bit, on := range [6]bool{
		s.volts < limit(m39Sag, 2, 0.1),
		above(s.volts, limit(m39Surge, 2, 0.1)),
		above(s.amps, limit(m39OverI, 4, 0.0001)),
		above(math.Abs(s.watts), limit(m39OverP, 4, 0.01)),
		s.watts >= 0,
		s.vars >= 0,
	} {
		if on {
			v |= 1 << bit
		}
	}
	return v
}

func above(v, limit float64) bool { return limit > 0 && v > limit }
