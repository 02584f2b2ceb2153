package wire

import (
	"flag"
	"os"
	"testing"
)

// TestMain fixes the seed of random tests, so that a failure is the same for everybody.
func TestMain(m *testing.M) {
	flag.Parse()
	for name, value := range map[string]string{"rapid.seed": "20261122", "rapid.nofailfile": "true"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
