package power

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rackagent/agent/rack"
)

// ops writes what the agent has begun by itself in one line: "sleep asic-1, wake asic-1".
func (r *rig) ownOps() string {
	var out []string
	for _, c := range r.own() {
		out = append(out, fmt.Sprintf("%s %s", c.Op, c.Target.Name))
	}
	return strings.Join(out, ", ")
}

// roomy gives the bank so much that everything has room.
func (r *rig) roomy() { r.layout.Feeds[1].RatingA = 250 }

// pushed runs a rig whose bank is at this share until the first command of the agent's own.
func (r *rig) pushed(share float64) {
	r.t.Helper()
	r.says()
	r.limitedTo(share)
	n := len(r.own())
	for range 100 {
		r.run(100 * time.Millisecond)
		if len(r.own()) > n {
			return
		}
	}
	r.t.Fatal("nothing is shed")
}

// A miner whose fans run on after its sleep sleeps: it is not forgotten, not cut, and comes back.
func TestAMinerWhoseFansRunOnComesBack(t *testing.T) {
	r := controlled(t)
	r.pushed(0.97)
	for range 20 {
		r.run(time.Second)
		for _, u := range r.units {
			if u.asleep {
				u.draws = 110
			}
		}
	}
	r.roomy()
	for _, u := range r.units {
		u.obeys = 0
	}
	r.run(4 * time.Minute)
	if got := r.ownOps(); got != "sleep asic-1, wake asic-1" {
		t.Errorf("%s: a miner with fans of 110 W counts as one that draws again", got)
	}
}

// The same of one that takes its time: its dialect allows 30 s.
func TestASlowMinerComesBack(t *testing.T) {
	r := controlled(t)
	r.units["asic-1"].obeys = 20 * time.Second
	r.pushed(0.97)
	r.run(2 * time.Second)
	r.roomy() // the level is back for another reason
	r.run(5 * time.Minute)
	if got := r.ownOps(); got != "sleep asic-1, wake asic-1" {
		t.Error(got)
	}
}

// A meter that misses some samples does not make the controller forget what it has cut.
func TestACutMinerWithAnUnsteadyMeterComesBack(t *testing.T) {
	r := controlled(t)
	r.pushed(1.05)
	r.run(15 * time.Second)
	first := r.own()[0].Target.Name
	o := outlet(int(first[len(first)-1] - '0'))
	r.roomy()
	r.run(2 * time.Second)
	r.deaf[o] = true
	r.run(6 * time.Second)
	delete(r.deaf, o)
	r.run(5 * time.Minute)
	if got := r.ownOps(); !strings.Contains(got, "outlet.energise "+first) {
		t.Errorf("%s: %s was silent for 6 s and never comes back", got, first)
	}
}

// What an operator switches off stays off, also if the controller wanted to shed it on the way.
func TestTheControllerBringsNothingBackThatAnOperatorStopped(t *testing.T) {
	for _, op := range []rack.Op{rack.OpShutdown, rack.OpSleep} {
		t.Run(string(op), func(t *testing.T) {
			r := controlled(t)
			r.units["asic-1"].obeys = 12 * time.Second
			r.must("c1", op, "node/asic-1")
			r.run(time.Second)
			r.limitedTo(0.97)
			r.run(5 * time.Minute)
			r.result("c1")
			r.roomy()
			r.run(10 * time.Minute)
			for _, c := range r.own() {
				if c.Target.Name == "asic-1" && c.Op.AddsPower() {
					t.Errorf("%s of asic-1 by an operator, and the agent begins %s (%s)", op, c.Op, r.ownOps())
				}
			}
		})
	}
}

// The same where a person opens the relay at the PDU while the miner sleeps by the controller's word.
func TestTheControllerClosesNoRelayThatSomebodyElseOpened(t *testing.T) {
	r := controlled(t)
	r.pushed(0.97)
	r.run(20 * time.Second)
	first := r.own()[0].Target.Name
	o := outlet(int(first[len(first)-1] - '0'))
	r.closed[o] = false
	r.power(o, false)
	r.run(40 * time.Second)
	r.roomy()
	r.run(5 * time.Minute)
	for _, w := range r.writes {
		if w.on == o && w.do == string(rack.DoEnergise) {
			t.Errorf("the controller told %s to sleep, somebody else opened its relay, and the controller closes it: %s", first, r.ownOps())
		}
	}
}

