package observer

import (
	"slices"
	"testing"
	"time"

	"rackagent/agent/sim"
	"rackagent/drivers/drivertest"
)

// liveIn has the agent itself live in the world of a board.
func liveIn(t *testing.T, model string, writes int, play func(*realRack)) {
	t.Helper()
	x := racks()[model]
	moves := map[string]func(drivertest.Transfer) bool{
		"ac24":     func(x drivertest.Transfer) bool { return (x.Addr == 0x20 || x.Addr == 0x21) && len(x.W) > 1 },
		"ac8-bank": func(x drivertest.Transfer) bool { return x.Addr == 0x38 && len(x.W) > 1 },
		"dc6": func(x drivertest.Transfer) bool {
			return x.Addr == 0x10 && len(x.W) > 1 && slices.Contains([]byte{cmdOperation, cmdOnOff, cmdPowerCycle}, x.W[0])
		},
	}
	realStoryIn(t, x.world(3), x.config(t), moves[model], writes, play)
}

// The agent switches outlets of both banks, takes over the one that fell, and leaves servers alone.
func TestRealAgentOnTwoBanks(t *testing.T) {
	liveIn(t, "ac24", 6, func(a *realRack) {
		a.order("c1", "outlet.cut", "outlet/pdu-a.1", "succeeded")
		a.order("c2", "outlet.cut", "outlet/pdu-a.17", "succeeded")
		a.order("c3", "outlet.cut", "node/gpu-4", "rejected")
		a.fault("brownout=pdu-a.bank.2")
		time.Sleep(31 * time.Second)
		a.order("c4", "outlet.energise", "outlet/pdu-a.18", "succeeded") // behind a take-over of two writes
		a.order("c5", "outlet.energise", "outlet/pdu-a.1", "succeeded")
	})
}

// The agent proves what it did by the step of a bank's watts, and claims nothing where it cannot: a miner that boots
// first cannot be told from a neighbour that wakes up.
func TestRealAgentOnSharedMeters(t *testing.T) {
	liveIn(t, "ac8-bank", 4, func(a *realRack) {
		a.order("c1", "outlet.cut", "outlet/pdu-a.2", "succeeded")
		a.order("c2", "outlet.cut", "outlet/pdu-a.7", "succeeded")
		time.Sleep(31 * time.Second)
		a.order("c3", "outlet.energise", "outlet/pdu-a.2", "partial")
		time.Sleep(20 * time.Second)
		a.fault("welded=pdu-a.3")
		a.order("c4", "outlet.cut", "outlet/pdu-a.3", "partial")
	})
}

// The agent switches slots by their controllers, finds a shorted one, and sees one that switched itself on.
func TestRealAgentOnSlots(t *testing.T) {
	liveIn(t, "dc6", 4, func(a *realRack) {
		a.order("c1", "outlet.cut", "outlet/pdu-a.1", "succeeded")
		a.order("c2", "outlet.cut", "node/gpu-1", "rejected")
		a.fault("welded=pdu-a.2")
		a.order("c3", "outlet.cut", "outlet/pdu-a.2", "failed")
		a.fault("restart=pdu-a.meter.3")
		time.Sleep(31 * time.Second)
		a.order("c4", "outlet.energise", "outlet/pdu-a.1", "succeeded")
		a.order("c5", "outlet.cut", "outlet/pdu-a.3", "succeeded")
	})
}

