package command

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

func at(d time.Duration) string { return strconv.FormatInt(noon.Add(d).UnixMilli(), 10) }

// checks hold one case for every check that is answered, and what makes the case.
var checks = []struct {
	name    string
	members string
	prepare func(*rig)
	said    string // state, n, code
	kept    bool   // as the outcome of the id
}{
	{"taken", ``, nil, "accepted 1", true},
	{"energise", `"op":"outlet.energise"`, nil, "accepted 1", true},
	{"no expiry", `"exp":"-"`, nil, "rejected 0 bad_schema", false},
	{"unknown verb", `"op":"outlet.toggle"`, nil, "rejected 0 unsupported", false},
	{"verb of the contract that is not built", `"op":"curtail"`, nil, "rejected 0 unsupported", false},
	{"unknown argument", `"args":{"ramp_s":5}`, nil, "rejected 0 bad_schema", false},
	{"unknown precondition", `"if":{"watts":5}`, nil, "rejected 0 precondition", false},
	{"own name", `"aud":"ams1/r17"`, nil, "accepted 1", true},
	{"another agent", `"aud":"ams1/r18"`, nil, "rejected 0 wrong_audience", false},
	{"the site alone", `"aud":"ams1"`, nil, "rejected 0 wrong_audience", false},
	{"this boot", `"aud_boot":"boot-1"`, nil, "accepted 1", true},
	{"another boot", `"aud_boot":"boot-0"`, nil, "rejected 0 replay", false},
	{"iat 5 s ahead", `"iat":` + at(5*time.Second), nil, "accepted 1", true},
	{"iat 5.001 s ahead", `"iat":` + at(5001*time.Millisecond), nil, "rejected 1 not_yet_valid", true},
	{"expires now", `"exp":` + at(0), nil, "rejected 1 expired", true},
	{"expires in a ms", `"exp":` + at(time.Millisecond), nil, "accepted 1", true},
	{"a week old", `"exp":` + at(-7*24*time.Hour), nil, "rejected 1 expired", true},
	{"300 s", `"exp":` + at(300*time.Second), nil, "accepted 1", true},
	{"over 300 s", `"exp":` + at(300_001*time.Millisecond), nil, "rejected 1 precondition", true},
	{"year 9999", `"exp":253402300799999`, nil, "rejected 1 precondition", true},
	{"firm node 600 s", `"target":"node/gpu-1","exp":` + at(600*time.Second), nil, "accepted 1", true},
	{"firm outlet 600 s", `"target":"outlet/pdu-a.2","exp":` + at(600*time.Second), nil, "accepted 1", true},
	{"firm outlet over 600 s", `"target":"outlet/pdu-a.2","exp":` + at(600_001*time.Millisecond), nil, "rejected 1 precondition", true},
	{"outlet without a node 301 s", `"target":"outlet/pdu-a.3","exp":` + at(301*time.Second), nil, "rejected 1 precondition", true},
	{"rack 301 s", `"target":"rack","exp":` + at(301*time.Second), nil, "rejected 1 precondition", true},
	{"clock not set", ``, func(r *rig) { r.synced = false }, "rejected 1 clock_unsynced", true},
	{"clock not set, this boot", `"aud_boot":"boot-1"`, func(r *rig) { r.synced, r.birth = false, r.now.Add(-time.Second) }, "accepted 1", true},
	{"clock not set, another boot", `"aud_boot":"boot-0"`, func(r *rig) { r.synced = false }, "rejected 0 replay", false},
	{"clock not set, iat means nothing", `"aud_boot":"boot-1","iat":253402300799999`, func(r *rig) { r.synced, r.birth = false, r.now }, "accepted 1", true},
	{"observing", ``, func(r *rig) { r.observing = true }, "rejected 0 observing", false},
	{"observing, dry", `"dry":true`, func(r *rig) { r.observing = true }, "rejected 0 observing", false},
	{"planner refuses", ``, func(r *rig) { r.planner.refusal = &rack.Refusal{Code: rack.CodeFirmGuard, Text: "no"} }, "rejected 1 firm_guard", true},
	{"planner is busy", ``, func(r *rig) { r.planner.refusal = &rack.Refusal{Code: rack.CodeBusy, Text: "no"} }, "rejected 0 busy", false},
	{"dry", `"dry":true`, nil, "succeeded 1", true},
	{"dry, planner refuses", `"dry":true`, func(r *rig) { r.planner.refusal = &rack.Refusal{Code: rack.CodeMinOff} }, "rejected 1 min_off", true},
	{"disk full, adds", `"op":"outlet.energise"`, func(r *rig) { r.book.full = true }, "rejected 0 journal_full", false},
	{"disk full, may add", `"op":"outlet.cycle"`, func(r *rig) { r.book.full = true }, "rejected 0 journal_full", false},
	{"disk full, lowers", ``, func(r *rig) { r.book.full = true }, "accepted 1", true},
	{"disk full, a refusal", `"exp":` + at(0), func(r *rig) { r.book.full = true }, "rejected 0 journal_full", false},
	{"disk unreadable", ``, func(r *rig) { r.book.broken = errUnreadable }, "rejected 0 journal_full", false},
}

