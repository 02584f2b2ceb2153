package drivertest

import "time"

// Commands of the LM5066 and LM5066I beyond the standard's (TI SNVS655G, SNVS950C).
const (
	lmREAD_VAUX       = 0xD0
	lmMFR_READ_IIN    = 0xD1
	lmMFR_READ_PIN    = 0xD2
	lmMFR_IIN_OC_WARN = 0xD3
	lmMFR_PIN_OP_WARN = 0xD4
	lmREAD_PIN_PEAK   = 0xD5
	lmCLEAR_PIN_PEAK  = 0xD6
	lmGATE_MASK       = 0xD7
	lmALERT_MASK      = 0xD8
	lmDEVICE_SETUP    = 0xD9
	lmBLOCK_READ      = 0xDA
	lmSAMPLES_FOR_AVG = 0xDB
	lmREAD_AVG_VIN    = 0xDC
	lmREAD_AVG_VOUT   = 0xDD
	lmREAD_AVG_IIN    = 0xDE
	lmREAD_AVG_PIN    = 0xDF
	lmBLACK_BOX_READ  = 0xE0
	lmDIAGNOSTIC_WORD = 0xE1
	lmAVG_BLOCK_READ  = 0xE2
)

// Bits of DEVICE_SETUP.
const (
	lmLowLimit = 1 << 4 // current limit 26 mV, else 50 mV
	lmBySMBus  = 1 << 2 // that bit counts, not the CL pin
)

// lmSample is the time of one conversion of all channels: 1 kHz.
const lmSample = time.Millisecond

// LM5066Opts is how the controller is wired.
type LM5066Opts struct {
	PMBusOpts
	RsMilliohm float64 // shunt; 0: 1 mΩ
	// CLToVDD straps the CL pin for the low current limit, 26 mV; else it is at ground or open, 50 mV. No register
	// shows it.
	CLToVDD       bool
	Load          DCLoad
	Celsius       func(time.Time) float64 // nil: 25 °C
	VAUX          float64                 // volts
	Welded, Fused bool                    // see SetWelded, SetFused
	// GoodIsHigh turns bit 11 of STATUS_WORD round: 1 is power good. Sources disagree on its polarity in this family.
	GoodIsHigh bool
}

// LM5066 is a hot-swap controller and power monitor (TI LM5066 SNVS655G, LM5066I SNVS950C): DIRECT format, 12 bits,
// no page, no VOUT_MODE. Readings are of the moment they are read; the LM5066I counts energy once a millisecond.
//
// Left out: averaging, so the averages are the readings; the black box, retries and the masks' effects.
type LM5066 struct {
	*PMBusSwitch
	o        LM5066Opts
	withI    bool // LM5066I
	peak     uint16
	energy   pmAccumulator
	sampling pmSampler
}

// NewLM5066 is the older part, which counts no energy.
func NewLM5066(o LM5066Opts) *LM5066 { return newLM5066(o, false) }

// NewLM5066I is the part with READ_EIN.
func NewLM5066I(o LM5066Opts) *LM5066 { return newLM5066(o, true) }

func newLM5066(o LM5066Opts, withI bool) *LM5066 {
	o.PMBusOpts = o.asBuilt(PECGood, UnsupportedNACK)
	if o.RsMilliohm == 0 {
		o.RsMilliohm = 1
	}
	if o.Celsius == nil {
		o.Celsius = func(time.Time) float64 { return 25 }
	}
	c := &LM5066{PMBusSwitch: newPMBusSwitch(o.PMBusOpts, nil, o.Load), o: o, withI: withI}
	c.welded, c.fused = o.Welded, o.Fused
	c.sampling.period = lmSample
	c.start(pmHooks{advance: c.run, reset: c.powerUp, live: c.live, glitch: c.glitch}, c.commands()...)
	return c
}

// powerUp leaves "defaults loaded" latched in STATUS_MFR (TI LM25066A data sheet, table 15).
func (c *LM5066) powerUp(now time.Time) {
	c.powerOn(0x80, operationOnly)
	c.latched[pmKey{0, pmSTATUS_MFR}] |= 0x10
	c.peak, c.energy, c.sampling.last = 0, pmAccumulator{}, now
}

// SetEnergy sets the sum of power codes and the count of samples, as if the part had been counting for long.
func (c *LM5066) SetEnergy(codes, samples uint64) {
	c.change(func() { c.energy = pmAccumulator{sum: codes << 8, samples: samples} })
}

// lowLimit tells which current limit, and so which coefficients, are in force.
func (c *LM5066) lowLimit() bool {
	setup := c.regs[pmKey{0, lmDEVICE_SETUP}][0]
	if setup&lmBySMBus != 0 {
		return setup&lmLowLimit != 0
	}
	return c.o.CLToVDD
}

