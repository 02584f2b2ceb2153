package drivertest

import (
	"math"
	"sync"
	"time"
)

// Registers of the INA228, INA238 and INA237 (Linux driver ina238; the INA228 recalled).
const (
	ina8Config    = 0x00
	ina8ADC       = 0x01
	ina8ShuntCal  = 0x02
	ina8Tempco    = 0x03 // INA228 alone
	ina8VShunt    = 0x04
	ina8VBus      = 0x05
	ina8DieTemp   = 0x06
	ina8Current   = 0x07
	ina8Power     = 0x08
	ina8Energy    = 0x09 // INA228 alone
	ina8Charge    = 0x0A // INA228 alone
	ina8Diag      = 0x0B
	ina8SOVL      = 0x0C
	ina8SUVL      = 0x0D
	ina8BOVL      = 0x0E
	ina8BUVL      = 0x0F
	ina8TempLimit = 0x10
	ina8PowLimit  = 0x11
	ina8Maker     = 0x3E
	ina8Device    = 0x3F
)

// Bits of CONFIG.
const (
	ina8Reset      = 1 << 15
	ina8ClearSums  = 1 << 14 // INA228 alone
	ina8SmallRange = 1 << 4
)

// Bits of DIAG_ALRT. All but the ready and the three overflow flags are recalled.
const (
	ina8Healthy   = 1 << 0
	ina8Ready     = 1 << 1
	ina8PowOver   = 1 << 2
	ina8BusUnder  = 1 << 3
	ina8BusOver   = 1 << 4
	ina8ShUnder   = 1 << 5
	ina8ShOver    = 1 << 6
	ina8TempOver  = 1 << 7
	ina8MathOver  = 1 << 9
	ina8ChargeOv  = 1 << 10
	ina8EnergyOv  = 1 << 11
	ina8Latched   = 1 << 15
	ina8Settable  = 0xF000
	ina8Limits    = ina8PowOver | ina8BusUnder | ina8BusOver | ina8ShUnder | ina8ShOver | ina8TempOver
	ina8Overflows = ina8MathOver | ina8ChargeOv | ina8EnergyOv
)

// ina8PowerOn are the settings at power-on; all but ADC_CONFIG's are recalled.
var ina8PowerOn = map[byte]uint16{
	ina8Config: 0, ina8ADC: 0xFB68, ina8ShuntCal: 0x1000, ina8Tempco: 0, ina8Diag: 0,
	ina8SOVL: 0x7FFF, ina8SUVL: 0x8000, ina8BOVL: 0x7FFF, ina8BUVL: 0, ina8TempLimit: 0x7FFF, ina8PowLimit: 0xFFFF,
}

// ina8Micros are the conversion times by their codes.
var ina8Micros = [8]int{50, 84, 150, 280, 540, 1052, 2074, 4120}

// ina8Part is what sets the three parts apart.
type ina8Part struct {
	bits    int     // of shunt, bus and current registers
	extra   int     // unused low bits below them
	shuntV  float64 // V per step, ADCRANGE = 0
	busV    float64
	tempK   float64 // °C per step
	tempGap int     // unused low bits of DIETEMP
	powDiv  int64   // current code times bus code per power step
	sums    bool    // energy and charge
	device  uint16  // 0: no identification registers
}

// INA228Opts is how a monitor is wired, and what it sees.
type INA228Opts struct {
	Amps     Quantity // through the shunt; nil is none
	Volts    Quantity // at the bus pin; nil is none
	Celsius  Quantity // of the die; nil is 0
	ShuntOhm float64
	Now      func() time.Time // nil: the system's clock
}

// INA228 is an 85 V DC power monitor, high byte first (TI INA228): 20 bits, with energy and charge in 40 bits
// that wrap. The INA238 and the INA237 are its relatives of 16 bits without the two sums. SHUNT_CAL is volatile.
//
// Left out: SHUNT_TEMPCO and CONVDLY are stored and change nothing; the alert pin; sums are taken in at most 1024 steps
// between two transfers.
type INA228 struct {
	mu      sync.Mutex
	o       INA228Opts
	part    ina8Part
	pointer byte
	regs    map[byte]uint16 // settings
	shunt   int64           // codes of the last whole conversion
	bus     int64
	die     int64
	current int64
	power   int64
	energy  sum40
	charge  sum40
	flags   uint16
	begun   time.Time // the conversion now running
	idle    bool      // a triggered conversion is over
}

