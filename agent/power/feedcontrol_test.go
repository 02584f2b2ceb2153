package power

import (
	"slices"
	"strings"
	"testing"
	"time"

	"rackagent/agent/rack"
)

// controlled is a rig of six miners whose feed controller may shed. What hangs on the bank draws 22,000 W: 100.7 A at 95 % of
// 230 V.
func controlled(t *testing.T) *rig {
	t.Helper()
	r := minersRig(t)
	r.m.MayAct(Own{Boot: "0123456789abcdef0123456789", Config: "cafe", Feeds: true})
	r.run(5 * time.Second)
	return r
}

// limitedTo gives the bank a continuous limit by which what it carries now is this share.
func (r *rig) limitedTo(share float64) {
	amps := 0.0
	for _, p := range r.layout.PDUs {
		for _, o := range p.Outlets {
			amps += r.watts(o.ID) / (230 * voltageMargin)
		}
	}
	r.layout.Feeds[1].RatingA = amps / share / r.layout.Feeds[1].Continuous
}

// carries is the share of its limit that the bank really carries.
func (r *rig) carries() float64 {
	amps := 0.0
	for _, p := range r.layout.PDUs {
		for _, o := range p.Outlets {
			amps += r.watts(o.ID) / (230 * voltageMargin)
		}
	}
	return amps / r.layout.Feeds[1].LimitA()
}

func (r *rig) own() []rack.Command {
	var out []rack.Command
	for _, rec := range r.records {
		if rec.Kind == rack.RecordAccepted && rec.Command.Origin == rack.OriginAgent {
			out = append(out, *rec.Command)
		}
	}
	return out
}

// A feed pushed to 105 % is back below 90 % within 3 s, by cuts of the cheapest miners, each proven and on disk before.
func TestAFeedPushedOverItsLimit(t *testing.T) {
	for phase := range 10 {
		r := controlled(t)
		r.says()
		r.run(time.Duration(phase) * 100 * time.Millisecond)
		r.limitedTo(1.05)
		began := r.now
		for r.carries() >= bringTo && r.now.Sub(began) < 10*time.Second {
			r.run(10 * time.Millisecond)
		}
		if took := r.now.Sub(began); took > 3*time.Second {
			t.Errorf("pushed %d ms after a sample: %s", 100*phase, took)
		}
		r.run(10 * time.Second)
		own := r.own()
		if len(own) != 1 { // each takes 15 % of the limit
			t.Fatalf("%d commands: %+v", len(own), own)
		}
		for _, c := range own {
			r.expect(c.ID, rack.StateSucceeded, "")
			if c.Op != rack.OpCut || c.Issuer != "local/feed" || !strings.Contains(c.Why, "feed bank carries") || !strings.Contains(c.Why, "105.0 %") {
				t.Errorf("%+v", c)
			}
		}
		for _, w := range r.writes {
			if w.on.N > 6 {
				t.Errorf("an outlet of the server: %+v", w)
			}
			if before := r.records[:w.rec]; !slices.ContainsFunc(before, func(rec rack.Record) bool {
				return rec.Kind == rack.RecordAccepted && rec.Plan.Targets[0].Steps[0].On == w.on
			}) || !slices.ContainsFunc(before, func(rec rack.Record) bool { return rec.Order != nil && rec.Order.Kind == rack.OrderArmed }) {
				t.Errorf("%+v before its record, or that of the arming", w)
			}
		}
	}
}

// Between 95 and 100 % a miner with an interface is told to sleep, and cut only if it still draws 10 s later.
func TestAFeedNearItsLimit(t *testing.T) {
	for _, c := range []struct {
		name  string
		world func(*rig)
		story string
	}{
		{"it obeys", func(*rig) {}, "sleep asic-1"},
		{"it lies", func(r *rig) { r.units["asic-1"].draws = 3200 }, "sleep asic-1, cut 1"},
		{"it has no interface", func(r *rig) { r.layout.Nodes[0].API = nil }, "sleep asic-2"}, // to start one again from its outlet takes longer
		{"none has an interface", func(r *rig) {
			for i := range r.layout.Nodes {
				r.layout.Nodes[i].API = nil
			}
		}, "cut 1"},
		{"it is locked", func(r *rig) { _, _ = r.lock("l1", rack.OpLock, "node/asic-1") }, "sleep asic-2"},
		{"its wiring is not believed", func(r *rig) { r.layout.Nodes[0].Wiring = rack.WiringUnproven; r.units["asic-1"].draws = 3200 }, "sleep asic-1, sleep asic-2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := controlled(t)
			r.says()
			c.world(r)
			r.run(2 * time.Second)
			r.limitedTo(0.97)
			began := r.now
			r.run(30 * time.Second)
			if got := r.acts(began); got != c.story {
				t.Errorf("%s\nwant %s", got, c.story)
			}
			if r.carries() >= bringTo {
				t.Errorf("it carries %.3f", r.carries())
			}
		})
	}
}

