package drivertest

import (
	"sync"
	"time"
)

// lm75Conversion is the typical time of one conversion (TI SNIS153, temperature-to-digital converter characteristics;
// the maximum, 300 ms, is recalled).
const lm75Conversion = 100 * time.Millisecond

// Registers of the LM75 (TI SNIS153, pointer register).
const (
	lm75Temperature   = 0
	lm75Configuration = 1
	lm75THyst         = 2 // called T_low elsewhere
	lm75TOS           = 3 // called T_high elsewhere
)

// lm75Undefined are the low bits of the temperature and limit registers that mean nothing: nine bits count.
const lm75Undefined = 0x7F

// LM75Opts describes an LM75. Makers differ in more than the name.
type LM75Opts struct {
	Celsius float64 // at first
	// Garbage makes the undefined low bits read as anything, different in each transfer; otherwise they are zero.
	// The data sheet leaves them open for the limits too.
	Garbage bool
	// Interrupted lets every transfer abort the conversion in progress and begin a new one after it: who asks more
	// often than every 100 ms never sees a new value. National's part is said to do so (recalled); NXP's LM75B does
	// not (NXP LM75B, revision 6, 1).
	Interrupted bool
	Now         func() time.Time
}

// LM75 is the classic temperature sensor of 9 bits, 0.5 °C. It has no identification register, and nothing of it has
// to be set up. The OS output and its fault queue are not simulated, nor is the stuck data line that a one-byte read
// of a two-byte register can leave behind.
type LM75 struct {
	mu      sync.Mutex
	o       LM75Opts
	celsius Quantity
	pointer byte
	config  byte
	limits  [2]uint16 // T_HYST, T_OS
	value   uint16    // the last whole conversion
	begun   time.Time // the conversion now running
	sent    uint16    // the word last read
	reads   int64
}

// NewLM75 is a sensor that has been powered for a while: a conversion is complete.
func NewLM75(o LM75Opts) *LM75 {
	o.Now = clock(o.Now)
	c := &LM75{o: o, celsius: Constant(o.Celsius)}
	c.defaults()
	c.value = c.sample(c.begun)
	return c
}

func (c *LM75) defaults() {
	c.pointer, c.config, c.sent = lm75Temperature, 0, 0
	c.limits = [2]uint16{0x4B00, 0x5000} // 75 and 80 °C
	c.begun = c.o.Now()
	c.value = 0 // until the first conversion is complete (TI SBOS288 says so of the TMP75)
}

// Reset puts the registers at their power-on values. The temperature reads 0 °C until a conversion is complete.
func (c *LM75) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.defaults()
}

// SetCelsius sets the true temperature from now on. It shows when the next conversion is complete.
func (c *LM75) SetCelsius(v float64) { c.Follow(Constant(v)) }

// Follow gives the true temperature as a function of time.
func (c *LM75) Follow(q Quantity) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.convert(c.o.Now())
	c.celsius = q
}

// Tx sets the pointer, writes registers and reads them, high byte first.
func (c *LM75) Tx(w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.o.Now()
	c.convert(at)
	if len(w) > 0 {
		c.pointer = w[0] & 7
		c.write(w[1:], at)
	}
	if len(r) > 0 {
		c.sent = c.register()
		c.reads++
	}
	for i := range r {
		r[i] = byte(c.sent >> 8)
		if i%2 == 1 {
			r[i] = byte(c.sent)
		}
	}
	if c.o.Interrupted {
		c.begun = at
	}
	return nil
}

func (c *LM75) write(data []byte, at time.Time) {
	switch {
	case c.pointer == lm75Configuration && len(data) > 0:
		if c.config&^data[0]&1 != 0 { // woken up
			c.begun = at
		}
		c.config = data[0] & 0x1F // D5 to D7 are for production tests and kept zero
	case (c.pointer == lm75THyst || c.pointer == lm75TOS) && len(data) >= 2:
		c.limits[c.pointer-lm75THyst] = (uint16(data[0])<<8 | uint16(data[1])) &^ lm75Undefined
	}
}

// register is the word behind the pointer. A register of one byte reads the same byte again and again.
func (c *LM75) register() uint16 {
	switch c.pointer {
	case lm75Temperature:
		return c.value | c.undefined()
	case lm75Configuration:
		return uint16(c.config)<<8 | uint16(c.config)
	case lm75THyst, lm75TOS:
		return c.limits[c.pointer-lm75THyst] | c.undefined()
	default: // 4 to 7 give what was read last (Linux driver lm75, detection; recalled)
		return c.sent
	}
}

func (c *LM75) undefined() uint16 {
	if !c.o.Garbage {
		return 0
	}
	return uint16(Noise(75).mix(uint64(c.reads))) & lm75Undefined
}

// convert completes the conversions that ended up to a moment. Shut down, it keeps the last one.
func (c *LM75) convert(at time.Time) {
	if c.config&1 != 0 {
		return
	}
	if n := at.Sub(c.begun) / lm75Conversion; n > 0 {
		c.begun = c.begun.Add(n * lm75Conversion)
		c.value = c.sample(c.begun)
	}
}

// sample is the register for the temperature at a moment: nine bits of 0.5 °C at the top, from -55 to 125 °C, the
// range of the part.
func (c *LM75) sample(at time.Time) uint16 {
	return uint16(int16(quantise(c.celsius(at), 0.5, -110, 250) << 7))
}