// row gives the coefficients of a quantity (Linux driver lm25066); those of current and power per milliohm.
func (c *LM5066) row(code byte) pmDirect {
	low, rs := c.lowLimit(), c.o.RsMilliohm
	pick := func(older, i pmDirect) pmDirect {
		if c.withI {
			return i
		}
		return older
	}
	switch code {
	case pmREAD_VIN:
		return pick(pmDirect{4587, -1200, -2}, pmDirect{4617, -140, -2})
	case pmREAD_VOUT:
		return pick(pmDirect{4587, -2400, -2}, pmDirect{4602, 500, -2})
	case lmMFR_READ_IIN:
		if low {
			return pick(pmDirect{10753, -1200, -2}, pmDirect{15076, -504, -2}).times(rs)
		}
		return pick(pmDirect{5405, -600, -2}, pmDirect{7645, 100, -2}).times(rs)
	case lmMFR_READ_PIN:
		if low {
			return pick(pmDirect{1204, -6000, -3}, pmDirect{1701, -4000, -3}).times(rs)
		}
		return pick(pmDirect{605, -8000, -3}, pmDirect{861, -965, -3}).times(rs)
	case lmREAD_VAUX: // the driver states it for the LM5066I only
		return pmDirect{13774, 73, -1}
	default:
		return pmDirect{16, 0, 0}
	}
}

// measure is a code of 12 bits; temperature alone is signed.
func (c *LM5066) measure(code byte, at time.Time) uint16 {
	vin, vout, iout := c.draw(at)
	switch code {
	case pmREAD_VIN:
		return c.row(code).code(vin, 0, 0xFFF)
	case pmREAD_VOUT:
		return c.row(code).code(vout, 0, 0xFFF)
	case lmMFR_READ_IIN:
		return c.row(code).code(iout, 0, 0xFFF)
	case lmMFR_READ_PIN:
		return c.row(code).code(vin*iout, 0, 0xFFF)
	case lmREAD_VAUX:
		return c.row(code).code(c.o.VAUX, 0, 0xFFF)
	default:
		return c.row(code).code(c.o.Celsius(at), -0x1000, 0xFFF) // -256 to 255 °C
	}
}

func (c *LM5066) run(now time.Time) {
	c.sampling.run(now, func(at time.Time, n uint64) { c.count(at, n) })
	c.count(now, 0)
	_, _, iout := c.draw(now)
	c.condition(pmKey{0, pmSTATUS_MFR}, 0x40, c.welded && !c.on(now) && iout > 0) // external transistor shorted
	c.compare(
		0, pmVinOVWarn, pmVinUVWarn, pmVoutUVWarn, pmOTWarn, pmOTFail,
		pmLimit{lmMFR_IIN_OC_WARN, lmMFR_READ_IIN, pmSTATUS_INPUT, 0x02, false},
		pmLimit{lmMFR_PIN_OP_WARN, lmMFR_READ_PIN, pmSTATUS_INPUT, 0x01, false},
	)
}

func (c *LM5066) count(at time.Time, n uint64) {
	p := c.measure(lmMFR_READ_PIN, at)
	c.peak = max(c.peak, p)
	c.energy.add(float64(p), n)
}

func (c *LM5066) live(byte) uint16 {
	v := c.offBits()
	if c.o.GoodIsHigh {
		v ^= pmNotGood
	}
	return v
}

// diagnostic sums the status registers up in the order of ALERT_MASK (TI LM25066A data sheet, table 29).
func (c *LM5066) diagnostic() uint16 {
	var v uint16
	for _, s := range [...]struct {
		code, bits byte
		word       uint16
	}{
		{pmSTATUS_VOUT, 0x20, 1 << 15},
		{pmSTATUS_INPUT, 0x02, 1 << 14},
		{pmSTATUS_INPUT, 0x20, 1 << 13},
		{pmSTATUS_INPUT, 0x40, 1 << 12},
		{pmSTATUS_TEMPERATURE, 0x40, 1 << 10},
		{pmSTATUS_INPUT, 0x01, 1 << 8},
		{pmSTATUS_MFR, 0x10, 1 << 7},
		{pmSTATUS_MFR, 0x40, 1 << 6},
		{pmSTATUS_INPUT, 0x10, 1 << 5},
		{pmSTATUS_INPUT, 0x80, 1 << 4},
		{pmSTATUS_TEMPERATURE, 0x80, 1 << 2},
		{pmSTATUS_CML, 0xFF, 1 << 1},
		{pmSTATUS_MFR, 0x80, 1 << 0},
	} {
		if c.latched[pmKey{0, s.code}]&s.bits != 0 {
			v |= s.word
		}
	}
	if c.on(c.now()) {
		v |= 1 << 11
	}
	return v
}

