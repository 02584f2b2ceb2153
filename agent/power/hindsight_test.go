package power

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers"
)

func TestATakeOverGivenUpFreesThePDU(t *testing.T) {
	for _, how := range []string{"supersede", "cancel"} {
		t.Run(how, func(t *testing.T) {
			r := newRig(t)
			r.run(3 * time.Second)
			r.lost = true
			r.run(35 * time.Second)
			r.journalTakes = 500 * time.Millisecond
			if how == "supersede" {
				r.must("on", rack.OpEnergise, "outlet/pdu-a.3")
				r.run(100 * time.Millisecond)
				r.must("cut", rack.OpCut, "outlet/pdu-a.3")
			} else {
				r.must("on", rack.OpCycle, "outlet/pdu-a.3")
				r.run(100 * time.Millisecond)
				r.step(Cancel{ID: "on"})
			}
			r.run(5 * time.Second)
			r.journalTakes = time.Millisecond
			r.must("other", rack.OpCut, "outlet/pdu-a.4")
			r.run(120 * time.Second)
			if o := r.result("other"); o.State == rack.StateExpired || len(r.m.waiting) != 0 {
				t.Errorf("the next command on this PDU ended %s (%s), trace %s", o.State, o.Text, r.trace())
			}
		})
	}
}

func TestACutDoesNotWaitForTheJudgementOfACycle(t *testing.T) {
	r := newRigWith(t, demoLayout(), []rack.Entry{found(t, rack.OpCycle)})
	r.deaf[outlet(3)] = true
	r.run(2 * time.Second)
	at := r.now
	r.must("cut", rack.OpCut, "outlet/pdu-a.3")
	r.run(20 * time.Second)
	if len(r.writes) == 0 || r.writes[0].at.Sub(at) > time.Second {
		t.Errorf("cut written after %s", r.writes[0].at.Sub(at))
	}
}

func TestACutWithoutWattsBeforeIsNotProven(t *testing.T) {
	r := settledRig(t)
	r.loadW[outlet(3)] = 0 // nothing there; and the relay is welded, for good measure
	r.welded[outlet(3)] = true
	r.deaf[outlet(3)] = true
	r.run(10 * time.Second)
	r.after(20*time.Millisecond, func() { r.deaf[outlet(3)] = false })
	r.must("c1", rack.OpCut, "outlet/pdu-a.3")
	r.run(8 * time.Second)
	r.expect("c1", rack.StatePartial, rack.CodeUnmetered)
}

func TestACycleClosesBothCordsOfAMinerTogether(t *testing.T) {
	l := demoLayout()
	l.Nodes[2].Outlets = []rack.OutletID{outlet(3), outlet(4)}
	l.Nodes[2].MaxW = 3400
	l.Nodes = slices.DeleteFunc(l.Nodes, func(n rack.Node) bool { return n.Name == "asic-4" })
	r := newRigWith(t, l, nil)
	r.loadW[outlet(3)], r.loadW[outlet(4)] = 1600, 1600
	r.run(3 * time.Second)
	r.must("c", rack.OpCycle, "node/asic-3")
	r.run(150 * time.Second)
	if gap := r.writes[3].at.Sub(r.writes[2].at); gap > 5*time.Second {
		t.Errorf("the second cord is closed %s after the first; off %s", gap, r.writes[2].at.Sub(r.writes[0].at))
	}
}

func TestABankWrittenBySomebodyElseIsReportedAndRefused(t *testing.T) {
	r := settledRig(t)
	r.queue = nil
	n, a := len(r.emitted), len(r.alarms)
	for range 5 {
		r.now = r.now.Add(time.Second)
		b := r.measure()
		for i := range b {
			if q := b[i].Point.Quantity; q == rack.Control || q == rack.Relay {
				b[i].Quality, b[i].Reason, b[i].At = rack.QualityBad, "foreign", b[i].At.Add(-time.Second)
			}
		}
		r.step(b)
	}
	if ref := r.command("c", rack.OpCut, "outlet/pdu-a.3"); ref == nil || ref.Code != rack.CodeExternalChange {
		t.Errorf("%v, want external_change", ref)
	}
	if len(r.emitted) != n+1 || len(r.alarms) != a+1 {
		t.Errorf("%d events and %d alarms for one change", len(r.emitted)-n, len(r.alarms)-a)
	}
}

