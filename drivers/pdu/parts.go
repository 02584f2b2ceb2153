package pdu

import (
	"github.com/goccy/go-yaml"
)

// Role is what a part does on its board.
type Role string

// The roles.
const (
	RoleMux         Role = "mux"
	RoleRelays      Role = "relays"
	RoleMemory      Role = "memory"
	RoleTemperature Role = "temperature"
	RoleMeter       Role = "meter"
)

// Part is one part of a board, for people who look for it.
type Part struct {
	Role Role
	Name string // as the model file has it: tca9555
	Addr uint16
	// Mux and Channel are where the part hangs behind a mux of the board: the place of the mux among those of the board,
	// counted from 0. Mux is -1 for a part on the PDU's own bus.
	Mux, Channel int
	Outlets      []int // of relays and meters: what hangs on them, in order
	Banks        []string
}

// Parts lists the parts that a model file names, muxes first. The file is one that ParseModel takes.
func Parts(data []byte) ([]Part, error) {
	var f modelFile
	if err := yaml.UnmarshalWithOptions(data, &f, yaml.Strict()); err != nil {
		return nil, err
	}
	var out []Part
	add := func(r Role, name string, at place) *Part {
		out = append(out, Part{Role: r, Name: name, Addr: at.addr, Mux: at.mux, Channel: at.channel})
		return &out[len(out)-1]
	}
	for _, e := range f.Buses.Muxes {
		add(RoleMux, e.part(), placeAt(e.Address, nil, nil))
	}
	for i, e := range f.Buses.Relays {
		p := add(RoleRelays, e.part(), placeAt(e.Address, nil, nil))
		p.Outlets = f.outletsWith(func(o outletEntry) bool { return !o.Operation && o.Relays == i })
	}
	if e := f.Buses.FRU; e != nil {
		add(RoleMemory, e.Part, placeAt(e.Address, e.Mux, e.Channel))
	}
	for _, e := range f.Buses.Temperatures {
		add(RoleTemperature, "tmp75", placeAt(e.Address, e.Mux, e.Channel))
	}
	for i, e := range f.Meters {
		p := add(RoleMeter, e.part(), placeAt(e.address(), e.Mux, e.Channel))
		p.Outlets = f.outletsWith(func(o outletEntry) bool { return o.Meter != nil && *o.Meter == i })
		for _, s := range f.Supplies {
			if s.Meter != nil && *s.Meter == i {
				p.Banks = append(p.Banks, s.Bank)
			}
		}
	}
	return out, nil
}

// outletsWith lists the numbers of the outlets for which is holds.
func (f *modelFile) outletsWith(is func(outletEntry) bool) []int {
	var out []int
	for i, o := range f.Outlets {
		if is(o) {
			out = append(out, i+1)
		}
	}
	return out
}

// AtRest says what an outlet does when the controller loses its supply.
type AtRest string

// What they do.
const (
	RestsOpen   AtRest = "opens"
	RestsClosed AtRest = "closes"
	Stays       AtRest = "stays as it is" // a hot-swap switch lives on the bus it switches
)

// AtRest says what the outlet does without the controller's supply.
func (o Outlet) AtRest() AtRest {
	switch o.contact {
	case normallyClosed:
		return RestsClosed
	case hotSwap:
		return Stays
	default:
		return RestsOpen
	}
}

// Proof is what proves that a switch of an outlet happened.
type Proof string

// What it may be, the best first.
const (
	OwnMeter Proof = "its own meter"
	BankStep Proof = "the step of its bank's meter"
	NoProof  Proof = "nothing"
)

// Proof says what proves a switch of an outlet of this model.
func (m *Model) Proof(o Outlet) Proof {
	if o.Metered {
		return OwnMeter
	}
	for _, s := range m.Supplies {
		if s.Bank == o.Bank {
			return BankStep
		}
	}
	return NoProof
}
