package pdu

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Source gives the file of a model as it comes with the program.
func Source(name string) ([]byte, error) {
	if !slices.Contains(Shipped(), name) {
		return nil, fmt.Errorf("%w: %q (there is %s)", ErrUnknownModel, name, strings.Join(Shipped(), ", "))
	}
	return shipped.ReadFile(path.Join("models", name+".yaml"))
}