func TestABoardThatWasAwayIsNobodyUntilItSaysWhoItIs(t *testing.T) {
	r := settledRig(t)
	r.queue = nil
	for range 15 {
		r.now = r.now.Add(time.Second)
		b := r.measure()
		for i := range b {
			b[i].Quality, b[i].Reason = rack.QualityAbsent, "nack"
		}
		r.step(b)
	}
	r.now = r.now.Add(time.Second)
	r.step(r.measure())
	if w, _ := r.m.Snapshot(r.now).Wiring(outlet(3)); w != rack.WiringUnproven {
		t.Errorf("the whole board was away for 15 s, and its wiring is %s without a new identification", w)
	}
}

func TestAFailedReadOfTheMemoryTakesNothingBack(t *testing.T) {
	r := settledRig(t)
	r.step(Identified{PDU: "pdu-a", Err: &drivers.Error{Op: "read", Fault: drivers.Timeout}})
	r.run(290 * time.Second)
	if ref := r.command("c", rack.OpCut, "outlet/pdu-a.3"); ref != nil {
		t.Errorf("290 s later: %v", ref)
	}
}

func TestACutOfAnEmptyOutletThatTakesTheServersCordIsFound(t *testing.T) {
	r := settledRig(t)
	r.crossed[outlet(3)], r.crossed[outlet(7)] = outlet(7), outlet(3)
	r.loadW[outlet(3)] = 0
	r.run(2 * time.Second)
	r.must("c1", rack.OpCut, "outlet/pdu-a.3")
	r.run(8 * time.Second)
	r.expect("c1", rack.StateFailed, rack.CodeWiringUnproven)
	if w, _ := r.m.Snapshot(r.now).Wiring(outlet(3)); w != rack.WiringUnproven {
		t.Error("a server lost a cord and the wiring is still believed")
	}
}

func TestAWithdrawalIsOfferedToTheJournalAgain(t *testing.T) {
	r := settledRig(t)
	r.welded[outlet(3)] = true
	r.must("c1", rack.OpCut, "outlet/pdu-a.3")
	r.run(4 * time.Second)
	r.journalErr = errors.New("too many records are waiting")
	r.run(3 * time.Second)
	r.journalErr = nil
	r.run(60 * time.Second)
	r.expect("c1", rack.StateFailed, rack.CodeWelded)
	if !slices.ContainsFunc(r.records, func(x rack.Record) bool { return x.Kind == rack.RecordWithdraw }) {
		t.Error("the withdrawal was never offered again")
	}
}

// What the journal refused at first does not come to the disk after what is newer.
func TestAnOlderRecordDoesNotUndoANewerOne(t *testing.T) {
	last := func(r *rig, about string) (kind rack.RecordKind, n int) {
		for _, rec := range r.records {
			if subject(rec) == about {
				kind, n = rec.Kind, n+1
			}
		}
		return kind, n
	}
	t.Run("a release, and what the next sleep interrupts", func(t *testing.T) {
		r := minersRig(t)
		r.must("s1", rack.OpSleep, "node/asic-3")
		r.run(40 * time.Second)
		r.must("w1", rack.OpWake, "node/asic-3")
		r.journalErr = errDiskFull
		r.run(2 * time.Second)
		r.journalErr = nil
		r.must("s2", rack.OpSleep, "node/asic-3")
		r.run(time.Minute)
		r.expect("w1", rack.StateSucceeded, "")
		r.expect("s2", rack.StateSucceeded, "")
		if kind, n := last(r, "slept of node/asic-3"); kind != rack.RecordOrder || n != 2 {
			t.Errorf("the last of %d records is %q", n, kind)
		}
	})
	for _, newerAnswered := range []bool{false, true} {
		t.Run(fmt.Sprintf("what is known of a wiring, the newer one refused too: %v", newerAnswered), func(t *testing.T) {
			r := settledRig(t)
			refused := func(about rack.Wiring) {
				for token, o := range r.m.owed {
					if o.record.Wiring == about {
						r.m.oweRecorded(r.now, Recorded{Token: token, Err: errDiskFull}, o)
					}
				}
			}
			r.m.owe(&owed{record: rack.Record{Kind: rack.RecordWiring, Outlet: outlet(3), Wiring: rack.WiringProven}})
			r.m.owe(&owed{record: rack.Record{Kind: rack.RecordWiring, Outlet: outlet(3), Wiring: rack.WiringUnproven}})
			if newerAnswered {
				refused(rack.WiringUnproven)
			}
			refused(rack.WiringProven) // the one before it was still with the journal
			r.m.owe(&owed{record: rack.Record{Kind: rack.RecordWiring, Outlet: outlet(4), Wiring: rack.WiringProven}})
			var left []string
			for _, o := range r.m.owed {
				left = append(left, fmt.Sprint(o.record.Outlet, " ", o.record.Wiring))
			}
			slices.Sort(left)
			if got := fmt.Sprint(left); got != "[pdu-a.3 unproven pdu-a.4 proven]" {
				t.Error(got)
			}
		})
	}
}

