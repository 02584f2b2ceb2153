package sht4x_test

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"rackagent/drivers/air"
	"rackagent/drivers/chip/sht4x"
)

func Example() {
	bus := &i2ctest.Playback{Ops: []i2ctest.IO{
		{Addr: 0x44, W: []byte{0xfd}},
		{Addr: 0x44, R: []byte{0x66, 0x66, 0x93, 0x66, 0x66, 0x93}},
	}}
	d, err := sht4x.New(bus, sht4x.Opts{Name: "cold aisle", Addr: 0x44})
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := d.Sense(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	dew, ok := air.DewPoint(m.Temperature, m.Humidity)
	fmt.Printf("%v %v, dew point %.1f°C %t\n", m.Temperature, m.Humidity, dew.Celsius(), ok)
	// Output: 25°C 44%rH, dew point 11.9°C true
}
