package hwmon_test

import (
	"context"
	"fmt"
	"testing/fstest"

	"rackagent/drivers/hwmon"
)

// A thermometer that the kernel's driver lm75 owns. On a board the tree is os.DirFS("/sys").
func Example() {
	sysfs := fstest.MapFS{
		"class/hwmon/hwmon0/name":        {Data: []byte("lm75\n")},
		"class/hwmon/hwmon0/temp1_input": {Data: []byte("31500\n")},
	}
	inlet, err := hwmon.New(sysfs, hwmon.Opts{Name: "inlet", Chip: "lm75"})
	if err != nil {
		fmt.Println(err)
		return
	}
	channels, err := inlet.Sense(context.Background())
	for _, c := range channels {
		fmt.Println(c.Kind, c.N, c.Value, c.Fault)
	}
	fmt.Println(err)
	// Output:
	// temp 1 31.5 none
	// <nil>
}
