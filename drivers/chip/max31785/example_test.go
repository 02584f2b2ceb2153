package max31785_test

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2ctest"

	"rackagent/drivers/chip/max31785"
)

// direct stands in for a handle of i2cbus.
type direct struct{ i2c.Bus }

func (d direct) Do(_ context.Context, job func(tx i2c.Bus) error) error { return job(d.Bus) }

func Example() {
	bus := &i2ctest.Playback{Ops: []i2ctest.IO{
		{Addr: 0x52, W: []byte{0x19}, R: []byte{0x10}},
		{Addr: 0x52, W: []byte{0x9b}, R: []byte{0x61, 0x30}},
	}}
	d, err := max31785.New(direct{bus}, max31785.Opts{Name: "fans", Addr: 0x52, Temperatures: []byte{6, 7}})
	if err != nil {
		fmt.Println(err)
		return
	}
	id, err := d.Identify(context.Background())
	fmt.Println(id.Part, err)
	// Output: MAX31785A <nil>
}
