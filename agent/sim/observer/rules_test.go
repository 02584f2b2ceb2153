package observer

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rackagent/agent/sim"
	"rackagent/drivers/drivertest"
)

// tale is a run with what the observer must say about it: the rules broken, and words of one report.
type tale struct {
	name  string
	play  func(*rig)
	words string
	want  []string
}

func tell(t *testing.T, tales []tale) {
	for _, x := range tales {
		t.Run(x.name, func(t *testing.T) { expect(t, story(t, x.play), x.words, x.want...) })
	}
}

// accepted sends and accepts a command on one outlet.
func (r *rig) accepted(id, do string, n int) {
	r.t.Helper()
	target := fmt.Sprintf("outlet/pdu-a.%d", n)
	r.send(id, "outlet."+do, target)
	r.accept(id, "outlet."+do, target, fmt.Sprintf("%s pdu-a.%d", do, n))
}

// fault injects a fault as a command line names it.
func (r *rig) fault(s string) sim.Fault {
	r.t.Helper()
	f, err := sim.ParseFault(s)
	r.must(err)
	r.must(r.w.Inject(f))
	return f
}

// adopt records a take-over of the bank.
func (r *rig) adopt(id string, latch, direction uint16) {
	r.book.add("command", id, 'p', "progress", map[string]any{"id": id, "progress": map[string]any{
		"t": "outlet/pdu-a.1", "step": 0, "fact": "adopt", "pdu": "pdu-a", "latch": latch, "direction": direction,
	}})
}

func TestHonestRuns(t *testing.T) {
	tell(t, []tale{
		{name: "cut and energise", play: func(r *rig) {
			r.copy()
			r.cut("c1", 1)
			r.copy()
			r.energiseLater("c2", 1)
			r.copy()
		}},
		{name: "one port of the latch", play: func(r *rig) {
			r.accepted("c1", "cut", 1)
			_, err := r.tx([]byte{2, 0x3E}, 0)
			r.must(err)
			time.Sleep(time.Second)
			r.end("c1", "succeeded", "", step("cut", 1))
		}},
		{name: "equal words", play: func(r *rig) {
			r.accepted("c1", "energise", 2)
			r.relay(2, true)
			r.end("c1", "partial", "no_load")
		}},
		{name: "many for one outlet", play: func(r *rig) {
			for i := range 5 {
				r.accepted(fmt.Sprint("c", i), "cut", 1)
			}
			r.accepted("d", "energise", 2)
			for i := range 5 {
				time.Sleep(100 * time.Millisecond)
				r.relay(1, false)
				r.end(fmt.Sprint("c", i), "partial", "no_load")
			}
			r.relay(2, true) // fits the cuts of outlet 1 as well, but they have ended
			r.end("d", "partial", "no_load")
		}},
		{name: "equal words for one that may wait and one that may not", play: func(r *rig) {
			r.accepted("c1", "energise", 1)
			r.accepted("c2", "energise", 2)
			r.relay(1, true) // fits both, and c1 comes first
			r.end("c2", "partial", "no_load")
			time.Sleep(time.Second)
			r.relay(1, true) // fits c1 alone
			r.end("c1", "partial", "no_load")
		}},
		{name: "cycle", play: func(r *rig) {
			r.send("c1", "outlet.cycle", "node/asic-2")
			r.accept("c1", "outlet.cycle", "node/asic-2", "cut pdu-a.2", "energise pdu-a.2")
			r.relay(2, false)
			time.Sleep(31 * time.Second)
			r.relay(2, true)
			time.Sleep(time.Second)
			r.end("c1", "succeeded", "", step("energise", 2))
		}},
		{name: "take-over", play: func(r *rig) {
			r.fault("brownout=pdu-a")
			time.Sleep(31 * time.Second)
			r.read(6, 2)
			r.accepted("c1", "energise", 1)
			r.adopt("c1", 0xFF00, 0xFF00)
			r.write(2, 0xFF00)
			r.write(6, 0xFF00)
			r.write(2, 0xFF01)
			time.Sleep(time.Second)
			r.end("c1", "succeeded", "", step("energise", 1))
		}},
		{name: "take-over after a fall that nobody injected", play: func(r *rig) {
			r.bus().Inject(drivertest.Fault{Kind: drivertest.FaultReset, Addr: 0x20, Times: 1})
			r.read(6, 2)
			time.Sleep(31 * time.Second)
			r.accepted("c1", "energise", 1)
			r.adopt("c1", 0xFF00, 0xFF00)
			r.write(2, 0xFF00)
			r.write(6, 0xFF00)
			r.write(2, 0xFF01)
			time.Sleep(time.Second)
			r.end("c1", "succeeded", "", step("energise", 1))
		}},
		{name: "refused on the wire", play: func(r *rig) {
			r.bus().Inject(drivertest.Fault{Kind: drivertest.FaultNackAddress, Addr: 0x20, Times: 1})
			r.accepted("c1", "cut", 1)
			if _, err := r.tx([]byte{2, 0x3E, 0xFF}, 0); err == nil {
				r.t.Fatal("the fault did not strike")
			}
			r.end("c1", "failed", "device_error")
			r.cut("c2", 2) // the latch of c1 was not taken, and this write shows it
		}},
		{name: "taken although refused", play: func(r *rig) {
			r.bus().Inject(drivertest.Fault{Kind: drivertest.FaultTimeout, Addr: 0x20, Times: 1, Taken: true})
			r.accepted("c1", "cut", 1)
			if _, err := r.tx([]byte{2, 0x3E, 0xFF}, 0); err == nil {
				r.t.Fatal("the fault did not strike")
			}
			r.end("c1", "unknown", "verify_failed")
			r.latch &^= 1
			r.cut("c2", 2)
		}},
		{name: "changed by other hands", play: func(r *rig) {
			d, err := r.w.Devices(sim.DemoBoard)
			r.must(err)
			d.Bank.Load(0xFF3D, 0xFF00)
			time.Sleep(time.Second)
			r.latch &^= 2
			r.cut("c1", 1)
		}},
	})
}

