package power

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rackagent/agent/rack"
)

// bandBench is a controller with a small world beside it, looked at once a second.
type bandBench struct {
	b      *bands
	now    time.Time
	levels []bandLevel
	loads  []bandLoad
	frozen bool
	old    bool // no meter has given a newer sample
}

func newBench(levels []bandLevel, loads ...bandLoad) *bandBench {
	return &bandBench{b: newBands(func() time.Duration { return 0 }), now: time.Unix(1e6, 0), levels: levels, loads: loads}
}

func (x *bandBench) look() (sheds []shedding, back []string, told []banded) {
	x.now = x.now.Add(time.Second)
	if !x.old {
		for i := range x.levels {
			x.levels[i].at = x.now
		}
	}
	return x.b.step(x.now, x.levels, x.loads, x.frozen)
}

// for d looks on and gives all that was wanted meanwhile.
func (x *bandBench) during(d time.Duration) (sheds []shedding, back []string) {
	for range int(d / time.Second) {
		s, b, _ := x.look()
		sheds, back = append(sheds, s...), append(back, b...)
	}
	return sheds, back
}

// oneLine is a level of 100 A.
func oneLine(amps float64) []bandLevel {
	return []bandLevel{{name: "bank", limitA: 100, lines: []string{"L1"}, amps: []float64{amps}}}
}

func atLine(node string, amps float64, change ...func(*bandLoad)) bandLoad {
	l := bandLoad{node: node, parts: []bandPart{{0, 0, amps, amps}}, draws: true, sleeps: true, cuts: true, worth: worth{jth: 20}}
	for _, f := range change {
		f(&l)
	}
	return l
}

// gone is the load of a miner that has fallen.
func (x *bandBench) gone(node string) {
	for i := range x.loads {
		l := &x.loads[i]
		if l.node != node || !l.draws {
			continue
		}
		for j := range l.parts {
			p := &l.parts[j]
			x.levels[p.level].amps[p.line] -= p.amps
			p.amps = 0
		}
		l.draws = false
	}
}

func names(sheds []shedding) string {
	var out []string
	for _, s := range sheds {
		word := "sleep "
		if s.cut {
			word = "cut "
		}
		out = append(out, word+s.node)
	}
	return strings.Join(out, ", ")
}

func TestBandsActAtTheSecondSample(t *testing.T) {
	for _, c := range []struct {
		name  string
		amps  []float64 // of each look
		wants string    // what is shed, by look
	}{
		{"just below", []float64{94.9, 94.9, 94.9}, "||"},
		{"at 95 %", []float64{95, 95}, "|sleep a"},
		{"one sample", []float64{130, 80, 130, 80}, "|||"},
		{"two with a gap", []float64{96, 94, 96, 96}, "|||sleep a"},
		{"above 100 %", []float64{101, 101}, "|cut a, cut b"},
		{"between and then above", []float64{96, 101}, "|cut a, cut b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newBench(oneLine(0), atLine("a", 6), atLine("b", 6), atLine("c", 6))
			var got []string
			for _, a := range c.amps {
				x.levels[0].amps[0] = a
				s, _, _ := x.look()
				got = append(got, names(s))
			}
			if strings.Join(got, "|") != c.wants {
				t.Errorf("%q, want %q", strings.Join(got, "|"), c.wants)
			}
		})
	}
}

// A sample that is seen twice is one.
func TestBandsCountNoSampleTwice(t *testing.T) {
	x := newBench(oneLine(120), atLine("a", 30))
	x.look()
	x.old = true
	if s, _ := x.during(10 * time.Second); len(s) != 0 {
		t.Errorf("%s on one sample", names(s))
	}
	x.old = false
	if s, _, _ := x.look(); names(s) != "cut a" {
		t.Errorf("%q at the second", names(s))
	}
}

func TestBandsBringTo90(t *testing.T) {
	x := newBench(oneLine(130))
	for i := range 20 {
		x.loads = append(x.loads, atLine(fmt.Sprintf("m%02d", i), 5))
	}
	x.look()
	s, _, told := x.look()
	if len(s) != 8 || len(told) != 1 || !told[0].high {
		t.Errorf("%d sheds at once of 40 A, told %+v", len(s), told)
	}
	for _, one := range s {
		if !strings.Contains(one.why, "bank") || !strings.Contains(one.why, "130.0 %") || !strings.Contains(one.why, one.node) {
			t.Errorf("why: %s", one.why)
		}
		x.gone(one.node)
	}
	s, _, told = x.look()
	if len(s) != 0 || len(told) != 1 || told[0].high {
		t.Errorf("at 90 %%: %s, %+v", names(s), told)
	}
	if s, b := x.during(10 * time.Minute); len(s)+len(b) != 0 {
		t.Errorf("at 90 %% for ever: %s, %v", names(s), b)
	}
}

func TestBandsTakeTheCheapest(t *testing.T) {
	jth := func(v float64) func(*bandLoad) { return func(l *bandLoad) { l.worth.jth = v } }
	restart := func(d time.Duration) func(*bandLoad) { return func(l *bandLoad) { l.worth.restart = d } }
	idle := func(l *bandLoad) { l.worth = worth{idle: true} }
	cannot := func(l *bandLoad) { l.sleeps, l.cuts = false, false }
	silent := func(l *bandLoad) { l.draws = false }
	x := newBench(oneLine(150),
		atLine("unknown-slow", 5, jth(0), restart(time.Hour)), atLine("unknown", 5, jth(0)), atLine("good", 5, jth(15)), atLine("bad", 5, jth(40)),
		atLine("bad-slow", 5, jth(40), restart(time.Hour)), atLine("idle", 5, idle), atLine("nobody", 5, cannot), atLine("asleep", 1, silent))
	x.look()
	s, _, told := x.look()
	if got := names(s); got != "cut idle, cut bad, cut bad-slow, cut good, cut unknown, cut unknown-slow" {
		t.Error(got)
	}
	if n := len(told); n != 2 || !told[1].bare {
		t.Errorf("told %+v", told)
	}
	if _, _, told := x.look(); len(told) != 0 {
		t.Errorf("told again: %+v", told)
	}
}

