package drivertest

import (
	"sync"
	"time"
)

// Registers of the BME280 (Bosch BST-BME280-DS002, memory map).
const (
	bmeCalibration1 = 0x88 // to A1
	bmeID           = 0xD0
	bmeReset        = 0xE0
	bmeCalibration2 = 0xE1 // to E7
	bmeCtrlHum      = 0xF2
	bmeStatus       = 0xF3
	bmeCtrlMeas     = 0xF4
	bmeConfig       = 0xF5
	bmeData         = 0xF7 // to FE
)

// Values and bits of those registers.
const (
	bmeChip      = 0x60
	bmeSoftReset = 0xB6
	bmeMeasuring = 1 << 3 // status
	bmeUpdating  = 1 << 0 // status: calibration is being copied from memory
	bmeSleep     = 0
	bmeNormal    = 3
)

// bmeStart is how long the part takes to start, maximum.
const bmeStart = 2 * time.Millisecond

// BME280Opts describes a BME280.
type BME280Opts struct {
	// Slow makes a measurement take the maximum time instead of the typical one. A program that waits the typical
	// time and then asks the status without a pause does not get past that in virtual time.
	Slow bool
	Now  func() time.Time
}

// BME280 is a temperature, pressure and humidity sensor on I2C. What it measures are raw codes: of the air that was
// set, through its calibration backwards, or codes that were set themselves.
type BME280 struct {
	mu      sync.Mutex
	o       BME280Opts
	cal     bmeCalibration
	air     [3]Quantity // °C, Pa, %
	raw     *[3]uint32  // codes of temperature, pressure, humidity; nil: those of the air
	pointer byte

	ctrlHum  byte
	ctrlMeas byte
	config   byte
	humidity byte // oversampling in force: ctrl_hum counts from the next write of ctrl_meas on
	queued   *byte
	started  time.Time
	begin    time.Time // measurement in progress, or in normal mode the next one
	active   bool      // a measurement is in progress
	data     [8]byte
	filtered *[2]float64 // memory of the filter: temperature, pressure
}

// NewBME280 is a sensor that has been powered for a while and not set up, in air of 25 °C, 1013.25 hPa and 40 %.
func NewBME280(o BME280Opts) *BME280 {
	o.Now = clock(o.Now)
	c := &BME280{o: o, cal: bmeExample(), air: [3]Quantity{Constant(25), Constant(101325), Constant(40)}}
	c.defaults()
	c.started = c.started.Add(-time.Second)
	return c
}

func (c *BME280) defaults() {
	c.pointer, c.ctrlHum, c.ctrlMeas, c.config, c.humidity = 0, 0, 0, 0, 0
	c.queued, c.active, c.filtered = nil, false, nil
	c.started = c.o.Now()
	c.store([3]uint32{bmeSkipped, bmeSkipped, bmeSkippedHumidity})
}

// Reset puts the registers at their power-on values: asleep, and the data registers at 8000h.
func (c *BME280) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.defaults()
}

// SetAir sets the true temperature in °C, pressure in Pa and relative humidity in %. A measurement takes what there is
// when it ends.
func (c *BME280) SetAir(celsius, pascal, humidity float64) {
	c.Follow(Constant(celsius), Constant(pascal), Constant(humidity))
}

// Follow gives temperature, pressure and humidity as functions of time.
func (c *BME280) Follow(celsius, pascal, humidity Quantity) {
	c.set(func() { c.air, c.raw = [3]Quantity{celsius, pascal, humidity}, nil })
}

// SetRaw sets what measurements give: codes of 20, 20 and 16 bits, in full whatever the oversampling and the filter.
func (c *BME280) SetRaw(temperature, pressure, humidity uint32) {
	c.set(func() { c.raw = &[3]uint32{temperature, pressure, humidity} })
}

func (c *BME280) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.run(c.o.Now())
	change()
}

// Tx sets the pointer and reads from there on, or writes pairs of a register and its value: the pointer counts up when
// reading only.
func (c *BME280) Tx(w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.o.Now()
	c.run(at)
	for len(w) > 0 {
		c.pointer = w[0]
		if len(w) == 1 {
			break
		}
		c.write(w[1], at)
		w = w[2:]
	}
	for i := range r {
		r[i] = c.register(at)
		c.pointer++
	}
	return nil
}

// write changes a register. A change of mode waits for the end of the measurement in progress, and until it has
// happened further ones and ctrl_hum are ignored (BST-BME280-DS002, 3.3.1). In normal mode config may be ignored
// (section 5.4.6): here it is.
func (c *BME280) write(b byte, at time.Time) {
	switch c.pointer {
	case bmeReset:
		if b == bmeSoftReset {
			c.defaults()
		}
	case bmeCtrlHum:
		if c.queued == nil {
			c.ctrlHum = b & 7
		}
	case bmeCtrlMeas:
		switch {
		case c.queued != nil:
		case c.active:
			c.queued = &b
		default:
			c.command(b, at)
		}
	case bmeConfig:
		if c.ctrlMeas&3 == bmeNormal {
			return
		}
		if (c.config^b)&0x1C != 0 {
			c.filtered = nil
		}
		c.config = b
	}
}

// command puts ctrl_meas in force.
func (c *BME280) command(b byte, at time.Time) {
	c.ctrlMeas, c.humidity = b, c.ctrlHum
	c.active, c.begin = b&3 != bmeSleep, at
}

