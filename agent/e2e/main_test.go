//go:build e2e

package e2e

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain makes the test binary an agent where a test has started it for that.
func TestMain(m *testing.M) {
	if file := os.Getenv(envAgent); file != "" {
		os.Exit(live(file))
	}
	goleak.VerifyTestMain(m)
}
