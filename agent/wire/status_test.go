package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rackagent/agent/rack"
)

var names = rapid.StringMatching(`[a-z0-9-]{1,23}`)

func drawOutlet(t *rapid.T) rack.OutletID {
	return rack.OutletID{PDU: names.Draw(t, "pdu"), N: rapid.IntRange(1, 99).Draw(t, "outlet")}
}

func drawTarget(t *rapid.T) rack.Target {
	switch kind := rapid.SampledFrom([]rack.TargetKind{rack.TargetNode, rack.TargetOutlet, rack.TargetGroup, rack.TargetFeed, rack.TargetRack}).Draw(t, "kind"); kind {
	case rack.TargetRack:
		return rack.Target{Kind: kind}
	case rack.TargetOutlet:
		return rack.OutletTarget(drawOutlet(t))
	default:
		return rack.Target{Kind: kind, Name: names.Draw(t, "name")}
	}
}

// tenth and thousandth draw numbers that rounding does not change.
func tenth(t *rapid.T, label string) float64 {
	return float64(rapid.IntRange(-100_000, 1_000_000).Draw(t, label)) / 10
}

func thousandth(t *rapid.T, label string) float64 {
	return float64(rapid.IntRange(0, 1_000_000).Draw(t, label)) / 1000
}

func maybe[T any](t *rapid.T, label string, draw func() T) *T {
	if rapid.Bool().Draw(t, "no "+label) {
		return nil
	}
	v := draw()
	return &v
}

func moments(t *rapid.T, label string) time.Time {
	return time.UnixMilli(rapid.Int64Range(1, maxMillis).Draw(t, label)).UTC()
}

var (
	someStates = []rack.State{rack.StateRunning, rack.StateSucceeded, rack.StateConfirmed, rack.StateFailed, rack.StateCancelled, rack.StateUnknown}
	someCodes  = []rack.Code{rack.CodeNone, rack.CodeWelded, rack.CodeNoLoad, rack.CodeVerifyFailed, rack.CodeSuperseded}
)

func drawResult(t *rapid.T, target rack.Target) rack.TargetResult {
	r := rack.TargetResult{
		Target: target, State: rapid.SampledFrom(someStates).Draw(t, "st"), Code: rapid.SampledFrom(someCodes).Draw(t, "code"),
		Text: rapid.StringMatching(`[ -~]{0,40}`).Draw(t, "txt"), Recovered: rapid.Bool().Draw(t, "recovered"),
	}
	ms := func(label string) *int64 {
		return maybe(t, label, func() int64 { return rapid.Int64Range(0, maxMillis).Draw(t, label) })
	}
	for range rapid.IntRange(0, 3).Draw(t, "steps") {
		s := rack.StepResult{Do: rack.DoCut, On: drawTarget(t), Taken: ms("taken"), Confirmed: ms("confirmed"), Settled: ms("settled"), Hot: rapid.Bool().Draw(t, "hot")}
		s.Proof = maybe(t, "proof", func() rack.Proof {
			w := func(label string) *float64 { return maybe(t, label, func() float64 { return tenth(t, label) }) }
			return rack.Proof{Meter: drawOutlet(t).String(), BeforeW: w("before"), AfterW: w("after")}
		})
		r.Steps = append(r.Steps, s)
	}
	return r
}

func drawPlan(t *rapid.T, id string) rack.Plan {
	p := rack.Plan{Command: id, Made: moments(t, "made"), DeadlineMS: rapid.Int64Range(0, 86_400_000).Draw(t, "deadline")}
	for i := range rapid.IntRange(0, 3).Draw(t, "targets") {
		tp := rack.TargetPlan{Target: rack.NodeTarget(fmt.Sprintf("n-%d", i)), Node: names.Draw(t, "node")}
		for range rapid.IntRange(0, 3).Draw(t, "steps") {
			s := rack.Step{
				Do: rack.DoEnergise, On: drawOutlet(t), Proof: rapid.StringMatching(`[ -~]{0,40}`).Draw(t, "proof"),
				LimitMS: rapid.Int64Range(0, 600_000).Draw(t, "limit"), WaitMS: rapid.Int64Range(0, 600_000).Draw(t, "wait"),
				BeforeW: maybe(t, "before", func() float64 { return tenth(t, "before") }), Hot: rapid.Bool().Draw(t, "hot"),
				Seq: rapid.IntRange(0, 1024).Draw(t, "seq"),
			}
			for range rapid.IntRange(0, 3).Draw(t, "feeds") {
				s.Feeds = append(s.Feeds, rack.FeedLoad{Feed: names.Draw(t, "feed"), W: tenth(t, "w"), A: thousandth(t, "a"), LimitA: thousandth(t, "limit_a")})
			}
			tp.Steps = append(tp.Steps, s)
		}
		tp.Refused = maybe(t, "refused", func() rack.Refusal {
			return rack.Refusal{Code: rapid.SampledFrom(someCodes).Draw(t, "code"), Text: rapid.StringMatching(`[ -~]{0,40}`).Draw(t, "why"), Earliest: moments(t, "earliest")}
		})
		p.Targets = append(p.Targets, tp)
	}
	return p
}

