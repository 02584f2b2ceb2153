//go:build e2e && linux

package board

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// air is a bus of thermometers and monitors, and a second one with parts behind a switch, and behind a switch behind it.
// What QEMU's models cannot do: no open diode (tmp421 masks the flags, emc141x has no fault register), whole degrees and
// no less than 0 on the emc1413, and adm1272's temperature stays at code 0, which is none. A tmp421 that reads 0 degrees is
// told one reading later, because that is what it reads before its first conversion; it gets no 0 here.
var air = hardware{
	devices: []string{
		"tmp105,bus=@0,address=0x49,id=inlet",
		"tmp421,bus=@0,address=0x4c,id=exhaust",
		"emc1413,bus=@0,address=0x4d,id=board",
		"max34451,bus=@0,address=0x34,id=rails",
		"max31785,bus=@0,address=0x52,id=fans",
		"pca9548,bus=@1,address=0x70,id=outer",
		"adm1272,bus=@1/pca9548/i2c.0,address=0x10,id=busbar",
		"pca9546,bus=@1/pca9548/i2c.1,address=0x72,id=inner",
		"tmp105,bus=@1/pca9548/i2c.1/pca9546/i2c.2,address=0x48,id=deep",
		"tmp105,bus=@1/pca9548/i2c.3,address=0x48,id=twin",
	},
}

const airConfig = `
telemetry: {period_s: 1}
buses:
  - {name: main, device: @0}
  - {name: far, device: @1}
muxes:
  - {name: outer, bus: far, address: 0x70}
  - {name: inner, part: pca9546, via: outer.1, address: 0x72}
sensors:
  - {name: inlet, part: tmp105, bus: main, address: 0x49, period_s: 2}
  - {name: exhaust, part: tmp421, bus: main, address: 0x4c, period_s: 2}
  - {name: board, part: emc1413, bus: main, address: 0x4d, period_s: 2}
  - name: rails
    part: max34451
    bus: main
    address: 0x34
    period_s: 2
    inputs: [{input: 1, label: 12v}, {input: 16, label: 3v3}]
  - {name: fans, part: max31785, bus: main, address: 0x52, period_s: 2}
  - {name: busbar, part: adm1272, via: outer.0, address: 0x10, period_s: 2, shunt_ohm: 0.0003, range_v: 100, range_mv: 30}
  - {name: deep, part: tmp105, via: inner.2, address: 0x48, period_s: 2}
  - {name: twin, part: tmp105, via: outer.3, address: 0x48, period_s: 2}
`

// airPeriod is that of the readings above. A change waits for one of them, and then for a message, which comes each second.
const airPeriod = 2 * time.Second

// knob is a property of a chip and what the monitor sets it to.
type knob struct {
	id, property string
	value        int
}

// expectation is what a point must read, and how far it may be off.
type expectation struct{ value, tolerance float64 }

// change is something that happens to the parts at one moment, and what must come of it.
type change struct {
	knobs []knob
	want  map[string]expectation
}

// Steps of the parts and errors of QEMU's models. The tmp421 is stored one step of 1/16 degree below what the monitor
// says. The adm1272 is given codes with a coefficient of 198 instead of 198.9 for 300 microohm, and of 3160 for 3160.5;
// its steps are 1/40.62 V, 10/198.9 A and 1/3.16 W.
const (
	eighth    = 0.125 + tenth
	stepBelow = 0.0625 + tenth
	stepVolts = 0.0247 + 0.005
)

func amperes(a float64) expectation { return expectation{a, 0.005*a + 0.0503 + 0.005} }
func power(w float64) expectation   { return expectation{w, 0.0005*w + 0.317 + 0.05} }

