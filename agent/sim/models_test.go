package sim

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// model is a PDU model file, in this test's own words.
type model struct {
	Model        string `yaml:"model"`
	Manufacturer string `yaml:"manufacturer"`
	Product      string `yaml:"product"`
	Buses        struct {
		Muxes        []modelPart `yaml:"muxes"`
		Relays       []modelPart `yaml:"relays"`
		Temperatures []modelPart `yaml:"temperatures"`
		FRU          modelPart   `yaml:"fru"`
	} `yaml:"buses"`
	Meters   []modelMeter  `yaml:"meters"`
	Supplies []modelSupply `yaml:"supplies"`
	Outlets  []modelOutlet `yaml:"outlets"`
}

type modelPart struct {
	Part    string `yaml:"part"`
	Address uint16 `yaml:"address"`
}

type modelMeter struct {
	Part     string      `yaml:"part"`
	Address  *uint16     `yaml:"address"`
	Mux      int         `yaml:"mux"`
	Channel  *int        `yaml:"channel"`
	Divider  float64     `yaml:"divider"`
	A        *modelInput `yaml:"a"`
	B        *modelInput `yaml:"b"`
	ShuntOhm float64     `yaml:"shunt_ohm"`
	RangeV   int         `yaml:"range_v"`
	RangeMV  int         `yaml:"range_mv"`
}

type modelInput struct {
	ShuntOhm float64 `yaml:"shunt_ohm"`
	Gain     int     `yaml:"gain"`
}

type modelSupply struct {
	Bank  string `yaml:"bank"`
	Meter int    `yaml:"meter"`
	Input string `yaml:"input"`
}

type modelOutlet struct {
	Bank      string `yaml:"bank"`
	Meter     *int   `yaml:"meter"`
	Input     string `yaml:"input"`
	Relays    int    `yaml:"relays"`
	Relay     int    `yaml:"relay"`
	Operation bool   `yaml:"operation"`
	Active    string `yaml:"active"`
	Contact   string `yaml:"contact"`
	Loss      string `yaml:"on_controller_power_loss"`
}

// built are the boards with the model file that each is.
func built() map[string]Board {
	return map[string]Board{
		"ac8":      AC8("pdu-a", "bus", "SERIAL", "f"),
		"ac24":     AC24("pdu-a", "bus", "SERIAL", "f", "g", "h"),
		"ac8-bank": AC8Bank("pdu-a", "bus", "SERIAL", "f", "g"),
		"dc6":      DC6("pdu-a", "bus", "SERIAL", "f"),
	}
}

