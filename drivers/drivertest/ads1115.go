package drivertest

import (
	"math"
	"sync"
	"time"
)

// Registers of the ADS1115 (TI SBAS444D).
const (
	adsConversion = 0
	adsConfig     = 1
	adsLoThresh   = 2
	adsHiThresh   = 3
)

// Bits of the configuration register (TI SBAS444D, Config register).
const (
	adsOS      = 1 << 15
	adsSingle  = 1 << 8
	adsDefault = 0x8583
)

// adsWake is the time from power-down until a conversion begins (SBAS444D, single-shot mode).
const adsWake = 25 * time.Microsecond

// ADS1115Opts describes an ADS1115.
type ADS1115Opts struct {
	// ClockError makes the data rate differ from the nominal one: -0.1 is 10 % slow. More than 10 % either way is
	// outside the data sheet and cut off.
	ClockError float64
	// Supply in V; 0 is 3.3. An input is clamped 0.3 V beyond the supply and ground, whatever drives it.
	Supply float64
	Now    func() time.Time
}

// ADS1115 is a converter of 16 bits with four inputs. A conversion gives what its inputs were when it ended. The
// comparator is registers only, and the general call address is not listened to.
type ADS1115 struct {
	mu         sync.Mutex
	o          ADS1115Opts
	input      [4]Quantity // V
	pointer    byte
	config     uint16
	threshold  [2]uint16
	conversion uint16
	converting bool
	running    uint16    // configuration of the conversion in progress
	end        time.Time // of that conversion
}

// NewADS1115 is a converter after power-on. Inputs are at 0 V.
func NewADS1115(o ADS1115Opts) *ADS1115 {
	o.Now = clock(o.Now)
	if o.Supply == 0 {
		o.Supply = 3.3
	}
	c := &ADS1115{o: o}
	for i := range c.input {
		c.input[i] = Constant(0)
	}
	c.defaults()
	return c
}

func (c *ADS1115) defaults() {
	c.pointer, c.config, c.threshold = adsConversion, adsDefault, [2]uint16{0x8000, 0x7FFF}
	c.conversion, c.converting = 0, false
}

// Reset puts the registers at their power-on values; a conversion in progress is lost.
func (c *ADS1115) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.defaults()
}

// SetInput connects input AIN0 to AIN3 to a voltage, such as Loop.Volts, Rope.Volts or Constant.
func (c *ADS1115) SetInput(n int, volts Quantity) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.convert(c.o.Now())
	c.input[n] = volts
}

// SetClockError changes how much the data rate differs from the nominal one, from the next conversion on.
func (c *ADS1115) SetClockError(e float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.convert(c.o.Now())
	c.o.ClockError = e
}

// Tx sets the pointer, writes a register and reads it, high byte first.
func (c *ADS1115) Tx(w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.o.Now()
	c.convert(at)
	if len(w) > 0 {
		c.pointer = w[0] & 3
	}
	if len(w) > 2 {
		c.write(uint16(w[1])<<8|uint16(w[2]), at)
	}
	v := c.register()
	for i := range r {
		r[i] = byte(v >> 8)
		if i%2 == 1 {
			r[i] = byte(v)
		}
	}
	return nil
}

// write changes a register. A conversion in progress goes on with the configuration it began with, and a start during
// it is lost (SBAS444D, single-shot and continuous-conversion mode).
func (c *ADS1115) write(v uint16, at time.Time) {
	switch c.pointer {
	case adsConfig:
		c.config = v &^ adsOS
		if !c.converting && (v&adsOS != 0 || v&adsSingle == 0) {
			c.begin(at.Add(adsWake))
		}
	case adsLoThresh, adsHiThresh:
		c.threshold[c.pointer-adsLoThresh] = v
	}
}

func (c *ADS1115) register() uint16 {
	switch c.pointer {
	case adsConversion:
		return c.conversion
	case adsConfig:
		if c.converting { // in continuous mode: always
			return c.config
		}
		return c.config | adsOS
	default:
		return c.threshold[c.pointer-adsLoThresh]
	}
}

// begin starts a conversion with the configuration as it stands.
func (c *ADS1115) begin(at time.Time) {
	c.converting, c.running = true, c.config
	c.end = at.Add(c.period())
}

// period is how long a conversion takes.
func (c *ADS1115) period() time.Duration {
	rate := [...]float64{8, 16, 32, 64, 128, 250, 475, 860}[c.running>>5&7] * (1 + min(max(c.o.ClockError, -0.1), 0.1))
	return time.Duration(float64(time.Second) / rate)
}

// convert completes the conversions that ended up to a moment.
func (c *ADS1115) convert(at time.Time) {
	for c.converting && !c.end.After(at) {
		c.conversion = c.sample(c.end)
		if c.config&adsSingle != 0 {
			c.converting = false
			return
		}
		c.begin(c.end)
		if n := at.Sub(c.end) / c.period(); n > 0 { // of many only the last matters
			c.end = c.end.Add(n * c.period())
		}
	}
}

// sample is a conversion that ends at a moment: the input or difference as steps of the range, clipped.
func (c *ADS1115) sample(at time.Time) uint16 {
	pair := [...][2]int{{0, 1}, {0, 3}, {1, 3}, {2, 3}, {0, -1}, {1, -1}, {2, -1}, {3, -1}}[c.running>>12&7]
	volts := c.pin(pair[0], at)
	if pair[1] >= 0 {
		volts -= c.pin(pair[1], at)
	}
	full := [...]float64{6.144, 4.096, 2.048, 1.024, 0.512, 0.256, 0.256, 0.256}[c.running>>9&7]
	return uint16(int16(quantise(volts*32768/full+0.5, 1, math.MinInt16, math.MaxInt16)))
}

// pin is the voltage at an input as far as its protection diodes let it go.
func (c *ADS1115) pin(n int, at time.Time) float64 {
	return min(max(c.input[n](at), -0.3), c.o.Supply+0.3)
}
