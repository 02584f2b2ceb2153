package config

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// ac8 stands for the knowledge of whoever holds the PDU models.
func ac8(model string) (int, []string, bool) {
	switch model {
	case "ac8":
		return 8, []string{"a"}, true
	case "ac16":
		return 16, []string{"a", "b"}, true
	default:
		return 0, nil, false
	}
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func example(t testing.TB) *Config {
	t.Helper()
	c, findings := Parse("example.yaml", readFile(t, "example.yaml"))
	if len(findings) > 0 {
		t.Fatalf("example.yaml:\n%s", lines(findings))
	}
	return c
}

func lines(findings []Finding) string {
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintln(&b, f)
	}
	return b.String()
}

func TestExampleIsTheRackItDescribes(t *testing.T) {
	c := example(t)
	if got := lines(c.Check(Catalogue{Model: ac8})); got != "" {
		t.Fatal(got)
	}
	if c.Site != "ams1" || c.Agent != "r17" || len(c.Nodes) != 7 || len(c.PDUs) != 1 || len(c.Feeds) != 2 {
		t.Fatalf("%+v", c)
	}
	if want := []string{"pdu-a.7", "pdu-a.8"}; !slices.Equal(c.Nodes[6].Outlets, want) || !c.Nodes[6].Class.Firm() {
		t.Errorf("gpu-1: %+v", c.Nodes[6])
	}
	// The agent refuses to add power on a rack whose reservations do not fit, so the example must not show one.
	var amps, surge float64
	for _, n := range c.Nodes {
		amps += n.MaxW / (c.Feeds[1].VoltsV * 0.95)
		surge = max(surge, n.SurgeW/(c.Feeds[1].VoltsV*0.95))
	}
	if limit := c.Feeds[1].RatingA * c.Feeds[1].Continuous; amps+surge > min(limit, c.Feeds[0].ShareA) {
		t.Errorf("%.1f A and a surge of %.1f A do not fit bank-a (%.1f A) and the share of row-4 (%.1f A)", amps, surge, limit, c.Feeds[0].ShareA)
	}
}

// keyPaths lists every key of the types with the keys around it: "nodes.max_w".
func keyPaths(t reflect.Type, prefix string) []string {
	for t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	var paths []string
	for i := range t.NumField() {
		if name := keyOf(t.Field(i)); name != "" {
			paths = append(paths, prefix+name)
			paths = append(paths, keyPaths(t.Field(i).Type, prefix+name+".")...)
		}
	}
	return paths
}

func TestExampleShowsEveryKey(t *testing.T) {
	text := string(readFile(t, "example.yaml"))
	for _, path := range keyPaths(reflect.TypeFor[Config](), "") {
		section, name, nested := strings.Cut(path, ".")
		part := text
		if nested {
			_, part, _ = strings.Cut(text, "\n"+section+":")
			part = part[:max(strings.Index(part+"\nz:", "\n"+nextSection(part)), 0)]
		} else {
			name = section
		}
		if i := strings.LastIndexByte(name, '.'); i >= 0 {
			name = name[i+1:]
		}
		if !regexp.MustCompile(`(?m)(^ *(# |- )?|^ .*[{ ])` + name + `:`).MatchString(part) {
			t.Errorf("example.yaml does not show %s", path)
		}
	}
}

// nextSection finds the first line after a section that starts another one.
func nextSection(text string) string {
	return regexp.MustCompile(`(?m)^[a-z_]+:`).FindString(text + "\nz:")
}

func compileSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(readFile(t, "schema.json"))))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// validate judges YAML text by the schema, as an editor does.
func validate(schema *jsonschema.Schema, text []byte) error {
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(asJSON)))
	if err != nil {
		return err
	}
	return schema.Validate(v)
}

func TestExampleFitsSchema(t *testing.T) {
	schema := compileSchema(t)
	if err := validate(schema, readFile(t, "example.yaml")); err != nil {
		t.Error(err)
	}
	if err := validate(schema, example(t).Dump()); err != nil {
		t.Error(err)
	}
	for _, c := range [][2]string{
		{"site: ams1", "site: AMS1"},
		{"period_s: 5", "period: 5"},
		{"  broker:", "  brokers:"},
		{"device: /dev/i2c-1", "device: 1"},
		{"class: gpu", "class: tpu"},
		{"[pdu-a.1]", "[pdu-a.01]"},
	} {
		text := strings.Replace(string(readFile(t, "example.yaml")), c[0], c[1], 1)
		if err := validate(schema, []byte(text)); err == nil {
			t.Errorf("the schema takes %q", c[1])
		}
	}
}

