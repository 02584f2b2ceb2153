package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"rackagent/agent"
	"rackagent/agent/rack"
)

// highShare of its limit is where a level is marked: the agent's own feed control acts there.
const highShare = 0.95

// printFeeds draws the tree of the feed.
func printFeeds(a *app, feeds []agent.FeedStatus) {
	t := newFeedTree(feeds)
	for _, f := range feeds {
		if !t.known[f.Parent] {
			t.draw(f, "", "")
		}
	}
	for _, f := range feeds { // each is the parent of another: the configuration's check refuses that
		t.draw(f, "", "")
	}
	t.print(a)
}

// feedTree is the tree as it stands on a screen: a line for each level and for each node, and remarks between them.
type feedTree struct {
	below map[string][]agent.FeedStatus
	known map[string]bool
	drawn map[string]bool
	lines []feedLine
	split bool // a node has outlets on several banks
}

// feedLine is a level, a node, or a remark. All its texts are fit for a screen, so that their widths are.
type feedLine struct {
	name    string    // with the branches that lead to it
	kind    string    // the lines of a level, the class of a node
	loads   [2]string // reserved, measured
	level   [3]string // rated, limit, watts; of a level
	state   string    // of a node, in the place of rated and limit
	outlets string    // of a node, in the place of watts
	remark  string    // in the place of all but the name
}

func newFeedTree(feeds []agent.FeedStatus) *feedTree {
	t := &feedTree{below: map[string][]agent.FeedStatus{}, known: map[string]bool{}, drawn: map[string]bool{}}
	for _, f := range feeds {
		t.below[f.Parent] = append(t.below[f.Parent], f)
		t.known[f.Feed] = true
	}
	t.lines = []feedLine{{name: "FEED", kind: "LINES", level: [3]string{"RATED", "LIMIT", "WATTS"}, loads: [2]string{"RESERVED", "MEASURED"}}}
	return t
}

// draw draws a level and what hangs on it. branch leads to its own line, trunk to all below it.
func (t *feedTree) draw(f agent.FeedStatus, branch, trunk string) {
	if t.drawn[f.Feed] {
		return
	}
	t.drawn[f.Feed] = true
	t.lines = append(t.lines, levelLine(branch+oneLine(f.Feed), f))
	left := len(f.Nodes) + len(t.below[f.Feed])
	for _, text := range remarks(f) {
		bar := "   "
		if left > 0 {
			bar = "│  "
		}
		t.lines = append(t.lines, feedLine{name: trunk + bar, remark: text})
	}
	next := func() (branch, below string) {
		if left--; left > 0 {
			return trunk + "├─ ", trunk + "│  "
		}
		return trunk + "└─ ", trunk + "   "
	}
	for _, n := range f.Nodes {
		b, _ := next()
		t.lines = append(t.lines, t.nodeLine(b, n))
	}
	for _, level := range t.below[f.Feed] {
		b, below := next()
		t.draw(level, b, below)
	}
}

func levelLine(name string, f agent.FeedStatus) feedLine {
	return feedLine{
		name: name, kind: dash(oneLine(strings.Join(f.Lines, " "))),
		level: [3]string{amps(f.RatingA), amps(f.LimitA), rounded(f.MeasuredW, 0) + " W"},
		loads: [2]string{ampsOf(f.ReservedA, f.LimitA), ampsOf(f.MeasuredA, f.LimitA)},
	}
}

func (t *feedTree) nodeLine(branch string, n agent.FeedNode) feedLine {
	l := feedLine{
		name: branch + oneLine(n.Node), kind: dash(oneLine(string(n.Class))), state: dash(oneLine(string(n.State))),
		loads: [2]string{wattsOrDash(n.ReservedW) + " ", wattsOrDash(n.MeasuredW)}, outlets: oneLine(outletWords(n.Outlets)),
	}
	if n.Node == "" {
		l.name = branch + "no node"
	}
	if n.State == rack.PowerFault {
		l.state = "FAULT" // to be seen from afar
	}
	if len(n.Elsewhere) > 0 {
		l.loads[0] = wattsOrDash(n.ReservedW) + "*" // the others have a blank there
		t.split = true
	}
	return l
}