// NewINA228 is a monitor that has been powered for a while: a conversion is complete. Its sums begin now.
func NewINA228(o INA228Opts) *INA228 {
	return newINA8(o, ina8Part{
		bits: 20, extra: 4, shuntV: 312.5e-9, busV: 195.3125e-6, tempK: 7.8125e-3, powDiv: 16384, sums: true,
		device: 0x2281, // revision 1; the upper 12 bits name the part
	})
}

// NewINA238 is the part of 16 bits (TI INA238), powered for a while.
func NewINA238(o INA228Opts) *INA228 { return newINA8(o, ina238Part(0x2381)) }

// NewINA237 is an INA238 without identification registers, powered for a while. What it answers at 3E and 3F is not
// known: here 0000.
func NewINA237(o INA228Opts) *INA228 { return newINA8(o, ina238Part(0)) }

func ina238Part(device uint16) ina8Part {
	return ina8Part{bits: 16, shuntV: 5e-6, busV: 3.125e-3, tempK: 0.125, tempGap: 4, powDiv: 64, device: device}
}

func newINA8(o INA228Opts, part ina8Part) *INA228 {
	o.Now = clock(o.Now)
	c := &INA228{o: o, part: part}
	c.defaults()
	c.measure(c.begun.Add(-c.period()), c.begun)
	return c
}

func (c *INA228) defaults() {
	c.pointer = 0
	c.regs = make(map[byte]uint16, len(ina8PowerOn))
	for reg, v := range ina8PowerOn {
		c.regs[reg] = v
	}
	c.shunt, c.bus, c.die, c.current, c.power, c.flags = 0, 0, 0, 0, 0, 0
	c.energy, c.charge = sum40{}, sum40{}
	c.begun, c.idle = c.o.Now(), false
}

// Reset is a brown-out: settings, results and sums are lost, and the first conversion begins.
func (c *INA228) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.defaults()
}

// ShuntCal is the register that makes current, power, energy and charge mean something.
func (c *INA228) ShuntCal() uint16 { c.mu.Lock(); defer c.mu.Unlock(); return c.regs[ina8ShuntCal] }

// SetEnergy puts the energy register at a count, modulo 2^40: near its end, for a test of the wrap.
func (c *INA228) SetEnergy(counts uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.convert(c.o.Now())
	c.energy = sum40{count: counts & mask40}
}

// SetCharge puts the charge register at a count, modulo 2^40.
func (c *INA228) SetCharge(counts int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.convert(c.o.Now())
	c.charge = sum40{count: uint64(counts) & mask40}
}

// Tx sets the pointer, writes a register and reads it, high byte first, and FF beyond its width.
func (c *INA228) Tx(w, r []byte) error {
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
		v, width := c.read()
		for i := range r {
			r[i] = 0xFF
			if i < width {
				r[i] = byte(v >> (8 * (width - 1 - i)))
			}
		}
	}
	return nil
}

func (c *INA228) write(v uint16) {
	reg := c.pointer
	_, known := c.regs[reg]
	switch {
	case !known, reg == ina8Tempco && !c.part.sums:
	case reg == ina8Config && v&ina8Reset != 0:
		c.defaults()
	case reg == ina8Config:
		if v&ina8ClearSums != 0 && c.part.sums {
			c.energy, c.charge = sum40{}, sum40{}
			c.flags &^= ina8Overflows
		}
		c.regs[reg] = v & 0x3FF0
	case reg == ina8ADC:
		c.regs[reg] = v
		c.begun, c.idle = c.o.Now(), false
		c.flags &^= ina8Ready | ina8MathOver
	case reg == ina8Diag:
		c.regs[reg] = v & ina8Settable
	case reg == ina8ShuntCal:
		c.regs[reg] = v & 0x7FFF
	default:
		c.regs[reg] = v
	}
}