// TestChecks: what is said, whether it is on disk, and that the message is released.
func TestChecks(t *testing.T) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			if c.prepare != nil {
				c.prepare(r)
			}
			r.send("c1", c.members)
			if got := r.broker.said("c1"); !slices.Equal(got, []string{c.said}) {
				t.Errorf("said %q, want %q: %s", got, c.said, r.broker.last("c1").Text)
			}
			if _, kept := r.book.entries["c1"]; kept != c.kept {
				t.Errorf("on disk: %v", kept)
			}
			if r.acked["c1"] != 1 || len(r.events) != 0 {
				t.Errorf("acknowledged %d times, events %v", r.acked["c1"], r.events)
			}
			if begun := c.said == "accepted 1"; begun != slices.Contains(r.runner.started, "c1") {
				t.Errorf("started: %v", r.runner.started)
			}
		})
	}
}

// TestNoAnswer holds what must not choose a topic: one counted event, nothing published, nothing on disk.
func TestNoAnswer(t *testing.T) {
	r := newRig(t)
	valid := r.payload("c1", "")
	change := func(f func(*Inbound)) func(*rig) Inbound {
		return func(r *rig) Inbound {
			in := r.message("m", valid)
			f(&in)
			return in
		}
	}
	for _, c := range []struct {
		name string
		code rack.Code
		in   func(*rig) Inbound
	}{
		{"desired state", rack.CodeUnsupported, change(func(in *Inbound) { in.Topic = "desired" })},
		{"below cmd", rack.CodeUnsupported, change(func(in *Inbound) { in.Topic = "cmd/c1" })},
		{"no topic", rack.CodeUnsupported, change(func(in *Inbound) { in.Topic = "" })},
		{"retained", rack.CodeRetained, change(func(in *Inbound) { in.Retained = true })},
		{"too big", rack.CodeTooBig, change(func(in *Inbound) { in.Payload = append(in.Payload, strings.Repeat(" ", 8192)...) })},
		{"too big and retained", rack.CodeTooBig, change(func(in *Inbound) { in.Payload, in.Retained = make([]byte, 9000), true })},
		{"empty", rack.CodeBadSchema, change(func(in *Inbound) { in.Payload = nil })},
		{"no JSON", rack.CodeBadSchema, change(func(in *Inbound) { in.Payload = []byte("cut") })},
		{"a key twice", rack.CodeBadSchema, change(func(in *Inbound) { in.Payload = []byte(strings.Replace(valid, `"v"`, `"v":1,"v"`, 1)) })},
		{"id is no id", rack.CodeBadSchema, change(func(in *Inbound) { in.Payload = []byte(strings.Replace(valid, `"c1"`, `"../x"`, 1)) })},
		{"signed, no kid", rack.CodeBadSchema, change(func(in *Inbound) { in.Payload = []byte("eyJhbGciOiJFZERTQSJ9.eyJ2IjoxfQ.c2ln") })},
		{"unsigned", rack.CodeBadSignature, func(r *rig) Inbound {
			r.unsigned = false
			r.start(t)
			return r.message("m", valid)
		}},
		{"unsigned and malformed", rack.CodeBadSignature, func(r *rig) Inbound {
			r.unsigned = false
			r.start(t)
			return r.message("m", r.payload("c1", `"op":"-"`))
		}},
		{"claims to be local", rack.CodeBadSignature, func(r *rig) Inbound {
			r.unsigned = false
			r.start(t)
			in := r.message("m", valid)
			in.Issuer, in.Origin = "uid:0", rack.OriginAgent
			return in
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.Offer(c.in(r))
			r.settle()
			if len(r.events) != 1 || r.events[0].Reason != string(c.code) || r.events[0].Kind != rack.EventMessageDropped {
				t.Errorf("events %+v, want one %s", r.events, c.code)
			}
			if len(r.broker.sent) != 0 || len(r.book.order) != 0 || r.acked["m"] != 1 || len(r.runner.started) != 0 {
				t.Errorf("published %v, on disk %v, acknowledged %d, started %v", r.broker.sent, r.book.order, r.acked["m"], r.runner.started)
			}
		})
	}
}

