package drivertest

import (
	"sync"
	"time"
)

// Registers of the TMP421, TMP422 and TMP423 (TI SBOS398C, table 3). High bytes of the temperatures are at 00 to 03,
// low bytes at 10 to 13.
const (
	tmp421Low          = 0x10
	tmp421Status       = 0x08
	tmp421Config1      = 0x09
	tmp421Config2      = 0x0A
	tmp421Rate         = 0x0B
	tmp421OneShot      = 0x0F
	tmp421NCorrection  = 0x21
	tmp421Reset        = 0xFC
	tmp421Manufacturer = 0xFE
	tmp421Device       = 0xFF
)

// Bits of those registers.
const (
	tmp421Busy     = 1 << 7 // status
	tmp421Shutdown = 1 << 6 // CONFIG1
	tmp421Range    = 1 << 2 // CONFIG1
	tmp421LEN      = 1 << 3 // CONFIG2; the enables of the remote channels follow it
	tmp421Open     = 1 << 0 // low byte of a remote channel
)

// tmp421Conversion is what one channel takes, typical (TI SBOS398, electrical characteristics; recalled).
const tmp421Conversion = 115 * time.Millisecond

// TMP421 is a temperature sensor with one (TMP421), two (TMP422) or three (TMP423) remote diodes beside its own.
// Channel 0 is local. The remote channels' n-factor correction is stored and has no effect; the sensor is never short
// of supply, so bit 1 of a low byte (/PVLD) is never set.
type TMP421 struct {
	mu      sync.Mutex
	now     func() time.Time
	device  byte
	channel [diodes]diode
	seq     sequence
	pointer byte
	config1 byte
	config2 byte
	rate    byte
	factor  [3]byte
	latch   int  // channel whose high byte was the last register read; -1: none
	latched byte // its low byte
}

// NewTMP421 is a sensor with one remote diode that has been powered for a while. The temperatures are those of
// channel 0 on; channels left out are at 25 °C.
func NewTMP421(now func() time.Time, celsius ...float64) *TMP421 {
	return newTMP421(0x21, now, celsius)
}

// NewTMP422 is the part with two remote diodes.
func NewTMP422(now func() time.Time, celsius ...float64) *TMP421 {
	return newTMP421(0x22, now, celsius)
}

// NewTMP423 is the part with three remote diodes.
func NewTMP423(now func() time.Time, celsius ...float64) *TMP421 {
	return newTMP421(0x23, now, celsius)
}

func newTMP421(device byte, now func() time.Time, celsius []float64) *TMP421 {
	c := &TMP421{now: clock(now), device: device}
	c.defaults()
	for i := range c.channel {
		c.channel[i].celsius = Constant(25)
		if i < len(celsius) {
			c.channel[i].celsius = Constant(celsius[i])
		}
		c.take(i, c.seq.begun)
	}
	return c
}

// defaults are the power-on values: all channels enabled, no conversion complete, so that all temperatures read 0.
func (c *TMP421) defaults() {
	c.pointer, c.config1, c.rate, c.factor, c.latch = 0, 0, 7, [3]byte{}, -1
	c.config2 = c.channels()
	for i := range c.channel {
		c.channel[i].word = 0
	}
	c.seq = sequence{}
	c.seq.start(c.now(), c.enabled())
}

// Reset puts the registers at their power-on values. The temperatures read 0 °C until their conversions are complete.
func (c *TMP421) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.defaults()
}

// SetCelsius sets the true temperature of a channel from now on. It shows when its next conversion is complete.
func (c *TMP421) SetCelsius(channel int, v float64) { c.Follow(channel, Constant(v)) }

// Follow gives the true temperature of a channel as a function of time.
func (c *TMP421) Follow(channel int, q Quantity) { c.set(func() { c.channel[channel].celsius = q }) }

// SetOpen breaks or mends the wire to a remote diode.
func (c *TMP421) SetOpen(channel int, open bool) { c.set(func() { c.channel[channel].open = open }) }

// SetShorted shorts a remote diode or ends that. The part does not flag it: it reads -64 °C.
func (c *TMP421) SetShorted(channel int, shorted bool) {
	c.set(func() { c.channel[channel].shorted = shorted })
}

func (c *TMP421) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.convert(c.now())
	change()
}

