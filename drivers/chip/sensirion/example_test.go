package sensirion_test

import (
	"fmt"

	"rackagent/drivers/chip/sensirion"
)

func ExampleWords() {
	words, err := sensirion.Words([]byte{0x66, 0x66, 0x93, 0xbe, 0xef, 0x92})
	fmt.Printf("%04x %v\n", words, err)
	_, err = sensirion.Words([]byte{0x66, 0x67, 0x93})
	fmt.Println(err)
	// Output:
	// [6666 beef] <nil>
	// word 1: CRC of 66 67 is a2, not 93
}
