package observer

import (
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/sim"
)

// Examples of writes and what they leave: the pair's other port follows the first, and wraps (TI SCPS200, 8.5).
func TestExpanderTakes(t *testing.T) {
	for _, x := range []struct {
		w    []byte
		want chip
	}{
		{[]byte{2}, chip{latch: 0xFFFF, direction: 0xFFFF, pointer: 2}},
		{[]byte{2, 0x12, 0x34}, chip{latch: 0x3412, direction: 0xFFFF, pointer: 2}},
		{[]byte{3, 0x12, 0x34}, chip{latch: 0x1234, direction: 0xFFFF, pointer: 3}},
		{[]byte{3, 0x12}, chip{latch: 0x12FF, direction: 0xFFFF, pointer: 2}},
		{[]byte{2, 0x12, 0x34, 0x56}, chip{latch: 0x3456, direction: 0xFFFF, pointer: 3}},
		{[]byte{6, 0, 0}, chip{latch: 0xFFFF, pointer: 6}},
		{[]byte{5, 0xA0}, chip{latch: 0xFFFF, direction: 0xFFFF, polarity: 0xA000, pointer: 4}},
		{[]byte{0, 1, 2}, chip{latch: 0xFFFF, direction: 0xFFFF}},
		{[]byte{0x0A, 0, 0}, chip{direction: 0xFFFF, pointer: 2}}, // the upper bits of the command byte do not count
		{nil, powerOn(expander16)},
	} {
		if got := powerOn(expander16).take(x.w); got != x.want {
			t.Errorf("% x: %+v, want %+v", x.w, got, x.want)
		}
	}
}

func TestExpanderTells(t *testing.T) {
	x := chip{latch: 0x3412, direction: 0xFF00, pointer: 2}
	for _, c := range []struct {
		r    []byte
		fits bool
	}{{[]byte{0x12, 0x34}, true}, {[]byte{0x12, 0x34, 0x12}, true}, {[]byte{0x34}, false}, {nil, true}} {
		if _, ok := x.tells(c.r); ok != c.fits {
			t.Errorf("% x: %v", c.r, ok)
		}
	}
	x.pointer = 0
	if next, ok := x.tells([]byte{0x99}); !ok || next.pointer != 1 {
		t.Errorf("the inputs are believed, %v, and the pointer moves, %d", ok, next.pointer)
	}
}

