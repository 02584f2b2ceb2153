package drivertest

import (
	"math"
	"time"
)

// Commands of the ADM127x beyond the standard's.
const (
	admRESTART_TIME     = 0xCC
	admPEAK_IOUT        = 0xD0
	admPEAK_VIN         = 0xD1
	admPEAK_VOUT        = 0xD2
	admPMON_CONTROL     = 0xD3
	admPMON_CONFIG      = 0xD4
	admALERT1_CONFIG    = 0xD5
	admALERT2_CONFIG    = 0xD6
	admPEAK_TEMPERATURE = 0xD7 // ADM1275: IOUT_WARN2_LIMIT
	admDEVICE_CONFIG    = 0xD8
	admPOWER_CYCLE      = 0xD9
	admPEAK_PIN         = 0xDA
	admREAD_PIN_EXT     = 0xDB
	admREAD_EIN_EXT     = 0xDC
	admHYSTERESIS_LOW   = 0xF2
	admHYSTERESIS_HIGH  = 0xF3
	admSTATUS_HYST      = 0xF4
	admSTATUS_GPIO      = 0xF5
	admSTRT_UP_IOUT_LIM = 0xF6
)

// Bits of PMON_CONFIG: ADM1272 and ADM1278, then ADM1275 (data sheet rev. D).
const (
	admI30mV      = 1 << 0 // current range 30 mV, else 15 mV
	admVoutOn     = 1 << 1
	admVinOn      = 1 << 2
	admTempOn     = 1 << 3
	admContinuous = 1 << 4
	admV100       = 1 << 5 // voltage range 100 V, else 60 V

	adm1275High       = 1 << 5 // voltage range 20 V, else 6 V
	adm1275VoutSelect = 1 << 6 // VOUT is measured in place of VIN
	adm1275Continuous = 1 << 7
)

// admOperationEnable is the bit of DEVICE_CONFIG that lets OPERATION in (ADM1276 data sheet rev. C, table 40).
const admOperationEnable = 1 << 5

// admRestart is how long the output of an ADM1275 stays off after POWER_CYCLE; it has no RESTART_TIME. The time is
// the default of the others: arbitrary.
const admRestart = 10100 * time.Millisecond

// ADM1272Opts is how a controller of the family is wired.
type ADM1272Opts struct {
	PMBusOpts
	RsMilliohm float64 // shunt; 0: 1 mΩ
	Load       DCLoad
	Celsius    func(time.Time) float64 // nil: 25 °C
	// SamplePeriod is the time of one conversion of all channels. 0: 1 ms, arbitrary: the data sheets' times depend
	// on channels and averaging.
	SamplePeriod time.Duration
	// OperationGated makes OPERATION be refused until bit 5 of DEVICE_CONFIG is set, as the ADM1276 does.
	OperationGated bool
	Welded, Fused  bool // see SetWelded, SetFused
}

// ADM1272 is a hot-swap controller and power monitor (Analog Devices ADM1272, ADM1278, and ADM1275 rev. D): DIRECT
// format, one page. Codes depend on the ranges in PMON_CONFIG; what that register leaves out is not sampled, and its
// reading stays what it was. Readings are of the moment they are read, energy is counted once per SamplePeriod.
//
// Left out: averaging; alerts; hysteresis outputs; foldback and start-up current limits; VOUT_MODE and, on the
// ADM1275, STATUS_CML do not exist.
type ADM1272 struct {
	*PMBusSwitch
	o        ADM1272Opts
	part     admPart
	code16   map[byte]uint16 // readings and peaks
	pin      float64         // power code before rounding
	energy   pmAccumulator
	sampling pmSampler
	cycles   int
}

// admPart is what differs between the parts.
type admPart struct {
	model, revision string
	pmbus           byte   // PMBUS_REVISION
	config          uint16 // PMON_CONFIG at power-on
	control         byte   // PMON_CONTROL at power-on
	device          uint16 // DEVICE_CONFIG at power-on
	old             bool   // ADM1275: byte-wide configuration, VIN or VOUT, no power, no temperature
	celsius         pmDirect
}

// NewADM1272 is a controller for 16 to 80 V that has just been powered; its output is on.
func NewADM1272(o ADM1272Opts) *ADM1272 {
	return newADM127x(o, admPart{
		model: "ADM1272-A1", revision: "25", pmbus: 0x22, config: 0x3F35, control: 1, device: 0x0008,
		celsius: pmDirect{42, 31871, -1},
	})
}

