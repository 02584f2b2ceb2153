package ads1115_test

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers/chip/ads1115"
)

// A flow sensor of 0 to 60 L/min over 150 ohms, and a leak rope that is pulled up to 3.3 V.
func Example() {
	bus := &i2ctest.Playback{Ops: []i2ctest.IO{
		{Addr: 0x48, W: []byte{0x01}, R: []byte{0x85, 0x83}},
		{Addr: 0x48, W: []byte{0x01, 0xc3, 0xe3}},
		{Addr: 0x48, W: []byte{0x01}, R: []byte{0xc3, 0xe3}},
		{Addr: 0x48, W: []byte{0x00}, R: []byte{0x38, 0x40}},
		{Addr: 0x48, W: []byte{0x01}, R: []byte{0xc3, 0xe3}},
		{Addr: 0x48, W: []byte{0x01, 0xd3, 0xe3}},
		{Addr: 0x48, W: []byte{0x01}, R: []byte{0xd3, 0xe3}},
		{Addr: 0x48, W: []byte{0x00}, R: []byte{0x19, 0xc8}},
	}}
	d, err := ads1115.New(bus, ads1115.Opts{Name: "manifold", Addr: 0x48, Channels: []ads1115.Channel{
		{Input: ads1115.AIN0, Range: ads1115.FSR4096, Rate: ads1115.SPS860},
		{Input: ads1115.AIN1, Range: ads1115.FSR4096, Rate: ads1115.SPS860},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	loop, err := ads1115.NewLoop(ads1115.LoopOpts{Shunt: 150 * physic.Ohm, Range: ads1115.FSR4096, Lo: 0, Hi: 60})
	if err != nil {
		fmt.Println(err)
		return
	}
	rope, err := ads1115.NewRope(ads1115.EqualResistors())
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := d.Sense(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	flow := loop.Read(m.Channels[0])
	litres, ok := flow.Value()
	fmt.Println(flow.Current, flow.State, litres, ok)
	leak := rope.Read(m.Channels[1], 3300*physic.MilliVolt)
	fmt.Println(m.Channels[1].Voltage, leak.State, leak.Fault)
	// Output:
	// 12mA valid 30 true
	// 825mV wet none
}
