package observer

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// reason is why a write was allowed. Without a record there is none, and problem says what comes closest.
type reason struct {
	record  *record // the accepted record, or the progress record of a take-over
	entry   *entry
	step    *planStep // nil: a take-over
	problem string
}

// late is how much later than its limit a write may be handed over: arbitrary, the time a bus may need for what it is
// doing. The limit is for the beginning of the step.
const late = time.Second

// explainer finds the reason of each write; each step and each word of a take-over explains one.
type explainer struct {
	*run
	words   map[word]*write // carried out
	out     []reason
	options [][]reason        // the steps that could explain each write, the likeliest first
	taken   map[*planStep]int // the write that a step explains, by its place
}

// word is one half of a take-over.
type word struct {
	record *record
	reg    register
}

// explain finds the reasons of all writes. A write that leaves every relay as it was fits many steps, so steps are
// given out anew where that lets one write more be explained: a write stays without a reason only if the writes up to
// it are more than the steps that fit them.
func explain(r *run) []reason {
	x := explainer{run: r, words: map[word]*write{}, taken: map[*planStep]int{}}
	for _, w := range r.writes {
		why, options := x.reason(w)
		x.out, x.options = append(x.out, why), append(x.options, options)
	}
	for i, options := range x.options {
		if len(options) > 0 && !x.assign(i, map[*planStep]bool{}) {
			x.out[i] = reason{problem: x.spent(options[0])}
		}
	}
	return x.out
}

// assign finds a step for a write, if need be by finding another one for the write that has it.
func (x *explainer) assign(i int, tried map[*planStep]bool) bool {
	for _, o := range x.options[i] {
		if tried[o.step] {
			continue
		}
		tried[o.step] = true
		if holder, held := x.taken[o.step]; !held || x.assign(holder, tried) {
			x.taken[o.step], x.out[i] = i, o
			return true
		}
	}
	return false
}

// spent tells that the step that fits best is another write's.
func (x *explainer) spent(o reason) string {
	return fmt.Sprintf("the step of command %s was carried out already by record %d: no step writes twice",
		o.entry.id, x.writes[x.taken[o.step]].seq)
}

// reason finds why a write was allowed: a take-over, a problem, or the steps of which one has to be its.
func (x *explainer) reason(w *write) (reason, []reason) {
	if problem := w.never(); problem != "" {
		return reason{problem: problem}, nil
	}
	if w.reg == regDirection || w.adrift() {
		if r := x.takeOver(w); r.record != nil || w.reg == regDirection || !w.controlled() {
			return r, nil
		}
	}
	return x.steps(w)
}

// never tells why no command whatever makes such a write; empty: one may.
func (w *write) never() string {
	switch {
	case w.reg == regPolarity || w.reg == regOnOff || w.reg == regPowerCycle:
		return "no command writes the " + string(w.reg)
	case w.reg != regOperation && len(w.data) > w.bank.kind.width():
		return fmt.Sprintf("it writes %d bytes in a row, over the same port more than once", len(w.data))
	case w.reg != regOperation:
		return ""
	case w.data[0] != operationOn && w.data[0] != operationOff:
		return fmt.Sprintf("OPERATION is %02x or %02x, and this is somebody else's", operationOn, operationOff)
	case len(w.bank.kind.heard(w.bank.addr, slices.Concat([]byte{cmdOperation}, w.data), 0)) != 2:
		return "it has not the form of a write: one byte, and its packet error code"
	}
	return ""
}

// adrift tells whether the bank may have been out of control: every relay's pin an input. A controller has no direction
// and is never out of control.
func (w *write) adrift() bool {
	pins := w.bank.bits()
	return slices.ContainsFunc(w.before, func(s chip) bool { return s.direction&pins == pins })
}

// controlled tells whether the bank may have driven all its relays.
func (w *write) controlled() bool {
	pins := w.bank.bits()
	return slices.ContainsFunc(w.before, func(s chip) bool { return s.direction&pins == 0 })
}

// of tells whether a record of a take-over is about a bank.
func (p *progress) of(u *relays) bool {
	return p != nil && p.Fact == factAdopt && p.PDU == u.pdu.name && p.Bank == u.n
}

