package drivertest

import (
	"math"
	"time"
)

// Commands of the MAX34451 beyond the standard's.
const (
	mxMFR_VOUT_PEAK      = 0xD4
	mxMFR_IOUT_PEAK      = 0xD5
	mxMFR_TEMP_PEAK      = 0xD6
	mxMFR_VOUT_MIN       = 0xD7
	mxMFR_IOUT_AVG       = 0xE2
	mxMFR_CHANNEL_CONFIG = 0xE4
)

// mxStandardLimits is the revision from which 46h is the fault limit and 4Ah the warning, as the standard has it
// (Linux driver max34440).
const mxStandardLimits = 0x0012

// MAX34451Opts is how the monitor is wired and configured.
type MAX34451Opts struct {
	PMBusOpts
	Revision uint16 // MFR_REVISION; 0 is an old part: 0010, arbitrary
	// Config is MFR_CHANNEL_CONFIG of the pages 0 to 15 as it stands in flash; 0020, monitor voltage, is what the
	// factory leaves (QEMU 7.2, max34451). nil: the factory's on all.
	Config []uint16
}

// MAX34451 monitors 16 voltages or currents and 5 temperatures (Maxim MAX34451): DIRECT format, pages 0 to 15
// channels, 16 the temperature of the chip, 17 to 20 outside sensors. MFR_ID and MFR_MODEL are bytes, not blocks.
//
// Left out: sequencing and OPERATION, input voltage and current of later revisions, averaging, the 5 ms and 1 s of a
// conversion.
type MAX34451 struct {
	*PMBus
	o        MAX34451Opts
	value64  [21]float64 // V, A or °C by page
	extremes map[pmKey]uint16
}

// NewMAX34451 is a monitor after power-on; channels read 0, temperatures 25 °C.
func NewMAX34451(o MAX34451Opts) *MAX34451 {
	o.PMBusOpts = o.asBuilt(PECNone, UnsupportedOnes)
	if o.Revision == 0 {
		o.Revision = 0x0010
	}
	c := &MAX34451{PMBus: newPMBus(o.PMBusOpts, pmRun(0, 20)), o: o}
	for p := 16; p <= 20; p++ {
		c.value64[p] = 25
	}
	c.start(pmHooks{advance: c.run, reset: c.powerUp}, c.commands()...)
	return c
}

// powerUp restores what flash holds and forgets extremes.
func (c *MAX34451) powerUp(time.Time) {
	for p, v := range c.o.Config {
		if p < 16 {
			c.regs[pmKey{byte(p), mxMFR_CHANNEL_CONFIG}] = pmLE(v)
		}
	}
	c.extremes = make(map[pmKey]uint16)
	for p := range byte(21) {
		c.extremes[pmKey{p, mxMFR_VOUT_MIN}] = 0x7FFF
		c.extremes[pmKey{p, mxMFR_TEMP_PEAK}] = 0x8000
	}
}

// SetChannel sets what a page measures: V, A or °C. A temperature that is not a number is a sensor that has failed.
func (c *MAX34451) SetChannel(page int, v float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if page >= 0 && page < len(c.value64) {
		c.value64[page] = v
		c.run(c.now())
	}
}

// mxKind is what a channel is configured for, the low six bits of MFR_CHANNEL_CONFIG.
func (c *MAX34451) kind(page byte) uint16 { return c.code(page, mxMFR_CHANNEL_CONFIG) & 0x3F }

func (c *MAX34451) vout(page byte) uint16 {
	switch v := c.value64[page]; c.kind(page) {
	case 0x10, 0x20, 0x21:
		return pmDirect{1, 0, 3}.code(v, 0, 0x7FFF)
	case 0x30, 0x34: // general input: 1 is active
		if v != 0 {
			return 1
		}
	}
	return 0
}

func (c *MAX34451) iout(page byte) uint16 {
	switch c.kind(page) {
	case 0x22, 0x23:
		return pmDirect{1, 0, 2}.code(c.value64[page], 0, 0x7FFF)
	}
	return 0
}

// celsius gives 7FFF for a sensor that has failed (data sheet, READ_TEMPERATURE_1).
func (c *MAX34451) celsius(page byte) uint16 {
	if math.IsNaN(c.value64[page]) {
		return 0x7FFF
	}
	return pmDirect{1, 0, 2}.code(c.value64[page], -0x8000, 0x7FFF)
}

