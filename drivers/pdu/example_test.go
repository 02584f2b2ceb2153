package pdu_test

import (
	"fmt"

	"rackagent/drivers/pdu"
)

func ExampleLoadModel() {
	m, err := pdu.LoadModel("ac8")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, o := range m.Outlets[5:7] {
		fmt.Printf("outlet %d: bank %s, %g A, metered %t, closed at rest %t\n", o.N, o.Bank, o.RatingA, o.Metered, o.ClosedAtRest())
	}
	// Output:
	// outlet 6: bank a, 16 A, metered true, closed at rest false
	// outlet 7: bank a, 16 A, metered true, closed at rest true
}
