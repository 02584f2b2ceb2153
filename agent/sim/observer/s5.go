package observer

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// oneResult reports commands without exactly one terminal result, on disk and on the broker.
func oneResult(r *run) []Violation {
	var out []Violation
	for _, e := range r.book.entries {
		out = append(out, r.wholeEntry(e)...)
		out = append(out, r.published(e)...)
	}
	told := map[string]*teller{}
	for _, s := range r.mail.statuses {
		t := told[s.ID]
		if t == nil {
			t = &teller{run: r, parts: map[int]bool{}}
			told[s.ID] = t
		}
		if v := t.hear(s); v != "" {
			out = append(out, r.report(s.at, s.seq, "command %s: %s", s.ID, v))
		}
	}
	for _, u := range r.mail.unread {
		if strings.Contains(u.topic, "/up/cmd/") {
			out = append(out, r.report(u.at, u.seq, "the state on %s cannot be read: %v", u.topic, u.err))
		}
	}
	return out
}

// wholeEntry judges what the journal holds of one command.
func (r *run) wholeEntry(e *entry) []Violation {
	var out []Violation
	add := func(rec *record, format string, args ...any) {
		out = append(out, r.report(rec.At, 0, "command "+e.id+": "+format, args...))
	}
	opens := slices.Concat(e.accepted, e.rejected)
	if len(opens) > 1 {
		add(opens[1], "the journal took it in %d times, the second time as %s", len(opens), opens[1].Kind)
	}
	if len(e.ended) > 1 {
		add(e.ended[1], "it ended %d times, first %s, then %s", len(e.ended), stateOf(e.ended[0]), stateOf(e.ended[1]))
	}
	for _, rec := range slices.Concat(e.progress, e.ended) {
		if len(e.accepted) == 0 || rec.At.Before(e.accepted[0].At) {
			add(rec, "a record %s stands without an accepted one before it", rec.Kind)
		}
	}
	for _, rec := range slices.Concat(e.ended, e.rejected) {
		if rec.Outcome == nil || !terminal(rec.Outcome.State) {
			add(rec, "its record %s holds no terminal result", rec.Kind)
		}
	}
	if r.book.complete && len(e.accepted) > 0 && len(e.ended) == 0 {
		add(e.accepted[0], "it was accepted and has no result at the end of the run")
	}
	for _, rec := range e.ended {
		if why := e.targets(rec); why != "" {
			add(rec, "%s", why)
		}
	}
	if len(e.acked) > 0 && len(e.ended)+len(e.rejected) == 0 {
		add(e.acked[0], "its result counts as delivered, and there is none")
	}
	return out
}

// targets tells which target of a plan has not exactly one result, or which result has no target; empty: all is well.
func (e *entry) targets(rec *record) string {
	if len(e.accepted) == 0 || e.accepted[0].Plan == nil || e.accepted[0].Command == nil || e.accepted[0].Command.Dry || rec.Outcome == nil {
		return ""
	}
	results := map[string][]targetResult{}
	for _, t := range rec.Outcome.Targets {
		results[t.Target] = append(results[t.Target], t)
	}
	for _, t := range e.accepted[0].Plan.Targets {
		got := results[t.Target]
		switch {
		case len(got) != 1:
			return fmt.Sprintf("its target %s has %d results", t.Target, len(got))
		case t.Refused != nil && (got[0].State != "rejected" || len(got[0].Steps) > 0):
			return fmt.Sprintf("its target %s was refused when planning, and ends %s with %d steps", t.Target, got[0].State, len(got[0].Steps))
		}
		delete(results, t.Target)
	}
	for t := range results {
		return "its result names " + t + ", which its plan does not"
	}
	return ""
}

func stateOf(rec *record) string {
	if rec.Outcome == nil {
		return "without a state"
	}
	return rec.Outcome.State
}

// silence is how long after a result the agent may have published other things and not the result: arbitrary; results
// go before readings in its queue.
const silence = 30 * time.Second

