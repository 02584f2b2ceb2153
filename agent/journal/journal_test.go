package journal

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"rackagent/agent/rack"
)

func TestWhatIsKeptIsFoundAgain(t *testing.T) {
	dir := filled(t)
	o := optsAt(dir)
	o.Boot = "boot-2"
	j, f := open(t, o)
	stop := run(t, j)
	defer stop()

	if f.First || f.Lost || f.Observing || len(f.Damaged) > 0 {
		t.Errorf("%+v", f)
	}
	if len(f.Unfinished) != 1 || f.Unfinished[0].Command.ID != "c-open" || len(f.Unfinished[0].Progress) != 2 || f.Unfinished[0].Boot != "boot-1" {
		t.Errorf("unfinished %+v", f.Unfinished)
	}
	if n := len(f.Unacked); n != 6 || f.Unacked[0].Command != "c-unacked" || f.Unacked[1].Command != "c-rej" {
		t.Errorf("%d unacknowledged: %+v", n, f.Unacked)
	}
	var orders []rack.OrderKind
	for _, o := range f.Orders {
		orders = append(orders, o.Kind)
	}
	if slices.Sort(orders); !slices.Equal(orders, []rack.OrderKind{rack.OrderLimit, rack.OrderLock}) {
		t.Errorf("orders %v: a released one is not in force", orders)
	}
	if len(f.Wiring) != 2 || f.Wiring[0].Wiring != rack.WiringProven || f.Wiring[0].Serial != "SN-1" {
		t.Errorf("wiring %+v", f.Wiring)
	}
	if len(f.Withdrawn) != 1 || f.Withdrawn[0].Outlet.String() != "pdu-b.8" || f.Withdrawn[0].Reason != "welded" {
		t.Errorf("withdrawn %+v", f.Withdrawn)
	}
	if !f.Last.Equal(t0) {
		t.Errorf("last %v", f.Last)
	}
	e, known, err := j.Get("c-done")
	if err != nil || !known || !e.Acked || e.Outcome.State != rack.StateSucceeded || e.Plan.Targets[0].Steps[0].On != outlet {
		t.Errorf("c-done: %+v, %v, %v", e, known, err)
	}
	if e.Command.Hash != rack.HashOf([]byte("c-done")) {
		t.Error("the hash of the payload was not kept")
	}
	if _, known, err := j.Get("c-don"); known || err != nil {
		t.Errorf("an id that is the beginning of another is known: %v, %v", known, err)
	}
}

func TestListIsNewestFirst(t *testing.T) {
	j, _ := open(t, optsAt(memoryDir(t)))
	defer run(t, j)()
	for _, id := range []string{"z", "a", "m"} {
		mustKeep(t, j, accepted(id, rack.OpCut))
	}
	mustKeep(t, j, ended("z", rack.StateSucceeded)) // does not make it newer
	for _, c := range []struct {
		n    int
		want string
	}{{-1, ""}, {0, ""}, {1, "m"}, {2, "m a"}, {3, "m a z"}, {50, "m a z"}} {
		var ids []string
		for _, e := range j.List(c.n) {
			ids = append(ids, e.Command.ID)
		}
		if got := strings.Join(ids, " "); got != c.want {
			t.Errorf("List(%d) = %q, want %q", c.n, got, c.want)
		}
	}
}