// takeOver looks for a progress record that holds exactly the word written.
func (x *explainer) takeOver(w *write) reason {
	best := "no progress record has the fact adopt for " + w.bank.label()
	for _, e := range x.book.entries {
		for _, p := range e.progress {
			if !p.Progress.of(w.bank) {
				continue
			}
			problem := x.adoptProblem(w, e, p)
			if problem == "" {
				x.words[word{p, w.reg}] = w
				return reason{record: p, entry: e}
			}
			best = problem
		}
	}
	return reason{problem: best}
}

// adoptProblem tells why a progress record does not explain a half of a take-over; empty: it does. Only the bits that the
// part has are compared.
func (x *explainer) adoptProblem(w *write, e *entry, p *record) string {
	of := "the take-over recorded for command " + e.id
	if p.Progress.Latch == nil || p.Progress.Direction == nil {
		return of + " does not hold both words"
	}
	pins := w.bank.kind.pins()
	latch, direction := *p.Progress.Latch&pins, *p.Progress.Direction&pins
	switch {
	case w.reg == regLatch && !w.gives(func(s chip) bool { return s.latch == latch }):
		return fmt.Sprintf("%s has the latch %#04x", of, latch)
	case w.reg == regDirection && !w.gives(func(s chip) bool { return s.direction == direction && s.latch == latch }):
		return fmt.Sprintf("%s has the direction %#04x over the latch %#04x", of, direction, latch)
	case x.words[word{p, w.reg}] != nil:
		return of + " was carried out already by record " + fmt.Sprint(x.words[word{p, w.reg}].seq)
	case len(e.accepted) == 0:
		return of + ": the command was never accepted"
	case p.At.After(w.at):
		return of + fmt.Sprintf(" was made %.3f s after the write", p.At.Sub(w.at).Seconds())
	}
	return x.window(w, e, e.accepted[0])
}

// gives tells whether the write may have led to a state.
func (w *write) gives(f func(chip) bool) bool { return slices.ContainsFunc(w.after, f) }

// steps lists the steps of accepted plans that move exactly the relay that the write moves, in their time.
func (x *explainer) steps(w *write) (reason, []reason) {
	best := "no accepted command has a step for " + w.does()
	var options []reason
	for _, e := range x.book.entries {
		for _, a := range e.accepted {
			for _, st := range a.steps() {
				if !x.fits(w, st) {
					continue
				}
				if problem := x.stepProblem(w, e, a, st); problem != "" {
					best = problem
					continue
				}
				options = append(options, reason{record: a, entry: e, step: st})
			}
		}
	}
	if len(options) == 0 {
		return reason{problem: best}, nil
	}
	// What the agent says of the moment decides between steps that fit, and nothing else.
	slices.SortStableFunc(options, func(a, b reason) int { return cmp.Compare(a.distance(w), b.distance(w)) })
	return reason{}, options
}

// distance is how far a write lies from the moment at which a step's result says that the device took it.
func (o reason) distance(w *write) time.Duration {
	for _, rec := range o.entry.ended {
		if rec.Outcome == nil {
			continue
		}
		for _, t := range rec.Outcome.Targets {
			for _, s := range t.Steps {
				if s.Do == o.step.Do && s.On == "outlet/"+o.step.On.String() && s.Taken != nil {
					return time.UnixMilli(*s.Taken).Sub(w.at).Abs()
				}
			}
		}
	}
	return math.MaxInt64
}

// steps lists the steps of a plan.
func (r *record) steps() []*planStep {
	if r.Plan == nil {
		return nil
	}
	var out []*planStep
	for _, t := range r.Plan.Targets {
		if t.Refused != nil {
			continue
		}
		for i := range t.Steps {
			out = append(out, &t.Steps[i])
		}
	}
	return out
}

