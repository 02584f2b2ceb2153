//go:build e2e && linux

package board

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"rackagent/agent/rack"
	"rackagent/agent/wire"
	"rackagent/drivers/drivertest"
)

// emulated is a rack of chips that QEMU has, and what must be true of an agent on it.
type emulated struct {
	name   string
	boards []*board // nil: all
	hardware
	config  string         // without what configuration adds
	prepare func(g *guest) // what the configuration names; nil: nothing
	check   func(t *testing.T, g *guest)
}

// sparse is a board of the model ac8 of which only thermometer and memory are there, and chips beside it.
var sparse = hardware{
	devices: []string{
		"tmp105,bus=@0,address=0x48,id=temp", "tmp105,bus=@0,address=0x49,id=twin",
		"tmp421,bus=@1,address=0x4c,id=remote",
	},
	memories: []memory{{"@0", 0x50, 256, inventory("EMU-0001")}, {"@1", 0x54, 4096, inventory("EMU-0009")}},
}

const sparseConfig = `
poll: {outlet_period_s: 1, identity_period_s: 60}
telemetry: {period_s: 1}
buses:
  - {name: main, device: @0}
feeds:
  - {name: feed-a, lines: [L1], volts_v: 230, rating_a: 160}
pdus:
  - {name: pdu-a, model: ac8, bus: main, serial: EMU-0001, banks: {a: feed-a}}
nodes:
  - {name: asic-1, class: asic, outlets: [pdu-a.1], wiring: declared, max_w: 3300}
  - {name: gpu-1, class: gpu, outlets: [pdu-a.7, pdu-a.8], wiring: declared, max_w: 3300}
`

// racks are all of them. Each gets a guest of its own, because QEMU's I2C chips cannot be plugged.
var racks = []emulated{
	{name: "ac8", hardware: sparse, config: sparseConfig, check: checkAC8},
	{name: "air", hardware: air, config: airConfig, check: checkAir},
	{name: "shelf", boards: []*board{ast2600}, hardware: shelf, config: shelfConfig, check: checkShelf},
	relays("relays", ast2600, []bank{leds, pins}, strangers),
	relays("leds", imx8mp, []bank{leds}, hardware{}),
	{name: "cable", boards: []*board{ast2600}, hardware: sparse, config: sparseConfig, check: checkCable},
}

// TestRacks boots a guest for each rack on each board, starts the agent and looks.
func TestRacks(t *testing.T) {
	for _, r := range racks {
		t.Run(r.name, func(t *testing.T) {
			for _, b := range boards {
				if r.boards == nil || slices.Contains(r.boards, b) {
					t.Run(b.name, func(t *testing.T) {
						g := boot(t, b, r.hardware)
						if r.prepare != nil {
							r.prepare(g)
						}
						g.configure(r.config)
						r.check(t, g)
						if !t.Failed() {
							g.exit()
						}
					})
				}
			}
		})
	}
}

// inventory is the memory of a board with a serial number.
func inventory(serial string) []byte {
	image, err := drivertest.FRU{Manufacturer: "Rackagent", Product: "AC8", Serial: serial, Part: "AC8-230-16"}.Image()
	if err != nil {
		panic(err)
	}
	return image
}

// milli is a temperature for QEMU, which counts in thousandths of a degree Celsius.
func milli(celsius float64) int { return int(math.Round(celsius * 1000)) }

// tenth is how far the topic's temperatures, of one decimal, are from the chip's.
const tenth = 0.0501

// patience is how long to wait for what is not a question of time. Arbitrary.
const patience = 30 * time.Second

// seen is how old a change may be when a reader of the topic learns of it: it waits for a reading and for a message,
// each a second at most, and for everything in between on an emulated processor (arbitrary, a second more).
const seen = 3 * time.Second

