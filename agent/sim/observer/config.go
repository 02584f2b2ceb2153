package observer

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"rackagent/agent/rack"
)

// layout is the rack as the configuration and the model files describe it, in the observer's own words.
type layout struct {
	site, agent, client string
	unsigned            bool              // commands without a signature are taken
	keys                map[string]signer // by kid
	users               []user
	roles               map[string]role
	period              time.Duration // between two samples of an outlet
	identity            time.Duration // between two readings of a board's serial
	stagger             time.Duration
	feeds               map[string]feed
	pdus                []*pdu
	nodes               []*node
	groups              map[string][]string // names of nodes
	outlets             map[rack.OutletID]*outlet
}

// feed is one level of the supply.
type feed struct {
	name, parent string
	lines        []string
	volts        float64
	limitA       float64 // per line
}

// pdu is a board on a bus.
type pdu struct {
	name       string
	bus        string // as the world calls it
	serial     string
	noIdentity bool
	fru        uint16 // address of the inventory memory; 0: none
	settling   time.Duration
	banks      []*relays
	supplies   []*supply
	outlets    []*outlet
}

// supply is a supply bank with one meter for all its outlets.
type supply struct {
	name    string
	noiseW  float64
	outlets []*outlet
}

// outlet is one outlet with what switches and measures it.
type outlet struct {
	id             rack.OutletID
	pdu            *pdu
	node           *node // nil: feeds nothing that the configuration names
	feed           string
	bank           *relays
	bit            uint16 // of the part that drives the relay
	activeHigh     bool
	normallyClosed bool
	limitA         float64 // of the socket, for long
	noiseW         float64
	meter          metering
	supply         *supply // whose meter it shares; nil: the meter is its own, or it has none
}

// metering is the part that measures an outlet.
type metering struct {
	chip        string        // what the world calls it, as "pdu-a.meter.2"; empty: none
	mux         string        // the switch before it, as "pdu-a.mux"; empty: none
	integration time.Duration // over how long it adds up one value
}

// node is a load.
type node struct {
	name     string
	firm     bool
	unproven bool // the configuration does not declare the wiring
	outlets  []*outlet
	maxW     float64
	surgeW   float64
	surgeFor time.Duration
	minOff   time.Duration
}

// configYAML holds what the observer needs of a configuration file. Pointers have defaults.
type configYAML struct {
	Site  string `yaml:"site"`
	Agent string `yaml:"agent"`
	MQTT  struct {
		ClientID string `yaml:"client_id"`
	} `yaml:"mqtt"`
	Commands commandsYAML `yaml:"commands"`
	Poll     struct {
		OutletS   *float64 `yaml:"outlet_period_s"`
		IdentityS *float64 `yaml:"identity_period_s"`
	} `yaml:"poll"`
	Power struct {
		StaggerMS *float64 `yaml:"stagger_ms"`
	} `yaml:"power"`
	Buses []struct {
		Name    string `yaml:"name"`
		Device  string `yaml:"device"`
		Adapter string `yaml:"adapter"`
	} `yaml:"buses"`
	Feeds []struct {
		Name       string   `yaml:"name"`
		Parent     string   `yaml:"parent"`
		Lines      []string `yaml:"lines"`
		VoltsV     float64  `yaml:"volts_v"`
		RatingA    float64  `yaml:"rating_a"`
		Continuous *float64 `yaml:"continuous"`
		ShareA     *float64 `yaml:"share_a"`
	} `yaml:"feeds"`
	PDUs []struct {
		Name     string            `yaml:"name"`
		Model    string            `yaml:"model"`
		Bus      string            `yaml:"bus"`
		Serial   string            `yaml:"serial"`
		Identity string            `yaml:"identity"`
		Banks    map[string]string `yaml:"banks"`
	} `yaml:"pdus"`
	Nodes  []nodeYAML `yaml:"nodes"`
	Groups []struct {
		Name  string   `yaml:"name"`
		Nodes []string `yaml:"nodes"`
	} `yaml:"groups"`
}

