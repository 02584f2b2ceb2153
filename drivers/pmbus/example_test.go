package pmbus_test

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"rackagent/drivers/pmbus"
)

func Example() {
	bus := &i2ctest.Playback{Ops: []i2ctest.IO{
		{Addr: 0x58, W: []byte{0x19}, R: []byte{0x30}}, // CAPABILITY: no packet error checking
		{Addr: 0x58, W: []byte{0x88}, R: []byte{0xcc, 0xf9}},
		{Addr: 0x58, W: []byte{0x89}, R: []byte{0x00, 0xf8}},
	}}
	p, err := pmbus.New(bus, "psu", "left", 0x58, pmbus.Profile{
		Reads: []pmbus.Command{pmbus.CAPABILITY, pmbus.READ_VIN, pmbus.READ_IIN},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	if err := p.Negotiate(ctx); err != nil {
		fmt.Println(err)
		return
	}
	s := p.Series(ctx, "read")
	vin, iin := s.Voltage(pmbus.READ_VIN, pmbus.Linear11), s.Current(pmbus.READ_IIN, pmbus.Linear11)
	if s.Err() != nil {
		fmt.Println(s.Err())
		return
	}
	fmt.Println(vin.Value, iin.Value)
	fmt.Println(p.Send(ctx, pmbus.CLEAR_FAULTS))
	// Output:
	// 230V 0A
	// psu "left": write CLEAR_FAULTS: unsupported: not in the part's list of writes
}

func ExampleMeter() {
	a := pmbus.Accumulator{Modulus: 0x8000, RollOvers: 256, Full: 0x0fff}
	before, _ := a.Parse([]byte{0x10, 0x7f, 0xfe, 0x00, 0x00, 0x01})
	after, _ := a.Parse([]byte{0x20, 0x01, 0x01, 0x00, 0x04, 0x01})
	energy, samples := a.Delta(before, after)
	fmt.Println(energy, samples, float64(energy)/float64(samples))
	// Output: 66064 1024 64.515625
}
