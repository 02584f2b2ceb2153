package power

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// The feed controller keeps every level of the feed below its continuous limit by shedding miners, and brings them back. It is
// a plain machine: it is told what is measured and answers what is to be shed or may come back; FEEDS.md describes it.
//
// Three bands, in shares of the continuous limit: it acts at actAt, brings the level to bringTo, and gives back below releaseAt.
// Source: the shape is Dynamo's (ISCA 2016, three-band control along the breaker tree), the figures are the design's.
const (
	actAt     = 0.95
	bringTo   = 0.90
	releaseAt = 0.85

	// calmFor is how long a level has to be below releaseAt before anything comes back, and spread by how much longer at most,
	// by chance: racks that share a feeder do not come back at once.
	calmFor = 60 * time.Second
	spread  = 30 * time.Second
	// stepGap is the pause between two steps upward.
	stepGap = 5 * time.Second

	// samplesToAct is how many looks in a row have to show a level at actAt: one sample may be wrong. Arbitrary: two meters'
	// periods are 2 s of the 3 s that there are.
	samplesToAct = 2
	// fellBy and sleepGrace are how long a node that was told is taken as gone although it is still measured to draw. After
	// that others go in its place, and one that was told to sleep is cut. A breaker bears 10 % for minutes; 10 s is the design's.
	fellBy     = 2 * time.Second
	sleepGrace = 10 * time.Second

	// backBy is how long a node that was told to come back has until it is told again, backTries how often. Sources: the longest
	// of any dialect to wake is 900 s; ten times is proto-fleet's.
	backBy    = 15 * time.Minute
	backTries = 10
)

// bandLevel is one level of the feed as measured.
type bandLevel struct {
	name   string
	limitA float64
	lines  []string
	amps   []float64 // of each line
	at     time.Time // of the oldest sample in it that shows a load: what is newer alone makes no second sample of the others
	depth  int       // levels above it
}

// fullest is the line that carries most, and how much of the limit that is.
func (l bandLevel) fullest() (line int, share float64) {
	for i, a := range l.amps {
		if l.limitA > 0 && a/l.limitA > share {
			line, share = i, a/l.limitA
		}
	}
	return line, share
}

// bandPart is what a load adds to one line of one level.
type bandPart struct {
	level, line int
	amps        float64 // now
	full        float64 // at its reservation
}

// bandLoad is a node that may be shed: only interruptible ones are told to the controller.
type bandLoad struct {
	node  string
	parts []bandPart
	draws bool // more than a sleeping miner
	worth worth
	// What may be done to it now.
	sleeps, cuts bool
	blind        bool // not all of it is measured
	busy         bool // a command of the agent's own that lowers it is under way
	foreign      bool // somebody else's command that lowers it is under way
}

// worth orders loads: what costs least to lose goes first.
type worth struct {
	idle    bool    // it draws and hashes nothing
	jth     float64 // J/TH; 0: not known
	restart time.Duration
}

