package observer

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/sim"
	"rackagent/drivers/drivertest"
)

// rackOf is a world with the configuration that describes it.
type rackOf struct {
	model string
	world func(seed uint64) sim.Config
}

// racks are the worlds of the boards with several relay banks, shared meters and hot-swap slots.
func racks() map[string]rackOf {
	return map[string]rackOf{"ac24": {"ac24", sim.RackAC24}, "ac8-bank": {"ac8-bank", sim.RackAC8Bank}, "dc6": {"dc6", sim.RackDC6}}
}

// config reads the configuration of a rack, as the observer's runs name it.
func (x rackOf) config(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("../../testdata/rack-" + x.model + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(string(text), "site: test", "site: demo", 1)
}

// tellOf plays runs in the world of a model and compares what must be said about each.
func tellOf(t *testing.T, model string, tales []tale) {
	t.Helper()
	x := racks()[model]
	config := x.config(t)
	for _, y := range tales {
		t.Run(y.name, func(t *testing.T) {
			expect(t, enact(t, x.world(7), model, config, func(r *rig) {
				r.put(0x48, 0) // something is read first
				y.play(r)
			}), y.words, y.want...)
		})
	}
}

// change is a run under a configuration in which something else stands.
func change(old, to string, play func(*rig)) func(*rig) {
	return func(r *rig) {
		if !strings.Contains(r.config, old) {
			r.t.Fatalf("the configuration has no %q", old)
		}
		r.config = strings.ReplaceAll(r.config, old, to)
		play(r)
	}
}

// adoptBank records a take-over of one of several banks.
func (r *rig) adoptBank(id string, bank int, latch, direction uint16) {
	r.book.add("command", id, 'p', "progress", map[string]any{"id": id, "progress": map[string]any{
		"t": "outlet/pdu-a.17", "step": 0, "fact": "adopt", "pdu": "pdu-a", "bank": bank, "latch": latch, "direction": direction,
	}})
}

// The configurations are read whole: banks as the journal counts them, addresses, bits, meters and what is before them.
func TestRackLayouts(t *testing.T) {
	get := func(model string) *layout {
		l, err := readLayout([]byte(racks()[model].config(t)), models(t))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	at := func(l *layout, n int) *outlet { return l.outlets[rack.OutletID{PDU: "pdu-a", N: n}] }
	l := get("ac24")
	for n, want := range map[int]string{
		1: "pdu-a bank 1 0x20 pdu-a.bank.1 0x1 bank-a pdu-a.meter.1 pdu-a.mux.1", 16: "pdu-a bank 1 0x20 pdu-a.bank.1 0x8000 bank-b pdu-a.meter.8 pdu-a.mux.1",
		17: "pdu-a bank 2 0x21 pdu-a.bank.2 0x1 bank-c pdu-a.meter.9 pdu-a.mux.2", 24: "pdu-a bank 2 0x21 pdu-a.bank.2 0x80 bank-c pdu-a.meter.12 pdu-a.mux.2",
	} {
		o := at(l, n)
		if got := fmt.Sprintf("%s %#x %s %#x %s %s %s", o.bank.label(), o.bank.addr, o.bank.chip, o.bit, o.feed, o.meter.chip, o.meter.mux); got != want {
			t.Errorf("ac24, outlet %d: %s, want %s", n, got, want)
		}
	}
	if b := at(l, 17).pdu.banks; len(b) != 2 || b[0].bits() != 0xFFFF || b[1].bits() != 0xFF || b[1].n != 2 {
		t.Errorf("ac24: %+v", b)
	}
	o := at(get("ac8-bank"), 5)
	if o.bank.kind != expander8 || o.bank.addr != 0x38 || o.bank.n != 0 || o.bit != 0x10 || o.supply.name != "b" || o.meter != (metering{"pdu-a.meter.2", "", 40 * time.Millisecond}) {
		t.Errorf("ac8-bank: %+v on %+v, %+v", o, o.bank, o.supply)
	}
	o = at(get("dc6"), 3)
	if o.bank.kind != operation || o.bank.addr != 0x10 || o.bank.n != 3 || o.bank.chip != "pdu-a.meter.3" || o.bit != 0x80 || o.supply != nil || o.limitA != 50 {
		t.Errorf("dc6: %+v on %+v", o, o.bank)
	}
}

// set24 writes the latch of one expander of an AC24 in which these outlets are open.
func (r *rig) set24(bank int, open ...int) {
	r.t.Helper()
	latch := uint16(0x3F3F)
	if bank == 2 {
		latch = 0xFF3F
	}
	for _, n := range open {
		latch ^= 1 << ((n - 1) % 16)
	}
	r.put(0x1F+uint16(bank), 2, byte(latch), byte(latch>>8))
}

// cut24 and energise24 switch an outlet of an AC24 with all others closed, as it should be done.
func (r *rig) cut24(id string, n int) {
	r.t.Helper()
	r.accepted(id, "cut", n)
	r.set24(1+(n-1)/16, n)
	time.Sleep(time.Second)
	r.end(id, "succeeded", "", by(fmt.Sprintf("pdu-a.%d", n), step("cut", n)))
}

func (r *rig) energise24(id string, n int) {
	r.t.Helper()
	r.accepted(id, "energise", n)
	r.set24(1 + (n-1)/16)
	time.Sleep(time.Second)
	r.end(id, "succeeded", "", by(fmt.Sprintf("pdu-a.%d", n), step("energise", n)))
}

func TestTwoBanksHonest(t *testing.T) {
	tellOf(t, "ac24", []tale{
		{name: "cut and energise on both", play: func(r *rig) {
			r.copy()
			r.cut24("c1", 1)
			r.cut24("c2", 17)
			r.copy()
			time.Sleep(31 * time.Second)
			r.energise24("c3", 1)
			r.energise24("c4", 17)
			r.copy()
		}},
		{name: "take-over of the one that fell", play: func(r *rig) {
			r.fault("brownout=pdu-a.bank.2")
			r.cut24("c1", 1) // the other one is under control
			time.Sleep(31 * time.Second)
			r.accepted("c2", "energise", 17)
			r.adoptBank("c2", 2, 0xFF00, 0xFF00)
			r.put(0x21, 2, 0x00, 0xFF)
			r.put(0x21, 6, 0x00, 0xFF)
			r.put(0x21, 2, 0x01, 0xFF)
			time.Sleep(time.Second)
			r.end("c2", "succeeded", "", by("pdu-a.17", step("energise", 17)))
		}},
		{name: "both fell, and a server with them", play: func(r *rig) {
			r.fault("brownout=pdu-a")
			time.Sleep(time.Second)
			if n := len(r.w.Rack().Downs()); n != 1 {
				r.t.Errorf("%d servers went down, want one", n)
			}
		}},
		{name: "control as it is", play: func(r *rig) {
			r.tele(`"ctl":[1,1],"relay":[1,1]`, "")
			r.fault("brownout=pdu-a.bank.2")
			time.Sleep(4 * time.Second)
			r.tele(`"ctl":[1,0],"relay":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,0,0,0,0,0,0,1,1]`, "")
		}},
		{name: "meters of the other switch", play: func(r *rig) {
			r.fault("forget=pdu-a.mux.1") // which is before the meters 1 to 8
			time.Sleep(4 * time.Second)
			r.tele(`"p_w":[1]`, "")
		}},
	})
}

func TestTwoBanksRules(t *testing.T) {
	again := func(n int) func(*rig) {
		return func(r *rig) {
			r.cut24("c1", n)
			time.Sleep(31 * time.Second)
			r.energise24("c2", n)
		}
	}
	tellOf(t, "ac24", []tale{
		{"nothing recorded", func(r *rig) { r.set24(2, 17) }, "a write of 3e ff to the latch of pdu-a bank 2, opening pdu-a.17 (asic-9), is not explained: no accepted command", []string{"S1"}},
		{"the right bit of the other bank", func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.set24(2, 17)
			r.end("c1", "unknown", "")
		}, "no accepted command has a step for opening pdu-a.17 (asic-9)", []string{"S1"}},
		{"take-over recorded for the other bank", func(r *rig) {
			r.fault("brownout=pdu-a.bank.2")
			r.accepted("c1", "energise", 17)
			r.adoptBank("c1", 1, 0xFF00, 0xFF00)
			r.put(0x21, 2, 0x00, 0xFF)
			r.end("c1", "unknown", "")
		}, "no progress record has the fact adopt for pdu-a bank 2", []string{"S1"}},
		{"take-over of no bank in particular", func(r *rig) {
			r.accepted("c1", "energise", 17)
			r.adoptBank("c1", 0, 0xFF00, 0xFF00)
			r.end("c1", "unknown", "")
		}, "takes over bank 0 of pdu-a", []string{"S1"}},
		{"step on the bank that fell", func(r *rig) {
			r.fault("brownout=pdu-a.bank.2")
			r.accepted("c1", "cut", 17)
			r.put(0x21, 2, 0xFE, 0xFF)
			r.end("c1", "unknown", "")
		}, "no progress record has the fact adopt for pdu-a bank 2", []string{"S1"}},
		{"direction", func(r *rig) { r.put(0x21, 6, 0, 0) }, "to the direction of pdu-a bank 2", []string{"S1"}},
		{"not on disk when the machine crashed", func(r *rig) {
			r.send("c1", "outlet.cut", "outlet/pdu-a.17")
			r.set24(2, 17)
			r.copy()
			r.accept("c1", "outlet.cut", "outlet/pdu-a.17", "cut pdu-a.17")
			time.Sleep(time.Second)
			r.end("c1", "succeeded", "", step("cut", 17))
		}, "a crash would have lost the reason", []string{"S1 disk"}},
		// Bank a carries four miners and two halves of servers, counted whole: six times 15.10 A, and 0.69 A of surge.
		{"a pair counts on both its banks", change("rating_a: 150", "rating_a: 113", again(1)), "takes bank-a to 91.30 A on L1", []string{"S2"}},
		{"just below", change("{name: bank-a, parent: row, lines: [L1], volts_v: 230, rating_a: 150", "{name: bank-a, parent: row, lines: [L1], volts_v: 230, rating_a: 115", again(1)), "", nil},
		{"the third bank's own limit", change("{name: bank-c, parent: row, lines: [L3], volts_v: 230, rating_a: 150", "{name: bank-c, parent: row, lines: [L3], volts_v: 230, rating_a: 100", again(17)), "takes bank-c to", []string{"S2"}},
		{"firm, on the first", func(r *rig) {
			r.accepted("c1", "cut", 15)
			r.set24(1, 15)
			r.end("c1", "partial", "no_load")
		}, "of the firm node gpu-1", []string{"S3", "S6"}},
		{"firm, on the second", func(r *rig) {
			r.accepted("c1", "cut", 23)
			r.set24(2, 23)
			r.end("c1", "partial", "no_load")
		}, "of the firm node gpu-2", []string{"S3", "S6"}},
		{"a pair on two banks", func(r *rig) {
			r.accepted("c1", "cut", 14)
			r.accepted("c2", "cut", 22)
			r.set24(1, 14)
			r.set24(2, 22)
			time.Sleep(time.Second)
			r.end("c1", "succeeded", "", step("cut", 14))
			r.end("c2", "succeeded", "", step("cut", 22))
		}, "server gpu-4 goes down: a write opened pdu-a.14", []string{"S3", "S6", "promise 3"}},
		{"found unproven", func(r *rig) {
			r.book.add("wiring", "pdu-a.17", 'w', "wiring", map[string]any{"outlet": "pdu-a.17", "wiring": "unproven", "reason": "pdu-a.18 fell instead"})
			r.cut24("c1", 17)
		}, "pdu-a.18 fell instead", []string{"S11"}},
		{"another board", func(r *rig) { r.fault("serial=pdu-a:OTHER"); r.cut24("c1", 17) }, "its board says serial OTHER", []string{"S11"}},
		{"too soon", func(r *rig) {
			r.cut24("c1", 17)
			time.Sleep(20 * time.Second)
			r.energise24("c2", 17)
		}, "pdu-a.17 (asic-9) is closed 21.000 s after it was opened", []string{"S4"}},
		{"two banks at once", func(r *rig) {
			r.cut24("c1", 1)
			r.cut24("c2", 17)
			time.Sleep(31 * time.Second)
			r.accepted("c3", "energise", 1)
			r.accepted("c4", "energise", 17)
			r.set24(1)
			time.Sleep(100 * time.Millisecond)
			r.set24(2)
			time.Sleep(time.Second)
			r.end("c3", "succeeded", "", step("energise", 1))
			r.end("c4", "succeeded", "", step("energise", 17))
		}, "pdu-a.17 (asic-9) is closed 100 ms after pdu-a.1 (asic-1)", []string{"S4"}},
		{"control that was lost", func(r *rig) {
			r.fault("brownout=pdu-a.bank.2")
			time.Sleep(4 * time.Second)
			r.tele(`"ctl":[1,1]`, "")
		}, "control 1 passes as ok, and the direction of pdu-a bank 2 said otherwise", []string{"S7"}},
		{"control that was not lost", func(r *rig) { time.Sleep(4 * time.Second); r.tele(`"ctl":[0,1]`, "") }, "the direction of pdu-a bank 1", []string{"S7"}},
		{"relays of the other bank", func(r *rig) {
			r.fault("brownout=pdu-a.bank.2")
			time.Sleep(4 * time.Second)
			r.tele(`"relay":[0,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]`, "")
		}, "pdu-a.relay.17: relay 1 passes as ok", []string{"S7"}},
		{"dead behind its switch", func(r *rig) {
			r.fault("nack=pdu-a.mux.2")
			time.Sleep(10 * time.Second)
			r.tele(`"p_w":[3250,3250,3250,3250,180,0,1600,1600,3250,3250,3250,3250,0,1600,1600,1600,3250]`, "")
		}, "pdu-a.p_w.17: it passes as ok, and its meter has been dead for 10.0 s", []string{"S7"}},
		{"welded, and said to be open", func(r *rig) { r.fault("welded=pdu-a.17"); r.cut24("c1", 17) }, "it succeeded, and the contact is closed", []string{"S8"}},
		{"welded, and said to be unknown", func(r *rig) {
			r.fault("welded=pdu-a.17")
			time.Sleep(time.Second)
			r.accepted("c1", "cut", 17)
			r.set24(2, 17)
			time.Sleep(5 * time.Second)
			r.end("c1", "unknown", "verify_failed", step("cut", 17))
			time.Sleep(6 * time.Second)
		}, "whose contact is welded under load, and ended unknown", []string{"S8"}},
		{"proven by its neighbour", func(r *rig) {
			r.accepted("c1", "cut", 17)
			r.set24(2, 17)
			time.Sleep(time.Second)
			r.end("c1", "succeeded", "", by("pdu-a.18", step("cut", 17)))
		}, `it succeeded by the meter "pdu-a.18"; the outlet hangs on pdu-a.17`, []string{"S8"}},
	})
}

// set8 writes the latch of an AC8Bank in which these outlets are open.
func (r *rig) set8(open ...int) {
	r.t.Helper()
	latch := byte(0xFF)
	for _, n := range open {
		latch &^= 1 << (n - 1)
	}
	r.put(0x38, 1, latch)
}

// shared plays a step on an outlet that shares its meter, and ends it so.
func (r *rig) shared(id, do string, n int, meter, state, code string, open ...int) {
	r.t.Helper()
	r.accepted(id, do, n)
	r.set8(open...)
	time.Sleep(4 * time.Second)
	s := step(do, n)
	if meter != "" {
		s = by(meter, s)
	}
	r.end(id, state, code, s)
}

func TestSharedMeterHonest(t *testing.T) {
	tellOf(t, "ac8-bank", []tale{
		{name: "cut and energise", play: func(r *rig) {
			time.Sleep(time.Second)
			r.shared("c1", "cut", 2, "pdu-a.a", "succeeded", "", 2)
			r.shared("c2", "cut", 7, "pdu-a.b", "succeeded", "", 2, 7)
			time.Sleep(31 * time.Second)
			r.shared("c3", "energise", 2, "pdu-a.a", "succeeded", "", 7)
		}},
		{name: "take-over", play: func(r *rig) {
			r.fault("brownout=pdu-a")
			time.Sleep(31 * time.Second)
			r.accepted("c1", "energise", 1)
			r.adopt("c1", 0x00, 0xFF00) // the upper halves are no pins
			r.put(0x38, 1, 0x00)
			r.put(0x38, 3, 0x00)
			r.put(0x38, 1, 0x01)
			time.Sleep(4 * time.Second)
			r.end("c1", "succeeded", "", by("pdu-a.a", step("energise", 1)))
		}},
		{name: "welded, and nothing claimed", play: func(r *rig) {
			time.Sleep(time.Second)
			r.fault("welded=pdu-a.2")
			r.shared("c1", "cut", 2, "", "confirmed", "unmetered", 2)
			time.Sleep(10 * time.Second)
		}},
		{name: "the bank's watts", play: func(r *rig) {
			time.Sleep(4 * time.Second)
			r.tele(`"sup_p_w":[5600,5600],"ctl":[1],"relay":[1,1]`, "")
		}},
		{name: "a frozen meter is not held against the agent", play: func(r *rig) {
			r.fault("frozen=pdu-a.meter.2")
			time.Sleep(time.Second)
			r.shared("c1", "cut", 7, "", "confirmed", "unmetered", 7)
			r.tele(`"sup_p_w":[5600,5600]`, "")
		}},
	})
}

func TestSharedMeterRules(t *testing.T) {
	wait := func(play func(*rig)) func(*rig) { return func(r *rig) { time.Sleep(time.Second); play(r) } }
	tellOf(t, "ac8-bank", []tale{
		{"nothing recorded", func(r *rig) { r.set8(1) }, "a write of fe to the latch of pdu-a, opening pdu-a.1 (asic-1), is not explained", []string{"S1"}},
		{"another outlet too", func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.set8(1, 2)
			r.end("c1", "failed", "verify_failed")
		}, "opening pdu-a.1 (asic-1) and opening pdu-a.2 (asic-2)", []string{"S1"}},
		{"two bytes to one register", func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.put(0x38, 1, 0xFC, 0xFE)
			r.end("c1", "unknown", "")
		}, "it writes 2 bytes in a row", []string{"S1"}},
		// CONFIG of an ADE7953, whose address is the same: 0102 = 0004.
		{"meant for a meter at the same address", func(r *rig) { r.put(0x38, 0x01, 0x02, 0x00, 0x04) }, "a write of 02 00 04 to the latch of pdu-a", []string{"S1"}},
		{"polarity", func(r *rig) { r.put(0x38, 2, 0xFF) }, "no command writes the polarity", []string{"S1"}},
		{"direction", func(r *rig) { r.put(0x38, 3, 0xFF) }, "no progress record", []string{"S1"}},
		{"take-over with another word", func(r *rig) {
			r.fault("brownout=pdu-a")
			r.accepted("c1", "energise", 1)
			r.adopt("c1", 0xFF02, 0xFF00)
			r.put(0x38, 1, 0x00)
			r.end("c1", "unknown", "")
		}, "has the latch 0x0002", []string{"S1"}},
		{"above the bank's limit", change("rating_a: 40", "rating_a: 33", wait(func(r *rig) {
			r.shared("c1", "cut", 2, "pdu-a.a", "succeeded", "", 2)
			time.Sleep(31 * time.Second)
			r.shared("c2", "energise", 2, "pdu-a.a", "succeeded", "")
		})), "takes bank-a to 27.23 A on L1, by reservation and surge; its limit is 26.40 A", []string{"S2"}},
		{"above the socket's", change("max_w: 1450", "max_w: 2200", change("rating_a: 40", "rating_a: 63", wait(func(r *rig) {
			r.shared("c1", "cut", 2, "pdu-a.a", "succeeded", "", 2)
			time.Sleep(31 * time.Second)
			r.shared("c2", "energise", 2, "pdu-a.a", "succeeded", "")
		}))), "puts 10.76 A on an outlet of 10 A", []string{"S2"}},
		{"too soon", wait(func(r *rig) {
			r.shared("c1", "cut", 2, "pdu-a.a", "succeeded", "", 2)
			time.Sleep(10 * time.Second)
			r.shared("c2", "energise", 2, "pdu-a.a", "succeeded", "")
		}), "is closed 14.000 s after it was opened", []string{"S4"}},
		{"names no meter", wait(func(r *rig) { r.shared("c1", "cut", 2, "", "succeeded", "", 2) }), "names no meter; the outlet shares that of its bank, pdu-a.a", []string{"S8"}},
		{"names the outlet", wait(func(r *rig) { r.shared("c1", "cut", 2, "pdu-a.2", "succeeded", "", 2) }), `by the meter "pdu-a.2"; the outlet hangs on pdu-a.a`, []string{"S8"}},
		{"names the other bank", wait(func(r *rig) { r.shared("c1", "cut", 2, "pdu-a.b", "succeeded", "", 2) }), `by the meter "pdu-a.b"`, []string{"S8"}},
		{"welded, and another fell", wait(func(r *rig) {
			r.fault("welded=pdu-a.2")
			r.fault("stuckopen=pdu-a.3")
			r.shared("c1", "cut", 2, "pdu-a.a", "succeeded", "", 2)
		}), "it succeeded, and the contact is closed", []string{"S8"}},
		{"nothing fell of its own", wait(func(r *rig) {
			r.fault("stuckopen=pdu-a.2")
			time.Sleep(2 * time.Second)
			r.shared("c1", "cut", 2, "pdu-a.a", "succeeded", "", 2)
		}), "the outlet drew 0.0 W before: nothing fell", []string{"S8"}},
		{"nothing rose", wait(func(r *rig) { r.shared("c1", "energise", 2, "pdu-a.a", "succeeded", "") }), "it succeeded by a step of the bank's watts, and the outlet drew 1", []string{"S8"}},
		{"a rise without a load", wait(func(r *rig) {
			r.shared("c1", "cut", 2, "pdu-a.a", "succeeded", "", 2)
			r.fault("stuckopen=pdu-a.2")
			time.Sleep(31 * time.Second)
			r.shared("c2", "energise", 2, "pdu-a.a", "succeeded", "")
		}), "it succeeded, and the contact is open", []string{"S8"}},
		{"too soon for the meter", wait(func(r *rig) {
			r.accepted("c1", "cut", 2)
			r.set8(2)
			time.Sleep(399 * time.Millisecond)
			r.end("c1", "succeeded", "", by("pdu-a.a", step("cut", 2)))
		}), "settled 399ms after its write; the meter takes 400ms", []string{"S8"}},
		{"watts of a bank", func(r *rig) { time.Sleep(4 * time.Second); r.tele(`"sup_p_w":[5600,4200]`, "") }, "pdu-a.sup_p_w.2: 4200.0 W pass as ok; in truth it was between 5", []string{"S7"}},
		{"watts of an outlet that nobody measures", func(r *rig) { time.Sleep(4 * time.Second); r.tele(`"p_w":[1400]`, "") }, "pdu-a.p_w.1: the outlet has no meter of its own", []string{"S7"}},
		{"a dead bank meter", func(r *rig) {
			r.fault("nack=pdu-a.meter.1")
			time.Sleep(10 * time.Second)
			r.tele(`"sup_p_w":[5600,5600]`, "")
		}, "pdu-a.sup_p_w.1: it passes as ok, and its meter has been dead", []string{"S7"}},
		{"another board", func(r *rig) {
			r.fault("serial=pdu-a:OTHER")
			time.Sleep(time.Second)
			r.shared("c1", "cut", 2, "pdu-a.a", "succeeded", "", 2)
		}, "its board says serial OTHER", []string{"S11"}},
	})
}

