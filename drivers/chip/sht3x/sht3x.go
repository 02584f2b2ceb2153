// Package sht3x drives the humidity and temperature sensors SHT30, SHT31 and SHT35 (Sensirion, data sheet SHT3x-DIS).
//
// A measurement is a single shot with high repeatability and without clock stretching. Nothing is set that could be
// lost, so there is no Configure, and a part that lost its supply for a moment is as good as before. The heater is
// never turned on. For the dew point there is package air.
package sht3x

import (
	"context"
	"fmt"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip"
	"rackagent/drivers/chip/sensirion"
)

// The ADDR pin places the part at one of these two addresses.
const (
	FirstAddr = 0x44
	LastAddr  = 0x45
)

// Conversion is how long a measurement takes at most at high repeatability (Linux driver sht3x).
const Conversion = 15 * time.Millisecond

// serialTime is how long the part is given to answer with its serial number. Arbitrary: it has nothing to measure.
const serialTime = time.Millisecond

// Opts says where the part is.
type Opts struct {
	Name string // for error texts
	Addr uint16
}

// Dev is one sensor. It may be used by one caller at a time: a command makes the part forget the one before.
type Dev struct{ port chip.Port }

// New checks the options and touches nothing.
func New(bus i2c.Bus, o Opts) (*Dev, error) {
	port, err := chip.NewPort(bus, "sht3x", o.Name, o.Addr, chip.Range{First: FirstAddr, Last: LastAddr})
	if err != nil {
		return nil, err
	}
	return &Dev{port}, nil
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.port.String() }

// Measurement is one sample.
type Measurement struct {
	Temperature    physic.Temperature
	Humidity       physic.RelativeHumidity
	RawTemperature uint16
	RawHumidity    uint16
}

// Identify reads the serial number. Parts of other families at this address do not know the command, so that the
// right checksums of the answer are the proof.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	serial := sensirion.Command{Name: "Serial Number 3780", Code: []byte{0x37, 0x80}, Time: serialTime}
	words, err := sensirion.Ask(ctx, d.port, "identify", serial, 2)
	if err != nil {
		return drivers.Ident{}, err
	}
	return drivers.Ident{Manufacturer: "Sensirion", Part: "SHT3x", Serial: sensirion.Serial(words)}, nil
}

// Sense measures, which takes Conversion and leaves the bus free meanwhile.
func (d *Dev) Sense(ctx context.Context) (Measurement, error) {
	measure := sensirion.Command{Name: "Measurement 2400", Code: []byte{0x24, 0x00}, Time: Conversion}
	words, err := sensirion.Ask(ctx, d.port, "read", measure, 2)
	if err != nil {
		return Measurement{}, err
	}
	t, ok := sensirion.Temperature(words[0])
	if !ok {
		return Measurement{}, d.port.Fail("read", measure.Name, drivers.Implausible, fmt.Errorf("temperature %04x", words[0]))
	}
	return Measurement{Temperature: t, Humidity: Humidity(words[1]), RawTemperature: words[0], RawHumidity: words[1]}, nil
}

// Humidity converts a humidity word: 0 to 100 % over the whole of it.
func Humidity(raw uint16) physic.RelativeHumidity {
	const full = int64(100 * physic.PercentRH)
	return physic.RelativeHumidity((full*int64(raw) + 32767) / 65535)
}

var _ fmt.Stringer = (*Dev)(nil)
