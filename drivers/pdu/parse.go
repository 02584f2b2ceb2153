package pdu

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"rackagent/drivers/chip/ade7953"
	"rackagent/drivers/chip/at24"
)

// modelFile is a model as it is written. models/schema.json says the same for editors. Pointers tell a key that is
// missing from one that is 0.
type modelFile struct {
	Model        string        `yaml:"model"`
	Manufacturer string        `yaml:"manufacturer"`
	Product      string        `yaml:"product"`
	Current      string        `yaml:"current"` // "ac" or "dc"; empty: ac
	NominalV     float64       `yaml:"nominal_v"`
	SettlingMS   int           `yaml:"settling_ms"`
	Buses        busesEntry    `yaml:"buses"`
	Meters       []meterEntry  `yaml:"meters"`
	Supplies     []supplyEntry `yaml:"supplies"`
	Outlets      []outletEntry `yaml:"outlets"`
}

type busesEntry struct {
	Muxes        []muxEntry   `yaml:"muxes"`
	Relays       []relayEntry `yaml:"relays"`
	FRU          *fruEntry    `yaml:"fru"`
	Temperatures []placeEntry `yaml:"temperatures"`
}

type muxEntry struct {
	Part    string `yaml:"part"`
	Address int    `yaml:"address"`
}

type relayEntry struct {
	Part    string `yaml:"part"`
	Address int    `yaml:"address"`
}

// placeEntry is where a chip sits: on the upstream segment, or behind a channel of a mux (the first one, unless it
// says which).
type placeEntry struct {
	Address int  `yaml:"address"`
	Mux     *int `yaml:"mux"`
	Channel *int `yaml:"channel"`
}

type fruEntry struct {
	Address int    `yaml:"address"`
	Mux     *int   `yaml:"mux"`
	Channel *int   `yaml:"channel"`
	Part    string `yaml:"part"`
}

// meterEntry is one metering part with the keys of all parts; which of them a part takes is checked.
type meterEntry struct {
	Part    string      `yaml:"part"`
	Address *int        `yaml:"address"`
	Mux     *int        `yaml:"mux"`
	Channel *int        `yaml:"channel"`
	Divider float64     `yaml:"divider"`
	A       *inputEntry `yaml:"a"`
	B       *inputEntry `yaml:"b"`
	// Hot-swap parts.
	ShuntOhm float64 `yaml:"shunt_ohm"`
	RangeV   int     `yaml:"range_v"`
	RangeMV  int     `yaml:"range_mv"`
}

type inputEntry struct {
	ShuntOhm float64 `yaml:"shunt_ohm"`
	Gain     int     `yaml:"gain"`
}

// supplyEntry is a supply bank with a meter for all its outlets.
type supplyEntry struct {
	Bank   string  `yaml:"bank"`
	Meter  *int    `yaml:"meter"`
	Input  string  `yaml:"input"`
	NoiseW float64 `yaml:"noise_w"`
}

type outletEntry struct {
	Bank      string  `yaml:"bank"`
	Meter     *int    `yaml:"meter"`
	Input     string  `yaml:"input"`
	Relays    int     `yaml:"relays"`    // place in buses.relays, counted from 0
	Relay     *int    `yaml:"relay"`     // bit of that part
	Operation bool    `yaml:"operation"` // switched by its hot-swap meter instead of a relay
	Active    string  `yaml:"active"`
	Contact   string  `yaml:"contact"`
	PowerLoss string  `yaml:"on_controller_power_loss"`
	RatingA   float64 `yaml:"rating_a"`
	// nil: 0.8
	Continuous *float64 `yaml:"continuous"`
	NoiseW     float64  `yaml:"noise_w"`
}

// Mistake is one thing wrong with a model file.
type Mistake struct {
	File string
	Line int    // 0: not known
	Key  string // such as outlets[2].relay; empty: the file as a whole
	Text string
}

// Error reads: ac8.yaml:31: outlets[2].relay: bit 1 is taken by outlet 2.
func (m *Mistake) Error() string {
	at := fmt.Sprintf("%s:%d: ", m.File, m.Line)
	if m.Key != "" {
		at += m.Key + ": "
	}
	return at + m.Text
}

