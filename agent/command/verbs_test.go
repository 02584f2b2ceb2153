package command

import (
	"slices"
	"strings"
	"testing"
	"time"

	"rackagent/agent/rack"
)

func TestGet(t *testing.T) {
	r := newRig(t)
	r.send("c1", "")
	r.send("g1", `"op":"cmd.get","target":"rack","args":{"id":"c1"}`)
	r.finish(t, "c1", rack.StateSucceeded, 2, "")
	r.send("g2", `"op":"cmd.get","target":"rack","args":{"id":"c1"}`)
	r.send("g3", `"op":"cmd.get","target":"rack","args":{"id":"nobody"}`)
	r.send("g4", `"op":"cmd.get","target":"rack","args":{"id":"g4"}`)
	r.expect(t, "c1", "accepted 1", "accepted 1 dup", "succeeded 2", "succeeded 2 dup")
	r.expect(t, "g1", "succeeded 1")
	r.expect(t, "g2", "succeeded 1")
	r.expect(t, "g3", "rejected 1 unknown_target")
	r.expect(t, "g4", "rejected 1 unknown_target")
}

func TestGetOfACommandBeingRecorded(t *testing.T) {
	r := newRig(t)
	r.book.manual = true
	r.Offer(r.message("c1", r.payload("c1", "")))
	r.Offer(r.message("g1", r.payload("g1", `"op":"cmd.get","target":"rack","args":{"id":"c1"}`)))
	r.settle()
	r.book.commit(2)
	r.settle()
	r.expect(t, "c1", "accepted 1", "accepted 1 dup")
	r.expect(t, "g1", "succeeded 1")
}

func TestList(t *testing.T) {
	r := newRig(t)
	for i := range 260 {
		r.now = r.now.Add(100 * time.Millisecond)
		r.send("f"+counter(i), `"exp":1`)
	}
	r.now = r.now.Add(time.Second)
	r.send("c1", "")
	r.book.entries["damaged"] = &rack.Entry{Command: rack.Command{ID: "damaged"}}
	r.book.order = append(r.book.order, "damaged")
	for id, c := range map[string]struct {
		args string
		n    int
	}{"l1": {`{}`, 50}, "l2": {`{"n":3}`, 3}, "l3": {`{"n":200}`, 200}} {
		r.send(id, `"op":"cmd.list","target":"rack","args":`+c.args)
		m := r.broker.last(id)
		if m.State != rack.StateSucceeded || len(m.Listed) != c.n {
			t.Errorf("%s: %s, %d lines, want %d", id, m.State, len(m.Listed), c.n)
		}
	}
	r.send("l4", `"op":"cmd.list","target":"rack","args":{"n":10}`)
	lines := r.broker.last("l4").Listed
	i := slices.IndexFunc(lines, func(s rack.Summary) bool { return s.Command == "c1" })
	if lines[0].Command == "l4" || lines[i].State != rack.StateAccepted || lines[i].Op != rack.OpCut || lines[i].Received.IsZero() {
		t.Errorf("%+v", lines)
	}
	if lines[i-1].Command != "damaged" || lines[i-1].Target.String() != "rack" || lines[i+1].Code != rack.CodeExpired {
		t.Errorf("%+v", lines)
	}
}

func TestListOfNothing(t *testing.T) {
	r := newRig(t)
	r.send("l1", `"op":"cmd.list","target":"rack"`)
	if m := r.broker.last("l1"); m.Listed == nil || len(m.Listed) != 0 {
		t.Errorf("%+v", m.Outcome)
	}
}

func TestCancel(t *testing.T) {
	cancel := func(id string) string { return `"op":"cmd.cancel","target":"rack","args":{"id":"` + id + `"}` }
	r := newRig(t)
	r.send("c1", "")
	r.send("x1", cancel("c1"))
	r.expect(t, "x1", "succeeded 1")
	if !slices.Equal(r.runner.cancelled, []string{"c1"}) {
		t.Errorf("%v", r.runner.cancelled)
	}
	r.finish(t, "c1", rack.StateCancelled, 2, rack.CodeCancelled)
	r.send("x2", cancel("c1"))
	r.send("x3", cancel("nobody"))
	r.send("who", `"op":"identify","target":"node/asic-1"`)
	r.send("x4", cancel("who"))
	r.send("x5", cancel("x5"))
	r.expect(t, "x2", "rejected 1 precondition")
	r.expect(t, "x3", "rejected 1 unknown_target")
	r.expect(t, "x4", "rejected 1 precondition")
	r.expect(t, "x5", "rejected 1 unknown_target")
	r.send("c2", "")
	r.send("x6", cancel("c2")+`,"dry":true`)
	r.expect(t, "x6", "succeeded 1")
	if len(r.runner.cancelled) != 1 {
		t.Errorf("%v", r.runner.cancelled)
	}
}

