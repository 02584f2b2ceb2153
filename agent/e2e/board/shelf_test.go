//go:build e2e && linux

package board

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/sim"
	"rackagent/agent/wire"
	"rackagent/drivers/drivertest"
)

// slots are how many a shelf of the model dc6 has.
const slots = 6

// shelf is a shelf of the model dc6. Of OPERATION QEMU's adm1272 does this much: at the write of off the codes of volts
// and amperes at the output become 0, once. 0 is no code of a current (no current is 0800), so the agent refuses it until
// the monitor says what flows. The watts at the input stay as the monitor said last.
var shelf = hardware{devices: shelfDevices(), memories: []memory{{"@0", 0x50, 256, shelfMemory()}}}

func shelfDevices() []string {
	out := []string{"tmp105,bus=@0,address=0x48,id=temp", "pca9548,bus=@0,address=0x70,id=mux"}
	for n := range slots {
		out = append(out, fmt.Sprintf("adm1272,bus=@0/pca9548/i2c.%d,address=0x10,id=%s", n, slotID(n+1)))
	}
	return out
}

func slotID(n int) string { return fmt.Sprintf("slot%d", n) }

func shelfMemory() []byte {
	image, err := drivertest.FRU{Manufacturer: "Rackagent", Product: "DC6", Serial: "EMU-0006", Part: "DC6-54-50"}.Image()
	if err != nil {
		panic(err)
	}
	return image
}

const shelfConfig = `
poll: {outlet_period_s: 2, identity_period_s: 60}
telemetry: {period_s: 1}
buses:
  - {name: main, device: @0}
feeds:
  - {name: shelf, lines: [DC], volts_v: 54, rating_a: 300}
pdus:
  - {name: pdu-a, model: dc6, bus: main, serial: EMU-0006, banks: {a: shelf}}
nodes:
  - {name: asic-1, class: asic, outlets: [pdu-a.1], wiring: declared, max_w: 1200, min_off_s: 1}
  - {name: asic-2, class: asic, outlets: [pdu-a.2], wiring: declared, max_w: 1200, min_off_s: 1}
  - {name: asic-3, class: asic, outlets: [pdu-a.3], wiring: declared, max_w: 1200, min_off_s: 1}
  - {name: asic-4, class: asic, outlets: [pdu-a.4], wiring: declared, max_w: 1200, min_off_s: 1}
  - {name: gpu-1, class: gpu, outlets: [pdu-a.5, pdu-a.6], wiring: declared, max_w: 2400}
`

// The load of a slot. QEMU's model has a shunt of 300 microohm where the shelf has 500, so the agent must read 0.6 of what
// the monitor says: 20 A and 1080 W at 54 V.
const (
	slotMilliamps = 33_500 // the coefficient of 198 for 198.9 again
	slotWatts     = 1800
	shelfWatts    = 1080.0
)

// draw sets what a slot draws.
func (g *guest) draw(n, w int) error {
	return errors.Join(g.qmp.set(slotID(n), "pin", w), g.qmp.set(slotID(n), "iout", w*slotMilliamps/slotWatts))
}

func checkShelf(t *testing.T, g *guest) {
	want := map[string]expectation{"pdu-a.temp_c.1": {23.5, tenth}, "pdu-a.ident.1": {1, 0}}
	g.turn([]knob{{"temp", "temperature", milli(23.5)}})
	for n := 1; n <= slots; n++ {
		g.turn([]knob{{slotID(n), "vin", 54_000}, {slotID(n), "vout", 53_900}})
		g.must(g.draw(n, slotWatts))
		want[fmt.Sprintf("pdu-a.p_w.%d", n)] = expectation{shelfWatts, 1}
		want[fmt.Sprintf("pdu-a.i_a.%d", n)] = expectation{20, 0.1}
		want[fmt.Sprintf("pdu-a.u_v.%d", n)] = expectation{54, 0.03}
		want[fmt.Sprintf("pdu-a.relay.%d", n)] = expectation{1, 0}
	}
	g.agent()
	g.arrive(want, patience)

	firm := g.order(newCommand("firm-5", "outlet.cut", "outlet/pdu-a.5", ""))
	if firm.State != rack.StateRejected || firm.Code != rack.CodeFirmGuard {
		t.Errorf("a cut of a server's slot ended %s %q", firm.State, firm.Code)
	}
	nothing := func() {}
	silent := g.follow(newCommand("silent-1", "outlet.cut", "outlet/pdu-a.1", ""), nothing)
	wantStep(t, silent, rack.StateUnknown, rack.CodeVerifyFailed, "gave no fresh sample")
	frozen := g.follow(newCommand("frozen-2", "outlet.cut", "outlet/pdu-a.2", ""), func() { g.must(g.draw(2, slotWatts)) })
	wantStep(t, frozen, rack.StateUnknown, rack.CodeVerifyFailed, "frozen")
	stop := g.jitter(3)
	welded := g.follow(newCommand("welded-3", "outlet.cut", "outlet/pdu-a.3", ""), nothing)
	stop()
	wantStep(t, welded, rack.StateFailed, rack.CodeWelded, "the load is still there")
	wantProof(t, welded, shelfWatts, shelfWatts)
	cut := g.follow(newCommand("cut-4", "outlet.cut", "outlet/pdu-a.4", ""), func() { g.must(g.draw(4, 0)) })
	wantStep(t, cut, rack.StateSucceeded, rack.CodeNone, "")
	wantProof(t, cut, shelfWatts, 0)
	back := g.follow(newCommand("back-4", "outlet.energise", "outlet/pdu-a.4", ""), func() { g.must(g.draw(4, slotWatts)) })
	wantStep(t, back, rack.StateSucceeded, rack.CodeNone, "")
	wantProof(t, back, 0, shelfWatts)
	for _, s := range []wire.Status{silent, frozen, welded, cut, back} {
		t.Logf("%s: %s", s.Command, course(s))
	}

	// The parts themselves: three stay off, the rest is on, and neither a kill nor a start nor a stop changes that.
	moved := []int{0x00, 0x00, 0x00, 0x80, 0x80, 0x80}
	g.signal("KILL")
	wantOperations(t, g, "after the kill", moved)
	g.agent()
	g.arrive(map[string]expectation{"pdu-a.relay.1": {0, 0}, "pdu-a.relay.4": {1, 0}, "pdu-a.p_w.6": {shelfWatts, 1}}, patience)
	if status := g.signal("TERM"); status != 0 {
		t.Errorf("stopped, the agent ended with %d", status)
	}
	wantOperations(t, g, "after a start and a stop", moved)
}