// S5: an id is accepted or rejected once, and what was accepted ends once.
func TestOneEnd(t *testing.T) {
	for _, c := range []struct {
		name   string
		before []rack.Record
		rec    rack.Record
		want   error
	}{
		{"accepted twice", []rack.Record{accepted("c", rack.OpCut)}, accepted("c", rack.OpCut), ErrKnown},
		{"accepted after rejected", []rack.Record{rejected("c", rack.CodeMinOff)}, accepted("c", rack.OpCut), ErrKnown},
		{"rejected after accepted", []rack.Record{accepted("c", rack.OpCut)}, rejected("c", rack.CodeMinOff), ErrKnown},
		{"accepted after its end", []rack.Record{accepted("c", rack.OpCut), ended("c", rack.StateFailed)}, accepted("c", rack.OpCut), ErrKnown},
		{"ended without accepted", nil, ended("c", rack.StateSucceeded), ErrNotAccepted},
		{"ended after rejected", []rack.Record{rejected("c", rack.CodeMinOff)}, ended("c", rack.StateFailed), ErrNotAccepted},
		{"ended twice", []rack.Record{accepted("c", rack.OpCut), ended("c", rack.StateFailed)}, ended("c", rack.StateFailed), ErrSecondEnd},
		{"progress without accepted", nil, progressed("c"), ErrNotAccepted},
		{"progress after the end", []rack.Record{accepted("c", rack.OpCut), ended("c", rack.StateFailed)}, progressed("c"), ErrSecondEnd},
		{"acked without accepted", nil, acked("c"), ErrNotAccepted},
		{"acked before the end", []rack.Record{accepted("c", rack.OpCut)}, acked("c"), ErrNotEnded},
		{"acked twice is harmless", []rack.Record{rejected("c", rack.CodeMinOff), acked("c")}, acked("c"), nil},
		{"observed without a loss", nil, observed(), ErrNotObserving},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := memoryDir(t)
			j, _ := open(t, optsAt(dir))
			stop := run(t, j)
			for _, r := range c.before {
				mustKeep(t, j, r)
			}
			before := j.tally
			wantErr(t, "over two submissions", keep(j, c.rec), c.want)
			wantErr(t, "with an innocent record", keep(j, withdrawn(outlet), c.rec), c.want)
			stop()
			if wrote := len(mustLook(t, dir).rack) > 0; wrote != (c.want == nil) {
				t.Errorf("the innocent record of the set was written: %v", wrote)
			}
			if c.want != nil && j.tally != before {
				t.Errorf("tally %+v, was %+v", j.tally, before)
			}
		})
		if len(c.before) > 0 {
			t.Run(c.name+" within one set", func(t *testing.T) {
				dir := memoryDir(t)
				j, _ := open(t, optsAt(dir))
				stop := run(t, j)
				wantErr(t, "one set", keep(j, append(slices.Clone(c.before), c.rec)...), c.want)
				stop()
				if n := len(mustLook(t, dir).order); n != 0 && c.want != nil {
					t.Errorf("%d entries of a refused set were written", n)
				}
			})
		}
	}
}

func TestWhatIsNoOutcome(t *testing.T) {
	j, _ := open(t, optsAt(memoryDir(t)))
	defer run(t, j)()
	for _, code := range []rack.Code{rack.CodeBusy, rack.CodeRateLimited, rack.CodeObserving} {
		wantErr(t, string(code), keep(j, rejected("c", code)), ErrNoOutcome)
	}
	mustKeep(t, j, rejected("c", rack.CodeMinOff)) // the id was free
}