func checkAC8(t *testing.T, g *guest) {
	kernelAgrees(t, g)
	devicesTellsWhatIsThere(t, g)

	g.must(g.qmp.set("temp", "temperature", milli(23.5)))
	g.agent()
	g.reads("pdu-a.temp_c.1", 23.5, tenth, patience)
	g.reads("pdu-a.ident.1", 1, 0, patience)
	for _, point := range []string{"pdu-a.relay.1", "pdu-a.ctl.1", "pdu-a.p_w.1", "pdu-a.u_v.8"} {
		g.lacks(point, "absent, "+g.b.nobody, patience)
	}
	temperatures(t, g)
	cut := newCommand("cut-0001", "outlet.cut", "outlet/pdu-a.1", "")
	told := g.order(cut)
	if told.State != rack.StateRejected || told.Code != "wiring_unproven" || told.Dup {
		t.Errorf("a cut of a relay that is not there: %+v", told)
	}
	wantIdentity(t, g.order(newCommand("who-0001", "identify", "outlet/pdu-a.1", "")), "EMU-0001")
	healthy(t, g)

	if status := g.signal("KILL"); status != 128+9 {
		t.Errorf("killed, the agent ended with %d", status)
	}
	journalHolds(t, g, "cut-0001")
	g.agent()
	if again := g.order(cut); again.State != told.State || again.Code != told.Code || !again.Dup {
		t.Errorf("the same command after the kill: %+v, want a repetition of %+v", again, told)
	}
	g.fill(memory{"@0", 0x50, 256, inventory("EMU-0002")})
	wantIdentity(t, g.order(newCommand("who-0002", "identify", "outlet/pdu-a.1", "")), "EMU-0002")

	if status := g.signal("TERM"); status != 0 {
		t.Errorf("stopped, the agent ended with %d", status)
	}
	if g.b == ast2600 { // on the other one the kernel's driver reads something else, not found out why
		eeprom, release := g.memoryDriver("@0", 0x50)
		g.sh("dd if=%s/eeprom of=/tmp/eeprom bs=256 count=1 2>/dev/null", eeprom) // the device tree may know a larger one
		if !bytes.HasPrefix(g.read("/tmp/eeprom"), inventory("EMU-0002")) {
			t.Error("the kernel reads another memory than the one of which the agent told the serial")
		}
		release()
	}
	_, release := g.driver("lm75", "tmp105", "@0", 0x48)
	g.must(g.qmp.set("temp", "temperature", milli(31)))
	g.configure(sparseConfig + `
sensors:
  - {name: kernel, part: hwmon, chip: tmp105, inputs: [{input: 1, measure: temp}], period_s: 1}
`)
	g.agent()
	g.lacks("pdu-a.temp_c.1", "absent, foreign", patience)
	g.reads("kernel.temp_c.1", 31, tenth, patience) // the chip itself is the kernel's; what the kernel reads is not
	g.must(g.qmp.set("temp", "temperature", milli(27.5)))
	g.reads("kernel.temp_c.1", 27.5, tenth, patience)
	g.signal("TERM")
	release()
}

// kernelAgrees checks the chips with the kernel's own drivers and i2c-tools: what QEMU was told is what they read.
func kernelAgrees(t *testing.T, g *guest) {
	twin, release := g.driver("lm75", "tmp105", "@0", 0x49)
	for _, c := range []float64{23.5, -12.5} {
		g.must(g.qmp.set("twin", "temperature", milli(c)))
		g.eventually(10*time.Second, "the kernel to read another temperature", func() bool {
			return g.hwmon(twin, "temp1_input") == milli(c)
		})
	}
	release()
	remote, release := g.driver("tmp421", "tmp421", "@1", 0x4c)
	g.must(g.qmp.set("remote", "temperature1", milli(41)))
	g.eventually(10*time.Second, "the kernel to read the remote temperature", func() bool {
		got := g.hwmon(remote, "temp2_input") // QEMU's model stores one step of 1/16 degree less than it was told
		return got > milli(40.9) && got <= milli(41)
	})
	release()
	eeprom, release := g.driver("at24", "24c32", "@1", 0x54)
	if want := inventory("EMU-0009"); !bytes.HasPrefix(g.read(eeprom+"/eeprom"), want) {
		t.Error("the kernel reads another memory than was made")
	}
	release()
	// A device tree may have named a chip on the agent's bus, whose driver is there now.
	g.sh("for d in /sys/bus/i2c/drivers/at24/*-*; do [ ! -e $d ] || basename $d >/sys/bus/i2c/drivers/at24/unbind; done")

	// The sensor as it starts: 9 bits, limits of 75 and 80 degrees (TI SBOS288, 4b00 and 5000), the word's high byte first.
	bus := strings.TrimPrefix(g.b.devices("@0"), "/dev/i2c-")
	got := g.sh("i2ctransfer -y %[1]s w1@0x48 1 r1; i2ctransfer -y %[1]s w1@0x48 2 r2; i2ctransfer -y %[1]s w1@0x48 3 r2", bus)
	if want := "0x00\n0x4b 0x00\n0x50 0x00"; got != want {
		t.Errorf("the sensor at its power-on defaults reads %q, want %q", got, want)
	}
}

// devicesTellsWhatIsThere asks the program before an agent runs.
func devicesTellsWhatIsThere(t *testing.T, g *guest) {
	var found struct {
		Buses []struct{ Device, Functions string }
		PDUs  []struct {
			Board      *struct{ Serial string }
			RelayError string `json:"relay_error"`
		}
	}
	g.must(json.Unmarshal([]byte(g.sh("rackagent devices --json")), &found))
	for _, b := range g.b.buses {
		if !slices.ContainsFunc(found.Buses, func(f struct{ Device, Functions string }) bool { return f.Device == b.device && f.Functions == "I2C" }) {
			t.Errorf("devices does not list %s as an I2C bus: %+v", b.device, found.Buses)
		}
	}
	if len(found.PDUs) != 1 || found.PDUs[0].Board == nil || found.PDUs[0].Board.Serial != "EMU-0001" || !strings.Contains(found.PDUs[0].RelayError, g.b.nobody) {
		t.Errorf("devices says of the PDU %+v", found.PDUs)
	}
}

