package power

import (
	"maps"
	"time"

	"rackagent/agent/rack"
)

// Snapshot is what the loop knows at one moment. Plans and the firm guard judge from a Snapshot; it is a copy and
// never changes after it was handed out.
type Snapshot struct {
	At      time.Time
	Layout  *rack.Layout
	Outlets map[rack.OutletID]OutletView
	Boards  map[string]BoardView         // by PDU
	Banks   map[rack.BankID]rack.Reading // Control: 1 outputs, 0 the bank reads inputs: out of control
	Shared  map[rack.MeterID]SharedView
	Nodes   map[string]NodeView
	Orders  []rack.Order
	Held    map[string]rack.Demand // tripped interlocks, by name; never changed in place
	// UnderWay is how many targets of accepted commands have no result.
	UnderWay int
}

// OutletView is what is known of one outlet.
type OutletView struct {
	Relay rack.Reading // 1 closed, 0 open
	W     rack.Reading // active power
	VA    rack.Reading // apparent power
	A     rack.Reading // rms current
	// OpenSince is when the relay was first known to be open in this start; zero while closed or unknown.
	OpenSince time.Time
	// MovedAt is when its raw power code last differed from the one before: a frozen meter proves nothing.
	MovedAt time.Time
	// Writing tells that a write of ours on its relay is with the lane; Written is when the last one went there or came back.
	Writing bool
	Written time.Time
	// Live tells that it carries load although its relay reads open; LiveAt is when it last did.
	Live   bool
	LiveAt time.Time
	// Proven tells that a sleep of its node has proven its wiring on the board that is configured.
	Proven bool
	// Unproven holds the reason why this outlet's wiring is not trusted whatever the configuration says.
	Unproven string
	// Withdrawn holds the reason why the outlet is no longer switched.
	Withdrawn string
}

// BoardView is what is known of a PDU's board.
type BoardView struct {
	// Serial is what the board said it is; Identified tells whether it answered at all since it was last absent.
	Serial     string
	Product    string
	Identified bool
	// Unidentified is why it does not.
	Unidentified string
}

// NodeView is what is known of one node beyond its outlets.
type NodeView struct {
	PeakW      float64   // highest sum of its outlets in the last minute
	Starting   bool      // an energising of one of its outlets is under way
	SurgeUntil time.Time // its start surge counts until then

	// Of miners, by their own word: 1 told to sleep, 1 hashing.
	Asleep, Hashing rack.Reading
	Rate            rack.Reading // TH/s of now
	// Doing is what a command that is under way makes of it; empty: none is.
	Doing rack.PowerState
	// Print is what the newest reading of a miner that was awake says that it is told to do, as a number; 0: none was.
	Print uint32
	// Odd is since when it says that it sleeps, or hashes nothing, and draws all the same; OddTold that an event has said so.
	Odd     time.Time
	OddTold bool
	// Foreign is when an event last said that somebody else has changed it.
	Foreign time.Time
	// Told is when a miner was last told anything; Waking that it was told to wake and has not been seen asleep since.
	Told   time.Time
	Waking bool
}

// freshFor is how old a reading may be and still count, in sampling periods of its PDU. Source: three missed
// periods make a device stale (the same figure as the poller's).
const freshFor = 3

func (s *Snapshot) limitAge(pdu string) time.Duration {
	p, ok := s.Layout.PDU(pdu)
	if !ok {
		return 0
	}
	return freshFor * p.Period
}

// Closed tells where the relay stands; known is false when the reading is old, failed or missing.
func (s *Snapshot) Closed(o rack.OutletID) (closed, known bool) {
	v := s.Outlets[o]
	if !v.Relay.Fresh(s.At, s.limitAge(o.PDU)) {
		return false, false
	}
	return v.Relay.Value != 0, true
}

// Watts gives the outlet's active power, if a fresh reading exists.
func (s *Snapshot) Watts(o rack.OutletID) (float64, bool) {
	v := s.Outlets[o]
	return v.W.Value, v.W.Fresh(s.At, s.limitAge(o.PDU))
}

// Apparent gives the outlet's apparent power, or its active power where the meter has no apparent one.
func (s *Snapshot) Apparent(o rack.OutletID) (float64, bool) {
	v := s.Outlets[o]
	if v.VA.Fresh(s.At, s.limitAge(o.PDU)) {
		return v.VA.Value, true
	}
	return s.Watts(o)
}

