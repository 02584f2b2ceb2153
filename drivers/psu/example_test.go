package psu_test

import (
	"fmt"

	"rackagent/drivers/psu"
)

func Example() {
	m, err := psu.LoadModel("ocp-mwocp68")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.Manufacturer, m.Products, m.Nameplate.PoutW, m.Temperatures)

	_, err = psu.ParseModel("mine.yaml", []byte("model: mine\nmay_clear_faults: true\ncolour: red\n"))
	fmt.Println(err)
	// Output:
	// Murata-PS [MWOCP68-3600] 3600 [t1 t2 t3]
	// mine.yaml:3: unknown field "colour"
}
