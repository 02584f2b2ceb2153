package pdu

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"periph.io/x/conn/v3/physic"
)

func TestAC8(t *testing.T) {
	m, err := LoadModel("ac8")
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Outlets) != 8 || len(m.meters) != 4 || len(m.sensors) != 1 || m.Settling != 300*time.Millisecond {
		t.Errorf("%d outlets, %d meters, %d sensors, settling %v", len(m.Outlets), len(m.meters), len(m.sensors), m.Settling)
	}
	if got := m.Banks(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("banks %v", got)
	}
	if d := m.direction(0); d != 0xff00 {
		t.Errorf("direction %04x", d)
	}
	for i, o := range m.Outlets {
		want := Outlet{
			N: i + 1, Bank: "a", RatingA: 16, Continuous: 1, NoiseW: 1, Metered: true, Meter: i / 2,
			input: i % 2, relay: 1 << i, activeHigh: true, contact: normallyOpen,
		}
		if i >= 6 {
			want.contact = normallyClosed
		}
		if o != want || o.ClosedAtRest() != (i >= 6) {
			t.Errorf("outlet %d: %+v", i+1, o)
		}
	}
	for i, s := range m.meters {
		v, a := float64(s.ade.FullScaleV)/float64(physic.Volt), float64(s.ade.B.FullScaleI)/float64(physic.Ampere)
		if s.place != (place{0x38, 0, i}) || math.Abs(v-350.371) > 5e-4 || math.Abs(a-22.0971) > 5e-5 {
			t.Errorf("meter %d at %+v: %v V, %v A", i, s.place, v, a)
		}
	}
}

func TestUnknownModel(t *testing.T) {
	if _, err := LoadModel("ac9"); !errors.Is(err, ErrUnknownModel) || !strings.Contains(err.Error(), "ac8") {
		t.Errorf("%v", err)
	}
}

