package drivertest

import "time"

// CRPSRating is the nameplate of a supply: MFR_VIN_MIN to MFR_MAX_TEMP_3.
type CRPSRating struct {
	VinMin, VinMax, IinMax, PinMax     float64
	VoutMin, VoutMax, IoutMax, PoutMax float64
	AmbientMax, AmbientMin             float64
	MaxTemp                            [3]float64
}

// crpsRating is a supply of 2 kW and 12 V. Arbitrary.
func crpsRating() CRPSRating {
	return CRPSRating{
		VinMin: 180, VinMax: 264, IinMax: 12, PinMax: 2200, VoutMin: 11.4, VoutMax: 12.6, IoutMax: 164, PoutMax: 2000,
		AmbientMax: 55, AmbientMin: 0, MaxTemp: [3]float64{60, 105, 110},
	}
}

// CRPSOpts is what a supply says of itself and how it is built. Strings are stored as they stand, padding and all.
type CRPSOpts struct {
	PMBusOpts // Addr 0: 0x58

	Manufacturer string
	Model        string
	Revision     string
	Location     string
	Date         string
	Serial       string
	Rating       CRPSRating // the zero value: 2 kW, 12 V

	// Load gives the mains voltage and the current that the output delivers when it is on.
	Load        DCLoad
	VoutSet     float64 // output voltage; 0: 12.2
	VoutMode    byte    // VOUT_MODE, linear; 0: 17h, steps of 2^-9 V
	Efficiency  float64 // output over input power; 0: 0.94, arbitrary
	StandbyWatt float64 // drawn besides; 0: 6, arbitrary
	MaxRPM      float64 // of both fans at 100 %; 0: 25,000, arbitrary
	OnOffConfig byte    // ON_OFF_CONFIG at power-on; 0: 1Dh, OPERATION and the CONTROL pin both count
	SoftOff     time.Duration
	// NoEnergy leaves READ_EIN and READ_EOUT out.
	NoEnergy bool
	// EnergyLinear makes their accumulators LINEAR11 with the exponent EnergyExponent, in place of DIRECT with m = 1,
	// b = 0, R = 0.
	EnergyLinear   bool
	EnergyExponent int
	SamplePeriod   time.Duration // of the energy counters; 0: 20 ms, arbitrary
	// VoutLinear11 makes READ_VOUT a LINEAR11 number and leaves VOUT_MODE out, as the FSP YH-5151E does (Linux driver
	// fsp-3y).
	VoutLinear11 bool
	// LikeAHE50DC gives it the manners of the Delta AHE-50DC (Linux driver delta-ahe50dc-fan): CAPABILITY reads FF,
	// packet error codes are wrong, commands it has not read FFFF, CLEAR_FAULTS takes the output away for a moment.
	LikeAHE50DC bool
}

// asBuilt fills the blanks.
func (o CRPSOpts) asBuilt() CRPSOpts {
	check, unknown := PECGood, UnsupportedNACK
	if o.LikeAHE50DC {
		check, unknown = PECWrong, UnsupportedOnes
		pmOrElse(&o.GlitchOnClear, 300*time.Millisecond) // arbitrary
	}
	o.PMBusOpts = o.PMBusOpts.asBuilt(check, unknown)
	pmOrElse(&o.Addr, 0x58)
	pmOrElse(&o.Manufacturer, "SIMPOWER")
	pmOrElse(&o.Model, "CRPS2000-12")
	pmOrElse(&o.Revision, "S1")
	pmOrElse(&o.Location, "LAB")
	pmOrElse(&o.Date, "260101")
	pmOrElse(&o.Serial, "SIM0000001")
	pmOrElse(&o.Rating, crpsRating())
	pmOrElse(&o.VoutSet, 12.2)
	pmOrElse(&o.VoutMode, 0x17)
	pmOrElse(&o.Efficiency, 0.94)
	pmOrElse(&o.StandbyWatt, 6)
	pmOrElse(&o.MaxRPM, 25000)
	pmOrElse(&o.OnOffConfig, 0x1D)
	pmOrElse(&o.SamplePeriod, 20*time.Millisecond)
	if o.Load == nil {
		o.Load = ConstantLoad(230, 0)
	}
	return o
}

// pmOrElse puts a value where there is none.
func pmOrElse[T comparable](v *T, otherwise T) {
	var none T
	if *v == none {
		*v = otherwise
	}
}

