package drivertest

import "time"

// ltcMFR_CONFIG1 is a word; bit 1 chooses the voltage range, 1: 102.4 V, 0: 25.6 V (Linux driver ltc4286).
const (
	ltcMFR_CONFIG1 = 0xF2
	ltcHighRange   = 1 << 1
)

// LTC4286Opts is how the controller is wired.
type LTC4286Opts struct {
	PMBusOpts
	Model         string  // "": LTC4286; the other is LTC4287
	RsMicroohm    float64 // shunt; 0: 300
	Load          DCLoad
	Celsius       func(time.Time) float64 // nil: 25 °C
	Welded, Fused bool                    // see SetWelded, SetFused
}

// LTC4286 is a hot-swap controller and power monitor (Analog Devices LTC4286 rev. A, LTC4287): DIRECT format, one
// page, codes of 16 bits. Readings are of the moment they are read.
//
// Left out: peaks, energy, averaging, reboot.
type LTC4286 struct {
	*PMBusSwitch
	o LTC4286Opts
}

// NewLTC4286 is a controller that has just been powered; its output is on and its range is 102.4 V.
func NewLTC4286(o LTC4286Opts) *LTC4286 {
	o.PMBusOpts = o.asBuilt(PECGood, UnsupportedNACK)
	if o.Model == "" {
		o.Model = "LTC4286"
	}
	if o.RsMicroohm == 0 {
		o.RsMicroohm = 300
	}
	if o.Celsius == nil {
		o.Celsius = func(time.Time) float64 { return 25 }
	}
	c := &LTC4286{PMBusSwitch: newPMBusSwitch(o.PMBusOpts, nil, o.Load), o: o}
	c.welded, c.fused = o.Welded, o.Fused
	c.start(pmHooks{
		advance: func(time.Time) { c.compare(0, ltcLimits[:]...) },
		reset:   func(time.Time) { c.powerOn(0x80, operationOnly) },
		live:    func(byte) uint16 { return c.offBits() },
		glitch:  c.glitch,
	}, c.commands()...)
	return c
}

// ltcLimits are the comparators that are simulated.
var ltcLimits = [...]pmLimit{pmVinOVWarn, pmVinUVWarn, pmVoutOVWarn, pmVoutUVWarn, pmIoutOCWarn, pmOTWarn, pmOTFail}

// high tells whether the range is 102.4 V.
func (c *LTC4286) high() bool { return c.code(0, ltcMFR_CONFIG1)&ltcHighRange != 0 }

// volts, amps and watts are the rows in force; slopes hold the shunt in microohm.
func (c *LTC4286) volts() pmDirect {
	if c.high() {
		return pmDirect{32, 0, 1}
	}
	return pmDirect{128, 0, 1}
}

func (c *LTC4286) amps() pmDirect { return pmDirect{1024, 0, -3}.times(c.o.RsMicroohm) }

func (c *LTC4286) watts() pmDirect {
	row := pmDirect{1, 0, -2}.times(c.o.RsMicroohm)
	if !c.high() {
		row = row.times(4)
	}
	return row
}

// measure is a reading of the moment. Codes are signed words, and none below 0 but of temperature comes up.
func (c *LTC4286) measure(code byte) PMBusCommand {
	return pmLive(code, func(byte) uint16 {
		now := c.now()
		vin, vout, iout := c.draw(now)
		switch code {
		case pmREAD_VIN:
			return c.volts().code(vin, 0, 0x7FFF)
		case pmREAD_VOUT:
			return c.volts().code(vout, 0, 0x7FFF)
		case pmREAD_IOUT:
			return c.amps().code(iout, 0, 0x7FFF)
		case pmREAD_PIN:
			return c.watts().code(vin*iout, 0, 0x7FFF)
		default:
			return pmDirect{1, 273, 0}.code(c.o.Celsius(now), 0, 0x7FFF)
		}
	})
}

func (c *LTC4286) commands() []PMBusCommand {
	out := NamePMBus(true, nil, pmCLEAR_FAULTS, pmWRITE_PROTECT, pmSTATUS_BYTE, pmSTATUS_WORD, pmSTATUS_VOUT, pmSTATUS_IOUT,
		pmSTATUS_INPUT, pmSTATUS_TEMPERATURE, pmSTATUS_CML, pmSTATUS_OTHER, pmSTATUS_MFR)
	for _, code := range []byte{pmREAD_VIN, pmREAD_VOUT, pmREAD_IOUT, pmREAD_TEMPERATURE_1, pmREAD_PIN} {
		out = append(out, c.measure(code))
	}
	// The bits of MFR_CONFIG1 other than the range, the revision and the limits' defaults are arbitrary.
	return append(
		out, c.operationCommand(0x80, 0x00), pmByte(pmCAPABILITY, c.o.capability(0xD0)), pmByte(pmPMBUS_REVISION, 0x33),
		pmBlock(pmMFR_ID, "LTC"), pmBlock(pmMFR_MODEL, c.o.Model), pmBlock(pmMFR_REVISION, "A"),
		pmWord(ltcMFR_CONFIG1, 0x5572).rw(),
		pmWord(pmVIN_OV_WARN_LIMIT, 0x7FFF).rw(), pmWord(pmVIN_UV_WARN_LIMIT, 0).rw(),
		pmWord(pmVOUT_OV_WARN_LIMIT, 0x7FFF).rw(), pmWord(pmVOUT_UV_WARN_LIMIT, 0).rw(),
		pmWord(pmIOUT_OC_WARN_LIMIT, 0x7FFF).rw(), pmWord(pmOT_WARN_LIMIT, 0x7FFF).rw(), pmWord(pmOT_FAULT_LIMIT, 0x7FFF).rw(),
	)
}