func TestBandsTakeTheFullestLine(t *testing.T) {
	on := func(node string, line int, jth float64) bandLoad {
		return bandLoad{node: node, parts: []bandPart{{0, line, 10, 10}}, draws: true, cuts: true, worth: worth{jth: jth}}
	}
	both := bandLoad{node: "l2-l3", parts: []bandPart{{0, 1, 10, 10}, {0, 2, 10, 10}}, draws: true, cuts: true, worth: worth{jth: 30}}
	x := newBench([]bandLevel{{name: "row", limitA: 100, lines: []string{"L1", "L2", "L3"}, amps: []float64{50, 105, 99}}},
		on("l1", 0, 99), on("l2", 1, 20), on("l2-b", 1, 25), both, on("l3", 2, 90))
	x.look()
	s, _, _ := x.look()
	if got := names(s); got != "cut l2-l3, cut l2-b" { // L2 105 -> 95 with L3 99 -> 89, L2 95 -> 85
		t.Error(got)
	}
}

// What cannot be helped on one line does not keep the other lines from being helped.
func TestBandsOfALineThatNobodyCanHelp(t *testing.T) {
	on := func(node string, line int) bandLoad {
		return bandLoad{node: node, parts: []bandPart{{0, line, 10, 10}}, draws: true, cuts: true}
	}
	x := newBench([]bandLevel{{name: "row", limitA: 100, lines: []string{"L1", "L2"}, amps: []float64{112, 110}}}, on("a", 1), on("b", 1), on("c", 1))
	x.look()
	s, _, told := x.look()
	if names(s) != "cut a, cut b" {
		t.Errorf("L1 carries 112 %% that nobody may shed; of L2 with 110 %%: %q", names(s))
	}
	if len(told) != 2 || !told[1].bare {
		t.Errorf("%+v", told)
	}
}

// A level that nobody can help keeps only what hangs below it from coming back.
func TestBandsOfALevelThatNobodyCanHelp(t *testing.T) {
	levels := []bandLevel{
		{name: "a", limitA: 100, lines: []string{"L1"}, amps: []float64{50}},
		{name: "b", limitA: 100, lines: []string{"L1"}, amps: []float64{96}},
	}
	a := atLine("on-a", 10)
	x := newBench(levels, a)
	x.levels[0].amps[0] = 96
	x.levels[1].amps[0] = 50
	s, _ := x.during(2 * time.Second)
	if names(s) != "sleep on-a" {
		t.Fatal(names(s))
	}
	x.gone("on-a")
	x.levels[0].amps[0] = 50
	x.during(5 * time.Second)
	x.levels[1].amps[0] = 93 // of firm nodes
	x.during(2 * time.Second)
	x.levels[1].amps[0] = 96
	x.during(2 * time.Second)
	x.levels[1].amps[0] = 93
	if _, back := x.during(5 * time.Minute); len(back) == 0 {
		t.Error("feed b stays at 93 % of firm nodes: nothing ever comes back on feed a, which is at 50 %")
	}
}

func TestBandsOfAMinerThatLies(t *testing.T) {
	x := newBench(oneLine(96), atLine("a", 10))
	x.look()
	if s, _, _ := x.look(); names(s) != "sleep a" {
		t.Fatal(names(s))
	}
	if s, _ := x.during(9 * time.Second); len(s) != 0 {
		t.Errorf("within its grace: %s", names(s))
	}
	if s, _, _ := x.look(); names(s) != "cut a" {
		t.Errorf("after 10 s: %q", names(s))
	}
}

// One that was told and still draws is told again where it cannot be cut.
func TestBandsOfAMinerThatCanOnlySleep(t *testing.T) {
	x := newBench(oneLine(96), atLine("a", 10, func(l *bandLoad) { l.cuts = false }))
	s, _ := x.during(60 * time.Second)
	if len(s) < 2 {
		t.Errorf("a miner that did not take the first sleep is left alone for good: %s", names(s))
	}
}