func TestCancelOnAFullDisk(t *testing.T) {
	r := newRig(t)
	r.send("c1", "")
	r.book.full = true
	r.send("x1", `"op":"cmd.cancel","target":"rack","args":{"id":"c1"}`)
	if !slices.Equal(r.runner.cancelled, []string{"c1"}) {
		t.Errorf("%v", r.broker.said("x1"))
	}
}

// TestCancelOfACommandBeingRecorded: whatever the order of the journal's answers, it is started before it is cancelled.
func TestCancelOfACommandBeingRecorded(t *testing.T) {
	for _, backwards := range []bool{false, true} {
		r := newRig(t)
		r.book.manual = true
		r.Offer(r.message("c1", r.payload("c1", "")))
		r.Offer(r.message("x1", r.payload("x1", `"op":"cmd.cancel","target":"rack","args":{"id":"c1"}`)))
		r.settle()
		if backwards {
			slices.Reverse(r.book.waiting)
		}
		r.book.commit(1)
		r.settle()
		r.book.commit(1)
		r.settle()
		if !slices.Equal(r.runner.started, []string{"c1"}) || !slices.Equal(r.runner.cancelled, []string{"c1"}) {
			t.Errorf("started %v, cancelled %v", r.runner.started, r.runner.cancelled)
		}
		r.expect(t, "x1", "succeeded 1")
	}
}

func TestAcceptLoss(t *testing.T) {
	const members = `"op":"journal.accept","target":"rack","args":{"reason":"card replaced"}`
	r := newRig(t)
	local := func(id, members string) {
		r.Offer(r.local(id, r.payload(id, members)))
		r.settle()
	}
	local("a1", members) // nothing is lost
	r.observing = true
	r.send("a2", members) // not from here
	local("a3", members+`,"dry":true`)
	if slices.Contains(r.book.kinds, rack.RecordObserved) {
		t.Error("accepted")
	}
	r.book.kinds = nil
	local("a4", members)
	r.expect(t, "a1", "rejected 1 precondition")
	r.expect(t, "a2", "rejected 1 unsupported")
	r.expect(t, "a3", "succeeded 1")
	r.expect(t, "a4", "succeeded 1")
	if !slices.Equal(r.book.kinds, []rack.RecordKind{rack.RecordAccepted, rack.RecordObserved, rack.RecordEnded}) {
		t.Errorf("%v", r.book.kinds)
	}
}

func TestVerbsOfTheDeskWhileObserving(t *testing.T) {
	r := newRig(t)
	r.observing = true
	r.send("l1", `"op":"cmd.list","target":"rack"`)
	r.send("i1", `"op":"identify","target":"node/asic-1"`)
	r.expect(t, "l1", "succeeded 1")
	r.expect(t, "i1", "accepted 1")
}

func TestPreconditionsOfTheDesksVerbs(t *testing.T) {
	r := newRig(t)
	r.send("l1", `"op":"cmd.list","target":"rack","if":{"gen":1}`)
	r.expect(t, "l1", "rejected 1 precondition")
}

func TestIdentify(t *testing.T) {
	r := newRig(t)
	r.send("i1", `"op":"identify","target":"node/asic-1"`)
	r.expect(t, "i1", "accepted 1")
	if len(r.boards.asked) != 1 || r.boards.asked[0].String() != "node/asic-1" || len(r.runner.started) != 0 {
		t.Fatalf("%v", r.boards.asked)
	}
	r.boards.report(map[string]rack.Identity{"pdu-a": {Serial: "24C-00117", Wiring: rack.WiringDeclared}}, nil)
	r.settle()
	r.boards.report(nil, &rack.Refusal{Code: rack.CodeDeviceError}) // too late
	r.settle()
	r.expect(t, "i1", "accepted 1", "succeeded 2")
	if o := r.book.entries["i1"].Outcome; o.Ident["pdu-a"].Serial != "24C-00117" {
		t.Errorf("%+v", o)
	}
}