func TestInvalidRecords(t *testing.T) {
	change := func(r rack.Record, f func(*rack.Record)) rack.Record { f(&r); return r }
	other := commandOf("d", rack.OpCut)
	for name, r := range map[string]rack.Record{
		"no kind":                   {},
		"a kind of another program": {Kind: "erased", ID: "c"},
		"no id":                     change(accepted("c", rack.OpCut), func(r *rack.Record) { r.ID = "" }),
		"an id with a zero byte":    {Kind: rack.RecordAcked, ID: "a\x00b"},
		"another command's id":      change(accepted("c", rack.OpCut), func(r *rack.Record) { r.Command = &other }),
		"another command's plan":    change(accepted("c", rack.OpCut), func(r *rack.Record) { r.Plan = &rack.Plan{Command: "d"} }),
		"another command's outcome": change(ended("c", rack.StateFailed), func(r *rack.Record) { r.Outcome = &rack.Outcome{Command: "d", State: rack.StateFailed} }),
		"accepted without command":  change(accepted("c", rack.OpCut), func(r *rack.Record) { r.Command = nil }),
		"a cut without a plan":      change(accepted("c", rack.OpCut), func(r *rack.Record) { r.Plan = nil }),
		"energise said to lower":    change(accepted("c", rack.OpEnergise), func(r *rack.Record) { r.Lowers = true }),
		"cycle said to lower":       change(accepted("c", rack.OpCycle), func(r *rack.Record) { r.Lowers = true }),
		"rejected without outcome":  change(rejected("c", rack.CodeMinOff), func(r *rack.Record) { r.Outcome = nil }),
		"rejected as succeeded":     change(rejected("c", rack.CodeMinOff), func(r *rack.Record) { r.Outcome.State = rack.StateSucceeded }),
		"progress without a fact":   change(progressed("c"), func(r *rack.Record) { r.Progress.Fact = "" }),
		"ended while running":       ended("c", rack.StateRunning),
		"ended as rejected":         ended("c", rack.StateRejected),
		"ended as confirmed":        ended("c", rack.StateConfirmed),
		"ended without an outcome":  {Kind: rack.RecordEnded, ID: "c"},
		"no order":                  {Kind: rack.RecordOrder},
		"an order of another kind":  orderRecord(rack.RecordOrder, "obey", 0),
		"an order without target":   {Kind: rack.RecordOrder, Order: &rack.Order{Kind: rack.OrderLock}},
		"an order of no number":     orderRecord(rack.RecordOrder, rack.OrderLimit, math.NaN()),
		"wiring of no outlet":       wired(rack.OutletID{}, rack.WiringProven, ""),
		"wiring of outlet 0":        wired(rack.OutletID{PDU: "pdu-a"}, rack.WiringProven, ""),
		"wiring of another degree":  wired(outlet, "certain", ""),
		"withdrawn without reason":  {Kind: rack.RecordWithdraw, Outlet: outlet},
		"observed by nobody":        {Kind: rack.RecordObserved, Reason: "r"},
		"observed without reason":   {Kind: rack.RecordObserved, By: "uid:0"},
		"a command without target":  change(accepted("c", rack.OpCut), func(r *rack.Record) { r.Command.Target = rack.Target{} }),
		"a year JSON cannot hold":   change(acked("c"), func(r *rack.Record) { r.At = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }),
		"larger than a value may":   change(accepted("c", rack.OpCut), func(r *rack.Record) { r.Reason = strings.Repeat("x", maxValue) }),
	} {
		t.Run(name, func(t *testing.T) {
			dir := memoryDir(t)
			j, _ := open(t, optsAt(dir))
			stop := run(t, j)
			wantErr(t, "alone", keep(j, r), ErrInvalid)
			wantErr(t, "after a good one", keep(j, withdrawn(outlet), r), ErrInvalid)
			stop()
			if f := mustLook(t, dir); len(f.rack)+len(f.order) > 0 {
				t.Errorf("written: %+v", f)
			}
		})
	}
	j, _ := open(t, optsAt(memoryDir(t)))
	defer run(t, j)()
	wantErr(t, "no records", keep(j), ErrInvalid)
}

func TestPlanIsNotAskedOfWhatMovesNothing(t *testing.T) {
	j, _ := open(t, optsAt(memoryDir(t)))
	defer run(t, j)()
	r := accepted("c", rack.OpList)
	r.Plan = nil
	mustKeep(t, j, r)
}