func TestBandsRelease(t *testing.T) {
	setup := func() *bandBench {
		x := newBench(oneLine(96), atLine("a", 4, func(l *bandLoad) { l.worth.jth = 30 }), atLine("b", 4, func(l *bandLoad) { l.worth.jth = 20 }), atLine("c", 4))
		x.levels[0].amps[0] = 101
		s, _ := x.during(2 * time.Second)
		if len(s) != 3 {
			t.Fatal(names(s))
		}
		for _, n := range []string{"a", "b", "c"} {
			x.gone(n)
		}
		return x
	}
	t.Run("after 60 s, one per 5 s, the most valuable first", func(t *testing.T) {
		x := setup()
		x.levels[0].amps[0] = 70
		var got []string
		for i := range 90 {
			_, back, _ := x.look()
			if len(back) > 0 {
				got = append(got, fmt.Sprintf("%d %s", i, back[0]))
				x.b.rise(x.now, back[0])
			}
		}
		if strings.Join(got, ", ") != "60 c, 65 b, 70 a" && strings.Join(got, ", ") != "60 b, 65 c, 70 a" {
			t.Error(got)
		}
	})
	for name, c := range map[string]struct {
		change func(*bandBench)
		amps   float64
	}{
		"at 85 %":         {func(*bandBench) {}, 85},
		"frozen":          {func(x *bandBench) { x.frozen = true }, 50},
		"no room at full": {func(x *bandBench) { x.setFull(25) }, 70},
	} {
		t.Run(name, func(t *testing.T) {
			x := setup()
			x.levels[0].amps[0] = c.amps
			c.change(x)
			if _, back := x.during(10 * time.Minute); len(back) != 0 {
				t.Error(back)
			}
		})
	}
	t.Run("interrupted calm", func(t *testing.T) {
		x := setup()
		x.levels[0].amps[0] = 70
		x.during(55 * time.Second)
		x.levels[0].amps[0] = 85
		x.look()
		x.levels[0].amps[0] = 70
		if _, back := x.during(59 * time.Second); len(back) != 0 {
			t.Error(back)
		}
	})
	t.Run("by chance", func(t *testing.T) {
		x := setup()
		x.b.jitter = func() time.Duration { return spread }
		x.levels[0].amps[0] = 70
		if _, back := x.during(89 * time.Second); len(back) != 0 {
			t.Error(back)
		}
		if _, back := x.during(5 * time.Second); len(back) == 0 {
			t.Error("nothing after 94 s")
		}
	})
}

func (x *bandBench) setFull(amps float64) {
	for i := range x.loads {
		for j := range x.loads[i].parts {
			x.loads[i].parts[j].full = amps
		}
	}
}

// What was told to come back and does not draw yet takes its room.
func TestBandsCountWhatIsComingBack(t *testing.T) {
	x := newBench(oneLine(101), atLine("a", 12), atLine("b", 12), atLine("c", 12))
	s, _ := x.during(2 * time.Second)
	x.levels[0].amps[0] = 120
	more, _ := x.during(3 * time.Second)
	for _, one := range append(s, more...) {
		x.gone(one.node)
	}
	x.levels[0].amps[0] = 70
	var came []string
	for range 120 {
		if _, back, _ := x.look(); len(back) > 0 {
			came = append(came, back[0])
			x.b.rise(x.now, back[0])
		}
	}
	if len(came) != 2 {
		t.Errorf("70 %% and 12 %% each, none of which draws yet: %v are told to come back, which makes %d %%", came, 70+12*len(came))
	}
}

// A miner that has come back is told to sleep before it is cut, like any other.
func TestBandsOfAMinerThatCameBack(t *testing.T) {
	x := newBench(oneLine(96), atLine("a", 10))
	x.during(2 * time.Second)
	x.gone("a")
	x.levels[0].amps[0] = 60
	for range 70 {
		if _, back, _ := x.look(); len(back) > 0 {
			x.b.rise(x.now, back[0])
			break
		}
	}
	x.loads = []bandLoad{atLine("a", 10)}
	x.levels[0].amps[0] = 70
	x.during(time.Minute)
	x.levels[0].amps[0] = 96
	s, _ := x.during(2 * time.Second)
	if names(s) != "sleep a" {
		t.Errorf("a minute after it came back, at 96 %%: %q", names(s))
	}
}

// A miner that has come back and stops later by somebody else's doing is not brought back again.
func TestBandsBringNothingBackThatSomebodyElseStopped(t *testing.T) {
	x := newBench(oneLine(96), atLine("a", 10))
	x.during(2 * time.Second)
	x.gone("a")
	x.levels[0].amps[0] = 60
	for range 70 {
		if _, back, _ := x.look(); len(back) > 0 {
			x.b.rise(x.now, back[0])
			break
		}
	}
	x.loads = []bandLoad{atLine("a", 10)}
	x.levels[0].amps[0] = 70
	x.during(time.Minute)
	x.gone("a") // by its own web page, or at the front of the PDU
	if _, back := x.during(20 * time.Minute); len(back) != 0 {
		t.Errorf("%v is told to come back, which came back before and was stopped by somebody else", back[:1])
	}
}

func TestBandsTryAReturnTenTimes(t *testing.T) {
	x := newBench(oneLine(96), atLine("a", 10))
	x.during(2 * time.Second)
	x.gone("a")
	x.levels[0].amps[0] = 60
	n, told := 0, 0
	for range 4 * 3600 {
		_, back, words := x.look()
		told += len(words)
		if len(back) > 0 {
			n++
			x.b.rise(x.now, back[0])
		}
	}
	if n != backTries {
		t.Errorf("%d tries", n)
	}
	if told < 2 { // the level that is back, and the miner that is given up
		t.Errorf("a miner that does not come back is given up without a word (%d)", told)
	}
}

// simLoad is a load of the simulated world.
type simLoad struct {
	name   string
	bank   int
	lines  []int // of the bank's lines
	now    float64
	full   float64
	wish   float64 // what it draws when it runs, at most full
	worth  worth
	api    bool
	lies   bool          // takes a sleep and does not fall
	welded bool          // neither a sleep nor a cut does anything
	falls  time.Duration // after a sleep
	rises  time.Duration // after it is told to come back
	grows  float64       // per second, up to full

	off    bool      // it sleeps or is cut, or will
	change time.Time // when the watts follow; zero: they have
	busy   time.Time // a command on it is under way until then
	cutBy  time.Time

	shedAt, backAt, sleptAt time.Time
	grace                   time.Duration
	cycles, sheds           int
}

func (l *simLoad) draws() bool { return l.now > 0.05*l.full }