// acts is what was said to miners and done to relays since a moment, in order.
func (r *rig) acts(since time.Time) string {
	story := r.story(since)
	for _, part := range strings.Split(story, ", ") {
		what, _, _ := strings.Cut(part, " at ")
		story = strings.Replace(story, part, what, 1)
	}
	return story
}

// What was shed comes back once the feed has room for 60 s, one in 5 s, the most valuable first, into what was interrupted. It does
// not while too much is not measured, nor where somebody else has decided about it meanwhile.
func TestWhatWasShedComesBack(t *testing.T) {
	for _, c := range []struct {
		name  string
		world func(*rig)
		back  []string
	}{
		{"room again", func(*rig) {}, []string{"wake asic-2", "wake asic-1"}},
		{"an operator has put one to sleep", func(r *rig) { r.must("s9", rack.OpSleep, "node/asic-2") }, []string{"wake asic-1"}},
		{"two meters are silent", func(r *rig) { r.deaf[outlet(7)], r.deaf[outlet(8)], r.deaf[outlet(6)] = true, true, true }, nil},
		{"one is locked", func(r *rig) { _, _ = r.lock("l1", rack.OpLock, "node/asic-2") }, []string{"wake asic-1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := controlled(t)
			r.says()
			r.rates(map[string]float64{"asic-1": 60, "asic-2": 80, "asic-3": 120, "asic-4": 120, "asic-5": 120, "asic-6": 120})
			r.layout.Feeds[1].RatingA = 130 / r.layout.Feeds[1].Continuous // all eight reserve 107 A of 130
			r.loadW[outlet(7)] = 7000                                      // the server: 126 A, 97 %
			r.run(20 * time.Second)
			if got := r.acts(r.now.Add(-20 * time.Second)); got != "sleep asic-1" && got != "sleep asic-1, sleep asic-2" {
				t.Fatal(got)
			}
			r.loadW[outlet(7)] = 10000
			r.run(30 * time.Second)
			c.world(r)
			r.run(2 * time.Second)
			r.loadW[outlet(7)] = 1400
			began := r.now
			r.run(200 * time.Second)
			var back []string
			var at []time.Time
			for _, tell := range r.tells {
				if tell.at.After(began) {
					back, at = append(back, string(tell.do)+" "+tell.node), append(at, tell.at)
				}
			}
			if !slices.Equal(back, c.back) {
				t.Fatalf("%v, want %v", back, c.back)
			}
			for i, when := range at {
				if when.Sub(began) < calmFor-2*time.Second || i > 0 && when.Sub(at[i-1]) < stepGap {
					t.Errorf("it came back %s after there was room: %v", when.Sub(began), at)
				}
			}
		})
	}
}

// rates has the miners say what they hash.
func (r *rig) rates(ths map[string]float64) {
	var batch Readings
	for node, v := range ths {
		batch = append(batch, r.reading(rack.Point{Device: node, Quantity: rack.HashTHs, Index: 1}, v, 0))
	}
	r.step(batch)
	r.after(time.Second, func() { r.rates(ths) })
}

// A shed does not wait for a disk: without an answer it goes on after 500 ms, and is recorded when the disk takes it, in order.
func TestAShedWithoutADisk(t *testing.T) {
	for _, c := range []struct {
		name  string
		fails func(*rig)
	}{
		{"it refuses", func(r *rig) { r.journalErr = errDiskFull }},
		{"it does not answer", func(r *rig) { r.journalTakes = time.Minute }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := controlled(t)
			r.says()
			c.fails(r)
			r.limitedTo(1.05)
			began := r.now
			r.run(4 * time.Second)
			if len(r.writes) != 1 || r.writes[0].at.Sub(began) > 3500*time.Millisecond {
				t.Fatalf("%+v", r.writes)
			}
			r.journalErr, r.journalTakes = nil, time.Millisecond
			r.run(2 * time.Minute)
			var kinds []rack.RecordKind
			for _, rec := range r.records {
				if strings.HasPrefix(rec.ID, "own-") {
					kinds = append(kinds, rec.Kind)
				}
			}
			if want := []rack.RecordKind{rack.RecordAccepted, rack.RecordEnded}; !slices.Equal(kinds, want) {
				t.Errorf("%v, want %v", kinds, want)
			}
		})
	}
}

// What nobody allowed, and a lost journal, move nothing.
func TestNothingIsShed(t *testing.T) {
	for name, world := range map[string]func(*rig){
		"not allowed":      func(r *rig) { r.m.MayAct(Own{Boot: "b"}) },
		"a lost journal":   func(r *rig) { r.m.observing = true },
		"the program ends": func(r *rig) { r.step(Closing{}) },
		"one sample shows it": func(r *rig) {
			rating := r.layout.Feeds[1].RatingA
			r.after(900*time.Millisecond, func() { r.layout.Feeds[1].RatingA = rating })
		},
	} {
		r := controlled(t)
		r.says()
		world(r)
		r.limitedTo(1.05)
		r.run(20 * time.Second)
		if len(r.writes) != 0 || len(r.tells) != 0 {
			t.Errorf("%s: %+v, %+v", name, r.writes, r.tells)
		}
	}
}