// airChanges: a first state, one in the cold, one in the heat.
func airChanges() []change {
	return []change{
		{
			[]knob{
				{"inlet", "temperature", 23500},
				{"exhaust", "temperature0", 31000},
				{"exhaust", "temperature1", 41000},
				{"board", "temperature0", 35000},
				{"board", "temperature1", 52000},
				{"board", "temperature2", 61000},
				{"rails", "vout[0]", 12034},
				{"rails", "vout[15]", 3300},
				{"rails", "temperature[0]", 3725},
				{"busbar", "vin", 54000},
				{"busbar", "vout", 53900},
				{"busbar", "iout", 20000},
				{"busbar", "pin", 1080},
				{"deep", "temperature", 27000},
				{"twin", "temperature", 28000},
			},
			map[string]expectation{
				"inlet.temp_c.1": {23.5, tenth}, "exhaust.temp_c.1": {31, stepBelow}, "exhaust.temp_c.2": {41, stepBelow},
				"board.temp_c.1": {35, eighth}, "board.temp_c.2": {52, eighth}, "board.temp_c.3": {61, eighth},
				"rails.dc_u_v.1": {12.034, 0.0051}, "rails.dc_u_v.16": {3.3, 0.0051}, "rails.temp_c.1": {37.25, tenth},
				"busbar.dc_u_v.1": {54, stepVolts}, "busbar.dc_u_v.2": {53.9, stepVolts}, "busbar.dc_i_a.1": amperes(20), "busbar.dc_p_w.1": power(1080),
				"deep.temp_c.1": {27, tenth}, "twin.temp_c.1": {28, tenth},
			},
		},
		{
			[]knob{
				{"inlet", "temperature", -12500},
				{"exhaust", "temperature0", -7250},
				{"exhaust", "temperature1", -1500},
				{"board", "temperature0", 1000},
				{"board", "temperature1", 2000},
				{"board", "temperature2", 3000},
				{"rails", "vout[0]", 0},
				{"rails", "vout[15]", 1},
				{"rails", "temperature[0]", 0},
				{"busbar", "vin", 48000},
				{"busbar", "vout", 0},
				{"busbar", "iout", 0},
				{"busbar", "pin", 0},
				{"deep", "temperature", -1000},
				{"twin", "temperature", 0},
			},
			map[string]expectation{
				"inlet.temp_c.1": {-12.5, tenth}, "exhaust.temp_c.1": {-7.25, stepBelow}, "exhaust.temp_c.2": {-1.5, stepBelow},
				"board.temp_c.1": {1, eighth}, "board.temp_c.2": {2, eighth}, "board.temp_c.3": {3, eighth},
				"rails.dc_u_v.1": {0, 0.0051}, "rails.dc_u_v.16": {0.001, 0.0051}, "rails.temp_c.1": {0, tenth},
				"busbar.dc_u_v.1": {48, stepVolts}, "busbar.dc_u_v.2": {0, stepVolts}, "busbar.dc_i_a.1": amperes(0), "busbar.dc_p_w.1": power(0),
				"deep.temp_c.1": {-1, tenth}, "twin.temp_c.1": {0, tenth},
			},
		},
		{
			[]knob{
				{"inlet", "temperature", 99937},
				{"exhaust", "temperature0", 101500},
				{"exhaust", "temperature1", 118000},
				{"board", "temperature0", 90000},
				{"board", "temperature1", 100000},
				{"board", "temperature2", 127000},
				{"rails", "vout[0]", 15999},
				{"rails", "vout[15]", 5001},
				{"rails", "temperature[0]", 12000},
				{"busbar", "vin", 60000},
				{"busbar", "vout", 59000},
				{"busbar", "iout", 65000},
				{"busbar", "pin", 3900},
				{"deep", "temperature", 88000},
				{"twin", "temperature", 77000},
			},
			map[string]expectation{
				"inlet.temp_c.1": {99.9375, tenth}, "exhaust.temp_c.1": {101.5, stepBelow}, "exhaust.temp_c.2": {118, stepBelow},
				"board.temp_c.1": {90, eighth}, "board.temp_c.2": {100, eighth}, "board.temp_c.3": {127, eighth},
				"rails.dc_u_v.1": {15.999, 0.0051}, "rails.dc_u_v.16": {5.001, 0.0051}, "rails.temp_c.1": {120, tenth},
				"busbar.dc_u_v.1": {60, stepVolts}, "busbar.dc_u_v.2": {59, stepVolts}, "busbar.dc_i_a.1": amperes(65), "busbar.dc_p_w.1": power(3900),
				"deep.temp_c.1": {88, tenth}, "twin.temp_c.1": {77, tenth},
			},
		},
	}
}

