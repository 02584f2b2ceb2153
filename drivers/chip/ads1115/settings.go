package ads1115

import (
	"fmt"
	"math"
	"time"

	"periph.io/x/conn/v3/physic"
)

// Input is what the converter is connected to. The zero value is none, so that a forgotten one is noticed.
type Input uint8

// The inputs. The first four are measured against ground.
const (
	AIN0 Input = iota + 1
	AIN1
	AIN2
	AIN3
	AIN0AIN1 // AIN0 against AIN1
)

// Range is the full scale of the programmable amplifier. No input may exceed the supply of the part, whatever the
// range says.
type Range uint8

// The ranges.
const (
	FSR6144 Range = iota + 1 // +-6.144 V
	FSR4096                  // +-4.096 V
	FSR2048                  // +-2.048 V
	FSR1024                  // +-1.024 V
	FSR0512                  // +-0.512 V
	FSR0256                  // +-0.256 V
)

// Rate is how many samples the converter could take per second. A slower one averages longer.
type Rate uint8

// The rates.
const (
	SPS8 Rate = iota + 1
	SPS16
	SPS32
	SPS64
	SPS128
	SPS250
	SPS475
	SPS860
)

// Channel says how one input is measured.
type Channel struct {
	Input Input
	Range Range
	Rate  Rate
}

// Bits of the configuration register (SBAS444, "Config Register").
const (
	start      uint16 = 0x8000 // OS: written, begins a conversion; read, 0 while one runs
	singleShot uint16 = 0x0100 // MODE
	noCompare  uint16 = 0x0003 // COMP_QUE: comparator off, ALERT/RDY left alone
	compareAll uint16 = 0x001f // all bits of the comparator

	defaults uint16 = 0x8583 // at power-on: AIN0 against AIN1, +-2.048 V, 128 per second
)

// word is the configuration that begins a conversion of the channel.
func (c Channel) word() uint16 {
	mux := uint16(c.Input-AIN0) | 0x4
	if c.Input == AIN0AIN1 {
		mux = 0
	}
	return start | mux<<12 | uint16(c.Range-FSR6144)<<9 | singleShot | uint16(c.Rate-SPS8)<<5 | noCompare
}

// longest is the longest time from the start of a conversion to its end: the oscillator is good to 10 %, and the part
// wakes up first, which takes 25 us (SBAS444, electrical characteristics and "Single-Shot Mode").
func longest(word uint16) time.Duration {
	perSecond := [...]time.Duration{8, 16, 32, 64, 128, 250, 475, 860}[word>>5&7]
	return 11*time.Second/(10*perSecond) + 25*time.Microsecond
}

func (c Channel) check() error {
	switch {
	case c.Input < AIN0 || c.Input > AIN0AIN1:
		return fmt.Errorf("input %d does not exist", c.Input)
	case c.Range < FSR6144 || c.Range > FSR0256:
		return fmt.Errorf("range %d does not exist", c.Range)
	case c.Rate < SPS8 || c.Rate > SPS860:
		return fmt.Errorf("rate %d does not exist", c.Rate)
	case c.word() == defaults:
		return fmt.Errorf("word %04x is that of a part after power-on, which would pass for one that has converted: take another rate", defaults)
	default:
		return nil
	}
}

// FullScale is the voltage just above the highest code.
func (r Range) FullScale() physic.ElectricPotential {
	return [...]physic.ElectricPotential{6144, 4096, 2048, 1024, 512, 256}[r-FSR6144] * physic.MilliVolt
}

// Voltage converts a conversion register: 32768 steps to full scale, two's complement.
func Voltage(code int16, r Range) physic.ElectricPotential {
	return physic.ElectricPotential(math.Round(float64(code) * float64(r.FullScale()) / 32768))
}

// Clipped says whether a code is the end of the scale, where the voltage may be anything beyond.
func Clipped(code int16) bool { return code == math.MaxInt16 || code == math.MinInt16 }
