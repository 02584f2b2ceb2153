package psu

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"rackagent/drivers/pmbus"
)

// Source gives the file of a model as it comes with the program.
func Source(name string) ([]byte, error) {
	if !slices.Contains(Shipped(), name) {
		return nil, fmt.Errorf("%w: %q (there is %s)", ErrUnknownModel, name, strings.Join(Shipped(), ", "))
	}
	return shipped.ReadFile(path.Join("models", name+".yaml"))
}

// Reads lists the commands that a supply of this model is asked, in the file's order.
func (m *Model) Reads() []pmbus.Command { return slices.Clone(m.reads) }

// Writes lists those that may write something.
func (m *Model) Writes() []pmbus.Command { return slices.Clone(m.writes) }

// Checking is whether its transfers carry a packet error code.
func (m *Model) Checking() pmbus.Checking { return m.checking }