// CRPS is a redundant server power supply (Intel CRPS common requirements, PMBus 1.2): LINEAR11, ULINEAR16 for the
// output voltage, energy counters, two fans, three temperatures: inlet, secondary, primary. Readings are of the
// moment they are read. Without mains it answers for as long as its standby rail is fed from elsewhere (SetPowered).
//
// Left out: black box, firmware update, cold redundancy, limits one can set.
type CRPS struct {
	*PMBusSwitch
	o        CRPSOpts
	celsius  [3]float64
	fans     [2]float64 // rpm where a test set one; negative: as driven
	ein      pmAccumulator
	eout     pmAccumulator
	sampling pmSampler
}

// NewCRPS is a supply that has just been plugged in; its output is on.
func NewCRPS(o CRPSOpts) *CRPS {
	o = o.asBuilt()
	c := &CRPS{
		PMBusSwitch: newPMBusSwitch(o.PMBusOpts, []byte{0}, o.Load), o: o,
		celsius: [3]float64{25, 45, 50}, fans: [2]float64{-1, -1},
	}
	c.softOff, c.sampling.period = o.SoftOff, o.SamplePeriod
	c.start(pmHooks{advance: c.run, reset: c.powerUp, live: c.live, glitch: c.glitch}, c.commands()...)
	return c
}

func (c *CRPS) powerUp(now time.Time) {
	c.powerOn(0x80, c.o.OnOffConfig)
	c.ein, c.eout, c.sampling.last = pmAccumulator{}, pmAccumulator{}, now
}

// SetCelsius sets a temperature: 1 inlet, 2 secondary, 3 primary.
func (c *CRPS) SetCelsius(sensor int, v float64) {
	c.change(func() {
		if sensor >= 1 && sensor <= 3 {
			c.celsius[sensor-1] = v
		}
	})
}

// SetFanRPM makes a fan, 1 or 2, turn at a speed of its own, 0 for one that has stopped; negative: as driven.
func (c *CRPS) SetFanRPM(fan int, rpm float64) {
	c.change(func() {
		if fan >= 1 && fan <= 2 {
			c.fans[fan-1] = rpm
		}
	})
}

// SetControl asserts or releases the CONTROL pin, which asks for the output.
func (c *CRPS) SetControl(on bool) { c.change(func() { c.control = on }) }

// SetEnergy sets the sums of power in watts and the counts of samples of both counters, as if the supply had been
// counting for long.
func (c *CRPS) SetEnergy(in, out, samples uint64) {
	c.change(func() {
		c.ein, c.eout = pmAccumulator{in << 8, samples}, pmAccumulator{out << 8, samples}
	})
}

// flow is what goes through the supply at a moment.
type crpsFlow struct{ vin, iin, pin, vout, iout, pout float64 }

// flow: without enough mains nothing comes out.
func (c *CRPS) flow(at time.Time) crpsFlow {
	vin, _ := c.load(at, false)
	if vin < c.vinOff() || !c.fed(at) {
		f := crpsFlow{vin: vin}
		if vin >= c.vinOff() {
			f.pin = c.o.StandbyWatt
			f.iin = f.pin / vin
		}
		return f
	}
	vin, iout := c.load(at, true)
	f := crpsFlow{vin: vin, vout: c.o.VoutSet, iout: iout, pout: c.o.VoutSet * iout}
	f.pin = f.pout/c.o.Efficiency + c.o.StandbyWatt
	f.iin = f.pin / vin // power factor 1
	return f
}

// vinOff is the mains voltage below which the supply stops: 10 V below its rating, arbitrary.
func (c *CRPS) vinOff() float64 { return max(c.o.Rating.VinMin-10, 1) }

// duty of the fans in percent: what the supply wants for itself, or more where FAN_COMMAND_1 asks for more.
func (c *CRPS) duty(f crpsFlow) float64 {
	if f.vin < c.vinOff() {
		return 0
	}
	own := 20 + 60*f.pout/c.o.Rating.PoutMax // arbitrary
	order := c.code(0, pmFAN_COMMAND_1)
	exponent, mantissa := int(int16(order)>>11), int(int16(order<<5)>>5)
	asked := float64(mantissa)
	for ; exponent > 0; exponent-- {
		asked *= 2
	}
	for ; exponent < 0; exponent++ {
		asked /= 2
	}
	return min(max(own, asked), 100)
}

