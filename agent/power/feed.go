package power

import (
	"fmt"
	"slices"
	"time"

	"rackagent/agent/rack"
)

// voltageMargin lowers the nominal voltage when watts are turned into amperes: supply may sag by 5 % while a
// constant-power load draws more current (EN 50160 allows -10 %, arbitrary half of it).
const voltageMargin = 0.95

// sleepingW is what a miner that is proven asleep counts for at least.
const sleepingW = 50.0

// Reservation is what a node counts for at every level of its feed: 0 only when proven off; a miner that a command of ours
// has put to sleep and that is measured asleep for sleepingW or the measured maximum of the last minute; else the configured
// maximum, or the measured maximum of the last minute where that is higher; plus its surge while it starts.
func (s *Snapshot) Reservation(n rack.Node, now time.Time) float64 {
	v := s.Nodes[n.Name]
	if !v.Starting && s.ProvenOff(n) {
		return 0
	}
	if _, ours := s.kept(n, rack.OrderSlept); ours && !v.Starting && !now.Before(v.SurgeUntil) && s.sleeping(n) && s.saidSince(n) {
		return max(sleepingW, v.PeakW)
	}
	w := max(n.MaxW, v.PeakW)
	if v.Starting || now.Before(v.SurgeUntil) {
		w += n.SurgeW
	}
	return w
}

// saidSince tells whether the newest word of a miner is younger than the last write on any of its outlets: one that was
// without power since says nothing of now.
func (s *Snapshot) saidSince(n rack.Node) bool {
	return !slices.ContainsFunc(n.Outlets, func(o rack.OutletID) bool { return !s.Outlets[o].Written.Before(s.Nodes[n.Name].Asleep.At) })
}

// startW is what a node counts for once one of its outlets is closed: its maximum, and its surge unless that outlet is
// closed already, since then nothing starts.
func (s *Snapshot) startW(n rack.Node, on rack.OutletID, now time.Time) float64 {
	w := max(n.MaxW, s.Nodes[n.Name].PeakW)
	if closed, known := s.Closed(on); known && closed {
		return max(w, s.Reservation(n, now)) // it may be starting
	}
	return s.coldW(n)
}

// coldW is what a node counts for once it is closed after it has been open.
func (s *Snapshot) coldW(n rack.Node) float64 { return max(n.MaxW, s.Nodes[n.Name].PeakW) + n.SurgeW }

// ledger is what every level of the feed carries by reservation. It is made once for a judgement and then follows a plan
// node by node, so that the last of many nodes costs no more than the first.
type ledger struct {
	s     *Snapshot
	now   time.Time
	place map[string]int // of a node in the layout
	watts []float64      // what each node counts for, by its place
	books map[string]*levelBook
}

// levelBook is one level of the feed with what hangs below it.
type levelBook struct {
	feed   rack.Feed
	lines  []string // in the order in which loads named them
	nodes  []share
	strayW float64
	strays []float64 // amperes by line
}

// share is how a node loads a level: the lowest nominal voltage it is fed at on each line; 0: it is not on that line.
type share struct {
	node  int
	volts []float64
}

func (s *Snapshot) ledger(now time.Time) *ledger {
	l := &ledger{
		s: s, now: now, place: make(map[string]int, len(s.Layout.Nodes)), watts: make([]float64, len(s.Layout.Nodes)),
		books: make(map[string]*levelBook, len(s.Layout.Feeds)),
	}
	for i, n := range s.Layout.Nodes {
		l.place[n.Name], l.watts[i] = i, s.Reservation(n, now)
		for _, id := range n.Outlets {
			if o, ok := s.Layout.Outlet(id); ok {
				l.hang(i, o.Feed)
			}
		}
	}
	l.addStrays()
	return l
}

// hang notes that a node has an outlet on a bank. It counts once and whole on each line that any of its outlets is
// connected to; a line-to-line load counts on both lines.
func (l *ledger) hang(node int, feed string) {
	bank, _ := l.s.Layout.Feed(feed)
	for _, f := range l.s.Layout.Levels(feed) {
		b := l.book(f)
		if n := len(b.nodes); n == 0 || b.nodes[n-1].node != node {
			b.nodes = append(b.nodes, share{node: node})
		}
		sh := &b.nodes[len(b.nodes)-1]
		for _, line := range bank.Lines {
			i := b.line(line)
			for len(sh.volts) <= i {
				sh.volts = append(sh.volts, 0)
			}
			if sh.volts[i] == 0 || bank.VoltsV < sh.volts[i] {
				sh.volts[i] = bank.VoltsV
			}
		}
	}
}

func (l *ledger) book(f rack.Feed) *levelBook {
	b := l.books[f.Name]
	if b == nil {
		b = &levelBook{feed: f}
		l.books[f.Name] = b
	}
	return b
}

// line is the place of a line in the book.
func (b *levelBook) line(name string) int {
	if i := slices.Index(b.lines, name); i >= 0 {
		return i
	}
	b.lines, b.strays = append(b.lines, name), append(b.strays, 0)
	return len(b.lines) - 1
}

