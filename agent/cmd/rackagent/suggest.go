package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"

	"rackagent/agent/inventory"
	"rackagent/config"
	"rackagent/drivers"
	"rackagent/drivers/board"
	"rackagent/drivers/i2cbus"
	"rackagent/drivers/probe"
)

// suggested is what was found on the buses, and what the configuration could say of it.
type suggested struct {
	Note  string     `json:"note,omitempty"` // why nothing was asked
	Buses []busAsked `json:"buses,omitempty"`
	YAML  string     `json:"yaml,omitempty"` // entries to paste
}

// busAsked is one bus and what answered on it.
type busAsked struct {
	Device    string            `json:"device"`
	Adapter   string            `json:"adapter,omitempty"`
	Parts     []partFound       `json:"parts"`
	LeftAlone map[string]string `json:"left_alone,omitempty"` // address to who has it
	Error     string            `json:"error,omitempty"`      // why it ended early, or did not begin

	found []probe.Found
}

// partFound is one address.
type partFound struct {
	Address    string           `json:"address"`
	Part       string           `json:"part,omitempty"`
	Confidence probe.Confidence `json:"confidence"`
	Why        string           `json:"why"`
}

// suggest asks the buses. agentRuns: it has answered already.
func (c devicesCmd) suggest(ctx context.Context, a *app, hw hardware, adapters []board.Adapter, agentRuns bool) (*suggested, error) {
	chosen, err := c.chosen(adapters)
	if err != nil {
		return nil, err
	}
	conf, note := a.mayAsk(ctx, a.socket(c.Socket), agentRuns)
	if note != "" {
		return &suggested{Note: note}, nil
	}
	taken := takenOn(hw, conf, adapters)
	s := &suggested{}
	for _, b := range chosen {
		s.Buses = append(s.Buses, askBus(ctx, hw, b, taken[rootOf(b, adapters)]))
	}
	s.YAML = proposals{conf: conf, hw: hw, adapters: adapters, buses: s.Buses}.yaml()
	return s, nil
}

// chosen are the buses that --bus names, or all.
func (c devicesCmd) chosen(adapters []board.Adapter) ([]board.Adapter, error) {
	if len(c.Bus) == 0 {
		return adapters, nil
	}
	var out []board.Adapter
	for _, name := range c.Bus {
		i := slices.IndexFunc(adapters, func(b board.Adapter) bool { return b.Path == name || b.Name == name })
		if i < 0 {
			return nil, &failure{err: fmt.Errorf("there is no bus %q", name), hint: "rackagent devices lists the buses of this machine", status: exitUsage}
		}
		out = append(out, adapters[i])
	}
	return out, nil
}

// mayAsk gives the configuration if the buses may be asked, and otherwise says why not. Without a configuration nothing is
// named; with one that has mistakes it cannot be told what is.
func (a *app) mayAsk(ctx context.Context, socket string, agentRuns bool) (*config.Config, string) {
	conf, findings, err := a.load()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		conf = &config.Config{}
	case err != nil || conf == nil || config.HasErrors(findings):
		return nil, "with mistakes in " + a.Config + " it cannot be told which addresses it names; rackagent check shows them"
	}
	if !agentRuns {
		_, agentRuns, err = runningAgent(ctx, socket)
		if err != nil {
			return nil, "whether an agent runs here cannot be told: " + err.Error()
		}
	}
	if agentRuns {
		return nil, "an agent runs here and owns its buses; stop it first, for example: systemctl stop rackagent.socket rackagent.service"
	}
	return conf, ""
}

// channelName is what the kernel calls the channel of a mux (Linux, drivers/i2c/i2c-mux.c).
var channelName = regexp.MustCompile(`^i2c-(\d+)-mux \(chan_id \d+\)$`)

// rootOf names the bus at the root of a tree of muxes that the kernel operates. Everything in the tree may hear everything
// else: a channel stays connected after a transfer unless the device tree says otherwise (i2c-mux-idle-disconnect).
func rootOf(b board.Adapter, all []board.Adapter) string {
	for range all {
		m := channelName.FindStringSubmatch(b.Name)
		if m == nil {
			break
		}
		parent := "/dev/i2c-" + m[1]
		i := slices.IndexFunc(all, func(o board.Adapter) bool { return o.Path == parent })
		if i < 0 {
			return parent
		}
		b = all[i]
	}
	return b.Path
}

// takenOn maps, for the tree of each root, the addresses that are not to be asked to who has them: kernel drivers anywhere
// in the tree, and what the configuration names there. What it names on a bus that is not to be found counts everywhere.
func takenOn(hw hardware, conf *config.Config, adapters []board.Adapter) map[string]map[uint16]string {
	taken := make(map[string]map[uint16]string)
	for _, b := range adapters {
		root := rootOf(b, adapters)
		if taken[root] == nil {
			taken[root] = make(map[uint16]string)
		}
		for addr, driver := range b.Owned {
			taken[root][addr] = "kernel driver " + driver
		}
	}
	for _, p := range named(conf) {
		root, known := "", false
		if place, ok := configuredOn(conf, p.bus); ok {
			if b, err := hw.Find(placeOf(place)); err == nil {
				root, known = rootOf(b, adapters), true
			}
		}
		for r, addrs := range taken {
			if _, ok := addrs[p.addr]; !ok && (!known || r == root) {
				addrs[p.addr] = p.who
			}
		}
	}
	return taken
}

