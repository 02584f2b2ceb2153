package main

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"rackagent/config"
	"rackagent/drivers/board"
	"rackagent/drivers/pdu"
	"rackagent/drivers/probe"
	"rackagent/drivers/psu"
)

// fillIn stands where a value is needed that no bus can tell. Capitals are in no name, so that the configuration's check
// refuses it. For numbers it is 0, which the check refuses too.
const fillIn = "FILL-IN"

// proposals makes entries of what was found.
type proposals struct {
	conf     *config.Config
	hw       hardware
	adapters []board.Adapter
	buses    []busAsked

	names map[string]bool // in use, of PDUs and sensors
}

// entry is one item of a list, as its lines.
type entry struct {
	lines []string
	guess string // why it is behind #; empty: it is not
}

// yaml gives the sections to paste; empty: there is nothing to say.
func (p proposals) yaml() string {
	p.names = make(map[string]bool)
	for _, x := range p.conf.PDUs {
		p.names[x.Name] = true
	}
	for _, x := range p.conf.Sensors {
		p.names[x.Name] = true
	}
	var buses, pdus, sensors []entry
	for i, b := range p.buses {
		name, known := p.busName(b)
		boards, theirs := p.boards(i, name)
		parts := p.sensors(i, name, theirs)
		if all := slices.Concat(boards, parts); len(all) > 0 && !known {
			e := entry{lines: []string{fmt.Sprintf("- {name: %s, %s}", name, p.placeOf(b))}}
			if !slices.ContainsFunc(all, func(e entry) bool { return e.guess == "" }) {
				e.guess = "needed by guesses alone"
			}
			buses = append(buses, e)
		}
		pdus, sensors = append(pdus, boards...), append(sensors, parts...)
	}
	lists := section("buses", buses, len(p.conf.Buses) > 0) + section("pdus", pdus, len(p.conf.PDUs) > 0) + section("sensors", sensors, len(p.conf.Sensors) > 0)
	if lists == "" {
		return ""
	}
	return p.connected() + lists
}

// connected warns of muxes that may have a channel connected: what hangs behind it answers on the bus as if it were there.
func (p proposals) connected() string {
	const first, last = 0x70, 0x77 // where muxes are
	var b strings.Builder
	for _, on := range p.buses {
		for _, f := range on.found {
			if f.Addr >= first && f.Addr <= last && f.Read != 0 {
				fmt.Fprintf(&b, "# CAREFUL: 0x%02x on %s reads %02x. If it is a mux, channels are connected, and what is found may hang behind them: via, not bus.\n", f.Addr, on.Device, f.Read)
			}
		}
	}
	return b.String()
}

// section writes a list. Its name is behind # where all of it is guesses, since a list without items is a mistake, and where
// the configuration has such a list already.
func section(name string, list []entry, exists bool) string {
	if len(list) == 0 {
		return ""
	}
	var b strings.Builder
	switch {
	case exists:
		fmt.Fprintf(&b, "# %s:   # the list that is there gets these items too\n", name)
	case !slices.ContainsFunc(list, func(e entry) bool { return e.guess == "" }):
		fmt.Fprintf(&b, "# %s:\n", name)
	default:
		fmt.Fprintf(&b, "%s:\n", name)
	}
	for _, e := range list {
		hash := ""
		if e.guess != "" {
			fmt.Fprintf(&b, "  # a guess: %s\n", e.guess)
			hash = "# "
		}
		for _, l := range e.lines {
			if text, ok := strings.CutPrefix(l, "# "); ok {
				fmt.Fprintf(&b, "  # %s\n", text)
				continue
			}
			fmt.Fprintf(&b, "  %s%s\n", hash, l)
		}
	}
	return b.String()
}

// busName is what the configuration calls a bus, or a new name.
func (p proposals) busName(b busAsked) (name string, known bool) {
	used := map[string]bool{}
	for _, c := range p.conf.Buses {
		used[c.Name] = true
		if a, err := p.hw.Find(placeOf(c)); err == nil && a.Path == b.Device {
			return c.Name, true
		}
	}
	return free(used, plainName(path.Base(b.Device))), false
}

// placeOf names a bus by its adapter, whose number may change, or by its device where the name says too little.
func (p proposals) placeOf(b busAsked) string {
	same := 0
	for _, a := range p.adapters {
		if a.Name == b.Adapter {
			same++
		}
	}
	if b.Adapter == "" || same != 1 {
		return "device: " + strconv.Quote(b.Device)
	}
	return fmt.Sprintf("adapter: %s", strconv.Quote(b.Adapter))
}

