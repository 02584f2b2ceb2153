package mcp39f521

import (
	"encoding/binary"
	"fmt"
	"math"

	"periph.io/x/conn/v3/physic"
)

// register is an address in the meter.
type register uint16

// The registers that this package reads. It writes energyControl alone.
const (
	systemStatus         register = 0x0002 // and all output registers up to 001D
	systemVersion        register = 0x0004
	importActive         register = 0x001e // and the three other counters up to 003D
	accumulationInterval register = 0x009e
	energyControl        register = 0x00dc
)

// Lengths of what Sense reads.
const (
	outputBytes = 28
	energyBytes = 32
)

const (
	counting = 1 // energyControl: energy is counted

	trueInterval    = 2 // N at which the counters are right in any case
	longestInterval = 8 // recalled
)

// String names a register.
func (r register) String() string {
	switch r {
	case systemStatus:
		return "System Status"
	case systemVersion:
		return "System Version"
	case importActive:
		return "Import Energy Active"
	case accumulationInterval:
		return "Accumulation Interval"
	case energyControl:
		return "Energy Control"
	default:
		return fmt.Sprintf("%04Xh", uint16(r))
	}
}

// Status is the system status register.
type Status uint16

// Bits of Status. The limits behind the first four are settings of the board. That a set sign bit means positive is
// recalled.
const (
	Sag              Status = 1 << 0
	Surge            Status = 1 << 1
	OverCurrent      Status = 1 << 2
	OverPower        Status = 1 << 3
	ActivePositive   Status = 1 << 4 // import
	ReactivePositive Status = 1 << 5 // inductive
	Event            Status = 1 << 10
)

// Scale are the decimal places of the output registers, as the board was calibrated: with Volt 1 a code of 2301 is
// 230.1 V.
type Scale struct {
	Volt     int // 0 to 9
	Hertz    int // 0 to 6
	Ampere   int // 0 to 9
	Watt     int // 0 to 9, of W, var and VA
	WattHour int // 0 to 9, of Wh and varh
}

// DefaultScale is that of the published boards: 0.1 V, 1 mHz, 0.1 mA, 10 mW, 1 mWh.
func DefaultScale() Scale { return Scale{Volt: 1, Hertz: 3, Ampere: 4, Watt: 2, WattHour: 3} }

func (s Scale) check() error {
	for _, p := range []struct {
		what       string
		places, to int
	}{{"Volt", s.Volt, 9}, {"Hertz", s.Hertz, 6}, {"Ampere", s.Ampere, 9}, {"Watt", s.Watt, 9}, {"WattHour", s.WattHour, 9}} {
		if p.places < 0 || p.places > p.to {
			return fmt.Errorf("scale of %s: %d decimal places are not 0 to %d", p.what, p.places, p.to)
		}
	}
	return nil
}

// Voltage converts the rms voltage register.
func (s Scale) Voltage(code uint16) physic.ElectricPotential {
	return physic.ElectricPotential(int64(code) * (int64(physic.Volt) / pow10(s.Volt)))
}

// Frequency converts the line frequency register.
func (s Scale) Frequency(code uint16) physic.Frequency {
	return physic.Frequency(int64(code) * (int64(physic.Hertz) / pow10(s.Hertz)))
}

// Current converts the rms current register.
func (s Scale) Current(code uint32) physic.ElectricCurrent {
	return physic.ElectricCurrent(int64(code) * (int64(physic.Ampere) / pow10(s.Ampere)))
}

// Power converts a power register, which holds a magnitude; VA and var come in the same type as W.
func (s Scale) Power(code uint32, positive bool) physic.Power {
	p := physic.Power(int64(code) * (int64(physic.Watt) / pow10(s.Watt)))
	if positive {
		return p
	}
	return -p
}

// EnergyCount is the energy in joules behind one count, where the meter counts right.
func (s Scale) EnergyCount() float64 { return 3600 / math.Pow10(s.WattHour) }

// PowerFactor converts the power factor register.
func PowerFactor(code uint16) float64 { return float64(int16(code)) / 32768 }

// decode makes a sample of the output registers, low byte first. It is false where one reads all ones. The power
// factor may: it is -1/32768 then.
func decode(b []byte, s Scale) (Measurement, bool) {
	word, long := binary.LittleEndian.Uint16, binary.LittleEndian.Uint32
	raw := Codes{
		Voltage: word(b[4:]), Frequency: word(b[6:]), PowerFactor: word(b[10:]), // 8 is the auxiliary input
		Current: long(b[12:]), Active: long(b[16:]), Reactive: long(b[20:]), Apparent: long(b[24:]),
	}
	status := Status(word(b))
	if status == 0xffff || raw.Voltage == 0xffff || raw.Frequency == 0xffff {
		return Measurement{}, false
	}
	for _, code := range []uint32{raw.Current, raw.Active, raw.Reactive, raw.Apparent} {
		if code == 0xffffffff {
			return Measurement{}, false
		}
	}
	return Measurement{
		Voltage: s.Voltage(raw.Voltage), Frequency: s.Frequency(raw.Frequency), Current: s.Current(raw.Current),
		Power:       s.Power(raw.Active, status&ActivePositive != 0),
		Reactive:    s.Power(raw.Reactive, status&ReactivePositive != 0),
		Apparent:    s.Power(raw.Apparent, true),
		PowerFactor: PowerFactor(raw.PowerFactor), Status: status, Raw: raw,
	}, true
}

// decodeEnergy makes counters of the energy registers, low byte first.
func decodeEnergy(b []byte) Energy {
	long := binary.LittleEndian.Uint64
	return Energy{ImportActive: long(b), ExportActive: long(b[8:]), ImportReactive: long(b[16:]), ExportReactive: long(b[24:])}
}

func pow10(places int) int64 {
	p := int64(1)
	for range places {
		p *= 10
	}
	return p
}
