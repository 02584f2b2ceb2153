package pca9552_test

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"rackagent/drivers/chip/pca9552"
)

func Example() {
	// In a program this is a handle of i2cbus.
	bus := &i2ctest.Playback{Ops: []i2ctest.IO{
		{Addr: 0x60, W: []byte{0x16, 0x14, 0x55, 0x55, 0x55}}, // pins 0 and 3 low, all others released
		{Addr: 0x60, W: []byte{0x16}, R: []byte{0x14, 0x55, 0x55, 0x55}},
	}}
	d, err := pca9552.New(bus, pca9552.Opts{Name: "relays", Addr: 0x60})
	if err != nil {
		fmt.Println(err)
		return
	}
	w, err := d.WriteLatch(context.Background(), 0xfff6)
	fmt.Printf("%04x proven %t, %v\n", w.Word, !w.Read.IsZero(), err)
	// Output: fff6 proven true, <nil>
}