// schemaNode is the part of a JSON Schema that is compared with the types.
type schemaNode struct {
	Properties  map[string]schemaNode `json:"properties"`
	Items       *schemaNode           `json:"items"`
	Additional  any                   `json:"additionalProperties"`
	Description string                `json:"description"`
	Default     any                   `json:"default"`
}

func (n schemaNode) inner() schemaNode {
	if n.Items != nil && n.Items.Properties != nil {
		return *n.Items
	}
	return n
}

func TestSchemaHasTheKeysOfTheTypes(t *testing.T) {
	var root schemaNode
	if err := json.Unmarshal(readFile(t, "schema.json"), &root); err != nil {
		t.Fatal(err)
	}
	var inSchema []string
	var walk func(n schemaNode, prefix string)
	walk = func(n schemaNode, prefix string) {
		if n.inner().Properties != nil && n.inner().Additional != false {
			t.Errorf("%s takes unknown keys", prefix)
		}
		for name, sub := range n.inner().Properties {
			inSchema = append(inSchema, prefix+name)
			if sub.Description == "" {
				t.Errorf("%s has no description", prefix+name)
			}
			walk(sub, prefix+name+".")
		}
	}
	walk(root, "")
	inTypes := keyPaths(reflect.TypeFor[Config](), "")
	slices.Sort(inSchema)
	slices.Sort(inTypes)
	if !slices.Equal(inSchema, inTypes) {
		t.Errorf("keys differ\nschema: %v\ntypes:  %v", inSchema, inTypes)
	}
}

func TestSchemaAndExampleShowTheDefaults(t *testing.T) {
	var root schemaNode
	if err := json.Unmarshal(readFile(t, "schema.json"), &root); err != nil {
		t.Fatal(err)
	}
	preset := Defaults()
	sections := reflect.ValueOf(preset.Config)
	for i := range sections.NumField() {
		name := keyOf(sections.Type().Field(i))
		switch section := sections.Field(i); section.Kind() {
		case reflect.Struct:
			compareDefaults(t, name, root.Properties[name], section)
		case reflect.String, reflect.Int, reflect.Float64, reflect.Bool:
			if name != "" {
				compareDefault(t, name, root.Properties[name], section)
			}
		}
	}
	compareDefaults(t, "feeds", root.Properties["feeds"].inner(), reflect.ValueOf(preset.Feed))
	compareDefaults(t, "muxes", root.Properties["muxes"].inner(), reflect.ValueOf(preset.Mux))
	compareDefaults(t, "sensors", root.Properties["sensors"].inner(), reflect.ValueOf(preset.Sensor))
	for _, class := range []Class{ClassASIC, ClassGPU} {
		n := preset.Node[class]
		if n.MinOffS == 0 {
			t.Errorf("class %s has no minimum off time", class)
		}
		n.MinOffS = 0 // differs by class and stands in the description
		compareDefaults(t, "nodes", root.Properties["nodes"].inner(), reflect.ValueOf(n))
	}
}

func compareDefaults(t *testing.T, prefix string, schema schemaNode, section reflect.Value) {
	t.Helper()
	for i := range section.NumField() {
		name := keyOf(section.Type().Field(i))
		compareDefault(t, prefix+"."+name, schema.Properties[name], section.Field(i))
	}
}

// compareDefault compares one default. Keys that must be given have none in the schema and the zero value here.
func compareDefault(t *testing.T, path string, schema schemaNode, v reflect.Value) {
	t.Helper()
	switch {
	case schema.Default == nil && v.IsZero():
	case schema.Default == nil, fmt.Sprint(schema.Default) != fmt.Sprint(v.Interface()):
		t.Errorf("%s: default %v in the schema, %v in Defaults", path, schema.Default, v.Interface())
	}
}

