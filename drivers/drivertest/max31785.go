package drivertest

import (
	"math"
	"time"
)

// Commands of the MAX31785 beyond the standard's.
const (
	fcMFR_FAN_CONFIG      = 0xF1
	fcMFR_READ_FAN_PWM    = 0xF3
	fcMFR_FAN_FAULT_LIMIT = 0xF5
	fcMFR_FAN_WARN_LIMIT  = 0xF6
)

// Bits of FAN_CONFIG_1_2 and MFR_FAN_CONFIG.
const (
	fcEnabled  = 1 << 7
	fcByRPM    = 1 << 6
	fcDualTach = 1 << 12
	fcTSFO     = 1 << 9 // no full speed when FAN_COMMAND_1 is not renewed
)

const (
	// fcFull is 100.00 % in FAN_COMMAND_1.
	fcFull = 0x2710
	// fcRenew is how often FAN_COMMAND_1 must be written in manual mode; a fan whose command is older runs at full
	// speed (data sheet, MFR_FAN_CONFIG, bit TSFO).
	fcRenew = 10 * time.Second
	// fcInertia is the time constant of a fan's speed. Arbitrary.
	fcInertia = time.Second
	// fcSecondRotor is the speed of the second rotor over the first's, which is the slower. Arbitrary.
	fcSecondRotor = 1.1
)

// The values of MFR_REVISION (Linux driver max31785); from 3040 on the parts have a second tachometer per fan.
const (
	MAX31785Revision  = 0x3030
	MAX31785ARevision = 0x3040
	MAX31785BRevision = 0x3061
)

// MAX31785Opts is how the controller is wired and configured.
type MAX31785Opts struct {
	PMBusOpts
	Revision uint16     // MFR_REVISION; 0: MAX31785Revision
	MaxRPM   [6]float64 // speed of each fan at 100 %; 0: none fitted
	// FanConfig and MFRFanConfig are what flash holds for the fitted fans. FanConfig 0: 90h, enabled, two pulses a
	// turn.
	FanConfig    byte
	MFRFanConfig uint16
	AutoPercent  float64 // duty the controller chooses by itself; 0: 40
}

// MAX31785 is a controller for six fans (Maxim MAX31785): pages 0 to 5 fans, 6 to 16 temperatures, 17 to 22 voltages.
// Fans have inertia.
//
// Left out: the look-up table behind the automatic duty, spin-up, fan health, run time, ramps.
type MAX31785 struct {
	*PMBus
	o       MAX31785Opts
	value64 [23]float64 // °C and V by page
	fans    [6]fcFan
	counted time.Time
}

type fcFan struct {
	rpm     float64
	ordered time.Time // FAN_COMMAND_1 was written
	jammed  bool
}

// NewMAX31785 is a controller after power-on: fans at rest, temperatures 25 °C.
func NewMAX31785(o MAX31785Opts) *MAX31785 {
	o.PMBusOpts = o.asBuilt(PECNone, UnsupportedOnes)
	if o.Revision == 0 {
		o.Revision = MAX31785Revision
	}
	if o.FanConfig == 0 {
		o.FanConfig = 0x90
	}
	if o.AutoPercent == 0 {
		o.AutoPercent = 40
	}
	c := &MAX31785{PMBus: newPMBus(o.PMBusOpts, pmRun(0, 22)), o: o, counted: o.Now()}
	for p := 6; p <= 16; p++ {
		c.value64[p] = 25
	}
	c.start(pmHooks{advance: c.run, reset: c.powerUp, live: c.live}, c.commands()...)
	return c
}

func (c *MAX31785) powerUp(now time.Time) {
	for i := range c.fans {
		c.fans[i].ordered = now
		if c.o.MaxRPM[i] > 0 {
			c.regs[pmKey{byte(i), pmFAN_CONFIG_1_2}] = []byte{c.o.FanConfig}
			c.regs[pmKey{byte(i), fcMFR_FAN_CONFIG}] = pmLE(c.o.MFRFanConfig)
		}
	}
}

