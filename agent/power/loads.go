package power

import (
	"slices"
	"time"

	"rackagent/agent/rack"
)

// draw is what is drawn on the lines of one bank, by measurement or in its place.
type draw struct {
	node  string // empty: by outlets that feed no configured node
	bank  rack.Feed
	amps  float64 // on each line of the bank
	watts float64
	full  float64 // amperes by reservation
	// whole: not all outlets of the node are measured, so that it counts by its reservation: once at each line of a level,
	// whatever the number of its outlets there.
	whole bool
	at    time.Time // of the sample
}

// draws lists what hangs on the banks, and what each node or stray outlet draws there.
func (s *Snapshot) draws(now time.Time) []draw {
	var out []draw
	for _, n := range s.Layout.Nodes {
		out = append(out, s.drawsOf(n, now)...)
	}
	for _, p := range s.Layout.PDUs {
		for _, o := range p.Outlets {
			if _, ok := s.Layout.NodeOf(o.ID); !ok {
				out = append(out, s.strayDraw(o))
			}
		}
	}
	return out
}

func (s *Snapshot) drawsOf(n rack.Node, now time.Time) []draw {
	reserved := s.Reservation(n, now)
	var out []draw
	whole := false
	for _, id := range n.Outlets {
		o, ok := s.Layout.Outlet(id)
		bank, known := s.Layout.Feed(o.Feed)
		if !ok || !known {
			continue
		}
		d := draw{node: n.Name, bank: bank, full: max(n.MaxW, s.Nodes[n.Name].PeakW) / (bank.VoltsV * voltageMargin)}
		var measured bool
		if d.amps, d.watts, d.at, measured = s.measuredDraw(o, bank); !measured {
			whole = true
		}
		out = append(out, d)
	}
	if !whole {
		return out
	}
	for i := range out {
		d := &out[i]
		d.whole, d.watts, d.amps = true, reserved/float64(len(out)), reserved/(d.bank.VoltsV*voltageMargin)
	}
	return out
}

// measuredDraw is what an outlet is measured to draw: by its own meter, by its share of the meter of its supply, or nothing
// behind an open relay.
func (s *Snapshot) measuredDraw(o rack.Outlet, bank rack.Feed) (amps, watts float64, at time.Time, ok bool) {
	limit := s.limitAge(o.ID.PDU)
	v := s.Outlets[o.ID]
	if o.Metered && s.lately(v.W, limit) {
		w := max(0, v.W.Value)
		switch {
		case s.lately(v.A, limit):
			return max(0, v.A.Value), w, v.A.At, true
		case s.lately(v.VA, limit):
			return max(0, v.VA.Value) / (bank.VoltsV * voltageMargin), w, v.W.At, true
		}
		return w / (bank.VoltsV * voltageMargin), w, v.W.At, true
	}
	if m := s.Shared[o.SharedMeter()].W; o.Supply != 0 && s.lately(m, limit) {
		w := max(0, m.Value) * s.shareOn(o)
		return w / (bank.VoltsV * voltageMargin), w, m.At, true
	}
	if closed, known := s.Closed(o.ID); known && !closed && !v.Live && !o.Metered && o.Supply == 0 {
		return 0, 0, v.Relay.At, true
	}
	return 0, 0, time.Time{}, false
}

// lately tells whether a value is a measurement and young, even if the poll after it failed: one failed poll is no reason to
// take a node for what it may draw at most.
func (s *Snapshot) lately(r rack.Reading, limit time.Duration) bool {
	return !r.At.IsZero() && s.At.Sub(r.At) <= limit && (r.Quality == rack.QualityOK || r.Quality == rack.QualitySuspect)
}

// shareOn is an outlet's part of what the meter of its supply shows: by what its node may draw, among the outlets that are not
// known to be open.
func (s *Snapshot) shareOn(o rack.Outlet) float64 {
	weight := func(id rack.OutletID) float64 {
		if closed, known := s.Closed(id); known && !closed {
			return 0
		}
		n, ok := s.Layout.NodeOf(id)
		v := s.Nodes[n.Name]
		switch {
		case !ok || n.MaxW <= 0:
			return 1
		case n.API != nil && v.Asleep.Fresh(s.At, freshFor*n.API.Period) && v.Asleep.Value == 1:
			return sleepingW / float64(len(n.Outlets)) // by its word: the meter of all does not tell
		}
		return n.MaxW / float64(len(n.Outlets))
	}
	p, _ := s.Layout.PDU(o.ID.PDU)
	all := 0.0
	for _, other := range p.Outlets {
		if other.Supply == o.Supply {
			all += weight(other.ID)
		}
	}
	if all == 0 {
		n := 0
		for _, other := range p.Outlets {
			if other.Supply == o.Supply {
				n++
			}
		}
		return 1 / float64(n)
	}
	return weight(o.ID) / all
}