func (r *rig) bus() *drivertest.Bus {
	r.t.Helper()
	b, err := r.w.Bus(sim.DemoBus)
	r.must(err)
	return b
}

func TestS1(t *testing.T) {
	tell(t, []tale{
		{"nothing recorded", func(r *rig) { r.relay(1, false) }, "no accepted command has a step for opening pdu-a.1 (asic-1)", []string{"S1"}},
		{"another outlet too", func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.latch &^= 2
			r.relay(1, false)
			r.end("c1", "failed", "verify_failed")
		}, "opening pdu-a.1 (asic-1) and opening pdu-a.2 (asic-2)", []string{"S1"}},
		{"other verb", func(r *rig) {
			r.accepted("c1", "energise", 1)
			r.relay(1, false)
			r.end("c1", "failed", "verify_failed")
		}, "no accepted command", []string{"S1"}},
		{"twice", func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.relay(1, false)
			time.Sleep(time.Second)
			r.relay(1, false)
			r.end("c1", "succeeded", "", step("cut", 1))
		}, "no step writes twice", []string{"S1"}},
		{"once more than there are steps", func(r *rig) {
			r.accepted("c1", "energise", 1)
			r.accepted("c2", "energise", 2)
			for range 3 {
				r.relay(1, true)
				time.Sleep(time.Second)
			}
			r.end("c1", "partial", "no_load")
			r.end("c2", "partial", "no_load")
		}, "2.000 s after the start (record 12): a write of 3f ff", []string{"S1"}},
		{"too early", func(r *rig) {
			r.relay(1, false)
			time.Sleep(time.Second)
			r.accepted("c1", "cut", 1)
			r.end("c1", "unknown", "")
		}, "was accepted 1.000 s after the write", []string{"S1"}},
		{"after the result", func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.end("c1", "cancelled", "cancelled")
			time.Sleep(time.Second)
			r.relay(1, false)
		}, "had ended 1.000 s before the write", []string{"S1"}},
		{"after the deadline that was asked for", func(r *rig) {
			r.by["c1"] = map[string]any{"args": map[string]any{"deadline_s": 40}}
			r.accepted("c1", "cut", 1)
			time.Sleep(45 * time.Second)
			r.relay(1, false)
			r.end("c1", "unknown", "")
		}, "had its deadline 5.000 s before", []string{"S1"}},
		{"late in its turn", func(r *rig) { // the plan's own deadline counts from the first step
			r.accepted("c1", "cut", 1)
			time.Sleep(55 * time.Second)
			r.relay(1, false)
			time.Sleep(time.Second)
			r.end("c1", "succeeded", "", step("cut", 1))
		}, "", nil},
		{"after the plan's own deadline", func(r *rig) {
			r.accepted("c1", "cut", 1)
			time.Sleep(105 * time.Second)
			r.relay(1, false)
			r.end("c1", "unknown", "")
		}, "had its deadline 5.000 s before", []string{"S1"}},
		{"continued after a restart", func(r *rig) {
			r.accepted("c1", "cut", 1)
			time.Sleep(time.Second)
			r.publish("up/state", `{"v":1,"state":"online","boot":"boot-2"}`, true)
			r.relay(1, false)
			r.end("c1", "unknown", "")
		}, "what a restart finds is never continued", []string{"S1"}},
		{"plan of another outlet", func(r *rig) {
			r.send("c1", "outlet.cut", "outlet/pdu-a.2")
			r.accept("c1", "outlet.cut", "outlet/pdu-a.2", "cut pdu-a.1")
			r.relay(1, false)
			r.end("c1", "unknown", "")
		}, "is about outlet/pdu-a.2", []string{"S1"}},
		{"polarity", func(r *rig) { r.write(4, 0) }, "no command writes the polarity", []string{"S1"}},
		{"direction", func(r *rig) { r.write(6, 0xFF00) }, "no progress record", []string{"S1"}},
		{"pulse in one transfer", func(r *rig) {
			r.accepted("c1", "cut", 1)
			_, err := r.tx([]byte{2, 0x3C, 0xFF, 0x3E}, 0)
			r.must(err)
			r.end("c1", "unknown", "")
		}, "3 bytes in a row", []string{"S1"}},
		{"take-over with other words", func(r *rig) {
			r.fault("brownout=pdu-a")
			r.accepted("c1", "energise", 1)
			r.adopt("c1", 0xFF00, 0xFF00)
			r.write(2, 0xFF01)
			r.end("c1", "unknown", "")
		}, "has the latch 0xff00", []string{"S1"}},
		{"take-over of one word", func(r *rig) {
			r.fault("brownout=pdu-a")
			r.accepted("c1", "energise", 1)
			r.book.add("command", "c1", 'p', "progress", map[string]any{"id": "c1", "progress": map[string]any{"fact": "adopt", "pdu": "pdu-a", "latch": 0xFF00}})
			r.write(2, 0xFF00)
			r.end("c1", "unknown", "")
		}, "does not hold both words", []string{"S1"}},
		{"take-over in the wrong order", func(r *rig) {
			r.fault("brownout=pdu-a")
			time.Sleep(time.Minute)
			r.accepted("c1", "energise", 1)
			r.adopt("c1", 0xFF00, 0xFF00)
			r.write(6, 0xFF00)
			r.end("c1", "unknown", "")
		}, "has the direction 0xff00 over the latch 0xff00", []string{"S1", "S3", "S4", "promise 3"}},
		{"take-over recorded too late", func(r *rig) {
			r.fault("brownout=pdu-a")
			r.accepted("c1", "energise", 1)
			r.write(2, 0xFF00)
			time.Sleep(time.Second)
			r.adopt("c1", 0xFF00, 0xFF00)
			r.end("c1", "unknown", "")
		}, "was made 1.000 s after the write", []string{"S1"}},
		{"step on a bank out of control", func(r *rig) {
			r.fault("brownout=pdu-a")
			r.accepted("c1", "cut", 1)
			r.write(2, 0xFFFE)
			r.end("c1", "unknown", "")
		}, "no progress record has the fact adopt for pdu-a", []string{"S1"}},
		{"take-over twice", func(r *rig) {
			r.fault("brownout=pdu-a")
			r.accepted("c1", "energise", 1)
			r.adopt("c1", 0xFF00, 0xFF00)
			r.write(2, 0xFF00)
			r.write(2, 0xFF00)
			r.end("c1", "unknown", "")
		}, "was carried out already", []string{"S1"}},
		{"take-over that moves", func(r *rig) {
			r.fault("brownout=pdu-a")
			time.Sleep(time.Minute)
			r.accepted("c1", "energise", 1)
			r.adopt("c1", 0xFF01, 0xFF00)
			r.write(2, 0xFF01)
			r.write(6, 0xFF00)
			r.end("c1", "unknown", "")
		}, "a take-over moves nothing", []string{"S1"}},
		{"not on disk when the machine crashed", func(r *rig) {
			r.send("c1", "outlet.cut", "outlet/pdu-a.1")
			r.relay(1, false)
			r.copy()
			r.accept("c1", "outlet.cut", "outlet/pdu-a.1", "cut pdu-a.1") // at the same moment, and too late
			time.Sleep(time.Second)
			r.end("c1", "succeeded", "", step("cut", 1))
		}, "a crash would have lost the reason", []string{"S1 disk"}},
	})
}

