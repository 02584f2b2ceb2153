package inventory

import (
	"slices"
	"strings"
	"testing"

	"rackagent/config"
)

// Two boards have the same addresses; below, the bus of one is a channel of a mux of the kernel's on the bus of the other.
func TestOverheardAddresses(t *testing.T) {
	conf := &config.Config{
		Buses: []config.Bus{{Name: "main"}, {Name: "ch0"}, {Name: "ch1"}},
		Muxes: []config.Mux{{Name: "m", Part: "pca9548", Bus: "ch1", Address: 0x77}},
		PDUs:  []config.PDU{{Name: "a", Model: "ac8", Bus: "main"}, {Name: "b", Model: "ac8", Bus: "ch0"}},
		Sensors: []config.Sensor{
			{Name: "inlet", Part: "lm75", Bus: "ch0", Address: 0x4a},
			{Name: "outlet", Part: "lm75", Via: "m.3", Address: 0x4a},
			{Name: "deep", Part: "lm75", Via: "m.3", Address: 0x48},
			{Name: "tray", Part: "leak-float"},
		},
	}
	if err := (Models{}).Collisions(conf); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		below map[string]string
		want  []string
	}{
		"buses of their own":     {nil, nil},
		"a channel":              {map[string]string{"ch0": "main"}, []string{"0x20 pdu a", "0x38 pdu a", "0x48 pdu a", "0x50 pdu a", "0x70 pdu a"}},
		"the other way":          {map[string]string{"main": "ch0"}, []string{"0x20 pdu a", "0x38 pdu a", "0x48 pdu a", "0x50 pdu a", "0x70 pdu a"}},
		"behind a mux of ours":   {map[string]string{"ch1": "main"}, []string{"0x48 pdu a"}},
		"a channel of a channel": {map[string]string{"ch1": "ch0"}, []string{"0x48 pdu b", "0x4a sensor inlet"}},
	} {
		found, err := (Models{}).Overheard(conf, func(bus, other string) bool { return c.below[bus] == other })
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range found {
			got = append(got, config.Address(o.Addr).String()+" "+o.Who[0])
			if o.Buses[0] == o.Buses[1] || !strings.Contains(o.String(), o.Who[0]+" on bus "+o.Buses[0]) || !strings.Contains(o.String(), o.Who[1]+" on bus "+o.Buses[1]) {
				t.Errorf("%s: %+v is told as %q", name, o, o)
			}
		}
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if _, err := (Models{}).Overheard(&config.Config{PDUs: []config.PDU{{Name: "a", Model: "none"}}}, nil); err == nil {
		t.Error("a model that is not there has addresses")
	}
}