// read gives the register at the pointer with its width in bytes; 0000 where there is none, which the data sheet leaves
// open.
func (c *INA228) read() (v uint64, width int) {
	wide := c.part.bits == 20
	code := func(n int64) (uint64, int) {
		if wide {
			return uint64(n<<c.part.extra) & 0xFFFFFF, 3
		}
		return uint64(n) & 0xFFFF, 2
	}
	switch c.pointer {
	case ina8VShunt:
		return code(c.shunt)
	case ina8VBus:
		return code(c.bus)
	case ina8Current:
		return code(c.current)
	case ina8DieTemp:
		return uint64(c.die<<c.part.tempGap) & 0xFFFF, 2
	case ina8Power:
		return uint64(c.power) & 0xFFFFFF, 3
	case ina8Diag:
		return uint64(c.diag()), 2
	case ina8Maker:
		if c.part.device != 0 {
			return inaTI, 2
		}
	case ina8Device:
		return uint64(c.part.device), 2
	case ina8Energy, ina8Charge:
		if c.part.sums {
			return c.sum(), 5
		}
	case ina8Tempco:
		if !c.part.sums {
			return 0, 2
		}
	}
	return uint64(c.regs[c.pointer]), 2
}

// sum is the energy or the charge; reading it takes its overflow flag away (recalled).
func (c *INA228) sum() uint64 {
	if c.pointer == ina8Energy {
		c.flags &^= ina8EnergyOv
		return c.energy.count
	}
	c.flags &^= ina8ChargeOv
	return c.charge.count
}

// diag is DIAG_ALRT; reading it takes the ready flag away, and latched limits.
func (c *INA228) diag() uint16 {
	v := c.regs[ina8Diag] | c.flags | ina8Healthy
	c.flags &^= ina8Ready
	if c.regs[ina8Diag]&ina8Latched != 0 {
		c.flags &^= ina8Limits
	}
	return v
}

// mode is the upper four bits of ADC_CONFIG: bit 3 continuous, then temperature, shunt, bus.
func (c *INA228) mode() uint16 { return c.regs[ina8ADC] >> 12 }

// averages is how many samples make a result.
func (c *INA228) averages() int { return inaAverages[c.regs[ina8ADC]&7] }

// period is how long one conversion of all that is enabled takes.
func (c *INA228) period() time.Duration {
	adc, us := c.regs[ina8ADC], 0
	for i, shift := range [3]int{9, 6, 3} { // bus, shunt, temperature
		if c.mode()>>i&1 != 0 {
			us += ina8Micros[adc>>shift&7]
		}
	}
	return time.Duration(us*c.averages()) * time.Microsecond
}

// ina8Steps is how many pieces the sums are taken in between two transfers: arbitrary.
const ina8Steps = 1024

// convert completes the conversions that ended up to a moment, and brings the sums up to date.
func (c *INA228) convert(at time.Time) {
	period, mode := c.period(), c.mode()
	if mode&7 == 0 || c.idle || at.Sub(c.begun) < period {
		return
	}
	if mode&8 == 0 {
		c.idle = true
		c.begun = c.begun.Add(period)
		c.measure(c.begun.Add(-period), c.begun)
		return
	}
	n := int64(at.Sub(c.begun) / period)
	from, pieces := c.begun, min(n, ina8Steps)
	for i := range pieces {
		to := c.begun.Add(period * time.Duration((i+1)*(n/pieces)+(i+1)*(n%pieces)/pieces))
		c.measure(from, to)
		c.accumulate(to.Sub(from).Seconds())
		from = to
	}
	c.begun = from
	c.measure(c.begun.Add(-period), c.begun) // the registers show the last conversion, not the last piece
}

