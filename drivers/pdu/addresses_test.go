package pdu

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"rackagent/drivers/chip"
)

func TestPlaces(t *testing.T) {
	m, err := LoadModel("ac8")
	if err != nil {
		t.Fatal(err)
	}
	want := []Place{
		{0x20, ""}, {0x48, ""}, {0x50, ""}, {0x70, ""}, // relays, temperature, memory and mux
		{0x38, "0.0"}, {0x38, "0.1"}, {0x38, "0.2"}, {0x38, "0.3"}, // the meters
	}
	if got := m.Places(); !slices.Equal(got, want) {
		t.Errorf("%#x, want %#x", got, want)
	}
}

// A memory that answers at several addresses takes them all, on its bus or behind its channel.
func TestPlacesOfAMemory(t *testing.T) {
	ac8 := string(modelData(t, "models/ac8.yaml"))
	for memory, want := range map[string][]Place{
		"address: 0x57, part: at24c02":                     {{0x57, ""}},
		"address: 0x52, part: at24c04":                     {{0x52, ""}, {0x53, ""}},
		"address: 0x54, part: at24c08, mux: 0, channel: 5": {{0x54, "0.5"}, {0x55, "0.5"}, {0x56, "0.5"}, {0x57, "0.5"}},
		"address: 0x50, part: at24c16": {
			{0x50, ""}, {0x51, ""}, {0x52, ""}, {0x53, ""}, {0x54, ""}, {0x55, ""}, {0x56, ""}, {0x57, ""},
		},
		"address: 0x51, part: at24c512": {{0x51, ""}},
	} {
		m, err := ParseModel("x.yaml", []byte(strings.Replace(ac8, "address: 0x50, part: at24c02", memory, 1)))
		if err != nil {
			t.Errorf("%s: %v", memory, err)
			continue
		}
		got := slices.DeleteFunc(m.Places(), func(p Place) bool { return p.Addr < 0x50 || p.Addr > 0x57 })
		if !slices.Equal(got, want) {
			t.Errorf("%s: %#x", memory, got)
		}
	}
}

// Nothing else sits where a memory answers: what is read there is the AND of both, and a write reaches both.
func TestMemoryOfManyAddresses(t *testing.T) {
	bank := string(modelData(t, "models/ac8-bank.yaml"))
	relays := strings.Replace(bank, "{part: pca9554a, address: 0x38}", "{part: max7310, address: 0x51}", 1)
	slot := strings.Replace(string(modelData(t, "models/dc6.yaml")), "channel: 5, address: 0x10", "channel: 5, address: 0x53", 1)
	for _, c := range []struct{ model, memory, want string }{
		{relays, "0x50, part: at24c02", ""},
		{relays, "0x54, part: at24c08", ""},
		{relays, "0x50, part: at24c04", "buses.fru: address 0x51 is taken by buses.relays[0], and an at24c04 at 0x50 answers there too"},
		{relays, "0x50, part: at24c16", "buses.fru: address 0x51 is taken by buses.relays[0], and an at24c16 at 0x50 answers there too"},
		{slot, "0x50, part: at24c04", ""},
		{slot, "0x50, part: at24c08", "meters[5]: address 0x53 is taken by buses.fru"},
		{slot, "0x50, channel: 4, part: at24c08", ""},
		{slot, "0x50, channel: 5, part: at24c08", "meters[5]: address 0x53 is taken by buses.fru"},
	} {
		data := strings.Replace(c.model, "0x50, part: at24c02", c.memory, 1)
		if _, err := ParseModel("x.yaml", []byte(data)); told(err) != c.want {
			t.Errorf("%s: %q", c.memory, told(err))
		}
	}
}

// A part without a direction register comes back from a reset with its pins released.
func TestPolarityAfterAReset(t *testing.T) {
	bank := string(modelData(t, "models/ac8-bank.yaml"))
	leds := strings.Replace(bank, "{part: pca9554a, address: 0x38}", "{part: pca9552, address: 0x60}", 1)
	var want []string
	for n := range 8 {
		want = append(want, fmt.Sprintf(`outlets[%d].active: a pca9552 releases its pins after a reset, which with "high" energises the coil `+
			`against on_controller_power_loss: it takes "low" only`, n))
	}
	if _, err := ParseModel("x.yaml", []byte(leds)); told(err) != strings.Join(want, "\n") {
		t.Errorf("%v", err)
	}
	low := strings.ReplaceAll(leds, "active: high", "active: low")
	closed := strings.NewReplacer(`contact: "no"`, `contact: "nc"`, "on_controller_power_loss: open", "on_controller_power_loss: closed").Replace(low)
	for _, data := range []string{low, closed} {
		m, err := ParseModel("x.yaml", []byte(data))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range m.Outlets {
			if o.closed(chip.Words{Latch: 0xffff}) != o.ClosedAtRest() {
				t.Errorf("outlet %d does not rest where the model says", o.N)
			}
		}
	}
}

// The meter of a bank shows what all its outlets may draw together.
func TestFullScaleOfABank(t *testing.T) {
	bank := strings.Replace(string(modelData(t, "models/ac8-bank.yaml")), "{part: pca9554a, address: 0x38}", "{part: pca9554, address: 0x20}", 1)
	for _, c := range []struct{ shunt, want string }{
		{"0.01", `supplies[0].meter: the meter's full scale is 2.2 A, the outlets of bank "a" are rated 40 A together`},
		{"0.0006", `supplies[0].meter: the meter's full scale is 36.8 A, the outlets of bank "a" are rated 40 A together`},
		{"0.0005", ""},
	} {
		data := strings.NewReplacer(
			"{part: mcp39f521, address: 0x74}", fmt.Sprintf("{part: ade7953, divider: 991, a: {shunt_ohm: 1, gain: 1}, b: {shunt_ohm: %s, gain: 16}}", c.shunt),
			"{bank: a, meter: 0,", "{bank: a, meter: 0, input: b,",
		).Replace(bank)
		if _, err := ParseModel("x.yaml", []byte(data)); told(err) != c.want {
			t.Errorf("shunt of %s ohm: %v", c.shunt, err)
		}
	}
}
