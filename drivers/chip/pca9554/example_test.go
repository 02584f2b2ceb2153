package pca9554_test

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"rackagent/drivers/chip"
	"rackagent/drivers/chip/pca9554"
)

func Example() {
	// What a freshly powered MAX7310 says; in a program this is a handle of i2cbus.
	bus := &i2ctest.Playback{Ops: []i2ctest.IO{
		{Addr: 0x20, W: []byte{0x01}, R: []byte{0x00}},
		{Addr: 0x20, W: []byte{0x03}, R: []byte{0xff}},
		{Addr: 0x20, W: []byte{0x02}, R: []byte{0xf0}},
		// All zeros and all ones could be the bus's own.
		{Addr: 0x20, W: []byte{0x01}, R: []byte{0x00}},
		{Addr: 0x20, W: []byte{0x03}, R: []byte{0xff}},
	}}
	d, err := pca9554.New(bus, pca9554.Opts{Name: "relays", Addr: 0x20, Part: pca9554.MAX7310})
	if err != nil {
		fmt.Println(err)
		return
	}
	w, err := d.Read(context.Background())
	fmt.Printf("latch %04x, inputs %t, polarity %04x, %v\n", w.Latch, w.Direction == chip.AllInputs, w.Polarity, err)
	// Output: latch 0000, inputs true, polarity 0000, <nil>
}