type simLevel struct {
	name   string
	parent int
	limit  float64
	lines  int
	other  []float64 // by line: what nobody may shed
	seen   []sample  // fullest share as reported
	over   time.Time // above 95 % since
	hot    bool      // by what was reported: two in a row, and not back since
}

type sim struct {
	t      judge
	b      *bands
	now    time.Time
	levels []*simLevel
	loads  []*simLoad
	frozen bool
	lied   int // level that is reported wrong at the next look; -1: none
	last   time.Time
	log    []string
}

func (s *sim) note(format string, args ...any) {
	s.log = append(s.log, fmt.Sprintf("%d: ", s.now.Unix()-1e6)+fmt.Sprintf(format, args...))
	if len(s.log) > 40 {
		s.log = s.log[1:]
	}
}

func (s *sim) fail(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%d s: %s\n%s\n%s", s.now.Unix()-1e6, fmt.Sprintf(format, args...), strings.Join(s.log, "\n"), s.dump())
}

func (s *sim) dump() string {
	var out []string
	for i, l := range s.levels {
		out = append(out, fmt.Sprintf("%s<%d limit %.1f amps %.1f other %.1f", l.name, l.parent, l.limit, s.amps(i), l.other))
	}
	for _, l := range s.loads {
		out = append(out, fmt.Sprintf("%s on %s lines %v now %.1f wish %.1f full %.1f api %t lies %t welded %t falls %s rises %s off %t", l.name, s.levels[l.bank].name, l.lines, l.now, l.wish, l.full, l.api, l.lies, l.welded, l.falls, l.rises, l.off))
	}
	return strings.Join(out, "\n")
}

// chain is the bank of a load and all above it.
func (s *sim) chain(bank int) []int {
	var out []int
	for i := bank; i >= 0; i = s.levels[i].parent {
		out = append(out, i)
	}
	return out
}

// amps is what the lines of a level truly carry.
func (s *sim) amps(level int) []float64 {
	out := make([]float64, 3)
	for i, l := range s.levels {
		if slices.Contains(s.chain(i), level) {
			for k, a := range l.other {
				out[k] += a
			}
		}
	}
	for _, l := range s.loads {
		if slices.Contains(s.chain(l.bank), level) {
			for _, k := range l.lines {
				out[k] += l.now
			}
		}
	}
	return out
}

func (s *sim) share(level int) (line int, share float64) {
	for k, a := range s.amps(level) {
		if a/s.levels[level].limit > share {
			line, share = k, a/s.levels[level].limit
		}
	}
	return line, share
}

func (s *sim) load(name string) *simLoad {
	return s.loads[slices.IndexFunc(s.loads, func(l *simLoad) bool { return l.name == name })]
}

// move lets the watts follow what was told.
func (s *sim) move() {
	for _, l := range s.loads {
		if !l.change.IsZero() && !s.now.Before(l.change) {
			l.change = time.Time{}
			if l.off {
				l.now = 0
			} else {
				l.now = l.wish
			}
		}
		if l.draws() && l.grows > 0 {
			l.wish = min(l.full, l.wish+l.grows)
			l.now = l.wish
		}
	}
}

// report is what is measured now, as the controller is told it.
func (s *sim) report() (levels []bandLevel, loads []bandLoad) {
	for i, l := range s.levels {
		bl := bandLevel{name: l.name, limitA: l.limit, lines: []string{"L1", "L2", "L3"}, amps: s.amps(i), at: s.now}
		if s.lied == i {
			for k := range bl.amps {
				bl.amps[k] += 0.5 * l.limit
			}
		}
		levels = append(levels, bl)
	}
	s.lied = -1
	for _, l := range s.loads {
		ld := bandLoad{node: l.name, worth: l.worth, draws: l.draws()}
		for _, i := range s.chain(l.bank) {
			for _, k := range l.lines {
				ld.parts = append(ld.parts, bandPart{i, k, l.now, l.full})
			}
		}
		if ld.draws {
			ld.sleeps = l.api && !s.now.Before(l.busy)
			ld.cuts = !l.welded && !s.now.Before(l.cutBy) || l.welded && l.cutBy.IsZero() // a welded one is withdrawn after the first cut
		}
		loads = append(loads, ld)
	}
	return levels, loads
}

// cycle is one second.
func (s *sim) cycle() {
	s.now = s.now.Add(time.Second)
	s.move()
	levels, loads := s.report()
	for i, l := range levels {
		s.levels[i].note(s.now, l)
	}
	sheds, back, _ := s.b.step(s.now, levels, loads, s.frozen)
	for _, sh := range sheds {
		s.judgeShed(sh)
	}
	s.outstanding(loads)
	if len(back) > 0 {
		s.judgeReturn(back[0])
		s.b.rise(s.now, back[0])
	}
}

func (l *simLevel) note(now time.Time, r bandLevel) {
	_, share := r.fullest()
	l.seen = append(l.seen, sample{now, share})
	if len(l.seen) > 61 {
		l.seen = l.seen[1:]
	}
	n := len(l.seen)
	switch {
	case n > 1 && share >= 0.95 && l.seen[n-2].w >= 0.95:
		l.hot = true
	case share <= 0.90:
		l.hot = false
	}
}

