package ade7880

import (
	"errors"
	"fmt"
)

// Reg is a register address. Its upper digits tell the width of the register.
type Reg uint16

// Registers as the data sheet spells them. Those of phases B and C follow A's.
const (
	AIGAIN   Reg = 0x4380 // and the gains up to 4386
	APGAIN   Reg = 0x4389 // and the gains and offsets of power and rms up to 4395
	NIGAIN   Reg = 0x4386
	NIRMSOS  Reg = 0x4395
	VLEVEL   Reg = 0x439f
	AIRMS    Reg = 0x43c0
	AVRMS    Reg = 0x43c1
	BIRMS    Reg = 0x43c2
	BVRMS    Reg = 0x43c3
	CIRMS    Reg = 0x43c4
	CVRMS    Reg = 0x43c5
	NIRMS    Reg = 0x43c6
	Run      Reg = 0xe228
	AWATTHR  Reg = 0xe400
	BWATTHR  Reg = 0xe401
	CWATTHR  Reg = 0xe402
	STATUS1  Reg = 0xe503
	AWATT    Reg = 0xe513
	BWATT    Reg = 0xe514
	CWATT    Reg = 0xe515
	AFVAR    Reg = 0xe516
	BFVAR    Reg = 0xe517
	CFVAR    Reg = 0xe518
	AVA      Reg = 0xe519
	BVA      Reg = 0xe51a
	CVA      Reg = 0xe51b
	CHECKSUM Reg = 0xe51f
	COMPMODE Reg = 0xe60e
	Gain     Reg = 0xe60f
	LCYCMODE Reg = 0xe702
	Version  Reg = 0xe707
	APF      Reg = 0xe902
	BPF      Reg = 0xe903
	CPF      Reg = 0xe904
	APERIOD  Reg = 0xe905
	BPERIOD  Reg = 0xe906
	CPERIOD  Reg = 0xe907
	WTHR     Reg = 0xea02
	CONFIG2  Reg = 0xec01

	dspSelect Reg = 0xe7fe // write only; DSPWP_SEL in ESPHome, the data sheet gives it no name
	dspSet    Reg = 0xe7e3 // write only; DSPWP_SET in ESPHome
)

const (
	checksumReset = 0xaffa63b9 // CHECKSUM after a reset

	i2cLock = 1 << 1  // CONFIG2, survives a software reset
	rstDone = 1 << 15 // STATUS1
	running = 1 << 0  // Run; some drivers set more bits

	dspKey    = 0xad
	dspOpen   = 0x00
	dspClosed = 0x80 // the processor's memory takes no writes

	lcycReset = 0x78
	lcycKeep  = 0x38 // bit 6, RSTREAD, off: a lost answer must not lose energy

	compReset = 0x01ff
	comp60Hz  = 1 << 14 // SELFREQ: 55 to 66 Hz

	// thresholdW is the reset value, and the lowest that the data sheet recommends. It decides what a count of energy is.
	thresholdW = 3
)

// lastMemory is the last of memory, written three times.
const lastMemory = VLEVEL

// memory are the registers of the processor's memory that change what is measured: gains, offsets, and the level that
// fundamental powers are computed with. All stay at 0, their reset value.
func memory() []Reg {
	var out []Reg
	for r := AIGAIN; r <= NIGAIN; r++ {
		out = append(out, r)
	}
	for r := APGAIN; r <= NIRMSOS; r++ {
		out = append(out, r)
	}
	return append(out, lastMemory)
}

// setting is one register as this package wants it.
type setting struct {
	reg     Reg
	value   uint32
	watched bool // Sense looks at it every time, after the values
}

func (o Opts) settings() ([]setting, error) {
	for i, p := range []Phase{o.A, o.B, o.C} {
		if p.FullScaleV <= 0 || p.FullScaleI <= 0 {
			return nil, fmt.Errorf("phase %c: full scales must be above zero", "ABC"[i])
		}
	}
	if o.Neutral.FullScaleI < 0 {
		return nil, errors.New("neutral: full scale is below zero")
	}
	gain, err := gainSetting(o.Gain)
	if err != nil {
		return nil, err
	}
	var neutral uint32
	if o.Neutral.FullScaleI > 0 {
		if neutral, err = gainSetting(o.Neutral.Gain); err != nil {
			return nil, fmt.Errorf("neutral: %w", err)
		}
	}
	mode := uint32(compReset)
	switch o.Hertz {
	case 50:
	case 60:
		mode |= comp60Hz
	default:
		return nil, fmt.Errorf("a grid of %d Hz: 50 or 60", o.Hertz)
	}
	return []setting{
		{reg: Gain, value: gain | neutral<<3, watched: true}, // bits 8:6 are the voltages'
		{reg: COMPMODE, value: mode},
		{reg: LCYCMODE, value: lcycKeep}, // Sense looks at it by itself, before the counters
		{reg: WTHR, value: thresholdW, watched: true},
	}, nil
}

// gainSetting encodes an amplifier gain: its logarithm.
func gainSetting(gain int) (uint32, error) {
	for code, g := range []int{1, 2, 4, 8, 16} {
		if g == gain {
			return uint32(code), nil
		}
	}
	return 0, fmt.Errorf("the amplifier has no gain %d", gain)
}

// width is the length of a register's data in bytes.
func (r Reg) width() int {
	switch r >> 8 {
	case 0xe2, 0xe6, 0xe9:
		return 2
	case 0xe7, 0xea, 0xec:
		return 1
	default: // 43, e4, e5
		return 4
	}
}

// ones is what the register reads when nobody drives the bus.
func (r Reg) ones() uint32 { return uint32(1<<(8*r.width()) - 1) }

// String spells the register as the data sheet does; those that only Configure touches go by address.
func (r Reg) String() string {
	name := func(of string, first Reg) string { return string("ABC"[r-first]) + of }
	switch r {
	case AIRMS, BIRMS, CIRMS:
		return string("ABC"[(r-AIRMS)/2]) + "IRMS"
	case AVRMS, BVRMS, CVRMS:
		return string("ABC"[(r-AVRMS)/2]) + "VRMS"
	case AWATTHR, BWATTHR, CWATTHR:
		return name("WATTHR", AWATTHR)
	case AWATT, BWATT, CWATT:
		return name("WATT", AWATT)
	case AFVAR, BFVAR, CFVAR:
		return name("FVAR", AFVAR)
	case AVA, BVA, CVA:
		return name("VA", AVA)
	case APF, BPF, CPF:
		return name("PF", APF)
	case APERIOD, BPERIOD, CPERIOD:
		return name("PERIOD", APERIOD)
	default:
		return r.single()
	}
}

func (r Reg) single() string {
	switch r {
	case NIRMS:
		return "NIRMS"
	case Run:
		return "Run"
	case STATUS1:
		return "STATUS1"
	case CHECKSUM:
		return "CHECKSUM"
	case COMPMODE:
		return "COMPMODE"
	case Gain:
		return "Gain"
	case LCYCMODE:
		return "LCYCMODE"
	case Version:
		return "Version"
	case WTHR:
		return "WTHR"
	case CONFIG2:
		return "CONFIG2"
	default:
		return fmt.Sprintf("%04Xh", uint16(r))
	}
}
