package psu

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"rackagent/drivers/pmbus"
)

// Model is what a kind of supply may be asked and how its answers are meant. It never changes after it was read and may be
// shared.
type Model struct {
	Name         string   // as the configuration names it
	Manufacturer string   // what MFR_ID must be; empty: any
	Products     []string // what MFR_MODEL must begin with, one of them; none: any
	Temperatures []string // names of READ_TEMPERATURE_1 to 3
	Page         int      // of the readings; -1: the supply has none
	Nameplate    Nameplate

	reads, writes          []pmbus.Command
	texts                  map[pmbus.Command]int // lengths, where known
	checking               pmbus.Checking
	pageDelay, accessDelay time.Duration
	vout                   pmbus.Decode // nil: as VOUT_MODE says
	energy                 *energyScale // nil: no accumulator
}

// Nameplate is what a supply is rated for.
type Nameplate struct {
	VinV, IinA, PinW    float64
	VoutV, IoutA, PoutW float64
	TemperatureC        float64 // the highest a hot spot inside may have
	FanRPM              float64
}

// energyScale is the format of an accumulator.
type energyScale struct {
	linear bool
	power  pmbus.Direct // unless linear
}

func (m *Model) may(c pmbus.Command) bool { return slices.Contains(m.reads, c) }

// sensors counts the temperatures that are read, from READ_TEMPERATURE_1 on.
func (m *Model) sensors() int {
	n := 0
	for n < maxTemperatures && m.may(pmbus.READ_TEMPERATURE_1+pmbus.Command(n)) {
		n++
	}
	return n
}

// profile is what goes to the port.
func (m *Model) profile() pmbus.Profile {
	p := pmbus.Profile{
		Reads: m.reads, Writes: m.writes, Checking: m.checking, PageDelay: m.pageDelay, AccessDelay: m.accessDelay,
	}
	if m.Page >= 0 {
		p.Pages = []byte{byte(m.Page)}
	}
	return p
}

// Accumulator describes READ_EIN and READ_EOUT. It is false for a supply without.
func (m *Model) Accumulator() (pmbus.Accumulator, bool) {
	if m.energy == nil {
		return pmbus.Accumulator{}, false
	}
	highest := overload * m.Nameplate.PinW
	if m.energy.linear {
		return pmbus.Accumulator{Modulus: pmbus.LinearModulus, RollOvers: 256, Full: highest, Linear: true}, true
	}
	return pmbus.Accumulator{Modulus: 0x8000, RollOvers: 256, Full: m.energy.power.Code(highest)}, true
}

// MeanPower converts the mean power code of a pmbus.Meter to watts. It is false for a supply without accumulator.
func (m *Model) MeanPower(code float64) (float64, bool) {
	switch {
	case m.energy == nil:
		return 0, false
	case m.energy.linear:
		return code, true
	default:
		return m.energy.power.Value(code)
	}
}

//go:embed models/*.yaml
var shipped embed.FS

// ErrUnknownModel means that no model of this name comes with the program.
var ErrUnknownModel = errors.New("unknown PSU model")

// Shipped lists the models that come with the program, sorted.
func Shipped() []string {
	files, _ := fs.Glob(shipped, "models/*.yaml") // the pattern is well-formed, and Glob reports nothing else
	names := make([]string, 0, len(files))
	for _, f := range files {
		names = append(names, strings.TrimSuffix(path.Base(f), ".yaml"))
	}
	return names
}

// LoadModel reads a model that comes with the program.
func LoadModel(name string) (*Model, error) {
	if !slices.Contains(Shipped(), name) {
		return nil, fmt.Errorf("%w: %q (there is %s)", ErrUnknownModel, name, strings.Join(Shipped(), ", "))
	}
	file := name + ".yaml"
	data, err := shipped.ReadFile(path.Join("models", file))
	if err != nil {
		return nil, err
	}
	m, err := ParseModel(file, data)
	if err == nil && m.Name != name {
		return nil, fmt.Errorf("%s: model is named %q", file, m.Name)
	}
	return m, err
}
