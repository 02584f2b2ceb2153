package emc2305_test

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"rackagent/drivers/chip/emc2305"
)

func Example() {
	// In a program this is a handle of i2cbus.
	bus := &i2ctest.Playback{Ops: []i2ctest.IO{
		{Addr: 0x2f, W: []byte{0x25}, R: []byte{0x00}},
		{Addr: 0x2f, W: []byte{0x26}, R: []byte{0x00}},
		{Addr: 0x2f, W: []byte{0x27}, R: []byte{0x00}},
		{Addr: 0x2f, W: []byte{0x30}, R: []byte{0x80}},
		{Addr: 0x2f, W: []byte{0x32}, R: []byte{0x2b}},
		{Addr: 0x2f, W: []byte{0x3e}, R: []byte{0x2e, 0xe0}},
	}}
	d, err := emc2305.New(bus, emc2305.Opts{Name: "fans", Addr: 0x2f, Part: emc2305.EMC2301})
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := d.Sense(context.Background())
	for _, f := range m.Fans {
		fmt.Printf("fan %d: %d rpm at drive %d\n", f.N, f.RPM, f.Drive)
	}
	fmt.Println(err)
	// Output:
	// fan 1: 5242 rpm at drive 128
	// <nil>
}
