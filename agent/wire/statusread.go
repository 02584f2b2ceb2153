package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"rackagent/agent/rack"
)

const (
	// maxStatusBytes bounds what DecodeStatus looks at: a part, and room for members of later versions.
	maxStatusBytes = 64 << 10
	// maxParts bounds what a Reassembly keeps: 256 parts are 15 MiB, or the targets of 40 racks (arbitrary).
	maxParts = 256
)

// Status is one message of up/cmd/ID, or all parts of it put together.
type Status struct {
	rack.Outcome
	StatusHead
	Part, Parts int
}

// ErrNotStatus is in the chain of every error of DecodeStatus.
var ErrNotStatus = errors.New("not a command status")

type statusIn struct {
	statusHead
	Targets []targetJSON             `json:"targets"`
	Plan    *planIn                  `json:"plan"`
	List    []summaryJSON            `json:"list"`
	Ident   map[string]rack.Identity `json:"ident"`
}

type planIn struct {
	planHead
	Targets []planTargetJSON `json:"targets"`
}

// DecodeStatus reads one message of up/cmd/ID. A state that it does not know is an error, because a client could not
// tell whether it ends the command.
func DecodeStatus(payload []byte) (Status, error) {
	if len(payload) > maxStatusBytes {
		return Status{}, fmt.Errorf("%w: %d bytes, at most %d", ErrNotStatus, len(payload), maxStatusBytes)
	}
	if _, err := parseObject(payload); err != nil {
		return Status{}, fmt.Errorf("%w: %w", ErrNotStatus, err)
	}
	var in statusIn
	if err := json.Unmarshal(payload, &in); err != nil {
		return Status{}, fmt.Errorf("%w: %w", ErrNotStatus, err)
	}
	if err := in.check(); err != nil {
		return Status{}, fmt.Errorf("%w: %w", ErrNotStatus, err)
	}
	return in.status(), nil
}

func (in *statusIn) check() error {
	switch {
	case in.V != 1:
		return fmt.Errorf("v is %d, this reader knows 1", in.V)
	case !rack.ValidCommandID(in.ID):
		return errors.New("id is no command id")
	case !known(in.State):
		return fmt.Errorf("unknown state %.20q", in.State)
	case in.N < 0:
		return errors.New("n is negative")
	case in.Parts < 1 || in.Parts > maxParts || in.Part < 1 || in.Part > in.Parts:
		return fmt.Errorf("part %d of %d", in.Part, in.Parts)
	}
	return in.checkTargets()
}

// errTarget: encoding/json leaves a target that is missing or null as it is, without a word.
var errTarget = errors.New("a target is missing")

func (in *statusIn) checkTargets() error {
	for _, t := range in.Targets {
		if t.Target.Kind == "" || slices.ContainsFunc(t.Steps, func(s stepJSON) bool { return s.On.Kind == "" }) {
			return errTarget
		}
		if !known(t.State) {
			return fmt.Errorf("unknown state %.20q of target %s", t.State, t.Target)
		}
	}
	if in.Plan != nil {
		for _, t := range in.Plan.Targets {
			if t.Target.Kind == "" || slices.ContainsFunc(t.Steps, planStepJSON.nowhere) {
				return errTarget
			}
		}
	}
	if slices.ContainsFunc(in.List, func(l summaryJSON) bool { return l.Target.Kind == "" }) {
		return errTarget
	}
	return nil
}

// nowhere tells a step that is on nothing that it could be on: an outlet, or a node for what is said to a miner.
func (s planStepJSON) nowhere() bool {
	relay := s.Do == rack.DoCut || s.Do == rack.DoEnergise
	return s.On.Kind != rack.TargetOutlet && (s.On.Kind != rack.TargetNode || relay)
}

func (in *statusIn) status() Status {
	s := Status{
		Outcome: rack.Outcome{
			Command: in.ID, State: in.State, N: in.N, Code: in.Code, Text: in.Text, At: moment(in.At),
			Earliest: moment(in.Earliest), Until: moment(in.Until), Sha256: in.Sha256, Ident: in.Ident,
		},
		StatusHead: StatusHead{Boot: in.Boot, Dup: in.Dup},
		Part:       in.Part, Parts: in.Parts,
	}
	for _, t := range in.Targets {
		s.Targets = append(s.Targets, t.result())
	}
	if p := in.Plan; p != nil {
		s.Plan = &rack.Plan{Command: in.ID, Made: moment(p.Made), DeadlineMS: p.DeadlineS.ms()}
		for _, t := range p.Targets {
			s.Plan.Targets = append(s.Plan.Targets, t.plan())
		}
	}
	if in.List != nil {
		s.Listed = []rack.Summary{}
	}
	for _, l := range in.List {
		s.Listed = append(s.Listed, l.summary())
	}
	return s
}