// wantOperations reads OPERATION of all slots with i2c-tools, while no agent runs.
func wantOperations(t *testing.T, g *guest, when string, want []int) {
	t.Helper()
	for n, w := range want {
		g.i2c("@0", "w1@0x70 %#x", 1<<n)
		// What earlier reads left in QEMU's model comes first, and then OPERATION again and again.
		b := g.i2c("@0", "w1@0x10 0x01 r32")
		if got := b[len(b)-1]; got != w {
			t.Errorf("%s OPERATION of slot %d is %#02x, want %#02x", when, n+1, got, w)
		}
	}
	g.i2c("@0", "w1@0x70 0")
}

// jitter moves the last digits of a slot's watts, as a real converter's do, until it is stopped. For longer than a cut is
// watched no value comes twice.
func (g *guest) jitter(n int) (stop func()) {
	const each, values = 500 * time.Millisecond, 12
	end, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for began := time.Now(); ; {
			if err := g.draw(n, slotWatts+int(time.Since(began)/each)%values); err != nil {
				ended <- err
				return
			}
			select {
			case <-end:
				ended <- nil
				return
			case <-time.After(70 * time.Millisecond): // QEMU's model forgets the amperes when the slot is switched
			}
		}
	}()
	return func() {
		g.t.Helper()
		close(end)
		g.must(<-ended)
	}
}

// follow publishes a command, does what the load does as soon as the agent says that a relay has moved for it, and waits
// for the command's end.
func (g *guest) follow(c command, load func()) wire.Status {
	g.t.Helper()
	g.must(g.world.Broker().Publish(topic.Command(), []byte(c.text), 1, false))
	g.eventually(patience, "the write of "+c.id, func() bool { return g.moved(c.id) })
	load()
	return g.end(c.id, 0)
}

// moved tells whether the agent has said that it moved a relay for a command.
func (g *guest) moved(id string) bool {
	g.t.Helper()
	return slices.ContainsFunc(g.heard(topic.Up("event")), func(m sim.Message) bool {
		var e struct {
			Kind    rack.EventKind `json:"kind"`
			Command string         `json:"cmd"`
		}
		g.must(json.Unmarshal(m.Payload, &e))
		return e.Kind == rack.EventRelayMoved && e.Command == id
	})
}

// wantStep checks the end of a command that moved one outlet.
func wantStep(t *testing.T, s wire.Status, state rack.State, code rack.Code, text string) {
	t.Helper()
	if s.State != state || s.Code != code || len(s.Targets) != 1 || len(s.Targets[0].Steps) != 1 || !strings.Contains(s.Targets[0].Text, text) {
		t.Errorf("command %s ended %s %q: %+v, want %s %q, %s", s.Command, s.State, s.Code, s.Targets, state, code, text)
		return
	}
	step := s.Targets[0].Steps[0]
	if step.Taken == nil || step.Confirmed == nil || (step.Settled != nil) != (state == rack.StateSucceeded) {
		t.Errorf("command %s: taken %v, confirmed %v, settled %v", s.Command, step.Taken, step.Confirmed, step.Settled)
	}
}

// jitterWatts is how far what the agent reads may be off while a slot's load jitters: 11 W times 0.6, and a step.
const jitterWatts = 7

// wantProof checks the watts beside a step.
func wantProof(t *testing.T, s wire.Status, before, after float64) {
	t.Helper()
	p := s.Targets[0].Steps[0].Proof
	if p == nil || p.BeforeW == nil || p.AfterW == nil || math.Abs(*p.BeforeW-before) > jitterWatts || math.Abs(*p.AfterW-after) > jitterWatts {
		t.Errorf("command %s: proof %+v, want %g W before and %g W after", s.Command, p, before, after)
	}
}

// course says in words how long a step took.
func course(s wire.Status) string {
	step := s.Targets[0].Steps[0]
	words := fmt.Sprintf("%s %s, read back %d ms after the write", s.State, s.Code, *step.Confirmed-*step.Taken)
	if step.Settled != nil {
		words += fmt.Sprintf(", proven %d ms after it", *step.Settled-*step.Taken)
	}
	return fmt.Sprintf("%s, told %d ms after it", words, s.At.UnixMilli()-*step.Taken)
}