func checkAir(t *testing.T, g *guest) {
	changes := airChanges()
	g.turn(changes[0].knobs)
	g.agent()
	g.arrive(changes[0].want, patience)
	for _, c := range changes[1:] {
		g.turn(c.knobs)
		late := g.arrive(c.want, patience)
		for point, d := range late {
			if d > 2*airPeriod {
				t.Errorf("%s is told %v after the change, want %v", point, d, 2*airPeriod)
			}
		}
		t.Logf("from the change to the message: %s", spread(late))
	}
	g.lacks("busbar.temp_c.1", "bad, implausible", patience)
	// QEMU's model answers STATUS_FANS_1_2, a byte, with two, and gives the second one to whoever reads next: PAGE then
	// reads back another page, and nothing of the part is believed.
	g.lacks("fans.fan_rpm.1", "absent, mismatch", patience)
	published := g.newest()
	if status := g.signal("TERM"); status != 0 {
		t.Errorf("stopped, the agent ended with %d", status)
	}
	othersAgree(t, g, published)
}

// othersAgree asks the kernel's drivers and i2c-tools for what the agent said last. Each may be off by one step of the
// part, and half the last decimal of the message.
func othersAgree(t *testing.T, g *guest, published batch) {
	compare := func(point string, got, tolerance float64) {
		t.Helper()
		if v, why := published.value(point); why != "" || math.Abs(v-got) > tolerance {
			t.Errorf("the agent said of %s %v%s, another driver says %v", point, v, why, got)
		}
	}
	kernel := func(point, module, chip, bus string, address int, attribute string, step float64) {
		t.Helper()
		dir, release := g.driver(module, chip, bus, address)
		compare(point, float64(g.hwmon(dir, attribute))/1000, step+tenth)
		release()
	}
	kernel("inlet.temp_c.1", "lm75", "tmp105", "@0", 0x49, "temp1_input", 0.0625)
	kernel("exhaust.temp_c.1", "tmp421", "tmp421", "@0", 0x4c, "temp1_input", 0.0625)
	kernel("exhaust.temp_c.2", "tmp421", "tmp421", "@0", 0x4c, "temp2_input", 0.0625)
	for i, r := range [][2]int{{0x00, 0x29}, {0x01, 0x10}, {0x23, 0x24}} { // high and low byte (Linux driver emc1403)
		code := g.byteAt("@0", 0x4d, r[0])<<8 | g.byteAt("@0", 0x4d, r[1])
		compare(fmt.Sprintf("board.temp_c.%d", i+1), float64(code)/256, eighth)
	}
	for _, page := range []int{0, 15} {
		g.i2c("@0", "w2@0x34 0x00 %d", page)
		compare(fmt.Sprintf("rails.dc_u_v.%d", page+1), float64(g.wordAt("@0", 0x34, 0x8b))/1000, 0.001+0.0005) // READ_VOUT
	}

	// Behind the switches by the kernel's own driver of them, to which each channel is a bus.
	outer, _ := g.driver("i2c-mux-pca954x", "pca9548", "@1", 0x70)
	busbar := g.channel(outer, 0)
	// READ_VIN, READ_IOUT, READ_PIN by the coefficients of the ranges 100 V and 30 mV at 300 microohm (Linux driver adm1275).
	compare("busbar.dc_u_v.1", float64(g.wordAt(busbar, 0x10, 0x88))*100/4062, stepVolts)
	compare("busbar.dc_i_a.1", (float64(g.wordAt(busbar, 0x10, 0x8c))*10-20480)/198.9, 0.0503+0.005)
	compare("busbar.dc_p_w.1", float64(g.wordAt(busbar, 0x10, 0x97))*1000/3160.5, 0.317+0.05)
	kernel("twin.temp_c.1", "lm75", "tmp105", g.channel(outer, 3), 0x48, "temp1_input", 0.0625)
	inner, _ := g.driver("i2c-mux-pca954x", "pca9546", g.channel(outer, 1), 0x72)
	kernel("deep.temp_c.1", "lm75", "tmp105", g.channel(inner, 2), 0x48, "temp1_input", 0.0625)
}