// namedAddr is an address of the configuration.
type namedAddr struct {
	bus  string // empty: not to be told
	addr uint16
	who  string
}

// named lists them. What hangs behind a mux is heard on its bus while the channel is connected.
func named(conf *config.Config) []namedAddr {
	var out []namedAddr
	for _, m := range conf.Muxes {
		out = append(out, namedAddr{conf.BusOf(m.Bus, m.Via), uint16(m.Address), m.Name})
	}
	for _, s := range conf.Sensors {
		if s.Address != 0 {
			out = append(out, namedAddr{conf.BusOf(s.Bus, s.Via), uint16(s.Address), s.Name})
		}
	}
	for _, p := range conf.PDUs {
		m, err := models(conf).Load(p.Model)
		if err != nil {
			continue // a configuration with an unknown model does not come here
		}
		for _, at := range m.Places() {
			out = append(out, namedAddr{conf.BusOf(p.Bus, p.Via), at.Addr, p.Name})
		}
	}
	return out
}

// askBus opens one bus, asks and closes it.
func askBus(ctx context.Context, hw hardware, b board.Adapter, taken map[uint16]string) busAsked {
	out := busAsked{Device: b.Path, Adapter: b.Name, Parts: []partFound{}}
	if b.Err != nil {
		out.Error = b.Err.Error()
		return out
	}
	t, err := hw.Bus(b.Path)
	if err != nil {
		out.Error = err.Error()
		return out
	}
	bus := i2cbus.New(t, i2cbus.Opts{Refuse: b.Owned})
	defer bus.Close()
	for addr, who := range taken {
		if out.LeftAlone == nil {
			out.LeftAlone = make(map[string]string)
		}
		out.LeftAlone[fmt.Sprintf("0x%02x", addr)] = who
	}
	out.found, err = probe.Recognise(ctx, bus.Poll(), func(addr uint16) bool { return taken[addr] != "" })
	if err != nil {
		out.Error = err.Error()
	}
	if errors.Is(err, drivers.Implausible) { // what was read means nothing
		out.found = nil
	}
	for _, f := range out.found {
		out.Parts = append(out.Parts, partFound{Address: fmt.Sprintf("0x%02x", f.Addr), Part: f.Part, Confidence: f.Confidence, Why: f.Why})
	}
	return out
}

// print is for people.
func (s suggested) print(a *app) {
	if s.Note != "" {
		a.printf("Suggestions: none; %s\n", s.Note)
		return
	}
	a.printf("What answers on the buses, asked for identification registers and no more\n")
	for _, b := range s.Buses {
		b.print(a)
	}
	if s.YAML == "" {
		a.printf("Suggestions: none\n")
		return
	}
	a.printf("Suggestions for %s. Lines behind a # are guesses; rackagent check refuses FILL-IN, and 0 for what cannot be 0, until the board's value stands there.\n\n", a.Config)
	_, _ = io.WriteString(a.out, s.YAML)
}

func (b busAsked) print(a *app) {
	a.printf("  %s%s\n", b.Device, quoted(b.Adapter))
	for _, p := range b.Parts {
		a.printf("    %s  %s: %s\n", p.Address, strings.TrimSpace(string(p.Confidence)+" "+p.Part), p.Why)
	}
	if len(b.Parts) == 0 && b.Error == "" {
		a.printf("    nothing else answers\n")
	}
	if len(b.LeftAlone) > 0 {
		a.printf("    left alone: %s\n", b.leftAlone())
	}
	if b.Error != "" {
		a.printf("    not asked to the end: %s\n", b.Error)
	}
}

// leftAlone groups addresses by who has them.
func (b busAsked) leftAlone() string {
	by := make(map[string][]string)
	for addr, who := range b.LeftAlone {
		by[who] = append(by[who], addr)
	}
	var words []string
	for _, who := range slices.Sorted(maps.Keys(by)) {
		slices.Sort(by[who])
		words = append(words, fmt.Sprintf("%s (%s)", strings.Join(by[who], " "), who))
	}
	slices.SortStableFunc(words, func(x, y string) int { return cmp.Compare(x[:4], y[:4]) })
	return strings.Join(words, ", ")
}

// findPart asks what the configuration may say of a part; false where it knows none of that name at that address.
func findPart(name string, addr uint16) (config.Part, bool) {
	p, ok := inventory.Catalogue().Part(name)
	if !ok || p.Kind != config.PartI2C {
		return p, false
	}
	for i := 0; i+1 < len(p.Addresses); i += 2 {
		if addr >= uint16(p.Addresses[i]) && addr <= uint16(p.Addresses[i+1]) {
			return p, true
		}
	}
	return p, false
}