// fits tells whether a write does what a step asks, and nothing else: it leaves every other bit of the latch as it
// was, on a bank that drives its relays. The bit itself may have been right already.
func (x *explainer) fits(w *write, st *planStep) bool {
	o := x.layout.outlets[st.On]
	if o == nil || o.bank != w.bank || st.Do != doCut && st.Do != doEnergise {
		return false
	}
	for i, was := range w.before {
		is := w.after[i]
		if (was.latch^is.latch)&^o.bit == 0 && was.direction&w.bank.bits() == 0 && is.closed(o) == (st.Do == doEnergise) {
			return true
		}
	}
	return false
}

// stepProblem tells why a step that fits does not explain a write; empty: it does.
func (x *explainer) stepProblem(w *write, e *entry, a *record, st *planStep) string {
	switch {
	case a.Command == nil || a.Command.Dry:
		return fmt.Sprintf("command %s was a dry run, or its record holds no command", e.id)
	case !verbFits(a.Command.Op, st.Do):
		return fmt.Sprintf("command %s is %s, and its plan has a step %s", e.id, a.Command.Op, st.Do)
	case !x.concerns(a.Command.Target, st):
		return fmt.Sprintf("command %s is about %s, and its plan has a step on %s", e.id, a.Command.Target, st.On)
	case x.layout.firmAmongOthers(a.Command.Target, x.layout.outlets[st.On].node):
		return fmt.Sprintf("command %s is about %s, of which the server on %s must be left out: it is not alone", e.id, a.Command.Target, st.On)
	}
	return x.window(w, e, a)
}

// window tells why a write lies outside the life of a command; empty: it does not.
func (x *explainer) window(w *write, e *entry, a *record) string {
	if a.At.After(w.at) {
		return fmt.Sprintf("command %s was accepted %.3f s after the write", e.id, a.At.Sub(w.at).Seconds())
	}
	if end, over := e.endedBefore(w.at); over {
		return fmt.Sprintf("command %s had ended %.3f s before the write", e.id, w.at.Sub(end).Seconds())
	}
	if b, later := x.laterBoot(a.Boot, w.at); later {
		return fmt.Sprintf("command %s was accepted by the life %s of the agent, and %s had begun: what a restart finds is never continued", e.id, a.Boot, b.id)
	}
	if a.Plan == nil || a.Plan.DeadlineMS <= 0 {
		return ""
	}
	from := a.At
	if c := a.Command; c != nil && c.Args.DeadlineS == 0 && c.Exp.After(from) { // its first step may begin as late as exp
		from = c.Exp
	}
	deadline := from.Add(time.Duration(a.Plan.DeadlineMS) * time.Millisecond)
	if w.at.After(deadline.Add(late)) {
		return fmt.Sprintf("command %s had its deadline %.3f s before the write", e.id, w.at.Sub(deadline).Seconds())
	}
	return ""
}

// verbFits tells whether a verb may have a step.
func verbFits(op, do string) bool {
	switch op {
	case opCycle:
		return true
	case "outlet.cut", "outlet.energise":
		return op == "outlet."+do
	case opShutdown:
		return do == doCut
	case opStart:
		return do == doEnergise
	default:
		return false
	}
}

// concerns tells whether a step is on an outlet that a target names. Outlets that feed no node are in no group.
func (x *explainer) concerns(target string, st *planStep) bool {
	if kind, name, _ := strings.Cut(target, "/"); kind == "outlet" {
		return name == st.On.String()
	}
	o := x.layout.outlets[st.On]
	return o != nil && o.node != nil && slices.Contains(x.layout.members(target), o.node)
}

// does tells in words what a write does to relays.
func (w *write) does() string {
	if len(w.moves) == 0 {
		return "leaving every relay as it is"
	}
	var parts []string
	for _, m := range w.moves {
		verb := "opening"
		if m.closed {
			verb = "closing"
		}
		parts = append(parts, verb+" "+m.outlet.label())
	}
	return strings.Join(parts, " and ")
}

// about tells what a write is, for a report.
func (w *write) about() string {
	if w.bank.kind == operation {
		return fmt.Sprintf("the command %s % x to %s", w.reg, w.data, w.bank.label())
	}
	return fmt.Sprintf("a write of % x to the %s of %s", w.data, w.reg, w.bank.label())
}
