// Package bme280 puts periph's driver of the BME280 (Bosch Sensortec, BST-BME280-DS002: temperature, humidity and
// pressure of air) behind the manners of this tree. The arithmetic is periph's (bmxx80 of devices v3.7.4); what is added
// is that making a Dev touches nothing, that faults of the bus keep their reason, that the end of a context ends the
// waiting, and that a part which lost its supply is noticed.
//
// Every measurement is a single one, each quantity sampled once. The humidity setting is what a part forgets: without
// it the part goes on measuring, and leaves humidity out. Sense therefore looks at it first.
package bme280

import (
	"context"
	"fmt"
	"math"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/devices/v3/bmxx80"

	"rackagent/drivers"
	"rackagent/drivers/chip"
)

// The SDO pin places the part at one of these two addresses.
const (
	FirstAddr = 0x76
	LastAddr  = 0x77
)

const idBME280 byte = 0x60

// Bits of ctrl_hum.
const (
	osrsH byte = 0x07 // osrs_h: how often humidity is sampled; 0, the power-on value, not at all
	once  byte = 0x01
)

// Codes of a quantity that was left out (BST-BME280-DS002, section 4, from memory).
const (
	skippedTemperature uint32 = 0x80000 // the same for pressure
	skippedHumidity    uint16 = 0x8000
)

// The range of the part (BST-BME280-DS002, table 1 and following, from memory).
const (
	coldest  = physic.ZeroCelsius - 40*physic.Celsius
	warmest  = physic.ZeroCelsius + 85*physic.Celsius
	thinnest = 300 * 100 * physic.Pascal
	densest  = 1100 * 100 * physic.Pascal
)

// Opts says where the part is.
type Opts struct {
	Name string // for error texts
	Addr uint16
}

// Dev is one sensor. It keeps the calibration of the part once it has read it, and is used by one caller at a time.
type Dev struct {
	port   chip.Port
	line   *line
	bmxx80 *bmxx80.Dev // nil until Configure or Sense has read the calibration
}

// New checks the options and touches nothing.
func New(bus i2c.Bus, o Opts) (*Dev, error) {
	port, err := chip.NewPort(bus, "bme280", o.Name, o.Addr, chip.Range{First: FirstAddr, Last: LastAddr})
	if err != nil {
		return nil, err
	}
	return &Dev{port: port, line: &line{port: port}}, nil
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.port.String() }

// Measurement is one sample.
type Measurement struct {
	Temperature    physic.Temperature
	Humidity       physic.RelativeHumidity
	Pressure       physic.Pressure
	RawTemperature uint32 // 20 bits
	RawPressure    uint32 // 20 bits
	RawHumidity    uint16
}

// Identify compares the chip identification. BMP280 and BMP180, which periph's driver would take as well, are other
// devices: they know no humidity.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	got, err := d.port.Byte(ctx, "identify", regName(id), id)
	switch {
	case err != nil:
		return drivers.Ident{}, err
	case got == 0xff:
		return drivers.Ident{}, d.port.Ones("identify", regName(id))
	case got != idBME280:
		return drivers.Ident{}, d.port.Fail("identify", regName(id), drivers.WrongDevice, fmt.Errorf("%02x instead of %02x", got, idBME280))
	}
	return drivers.Ident{Manufacturer: "Bosch Sensortec", Part: "BME280"}, nil
}

// Configure reads the calibration of the part anew, sets it up and reads the humidity setting back. drivers.Settling:
// the part was powered less than 2 ms ago.
func (d *Dev) Configure(ctx context.Context) error {
	if err := d.build(ctx); err != nil {
		return err
	}
	return d.configured(ctx, drivers.Mismatch)
}

// Sense measures, which takes about 10 ms. drivers.Restarted: the part is not as Configure leaves it, Configure it.
//
// periph's driver sleeps the first 8 ms of these whatever becomes of ctx.
func (d *Dev) Sense(ctx context.Context) (Measurement, error) {
	if err := d.configured(ctx, drivers.Restarted); err != nil {
		return Measurement{}, err
	}
	if d.bmxx80 == nil {
		if err := d.build(ctx); err != nil {
			return Measurement{}, err
		}
	}
	var e physic.Env
	if err := d.line.during(ctx, func() error { return d.bmxx80.Sense(&e) }); err != nil {
		return Measurement{}, err
	}
	m := Measurement{Temperature: e.Temperature, Humidity: e.Humidity, Pressure: e.Pressure}
	m.RawPressure, m.RawTemperature, m.RawHumidity = codes(d.line.data)
	if why := m.implausible(); why != "" {
		return Measurement{}, d.port.Fail("read", regName(press), drivers.Implausible, fmt.Errorf("%s: % x", why, d.line.data))
	}
	return m, nil
}

// build makes periph's driver, which reads the calibration and writes the settings. It does not look whether the part
// has its calibration yet.
func (d *Dev) build(ctx context.Context) error {
	if _, err := d.Identify(ctx); err != nil {
		return err
	}
	got, err := d.port.Byte(ctx, "read", regName(status), status)
	if err != nil {
		return err
	}
	if got == 0xff {
		return d.port.Ones("read", regName(status))
	}
	if got&imUpdate != 0 {
		return d.port.Fail("read", regName(status), drivers.Settling, fmt.Errorf("%02x: the part has just been powered", got))
	}
	return d.line.during(ctx, func() error {
		dev, err := bmxx80.NewI2C(d.line, d.port.Addr(), &bmxx80.Opts{Temperature: bmxx80.O1x, Pressure: bmxx80.O1x, Humidity: bmxx80.O1x})
		if err == nil {
			d.bmxx80 = dev
		}
		return err
	})
}

func (d *Dev) configured(ctx context.Context, otherwise drivers.Fault) error {
	got, err := d.port.Byte(ctx, "read", regName(ctrlHum), ctrlHum)
	if err != nil {
		return err
	}
	if got == 0xff {
		return d.port.Ones("read", regName(ctrlHum))
	}
	if got&osrsH != once {
		return d.port.Fail("read", regName(ctrlHum), otherwise, fmt.Errorf("%02x instead of %02x", got, once))
	}
	return nil
}

// codes takes the data registers apart: 20 bits of pressure, 20 of temperature, 16 of humidity.
func codes(b [8]byte) (pressure, temperature uint32, humidity uint16) {
	pressure = uint32(b[0])<<12 | uint32(b[1])<<4 | uint32(b[2])>>4
	temperature = uint32(b[3])<<12 | uint32(b[4])<<4 | uint32(b[5])>>4
	return pressure, temperature, uint16(b[6])<<8 | uint16(b[7])
}

// implausible says what is wrong with a measurement, or nothing.
func (m Measurement) implausible() string {
	switch {
	case m.RawTemperature == skippedTemperature || m.RawPressure == skippedTemperature || m.RawHumidity == skippedHumidity:
		return "a quantity was left out"
	case m.RawHumidity == math.MaxUint16:
		return "all ones"
	case m.Temperature < coldest || m.Temperature > warmest:
		return "temperature outside the part's range"
	case m.Pressure < thinnest || m.Pressure > densest:
		return "pressure outside the part's range"
	case m.Humidity < 0 || m.Humidity > 100*physic.PercentRH:
		return "humidity outside the part's range"
	default:
		return ""
	}
}

var _ fmt.Stringer = (*Dev)(nil)
