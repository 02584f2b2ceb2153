package drivertest

import (
	"hash/crc32"
	"maps"
	"math"
	"slices"
	"sync"
	"time"
)

// Registers of the ADE7880 by address (Analog Devices, ADE7880 rev. C).
const (
	polyRAM      = 0x4380 // to 43BE: the DSP's data memory
	polyIGAIN    = 0x4380 // A, B, C two apart, with VGAIN behind each
	polyNIGAIN   = 0x4386
	polyPGAIN    = 0x4389 // A, B, C two apart
	polyRAMEnd   = 0x43BE
	polyRMS      = 0x43C0 // IA, VA, IB, VB, IC, VC, IN
	polyRMSEnd   = 0x43C6
	polyRUN      = 0xE228
	polyWATTHR   = 0xE400 // A, B, C; then fundamental, then reactive fundamental from E409, apparent from E40C
	polyFWATTHR  = 0xE403
	polyFVARHR   = 0xE409
	polyVAHR     = 0xE40C
	polySTATUS0  = 0xE502
	polySTATUS1  = 0xE503
	polyMASK0    = 0xE50A
	polyMASK1    = 0xE50B
	polyWATT     = 0xE513 // A, B, C; FVAR from E516, VA from E519
	polyFVAR     = 0xE516
	polyVA       = 0xE519
	polyCHECKSUM = 0xE51F
	polyLAST32   = 0xE5FF
	polyCOMPMODE = 0xE60E
	polyGain     = 0xE60F
	polyCFMODE   = 0xE610
	polyCF3DEN   = 0xE613
	polyCONFIG   = 0xE618
	polyMMODE    = 0xE700
	polyACCMODE  = 0xE701
	polyLCYCMODE = 0xE702
	polyHSDC     = 0xE706
	polyVERSION  = 0xE707
	polyPROTECT  = 0xE7E3
	polyLAST8    = 0xE7FD
	polyUNLOCK   = 0xE7FE
	polyPF       = 0xE902 // A, B, C
	polyPERIOD   = 0xE905 // A, B, C
	polyLASTADD  = 0xE9FE
	polyLAST16   = 0xE9FF
	polyLASTOP   = 0xEA01
	polyWTHR     = 0xEA02 // active, reactive, apparent
	polyCONFIG2  = 0xEC01
)

// Bits.
const (
	polySoftReset  = 1 << 7  // CONFIG
	polyLockI2C    = 1 << 1  // CONFIG2
	polyClearOnRd  = 1 << 6  // LCYCMODE
	polyHalfFull   = 1 << 0  // STATUS0: bit 30 of an active energy changed (recalled)
	polyNoCrossing = 1 << 3  // STATUS1, and 4, 5: no zero crossing of VA, VB, VC (recalled)
	polyResetDone  = 1 << 15 // STATUS1
	polySumChanged = 1 << 25 // STATUS1: the checksum is not what it was (recalled)
)

// polyDefaults are the reset values of the settings. All but RUN's, E7E3's and bit 6 of E702 are recalled.
var polyDefaults = map[uint16]uint32{
	polyRUN: 0, 0xE507: 0xFFFFFF, 0xE508: 0xFFFFFF, 0xE509: 0, polyMASK0: 0, polyMASK1: 0, 0xE520: 0,
	0xE60C: 0xFFFF, 0xE60D: 0xFFFF, polyCOMPMODE: 0x01FF, polyGain: 0, polyCFMODE: 0x0E88, 0xE611: 0, 0xE612: 0, polyCF3DEN: 0,
	0xE614: 0, 0xE615: 0, 0xE616: 0, polyCONFIG: 0x0002,
	polyMMODE: 0x1C, polyACCMODE: 0x80, polyLCYCMODE: 0x78, 0xE703: 0, 0xE704: 0, 0xE705: 0, polyHSDC: 0, polyPROTECT: 0,
	0xE900: 0x08, 0xE908: 0, 0xE909: 0, 0xE90A: 0,
	0xEA00: 0x01, polyWTHR: 3, polyWTHR + 1: 3, polyWTHR + 2: 3, 0xEC00: 0x07, polyCONFIG2: 0,
}