// Controlled tells whether the relay bank drives its outputs; known is false when that reading is not fresh.
func (s *Snapshot) Controlled(b rack.BankID) (controlled, known bool) {
	v := s.Banks[b]
	if !v.Fresh(s.At, s.limitAge(b.PDU)) {
		return false, false
	}
	return v.Value != 0, true
}

// Wiring is how far the outlet's place in the configuration is believed now (S11), with the reason where it is
// not: the board has not been identified, another serial was found, another outlet moved.
func (s *Snapshot) Wiring(o rack.OutletID) (rack.Wiring, string) {
	node, ok := s.Layout.NodeOf(o)
	if !ok {
		return rack.WiringUnproven, "no node is configured on it"
	}
	if why := s.Outlets[o].Unproven; why != "" {
		return rack.WiringUnproven, why
	}
	p, _ := s.Layout.PDU(o.PDU)
	board := s.Boards[o.PDU]
	switch {
	case p.Serial == "" && s.hasFirm():
		return rack.WiringUnproven, "its PDU is configured without identity beside a firm node"
	case p.Serial == "":
		return node.Wiring, ""
	case !board.Identified:
		return rack.WiringUnproven, "the board of " + o.PDU + " has not been identified" + because(board.Unidentified)
	case board.Serial != p.Serial:
		return rack.WiringUnproven, "the board of " + o.PDU + " says serial " + board.Serial + ", configured is " + p.Serial
	}
	switch {
	case node.Wiring == rack.WiringUnproven:
		return rack.WiringUnproven, "configured as unproven"
	case s.Outlets[o].Proven:
		return rack.WiringProven, ""
	}
	return node.Wiring, ""
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

func (s *Snapshot) hasFirm() bool {
	for _, n := range s.Layout.Nodes {
		if n.Class.Firm() {
			return true
		}
	}
	return false
}

// ProvenOff tells whether every outlet of the node is measured open and without load.
func (s *Snapshot) ProvenOff(n rack.Node) bool {
	for _, o := range n.Outlets {
		closed, known := s.Closed(o)
		va, fresh := s.Apparent(o)
		if !known || closed || !fresh || va >= noLoadVA {
			return false
		}
	}
	return len(n.Outlets) > 0
}

// sleeping tells whether a miner is measured asleep: by its own word, and by all its outlets.
func (s *Snapshot) sleeping(n rack.Node) bool {
	v := s.Nodes[n.Name]
	if n.API == nil || v.Waking || !v.Asleep.Fresh(s.At, freshFor*n.API.Period) || v.Asleep.Value != 1 {
		return false
	}
	w, _, ok := s.sum(n)
	return ok && w <= s.asleepLimit(n)
}

// asleepLimit is what a node may draw now and still count as asleep: its fans may run on after it was told something.
func (s *Snapshot) asleepLimit(n rack.Node) float64 {
	kept, _ := s.kept(n, rack.OrderSlept)
	fan := 0.0
	if told := s.Nodes[n.Name].Told; n.API != nil && !told.IsZero() && s.At.Sub(told) < n.API.FanFor {
		fan = n.API.FanW
	}
	return asleepBelow(kept.Value, fan)
}

// kept is an order on a node, or what a verb of ours has interrupted there.
func (s *Snapshot) kept(n rack.Node, kind rack.OrderKind) (rack.Order, bool) {
	for _, o := range s.Orders {
		if o.Kind == kind && o.Target == rack.NodeTarget(n.Name) {
			return o, true
		}
	}
	return rack.Order{}, false
}

// toldLately tells whether the watts of a miner may have moved since a moment by what it was told.
func (s *Snapshot) toldLately(n rack.Node, since time.Time) bool {
	told := s.Nodes[n.Name].Told
	return n.API != nil && !told.IsZero() && told.Add(max(n.API.SleepBy, n.API.WakeBy)).After(since)
}

func (s *Snapshot) clone(now time.Time) *Snapshot {
	c := *s
	c.At = now
	c.Outlets = maps.Clone(s.Outlets)
	c.Boards = maps.Clone(s.Boards)
	c.Banks = maps.Clone(s.Banks)
	c.Shared = maps.Clone(s.Shared)
	c.Nodes = maps.Clone(s.Nodes)
	c.Orders = append([]rack.Order(nil), s.Orders...)
	return &c
}
