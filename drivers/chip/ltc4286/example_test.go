package ltc4286_test

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"rackagent/drivers/chip/ltc4286"
)

func Example() {
	bus := &i2ctest.Playback{Ops: []i2ctest.IO{
		{Addr: 0x41, W: []byte{0x19}, R: []byte{0x00}},
		{Addr: 0x41, W: []byte{0x99}, R: []byte("\x03LTC")},
		{Addr: 0x41, W: []byte{0x9a}, R: []byte("\x07LTC4286")},
		{Addr: 0x41, W: []byte{0xf2}, R: []byte{0x02, 0x00}}, // 102.4 V
		{Addr: 0x41, W: []byte{0x79}, R: []byte{0x00, 0x00}},
		{Addr: 0x41, W: []byte{0x88}, R: []byte{0x00, 0x3c}},
		{Addr: 0x41, W: []byte{0x8b}, R: []byte{0x00, 0x3c}},
		{Addr: 0x41, W: []byte{0x8c}, R: []byte{0x00, 0x78}},
		{Addr: 0x41, W: []byte{0x97}, R: []byte{0x40, 0x38}},
		{Addr: 0x41, W: []byte{0x8d}, R: []byte{0x3e, 0x01}},
		{Addr: 0x41, W: []byte{0xf2}, R: []byte{0x02, 0x00}},
	}}
	d, err := ltc4286.New(bus, ltc4286.Opts{Name: "shelf", Addr: 0x41, Part: ltc4286.LTC4286, ShuntOhm: 0.0003})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	if _, err := d.Identify(ctx); err != nil {
		fmt.Println(err)
		return
	}
	m, err := d.Sense(ctx)
	fmt.Println(m.VIN.Value, m.IOUT.Value, m.PIN.Value, m.Temperature.Value, err)
	// Output: 48V 100A 4.800kW 45°C <nil>
}