// blockRead is all in one block of 12 bytes, sampled at one moment.
func (c *LM5066) blockRead(byte) []byte {
	now := c.now()
	return pmLEs(c.diagnostic(), c.measure(lmMFR_READ_IIN, now), c.measure(pmREAD_VOUT, now), c.measure(pmREAD_VIN, now),
		c.measure(lmMFR_READ_PIN, now), c.measure(pmREAD_TEMPERATURE_1, now))
}

// limit is a writable word of 12 bits; more is bad data.
func (c *LM5066) limit(code byte, v uint16) PMBusCommand {
	k := pmWord(code, v).rw()
	k.Set = func(_ byte, d []byte) bool {
		if d[1] > 0x0F {
			return false
		}
		c.regs[pmKey{0, code}] = []byte{d[0], d[1]}
		return true
	}
	return k
}

func (c *LM5066) commands() []PMBusCommand {
	out := NamePMBus(false, nil, pmCLEAR_FAULTS, pmSTATUS_BYTE, pmSTATUS_WORD, pmSTATUS_VOUT, pmSTATUS_INPUT,
		pmSTATUS_TEMPERATURE, pmSTATUS_CML, pmSTATUS_MFR)
	reads := map[byte]byte{ // command: quantity
		pmREAD_VIN: pmREAD_VIN, pmREAD_VOUT: pmREAD_VOUT, pmREAD_TEMPERATURE_1: pmREAD_TEMPERATURE_1,
		lmREAD_VAUX: lmREAD_VAUX, lmMFR_READ_IIN: lmMFR_READ_IIN, lmMFR_READ_PIN: lmMFR_READ_PIN,
		lmREAD_AVG_VIN: pmREAD_VIN, lmREAD_AVG_VOUT: pmREAD_VOUT, lmREAD_AVG_IIN: lmMFR_READ_IIN, lmREAD_AVG_PIN: lmMFR_READ_PIN,
	}
	model := "LM5066\x00\x00"
	if c.withI {
		model = "LM5066I\x00"
		reads[pmREAD_IIN], reads[pmREAD_PIN] = lmMFR_READ_IIN, lmMFR_READ_PIN
		out = append(out, PMBusCommand{Code: pmREAD_EIN, Kind: PMBusBlock, Get: func(byte) []byte { return c.energy.einDirect(0x8000) }})
	}
	for code, quantity := range reads {
		out = append(out, pmLive(code, func(byte) uint16 { return c.measure(quantity, c.now()) }))
	}
	average := pmByte(lmSAMPLES_FOR_AVG, 0).rw()
	average.Set = func(_ byte, d []byte) bool {
		if d[0] > 12 {
			return false
		}
		c.regs[pmKey{0, lmSAMPLES_FOR_AVG}] = []byte{d[0]}
		return true
	}
	return append(
		out, c.operationCommand(0x80, 0x00), pmByte(pmCAPABILITY, c.o.capability(0xB0)), pmByte(pmPMBUS_REVISION, 0x11),
		pmBlock(pmMFR_ID, "NSC"), pmBlock(pmMFR_MODEL, model), pmBlock(pmMFR_REVISION, "AA"),
		c.limit(pmVOUT_UV_WARN_LIMIT, 0), c.limit(pmOT_FAULT_LIMIT, 0x0960), c.limit(pmOT_WARN_LIMIT, 0x0FFF),
		c.limit(pmVIN_OV_WARN_LIMIT, 0xFFF), c.limit(pmVIN_UV_WARN_LIMIT, 0),
		c.limit(lmMFR_IIN_OC_WARN, 0xFFF), c.limit(lmMFR_PIN_OP_WARN, 0xFFF),
		pmLive(lmREAD_PIN_PEAK, func(byte) uint16 { return c.peak }),
		PMBusCommand{Code: lmCLEAR_PIN_PEAK, Kind: PMBusSend, Set: func(byte, []byte) bool { c.peak = 0; return true }},
		pmByte(lmGATE_MASK, 0).rw(), pmWord(lmALERT_MASK, 0x0820).rw(), pmByte(lmDEVICE_SETUP, 0).rw(), average,
		PMBusCommand{Code: lmBLOCK_READ, Kind: PMBusBlock, Get: c.blockRead},
		PMBusCommand{Code: lmAVG_BLOCK_READ, Kind: PMBusBlock, Get: c.blockRead},
		PMBusCommand{Code: lmBLACK_BOX_READ, Kind: PMBusBlock, Value: make([]byte, 12)},
		pmLive(lmDIAGNOSTIC_WORD, func(byte) uint16 { return c.diagnostic() }),
	)
}