func (c *CRPS) rpm(fan int, f crpsFlow) float64 {
	if c.fans[fan] >= 0 {
		return c.fans[fan]
	}
	return c.duty(f) / 100 * c.o.MaxRPM
}

// run counts energy and looks at what is wrong.
func (c *CRPS) run(now time.Time) {
	c.sampling.run(now, func(at time.Time, n uint64) {
		f := c.flow(at)
		c.ein.add(pmClamp(f.pin, 0, 0x7FFF), n)
		c.eout.add(pmClamp(f.pout, 0, 0x7FFF), n)
	})
	f, r := c.flow(now), c.o.Rating
	low := f.vin < c.vinOff()
	c.condition(pmKey{0, pmSTATUS_INPUT}, 0x18, low) // under-voltage; off for too low an input
	c.condition(pmKey{0, pmSTATUS_INPUT}, 0x40, f.vin > r.VinMax)
	c.condition(pmKey{0, pmSTATUS_INPUT}, 0x02, f.iin > r.IinMax)
	c.condition(pmKey{0, pmSTATUS_INPUT}, 0x01, f.pin > r.PinMax)
	c.condition(pmKey{0, pmSTATUS_IOUT}, 0x20, f.iout > r.IoutMax)
	c.condition(pmKey{0, pmSTATUS_IOUT}, 0x01, f.pout > r.PoutMax)
	hot := false
	for i, t := range c.celsius {
		hot = hot || t > r.MaxTemp[i]
	}
	c.condition(pmKey{0, pmSTATUS_TEMPERATURE}, 0x40, hot)
	for i, bit := range []byte{0x80, 0x40} {
		c.condition(pmKey{0, pmSTATUS_FANS_1_2}, bit, !low && c.rpm(i, f) < 500) // arbitrary
	}
}

func (c *CRPS) live(byte) uint16 {
	if c.flow(c.now()).vin < c.vinOff() {
		return pmOff | pmNotGood
	}
	return c.offBits()
}

// measure is a reading in LINEAR11 of the moment.
func (c *CRPS) measure(code byte, of func(crpsFlow) float64) PMBusCommand {
	return pmLive(code, func(byte) uint16 { return pmLinear11(of(c.flow(c.now()))) })
}

// volts is an output voltage on the wire.
func (c *CRPS) volts(v float64) uint16 {
	if c.o.VoutLinear11 {
		return pmLinear11(v)
	}
	return pmULinear16(v, int(int8(c.o.VoutMode<<3)>>3))
}

func (c *CRPS) energyBlock(a *pmAccumulator) func(byte) []byte {
	return func(byte) []byte {
		if c.o.EnergyLinear {
			return a.einLinear(c.o.EnergyExponent)
		}
		return a.einDirect(0x8000)
	}
}

// coefficients answers COEFFICIENTS for the energy counters: m = 1, b = 0, R = 0.
func (c *CRPS) coefficients(in []byte) ([]byte, bool) {
	if len(in) != 2 || in[1] > 1 || c.o.EnergyLinear || in[0] != pmREAD_EIN && in[0] != pmREAD_EOUT {
		return nil, false
	}
	return []byte{1, 0, 0, 0, 0}, true
}

// query answers QUERY: bit 7 supported, 6 writable, 5 readable; bits 4:2 the format, 000 linear, 011 DIRECT, 111 not
// a number.
func (c *CRPS) query(in []byte) ([]byte, bool) {
	if len(in) != 1 {
		return nil, false
	}
	k, ok := c.table[in[0]]
	if !ok {
		return []byte{0}, true
	}
	v := byte(0x80)
	if k.Writable || k.Kind == PMBusSend {
		v |= 0x40
	}
	if k.Kind != PMBusSend {
		v |= 0x20
	}
	switch {
	case (k.Code == pmREAD_EIN || k.Code == pmREAD_EOUT) && !c.o.EnergyLinear:
		v |= 3 << 2
	case k.Kind != PMBusWord && k.Code != pmREAD_EIN && k.Code != pmREAD_EOUT || k.Code == pmSTATUS_WORD:
		v |= 7 << 2
	}
	return []byte{v}, true
}