// remarks are what a person should know of a level, the worst first.
func remarks(f agent.FeedStatus) []string {
	var out []string
	if f.LimitA > 0 && f.MeasuredA >= highShare*f.LimitA {
		out = append(out, fmt.Sprintf("HIGH: measured at %s of its limit%s", percent(f.MeasuredA, f.LimitA, 1), prefixed(" on ", oneLine(f.Line))))
	}
	if f.ReservedA > f.LimitA {
		out = append(out, "OVER: more reserved than its limit: no start, wake or release below it")
	}
	if f.AssumedW > 0 {
		out = append(out, rounded(f.AssumedW, 0)+" W of its watts are not measured but assumed")
	}
	return out
}

// amps writes a rating or a limit: 128 A, 25.6 A.
func amps(a float64) string { return strings.TrimSuffix(rounded(a, 1), ".0") + " A" }

// ampsOf writes amperes with their share of a limit. One under the other they align up to 99 %.
func ampsOf(a, limit float64) string {
	return fmt.Sprintf("%s A %4s", rounded(a, 1), percent(a, limit, 0))
}

func percent(a, limit float64, digits int) string {
	if limit <= 0 {
		return "-"
	}
	return rounded(100*a/limit, digits) + " %"
}

func wattsOrDash(w *float64) string {
	if w == nil {
		return "-"
	}
	return rounded(*w, 0) + " W"
}

// outletWords writes outlets board by board, runs of three and more in short: pdu-a.1-4,7 pdu-b.7.
func outletWords(outlets []rack.OutletID) string {
	var words strings.Builder
	for i := 0; i < len(outlets); i++ {
		switch {
		case i == 0:
			words.WriteString(outlets[i].String())
		case outlets[i].PDU == outlets[i-1].PDU:
			words.WriteString("," + strconv.Itoa(outlets[i].N))
		default:
			words.WriteString(" " + outlets[i].String())
		}
		if last := runEnd(outlets, i); last >= i+2 {
			words.WriteString("-" + strconv.Itoa(outlets[last].N))
			i = last
		}
	}
	return words.String()
}

// runEnd is the last of the outlets that follow one another from i on.
func runEnd(outlets []rack.OutletID, i int) int {
	for i+1 < len(outlets) && outlets[i+1] == (rack.OutletID{PDU: outlets[i].PDU, N: outlets[i].N + 1}) {
		i++
	}
	return i
}

// print writes the lines in columns. A tabwriter would not do: a remark ends its columns.
func (t *feedTree) print(a *app) {
	w := t.widths()
	for _, l := range t.lines {
		if l.remark != "" {
			a.printf("%s%s\n", l.name, l.remark)
			continue
		}
		place := fmt.Sprintf("%*s  %*s", w.level[0], l.level[0], w.level[1], l.level[1])
		last := fmt.Sprintf("%*s", w.level[2], l.level[2])
		if l.state != "" {
			place, last = fmt.Sprintf("%-*s", w.level[0]+2+w.level[1], l.state), l.outlets
		}
		a.printf("%-*s  %-*s  %s  %*s  %*s  %s\n", w.name, l.name, w.kind, l.kind, place, w.loads[0], l.loads[0], w.loads[1], l.loads[1], last)
	}
	if t.split {
		a.printf("* has outlets on other banks too, and counts whole on each of them\n")
	}
}

// feedWidths are those of the columns, in characters.
type feedWidths struct {
	name, kind int
	loads      [2]int
	level      [3]int
}

func (t *feedTree) widths() (w feedWidths) {
	for _, l := range t.lines {
		if l.remark != "" {
			continue
		}
		w.name, w.kind = max(w.name, utf8.RuneCountInString(l.name)), max(w.kind, utf8.RuneCountInString(l.kind))
		for i, s := range l.loads {
			w.loads[i] = max(w.loads[i], len(s))
		}
		for i, s := range l.level {
			w.level[i] = max(w.level[i], len(s))
		}
	}
	return w
}