// Full scale: a sine of 500 mV peak at gain 1 (data sheet rev. C).
const (
	polyFullRMS   = 3_766_572
	polyPowerMax  = 27_059_678
	polyFullPower = polyPowerMax / 16.0
	polyClock     = 256_000 // of PERIOD, Hz
	// polyRate is how often a second the energy accumulators add a power: with WTHR = 3 full scale gives 68,817 counts
	// a second. Recalled.
	polyRate     = 1_024_000
	polySumAtRst = 0xAFFA63B9
)

const (
	polySettle   = 580 * time.Millisecond
	polyFirst    = 1300 * time.Millisecond // after RUN = 1
	polyStartup  = 40 * time.Millisecond   // after power-up; recalled
	polyRestart  = time.Millisecond        // after a software reset; arbitrary
	polyCrossing = 1.0 / 1250              // of full scale, below which no crossing is seen: taken from the ADE7953
	polyPipeline = 2                       // writes to RAM that wait for others behind them
)

// ThreePhase is what a polyphase meter is wired to.
type ThreePhase interface {
	// Between describes an interval of the past. Where from is not before to, it describes the moment to.
	Between(from, to time.Time) PhaseInterval
}

// PhaseInterval is what three phases and the neutral did over some time. Means are over time.
type PhaseInterval struct {
	Phase       [3]PhaseFlow // A, B, C
	NeutralAmps float64      // rms
}

// PhaseFlow is one phase.
type PhaseFlow struct {
	VoltsRMS float64
	AmpsRMS  float64
	Watts    float64
	Vars     float64 // positive: inductive
	VA       float64
	Hertz    float64
}

// SteadyPhases is a ThreePhase that never changes.
type SteadyPhases PhaseInterval

// Between gives the same for every interval.
func (s SteadyPhases) Between(_, _ time.Time) PhaseInterval { return PhaseInterval(s) }

// ADE7880Opts is how a metering chip is wired, and what it is wired to.
type ADE7880Opts struct {
	Line      ThreePhase // nil is nothing
	FullVolts float64    // rms that drives a voltage input to full scale at gain 1
	FullAmps  float64    // rms that drives a current input, the neutral's too, to full scale at gain 1
	Reversed  [3]bool    // sensor the wrong way round: power is negative
	Now       func() time.Time
}

// ADE7880 is a three-phase metering chip (Analog Devices ADE7880 rev. C), as seen over I2C. It is created unlocked, at its
// reset values, long after power-on: RUN is 0 and nothing is computed.
//
// Left out: harmonics, waveforms, peaks, sag, no-load, line-cycle mode, phase and offset calibration and COMPMODE's
// frequency choice are stored at most and change no reading. Whose settings the checksum covers is recalled, and its
// value is right at the reset values alone; elsewhere it is some number that depends on all of them.
type ADE7880 struct {
	mu sync.Mutex
	o  ADE7880Opts

	regs     map[uint16]uint32 // settings
	queue    []polyWrite       // writes to RAM under way
	address  uint16            // register last addressed
	last     polyWrite         // last good transfer
	lastOp   byte
	gate     bool // the transfer before this one wrote AD to E7FE
	deaf     bool // left I2C; only a reset brings it back
	powered  bool
	silent   time.Time // answers nothing before this
	ran      time.Time // RUN has been 1 since; zero: it is 0
	stopped  PhaseInterval
	counted  time.Time             // energies are up to date to here
	energy   [polyEnergies]float64 // modulo 2^32
	status   [2]uint32
	scale    float64
	frozenAt time.Time // zero: not frozen
}