func TestS2(t *testing.T) {
	limit := func(old, rating string, play func(*rig)) func(*rig) {
		return func(r *rig) {
			r.config = strings.Replace(r.config, old, rating, 1)
			play(r)
		}
	}
	again := func(r *rig) { r.cut("c1", 1); r.energiseLater("c2", 1) }
	both := func(r *rig) {
		r.cut("c1", 1)
		r.cut("c2", 2)
		r.energiseLater("c3", 1)
		r.energise("c4", 2)
	}
	// Five nodes of 3300 W and one of 100 W at 230 V x 0.95 come to 75.97 A; a start adds 0.69 A.
	tell(t, []tale{
		{"just below", limit("rating_a: 100", "rating_a: 77", again), "", nil},
		{"above", limit("rating_a: 100", "rating_a: 76", again), "to 76.66 A on L1", []string{"S2"}},
		{"the surge of another", limit("rating_a: 100", "rating_a: 77", both), "to 77.35 A on L1", []string{"S2"}},
		{"surges that are over", limit("rating_a: 100", "rating_a: 77", func(r *rig) {
			r.cut("c1", 1)
			r.cut("c2", 2)
			r.energiseLater("c3", 1)
			r.energiseLater("c4", 2)
		}), "", nil},
		{"a level above, by its continuous share", limit("rating_a: 160", "rating_a: 95", again), "takes row to 76.66 A", []string{"S2"}},
		{"the agent's share", limit("rating_a: 160", "rating_a: 160, share_a: 76", again), "its limit is 76.00 A", []string{"S2"}},
		{"the outlet's own rating", limit("surge_w: 150", "surge_w: 250", again), "16.25 A on an outlet of 16 A", []string{"S2"}},
		{"what is off does not count", limit("rating_a: 100", "rating_a: 62", func(r *rig) {
			r.cut("c1", 1)
			r.cut("c2", 2)
			r.energiseLater("c3", 1)
		}), "", nil},
	})
}