func TestALoadThatFallsLateIsNotCalledWelded(t *testing.T) {
	r := settledRig(t)
	r.welded[outlet(3)] = true
	r.must("c1", rack.OpCut, "outlet/pdu-a.3")
	r.run(4000 * time.Millisecond)
	// the load falls late, and the meter gives one sample more in time
	r.deaf[outlet(3)] = true
	r.after(600*time.Millisecond, func() { r.welded[outlet(3)] = false; r.deaf[outlet(3)] = false })
	r.after(750*time.Millisecond, func() { r.deaf[outlet(3)] = true })
	r.run(6 * time.Second)
	r.expect("c1", rack.StateUnknown, rack.CodeVerifyFailed)
}

func TestACutDoesNotWaitForACancelledCycle(t *testing.T) {
	r := settledRig(t)
	l := r.layout
	l.Nodes[2].Outlets = []rack.OutletID{outlet(3), outlet(4)}
	l.Nodes = slices.DeleteFunc(l.Nodes, func(n rack.Node) bool { return n.Name == "asic-4" })
	r.frozen[outlet(3)] = true
	r.must("cycle", rack.OpCycle, "node/asic-3")
	r.run(100 * time.Millisecond)
	r.step(Cancel{ID: "cycle"})
	r.run(100 * time.Millisecond)
	at := r.now
	r.must("cut", rack.OpCut, "outlet/pdu-a.4")
	r.run(20 * time.Second)
	if d := r.writes[1].at.Sub(at); d > time.Second {
		t.Errorf("the cut waited %s behind a cycle (%s)", d, r.trace())
	}
}

func TestOneFailedPollDoesNotRejectACut(t *testing.T) {
	r := settledRig(t)
	b := r.measure()
	for i := range b {
		if q := b[i].Point.Quantity; q == rack.Control || q == rack.Relay {
			b[i].Quality, b[i].Reason = rack.QualitySuspect, "nack"
		}
	}
	r.step(b)
	if ref := r.command("c", rack.OpCut, "outlet/pdu-a.3"); ref != nil {
		t.Errorf("one failed read, 0 ms old: %v", ref)
	}
}

func TestABoardThatCannotBeAskedIsReportedOnce(t *testing.T) {
	r := settledRig(t)
	n := len(r.emitted)
	for i := range 10 {
		r.step(Identified{PDU: "pdu-a", Err: &drivers.Error{Op: "wait for the bus", Fault: drivers.Hung, Err: fmt.Errorf("the transfer to 0x70 that began %ds ago has not returned", i*60)}})
	}
	if got := len(r.emitted) - n; got > 1 {
		t.Errorf("%d events for one change", got)
	}
}

func bigLayout(pdus int) *rack.Layout {
	l := &rack.Layout{Site: "t", Agent: "r", Stagger: 250 * time.Millisecond}
	l.Feeds = append(l.Feeds, rack.Feed{Name: "row", Lines: []string{"L1", "L2", "L3"}, VoltsV: 400, RatingA: 4000, Continuous: .8})
	for p := range pdus {
		name := fmt.Sprintf("p%d", p)
		l.Feeds = append(l.Feeds, rack.Feed{Name: "f" + name, Parent: "row", Lines: []string{"L1"}, VoltsV: 230, RatingA: 160, Continuous: .8})
		pd := rack.PDU{Name: name, Serial: "S", Bus: name, Settling: 300 * time.Millisecond, Period: time.Second}
		for n := range 8 {
			id := rack.OutletID{PDU: name, N: n + 1}
			pd.Outlets = append(pd.Outlets, rack.Outlet{ID: id, Feed: "f" + name, RatingA: 20, Metered: true, NoiseW: 1})
			l.Nodes = append(l.Nodes, rack.Node{Name: fmt.Sprintf("n%d-%d", p, n), Class: rack.ClassASIC, Outlets: []rack.OutletID{id}, MaxW: 3400, Wiring: rack.WiringDeclared})
		}
		l.PDUs = append(l.PDUs, pd)
	}
	return l
}

