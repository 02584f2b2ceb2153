package ina226_test

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"rackagent/drivers/chip/ina226"
)

func Example() {
	bus := &i2ctest.Playback{Ops: []i2ctest.IO{
		{Addr: 0x40, W: []byte{0x00, 0x45, 0x27}}, // 16 averages
		{Addr: 0x40, W: []byte{0x00}, R: []byte{0x45, 0x27}},
		{Addr: 0x40, W: []byte{0x05, 0x0A, 0x00}}, // 2 mA a step at 1 milliohm
		{Addr: 0x40, W: []byte{0x05}, R: []byte{0x0A, 0x00}},
		{Addr: 0x40, W: []byte{0x01}, R: []byte{0x1F, 0x40}},
		{Addr: 0x40, W: []byte{0x02}, R: []byte{0x25, 0x80}},
		{Addr: 0x40, W: []byte{0x00}, R: []byte{0x45, 0x27}},
		{Addr: 0x40, W: []byte{0x05}, R: []byte{0x0A, 0x00}},
	}}
	d, err := ina226.New(bus, ina226.Opts{Name: "12 V rail", Addr: 0x40, ShuntOhm: 0.001, MaxA: 65.536})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := d.Configure(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	// A real part needs ina226.Conversion before the first sample means anything.
	m, err := d.Sense(context.Background())
	fmt.Println(m.Voltage, m.Current, m.Power, err)
	// Output: 12V 20A 240W <nil>
}
