package command

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"rackagent/agent/rack"
)

const (
	lists   = `"op":"cmd.list","target":"rack"`
	getsOf1 = `"op":"cmd.get","target":"rack","args":{"id":"c1"}`
)

// ask puts a question over the local socket.
func (r *rig) ask(id, members string) {
	r.Offer(r.local(id, r.payload(id, members)))
	r.settle()
}

// TestLocalQuestionsWithoutABroker: nothing that a person at the rack may ask, however often, is kept.
func TestLocalQuestionsWithoutABroker(t *testing.T) {
	r := newRig(t)
	r.send("c1", "")
	r.finish(t, "c1", rack.StateSucceeded, 2, "")
	records, sent := len(r.book.kinds), len(r.broker.sent)
	for i := range 1000 {
		r.now = r.now.Add(200 * time.Millisecond)
		r.ask("l"+strconv.Itoa(i), lists)
		r.ask("g"+strconv.Itoa(i), getsOf1)
	}
	if len(r.book.kinds) != records || len(r.book.order) != 1 {
		t.Errorf("%d records, %d commands on disk", len(r.book.kinds), len(r.book.order))
	}
	if len(r.results) != 1 || len(r.flight)+len(r.open) != 0 || len(r.broker.sent) != sent {
		t.Errorf("%d results, %d in flight, %d messages", len(r.results), len(r.flight), len(r.broker.sent)-sent)
	}
	if m := r.broker.answered; len(m) != 3000 || len(m[0].Listed) != 1 || r.acked["l999"]+r.acked["g999"] != 2 {
		t.Errorf("%d answers, acknowledged %v", len(m), r.acked)
	}
	if said := r.broker.told("c1"); len(said) != 1000 || said[0] != "succeeded 2 dup" {
		t.Errorf("%d answers about c1", len(said))
	}
}

// TestLocalQuestionsThatAreRefused are heard by the one who asked, too.
func TestLocalQuestionsThatAreRefused(t *testing.T) {
	r := newRig(t)
	r.ask("g1", `"op":"cmd.get","target":"rack","args":{"id":"nobody"}`)
	r.ask("l1", lists+`,"if":{"gen":1}`)
	r.ask("l2", lists+`,"args":{"n":201}`)
	for i := range burst + ownBurst {
		r.ask("f"+strconv.Itoa(i), lists)
	}
	r.book.manual = true
	r.now = r.now.Add(time.Second)
	r.send("c1", "")
	r.ask("g2", getsOf1)
	for id, want := range map[string]string{
		"g1": "rejected 1 unknown_target", "l1": "rejected 1 precondition", "l2": "rejected 0 bad_schema",
		"f24": "rejected 0 rate_limited", "g2": "rejected 0 busy",
	} {
		if got := r.broker.told(id); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %v, want %s", id, got, want)
		}
	}
	if len(r.broker.sent)+len(r.book.order)+len(r.results) != 0 {
		t.Errorf("published %v, on disk %v", r.broker.sent, r.book.order)
	}
}

// TestLocalQuestionUnderATakenID leaves the command alone that the id belongs to.
func TestLocalQuestionUnderATakenID(t *testing.T) {
	r := newRig(t)
	r.send("c1", "")
	r.ask("c1", lists)
	r.expect(t, "c1", "accepted 1")
	if got := r.broker.told("c1"); !slices.Equal(got, []string{"rejected 0 id_conflict"}) {
		t.Errorf("%v", got)
	}
}

func TestLocalQuestionsWhileTheDiskStands(t *testing.T) {
	r := newRig(t)
	r.book.manual = true
	for i := range maxFlight {
		r.now = r.now.Add(100 * time.Millisecond)
		r.send("f"+counter(i), `"op":"-"`)
	}
	r.ask("l1", lists)
	if got := r.broker.told("l1"); !slices.Equal(got, []string{"succeeded 1"}) {
		t.Errorf("%v", got)
	}
}

func TestLocalQuestionThatFindsNoRoom(t *testing.T) {
	r := newRig(t)
	for range maxWaiting {
		r.Offer(r.message("filler", "x"))
	}
	r.Offer(r.local("l1", r.payload("l1", lists)))
	if got := r.broker.told("l1"); !slices.Equal(got, []string{"rejected 0 busy"}) || len(r.broker.sent) != 0 {
		t.Errorf("%v, published %v", got, r.broker.sent)
	}
}

// TestListIsNotKept: over MQTT the list is told once; on disk, and for whoever asks again, there is the state alone.
func TestListIsNotKept(t *testing.T) {
	r := newRig(t)
	r.send("c1", "")
	p := r.send("l1", lists)
	if m := r.broker.last("l1"); len(m.Listed) != 1 || m.Text != "" {
		t.Errorf("first %+v", m.Outcome)
	}
	if o := r.book.entries["l1"].Outcome; o.State != rack.StateSucceeded || o.Listed != nil || o.Text != listGone {
		t.Errorf("on disk %+v", o)
	}
	for _, again := range []func(){
		func() { r.Offer(r.message("again", p)) }, r.Resend, func() { r.start(t) },
	} {
		again()
		r.settle()
		if m := r.broker.last("l1"); m.State != rack.StateSucceeded || m.Listed != nil || m.Text != listGone {
			t.Errorf("again %+v", m.Outcome)
		}
	}
	r.expect(t, "l1", "succeeded 1", "succeeded 1 dup", "succeeded 1", "succeeded 1")
}

// TestResultsAreReadFromTheJournal: what cannot be read now is offered later, what is not there is given up.
func TestResultsAreReadFromTheJournal(t *testing.T) {
	r := newRig(t)
	r.send("c1", `"exp":1`)
	r.send("c2", `"exp":1`)
	r.book.broken = errUnreadable
	r.Resend()
	r.settle()
	r.pass(20 * time.Second)
	r.expect(t, "c1", "rejected 1 expired")
	r.book.broken = nil
	delete(r.book.entries, "c2") // the journal was set aside
	r.pass(10 * time.Second)
	r.expect(t, "c1", "rejected 1 expired", "rejected 1 expired")
	r.expect(t, "c2", "rejected 1 expired")
	if len(r.results) != 1 {
		t.Errorf("%v", r.results)
	}
}