func TestRecordsAreCopied(t *testing.T) {
	j, _ := open(t, optsAt(memoryDir(t)))
	r := accepted("c", rack.OpCut)
	r.At = time.Time{}
	r.Boot = "somebody else"
	recs := []rack.Record{r}
	answer := make(chan error, 1)
	j.Submit(recs, func(err error) { answer <- err })
	r.Command.Issuer, r.Plan.Targets[0].Node, recs[0] = "changed", "changed", rack.Record{}
	defer run(t, j)()
	if err := <-answer; err != nil {
		t.Fatal(err)
	}
	e, _, err := j.Get("c")
	if err != nil || e.Command.Issuer != "ctl-1" || e.Plan.Targets[0].Node != "asic-1" || e.Boot != "boot-1" {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestNewerFactsReplaceOlder(t *testing.T) {
	dir := memoryDir(t)
	j, _ := open(t, optsAt(dir))
	stop := run(t, j)
	mustKeep(t, j, wired(outlet, rack.WiringProven, ""), orderRecord(rack.RecordOrder, rack.OrderLimit, 2000))
	mustKeep(t, j, wired(outlet, rack.WiringUnproven, "another outlet fell"), orderRecord(rack.RecordOrder, rack.OrderLimit, 1500))
	stop()
	j, f := open(t, optsAt(dir))
	defer j.Close()
	if len(f.Wiring) != 1 || f.Wiring[0].Wiring != rack.WiringUnproven {
		t.Errorf("wiring %+v", f.Wiring)
	}
	if len(f.Orders) != 1 || f.Orders[0].Value != 1500 {
		t.Errorf("orders %+v", f.Orders)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, change := range map[string]func(*Opts){
		"no directory": func(o *Opts) { o.Dir = "" },
		"site":         func(o *Opts) { o.Site = "AMS" },
		"agent":        func(o *Opts) { o.Agent = "" },
		"boot":         func(o *Opts) { o.Boot = "../x" },
		"reserve":      func(o *Opts) { o.Reserve = -1 },
	} {
		o := optsAt(memoryDir(t))
		change(&o)
		if j, _, err := Open(o); !errors.Is(err, ErrOpts) || j != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRetention(t *testing.T) {
	dir := memoryDir(t)
	c := &clock{now: t0}
	o := optsAt(dir)
	o.Now, o.Keep = c.Now, 5
	j, _ := open(t, o)
	stop := run(t, j)
	mustKeep(t, j, accepted("open", rack.OpCut))
	mustKeep(t, j, rejected("unacked", rack.CodeMinOff))
	for _, id := range []string{"o1", "o2", "o3", "o4", "o5", "o6"} {
		mustKeep(t, j, rejected(id, rack.CodeMinOff), acked(id))
	}
	ids := func() string {
		var ids []string
		for _, e := range j.List(100) {
			ids = append(ids, e.Command.ID)
		}
		slices.Reverse(ids)
		return strings.Join(ids, " ")
	}
	c.pass(time.Minute + DefaultKeepFor) // exactly expiry and 24 h: still kept
	mustKeep(t, j, withdrawn(outlet))
	if got := ids(); got != "open unacked o1 o2 o3 o4 o5 o6" {
		t.Errorf("before the time: %s", got)
	}
	c.pass(time.Second)
	mustKeep(t, j, withdrawn(outlet))
	if got := ids(); got != "open unacked o2 o3 o4 o5 o6" {
		t.Errorf("unfinished and unacknowledged entries stay, and the newest five: %s", got)
	}
	mustKeep(t, j, ended("open", rack.StateUnknown), acked("open"), acked("unacked"))
	mustKeep(t, j, accepted("new", rack.OpCut)) // the entries closed above go with the commit after
	if got := ids(); got != "o2 o3 o4 o5 o6 new" {
		t.Errorf("after all are acknowledged: %s", got)
	}
	mustKeep(t, j, withdrawn(outlet))
	if got := ids(); got != "o3 o4 o5 o6 new" {
		t.Errorf("in the end: %s", got)
	}
	mustKeep(t, j, accepted("o1", rack.OpCut)) // forgotten: its id means nothing any more
	stop()
	if f := mustLook(t, dir); !f.whole() || strings.Join(f.order, " ") != "o3 o4 o5 o6 new o1" {
		t.Errorf("after a restart: %v", f.order)
	}
}

func TestPruningIsBoundedAndRidesAlong(t *testing.T) {
	c := &clock{now: t0}
	commits := 0
	o := optsAt(memoryDir(t))
	o.Now, o.Keep = c.Now, 1
	o.Commit = func(update func() error) error { commits++; return update() }
	j, _ := open(t, o)
	stop := run(t, j)
	var recs []rack.Record
	for n := range 100 {
		id := "c" + string(rune('0'+n/10)) + string(rune('0'+n%10))
		recs = append(recs, rejected(id, rack.CodeMinOff), acked(id))
	}
	mustKeep(t, j, recs...)
	c.pass(48 * time.Hour)
	mustKeep(t, j, acked("c00")) // nothing to write: nothing is pruned
	if n := len(j.List(1000)); n != 100 {
		t.Errorf("%d entries after a commit that had nothing to write", n)
	}
	before := commits
	mustKeep(t, j, withdrawn(outlet))
	if n := len(j.List(1000)); n != 92 {
		t.Errorf("%d entries, want 8 fewer than 100", n)
	}
	mustKeep(t, j, accepted("new", rack.OpCut))
	if n := len(j.List(1000)); n != 92+1-10 {
		t.Errorf("%d entries, want 10 fewer and one more", n)
	}
	stop()
	if commits != before+2 {
		t.Errorf("%d commits for two submissions", commits-before)
	}
}

// TestEntriesAreBounded: whoever may send commands cannot fill the disk with refusals, nor with what is done at once;
// and what lowers power is recorded all the same.
func TestEntriesAreBounded(t *testing.T) {
	dir := memoryDir(t)
	c := &clock{now: t0}
	o := optsAt(dir)
	o.Now, o.Keep, o.Most = c.Now, 2, 40
	j, _ := open(t, o)
	stop := run(t, j)
	refused, done := 0, 0
	far := func(r rack.Record) rack.Record { // as its sender wrote it
		r.Command.Exp = t0.AddDate(7000, 0, 0)
		return r
	}
	for n := range 100 {
		id := fmt.Sprintf("far-%d", n)
		switch err := keep(j, far(rejected(id, rack.CodePrecondition)), acked(id)); {
		case err == nil:
			refused++
		case !errors.Is(err, ErrCrowded):
			t.Fatal(err)
		}
	}
	for n := range 100 {
		id := fmt.Sprintf("get-%d", n)
		switch err := keep(j, accepted(id, rack.OpGet), ended(id, rack.StateSucceeded)); {
		case err == nil:
			done++
		case !errors.Is(err, ErrCrowded):
			t.Fatal(err)
		}
	}
	if refused != 20 || done != 20 {
		t.Errorf("%d refusals and %d others were taken", refused, done)
	}
	lowers := accepted("cut", rack.OpCut)
	lowers.Lowers = true
	mustKeep(t, j, lowers)
	mustKeep(t, j, ended("cut", rack.StateSucceeded), acked("cut"))
	for n := range 20 {
		mustKeep(t, j, acked(fmt.Sprintf("get-%d", n)))
	}
	stop()
	j, _ = open(t, o) // the count is the same after a start
	stop = run(t, j)
	defer stop()
	wantErr(t, "after a start", keep(j, accepted("more", rack.OpGet)), ErrCrowded)
	wantErr(t, "after a start", keep(j, rejected("more", rack.CodeMinOff)), ErrCrowded)
	c.pass(time.Minute + crowdedFor + time.Second)
	mustKeep(t, j, withdrawn(outlet)) // what is past its expiry makes room long before a day is over
	mustKeep(t, j, accepted("more", rack.OpGet))
	wantErr(t, "those that never expire stay", keep(j, rejected("more-2", rack.CodeMinOff)), ErrCrowded)
}