// An operator's command that comes while the record of a return is on its way to the disk is the newer one.
func TestAReturnYieldsToAnOperator(t *testing.T) {
	for _, c := range []struct {
		op rack.Op
		at float64
	}{{rack.OpSleep, 0.97}, {rack.OpCut, 0.97}, {rack.OpShutdown, 0.97}, {rack.OpCut, 1.05}, {rack.OpShutdown, 1.05}} {
		op := c.op
		t.Run(fmt.Sprintf("%s, shed at %.2f", op, c.at), func(t *testing.T) {
			r := controlled(t)
			r.pushed(c.at)
			r.run(20 * time.Second)
			first := r.own()[0].Target.Name
			r.roomy()
			r.journalTakes = 3 * time.Second
			for range 120 {
				r.run(time.Second)
				if len(r.m.own.asked) > 0 {
					break
				}
			}
			if len(r.m.own.asked) == 0 {
				t.Fatal("no return is begun")
			}
			r.must("c1", op, "node/"+first)
			r.run(5 * time.Minute)
			n := int(first[len(first)-1] - '0')
			if !r.units[first].asleep && r.closed[outlet(n)] {
				t.Errorf("%s of %s by an operator, and it runs: %s, %s, told %v", op, first, r.ownOps(), r.trace(), r.tells)
			}
		})
	}
}

// An outlet that is open is not cut again and again because no meter shows it.
func TestNoCutOfAnOpenOutlet(t *testing.T) {
	for _, fault := range []string{"silent", "frozen"} {
		t.Run(fault, func(t *testing.T) {
			r := controlled(t)
			for n := 2; n <= 6; n++ { // nobody may shed these
				if _, bad := r.lock(fmt.Sprintf("k%d", n), rack.OpLock, fmt.Sprintf("node/asic-%d", n)); bad != nil {
					t.Fatal(bad)
				}
			}
			r.pushed(1.3)
			if fault == "silent" {
				r.deaf[outlet(1)] = true
			} else {
				r.frozen[outlet(1)] = true
			}
			r.run(10 * time.Minute)
			if n := len(r.own()); n > 2 {
				t.Errorf("%d commands in 10 minutes for one outlet that is open", n)
			}
		})
	}
}

// A miner that comes back is told to sleep before it is cut, between 95 and 100 %.
func TestAReturningMinerIsNotCutAtOnce(t *testing.T) {
	r := controlled(t)
	r.pushed(0.97)
	r.run(20 * time.Second)
	first := r.own()[0].Target.Name
	u := r.units[first]
	u.obeys = 2 * time.Minute
	r.roomy()
	for range 120 {
		r.run(time.Second)
		if len(r.own()) > 1 {
			break
		}
	}
	if r.own()[1].Op != rack.OpWake {
		t.Fatal(r.ownOps())
	}
	r.run(5 * time.Second)
	u.draws = 3200 // it has begun to work, and does not say so yet
	r.run(3 * time.Second)
	r.limitedTo(0.97)
	r.run(4 * time.Second)
	for _, c := range r.own()[2:] {
		if c.Op == rack.OpCut {
			t.Errorf("at 97 %% a running miner is cut without a sleep: %s", r.ownOps())
		}
	}
}

// Polls that come a little early or late do not make the controller miss its 3 s.
func TestAnOverloadWithJitteryPolls(t *testing.T) {
	worst := time.Duration(0)
	for seed := range 40 {
		r := controlled(t)
		r.says()
		rng := rand.New(rand.NewPCG(uint64(seed), 7))
		r.queue = nil
		heap.Init(&r.queue)
		var poll func()
		began := r.now
		n := 0
		poll = func() {
			r.poll()
			n++
			next := began.Add(time.Duration(n) * time.Second).Add(time.Duration(rng.IntN(10)-5) * time.Millisecond)
			r.after(next.Sub(r.now), poll)
		}
		r.after(time.Second, poll)
		r.run(10*time.Second + time.Duration(rng.IntN(1000))*time.Millisecond)
		r.limitedTo(1.05)
		from := r.now
		for r.carries() >= bringTo && r.now.Sub(from) < 20*time.Second {
			r.run(10 * time.Millisecond)
		}
		worst = max(worst, r.now.Sub(from))
	}
	if worst > 3*time.Second {
		t.Errorf("a poll each second, 5 ms early or late: an overload of 105 %% lasts up to %s", worst)
	}
}

// A journal that does not answer delays a cut by what is promised.
func TestAnOverloadWhileTheJournalIsSilent(t *testing.T) {
	worst := time.Duration(0)
	for phase := range 10 {
		r := controlled(t)
		r.says()
		r.run(time.Duration(phase) * 100 * time.Millisecond)
		r.journalTakes = time.Hour
		r.limitedTo(1.05)
		from := r.now
		for r.carries() >= bringTo && r.now.Sub(from) < 20*time.Second {
			r.run(10 * time.Millisecond)
		}
		worst = max(worst, r.now.Sub(from))
	}
	if worst > 3*time.Second+ownRecordBy {
		t.Errorf("it lasts %s", worst)
	}
	t.Logf("at most %s", worst)
}