// slot connects one slot's channel, sends a command to its controller and disconnects.
func (r *rig) slot(n int, w ...byte) {
	r.t.Helper()
	r.put(0x70, 1<<(n-1))
	r.put(0x10, w...)
	r.put(0x70, 0)
}

// operate plays a step on a slot, and ends it as it should be.
func (r *rig) operate(id, do string, n int) {
	r.t.Helper()
	r.accepted(id, do, n)
	r.slot(n, 1, map[string]byte{"cut": 0x00, "energise": 0x80}[do])
	time.Sleep(map[string]time.Duration{"cut": time.Second, "energise": 4 * time.Second}[do]) // it draws little at first
	r.end(id, "succeeded", "", by(fmt.Sprintf("pdu-a.%d", n), step(do, n)))
}

func TestSlotsHonest(t *testing.T) {
	tellOf(t, "dc6", []tale{
		{name: "cut and energise", play: func(r *rig) {
			time.Sleep(time.Second)
			r.copy()
			r.operate("c1", "cut", 1)
			r.copy()
			time.Sleep(31 * time.Second)
			r.operate("c2", "energise", 1)
			r.copy()
		}},
		// The packet error codes of 20 01 00 and 20 01 80 (address 10h, write).
		{name: "with packet error codes", play: func(r *rig) {
			time.Sleep(time.Second)
			r.accepted("c1", "cut", 1)
			r.slot(1, 1, 0x00, packetCode(0x10, []byte{1, 0x00}))
			time.Sleep(time.Second)
			r.end("c1", "succeeded", "", step("cut", 1))
		}},
		{name: "asked, and set up", play: func(r *rig) {
			r.put(0x70, 1)
			r.must(r.bus().Tx(r.t.Context(), 0x10, []byte{1}, make([]byte, 1)))
			r.must(r.bus().Tx(r.t.Context(), 0x10, []byte{0x79}, make([]byte, 2)))
			r.put(0x10, 0xD4, 0x3F, 0x3F)
			r.put(0x70, 0)
		}},
		{name: "nobody is connected", play: func(r *rig) {
			if err := r.bus().Tx(r.t.Context(), 0x10, []byte{1, 0}, nil); err == nil {
				r.t.Error("somebody answered")
			}
		}},
		{name: "a controller that restarts switches itself on", play: func(r *rig) {
			time.Sleep(time.Second)
			r.operate("c1", "cut", 1)
			r.fault("restart=pdu-a.meter.1")
			time.Sleep(4 * time.Second)
			r.tele(`"relay":[1,1,1,1,1,1],"ctl":[1,1,1,1,1,1]`, "")
			r.operate("c2", "cut", 1)
		}},
		{name: "with their feed they all come back", play: func(r *rig) {
			time.Sleep(time.Second)
			r.operate("c1", "cut", 1)
			f := r.fault("feedlost=shelf")
			time.Sleep(time.Second)
			r.must(r.w.Heal(f))
			time.Sleep(4 * time.Second)
			r.tele(`"relay":[1,1,1,1,1,1]`, "")
		}},
		{name: "shorted, found and left alone", play: func(r *rig) {
			time.Sleep(time.Second)
			r.fault("welded=pdu-a.2")
			r.accepted("c1", "cut", 2)
			r.slot(2, 1, 0x00)
			time.Sleep(5 * time.Second)
			r.end("c1", "failed", "welded", step("cut", 2))
			time.Sleep(10 * time.Second)
		}},
		{name: "taken although refused", play: func(r *rig) {
			time.Sleep(time.Second)
			r.bus().Inject(drivertest.Fault{Kind: drivertest.FaultTimeout, Addr: 0x10, Times: 1, Taken: true})
			r.accepted("c1", "cut", 1)
			r.put(0x70, 1)
			if err := r.bus().Tx(r.t.Context(), 0x10, []byte{1, 0}, nil); err == nil {
				r.t.Fatal("the fault did not strike")
			}
			r.put(0x70, 0)
			time.Sleep(time.Second)
			r.end("c1", "unknown", "verify_failed")
		}},
		{name: "watts", play: func(r *rig) { time.Sleep(4 * time.Second); r.tele(`"p_w":[1100,1100,1100,1100,1100,1100]`, "") }},
	})
}