// measure makes the registers of one conversion. What does not fit sets MATHOF; the data sheet calls current and power
// then "invalid", and here the upper bits are lost.
func (c *INA228) measure(from, to time.Time) {
	p, n, mode := c.part, c.averages(), c.mode()
	high := float64(int64(1)<<(p.bits-1) - 1)
	if mode&1 != 0 {
		c.bus = nearest(mean(c.o.Volts, from, to, n), p.busV, 0, high)
	}
	if mode&2 != 0 {
		step := p.shuntV
		if c.regs[ina8Config]&ina8SmallRange != 0 {
			step /= 4
		}
		c.shunt = nearest(mean(c.o.Amps, from, to, n)*c.o.ShuntOhm, step, -high-1, high)
	}
	if mode&4 != 0 {
		end := float64(int64(1) << (15 - p.tempGap))
		c.die = nearest(mean(c.o.Celsius, from, to, n), p.tempK, -end, end-1)
	}
	c.compute(int64(high))
	c.flags |= ina8Ready
	c.judge()
}

// compute makes current and power. SHUNT_CAL is 13107.2e6 (INA238: 819.2e6) * I_LSB * Rs, four times that with
// ADCRANGE = 1, so the current code is the shunt code * 4096 / SHUNT_CAL in all parts. SHUNT_CAL = 0 gives no current.
func (c *INA228) compute(high int64) {
	cal := int64(c.regs[ina8ShuntCal])
	if cal == 0 {
		c.current, c.power = 0, 0
		c.flags |= ina8MathOver
		return
	}
	current := int64(math.Round(float64(c.shunt) * 4096 / float64(cal)))
	if current > high || current < -high-1 {
		c.flags |= ina8MathOver
	}
	c.current = current << (64 - c.part.bits) >> (64 - c.part.bits)
	power := magnitude(c.current) * c.bus / c.part.powDiv
	if power > 0xFFFFFF {
		c.flags |= ina8MathOver
	}
	c.power = power & 0xFFFFFF
}

// accumulate adds to the sums: energy in 16 power steps times a second, charge in current steps times a second.
func (c *INA228) accumulate(seconds float64) {
	if !c.part.sums {
		return
	}
	if c.energy.add(float64(c.power) / 16 * seconds) {
		c.flags |= ina8EnergyOv
	}
	was := c.charge.signed()
	c.charge.add(float64(c.current) * seconds)
	if now := c.charge.signed(); (now < was) != (c.current < 0) && now != was {
		c.flags |= ina8ChargeOv
	}
}

// judge compares the results with the limits, whose steps are those of the 16-bit parts.
func (c *INA228) judge() {
	fine := c.part.bits - 16
	shunt, bus, die := c.shunt>>fine, c.bus>>fine, c.die<<c.part.tempGap
	var hit uint16
	for _, l := range [...]struct {
		over bool
		flag uint16
	}{
		{shunt > int64(int16(c.regs[ina8SOVL])), ina8ShOver},
		{shunt < int64(int16(c.regs[ina8SUVL])), ina8ShUnder},
		{bus > int64(c.regs[ina8BOVL]), ina8BusOver},
		{bus < int64(c.regs[ina8BUVL]), ina8BusUnder},
		{die > int64(int16(c.regs[ina8TempLimit])), ina8TempOver},
		{c.power>>8 > int64(c.regs[ina8PowLimit]), ina8PowOver},
	} {
		if l.over {
			hit |= l.flag
		}
	}
	if c.regs[ina8Diag]&ina8Latched == 0 {
		c.flags &^= ina8Limits
	}
	c.flags |= hit
}

const mask40 = 1<<40 - 1

// sum40 is a sum of 40 bits that wraps, with the part of a count that is not yet one.
type sum40 struct {
	count uint64
	part  float64
}

// add adds counts and tells whether the sum, taken as unsigned, wrapped upwards.
func (s *sum40) add(counts float64) (wrapped bool) {
	s.part += counts
	whole := math.Floor(s.part)
	s.part -= whole
	count := int64(s.count) + int64(whole)
	s.count = uint64(count) & mask40
	return count > mask40
}

// signed is the sum as a signed number.
func (s *sum40) signed() int64 { return int64(s.count<<24) >> 24 }