func (s *sim) judgeShed(sh shedding) {
	l := s.load(sh.node)
	s.note("shed %s cut=%t: %s", sh.node, sh.cut, sh.why)
	hot, above := false, false
	for _, i := range s.chain(l.bank) {
		n := len(s.levels[i].seen)
		hot = hot || s.levels[i].hot
		above = above || s.levels[i].hot && s.levels[i].seen[n-1].w > 1
	}
	sleptSince := !l.sleptAt.IsZero() && l.sleptAt.After(l.backAt)
	switch {
	case !hot:
		s.fail("%s is shed, and none of its levels was at 95 %% in two samples in a row and has not been at 90 %% since", l.name)
	case !l.draws():
		s.fail("%s is shed and draws nothing", l.name)
	case s.now.Sub(l.shedAt) < l.grace:
		s.fail("%s is shed again after %s", l.name, s.now.Sub(l.shedAt))
	case sh.cut && !above && l.api && !sleptSince:
		s.fail("%s is cut at no more than 100 %%, has an interface, and was not told to sleep before", l.name)
	case !sh.cut && !l.api:
		s.fail("%s has no interface and is told to sleep", l.name)
	}
	l.shedAt, l.sheds = s.now, l.sheds+1
	if sh.cut {
		l.grace, l.cutBy, l.busy = 2*time.Second, s.now.Add(5*time.Second), s.now.Add(5*time.Second)
		if !l.welded {
			l.off, l.change = true, s.now.Add(300*time.Millisecond)
		}
		return
	}
	l.grace, l.sleptAt, l.busy = 10*time.Second, s.now, s.now.Add(30*time.Second)
	if !l.lies && !l.welded {
		l.off, l.change = true, s.now.Add(l.falls)
	}
}

func (s *sim) judgeReturn(node string) {
	l := s.load(node)
	s.note("return %s", node)
	switch {
	case s.frozen:
		s.fail("%s comes back while too much is not measured", node)
	case s.now.Sub(s.last) < 5*time.Second:
		s.fail("two returns %s apart", s.now.Sub(s.last))
	case l.sheds == 0:
		s.fail("%s comes back and was not shed", node)
	case !l.off:
		s.fail("%s comes back and was not gone", node)
	}
	for _, i := range s.chain(l.bank) {
		lv := s.levels[i]
		if len(lv.seen) < 61 {
			s.fail("%s comes back after %d looks", node, len(lv.seen))
		}
		for _, x := range lv.seen[len(lv.seen)-60:] {
			if x.w >= 0.85 {
				s.fail("%s comes back, and %s was at %.1f %% %s ago", node, lv.name, 100*x.w, s.now.Sub(x.at))
			}
		}
		amps := s.amps(i)
		for _, k := range l.lines {
			if a := amps[k] - l.now + l.full; a > actAt*lv.limit+1e-9 {
				s.fail("%s comes back, which makes %.1f %% of line %d of %s", node, 100*a/lv.limit, k+1, lv.name)
			}
			for _, o := range s.loads { // what was told to come back and does not draw yet
				if o != l && !o.off && !o.change.IsZero() && slices.Contains(o.lines, k) && slices.Contains(s.chain(o.bank), i) {
					amps[k] += o.full - o.now
				}
			}
			if a := amps[k] - l.now + l.full; a > 1.0*lv.limit+1e-9 {
				s.fail("%s comes back, which with those that were told before makes %.1f %% of line %d of %s", node, 100*a/lv.limit, k+1, lv.name)
			}
		}
	}
	s.last, l.backAt, l.cycles = s.now, s.now, l.cycles+1
	l.off, l.change = false, s.now.Add(l.rises)
	l.busy = time.Time{}
}

// outstanding looks for a level that is high for long although something could be done.
func (s *sim) outstanding(loads []bandLoad) {
	for i, lv := range s.levels {
		line, share := s.share(i)
		if share <= 0.95 {
			lv.over = time.Time{}
			continue
		}
		if lv.over.IsZero() {
			lv.over = s.now
		}
		if s.now.Sub(lv.over) <= 15*time.Second {
			continue
		}
		could, out := "", false
		for j, l := range s.loads {
			if !slices.Contains(s.chain(l.bank), i) || !slices.Contains(l.lines, line) || !l.draws() {
				continue
			}
			out = out || s.now.Sub(l.shedAt) <= l.grace
			if loads[j].sleeps || loads[j].cuts {
				could = l.name
			}
		}
		if could != "" && !out {
			s.fail("%s is above 95 %% for %s, %s could be shed, and nothing is under way", lv.name, s.now.Sub(lv.over), could)
		}
	}
}

