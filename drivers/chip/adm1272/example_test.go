package adm1272_test

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"rackagent/drivers/chip/adm1272"
)

func Example() {
	// What a part says; in a program this is a handle of i2cbus.
	bus := &i2ctest.Playback{Ops: []i2ctest.IO{
		{Addr: 0x10, W: []byte{0x19}, R: []byte{0x30}},
		{Addr: 0x10, W: []byte{0x99}, R: []byte("\x03ADI")},
		{Addr: 0x10, W: []byte{0x9a}, R: []byte("\x0aADM1272-A1")},
		{Addr: 0x10, W: []byte{0xd4}, R: []byte{0x35, 0x3f}}, // 100 V, 30 mV
		{Addr: 0x10, W: []byte{0x01}, R: []byte{0x80}},
		{Addr: 0x10, W: []byte{0x01, 0x00}},
		{Addr: 0x10, W: []byte{0x01}, R: []byte{0x00}},
	}}
	d, err := adm1272.New(bus, adm1272.Opts{Name: "outlet 1", Addr: 0x10, Part: adm1272.ADM1272, ShuntOhm: 0.0005})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	id, err := d.Identify(ctx)
	fmt.Println(id.Product, err)
	on, err := d.ReadOperation(ctx)
	fmt.Println(on, err)
	w, err := d.WriteOperation(ctx, false)
	fmt.Println(w.At.IsZero(), err)
	// Output:
	// ADM1272-A1 <nil>
	// true <nil>
	// false <nil>
}
