package pca9548_test

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2ctest"

	"rackagent/drivers/chip/pca9548"
)

// direct stands in for a handle of i2cbus.
type direct struct{ i2c.Bus }

func (d direct) Do(_ context.Context, job func(tx i2c.Bus) error) error { return job(d.Bus) }

func Example() {
	bus := &i2ctest.Playback{Ops: []i2ctest.IO{
		{Addr: 0x70, W: []byte{0x00}},
		{Addr: 0x70, R: []byte{0x00}}, // off, proven
		{Addr: 0x70, W: []byte{0x02}},
		{Addr: 0x70, R: []byte{0x02}}, // channel 1, proven
		{Addr: 0x48, W: []byte{0x00}, R: []byte{0x19, 0x00}},
		{Addr: 0x70, R: []byte{0x02}}, // still channel 1
		{Addr: 0x70, W: []byte{0x00}}, // off
	}}
	mux, err := pca9548.New(direct{bus}, pca9548.Opts{Name: "mux", Addr: 0x70})
	if err != nil {
		fmt.Println(err)
		return
	}
	port, err := mux.Port(1)
	if err != nil {
		fmt.Println(err)
		return
	}
	r := make([]byte, 2)
	err = port.Do(context.Background(), func(tx i2c.Bus) error { return tx.Tx(0x48, []byte{0x00}, r) })
	fmt.Printf("%x %v %v\n", r, err, port)
	// Output: 1900 <nil> pca9548 "mux" channel 1
}
