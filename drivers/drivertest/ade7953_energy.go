package drivertest

import (
	"math"
	"time"
)

// advance brings energies, peaks and status bits up to now.
func (c *ADE7953) advance() {
	now := c.now()
	if !now.After(c.counted) {
		return
	}
	in := c.o.Line.Between(c.counted, now)
	c.peaks(in)
	c.crossings(in, now)
	for ch := range 2 {
		for row := range rowKind {
			c.count(in, ch, row, now.Sub(c.counted).Seconds())
		}
	}
	if c.regs[adeLCYCMODE]&0x3F != 0 && c.windows(now) > c.windows(c.counted) {
		c.status[0] |= adeIRQWindow
	}
	c.counted = now
	c.detect()
}

func (c *ADE7953) peaks(in Interval) {
	for i, v := range [3]float64{in.VoltsPeak, in.Channel[0].AmpsPeak, in.Channel[1].AmpsPeak} {
		c.peak[i] = max(c.peak[i], v)
	}
	if c.peakCode(0) > c.regs[adeOVLVL] {
		c.status[0] |= adeIRQOverV
	}
	for ch := range 2 {
		if c.peakCode(1+ch) > c.regs[adeOILVL] {
			c.status[ch] |= adeIRQOverI
		}
	}
}

// crossings sets the status bit for a voltage without zero crossings for ZXTOUT steps of 0.07 ms.
func (c *ADE7953) crossings(in Interval, now time.Time) {
	if in.VoltsRMS >= c.fullVolts()*adeCrossing {
		c.zxLost = time.Time{}
		return
	}
	if c.zxLost.IsZero() {
		c.zxLost = c.counted
	}
	if now.Sub(c.zxLost) >= time.Duration(c.regs[adeZXTOUT])*70*time.Microsecond {
		c.status[0] |= adeIRQNoZX
	}
}

// detect finds which powers are below their no-load thresholds: active, reactive, apparent.
func (c *ADE7953) detect() {
	in := c.recent()
	for ch := range 2 {
		for row := range rowKind {
			was := c.idle[ch][row]
			c.idle[ch][row] = c.noLoadNow(in, ch, row)
			if c.idle[ch][row] && !was {
				c.status[ch] |= adeIRQNoLoad << row
			}
		}
	}
}

// rowKind is the kind of power in each row of the energy, no-load and status registers: active, reactive, apparent.
var rowKind = [3]int{adeActive, adeReactive, adeApparent}

// threshold is a no-load level as a part of full scale: the register is 65536 - Y / 1.4 for 1/Y.
func (c *ADE7953) threshold(i int) float64 {
	return 1 / max((65536-float64(c.noLoad[i]))*1.4, 1)
}

// liveBits are the states ACCMODE shows: sign of active power, and no load by active, apparent, reactive power.
func (c *ADE7953) liveBits() uint32 {
	var v uint32
	in := c.recent()
	for ch := range 2 {
		if c.flow(in, ch).Watts < 0 {
			v |= 1 << (10 + ch)
		}
		for i, bit := range [3]int{0, 2, 1} {
			if c.idle[ch][i] {
				v |= 1 << (16 + 3*ch + bit)
			}
		}
	}
	return v
}

// count adds an interval to one energy register. Below the no-load level nothing is counted.
func (c *ADE7953) count(in Interval, ch, row int, seconds float64) {
	if c.noLoadNow(in, ch, row) {
		return
	}
	sum := &c.energy[2*row+ch]
	before := math.Floor((*sum + 0x800000) / 0x1000000)
	*sum += c.counts(in, ch, row, seconds)
	if math.Floor((*sum+0x800000)/0x1000000) != before {
		c.status[ch] |= adeIRQOverflow << row
	}
}

// noLoadNow tells whether detection is on and the power of an interval is below its threshold.
func (c *ADE7953) noLoadNow(in Interval, ch, row int) bool {
	return c.regs[adeDISNOLOAD]&(1<<row) == 0 && math.Abs(c.share(in, ch, rowKind[row])) < c.threshold(row)
}

// counts is what an interval is worth in one energy register.
func (c *ADE7953) counts(in Interval, ch, row int, seconds float64) float64 {
	kind := rowKind[row]
	share := c.scale * c.share(in, ch, kind) * c.gain(ch, kindGain[kind])
	if kind == adeActive {
		switch c.regs[adeACCMODE] >> (2 * ch) & 3 {
		case 1:
			share = max(share, 0)
		case 2:
			share = math.Abs(share)
		}
	}
	return share * adeFullEnergy * seconds
}

// energyCode is the energy register: the running sum modulo 2^24, or in line-cycle mode the last whole window.
func (c *ADE7953) energyCode(reg int) uint32 {
	counts := c.energy[reg]
	if c.regs[adeLCYCMODE]&(1<<reg) != 0 {
		counts = c.lastWindow(reg)
	}
	return uint32(int64(math.Floor(counts))) & 0xFFFFFF
}

// windowLength is LINECYC half cycles; zero where there is none.
func (c *ADE7953) windowLength(hertz float64) time.Duration {
	if hertz <= 0 {
		return 0
	}
	return time.Duration(float64(c.regs[adeLINECYC]) / (2 * hertz) * float64(time.Second))
}

// adeShortWindow is how much of the first line-cycle window is there: it begins somewhere between two crossings of
// the running window. Arbitrary.
const adeShortWindow = 0.37

// windows is how many line-cycle windows had ended by a moment.
func (c *ADE7953) windows(at time.Time) int {
	length := c.windowLength(c.recent().Hertz)
	if length == 0 || at.Before(c.window) {
		return 0
	}
	first := time.Duration(float64(length) * adeShortWindow)
	if at.Before(c.window.Add(first)) {
		return 0
	}
	return 1 + int(at.Sub(c.window.Add(first))/length)
}

// lastWindow is the energy of the last whole window; the first one is short, and before it there is none.
func (c *ADE7953) lastWindow(reg int) float64 {
	n := c.windows(c.now())
	if n == 0 {
		return 0
	}
	length := c.windowLength(c.recent().Hertz)
	end := c.window.Add(time.Duration(float64(length) * adeShortWindow)).Add(time.Duration(n-1) * length)
	begin := end.Add(-length)
	if n == 1 {
		begin = c.window
	}
	return c.counts(c.o.Line.Between(begin, end), reg%2, reg/2, end.Sub(begin).Seconds())
}