// onOffConfig is ON_OFF_CONFIG; bits 7:5 must be 0.
func (c *CRPS) onOffConfig() PMBusCommand {
	return PMBusCommand{
		Code: pmON_OFF_CONFIG, Kind: PMBusByte, Writable: true,
		Get: func(byte) []byte { return []byte{c.onOff} },
		Set: func(_ byte, d []byte) bool {
			if d[0] > 0x1F {
				return false
			}
			c.onOff = d[0]
			return true
		},
	}
}

func (c *CRPS) commands() []PMBusCommand {
	capability := byte(0xFF)
	if !c.o.LikeAHE50DC {
		capability = c.o.capability(0x90)
	}
	out := NamePMBus(true, nil, pmPAGE, pmCLEAR_FAULTS, pmWRITE_PROTECT, pmSTATUS_BYTE, pmSTATUS_WORD, pmSTATUS_VOUT,
		pmSTATUS_IOUT, pmSTATUS_INPUT, pmSTATUS_TEMPERATURE, pmSTATUS_CML, pmSTATUS_OTHER, pmSTATUS_FANS_1_2)
	out = append(
		out, c.operationCommand(0x80, 0x00, 0x40), c.onOffConfig(), pmByte(pmCAPABILITY, capability),
		PMBusCommand{Code: pmQUERY, Kind: PMBusCall, Call: c.query},
		pmByte(pmFAN_CONFIG_1_2, 0x99), // both fans fitted, by duty, two pulses a turn
		pmWord(pmFAN_COMMAND_1, 0).rw(), pmByte(pmPMBUS_REVISION, 0x22),
		c.measure(pmREAD_VIN, func(f crpsFlow) float64 { return f.vin }),
		c.measure(pmREAD_IIN, func(f crpsFlow) float64 { return f.iin }),
		pmLive(pmREAD_VOUT, func(byte) uint16 { return c.volts(c.flow(c.now()).vout) }),
		c.measure(pmREAD_IOUT, func(f crpsFlow) float64 { return f.iout }),
		c.measure(pmREAD_POUT, func(f crpsFlow) float64 { return f.pout }),
		c.measure(pmREAD_PIN, func(f crpsFlow) float64 { return f.pin }),
		c.measure(pmREAD_FAN_SPEED_1, func(f crpsFlow) float64 { return c.rpm(0, f) }),
		c.measure(pmREAD_FAN_SPEED_2, func(f crpsFlow) float64 { return c.rpm(1, f) }),
		pmBlock(pmMFR_ID, c.o.Manufacturer), pmBlock(pmMFR_MODEL, c.o.Model), pmBlock(pmMFR_REVISION, c.o.Revision),
		pmBlock(pmMFR_LOCATION, c.o.Location), pmBlock(pmMFR_DATE, c.o.Date), pmBlock(pmMFR_SERIAL, c.o.Serial),
	)
	for i := range byte(3) {
		out = append(out, pmLive(pmREAD_TEMPERATURE_1+i, func(byte) uint16 { return pmLinear11(c.celsius[i]) }))
	}
	if !c.o.VoutLinear11 {
		out = append(out, pmByte(pmVOUT_MODE, c.o.VoutMode))
	}
	if !c.o.NoEnergy {
		out = append(
			out, PMBusCommand{Code: pmREAD_EIN, Kind: PMBusBlock, Get: c.energyBlock(&c.ein)},
			PMBusCommand{Code: pmREAD_EOUT, Kind: PMBusBlock, Get: c.energyBlock(&c.eout)},
			PMBusCommand{Code: pmCOEFFICIENTS, Kind: PMBusCall, Call: c.coefficients},
		)
	}
	return append(out, c.nameplate()...)
}

// nameplate is A0h to A9h and C0h to C2h.
func (c *CRPS) nameplate() []PMBusCommand {
	r := c.o.Rating
	var out []PMBusCommand
	for code, v := range map[byte]float64{
		0xA0: r.VinMin, 0xA1: r.VinMax, 0xA2: r.IinMax, 0xA3: r.PinMax, 0xA6: r.IoutMax, 0xA7: r.PoutMax,
		0xA8: r.AmbientMax, 0xA9: r.AmbientMin, 0xC0: r.MaxTemp[0], 0xC1: r.MaxTemp[1], 0xC2: r.MaxTemp[2],
	} {
		out = append(out, pmWord(code, pmLinear11(v)))
	}
	return append(out, pmWord(0xA4, c.volts(r.VoutMin)), pmWord(0xA5, c.volts(r.VoutMax)))
}