// published reports results that never reached the broker although they count as delivered, or although the agent
// went on talking.
func (r *run) published(e *entry) []Violation {
	results := slices.Concat(e.ended, e.rejected)
	if len(results) == 0 || slices.ContainsFunc(r.mail.statuses, func(s *status) bool { return s.ID == e.id && terminal(s.State) && !s.noOutcome() }) {
		return nil
	}
	rec := results[0]
	switch {
	case len(e.acked) > 0:
		return []Violation{r.report(e.acked[0].At, 0, "command %s: its result counts as delivered, and the broker never saw it", e.id)}
	case r.mail.last.Sub(rec.At) > silence:
		return []Violation{r.report(rec.At, 0, "command %s: its result was not published, and the agent went on talking for %.0f s", e.id, r.mail.last.Sub(rec.At).Seconds())}
	}
	return nil
}

// teller hears the states of one command in the order in which they reached the broker.
type teller struct {
	run   *run
	n     int    // highest so far
	state string // that came with it
	heard []string
	parts map[int]bool // heard of the terminal result
	end   *status
}

// hear takes the next state and tells what is wrong with it; empty: nothing. A message that came before, word for
// word, is a redelivery.
func (t *teller) hear(s *status) string {
	if slices.Contains(t.heard, s.same) {
		return ""
	}
	t.heard = append(t.heard, s.same)
	switch {
	case s.noOutcome():
		return t.turnedAway(s)
	case terminal(s.State):
		return t.terminal(s)
	case s.Dup:
		return ""
	case t.end != nil:
		return "it is told " + s.State + " after its result " + t.end.State
	case s.N < t.n:
		return "the number of its states falls"
	case s.N == t.n && s.State != t.state:
		return "its states " + t.state + " and " + s.State + " have one number"
	}
	t.n, t.state = s.N, s.State
	if s.State == "accepted" && !t.recorded(s, kindAccepted) {
		return "it is told accepted, and no record of that was made before"
	}
	return ""
}

// turnedAway judges a rejection that leaves the id free.
func (t *teller) turnedAway(s *status) string {
	switch s.Code {
	case "busy", "rate_limited", "observing", "id_conflict", "journal_full":
		return ""
	case "bad_schema", "unsupported", "wrong_audience", "unknown_key": // refused before its sender was found to have a right to it
		return ""
	}
	if t.run.mail.denied(s) {
		return ""
	}
	return "it is rejected " + s.Code + " without a number, as if that were no outcome"
}

// denied tells whether a command was refused, under a code that otherwise is an outcome, before its sender was found to have a
// right to it: bound to another life, with a precondition that the agent cannot read, or passed on by an agent without its proof.
func (m *mail) denied(s *status) bool {
	return slices.ContainsFunc(m.deliveries, func(d *delivery) bool {
		c := d.order
		if c.ID == nil || *c.ID != s.ID || d.at.After(s.at) {
			return false
		}
		return c.Parent != nil || s.Code == "replay" && c.AudBoot != "" && c.AudBoot != s.Boot || s.Code == "precondition" && c.If != nil
	})
}

// terminal judges a terminal result, or one part of it.
func (t *teller) terminal(s *status) string {
	switch {
	case t.end != nil && (s.State != t.end.State || s.N != t.end.N):
		return "it has two results, " + t.end.State + " and " + s.State
	case t.parts[s.Part]:
		return "its result " + s.State + " is told again, and differs"
	case !s.Dup && s.N < t.n:
		return "its result has a lower number than a state before it"
	}
	t.parts[s.Part] = true
	t.end = s
	if !t.recorded(s, kindEnded) && !t.recorded(s, kindRejected) {
		return "its result " + s.State + " is told, and no record of it was made before"
	}
	if o := t.run.book.byID[s.ID].result(); o != nil && (o.State != s.State || o.N != s.N || o.Code != s.Code) {
		return "its result is told as " + s.State + " " + s.Code + ", and is " + o.State + " " + o.Code + " on disk"
	}
	return ""
}

// recorded tells whether a record of a kind was made before a state was heard.
func (t *teller) recorded(s *status, kind string) bool {
	e := t.run.book.byID[s.ID]
	return e != nil && slices.ContainsFunc(*e.list(kind), func(r *record) bool { return !r.At.After(s.at) && (kind == kindAccepted || r.Outcome != nil) })
}