// run follows extremes and limits.
func (c *MAX34451) run(time.Time) {
	warn, fail := pmIoutOCWarn, pmIoutOCFail
	if c.o.Revision < mxStandardLimits {
		warn.limit, fail.limit = fail.limit, warn.limit
	}
	for p := range byte(16) {
		v, i := c.vout(p), c.iout(p)
		c.extreme(pmKey{p, mxMFR_VOUT_PEAK}, v, 1)
		c.extreme(pmKey{p, mxMFR_IOUT_PEAK}, i, 1)
		if v != 0 { // an output that is off is no minimum
			c.extreme(pmKey{p, mxMFR_VOUT_MIN}, v, -1)
		}
		switch c.kind(p) { // only "monitor" has limits, "read" has none
		case 0x10, 0x20:
			c.compare(p, pmVoutOVFail, pmVoutOVWarn, pmVoutUVWarn, pmVoutUVFail)
		case 0x22:
			c.compare(p, warn, fail)
		}
	}
	for p := byte(16); p <= 20; p++ {
		if t := c.celsius(p); t != 0x7FFF {
			c.extreme(pmKey{p, mxMFR_TEMP_PEAK}, t, 1)
			c.compare(p, pmOTWarn, pmOTFail)
		}
	}
}

// extreme keeps the larger, or with sign -1 the smaller, of two signed codes.
func (c *MAX34451) extreme(key pmKey, v uint16, sign int) {
	if sign*int(int16(v)) > sign*int(int16(c.extremes[key])) {
		c.extremes[key] = v
	}
}

// history is an extreme; a write sets it, to start anew.
func (c *MAX34451) history(code byte, pages []byte) PMBusCommand {
	k := pmLive(code, func(p byte) uint16 { return c.extremes[pmKey{p, code}] }).paged(pages).rw()
	k.Set = func(p byte, d []byte) bool {
		c.extremes[pmKey{p, code}] = uint16(d[0]) | uint16(d[1])<<8
		return true
	}
	return k
}

func (c *MAX34451) commands() []PMBusCommand {
	all, channels, sensors := pmRun(0, 20), pmRun(0, 15), pmRun(16, 20)
	out := NamePMBus(false, nil, pmPAGE, pmCLEAR_FAULTS, pmWRITE_PROTECT, pmSTATUS_CML)
	out = append(out, NamePMBus(false, all, pmSTATUS_BYTE, pmSTATUS_WORD)...)
	out = append(out, NamePMBus(false, channels, pmSTATUS_VOUT, pmSTATUS_IOUT)...)
	out = append(out, NamePMBus(false, sensors, pmSTATUS_TEMPERATURE)...)
	for _, l := range []struct {
		code byte
		v    uint16
	}{
		{pmVOUT_OV_FAULT_LIMIT, 0x7FFF},
		{pmVOUT_OV_WARN_LIMIT, 0x7FFF},
		{pmVOUT_UV_WARN_LIMIT, 0},
		{pmVOUT_UV_FAULT_LIMIT, 0},
		{pmIOUT_OC_FAULT_LIMIT, 0x7FFF},
		{pmIOUT_OC_WARN_LIMIT, 0x7FFF},
		{mxMFR_CHANNEL_CONFIG, 0x20},
	} {
		out = append(out, pmWord(l.code, l.v).paged(channels).rw())
	}
	return append(
		out, pmByte(pmCAPABILITY, 0x20), pmByte(pmVOUT_MODE, 0x40), pmByte(pmPMBUS_REVISION, 0x11),
		pmByte(pmMFR_ID, 0x4D), pmByte(pmMFR_MODEL, 0x59), pmWord(pmMFR_REVISION, c.o.Revision),
		pmWord(pmOT_FAULT_LIMIT, 0x7FFF).paged(sensors).rw(), pmWord(pmOT_WARN_LIMIT, 0x7FFF).paged(sensors).rw(),
		pmLive(pmREAD_VOUT, c.vout).paged(channels), pmLive(pmREAD_IOUT, c.iout).paged(channels),
		pmLive(mxMFR_IOUT_AVG, c.iout).paged(channels), pmLive(pmREAD_TEMPERATURE_1, c.celsius).paged(sensors),
		c.history(mxMFR_VOUT_PEAK, channels), c.history(mxMFR_IOUT_PEAK, channels), c.history(mxMFR_VOUT_MIN, channels),
		c.history(mxMFR_TEMP_PEAK, sensors),
	)
}
