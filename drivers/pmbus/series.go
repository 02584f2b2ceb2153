package pmbus

import (
	"context"
	"errors"
	"math"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
)

// Reading is one register's value. Value means nothing unless Fault is None. A quantity that the part does not have,
// or that it does not sample, is a nil *Reading: absent, never 0.
type Reading[T any] struct {
	Value T
	Raw   uint16 // as read
	Fault drivers.Fault
}

// RPM is the speed of a fan.
type RPM float64

// Short names of readings.
type (
	Voltage     = Reading[physic.ElectricPotential]
	Current     = Reading[physic.ElectricCurrent]
	Power       = Reading[physic.Power]
	Temperature = Reading[physic.Temperature]
	Speed       = Reading[RPM]
)

// NewVoltage decodes a word in volts.
func NewVoltage(word uint16, d Decode) *Voltage {
	return reading(word, d, scaled[physic.ElectricPotential](float64(physic.Volt), 0))
}

// NewCurrent decodes a word in amperes.
func NewCurrent(word uint16, d Decode) *Current {
	return reading(word, d, scaled[physic.ElectricCurrent](float64(physic.Ampere), 0))
}

// NewPower decodes a word in watts.
func NewPower(word uint16, d Decode) *Power {
	return reading(word, d, scaled[physic.Power](float64(physic.Watt), 0))
}

// NewTemperature decodes a word in degrees Celsius.
func NewTemperature(word uint16, d Decode) *Temperature {
	return reading(word, d, scaled[physic.Temperature](float64(physic.Kelvin), float64(physic.ZeroCelsius)))
}

// NewSpeed decodes a word in revolutions per minute. None is negative.
func NewSpeed(word uint16, d Decode) *Speed {
	return reading(word, d, func(v float64) (RPM, bool) { return RPM(v), v >= 0 })
}

// scaled converts to one of physic's integers.
func scaled[T ~int64](unit, zero float64) func(float64) (T, bool) {
	return func(v float64) (T, bool) {
		n := math.Round(v*unit + zero)
		return T(n), math.Abs(n) < math.MaxInt64
	}
}

func reading[T any](word uint16, d Decode, convert func(float64) (T, bool)) *Reading[T] {
	r := &Reading[T]{Raw: word, Fault: drivers.Implausible}
	if v, ok := d(word); ok && word != allOnes {
		if t, ok := convert(v); ok {
			r.Value, r.Fault = t, drivers.None
		}
	}
	return r
}

// Series is a run of reads of one part that stops at the first error, so that a Sense reads as the list of what it
// reads. After an error nothing goes to the bus any more, numbers are 0 and readings nil.
//
// A word that is no value is the fault of its own reading. Two registers in a row that read all ones are the fault of
// the whole: the part has no supply, or is not there.
type Series struct {
	port *Port
	ctx  context.Context //nolint:containedctx // lives as long as one call of a verb
	op   string
	ones bool // the last measured word was all ones
	zero bool // a measured word of zeros is read once more
	err  error
}

// Series begins a run.
func (p *Port) Series(ctx context.Context, op string) *Series {
	return &Series{port: p, ctx: ctx, op: op}
}

// ConfirmZeros makes the series read a measured word of zeros once more where transfers carry no packet error code: nothing
// else tells a bus that was held low for one transfer from a value of 0. It is for parts without a rule of their own.
func (s *Series) ConfirmZeros() *Series {
	s.zero = !s.port.Checks()
	return s
}

// Err is the first error.
func (s *Series) Err() error { return s.err }

// Fail records an error unless there is one.
func (s *Series) Fail(c Command, f drivers.Fault, cause error) {
	if s.err == nil {
		s.err = s.port.Fail(s.op, c, f, cause)
	}
}

// Byte reads a register of one byte.
func (s *Series) Byte(c Command) byte {
	if s.err != nil {
		return 0
	}
	var b byte
	b, s.err = s.port.Byte(s.ctx, s.op, c)
	return b
}

// Setting reads a register of two bytes that is all ones on no part that works.
func (s *Series) Setting(c Command) uint16 {
	w := s.word(c)
	if s.err == nil && w == allOnes {
		s.Fail(c, drivers.Implausible, errOnes)
	}
	return w
}

// Status reads STATUS_WORD.
func (s *Series) Status() StatusWord { return StatusWord(s.Setting(STATUS_WORD)) }

// Block reads a block of exactly n bytes, nil after an error.
func (s *Series) Block(c Command, n int) []byte {
	if s.err != nil {
		return nil
	}
	var b []byte
	b, s.err = s.port.Block(s.ctx, s.op, c, n)
	return b
}

// Text is Port.Text.
func (s *Series) Text(c Command, likely int) string {
	if s.err != nil {
		return ""
	}
	var text string
	text, s.err = s.port.Text(s.ctx, s.op, c, likely)
	return text
}

// Energy reads an accumulator. What is no count, or a block of another length, is a Fault of this reading alone.
func (s *Series) Energy(c Command, a Accumulator) *Energy {
	if s.err != nil {
		return nil
	}
	b, err := s.port.Block(s.ctx, s.op, c, a.Len())
	switch f := drivers.FaultOf(err); f {
	case drivers.None:
	case drivers.Corrupt, drivers.Implausible:
		return &Energy{Fault: f}
	default:
		s.err = err
		return nil
	}
	count, ok := a.Parse(b)
	if !ok {
		return &Energy{Fault: drivers.Implausible}
	}
	return &Energy{Count: count}
}

// Energy is one reading of an accumulator. Count means nothing unless Fault is None.
type Energy struct {
	Count
	Fault drivers.Fault
}

// Voltage reads a register in volts.
func (s *Series) Voltage(c Command, d Decode) *Voltage { return measured(s, c, d, NewVoltage) }

// Current reads a register in amperes.
func (s *Series) Current(c Command, d Decode) *Current { return measured(s, c, d, NewCurrent) }

// Power reads a register in watts.
func (s *Series) Power(c Command, d Decode) *Power { return measured(s, c, d, NewPower) }

// Temperature reads a register in degrees Celsius.
func (s *Series) Temperature(c Command, d Decode) *Temperature {
	return measured(s, c, d, NewTemperature)
}

// Speed reads a register in revolutions per minute.
func (s *Series) Speed(c Command, d Decode) *Speed { return measured(s, c, d, NewSpeed) }

func measured[T any](s *Series, c Command, d Decode, make func(uint16, Decode) *Reading[T]) *Reading[T] {
	w := s.word(c)
	if w == 0 && s.zero {
		w = s.word(c)
	}
	if s.err != nil {
		return nil
	}
	if w == allOnes && s.ones {
		s.Fail(c, drivers.Implausible, errors.New("two registers in a row read all ones"))
		return nil
	}
	s.ones = w == allOnes
	return make(w, d)
}

func (s *Series) word(c Command) uint16 {
	if s.err != nil {
		return 0
	}
	var w uint16
	w, s.err = s.port.Word(s.ctx, s.op, c)
	return w
}

var errOnes = errors.New("all ones")
