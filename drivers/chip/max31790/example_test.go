package max31790_test

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"rackagent/drivers/chip/max31790"
)

func Example() {
	// In a program this is a handle of i2cbus.
	bus := &i2ctest.Playback{Ops: []i2ctest.IO{
		{Addr: 0x20, W: []byte{0x00}, R: []byte{0x20}},
		{Addr: 0x20, W: []byte{0x11}, R: []byte{0x00}},
		{Addr: 0x20, W: []byte{0x09}, R: []byte{0x4c}}, // SR 4
		{Addr: 0x20, W: []byte{0x1a}, R: []byte{0x20, 0x00}},
		{Addr: 0x20, W: []byte{0x32}, R: []byte{0x7f, 0x80}},
		{Addr: 0x20, W: []byte{0x03}, R: []byte{0x08}},
	}}
	d, err := max31790.New(bus, max31790.Opts{Name: "fans", Addr: 0x20, Fitted: 0b10})
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := d.Sense(context.Background())
	for _, f := range m.Fans {
		fmt.Printf("fan %d: %d rpm at duty %d of 511\n", f.N, f.RPM, f.Duty)
	}
	fmt.Println(err)
	// Output:
	// fan 2: 3840 rpm at duty 255 of 511
	// <nil>
}