// drawSim makes a tree of two or three levels with loads that fill it to a share of its limits.
func drawSim(t *rapid.T, obedient bool) *sim {
	s := &sim{t: t, now: time.Unix(1e6, 0), lied: -1}
	chance := time.Duration(rapid.IntRange(0, 30).Draw(t, "jitter s")) * time.Second
	s.b = newBands(func() time.Duration { return chance })
	s.levels = []*simLevel{{name: "site", parent: -1}}
	deep := rapid.Bool().Draw(t, "three levels")
	banks := rapid.IntRange(1, 3).Draw(t, "banks")
	var at []int
	for i := range banks {
		parent := 0
		if deep {
			s.levels = append(s.levels, &simLevel{name: fmt.Sprintf("row-%d", i), parent: 0})
			parent = len(s.levels) - 1
		}
		s.levels = append(s.levels, &simLevel{name: fmt.Sprintf("bank-%d", i), parent: parent})
		at = append(at, len(s.levels)-1)
	}
	lines := rapid.IntRange(1, 3).Draw(t, "lines")
	for i := range rapid.IntRange(4, 12).Draw(t, "loads") {
		l := &simLoad{name: fmt.Sprintf("m%02d", i), bank: rapid.SampledFrom(at).Draw(t, "bank"), full: float64(rapid.IntRange(5, 20).Draw(t, "amps"))}
		l.lines = []int{rapid.IntRange(0, lines-1).Draw(t, "line")}
		if lines > 1 && rapid.IntRange(0, 3).Draw(t, "line to line") == 0 {
			l.lines = []int{l.lines[0], (l.lines[0] + 1) % lines}
		}
		l.wish = l.full
		l.api = rapid.Bool().Draw(t, "api")
		l.falls = time.Duration(rapid.IntRange(0, 9).Draw(t, "falls")) * time.Second
		l.rises = time.Duration(rapid.SampledFrom([]int{1, 5, 30, 120}).Draw(t, "rises")) * time.Second
		l.worth = worth{jth: float64(rapid.IntRange(0, 3).Draw(t, "jth")) * 10, idle: rapid.IntRange(0, 9).Draw(t, "idle") == 0}
		if !obedient {
			l.wish = l.full * rapid.Float64Range(0.5, 1).Draw(t, "wish")
			l.falls = time.Duration(rapid.IntRange(0, 12).Draw(t, "falls")) * time.Second
			l.lies = rapid.IntRange(0, 4).Draw(t, "lies") == 0
			l.welded = rapid.IntRange(0, 9).Draw(t, "welded") == 0
			if rapid.IntRange(0, 4).Draw(t, "grows") == 0 {
				l.grows = 0.05
			}
		}
		l.now = l.wish
		s.loads = append(s.loads, l)
	}
	for i, l := range s.levels {
		l.lines = lines
		l.other = make([]float64, 3)
		if i > 0 && l.name[0] == 'b' {
			for k := range lines {
				l.other[k] = float64(rapid.IntRange(0, 15).Draw(t, "other"))
			}
		}
	}
	for i, l := range s.levels {
		most := slices.Max(s.amps(i))
		l.limit = max(10, most/rapid.Float64Range(0.5, 0.9).Draw(t, "share"))
	}
	return s
}

func TestBandsWalk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSim(t, false)
		base := make([]float64, len(s.levels))
		for i, l := range s.levels {
			base[i] = l.limit
		}
		for range rapid.IntRange(3, 25).Draw(t, "acts") {
			i := rapid.IntRange(0, len(s.levels)-1).Draw(t, "level")
			switch rapid.IntRange(0, 6).Draw(t, "act") {
			case 0, 1:
				s.levels[i].limit = base[i] * rapid.Float64Range(0.5, 1).Draw(t, "limit")
				s.note("limit of %s: %.1f", s.levels[i].name, s.levels[i].limit)
			case 2:
				for j := range s.levels {
					s.levels[j].limit = base[j]
				}
				s.note("limits as before")
			case 3:
				s.frozen = !s.frozen
			case 4:
				s.lied = i
				s.note("a wrong sample of %s", s.levels[i].name)
			case 5:
				for k := range s.levels[i].lines {
					s.levels[i].other[k] = float64(rapid.IntRange(0, 30).Draw(t, "other"))
				}
				s.note("others on %s: %v", s.levels[i].name, s.levels[i].other)
			case 6:
			}
			for range rapid.SampledFrom([]int{1, 3, 20, 100, 200}).Draw(t, "seconds") {
				s.cycle()
			}
		}
	})
}

// With loads that obey and nothing that changes the controller comes to rest: what it brings back it does not shed again.
func TestBandsSettle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSim(t, true)
		i := rapid.IntRange(0, len(s.levels)-1).Draw(t, "level")
		limit := s.levels[i].limit
		_, share := s.share(i)
		s.levels[i].limit = limit * share / rapid.Float64Range(0.96, 1.6).Draw(t, "pushed to")
		for range rapid.IntRange(5, 300).Draw(t, "dip") {
			s.cycle()
		}
		s.levels[i].limit += (limit - s.levels[i].limit) * rapid.Float64Range(0, 1).Draw(t, "of it back")
		s.note("limit of %s: %.1f", s.levels[i].name, s.levels[i].limit)
		for _, l := range s.loads {
			l.cycles, l.sheds = min(l.sheds, 1), 0
			if l.off {
				l.sheds = 1
			}
		}
		returned := false
		for range 1800 {
			before := 0
			for _, l := range s.loads {
				before += l.sheds
			}
			s.cycle()
			after := 0
			for _, l := range s.loads {
				after += l.sheds
				returned = returned || l.backAt.Equal(s.now)
				if l.cycles > 2 {
					s.fail("%s has come back %d times", l.name, l.cycles)
				}
			}
			if returned && after > before {
				s.fail("it sheds what it has brought back itself")
			}
		}
	})
}

// The sums of loads.go.

// place is an outlet with what is measured on it.
type place struct {
	feed     string
	w, va, a float64 // below zero: not measured
	open     bool
	relay    bool // its relay is read
	metered  bool
	supply   int
	bad      bool // the meter fails
	rating   float64
	live     bool
}

// measuredRack is a snapshot of one PDU with these outlets.
func measuredRack(feeds []rack.Feed, nodes []rack.Node, places ...place) *Snapshot {
	now := time.Unix(1000, 0)
	l := &rack.Layout{Feeds: feeds, Nodes: nodes}
	p := rack.PDU{Name: "p", Period: time.Second}
	s := &Snapshot{At: now, Layout: l, Outlets: map[rack.OutletID]OutletView{}, Nodes: map[string]NodeView{}, Shared: map[rack.MeterID]SharedView{}, Banks: map[rack.BankID]rack.Reading{}, Boards: map[string]BoardView{}}
	read := func(v float64, bad bool) rack.Reading {
		r := rack.Reading{Value: v, At: now, Quality: rack.QualityOK}
		if bad {
			r.Quality = rack.QualityBad
		}
		return r
	}
	for i, x := range places {
		id := rack.OutletID{PDU: "p", N: i + 1}
		if x.rating == 0 {
			x.rating = 20
		}
		p.Outlets = append(p.Outlets, rack.Outlet{ID: id, Feed: x.feed, RatingA: x.rating, Continuous: 1, Metered: x.metered, Supply: x.supply})
		v := OutletView{Live: x.live}
		if x.relay {
			v.Relay = read(boolean(!x.open), false)
		}
		if x.metered {
			v.W = read(x.w, x.bad)
			if x.va > 0 {
				v.VA = read(x.va, x.bad)
			}
			if x.a > 0 {
				v.A = read(x.a, x.bad)
			}
		}
		s.Outlets[id] = v
	}
	l.PDUs = []rack.PDU{p}
	return s
}