// notInNames is what a name may not have.
var notInNames = regexp.MustCompile(`[^a-z0-9-]+`)

// longestName is the longest name that leaves room for a number behind it (config: 23 characters).
const longestName = 20

func plainName(s string) string {
	s = notInNames.ReplaceAllString(strings.ToLower(s), "-")
	return s[:min(len(s), longestName)]
}

// free takes a name that is not in use.
func free(used map[string]bool, name string) string {
	got := name
	for n := 2; used[got]; n++ {
		got = fmt.Sprintf("%s-%d", name, n)
	}
	used[got] = true
	return got
}

// twice tells on which other bus of the same tree the same part answers at the same address: which of the buses it hangs on
// cannot be told, since they share wires.
func (p proposals) twice(i int, f probe.Found) string {
	rootAt := func(i int) string {
		for _, a := range p.adapters {
			if a.Path == p.buses[i].Device {
				return rootOf(a, p.adapters)
			}
		}
		return p.buses[i].Device
	}
	var others []string
	for k, b := range p.buses {
		if k == i || rootAt(k) != rootAt(i) {
			continue
		}
		for _, g := range b.found {
			if g == f {
				others = append(others, b.Device)
			}
		}
	}
	if len(others) == 0 {
		return ""
	}
	return fmt.Sprintf("it answers on %s and on %s, which share wires: keep the one it hangs on", p.buses[i].Device, strings.Join(others, ", "))
}

// boards proposes PDUs for the boards' memories on a bus, and lists the addresses that belong to those boards.
func (p proposals) boards(i int, bus string) (out []entry, theirs map[uint16]bool) {
	theirs = make(map[uint16]bool)
	for _, f := range p.buses[i].found {
		if f.Part != probe.PartMemory || f.Confidence != probe.Identified {
			continue
		}
		m, parts, ok := modelOf(f.Ident.Manufacturer, f.Ident.Product)
		if !ok {
			continue
		}
		guess := cmp.Or(p.doubt(f, m, parts, len(out) > 0), p.silence(i, f, m), p.twice(i, f))
		for _, at := range m.Places() { // those behind its muxes answer, too, while a channel is connected
			theirs[at.Addr] = true
		}
		out = append(out, entry{lines: p.board(bus, f, m), guess: guess})
	}
	return out, theirs
}

// modelOf finds the model of a board by what its memory says.
func modelOf(manufacturer, product string) (*pdu.Model, []pdu.Part, bool) {
	for _, name := range pdu.Shipped() {
		m, err := pdu.LoadModel(name)
		if err != nil || m.Manufacturer != manufacturer || m.Product != product {
			continue
		}
		data, err := pdu.Source(name)
		if err != nil {
			continue
		}
		parts, err := pdu.Parts(data)
		return m, parts, err == nil
	}
	return nil, nil, false
}

// serialRule is what the configuration takes for a serial.
var serialRule = regexp.MustCompile(`^[!-~]([ -~]{0,61}[!-~])?$`)

// doubt says why a board is not what its memory says, or cannot be used as it is.
func (p proposals) doubt(f probe.Found, m *pdu.Model, parts []pdu.Part, second bool) string {
	here := slices.ContainsFunc(parts, func(x pdu.Part) bool {
		return x.Role == pdu.RoleMemory && x.Mux < 0 && x.Addr == f.Addr
	})
	known := slices.IndexFunc(p.conf.PDUs, func(c config.PDU) bool { return c.Serial == f.Ident.Serial })
	switch {
	case !here:
		return fmt.Sprintf("a board of model %s has its memory at another address than 0x%02x", m.Name, f.Addr)
	case !serialRule.MatchString(f.Ident.Serial):
		return "the memory holds no serial that can be used; the label may"
	case known >= 0:
		return "the configuration has this serial already, as " + p.conf.PDUs[known].Name
	case second:
		return "a second board on this bus, whose parts have the same addresses"
	default:
		return ""
	}
}

