package inventory

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"rackagent/agent/rack"
	"rackagent/config"
	"rackagent/drivers"
	"rackagent/drivers/pdu"
)

// untouched is a bus that fails the test when it is used.
type untouched struct{ t *testing.T }

func (u untouched) String() string                  { return "untouched" }
func (u untouched) SetSpeed(physic.Frequency) error { return nil }
func (u untouched) Tx(uint16, []byte, []byte) error {
	u.t.Error("the bus was touched")
	return errors.New("untouched")
}

func (u untouched) Do(context.Context, func(i2c.Bus) error) error {
	u.t.Error("the bus was touched")
	return errors.New("untouched")
}

func rackConfig(t *testing.T, change func(string) string) *config.Config {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "testdata", "rack.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c, _ := config.Parse("rack.yaml", []byte(change(string(text))))
	if f := c.Check(Catalogue()); config.HasErrors(f) {
		t.Fatal(f)
	}
	return c
}

func asIs(s string) string { return s }

func built(t *testing.T, c *config.Config) *Inventory {
	t.Helper()
	inv, err := Build(Opts{
		Config: c, Buses: map[string]Bus{"main": {Poll: untouched{t}, Act: untouched{t}}},
		Identified: func(string, drivers.Ident, error) { t.Error("a board was identified") },
	})
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

// A number says which current and which power it is, and how wrong the part may be.
func TestMeterPointsSayWhatTheyAre(t *testing.T) {
	inv := built(t, rackConfig(t, asIs))
	want := map[rack.Quantity]rack.Meaning{
		rack.PowerW:    {Current: rack.AC, Power: rack.Active, ClassPct: 0.1},
		rack.EnergyWh:  {Current: rack.AC, Power: rack.Active, ClassPct: 0.1},
		rack.ApparentV: {Current: rack.AC, Power: rack.Apparent},
		rack.VoltageV:  {Current: rack.AC},
		rack.CurrentA:  {Current: rack.AC},
		rack.FrequHz:   {Current: rack.AC},
	}
	points := inv.Devices[1].Points // of pdu-a/meter-1: two outlets
	if len(points) != 2*len(want) {
		t.Errorf("%d points", len(points))
	}
	for _, p := range points {
		if m, ok := want[p.Quantity]; !ok || p.Meaning != m {
			t.Errorf("%s: %+v", p.Quantity, p.Meaning)
		}
	}
}

func TestBuildTouchesNothingAndKeepsEveryFigure(t *testing.T) {
	inv := built(t, rackConfig(t, asIs))
	l := inv.Layout
	o, ok := l.Outlet(rack.OutletID{PDU: "pdu-a", N: 8})
	n, _ := l.NodeOf(o.ID)
	if !ok || o.RatingA != 16 || o.Feed != "feed-a" || !o.Metered || n.Name != "gpu-1" || !n.Class.Firm() || n.MinOff.Seconds() != 60 {
		t.Errorf("outlet %+v, node %+v", o, n)
	}
	if l.Stagger.Milliseconds() != 250 || l.PDUs[0].Settling.Milliseconds() != 300 || l.PDUs[0].Bus != "main" {
		t.Errorf("layout %+v", l)
	}
	var names []string
	for _, d := range inv.Devices {
		names = append(names, d.Name)
	}
	want := []string{"pdu-a/bank", "pdu-a/meter-1", "pdu-a/meter-2", "pdu-a/meter-3", "pdu-a/meter-4", "pdu-a/temp", "pdu-a/identity"}
	if !slices.Equal(names, want) {
		t.Errorf("devices %v, want %v", names, want)
	}
	if got := inv.SampledBy("pdu-a"); !slices.Equal(got, append(want[1:5:5], "pdu-a/bank")) {
		t.Errorf("sampled by %v", got)
	}
}

func TestWordsHoldEachRelayWhereItStands(t *testing.T) {
	inv := built(t, rackConfig(t, asIs))
	// Outlets 1 to 6 close with their coil, 7 and 8 open with it; the pins without relay keep their ones.
	latch, direction, err := inv.Words(rack.BankID{PDU: "pdu-a"}, []bool{true, false, false, false, false, true, true, false})
	if err != nil || latch != 0xFFA1 || direction != 0xFF00 {
		t.Errorf("latch %04x direction %04x, %v", latch, direction, err)
	}
	if _, _, err := inv.Words(rack.BankID{PDU: "pdu-a"}, []bool{true}); err == nil {
		t.Error("words for one of eight outlets")
	}
}

func TestTwoBoardsOnOneAddressAreRefused(t *testing.T) {
	c := rackConfig(t, func(s string) string {
		return strings.Replace(s, "nodes:", "  - {name: pdu-b, model: ac8, bus: main, serial: SIM-0002, banks: {a: feed-a}}\nnodes:", 1)
	})
	err := Models{}.Collisions(c)
	if err == nil || !strings.Contains(err.Error(), "pdu pdu-b: address 0x20 of bus main is taken by pdu pdu-a") {
		t.Errorf("%v", err)
	}
}

// A part before a switch is heard behind all its channels, and two parts behind different channels never meet.
func TestCollisionsFollowTheSwitches(t *testing.T) {
	muxes := []config.Mux{{Name: "mux-a", Part: "pca9548", Bus: "main", Address: 0x70}, {Name: "mux-b", Part: "pca9546", Via: "mux-a.1", Address: 0x71}}
	sensor := func(name, bus, via string, at config.Address) config.Sensor {
		return config.Sensor{Name: name, Part: "tmp75", Bus: bus, Via: via, Address: at}
	}
	for name, c := range map[string]struct {
		a, b    config.Sensor
		collide bool
	}{
		"one segment":         {sensor("a", "main", "", 0x48), sensor("b", "main", "", 0x48), true},
		"two buses":           {sensor("a", "main", "", 0x48), sensor("b", "other", "", 0x48), false},
		"two channels":        {sensor("a", "", "mux-a.0", 0x48), sensor("b", "", "mux-a.1", 0x48), false},
		"before and behind":   {sensor("a", "main", "", 0x48), sensor("b", "", "mux-a.1", 0x48), true},
		"before and deep":     {sensor("a", "main", "", 0x48), sensor("b", "", "mux-b.2", 0x48), true},
		"beside the inner":    {sensor("a", "", "mux-a.1", 0x48), sensor("b", "", "mux-b.2", 0x48), true},
		"elsewhere":           {sensor("a", "", "mux-a.0", 0x48), sensor("b", "", "mux-b.2", 0x48), false},
		"on the inner switch": {sensor("a", "", "mux-a.1", 0x71), sensor("b", "", "mux-a.0", 0x71), true},
		"on the outer switch": {sensor("a", "", "mux-b.0", 0x70), sensor("b", "main", "", 0x48), true},
	} {
		err := Models{}.Collisions(&config.Config{Muxes: muxes, Sensors: []config.Sensor{c.a, c.b}})
		if (err != nil) != c.collide {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestABankThatBelongsToSomebodyElseIsNotBelieved(t *testing.T) {
	inv := built(t, rackConfig(t, asIs))
	s := pdu.BankSample{Fault: drivers.Foreign, Closed: make([]bool, 8)}
	for _, r := range bankReadings(inv.Devices[0].Points, s) {
		if r.Quality != rack.QualityBad || r.Reason != "foreign" {
			t.Errorf("%s: %s %s", r.Point, r.Quality, r.Reason)
		}
	}
}
