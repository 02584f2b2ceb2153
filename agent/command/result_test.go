package command

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent/rack"
)

func word(id string, n int, st rack.State, names ...string) rack.Outcome {
	o := rack.Outcome{Command: id, State: st, N: n, At: noon}
	for _, name := range names {
		o.Targets = append(o.Targets, rack.TargetResult{Target: rack.NodeTarget(name), State: st})
	}
	return o
}

func TestWordsWaitingAreFoldedIntoOne(t *testing.T) {
	r := newRig(t)
	r.send("c1", "")
	r.send("c2", "")
	r.Report(word("c1", 2, rack.StateRunning, "a", "b"))
	r.Report(word("c2", 2, rack.StateRunning, "x"))
	r.Report(word("c1", 3, rack.StateRunning, "c", "a"))
	r.settle()
	r.expect(t, "c1", "accepted 1", "running 3")
	m := r.broker.last("c1")
	if len(m.Targets) != 3 || m.Targets[0].Target.Name != "a" || m.Targets[2].Target.Name != "c" {
		t.Errorf("%+v", m.Targets)
	}
	r.Report(word("c1", 4, rack.StateRunning, "b"))
	r.Report(word("c1", 5, rack.StatePartial, "a", "b", "c"))
	r.Report(word("c1", 6, rack.StateRunning, "a")) // nothing follows a terminal word
	r.settle()
	r.expect(t, "c1", "accepted 1", "running 3", "partial 5")
}

func TestOneTerminalResult(t *testing.T) {
	r := newRig(t)
	r.send("c1", "")
	r.finish(t, "c1", rack.StateSucceeded, 2, "")
	r.Report(word("c1", 3, rack.StateFailed))
	r.settle()
	r.Report(word("c1", 4, rack.StateRunning))
	r.settle()
	r.broker.acknowledge(99)
	r.settle()
	r.Report(word("c1", 3, rack.StateFailed))
	r.settle()
	r.Report(word("c1", 4, rack.StateRunning))
	r.settle()
	r.expect(t, "c1", "accepted 1", "succeeded 2")
	if !r.book.entries["c1"].Acked || len(r.results)+len(r.open) != 0 {
		t.Error("not closed")
	}
}

func TestUnfinishedCommandsAreToldEvery10Seconds(t *testing.T) {
	r := newRig(t)
	r.send("c1", "")
	r.Report(word("c1", 2, rack.StateRunning, "a"))
	r.settle()
	before := r.now
	var told []time.Time
	r.broker.onPublish = func(m message) {
		if m.N != 2 || m.State != rack.StateRunning || len(m.Targets) != 0 || m.dup {
			t.Errorf("%+v", m)
		}
		told = append(told, r.now)
	}
	r.pass(time.Minute)
	for _, at := range append(told, r.now) {
		if at.Sub(before) > 10*time.Second {
			t.Errorf("silent from %v to %v", before, at)
		}
		before = at
	}
	if len(told) < 6 || len(told) > 10 {
		t.Errorf("told %d times in a minute", len(told))
	}
	r.broker.onPublish = nil
	r.finish(t, "c1", rack.StateSucceeded, 3, "")
	n := len(r.broker.sent)
	r.pass(time.Minute)
	if len(r.broker.sent) != n {
		t.Errorf("told after the end: %v", r.broker.said("c1"))
	}
}

func TestAgentsOwnCommandIsTold(t *testing.T) {
	r := newRig(t)
	r.book.Submit([]rack.Record{{Kind: rack.RecordAccepted, ID: "own", Command: &rack.Command{ID: "own", Op: rack.OpEnergise}}}, func(error) {})
	r.Report(rack.Outcome{Command: "own", State: rack.StateAccepted, N: 1})
	r.settle()
	r.pass(9 * time.Second)
	r.finish(t, "own", rack.StateSucceeded, 2, "")
	r.expect(t, "own", "accepted 1", "accepted 1", "succeeded 2")
}

func TestResultIsPublishedUntilAcknowledged(t *testing.T) {
	r := newRig(t)
	r.send("c1", "")
	r.send("c2", `"exp":1`)
	r.broker.full = true
	r.finish(t, "c1", rack.StateSucceeded, 2, "")
	r.broker.full = false
	r.expect(t, "c1", "accepted 1")
	r.pass(10 * time.Second) // there was no room: offered again
	r.expect(t, "c1", "accepted 1", "succeeded 2")
	r.pass(time.Minute) // the publisher has it: not offered again
	r.expect(t, "c1", "accepted 1", "succeeded 2")
	r.Resend() // the publisher lost it
	r.settle()
	r.expect(t, "c1", "accepted 1", "succeeded 2", "succeeded 2")
	r.expect(t, "c2", "rejected 1 expired", "rejected 1 expired")
	r.book.crash(0)
	r.start(t) // a new life finds it on disk
	r.settle()
	r.expect(t, "c1", "accepted 1", "succeeded 2", "succeeded 2", "succeeded 2")
	r.broker.acknowledge(99)
	r.settle()
	r.Resend()
	r.settle()
	r.book.crash(0)
	r.start(t)
	r.settle()
	r.expect(t, "c1", "accepted 1", "succeeded 2", "succeeded 2", "succeeded 2")
	if !r.book.entries["c1"].Acked || !r.book.entries["c2"].Acked {
		t.Error("not recorded as acknowledged")
	}
}

