package tmp75_test

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"rackagent/drivers/chip/tmp75"
)

func Example() {
	bus := &i2ctest.Playback{Ops: []i2ctest.IO{
		{Addr: 0x48, W: []byte{0x01, 0x60}}, // 12 bits
		{Addr: 0x48, W: []byte{0x01}, R: []byte{0x60}},
		{Addr: 0x48, W: []byte{0x00}, R: []byte{0x19, 0x00}},
		{Addr: 0x48, W: []byte{0x01}, R: []byte{0x60}},
	}}
	d, err := tmp75.New(bus, tmp75.Opts{Name: "inlet", Addr: 0x48})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := d.Configure(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	// A real part needs tmp75.Conversion before the first sample means anything.
	m, err := d.Sense(context.Background())
	fmt.Println(m.Temperature, err)
	// Output: 25°C <nil>
}
