package drivertest

import "time"

// DCLoad is what a switch or a supply feeds: input voltage and output current at a moment, with the output on or off.
// It is asked about moments of the past in order, often, and with the device locked.
type DCLoad func(at time.Time, on bool) (vin, iout float64)

// ConstantLoad draws one current as long as it is fed.
func ConstantLoad(vin, iout float64) DCLoad {
	return func(_ time.Time, on bool) (float64, float64) {
		if !on {
			return vin, 0
		}
		return vin, iout
	}
}

// PMBusSwitch is a PMBus device that switches a load: OPERATION and what can keep the output off.
type PMBusSwitch struct {
	*PMBus
	load      DCLoad
	operation byte
	onOff     byte // ON_OFF_CONFIG
	control   bool // the CONTROL pin asks for the output
	softOff   time.Duration
	feedUntil time.Time // soft off: fed until then
	downUntil time.Time // POWER_CYCLE or a glitch: off until then
	tripped   bool
	welded    bool
	fused     bool
}

func newPMBusSwitch(o PMBusOpts, pages []byte, load DCLoad) *PMBusSwitch {
	if load == nil {
		load = ConstantLoad(0, 0)
	}
	return &PMBusSwitch{PMBus: newPMBus(o, pages), load: load, control: true}
}

// operationOnly is the ON_OFF_CONFIG of a device without that register: only OPERATION counts.
const operationOnly = 0x18

// powerOn puts the switch at its power-on state.
func (s *PMBusSwitch) powerOn(operation, onOff byte) {
	s.operation, s.onOff = operation, onOff
	s.feedUntil, s.downUntil, s.tripped = time.Time{}, time.Time{}, false
}

// SetLoad puts another load in the place of the old one; energy counted so far stays.
func (s *PMBusSwitch) SetLoad(l DCLoad) { s.change(func() { s.load = l }) }

// SetWelded makes the transistor a piece of wire, or a good one again: welded, the load runs whatever OPERATION says,
// and the device says OFF.
func (s *PMBusSwitch) SetWelded(on bool) { s.change(func() { s.welded = on }) }

// SetFused makes OPERATION a register with nothing behind it: it is stored, and output, readings and status stay as
// they are when on. QEMU 7.2's model of the ADM1272 is so.
func (s *PMBusSwitch) SetFused(on bool) { s.change(func() { s.fused = on }) }

// Output tells whether the load is fed now.
func (s *PMBusSwitch) Output() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fed(s.now())
}

// change does something to what is outside the chip, between two moments of its time.
func (s *PMBusSwitch) change(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(s.now())
	do()
	s.advance(s.now())
}

// on tells what the device believes of its output.
func (s *PMBusSwitch) on(at time.Time) bool {
	if s.fused {
		return true
	}
	return !s.tripped && !at.Before(s.downUntil) && (s.asked() || at.Before(s.feedUntil))
}

// asked combines OPERATION and the CONTROL pin as ON_OFF_CONFIG says (PMBus 1.2 part II, 12.2).
func (s *PMBusSwitch) asked() bool {
	byOperation := s.onOff&0x08 == 0 || s.operation&0x80 != 0
	byPin := s.onOff&0x04 == 0 || s.control
	return s.onOff&0x10 == 0 || byOperation && byPin
}

func (s *PMBusSwitch) fed(at time.Time) bool { return s.on(at) || s.welded }

// draw is what the load does at a moment, and the output voltage of a switch without loss.
func (s *PMBusSwitch) draw(at time.Time) (vin, vout, iout float64) {
	fed := s.fed(at)
	vin, iout = s.load(at, fed)
	if fed {
		vout = vin
	}
	return vin, vout, iout
}

// offBits are OFF and POWER_GOOD# of an output that is not on.
func (s *PMBusSwitch) offBits() uint16 {
	if s.on(s.now()) {
		return 0
	}
	return pmOff | pmNotGood
}

func (s *PMBusSwitch) glitch(now time.Time) { s.downUntil = now.Add(s.o.GlitchOnClear) }

