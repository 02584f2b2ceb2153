package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rackagent/agent/sim"
	"rackagent/config"
	"rackagent/drivers/board"
	"rackagent/drivers/drivertest"
	"rackagent/drivers/i2cbus"
)

// pins is a PCF8574, or a digital potentiometer: every byte that comes is taken for the setting.
type pins struct {
	mu   sync.Mutex
	came []byte
}

func (p *pins) Tx(w, r []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.came = append(p.came, w...)
	clear(r)
	return nil
}

func (*pins) Reset() {}

// bench is a machine with simulated buses and no agent.
type bench struct {
	t      *testing.T
	trace  *drivertest.Trace
	hw     fakeHardware
	buses  map[string]*drivertest.Bus // by path
	config string

	described string // a bus with a configured PDU, which is read whether or not anything is suggested
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, trace: new(drivertest.Trace), buses: map[string]*drivertest.Bus{}, config: filepath.Join(t.TempDir(), "config.yaml")}
	b.hw.bus = func(name string) (i2cbus.Transport, error) {
		bus, ok := b.buses[name]
		if !ok {
			return nil, errors.New("no such bus")
		}
		return lasting{bus}, nil
	}
	return b
}

func (b *bench) bus(path, adapter string) *drivertest.Bus {
	bus := drivertest.NewBus(path, drivertest.BusOpts{Recorder: b.trace})
	b.buses[path] = bus
	b.hw.adapters = append(b.hw.adapters, board.Adapter{Path: path, Name: adapter, Funcs: 1})
	return bus
}

// types runs rackagent devices on the bench and holds what was sent to what may be sent.
func (b *bench) types(args ...string) said {
	b.t.Helper()
	before := len(b.trace.Transfers())
	o := outside{clocks: clocks{timesync: filepath.Join(b.t.TempDir(), "none"), chrony: silent}, hardware: hardwareOf(b.hw), notifier: deaf, group: noGroup}
	s := in(b.t.Context(), o, append([]string{"devices", "--config", b.config, "--socket", filepath.Join(b.t.TempDir(), "none")}, args...)...)
	for _, x := range b.trace.Transfers()[before:] {
		if x.Bus != b.described && (!mayBeSent(x.Addr, x.W) || len(x.R) == 0) {
			b.t.Errorf("sent what must not be sent: %v", x)
		}
	}
	return s
}

// mayBeSent says once more what the package that asks says itself.
func mayBeSent(addr uint16, w []byte) bool {
	in := func(first, last uint16) bool { return addr >= first && addr <= last }
	switch {
	case in(0x00, 0x08), addr == 0x0c, in(0x30, 0x3f), addr == 0x61, in(0x78, 0xffff):
		return false
	case in(0x20, 0x27), addr == 0x2a, in(0x2c, 0x2f), in(0x60, 0x77):
		return len(w) == 0
	default:
		return len(w) == 1 && (w[0] == 0x99 || w[0] == 0x9a || w[0] >= 0xfd || w[0] == 0x3e || w[0] == 0x3f || w[0] == 0x02 || w[0] == 0x03 || w[0] == 0x00 || w[0] == 0x80)
	}
}