// board writes a PDU.
func (p proposals) board(bus string, f probe.Found, m *pdu.Model) []string {
	lines := []string{
		fmt.Sprintf("# the memory at 0x%02x says: %q %q, serial %q", f.Addr, f.Ident.Manufacturer, f.Ident.Product, f.Ident.Serial),
		"- name: " + p.nextPDU(),
		"  model: " + m.Name,
		"  bus: " + bus,
		"  serial: " + strconv.Quote(f.Ident.Serial),
		"  banks:   # of the board, each with the feed it hangs on; the feeds stand in the list feeds",
	}
	for _, b := range m.Banks() {
		lines = append(lines, fmt.Sprintf("    %s: %s", b, fillIn))
	}
	return lines
}

// silence says at which of the addresses that a board should have nothing answers.
func (p proposals) silence(i int, f probe.Found, m *pdu.Model) string {
	var silent []string
	for _, at := range m.Places() {
		hex := fmt.Sprintf("0x%02x", at.Addr)
		asked := at.Behind == "" && !probe.Untouchable(at.Addr) && p.buses[i].LeftAlone[hex] == ""
		if asked && !slices.ContainsFunc(p.buses[i].found, func(g probe.Found) bool { return g.Addr == at.Addr && g.Confidence != probe.Failed }) {
			silent = append(silent, hex)
		}
	}
	if len(silent) == 0 {
		return ""
	}
	return fmt.Sprintf("nothing answers at %s, where a board of model %s has parts", strings.Join(silent, ", "), m.Name)
}

// nextPDU is a name for a PDU: pdu-a, pdu-b, and so on.
func (p proposals) nextPDU() string {
	for c := 'a'; c <= 'z'; c++ {
		if name := fmt.Sprintf("pdu-%c", c); !p.names[name] {
			p.names[name] = true
			return name
		}
	}
	return free(p.names, "pdu")
}

// sensors proposes entries for the other parts of a bus.
func (p proposals) sensors(i int, bus string, theirs map[uint16]bool) []entry {
	var out []entry
	for _, f := range p.buses[i].found {
		if theirs[f.Addr] || f.Part == "" || f.Part == probe.PartMemory {
			continue
		}
		part, keys, guess := f.Part, "", ""
		if f.Part == probe.PartPMBus {
			if keys, guess = supply(f); keys == "" {
				continue
			}
			part = "psu"
		}
		about, ok := findPart(part, f.Addr)
		if !ok {
			continue
		}
		if f.Confidence != probe.Identified {
			guess = f.Why
		}
		if guess == "" {
			guess = p.twice(i, f)
		}
		if keys == "" {
			keys = needed(about)
		}
		out = append(out, entry{
			lines: []string{fmt.Sprintf("- {name: %s, part: %s, bus: %s, address: 0x%02x%s}   # %s", free(p.names, fmt.Sprintf("%s-%02x", part, f.Addr)), part, bus, f.Addr, keys, reasonFor(f))},
			guess: guess,
		})
	}
	return out
}

// reasonFor is why, for the end of a line.
func reasonFor(f probe.Found) string {
	if f.Confidence != probe.Identified {
		return string(f.Confidence) + " it"
	}
	return f.Why
}

// needed writes the keys that a part cannot do without, with values that the check refuses.
func needed(about config.Part) string {
	var b strings.Builder
	for _, k := range about.Needs {
		if k != "inputs" {
			fmt.Fprintf(&b, ", %s: 0", k)
			continue
		}
		fmt.Fprintf(&b, ", inputs: [{input: 1, label: %s", fillIn)
		for _, k := range about.InputKeys {
			value := "0"
			if k == "measure" {
				value = fillIn
			}
			fmt.Fprintf(&b, ", %s: %s", k, value)
		}
		b.WriteString("}]")
	}
	return b.String()
}

// supply finds the profile of a power supply; keys is empty where there is none.
func supply(f probe.Found) (keys, guess string) {
	const first, last = 0x58, 0x5f // where power supplies are
	if f.Addr < first || f.Addr > last {
		return "", ""
	}
	general := ""
	for _, name := range psu.Shipped() {
		m, err := psu.LoadModel(name)
		if err != nil {
			continue
		}
		begins := func(p string) bool { return strings.HasPrefix(f.Ident.Product, p) }
		switch {
		case m.Manufacturer == "" && len(m.Products) == 0:
			general = name
		case m.Manufacturer == f.Ident.Manufacturer && slices.ContainsFunc(m.Products, begins):
			return ", profile: " + name, ""
		}
	}
	if general == "" {
		return "", ""
	}
	return ", profile: " + general, fmt.Sprintf("no profile is made for this supply, and %s is what most have in common", general)
}
