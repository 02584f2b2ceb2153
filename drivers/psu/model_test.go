package psu

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"rackagent/drivers/pmbus"
)

func TestShippedModels(t *testing.T) {
	if got := Shipped(); !slices.Equal(got, []string{"crps", "ocp-mwocp68"}) {
		t.Fatalf("%v", got)
	}
	schema := modelSchema(t)
	for _, name := range Shipped() {
		m, err := LoadModel(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if len(m.writes) != 0 {
			t.Errorf("%s may be written: %v", name, m.writes)
		}
		if m.Page != -1 || len(m.Temperatures) != 3 || m.vout != nil || m.Nameplate.PoutW < 3000 {
			t.Errorf("%s: %+v", name, m)
		}
		if err := schema.Validate(instance(t, modelData(t, name))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	m, err := LoadModel("ocp-mwocp68")
	if err != nil {
		t.Fatal(err)
	}
	if m.Manufacturer != "Murata-PS" || m.texts[pmbus.MFR_MODEL] != 17 || m.may(0xe4) || m.may(0xf1) {
		t.Errorf("%+v", m)
	}
	if _, ok := m.Accumulator(); ok {
		t.Error("an accumulator that the file does not name")
	}
	if _, err := LoadModel("none"); !errors.Is(err, ErrUnknownModel) || !strings.Contains(err.Error(), "crps") {
		t.Errorf("%v", err)
	}
}

// A model is data: this one differs from those that are shipped in every respect a model can, and needs no Go.
func TestAnotherModel(t *testing.T) {
	data, err := os.ReadFile("testdata/odd.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := modelSchema(t).Validate(instance(t, data)); err != nil {
		t.Error(err)
	}
	m, err := ParseModel("odd.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	if m.Page != 0x20 || m.pageDelay != 20*time.Millisecond || m.accessDelay != 1500*time.Microsecond || m.checking != pmbus.CheckNever {
		t.Errorf("%+v", m)
	}
	if !slices.Equal(m.Products, []string{"YH-5151E", "YM-2151E"}) || !slices.Equal(m.writes, []pmbus.Command{0x3b}) || !m.may(0xd4) {
		t.Errorf("%+v", m)
	}
	if v, ok := m.vout(0xd300); !ok || v != 12 { // 768 * 2^-6
		t.Errorf("VOUT %v, %t", v, ok)
	}
	a, ok := m.Accumulator()
	if !ok || !a.Linear || a.Full != 1200 {
		t.Errorf("%+v, %t", a, ok)
	}
	if w, ok := m.MeanPower(250); !ok || w != 250 {
		t.Errorf("%v, %t", w, ok)
	}
}

func TestAccumulator(t *testing.T) {
	m, err := LoadModel("crps")
	if err != nil {
		t.Fatal(err)
	}
	a, ok := m.Accumulator()
	if !ok || a.Linear || a.Full != 4200 || a.Modulus != 0x8000 || a.RollOvers != 256 {
		t.Errorf("%+v, %t", a, ok)
	}
	if w, ok := m.MeanPower(64.515625); !ok || w != 64.515625 {
		t.Errorf("%v, %t", w, ok)
	}
	if w, ok := (&Model{}).MeanPower(1); ok {
		t.Errorf("%v", w)
	}
}

// Mistakes name the key and the line. What a schema can say, the schema refuses too.
func TestMistakes(t *testing.T) {
	schema := modelSchema(t)
	whole := string(modelData(t, "crps"))
	for _, c := range []struct {
		name      string
		old, by   string
		key, says string
		beyond    bool // no schema can say it
	}{
		{"clearing faults", "may_clear_faults: false", "may_clear_faults: true", "may_clear_faults", "sent to no supply", false},
		{"clearing faults unsaid", "may_clear_faults: false", "#", "may_clear_faults", "missing", false},
		{"CLEAR_FAULTS as a write", "writes: []", "writes: [CLEAR_FAULTS]", "writes", "CLEAR_FAULTS is never", true},
		{"STORE_USER_ALL as a write", "writes: []", "writes: [FAN_COMMAND_1, STORE_USER_ALL]", "writes", "STORE_USER_ALL is never", true},
		{"PAGE as a write", "writes: []", "writes: [PAGE]", "writes", "PAGE is never", true},
		{"writes unsaid", "writes: []", "#", "writes", "missing", false},
		{"unknown command", "- READ_VIN", "- READ_VINN", "reads", "is no command", true},
		{"standard command by number", "- READ_VIN", "- 88h", "reads", "is no command", true},
		{"twice", "- READ_VIN", "- READ_IIN", "reads", "twice", false},
		{"no status", "- STATUS_WORD", "", "reads", "STATUS_WORD is missing", true},
		{"no maker", "- MFR_ID", "", "reads", "MFR_ID is missing", true},
		{"no register of one byte", "- CAPABILITY", "", "reads", "PMBUS_REVISION is missing", true},
		{"no VOUT_MODE", "- VOUT_MODE", "", "reads", "VOUT_MODE is missing", true},
		{"a temperature without a name", "[inlet, secondary, primary]", "[inlet, secondary]", "temperatures", "2 names for 3", true},
		{"a gap in the temperatures", "- READ_TEMPERATURE_2", "", "temperatures", "3 names for 1", true},
		{"two of one name", "[inlet, secondary, primary]", "[inlet, primary, primary]", "temperatures", "twice", true},
		{"no name for topics", "[inlet, secondary, primary]", "[inlet, Secondary, primary]", "temperatures", "is not a name", false},
		{"model name", "model: crps", "model: CRPS 12 V", "model", "is not a name", false},
		{"checking", "pec: auto", "pec: maybe", "pec", "is none of", false},
		{"delay", "access_delay_ms: 0", "access_delay_ms: 101", "access_delay_ms", "outside 0 to 100", false},
		{"negative delay", "access_delay_ms: 0", "access_delay_ms: -1", "access_delay_ms", "outside 0 to 100", false},
		{"delay of no page", "page_delay_ms: 0", "page_delay_ms: 5", "page_delay_ms", "no page", true},
		{"all pages", "page_delay_ms: 0", "page: 255", "page", "outside 0 to 254", false},
		{"VOUT format", "{format: vout_mode}", "{format: vid}", "vout", "is none of", false},
		{"VOUT number", "{format: vout_mode}", "{format: vout_mode, exponent: -9}", "vout", "takes no numbers", false},
		{"VOUT exponent", "{format: vout_mode}", "{format: linear, exponent: -17}", "vout", "exponent of -16 to 15", false},
		{"VOUT without slope", "{format: vout_mode}", "{format: direct, m: 0, b: 0, r: 0}", "vout", "m not 0", false},
		{"energy format", "{format: direct, m: 1, b: 0, r: 0}", "{format: half}", "energy", "is none of", false},
		{"energy of no format", "energy: {format: direct, m: 1, b: 0, r: 0}", "", "energy", "in which format", true},
		{"text of no identity", "writes: []", "writes: []\ntexts: {MFR_DATE: 6}", "texts.MFR_DATE", "is none of", false},
		{"text too long", "writes: []", "writes: []\ntexts: {MFR_ID: 33}", "texts.MFR_ID", "outside 1 to 32", false},
		{"no rating", "vin_v: 264", "", "nameplate.vin_v", "missing", false},
		{"rating of nothing", "vin_v: 264", "vin_v: 0", "nameplate.vin_v", "outside", false},
		{"not a number", "vin_v: 264", "vin_v: .nan", "nameplate.vin_v", "outside", true},
		{"product of nothing", "model: crps", "model: crps\nproducts: ['']", "products", "any product", false},
		{"blanks", "model: crps", "model: crps\nmanufacturer: 'X '", "manufacturer", "blanks", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := strings.Replace(whole, c.old, c.by, 1)
			if c.by == "#" {
				data = strings.Replace(whole, c.old, "# "+c.old, 1)
			}
			if c.by == "" {
				data = strings.Replace(whole, c.old+"\n", "\n", 1)
			}
			if data == whole {
				t.Fatal("nothing was replaced")
			}
			_, err := ParseModel("crps.yaml", []byte(data))
			m := mistake(err, c.key, c.says)
			if m == nil {
				t.Fatalf("%v", err)
			}
			if missing := strings.Contains(c.says, "missing") || c.says == "in which format"; !missing && m.Line == 0 {
				t.Errorf("no line: %v", m)
			}
			if !c.beyond && schema.Validate(instance(t, []byte(data))) == nil {
				t.Error("the schema takes it")
			}
		})
	}
}

func TestMistakeNamesTheLine(t *testing.T) {
	_, err := ParseModel("x.yaml", []byte("model: x\nreads:\n  - CAPABILITY\n  - READ_VINN\n"))
	if err == nil || !strings.Contains(err.Error(), `x.yaml:4: reads: "READ_VINN" is no command`) {
		t.Errorf("%v", err)
	}
	for _, c := range []struct{ data, says string }{
		{"", "x.yaml:0: the file is empty"},
		{"colour: red\n", "x.yaml:1: unknown field"},
		{"model: x\nvout: {fromat: linear}\n", "x.yaml:2: unknown field"},
		{"model: [x\n", "x.yaml:1: "},
		{"model: x\nnameplate: 7\n", "x.yaml:2: "},
	} {
		if _, err := ParseModel("x.yaml", []byte(c.data)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v", c.data, err)
		}
	}
	two := append(append(modelData(t, "crps"), "\n---\n"...), modelData(t, "crps")...)
	if _, err := ParseModel("x.yaml", two); err == nil || !strings.Contains(err.Error(), "more than one document") {
		t.Errorf("%v", err)
	}
}

// mistake finds one with this key whose text says this.
func mistake(err error, key, says string) *Mistake {
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for _, e := range all {
		var m *Mistake
		if errors.As(e, &m) && m.Key == key && strings.Contains(m.Text, says) {
			return m
		}
	}
	return nil
}

func FuzzParseModel(f *testing.F) {
	files, err := filepath.Glob("models/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range append(files, "testdata/odd.yaml") {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseModel("x.yaml", data)
		if err != nil {
			return
		}
		for _, w := range m.writes {
			if w.Forbidden() {
				t.Fatalf("%v is a write", w)
			}
		}
		if n := m.Nameplate; !(n.VinV > 0 && n.FanRPM > 0) || m.accessDelay > maxDelay || math.IsNaN(n.PinW) {
			t.Fatalf("%+v", m)
		}
		// What was read makes a device: nothing is left for New to refuse.
		if _, err := New(&supply{}, Opts{Name: "t", Addr: addr, Model: m}); err != nil {
			t.Fatal(err)
		}
	})
}

func modelData(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("models", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func modelSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	data, err := os.ReadFile("models/schema.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("psu-model.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("psu-model.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func instance(t *testing.T, data []byte) any {
	t.Helper()
	asJSON, err := yaml.YAMLToJSON(data)
	if err != nil {
		return nil
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		return nil
	}
	return doc
}

func testFile(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}
