package probe_test

import (
	"context"
	"fmt"

	"rackagent/drivers/drivertest"
	"rackagent/drivers/i2cbus"
	"rackagent/drivers/probe"
)

func Example() {
	bus := drivertest.NewBus("sim", drivertest.BusOpts{})
	bus.Attach("relays", 0x20, drivertest.NewPCA9554(nil))
	bus.Attach("exhaust", 0x4c, drivertest.NewTMP422(nil, 25, 40, 45))
	owner := i2cbus.New(bus, i2cbus.Opts{})
	defer owner.Close()

	found, err := probe.Recognise(context.Background(), owner.Poll(), func(addr uint16) bool { return addr == 0x48 })
	for _, f := range found {
		fmt.Printf("0x%02x: %s %q\n", f.Addr, f.Confidence, f.Part)
	}
	fmt.Println(err)
	// Output:
	// 0x20: answers ""
	// 0x4c: identified "tmp422"
	// <nil>
}