// polyWrite is a value for a register.
type polyWrite struct {
	reg   uint16
	value uint32
}

// polyEnergies is how many accumulators are kept: active, reactive and apparent of three phases.
const polyEnergies = 9

// NewADE7880 wires a chip.
func NewADE7880(o ADE7880Opts) *ADE7880 {
	o.Now = clock(o.Now)
	if o.Line == nil {
		o.Line = SteadyPhases{}
	}
	c := &ADE7880{o: o, powered: true, scale: 1}
	c.reset(c.now())
	return c
}

// reset puts everything at its reset value; the chip answers from a moment on.
func (c *ADE7880) reset(ready time.Time) {
	c.regs = maps.Clone(polyDefaults)
	c.queue, c.address, c.last, c.lastOp, c.gate, c.deaf = nil, 0, polyWrite{}, 0, false, false
	c.silent, c.counted, c.ran, c.stopped = ready, ready, time.Time{}, PhaseInterval{}
	c.energy = [polyEnergies]float64{}
	c.status = [2]uint32{0, polyResetDone}
}

// Reset is a brown-out or the RESET pin: reset values, unlocked, silent until the chip has started.
func (c *ADE7880) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reset(c.now().Add(polyStartup))
}

// SetPowered takes away or gives back the chip's supply, which comes from its own feed. Without it nothing answers.
func (c *ADE7880) SetPowered(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if on && !c.powered {
		c.reset(c.now().Add(polyStartup))
	}
	c.powered = on
}

// Disturb puts a pulse on the pins that select the interface: an unlocked chip leaves I2C and stays deaf until a reset,
// a locked one takes no notice. It tells which.
func (c *ADE7880) Disturb() (deaf bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deaf = c.deaf || c.regs[polyCONFIG2]&polyLockI2C == 0
	return c.deaf
}

// Change sets a register behind the master's back, as a disturbance does: the checksum moves.
func (c *ADE7880) Change(reg uint16, v uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance()
	c.store(polyWrite{reg, v})
}

