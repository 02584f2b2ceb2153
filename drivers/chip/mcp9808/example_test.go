package mcp9808_test

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"rackagent/drivers/chip/mcp9808"
)

func Example() {
	bus := &i2ctest.Playback{Ops: []i2ctest.IO{
		{Addr: 0x18, W: []byte{0x05}, R: []byte{0xc1, 0x94}},
		{Addr: 0x18, W: []byte{0x01}, R: []byte{0x00, 0x00}},
	}}
	d, err := mcp9808.New(bus, mcp9808.Opts{Name: "inlet air", Addr: 0x18})
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := d.Sense(context.Background())
	fmt.Println(m.Temperature, err)
	// Output: 25.250°C <nil>
}