// What comes back keeps to the ramp (design, section 7): 20 % of the continuous limit in a minute, the debt of a whole node waited for.
func TestReturnsKeepToTheRamp(t *testing.T) {
	r := controlled(t)
	r.pushed(2.5)
	r.run(60 * time.Second)
	r.roomy()
	limit := r.layout.Feeds[1].LimitA()
	r.run(10 * time.Minute)
	var at []time.Time
	for _, c := range r.own() {
		if c.Op.AddsPower() {
			at = append(at, c.Received)
		}
	}
	if len(at) < 3 {
		t.Fatalf("%s", r.ownOps())
	}
	share := 3400 / (230 * voltageMargin) / limit
	for i := range at {
		for j := i + 1; j < len(at); j++ {
			d := at[j].Sub(at[i])
			if got := float64(j-i) * share; got > 0.2+0.2*d.Minutes() { // what is saved up, what has come since; the last one may go whole
				t.Fatalf("%d miners of %.0f %% each within %s", j-i+1, 100*share, d)
			}
		}
	}
}

// Where the controller may not shed it does not say that nothing is left to shed.
func TestAControllerThatMayNotShedSaysSo(t *testing.T) {
	r := minersRig(t)
	r.m.MayAct(Own{Boot: "0123456789abcdef0123456789"})
	r.limitedTo(1.05)
	r.run(10 * time.Second)
	for _, e := range r.emitted {
		if e.Kind == rack.EventFeedHigh && e.Reason == "nothing to shed" {
			t.Errorf("%+v", e)
		}
	}
}

// The order that a sleep leaves says whose it is.
func TestAnOwnCommandIsNotUnsigned(t *testing.T) {
	r := controlled(t)
	r.pushed(0.97)
	r.run(20 * time.Second)
	for _, rec := range r.records {
		if rec.Order != nil && rec.Order.Kind == rack.OrderSlept && rec.Order.By != issuerFeed {
			t.Errorf("kept by %q", rec.Order.By)
		}
	}
}

// The walk of the machine with a feed whose limit moves: what the agent begins by itself is explained by a record, moves no
// server, takes no bank over, keeps locks and minimum times, and closes nothing that it did not open itself.
func TestWalkWithFeedControl(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWalk(t)
		w.r.m.MayAct(Own{Boot: "0123456789abcdef0123456789", Config: "cafe", Feeds: true})
		w.r.run(2 * time.Second)
		most := w.r.layout.Feeds[1].RatingA
		for range rapid.IntRange(5, 30).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "feed") {
				w.r.layout.Feeds[1].RatingA = most * rapid.SampledFrom([]float64{1, 1, 0.9, 0.7, 0.5, 0.3}).Draw(t, "limit")
			} else {
				w.act(t)
			}
			w.r.journalTakes = min(w.r.journalTakes, 300*time.Millisecond)
			w.r.run(time.Duration(rapid.SampledFrom([]int{10, 1000, 5000, 31000, 120000}).Draw(t, "ms")) * time.Millisecond)
			w.judgeOwn(t)
			w.judge(t)
		}
	})
}

// judgeOwn judges the writes that judge has not looked at yet.
func (w *walk) judgeOwn(t *rapid.T) {
	for i := w.judged; i < len(w.r.writes); i++ {
		x := w.r.writes[i]
		var about []rack.Record // what was accepted about it, oldest first
		for _, rec := range w.r.records[:x.rec] {
			if rec.Kind != rack.RecordAccepted {
				continue
			}
			for _, tp := range rec.Plan.Targets {
				if slices.ContainsFunc(tp.Steps, func(st rack.Step) bool { return st.On == x.on }) {
					about = append(about, rec)
				}
			}
		}
		if x.on.N == 0 {
			var last rack.Record
			for _, rec := range w.r.records[:x.rec] {
				if rec.Progress != nil && rec.Progress.Fact == rack.FactAdopt {
					last = rec
				}
			}
			if strings.HasPrefix(last.ID, "own-") {
				t.Fatalf("the agent takes a bank over by itself: %v by %s", x, last.ID)
			}
			continue
		}
		if x.do != string(rack.DoEnergise) || len(about) == 0 {
			continue
		}
		last := about[len(about)-1]
		if last.Command.Origin != rack.OriginAgent || last.Command.Op == rack.OpCut {
			continue
		}
		if len(about) < 2 || about[len(about)-2].Command.Origin != rack.OriginAgent || about[len(about)-2].Command.Op != rack.OpCut {
			var words []string
			for _, rec := range about {
				words = append(words, fmt.Sprintf("%s %s %s", rec.ID, rec.Command.Op, rec.Command.Target))
			}
			t.Fatalf("%v: the agent closes what it did not open: %v", x, words)
		}
	}
}

// A miner that sleeps behind a meter that it shares draws nothing, whatever its share of that meter's watts would be.
func TestASleeperBehindASharedMeter(t *testing.T) {
	r := controlled(t)
	p := &r.layout.PDUs[0]
	p.Supplies = []rack.Supply{{ID: rack.MeterID{PDU: "pdu-a", N: 1}, Name: "a", NoiseW: 2}}
	for i := range 6 {
		p.Outlets[i].Metered, p.Outlets[i].Supply = false, 1
	}
	r.run(5 * time.Second)
	r.pushed(0.97)
	r.run(30 * time.Second)
	r.roomy()
	r.run(4 * time.Minute)
	if got := r.ownOps(); got != "sleep asic-1, wake asic-1" {
		t.Error(got)
	}
}