func TestLocalNeedsNoSignature(t *testing.T) {
	r := newRig(t)
	r.unsigned = false
	r.start(t)
	in := r.local("m", r.payload("c1", `"iss":"somebody-else"`))
	in.Retained = true // means nothing here
	r.Offer(in)
	r.settle()
	got := r.book.entries["c1"].Command
	if got.Origin != rack.OriginLocal || got.Issuer != "alice" || got.Role != "operator" || !got.Signed {
		t.Errorf("%+v", got)
	}
}

// TestLocalNeedsNoClock: the exp of a local command stands on the same clock as its receipt. Neither whether that clock is
// synchronised nor how far it was moved since the birth matters.
func TestLocalNeedsNoClock(t *testing.T) {
	for _, c := range []struct{ name, members, want string }{
		{"bound to this boot", `"aud_boot":"boot-1"`, "accepted 1"},
		{"bound to no boot", ``, "accepted 1"},
		{"another boot", `"aud_boot":"boot-0"`, "rejected 0 replay"},
		{"expired", `"exp":` + at(0), "rejected 1 expired"},
		{"over 300 s", `"exp":` + at(300_001*time.Millisecond), "rejected 1 precondition"},
	} {
		r := newRig(t)
		r.synced, r.birth = false, time.UnixMilli(5000).UTC() // the clock was set since then
		r.Offer(r.local("c1", r.payload("c1", c.members)))
		r.settle()
		if said := r.broker.said("c1"); !slices.Equal(said, []string{c.want}) {
			t.Errorf("%s: %v %s", c.name, said, r.broker.last("c1").Text)
		}
		if by := r.runner.startBy["c1"]; c.want == "accepted 1" && !by.Equal(noon.Add(time.Minute)) {
			t.Errorf("%s: start by %v", c.name, by)
		}
	}
}

func TestUnsignedGivesNoIdentity(t *testing.T) {
	r := newRig(t)
	r.send("c1", `"iss":"ctl-1"`)
	if got := r.book.entries["c1"].Command; got.Signed || got.Origin != rack.OriginMQTT || got.Issuer != "ctl-1" {
		t.Errorf("%+v", got)
	}
}

// TestStartBy: the expiry becomes a span when the message is received; without a clock it counts from the birth.
func TestStartBy(t *testing.T) {
	r := newRig(t)
	r.send("c1", "")
	if got := r.runner.startBy["c1"]; !got.Equal(noon.Add(time.Minute)) {
		t.Errorf("%v", got)
	}
	// The agent's clock stands at 1970 and gave birth at 5 s; the sender read that, and allows 40 s from then on.
	r.synced, r.birth = false, time.UnixMilli(5000).UTC()
	r.now = time.UnixMilli(15_000).UTC()
	r.send("c2", `"aud_boot":"boot-1","exp":45000`)
	if got := r.runner.startBy["c2"]; !got.Equal(r.birth.Add(40 * time.Second)) {
		t.Errorf("%v", got)
	}
	r.send("c3", `"aud_boot":"boot-1","exp":15000`)
	if got := r.broker.said("c3"); !slices.Equal(got, []string{"rejected 1 expired"}) {
		t.Errorf("%v", got)
	}
}