func TestAnswerToARepeatCountsAsDelivery(t *testing.T) {
	r := newRig(t)
	p := r.send("c1", "")
	o := rack.Outcome{Command: "c1", State: rack.StateSucceeded, N: 2}
	r.book.Submit([]rack.Record{{Kind: rack.RecordEnded, ID: "c1", Outcome: &o}}, func(error) {}) // power has not told yet
	r.Offer(r.message("again", p))
	r.settle()
	r.broker.acknowledge(99)
	r.settle()
	r.expect(t, "c1", "accepted 1", "succeeded 2 dup")
	if !r.book.entries["c1"].Acked {
		t.Error("not recorded as acknowledged")
	}
}

// running starts the desk's goroutine and gives the function that ends it.
func running(t *testing.T, r *rig) (end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.now, r.birth = time.Now(), time.Now()
		end := running(t, r)
		synctest.Wait()
		r.Offer(r.message("c1", r.payload("c1", "")))
		synctest.Wait()
		r.expect(t, "c1", "accepted 1")
		r.Report(word("c1", 2, rack.StateRunning))
		time.Sleep(25 * time.Second)
		synctest.Wait()
		r.expect(t, "c1", "accepted 1", "running 2", "running 2", "running 2", "running 2")
		r.Report(word("c1", 3, rack.StateSucceeded))
		synctest.Wait()
		end()
		if said := r.broker.said("c1"); said[len(said)-1] != "succeeded 3" {
			t.Errorf("%v", said)
		}
	})
}

func TestOfferNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.now = time.Now()
		end := running(t, r)
		synctest.Wait()
		before := time.Now()
		for range 1000 {
			r.Offer(Inbound{Topic: "cmd", Payload: []byte("x"), Origin: rack.OriginMQTT})
		}
		if time.Since(before) != 0 {
			t.Error("waited")
		}
		end()
	})
}

// TestAfterTheEnd: what comes to a desk that has ended is neither answered nor acknowledged, so that the broker
// delivers it to the next.
func TestAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.now = time.Now()
		r.book.manual = true
		end := running(t, r)
		synctest.Wait()
		r.Offer(r.message("c1", r.payload("c1", "")))
		synctest.Wait()
		end()
		r.book.commit(9)
		for range maxWaiting + 1 {
			if !r.Offer(r.message("c2", r.payload("c2", ""))) {
				t.Fatal("refused: the link would acknowledge it")
			}
		}
		r.Report(word("c3", 3, rack.StateSucceeded))
		r.Resend()
		synctest.Wait()
		if len(r.broker.sent) != 0 || len(r.acked) != 0 || len(r.runner.started) != 0 {
			t.Errorf("published %v, acknowledged %v, started %v", r.broker.sent, r.acked, r.runner.started)
		}
		if _, kept := r.book.entries["c1"]; !kept {
			t.Error("not on disk")
		}
	})
}

func TestLastResultIsToldAtTheEnd(t *testing.T) {
	r := newRig(t)
	r.send("c1", "")
	r.Report(word("c1", 2, rack.StateSucceeded))
	r.end(r.now)
	r.expect(t, "c1", "accepted 1", "succeeded 2")
}

func TestFollow(t *testing.T) {
	a := word("c", 2, rack.StateRunning, "a")
	b := word("c", 3, rack.StateRunning, "b")
	end := word("c", 4, rack.StateFailed, "a")
	if got := follow(follow(a, b), end); !slices.EqualFunc(got.Targets, end.Targets, func(x, y rack.TargetResult) bool { return x.Target == y.Target }) || got.N != 4 {
		t.Errorf("%+v", got)
	}
	if follow(end, b).N != 4 {
		t.Error("something followed the end")
	}
	if follow(a, b); len(a.Targets) != 1 {
		t.Error("the older word was changed")
	}
}

func TestMessageThatNobodyWaitsFor(t *testing.T) {
	r := newRig(t)
	p := r.payload("c1", "")
	r.book.manual = true
	for range 2 {
		r.Offer(Inbound{Payload: []byte(p), Origin: rack.OriginLocal, Issuer: "uid:1000", Received: r.now})
	}
	r.settle()
	r.book.commit(1)
	r.settle()
	r.expect(t, "c1", "accepted 1", "accepted 1 dup")
}