type nodeYAML struct {
	Name    string   `yaml:"name"`
	Class   string   `yaml:"class"`
	Outlets []string `yaml:"outlets"`
	Wiring  string   `yaml:"wiring"`
	MaxW    float64  `yaml:"max_w"`
	SurgeW  float64  `yaml:"surge_w"`
	SurgeS  float64  `yaml:"surge_s"`
	MinOffS *float64 `yaml:"min_off_s"`
}

// modelYAML holds what the observer needs of a model file.
type modelYAML struct {
	SettlingMS float64 `yaml:"settling_ms"`
	Buses      struct {
		Muxes []struct {
			Address uint16 `yaml:"address"`
		} `yaml:"muxes"`
		Relays []struct {
			Part    string `yaml:"part"`
			Address uint16 `yaml:"address"`
		} `yaml:"relays"`
		FRU struct {
			Address uint16 `yaml:"address"`
		} `yaml:"fru"`
	} `yaml:"buses"`
	Meters []struct {
		Part    string `yaml:"part"`
		Address uint16 `yaml:"address"`
		Mux     int    `yaml:"mux"`
		Channel *int   `yaml:"channel"`
	} `yaml:"meters"`
	Supplies []struct {
		Bank   string  `yaml:"bank"`
		Meter  int     `yaml:"meter"`
		NoiseW float64 `yaml:"noise_w"`
	} `yaml:"supplies"`
	Outlets []outletYAML `yaml:"outlets"`
}

type outletYAML struct {
	Bank       string   `yaml:"bank"`
	Meter      *int     `yaml:"meter"`
	Relays     int      `yaml:"relays"`
	Relay      int      `yaml:"relay"`
	Operation  bool     `yaml:"operation"`
	Active     string   `yaml:"active"`
	Contact    string   `yaml:"contact"`
	RatingA    float64  `yaml:"rating_a"`
	Continuous *float64 `yaml:"continuous"`
	NoiseW     float64  `yaml:"noise_w"`
}

// Defaults of the configuration file, as its commented example gives them.
const (
	defaultPeriodS    = 1.0
	defaultIdentityS  = 300.0
	defaultStaggerMS  = 250.0
	defaultContinuous = 0.8
	defaultOffASICS   = 30.0
	defaultOffGPUS    = 60.0
)

// readLayout reads a configuration and the models it names.
func readLayout(config []byte, models map[string][]byte) (*layout, error) {
	var c configYAML
	if err := yaml.Unmarshal(config, &c); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	l := &layout{
		site: c.Site, agent: c.Agent, client: cmp.Or(c.MQTT.ClientID, c.Agent),
		period:   seconds(given(c.Poll.OutletS, defaultPeriodS)),
		identity: seconds(given(c.Poll.IdentityS, defaultIdentityS)),
		stagger:  seconds(given(c.Power.StaggerMS, defaultStaggerMS) / 1000),
		feeds:    map[string]feed{}, outlets: map[rack.OutletID]*outlet{}, groups: map[string][]string{},
	}
	for _, g := range c.Groups {
		l.groups[g.Name] = g.Nodes
	}
	for _, f := range c.Feeds {
		limit := f.RatingA * given(f.Continuous, defaultContinuous)
		l.feeds[f.Name] = feed{f.Name, f.Parent, f.Lines, f.VoltsV, min(limit, given(f.ShareA, limit))}
	}
	if err := errors.Join(l.addIdentities(c.Commands), l.addPDUs(&c, models)); err != nil {
		return nil, err
	}
	for _, n := range c.Nodes {
		if err := l.addNode(n); err != nil {
			return nil, err
		}
	}
	if l.site == "" || l.agent == "" || len(l.pdus) == 0 {
		return nil, fmt.Errorf("configuration: site, agent or pdus are missing")
	}
	return l, nil
}