// channel is the device file of a channel of a switch that the kernel's driver has.
func (g *guest) channel(dir string, n int) string {
	g.t.Helper()
	return "/dev/" + g.sh("basename $(readlink -f %s/channel-%d)", dir, n)
}

// i2c does one transfer with i2c-tools and gives what was read. The words are those of i2ctransfer(8).
func (g *guest) i2c(bus, words string, args ...any) []int {
	g.t.Helper()
	var read []int
	adapter := strings.TrimPrefix(g.b.devices(bus), "/dev/i2c-")
	for _, s := range strings.Fields(g.sh("i2ctransfer -y %s %s", adapter, fmt.Sprintf(words, args...))) {
		n, err := strconv.ParseInt(s, 0, 64)
		g.must(err)
		read = append(read, int(n))
	}
	return read
}

// byteAt reads a register of one byte.
func (g *guest) byteAt(bus string, address, register int) int {
	g.t.Helper()
	return g.i2c(bus, "w1@%#x %#x r1", address, register)[0]
}

// wordAt reads a register of two bytes, the low one first.
func (g *guest) wordAt(bus string, address, register int) int {
	g.t.Helper()
	b := g.i2c(bus, "w1@%#x %#x r2", address, register)
	return b[1]<<8 | b[0]
}

// newest is the last message with readings.
func (g *guest) newest() batch {
	g.t.Helper()
	all := g.batches()
	return all[len(all)-1]
}

// spread says in words how long the changes took.
func spread(late map[string]time.Duration) string {
	first := slices.SortedFunc(maps.Keys(late), func(a, b string) int { return int(late[a] - late[b]) })
	a, z := first[0], first[len(first)-1]
	return fmt.Sprintf("%.2f s (%s) to %.2f s (%s), %d points", late[a].Seconds(), a, late[z].Seconds(), z, len(late))
}

// turn sets properties of chips.
func (g *guest) turn(knobs []knob) {
	g.t.Helper()
	for _, k := range knobs {
		g.must(g.qmp.set(k.id, k.property, k.value))
	}
}

// arrive waits for a batch for each point that shows it as it must be, and gives the times from now until they came.
func (g *guest) arrive(want map[string]expectation, limit time.Duration) map[string]time.Duration {
	g.t.Helper()
	began := time.Now()
	seen := len(g.batches())
	late := map[string]time.Duration{}
	newest := map[string]string{}
	err := within(limit, func() bool {
		all := g.batches()
		for _, b := range all[seen:] {
			for point, w := range want {
				if _, there := late[point]; there {
					continue
				}
				v, why := b.value(point)
				if newest[point] = fmt.Sprint(v, why); why == "" && v >= w.value-w.tolerance && v <= w.value+w.tolerance {
					late[point] = b.heard.Sub(began)
				}
			}
		}
		seen = len(all)
		return len(late) == len(want)
	})
	if err != nil {
		var lines []string
		for _, point := range slices.Sorted(maps.Keys(want)) {
			if _, there := late[point]; !there {
				lines = append(lines, fmt.Sprintf("%s is %s instead of %g", point, newest[point], want[point].value))
			}
		}
		g.t.Fatalf("within %v not all points are as they must be:\n%s", limit, strings.Join(lines, "\n"))
	}
	return late
}
