package command

import (
	"slices"
	"testing"
	"time"

	"rackagent/agent/rack"
)

func (r *rig) expect(t *testing.T, id string, want ...string) {
	t.Helper()
	if got := r.broker.said(id); !slices.Equal(got, want) {
		t.Errorf("%s: said %q, want %q", id, got, want)
	}
}

func TestNothingIsSaidOrDoneBeforeTheRecord(t *testing.T) {
	r := newRig(t)
	r.book.manual = true
	r.send("c1", "")
	r.pass(30 * time.Second)
	r.expect(t, "c1")
	if r.acked["c1"] != 0 || len(r.runner.started) != 0 {
		t.Errorf("acknowledged %d, started %v", r.acked["c1"], r.runner.started)
	}
	r.book.commit(1)
	r.settle()
	r.expect(t, "c1", "accepted 1")
	if r.acked["c1"] != 1 || !slices.Equal(r.runner.started, []string{"c1"}) {
		t.Errorf("acknowledged %d, started %v", r.acked["c1"], r.runner.started)
	}
}

// TestOrderOfAcceptance: recorded, told, acknowledged, started.
func TestOrderOfAcceptance(t *testing.T) {
	r := newRig(t)
	var order []string
	r.broker.onPublish = func(m message) { order = append(order, string(m.State)) }
	r.runner.onStart = func(rack.Command) { order = append(order, "started") }
	in := r.message("c1", r.payload("c1", ""))
	in.Ack = func() { order = append(order, "acknowledged") }
	r.Offer(in)
	r.settle()
	if !slices.Equal(order, []string{"accepted", "acknowledged", "started"}) {
		t.Errorf("%v", order)
	}
}

func TestRepeatGetsTheOutcome(t *testing.T) {
	r := newRig(t)
	p := r.send("c1", "")
	repeat := func() {
		r.Offer(r.message("again", p))
		r.settle()
	}
	repeat()
	r.expect(t, "c1", "accepted 1", "accepted 1 dup")
	r.Report(rack.Outcome{Command: "c1", State: rack.StateRunning, N: 2, Targets: []rack.TargetResult{{Target: rack.NodeTarget("asic-1"), State: rack.StateRunning}}})
	r.settle()
	repeat()
	if m := r.broker.last("c1"); !m.dup || m.State != rack.StateRunning || m.N != 2 || len(m.Targets) != 1 {
		t.Errorf("%+v", m)
	}
	r.finish(t, "c1", rack.StateFailed, 3, rack.CodeWelded)
	r.now = r.now.Add(time.Hour) // long after its expiry
	repeat()
	r.expect(t, "c1", "accepted 1", "accepted 1 dup", "running 2", "running 2 dup", "failed 3 welded", "failed 3 welded dup")
	if len(r.runner.started) != 1 || r.acked["again"] != 3 {
		t.Errorf("started %v, acknowledged %d", r.runner.started, r.acked["again"])
	}
}

// finish ends a command as power does: on disk first.
func (r *rig) finish(t testing.TB, id string, st rack.State, n int, code rack.Code) {
	t.Helper()
	o := rack.Outcome{Command: id, State: st, N: n, Code: code, At: r.now}
	r.book.Submit([]rack.Record{{Kind: rack.RecordEnded, ID: id, Outcome: &o}}, func(err error) {
		if err != nil {
			t.Fatal(err)
		}
		r.Report(o)
	})
	r.settle()
}

func TestRepeatOfARejectionGetsIt(t *testing.T) {
	r := newRig(t)
	p := r.send("c1", `"exp":1`)
	r.Offer(r.message("again", p))
	r.settle()
	r.expect(t, "c1", "rejected 1 expired", "rejected 1 expired dup")
}

func TestRepeatOfADryRunGetsThePlan(t *testing.T) {
	r := newRig(t)
	p := r.send("c1", `"dry":true`)
	r.Offer(r.message("again", p))
	r.settle()
	r.expect(t, "c1", "succeeded 1", "succeeded 1 dup")
	if m := r.broker.last("c1"); m.Plan == nil || len(m.Plan.Targets) != 1 || len(r.runner.started) != 0 {
		t.Errorf("%+v, started %v", m, r.runner.started)
	}
}

func TestAnotherCommandUnderATakenID(t *testing.T) {
	r := newRig(t)
	r.send("c1", "")
	r.finish(t, "c1", rack.StateSucceeded, 2, "")
	r.send("c1", `"op":"outlet.energise"`)
	r.send("c1", `"op":"-"`)
	r.expect(t, "c1", "accepted 1", "succeeded 2", "rejected 0 id_conflict", "rejected 0 id_conflict")
	if o := r.book.entries["c1"].Outcome; o.State != rack.StateSucceeded || len(r.runner.started) != 1 {
		t.Errorf("the outcome became %+v, started %v", o, r.runner.started)
	}
	if len(r.events) != 2 || r.events[0].Command != "c1" || r.events[0].Reason != "id_conflict" {
		t.Errorf("%+v", r.events)
	}
}

