package mcp39f521_test

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"rackagent/drivers/chip/mcp39f521"
)

func Example() {
	bus := &i2ctest.Playback{Ops: []i2ctest.IO{
		{Addr: 0x74, W: []byte{0xA5, 0x08, 0x41, 0x00, 0x04, 0x4E, 0x02, 0x42}}, // two bytes at 0004
		{Addr: 0x74, R: []byte{0x06, 0x05, 0x12, 0x53, 0x70}},
	}}
	d, err := mcp39f521.New(bus, mcp39f521.Opts{Name: "outlet 3", Addr: 0x74})
	if err != nil {
		fmt.Println(err)
		return
	}
	id, err := d.Identify(context.Background())
	fmt.Println(id.Part, id.Version, err)
	// The scale of the readings is the board's.
	fmt.Println(mcp39f521.DefaultScale().Voltage(0x08FD), mcp39f521.DefaultScale().Frequency(0xC365))
	// Output:
	// MCP39F521 5312 <nil>
	// 230.100V 50.021Hz
}