func (l *layout) addPDUs(c *configYAML, models map[string][]byte) error {
	for _, p := range c.PDUs {
		raw, ok := models[p.Model]
		if !ok {
			return fmt.Errorf("pdu %s: model %q is not among the evidence", p.Name, p.Model)
		}
		var m modelYAML
		if err := yaml.Unmarshal(raw, &m); err != nil {
			return fmt.Errorf("model %s: %w", p.Model, err)
		}
		u := &pdu{
			name: p.Name, serial: p.Serial, noIdentity: p.Identity != "", fru: m.Buses.FRU.Address,
			settling: seconds(m.SettlingMS / 1000),
		}
		for _, b := range c.Buses {
			if b.Name == p.Bus {
				u.bus = cmp.Or(b.Adapter, b.Device)
			}
		}
		if err := u.build(&m, p.Banks); err != nil {
			return fmt.Errorf("pdu %s, model %s: %w", p.Name, p.Model, err)
		}
		if u.bus == "" || len(u.banks) == 0 {
			return fmt.Errorf("pdu %s: no bus %q, or model %s names no relay part", p.Name, p.Bus, p.Model)
		}
		l.pdus = append(l.pdus, u)
		for _, o := range u.outlets {
			l.outlets[o.id] = o
		}
	}
	return nil
}

// build makes relay banks, outlets and supplies of a model.
func (u *pdu) build(m *modelYAML, feeds map[string]string) error {
	for i, r := range m.Buses.Relays {
		k, known := kindOf(r.Part)
		if !known {
			return fmt.Errorf("nothing is known here of the relay part %q", r.Part)
		}
		u.banks = append(u.banks, &relays{pdu: u, kind: k, addr: r.Address, chip: u.part("bank", i, len(m.Buses.Relays))})
	}
	for i := range m.Outlets {
		if err := u.addOutlet(m, i, feeds); err != nil {
			return fmt.Errorf("outlet %d: %w", i+1, err)
		}
	}
	if len(u.banks) > 1 {
		for i, b := range u.banks {
			b.n = i + 1
		}
	}
	for _, s := range m.Supplies {
		if s.Meter < 0 || s.Meter >= len(m.Meters) {
			return fmt.Errorf("supply %s: no meter %d", s.Bank, s.Meter)
		}
		u.addSupply(m, s.Bank, s.Meter, s.NoiseW)
	}
	return nil
}

// part is what the world calls the i-th of n equal parts.
func (u *pdu) part(kind string, i, n int) string {
	if n == 1 {
		return u.name + "." + kind
	}
	return fmt.Sprintf("%s.%s.%d", u.name, kind, i+1)
}

func (u *pdu) addOutlet(m *modelYAML, i int, feeds map[string]string) error {
	c := m.Outlets[i]
	o := &outlet{
		id: rack.OutletID{PDU: u.name, N: i + 1}, pdu: u, feed: feeds[c.Bank], bit: 1 << c.Relay,
		activeHigh: c.Active != "low", normallyClosed: c.Contact == "nc",
		limitA: c.RatingA * given(c.Continuous, defaultContinuous), noiseW: c.NoiseW,
	}
	if c.Meter != nil {
		if *c.Meter < 0 || *c.Meter >= len(m.Meters) {
			return fmt.Errorf("no meter %d", *c.Meter)
		}
		o.meter = u.metering(m, *c.Meter)
	}
	switch {
	case c.Operation && c.Meter == nil:
		return errors.New("it is switched by its meter, and has none")
	case c.Operation: // each such outlet is a relay bank of its own, behind those of buses.relays
		o.bit = operationOn
		o.bank = &relays{pdu: u, kind: operation, addr: m.Meters[*c.Meter].Address, chip: o.meter.chip}
		u.banks = append(u.banks, o.bank)
	case c.Relays < 0 || c.Relays >= len(m.Buses.Relays):
		return fmt.Errorf("no relay part %d", c.Relays)
	default:
		o.bank = u.banks[c.Relays]
	}
	o.bank.outlets = append(o.bank.outlets, o)
	u.outlets = append(u.outlets, o)
	return nil
}