// temperatures changes the temperature and waits until the topic tells. 0 is what a held bus gives too; below it there
// is a sign; what the part is not made for is no measurement.
func temperatures(t *testing.T, g *guest) {
	var took []string
	for _, c := range []float64{-12.5, 0, 124.9375, -39.9375} {
		g.must(g.qmp.set("temp", "temperature", milli(c)))
		late := g.reads("pdu-a.temp_c.1", c, tenth, patience)
		if late > seen {
			t.Errorf("%g degrees are told after %v, want %v", c, late, seen)
		}
		took = append(took, fmt.Sprintf("%.1f s", late.Seconds()))
	}
	g.must(g.qmp.set("temp", "temperature", milli(127.9375)))
	g.lacks("pdu-a.temp_c.1", "stale, range", patience)
	g.must(g.qmp.set("temp", "temperature", milli(24.0625)))
	g.reads("pdu-a.temp_c.1", 24.0625, tenth, patience)
	t.Logf("from the change of a temperature to the message: %s", strings.Join(took, ", "))
}

func wantIdentity(t *testing.T, s wire.Status, serial string) {
	t.Helper()
	if id := s.Ident["pdu-a"]; s.State != rack.StateSucceeded || id.Serial != serial || id.Expected != "EMU-0001" {
		t.Errorf("the board says it is %+v, want %s", s, serial)
	}
}

// healthy asks the agent how it is: what is there is ok, what is not is named, and no message was late.
func healthy(t *testing.T, g *guest) {
	var st struct {
		Alive   bool
		Link    string
		Devices []struct{ Name, State, Reason string }
	}
	g.must(json.Unmarshal([]byte(g.sh("rackagent status --json")), &st))
	if !st.Alive || st.Link != "up" {
		t.Errorf("alive %v, link %s", st.Alive, st.Link)
	}
	for _, d := range st.Devices {
		there := d.Name == "pdu-a/temp" || d.Name == "pdu-a/identity"
		missing := d.Reason == g.b.nobody || g.b.nobody == "timeout" && d.Reason == "quarantined" // it holds the others up
		if there && d.State != "ok" || !there && !missing {
			t.Errorf("status says of %s: %s %s", d.Name, d.State, d.Reason)
		}
	}
	batches := g.batches()
	for i, b := range batches[1:] {
		if gap := b.heard.Sub(batches[i].heard); b.Seq != batches[i].Seq+1 || gap > seen {
			t.Errorf("batch %d came %v after batch %d", b.Seq, gap, batches[i].Seq)
		}
	}
}

// journalHolds checks that the journal of an agent that was killed is whole and holds a command.
func journalHolds(t *testing.T, g *guest, id string) {
	t.Helper()
	path := g.journal()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	g.must(err)
	defer db.Close()
	g.must(db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Error(err)
		}
		return nil
	}))
	raw, err := os.ReadFile(path)
	g.must(err)
	if !bytes.Contains(raw, []byte(id)) {
		t.Errorf("the journal does not name %s", id)
	}
}

// unplugged is how long the cable is out.
const unplugged = 90 * time.Second

// checkCable pulls the network's cable and plugs it in again: the broker notices, the agent lives on, and every message
// with readings that it made meanwhile arrives.
func checkCable(t *testing.T, g *guest) {
	g.must(g.qmp.set("temp", "temperature", milli(23.5)))
	g.agent()
	g.reads("pdu-a.temp_c.1", 23.5, tenth, patience)
	g.must(g.qmp.cable(false))
	pulled := time.Now()
	g.eventually(patience, "the broker to lose the agent", func() bool { return g.wills() > 0 })
	t.Logf("from the pull to the last will: %.1f s", time.Since(pulled).Seconds())
	<-time.After(time.Until(pulled.Add(unplugged)))
	g.must(g.qmp.set("temp", "temperature", milli(31)))
	g.must(g.qmp.cable(true))
	plugged := time.Now()
	// README: after a loss the longest wait between two attempts is 45 s.
	g.reads("pdu-a.temp_c.1", 31, tenth, time.Minute)
	t.Logf("from the plug to the first reading of then: %.1f s", time.Since(plugged).Seconds())
	if n := g.births(); n != 1 {
		t.Errorf("%d agents were born, want one that lasts", n)
	}
	came := map[uint64]int{}
	for _, b := range g.batches() {
		came[b.Seq]++
	}
	last := slices.Max(slices.Collect(maps.Keys(came)))
	twice := 0
	for n := uint64(1); n <= last; n++ {
		switch came[n] {
		case 0:
			t.Errorf("message %d of %d has not come", n, last)
		case 1:
		default:
			twice++
		}
	}
	// One a second, but for seconds that an emulated processor on a busy host has no time for.
	if want := uint64(unplugged / time.Second / 2); last < want {
		t.Errorf("%d messages, want at least %d", last, want)
	}
	// What was on its way when the cable was pulled may come again.
	if twice > 16 {
		t.Errorf("%d messages came more than once", twice)
	}
	t.Logf("%d messages, %d of them more than once", last, twice)
}
