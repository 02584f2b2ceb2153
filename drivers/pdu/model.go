package pdu

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"rackagent/drivers/chip/at24"
)

// Model is what a kind of PDU is made of. It never changes after it was read and may be shared.
type Model struct {
	Name         string // as the configuration names it
	Manufacturer string // as the board's memory says
	Product      string // as the board's memory says
	DC           bool   // direct current: no apparent power, no power factor, no frequency
	NominalV     float64
	Settling     time.Duration // of the meters after a change of load
	Outlets      []Outlet      // outlet N at N-1
	Supplies     []Supply      // supply banks with a meter for all their outlets together

	muxes   []muxSpec
	banks   []bankSpec
	eeprom  *eeprom // nil: the board has no memory
	sensors []place
	meters  []meterSpec
}

// Supply is a supply bank with a meter of its own.
type Supply struct {
	Bank   string
	Meter  int     // counted from 0
	NoiseW float64 // what the meter shows with nothing plugged in

	input int
}

// Place is an address that a PDU of a model takes.
type Place struct {
	Addr   uint16
	Behind string // which of its muxes and channels; empty: on its bus, where it always answers
}

// Places lists the addresses that a PDU of this model takes, those on its bus first, each once. A memory takes all that
// it answers to.
func (m *Model) Places() []Place {
	var places []place
	for _, x := range m.muxes {
		places = append(places, place{addr: x.addr, mux: upstream})
	}
	for _, b := range m.banks {
		places = append(places, b.place)
	}
	if m.eeprom != nil {
		for _, addr := range m.eeprom.opts().Addresses() {
			places = append(places, place{addr, m.eeprom.mux, m.eeprom.channel})
		}
	}
	places = append(places, m.sensors...)
	for _, s := range m.meters {
		places = append(places, s.place)
	}
	var out []Place
	for _, p := range places {
		here := Place{Addr: p.addr}
		if p.mux != upstream {
			here.Behind = fmt.Sprintf("%d.%d", p.mux, p.channel)
		}
		if !slices.Contains(out, here) {
			out = append(out, here)
		}
	}
	slices.SortFunc(out, func(a, b Place) int {
		return cmp.Or(cmp.Compare(a.Behind, b.Behind), cmp.Compare(a.Addr, b.Addr))
	})
	return out
}

// Outlet is one outlet of a model.
type Outlet struct {
	N       int // counted from 1
	Bank    string
	RatingA float64
	// Continuous is the share of the rating that may be drawn for long: 0.8 as NEC 210.20 has it, 1 for sockets that are
	// rated for continuous load (IEC 60320-1).
	Continuous float64
	NoiseW     float64 // what the meter shows with nothing plugged in
	Metered    bool
	Meter      int // the meter it hangs on, counted from 0; means nothing unless Metered
	RelayBank  int // the relay bank it hangs on, counted from 0

	input      int    // of the meter
	relay      uint16 // its bit in the relay bank's words
	activeHigh bool   // the level that energises the coil
	contact    contact
}

// contact says what a relay's contact does when its coil is energised. A relay that is not latching falls back to
// the other position when the coil loses its supply. A hot-swap switch has no position at rest: it stays as it is
// while the bus it switches is alive.
type contact string

const (
	normallyOpen   contact = "no" // closes when energised
	normallyClosed contact = "nc" // opens when energised
	hotSwap        contact = "hot-swap"
)

// ClosedAtRest tells what the outlet does without the controller's supply.
func (o Outlet) ClosedAtRest() bool { return o.contact == normallyClosed }

// place is where a chip is found.
type place struct {
	addr    uint16
	mux     int // counted from 0; upstream: before all of them
	channel int // of that mux
}

const upstream = -1

type muxSpec struct {
	addr uint16
	part string
}

type eeprom struct {
	place
	part at24.Part
}

func (e eeprom) opts() at24.Opts { return at24.Opts{Addr: e.addr, Part: e.part} }

// direction is the word that makes every relay's pin of a bank an output and leaves the other pins inputs, where the
// bank's part has such a thing.
func (m *Model) direction(bank int) uint16 {
	var relays uint16
	for _, o := range m.on(bank) {
		relays |= o.relay
	}
	return m.banks[bank].part.direction(relays)
}

// on lists the outlets of a relay bank.
func (m *Model) on(bank int) []Outlet {
	var out []Outlet
	for _, o := range m.Outlets {
		if o.RelayBank == bank {
			out = append(out, o)
		}
	}
	return out
}

// RelayBanks is how many relay banks there are.
func (m *Model) RelayBanks() int { return len(m.banks) }

// Banks lists the names of the groups of outlets that hang on one feed each, sorted.
func (m *Model) Banks() []string {
	var out []string
	for _, o := range m.Outlets {
		out = append(out, o.Bank)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

//go:embed models/*.yaml
var shipped embed.FS

// ErrUnknownModel means that no model of this name comes with the program.
var ErrUnknownModel = errors.New("unknown PDU model")

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
