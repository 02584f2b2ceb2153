package agent_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent"
	"rackagent/agent/inventory"
	"rackagent/agent/rack"
	"rackagent/agent/sim"
	"rackagent/config"
	"rackagent/drivers/drivertest"
	"rackagent/drivers/i2cbus"
)

// fortyEight is a rack of 48 miners on four boards, each on a bus of its own at 400 kHz, whose transfers take the time that they do
// on the wire.
func fortyEight(t *testing.T) setting {
	t.Helper()
	var b strings.Builder
	b.WriteString("schema: 1\nsite: test\nagent: r1\nmqtt: {broker: \"mqtt://127.0.0.1:1883\"}\nhttp: {listen: \"\"}\ncommands: {unsigned: true}\nbuses:\n")
	for n := range 4 {
		fmt.Fprintf(&b, "  - {name: bus-%d, adapter: sim-i2c-%d}\n", n, n)
	}
	b.WriteString("feeds:\n  - {name: row, lines: [L1, L2, L3], volts_v: 400, rating_a: 1000}\n")
	for n := range 4 {
		for _, bank := range "abc" {
			fmt.Fprintf(&b, "  - {name: bank-%d%c, parent: row, lines: [L1], volts_v: 230, rating_a: 160}\n", n, bank)
		}
	}
	b.WriteString("pdus:\n")
	for n := range 4 {
		fmt.Fprintf(&b, "  - {name: pdu-%d, model: ac24, bus: bus-%d, serial: SIM-%d, banks: {a: bank-%da, b: bank-%db, c: bank-%dc}}\n", n, n, n, n, n, n)
	}
	b.WriteString("nodes:\n")
	c := sim.Config{Seed: 1, BitRate: 400_000}
	for n := range 4 {
		name := func(bank string) string { return fmt.Sprintf("bank-%d%s", n, bank) }
		for _, bank := range []string{"a", "b", "c"} {
			c.Feeds = append(c.Feeds, sim.Feed{Name: name(bank), Volts: 230, Hertz: 50})
		}
		c.Boards = append(c.Boards, sim.AC24(fmt.Sprintf("pdu-%d", n), fmt.Sprintf("sim-i2c-%d", n), fmt.Sprintf("SIM-%d", n), name("a"), name("b"), name("c")))
		for k := range 12 {
			node, on := fmt.Sprintf("asic-%d", 12*n+k+1), 2*k+1
			fmt.Fprintf(&b, "  - {name: %s, class: asic, outlets: [pdu-%d.%d], wiring: declared, max_w: 3300, min_off_s: 1}\n", node, n, on)
			c.Loads = append(c.Loads, sim.Plug{Load: sim.NewMiner(node), Outlets: []rack.OutletID{{PDU: fmt.Sprintf("pdu-%d", n), N: on}}})
		}
	}
	file := filepath.Join(t.TempDir(), "rack.yaml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return setting{
		name: "ac24", file: file, world: func(uint64) sim.Config { return c },
		writes: func(tr drivertest.Transfer) bool {
			return (tr.Addr == 0x20 || tr.Addr == 0x21) && len(tr.W) > 1 && tr.W[0] >= 2
		},
	}
}

// TestFortyEightMiners: how long it takes, in virtual time, from a command that arrives, and from a stop button that is pressed,
// until the last of 48 miners is commanded off. The meters are read meanwhile as always.
func TestFortyEightMiners(t *testing.T) {
	rounds := max(2, *walks/10)
	for _, c := range []struct {
		name string
		most time.Duration
		off  func(r *rig, pressed *atomic.Bool, n int)
	}{
		{"a command", 100 * time.Millisecond, func(r *rig, _ *atomic.Bool, n int) { r.send(fmt.Sprint("off-", n), "outlet.cut", "rack") }},
		{"a stop button", 250 * time.Millisecond, func(_ *rig, pressed *atomic.Bool, _ int) { pressed.Store(true) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := fortyEight(t)
			synctest.Test(t, func(t *testing.T) {
				var pressed atomic.Bool
				rng := rand.New(rand.NewPCG(1, 2))
				var took []time.Duration
				for n := range rounds {
					r := newRigIn(t, in)
					r.conf.Sensors = []config.Sensor{{Name: "button", Part: "contact-line", Line: "STOP1", Active: "high", PeriodS: 0.1}}
					r.conf.Interlocks = []config.Interlock{{Name: "stop", Kind: "stop", Sensor: "button", Target: "rack", ASIC: config.InterlockCut}}
					r.change = func(w *agent.World) {
						// Without the rig's wires, which let one transfer through at a time: four buses work beside each other.
						w.Bus = func(_ context.Context, b config.Bus) (i2cbus.Transport, error) { return r.world.Bus(b.Adapter) }
						w.Line = func(name string) (inventory.Line, error) {
							if name != "STOP1" {
								return nil, errors.New("no such line")
							}
							return lineOf{&pressed, new(atomic.Bool)}, nil
						}
					}
					pressed.Store(false)
					r.start()
					time.Sleep(5*time.Second + time.Duration(rng.Int64N(int64(time.Second))))
					began := time.Now()
					c.off(r, &pressed, n)
					time.Sleep(3 * time.Second)
					last := time.Time{}
					for _, e := range r.world.Trace().Entries() {
						if tr, ok := e.Event.(sim.Transfer); ok && in.writes(tr.Transfer) {
							last = e.At
						}
					}
					open := 0
					for _, o := range r.world.Rack().Outlets() {
						if o.N%2 == 1 && !r.world.Rack().Closed(o) {
							open++
						}
					}
					if open != 48 {
						t.Errorf("%d of 48 are open", open)
					}
					took = append(took, last.Sub(began))
					r.close()
				}
				slices.Sort(took)
				if worst := took[len(took)-1]; worst > c.most {
					t.Errorf("%s, at most %s: %v", worst, c.most, took)
				}
				t.Logf("from %s to %s, the median %s", took[0], took[len(took)-1], took[len(took)/2])
			})
		})
	}
}
