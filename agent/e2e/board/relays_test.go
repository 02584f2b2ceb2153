//go:build e2e && linux

package board

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"rackagent/agent/rack"
)

// bank is a part that drives relays without any meter, and a PDU that consists of it. Nothing tells one such board from
// another one, so no server may hang on it.
type bank struct {
	model, part     string
	address         int
	outlets         int
	active          string
	contents        map[int]int // registers as an earlier life of the agent left them
	cut, energised  int         // outlets, counted from 1: one that is closed, one that is open
	afterCut, after map[int]int // registers afterwards, one after the other
}

// pdu is the name of the PDU.
func (b bank) pdu() string { return "pdu-" + b.model }

// file is where the guest has the model.
func (b bank) file() string { return "/etc/rackagent/models/" + b.model + ".yaml" }

// text is the model.
func (b bank) text() string {
	var s strings.Builder
	fmt.Fprintf(&s, "model: %s\nmanufacturer: Rackagent\nproduct: %s\nnominal_v: 230\nsettling_ms: 300\n", b.model, b.model)
	fmt.Fprintf(&s, "buses:\n  relays: [{part: %s, address: %#x}]\noutlets:\n", b.part, b.address)
	for n := range b.outlets {
		fmt.Fprintf(&s, "  - {bank: a, relay: %d, active: %s, contact: \"no\", on_controller_power_loss: open, rating_a: 16, noise_w: 1}\n", n, b.active)
	}
	return s.String()
}

// leds is an LED driver whose open drains pull coils: selector 00 is closed, 01 open, two bits for each of four pins in
// LS0 to LS3 (NXP, PCA9552 rev. 6). Outlet 2 is closed, and so is pin 10, which is no outlet.
var leds = bank{
	model: "leds", part: "pca9552", address: 0x60, outlets: 6, active: "low",
	contents: map[int]int{6: 0x51, 7: 0x55, 8: 0x45, 9: 0x55},
	cut:      2, afterCut: map[int]int{6: 0x55, 7: 0x55, 8: 0x45, 9: 0x55},
	energised: 5, after: map[int]int{6: 0x55, 7: 0x54, 8: 0x45, 9: 0x55},
}

// pins is an expander of 8 bits: output, polarity, configuration (Maxim 19-2698). All its pins are outputs already, since
// QEMU's model reads 0 from the latch of an input, and no taking over would read back what it wrote.
var pins = bank{
	model: "pins", part: "max7310", address: 0x20, outlets: 8, active: "high",
	contents: map[int]int{3: 0x00, 2: 0xf0, 1: 0x2c},
	cut:      4, afterCut: map[int]int{3: 0x00, 2: 0xf0, 1: 0x24},
	energised: 1, after: map[int]int{3: 0x00, 2: 0xf0, 1: 0x25},
}

// relays is a rack of such banks on bus @0.
func relays(name string, on *board, banks []bank, more hardware) emulated {
	config := "\npoll: {outlet_period_s: 1}\ntelemetry: {period_s: 1}\nbuses:\n  - {name: main, device: @0}\n" +
		"feeds:\n  - {name: feed-a, lines: [L1], volts_v: 230, rating_a: 160}\n"
	var files, pdus, nodes []string
	hw := more
	for _, b := range banks {
		hw.devices = append(hw.devices, fmt.Sprintf("%s,bus=@0,address=%#x,id=%s", b.part, b.address, b.model))
		files = append(files, b.file())
		pdus = append(pdus, fmt.Sprintf("  - {name: %s, model: %s, bus: main, identity: none, banks: {a: feed-a}}\n", b.pdu(), b.model))
		for n := 1; n <= b.outlets; n++ {
			nodes = append(nodes, fmt.Sprintf("  - {name: asic-%s-%d, class: asic, outlets: [%s.%d], wiring: declared, max_w: 600, min_off_s: 1}\n", b.model, n, b.pdu(), n))
		}
	}
	config += "model_files: [" + strings.Join(files, ", ") + "]\npdus:\n" + strings.Join(pdus, "") + "nodes:\n" + strings.Join(nodes, "")
	return emulated{
		name: name, boards: []*board{on}, hardware: hw, config: config,
		prepare: func(g *guest) {
			for _, b := range banks {
				g.write(b.file(), b.text())
			}
		},
		check: func(t *testing.T, g *guest) { checkRelays(t, g, banks) },
	}
}

// strangers are parts that nobody configured, for a look at what is there.
var strangers = hardware{
	devices: []string{
		"tmp421,bus=@0,address=0x4c,id=remote", "emc1413,bus=@0,address=0x4d,id=diodes", "tmp105,bus=@0,address=0x49,id=twin",
		"adm1272,bus=@0,address=0x10,id=swap",
	},
	memories: []memory{{"@0", 0x50, 256, inventory("EMU-0001")}},
}

