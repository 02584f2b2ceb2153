package config

import (
	"strings"
	"testing"
)

// probes is a catalogue with a part of each kind.
func probes() Catalogue {
	parts := map[string]Part{
		"thermo":  {Addresses: []Address{0x48, 0x4b, 0x50, 0x50}},
		"monitor": {Addresses: []Address{0x40, 0x4f}, Keys: []string{"shunt_ohm", "max_a"}, Needs: []string{"shunt_ohm"}},
		"three":   {Addresses: []Address{0x40, 0x43}, Needs: []string{"inputs"}, Inputs: 3, InputKeys: []string{"shunt_ohm"}},
		"adc":     {Addresses: []Address{0x48, 0x4b}, Needs: []string{"inputs"}, Inputs: 4, InputKeys: []string{"measure"}},
		"kernel":  {Kind: PartKernel, Needs: []string{"chip", "inputs"}, Inputs: 64, InputKeys: []string{"measure"}},
		"float":   {Kind: PartLine, Needs: []string{"line", "active"}},
	}
	return Catalogue{
		Model: ac8, Parts: []string{"adc", "float", "kernel", "monitor", "thermo", "three"},
		Part:  func(name string) (Part, bool) { p, ok := parts[name]; return p, ok },
		Muxes: map[string]int{"pca9546": 4, "pca9548": 8},
	}
}

// bench is a file with good muxes and sensors; a test changes one thing.
const bench = `schema: 1
site: ams1
agent: r17
mqtt: {broker: "mqtt://127.0.0.1:1883"}
buses:
  - {name: main, device: /dev/i2c-1}
muxes:
  - {name: mux-a, bus: main, address: 0x70}
  - {name: mux-b, part: pca9546, via: mux-a.7, address: 0x71}
sensors:
  - {name: inlet, part: thermo, bus: main, address: 0x48}
  - {name: deep, part: monitor, via: mux-b.3, address: 0x40, shunt_ohm: 0.001}
  - name: rails
    part: three
    via: mux-a.0
    address: 0x41
    inputs:
      - {input: 1, label: 12v, shunt_ohm: 0.01}
      - {input: 3, shunt_ohm: 0.02}
  - name: coolant
    part: adc
    via: mux-a.1
    address: 0x48
    inputs:
      - {input: 1, label: flow, measure: flow_lpm, burden_ohm: 150, low: 0, high: 60}
      - {input: 2, measure: leak, ref_v: 3.3}
      - {input: 3, measure: volts}
  - {name: board, part: kernel, chip: lm75, device: 1-004a, inputs: [{input: 0, measure: volts}, {input: 1, measure: temp}]}
  - {name: tray, part: float, line: LEAK1, active: low}
`

func TestSensorsThatAreRight(t *testing.T) {
	c, findings := Parse("bench.yaml", []byte(bench))
	if c == nil || len(findings) > 0 {
		t.Fatal(lines(findings))
	}
	if f := c.Check(probes()); len(f) > 0 {
		t.Error(lines(f))
	}
	if err := validate(compileSchema(t), []byte(bench)); err != nil {
		t.Error(err)
	}
	if got := c.BusOf("", "mux-b.3"); got != "main" {
		t.Errorf("mux-b.3 hangs on %q", got)
	}
	m, n, ok := c.Via("mux-b.3")
	if !ok || m.Part != "pca9546" || n != 3 || c.Muxes[0].Part != "pca9548" || c.Sensors[0].PeriodS != 5 || c.Sensors[0].Address != 0x48 {
		t.Errorf("%+v %d %t, %+v", m, n, ok, c.Sensors[0])
	}
	again, findings := Parse("dump.yaml", c.Dump())
	if again == nil || len(findings) > 0 || again.Hash() != c.Hash() {
		t.Errorf("read again it differs: %s\n%s", lines(findings), c.Dump())
	}
	if f := again.Check(probes()); len(f) > 0 {
		t.Error(lines(f))
	}
}