// Freeze stops all measurement, or lets it go on: the chip answers, and its codes do not move.
func (c *ADE7880) Freeze(on bool) {
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
func (c *ADE7880) SetScale(f float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance()
	c.scale = f
}

// SetEnergy puts the active energy of a phase (0 to 2) at a count: near its end, for a test of the wrap.
func (c *ADE7880) SetEnergy(phase int, counts int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance()
	c.energy[phase] = float64(counts)
}

// Running tells whether RUN is 1.
func (c *ADE7880) Running() bool { c.mu.Lock(); defer c.mu.Unlock(); return !c.ran.IsZero() }

// now is the chip's time: it stands still while the chip is frozen.
func (c *ADE7880) now() time.Time {
	if !c.frozenAt.IsZero() {
		return c.frozenAt
	}
	return c.o.Now()
}

// polyWidth is how many bytes a register has; 0 where there is none.
func polyWidth(reg uint16) int {
	switch reg >> 8 {
	case 0x43:
		if reg >= polyRAM && reg <= polyRMSEnd {
			return 4
		}
	case 0xE4, 0xE5, 0xE8:
		return 4
	case 0xE2, 0xE6, 0xE9:
		return 2
	case 0xE7, 0xEA, 0xEC:
		return 1
	}
	return 0
}

// Tx takes a register address of two bytes, high byte first, and then data, or gives data back.
func (c *ADE7880) Tx(w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.powered || c.deaf || c.o.Now().Before(c.silent) {
		return NackAddress
	}
	c.advance()
	gate := c.gate
	c.gate = false
	if len(w) >= 2 {
		c.address = word(w)
		c.write(w[2:], gate)
	}
	if len(r) > 0 {
		c.read(r)
	}
	return nil
}

// write stores the data of a whole register; fewer bytes have no effect, and more are lost.
func (c *ADE7880) write(data []byte, gate bool) {
	width := polyWidth(c.address)
	if width == 0 || len(data) < width {
		return
	}
	w := polyWrite{reg: c.address}
	for _, b := range data[:width] {
		w.value = w.value<<8 | uint32(b)
	}
	c.last, c.lastOp = w, 0xCA
	switch ram := w.reg >= polyRAM && w.reg <= polyRAMEnd; {
	case w.reg == polyUNLOCK:
		c.gate = w.value == 0xAD
	case w.reg == polyPROTECT && !gate:
	case ram && c.regs[polyPROTECT]&0x80 != 0: // acknowledged and without effect
	case ram:
		c.queue = append(c.queue, w)
		if len(c.queue) > polyPipeline {
			c.store(c.queue[0])
			c.queue = slices.Clone(c.queue[1:])
		}
	default:
		c.store(w)
	}
}

// store changes one setting and what depends on it.
func (c *ADE7880) store(w polyWrite) {
	sum := c.checksum()
	_, known := c.regs[w.reg]
	switch ram := w.reg >= polyRAM && w.reg <= polyRAMEnd; {
	case w.reg == polySTATUS0 || w.reg == polySTATUS1:
		c.status[w.reg-polySTATUS0] &^= w.value
		return
	case w.reg == polyCONFIG && w.value&polySoftReset != 0:
		lock := c.regs[polyCONFIG2]
		c.reset(c.now().Add(polyRestart))
		c.regs[polyCONFIG2] = lock
		return
	case w.reg == polyRUN:
		c.run(w.value&1 != 0)
	case !ram && !known:
		return
	case ram:
		w.value &= 0xFFFFFF
	}
	c.regs[w.reg] = w.value
	if c.checksum() != sum {
		c.status[1] |= polySumChanged
	}
}

// run starts or stops the DSP; what it had computed stays in the registers.
func (c *ADE7880) run(on bool) {
	switch {
	case on && c.ran.IsZero():
		c.ran = c.now()
	case !on && !c.ran.IsZero():
		c.stopped, c.ran = c.recent(), time.Time{}
	}
}

// polyCovered are the settings besides RAM that the checksum covers.
var polyCovered = []uint16{
	polyMASK0, polyMASK1, polyCOMPMODE, polyGain, polyCFMODE, polyCFMODE + 1, polyCFMODE + 2, polyCF3DEN, polyCONFIG,
	polyMMODE, polyACCMODE, polyLCYCMODE, polyHSDC,
}

// checksum is AFFA63B9 at the reset values, and another number elsewhere.
func (c *ADE7880) checksum() uint32 {
	return polySumAtRst ^ polyDigest(polyDefaults) ^ polyDigest(c.regs)
}

func polyDigest(regs map[uint16]uint32) uint32 {
	var b []byte
	add := func(reg uint16) {
		v := regs[reg]
		b = append(b, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
	}
	for _, reg := range polyCovered {
		add(reg)
	}
	for reg := uint16(polyRAM); reg <= polyRAMEnd; reg++ {
		add(reg)
	}
	return crc32.ChecksumIEEE(b)
}

// read gives the register last addressed, high byte first, and FF beyond its width; all FF where there is none.
func (c *ADE7880) read(r []byte) {
	reg, width := c.address, polyWidth(c.address)
	v := c.value(reg)
	for i := range r {
		r[i] = 0xFF
		if i < width {
			r[i] = byte(v >> (8 * (width - 1 - i)))
		}
	}
	switch reg {
	case polyLASTADD, polyLASTOP, polyLAST8, polyLAST16, polyLAST32:
	default:
		c.last, c.lastOp = polyWrite{reg, v}, 0x35
	}
	if i, ok := polyEnergy(reg); ok && c.regs[polyLCYCMODE]&polyClearOnRd != 0 {
		c.energy[i] = 0
	}
}

// value is a register as it stands now.
func (c *ADE7880) value(reg uint16) uint32 {
	switch reg {
	case polySTATUS0, polySTATUS1:
		return c.status[reg-polySTATUS0]
	case polyCHECKSUM:
		return c.checksum()
	case polyVERSION:
		return 1 // the version the anomaly list names
	case polyLASTADD:
		return uint32(c.last.reg)
	case polyLASTOP:
		return uint32(c.lastOp)
	case polyLAST8, polyLAST16, polyLAST32:
		return c.last.value
	}
	if reg >= polyRAM && reg <= polyRAMEnd {
		return uint32(int32(c.regs[reg]<<8)>>8) & 0x0FFFFFFF // signed, in 28 of 32 bits (recalled)
	}
	if v, ok := c.regs[reg]; ok {
		return v
	}
	if i, ok := polyEnergy(reg); ok {
		return uint32(int64(math.Floor(c.energy[i])))
	}
	return c.measured(reg)
}

// polyEnergy is the accumulator behind an energy register. Fundamental active energy is that of the whole wave here.
func polyEnergy(reg uint16) (i int, ok bool) {
	switch {
	case reg >= polyWATTHR && reg < polyWATTHR+3:
		return int(reg - polyWATTHR), true
	case reg >= polyFWATTHR && reg < polyFWATTHR+3:
		return int(reg - polyFWATTHR), true
	case reg >= polyFVARHR && reg < polyFVARHR+6: // VAHR follows
		return int(reg-polyFVARHR) + 3, true
	}
	return 0, false
}

// recent is the mean over the settling time. What came before RUN counts as nothing, and the first second and a third
// fade in. Stopped, it is what there was at the end.
func (c *ADE7880) recent() PhaseInterval {
	if c.ran.IsZero() {
		return c.stopped
	}
	to := c.now()
	from := to.Add(-polySettle)
	if from.Before(c.ran) {
		from = c.ran
	}
	in := c.o.Line.Between(from, to)
	part := min(max(to.Sub(c.ran).Seconds()/polyFirst.Seconds(), 0), 1)
	in.NeutralAmps *= part
	for i := range in.Phase {
		f := &in.Phase[i]
		f.VoltsRMS, f.AmpsRMS, f.Watts, f.Vars, f.VA = f.VoltsRMS*part, f.AmpsRMS*part, f.Watts*part, f.Vars*part, f.VA*part
	}
	return in
}

// measured is the code of a measurement register; 0 for an address the chip does not have.
func (c *ADE7880) measured(reg uint16) uint32 {
	in := c.recent()
	switch {
	case reg >= polyRMS && reg <= polyRMSEnd:
		return c.rms(in, int(reg-polyRMS))
	case reg >= polyWATT && reg < polyWATT+9:
		kind, i := int(reg-polyWATT)/3, int(reg-polyWATT)%3
		return uint32(int32(nearest(c.share(in.Phase[i], i, kind)*polyFullPower, 1, -0x800000, 0x7FFFFF)))
	case reg >= polyPF && reg < polyPF+3:
		return c.powerFactor(in.Phase[reg-polyPF])
	case reg >= polyPERIOD && reg < polyPERIOD+3:
		return c.period(in.Phase[reg-polyPERIOD])
	}
	return 0
}

// pga is the gain of the phase currents (0), the neutral's (1) and the voltages (2).
func (c *ADE7880) pga(which int) float64 {
	code := c.regs[polyGain] >> (3 * which) & 7
	if code > 4 {
		code = 0
	}
	return float64(int(1) << code)
}

// trim is a gain register of the RAM as a factor: 1 + n / 2^23 (recalled).
func (c *ADE7880) trim(reg uint16) float64 { return 1 + signed24(c.regs[reg])/(1<<23) }

// rms is a code of IA, VA, IB, VB, IC, VC, IN.
func (c *ADE7880) rms(in PhaseInterval, which int) uint32 {
	i := which / 2
	var part float64
	switch {
	case which == 6:
		part = in.NeutralAmps / c.o.FullAmps * c.pga(1)
	case which%2 == 0:
		part = in.Phase[i].AmpsRMS / c.o.FullAmps * c.pga(0)
	default:
		part = in.Phase[i].VoltsRMS / c.o.FullVolts * c.pga(2)
	}
	trim := c.trim(polyIGAIN + uint16(which)) // IN's is 4386, behind those of the phases
	return uint32(nearest(min(part, 1)*polyFullRMS*trim*c.scale, 1, 0, 0xFFFFFF))
}

// Kinds of power, in the order of the registers E513 to E51B.
const (
	polyActive = iota
	polyReactive
	polyApparent
)

// share is a power as a part of full scale.
func (c *ADE7880) share(f PhaseFlow, i, kind int) float64 {
	p := [3]float64{polyActive: f.Watts, polyReactive: f.Vars, polyApparent: f.VA}[kind]
	if c.o.Reversed[i] && kind != polyApparent {
		p = -p
	}
	p *= c.pga(0) * c.pga(2) * c.trim(polyPGAIN+2*uint16(i))
	p *= c.trim(polyIGAIN+2*uint16(i)) * c.trim(polyIGAIN+2*uint16(i)+1)
	return p / (c.o.FullVolts * c.o.FullAmps) * c.scale
}

// powerFactor is signed / 32768, negative where the load is capacitive, as in the ADE7953; without load it is 1.
func (c *ADE7880) powerFactor(f PhaseFlow) uint32 {
	if f.VA <= 0 {
		return 0x7FFF
	}
	pf := math.Abs(f.Watts) / f.VA
	if f.Vars < 0 {
		pf = -pf
	}
	return uint32(uint16(nearest(pf, 1.0/32768, math.MinInt16, math.MaxInt16)))
}

// period is 256000 / f. Without zero crossings the register holds something that means nothing and looks well: a reader
// that does not look at the voltage takes it for 50 Hz.
func (c *ADE7880) period(f PhaseFlow) uint32 {
	switch {
	case c.ran.IsZero() && c.stopped == PhaseInterval{}:
		return 0
	case c.lost(f):
		return 5120
	}
	return uint32(nearest(polyClock/f.Hertz, 1, 0, 0xFFFF))
}

// lost tells whether a voltage is too low for zero crossings.
func (c *ADE7880) lost(f PhaseFlow) bool {
	return !(f.VoltsRMS*c.pga(2) >= c.o.FullVolts*polyCrossing) || !(f.Hertz > 0)
}

// advance brings energies and status bits up to now.
func (c *ADE7880) advance() {
	from, to := c.counted, c.now()
	if !to.After(from) {
		return
	}
	c.counted = to
	if c.ran.IsZero() {
		return
	}
	in := c.o.Line.Between(from, to)
	for i, f := range in.Phase {
		if c.lost(f) {
			c.status[1] |= polyNoCrossing << i
		}
		for kind := range 3 {
			c.count(3*kind+i, c.share(f, i, kind), kind, to.Sub(from).Seconds())
		}
	}
}

// count adds to an accumulator. Threshold register n counts one for n * 2^27 of power added up.
func (c *ADE7880) count(i int, share float64, kind int, seconds float64) {
	threshold := float64(max(c.regs[polyWTHR+uint16(kind)], 1)) * (1 << 27)
	before := math.Floor(c.energy[i] / (1 << 30))
	c.energy[i] += share * polyPowerMax * polyRate / threshold * seconds
	if math.Floor(c.energy[i]/(1<<30)) != before && kind == polyActive {
		c.status[0] |= polyHalfFull
	}
	if math.Abs(c.energy[i]) >= 1<<31 { // keep the sum small: it is read modulo 2^32
		c.energy[i] -= (1 << 32) * math.Round(c.energy[i]/(1<<32))
	}
}
