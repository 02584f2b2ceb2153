package agent

import (
	"slices"
	"time"

	"rackagent/agent/power"
	"rackagent/agent/rack"
)

// FeedStatus is one level of the feed as known now, with what hangs on it and not on a level below it.
type FeedStatus struct {
	rack.FeedUse
	Nodes []FeedNode `json:"nodes,omitempty"`
}

// FeedNode is a node on a bank; what is not known is null. A node with outlets on several banks stands below each of them, and
// counts whole on each.
type FeedNode struct {
	Node      string          `json:"node,omitempty"` // empty: these outlets feed no configured node
	Class     rack.Class      `json:"class,omitempty"`
	Outlets   []rack.OutletID `json:"outlets"`             // on this bank
	Elsewhere []rack.OutletID `json:"elsewhere,omitempty"` // its others, on other banks
	State     rack.PowerState `json:"state,omitempty"`
	ReservedW *float64        `json:"reserved_w"`
	MeasuredW *float64        `json:"measured_w"` // of its outlets on this bank
}

// feedStatus lists the levels of the feed in the configuration's order, as all tell them at one moment.
func (a *Agent) feedStatus() []FeedStatus {
	s, now := a.loop.Snapshot(), time.Now()
	var out []FeedStatus
	for _, u := range s.Feeds(now) {
		f := FeedStatus{FeedUse: u}
		for _, n := range s.Layout.Nodes {
			here, elsewhere := outletsOn(s.Layout, u.Feed, n.Outlets)
			if len(here) == 0 {
				continue
			}
			w := s.Reservation(n, now)
			f.Nodes = append(f.Nodes, FeedNode{
				Node: n.Name, Class: n.Class, Outlets: here, Elsewhere: elsewhere, State: s.PowerState(n), ReservedW: &w, MeasuredW: measuredOn(s, here),
			})
		}
		if stray := strays(s.Layout, u.Feed); len(stray) > 0 {
			f.Nodes = append(f.Nodes, FeedNode{Outlets: stray, MeasuredW: measuredOn(s, stray)})
		}
		out = append(out, f)
	}
	return out
}

// outletsOn parts outlets into those on a bank and the others.
func outletsOn(l *rack.Layout, bank string, outlets []rack.OutletID) (here, elsewhere []rack.OutletID) {
	for _, id := range outlets {
		if o, ok := l.Outlet(id); ok && o.Feed == bank {
			here = append(here, id)
		} else {
			elsewhere = append(elsewhere, id)
		}
	}
	return here, elsewhere
}

// strays are the outlets of a bank that feed no configured node.
func strays(l *rack.Layout, bank string) []rack.OutletID {
	var out []rack.OutletID
	for _, p := range l.PDUs {
		for _, o := range p.Outlets {
			if _, fed := l.NodeOf(o.ID); o.Feed == bank && !fed {
				out = append(out, o.ID)
			}
		}
	}
	return out
}

// measuredOn is what outlets draw together by their own meters; nil: of one it is not known.
func measuredOn(s *power.Snapshot, outlets []rack.OutletID) *float64 {
	if slices.ContainsFunc(outlets, func(o rack.OutletID) bool { _, ok := s.Watts(o); return !ok }) {
		return nil
	}
	sum := 0.0
	for _, o := range outlets {
		w, _ := s.Watts(o)
		sum += w
	}
	return &sum
}