func outletIDs(n ...int) (out []rack.OutletID) {
	for _, i := range n {
		out = append(out, rack.OutletID{PDU: "p", N: i})
	}
	return out
}

func threePhases() []rack.Feed {
	return []rack.Feed{
		{Name: "row", Lines: []string{"L1", "L2", "L3"}, VoltsV: 400, RatingA: 100, Continuous: 1},
		{Name: "a", Parent: "row", Lines: []string{"L1"}, VoltsV: 230, RatingA: 50, Continuous: 1},
		{Name: "b", Parent: "row", Lines: []string{"L2"}, VoltsV: 230, RatingA: 50, Continuous: 1},
		{Name: "ab", Parent: "row", Lines: []string{"L1", "L2"}, VoltsV: 400, RatingA: 50, Continuous: 1},
	}
}

func asic(name string, maxW float64, on ...int) rack.Node {
	return rack.Node{Name: name, Class: rack.ClassASIC, Outlets: outletIDs(on...), MaxW: maxW}
}

func TestMeasuredLevels(t *testing.T) {
	const v = 230 * voltageMargin
	on := func(feed string, w float64) place { return place{feed: feed, w: w, metered: true, relay: true} }
	bad := func(feed string) place { return place{feed: feed, metered: true, relay: true, bad: true} }
	for _, c := range []struct {
		name   string
		nodes  []rack.Node
		places []place
		supply map[int]float64
		want   string // amperes of "row L1/L2/L3, a, b, ab"
		silent float64
	}{
		{"one on L1", []rack.Node{asic("m", 4000, 1)}, []place{on("a", v*10)}, nil, "row L1 10; a L1 10", 0},
		{"line to line counts on both", []rack.Node{asic("m", 4000, 1)}, []place{on("ab", 3800)}, nil, "row L1 10 L2 10; ab L1 10 L2 10", 0},
		{
			"sums by line",
			[]rack.Node{asic("m", 4000, 1), asic("n", 4000, 2), asic("o", 4000, 3)},
			[]place{on("a", v*10), on("b", v*4), on("ab", 1900)},
			nil,
			"row L1 15 L2 9; a L1 10; b L2 4; ab L1 5 L2 5", 0,
		},
		{"a pair that is measured counts as it draws", []rack.Node{asic("m", 4000, 1, 2)}, []place{on("a", v*3), on("b", v*5)}, nil, "row L1 3 L2 5; a L1 3; b L2 5", 0},
		{"a pair on one line", []rack.Node{asic("m", 4000, 1, 2)}, []place{on("a", v*3), on("a", v*5)}, nil, "row L1 8; a L1 8", 0},
		{"half of a pair is silent: whole on each line", []rack.Node{asic("m", v*12, 1, 2)}, []place{on("a", v*3), bad("b")}, nil, "row L1 12 L2 12; a L1 12; b L2 12", 1},
		{"a silent pair on one line counts once", []rack.Node{asic("m", v*12, 1, 2)}, []place{bad("a"), bad("a")}, nil, "row L1 12; a L1 12", 1},
		{
			"a silent pair on two banks of one line",
			[]rack.Node{asic("m", v*12, 1, 2)},
			[]place{bad("a"), bad("ab")},
			nil,
			fmt.Sprintf("row L1 12 L2 %.4g; a L1 12; ab L1 %.4g L2 %.4g", v*12/380, v*12/380, v*12/380), 1,
		},
		{"a silent one behind an open relay", []rack.Node{asic("m", v*12, 1)}, []place{{feed: "a", metered: true, relay: true, open: true, bad: true}}, nil, "row L1 12; a L1 12", 1},
		{"no meter and an open relay", []rack.Node{asic("m", v*12, 1)}, []place{{feed: "a", relay: true, open: true}}, nil, "row L1 0; a L1 0", 0},
		{"no meter, a load behind an open relay", []rack.Node{asic("m", v*12, 1)}, []place{{feed: "a", relay: true, open: true, live: true}}, nil, "row L1 12; a L1 12", -1},
		{"current is preferred", []rack.Node{asic("m", 4000, 1)}, []place{{feed: "a", metered: true, relay: true, w: v * 10, va: v * 11, a: 10.5}}, nil, "row L1 10.5; a L1 10.5", 0},
		{"else apparent power", []rack.Node{asic("m", 4000, 1)}, []place{{feed: "a", metered: true, relay: true, w: v * 10, va: v * 11}}, nil, "row L1 11; a L1 11", 0},
		{"nothing flows back", []rack.Node{asic("m", 4000, 1)}, []place{on("a", -500)}, nil, "row L1 0; a L1 0", 0},
		{"a stray is measured", nil, []place{on("a", v*2)}, nil, "row L1 2; a L1 2", 0},
		{"a silent stray counts with its outlet", nil, []place{{feed: "b", metered: true, bad: true, relay: true, rating: 16}}, nil, "row L2 16; b L2 16", 1},
		{
			"a shared meter by reservation",
			[]rack.Node{asic("m", 3000, 1), asic("n", 1000, 2)},
			[]place{{feed: "a", supply: 1, relay: true}, {feed: "b", supply: 1, relay: true}},
			map[int]float64{1: v * 8},
			"row L1 6 L2 2; a L1 6; b L2 2", 0,
		},
		{
			"a shared meter, one open",
			[]rack.Node{asic("m", 3000, 1), asic("n", 1000, 2)},
			[]place{{feed: "a", supply: 1, relay: true}, {feed: "b", supply: 1, relay: true, open: true}},
			map[int]float64{1: v * 8},
			"row L1 8 L2 0; a L1 8; b L2 0", 0,
		},
		{
			"a shared meter that shows a load behind open relays",
			[]rack.Node{asic("m", 3000, 1), asic("n", 3000, 2)},
			[]place{{feed: "a", supply: 1, relay: true, open: true}, {feed: "a", supply: 1, relay: true, open: true}},
			map[int]float64{1: v * 8},
			"row L1 8; a L1 8", 0,
		},
		{
			"a silent shared meter",
			[]rack.Node{asic("m", v*12, 1), asic("n", v*4, 2)},
			[]place{{feed: "a", supply: 1, relay: true}, {feed: "b", supply: 1, relay: true}},
			nil, "row L1 12 L2 4; a L1 12; b L2 4", 1,
		},
		{"a fifth of the rack is silent", []rack.Node{asic("m", v*10, 1), asic("n", v*40, 2)}, []place{bad("a"), on("b", v*40)}, nil, "row L1 10 L2 40; a L1 10; b L2 40", 0.2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := measuredRack(threePhases(), c.nodes, c.places...)
			for n, w := range c.supply {
				s.Shared[rack.MeterID{PDU: "p", N: n}] = SharedView{W: rack.Reading{Value: w, At: s.At, Quality: rack.QualityOK}}
			}
			draws := s.draws(s.At)
			levels, places := s.measuredLevels(draws)
			var got []string
			for _, l := range levels {
				var lines []string
				for i, name := range l.lines {
					lines = append(lines, fmt.Sprintf("%s %.4g", name, math.Round(l.amps[i]*1e9)/1e9))
				}
				slices.Sort(lines)
				if len(lines) > 0 {
					got = append(got, l.name+" "+strings.Join(lines, " "))
				}
			}
			if strings.Join(got, "; ") != c.want {
				t.Errorf("got  %s\nwant %s", strings.Join(got, "; "), c.want)
			}
			if share := silentShare(draws); c.silent >= 0 && math.Abs(share-c.silent) > 1e-9 {
				t.Errorf("silent %.3f, want %.3f", share, c.silent)
			}
			// The parts of all draws are what the levels carry.
			sums := map[[2]int]float64{}
			for _, parts := range places {
				for _, p := range parts {
					sums[[2]int{p.level, p.line}] += p.amps
				}
			}
			for i, l := range levels {
				for k, a := range l.amps {
					if math.Abs(a-sums[[2]int{i, k}]) > 1e-9 {
						t.Errorf("%s line %d carries %.2f A, its parts make %.2f A", l.name, k, a, sums[[2]int{i, k}])
					}
				}
			}
		})
	}
}