// operationCommand is OPERATION; any value but those listed is bad data. Off and then on again clears what has
// latched and lets a tripped output start; on alone does not (TI SNVS655G, OPERATION).
func (s *PMBusSwitch) operationCommand(allowed ...byte) PMBusCommand {
	return PMBusCommand{
		Code: pmOPERATION, Kind: PMBusByte, Writable: true,
		Get: func(byte) []byte { return []byte{s.operation} },
		Set: func(_ byte, d []byte) bool {
			for _, v := range allowed {
				if d[0] == v {
					s.operate(v)
					return true
				}
			}
			return false
		},
	}
}

func (s *PMBusSwitch) operate(v byte) {
	was := s.operation&0x80 != 0
	s.operation = v
	switch now := s.now(); {
	case v&0x80 != 0 && !was:
		s.feedUntil, s.tripped = time.Time{}, false
		for key := range s.latched {
			s.clear(key, 0xFF)
		}
	case v&0x40 != 0 && was:
		s.feedUntil = now.Add(s.softOff)
	case v == 0:
		s.feedUntil = time.Time{}
	}
}

// cycle keeps the output off for a while (POWER_CYCLE).
func (s *PMBusSwitch) cycle(d time.Duration) { s.downUntil = s.now().Add(d) }

// pmSampler converts at a fixed rate of the device's own time.
type pmSampler struct {
	period time.Duration
	last   time.Time
}

// pmSamplerSteps is how many moments one interval is looked at; beyond it several conversions share a moment. Arbitrary.
const pmSamplerSteps = 4096

// run calls convert for every conversion up to now, with how many it stands for.
func (s *pmSampler) run(now time.Time, convert func(at time.Time, n uint64)) {
	total := int64(now.Sub(s.last) / s.period)
	if total <= 0 {
		return
	}
	begin, steps := s.last, min(total, pmSamplerSteps)
	s.last = begin.Add(time.Duration(total) * s.period)
	var done int64
	for i := range steps {
		end := int64(float64(total) / float64(steps) * float64(i+1))
		if i == steps-1 {
			end = total
		}
		if end > done {
			convert(begin.Add(time.Duration((done+end+1)/2)*s.period), uint64(end-done))
		}
		done = end
	}
}

// pmAccumulator adds power up: READ_EIN, READ_EOUT and the ADM127x's READ_EIN_EXT. The sum counts 1/256 codes.
type pmAccumulator struct{ sum, samples uint64 }

// add counts a code n times.
func (a *pmAccumulator) add(code float64, n uint64) {
	a.sum += uint64(pmClamp(code*256, 0, 1<<24-1)) * n
	a.samples += n
}

// einDirect is the block of six bytes: accumulator, how often it went past its end, samples. m is where it wraps.
func (a *pmAccumulator) einDirect(m uint64) []byte {
	e := a.sum >> 8
	return append(append(pmLE(uint16(e%m)), byte(e/m)), a.count()...)
}

// einLinear is the same with a LINEAR11 accumulator of fixed exponent, which wraps at 2^10-1 of its steps.
func (a *pmAccumulator) einLinear(exponent int) []byte {
	e := a.sum >> 8
	if exponent >= 0 {
		e >>= min(exponent, 15)
	} else {
		e <<= min(-exponent, 16)
	}
	const m = 1<<10 - 1
	return append(append(pmLE(uint16(exponent&0x1F)<<11|uint16(e%m)), byte(e/m)), a.count()...)
}

// einExt is READ_EIN_EXT: 24 bits of energy in 1/256 codes modulo 800000h, 16 bits of roll-overs, samples (ADM1276
// data sheet rev. C).
func (a *pmAccumulator) einExt() []byte {
	const m = 1 << 23
	e, roll := a.sum%m, a.sum/m
	return append([]byte{byte(e), byte(e >> 8), byte(e >> 16), byte(roll), byte(roll >> 8)}, a.count()...)
}

// count is the sample count, 24 bits.
func (a *pmAccumulator) count() []byte {
	return []byte{byte(a.samples), byte(a.samples >> 8), byte(a.samples >> 16)}
}