// NewADM1278 is the 4.5 to 20 V part.
func NewADM1278(o ADM1272Opts) *ADM1272 {
	return newADM127x(o, admPart{
		model: "ADM1278-A1", revision: "1", pmbus: 0x22, config: 0x3F35, control: 1,
		celsius: pmDirect{42, 31880, -1},
	})
}

// NewADM1275 is the older 2 to 20 V part. At power-on it samples nothing (data sheet rev. D, PMON_CONTROL 00,
// PMON_CONFIG 2C): all readings are 0000.
func NewADM1275(o ADM1272Opts) *ADM1272 {
	return newADM127x(o, admPart{model: "ADM1275-1", revision: "1", pmbus: 0x11, config: 0x2C, old: true})
}

func newADM127x(o ADM1272Opts, p admPart) *ADM1272 {
	o.PMBusOpts = o.asBuilt(PECGood, UnsupportedNACK)
	if o.RsMilliohm == 0 {
		o.RsMilliohm = 1
	}
	if o.Celsius == nil {
		o.Celsius = func(time.Time) float64 { return 25 }
	}
	if o.SamplePeriod <= 0 {
		o.SamplePeriod = time.Millisecond
	}
	c := &ADM1272{PMBusSwitch: newPMBusSwitch(o.PMBusOpts, nil, o.Load), o: o, part: p}
	c.welded, c.fused = o.Welded, o.Fused
	c.sampling.period = o.SamplePeriod
	c.start(pmHooks{advance: c.run, reset: c.powerUp, live: func(byte) uint16 { return c.offBits() }, glitch: c.glitch},
		c.commands()...)
	return c
}

func (c *ADM1272) powerUp(now time.Time) {
	c.powerOn(0x80, operationOnly)
	c.code16 = make(map[byte]uint16)
	c.pin, c.energy, c.sampling.last = 0, pmAccumulator{}, now
}

// PowerCycles counts the POWER_CYCLE commands carried out.
func (c *ADM1272) PowerCycles() int { c.mu.Lock(); defer c.mu.Unlock(); return c.cycles }

// SetEnergy sets the sum of power codes and the count of samples, as if the part had been counting for long.
func (c *ADM1272) SetEnergy(codes, samples uint64) {
	c.change(func() { c.energy = pmAccumulator{sum: codes << 8, samples: samples} })
}

// Trip switches the output off for a reason, the low three bits of STATUS_MFR: 1 over-temperature, 2 over-current, 3
// transistor, 4 under-voltage, 6 over-voltage. OPERATION off and on starts it again.
func (c *ADM1272) Trip(cause byte) {
	c.change(func() {
		c.tripped = true
		key := pmKey{0, pmSTATUS_MFR}
		c.latched[key] = c.latched[key]&^7 | cause&7
	})
}

// config is PMON_CONFIG.
func (c *ADM1272) config() uint16 {
	v := c.regs[pmKey{0, admPMON_CONFIG}]
	if len(v) == 1 {
		return uint16(v[0])
	}
	return uint16(v[0]) | uint16(v[1])<<8
}

// volts, amps and watts are the DIRECT rows in force (Linux driver adm1275).
func (c *ADM1272) volts() pmDirect {
	switch {
	case c.part.old && c.config()&adm1275High != 0:
		return pmDirect{19199, 0, -2}
	case c.part.old:
		return pmDirect{6720, 0, -1}
	case c.part.model[:7] == "ADM1278":
		return pmDirect{19599, 0, -2}
	case c.config()&admV100 != 0:
		return pmDirect{4062, 0, -2}
	default:
		return pmDirect{6770, 0, -2}
	}
}

func (c *ADM1272) amps() pmDirect {
	row := pmDirect{1326, 20480, -1}
	switch {
	case c.part.old:
		row = pmDirect{807, 20475, -1}
	case c.part.model[:7] == "ADM1278":
		row = pmDirect{800, 20475, -1}
	case c.config()&admI30mV != 0:
		row = pmDirect{663, 20480, -1}
	}
	return row.times(c.o.RsMilliohm)
}

func (c *ADM1272) watts() pmDirect {
	row := pmDirect{6123, 0, -2}
	if c.part.model[:7] == "ADM1272" {
		switch c.config() & (admV100 | admI30mV) {
		case 0:
			row = pmDirect{3512, 0, -2}
		case admV100:
			row = pmDirect{21071, 0, -3}
		case admI30mV:
			row = pmDirect{17561, 0, -3}
		default:
			row = pmDirect{10535, 0, -3}
		}
	}
	return row.times(c.o.RsMilliohm)
}