func TestSensorMistakes(t *testing.T) {
	for name, c := range map[string]struct{ old, repl, want string }{
		"decimal address":      {"address: 0x48}\n  - {name: deep", "address: 72}\n  - {name: deep", "sensors[0].address: want an address, got the number \"72\""},
		"quoted address":       {"address: 0x48}\n  - {name: deep", "address: \"0x48\"}\n  - {name: deep", "sensors[0].address: want an address"},
		"long address":         {"address: 0x48}\n  - {name: deep", "address: 0x148}\n  - {name: deep", "sensors[0].address: want an address"},
		"reserved address":     {"address: 0x48}\n  - {name: deep", "address: 0x78}\n  - {name: deep", "sensors[0].address: devices have addresses from 0x08 to 0x77"},
		"no address":           {"bus: main, address: 0x48}", "bus: main}", "sensors[0].address: this key is missing"},
		"address of the part":  {"address: 0x48}\n  - {name: deep", "address: 0x4c}\n  - {name: deep", "sensors[0].address: 0x4c is outside 0x48 to 0x4b, 0x50 to 0x50"},
		"mux address":          {"bus: main, address: 0x70}", "bus: main, address: 0x20}", "muxes[0].address: 0x20 is outside 0x70 to 0x77"},
		"mux part":             {"part: pca9546", "part: pca9547", "muxes[1].part: no mux part is named \"pca9547\""},
		"no such channel":      {"via: mux-b.3", "via: mux-b.4", "sensors[1].via: pca9546 has channels 0 to 3"},
		"no such mux":          {"via: mux-b.3", "via: mux-c.3", "sensors[1].via: no mux is named \"mux-c\" (muxes: mux-a, mux-b)"},
		"not a channel":        {"via: mux-b.3", "via: mux-b", "sensors[1].via: \"mux-b\" is not MUX.CHANNEL"},
		"leading nought":       {"via: mux-b.3", "via: mux-b.03", "sensors[1].via: \"mux-b.03\" is not MUX.CHANNEL"},
		"bus and via":          {"via: mux-b.3", "bus: main, via: mux-b.3", "sensors[1].via: bus says already where this hangs"},
		"neither bus nor via":  {"bus: main, address: 0x48}", "address: 0x48}", "sensors[0]: neither bus nor via is given"},
		"no such bus":          {"bus: main, address: 0x48}", "bus: mian, address: 0x48}", "sensors[0].bus: no bus is named \"mian\""},
		"circle":               {"{name: mux-a, bus: main,", "{name: mux-a, via: mux-b.0,", "muxes[0].via: the muxes run in a circle"},
		"two names":            {"name: deep", "name: inlet", "sensors[1].name: \"inlet\" is also the name of sensors[0]"},
		"no such part":         {"part: thermo", "part: termo", "sensors[0].part: no part is named \"termo\" (parts: adc,"},
		"key of another part":  {"bus: main, address: 0x48}", "bus: main, address: 0x48, shunt_ohm: 0.1}", "sensors[0].shunt_ohm: thermo takes no shunt_ohm"},
		"place of another":     {"part: kernel,", "part: kernel, bus: main,", "sensors[4].bus: kernel takes no bus"},
		"key that is needed":   {", shunt_ohm: 0.001}", "}", "sensors[1].shunt_ohm: monitor needs shunt_ohm"},
		"shunt":                {"shunt_ohm: 0.001", "shunt_ohm: 0", "sensors[1].shunt_ohm: 0 is outside"},
		"inputs where none":    {"bus: main, address: 0x48}", "bus: main, address: 0x48, inputs: [{input: 1}]}", "sensors[0].inputs: thermo takes no inputs"},
		"input 4 of 3":         {"{input: 3, shunt_ohm: 0.02}", "{input: 4, shunt_ohm: 0.02}", "sensors[2].inputs[1].input: three has inputs 1 to 3"},
		"input twice":          {"{input: 3, shunt_ohm: 0.02}", "{input: 1, shunt_ohm: 0.02}", "sensors[2].inputs[1].input: input 1 is also that of sensors[2].inputs[0]"},
		"input without shunt":  {"{input: 3, shunt_ohm: 0.02}", "{input: 3}", "sensors[2].inputs[1].shunt_ohm: three needs shunt_ohm"},
		"label":                {"label: 12v", "label: 12 V", "sensors[2].inputs[0].label: \"12 V\" is not a name"},
		"what it measures":     {"measure: flow_lpm", "measure: flow", "sensors[3].inputs[0].measure: \"flow\" is not one of volts, leak, flow_lpm"},
		"nothing to measure":   {"{input: 3, measure: volts}", "{input: 3}", "sensors[3].inputs[2].measure: this key is missing"},
		"loop without burden":  {"burden_ohm: 150, ", "", "sensors[3].inputs[0].burden_ohm: adc needs burden_ohm"},
		"loop upside down":     {"low: 0, high: 60", "low: 60, high: 0", "sensors[3].inputs[0].high: 0 at 20 mA is not above 60 at 4 mA"},
		"rope without voltage": {", ref_v: 3.3", "", "sensors[3].inputs[1].ref_v: adc needs ref_v"},
		"loop's key at a rope": {"ref_v: 3.3", "ref_v: 3.3, high: 3", "sensors[3].inputs[1].high: adc takes no high"},
		"level":                {"active: low", "active: wet", "sensors[5].active: \"wet\" is not one of high, low"},
		"kernel's input 0":     {"{input: 1, measure: temp}", "{input: 0, measure: temp}", "sensors[4].inputs[1].input: kernel has inputs 1 to 64, and in0 for volts"},
		"kernel's kind":        {"{input: 1, measure: temp}", "{input: 1, measure: temp_c}", "sensors[4].inputs[1].measure: \"temp_c\" is not one of temp, volts"},
		"kernel without chip":  {"chip: lm75, ", "", "sensors[4].chip: kernel needs chip"},
		"kernel's input twice": {"{input: 1, measure: temp}", "{input: 1, measure: temp}, {input: 1, measure: rpm}, {input: 1, measure: temp, label: again}", "bench.yaml:28:159: sensors[4].inputs[3].input: input 1 of temp is also that of sensors[4].inputs[1] on line 28"},
		"kernel's in0 twice":   {"{input: 1, measure: temp}", "{input: 0, measure: volts}", "sensors[4].inputs[1].input: input 0 of volts is also that of sensors[4].inputs[0]"},
		"a line twice":         {"line: LEAK1, active: low}", "line: LEAK1, active: low}\n  - {name: tray2, part: float, line: LEAK1, active: high}", "bench.yaml:30:38: sensors[6].line: \"LEAK1\" is also the line of sensors[5] on line 29"},
		"a bus's clock":        {"device: /dev/i2c-1}", "device: /dev/i2c-1, scl_line: LEAK1, sda_line: SDA}", "sensors[5].line: \"LEAK1\" is also the scl_line of buses[0] on line 6"},
		"a bus's data":         {"device: /dev/i2c-1}", "device: /dev/i2c-1, scl_line: SCL, sda_line: LEAK1}", "sensors[5].line: \"LEAK1\" is also the sda_line of buses[0] on line 6"},
		"period":               {"address: 0x48}\n  - {name: deep", "address: 0x48, period_s: 0.01}\n  - {name: deep", "sensors[0].period_s: 0.01 is outside"},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Count(bench, c.old) < 1 {
				t.Fatalf("%q is not in the file", c.old)
			}
			conf, findings := Parse("bench.yaml", []byte(strings.Replace(bench, c.old, c.repl, 1)))
			if conf != nil {
				findings = conf.Check(probes())
			}
			if got := lines(findings); !strings.Contains(got, c.want) {
				t.Errorf("got\n%swant %s", got, c.want)
			}
		})
	}
}

