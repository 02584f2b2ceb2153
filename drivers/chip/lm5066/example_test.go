package lm5066_test

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"rackagent/drivers/chip/lm5066"
)

func Example() {
	bus := &i2ctest.Playback{Ops: []i2ctest.IO{
		{Addr: 0x17, W: []byte{0x19}, R: []byte{0x30}},
		{Addr: 0x17, W: []byte{0x99}, R: []byte("\x03NSC")},
		{Addr: 0x17, W: []byte{0x9a}, R: []byte("\x08LM5066I\x00")},
		{Addr: 0x17, W: []byte{0xd9}, R: []byte{0x00}}, // the pin CL decides
	}}
	d, err := lm5066.New(bus, lm5066.Opts{
		Name: "feed", Addr: 0x17, Part: lm5066.LM5066I, ShuntOhm: 0.0005, CL: lm5066.CLToGND,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	id, err := d.Identify(context.Background())
	fmt.Println(id.Manufacturer, id.Part, err)
	// Output: Texas Instruments LM5066I <nil>
}