// sampled tells which of VIN, VOUT and temperature are measured.
func (c *ADM1272) sampled() (vin, vout, temp bool) {
	v := c.config()
	if c.part.old {
		return v&adm1275VoutSelect == 0, v&adm1275VoutSelect != 0, false
	}
	return v&admVinOn != 0, v&admVoutOn != 0, v&admTempOn != 0
}

// converting tells whether the monitor runs on its own.
func (c *ADM1272) converting() bool {
	bit := uint16(admContinuous)
	if c.part.old {
		bit = adm1275Continuous
	}
	return c.regs[pmKey{0, admPMON_CONTROL}][0]&1 != 0 && c.config()&bit != 0
}

// run brings energy, readings and status up to now.
func (c *ADM1272) run(now time.Time) {
	if c.converting() {
		c.sampling.run(now, c.convert)
		c.convert(now, 0)
	} else {
		c.sampling.last = now
	}
	_, _, iout := c.draw(now)
	c.condition(pmKey{0, pmSTATUS_MFR}, 0x80, c.welded && !c.on(now) && iout > 0)
	c.compare(0, pmVinOVWarn, pmVinUVWarn, pmVoutOVWarn, pmVoutUVWarn, pmIoutOCWarn)
	if !c.part.old {
		c.compare(0, pmOTWarn, pmOTFail, pmPinOPWarn)
	}
}

// convert measures all channels that are on, and counts the power n times. Voltage, current and temperature have 12
// bits, power has 15.
func (c *ADM1272) convert(at time.Time, n uint64) {
	v, out, i := c.draw(at)
	vin, vout, temp := c.sampled()
	c.code16[pmREAD_IOUT] = c.amps().code(i, 0, 0xFFF)
	if vin {
		c.code16[pmREAD_VIN] = c.volts().code(v, 0, 0xFFF)
		c.pin = math.Min(math.Max(c.watts().exact(v*i), 0), 0x7FFF)
		c.code16[pmREAD_PIN] = uint16(math.RoundToEven(c.pin))
	}
	if vout {
		c.code16[pmREAD_VOUT] = c.volts().code(out, 0, 0xFFF)
	}
	if temp {
		c.code16[pmREAD_TEMPERATURE_1] = c.part.celsius.code(c.o.Celsius(at), 0, 0xFFF)
	}
	c.energy.add(c.pin, n)
	for _, p := range admPeaks {
		c.code16[p.peak] = max(c.code16[p.peak], c.code16[p.of])
	}
}

// admPeaks are the peak registers and what they follow.
var admPeaks = [...]struct{ peak, of byte }{
	{admPEAK_IOUT, pmREAD_IOUT},
	{admPEAK_VIN, pmREAD_VIN},
	{admPEAK_VOUT, pmREAD_VOUT},
	{admPEAK_TEMPERATURE, pmREAD_TEMPERATURE_1},
	{admPEAK_PIN, pmREAD_PIN},
}

