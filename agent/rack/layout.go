package rack

import (
	"slices"
	"time"
)

// Class says how much a load's life is worth.
type Class string

// The load classes: ASICs are interruptible, GPU servers firm.
const (
	ClassASIC Class = "asic"
	ClassGPU  Class = "gpu"
)

// Firm tells whether loads of this class must never lose power by the agent's doing without proof.
func (c Class) Firm() bool { return c != ClassASIC }

// Wiring says how sure it is that an outlet feeds the node the configuration names.
type Wiring string

// The three degrees of wiring (invariant S11).
const (
	WiringProven   Wiring = "proven"   // measured: the node was changed and exactly this outlet moved
	WiringDeclared Wiring = "declared" // the configuration says so beside the board's serial
	WiringUnproven Wiring = "unproven" // counts as firm
)

// PowerReturn is what a node gets when mains power comes back.
type PowerReturn string

// The choices of on_power_return.
const (
	ReturnHold    PowerReturn = "hold"
	ReturnRestore PowerReturn = "restore"
)

// Feed is one level of the supply tree. Amperes are per line.
type Feed struct {
	Name       string
	Parent     string   // empty at the top
	Lines      []string // "L1", "L2", "L3"; one line is line to neutral, two are line to line
	VoltsV     float64  // nominal voltage across a load on these lines
	RatingA    float64  // breaker rating per line
	Continuous float64  // usable share of the rating, 0.8 unless IEC or 100 %-rated
	ShareA     float64  // where the level is shared with other agents: what this agent may use; 0 = not shared
}

// LimitA is what the agent's loads may draw on each line of this level: the continuous limit, or the share.
func (f Feed) LimitA() float64 {
	limit := f.RatingA * f.Continuous
	if f.ShareA > 0 && f.ShareA < limit {
		return f.ShareA
	}
	return limit
}

// Outlet is one outlet of a PDU.
type Outlet struct {
	ID      OutletID
	Feed    string  // feed of the bank it hangs on
	RatingA float64 // of the socket and its relay
	// Continuous is the usable share of the rating: an outlet is the last level of the feed.
	Continuous float64
	Metered    bool
	NoiseW     float64 // what the meter shows with nothing plugged in, from the model or the calibration
	RelayBank  int     // BankID.N of the relay bank it hangs on
	Supply     int     // MeterID.N of the meter it shares with others; 0: none
}

// Bank is the relay bank the outlet hangs on.
func (o Outlet) Bank() BankID { return BankID{o.ID.PDU, o.RelayBank} }

// SharedMeter is the meter the outlet shares with others, if any.
func (o Outlet) SharedMeter() MeterID {
	if o.Supply == 0 {
		return MeterID{}
	}
	return MeterID{o.ID.PDU, o.Supply}
}

// LimitA is what the outlet may carry for long.
func (o Outlet) LimitA() float64 { return o.RatingA * o.Continuous }

// PDU is whatever offers outlets and meters.
type PDU struct {
	Name     string
	Model    string
	Serial   string        // of the board, as the configuration names it; empty means identity: none
	Bus      string        // the bus its relay bank hangs on; actions on one bus go through one lane
	Settling time.Duration // of its meters after a load change
	Period   time.Duration // between two samples of an outlet
	Outlets  []Outlet
	// Supplies are the supply banks that have a meter of their own, for all their outlets together.
	Supplies []Supply
}

// Supply is a metered supply bank.
type Supply struct {
	ID     MeterID
	Name   string // as the model names the bank
	NoiseW float64
}

// Banks lists the PDU's relay banks.
func (p PDU) Banks() []BankID {
	var out []BankID
	for _, o := range p.Outlets {
		if !slices.Contains(out, o.Bank()) {
			out = append(out, o.Bank())
		}
	}
	return out
}

// On lists the outlets of one relay bank, in their order.
func (p PDU) On(b BankID) []Outlet {
	var out []Outlet
	for _, o := range p.Outlets {
		if o.Bank() == b {
			out = append(out, o)
		}
	}
	return out
}

// Node is something fed by one or more outlets.
type Node struct {
	Name          string
	Class         Class
	Outlets       []OutletID
	MaxW          float64       // reservation while nothing better is known
	SurgeW        float64       // extra while starting
	SurgeFor      time.Duration // how long the surge lasts
	MinOff        time.Duration // off at least this long before it may be energised
	OnPowerReturn PowerReturn
	Wiring        Wiring // as the configuration says; a serial that differs makes it unproven
	API           *API   // the interface of a miner; nil: it has none, or none is configured
}