func TestS3AndS11(t *testing.T) {
	unloaded := func(id string, n int) func(*rig) {
		return func(r *rig) {
			r.accepted(id, "cut", n)
			r.relay(n, false)
			r.end(id, "partial", "no_load")
		}
	}
	identify := func(r *rig) {
		r.must(r.bus().Tx(r.t.Context(), 0x50, []byte{0}, make([]byte, 64)))
	}
	tell(t, []tale{
		{"firm", unloaded("c1", 7), "of the firm node gpu-1", []string{"S3", "S6"}},
		{"no node", unloaded("c1", 4), "a write opens pdu-a.4", []string{"S3"}},
		{"not declared", unloaded("c1", 6), "the configuration does not declare it", []string{"S11"}},
		{"declared", unloaded("c1", 5), "", nil},
		{"no serial", func(r *rig) {
			r.config = strings.Replace(r.config, "serial: SIM-0001", "identity: none", 1)
			r.cut("c1", 1)
		}, "its board has no serial", []string{"S11"}},
		{"another board, and it was read", func(r *rig) {
			identify(r)
			r.fault("serial=pdu-a:OTHER")
			identify(r)
			r.cut("c1", 1)
		}, "its board says serial OTHER", []string{"S11"}},
		{"another board, and nobody could know", func(r *rig) {
			identify(r)
			r.fault("serial=pdu-a:OTHER")
			r.cut("c1", 1)
		}, "", nil},
		{"another board, and nobody looked for long", func(r *rig) {
			identify(r)
			r.fault("serial=pdu-a:OTHER")
			time.Sleep(2 * time.Minute)
			r.cut("c1", 1)
		}, "its board says serial OTHER", []string{"S11"}},
		{"another board from the start", func(r *rig) {
			r.fault("serial=pdu-a:OTHER")
			r.cut("c1", 1)
		}, "its board says serial OTHER", []string{"S11"}},
		{"found unproven", func(r *rig) {
			r.book.add("wiring", "pdu-a.1", 'w', "wiring", map[string]any{"outlet": "pdu-a.1", "wiring": "unproven", "reason": "pdu-a.2 fell instead"})
			r.cut("c1", 1)
		}, "pdu-a.2 fell instead", []string{"S11"}},
	})
}