func BenchmarkTurn(b *testing.B) {
	for _, n := range []int{1, 6, 12, 32} {
		b.Run(fmt.Sprintf("outlets-%d", n*8), func(b *testing.B) {
			l := bigLayout(n)
			now := time.Now()
			m := New(now, l, words, nil, nil)
			var all Readings
			for _, p := range l.PDUs {
				all = append(all, rack.Reading{Point: rack.Point{Device: p.Name, Quantity: rack.Control, Index: 1}, Value: 1, At: now, Quality: rack.QualityOK})
				for _, o := range p.Outlets {
					for _, q := range []rack.Quantity{rack.Relay, rack.PowerW, rack.ApparentV} {
						all = append(all, rack.Reading{Point: rack.OutletPoint(o.ID, q), Value: 1, At: now, Quality: rack.QualityOK})
					}
				}
			}
			m.Step(now, all)
			one := Readings{all[1], all[2]}
			b.ResetTimer()
			for range b.N {
				m.Step(now, one)
				m.Snapshot(now)
			}
		})
	}
}

func TestCancelStopsAClosingHalfThatIsNotWritten(t *testing.T) {
	l := demoLayout()
	l.Stagger = 10 * time.Second
	r := newRigWith(t, l, nil)
	r.closed[outlet(4)] = false
	r.run(40 * time.Second)
	r.must("cycle", rack.OpCycle, "outlet/pdu-a.3")
	r.run(20 * time.Second)
	r.journalTakes = 300 * time.Millisecond
	for i := 0; i < 2000 && !(r.m.jobs[0].targets[0].current != nil && r.m.jobs[0].targets[0].current.state == stageRecord); i++ {
		r.run(10 * time.Millisecond)
	}
	r.must("on", rack.OpEnergise, "outlet/pdu-a.4")
	r.run(time.Second)
	r.step(Cancel{ID: "cycle"})
	r.run(30 * time.Second)
	r.expect("cycle", rack.StateCancelled, rack.CodeCancelled)
	if r.trace() != "cut 3, energise 4" {
		t.Errorf("trace: %s", r.trace())
	}
}

func TestADeadlineBoundsTheEnd(t *testing.T) {
	r := settledRig(t)
	r.frozen[outlet(3)] = true
	at := r.now
	r.must("c1", rack.OpCut, "outlet/pdu-a.3")
	r.must("c2", rack.OpCut, "outlet/pdu-a.3", func(c *rack.Command) { c.Args.DeadlineS = 10 })
	r.run(20 * time.Second)
	o := r.result("c2")
	if d := o.At.Sub(at); d > 10*time.Second {
		t.Errorf("deadline_s 10, ended after %s: %s %s", d, o.State, o.Code)
	}
}

func TestWhatWasLearntOfAnotherBoardIsForgotten(t *testing.T) {
	r := settledRig(t)
	m := New(r.now, r.layout, words, nil, []rack.Record{
		{Kind: rack.RecordWithdraw, Outlet: outlet(3), Serial: "PA-1", Reason: "welded"},
		{Kind: rack.RecordWiring, Outlet: outlet(4), Wiring: rack.WiringUnproven, Serial: "OLD-BOARD", Reason: "crossed"},
		{Kind: rack.RecordWiring, Outlet: outlet(5), Wiring: rack.WiringUnproven, Serial: "PA-1", Reason: "crossed"},
		{Kind: rack.RecordWithdraw, Outlet: outlet(6), Reason: "its record is damaged"},
	})
	m.Step(r.now, Identified{PDU: "pdu-a", Ident: ident("PA-1")})
	s := m.Snapshot(r.now)
	if s.Outlets[outlet(3)].Withdrawn != "welded" || s.Outlets[outlet(6)].Withdrawn == "" {
		t.Error("a weld of this board is forgotten")
	}
	for o, want := range map[rack.OutletID]rack.Wiring{outlet(4): rack.WiringDeclared, outlet(5): rack.WiringUnproven} {
		if w, why := s.Wiring(o); w != want {
			t.Errorf("outlet %s is %s (%s), want %s", o, w, why, want)
		}
	}
}

func TestAFoundEnergiseHasTimeToShowItsLoad(t *testing.T) {
	r := newRigWith(t, demoLayout(), []rack.Entry{found(t, rack.OpEnergise)})
	r.loadW[outlet(3)] = 0 // closed just before the crash; its supply starts to draw 2 s later
	r.after(2*time.Second, func() { r.loadW[outlet(3)] = 3200 })
	r.run(30 * time.Second)
	o := r.result("c1")
	if o.State != rack.StateSucceeded {
		t.Errorf("%s %s %s, %s after the start", o.State, o.Code, o.Text, o.At.Sub(time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)))
	}
}

