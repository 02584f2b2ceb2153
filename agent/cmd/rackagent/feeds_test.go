package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"rackagent/agent"
	"rackagent/agent/rack"
)

// TestFeedsOfARunningAgent: a bank below a row, with six miners and a server.
func TestFeedsOfARunningAgent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.belowARow()
	r.runs()
	golden(t, "feeds-agent", r.types("feeds"))
	s := r.types("feeds", "--json")
	golden(t, "feeds-agent-json", s)
	var got struct{ Feeds []agent.FeedStatus }
	if err := json.Unmarshal([]byte(s.out), &got); err != nil || len(got.Feeds) != 2 {
		t.Fatalf("%v\n%s", err, s.out)
	}
	row, bank := got.Feeds[0], got.Feeds[1]
	if math.Abs(row.MeasuredW-bank.MeasuredW) > 0.1 || math.Abs(row.MeasuredA-bank.MeasuredA) > 0.1 || len(row.Nodes) != 0 {
		t.Errorf("all of the row is the bank's: %+v, %+v", row.FeedUse, bank.FeedUse)
	}
	sum := 0.0
	for _, n := range bank.Nodes {
		if n.MeasuredW == nil {
			t.Fatalf("%+v", n)
		}
		sum += *n.MeasuredW
	}
	if math.Abs(sum-bank.MeasuredW) > 0.1 {
		t.Errorf("%.1f W at its outlets, %.1f W on the bank", sum, bank.MeasuredW)
	}
	// A cut frees its reservation and shows as an open outlet.
	if s := r.types("command", "outlet.cut", "outlet/pdu-a.3", "--id", "cut-0001"); s.status != exitOK {
		t.Fatalf("%+v", s)
	}
	s = r.types("feeds")
	_, after, _ := strings.Cut(strings.Join(strings.Fields(s.out), " "), "├─ asic-3 ")
	if !strings.HasPrefix(after, "asic off 0 W ") || strings.Count(s.out, " 90.6 A 71 %") != 1 {
		t.Errorf("after a cut:\n%s", s.out)
	}
}

// belowARow puts the bank of the configuration below a row, which has the larger limit.
func (r *rig) belowARow() {
	r.t.Helper()
	b, err := os.ReadFile(r.config)
	if err != nil {
		r.t.Fatal(err)
	}
	text := strings.Replace(string(b), "  - {name: feed-a, ", "  - {name: row, lines: [L1, L2, L3], volts_v: 400, rating_a: 250}\n  - {name: feed-a, parent: row, ", 1)
	write(r.t, r.config, text)
}

// threeLevels is a row with two racks: in one a bank is over and its rack is high, in the other no meter tells anything. A
// server has its two supplies in both. The bank of the second comes before its rack.
func threeLevels() []agent.FeedStatus {
	on := func(pdu string, numbers ...int) (out []rack.OutletID) {
		for _, n := range numbers {
			out = append(out, rack.OutletID{PDU: pdu, N: n})
		}
		return out
	}
	use := func(feed, parent string, lines []string, rated, limit, reserved, measured, watts, assumed float64) rack.FeedUse {
		return rack.FeedUse{
			Feed: feed, Parent: parent, Lines: lines, RatingA: rated, LimitA: limit, ReservedA: reserved, ReservedW: 218.5 * reserved,
			MeasuredA: measured, MeasuredW: watts, AssumedW: assumed, Line: lines[len(lines)-1],
		}
	}
	three := []string{"L1", "L2", "L3"}
	return []agent.FeedStatus{
		{FeedUse: use("row-4", "", three, 250, 200, 118.44, 92.06, 61342, 6800)},
		{FeedUse: use("rack-17", "row-4", three, 63, 50.4, 46.6, 0.95*50.4, 10420, 0)},
		{FeedUse: use("bank-a", "rack-17", []string{"L1"}, 32, 25.6, 31.1, 13.05, 2790, 0), Nodes: []agent.FeedNode{
			{Node: "asic-1", Class: rack.ClassASIC, Outlets: on("pdu-a", 1), State: rack.PowerSleeping, ReservedW: ptr(50.0), MeasuredW: ptr(41.6)},
			{Node: "gpu-1", Class: rack.ClassGPU, Outlets: on("pdu-a", 7, 8), Elsewhere: on("pdu-b", 7, 8), State: rack.PowerRunning, ReservedW: ptr(6745.5), MeasuredW: ptr(2748.4)},
			{Outlets: on("pdu-a", 2, 3, 4), MeasuredW: ptr(-0.2)},
		}},
		{FeedUse: use("bank-c", "rack-18", []string{"L3"}, 32, 25.6, 31.1, 31.1, 6800, 6800), Nodes: []agent.FeedNode{
			{Node: "gpu-1", Class: rack.ClassGPU, Outlets: on("pdu-b", 7, 8), Elsewhere: on("pdu-a", 7, 8), State: rack.PowerRunning, ReservedW: ptr(6745.5)},
			{Node: "asic-12", Class: rack.ClassASIC, Outlets: on("pdu-b", 9), State: rack.PowerFault, ReservedW: ptr(54.5)},
		}},
		{FeedUse: use("rack-18", "row-4", []string{"L2", "L3"}, 63, 50.4, 31.1, 31.1, 6800, 6800)},
	}
}