// An expander's own simulation and the observer's agree on everything that any transfer does.
func FuzzExpander(f *testing.F) {
	f.Add([]byte{3, 2, 0x12, 0x34, 0}, byte(2))
	f.Add([]byte{2, 6, 0, 1, 3, 0xA5}, byte(1))
	f.Add([]byte{5, 4, 1, 2, 3, 4, 1, 7, 9, 9}, byte(3))
	f.Fuzz(func(t *testing.T, script []byte, reads byte) {
		c := sim.Demo(1)
		c.StateDir, c.FreshPower = t.TempDir(), true
		w, err := sim.New(c)
		if err != nil {
			t.Fatal(err)
		}
		d, err := w.Devices(sim.DemoBoard)
		if err != nil {
			t.Fatal(err)
		}
		x := powerOn(expander16)
		for len(script) > 0 {
			n := min(int(script[0]%6), len(script)-1)
			out := script[1 : 1+n]
			script = script[1+n:]
			got := make([]byte, reads%4)
			if err := d.Bank.Tx(out, got); err != nil {
				t.Fatal(err)
			}
			next, ok := x.take(out).tells(got)
			if x = next; !ok || x.latch != d.Bank.Output() || x.direction != d.Bank.Direction() {
				t.Fatalf("after % x, read % x: %+v, and the chip has %04x %04x", out, got, x, d.Bank.Output(), d.Bank.Direction())
			}
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestExampleConfiguration(t *testing.T) {
	conf, err := os.ReadFile("../../../config/example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	l, err := readLayout(conf, models(t))
	if err != nil {
		t.Fatal(err)
	}
	o := l.outlets[rack.OutletID{PDU: "pdu-a", N: 8}]
	switch {
	case l.site != "ams1" || l.agent != "r17" || l.client != "r17" || l.unsigned:
		t.Errorf("%+v", l)
	case l.period != time.Second || l.identity != 5*time.Minute || l.stagger != 250*time.Millisecond:
		t.Errorf("%v %v %v", l.period, l.identity, l.stagger)
	case l.keys["alice-2026"].issuer != "alice" || !l.keys["alice-2025"].revoked || len(l.users) != 1 || l.roles["cooling-plant"].life != time.Minute || l.roles["automation"].firm:
		t.Errorf("%+v %+v %+v", l.keys, l.users, l.roles)
	case l.feeds["row-4"].limitA != 25.2 || l.feeds["bank-a"].limitA != 32*0.8 || l.top("bank-a") != "row-4":
		t.Errorf("%+v", l.feeds)
	case o.node.name != "gpu-1" || !o.node.firm || o.node.minOff != time.Minute || !o.normallyClosed || o.bit != 0x80 || o.meter.chip != "pdu-a.meter.4":
		t.Errorf("%+v of %+v", o, o.node)
	case o.pdu.bus != "/dev/i2c-1" || o.bank.addr != 0x20 || o.bank.n != 0 || o.bank.label() != "pdu-a" || o.pdu.fru != 0x50 || o.pdu.settling != 300*time.Millisecond:
		t.Errorf("%+v", o.pdu)
	}
}

// models are all model files that there are.
func models(t testing.TB) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for _, name := range []string{"ac8", "ac24", "ac8-bank", "dc6"} {
		model, err := os.ReadFile("../../../drivers/pdu/models/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		out[name] = model
	}
	return out
}

// Loads between two lines count on both, and a node once on each line that one of its outlets hangs on.
func TestAmperes(t *testing.T) {
	l, err := readLayout([]byte(`
site: demo
agent: r1
buses: [{name: main, device: /dev/i2c-1}, {name: other, device: /dev/i2c-2}]
feeds:
  - {name: row, lines: [L1, L2, L3], volts_v: 400, rating_a: 63}
  - {name: a, parent: row, lines: [L1, L2], volts_v: 400, rating_a: 32}
  - {name: b, parent: row, lines: [L3], volts_v: 230, rating_a: 32}
pdus:
  - {name: pdu-a, model: ac8, bus: main, serial: A, banks: {a: a}}
  - {name: pdu-b, model: ac8, bus: other, serial: B, banks: {a: b}}
nodes:
  - {name: pair, class: gpu, outlets: [pdu-a.1, pdu-b.1], max_w: 3800}
  - {name: one, class: asic, outlets: [pdu-a.2], max_w: 1900}
`), models(t))
	if err != nil {
		t.Fatal(err)
	}
	r := &run{layout: l}
	held := map[*node]float64{l.nodes[0]: 3800, l.nodes[1]: 1900}
	for _, x := range []struct {
		level, line string
		want        float64
	}{
		{"a", "L1", 5700 / 380.0},
		{"a", "L2", 5700 / 380.0},
		{"a", "L3", 0},
		{"b", "L3", 3800 / 218.5},
		{"row", "L1", 5700 / 380.0},
		{"row", "L2", 5700 / 380.0},
		{"row", "L3", 3800 / 218.5},
	} {
		if got := r.amperes(held, l.feeds[x.level], x.line); math.Abs(got-x.want) > 1e-9 {
			t.Errorf("%s on %s: %.3f A, want %.3f", x.level, x.line, got, x.want)
		}
	}
	if levels := r.levelsOf(l.nodes[0].outlets[0]); len(levels) != 3 {
		t.Errorf("%d levels above the pair, want 3", len(levels))
	}
}

// Evidence that proves nothing is no clean run.
func TestEvidence(t *testing.T) {
	world := func(limit int) *sim.World {
		c := sim.Demo(1)
		c.StateDir, c.TraceLimit = t.TempDir(), limit
		w, err := sim.New(c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		})
		return w
	}
	cut := world(4)
	for range 20 {
		if err := cut.Inject(sim.Fault{Kind: sim.FaultForget, Name: sim.DemoBoard}); err != nil {
			t.Fatal(err)
		}
	}
	for words, e := range map[string]Evidence{
		"there is no world":                                   {},
		"site, agent or pdus are missing":                     {World: world(0)},
		"is not among the evidence":                           {World: world(0), Config: []byte(rackConfig)},
		"its older part was dropped":                          {World: cut, Config: []byte(rackConfig), Models: models(t)},
		"have sim-i2c-0":                                      {World: world(0), Config: []byte(strings.Replace(rackConfig, "sim-i2c-0", "i2c-9", 1)), Models: models(t)},
		"no outlet pdu-a.9":                                   {World: world(0), Config: []byte(strings.Replace(rackConfig, "pdu-a.8", "pdu-a.9", 1)), Models: models(t)},
		"outlet number \"08\" is not 1 to 99":                 {World: world(0), Config: []byte(strings.Replace(rackConfig, "pdu-a.8", "pdu-a.08", 1)), Models: models(t)},
		"configuration:":                                      {World: world(0), Config: []byte("nodes: 7"), Models: models(t)},
		"nothing is known here of the relay part \"pca9552\"": {World: world(0), Config: []byte(rackConfig), Models: map[string][]byte{"ac8": []byte("buses: {relays: [{part: pca9552}]}")}},
		"outlet 1: no relay part 0":                           {World: world(0), Config: []byte(rackConfig), Models: map[string][]byte{"ac8": []byte("outlets: [{relay: 1}]")}},
		"outlet 1: no meter 0":                                {World: world(0), Config: []byte(rackConfig), Models: map[string][]byte{"ac8": []byte("outlets: [{meter: 0}]")}},
		"outlet 1: it is switched by its meter, and has none": {World: world(0), Config: []byte(rackConfig), Models: map[string][]byte{"ac8": []byte("outlets: [{operation: true}]")}},
		"supply a: no meter 3":                                {World: world(0), Config: []byte(rackConfig), Models: map[string][]byte{"ac8": []byte("supplies: [{bank: a, meter: 3}]")}},
		"model ac8:":                                          {World: world(0), Config: []byte(rackConfig), Models: map[string][]byte{"ac8": []byte("outlets: 7")}},
		"no bus \"main\", or model ac8 names no":              {World: world(0), Config: []byte(rackConfig), Models: map[string][]byte{"ac8": []byte("model: ac8")}},
	} {
		expect(t, Observe(e), words, "evidence")
	}
	if vs := Observe(Evidence{World: world(0), Config: []byte(rackConfig), Models: models(t)}); len(vs) != 0 {
		t.Errorf("a world in which nothing happened: %v", vs)
	}
}

// A copy that cannot be read is reported, and so is what it cannot explain.
func TestUnreadableCopy(t *testing.T) {
	vs := story(t, func(r *rig) {
		r.cut("c1", 1)
		r.book.all[0].value[7]++
	})
	expect(t, vs, `key "c1\x00`, "journal", "S1", "S5", "S8")
	vs = story(t, func(r *rig) {
		r.cut("c1", 1)
		r.copy()
		r.must(os.Truncate(r.states[0].Path+"/journal.db", 4096))
	})
	expect(t, vs, "cannot be read: ", "journal")
}

// Only what happened between the bounds is reported.
func TestBounds(t *testing.T) {
	var from, to []Violation
	story(t, func(r *rig) {
		r.relay(1, false)
		time.Sleep(10 * time.Second)
		r.relay(2, false)
		e := r.evidence()
		e.From = r.begun.Add(5 * time.Second)
		from = Observe(e)
		e.From, e.To = r.begun, e.From
		to = Observe(e)
	})
	expect(t, from, "5.000 s after the start (record 6): a write of 3c ff", "S1")
	expect(t, to, "0.000 s after the start (record 4): a write of 3e ff", "S1")
	if len(from) != 1 || len(to) != 1 || !strings.HasPrefix(from[0].String(), "S1: 5.000 s") {
		t.Errorf("%v, %v", from, to)
	}
}

// Every rule says how it reads the invariant, and has a name of its own.
func TestRules(t *testing.T) {
	seen := map[string]bool{ruleEvidence: true, ruleJournal: true}
	for _, r := range Rules() {
		if seen[r.Name] || r.Reading == "" || r.check == nil {
			t.Errorf("%+v", r)
		}
		seen[r.Name] = true
	}
}

// No message makes the observer fall, whatever it is.
func FuzzMessage(f *testing.F) {
	f.Add("cmd/c1", []byte(`{"v":1,"id":"c1","st":"failed","n":5,"dup":false,"code":"welded","part":1}`))
	f.Add("tele", []byte(`{"v":1,"ts":1795411615000,"d":{"pdu-a":{"p_w":[1234.5,null]}},"x":{"pdu-a.p_w.2":{"q":"stale","age_ms":14000}}}`))
	f.Add("state", []byte(`{"v":1,"boot":"b"}`))
	f.Add("cmd/c1", []byte(`null`))
	f.Add("cmd/c1", []byte(letter{kid: "alice-1", members: map[string]any{"v": 1, "id": "c1", "seq": 1}}.compact()))
	f.Add("cmd/c1", []byte(letter{kid: "alice-1", header: `{"alg":"none"}`}.compact()))
	c := sim.Demo(1)
	c.StateDir = f.TempDir()
	w, err := sim.New(c)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = w.Close() }) // it holds nothing but memory
	r, err := newRun(Evidence{World: w, Config: []byte(signedConfig()), Models: models(f)})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		msg := sim.Message{At: at, Client: "r1", Topic: root + "up/" + topic, Payload: payload}
		order := sim.Message{At: at, Client: "r1", Out: true, Topic: root + "down/cmd", Payload: payload}
		r.mail = newMail(r.layout, []sim.Entry{{Seq: 1, At: at, Event: msg}, {Seq: 2, At: at, Event: order}})
		if d := r.mail.deliveries; len(d) != 1 || len(d[0].hash) != 64 {
			t.Fatalf("%d deliveries", len(d))
		}
		_ = r.flaw(r.mail.deliveries[0], &record{Command: &command{}})
		for _, v := range append(oneResult(r), freshOnly(r)...) {
			if v.Text == "" {
				t.Error("a violation without words")
			}
		}
	})
}
