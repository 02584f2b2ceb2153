package drivertest

import (
	"sync"
	"time"
)

// Registers of the EMC1412, EMC1413 and EMC1414 (Microchip DS20005274A for the larger two). Addresses and defaults
// that the Linux driver emc1403 does not use are recalled.
const (
	emcStatus       = 0x02
	emcConfig       = 0x03 // also at 09
	emcRate         = 0x04 // also at 0A
	emcOneShot      = 0x0F
	emcDiodeFault   = 0x1B
	emcHighStatus   = 0x35
	emcLowStatus    = 0x36
	emcThermStatus  = 0x37
	emcProduct      = 0xFD
	emcManufacturer = 0xFE
	emcRevision     = 0xFF
)

// Bits of those registers.
const (
	emcStop  = 1 << 6 // configuration: standby
	emcRange = 1 << 2 // configuration: extended range
	emcBusy  = 1 << 7 // status
	emcFault = 1 << 2 // status
)

// Channels in order: high byte, low byte, high limit, low limit, therm limit. Their fractions are not compared.
const (
	emcHigh = iota
	emcLow
	emcHighLimit
	emcLowLimit
	emcThermLimit
)

// emcConversion is what one channel takes, typical (recalled).
const emcConversion = 21 * time.Millisecond

// EMC1413 is a temperature sensor with one (EMC1412), two (EMC1413) or three (EMC1414) remote diodes beside its own.
// Channel 0 is the part itself. Beta compensation, ideality, filter, mask and the count of consecutive alerts are
// registers without effect.
type EMC1413 struct {
	mu      sync.Mutex
	now     func() time.Time
	product byte
	remote  int
	channel [diodes]diode
	seq     sequence
	pointer byte
	reg     [256]byte
	shadow  [diodes]byte  // low bytes as they were when the high byte was last read
	raised  map[byte]byte // status registers, a bit per channel
	holds   map[byte]byte // what the last conversions found
}

// NewEMC1412 is a sensor with one remote diode that has been powered for a while. The temperatures are those of
// channel 0 on; channels left out are at 25 °C.
func NewEMC1412(now func() time.Time, celsius ...float64) *EMC1413 {
	return newEMC1413(0x20, 1, now, celsius)
}

// NewEMC1413 is the part with two remote diodes.
func NewEMC1413(now func() time.Time, celsius ...float64) *EMC1413 {
	return newEMC1413(0x21, 2, now, celsius)
}

// NewEMC1414 is the part with three remote diodes. Its product number is 25; 23 is the EMC1423, which has two (Linux
// driver emc1403, detection).
func NewEMC1414(now func() time.Time, celsius ...float64) *EMC1413 {
	return newEMC1413(0x25, 3, now, celsius)
}

func newEMC1413(product byte, remote int, now func() time.Time, celsius []float64) *EMC1413 {
	c := &EMC1413{now: clock(now), product: product, remote: remote}
	c.defaults()
	for i := range c.channel {
		c.channel[i].celsius = Constant(25)
		if i < len(celsius) {
			c.channel[i].celsius = Constant(celsius[i])
		}
	}
	for _, i := range c.all() {
		c.take(i, c.seq.begun)
	}
	return c
}

// emcMap gives the registers of a channel.
func emcMap(channel, what int) byte {
	return [diodes][5]byte{
		{0x00, 0x29, 0x05, 0x06, 0x20},
		{0x01, 0x10, 0x07, 0x08, 0x19},
		{0x23, 0x24, 0x15, 0x16, 0x1A},
		{0x2A, 0x2B, 0x2C, 0x2D, 0x30},
	}[channel][what]
}

// defaults are the power-on values: limits 85 and 0 °C, four runs a second, no conversion complete.
func (c *EMC1413) defaults() {
	c.pointer = 0
	c.reg = [256]byte{emcRate: 6, 0x21: 0x0A, 0x22: 0x70, 0x25: 0x10, 0x26: 0x10, 0x27: 0x12, 0x28: 0x12, 0x31: 0x12}
	for _, n := range c.all() {
		c.reg[emcMap(n, emcHighLimit)] = 85
		c.reg[emcMap(n, emcThermLimit)] = 85
		c.channel[n].word = 0
	}
	c.shadow = [diodes]byte{}
	c.raised, c.holds = map[byte]byte{}, map[byte]byte{}
	c.seq = sequence{}
	c.seq.start(c.now(), c.all())
}

// Reset puts the registers at their power-on values. The temperatures read 0 °C until their conversions are complete.
func (c *EMC1413) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.defaults()
}

// SetCelsius sets the true temperature of a channel from now on. It shows when its next conversion is complete.
func (c *EMC1413) SetCelsius(channel int, v float64) { c.Follow(channel, Constant(v)) }

// Follow gives the true temperature of a channel as a function of time.
func (c *EMC1413) Follow(channel int, q Quantity) { c.set(func() { c.channel[channel].celsius = q }) }

// SetOpen breaks or mends the wire to a remote diode.
func (c *EMC1413) SetOpen(channel int, open bool) { c.set(func() { c.channel[channel].open = open }) }

// SetShorted shorts a remote diode or ends that. The part flags it as it flags an open one.
func (c *EMC1413) SetShorted(channel int, shorted bool) {
	c.set(func() { c.channel[channel].shorted = shorted })
}

func (c *EMC1413) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.convert(c.now())
	change()
}

