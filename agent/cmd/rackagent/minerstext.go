package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"rackagent/drivers/miner/scan"
)

// print writes what was found in one of the formats.
func (s scanned) print(a *app, format string, named namedMiners) error {
	if named.note != "" {
		say(a.err, "rackagent: note: %s\n", named.note)
	}
	switch format {
	case "json":
		return a.json(s)
	case "yaml":
		s.yaml(a, len(named.list) > 0)
	default:
		s.table(a)
	}
	return nil
}

// table is for people.
func (s scanned) table(a *app) {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	if len(s.Miners) > 0 {
		say(w, "ADDRESS\tAPI\tMODEL\tFIRMWARE\tMAC\tSURE\tWHY\n")
	}
	for _, r := range s.Miners {
		say(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Host, dash(r.API), dash(r.Model), dash(r.Firmware), dash(r.MAC), r.Sure, r.reasons())
	}
	_ = w.Flush()
	a.printf("%s\n", s.counts())
	s.missing(a)
}

// reasons are all that a person should know of a row, the most important first.
func (r minerRow) reasons() string {
	var w []string
	if r.Configured != nil {
		w = append(w, "configured as "+r.Configured.Node+prefixed(", BUT ", r.Configured.Differs))
	}
	switch {
	case r.Unsupported != "":
		w = append(w, fmt.Sprintf("%s: %s", r.Kind, r.Unsupported))
	case r.API == "" && r.Kind != "":
		w = append(w, fmt.Sprintf("%s: perhaps %s", r.Kind, strings.Join(r.Alternatives, ", ")))
	case len(r.Alternatives) > 0:
		w = append(w, "or "+strings.Join(r.Alternatives, ", "))
	}
	if len(r.SameMAC) > 0 {
		w = append(w, "THE SAME MAC at "+strings.Join(r.SameMAC, ", "))
	}
	return strings.Join(append(w, r.Why...), "; ")
}

// counts says what became of the addresses.
func (s scanned) counts() string {
	w := []string{fmt.Sprintf("%d answer", s.Found), fmt.Sprintf("%d silent", s.Silent)}
	if s.Closed > 0 {
		w = append(w, fmt.Sprintf("%d without an open port of a miner", s.Closed))
	}
	if s.Failed > 0 {
		w = append(w, fmt.Sprintf("%d could not be asked (%s)", s.Failed, s.Failure))
	}
	if left := s.Addresses - s.Found - s.Silent - s.Closed - s.Failed; left > 0 {
		w = append(w, fmt.Sprintf("%d not asked to the end", left))
	}
	return fmt.Sprintf("%s: %s", plural(s.Addresses, "address"), strings.Join(w, ", "))
}

// missing says what is still to be entered, once for all that lack the same.
func (s scanned) missing(a *app) {
	by := map[string][]string{}
	var order []string
	for _, r := range s.Miners {
		if len(r.Missing) == 0 || r.Configured != nil {
			continue
		}
		what := strings.Join(r.Missing, "; ")
		if by[what] == nil {
			order = append(order, what)
		}
		by[what] = append(by[what], r.Host)
	}
	if len(order) > 0 {
		a.printf("Still to enter in the configuration, for which --format yaml prints entries:\n")
	}
	for _, what := range order {
		a.printf("  %s: %s\n", some(by[what]), what)
	}
}

// some names the first of many.
func some(hosts []string) string {
	const most = 8
	if len(hosts) <= most {
		return strings.Join(hosts, " ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(hosts[:most], " "), len(hosts)-most)
}

// yaml writes entries to paste, and as comments what is no entry.
func (s scanned) yaml(a *app, exists bool) {
	var list []entry
	var rest []string
	for _, r := range s.Miners {
		switch {
		case r.Configured != nil:
			rest = append(rest, fmt.Sprintf("%s: configured as %s%s", r.Host, r.Configured.Node, prefixed(", BUT ", r.Configured.Differs)))
		case r.API == "":
			rest = append(rest, fmt.Sprintf("%s: no entry: %s", r.Host, cmp.Or(r.reasons(), "unknown")))
		default:
			list = append(list, r.entry())
		}
	}
	a.printf("# %s\n", s.counts())
	if len(list) > 0 {
		a.printf("# node is the name of a node of class asic; rackagent check refuses %s. Lines behind a # are guesses.\n", fillIn)
		_, _ = a.out.Write([]byte(section("miners", list, exists)))
	}
	for _, line := range rest {
		a.printf("# %s\n", line)
	}
}

// entry is an item of the list miners. Everything in it that a miner said is a MAC, or stands in a comment.
func (r minerRow) entry() entry {
	keys := []string{"node: " + fillIn, "api: " + r.API, "host: " + yamlHost(r.Host)}
	if r.MAC != "" {
		keys = append(keys, fmt.Sprintf("mac: %q", r.MAC))
	}
	e := entry{}
	if more := slices.DeleteFunc(slices.Clone(r.Missing), func(s string) bool { return s == "node" }); len(more) > 0 {
		e.lines = append(e.lines, "# still to enter: "+strings.Join(more, "; "))
	}
	about := oneLine(strings.Join(slices.DeleteFunc([]string{r.Kind, r.Model, r.Firmware}, func(s string) bool { return s == "" }), ", "))
	if len(r.Alternatives) > 0 {
		about += "; or " + strings.Join(r.Alternatives, ", ")
	}
	e.lines = append(e.lines, fmt.Sprintf("- {%s}   # %s", strings.Join(keys, ", "), about))
	switch {
	case len(r.SameMAC) > 0:
		e.guess = "the same MAC answers at " + strings.Join(r.SameMAC, ", ") + ": keep one"
	case r.Sure != scan.Identified:
		e.guess = oneLine(strings.Join(r.Why, "; "))
	}
	return e
}

// yamlHost quotes what may end in a colon.
func yamlHost(host string) string {
	if strings.Contains(host, ":") {
		return fmt.Sprintf("%q", host)
	}
	return host
}