func (c *BME280) register(at time.Time) byte {
	switch p := c.pointer; {
	case bmeCalibration1 <= p && p < bmeCalibration1+bmeBlock1:
		return c.cal.block1()[p-bmeCalibration1]
	case bmeCalibration2 <= p && p < bmeCalibration2+bmeBlock2:
		return c.cal.block2()[p-bmeCalibration2]
	case bmeData <= p && p < bmeData+8:
		return c.data[p-bmeData]
	case p == bmeID:
		return bmeChip
	case p == bmeCtrlHum:
		return c.ctrlHum
	case p == bmeStatus:
		return c.status(at)
	case p == bmeCtrlMeas:
		return c.ctrlMeas
	case p == bmeConfig:
		return c.config
	default:
		return 0
	}
}

func (c *BME280) status(at time.Time) byte {
	var b byte
	if c.active {
		b |= bmeMeasuring
	}
	if at.Sub(c.started) < bmeStart {
		b |= bmeUpdating
	}
	return b
}

// bmeTimes is how often a setting of an oversampling field measures.
func bmeTimes(field byte) int { return [...]int{0, 1, 2, 4, 8, 16, 16, 16}[field&7] }

// duration is how long a measurement takes (BST-BME280-DS002, 9.1).
func (c *BME280) duration() time.Duration {
	base, each, extra := 1000, 2000, 500 // µs, typical
	if c.o.Slow {
		base, each, extra = 1250, 2300, 575
	}
	sum := base + each*bmeTimes(c.ctrlMeas>>5)
	for _, n := range []int{bmeTimes(c.ctrlMeas >> 2), bmeTimes(c.humidity)} {
		if n > 0 {
			sum += each*n + extra
		}
	}
	return time.Duration(sum) * time.Microsecond
}

// standby is the pause between measurements in normal mode (BST-BME280-DS002, table 27).
func (c *BME280) standby() time.Duration {
	return [...]time.Duration{
		500 * time.Microsecond, 62500 * time.Microsecond, 125 * time.Millisecond, 250 * time.Millisecond,
		500 * time.Millisecond, time.Second, 10 * time.Millisecond, 20 * time.Millisecond,
	}[c.config>>5]
}

// remembered is how many of the past measurements show in the data: a filter of coefficient 16 has forgotten all but
// half a code of 20 bits after 256.
func (c *BME280) remembered() time.Duration {
	if c.config>>2&7 == 0 {
		return 1
	}
	return 256
}

// run lets the measurements up to a moment take place.
func (c *BME280) run(at time.Time) {
	for c.ctrlMeas&3 != bmeSleep || c.active {
		if !c.active { // resting in normal mode
			if at.Before(c.begin) {
				return
			}
			cycle := c.duration() + c.standby()
			if n := at.Sub(c.begin)/cycle - c.remembered(); n > 0 {
				c.begin = c.begin.Add(n * cycle)
			}
			c.active = true
		}
		end := c.begin.Add(c.duration())
		if at.Before(end) {
			return
		}
		c.finish(end)
	}
}

// finish ends a measurement.
func (c *BME280) finish(end time.Time) {
	c.measure(end)
	c.active = false
	switch {
	case c.queued != nil:
		b := *c.queued
		c.queued = nil
		c.command(b, end)
	case c.ctrlMeas&3 == bmeNormal:
		c.begin = end.Add(c.standby())
	default:
		c.ctrlMeas &^= 3 // forced: asleep again
	}
}

// measure fills the data registers.
func (c *BME280) measure(at time.Time) {
	var code [3]uint32
	if c.raw != nil {
		code = *c.raw
	} else {
		code = c.codes(at)
	}
	for i, field := range []byte{c.ctrlMeas >> 5, c.ctrlMeas >> 2, c.humidity} {
		if bmeTimes(field) == 0 {
			code[i] = [...]uint32{bmeSkipped, bmeSkipped, bmeSkippedHumidity}[i]
		}
	}
	c.store(code)
}

// codes are those of the air. Pressure and humidity are compensated for temperature, so they come after its code.
func (c *BME280) codes(at time.Time) [3]uint32 {
	t := c.converted(0, c.cal.temperatureCode(c.air[0](at)), c.ctrlMeas>>5)
	fine := c.cal.fine(float64(t))
	p := c.converted(1, c.cal.pressureCode(c.air[1](at), fine), c.ctrlMeas>>2)
	return [3]uint32{t, p, c.cal.humidityCode(c.air[2](at), fine)}
}

// converted is a code of temperature or pressure after the filter: 20 bits with it, without it 16 bits and one more
// for each step of oversampling (BST-BME280-DS002, 3.4).
func (c *BME280) converted(channel int, code uint32, oversampling byte) uint32 {
	if c.config>>2&7 == 0 {
		bits := min(max(oversampling&7, 1), 5) // 1: 16 bits .. 5: 20 bits
		return code &^ (1<<(5-bits) - 1)
	}
	if c.filtered == nil {
		c.filtered = &[2]float64{-1, -1}
	}
	old := &c.filtered[channel]
	if *old < 0 {
		*old = float64(code)
	}
	*old += (float64(code) - *old) / float64(int(1)<<min(c.config>>2&7, 4))
	return uint32(*old + 0.5)
}

// Codes of what is not measured.
const (
	bmeSkipped         = 0x80000
	bmeSkippedHumidity = 0x8000
)

// store puts codes into the data registers: pressure, temperature, humidity, high byte first.
func (c *BME280) store(code [3]uint32) {
	t, p, h := code[0], code[1], code[2]
	c.data = [8]byte{
		byte(p >> 12), byte(p >> 4), byte(p << 4), byte(t >> 12), byte(t >> 4), byte(t << 4), byte(h >> 8), byte(h),
	}
}
