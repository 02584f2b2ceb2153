package agent

import (
	"strings"

	"rackagent/agent/rack"
)

// MinerStatus is what a miner says of itself as known now, beside the watts of its outlets; what is not known is null.
type MinerStatus struct {
	Node string `json:"node"`
	API  string `json:"api"`
	// State is what it is observed to do, from relay, watts and word.
	State   rack.PowerState `json:"state"`
	Hashing *bool           `json:"hashing"`
	Asleep  *bool           `json:"asleep"`
	OutletW *float64        `json:"outlet_w"` // of all its outlets
	ToldW   *float64        `json:"told_w"`
	THs     *float64        `json:"hash_ths"`
	PlanTHs *float64        `json:"hash_plan_ths"`
	JTH     *float64        `json:"j_th"` // of outlet and rate of now, while it hashes
	AgeS    *int            `json:"age_s"`
	Why     string          `json:"why,omitempty"` // nothing is known
}

// minerStatus lists the miners with an interface, in the configuration's order.
func (a *Agent) minerStatus() []MinerStatus {
	var out []MinerStatus
	world := a.loop.Snapshot()
	for _, m := range a.conf.Miners {
		node, _ := a.inv.Layout.Node(m.Node)
		s := MinerStatus{Node: m.Node, API: m.API, State: world.PowerState(node), OutletW: a.nodeWatts(m.Node)}
		s.ToldW, s.THs, s.PlanTHs = a.told(m.Node, rack.ToldW), a.told(m.Node, rack.HashTHs), a.told(m.Node, rack.HashPlanTHs)
		s.Hashing, s.Asleep = flag(a.told(m.Node, rack.Hashing)), flag(a.told(m.Node, rack.AsleepFlag))
		if s.Hashing != nil && *s.Hashing && s.OutletW != nil && s.THs != nil && *s.THs > 0 {
			v := *s.OutletW / *s.THs
			s.JTH = &v
		}
		r, _ := a.poller.Latest(rack.Point{Device: m.Node, Quantity: rack.Hashing, Index: 1})
		s.AgeS = secondsSince(r.At)
		if r.Quality != rack.QualityOK {
			s.Why = string(r.Quality) + ", " + r.Reason
		}
		out = append(out, s)
	}
	return out
}

// told is a number that a miner says of itself; nil: it is not known now.
func (a *Agent) told(node string, q rack.Quantity) *float64 {
	r, _ := a.poller.Latest(rack.Point{Device: node, Quantity: q, Index: 1})
	if r.Quality != rack.QualityOK {
		return nil
	}
	return &r.Value
}

func flag(v *float64) *bool {
	if v == nil {
		return nil
	}
	b := *v == 1
	return &b
}

// nodeWatts is what the outlets of a node draw together; nil: of one it is not known.
func (a *Agent) nodeWatts(name string) *float64 {
	n, _ := a.inv.Layout.Node(name)
	sum := 0.0
	for _, o := range n.Outlets {
		r, _ := a.poller.Latest(rack.OutletPoint(o, rack.PowerW))
		if r.Quality != rack.QualityOK {
			return nil
		}
		sum += r.Value
	}
	return &sum
}

// unpowered tells whether a device of poll's is the interface of a miner whose outlets are open: that it does not answer is
// no fault.
func (a *Agent) unpowered(device string) bool {
	name, _, _ := strings.Cut(device, "/")
	n, ok := a.inv.Layout.Node(name)
	if !ok || n.API == nil || a.loop == nil {
		return false
	}
	s := a.loop.Snapshot()
	for _, o := range n.Outlets {
		if closed, known := s.Closed(o); !known || closed {
			return false
		}
	}
	return len(n.Outlets) > 0
}
