package sim

import (
	"context"
	"fmt"
	"net"
	"time"

	"rackagent/drivers/drivertest/miners"
	"rackagent/drivers/drivertest/miners/antminer"
	"rackagent/drivers/drivertest/miners/braiins"
	"rackagent/drivers/drivertest/miners/luxos"
	"rackagent/drivers/drivertest/miners/whatsminer"
)

// Unit is a miner with an interface, by its node's name and its firmware's, as a configuration names it.
type Unit struct{ Node, API string }

// Herd is what stands on the miners' network of a rack: units that draw what their firmware lets them. Unit n, counted from 1,
// has the address 10.0.3.n.
type Herd struct {
	Units []Unit
	of    map[string]*reared
	at    map[string]*reared // by address
}

// reared is one unit with its parts.
type reared struct {
	load    *ASIC
	machine *miners.Machine
	host    *miners.Host
	writes  func() int
	weaken  func()
}

// NewHerd makes units. spec gives what each is built like; the weakest of its profiles comes first.
func NewHerd(units []Unit, spec func(n int) miners.Spec) (*Herd, error) {
	h := &Herd{Units: units, of: map[string]*reared{}, at: map[string]*reared{}}
	for i, u := range units {
		m := miners.New(spec(i + 1))
		r := &reared{machine: m, host: miners.NewHost(m), load: &ASIC{Name: u.Node, Machine: m}}
		r.weaken = func() { m.Keep(m.Spec().Profiles[0]) }
		if err := r.serve(u.API); err != nil {
			return nil, fmt.Errorf("unit %s: %w", u.Node, err)
		}
		h.of[u.Node], h.at[h.Address(i+1)] = r, r
	}
	return h, nil
}

// serve puts a firmware on the unit.
func (r *reared) serve(api string) error {
	switch api {
	case "antminer":
		s := antminer.New(r.machine, r.host, antminer.Opts{Modes: map[int]string{0: "high", 2: "normal", 3: "low"}})
		r.load.Power = func(on bool) { r.machine.Mains(on, s.Asleep()) }
		r.weaken = func() { s.SetMode(3) }
		r.writes = func() int { return len(s.Writes()) }
	case "braiins":
		s := braiins.New(r.machine, r.host, braiins.Opts{})
		r.load.Power = s.Mains
		r.weaken = func() { s.SetTarget(int(r.machine.Spec().Profiles[0].W)) }
		r.writes = func() int { return len(s.Writes()) }
	case "luxos":
		s := luxos.New(r.machine, r.host)
		r.load.Power = s.Mains
		r.writes = func() int { return len(s.Writes()) }
	case "whatsminer-v2", "whatsminer-v3":
		s := whatsminer.New(r.machine, r.host, whatsminer.Opts{V2: api == "whatsminer-v2", V3: api == "whatsminer-v3", Unlocked: true})
		r.writes = func() int { return len(s.Writes()) }
	default:
		return fmt.Errorf("no simulated firmware %q", api)
	}
	return nil
}

// ThreeModes is a unit of so many watts with the three modes that most firmwares know.
func ThreeModes(n int, watts float64, boot, ramp time.Duration) miners.Spec {
	return miners.Spec{
		Model: "M56S_VH30", MAC: MACOf(n), Serial: fmt.Sprintf("HTM%04d", n),
		NominalTHs: 120, NominalW: watts, StandbyW: 20, Boot: boot, Ramp: ramp, Fall: 2 * time.Second,
		Profiles: []miners.Profile{{Name: "low", W: 0.7 * watts, THs: 90}, {Name: "normal", W: 0.94 * watts, THs: 112}, {Name: "high", W: watts, THs: 120}},
	}
}

// MACOf is the MAC address of unit n.
func MACOf(n int) string { return fmt.Sprintf("02:00:5e:00:00:%02x", n) }

// Address is where unit n is, counted from 1.
func (h *Herd) Address(n int) string { return fmt.Sprintf("10.0.3.%d", n) }

// Plug puts the units where a rack has plain miners of the same names.
func (h *Herd) Plug(c *Config) {
	for i, p := range c.Loads {
		if r := h.of[p.Load.Plate().Name]; r != nil {
			c.Loads[i].Load = r.load
		}
	}
}

// Dial connects to a port of a unit.
func (h *Herd) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	r := h.at[name]
	if r == nil {
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Net: network, Err: context.Cause(ctx)}
	}
	return r.host.Dial(ctx, network, address)
}

// Load, Machine and Host are the parts of a unit; Writes is how many requests that could change something it has had.
func (h *Herd) Load(node string) *ASIC { return h.of[node].load }

// Machine is what the unit really does.
func (h *Herd) Machine(node string) *miners.Machine { return h.of[node].machine }

// Host is its place on the network.
func (h *Herd) Host(node string) *miners.Host { return h.of[node].host }

// Writes counts the requests to it that could change something.
func (h *Herd) Writes(node string) int { return h.of[node].writes() }

// Weaken sets a unit to its weakest mode, as its owner would.
func (h *Herd) Weaken(node string) { h.of[node].weaken() }

// Close ends all that serves them.
func (h *Herd) Close() {
	for _, r := range h.of {
		r.host.Close()
	}
}