func TestIdentifyThatFails(t *testing.T) {
	r := newRig(t)
	r.send("i1", `"op":"identify","target":"node/asic-1"`)
	r.boards.report(nil, &rack.Refusal{Code: rack.CodeDeviceError, Text: "no answer"})
	r.settle()
	r.expect(t, "i1", "accepted 1", "failed 2 device_error")
}

// TestIdentifyOfWhatHasNoBoard: nobody is asked, and the sender hears it at once.
func TestIdentifyOfWhatHasNoBoard(t *testing.T) {
	for target, want := range map[string]string{
		"node/nobody": "rejected 1 unknown_target", "outlet/pdu-a.9": "rejected 1 unknown_target", "outlet/pdu-x.1": "rejected 1 unknown_target",
		"rack": "rejected 1 unsupported", "group/miners": "rejected 1 unsupported", "feed/f1": "rejected 1 unsupported",
		"node/gpu-1": "accepted 1", "outlet/pdu-a.3": "accepted 1",
	} {
		r := newRig(t)
		r.send("i1", `"op":"identify","target":"`+target+`"`)
		r.expect(t, "i1", want)
		if asked := len(r.boards.asked); asked != 0 && want != "accepted 1" || r.book.entries["i1"] == nil {
			t.Errorf("%s: %d boards asked, on disk %v", target, asked, r.book.order)
		}
	}
}

func TestIdentifyThatHangs(t *testing.T) {
	r := newRig(t)
	r.send("i1", `"op":"identify","target":"node/asic-1"`)
	r.pass(2 * time.Minute)
	said := r.broker.said("i1")
	if said[len(said)-1] != "failed 2 device_timeout" || len(r.open) != 0 {
		t.Errorf("%v", said)
	}
	r.boards.report(nil, nil)
	r.settle()
	if got := r.broker.said("i1"); len(got) != len(said) {
		t.Errorf("%v", got)
	}
}

func TestDryIdentifyAsksNobody(t *testing.T) {
	r := newRig(t)
	r.send("i1", `"op":"identify","target":"node/asic-1","dry":true`)
	r.expect(t, "i1", "succeeded 1")
	if len(r.boards.asked) != 0 || r.broker.last("i1").Plan == nil {
		t.Errorf("%v", r.boards.asked)
	}
}

// TestIdentifyWhoseEndIsNotTaken: the result waits for the disk, and the command is told to be unfinished until then.
func TestIdentifyWhoseEndIsNotTaken(t *testing.T) {
	r := newRig(t)
	r.send("i1", `"op":"identify","target":"node/asic-1"`)
	r.book.broken = errUnreadable
	r.boards.report(map[string]rack.Identity{}, nil)
	r.settle()
	r.pass(20 * time.Second)
	if said := r.broker.said("i1"); strings.Contains(strings.Join(said, ","), "succeeded") || len(said) < 3 {
		t.Fatalf("%v", said)
	}
	r.book.broken = nil
	r.pass(10 * time.Second)
	said := r.broker.said("i1")
	if said[len(said)-1] != "succeeded 2" || r.book.entries["i1"].Outcome == nil {
		t.Errorf("%v", said)
	}
}

func TestIdentifyInterruptedByARestart(t *testing.T) {
	r := newRig(t)
	r.send("i1", `"op":"identify","target":"node/asic-1"`)
	r.send("c1", "")
	r.book.crash(0)
	r.start(t)
	r.settle()
	r.expect(t, "i1", "accepted 1", "unknown 1000000")
	r.expect(t, "c1", "accepted 1") // power's to judge
}

// TestEndThatIsOnDiskThoughItFailed: after a failed write it is open what the disk holds. What it holds is told.
func TestEndThatIsOnDiskThoughItFailed(t *testing.T) {
	r := newRig(t)
	r.send("i1", `"op":"identify","target":"node/asic-1"`)
	r.book.manual = true
	r.boards.report(map[string]rack.Identity{}, nil)
	r.settle()
	s := r.book.waiting[0]
	r.book.waiting = nil
	if err := r.book.write(s.recs); err != nil {
		t.Fatal(err)
	}
	s.done(errUnreadable)
	r.settle()
	r.expect(t, "i1", "accepted 1", "succeeded 2")
}
