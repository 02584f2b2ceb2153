package pmbus

import (
	"math"
	"time"
)

// Accumulator says how a part counts energy in READ_EIN or READ_EOUT (PMBus 1.2 part II, 18.13), or in a longer
// register of its maker: it adds up every power sample, counts how often the sum rolled over, and counts the samples.
type Accumulator struct {
	Modulus   uint64 // at which the sum rolls over
	RollOvers uint64 // at which their count rolls over: 256, or 65,536 in the register of eight bytes
	// Divisor: the mean power code is energy / samples / Divisor. 0 is 1.
	Divisor float64
	// Full is the highest mean code that is possible. It decides how long a gap may be.
	Full float64
	// Linear: the sum is a LINEAR11 word and the codes are watts. The modulus is then LinearModulus.
	Linear bool
}

// LinearModulus is the modulus of sums in LINEAR11, in units of their mantissa (recalled from PMBus 1.2 part II, not
// verified on a part).
const LinearModulus = maxMantissa

const (
	sampleModulus = 1 << 24

	shortCount = 6 // bytes of READ_EIN and READ_EOUT: sum 2, roll-overs 1, samples 3, all low byte first
	longCount  = 8 // bytes of the longer register: 3, 2, 3
)

// Count is one reading of an accumulator.
type Count struct {
	Energy   uint64 // with the roll-overs, in codes x samples
	Samples  uint32 // 24 bits
	Exponent int    // of two, for Energy; 0 unless Linear
}

// Len is how many data bytes the register has.
func (a Accumulator) Len() int {
	if a.RollOvers > 256 {
		return longCount
	}
	return shortCount
}

// Parse reads the data bytes of the register. It is false for what no accumulator holds, all ones among it.
func (a Accumulator) Parse(data []byte) (Count, bool) {
	if len(data) != a.Len() {
		return Count{}, false
	}
	ones := true
	for _, b := range data {
		ones = ones && b == 0xff
	}
	sum, rolls := little(data[:2]), uint64(data[2])
	if len(data) == longCount {
		sum, rolls = little(data[:3]), little(data[3:5])
	}
	c, highest := Count{Samples: uint32(little(data[len(data)-3:]))}, a.Modulus-1
	if a.Linear {
		c.Exponent = int(int16(sum) >> mantissaBits)
		sum &= 1<<mantissaBits - 1
		highest = a.Modulus
	}
	c.Energy = rolls*a.Modulus + sum
	return c, sum <= highest && !ones
}

func little(data []byte) uint64 {
	var v uint64
	for i, b := range data {
		v |= uint64(b) << (8 * i)
	}
	return v
}

// Delta is what was counted between two readings: modulo the accumulator's range, so wrong if it turned round twice.
func (a Accumulator) Delta(before, after Count) (energy uint64, samples uint32) {
	span := a.Modulus * a.RollOvers
	return (after.Energy%span + span - before.Energy%span) % span, (after.Samples - before.Samples) % sampleModulus
}

// Basis says what an Interval rests on.
type Basis uint8

// The bases.
const (
	Reference Basis = iota // nothing is known of the time before: book nothing
	Unchanged              // no new samples: the next interval begins where this one did
	Counted                // mean of all samples of the part
	Estimated              // mean of the power readings at both ends
)

// Interval is the mean power between two readings of an accumulator.
type Interval struct {
	Basis   Basis
	Code    float64 // mean power code, as READ_PIN has it, or W if Linear; means nothing with Reference and Unchanged
	Elapsed time.Duration
	Samples uint32 // 0 unless Counted
}

// Meter turns readings of an accumulator into intervals whose energy is mean power x elapsed time. It has no clock and
// may be used from one goroutine at a time.
type Meter struct {
	acc   Accumulator
	rate  float64 // samples per second; 0: not known yet
	known bool    // the rate was given, not learnt
	odd   int     // readings in a row that did not fit the rate

	begun bool
	last  Count
	power float64
	at    time.Time
}

// How far the number of samples may be from rate x time: a fifth, and two samples for the moment of reading. More means
// that the part restarted or that its sample counter turned round unseen. Arbitrary.
const (
	rateTolerance   = 0.2
	sampleTolerance = 2
)

// NewMeter makes a meter. rate is how many samples the part takes per second, 0 if that is to be learnt.
func NewMeter(a Accumulator, rate float64) *Meter {
	if a.Divisor == 0 {
		a.Divisor = 1
	}
	return &Meter{acc: a, rate: rate, known: rate > 0}
}

// Add takes a reading. power is the code that READ_PIN had at about that time, NaN if there is none; it fills the
// gaps in which the accumulator may have turned round. at is monotonic.
func (m *Meter) Add(c Count, power float64, at time.Time) Interval {
	i := Interval{Elapsed: at.Sub(m.at)}
	energy, samples := m.acc.Delta(m.last, c)
	switch {
	case !m.begun || c.Exponent != m.last.Exponent:
		i = Interval{Basis: Reference}
	case samples == 0 || i.Elapsed <= 0:
		return Interval{Basis: Unchanged}
	default:
		i = m.judge(i, energy, samples, power)
	}
	m.begun, m.last, m.power, m.at = true, c, power, at
	return i
}

func (m *Meter) judge(i Interval, energy uint64, samples uint32, power float64) Interval {
	n, scale := float64(samples), math.Ldexp(1, m.last.Exponent)
	expected := m.rate * i.Elapsed.Seconds()
	switch {
	case m.rate == 0:
		m.rate = n / i.Elapsed.Seconds()
		return m.estimate(i, power)
	case math.Abs(n-expected) > max(rateTolerance*expected, sampleTolerance):
		return m.doubt(i)
	case n*m.acc.Full*m.acc.Divisor >= float64(m.acc.Modulus*m.acc.RollOvers)*scale:
		m.odd = 0
		return m.estimate(i, power)
	}
	i.Code = float64(energy) / n / m.acc.Divisor * scale
	if i.Code > m.acc.Full {
		return m.doubt(i)
	}
	m.odd = 0
	i.Basis, i.Samples = Counted, samples
	return i
}

// doubt drops an interval. Two in a row show that it is the learnt rate that is wrong.
func (m *Meter) doubt(i Interval) Interval {
	if m.odd++; m.odd >= 2 && !m.known {
		m.rate, m.odd = 0, 0
	}
	return Interval{Basis: Reference, Elapsed: i.Elapsed}
}

func (m *Meter) estimate(i Interval, power float64) Interval {
	if math.IsNaN(power) || math.IsNaN(m.power) {
		i.Basis = Reference
		return i
	}
	i.Basis, i.Code = Estimated, (power+m.power)/2
	return i
}

// Agrees tells whether a counted mean is within a tenth of the mean of the power readings of the same time, or within
// one code of it. A tenth is arbitrary; loads that jump between readings miss it without any fault.
func (i Interval) Agrees(meanPower float64) bool {
	return math.Abs(i.Code-meanPower) <= max(math.Abs(meanPower)/10, 1)
}
