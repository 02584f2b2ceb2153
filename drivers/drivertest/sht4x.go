package drivertest

import "time"

// Commands of the SHT4x (Sensirion SHT4x data sheet, command overview) and how long what they start takes at most.
const (
	sht4xMeasureHigh   = 0xFD
	sht4xMeasureMedium = 0xF6
	sht4xMeasureLow    = 0xE0
	sht4xReset         = 0x94
	sht4xSerial        = 0x89

	sht4xHigh   = 8300 * time.Microsecond
	sht4xMedium = 4500 * time.Microsecond // recalled, as the next two
	sht4xLow    = 1600 * time.Microsecond
	sht4xUp     = time.Millisecond // from supply or soft reset until it is idle
)

// SHT4x is a humidity and temperature sensor (SHT40, SHT41, SHT45). It measures on command and never stretches the
// clock. The heater is not simulated: its commands are refused.
type SHT4x struct{ sht }

// NewSHT4x is a sensor that has been powered for a while, in air of 25 °C and 40 %. Its humidity runs from -6 to 119 %,
// so that noise at the ends is not cut off.
func NewSHT4x(serial uint32, now func() time.Time) *SHT4x {
	return &SHT4x{newSHT(serial, -6, 125, now)}
}

// Reset is a brown-out: nothing is measured any more, and the part is deaf until it is up.
func (c *SHT4x) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.restart(sht4xUp)
}

// Tx takes a command of one byte, or gives the answer to the last one.
func (c *SHT4x) Tx(w, r []byte) error { return c.tx(w, r, c.command) }

func (c *SHT4x) command(w []byte) error {
	switch w[0] {
	case sht4xMeasureHigh:
		c.measure(sht4xHigh)
	case sht4xMeasureMedium:
		c.measure(sht4xMedium)
	case sht4xMeasureLow:
		c.measure(sht4xLow)
	case sht4xReset:
		c.restart(sht4xUp)
	case sht4xSerial:
		c.identify()
	default:
		return NackData
	}
	return nil
}