func (t targetJSON) result() rack.TargetResult {
	out := rack.TargetResult{Target: t.Target, State: t.State, Code: t.Code, Text: t.Text, Recovered: t.Recovered}
	for _, s := range t.Steps {
		step := rack.StepResult{Do: s.Do, On: s.On, Taken: s.Taken, Confirmed: s.Confirmed, Settled: s.Settled, Hot: s.Hot}
		if p := s.Proof; p != nil {
			step.Proof = &rack.Proof{Meter: p.Meter, BeforeW: (*float64)(p.BeforeW), AfterW: (*float64)(p.AfterW)}
		}
		out.Steps = append(out.Steps, step)
	}
	return out
}

func (t planTargetJSON) plan() rack.TargetPlan {
	out := rack.TargetPlan{Target: t.Target, Node: t.Node}
	if r := t.Refused; r != nil {
		out.Refused = &rack.Refusal{Code: r.Code, Text: r.Text, Earliest: moment(r.Earliest)}
	}
	for _, s := range t.Steps {
		step := rack.Step{
			Do: s.Do, On: s.On.Outlet, Node: s.On.Name, Proof: s.Proof, LimitMS: s.LimitS.ms(), WaitMS: s.WaitS.ms(), Undo: s.Undo,
			BeforeW: (*float64)(s.BeforeW), Hot: s.Hot, Seq: s.Seq,
		}
		for _, f := range s.Feeds {
			step.Feeds = append(step.Feeds, rack.FeedLoad{Feed: f.Feed, W: float64(f.W), A: float64(f.A), LimitA: float64(f.LimitA)})
		}
		out.Steps = append(out.Steps, step)
	}
	return out
}

func (l summaryJSON) summary() rack.Summary {
	return rack.Summary{Command: l.Command, Op: l.Op, Target: l.Target, State: l.State, Code: l.Code, Received: moment(l.Received)}
}

// Reassembly follows one command: it puts the parts of its states together and drops what is older than what it
// has given. The zero value is ready. It is not for concurrent use.
type Reassembly struct {
	n     int
	parts []*Status
}

// Add takes one decoded message of the command. It gives the whole state once the last part of it is there, and
// nothing for a message whose n is below the highest seen.
func (r *Reassembly) Add(s Status) (Status, bool) {
	if s.N < r.n || s.Part < 1 || s.Part > s.Parts || s.Parts > maxParts {
		return Status{}, false
	}
	if s.N > r.n || len(r.parts) != s.Parts {
		r.n, r.parts = s.N, make([]*Status, s.Parts)
	}
	r.parts[s.Part-1] = &s
	for _, p := range r.parts {
		if p == nil {
			return Status{}, false
		}
	}
	whole := join(r.parts)
	r.parts = nil
	return whole, true
}

// join puts parts together; a target that was divided stands in neighbouring parts.
func join(parts []*Status) Status {
	whole := *parts[0]
	whole.Part, whole.Parts = 1, 1
	whole.Targets, whole.Listed, whole.Ident = nil, nil, nil
	if whole.Plan != nil {
		plan := *whole.Plan
		plan.Targets = nil
		whole.Plan = &plan
	}
	for _, p := range parts {
		whole.add(p)
	}
	return whole
}

func (s *Status) add(p *Status) {
	for _, t := range p.Targets {
		if n := len(s.Targets); n > 0 && s.Targets[n-1].Target == t.Target {
			s.Targets[n-1].Steps = append(s.Targets[n-1].Steps, t.Steps...)
			continue
		}
		s.Targets = append(s.Targets, t)
	}
	if s.Plan != nil && p.Plan != nil {
		for _, t := range p.Plan.Targets {
			if n := len(s.Plan.Targets); n > 0 && s.Plan.Targets[n-1].Target == t.Target {
				s.Plan.Targets[n-1].Steps = append(s.Plan.Targets[n-1].Steps, t.Steps...)
				continue
			}
			s.Plan.Targets = append(s.Plan.Targets, t)
		}
	}
	if p.Listed != nil && s.Listed == nil {
		s.Listed = []rack.Summary{}
	}
	s.Listed = append(s.Listed, p.Listed...)
	for board, is := range p.Ident {
		if s.Ident == nil {
			s.Ident = map[string]rack.Identity{}
		}
		s.Ident[board] = is
	}
}