// Tx sets the pointer, writes a register of one byte and reads one; from a high byte of a temperature on, two bytes
// can be read in one transfer.
func (c *TMP421) Tx(w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.now()
	c.convert(at)
	if len(w) > 0 {
		c.pointer = w[0]
	}
	if len(w) > 1 {
		c.write(w[1], at)
	}
	if len(r) > 0 {
		c.read(r)
	}
	return nil
}

func (c *TMP421) write(b byte, at time.Time) {
	switch c.pointer {
	case tmp421Config1:
		if woken := c.config1&^b&tmp421Shutdown != 0; woken && !c.seq.busy() {
			c.seq.start(at, c.enabled())
		}
		c.config1 = b & (tmp421Shutdown | tmp421Range)
		c.seq.stopped = b&tmp421Shutdown != 0
	case tmp421Config2:
		c.config2 = b & c.channels()
	case tmp421Rate:
		c.rate = b & 7
	case tmp421OneShot: // ignored while a conversion is in progress
		if c.seq.stopped && !c.seq.busy() {
			c.seq.start(at, c.enabled())
		}
	case tmp421NCorrection, tmp421NCorrection + 1, tmp421NCorrection + 2:
		if int(c.pointer-tmp421NCorrection) < c.remote() {
			c.factor[c.pointer-tmp421NCorrection] = b
		}
	case tmp421Reset:
		c.defaults()
	}
}

// read fills what was asked for; nobody drives the line after the register's bytes.
func (c *TMP421) read(r []byte) {
	fill(r, 0xFF)
	latch := -1
	switch n := int(c.pointer); {
	case n <= c.remote():
		r[0] = byte(c.channel[n].word >> 8)
		if len(r) > 1 {
			r[1] = byte(c.channel[n].word)
		}
		latch, c.latched = n, byte(c.channel[n].word)
	case n >= tmp421Low && n-tmp421Low <= c.remote():
		r[0] = byte(c.channel[n-tmp421Low].word)
		if c.latch == n-tmp421Low { // the same conversion as the high byte's, if that was the read before this one
			r[0] = c.latched
		}
	default:
		r[0] = c.register()
	}
	c.latch = latch
}

func (c *TMP421) register() byte {
	switch c.pointer {
	case tmp421Status:
		if c.seq.busy() {
			return tmp421Busy
		}
		return 0
	case tmp421Config1:
		return c.config1
	case tmp421Config2:
		return c.config2
	case tmp421Rate:
		return c.rate
	case tmp421NCorrection, tmp421NCorrection + 1, tmp421NCorrection + 2:
		return c.factor[c.pointer-tmp421NCorrection]
	case tmp421Manufacturer:
		return 0x55
	case tmp421Device:
		return c.device
	default:
		return 0
	}
}

// remote is how many remote diodes the part has.
func (c *TMP421) remote() int { return int(c.device & 3) }

// channels are the bits CONFIG2 has, all set at power-on: RC, LEN and an enable for each remote diode (1C, 3C, 7C).
func (c *TMP421) channels() byte { return byte(2<<(3+c.remote())-1) &^ 3 }

// enabled lists the channels that take part in a conversion.
func (c *TMP421) enabled() []int {
	var list []int
	for n := range 1 + c.remote() {
		if c.config2&(tmp421LEN<<n) != 0 {
			list = append(list, n)
		}
	}
	return list
}

// convert completes the conversions that ended up to a moment. Rate 0 is one in 16 s, and each step doubles it.
func (c *TMP421) convert(at time.Time) {
	c.seq.run(at, tmp421Conversion, 16*time.Second>>c.rate, c.enabled(), c.take)
}

// take stores one conversion: 1/16 °C in the upper twelve bits, from -64 to 127.9375 °C, or with the extended range
// from -64 to 191.9375 °C with an offset of 64 °C. The range bit acts on conversions, not on what is stored.
func (c *TMP421) take(n int, at time.Time) {
	d := &c.channel[n]
	celsius := d.celsius(at)
	if n > 0 && d.shorted {
		celsius = -64
	}
	switch {
	case n > 0 && d.open: // the other bits mean nothing (SBOS398, sensor fault); a TMP441 was seen to read 00
		d.word = tmp421Open
	case c.config1&tmp421Range != 0:
		d.word = uint16(quantise(celsius+64, 1.0/16, 0, 0xFFF)) << 4
	default:
		d.word = uint16(int16(quantise(celsius, 1.0/16, -64*16, 0x7FF) << 4))
	}
}
