package config

import (
	"strings"
	"testing"
)

// TestInterlocks: every mistake in an interlock is told with its line.
func TestInterlocks(t *testing.T) {
	text := string(readFile(t, "example.yaml"))
	head, _, ok := strings.Cut(text, "\ninterlocks:")
	if !ok {
		t.Fatal("no interlocks in the example")
	}
	for _, c := range []struct{ name, entry, want string }{
		{"a flow", `{name: a, kind: low_flow, sensor: coolant, input: 1, below: 5, target: feed/bank-a, asic: cut}`, ""},
		{"a battery", `{name: a, kind: on_battery, sensor: tray, target: node/asic-1, asic: alarm}`, ""},
		{"no kind", `{name: a, kind: fire, sensor: tray, target: rack, asic: cut}`, `kind: "fire" is not one of over_temperature, low_flow, leak, stop, on_battery`},
		{"no sensor", `{name: a, kind: leak, sensor: cellar, target: rack, asic: cut}`, `sensor: no sensor is named "cellar"`},
		{"no limit", `{name: a, kind: over_temperature, sensor: inlet, target: rack, asic: cut}`, `above: this key is missing`},
		{"a limit of another kind", `{name: a, kind: leak, sensor: tray, above: 3, target: rack, asic: cut}`, `above: an interlock of kind "leak" takes no such limit`},
		{"the other limit", `{name: a, kind: low_flow, sensor: meter, above: 3, below: 2, target: rack, asic: cut}`, `above: an interlock of kind "low_flow" takes no such limit`},
		{"a limit below 0", `{name: a, kind: over_temperature, sensor: inlet, above: -3, target: rack, asic: cut}`, `above: -3 is outside 0 to 10000`},
		{"for ever", `{name: a, kind: leak, sensor: tray, for_s: 9999, target: rack, asic: cut}`, `for_s: 9999 is outside 0.05 to 3600 s`},
		{"no target", `{name: a, kind: leak, sensor: tray, target: outlet/pdu-a.1, asic: cut}`, `target: "outlet/pdu-a.1" is no target`},
		{"no such group", `{name: a, kind: leak, sensor: tray, target: group/lower, asic: cut}`, `target: no group is named "lower"`},
		{"no such deed", `{name: a, kind: leak, sensor: tray, target: rack, asic: stop}`, `asic: "stop" is not one of alarm, sleep, cut`},
		{"a server", `{name: a, kind: leak, sensor: tray, target: rack, asic: cut, gpu: cut}`, `gpu: unknown key`},
		{"a leak and a sleep", `{name: a, kind: leak, sensor: tray, target: rack, asic: sleep}`, `asic: a leak cuts, or is only told`},
		{"a target of a server", `{name: a, kind: leak, sensor: tray, target: node/gpu-1, asic: cut}`, `target: there is no miner in node/gpu-1`},
		{"twice", "{name: a, kind: leak, sensor: tray, target: rack, asic: cut}\n  - {name: a, kind: leak, sensor: tray, target: rack, asic: cut}", `name: "a" is also the name`},
	} {
		conf, findings := Parse("c.yaml", []byte(head+"\ninterlocks:\n  - "+c.entry+"\n"))
		if len(findings) == 0 {
			findings = conf.Check(Catalogue{})
		}
		var errors []string
		for _, f := range findings {
			if f.Severity == Error {
				errors = append(errors, f.String())
			}
		}
		got := strings.Join(errors, "\n")
		if c.want == "" && got != "" || c.want != "" && (len(errors) != 1 || !strings.Contains(got, c.want)) {
			t.Errorf("%s: %q\nwant %q", c.name, got, c.want)
		}
	}
}