// Tx sets the pointer, writes one byte and reads one byte: the part knows no longer transfers, and nobody drives the
// line after the first byte read.
func (c *EMC1413) Tx(w, r []byte) error {
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
		fill(r, 0xFF)
		r[0] = c.read()
	}
	return nil
}

func (c *EMC1413) write(b byte, at time.Time) {
	p := c.pointer
	if 0x09 <= p && p <= 0x0E { // written here, read six lower
		p -= 6
	}
	switch {
	case p == emcConfig:
		if woken := c.reg[p]&^b&emcStop != 0; woken && !c.seq.busy() {
			c.seq.start(at, c.all())
		}
		c.reg[p] = b
		c.seq.stopped = b&emcStop != 0
	case p == emcOneShot:
		if c.seq.stopped && !c.seq.busy() {
			c.seq.start(at, c.all())
		}
	case c.writable(p):
		c.reg[p] = b
	}
}

// writable tells which registers are plain memory: rate, limits, scratchpads, corrections, filter.
func (c *EMC1413) writable(p byte) bool {
	if c.remote < 3 && 0x2C <= p && p <= 0x31 {
		return false
	}
	return emcRate <= p && p <= 0x08 || 0x11 <= p && p <= 0x1A || 0x1F <= p && p <= 0x22 || 0x25 <= p && p <= 0x28 ||
		0x2C <= p && p <= 0x31 || p == 0x40
}

func (c *EMC1413) read() byte {
	for _, n := range c.all() {
		switch c.pointer {
		case emcMap(n, emcHigh): // copies the low byte to where it is read from
			c.shadow[n] = byte(c.channel[n].word)
			return byte(c.channel[n].word >> 8)
		case emcMap(n, emcLow):
			return c.shadow[n]
		}
	}
	switch p := c.pointer; p {
	case emcStatus:
		return c.status()
	case emcDiodeFault, emcHighStatus, emcLowStatus, emcThermStatus:
		if p != emcDiodeFault && c.remote == 1 {
			return 0 // the EMC1412 has the limits in its status register
		}
		return c.fetch(p)
	case 0x09, 0x0A:
		return c.reg[p-6]
	case emcProduct:
		return c.product
	case emcManufacturer:
		return 0x5D
	case emcRevision:
		return 0x04
	default:
		return c.reg[p]
	}
}

// fetch reads a status register and clears it. A limit that is still passed stays; a diode fault is raised again by
// the next conversion of that diode only (recalled).
func (c *EMC1413) fetch(p byte) byte {
	b := c.raised[p]
	c.raised[p] = c.holds[p]
	return b
}

// status sums the other registers up. The EMC1412 spells both its channels out and is cleared by this read (Linux
// driver emc1403, as for the EMC1402).
func (c *EMC1413) status() byte {
	var b byte
	if c.seq.busy() {
		b = emcBusy
	}
	if c.remote == 1 {
		high, low, therm := c.fetch(emcHighStatus), c.fetch(emcLowStatus), c.fetch(emcThermStatus)
		b |= high&1<<6 | low&1<<5 | high>>1&1<<4 | low>>1&1<<3 | therm&3
		if c.raised[emcDiodeFault] != 0 {
			b |= emcFault
		}
		return b
	}
	for p, bit := range map[byte]byte{emcHighStatus: 1 << 4, emcLowStatus: 1 << 3, emcDiodeFault: emcFault, emcThermStatus: 1 << 1} {
		if c.raised[p] != 0 {
			b |= bit
		}
	}
	return b
}

// all lists the channels of the part.
func (c *EMC1413) all() []int { return []int{0, 1, 2, 3}[:1+c.remote] }

// convert completes the conversions that ended up to a moment. Rate 0 is one run in 16 s and each step doubles it, up
// to 64 a second at A (recalled).
func (c *EMC1413) convert(at time.Time) {
	period := 16 * time.Second >> min(c.reg[emcRate], 0x0A)
	c.seq.run(at, emcConversion, period, c.all(), c.take)
}

// take stores one conversion: 1/8 °C in the upper eleven bits, from 0 to 127.875 °C (negative temperatures read 0), or
// with the extended range from -64 to 191.875 °C with an offset of 64 °C. A faulty diode reads 0 either way and raises
// its flag (ranges and the reading of a faulty diode are recalled).
func (c *EMC1413) take(n int, at time.Time) {
	d := &c.channel[n]
	switch celsius := d.celsius(at); {
	case n > 0 && (d.open || d.shorted):
		d.word = 0
		c.raised[emcDiodeFault] |= 1 << n
		return
	case c.reg[emcConfig]&emcRange != 0:
		d.word = uint16(quantise(celsius+64, 0.125, 0, 0x7FF)) << 5
	default:
		d.word = uint16(quantise(celsius, 0.125, 0, 0x3FF)) << 5
	}
	high := byte(d.word >> 8)
	c.compare(n, emcHighStatus, high > c.reg[emcMap(n, emcHighLimit)])
	c.compare(n, emcLowStatus, high < c.reg[emcMap(n, emcLowLimit)])
	c.compare(n, emcThermStatus, high > c.reg[emcMap(n, emcThermLimit)])
}

func (c *EMC1413) compare(n int, status byte, beyond bool) {
	c.holds[status] &^= 1 << n
	if beyond {
		c.holds[status] |= 1 << n
	}
	c.raised[status] |= c.holds[status]
}