func cheapest(a, b bandLoad) int {
	if a.worth.idle != b.worth.idle {
		if a.worth.idle {
			return -1
		}
		return 1
	}
	if known := a.worth.jth > 0; known != (b.worth.jth > 0) {
		if known {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(b.worth.jth, a.worth.jth), cmp.Compare(a.worth.restart, b.worth.restart), cmp.Compare(a.node, b.node))
}

// bands is the controller's state.
type bands struct {
	levels map[string]*bandState
	shed   map[string]*bandShed // by node
	rooms  map[string][]room    // by node that may come back now: what it takes
	raised time.Time            // the last step upward
	jitter func() time.Duration // up to spread
}

type bandState struct {
	seen   int // samples in a row at actAt
	at     time.Time
	acting bool
	bare   bool      // nothing is left to shed, and that was told
	calm   time.Time // below releaseAt since then; zero: it is not
	wait   time.Duration
	// The ramp: what may still come back, in shares of the limit; below zero what has come too much and is waited for.
	minute, moment float64
	filled         time.Time
}

// bandShed is a node that the controller has shed.
type bandShed struct {
	worth   worth     // when it was shed
	until   time.Time // it counts as gone until then; once told to come back: it has until then
	back    bool      // it has been told to come back
	tries   int       // so often
	given   bool      // up, and told so
	cut     bool      // some outlet was cut, too
	foreign bool      // somebody else was lowering it at the same time: it is not brought back
}

// shedding is what the controller wants of one node.
type shedding struct {
	node string
	cut  bool
	why  string
}

// banded is something about a level that a person should know.
type banded struct {
	level string
	node  string // that does not come back; empty: it is about the level
	high  bool   // it is at actAt; else back at bringTo
	bare  bool   // nothing is left to shed
	text  string
}

// room is a share of the limit of a level.
type room struct {
	level string
	share float64
}

func newBands(jitter func() time.Duration) *bands {
	return &bands{levels: map[string]*bandState{}, shed: map[string]*bandShed{}, jitter: jitter}
}

// step looks at all levels at one moment. back lists the nodes that may come back now, the most valuable first, of which one
// may be told; rise notes that it was. frozen: too much is not measured for anything to come back.
func (b *bands) step(now time.Time, levels []bandLevel, loads []bandLoad, frozen bool) (sheds []shedding, back []string, told []banded) {
	b.seeBack(now, loads)
	left := b.project(now, levels, loads)
	for _, i := range deepestFirst(levels) { // what relieves a bank relieves what is above it
		l := levels[i]
		st := b.state(l.name)
		st.fill(now)
		told = append(told, st.look(now, l, b.jitter)...)
		if !st.acting {
			continue
		}
		s, bare := b.bring(now, i, levels, left, loads)
		sheds = append(sheds, s...)
		if bare && !st.bare {
			told = append(told, banded{level: l.name, high: true, bare: true, text: "nothing is left on it that may be shed"})
		}
		st.bare = bare
	}
	told = append(told, b.givenUp(now)...)
	if !frozen && now.Sub(b.raised) >= stepGap {
		back = b.mayReturn(now, levels, left, loads)
	}
	return sheds, back, told
}

func deepestFirst(levels []bandLevel) []int {
	out := make([]int, len(levels))
	for i := range out {
		out[i] = i
	}
	slices.SortStableFunc(out, func(a, b int) int { return cmp.Compare(levels[b].depth, levels[a].depth) })
	return out
}

// The ramp of what comes back: a fifth of the limit in a minute, and a tenth in 5 s (design, section 7). Both are saved up to
// that; while both are above zero a node may come back whole, and what it takes too much is waited for.
const (
	rampMinute = 0.2
	rampMoment = 0.1
	moment     = 5 * time.Second
)

func (st *bandState) fill(now time.Time) {
	if st.filled.IsZero() {
		st.minute, st.moment = rampMinute, rampMoment
	} else {
		d := now.Sub(st.filled)
		st.minute = min(rampMinute, st.minute+rampMinute*float64(d)/float64(time.Minute))
		st.moment = min(rampMoment, st.moment+rampMoment*float64(d)/float64(moment))
	}
	st.filled = now
}

// givenUp tells once of nodes that did not come back.
func (b *bands) givenUp(now time.Time) (told []banded) {
	for _, node := range slices.Sorted(maps.Keys(b.shed)) {
		if s := b.shed[node]; s.tries >= backTries && !s.given && !now.Before(s.until) {
			s.given = true
			told = append(told, banded{node: node, text: fmt.Sprintf("%s was told to come back %d times and does not draw: a person has to look at it", node, backTries)})
		}
	}
	return told
}

func (b *bands) state(level string) *bandState {
	st := b.levels[level]
	if st == nil {
		st = &bandState{}
		b.levels[level] = st
	}
	return st
}

// look follows one level through its bands.
func (st *bandState) look(now time.Time, l bandLevel, jitter func() time.Duration) []banded {
	line, share := l.fullest()
	switch {
	case share < actAt:
		st.seen = 0
	case l.at.After(st.at):
		st.seen++
	}
	st.at = l.at
	switch {
	case share >= releaseAt:
		st.calm = time.Time{}
	case st.calm.IsZero():
		st.calm, st.wait = now, calmFor+jitter()
	}
	switch {
	case !st.acting && st.seen >= samplesToAct:
		st.acting = true
		return []banded{{level: l.name, high: true, text: l.words(line, share)}}
	case st.acting && share <= bringTo:
		st.acting, st.bare = false, false
		return []banded{{level: l.name, text: l.words(line, share)}}
	}
	return nil
}

func (l bandLevel) words(line int, share float64) string {
	at := ""
	if len(l.lines) > 0 {
		at = " on " + l.lines[line]
	}
	return fmt.Sprintf("feed %s carries %.1f A%s, %.1f %% of its continuous limit of %.1f A", l.name, share*l.limitA, at, 100*share, l.limitA)
}

// project is what the lines will carry once the nodes that were told a moment ago are gone.
func (b *bands) project(now time.Time, levels []bandLevel, loads []bandLoad) [][]float64 {
	left := make([][]float64, len(levels))
	for i, l := range levels {
		left[i] = slices.Clone(l.amps)
	}
	for _, ld := range loads {
		if s := b.shed[ld.node]; s != nil && !s.back && now.Before(s.until) {
			ld.leave(left)
		}
	}
	return left
}

// leave takes a load off the lines.
func (ld bandLoad) leave(left [][]float64) {
	for _, p := range ld.parts {
		left[p.level][p.line] -= p.amps
	}
}

// on is what a load adds to a line of a level.
func (ld bandLoad) on(level, line int) float64 {
	for _, p := range ld.parts {
		if p.level == level && p.line == line {
			return p.amps
		}
	}
	return 0
}

// bring chooses what goes until a level is at bringTo, from its fullest line, the cheapest first. bare: that cannot be done.
func (b *bands) bring(now time.Time, level int, levels []bandLevel, left [][]float64, loads []bandLoad) (sheds []shedding, bare bool) {
	l := levels[level]
	_, measured := l.fullest()
	stuck := make([]float64, len(l.lines))
	for {
		will := bandLevel{name: l.name, limitA: l.limitA, lines: l.lines, amps: slices.Clone(left[level])}
		for i := range stuck {
			if stuck[i] > 0 {
				will.amps[i] = 0
			}
		}
		line, share := will.fullest()
		if share <= bringTo {
			return sheds, bare
		}
		ld, ok := b.choose(now, level, line, loads)
		if !ok {
			stuck[line], bare = 1, true
			continue
		}
		old := b.shed[ld.node]
		told := old != nil && !old.back
		cut := ld.cuts && (measured > 1 || !ld.sleeps || told)
		grace := sleepGrace
		if cut {
			grace = fellBy
		}
		b.shed[ld.node] = &bandShed{worth: ld.worth, until: now.Add(grace), cut: cut || told && old.cut, foreign: ld.foreign || told && old.foreign}
		ld.leave(left)
		mline, mshare := l.fullest()
		sheds = append(sheds, shedding{node: ld.node, cut: cut, why: fmt.Sprintf("%s: at %.0f %% miners are shed down to %.0f %%, the cheapest first; %s takes %.1f A off %s",
			l.words(mline, mshare), 100*actAt, 100*bringTo, ld.named(), ld.on(level, line), lineName(l, line))})
	}
}

func lineName(l bandLevel, line int) string {
	if line < len(l.lines) {
		return l.lines[line]
	}
	return l.name
}

// named tells a load with what it was chosen by.
func (ld bandLoad) named() string {
	switch {
	case ld.worth.idle:
		return ld.node + " (it hashes nothing)"
	case ld.worth.jth > 0:
		return fmt.Sprintf("%s (%.1f J/TH)", ld.node, ld.worth.jth)
	}
	return ld.node + " (its J/TH is not known)"
}

// choose finds the cheapest load on a line that may be shed and was not told a moment ago. One that was told to sleep before
// and still draws can only be cut.
func (b *bands) choose(now time.Time, level, line int, loads []bandLoad) (best bandLoad, ok bool) {
	for _, ld := range loads {
		s := b.shed[ld.node]
		told := s != nil && !s.back
		switch {
		case ld.on(level, line) <= 0 || !ld.draws || told && now.Before(s.until):
		case !ld.cuts && !ld.sleeps:
		case !ok || cheapest(ld, best) < 0:
			best, ok = ld, true
		}
	}
	return best, ok
}

// seeBack forgets nodes that draw again: they were told to come back, or somebody else has brought them back.
func (b *bands) seeBack(now time.Time, loads []bandLoad) {
	for _, ld := range loads {
		s := b.shed[ld.node]
		switch {
		case s == nil || !ld.draws || ld.blind:
		case s.back && (ld.came() || !now.Before(s.until)), !s.back && !now.Before(s.until) && !ld.busy && !b.anyActing():
			delete(b.shed, ld.node)
		}
	}
}

// came tells whether it draws about what it may.
func (ld bandLoad) came() bool {
	return slices.ContainsFunc(ld.parts, func(p bandPart) bool { return p.amps >= wokenShare*p.full })
}

func (b *bands) anyActing() bool {
	for _, st := range b.levels {
		if st.acting {
			return true
		}
	}
	return false
}

// mayReturn lists the nodes shed by the controller that all their levels have room for, the most valuable first.
func (b *bands) mayReturn(now time.Time, levels []bandLevel, left [][]float64, loads []bandLoad) []string {
	var free []bandLoad
	b.rooms = make(map[string][]room)
	for i, l := range levels { // what was shed and is not gone yet makes no room
		left[i] = slices.Clone(l.amps)
	}
	for _, ld := range loads { // what was told to come back takes its room
		if s := b.shed[ld.node]; s != nil && s.back && now.Before(s.until) {
			for _, p := range ld.parts {
				left[p.level][p.line] += max(0, p.full-p.amps)
			}
		}
	}
	for _, ld := range loads {
		s := b.shed[ld.node]
		if s == nil || s.foreign || ld.draws || now.Before(s.until) || s.tries >= backTries {
			continue
		}
		ld.worth = s.worth // of now it has none
		if !slices.ContainsFunc(ld.parts, func(p bandPart) bool {
			l, st := levels[p.level], b.state(levels[p.level].name)
			return st.calm.IsZero() || now.Sub(st.calm) < st.wait || st.minute <= 0 || st.moment <= 0 || left[p.level][p.line]-p.amps+p.full >= actAt*l.limitA
		}) {
			free = append(free, ld)
			b.rooms[ld.node] = ld.rooms(levels)
		}
	}
	slices.SortFunc(free, func(a, b bandLoad) int { return cheapest(b, a) })
	var out []string
	for _, ld := range free {
		out = append(out, ld.node)
	}
	return out
}

// rooms is what a load takes of each level, on the line where that is most.
func (ld bandLoad) rooms(levels []bandLevel) (out []room) {
	for i, l := range levels {
		most := 0.0
		for _, p := range ld.parts {
			if p.level == i && l.limitA > 0 {
				most = max(most, (p.full-p.amps)/l.limitA)
			}
		}
		out = append(out, room{l.name, most})
	}
	return out
}

// rise notes that a node was told to come back.
func (b *bands) rise(now time.Time, node string) {
	b.raised = now
	for _, r := range b.rooms[node] {
		st := b.state(r.level)
		st.minute, st.moment = st.minute-r.share, st.moment-r.share
	}
	if s := b.shed[node]; s != nil {
		s.back, s.until = true, now.Add(backBy)
		s.tries++
	}
}

// forget gives a node up: a command of somebody else decides about it.
func (b *bands) forget(node string) { delete(b.shed, node) }