func memoryOf(t *testing.T, f drivertest.FRU) drivertest.Chip {
	t.Helper()
	image, err := f.Image()
	if err != nil {
		t.Fatal(err)
	}
	m, err := drivertest.NewAT24C02(image, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// crowded puts a PDU, sensors, supplies and parts that act on any byte on one bus. The function tells what has moved.
func (b *bench) crowded() (moved func() string) {
	bus := b.bus("/dev/i2c-1", "bcm2835 (i2c@7e804000)")
	room := func(time.Time) float64 { return 25 }
	load := drivertest.ConstantLoad(54, 20)
	relays, more := drivertest.NewTCA9555(nil), drivertest.NewPCA9554(nil)
	relays.Load(0xff3f, 0xff00)
	more.Load(0xc3, 0x00)
	plug, plugA, dial := new(pins), new(pins), new(pins)
	mux := drivertest.NewPCA9548()
	mux.Channel(0).Attach("meter", 0x38, drivertest.NewADE7953(drivertest.ADE7953Opts{}))
	if err := mux.Tx([]byte{0x01}, nil); err != nil {
		b.t.Fatal(err)
	}
	meter := drivertest.NewMCP39F521(drivertest.MCP39F521Opts{})
	for addr, c := range map[uint16]drivertest.Chip{
		0x10: drivertest.NewADM1272(drivertest.ADM1272Opts{PMBusOpts: drivertest.PMBusOpts{Addr: 0x10}, Load: load}),
		0x20: relays, 0x21: plug, 0x38: more, 0x39: plugA,
		0x2c: drivertest.NewEMC2305(drivertest.EMC2305Opts{}), 0x2e: dial,
		0x40: drivertest.NewINA226(drivertest.INA226Opts{ShuntOhm: 0.001}),
		0x41: drivertest.NewINA3221([3]drivertest.INA3221Channel{}, nil),
		0x42: drivertest.NewINA228(drivertest.INA228Opts{ShuntOhm: 0.001}),
		0x44: drivertest.NewSHT4x(1234, nil),
		0x48: drivertest.NewTMP75(room, nil), 0x49: drivertest.NewTMP75(room, nil),
		0x4a: drivertest.NewADS1115(drivertest.ADS1115Opts{}),
		0x4c: drivertest.NewTMP422(nil, 25, 30, 35),
		0x4d: drivertest.NewEMC2305(drivertest.EMC2305Opts{}),
		0x4e: drivertest.NewEMC1413(nil, 25, 30, 35),
		0x50: memoryOf(b.t, drivertest.FRU{Manufacturer: "Rackagent", Product: "AC8", Serial: "PA-0007"}),
		0x51: memoryOf(b.t, drivertest.FRU{Manufacturer: "Elsewhere", Product: "BOX", Serial: "0001"}),
		0x58: drivertest.NewCRPS(drivertest.CRPSOpts{PMBusOpts: drivertest.PMBusOpts{Addr: 0x58}}),
		0x59: drivertest.NewCRPS(drivertest.CRPSOpts{PMBusOpts: drivertest.PMBusOpts{Addr: 0x59}, Manufacturer: "Murata-PS", Model: "MWOCP68-3600-D-RM"}),
		0x70: mux, 0x74: meter,
	} {
		bus.Attach(fmt.Sprintf("0x%02x", addr), addr, c)
	}
	return func() string {
		return fmt.Sprintf("relays %04x, %02x; plugs %x %x; dial %x; mux %02x; forbidden %x", relays.Output(), more.Output(), plug.came, plugA.came, dial.came, mux.Control(), meter.Forbidden())
	}
}

// A bus that nobody has described: what is on it is listed, the entries are ready to paste, and nothing moves.
func TestSuggest(t *testing.T) {
	b := newBench(t)
	moved := b.crowded()
	before := moved()
	s := b.types("--suggest")
	golden(t, "suggest", s)
	if after := moved(); after != before {
		t.Errorf("before: %s\nafter:  %s", before, after)
	}
	var found devicesFound
	if s := b.types("--suggest", "--json"); json.Unmarshal([]byte(s.out), &found) != nil || found.Suggested == nil || found.Suggested.YAML == "" || len(found.Suggested.Buses) != 1 {
		t.Errorf("%s%s", s.out, s.err)
	}
	before = moved()
	sent := len(b.trace.Transfers())
	if s := b.types(); !strings.Contains(s.out, "--suggest") || len(b.trace.Transfers()) != sent || moved() != before {
		t.Errorf("the plain command asks: %s", s.out)
	}
}

// pasted is a configuration with what was suggested at its end.
const pasted = `schema: 1
site: ams1
agent: r17
mqtt: {broker: "mqtt://127.0.0.1:1883"}
feeds:
  - {name: bank-a, lines: [L1], volts_v: 230, rating_a: 32}
`

func suggestedYAML(t *testing.T, s said) string {
	t.Helper()
	var found devicesFound
	if err := json.Unmarshal([]byte(s.out), &found); err != nil || found.Suggested == nil {
		t.Fatalf("%v\n%s%s", err, s.out, s.err)
	}
	return found.Suggested.YAML
}

// What is pasted as it is, is refused for each value that no bus can tell, and for nothing else. Filled in, it is taken. A
// guess becomes an entry by taking its # away.
func TestWhatIsPasted(t *testing.T) {
	b := newBench(t)
	b.crowded()
	yaml := suggestedYAML(t, b.types("--suggest", "--json"))
	path := filepath.Join(t.TempDir(), "config.yaml")
	errorsOf := func(text string) (out []string) {
		t.Helper()
		write(t, path, pasted+text)
		s := typed(t, "check", "--json", "--config", path)
		var findings []findingJSON
		if err := json.Unmarshal([]byte(s.out), &findings); err != nil {
			t.Fatal(err)
		}
		for _, f := range findings {
			if f.Severity == config.Error {
				out = append(out, f.Path+": "+f.Text)
			}
		}
		return out
	}
	holes := strings.Count(liveLines(yaml), fillIn) + strings.Count(liveLines(yaml), ": 0,") + strings.Count(liveLines(yaml), ": 0}")
	if got := errorsOf(yaml); holes == 0 || len(got) != holes {
		t.Errorf("%d values are missing, and this is refused: %s", holes, strings.Join(got, "\n"))
	}
	filled := strings.NewReplacer(
		"a: "+fillIn, "a: bank-a", "label: "+fillIn, "label: rail", "measure: "+fillIn, "measure: volts",
		"shunt_ohm: 0", "shunt_ohm: 0.001", "max_a: 0", "max_a: 20",
	).Replace(yaml)
	if got := errorsOf(filled); len(got) > 0 {
		t.Errorf("refused although it is filled in: %s\n%s", strings.Join(got, "\n"), filled)
	}
	if got := errorsOf(strings.ReplaceAll(filled, "  # - {", "  - {")); len(got) > 0 {
		t.Errorf("refused with the guesses: %s", strings.Join(got, "\n"))
	}
	if strings.Contains(liveLines(yaml), "tmp75") || strings.Contains(liveLines(yaml), "crps") {
		t.Errorf("a guess is not behind #:\n%s", yaml)
	}
}

// liveLines are those that are no comments, without the comments at their ends.
func liveLines(yaml string) string {
	var out []string
	for line := range strings.Lines(yaml) {
		line, _, _ = strings.Cut(line, "#")
		out = append(out, strings.TrimSpace(line))
	}
	return strings.Join(out, "\n")
}

// What kernel drivers own and what the configuration names is not asked, wherever in the tree of muxes it is named.
func TestSuggestLeavesAlone(t *testing.T) {
	b := newBench(t)
	room := func(time.Time) float64 { return 25 }
	root := b.bus("/dev/i2c-1", "main")
	left, right := b.bus("/dev/i2c-5", "i2c-1-mux (chan_id 0)"), b.bus("/dev/i2c-6", "i2c-1-mux (chan_id 1)")
	other := b.bus("/dev/i2c-9", "other")
	for i, bus := range []*drivertest.Bus{root, left, right, other} {
		bus.Attach("a", 0x4c, drivertest.NewTMP421(nil, 25, 30))
		bus.Attach("b", 0x4d, drivertest.NewEMC1413(nil, 25, 30, 35))
		bus.Attach("c", 0x48, drivertest.NewTMP75(room, nil))
		if i != 1 {
			bus.Attach("d", 0x4e, drivertest.NewTMP422(nil, 25, 30, 35))
		}
	}
	root.Attach("e", 0x1e, drivertest.NewTMP421(nil, 25, 30))
	right.Attach("f", 0x1f, drivertest.NewTMP423(nil, 25, 30, 35, 40))
	right.Attach("g", 0x2c, drivertest.NewEMC2305(drivertest.EMC2305Opts{}))
	b.hw.adapters[0].Owned = map[uint16]string{0x48: "lm75"}
	write(t, b.config, pasted+`buses:
  - {name: main, device: /dev/i2c-1}
  - {name: left, adapter: "i2c-1-mux (chan_id 0)"}
  - {name: gone, adapter: nowhere}
muxes:
  - {name: mux-a, bus: main, address: 0x71}
sensors:
  - {name: board, part: emc1413, bus: left, address: 0x4d}
  - {name: deep, part: tmp421, via: mux-a.3, address: 0x1c}
  - {name: elsewhere, part: tmp421, bus: gone, address: 0x1d}
`)
	golden(t, "suggest-left-alone", b.types("--suggest"))
	for _, x := range b.trace.Transfers() {
		inTree := x.Bus != "/dev/i2c-9"
		if x.Addr == 0x1d || inTree && slices.Contains([]uint16{0x48, 0x4d, 0x71, 0x1c}, x.Addr) {
			t.Errorf("asked although it is taken: %v", x)
		}
	}
	sent := len(b.trace.Transfers())
	golden(t, "suggest-one-bus", b.types("--suggest", "--bus", "other"))
	for _, x := range b.trace.Transfers()[sent:] {
		if x.Bus != "/dev/i2c-9" {
			t.Errorf("%v", x)
		}
	}
	if s := b.types("--suggest", "--bus", "/dev/i2c-77"); s.status != exitUsage || !strings.Contains(s.err, "/dev/i2c-77") {
		t.Errorf("%+v", s)
	}
}

// Boards that are not quite what a model says come behind a #.
func TestSuggestDoubtsBoards(t *testing.T) {
	ac8 := func(serial string) drivertest.FRU {
		return drivertest.FRU{Manufacturer: "Rackagent", Product: "AC8", Serial: serial}
	}
	b := newBench(t)
	good := b.bus("/dev/i2c-1", "")
	good.Attach("memory", 0x50, memoryOf(t, ac8("PA-0001")))
	good.Attach("relays", 0x20, drivertest.NewTCA9555(nil))
	good.Attach("temperature", 0x48, drivertest.NewTMP75(func(time.Time) float64 { return 25 }, nil)) // its mux is missing
	b.bus("/dev/i2c-2", "").Attach("memory", 0x52, memoryOf(t, ac8("PA-0002")))
	b.bus("/dev/i2c-3", "").Attach("memory", 0x50, memoryOf(t, ac8("")))
	b.bus("/dev/i2c-4", "").Attach("memory", 0x50, memoryOf(t, ac8("PA-0009")))
	nasty := b.bus("/dev/i2c-5", "")
	nasty.Attach("memory", 0x50, memoryOf(t, ac8("\"}]#: &x\xe9\n- name: y")))
	nasty.Attach("supply", 0x58, drivertest.NewCRPS(drivertest.CRPSOpts{PMBusOpts: drivertest.PMBusOpts{Addr: 0x58}, Manufacturer: "A\"}\\", Model: "x: # - y"}))
	write(t, b.config, strings.Replace(pasted, "feeds:", `buses:
  - {name: main, device: /dev/i2c-7}
pdus:
  - {name: pdu-a, model: dc6, bus: main, serial: PA-0009, banks: {a: shelf}}
feeds:
  - {name: shelf, lines: [DC], volts_v: 54, rating_a: 300}`, 1))
	b.bus("/dev/i2c-7", "")
	b.described = "/dev/i2c-7"
	s := b.types("--suggest", "--json")
	var found devicesFound
	if err := json.Unmarshal([]byte(s.out), &found); err != nil || found.Suggested == nil {
		t.Fatalf("%v %s%s", err, s.out, s.err)
	}
	golden(t, "suggest-doubts", said{status: s.status, out: found.Suggested.YAML, err: s.err})
}

// While anything stands against asking, nothing is sent, and it is said why.
func TestSuggestRefuses(t *testing.T) {
	b := newBench(t)
	b.crowded()
	write(t, b.config, broken)
	if s := b.types("--suggest"); !strings.Contains(s.out, "rackagent check shows them") || len(b.trace.Transfers()) > 0 {
		t.Errorf("%+v", s)
	}
	r := newRig(t)
	r.configure("")
	stop := r.runs()
	s := r.types("devices", "--suggest")
	if !strings.Contains(s.out, "stop it first") {
		t.Errorf("%+v", s)
	}
	stop()
	if err := os.Remove(r.socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if err := os.Symlink("socket", r.socket); err != nil { // a loop: neither there nor not
		t.Fatal(err)
	}
	before := len(r.world.Trace().Entries())
	if s := r.types("devices", "--suggest"); !strings.Contains(s.out, "Suggestions: none; whether an agent runs here cannot be told") {
		t.Errorf("%+v", s)
	}
	for _, e := range r.world.Trace().Entries()[before:] {
		if x, ok := e.Event.(sim.Transfer); ok {
			t.Errorf("sent: %+v", x)
		}
	}
}

// Of the rack that the configuration describes nothing is asked again; without one the board is recognised.
func TestSuggestOnARack(t *testing.T) {
	r := newRig(t)
	o, hw := r.outside(), r.hardware()
	hw.bus = func(string) (i2cbus.Transport, error) { // by whichever of its names
		bus, err := r.world.Bus("sim-i2c-0")
		return lasting{bus}, err
	}
	o.hardware = hardwareOf(hw)
	began, before := time.Now(), len(r.world.Trace().Entries())
	golden(t, "suggest-described", in(t.Context(), o, "devices", "--suggest", "--config", r.config))
	absent := filepath.Join(r.dir, "absent", "config.yaml")
	golden(t, "suggest-rack", in(t.Context(), o, "devices", "--suggest", "--config", absent, "--socket", filepath.Join(r.dir, "none")))
	for _, e := range r.world.Trace().Entries()[before:] {
		switch e := e.Event.(type) {
		case sim.Transfer:
			if len(e.W) > 1 || e.Addr == 0x38 || e.Addr == 0x70 && len(e.W) > 0 || e.Addr == 0x51 {
				t.Errorf("written to 0x%02x: %x", e.Addr, e.W)
			}
		case sim.Contact:
			if e.Commanded.After(began) { // else it was on its way
				t.Errorf("a contact moved: %+v", e)
			}
		}
	}
}

// A bus that cannot be opened, or fails, is said and does not keep the others from being asked.
func TestSuggestInTrouble(t *testing.T) {
	b := newBench(t)
	b.hw.adapters = append(b.hw.adapters, board.Adapter{Path: "/dev/i2c-0", Name: "SMBus I801", Err: errors.New("open /dev/i2c-0: permission denied")})
	b.hw.adapters = append(b.hw.adapters, board.Adapter{Path: "/dev/i2c-2", Name: "gone"})
	b.bus("/dev/i2c-3", "stuck").Inject(drivertest.Fault{Kind: drivertest.FaultStuck})
	b.bus("/dev/i2c-4", "empty")
	b.bus("/dev/i2c-5", "well").Attach("a", 0x4c, drivertest.NewTMP421(nil, 25, 30))
	golden(t, "suggest-trouble", b.types("--suggest"))
}
