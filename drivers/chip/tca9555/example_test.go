package tca9555_test

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"rackagent/drivers/chip"
	"rackagent/drivers/chip/tca9555"
)

func Example() {
	// What a freshly powered expander says; in a program this is a handle of i2cbus.
	bus := &i2ctest.Playback{Ops: []i2ctest.IO{
		{Addr: 0x20, W: []byte{0x02}, R: []byte{0xff, 0xff}},
		{Addr: 0x20, W: []byte{0x06}, R: []byte{0xff, 0xff}},
		{Addr: 0x20, W: []byte{0x04}, R: []byte{0x00, 0x00}},
		// All ones could be a bus that nobody drives.
		{Addr: 0x20, W: []byte{0x02}, R: []byte{0xff, 0xff}},
		{Addr: 0x20, W: []byte{0x06}, R: []byte{0xff, 0xff}},
	}}
	d, err := tca9555.New(bus, tca9555.Opts{Name: "relays", Addr: 0x20})
	if err != nil {
		fmt.Println(err)
		return
	}
	w, err := d.Read(context.Background())
	fmt.Printf("latch %04x, inputs %t, %v\n", w.Latch, w.Direction == chip.AllInputs, err)
	// Output: latch ffff, inputs true, <nil>
}
