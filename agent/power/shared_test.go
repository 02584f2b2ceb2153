package power

import (
	"strings"
	"testing"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers"
)

// sharedLayout is the rig's PDU with its six miners on one meter for all of them, and none of their own.
func sharedLayout() *rack.Layout {
	l := demoLayout()
	p := &l.PDUs[0]
	p.Supplies = []rack.Supply{{ID: rack.MeterID{PDU: "pdu-a", N: 1}, Name: "a", NoiseW: 2}}
	for i := range 6 {
		p.Outlets[i].Metered, p.Outlets[i].Supply = false, 1
	}
	return l
}

func TestASharedMeterProvesByItsStep(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*rig)
		op     rack.Op
		state  rack.State
		code   rack.Code
		text   string
	}{
		{name: "cut", op: rack.OpCut, state: rack.StateSucceeded},
		{
			name: "welded looks like no load", op: rack.OpCut, state: rack.StatePartial, code: rack.CodeUnmetered, text: "no step",
			change: func(r *rig) { r.welded[outlet(1)] = true },
		},
		{
			name: "no load", op: rack.OpCut, state: rack.StatePartial, code: rack.CodeUnmetered, text: "no step",
			change: func(r *rig) { r.loadW[outlet(1)] = 0 },
		},
		{
			name: "a neighbour falls asleep at the same moment", op: rack.OpCut, state: rack.StatePartial, code: rack.CodeUnmetered, text: "no step",
			change: func(r *rig) { r.after(10*time.Millisecond, func() { r.loadW[outlet(2)] = 50 }) },
		},
		{
			name: "a neighbour swings", op: rack.OpCut, state: rack.StatePartial, code: rack.CodeUnmetered, text: "steady",
			change: func(r *rig) {
				for i := range 40 {
					r.after(time.Duration(i)*500*time.Millisecond, func() { r.loadW[outlet(2)] = 3200 + 600*float64(i%2) })
				}
			},
		},
		{
			name: "the load is larger than the node can be", op: rack.OpCut, state: rack.StatePartial, code: rack.CodeUnmetered, text: "no step",
			change: func(r *rig) { r.loadW[outlet(1)] = 5000 },
		},
		{
			name: "a firm outlet that has a meter falls instead", op: rack.OpCut, state: rack.StateFailed, code: rack.CodeWiringUnproven,
			change: func(r *rig) { r.crossed[outlet(1)], r.crossed[outlet(8)] = outlet(8), outlet(1) },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRigWith(t, sharedLayout(), nil)
			r.run(5 * time.Second)
			if c.change != nil {
				c.change(r)
			}
			if c.name != "a neighbour falls asleep at the same moment" {
				r.run(4 * time.Second)
			}
			r.must("c1", c.op, "outlet/pdu-a.1")
			r.run(15 * time.Second)
			o := r.expect("c1", c.state, c.code)
			if !strings.Contains(o.Targets[0].Text, c.text) {
				t.Errorf("text %q lacks %q", o.Targets[0].Text, c.text)
			}
			step := o.Targets[0].Steps[0]
			if c.state == rack.StateSucceeded && (step.Settled == nil || step.Proof == nil || step.Proof.Meter != "pdu-a.a" || *step.Proof.BeforeW-*step.Proof.AfterW < 3100) {
				t.Errorf("step %+v, proof %+v", step, step.Proof)
			}
			if c.state != rack.StateSucceeded && step.Settled != nil {
				t.Error("settled without a proof")
			}
		})
	}
}

func TestASharedMeterProvesAnEnergise(t *testing.T) {
	r := newRigWith(t, sharedLayout(), nil)
	r.run(5 * time.Second)
	r.must("c1", rack.OpCut, "outlet/pdu-a.1")
	r.run(45 * time.Second)
	r.expect("c1", rack.StateSucceeded, "")
	r.must("c2", rack.OpEnergise, "outlet/pdu-a.1")
	r.run(15 * time.Second)
	r.expect("c2", rack.StateSucceeded, "")

	r.must("c3", rack.OpCut, "outlet/pdu-a.1")
	r.run(45 * time.Second)
	r.loadW[outlet(1)] = 0
	r.must("c4", rack.OpEnergise, "outlet/pdu-a.1")
	r.run(15 * time.Second)
	r.expect("c4", rack.StatePartial, rack.CodeUnmetered)
}

