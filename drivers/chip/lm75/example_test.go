package lm75_test

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"rackagent/drivers/chip/lm75"
)

func Example() {
	bus := &i2ctest.Playback{Ops: []i2ctest.IO{
		{Addr: 0x49, W: []byte{0x00}, R: []byte{0x19, 0x80}},
		{Addr: 0x49, W: []byte{0x01}, R: []byte{0x00}},
	}}
	d, err := lm75.New(bus, lm75.Opts{Name: "outlet air", Addr: 0x49})
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := d.Sense(context.Background())
	fmt.Println(m.Temperature, err)
	// Output: 25.500°C <nil>
}
