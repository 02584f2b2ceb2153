package wire

import (
	"rackagent/agent/rack"
)

// Bounds of texts, so that one target, board or line always fits into a part. All arbitrary but the last.
const (
	maxText  = 512 // bytes of a state's or target's words
	maxWords = 256 // bytes of a step's words: what proves it, what undoes it
	maxIdent = 64  // bytes; a FRU field holds at most 63 (IPMI FRU Information Storage Definition 1.0, section 13)
)

// StatusHead is what a state carries on the wire and an outcome does not hold.
type StatusHead struct {
	Boot string // of the agent that speaks
	Dup  bool   // the answer to a repeated command or to cmd.get, not news
}

// statusHead is the part of a state that every one of its parts repeats. code and txt are always there.
type statusHead struct {
	V        int        `json:"v"`
	ID       string     `json:"id"`
	State    rack.State `json:"st"`
	N        int        `json:"n"`
	At       int64      `json:"ts"`
	Boot     string     `json:"boot"`
	Dup      bool       `json:"dup"`
	Code     rack.Code  `json:"code"`
	Text     string     `json:"txt"`
	Part     int        `json:"part"`
	Parts    int        `json:"parts"`
	Earliest int64      `json:"earliest,omitzero"`
	Until    int64      `json:"until,omitzero"`
	Sha256   string     `json:"sha256,omitempty"`
}

type planHead struct {
	Made      int64       `json:"made"`
	DeadlineS thousandths `json:"deadline_s"`
}

type targetJSON struct {
	Target    rack.Target `json:"t"`
	State     rack.State  `json:"st"`
	Code      rack.Code   `json:"code,omitempty"`
	Text      string      `json:"txt,omitempty"`
	Recovered bool        `json:"recovered,omitempty"`
	Steps     []stepJSON  `json:"steps,omitempty"`
}

type stepJSON struct {
	Do        rack.Verb   `json:"do"`
	On        rack.Target `json:"on"`
	Taken     *int64      `json:"taken"`
	Confirmed *int64      `json:"confirmed"`
	Settled   *int64      `json:"settled"`
	Proof     *proofJSON  `json:"proof,omitempty"`
	Hot       bool        `json:"hot,omitempty"`
}

type proofJSON struct {
	Meter   string  `json:"meter"`
	BeforeW *tenths `json:"before_w"`
	AfterW  *tenths `json:"after_w"`
}

type planTargetJSON struct {
	Target  rack.Target    `json:"t"`
	Node    string         `json:"node,omitempty"`
	Refused *refusedJSON   `json:"refused,omitempty"`
	Steps   []planStepJSON `json:"steps"`
}

type refusedJSON struct {
	Code     rack.Code `json:"code"`
	Text     string    `json:"txt"`
	Earliest int64     `json:"earliest,omitzero"`
}

type planStepJSON struct {
	Do      rack.Verb   `json:"do"`
	On      rack.Target `json:"on"`
	Proof   string      `json:"proof"`
	LimitS  thousandths `json:"limit_s"`
	WaitS   thousandths `json:"wait_s,omitzero"`
	Undo    string      `json:"undo,omitempty"`
	BeforeW *tenths     `json:"before_w"`
	Feeds   []loadJSON  `json:"feeds,omitempty"`
	Hot     bool        `json:"hot,omitempty"`
	Seq     int         `json:"seq,omitempty"`
}

type loadJSON struct {
	Feed   string      `json:"feed"`
	W      tenths      `json:"w"`
	A      thousandths `json:"a"`
	LimitA thousandths `json:"limit_a"`
}

type summaryJSON struct {
	Command  string      `json:"id"`
	Op       rack.Op     `json:"op"`
	Target   rack.Target `json:"target"`
	State    rack.State  `json:"st"`
	Code     rack.Code   `json:"code,omitempty"`
	Received int64       `json:"received"`
}

func headOf(o rack.Outcome, h StatusHead) statusHead {
	return statusHead{
		V: 1, ID: o.Command, State: o.State, N: o.N, At: millis(o.At), Boot: h.Boot, Dup: h.Dup,
		Code: o.Code, Text: cut(o.Text, maxText), Earliest: millis(o.Earliest), Until: millis(o.Until), Sha256: o.Sha256,
	}
}

func targetOf(t rack.TargetResult) targetJSON {
	out := targetJSON{Target: t.Target, State: t.State, Code: t.Code, Text: cut(t.Text, maxText), Recovered: t.Recovered}
	for _, s := range t.Steps {
		step := stepJSON{Do: s.Do, On: s.On, Taken: s.Taken, Confirmed: s.Confirmed, Settled: s.Settled, Hot: s.Hot}
		if p := s.Proof; p != nil {
			step.Proof = &proofJSON{Meter: p.Meter, BeforeW: (*tenths)(p.BeforeW), AfterW: (*tenths)(p.AfterW)}
		}
		out.Steps = append(out.Steps, step)
	}
	return out
}

func planTargetOf(t rack.TargetPlan) planTargetJSON {
	out := planTargetJSON{Target: t.Target, Node: t.Node, Steps: []planStepJSON{}}
	if r := t.Refused; r != nil {
		out.Refused = &refusedJSON{Code: r.Code, Text: cut(r.Text, maxText), Earliest: millis(r.Earliest)}
	}
	for _, s := range t.Steps {
		step := planStepJSON{
			Do: s.Do, On: s.Where(), Proof: cut(s.Proof, maxWords), Undo: cut(s.Undo, maxWords),
			LimitS: seconds(s.LimitMS), WaitS: seconds(s.WaitMS), BeforeW: (*tenths)(s.BeforeW), Hot: s.Hot, Seq: s.Seq,
		}
		for _, f := range s.Feeds {
			step.Feeds = append(step.Feeds, loadJSON{Feed: f.Feed, W: tenths(f.W), A: thousandths(f.A), LimitA: thousandths(f.LimitA)})
		}
		out.Steps = append(out.Steps, step)
	}
	return out
}

func summaryOf(s rack.Summary) summaryJSON {
	return summaryJSON{Command: s.Command, Op: s.Op, Target: s.Target, State: s.State, Code: s.Code, Received: millis(s.Received)}
}

func identOf(i rack.Identity) rack.Identity {
	i.Serial, i.Expected, i.Product = cut(i.Serial, maxIdent), cut(i.Expected, maxIdent), cut(i.Product, maxIdent)
	return i
}