// What fell before or after the write is not the step of the outlet that is cut. In each case outlet 2 is welded.
func TestANeighboursStepIsNotTheProof(t *testing.T) {
	fall := func(r *rig, n int) { r.loadW[outlet(n)] = 50 }
	for name, before := range map[string]func(r *rig){
		"an earlier cut, not read back": func(r *rig) {
			token := r.begin("c1", rack.OpCut, outlet(1))
			r.closed[outlet(1)] = false
			r.step(Switched{Token: token, Taken: r.now, Err: &drivers.Error{Op: "write", Fault: drivers.Timeout}})
		},
		"two cuts that spoilt each other": func(r *rig) {
			r.loadW[outlet(7)], r.loadW[outlet(8)] = 0, 0 // no other meter to wait for
			r.run(4 * time.Second)
			r.must("c1", rack.OpCut, "outlet/pdu-a.1")
			r.must("c3", rack.OpCut, "outlet/pdu-a.3")
			r.run(50 * time.Millisecond)
		},
		"a relay that somebody else opened": func(r *rig) {
			r.closed[outlet(1)] = false
			r.step(Readings{{Point: rack.OutletPoint(outlet(1), rack.Relay), At: r.now, Quality: rack.QualityOK}})
		},
		"a neighbour that sleeps 3 s later": func(r *rig) { r.after(3*time.Second, func() { fall(r, 1) }) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRigWith(t, sharedLayout(), nil)
			r.run(5100 * time.Millisecond)
			r.welded[outlet(2)] = true
			before(r)
			r.must("c2", rack.OpCut, "outlet/pdu-a.2")
			r.run(15 * time.Second)
			r.expect("c2", rack.StatePartial, rack.CodeUnmetered)
		})
	}
}

// A neighbour that wakes up is not the outlet that was energised and carries nothing.
func TestANeighbourThatWakesIsNotTheProof(t *testing.T) {
	r := newRigWith(t, sharedLayout(), nil)
	r.run(5 * time.Second)
	r.must("c1", rack.OpCut, "outlet/pdu-a.1")
	r.run(15 * time.Second)
	r.loadW[outlet(1)], r.loadW[outlet(2)] = 0, 50
	r.run(30 * time.Second)
	r.after(8*time.Second, func() { r.loadW[outlet(2)] = 3200 })
	r.must("c2", rack.OpEnergise, "outlet/pdu-a.1")
	r.run(15 * time.Second)
	r.expect("c2", rack.StatePartial, rack.CodeUnmetered)
}

// The bank loses its supply while a cut waits for its proof: every relay falls, and nothing is proven by that.
func TestABankThatIsLostIsNotTheProof(t *testing.T) {
	r := newRigWith(t, sharedLayout(), nil)
	r.run(5 * time.Second)
	for i := range 6 {
		r.loadW[outlet(i+1)] = 0
	}
	r.loadW[outlet(2)] = 3200
	r.run(5 * time.Second)
	r.after(50*time.Millisecond, func() { r.lost = true })
	r.must("c1", rack.OpCut, "outlet/pdu-a.1")
	r.run(15 * time.Second)
	if o := r.result("c1"); o.State == rack.StateSucceeded {
		t.Errorf("%s %s", o.State, o.Targets[0].Text)
	}
}

// With a server on the same supply its fall, by cables that were exchanged, must not be the proof.
func TestAServersFallIsNotTheProof(t *testing.T) {
	l := sharedLayout()
	l.Nodes[5].Class = rack.ClassGPU
	r := newRigWith(t, l, nil)
	r.run(5 * time.Second)
	r.must("c1", rack.OpCut, "outlet/pdu-a.1")
	r.run(15 * time.Second)
	if o := r.expect("c1", rack.StatePartial, rack.CodeUnmetered); !strings.Contains(o.Targets[0].Text, "server") {
		t.Error(o.Targets[0].Text)
	}
}