// commands is the table of the part.
func (c *ADM1272) commands() []PMBusCommand {
	out := NamePMBus(false, nil, pmCLEAR_FAULTS, pmSTATUS_BYTE, pmSTATUS_WORD, pmSTATUS_VOUT, pmSTATUS_IOUT,
		pmSTATUS_INPUT, pmSTATUS_MFR)
	out = append(
		out, c.operation275(), pmByte(pmCAPABILITY, c.o.capability(0xB0)),
		pmWord(pmVOUT_OV_WARN_LIMIT, 0xFFF).rw(), pmWord(pmVOUT_UV_WARN_LIMIT, 0).rw(),
		pmWord(pmIOUT_OC_WARN_LIMIT, 0xFFF).rw(),
		pmWord(pmVIN_OV_WARN_LIMIT, 0xFFF).rw(), pmWord(pmVIN_UV_WARN_LIMIT, 0).rw(),
		c.reading(pmREAD_VIN), c.reading(pmREAD_VOUT), c.reading(pmREAD_IOUT),
		pmByte(pmPMBUS_REVISION, c.part.pmbus), pmBlock(pmMFR_ID, "ADI"), pmBlock(pmMFR_MODEL, c.part.model),
		pmBlock(pmMFR_REVISION, c.part.revision),
		c.peak(admPEAK_IOUT), c.peak(admPEAK_VIN), c.peak(admPEAK_VOUT),
		c.pmonControl(), pmWord(admALERT1_CONFIG, 0).rw(), pmWord(admALERT2_CONFIG, 0x8000).rw(),
		PMBusCommand{Code: admPOWER_CYCLE, Kind: PMBusSend, Set: c.powerCycle},
	)
	if c.part.old {
		return append(out, pmByte(admPMON_CONFIG, byte(c.part.config)).rw(), pmByte(admDEVICE_CONFIG, byte(c.part.device)).rw(),
			pmWord(admPEAK_TEMPERATURE, 0).rw())
	}
	out = append(out, NamePMBus(false, nil, pmSTATUS_TEMPERATURE, pmSTATUS_CML)...)
	return append(
		out, pmWord(admPMON_CONFIG, c.part.config).rw(), pmWord(admDEVICE_CONFIG, c.part.device).rw(),
		pmWord(pmOT_FAULT_LIMIT, 0xFFF).rw(), pmWord(pmOT_WARN_LIMIT, 0xFFF).rw(), pmWord(pmPIN_OP_WARN_LIMIT, 0x7FFF).rw(),
		c.reading(pmREAD_TEMPERATURE_1), c.reading(pmREAD_PIN), c.peak(admPEAK_TEMPERATURE), c.peak(admPEAK_PIN),
		PMBusCommand{Code: pmREAD_EIN, Kind: PMBusBlock, Get: func(byte) []byte { return c.energy.einDirect(0x8000) }},
		PMBusCommand{Code: admREAD_EIN_EXT, Kind: PMBusBlock, Get: func(byte) []byte { return c.energy.einExt() }},
		PMBusCommand{Code: admREAD_PIN_EXT, Kind: PMBusBlock, Get: func(byte) []byte { return c.pinExt() }},
		pmByte(admRESTART_TIME, 0x64).rw(), pmWord(admHYSTERESIS_LOW, 0).rw(), pmWord(admHYSTERESIS_HIGH, 0xFFFF).rw(),
		pmByte(admSTATUS_HYST, 0), pmByte(admSTATUS_GPIO, 0), pmWord(admSTRT_UP_IOUT_LIM, 0xF).rw(),
	)
}

func (c *ADM1272) reading(code byte) PMBusCommand {
	return pmLive(code, func(byte) uint16 { return c.code16[code] })
}

// peak is a largest code since it was last cleared by a write of 0.
func (c *ADM1272) peak(code byte) PMBusCommand {
	k := c.reading(code).rw()
	k.Set = func(_ byte, d []byte) bool {
		if d[0] != 0 || d[1] != 0 {
			return false
		}
		c.code16[code] = 0
		return true
	}
	return k
}

// pinExt is the power code with eight more bits.
func (c *ADM1272) pinExt() []byte {
	v := uint32(math.RoundToEven(c.pin * 256))
	return []byte{byte(v), byte(v >> 8), byte(v >> 16)}
}

// pmonControl starts a conversion, or conversions; in single-shot mode its bit clears itself.
func (c *ADM1272) pmonControl() PMBusCommand {
	k := pmByte(admPMON_CONTROL, c.part.control).rw()
	k.Set = func(_ byte, d []byte) bool {
		c.regs[pmKey{0, admPMON_CONTROL}] = []byte{d[0] & 1}
		if d[0]&1 != 0 && !c.converting() {
			c.convert(c.now(), 1)
			c.regs[pmKey{0, admPMON_CONTROL}] = []byte{0}
		}
		return true
	}
	return k
}

// operation275 is OPERATION with 80 and 00; gated, it exists only after a bit of DEVICE_CONFIG is set.
func (c *ADM1272) operation275() PMBusCommand {
	k := c.operationCommand(0x80, 0x00)
	k.Hidden = func() bool {
		return c.o.OperationGated && c.regs[pmKey{0, admDEVICE_CONFIG}][0]&admOperationEnable == 0
	}
	return k
}

// powerCycle switches the output off for (n+1) * 0.1 s, n in RESTART_TIME.
func (c *ADM1272) powerCycle(byte, []byte) bool {
	d := admRestart
	if v := c.regs[pmKey{0, admRESTART_TIME}]; len(v) == 1 {
		d = time.Duration(int(v[0])+1) * 100 * time.Millisecond
	}
	c.cycle(d)
	c.cycles++
	return true
}