func TestSlotsRules(t *testing.T) {
	wait := func(play func(*rig)) func(*rig) { return func(r *rig) { time.Sleep(time.Second); play(r) } }
	again := wait(func(r *rig) {
		r.operate("c1", "cut", 1)
		time.Sleep(31 * time.Second)
		r.operate("c2", "energise", 1)
	})
	tellOf(t, "dc6", []tale{
		{"nothing recorded", func(r *rig) { r.slot(1, 1, 0) }, "the command OPERATION 00 to pdu-a bank 1, opening pdu-a.1 (asic-1), is not explained", []string{"S1"}},
		{"nothing recorded, and on", func(r *rig) { r.slot(1, 1, 0x80) }, "leaving every relay as it is, is not explained", []string{"S1"}},
		{"the slot beside it", func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.slot(2, 1, 0)
			r.end("c1", "unknown", "")
		}, "no accepted command has a step for opening pdu-a.2 (asic-2)", []string{"S1"}},
		{"two channels connected", wait(func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.put(0x70, 0b101)
			r.put(0x10, 1, 0)
			r.put(0x70, 0)
			time.Sleep(time.Second)
			r.end("c1", "succeeded", "", step("cut", 1))
		}), "to pdu-a bank 3, opening pdu-a.3 (asic-3), is not explained", []string{"S1"}},
		{"twice", wait(func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.slot(1, 1, 0)
			time.Sleep(time.Second)
			r.slot(1, 1, 0)
			r.end("c1", "succeeded", "", step("cut", 1))
		}), "no step writes twice", []string{"S1"}},
		{"somebody else's value", func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.slot(1, 1, 0x40)
			r.end("c1", "unknown", "")
		}, "OPERATION is 80 or 00, and this is somebody else's", []string{"S1"}},
		{"a wrong packet error code", func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.put(0x70, 1)
			if err := r.bus().Tx(r.t.Context(), 0x10, []byte{1, 0, 0}, nil); err == nil {
				r.t.Error("it was taken")
			}
			r.put(0x70, 0)
			r.end("c1", "unknown", "")
		}, "it has not the form of a write", []string{"S1"}},
		{"more than a write", func(r *rig) { r.slot(1, 1, 0, 0, 0) }, "it has not the form of a write", []string{"S1"}},
		{"power cycle", func(r *rig) { r.slot(1, 0xD9) }, "the command POWER_CYCLE  to pdu-a bank 1, opening pdu-a.1 (asic-1), is not explained: no command writes the POWER_CYCLE", []string{"S1"}},
		{"power cycle of a server's slot", func(r *rig) {
			r.slot(5, 0xD9)
			r.slot(6, 0xD9)
			time.Sleep(time.Second)
		}, "server gpu-1 goes down: a write opened pdu-a.5", []string{"S1", "S3", "promise 3"}},
		{"set up otherwise", func(r *rig) {
			r.put(0x70, 1)
			_ = r.bus().Tx(r.t.Context(), 0x10, []byte{2, 0}, nil) // this part does not have it and refuses
			r.put(0x70, 0)
		}, "no command writes the ON_OFF_CONFIG", []string{"S1"}},
		{"taken over", func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.adoptBank("c1", 1, 0x80, 0)
			r.end("c1", "unknown", "")
		}, "command c1 takes over bank 1 of pdu-a, which is no relay bank with a direction", []string{"S1"}},
		{"continued after a restart", func(r *rig) {
			r.accepted("c1", "cut", 1)
			time.Sleep(time.Second)
			r.publish("up/state", `{"v":1,"state":"online","boot":"boot-2"}`, true)
			r.slot(1, 1, 0)
			r.end("c1", "unknown", "")
		}, "what a restart finds is never continued", []string{"S1"}},
		{"not on disk when the machine crashed", wait(func(r *rig) {
			r.send("c1", "outlet.cut", "outlet/pdu-a.1")
			r.slot(1, 1, 0)
			r.copy()
			r.accept("c1", "outlet.cut", "outlet/pdu-a.1", "cut pdu-a.1")
			time.Sleep(time.Second)
			r.end("c1", "succeeded", "", step("cut", 1))
		}), "a crash would have lost the reason", []string{"S1 disk"}},
		// Four hash boards of 1150 W and a server of 2300 W at 54 V x 0.95 come to 134.5 A.
		{"above the shelf's limit", change("rating_a: 200", "rating_a: 168", again), "takes shelf to 134.50 A on DC, by reservation and surge; its limit is 134.40 A", []string{"S2"}},
		{"above the slot's", change("max_w: 1150", "max_w: 2600", change("rating_a: 200", "rating_a: 400", again)), "puts 50.68 A on an outlet of 50 A", []string{"S2"}},
		{"firm", func(r *rig) {
			r.accepted("c1", "cut", 5)
			r.slot(5, 1, 0)
			r.end("c1", "partial", "no_load")
		}, "of the firm node gpu-1", []string{"S3", "S6"}},
		{"both supplies", wait(func(r *rig) { r.operate("c1", "cut", 5); r.operate("c2", "cut", 6) }), "server gpu-1 goes down: a write opened pdu-a.5", []string{"S3", "S6", "promise 3"}},
		{"another board", func(r *rig) {
			r.fault("serial=pdu-a:OTHER")
			time.Sleep(time.Second)
			r.operate("c1", "cut", 1)
		}, "its board says serial OTHER", []string{"S11"}},
		{"too soon", wait(func(r *rig) {
			r.operate("c1", "cut", 1)
			time.Sleep(10 * time.Second)
			r.operate("c2", "energise", 1)
		}), "is closed 11.000 s after it was opened", []string{"S4"}},
		{"two at once", wait(func(r *rig) {
			r.operate("c1", "cut", 1)
			r.operate("c2", "cut", 2)
			time.Sleep(31 * time.Second)
			r.accepted("c3", "energise", 1)
			r.accepted("c4", "energise", 2)
			r.slot(1, 1, 0x80)
			r.slot(2, 1, 0x80)
			time.Sleep(4 * time.Second)
			r.end("c3", "succeeded", "", step("energise", 1))
			r.end("c4", "succeeded", "", step("energise", 2))
		}), "is closed 0 ms after pdu-a.1 (asic-1)", []string{"S4"}},
		{"out of control, which it cannot be", func(r *rig) { time.Sleep(4 * time.Second); r.tele(`"ctl":[1,0,1,1,1,1]`, "") }, "control 0 passes as ok, and the direction of pdu-a bank 2", []string{"S7"}},
		{"open, and the controller switched itself on", wait(func(r *rig) {
			r.operate("c1", "cut", 1)
			r.fault("restart=pdu-a.meter.1")
			time.Sleep(4 * time.Second)
			r.tele(`"relay":[0,1,1,1,1,1]`, "")
		}), "relay 0 passes as ok", []string{"S7"}},
		{"watts", func(r *rig) { time.Sleep(4 * time.Second); r.tele(`"p_w":[1100,1050]`, "") }, "pdu-a.p_w.2: 1050.0 W pass as ok", []string{"S7"}},
		{"shorted, and said to be open", wait(func(r *rig) { r.fault("welded=pdu-a.1"); r.operate("c1", "cut", 1) }), "it succeeded, and the contact is closed", []string{"S8"}},
		{"shorted, and not found", wait(func(r *rig) {
			r.fault("welded=pdu-a.1")
			r.accepted("c1", "cut", 1)
			r.slot(1, 1, 0)
			time.Sleep(5 * time.Second)
			r.end("c1", "failed", "verify_failed", step("cut", 1))
			time.Sleep(6 * time.Second)
		}), "whose contact is welded under load, and ended failed", []string{"S8"}},
		{"shorted, found and written to", wait(func(r *rig) {
			r.fault("welded=pdu-a.1")
			r.accepted("c1", "cut", 1)
			r.slot(1, 1, 0)
			time.Sleep(5 * time.Second)
			r.end("c1", "failed", "welded", step("cut", 1))
			time.Sleep(10 * time.Second)
			r.accepted("c2", "energise", 1)
			r.slot(1, 1, 0x80)
			time.Sleep(time.Second)
			r.end("c2", "partial", "no_load")
		}), "is withdrawn from switching", []string{"S8"}},
		{"too soon for the meter", wait(func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.slot(1, 1, 0)
			time.Sleep(499 * time.Millisecond)
			r.end("c1", "succeeded", "", step("cut", 1))
		}), "settled 499ms after its write; the meter takes 500ms", []string{"S8"}},
		{"it fell already before", wait(func(r *rig) {
			r.fault("stuckopen=pdu-a.1")
			time.Sleep(2 * time.Second)
			r.operate("c1", "cut", 1)
		}), "nothing fell that could prove it", []string{"S8"}},
	})
}