// TestStartByFollowsTheMonotonicClock: a step of the wall clock after receipt changes nothing.
func TestStartByFollowsTheMonotonicClock(t *testing.T) {
	r := newRig(t)
	received := time.Now()
	cmd := rack.Command{Received: received, Exp: received.Add(time.Minute)}
	if bad := r.judge(received, &cmd); bad != nil {
		t.Fatal(bad)
	}
	if left := cmd.StartBy.Sub(received); !strings.Contains(cmd.StartBy.String(), " m=") || left != time.Minute {
		t.Errorf("start by %s, received %s", cmd.StartBy, received)
	}
}

func TestExpiryCountsWhileTheMessageWaits(t *testing.T) {
	r := newRig(t)
	r.Offer(r.message("c1", r.payload("c1", "")))
	r.now = r.now.Add(time.Minute)
	r.settle()
	if got := r.broker.said("c1"); !slices.Equal(got, []string{"rejected 1 expired"}) {
		t.Errorf("%v", got)
	}
}

func TestEarliestIsPassedOn(t *testing.T) {
	r := newRig(t)
	r.planner.refusal = &rack.Refusal{Code: rack.CodeMinOff, Text: "off for 4 s of 30 s", Earliest: noon.Add(26 * time.Second)}
	r.send("c1", `"op":"outlet.energise"`)
	if m := r.broker.last("c1"); m.Code != rack.CodeMinOff || !m.Earliest.Equal(noon.Add(26*time.Second)) {
		t.Errorf("%+v", m)
	}
}

func TestBurstOf50(t *testing.T) {
	r := newRig(t)
	for i := range 50 {
		id := "c" + string(rune('a'+i/26)) + string(rune('a'+i%26))
		r.Offer(r.message(id, r.payload(id, "")))
	}
	r.settle()
	taken, limited := 0, []string{}
	for id := range r.acked {
		switch said := r.broker.said(id); {
		case slices.Equal(said, []string{"accepted 1"}):
			taken++
		case slices.Equal(said, []string{"rejected 0 rate_limited"}):
			limited = append(limited, id)
		}
	}
	if taken != 20 || len(limited) != 30 || len(r.runner.started) != 20 || len(r.book.order) != 20 {
		t.Fatalf("%d taken, %d limited, %d started, %d on disk", taken, len(limited), len(r.runner.started), len(r.book.order))
	}
	// They were no outcome: the same ids are taken later, 10 per second.
	for _, id := range limited {
		r.now = r.now.Add(100 * time.Millisecond)
		r.send(id, "")
		if said := r.broker.said(id); len(said) != 2 || said[1] != "accepted 1" {
			t.Fatalf("%s: %v", id, said)
		}
	}
}

func TestFloodOverMQTTDoesNotShutOutTheLocalSocket(t *testing.T) {
	r := newRig(t)
	for range 100 {
		r.send("flood", "")
	}
	r.Offer(r.local("here", r.payload("here", "")))
	r.settle()
	if said := r.broker.said("here"); !slices.Equal(said, []string{"accepted 1"}) {
		t.Errorf("%v", said)
	}
}

func TestFloodOfRubbishIsCountedNotTold(t *testing.T) {
	r := newRig(t)
	for range 1000 {
		r.Offer(r.message("rubbish", "x"))
		r.settle()
	}
	if len(r.events) != eventBurst {
		t.Errorf("%d events", len(r.events))
	}
	r.pass(heartbeat + time.Second)
	last := r.events[len(r.events)-1]
	if len(r.events) != eventBurst+1 || !strings.Contains(last.Text, "and 979 more") {
		t.Errorf("%d events, the last: %s", len(r.events), last.Text)
	}
	if r.acked["rubbish"] != 1000 {
		t.Errorf("%d acknowledged", r.acked["rubbish"])
	}
}

