package tmp421_test

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"rackagent/drivers/chip/tmp421"
)

func Example() {
	bus := &i2ctest.Playback{Ops: []i2ctest.IO{
		{Addr: 0x4c, W: []byte{0x00}, R: []byte{0x19, 0x00}},
		{Addr: 0x4c, W: []byte{0x01}, R: []byte{0x3c, 0x80}},
		{Addr: 0x4c, W: []byte{0x02}, R: []byte{0x00, 0x01}}, // nothing connected
		{Addr: 0x4c, W: []byte{0x09}, R: []byte{0x00}},
		{Addr: 0x4c, W: []byte{0x0a}, R: []byte{0x3c}},
	}}
	d, err := tmp421.New(bus, tmp421.Opts{Name: "hash board", Addr: 0x4c, Remotes: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := d.Sense(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.Local.Temperature, m.Remote[0].Temperature, m.Remote[1].Fault)
	// Output: 25°C 60.500°C implausible
}