// What goes wrong around these boards is not held against the agent, and makes it claim nothing that is not so.
func TestRealAgentOnBoardsUnderFaults(t *testing.T) {
	for name, x := range map[string]struct {
		model  string
		writes int
		play   func(*realRack)
	}{
		"two cuts on one supply at once": {"ac8-bank", 2, func(a *realRack) {
			a.publish("x1", "outlet.cut", "outlet/pdu-a.1")
			a.order("x2", "outlet.cut", "outlet/pdu-a.2", "partial")
			time.Sleep(10 * time.Second)
		}},
		"bank meter frozen": {"ac8-bank", 2, func(a *realRack) {
			a.fault("frozen=pdu-a.meter.1")
			time.Sleep(5 * time.Second)
			a.order("x1", "outlet.cut", "outlet/pdu-a.1", "partial")
			a.order("x2", "outlet.cut", "outlet/pdu-a.7", "succeeded")
		}},
		"bank meter dead": {"ac8-bank", 1, func(a *realRack) {
			a.fault("nack=pdu-a.meter.1")
			time.Sleep(10 * time.Second)
			a.order("x1", "outlet.cut", "outlet/pdu-a.1", "partial")
		}},
		"switch dead": {"ac24", 2, func(a *realRack) {
			a.fault("nack=pdu-a.mux.2")
			time.Sleep(10 * time.Second)
			a.order("x1", "outlet.cut", "outlet/pdu-a.17", "unknown")
			a.order("x2", "outlet.cut", "outlet/pdu-a.1", "succeeded")
		}},
		"switches forget": {"ac24", 2, func(a *realRack) {
			a.fault("forget=pdu-a")
			a.order("x1", "outlet.cut", "outlet/pdu-a.17", "succeeded")
			a.fault("forget=pdu-a.mux.2")
			a.order("x2", "outlet.cut", "outlet/pdu-a.18", "succeeded")
			time.Sleep(10 * time.Second)
		}},
		"both banks reset": {"ac24", 6, func(a *realRack) {
			a.fault("brownout=pdu-a")
			time.Sleep(40 * time.Second)
			a.order("x1", "outlet.energise", "outlet/pdu-a.1", "succeeded")
			a.order("x2", "outlet.energise", "outlet/pdu-a.17", "succeeded")
		}},
		"controller's monitor frozen": {"dc6", 1, func(a *realRack) {
			a.fault("frozen=pdu-a.meter.1")
			a.order("x1", "outlet.cut", "outlet/pdu-a.1", "unknown")
		}},
		"slot switched itself on": {"dc6", 2, func(a *realRack) {
			a.order("x1", "outlet.cut", "outlet/pdu-a.1", "succeeded")
			a.fault("restart=pdu-a.meter.1")
			time.Sleep(20 * time.Second)
			a.order("x2", "outlet.cut", "outlet/pdu-a.1", "succeeded")
		}},
		"shelf lost and back": {"dc6", 2, func(a *realRack) {
			a.order("x1", "outlet.cut", "outlet/pdu-a.1", "succeeded")
			f := a.fault("feedlost=shelf")
			time.Sleep(20 * time.Second)
			if err := a.w.Heal(f); err != nil {
				a.t.Error(err)
			}
			time.Sleep(time.Minute) // what was absent is looked for every 20 s by then, times a random factor
			a.order("x2", "outlet.cut", "outlet/pdu-a.2", "succeeded")
		}},
		"restart within a cycle": {"dc6", 1, func(a *realRack) {
			a.publish("x1", "outlet.cycle", "node/asic-1")
			time.Sleep(10 * time.Second)
			a.restart()
			time.Sleep(40 * time.Second)
		}},
		"write lost": {"dc6", 2, func(a *realRack) {
			b, err := a.w.Bus(sim.DemoBus)
			if err != nil {
				a.t.Fatal(err)
			}
			b.Inject(drivertest.Fault{Kind: drivertest.FaultTimeout, Addr: 0x10, Writes: 2, Times: 1, Taken: true})
			a.publish("x1", "outlet.cut", "node/asic-1")
			time.Sleep(10 * time.Second)
			a.order("x2", "outlet.cut", "node/asic-2", "succeeded")
		}},
		"8-bit bank reset": {"ac8-bank", 3, func(a *realRack) {
			a.fault("brownout=pdu-a")
			time.Sleep(40 * time.Second)
			a.order("x1", "outlet.energise", "outlet/pdu-a.1", "succeeded")
		}},
		"controller dead": {"dc6", 1, func(a *realRack) {
			a.fault("nack=pdu-a.meter.1")
			time.Sleep(10 * time.Second)
			a.order("x1", "outlet.cut", "outlet/pdu-a.1", "rejected")
			a.order("x2", "outlet.cut", "outlet/pdu-a.2", "succeeded")
		}},
	} {
		t.Run(name, func(t *testing.T) { liveIn(t, x.model, x.writes, x.play) })
	}
}
