package emc1413_test

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"rackagent/drivers/chip/emc1413"
)

func Example() {
	bus := &i2ctest.Playback{Ops: []i2ctest.IO{
		{Addr: 0x4c, W: []byte{0x03}, R: []byte{0x00}},
		{Addr: 0x4c, W: []byte{0x00}, R: []byte{0x19}},
		{Addr: 0x4c, W: []byte{0x29}, R: []byte{0x00}},
		{Addr: 0x4c, W: []byte{0x01}, R: []byte{0x3c}},
		{Addr: 0x4c, W: []byte{0x10}, R: []byte{0xa0}},
		{Addr: 0x4c, W: []byte{0x1b}, R: []byte{0x00}},
	}}
	d, err := emc1413.New(bus, emc1413.Opts{Name: "riser", Addr: 0x4c, Remotes: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := d.Sense(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.Local.Temperature, m.Remote[0].Temperature)
	// Output: 25°C 60.625°C
}