// SetCelsius sets a temperature, page 6 to 16; what is not a number is a sensor that has failed.
func (c *MAX31785) SetCelsius(page int, v float64) { c.set(page, 6, 16, v) }

// SetVolts sets a voltage, page 17 to 22.
func (c *MAX31785) SetVolts(page int, v float64) { c.set(page, 17, 22, v) }

func (c *MAX31785) set(page, first, last int, v float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if page >= first && page <= last {
		c.value64[page] = v
		c.run(c.now())
	}
}

// SetJammed holds a fan fast, or lets it go.
func (c *MAX31785) SetJammed(fan int, on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.run(c.now())
	if fan >= 0 && fan < len(c.fans) {
		c.fans[fan].jammed = on
		if on {
			c.fans[fan].rpm = 0
		}
	}
	c.run(c.now())
}

// RPM is how fast a fan, 0 to 5, turns.
func (c *MAX31785) RPM(fan int) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.run(c.now())
	if fan < 0 || fan >= len(c.fans) {
		return 0
	}
	return c.fans[fan].rpm
}

// target is the speed a fan is driven to at a moment.
func (c *MAX31785) target(fan int, at time.Time) float64 {
	page, most := byte(fan), c.o.MaxRPM[fan]
	config, order := c.regs[pmKey{page, pmFAN_CONFIG_1_2}][0], c.code(page, pmFAN_COMMAND_1)
	switch {
	case config&fcEnabled == 0 || c.fans[fan].jammed:
		return 0
	case order >= 0x8000:
		return most * c.o.AutoPercent / 100
	case c.code(page, fcMFR_FAN_CONFIG)&fcTSFO == 0 && at.Sub(c.fans[fan].ordered) >= fcRenew:
		return most
	case config&fcByRPM != 0:
		return min(float64(order), most)
	default:
		return most * min(float64(order), fcFull) / fcFull
	}
}

// run turns the fans up to now and looks at the limits.
func (c *MAX31785) run(now time.Time) {
	for i := range c.fans {
		f := &c.fans[i]
		if late := f.ordered.Add(fcRenew); late.After(c.counted) && late.Before(now) {
			c.spin(i, c.counted, late)
			c.spin(i, late, now)
		} else {
			c.spin(i, c.counted, now)
		}
		on := c.regs[pmKey{byte(i), pmFAN_CONFIG_1_2}][0]&fcEnabled != 0
		c.below(byte(i), fcMFR_FAN_FAULT_LIMIT, 0x80, on)
		c.below(byte(i), fcMFR_FAN_WARN_LIMIT, 0x20, on)
	}
	for p := byte(6); p <= 16; p++ {
		if !math.IsNaN(c.value64[p]) {
			warn, fail := pmOTWarn, pmOTFail
			warn.status, fail.status, fail.bit = pmSTATUS_MFR, pmSTATUS_MFR, 0x20
			c.compare(p, warn, fail)
		}
	}
	if now.After(c.counted) {
		c.counted = now
	}
}

// below notes a fan slower than a limit.
func (c *MAX31785) below(page, limit, bit byte, on bool) {
	slow := c.fans[page].rpm < float64(c.code(page, limit))
	c.condition(pmKey{page, pmSTATUS_FANS_1_2}, bit, on && slow)
}

// spin moves a fan towards its target, which is one from a moment to another.
func (c *MAX31785) spin(fan int, from, to time.Time) {
	d := to.Sub(from)
	if d <= 0 {
		return
	}
	f, goal := &c.fans[fan], c.target(fan, from)
	f.rpm = goal + (f.rpm-goal)*math.Exp(-d.Seconds()/fcInertia.Seconds())
	if f.jammed {
		f.rpm = 0
	}
}

