package ina3221_test

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"rackagent/drivers/chip/ina3221"
)

func Example() {
	bus := &i2ctest.Playback{Ops: []i2ctest.IO{
		{Addr: 0x40, W: []byte{0x00, 0x65, 0x27}}, // channels 1 and 2, 16 averages
		{Addr: 0x40, W: []byte{0x00}, R: []byte{0x65, 0x27}},
		{Addr: 0x40, W: []byte{0x01}, R: []byte{0x0F, 0xA0}},
		{Addr: 0x40, W: []byte{0x02}, R: []byte{0x2E, 0xE0}},
		{Addr: 0x40, W: []byte{0x03}, R: []byte{0xF0, 0x60}},
		{Addr: 0x40, W: []byte{0x04}, R: []byte{0x2E, 0xE0}},
		{Addr: 0x40, W: []byte{0x00}, R: []byte{0x65, 0x27}},
	}}
	d, err := ina3221.New(bus, ina3221.Opts{Name: "rails", Addr: 0x40, ShuntOhm: [3]float64{0.01, 0.01, 0}})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := d.Configure(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	// A real part needs ina3221.Conversion before the first sample means anything.
	m, err := d.Sense(context.Background())
	for _, c := range m.Channels {
		fmt.Println(c.Voltage, c.Current, c.Power, c.Fault)
	}
	fmt.Println(err)
	// Output:
	// 12V 2A 24W none
	// 12V -2A -24W none
	// 0V 0A 0W not_read
	// <nil>
}
