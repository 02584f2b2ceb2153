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

// Reservation is what a node counts for at every level of its feed: 0 only when proven off; else the configured
// maximum, or the measured maximum of the last minute where that is higher; plus its surge while it starts.
func (s *Snapshot) Reservation(n rack.Node, now time.Time) float64 {
	v := s.Nodes[n.Name]
	if !v.Starting && s.ProvenOff(n) {
		return 0
	}
	w := max(n.MaxW, v.PeakW)
	if v.Starting || now.Before(v.SurgeUntil) {
		w += n.SurgeW
	}
	return w
}

// startW is what a node counts for while it starts.
func (s *Snapshot) startW(n rack.Node) float64 { return max(n.MaxW, s.Nodes[n.Name].PeakW) + n.SurgeW }

// loads sums every level that the node's outlets hang on. Nodes named in instead count as given there.
func (s *Snapshot) loads(n rack.Node, instead map[string]float64, now time.Time) []rack.FeedLoad {
	var out []rack.FeedLoad
	for _, level := range s.levelsOf(n) {
		out = append(out, s.levelLoad(level, instead, now))
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

// levelLoad counts every node below a level once and whole on each line that any of its outlets is connected to.
// A line-to-line load counts on both lines.
func (s *Snapshot) levelLoad(level rack.Feed, instead map[string]float64, now time.Time) rack.FeedLoad {
	amps := make(map[string]float64)
	load := rack.FeedLoad{Feed: level.Name, LimitA: level.LimitA()}
	for _, n := range s.Layout.Nodes {
		w, ok := instead[n.Name]
		if !ok {
			w = s.Reservation(n, now)
		}
		lines := s.linesBelow(n, level.Name)
		if len(lines) == 0 {
			continue
		}
		load.W += w
		for line, volts := range lines {
			amps[line] += w / (volts * voltageMargin)
		}
	}
	s.addStrays(level, &load, amps)
	for _, a := range amps {
		load.A = max(load.A, a)
	}
	return load
}

// addStrays counts outlets that feed no configured node: what they carry now, or all they may where that is not known.
func (s *Snapshot) addStrays(level rack.Feed, load *rack.FeedLoad, amps map[string]float64) {
	for _, p := range s.Layout.PDUs {
		for _, o := range p.Outlets {
			if _, ok := s.Layout.NodeOf(o.ID); ok || !below(s.Layout, o.Feed, level.Name) {
				continue
			}
			bank, _ := s.Layout.Feed(o.Feed)
			w, fresh := s.Watts(o.ID)
			if !fresh {
				w = o.LimitA() * bank.VoltsV
			}
			load.W += max(0, w)
			for _, line := range bank.Lines {
				amps[line] += max(0, w) / (bank.VoltsV * voltageMargin)
			}
		}
	}
}

// below tells whether a feed is a level or hangs below it.
func below(l *rack.Layout, feed, level string) bool {
	return slices.ContainsFunc(l.Levels(feed), func(f rack.Feed) bool { return f.Name == level })
}

// linesBelow gives the lines the node loads at a level, each with the lowest nominal voltage it is fed at.
func (s *Snapshot) linesBelow(n rack.Node, level string) map[string]float64 {
	lines := make(map[string]float64)
	for _, id := range n.Outlets {
		o, ok := s.Layout.Outlet(id)
		if !ok {
			continue
		}
		if !below(s.Layout, o.Feed, level) {
			continue
		}
		bank, _ := s.Layout.Feed(o.Feed)
		for _, line := range bank.Lines {
			if v, seen := lines[line]; !seen || bank.VoltsV < v {
				lines[line] = bank.VoltsV
			}
		}
	}
	return lines
}

// overLimit refuses a start that would take a level of the feed, or the outlet itself, above its continuous
// limit (S2). Levels that are above it already refuse every start below them.
func (s *Snapshot) overLimit(n rack.Node, on rack.OutletID, now time.Time) *rack.Refusal {
	for _, l := range s.loads(n, map[string]float64{n.Name: s.startW(n)}, now) {
		if l.A > l.LimitA {
			return &rack.Refusal{Code: rack.CodeLimitExceeded, Text: fmt.Sprintf(
				"feed %s would carry %.1f A of reservations (%.0f W), its continuous limit is %.1f A", l.Feed, l.A, l.W, l.LimitA)}
		}
	}
	o, ok := s.Layout.Outlet(on)
	if !ok {
		return nil
	}
	bank, ok := s.Layout.Feed(o.Feed)
	if !ok {
		return &rack.Refusal{Code: rack.CodeLimitExceeded, Text: "outlet " + on.String() + " has no feed, so its limit is not known"}
	}
	if a := s.startW(n) / (bank.VoltsV * voltageMargin); a > o.LimitA() {
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
