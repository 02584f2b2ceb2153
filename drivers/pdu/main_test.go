package pdu

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// The same walks on every run; -rapid.seed=N on the command line takes others.
func TestMain(m *testing.M) {
	for name, value := range map[string]string{"rapid.seed": "9555", "rapid.checks": "500", "rapid.nofailfile": "true"} {
		if err := flag.Set(name, value); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	goleak.VerifyTestMain(m)
}