// addStrays counts outlets that feed no configured node: what they carry now, or all they may where that is not known.
func (l *ledger) addStrays() {
	for _, p := range l.s.Layout.PDUs {
		for _, o := range p.Outlets {
			if _, ok := l.s.Layout.NodeOf(o.ID); ok {
				continue
			}
			bank, _ := l.s.Layout.Feed(o.Feed)
			w, fresh := l.s.Watts(o.ID)
			if !fresh {
				w = o.LimitA() * bank.VoltsV
			}
			for _, f := range l.s.Layout.Levels(o.Feed) {
				b := l.book(f)
				b.strayW += max(0, w)
				for _, line := range bank.Lines {
					b.strays[b.line(line)] += max(0, w) / (bank.VoltsV * voltageMargin)
				}
			}
		}
	}
}

// set changes what a node counts for.
func (l *ledger) set(n rack.Node, w float64) {
	if i, ok := l.place[n.Name]; ok {
		l.watts[i] = w
	}
}

// get is what a node counts for.
func (l *ledger) get(n rack.Node) float64 {
	if i, ok := l.place[n.Name]; ok {
		return l.watts[i]
	}
	return 0
}

// load sums one level. Sums are made anew each time, so that nothing drifts.
func (l *ledger) load(level rack.Feed) rack.FeedLoad {
	out := rack.FeedLoad{Feed: level.Name, LimitA: level.LimitA()}
	b := l.books[level.Name]
	if b == nil {
		return out
	}
	amps := slices.Clone(b.strays)
	out.W = b.strayW
	for _, sh := range b.nodes {
		out.W += l.watts[sh.node]
		for i, v := range sh.volts {
			if v > 0 {
				amps[i] += l.watts[sh.node] / (v * voltageMargin)
			}
		}
	}
	for _, a := range amps {
		out.A = max(out.A, a)
	}
	return out
}

// loads sums every level that the node's outlets hang on.
func (l *ledger) loads(n rack.Node) []rack.FeedLoad {
	var out []rack.FeedLoad
	for _, level := range l.s.levelsOf(n) {
		out = append(out, l.load(level))
	}
	return out
}

// levelsOf lists every feed above any outlet of the node, once, nearest first.
func (s *Snapshot) levelsOf(n rack.Node) []rack.Feed {
	var out []rack.Feed
	for _, id := range n.Outlets {
		o, ok := s.Layout.Outlet(id)
		if !ok {
			continue
		}
		for _, f := range s.Layout.Levels(o.Feed) {
			if !slices.ContainsFunc(out, func(g rack.Feed) bool { return g.Name == f.Name }) {
				out = append(out, f)
			}
		}
	}
	return out
}

// overLimit refuses a start that would take a level of the feed, or the outlet itself, above its continuous
// limit (S2), with the node at w. Levels that are above it already refuse every start below them.
func (l *ledger) overLimit(n rack.Node, on rack.OutletID, w float64) *rack.Refusal {
	before := l.get(n)
	l.set(n, w)
	defer l.set(n, before)
	for _, is := range l.loads(n) {
		if is.A > is.LimitA {
			return &rack.Refusal{Code: rack.CodeLimitExceeded, Text: fmt.Sprintf(
				"feed %s would carry %.1f A of reservations (%.0f W), its continuous limit is %.1f A", is.Feed, is.A, is.W, is.LimitA)}
		}
	}
	o, ok := l.s.Layout.Outlet(on)
	if !ok {
		return nil
	}
	bank, ok := l.s.Layout.Feed(o.Feed)
	if !ok {
		return &rack.Refusal{Code: rack.CodeLimitExceeded, Text: "outlet " + on.String() + " has no feed, so its limit is not known"}
	}
	if a := w / (bank.VoltsV * voltageMargin); a > o.LimitA() {
		return &rack.Refusal{Code: rack.CodeLimitExceeded, Text: fmt.Sprintf(
			"outlet %s would carry %.1f A, its continuous limit is %.1f A", on, a, o.LimitA())}
	}
	return nil
}

// peak keeps the maximum of the last minute in six buckets of ten seconds.
type peak struct {
	buckets [6]float64
	slot    int64
}

const bucket = 10 * time.Second

// add notes a value and gives the maximum. Slots are counted from the machine's start.
func (p *peak) add(since time.Duration, w float64) float64 {
	slot := int64(since / bucket)
	for ; p.slot < slot; p.slot++ {
		p.buckets[(p.slot+1)%int64(len(p.buckets))] = 0
		if slot-p.slot > int64(len(p.buckets)) { // away for more than a minute: all are old
			p.buckets = [6]float64{}
			p.slot = slot - 1
		}
	}
	i := slot % int64(len(p.buckets))
	p.buckets[i] = max(p.buckets[i], w)
	return slices.Max(p.buckets[:])
}