// speed is READ_FAN_SPEED_1: one word, or two for the two rotors. Below 60 rpm it is 0 (Maxim MAX34441 data sheet,
// the same command).
func (c *MAX31785) speed(page byte) []byte {
	first := c.fans[page].rpm
	if first < 60 {
		first = 0
	}
	rows := []float64{first}
	if c.o.Revision >= MAX31785ARevision && c.code(page, fcMFR_FAN_CONFIG)&fcDualTach != 0 {
		rows = append(rows, first*fcSecondRotor)
	}
	var out []byte
	for _, v := range rows {
		out = append(out, pmLE(uint16(pmClamp(v, 0, 0x7FFF)))...)
	}
	return out
}

func (c *MAX31785) duty(page byte) uint16 {
	if c.o.MaxRPM[page] <= 0 {
		return 0
	}
	return uint16(pmClamp(c.target(int(page), c.now())/c.o.MaxRPM[page]*fcFull, 0, fcFull))
}

// celsius gives 7FFF for a sensor that has failed.
func (c *MAX31785) celsius(page byte) uint16 {
	if math.IsNaN(c.value64[page]) {
		return 0x7FFF
	}
	return pmDirect{1, 0, 2}.code(c.value64[page], -0x8000, 0x7FFF)
}

// live adds the temperature bit: over-temperature stands in STATUS_MFR, there is no STATUS_TEMPERATURE.
func (c *MAX31785) live(page byte) uint16 {
	if c.latched[pmKey{page, pmSTATUS_MFR}]&0x60 != 0 {
		return 0x0004
	}
	return 0
}

func (c *MAX31785) commands() []PMBusCommand {
	all, fans, temps, volts := pmRun(0, 22), pmRun(0, 5), pmRun(6, 16), pmRun(17, 22)
	out := NamePMBus(false, nil, pmPAGE, pmCLEAR_FAULTS, pmWRITE_PROTECT, pmSTATUS_CML)
	out = append(out, NamePMBus(false, all, pmSTATUS_BYTE, pmSTATUS_WORD)...)
	out = append(out, NamePMBus(false, volts, pmSTATUS_VOUT)...)
	out = append(out, NamePMBus(false, temps, pmSTATUS_MFR)...)
	out = append(out, NamePMBus(false, fans, pmSTATUS_FANS_1_2)...)
	order := pmWord(pmFAN_COMMAND_1, 0xFFFF).paged(fans).rw()
	order.Set = func(p byte, d []byte) bool {
		c.regs[pmKey{p, pmFAN_COMMAND_1}] = []byte{d[0], d[1]}
		c.fans[p].ordered = c.now()
		return true
	}
	return append(
		out, pmByte(pmCAPABILITY, 0x10), pmByte(pmVOUT_MODE, 0x40), pmByte(pmPMBUS_REVISION, 0x11),
		pmByte(pmMFR_ID, 0x4D), pmByte(pmMFR_MODEL, 0x53), pmWord(pmMFR_REVISION, c.o.Revision),
		pmByte(pmFAN_CONFIG_1_2, 0).paged(fans).rw(), order,
		PMBusCommand{Code: pmREAD_FAN_SPEED_1, Kind: PMBusWord, Pages: fans, Get: c.speed},
		pmWord(fcMFR_FAN_CONFIG, 0).paged(fans).rw(), pmLive(fcMFR_READ_FAN_PWM, c.duty).paged(fans),
		pmWord(fcMFR_FAN_FAULT_LIMIT, 0).paged(fans).rw(), pmWord(fcMFR_FAN_WARN_LIMIT, 0).paged(fans).rw(),
		pmLive(pmREAD_TEMPERATURE_1, c.celsius).paged(temps),
		pmWord(pmOT_FAULT_LIMIT, 0x7FFF).paged(temps).rw(), pmWord(pmOT_WARN_LIMIT, 0x7FFF).paged(temps).rw(),
		pmLive(pmREAD_VOUT, func(p byte) uint16 { return pmDirect{1, 0, 3}.code(c.value64[p], 0, 0x7FFF) }).paged(volts),
	)
}
