package poll

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain fixes the seed of the random walks, unless the command line names another, and lets no goroutine
// outlive its test.
func TestMain(m *testing.M) {
	for k, v := range map[string]string{"rapid.seed": "7953", "rapid.checks": "300", "rapid.nofailfile": "true"} {
		if err := flag.Set(k, v); err != nil {
			panic(err)
		}
	}
	flag.Parse()
	goleak.VerifyTestMain(m, goleak.Cleanup(os.Exit))
}