// TestAFloodIsNotAnsweredByAnother: what comes too soon is told so, but not without end.
func TestAFloodIsNotAnsweredByAnother(t *testing.T) {
	r := newRig(t)
	for i := range 1000 {
		id := fmt.Sprintf("c%d", i)
		r.Offer(r.message("flood", r.payload(id, `"op":"cmd.list","target":"rack"`)))
		if i%100 == 99 {
			r.settle()
		}
	}
	if n := len(r.broker.sent); n != burst+answerBurst || r.acked["flood"] != 1000 {
		t.Errorf("%d answers, %d acknowledged", n, r.acked["flood"])
	}
	r.now = r.now.Add(time.Second)
	r.send("last", "")
	r.expect(t, "last", "accepted 1")

	for range maxWaiting + 1000 { // and while the desk does not turn
		r.Offer(r.message("flood", r.payload("full", "")))
	}
	if n := len(r.broker.said("full")); n != answerBurst || r.acked["flood"] != 2000 {
		t.Errorf("%d answers, %d acknowledged", n, r.acked["flood"])
	}
}

func TestQueueFull(t *testing.T) {
	r := newRig(t)
	for range maxWaiting {
		if !r.Offer(r.message("filler", "x")) {
			t.Fatal("no room")
		}
	}
	if r.Offer(r.message("c1", r.payload("c1", ""))) || r.Offer(r.message("x", "x")) {
		t.Error("room where there is none")
	}
	if said := r.broker.said("c1"); !slices.Equal(said, []string{"rejected 0 busy"}) || len(r.broker.sent) != 1 {
		t.Errorf("%v", said)
	}
	if r.acked["c1"] != 1 || r.acked["x"] != 1 || r.acked["filler"] != 0 {
		t.Errorf("%v", r.acked)
	}
	r.settle()
	if !slices.ContainsFunc(r.events, func(e rack.Event) bool { return e.Reason == "busy" && strings.Contains(e.Text, "and 1 more") }) {
		t.Errorf("the two that found no room were not told: %+v", r.events[0])
	}
	r.now = r.now.Add(time.Second)
	r.send("c1", "")
	if said := r.broker.said("c1"); len(said) != 2 || said[1] != "accepted 1" {
		t.Errorf("%v", said)
	}
}

func TestTooManyUnfinished(t *testing.T) {
	r := newRig(t)
	fill := func(n int, members string) {
		for range n {
			r.now = r.now.Add(100 * time.Millisecond)
			r.send("f"+counter(len(r.book.order)), members)
		}
	}
	fill(maxOpen, "")
	r.now = r.now.Add(time.Second)
	r.send("on", `"op":"outlet.energise"`)
	r.send("who", `"op":"identify","target":"node/asic-1"`)
	r.send("off", ``)
	fill(maxLowers-maxOpen-1, "")
	r.send("off2", ``)
	for id, want := range map[string]string{"on": "rejected 0 busy", "who": "rejected 0 busy", "off": "accepted 1", "off2": "rejected 0 busy"} {
		if said := r.broker.said(id); len(said) == 0 || said[0] != want {
			t.Errorf("%s: %v, want %s", id, said, want)
		}
	}
}

func counter(n int) string {
	return string([]byte{byte('a' + n/676%26), byte('a' + n/26%26), byte('a' + n%26)})
}

func TestTooManyBeingRecorded(t *testing.T) {
	r := newRig(t)
	r.book.manual = true
	for i := range maxFlight {
		r.now = r.now.Add(100 * time.Millisecond)
		r.send("f"+counter(i), `"exp":1`)
	}
	r.send("c1", "")
	if said := r.broker.said("c1"); !slices.Equal(said, []string{"rejected 0 busy"}) || r.acked["c1"] != 1 {
		t.Errorf("%v", said)
	}
	r.book.commit(maxFlight)
	r.settle()
	r.send("c1", "")
	r.book.commit(1)
	r.settle()
	if said := r.broker.said("c1"); len(said) != 2 || said[1] != "accepted 1" {
		t.Errorf("%v", said)
	}
}

func TestOptionsAreAllNeeded(t *testing.T) {
	if _, err := New(Opts{}); err == nil {
		t.Error("a desk without partners")
	}
}

func TestLimitsAreThoseOfTheDesk(t *testing.T) {
	want := wire.Limits{CommandBytes: 8192, LifeS: 300, FirmLifeS: 600, RatePerS: 10, Burst: 20, StatusBytes: 61440}
	if Limits() != want {
		t.Errorf("%+v", Limits())
	}
}
