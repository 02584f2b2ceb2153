package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMutantsAreUpToDate finds each line that a mutant breaks exactly once, so that `.ci/run long` does not stop at one.
func TestMutantsAreUpToDate(t *testing.T) {
	all := mutants()
	if len(all) < 15 {
		t.Errorf("%d mutants", len(all))
	}
	for _, m := range all {
		b, err := os.ReadFile(filepath.Join("..", "..", "..", m.file))
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
			continue
		}
		if n := strings.Count(string(b), m.old); n != 1 || m.old == m.new || len(m.tests) == 0 {
			t.Errorf("%s: %s holds its line %d times", m.name, m.file, n)
		}
	}
}