func drawOutcome(t *rapid.T) rack.Outcome {
	o := rack.Outcome{
		Command: rapid.StringMatching(`[A-Za-z0-9_-]{1,36}`).Draw(t, "id"), State: rapid.SampledFrom(someStates[:2]).Draw(t, "st"),
		N: rapid.IntRange(0, rack.RecoveredN).Draw(t, "n"), Code: rapid.SampledFrom(someCodes).Draw(t, "code"),
		Text: rapid.StringMatching(`[ -~]{0,80}`).Draw(t, "txt"), At: moments(t, "at"),
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "targets") {
		o.Targets = append(o.Targets, drawResult(t, rack.NodeTarget(fmt.Sprintf("n-%d", i))))
	}
	o.Plan = maybe(t, "plan", func() rack.Plan { return drawPlan(t, o.Command) })
	if rapid.Bool().Draw(t, "earliest") {
		o.Earliest = moments(t, "earliest")
	}
	if rapid.Bool().Draw(t, "list") {
		o.Listed = []rack.Summary{}
		for range rapid.IntRange(0, 3).Draw(t, "lines") {
			o.Listed = append(o.Listed, rack.Summary{
				Command: rapid.StringMatching(`[A-Za-z0-9_-]{1,36}`).Draw(t, "lid"), Op: rapid.SampledFrom(Verbs()).Draw(t, "op"), Target: drawTarget(t),
				State: rack.StateFailed, Code: rack.CodeWelded, Received: moments(t, "received"),
			})
		}
	}
	for range rapid.IntRange(0, 2).Draw(t, "boards") {
		if o.Ident == nil {
			o.Ident = map[string]rack.Identity{}
		}
		o.Ident[names.Draw(t, "board")] = rack.Identity{Serial: "24C-00117", Expected: "24C-00118", Wiring: rack.WiringUnproven}
	}
	return o
}

// assembled encodes an outcome, checks each message, and puts them together again in the given order.
func assembled(t failer, o rack.Outcome, h StatusHead) Status {
	t.Helper()
	var r Reassembly
	messages := EncodeStatus(o, h)
	for i, m := range messages {
		if len(m) > MaxPartBytes {
			t.Fatalf("part %d has %d bytes", i+1, len(m))
		}
		conform(t, "closed", "status", m)
		s, err := DecodeStatus(m)
		if err != nil {
			t.Fatalf("%v\n%s", err, m)
		}
		if whole, ok := r.Add(s); ok != (i == len(messages)-1) {
			t.Fatalf("whole after part %d of %d: %v", i+1, len(messages), ok)
		} else if ok {
			return whole
		}
	}
	t.Fatalf("never whole")
	return Status{}
}

func TestAnyStatusComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawOutcome(t)
		h := StatusHead{Boot: "01JD9X3M", Dup: rapid.Bool().Draw(t, "dup")}
		back := assembled(t, o, h)
		want, _ := json.Marshal(o)
		got, _ := json.Marshal(back.Outcome)
		if !bytes.Equal(got, want) || back.StatusHead != h {
			t.Fatalf("got  %s %+v\nwant %s %+v", got, back.StatusHead, want, h)
		}
	})
}

// many is a result with n targets of one step, as a curtailment of a large rack would give.
func many(n int) rack.Outcome {
	o := rack.Outcome{Command: "big", State: rack.StatePartial, N: 5, At: noon, Code: rack.CodeWelded}
	for i := range n {
		w := float64(i)
		id := rack.OutletID{PDU: fmt.Sprintf("pdu-%d", i/99), N: i%99 + 1}
		o.Targets = append(o.Targets, rack.TargetResult{
			Target: rack.OutletTarget(id), State: rack.StateSucceeded, Text: strings.Repeat("\x01", 200),
			Steps: []rack.StepResult{{Do: rack.DoCut, On: rack.OutletTarget(id), Proof: &rack.Proof{Meter: id.String(), BeforeW: &w, AfterW: &w}}},
		})
	}
	return o
}

func TestLongStatusComesInParts(t *testing.T) {
	o := many(400)
	o.Text = strings.Repeat("\x02", 2000)
	messages := EncodeStatus(o, StatusHead{Boot: "b"})
	if len(messages) < 8 {
		t.Fatalf("%d parts", len(messages))
	}
	back := assembled(t, o, StatusHead{Boot: "b"})
	if len(back.Targets) != 400 || back.Targets[399].Target != o.Targets[399].Target || *back.Targets[7].Steps[0].Proof.AfterW != 7 {
		t.Errorf("%d targets", len(back.Targets))
	}
}