func TestDefaultsApplyToKeysThatAreLeftOut(t *testing.T) {
	c, findings := Parse("c.yaml", []byte(`
schema: 1
site: s
agent: a
mqtt: {broker: "mqtts://b:8883"}
buses: [{name: main, adapter: "bcm2835 (i2c@7e804000)"}]
feeds: [{name: f, lines: [L1], volts_v: 230, rating_a: 16}]
pdus: [{name: p, model: ac8, bus: main, identity: none, banks: {a: f}}]
nodes:
  - {name: n1, class: asic, outlets: [p.1], max_w: 100, wiring: declared}
  - {name: n2, class: asic, outlets: [p.2], max_w: 100, wiring: unproven, min_off_s: 45}
`))
	if len(findings) > 0 {
		t.Fatal(lines(findings))
	}
	want := Defaults().Config
	want.Schema, want.Site, want.Agent = 1, "s", "a"
	want.MQTT.Broker, want.MQTT.ClientID = "mqtts://b:8883", "a"
	want.Buses = []Bus{{Name: "main", Adapter: "bcm2835 (i2c@7e804000)"}}
	want.Feeds = []Feed{{Name: "f", Lines: []string{"L1"}, VoltsV: 230, RatingA: 16, Continuous: 0.8}}
	want.PDUs = []PDU{{Name: "p", Model: "ac8", Bus: "main", Identity: IdentityNone, Banks: map[string]string{"a": "f"}}}
	want.Nodes = []Node{
		{Name: "n1", Class: ClassASIC, Outlets: []string{"p.1"}, Wiring: WiringDeclared, MaxW: 100, MinOffS: 30, OnPowerReturn: ReturnHold},
		{Name: "n2", Class: ClassASIC, Outlets: []string{"p.2"}, Wiring: WiringUnproven, MaxW: 100, MinOffS: 45, OnPowerReturn: ReturnHold},
	}
	c.src = nil
	if !reflect.DeepEqual(*c, want) {
		t.Errorf("got  %+v\nwant %+v", *c, want)
	}
	c.MQTT.SpreadS, c.Nodes[1].SurgeS = 2.5, 0.5
	got := []time.Duration{
		c.MQTT.Spread(), c.Telemetry.Period(), c.Poll.OutletPeriod(), c.Poll.IdentityPeriod(),
		c.Power.Stagger(), c.Nodes[1].SurgeFor(), c.Nodes[1].MinOff(),
	}
	if s := fmt.Sprint(got); s != "[2.5s 5s 1s 5m0s 250ms 500ms 45s]" {
		t.Error(s)
	}
}

func TestDumpReadsBackTheSame(t *testing.T) {
	c := example(t)
	again, findings := Parse("dump", c.Dump())
	if len(findings) > 0 {
		t.Fatalf("%s\n%s", lines(findings), c.Dump())
	}
	if c.Hash() != again.Hash() {
		t.Error("the hash differs")
	}
	c.src, again.src = nil, nil
	if !reflect.DeepEqual(c, again) {
		t.Errorf("%+v\n%+v", c, again)
	}
	golden(t, "testdata/example.dump.yaml", string(c.Dump()))
}

func TestHashFollowsValuesOnly(t *testing.T) {
	text := string(readFile(t, "example.yaml"))
	base := example(t).Hash()
	// Arming is bound to this hash: a change here disarms racks that are upgraded.
	if got, want := fmt.Sprintf("%x", base), "5c7235d1d3ac273089bc4654b1311f926d962cbe2a793442d14a4fa79360ef36"; got != want {
		t.Errorf("the hash of example.yaml is %s, was %s", got, want)
	}
	// The keys groups, miners, interlocks and commands.keys, users and roles came later: a file without them has the hash that it had.
	older, _, _ := strings.Cut(text, "\n# Sets of nodes")
	before, rest, _ := strings.Cut(older, "\n  keys: ")
	_, after, _ := strings.Cut(rest, "\n\n")
	older = before + "\n" + after
	before, rest, _ = strings.Cut(older, "  - {name: ups, part: ups,") // as did this part
	_, after, _ = strings.Cut(rest, "\n")
	older = before + after
	if c, findings := Parse("c.yaml", []byte(older)); len(findings) > 0 || fmt.Sprintf("%x", c.Hash()) != "a98f30e35f3b1925bc88e3f4341b0d57d05227fc4f1d20e708ebcdd35708c6b2" {
		t.Errorf("without them it has another hash than before them: %s", lines(findings))
	}
	for _, c := range []struct {
		name, old, new string
		same           bool
	}{
		{"a comment", "# version of this format", "# another comment", true},
		{"a default left out", "state_dir: /var/lib/rackagent", "#", true},
		{"another style", "outlets: [pdu-a.1]", "outlets:\n      - \"pdu-a.1\"", true},
		{"a wattage", "max_w: 1600", "max_w: 1601", false},
		{"an outlet", "[pdu-a.7, pdu-a.8]", "[pdu-a.7]", false},
		{"power return", "on_power_return: hold", "on_power_return: restore", false},
		{"a bank's name", "a: bank-a", "b: bank-a", false},
	} {
		edited := strings.Replace(text, c.old, c.new, 1)
		cfg, findings := Parse("c.yaml", []byte(edited))
		if HasErrors(findings) || edited == text {
			t.Fatalf("%s: %s", c.name, lines(findings))
		}
		if (cfg.Hash() == base) != c.same {
			t.Errorf("%s: same hash is %v, want %v", c.name, !c.same, c.same)
		}
	}
}