// What is not measured is more than a silent meter: an outlet that never had one.
func TestUnmeteredIsNotMeasured(t *testing.T) {
	const v = 230 * voltageMargin
	s := measuredRack(threePhases(), []rack.Node{asic("m", v*12, 1), asic("n", v*12, 2)},
		place{feed: "a", metered: true, relay: true, w: v * 12}, place{feed: "b", relay: true})
	if share := silentShare(s.draws(s.At)); math.Abs(share-0.5) > 1e-9 {
		t.Errorf("half of what is drawn is taken from reservations; not measured: %.2f", share)
	}
	s = measuredRack(threePhases(), nil, place{feed: "a", relay: true, rating: 16})
	for _, u := range s.Feeds(s.At) {
		if u.MeasuredW > 0 && u.AssumedW != u.MeasuredW {
			t.Errorf("%s: %.0f W of a stray outlet without a meter, assumed %.0f", u.Feed, u.MeasuredW, u.AssumedW)
		}
	}
}

// One wrong sample of one meter is one, also where another meter is sampled in between.
func TestAWrongSampleIsOne(t *testing.T) {
	const v = 230 * voltageMargin
	s := measuredRack(threePhases()[:2], []rack.Node{asic("m", v*60, 1), asic("n", v*20, 2)},
		place{feed: "a", metered: true, relay: true, w: v * 55}, place{feed: "a", metered: true, relay: true, w: v * 5})
	b := newBands(func() time.Duration { return 0 })
	cut := func() []shedding {
		levels, places := s.measuredLevels(s.draws(s.At))
		var loads []bandLoad
		for i, n := range s.Layout.Nodes {
			loads = append(loads, bandLoad{node: n.Name, parts: places[i], draws: true, cuts: true})
		}
		sheds, _, _ := b.step(s.At, levels, loads, false)
		return sheds
	}
	var got []shedding
	got = append(got, cut()...)
	s.At = s.At.Add(time.Second) // only the other meter has a new sample
	o := rack.OutletID{PDU: "p", N: 2}
	view := s.Outlets[o]
	view.W.At = s.At
	s.Outlets[o] = view
	got = append(got, cut()...)
	if len(got) > 0 {
		t.Errorf("%s by a single sample of outlet 1, because outlet 2 was sampled since", names(got))
	}
}