// The largest rack: a result with its failures and a dry run of a cycle, each in parts that fit and with one n.
func TestARackOf256ComesInParts(t *testing.T) {
	o := many(256)
	o.Plan = &rack.Plan{Command: "big", Made: noon, DeadlineMS: 117_000}
	for i := range o.Targets {
		on := o.Targets[i].Target.Outlet
		o.Targets[i].Target = rack.NodeTarget(fmt.Sprintf("asic-row-7-rack-17-%03d", i))
		o.Targets[i].Text = "the relay reads back open and the load is still there"
		tp := rack.TargetPlan{Target: o.Targets[i].Target, Node: o.Targets[i].Target.Name}
		for j, do := range []rack.Verb{rack.DoCut, rack.DoEnergise} {
			st := rack.Step{Do: do, On: on, Proof: "two samples after the write below 10 VA or 2 % of the power before", LimitMS: 10_000, WaitMS: 30_000, Seq: 256*j + i + 1}
			for _, f := range []string{"bank", "phase", "row", "site"} {
				st.Feeds = append(st.Feeds, rack.FeedLoad{Feed: f, W: 812_345.6, A: 1234.567, LimitA: 2000})
			}
			tp.Steps = append(tp.Steps, st)
		}
		if i%8 == 0 {
			tp = rack.TargetPlan{Target: tp.Target, Node: tp.Node, Refused: &rack.Refusal{Code: rack.CodeLimitExceeded, Text: "feed bank would carry 96.1 A"}}
		}
		o.Plan.Targets = append(o.Plan.Targets, tp)
	}
	messages := EncodeStatus(o, StatusHead{Boot: "b"})
	for i, m := range messages {
		if s, err := DecodeStatus(m); err != nil || s.N != 5 || s.Part != i+1 || s.Parts != len(messages) {
			t.Errorf("part %d: %+v, %v", i+1, s.StatusHead, err)
		}
	}
	back := assembled(t, o, StatusHead{Boot: "b"})
	want, _ := json.Marshal(o.Targets)
	got, _ := json.Marshal(back.Targets)
	if len(back.Plan.Targets) != 256 || len(back.Plan.Targets[255].Steps) != 2 || back.Plan.Targets[248].Refused == nil || !bytes.Equal(got, want) {
		t.Errorf("%d targets in %d parts", len(back.Targets), len(messages))
	}
}

func TestOneTargetTooLongForAPartIsDivided(t *testing.T) {
	one := many(400)
	target := rack.TargetResult{Target: rack.NodeTarget("n"), State: rack.StateFailed}
	plan := rack.TargetPlan{Target: rack.NodeTarget("n")}
	for _, x := range one.Targets {
		target.Steps = append(target.Steps, x.Steps...)
		if len(plan.Steps) == 100 {
			continue
		}
		plan.Steps = append(plan.Steps, rack.Step{Do: rack.DoCut, On: x.Target.Outlet, Proof: strings.Repeat("\x03", 300), LimitMS: 5000})
	}
	one.Targets = []rack.TargetResult{target}
	one.Plan = &rack.Plan{Command: "big", Made: noon, DeadlineMS: 5000, Targets: []rack.TargetPlan{plan}}
	back := assembled(t, one, StatusHead{Boot: "b"})
	if len(back.Targets) != 1 || len(back.Targets[0].Steps) != 400 || back.Targets[0].Steps[399].On != target.Steps[399].On {
		t.Errorf("%d targets", len(back.Targets))
	}
	if len(back.Plan.Targets) != 1 || len(back.Plan.Targets[0].Steps) != 100 || back.Plan.Targets[0].Steps[99].On != plan.Steps[99].On {
		t.Errorf("%d planned targets", len(back.Plan.Targets))
	}
}

func TestListOf200FitsIntoOneMessage(t *testing.T) {
	o := rack.Outcome{Command: strings.Repeat("c", 36), State: rack.StateSucceeded, N: 1, At: noon}
	for range 200 {
		o.Listed = append(o.Listed, rack.Summary{
			Command: strings.Repeat("x", 36), Op: rack.OpEnergise, Target: rack.OutletTarget(rack.OutletID{PDU: strings.Repeat("p", 23), N: 99}),
			State: rack.StateCancelled, Code: rack.CodeApprovalRequired, Received: noon,
		})
	}
	if n := len(EncodeStatus(o, StatusHead{Boot: "b"})); n != 1 {
		t.Errorf("%d parts", n)
	}
}

