package mcp23017_test

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"rackagent/drivers/chip"
	"rackagent/drivers/chip/mcp23017"
)

func Example() {
	// What a freshly powered expander says; in a program this is a handle of i2cbus.
	bus := &i2ctest.Playback{Ops: []i2ctest.IO{
		{Addr: 0x20, W: []byte{0x04}, R: []byte{0x00, 0x00}},
		{Addr: 0x20, W: []byte{0x0a}, R: []byte{0x00, 0x00}}, // the layout is the one of power-on
		{Addr: 0x20, W: []byte{0x14}, R: []byte{0x00, 0x00}},
		{Addr: 0x20, W: []byte{0x00}, R: []byte{0xff, 0xff}},
		{Addr: 0x20, W: []byte{0x02}, R: []byte{0x00, 0x00}},
	}}
	d, err := mcp23017.New(bus, mcp23017.Opts{Name: "relays", Addr: 0x20})
	if err != nil {
		fmt.Println(err)
		return
	}
	w, err := d.Read(context.Background())
	fmt.Printf("latch %04x, inputs %t, %v\n", w.Latch, w.Direction == chip.AllInputs, err)
	// Output: latch 0000, inputs true, <nil>
}