// The schema takes either key and both kinds of a file's name, and reading the dump again gives the same.
func TestSeveralBrokersAndCredentials(t *testing.T) {
	text := strings.NewReplacer(
		"broker: mqtts://broker.ams1:8883 ", "brokers: [mqtts://a:8883, mqtts://b:8883] ",
		"/etc/rackagent/credentials/mqtt.password", "credential:mqtt.password",
	).Replace(string(readFile(t, "example.yaml")))
	c, findings := Parse("c.yaml", []byte(text))
	if len(findings) > 0 || !slices.Equal(c.MQTT.URLs(), []string{"mqtts://a:8883", "mqtts://b:8883"}) {
		t.Fatalf("%q %s", c.MQTT.URLs(), lines(findings))
	}
	schema := compileSchema(t)
	for _, y := range [][]byte{[]byte(text), c.Dump()} {
		if err := validate(schema, y); err != nil {
			t.Error(err)
		}
	}
	again, findings := Parse("dump.yaml", c.Dump())
	if len(findings) > 0 || again.Hash() != c.Hash() {
		t.Errorf("the dump reads otherwise: %s\n%s", lines(findings), c.Dump())
	}
	if err := validate(schema, []byte(strings.Replace(text, "brokers:", "broker: mqtts://c:1\n  brokers:", 1))); err == nil {
		t.Error("the schema takes both keys")
	}
}

func TestSelfTestHasThreeValues(t *testing.T) {
	schema := compileSchema(t)
	for value, want := range map[string]string{"": "none", "true": "true", "false": "false"} {
		text := string(readFile(t, "example.yaml"))
		if value != "" {
			text = strings.Replace(text, "# selftest: true ", "selftest: "+value+" ", 1)
		}
		c, findings := Parse("c.yaml", []byte(text))
		got := "none"
		if c.MQTT.SelfTest != nil {
			got = fmt.Sprint(*c.MQTT.SelfTest)
		}
		if len(findings) > 0 || got != want || strings.Contains(string(c.Dump()), "selftest: "+value+"\n") != (value != "") {
			t.Errorf("%q: %s, %s\n%s", value, got, lines(findings), c.Dump())
		}
		if err := validate(schema, c.Dump()); err != nil {
			t.Error(err)
		}
	}
	_, findings := Parse("c.yaml", []byte(strings.Replace(string(readFile(t, "example.yaml")), "# selftest: true ", "selftest: maybe ", 1)))
	if got := lines(findings); !strings.Contains(got, "mqtt.selftest: want true or false") {
		t.Error(got)
	}
}

func TestDumpStarsAPasswordInTheAddress(t *testing.T) {
	text := strings.Replace(string(readFile(t, "example.yaml")), "mqtts://broker", "mqtts://u:hunter2@broker", 1)
	c, findings := Parse("c.yaml", []byte(text))
	if !HasErrors(findings) || strings.Contains(lines(findings), "hunter2") {
		t.Errorf("findings: %s", lines(findings))
	}
	if dump := string(c.Dump()); strings.Contains(dump, "hunter2") || !strings.Contains(dump, "***@broker") {
		t.Error(dump)
	}
}

func TestCheckWithoutAFile(t *testing.T) {
	c := example(t)
	c.src = nil
	c.Nodes[0].Outlets = []string{"pdu-a.9"}
	c.Nodes[1].Name = ""
	c.Groups = nil
	if got, want := lines(c.Check(Catalogue{Model: ac8})), `config: nodes[0].outlets[0]: outlet pdu-a.9: ac8 has outlets 1 to 8
config: nodes[1].name: this key is missing
`; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