func (u *pdu) addSupply(m *modelYAML, bank string, meter int, noiseW float64) {
	s := &supply{name: bank, noiseW: noiseW}
	for i, o := range u.outlets {
		if m.Outlets[i].Bank == bank {
			o.supply, o.meter = s, u.metering(m, meter)
			s.outlets = append(s.outlets, o)
		}
	}
	u.supplies = append(u.supplies, s)
}

// metering is the part at a place of the model's list. Its integration is half of the time over which it adds up a value,
// so that each step of a load is seen: the rms values of an ADE7953 settle in 200 ms (data sheet, rev. C), a MCP39F521
// takes four line cycles, 80 ms; an ADM1272 tells the moment.
func (u *pdu) metering(m *modelYAML, i int) metering {
	out := metering{chip: fmt.Sprintf("%s.meter.%d", u.name, i+1), integration: 100 * time.Millisecond}
	switch m.Meters[i].Part {
	case "mcp39f521":
		out.integration = 40 * time.Millisecond
	case "adm1272":
		out.integration = 10 * time.Millisecond
	}
	if m.Meters[i].Channel != nil {
		out.mux = u.part("mux", m.Meters[i].Mux, len(m.Buses.Muxes))
	}
	return out
}

func (l *layout) addNode(c nodeYAML) error {
	n := &node{
		name: c.Name, firm: c.Class != "asic", unproven: c.Wiring != "declared", maxW: c.MaxW, surgeW: c.SurgeW, surgeFor: seconds(c.SurgeS),
	}
	off := defaultOffGPUS
	if c.Class == "asic" {
		off = defaultOffASICS
	}
	n.minOff = seconds(given(c.MinOffS, off))
	for _, s := range c.Outlets {
		id, err := rack.ParseOutletID(s)
		if err != nil {
			return fmt.Errorf("node %s: %w", c.Name, err)
		}
		o := l.outlets[id]
		if o == nil {
			return fmt.Errorf("node %s: no outlet %s", c.Name, id)
		}
		o.node = n
		n.outlets = append(n.outlets, o)
	}
	l.nodes = append(l.nodes, n)
	return nil
}

// levels lists a feed and all above it, nearest first.
func (l *layout) levels(name string) []feed {
	var out []feed
	for range l.feeds {
		f, ok := l.feeds[name]
		if !ok {
			break
		}
		out = append(out, f)
		name = f.parent
	}
	return out
}

// top is the name of the uppermost feed above one.
func (l *layout) top(name string) string {
	if up := l.levels(name); len(up) > 0 {
		return up[len(up)-1].name
	}
	return name
}

// members lists the nodes that a target stands for; those of an outlet are its node, if it has one.
func (l *layout) members(target string) []*node {
	kind, name, _ := strings.Cut(target, "/")
	var out []*node
	for _, n := range l.nodes {
		in := false
		switch kind {
		case "rack":
			in = true
		case "node":
			in = n.name == name
		case "group":
			in = slices.Contains(l.groups[name], n.name)
		case "feed":
			in = slices.ContainsFunc(n.outlets, func(o *outlet) bool {
				return slices.ContainsFunc(l.levels(o.feed), func(f feed) bool { return f.name == name })
			})
		case "outlet":
			in = slices.ContainsFunc(n.outlets, func(o *outlet) bool { return o.id.String() == name })
		}
		if in {
			out = append(out, n)
		}
	}
	return out
}

// firmAmongOthers tells whether a node is firm and a target names it beside one that is not: such a command leaves it out.
func (l *layout) firmAmongOthers(target string, n *node) bool {
	return n != nil && n.firm && slices.ContainsFunc(l.members(target), func(m *node) bool { return !m.firm })
}

func (l *layout) hasFirm() bool {
	for _, n := range l.nodes {
		if n.firm {
			return true
		}
	}
	return false
}

func given(v *float64, otherwise float64) float64 {
	if v == nil {
		return otherwise
	}
	return *v
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// label names an outlet with what hangs on it: "pdu-a.3 (asic-3)".
func (o *outlet) label() string {
	if o.node == nil {
		return o.id.String() + " (no node)"
	}
	return o.id.String() + " (" + o.node.name + ")"
}
