package drivertest

import "time"

// Commands of the SHT3x (Sensirion SHT3x-DIS, version 5, tables 9 to 19; the serial number is from the application
// note on it and recalled).
const (
	sht3xMeasureHigh    = 0x2400 // without clock stretching, as the next two
	sht3xMeasureMedium  = 0x240B
	sht3xMeasureLow     = 0x2416
	sht3xReset          = 0x30A2
	sht3xHeaterOn       = 0x306D
	sht3xHeaterOff      = 0x3066
	sht3xStatus         = 0xF32D
	sht3xClear          = 0x3041
	sht3xSerial         = 0x3780
	sht3xSerialNoHold   = 0x3682
	sht3xUp             = 1500 * time.Microsecond // from supply or soft reset until it is idle, maximum (recalled)
	sht3xStatusPowerOn  = 0x8010                  // alert pending, reset detected
	sht3xStatusClears   = 0x8C10
	sht3xStatusHeater   = 1 << 13
	sht3xStatusRejected = 1 << 1
)

// SHT3x is a humidity and temperature sensor (SHT30, SHT31, SHT35). It measures on command. Clock stretching, periodic
// measurement and alert limits are not simulated: their commands are refused. The heater is a bit that heats nothing.
type SHT3x struct {
	sht
	status uint16
}

// NewSHT3x is a sensor that has been powered for a while, in air of 25 °C and 40 %.
func NewSHT3x(serial uint32, now func() time.Time) *SHT3x {
	return &SHT3x{sht: newSHT(serial, 0, 100, now), status: sht3xStatusPowerOn}
}

// Reset is a brown-out: nothing is measured any more, and the part is deaf until it is up.
func (c *SHT3x) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.defaults()
}

func (c *SHT3x) defaults() {
	c.restart(sht3xUp)
	c.status = sht3xStatusPowerOn
}

// Tx takes a command of two bytes, or gives the answer to the last one.
func (c *SHT3x) Tx(w, r []byte) error { return c.tx(w, r, c.command) }

func (c *SHT3x) command(w []byte) error {
	if len(w) < 2 {
		return nil
	}
	switch cmd := uint16(w[0])<<8 | uint16(w[1]); cmd {
	case sht3xMeasureHigh: // these are maxima
		c.measure(15 * time.Millisecond)
	case sht3xMeasureMedium: // recalled, as the next
		c.measure(6 * time.Millisecond)
	case sht3xMeasureLow:
		c.measure(4 * time.Millisecond)
	case sht3xReset:
		c.defaults()
		return nil
	case sht3xHeaterOn:
		c.status |= sht3xStatusHeater
	case sht3xHeaterOff:
		c.status &^= sht3xStatusHeater
	case sht3xStatus:
		c.answer = shtWords(c.status)
	case sht3xClear:
		c.status &^= sht3xStatusClears
	case sht3xSerial, sht3xSerialNoHold:
		c.identify()
	default:
		c.status |= sht3xStatusRejected
		return NackData
	}
	c.status &^= sht3xStatusRejected
	return nil
}