// The cables of an outlet with a meter and one of a shared supply are exchanged: it is the wiring, not a weld.
func TestASupplyThatFallsInsteadIsTheWiring(t *testing.T) {
	l := sharedLayout()
	l.PDUs[0].Outlets[0].Metered, l.PDUs[0].Outlets[0].Supply = true, 0
	r := newRigWith(t, l, nil)
	r.run(5 * time.Second)
	r.crossed[outlet(1)], r.crossed[outlet(2)] = outlet(2), outlet(1)
	r.run(5 * time.Second)
	r.must("c1", rack.OpCut, "outlet/pdu-a.1")
	r.run(15 * time.Second)
	r.expect("c1", rack.StateFailed, rack.CodeWiringUnproven)
	if v := r.m.Snapshot(r.now).Outlets[outlet(1)]; v.Unproven == "" || v.Withdrawn != "" {
		t.Errorf("%+v", v)
	}
}

func TestTwoStepsOnOneSharedMeterProveNothing(t *testing.T) {
	r := newRigWith(t, sharedLayout(), nil)
	r.run(5 * time.Second)
	r.must("c1", rack.OpCut, "outlet/pdu-a.1")
	r.must("c2", rack.OpCut, "outlet/pdu-a.2")
	r.run(15 * time.Second)
	for _, id := range []string{"c1", "c2"} {
		if o := r.expect(id, rack.StatePartial, rack.CodeUnmetered); !strings.Contains(o.Targets[0].Text, "something else moved on the same supply") {
			t.Errorf("%s: %s", id, o.Targets[0].Text)
		}
	}
}

// A node on a shared meter is never proven off: it keeps its whole reservation.
func TestASharedMeterFreesNoReservation(t *testing.T) {
	r := newRigWith(t, sharedLayout(), nil)
	r.run(5 * time.Second)
	r.must("c1", rack.OpCut, "outlet/pdu-a.1")
	r.run(15 * time.Second)
	n, _ := r.layout.Node("asic-1")
	if got := r.m.Snapshot(r.now).Reservation(n, r.now); got != 3400 {
		t.Errorf("%.0f W are reserved", got)
	}
}

// One bank that is gone does not make the board another one: the outlets of the others keep their wiring. All of them gone
// may be another board.
func TestOneAbsentBankIsNotAnAbsentBoard(t *testing.T) {
	l := demoLayout()
	for i := range l.PDUs[0].Outlets {
		l.PDUs[0].Outlets[i].RelayBank = 1 + i/4
	}
	r := newRigWith(t, l, nil)
	bank := func(n int, q rack.Quality) rack.Reading {
		b := rack.BankID{PDU: "pdu-a", N: n}
		return rack.Reading{Point: b.Point(), Value: 1, At: r.now, Quality: q}
	}
	r.step(Readings{bank(1, rack.QualityOK), bank(2, rack.QualityOK)})
	r.now = r.now.Add(time.Second)
	r.step(Readings{bank(2, rack.QualityAbsent)})
	s := r.m.Snapshot(r.now)
	if w, why := s.Wiring(outlet(1)); w != rack.WiringDeclared {
		t.Errorf("outlet 1: %s, %s", w, why)
	}
	if r := bankReady(s, outlet(5), rack.OpCut); r == nil {
		t.Error("an outlet of the absent bank may be cut")
	}
	r.now = r.now.Add(time.Second)
	r.step(Readings{bank(1, rack.QualityAbsent)})
	if w, _ := r.m.Snapshot(r.now).Wiring(outlet(1)); w != rack.WiringUnproven {
		t.Errorf("with all banks gone outlet 1 is %s", w)
	}
}

// begin starts a command and gives the token of its first write; what the lane would do with it is the test's.
func (r *rig) begin(id string, op rack.Op, o rack.OutletID) (token uint64) {
	r.t.Helper()
	c := rack.Command{ID: id, Op: op, Target: rack.OutletTarget(o), Received: r.now, StartBy: r.now.Add(time.Minute)}
	p, refused := Plan(r.now, r.m.Snapshot(r.now), c)
	if refused != nil {
		r.t.Fatal(refused)
	}
	for _, a := range r.m.Step(r.now, Accepted{Command: c, Plan: p}) {
		if s, ok := a.(Switch); ok {
			return s.Token
		}
	}
	r.t.Fatal("nothing was switched")
	return 0
}