func TestAnOutletWithoutANodeCountsAndIsNotStarted(t *testing.T) {
	l := demoLayout()
	l.Nodes = slices.DeleteFunc(l.Nodes, func(n rack.Node) bool { return n.Name == "asic-1" })
	r := newRigWith(t, l, nil)
	r.run(3 * time.Second)
	// Five miners of 3400 W, the server of 3000 W, and the 3200 W that the stray outlet carries.
	if got := r.m.Snapshot(r.now).ledger(r.now).load(l.Feeds[1]); got.W != 5*3400+3000+3200 {
		t.Errorf("bank %+v", got)
	}
	signed := func(c *rack.Command) { c.Signed, c.Firm = true, true }
	if ref := r.command("on", rack.OpEnergise, "outlet/pdu-a.1", signed); ref == nil || ref.Code != rack.CodeWiringUnproven {
		t.Errorf("%v, want wiring_unproven", ref)
	}
}

func TestTruthLearntLaterIsAnEvent(t *testing.T) {
	r := settledRig(t)
	r.deaf[outlet(3)] = true
	r.must("c1", rack.OpCut, "outlet/pdu-a.3")
	r.run(8 * time.Second)
	r.expect("c1", rack.StateUnknown, rack.CodeVerifyFailed)
	r.deaf[outlet(3)] = false
	r.run(3 * time.Second)
	n := 0
	for _, e := range r.emitted {
		if e.Kind == rack.EventRecovered && e.Command == "c1" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d events tell that the cut is done", n)
	}
	r.expect("c1", rack.StateUnknown, rack.CodeVerifyFailed)
}

// TestALoadBehindAnOpenRelayIsNotOff: somebody re-plugs a cable while the off time runs.
func TestALoadBehindAnOpenRelayIsNotOff(t *testing.T) {
	r := settledRig(t)
	r.must("c1", rack.OpCut, "outlet/pdu-a.3")
	r.run(5 * time.Second)
	r.expect("c1", rack.StateSucceeded, "")
	r.welded[outlet(3)] = true // live again, by another way
	r.run(10 * time.Second)
	r.welded[outlet(3)] = false
	dead := r.now
	r.run(20 * time.Second)
	got := r.command("c2", rack.OpEnergise, "outlet/pdu-a.3")
	if got == nil || got.Code != rack.CodeMinOff || got.Earliest.Before(dead.Add(28*time.Second)) {
		t.Errorf("35 s after the cut and 20 s after the load was gone: %+v", got)
	}
	n := 0
	for _, e := range r.emitted {
		if e.Kind == rack.EventExternalChange && e.Outlet == outlet(3) {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d events tell of a load behind an open relay", n)
	}
}

func TestAFrozenMeterDoesNotProveAnEnergise(t *testing.T) {
	r := settledRig(t)
	r.frozen[outlet(3)] = true
	r.run(2 * time.Second)
	r.must("c1", rack.OpEnergise, "outlet/pdu-a.3")
	r.run(15 * time.Second)
	r.expect("c1", rack.StateUnknown, rack.CodeVerifyFailed)
}

// A bank that loses control between the write and its proof takes the relay away again: watts measured before that do not
// make the command succeed.
func TestARelayThatFallsAgainIsNotProven(t *testing.T) {
	r := newRig(t)
	r.run(2 * time.Second)
	r.must("c1", rack.OpCut, "outlet/pdu-a.1")
	r.run(40 * time.Second)
	r.must("c2", rack.OpEnergise, "outlet/pdu-a.1")
	r.after(500*time.Millisecond, func() { r.lost = true })
	r.loadW[outlet(1)] = 0 // no load until the bank has gone
	r.after(450*time.Millisecond, func() { r.loadW[outlet(1)] = 3200 })
	r.run(15 * time.Second)
	r.expect("c2", rack.StateFailed, rack.CodeExternalChange)
}

// A board that nobody expects to say who it is says nothing when it does not; one that says it is another product does.
func TestABoardWithoutIdentity(t *testing.T) {
	for fault, told := range map[drivers.Fault]bool{drivers.NoAnswer: false, drivers.WrongDevice: true} {
		l := demoLayout()
		l.PDUs[0].Serial = ""
		m, now := New(time.Unix(1000, 0), l, words, nil, nil), time.Unix(1000, 0)
		emitted := slices.ContainsFunc(m.Step(now, Identified{PDU: "pdu-a", Err: &drivers.Error{Op: "identify", Fault: fault}}), func(a Action) bool {
			e, ok := a.(Emit)
			return ok && e.Event.Kind == rack.EventWiring
		})
		if emitted != told {
			t.Errorf("%s: told %t", fault, emitted)
		}
	}
}
