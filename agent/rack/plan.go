package rack

import "time"

// Verb is what one step does to one outlet, or tells one miner.
type Verb string

// The verbs of steps.
const (
	DoCut      Verb = "cut"
	DoEnergise Verb = "energise"
	DoIdentify Verb = "identify"
	DoSleep    Verb = "sleep"
	DoWake     Verb = "wake"
	DoLimit    Verb = "limit"
	DoRelease  Verb = "release"
)

// Told tells whether a step of this verb is said to a miner by its own interface; it moves no relay then.
func (v Verb) Told() bool { return v == DoSleep || v == DoWake || v == DoLimit || v == DoRelease }

// Raises tells whether what is said to a miner may make it draw all it can.
func (v Verb) Raises() bool { return v == DoWake || v == DoRelease }

// FeedLoad is what one level of the feed carries in a plan, by reservation, after the step.
type FeedLoad struct {
	Feed   string  `json:"feed"`
	W      float64 `json:"w"`       // sum of reservations and surges below this level
	A      float64 `json:"a"`       // on its most loaded line
	LimitA float64 `json:"limit_a"` // continuous limit or share
}

// Step is one action of a plan with the proof it needs and the time it has.
type Step struct {
	Do      Verb       `json:"do"`
	On      OutletID   `json:"on,omitzero"`       // that is moved
	Node    string     `json:"node,omitempty"`    // that is told, by its own interface; On is then empty
	Proof   string     `json:"proof"`             // in words, what settles it
	LimitMS int64      `json:"limit_ms"`          // from its start to settled
	WaitMS  int64      `json:"wait_ms,omitempty"` // at least this long after the step before it settled
	Undo    string     `json:"undo,omitempty"`    // in words; empty: none
	BeforeW *float64   `json:"before_w"`          // watts when planned; null: not measured
	Feeds   []FeedLoad `json:"feeds,omitempty"`
	Hot     bool       `json:"hot,omitempty"` // the load was running when planned
	// Seq is the step's place among those of all targets of the plan, from 1, as they are expected to begin; 0 in a plan
	// for one target.
	Seq int `json:"seq,omitempty"`
}

// Where is what the step is on, as results name it.
func (s Step) Where() Target {
	if s.Node != "" {
		return NodeTarget(s.Node)
	}
	return OutletTarget(s.On)
}

// Subject is what the step is on, by its name alone: an outlet or a node.
func (s Step) Subject() string {
	if s.Node != "" {
		return s.Node
	}
	return s.On.String()
}

// Limit is LimitMS as a duration.
func (s Step) Limit() time.Duration { return time.Duration(s.LimitMS) * time.Millisecond }

// Wait is WaitMS as a duration.
func (s Step) Wait() time.Duration { return time.Duration(s.WaitMS) * time.Millisecond }

// TargetPlan is the part of a plan that concerns one target; its steps run in order. Targets run beside each other.
type TargetPlan struct {
	Target Target `json:"t"`
	Node   string `json:"node,omitempty"` // empty: the outlet feeds no configured node
	Steps  []Step `json:"steps"`
	// Refused is why nothing is done for this target; the others of the plan are carried out. It then has no steps.
	Refused *Refusal `json:"refused,omitempty"`
}

// Plan is what a command will do. power.Plan is the only maker of plans, the journal the only store.
type Plan struct {
	Command    string       `json:"id"`
	Made       time.Time    `json:"made"`
	DeadlineMS int64        `json:"deadline_ms"` // from acceptance; no step begins after it
	Targets    []TargetPlan `json:"targets"`
}

// Deadline is DeadlineMS as a duration.
func (p Plan) Deadline() time.Duration { return time.Duration(p.DeadlineMS) * time.Millisecond }

// Refusal is a rejected command or target: a stable code, and words a person can act on.
type Refusal struct {
	Code Code   `json:"code"`
	Text string `json:"txt"`
	// Earliest is when the same command could be taken, where that is known.
	Earliest time.Time `json:"earliest,omitzero"`
}

// Error lets a Refusal travel as an error.
func (r *Refusal) Error() string { return string(r.Code) + ": " + r.Text }

// OrderKind is what a settled command leaves in force until released.
type OrderKind string

// The orders of the contract.
const (
	OrderLimit   OrderKind = "limit"
	OrderCurtail OrderKind = "curtail"
	OrderDrain   OrderKind = "drain"
	OrderLock    OrderKind = "lock"
	// OrderSlept is none: it is what a sleep has interrupted, kept from before the sleep was said until a wake has given it
	// back. Its Value is what the node drew, in W.
	OrderSlept OrderKind = "slept"
	// OrderLimited is the same of a limit, kept until a release has given it back.
	OrderLimited OrderKind = "limited"
	// OrderArmed is none: it says that what acts by itself may, in the boot that By names, under the configuration whose hash is
	// Why (invariant S1b).
	OrderArmed OrderKind = "armed"
)

// Order outlives the command that left it.
type Order struct {
	Kind    OrderKind `json:"kind"`
	Target  Target    `json:"target"`
	Value   float64   `json:"value,omitempty"`
	Mode    string    `json:"mode,omitempty"` // of a limit, where it is no number
	Until   time.Time `json:"until,omitzero"`
	Command string    `json:"id"`
	// Who gave it, when, and why; an order of an earlier version has none of these.
	By    string    `json:"by,omitempty"` // the issuer if the command was signed, else "unsigned"
	Since time.Time `json:"since,omitzero"`
	Why   string    `json:"why,omitempty"`
	// Before is what a miner was told to do when it was interrupted: its interface wrote it and alone can read it.
	Before string `json:"before,omitempty"`
}

// Set tells who gave the order and when, in words.
func (o Order) Set() string {
	if o.Command == "" {
		return "by a command whose record is damaged"
	}
	text := "by command " + o.Command
	if o.By != "" {
		text += " of " + o.By
	}
	if !o.Since.IsZero() {
		text += ", " + o.Since.UTC().Format(time.RFC3339)
	}
	if o.Why != "" {
		text += ": " + o.Why
	}
	return text
}

// Approval is a second person's word on a waiting command.
type Approval struct {
	By      string    `json:"by"`            // issuer of the approving command
	Key     string    `json:"kid,omitempty"` // that signed it; empty: the local socket
	Command string    `json:"id"`            // id of the approving command
	Sha256  Hash      `json:"sha256"`        // Hash of the command that is approved
	At      time.Time `json:"at"`
}

// ApprovedByAnother tells whether a second person has approved exactly this command.
func (c *Command) ApprovedByAnother() bool {
	a := c.Approval
	return a != nil && c.Signed && c.Issuer != "" && a.By != "" && a.By != c.Issuer && a.Sha256 == c.Hash
}

// FeedUse is what one level of the feed is reserved for and measured to carry, on its fullest line. Amperes are per line.
type FeedUse struct {
	Feed    string   `json:"feed"`
	Parent  string   `json:"parent,omitempty"`
	Lines   []string `json:"lines"`
	VoltsV  float64  `json:"volts_v"`
	RatingA float64  `json:"rating_a"`
	LimitA  float64  `json:"limit_a"` // continuous limit or share
	// By reservation: what nodes may draw, their start surges included.
	ReservedA float64 `json:"reserved_a"`
	ReservedW float64 `json:"reserved_w"`
	// By measurement. AssumedW of MeasuredW is not measured: reservations and limits stand in for it.
	MeasuredA float64 `json:"measured_a"`
	MeasuredW float64 `json:"measured_w"`
	AssumedW  float64 `json:"assumed_w"`
	Line      string  `json:"line,omitempty"` // the fullest by measurement
}