func TestStatusHoldsNoNumberThatIsNone(t *testing.T) {
	bad := []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e12, -1e300}
	o := rack.Outcome{Command: "c", State: rack.StateFailed, N: 2, At: noon, Plan: &rack.Plan{Command: "c"}}
	for i := range bad {
		o.Targets = append(o.Targets, rack.TargetResult{Target: rack.NodeTarget("n"), State: rack.StateFailed, Steps: []rack.StepResult{{
			Do: rack.DoCut, On: rack.NodeTarget("n"), Proof: &rack.Proof{Meter: "m", BeforeW: &bad[i], AfterW: &bad[i]},
		}}})
		o.Plan.Targets = append(o.Plan.Targets, rack.TargetPlan{Target: rack.NodeTarget("n"), Steps: []rack.Step{{
			Do: rack.DoCut, On: rack.OutletID{PDU: "p", N: 1}, BeforeW: &bad[i], Feeds: []rack.FeedLoad{{Feed: "f", W: bad[i], A: bad[i], LimitA: bad[i]}},
		}}})
	}
	for _, m := range EncodeStatus(o, StatusHead{}) {
		conform(t, "closed", "status", m)
	}
}

func TestTextsAreCutAtACharacter(t *testing.T) {
	o := rack.Outcome{Command: "c", State: rack.StateFailed, Text: strings.Repeat("ü", 400), At: noon}
	s, err := DecodeStatus(EncodeStatus(o, StatusHead{})[0])
	if err != nil || len(s.Text) > 512 || !strings.HasSuffix(s.Text, "ü...") {
		t.Errorf("%v, %d bytes, ends %q", err, len(s.Text), s.Text[len(s.Text)-8:])
	}
}

func TestReassembly(t *testing.T) {
	part := func(n, part, parts int) Status {
		return Status{Outcome: rack.Outcome{Command: "c", State: rack.StateRunning, N: n, Targets: []rack.TargetResult{
			{Target: rack.NodeTarget(fmt.Sprintf("n-%d-%d", n, part)), State: rack.StateRunning},
		}}, Part: part, Parts: parts}
	}
	var r Reassembly
	for i, c := range []struct {
		in    Status
		whole bool
	}{
		{part(2, 2, 2), false},
		{part(2, 2, 2), false}, // delivered twice
		{part(1, 1, 1), false}, // older
		{part(2, 1, 2), true},
		{part(2, 1, 2), false}, // a repeat of the whole begins
		{part(2, 2, 2), true},
		{part(4, 3, 3), false},
		{part(2, 2, 2), false},
		{part(4, 1, 3), false},
		{part(5, 1, 1), true}, // a newer state before the older was whole
		{part(4, 2, 3), false},
		{part(5, 1, 300), false}, // more parts than anybody sends
	} {
		got, ok := r.Add(c.in)
		if ok != c.whole {
			t.Fatalf("step %d: whole %v", i, ok)
		}
		if ok && len(got.Targets) != c.in.Parts {
			t.Errorf("step %d: %d targets", i, len(got.Targets))
		}
	}
}

func TestDecodeStatusRefuses(t *testing.T) {
	const valid = `{"v":1,"id":"c","st":"failed","n":5,"ts":1,"boot":"b","dup":false,"code":"","txt":"","part":1,"parts":1}`
	if _, err := DecodeStatus([]byte(valid)); err != nil {
		t.Fatal(err)
	}
	with := func(member string) string { return valid[:len(valid)-1] + "," + member + "}" }
	for _, payload := range []string{
		"", "null", "[]", valid + "x", strings.Replace(valid, `"v":1`, `"v":2`, 1), strings.Replace(valid, `"c"`, `"c/d"`, 1),
		strings.Replace(valid, `"failed"`, `"done"`, 1), strings.Replace(valid, `"n":5`, `"n":-1`, 1),
		strings.Replace(valid, `"part":1`, `"part":2`, 1), strings.Replace(valid, `"parts":1`, `"parts":257`, 1),
		with(`"st":"failed"`), with(`"ST":"succeeded"`), with(`"targets":[{"st":"failed"}]`), with(`"targets":[{"t":null,"st":"failed"}]`),
		with(`"targets":[{"t":"node/n","st":"gone"}]`), with(`"targets":[{"t":"node/n","st":"failed","steps":[{"do":"cut"}]}]`),
		with(`"plan":{"targets":[{"t":"node/n","steps":[{"do":"cut","on":"node/n"}]}]}`), with(`"list":[{"id":"x"}]`),
		with(`"targets":[{"t":"pdu/x","st":"failed"}]`), with(`"x":"` + strings.Repeat("x", 64<<10) + `"`),
	} {
		if _, err := DecodeStatus([]byte(payload)); !errors.Is(err, ErrNotStatus) {
			t.Errorf("%.80s: %v", payload, err)
		}
	}
	if _, err := DecodeStatus([]byte(with(`"later":{"a":1}`))); err != nil {
		t.Errorf("a member of a later version: %v", err)
	}
}