func TestS4(t *testing.T) {
	tell(t, []tale{
		{"too soon", func(r *rig) {
			r.cut("c1", 3)
			time.Sleep(28 * time.Second)
			r.energise("c2", 3)
		}, "is closed 29.000 s after it was opened; asic-3 must be off for 30 s", []string{"S4"}},
		{"two at once", func(r *rig) {
			r.cut("c1", 1)
			r.cut("c2", 2)
			time.Sleep(31 * time.Second)
			r.accepted("c3", "energise", 1)
			r.accepted("c4", "energise", 2)
			r.relay(1, true)
			time.Sleep(249 * time.Millisecond)
			r.relay(2, true)
			time.Sleep(time.Second)
			r.end("c3", "succeeded", "", step("energise", 1))
			r.end("c4", "succeeded", "", step("energise", 2))
		}, "is closed 249 ms after pdu-a.1 (asic-1)", []string{"S4"}},
		{"one after the other", func(r *rig) {
			r.cut("c1", 1)
			r.cut("c2", 2)
			time.Sleep(31 * time.Second)
			r.energise("c3", 1)
			r.energise("c4", 2)
		}, "", nil},
	})
	fresh := func(wait time.Duration) func(*rig) {
		return func(r *rig) {
			time.Sleep(wait)
			r.accepted("c1", "energise", 1)
			r.adopt("c1", 0xFF00, 0xFF00)
			r.write(2, 0xFF00)
			r.write(6, 0xFF00)
			r.write(2, 0xFF01)
			time.Sleep(time.Second)
			r.end("c1", "succeeded", "", step("energise", 1))
		}
	}
	cold := func(c *sim.Config) { c.FreshPower = true }
	expect(t, story(t, fresh(20*time.Second), cold), "is closed 20.000 s after it was opened", "S4")
	expect(t, story(t, fresh(31*time.Second), cold), "")
}

// A server goes down where its pair is opened, and not where its feed is lost.
func TestServersUp(t *testing.T) {
	tell(t, []tale{
		{"both outlets", func(r *rig) {
			r.accepted("c1", "cut", 7)
			r.accepted("c2", "cut", 8)
			r.relay(7, false)
			r.relay(8, false)
			time.Sleep(time.Second)
			r.end("c1", "succeeded", "", step("cut", 7))
			r.end("c2", "succeeded", "", step("cut", 8))
		}, "server gpu-1 goes down: a write opened pdu-a.7", []string{"S3", "S6", "promise 3"}},
		{"named otherwise", func(r *rig) {
			r.config = strings.NewReplacer("pdu-a.7, pdu-a.8", "pdu-a.5, pdu-a.6", "- {name: asic-5, class: asic, outlets: [pdu-a.5]",
				"- {name: asic-5, class: asic, outlets: [pdu-a.7]", "outlets: [pdu-a.6], max_w: 100", "outlets: [pdu-a.8], wiring: declared, max_w: 3300").Replace(r.config)
			r.accepted("c1", "cut", 7)
			r.accepted("c2", "cut", 8)
			r.relay(7, false)
			r.relay(8, false)
			time.Sleep(time.Second)
			r.end("c1", "succeeded", "", step("cut", 7))
			r.end("c2", "succeeded", "", step("cut", 8))
		}, "server gpu-1 goes down", []string{"promise 3"}},
		{"feed lost", func(r *rig) { r.fault("feedlost=feed-a") }, "", nil},
		{"contacts broken", func(r *rig) { r.fault("stuckopen=pdu-a.7"); r.fault("stuckopen=pdu-a.8") }, "", nil},
		{"cables crossed", func(r *rig) {
			r.fault("crossed=pdu-a.1:pdu-a.7")
			r.fault("stuckopen=pdu-a.8")
			r.accepted("c1", "cut", 1)
			r.relay(1, false)
			time.Sleep(time.Second)
			r.end("c1", "failed", "wiring_unproven", step("cut", 1))
			if n := len(r.w.Rack().Downs()); n != 1 {
				r.t.Errorf("%d servers went down, want one", n)
			}
		}, "", nil},
	})
}