// Nobody takes an id that the agent will need for what it does by itself.
func TestTheAgentsOwnIDsAreItsOwn(t *testing.T) {
	r := newRig(t)
	r.send("own-0123456789abcdef-1", "")
	r.expect(t, "own-0123456789abcdef-1", "rejected 0 id_conflict")
	if len(r.book.order) != 0 || len(r.runner.started) != 0 {
		t.Errorf("recorded %v, started %v", r.book.order, r.runner.started)
	}
	r.send("owned", "")
	r.finish(t, "owned", rack.StateSucceeded, 2, "")
}

func TestRepeatsWithinOneBatch(t *testing.T) {
	r := newRig(t)
	p := r.payload("c1", "")
	for range 3 {
		r.Offer(r.message("c1", p))
	}
	r.Offer(r.message("other", r.payload("c1", `"op":"outlet.energise"`)))
	r.settle()
	r.expect(t, "c1", "rejected 0 id_conflict", "accepted 1", "accepted 1 dup")
	if len(r.runner.started) != 1 || r.acked["c1"] != 3 || r.acked["other"] != 1 || len(r.book.order) != 1 {
		t.Errorf("started %v, acknowledged %v", r.runner.started, r.acked)
	}
}

func TestRepeatWhileBeingRecorded(t *testing.T) {
	for _, c := range []struct {
		name, members string
		want          []string
	}{
		{"accepted", "", []string{"accepted 1", "accepted 1 dup"}},
		{"rejected", `"exp":1`, []string{"rejected 1 expired", "rejected 1 expired dup"}},
	} {
		r := newRig(t)
		r.book.manual = true
		p := r.send("c1", c.members)
		r.Offer(r.message("again", p))
		r.settle()
		if r.acked["again"] != 0 {
			t.Errorf("%s: the repeat was acknowledged before the record", c.name)
		}
		r.book.commit(9)
		r.settle()
		r.expect(t, "c1", c.want...)
		if r.acked["c1"] != 1 || r.acked["again"] != 1 {
			t.Errorf("%s: acknowledged %v", c.name, r.acked)
		}
	}
}

// TestCrashAfterTheRecord: the record is on disk, nobody was told. The message comes again and is a repeat; it is
// never started.
func TestCrashAfterTheRecord(t *testing.T) {
	r := newRig(t)
	r.book.manual = true
	p := r.send("c1", "")
	r.book.crash(1)
	r.start(t)
	r.Offer(r.message("again", p))
	r.settle()
	r.expect(t, "c1", "accepted 1 dup")
	if len(r.runner.started) != 0 || r.acked["c1"] != 0 || r.acked["again"] != 1 {
		t.Errorf("started %v, acknowledged %v", r.runner.started, r.acked)
	}
	// power judges what it finds unfinished
	r.finish(t, "c1", rack.StateUnknown, rack.RecoveredN, rack.CodeVerifyFailed)
	r.expect(t, "c1", "accepted 1 dup", "unknown 1000000 verify_failed")
}

// TestCrashBeforeTheRecord: nothing is on disk, the message comes again and is new.
func TestCrashBeforeTheRecord(t *testing.T) {
	r := newRig(t)
	r.book.manual = true
	p := r.send("c1", "")
	r.book.crash(0)
	r.start(t)
	r.Offer(r.message("again", p))
	r.settle()
	r.expect(t, "c1", "accepted 1")
	if len(r.runner.started) != 1 {
		t.Errorf("started %v", r.runner.started)
	}
}

func TestJournalThatRefusesLater(t *testing.T) {
	for _, c := range []struct {
		name, members string
		err           error
		want          string
	}{
		{"full", `"op":"outlet.energise"`, errDiskFull, "rejected 0 journal_full"},
		{"of no known kind", "", errUnreadable, "rejected 0 journal_full"},
		{"known after all", "", errKnown, "rejected 0 id_conflict"},
		{"a rejection", `"exp":1`, errDiskFull, "rejected 0 journal_full"},
		{"a verb of the desk", `"op":"cmd.list","target":"rack"`, errDiskFull, "rejected 0 journal_full"},
	} {
		r := newRig(t)
		r.book.manual = true
		p := r.send("c1", c.members)
		r.Offer(r.message("again", p))
		r.settle()
		waiting := r.book.waiting
		r.book.waiting = nil
		for _, s := range waiting {
			s.done(c.err)
			s.done(c.err) // even twice
		}
		r.settle()
		r.expect(t, "c1", c.want)
		if len(r.runner.started) != 0 || r.acked["c1"] != 1 || r.acked["again"] != 1 {
			t.Errorf("%s: started %v, acknowledged %v", c.name, r.runner.started, r.acked)
		}
		r.book.manual = false
		r.now = r.now.Add(time.Second)
		r.Offer(r.message("third", p)) // the id is free
		r.settle()
		if got := r.broker.said("c1"); len(got) != 2 || got[1] == c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestOneBadRecordDoesNotFailTheBatch(t *testing.T) {
	r := newRig(t)
	r.book.full = true
	r.Offer(r.message("on", r.payload("on", `"op":"outlet.energise"`)))
	r.Offer(r.message("off", r.payload("off", "")))
	r.settle()
	r.expect(t, "on", "rejected 0 journal_full")
	r.expect(t, "off", "accepted 1")
}
