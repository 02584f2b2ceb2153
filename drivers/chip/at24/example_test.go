package at24_test

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"rackagent/drivers/chip/at24"
)

func Example() {
	bus := &i2ctest.Playback{Ops: []i2ctest.IO{
		{Addr: 0x50, W: []byte{0x00}, R: []byte{0x01, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0xfe}},
	}}
	d, err := at24.New(bus, at24.Opts{Name: "fru", Addr: 0x50, Part: "at24c02"})
	if err != nil {
		fmt.Println(err)
		return
	}
	head, err := d.Read(context.Background(), 0, 8)
	fmt.Printf("% x %v\n", head, err)
	// Output: 01 00 00 01 00 00 00 fe <nil>
}