// strayDraw is what an outlet without a node draws, or all it may where that is not known.
func (s *Snapshot) strayDraw(o rack.Outlet) draw {
	bank, _ := s.Layout.Feed(o.Feed)
	d := draw{bank: bank}
	var measured bool
	if d.amps, d.watts, d.at, measured = s.measuredDraw(o, bank); !measured {
		d.amps, d.watts, d.whole = o.LimitA(), o.LimitA()*bank.VoltsV, true
	}
	return d
}

// measuredLevels sums what is measured at each level of the feed, in the layout's order; uses names the places of each draw.
func (s *Snapshot) measuredLevels(draws []draw) (levels []bandLevel, places [][]bandPart) {
	index := map[string]int{}
	for i, f := range s.Layout.Feeds {
		index[f.Name] = i
		levels = append(levels, bandLevel{name: f.Name, limitA: f.LimitA(), depth: len(s.Layout.Levels(f.Name)) - 1})
	}
	counted := map[wholeAt]float64{}
	for _, d := range draws {
		var parts []bandPart
		for _, f := range s.Layout.Levels(d.bank.Name) {
			i := index[f.Name]
			l := &levels[i]
			if !d.at.IsZero() && d.amps > 0 && (l.at.IsZero() || d.at.Before(l.at)) {
				l.at = d.at
			}
			for _, line := range d.bank.Lines {
				k := l.line(line)
				amps := d.amps
				if d.whole && d.node != "" {
					at := wholeAt{d.node, i, k}
					amps = max(0, d.amps-counted[at])
					counted[at] += amps
				}
				l.amps[k] += amps
				parts = append(parts, bandPart{level: i, line: k, amps: amps, full: d.full})
			}
		}
		places = append(places, parts)
	}
	return levels, places
}

// wholeAt is a node at a line of a level, which it is counted whole at once.
type wholeAt struct {
	node        string
	level, line int
}

func (l *bandLevel) line(name string) int {
	if i := slices.Index(l.lines, name); i >= 0 {
		return i
	}
	l.lines, l.amps = append(l.lines, name), append(l.amps, 0)
	return len(l.lines) - 1
}

// Feeds tells what each level of the feed is reserved for and measured to carry.
func (s *Snapshot) Feeds(now time.Time) []rack.FeedUse {
	draws := s.draws(now)
	levels, _ := s.measuredLevels(draws)
	sums := s.ledger(now)
	var out []rack.FeedUse
	for i, f := range s.Layout.Feeds {
		reserved := sums.load(f)
		line, share := levels[i].fullest()
		u := rack.FeedUse{
			Feed: f.Name, Parent: f.Parent, Lines: f.Lines, VoltsV: f.VoltsV, RatingA: f.RatingA, LimitA: f.LimitA(),
			ReservedA: reserved.A, ReservedW: reserved.W, MeasuredA: share * levels[i].limitA,
		}
		if len(levels[i].lines) > 0 {
			u.Line = levels[i].lines[line]
		}
		for _, d := range draws {
			if !slices.ContainsFunc(s.Layout.Levels(d.bank.Name), func(l rack.Feed) bool { return l.Name == f.Name }) {
				continue
			}
			u.MeasuredW += d.watts
			if d.whole {
				u.AssumedW += d.watts
			}
		}
		out = append(out, u)
	}
	return out
}

// silentShare is how much of what the rack draws, as far as is known, stands in for what is not measured.
func silentShare(draws []draw) float64 {
	all, silent := 0.0, 0.0
	for _, d := range draws {
		all += d.watts
		if d.whole {
			silent += d.watts
		}
	}
	if all == 0 {
		return 0
	}
	return silent / all
}
