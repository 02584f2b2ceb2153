package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

// printState tells a state of a command: what was done, on what, and what the meter said before and after.
func printState(a *app, s wire.Status) {
	a.printf("%s%s\n", s.State, explained(s.Code, s.Text))
	if s.State == rack.StateWaiting {
		a.printf("  until %s another person may type: rackagent approve %s --key FILE\n  sha256 %s\n", s.Until.Local().Format(time.DateTime), s.Command, s.Sha256)
	}
	if !s.Earliest.IsZero() {
		a.printf("  possible from %s on\n", s.Earliest.Local().Format(time.TimeOnly))
	}
	for _, t := range s.Targets {
		a.printf("  %s: %s%s%s\n", t.Target, t.State, recovered(t), explained(t.Code, t.Text))
		for _, step := range t.Steps {
			a.printf("    %s\n", stepWords(step, s.State.Terminal()))
		}
	}
	if s.Plan != nil {
		printPlan(a, *s.Plan)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Ident)) {
		a.printf("  %s\n", identWords(name, s.Ident[name]))
	}
	if s.Listed != nil {
		printList(a, s.Listed)
	}
}

// explained is a code and its sentence, where there are any.
func explained(code rack.Code, text string) string {
	return prefixed(", ", string(code)) + prefixed(": ", text)
}

func recovered(t rack.TargetResult) string {
	if t.Recovered {
		return ", found by measurement after a restart"
	}
	return ""
}

// stepWords: cut outlet/pdu-a.3: 3252 W before, 0 W after, proven 0.61 s after the write.
func stepWords(s rack.StepResult, over bool) string {
	text := fmt.Sprintf("%s %s: ", s.Do, s.On)
	if p := s.Proof; p != nil {
		text += wattWords(p.BeforeW) + " before, "
		if s.Taken != nil || p.AfterW != nil {
			text += wattWords(p.AfterW) + " after, "
		}
	}
	switch {
	case s.Settled != nil && s.Taken != nil:
		text += fmt.Sprintf("proven %.2f s after the write", float64(*s.Settled-*s.Taken)/1000)
	case s.Settled != nil:
		text += "proven by measurement"
	case s.Confirmed != nil:
		text += "the relay reads back, not proven by watts"
	case s.Taken != nil:
		text += "written, not read back"
	case over:
		text += "not written"
	default:
		text += "not written yet"
	}
	return text
}

func wattWords(w *float64) string {
	if w == nil {
		return "unknown watts"
	}
	return rounded(*w, 0) + " W"
}

// rounded writes a figure without the sign of a zero.
func rounded(v float64, digits int) string {
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Trim(s, "-0.") == "" {
		s = strings.TrimPrefix(s, "-")
	}
	return s
}

// printPlan tells what a dry run would do, step by step. In a plan with several targets the steps stand as they would
// run, and what would be left out stands first.
func printPlan(a *app, p rack.Plan) {
	var steps []rack.Step
	for _, t := range p.Targets {
		switch {
		case t.Refused != nil:
			a.printf("  %s would be left out%s\n", t.Target, explained(t.Refused.Code, t.Refused.Text))
		case len(p.Targets) == 1:
			a.printf("  %s\n", t.Target)
		}
		steps = append(steps, t.Steps...)
	}
	slices.SortStableFunc(steps, func(a, b rack.Step) int { return cmp.Compare(a.Seq, b.Seq) })
	for _, s := range steps {
		a.printf("    %s\n", planWords(s))
		for _, f := range s.Feeds {
			a.printf("      then %s carries %.0f W, %.1f A of %.1f A\n", f.Feed, f.W, f.A, f.LimitA)
		}
	}
}

func planWords(s rack.Step) string {
	text := fmt.Sprintf("would %s %s, now %s, within %s", s.Do, s.Subject(), wattWords(s.BeforeW), s.Limit())
	if s.WaitMS > 0 {
		text += fmt.Sprintf(", at least %s after the step before", s.Wait())
	}
	if s.Hot {
		text += "; the load is running"
	}
	return text + prefixed("; settled when ", s.Proof)
}

func identWords(name string, i rack.Identity) string {
	text := fmt.Sprintf("%s: serial %s%s", name, dash(i.Serial), prefixed(", ", i.Product))
	if i.Expected != "" && i.Expected != i.Serial {
		text += "; NOT the configured " + i.Expected
	}
	return text + ", wiring " + string(i.Wiring)
}

// printList shows commands, the newest first.
func printList(a *app, listed []rack.Summary) {
	if len(listed) == 0 {
		a.printf("no commands yet\n")
		return
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	say(w, "RECEIVED\tCOMMAND\tVERB\tTARGET\tSTATE\n")
	for _, l := range listed {
		say(w, "%s\t%s\t%s\t%s\t%s%s\n", l.Received.Local().Format(time.DateTime), l.Command, l.Op, l.Target, l.State, prefixed(", ", string(l.Code)))
	}
	_ = w.Flush()
}