// The boards are built as the model files describe them: part by part, pin by pin, contact by contact. Every file has its
// board.
func TestBoardsAreTheModels(t *testing.T) {
	files, err := filepath.Glob("../../drivers/pdu/models/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	boards := built()
	if len(files) != len(boards) {
		t.Errorf("%d model files and %d boards", len(files), len(boards))
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		b, ok := boards[name]
		if !ok {
			t.Errorf("no board is built like %s", file)
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var m model
		if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&m); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if err := b.check(); err != nil {
			t.Error(err)
		}
		if m.Manufacturer != b.Manufacturer || m.Product != b.Product {
			t.Errorf("%s: %s %s, the board says %s %s", name, m.Manufacturer, m.Product, b.Manufacturer, b.Product)
		}
		got := m.board(t)
		for what, pair := range map[string][2]any{
			"muxes":        {got.Muxes, b.Muxes},
			"relays":       {got.Relays, b.Relays},
			"temperatures": {got.Temps, b.Temps},
			"fru":          {got.FRUAddr, b.FRUAddr},
			"meters":       {got.Meters, b.Meters},
			"supplies":     {got.Supplies, b.Supplies},
		} {
			if !reflect.DeepEqual(pair[0], pair[1]) {
				t.Errorf("%s, %s: the file has %+v, the board %+v", name, what, pair[0], pair[1])
			}
		}
		if len(got.Outlets) != len(b.Outlets) {
			t.Fatalf("%s: the file has %d outlets, the board %d", name, len(got.Outlets), len(b.Outlets))
		}
		for i, want := range got.Outlets {
			have := b.Outlets[i]
			have.Feed = ""
			if want != have {
				t.Errorf("%s, outlet %d: the file has %+v, the board %+v", name, i+1, want, have)
			}
		}
	}
}

// board is what a file describes, without feeds.
func (m *model) board(t *testing.T) Board {
	t.Helper()
	b := Board{FRUAddr: m.Buses.FRU.Address}
	if m.Buses.FRU.Part != "at24c02" {
		t.Errorf("%s: the memory is a %s, the board's an at24c02", m.Model, m.Buses.FRU.Part)
	}
	for _, p := range m.Buses.Muxes {
		if p.Part != "pca9548" {
			t.Errorf("%s: a switch is a %s, the board's a pca9548", m.Model, p.Part)
		}
		b.Muxes = append(b.Muxes, p.Address)
	}
	for _, p := range m.Buses.Relays {
		b.Relays = append(b.Relays, RelayPart{p.Part, p.Address})
	}
	for _, p := range m.Buses.Temperatures {
		b.Temps = append(b.Temps, p.Address)
	}
	for i, p := range m.Meters {
		b.Meters = append(b.Meters, p.part(t, m.Model, i))
	}
	for _, s := range m.Supplies {
		b.Supplies = append(b.Supplies, Supply{Bank: s.Bank, Meter: s.Meter, Input: inputOf(s.Input)})
	}
	for i, o := range m.Outlets {
		b.Outlets = append(b.Outlets, o.socket(t, m.Model, i))
	}
	return b
}

func inputOf(s string) int {
	if s == "b" {
		return 1
	}
	return 0
}

func (p modelMeter) part(t *testing.T, model string, i int) MeterPart {
	t.Helper()
	out := MeterPart{Kind: p.Part, Mux: p.Mux, Channel: Upstream, Divider: p.Divider, ShuntOhm: p.ShuntOhm, Addr: adeAddr}
	if p.Channel != nil {
		out.Channel = *p.Channel
	}
	if p.Address != nil {
		out.Addr = *p.Address
	}
	if p.A != nil && p.B != nil {
		out.ShuntOhm = p.A.ShuntOhm
		if *p.A != *p.B {
			t.Errorf("%s, meter %d: inputs %+v and %+v, the board's are equal", model, i, *p.A, *p.B)
		}
	}
	// The ranges of a hot-swap controller that was just powered: PMON_CONFIG 3F35, 100 V and 30 mV (Linux driver adm1275).
	if p.Part == partADM1272 && (p.RangeV != 100 || p.RangeMV != 30) {
		t.Errorf("%s, meter %d: %d V and %d mV, the controller starts at 100 V and 30 mV", model, i, p.RangeV, p.RangeMV)
	}
	return out
}

func (o modelOutlet) socket(t *testing.T, model string, i int) Socket {
	t.Helper()
	s := Socket{Bank: o.Bank, Meter: Unmetered, Input: inputOf(o.Input), Relays: o.Relays, Bit: o.Relay, Slot: o.Operation}
	if o.Meter != nil {
		s.Meter = *o.Meter
	}
	if o.Contact == "nc" {
		s.Contact = NormallyClosed
	}
	if !o.Operation && o.Active != "high" {
		t.Errorf("%s, outlet %d: active %s, the board's coils want a high level", model, i+1, o.Active)
	}
	loss := map[bool]string{true: "closed", false: "open"}[s.Contact == NormallyClosed]
	if o.Operation {
		loss = "unchanged"
	}
	if o.Loss != loss {
		t.Errorf("%s, outlet %d: %s without the controller's supply, the board's is %s", model, i+1, o.Loss, loss)
	}
	return s
}
