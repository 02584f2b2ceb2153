package drivertest

import (
	"math"
	"time"
)

// Full scale: a sine of 500 mV / gain peak (data sheet rev. C).
const (
	adePinVolts   = 0.5
	adeFullRMS    = 9_032_007
	adeFullPower  = 4_862_401
	adeFullWave   = 6_500_000
	adeFullEnergy = 206_900 // counts per second
	adeClock      = 223_750 // of PERIOD and ANGLE, Hz
	adeUnity      = 0x400000
)

const (
	// adeSettle is how long rms readings take after a change: about 200 ms. The data sheet gives no figure for
	// power; the same is taken.
	adeSettle = 200 * time.Millisecond
	// adeUpdate is how often the measurement registers change: 6.99 kHz.
	adeUpdate = 143 * time.Microsecond
	// adeIdleCodes is what IRMS shows without current. Drivers cut off at 2000; arbitrary, somewhat below.
	adeIdleCodes = 1500
	// adeCrossing: below 1/1250 of full scale no zero crossing is seen.
	adeCrossing = 1.0 / 1250
)

// gainOf is the amplification a PGA register stands for.
func gainOf(code uint32) float64 {
	switch {
	case code <= 4:
		return float64(int(1) << code)
	case code == 5:
		return 22
	default:
		return 1
	}
}

// fullVolts is the mains voltage, rms, that drives the voltage input to full scale.
func (c *ADE7953) fullVolts() float64 {
	return adePinVolts / gainOf(c.regs[adePGAV]) / math.Sqrt2 * c.o.Divider
}

// fullAmps is the current, rms, that drives a channel to full scale.
func (c *ADE7953) fullAmps(ch int) float64 {
	return adePinVolts / gainOf(c.regs[adePGAIA+uint16(ch)]) / math.Sqrt2 / c.o.ShuntOhm[ch]
}

// gain is a gain register as a factor: which is 0 to 4 for I, V, W, VAR, VA. Channel A's voltage gain is the one
// that VRMS shows.
func (c *ADE7953) gain(ch, which int) float64 {
	base := uint16(adeGAINA)
	if ch == 1 {
		base = adeGAINB
	}
	return float64(c.regs[base+uint16(which)]) / adeUnity
}

// flow is what a channel sees of its current, with the wiring's sign.
func (c *ADE7953) flow(in Interval, ch int) Flow {
	f := in.Channel[ch]
	if c.o.Reversed[ch] {
		f.Watts, f.Vars = -f.Watts, -f.Vars
	}
	return f
}

// recent is the mean over the settling time, in which what came before the chip's start counts as nothing.
func (c *ADE7953) recent() Interval {
	to := c.now()
	from := to.Add(-adeSettle)
	if !from.Before(c.began) {
		return c.o.Line.Between(from, to)
	}
	in := c.o.Line.Between(c.began, to)
	part := max(to.Sub(c.began).Seconds()/adeSettle.Seconds(), 0)
	in.VoltsRMS *= part
	for i := range in.Channel {
		f := &in.Channel[i]
		f.AmpsRMS, f.Watts, f.Vars, f.VA = f.AmpsRMS*part, f.Watts*part, f.Vars*part, f.VA*part
	}
	return in
}

// measured is the code of a measurement register; 0 for an address the chip does not have.
func (c *ADE7953) measured(reg uint16) uint32 {
	switch {
	case reg == adeVRMS:
		return c.vrms(c.recent())
	case reg >= adeIRMS && reg < adeIRMS+2:
		return c.irms(c.recent(), int(reg-adeIRMS))
	case reg >= adeVA && reg < adeVA+6:
		return c.power(c.recent(), int(reg-adeVA)%2, int(reg-adeVA)/2)
	case reg >= adeWAVE && reg < adeWAVE+3:
		return c.wave(int(reg - adeWAVE))
	case reg >= adeENERGY && reg < adeENERGY+6:
		return c.energyCode(int(reg - adeENERGY))
	case reg >= adePEAK && reg < adePEAK+6:
		return c.peakCode(int(reg-adePEAK) / 2)
	case reg == adePERIOD:
		return c.period(c.recent())
	case reg >= adePF && reg < adePF+2:
		return c.powerFactor(c.recent(), int(reg-adePF))
	case reg >= adeANGLE && reg < adeANGLE+2:
		return c.angle(c.recent(), int(reg-adeANGLE))
	}
	return 0
}

// noise is the error of a code in this update of the registers.
func (c *ADE7953) noise(stream uint64) float64 {
	return c.o.NoiseCodes * c.o.Seed.Stream(stream).At(c.now().UnixNano()/int64(adeUpdate))
}

func (c *ADE7953) vrms(in Interval) uint32 {
	rms := min(in.VoltsRMS/c.fullVolts(), 1) * adeFullRMS * c.gain(0, 1)
	return unsigned24(c.scale * (offset(rms, c.regs[adeVRMSOFFSET]) + c.noise(0)))
}