// API is the interface of a miner, as far as what is decided about its power depends on it. The times are the dialect's.
type API struct {
	Dialect string
	// ReadOnly: nothing can be said to it; the outlet is what it is shed by.
	ReadOnly bool
	Period   time.Duration // between two readings of what it says
	Write    time.Duration // for a whole write, answer included
	Confirm  time.Duration // from the write until it reads back
	SleepBy  time.Duration // from the write until the watts have fallen
	WakeBy   time.Duration // from the write until they are back
	FanW     float64       // what its fans may go on drawing after a sleep
	FanFor   time.Duration // for how long
}

// Layout is the rack as configured. It never changes while the agent runs.
type Layout struct {
	Site, Agent string
	Stagger     time.Duration // between two energisings of one feed
	Feeds       []Feed
	PDUs        []PDU
	Nodes       []Node
	Groups      []Group

	index *index // nil: look-ups walk the lists
}

// index makes look-ups independent of the size of the rack: the power loop asks for every outlet on every turn.
type index struct {
	pdus   map[string]int
	nodes  map[string]int
	nodeOf map[OutletID]int
	levels map[string][]Feed
}

// Indexed gives the same layout with an index. The lists may not change afterwards.
func (l Layout) Indexed() *Layout {
	l.index = nil
	x := &index{pdus: make(map[string]int), nodes: make(map[string]int), nodeOf: make(map[OutletID]int), levels: make(map[string][]Feed)}
	for i, p := range l.PDUs {
		x.pdus[p.Name] = i
	}
	for i, n := range l.Nodes {
		x.nodes[n.Name] = i
		for _, o := range n.Outlets {
			x.nodeOf[o] = i
		}
	}
	for _, f := range l.Feeds {
		x.levels[f.Name] = l.Levels(f.Name)
	}
	l.index = x
	return &l
}

// Feed finds a feed by name.
func (l *Layout) Feed(name string) (Feed, bool) {
	for _, f := range l.Feeds {
		if f.Name == name {
			return f, true
		}
	}
	return Feed{}, false
}

// PDU finds a PDU by name.
func (l *Layout) PDU(name string) (PDU, bool) {
	if l.index != nil {
		if i, ok := l.index.pdus[name]; ok {
			return l.PDUs[i], true
		}
		return PDU{}, false
	}
	for _, p := range l.PDUs {
		if p.Name == name {
			return p, true
		}
	}
	return PDU{}, false
}

// Outlet finds an outlet.
func (l *Layout) Outlet(id OutletID) (Outlet, bool) {
	p, ok := l.PDU(id.PDU)
	if !ok || id.N < 1 || id.N > len(p.Outlets) {
		return Outlet{}, false
	}
	return p.Outlets[id.N-1], true
}

// BankOf finds the relay bank of an outlet.
func (l *Layout) BankOf(o OutletID) BankID {
	out, _ := l.Outlet(o)
	return out.Bank()
}

// Node finds a node by name.
func (l *Layout) Node(name string) (Node, bool) {
	if l.index != nil {
		if i, ok := l.index.nodes[name]; ok {
			return l.Nodes[i], true
		}
		return Node{}, false
	}
	for _, n := range l.Nodes {
		if n.Name == name {
			return n, true
		}
	}
	return Node{}, false
}

// NodeOf finds the node an outlet feeds.
func (l *Layout) NodeOf(id OutletID) (Node, bool) {
	if l.index != nil {
		if i, ok := l.index.nodeOf[id]; ok {
			return l.Nodes[i], true
		}
		return Node{}, false
	}
	for _, n := range l.Nodes {
		for _, o := range n.Outlets {
			if o == id {
				return n, true
			}
		}
	}
	return Node{}, false
}

// Levels lists the feed and all its parents, nearest first.
func (l *Layout) Levels(feed string) []Feed {
	if l.index != nil {
		return l.index.levels[feed]
	}
	var out []Feed
	for range l.Feeds { // at most every feed once, even if a cycle slipped through the check
		f, ok := l.Feed(feed)
		if !ok {
			break
		}
		out = append(out, f)
		feed = f.Parent
	}
	return out
}