func TestDirectCurrentFeeds(t *testing.T) {
	const feeds = `schema: 1
site: ams1
agent: r17
mqtt: {broker: "mqtt://127.0.0.1:1883"}
feeds:
  - {name: row, lines: [L1], volts_v: 230, rating_a: 32}
  - {name: shelf, lines: [DC], volts_v: 54, rating_a: 300}
  - {name: slots, parent: shelf, lines: [DC], volts_v: 54, rating_a: 200}
`
	for name, c := range map[string]struct{ old, repl, want string }{
		"right":              {"", "", ""},
		"beside a line":      {"{name: shelf, lines: [DC]", "{name: shelf, lines: [L1, DC]", "feeds[1].lines[1]: DC stands beside other lines"},
		"below alternating":  {"parent: shelf", "parent: row", "feeds[2].parent: what a rectifier takes on its lines is not known here"},
		"alternating below":  {"parent: shelf, lines: [DC]", "parent: shelf, lines: [L1]", "feeds[2].parent: what a rectifier takes"},
		"twice the same one": {"lines: [DC], volts_v: 54, rating_a: 300", "lines: [DC, DC], volts_v: 54, rating_a: 300", "DC stands beside other lines"},
	} {
		conf, _ := Parse("feeds.yaml", []byte(strings.Replace(feeds, c.old, c.repl, 1)))
		got := lines(conf.Check(Catalogue{}))
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

// Clocks meant for one bus must not pull at another.
func TestBusesShareNoLine(t *testing.T) {
	for keys, want := range map[string]string{
		"scl_line: C, sda_line: D": "",
		"scl_line: A, sda_line: D": "bus.yaml:7:48: buses[1].scl_line: \"A\" is also the scl_line of buses[0] on line 6",
		"scl_line: C, sda_line: B": "bus.yaml:7:61: buses[1].sda_line: \"B\" is also the sda_line of buses[0] on line 6",
		"scl_line: B, sda_line: D": "bus.yaml:7:48: buses[1].scl_line: \"B\" is also the sda_line of buses[0] on line 6",
		"scl_line: C, sda_line: A": "bus.yaml:7:61: buses[1].sda_line: \"A\" is also the scl_line of buses[0] on line 6",
	} {
		const first = "  - {name: main, device: /dev/i2c-1, scl_line: A, sda_line: B}\n"
		conf, findings := Parse("bus.yaml", []byte("schema: 1\nsite: ams1\nagent: r17\nmqtt: {broker: \"mqtt://127.0.0.1:1883\"}\nbuses:\n"+first+"  - {name: next, device: /dev/i2c-3, "+keys+"}\n"))
		if conf != nil {
			findings = conf.Check(Catalogue{})
		}
		if got := strings.TrimSpace(lines(findings)); got != want {
			t.Errorf("%s: %q", keys, got)
		}
	}
}

func TestLinesOfABusComeInPairs(t *testing.T) {
	for keys, want := range map[string]string{
		"scl_line: A, sda_line: B": "",
		"adapter_reset: true":      "",
		"scl_line: A":              "buses[0].scl_line: there is no sda_line",
		"sda_line: B":              "buses[0].sda_line: there is no scl_line",
		"scl_line: A, sda_line: A": "buses[0].sda_line: \"A\" is also the scl_line",
	} {
		conf, findings := Parse("bus.yaml", []byte("schema: 1\nsite: ams1\nagent: r17\nmqtt: {broker: \"mqtt://127.0.0.1:1883\"}\nbuses:\n  - {name: main, device: /dev/i2c-1, "+keys+"}\n"))
		if conf != nil {
			findings = conf.Check(Catalogue{})
		}
		if got := lines(findings); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q", keys, got)
		}
	}
}