func (c *ADE7953) irms(in Interval, ch int) uint32 {
	rms := min(in.Channel[ch].AmpsRMS/c.fullAmps(ch), 1) * adeFullRMS * c.gain(ch, 0)
	rms = math.Hypot(rms, adeIdleCodes)
	reg := uint16(adeIRMSOFFSETA)
	if ch == 1 {
		reg = adeIRMSOFFSETB
	}
	return unsigned24(c.scale * (offset(rms, c.regs[reg]) + c.noise(1+uint64(ch))))
}

// Kinds of power, in the order of the registers 210 to 215.
const (
	adeApparent = iota
	adeActive
	adeReactive
)

// share is a power as a part of full scale, before gain.
func (c *ADE7953) share(in Interval, ch, kind int) float64 {
	f := c.flow(in, ch)
	p := [3]float64{adeApparent: f.VA, adeActive: f.Watts, adeReactive: f.Vars}[kind]
	return p / (c.fullVolts() * c.fullAmps(ch))
}

// kindGain and kindOffset are where the registers of a kind of power lie after the first of their block.
var (
	kindGain   = [3]int{adeApparent: 4, adeActive: 2, adeReactive: 3}
	kindOffset = [3]uint16{adeApparent: 2, adeActive: 0, adeReactive: 1}
)

func (c *ADE7953) power(in Interval, ch, kind int) uint32 {
	base := uint16(adeOFFSETA)
	if ch == 1 {
		base = adeOFFSETB
	}
	code := c.share(in, ch, kind)*adeFullPower*c.gain(ch, kindGain[kind]) + signed24(c.regs[base+kindOffset[kind]])/512
	return twos24(c.scale * (code + c.noise(8+uint64(3*ch+kind))))
}

// wave is the instantaneous value, from the mean of the settling time and the phase at this moment.
func (c *ADE7953) wave(which int) uint32 {
	in := c.recent()
	phase := math.Sin(2 * math.Pi * math.Mod(in.Hertz*float64(c.now().UnixNano()%int64(time.Second))/1e9, 1))
	part := in.VoltsRMS / c.fullVolts()
	if which < 2 {
		part = in.Channel[which].AmpsRMS / c.fullAmps(which)
	}
	return twos24(c.scale * min(part, 1) * adeFullWave * phase)
}

func (c *ADE7953) peakCode(which int) uint32 {
	full := c.fullVolts()
	if which > 0 {
		full = c.fullAmps(which - 1)
	}
	return unsigned24(c.scale * min(c.peak[which]/(full*math.Sqrt2), 1) * adeFullWave)
}

// period is the line's period. Without zero crossings the register holds something that means nothing and looks
// well: a reader that does not look at the voltage takes it for a frequency.
func (c *ADE7953) period(in Interval) uint32 {
	if in.VoltsRMS < c.fullVolts()*adeCrossing || in.Hertz <= 0 {
		return 0x1000 + uint32(256*(1+c.o.Seed.Stream(20).At(c.now().UnixNano()/int64(adeUpdate))))
	}
	return uint32(min(math.Round(adeClock/in.Hertz-1), 0xFFFF))
}

// powerFactor is signed / 32768, negative where the load is capacitive. No load forces it.
func (c *ADE7953) powerFactor(in Interval, ch int) uint32 {
	f := in.Channel[ch]
	switch {
	case c.idle[ch][2] || f.VA <= 0:
		return 0x7FFF
	case c.idle[ch][0]:
		return 0
	}
	pf := min(math.Abs(f.Watts)/f.VA, 1) * 32768
	if f.Vars < 0 {
		pf = -pf
	}
	return uint32(uint16(int16(min(math.Round(pf), 32767))))
}

func (c *ADE7953) angle(in Interval, ch int) uint32 {
	f := in.Channel[ch]
	if f.VA <= 0 || in.Hertz <= 0 {
		return 0
	}
	degrees := math.Atan2(f.Vars, f.Watts) * 180 / math.Pi
	return uint32(uint16(int16(math.Round(degrees * adeClock / (360 * in.Hertz)))))
}

// offset is the effect of an rms offset register: rms = sqrt(rms0^2 + n * 4096).
func offset(rms float64, reg uint32) float64 {
	return math.Sqrt(max(rms*rms+signed24(reg)*4096, 0))
}

func signed24(v uint32) float64   { return float64(int32(v<<8) >> 8) }
func unsigned24(v float64) uint32 { return uint32(min(max(math.Round(v), 0), 0xFFFFFF)) }
func twos24(v float64) uint32 {
	return uint32(int32(min(max(math.Round(v), -0x800000), 0x7FFFFF))) & 0xFFFFFF
}
