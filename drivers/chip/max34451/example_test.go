package max34451_test

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2ctest"

	"rackagent/drivers/chip/max34451"
)

// direct stands in for a handle of i2cbus.
type direct struct{ i2c.Bus }

func (d direct) Do(_ context.Context, job func(tx i2c.Bus) error) error { return job(d.Bus) }

func Example() {
	bus := &i2ctest.Playback{Ops: []i2ctest.IO{
		{Addr: 0x36, W: []byte{0x19}, R: []byte{0x20}},
		{Addr: 0x36, W: []byte{0x99}, R: []byte{0x4d}},
		{Addr: 0x36, W: []byte{0x9a}, R: []byte{0x59}},
		{Addr: 0x36, W: []byte{0x9b}, R: []byte{0x12, 0x00}},
	}}
	d, err := max34451.New(direct{bus}, max34451.Opts{Name: "rails", Addr: 0x36})
	if err != nil {
		fmt.Println(err)
		return
	}
	id, err := d.Identify(context.Background())
	fmt.Println(id.Part, id.Version, err)
	// Output: MAX34451 0012 <nil>
}