func TestFeeds(t *testing.T) {
	socket := serves(t, agent.Status{Boot: "b1", Feeds: threeLevels()})
	s := typed(t, "feeds", "--socket", socket)
	golden(t, "feeds-tree", s)
	for line := range strings.Lines(s.out) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	s = typed(t, "feeds", "--json", "--socket", socket)
	var got struct{ Feeds []agent.FeedStatus }
	if err := json.Unmarshal([]byte(s.out), &got); err != nil || len(got.Feeds) != 5 || got.Feeds[2].Nodes[1].Elsewhere[0].PDU != "pdu-b" || s.status != exitOK {
		t.Errorf("%v %+v", err, s)
	}
	golden(t, "feeds-none", typed(t, "feeds", "--socket", serves(t, agent.Status{Boot: "b1"})))
	golden(t, "no-agent", typed(t, "feeds", "--socket", "/nowhere/socket"))
}

// TestFeedsAreMarkedAtTheirLimits and not a hair below.
func TestFeedsAreMarkedAtTheirLimits(t *testing.T) {
	for _, c := range []struct {
		limit, reserved, measured, assumed float64
		want                               string
	}{
		{limit: 100, reserved: 100, measured: 94.99},
		{limit: 100, reserved: 100, measured: 95, want: "HIGH"},
		{limit: 100, reserved: 100.001, measured: 94.99, want: "OVER"},
		{limit: 100, reserved: 120, measured: 101, assumed: 3400, want: "HIGH OVER 3400"},
		{limit: 0, reserved: 1, want: "OVER"},
		{limit: 0},
	} {
		var words []string
		for _, r := range remarks(agent.FeedStatus{FeedUse: rack.FeedUse{LimitA: c.limit, ReservedA: c.reserved, MeasuredA: c.measured, AssumedW: c.assumed}}) {
			words = append(words, strings.FieldsFunc(r, func(r rune) bool { return r == ':' || r == ' ' })[0])
		}
		if got := strings.Join(words, " "); got != c.want {
			t.Errorf("%+v: marked %q", c, got)
		}
	}
}

// TestFeedsShowNamesPlainly: what a terminal would obey is written out, and the columns stand.
func TestFeedsShowNamesPlainly(t *testing.T) {
	feeds := []agent.FeedStatus{
		{FeedUse: rack.FeedUse{Feed: "row\x1b[2J", Lines: []string{"L1\nL2"}, LimitA: 10, MeasuredA: 10, Line: "L1\r"}},
		{FeedUse: rack.FeedUse{Feed: "bank\tb", Parent: "row\x1b[2J", LimitA: 10}, Nodes: []agent.FeedNode{
			{Node: "asic\u202e1", Class: "asic\u009b31m", State: "run\nning", Outlets: []rack.OutletID{{PDU: "pdu\x07", N: 1}}},
		}},
	}
	var out bytes.Buffer
	printFeeds(&app{outside: outside{out: screen{&out}}}, feeds)
	golden(t, "feeds-plainly", said{out: out.String()})
	if strings.ContainsAny(out.String(), "\x1b\r\t\x07\u202e\u009b") || strings.Count(out.String(), "\n") != 5 {
		t.Errorf("%q", out.String())
	}
}

// TestFeedsInACircle are shown all the same, each once: the agent's check refuses them, another program's may not.
func TestFeedsInACircle(t *testing.T) {
	var out bytes.Buffer
	printFeeds(&app{outside: outside{out: &out}}, []agent.FeedStatus{
		{FeedUse: rack.FeedUse{Feed: "a", Parent: "b"}}, {FeedUse: rack.FeedUse{Feed: "b", Parent: "a"}}, {FeedUse: rack.FeedUse{Feed: "c", Parent: "gone"}},
	})
	if got := strings.Count(out.String(), "\n"); got != 4 {
		t.Errorf("%d lines:\n%s", got, out.String())
	}
}

func TestOutletsInWords(t *testing.T) {
	on := func(ids ...string) (out []rack.OutletID) {
		for _, s := range ids {
			id, err := rack.ParseOutletID(s)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, id)
		}
		return out
	}
	for want, outlets := range map[string][]rack.OutletID{
		"":                      nil,
		"pdu-a.7":               on("pdu-a.7"),
		"pdu-a.7,8":             on("pdu-a.7", "pdu-a.8"),
		"pdu-a.1-3":             on("pdu-a.1", "pdu-a.2", "pdu-a.3"),
		"pdu-a.1,3-5,8 pdu-b.9": on("pdu-a.1", "pdu-a.3", "pdu-a.4", "pdu-a.5", "pdu-a.8", "pdu-b.9"),
		"pdu-a.8 pdu-b.9-11":    on("pdu-a.8", "pdu-b.9", "pdu-b.10", "pdu-b.11"),
	} {
		if got := outletWords(outlets); got != want {
			t.Errorf("%v: %q, want %q", outlets, got, want)
		}
	}
}