// A model is data: this one differs from ac8 in every respect a model can, and needs no Go.
func TestAnotherModel(t *testing.T) {
	m, err := ParseModel("lr3.yaml", modelData(t, "testdata/lr3.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Banks(); !slices.Equal(got, []string{"left", "right"}) {
		t.Errorf("banks %v", got)
	}
	if d := m.direction(0); d != 0x7ef7 {
		t.Errorf("direction %04x", d)
	}
	if m.Outlets[2].Metered || !m.Outlets[1].Metered || m.Outlets[0].input != 1 {
		t.Errorf("%+v", m.Outlets)
	}
	if len(m.muxes) != 0 || m.meters[0].mux != upstream || m.eeprom.part != "at24c64" {
		t.Errorf("%+v", m)
	}
}

func TestModelsMatchTheSchema(t *testing.T) {
	schema := modelSchema(t)
	files := []string{"testdata/lr3.yaml"}
	for _, name := range Shipped() {
		if _, err := LoadModel(name); err != nil {
			t.Error(err)
		}
		files = append(files, filepath.Join("models", name+".yaml"))
	}
	for _, f := range files {
		if err := schema.Validate(instance(t, modelData(t, f))); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
}

// Mistakes name the key and the line. What a schema can say, the schema refuses too.
func TestMistakes(t *testing.T) {
	ac8 := string(modelData(t, "models/ac8.yaml"))
	schema := modelSchema(t)
	for name, c := range map[string]struct {
		old, repl string // first place only
		key       string
		at        string // a line holding this
		text      string
		beyond    bool // no schema can say it
	}{
		"unknown key":            {"nominal_v: 230", "nominal_v: 230\nfuse_a: 16", "", "fuse_a", `unknown field "fuse_a"`, false},
		"unknown key of outlet":  {"noise_w: 1}", "noise_w: 1, colour: red}", "", "colour: red", `unknown field "colour"`, false},
		"key twice":              {"nominal_v: 230", "nominal_v: 230\nnominal_v: 120", "", "nominal_v: 120", "already", true},
		"text for a number":      {"settling_ms: 300", "settling_ms: soon", "", "settling_ms: soon", "cannot unmarshal", false},
		"no model":               {"model: ac8", "model: AC8", "model", "model: AC8", "not a name", false},
		"no manufacturer":        {"manufacturer: Rackagent", "manufacturer: ''", "manufacturer", "manufacturer:", "missing", false},
		"no product":             {"product: AC8", "product: ''", "product", "product:", "missing", false},
		"voltage":                {"nominal_v: 230", "nominal_v: 12", "nominal_v", "nominal_v: 12", "outside", true},
		"not a number":           {"nominal_v: 230", "nominal_v: .nan", "nominal_v", "nominal_v: .nan", "outside", true},
		"settling":               {"settling_ms: 300", "settling_ms: 20", "settling_ms", "settling_ms: 20", "outside", false},
		"settling past a proof":  {"settling_ms: 300", "settling_ms: 3001", "settling_ms", "settling_ms: 3001", "3001 is outside 200 to 3000", false},
		"mux address":            {"pca9548, address: 0x70}", "pca9548, address: 0x20}", "buses.muxes[0].address", "pca9548, address: 0x20}", "outside", false},
		"mux part":               {"part: pca9548", "part: pca9547", "buses.muxes[0].part", "part: pca9547", "none of", false},
		"no mux":                 {"  muxes:\n    - {part: pca9548, address: 0x70}\n", "", "meters[0].channel", "channel: 0,", "no mux 0", true},
		"no relays":              {"  relays:\n    - {part: tca9555, address: 0x20}\n", "", "outlets[0].relays", "relay: 0,", "there are 0 in buses.relays", true},
		"relays behind the mux":  {"tca9555, address: 0x20}", "tca9555, address: 0x20, channel: 1}", "", "tca9555", `unknown field "channel"`, false},
		"relay part":             {"part: tca9555", "part: tca6416", "buses.relays[0].part", "part: tca6416", "none of", false},
		"relays of nothing":      {"part: tca9555, address: 0x20}", "part: tca9555, address: 0x20}\n    - {address: 0x21}", "buses.relays[1]", "0x21", "no outlet", true},
		"no such relays":         {"relay: 0,", "relays: 1, relay: 0,", "outlets[0].relays", "relays: 1", "there are 1", true},
		"no such mux":            {"channel: 3,", "mux: 1, channel: 3,", "meters[3].channel", "mux: 1", "no mux 1", true},
		"mux without channel":    {"{address: 0x48}", "{address: 0x48, mux: 0}", "buses.temperatures[0].mux", "mux: 0", "channel", true},
		"current":                {"nominal_v: 230", "nominal_v: 230\ncurrent: three", "current", "three", "none of", false},
		"dc at mains voltage":    {"nominal_v: 230", "nominal_v: 230\ncurrent: dc", "nominal_v", "230", "outside", true},
		"meter part":             {"part: ade7953", "part: ade7954", "meters[0].part", "ade7954", "none of", false},
		"operation of a meter":   {"relay: 0, active: high, contact: \"no\", on_controller_power_loss: open", "operation: true, on_controller_power_loss: unchanged", "outlets[0].operation", "operation", "no hot-swap part", true},
		"relay and operation":    {"relay: 0,", "relay: 0, operation: true,", "outlets[0].operation", "operation", "has no relay", false},
		"supply of nothing":      {"outlets:\n", "supplies:\n  - {bank: b, meter: 0, input: a, noise_w: 1}\noutlets:\n", "supplies[0].bank", "bank: b", "no outlet is in bank", true},
		"supply of metered ones": {"outlets:\n", "supplies:\n  - {bank: a, meter: 0, input: a, noise_w: 1}\noutlets:\n", "supplies[0].bank", "bank: a", "outlet 1 has a meter of its own", true},
		"channel 8":              {"channel: 3,", "channel: 8,", "meters[3].channel", "channel: 8,", "outside", false},
		"two meters on one":      {"channel: 1,", "channel: 0,", "meters[1]", "", "taken by meters[0]", true},
		"meter before the mux":   {"channel: 1, ", "", "meters[1]", "", "taken by meters[0]", true},
		"memory part":            {"part: at24c02", "part: 24c02", "buses.fru.part", "part: 24c02", "none of", false},
		"memory address of part": {"{address: 0x50, part: at24c02}", "{address: 0x51, part: at24c04}", "buses.fru.address", "0x51", "at24c04", true},
		"two sensors at one":     {"- {address: 0x48}", "- {address: 0x48}\n    - {address: 0x48}", "buses.temperatures[1]", "", "taken by buses.temperatures[0]", true},
		"divider":                {"divider: 991", "divider: 0", "meters[0].divider", "divider: 0", "outside", false},
		"full scale voltage":     {"divider: 991", "divider: 500", "meters[0].divider", "divider: 500", "full scale is 176.8 V", true},
		"gain":                   {"gain: 16}, b", "gain: 3}, b", "meters[0].a.gain", "gain: 3", "none of", false},
		"gain 22 on b":           {"gain: 16}}", "gain: 22}}", "meters[0].b.gain", "gain: 22", "none of", false},
		"shunt":                  {"shunt_ohm: 0.001", "shunt_ohm: 0", "meters[0].a.shunt_ohm", "shunt_ohm: 0,", "outside", false},
		"full scale current":     {"a: {shunt_ohm: 0.001", "a: {shunt_ohm: 0.002", "outlets[0].rating_a", "relay: 0,", "full scale is 11.0 A", true},
		"two outlets on a bit":   {"relay: 1,", "relay: 0,", "outlets[1].relay", "input: b, relay: 0", "bit 0 is taken by outlet 1", true},
		"bit 16":                 {"relay: 7,", "relay: 16,", "outlets[7].relay", "relay: 16", "outside", false},
		"no relay":               {"relay: 0, ", "", "outlets[0].relay", "", "missing", false},
		"two outlets on a meter": {"input: b, relay: 1", "input: a, relay: 1", "outlets[1].input", "relay: 1,", "taken by outlets[0]", true},
		"meter 4":                {"meter: 3, input: b", "meter: 4, input: b", "outlets[7].meter", "meter: 4", "there are 4 meters", true},
		"input without a meter":  {"meter: 0, input: b", "input: b", "outlets[1].input", "{bank: a, input: b", "no meter", false},
		"meter without an input": {"input: b, relay: 1", "relay: 1", "outlets[1].input", "", `"" is none of`, true},
		"polarity":               {"active: high", "active: up", "outlets[0].active", "active: up", "none of", false},
		"contact":                {`contact: "nc"`, "contact: co", "outlets[6].contact", "contact: co", "none of", false},
		"opens or closes":        {`"no", on_controller_power_loss: open`, `"no", on_controller_power_loss: closed`, "outlets[0].on_controller_power_loss", "relay: 0,", `contact "no" is open`, true},
		"closes or opens":        {`"nc", on_controller_power_loss: closed`, `"nc", on_controller_power_loss: open`, "outlets[6].on_controller_power_loss", "relay: 6,", `contact "nc" is closed`, true},
		"power loss":             {"on_controller_power_loss: open", "on_controller_power_loss: off", "outlets[0].on_controller_power_loss", "loss: off", "none of", false},
		"rating":                 {"rating_a: 16", "rating_a: -16", "outlets[0].rating_a", "rating_a: -16", "outside", false},
		"noise":                  {"noise_w: 1", "noise_w: 0", "outlets[0].noise_w", "noise_w: 0", "outside", false},
		"bank":                   {"bank: a", "bank: A b", "outlets[0].bank", "bank: A b", "not a name", false},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(ac8, c.old) {
				t.Fatalf("%q is not in the file", c.old)
			}
			data := strings.Replace(ac8, c.old, c.repl, 1)
			_, err := ParseModel("x.yaml", []byte(data))
			m := mistake(t, err, c.key)
			if !strings.Contains(m.Text, c.text) {
				t.Errorf("%v, want %q", m, c.text)
			}
			lines := strings.Split(data, "\n")
			if m.Line < 1 || m.Line > len(lines) || !strings.Contains(lines[m.Line-1], c.at) {
				t.Errorf("%v: that line does not hold %q", m, c.at)
			}
			if !strings.HasPrefix(m.Error(), "x.yaml:") {
				t.Errorf("%v", m)
			}
			if !c.beyond && schema.Validate(instance(t, []byte(data))) == nil {
				t.Error("the schema takes it")
			}
		})
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	data := strings.NewReplacer("active: high", "active: up", "settling_ms: 300", "settling_ms: 1").
		Replace(string(modelData(t, "models/ac8.yaml")))
	_, err := ParseModel("x.yaml", []byte(data))
	if n := len(mistakes(err)); n != 9 {
		t.Errorf("%d mistakes: %v", n, err)
	}
}

// A mistake is told once, and nothing is said of what hangs on a part that nobody knows.
func TestOneMistakeIsToldOnce(t *testing.T) {
	for name, c := range map[string]struct{ model, old, repl, want string }{
		"unknown mux":          {"ac8", "part: pca9548", "part: pca9547", `buses.muxes[0].part: "pca9547" is none of ["pca9545" "pca9546" "pca9548"]`},
		"unknown relays":       {"ac8", "part: tca9555", "part: tca6416", `buses.relays[0].part: "tca6416" is none of ` + fmt.Sprintf("%q", relayPartNames())},
		"unknown meter":        {"ac8", "part: ade7953, channel: 0", "part: ade7954, address: 0x40, channel: 0", `meters[0].part: "ade7954" is none of ["ade7953" "mcp39f521" "adm1272"]`},
		"meter without place":  {"dc6", "address: 0x10, ", "", "meters[0].address: missing"},
		"it has channels, too": {"dc6", "channel: 0, address: 0x10, ", "channel: 8, ", "meters[0].channel: 8 is outside 0 to 7\nmeters[0].address: missing"},
		"a number":             {"ac8", "divider: 991", "divider: 2000000", "meters[0].divider: 2000000 is outside 1 to 1000000"},
		"an article":           {"dc6", "range_mv: 30}", "range_mv: 30, divider: 5}", "meters[0].divider: an adm1272 takes no divider"},
	} {
		data := string(modelData(t, "models/"+c.model+".yaml"))
		if !strings.Contains(data, c.old) {
			t.Fatalf("%s: %q is not in the file", name, c.old)
		}
		_, err := ParseModel("x.yaml", []byte(strings.Replace(data, c.old, c.repl, 1)))
		if got := told(err); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

// Whoever stands first in the file has an address, and a file with mistakes reads the same every time.
func TestMistakesComeInTheOrderOfTheFile(t *testing.T) {
	ac8 := string(modelData(t, "models/ac8.yaml"))
	data := strings.NewReplacer("channel: 0, ", "", "channel: 2, ", "channel: 1, ", "channel: 3, ", "").Replace(ac8)
	const want = `meters[1]: address 0x38 is taken by meters[0]
meters[2]: address 0x38 is taken by meters[0]
meters[2]: address 0x38 is taken by meters[1]
meters[3]: address 0x38 is taken by meters[0]
meters[3]: address 0x38 is taken by meters[1]`
	for range 20 {
		_, err := ParseModel("x.yaml", []byte(data))
		if got := told(err); got != want {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	}
}

// told is what the mistakes say, one a line, without file and line.
func told(err error) string {
	var out []string
	for _, m := range mistakes(err) {
		out = append(out, m.Key+": "+m.Text)
	}
	return strings.Join(out, "\n")
}

func TestArticles(t *testing.T) {
	for part, want := range map[string]string{"ade7953": "an ade7953", "mcp39f521": "an mcp39f521", "pca9546": "a pca9546", "tca9555": "a tca9555", "": "a "} {
		if got := withArticle(part); got != want {
			t.Errorf("%q", got)
		}
	}
}

func TestEmptyAndDoubleFiles(t *testing.T) {
	ac8 := string(modelData(t, "models/ac8.yaml"))
	for name, data := range map[string]string{
		"empty": "", "comment": "# nothing\n", "two documents": ac8 + "\n---\n" + ac8, "not YAML": "model: [", "a list": "- model: x",
		"49 outlets": ac8 + strings.Repeat("  - {bank: a, relay: 9, active: high, contact: nc, on_controller_power_loss: closed, rating_a: 16, noise_w: 1}\n", 41),
		"no outlets": ac8[:strings.Index(ac8, "outlets:")],
	} {
		if m, err := ParseModel("x.yaml", []byte(data)); err == nil || m != nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func FuzzParseModel(f *testing.F) {
	for _, file := range []string{"models/ac8.yaml", "testdata/lr3.yaml"} {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseModel("x.yaml", data)
		if (m == nil) == (err == nil) {
			t.Fatal("neither a model nor an error")
		}
		if m == nil {
			return
		}
		if _, err := New(fakeConn{}, fakeConn{}, Opts{Name: "x", Model: m}); err != nil {
			t.Errorf("a model that was taken cannot be built: %v", err)
		}
	})
}

func mistakes(err error) []*Mistake {
	var m *Mistake
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var out []*Mistake
		for _, e := range many.Unwrap() {
			if errors.As(e, &m) {
				out = append(out, m)
			}
		}
		return out
	}
	if errors.As(err, &m) {
		return []*Mistake{m}
	}
	return nil
}

func mistake(t *testing.T, err error, key string) *Mistake {
	t.Helper()
	for _, m := range mistakes(err) {
		if m.Key == key {
			return m
		}
	}
	t.Fatalf("no mistake about %q in: %v", key, err)
	return nil
}

func modelData(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func modelSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(modelData(t, "models/schema.json")))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// instance is a YAML file as JSON sees it.
func instance(t *testing.T, data []byte) any {
	t.Helper()
	j, err := yaml.YAMLToJSON(data)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(j))
	if err != nil {
		t.Fatal(err)
	}
	return v
}