func checkRelays(t *testing.T, g *guest, banks []bank) {
	if g.b == ast2600 {
		suggestions(t, g, banks)
	}
	for _, b := range banks {
		for _, register := range []int{9, 8, 7, 6, 3, 2, 1} { // the direction before the latch
			if v, there := b.contents[register]; there {
				g.i2c("@0", "w2@%#x %#x %#x", b.address, register, v)
			}
		}
	}
	want := func(when string, registers func(bank) map[int]int) {
		t.Helper()
		for _, b := range banks {
			if got := g.registers(b); !reflect.DeepEqual(got, registers(b)) {
				t.Errorf("%s the %s holds %#x, want %#x", when, b.part, got, registers(b))
			}
		}
	}
	first := func(b bank) map[int]int { return b.contents }
	last := func(b bank) map[int]int { return b.after }

	want("before the agent's start", first)
	started := func(cut, energised float64) {
		t.Helper()
		g.agent()
		seen := map[string]expectation{}
		for _, b := range banks {
			seen[fmt.Sprintf("%s.ctl.1", b.pdu())] = expectation{1, 0}
			seen[fmt.Sprintf("%s.relay.%d", b.pdu(), b.cut)] = expectation{cut, 0}
			seen[fmt.Sprintf("%s.relay.%d", b.pdu(), b.energised)] = expectation{energised, 0}
		}
		g.arrive(seen, patience)
	}
	started(1, 0)
	want("after the agent's start", first)
	for _, b := range banks {
		for _, c := range []struct {
			op     string
			outlet int
			want   map[int]int
		}{{"outlet.cut", b.cut, b.afterCut}, {"outlet.energise", b.energised, b.after}} {
			end := g.order(newCommand(b.model+"-"+c.op[7:], c.op, fmt.Sprintf("outlet/%s.%d", b.pdu(), c.outlet), ""))
			if end.State != rack.StatePartial || end.Code != rack.CodeUnmetered || len(end.Targets) != 1 || end.Targets[0].State != rack.StateConfirmed {
				t.Errorf("%s of %s ended %+v, want it partial, unmetered", c.op, b.part, end)
				continue
			}
			if step := end.Targets[0].Steps[0]; step.Taken == nil || step.Confirmed == nil || step.Settled != nil {
				t.Errorf("%s of %s: taken %v, confirmed %v, settled %v", c.op, b.part, step.Taken, step.Confirmed, step.Settled)
				continue
			}
			t.Logf("%s on the %s: %s", c.op, b.part, course(end))
			if got := g.registers(b); !reflect.DeepEqual(got, c.want) {
				t.Errorf("after %s the %s holds %#x, want %#x", c.op, b.part, got, c.want)
			}
		}
	}
	want("after the commands", last)
	g.signal("KILL")
	want("after the kill", last)
	started(0, 1)
	want("after the start that follows", last)
	if status := g.signal("TERM"); status != 0 {
		t.Errorf("stopped, the agent ended with %d", status)
	}
	want("after the stop", last)
	started(0, 1)
	want("after another start", last)
	g.signal("TERM")
}

// registers reads those of a bank that a bank's contents name, with i2c-tools.
func (g *guest) registers(b bank) map[int]int {
	g.t.Helper()
	out := map[int]int{}
	for register := range b.contents {
		out[register] = g.number("i2cget -y %s %#x %#x", strings.TrimPrefix(g.b.devices("@0"), "/dev/i2c-"), b.address, register)
	}
	return out
}

// suggestions asks the program what is on the bus, when nothing of it is configured: what can be told without a write is
// told, and the rest is only said to answer. The banks do not notice.
func suggestions(t *testing.T, g *guest, banks []bank) {
	before := map[string]map[int]int{}
	for _, b := range banks {
		before[b.part] = g.registers(b)
	}
	var found struct {
		Suggested struct {
			Buses []struct {
				Parts []struct{ Address, Part, Confidence string }
			}
			YAML string
		}
	}
	began := time.Now()
	said := g.sh("rackagent --config /etc/rackagent/none.yaml devices --suggest --bus %s --json", g.b.devices("@0"))
	t.Logf("devices --suggest took %.1f s", time.Since(began).Seconds())
	g.must(json.Unmarshal([]byte(said), &found))
	got := map[string]string{}
	for _, b := range found.Suggested.Buses {
		for _, p := range b.Parts {
			got[p.Address] = strings.TrimSpace(p.Part + " " + p.Confidence)
		}
	}
	want := map[string]string{
		"0x10": "adm1272 identified", "0x20": "answers", "0x49": "tmp75 looks like", "0x4c": "tmp421 identified", "0x4d": "emc1413 identified",
		"0x50": "memory identified", "0x60": "answers",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("what is there is said to be %v, want %v", got, want)
	}
	for _, line := range []string{
		"  - {name: tmp421-4c, part: tmp421, ", "  - {name: emc1413-4d, part: emc1413, ", "  - {name: adm1272-10, part: adm1272, ",
		"  # - {name: tmp75-49, part: tmp75, ", `  #   serial: "EMU-0001"`,
	} {
		if !strings.Contains(found.Suggested.YAML, "\n"+line) {
			t.Errorf("no line %s in\n%s", line, found.Suggested.YAML)
		}
	}
	for _, b := range banks {
		if got := g.registers(b); !reflect.DeepEqual(got, before[b.part]) {
			t.Errorf("asked for suggestions, the %s holds %#x, and before %#x", b.part, got, before[b.part])
		}
	}
}
