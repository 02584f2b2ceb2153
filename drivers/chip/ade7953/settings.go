package ade7953

import (
	"errors"
	"fmt"
	"math"
)

// setting is one register as this package wants it.
type setting struct {
	reg   Reg
	value uint32
	mask  uint32 // bits that count when reading back; 0: all
	step  bool   // a step on the way: written in its place, but not the register's final value
}

// settings lists what Configure writes between the lock and the checksum, in the order that the data sheet
// demands: no-load levels only while their detection is off.
func (o Opts) settings() ([]setting, error) {
	ga, errA := gainSetting(o.A.Gain, true)
	gb, errB := gainSetting(o.B.Gain, false)
	pa, errPA := phaseSetting(o.A.Phase)
	pb, errPB := phaseSetting(o.B.Phase)
	if err := errors.Join(o.scale(), errA, errB, errPA, errPB); err != nil {
		return nil, err
	}
	level := noLoadSetting(o.NoLoad)
	out := []setting{
		{reg: DISNOLOAD, value: 0x07, step: true},
		{reg: AP_NOLOAD, value: level},
		{reg: VAR_NOLOAD, value: level},
		{reg: DISNOLOAD, value: 0x00},
		{reg: PGA_V, value: 0},
		{reg: PGA_IA, value: ga},
		{reg: PGA_IB, value: gb},
		{reg: PHCALA, value: pa},
		{reg: PHCALB, value: pb},
	}
	for _, r := range []Reg{AIRMSOS, VRMSOS, AWATTOS, AVAROS, AVAOS, BIRMSOS, BWATTOS, BVAROS, BVAOS} {
		out = append(out, setting{reg: r, value: 0})
	}
	for _, r := range []Reg{AIGAIN, AVGAIN, AWGAIN, AVARGAIN, AVAGAIN, BIGAIN, BVGAIN, BWGAIN, BVARGAIN, BVAGAIN} {
		out = append(out, setting{reg: r, value: calibrationGain(1)})
	}
	return append(out,
		setting{reg: ACCMODE, value: 0, mask: 0x0f}, // signed accumulation; the upper bits are live signs
		setting{reg: LCYCMODE, value: 0x00}), nil    // RSTREAD off: a lost answer must not lose energy
}

func (o Opts) scale() error {
	switch {
	case o.FullScaleV <= 0 || o.A.FullScaleI <= 0 || o.B.FullScaleI <= 0:
		return errors.New("full scales must be above zero")
	case !(o.NoLoad >= 1000 && o.NoLoad <= 50_000): // written so that NaN fails too
		return fmt.Errorf("no-load threshold 1/%g is outside 1/1000 to 1/50000", o.NoLoad)
	default:
		return nil
	}
}

// gainSetting encodes an amplifier gain: its logarithm, and 5 for the 22 that channel A alone has.
func gainSetting(gain int, a bool) (uint32, error) {
	for code, g := range []int{1, 2, 4, 8, 16} {
		if g == gain {
			return uint32(code), nil
		}
	}
	if gain == 22 && a {
		return 5, nil
	}
	return 0, fmt.Errorf("the amplifier has no gain %d", gain)
}

// phaseSetting encodes a phase correction as sign and magnitude, bit 9 set to advance.
func phaseSetting(steps int) (uint32, error) {
	if steps < -383 || steps > 383 {
		return 0, fmt.Errorf("phase correction of %d steps is outside -383 to 383", steps)
	}
	if steps > 0 {
		return 1<<9 | uint32(steps), nil
	}
	return uint32(-steps), nil
}

// noLoadSetting encodes a threshold of 1/y of full scale.
func noLoadSetting(y float64) uint32 { return uint32(math.Round(65536 - y/1.4)) }

// calibrationGain encodes a factor of the calibration gain registers, 400000h for 1.
func calibrationGain(factor float64) uint32 { return uint32(math.Round(0x400000 * factor)) }