// ParseModel reads a model file. The error joins everything that is wrong, each a *Mistake with key and line. An
// unknown key is wrong.
func ParseModel(file string, data []byte) (*Model, error) {
	var f modelFile
	dec := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict())
	if err := dec.Decode(&f); err != nil {
		return nil, syntaxMistake(file, err)
	}
	if err := dec.Decode(&modelFile{}); !errors.Is(err, io.EOF) {
		return nil, &Mistake{File: file, Text: "more than one document"}
	}
	tree, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, syntaxMistake(file, err)
	}
	c := checker{file: file, tree: tree}
	c.check(&f)
	if len(c.mistakes) > 0 {
		return nil, errors.Join(c.mistakes...)
	}
	return f.model(), nil
}

func syntaxMistake(file string, err error) error {
	m := &Mistake{File: file, Text: err.Error()}
	var at yaml.Error
	if errors.As(err, &at) {
		m.Text = at.GetMessage()
		if t := at.GetToken(); t != nil {
			m.Line = t.Position.Line
		}
	}
	if errors.Is(err, io.EOF) {
		m.Text = "the file is empty"
	}
	return m
}

// line finds where a key stands. A key that is missing stands where its parent does.
func line(tree *ast.File, key string) int {
	for key != "" {
		if p, err := yaml.PathString("$." + key); err == nil {
			if n, err := p.FilterFile(tree); err == nil && n != nil && n.GetToken() != nil {
				return n.GetToken().Position.Line
			}
		}
		key = key[:max(strings.LastIndexAny(key, ".["), 0)]
	}
	return 0
}

// model builds the model of a file without mistakes.
func (f *modelFile) model() *Model {
	m := &Model{
		Name: f.Model, Manufacturer: f.Manufacturer, Product: f.Product, DC: f.Current == currentDC,
		NominalV: f.NominalV, Settling: time.Duration(f.SettlingMS) * time.Millisecond,
	}
	for _, e := range f.Buses.Muxes {
		m.muxes = append(m.muxes, muxSpec{uint16(e.Address), e.part()})
	}
	for _, e := range f.Buses.Relays {
		m.banks = append(m.banks, bankSpec{place: placeAt(e.Address, nil, nil), part: relayParts()[e.part()], meter: noMeter})
	}
	if e := f.Buses.FRU; e != nil {
		m.eeprom = &eeprom{place: placeAt(e.Address, e.Mux, e.Channel), part: at24.Part(e.Part)}
	}
	for _, e := range f.Buses.Temperatures {
		m.sensors = append(m.sensors, placeAt(e.Address, e.Mux, e.Channel))
	}
	for _, e := range f.Meters {
		m.meters = append(m.meters, e.spec())
	}
	for _, e := range f.Supplies {
		m.Supplies = append(m.Supplies, Supply{Bank: e.Bank, Meter: *e.Meter, NoiseW: e.NoiseW, input: inputOf(e.Input)})
	}
	for i, e := range f.Outlets {
		m.Outlets = append(m.Outlets, m.outlet(i+1, e))
	}
	return m
}

func placeAt(addr int, mux, channel *int) place {
	p := place{addr: uint16(addr), mux: upstream}
	if channel != nil {
		p.mux, p.channel = 0, *channel
		if mux != nil {
			p.mux = *mux
		}
	}
	return p
}

func (e muxEntry) part() string { return or(e.Part, "pca9548") }

func (e relayEntry) part() string { return or(e.Part, "tca9555") }

func (e meterEntry) part() string { return or(e.Part, partADE) }

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func inputOf(s string) int {
	if s == inputB {
		return 1
	}
	return 0
}

// address is where the part sits; an ADE7953 has one address only.
func (e meterEntry) address() int {
	if e.Address == nil {
		return ade7953.Address
	}
	return *e.Address
}

func (m *Model) outlet(n int, e outletEntry) Outlet {
	o := Outlet{
		N: n, Bank: e.Bank, RatingA: e.RatingA, Continuous: continuousOf(e), NoiseW: e.NoiseW, Metered: e.Meter != nil,
		RelayBank: e.Relays, input: inputOf(e.Input), contact: contact(e.Contact), activeHigh: e.Active == activeHigh,
	}
	if e.Meter != nil {
		o.Meter = *e.Meter
	}
	if e.Operation {
		o.contact, o.activeHigh, o.relay, o.RelayBank = hotSwap, true, 1, len(m.banks)
		m.banks = append(m.banks, bankSpec{place: m.meters[o.Meter].place, part: operationPart(), meter: o.Meter})
		return o
	}
	o.relay = 1 << *e.Relay
	return o
}

// defaultContinuous is the share of a rating for loads of three hours and more. Source: NEC 210.20(A).
const defaultContinuous = 0.8

func continuousOf(e outletEntry) float64 {
	if e.Continuous == nil {
		return defaultContinuous
	}
	return *e.Continuous
}
