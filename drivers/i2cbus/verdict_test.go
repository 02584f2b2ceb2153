package i2cbus

import (
	"testing"
	"time"

	"rackagent/drivers"
)

// said is what a transfer to an address came to.
type said struct {
	addr  uint16
	fault drivers.Fault
}

func TestVerdict(t *testing.T) {
	const (
		none     = drivers.None
		timeout  = drivers.Timeout
		busFault = drivers.BusFault
		nack     = drivers.NoAnswer
	)
	for _, c := range []struct {
		name string
		in   []said
		want bool
	}{
		{"one failure", []said{{1, none}, {2, none}, {1, timeout}}, false},
		{"many of one device beside others", []said{{1, none}, {2, none}, {1, timeout}, {1, timeout}, {1, timeout}, {1, timeout}}, false},
		{"two devices", []said{{1, none}, {2, none}, {1, timeout}, {2, timeout}}, true},
		{"two devices, either word", []said{{1, none}, {2, none}, {1, busFault}, {2, timeout}}, true},
		{"a success in between", []said{{1, none}, {2, none}, {1, timeout}, {2, none}, {1, timeout}}, false},
		{"not acknowledged: the lines move", []said{{1, none}, {2, none}, {1, timeout}, {3, nack}, {2, timeout}}, false},
		{"a wrong checksum: the lines move", []said{{1, none}, {2, none}, {1, timeout}, {2, drivers.Corrupt}, {2, timeout}}, false},
		{"lost arbitration proves nothing", []said{{1, none}, {2, none}, {1, timeout}, {2, drivers.Arbitration}, {2, timeout}}, true},
		{"what was not sent proves nothing", []said{{1, none}, {2, none}, {1, timeout}, {2, drivers.Unsupported}, {2, timeout}}, true},
		{"the only device, twice", []said{{1, none}, {1, timeout}, {1, timeout}}, false},
		{"the only device, three times", []said{{1, none}, {1, timeout}, {1, timeout}, {1, timeout}}, true},
		{"nobody has answered yet", []said{{1, timeout}, {2, timeout}, {1, timeout}}, true},
		{"nobody has answered yet, and not all have been asked", []said{{1, timeout}, {1, timeout}, {2, timeout}, {2, timeout}, {3, timeout}}, false},
		{"nobody has answered yet, and there is one", []said{{1, busFault}, {1, busFault}, {1, busFault}}, true},
		{"two that are missing where a missing one times out", []said{{1, none}, {2, timeout}, {3, timeout}, {2, timeout}, {3, timeout}}, false},
		{"a missing one and the one that is there", []said{{1, none}, {2, timeout}, {1, timeout}, {2, timeout}}, false},
		{"one that has only refused is no witness", []said{{1, none}, {2, nack}, {2, timeout}, {1, timeout}}, false},
		{"a missing one is no company", []said{{1, none}, {2, timeout}, {1, timeout}, {1, timeout}, {1, timeout}}, true},
	} {
		var v verdict
		at := time.Unix(0, 0)
		for i, s := range c.in {
			v.note(s.addr, s.fault, at.Add(time.Duration(i)*time.Second))
		}
		if v.bad() != c.want {
			t.Errorf("%s: %v, want %v", c.name, v.bad(), c.want)
		}
	}
}

func TestVerdictNamesItsFirstWitness(t *testing.T) {
	var v verdict
	at := time.Unix(100, 0)
	v.note(1, drivers.Timeout, at)
	v.note(1, drivers.None, at.Add(time.Second))
	v.note(1, drivers.Timeout, at.Add(2*time.Second))
	v.note(2, drivers.Timeout, at.Add(3*time.Second))
	if v.bad() {
		t.Error("2 has never answered")
	}
	v.note(1, drivers.Timeout, at.Add(4*time.Second))
	v.note(1, drivers.Timeout, at.Add(5*time.Second))
	if !v.bad() || !v.first.Equal(at.Add(2*time.Second)) {
		t.Errorf("%+v", v)
	}
}

// Attempts come at once, then 1, 2, 4 .. 60 s after the last one failed; a bus that was good for a minute starts anew.
func TestFenceSteps(t *testing.T) {
	f := newFence()
	now := time.Unix(1000, 0)
	fail := func(n uint16) { f.heard(now, n, drivers.BusFault, now, nil) }
	fail(1)
	fail(2)
	if !f.judge(now) || f.refuses(now, poll) {
		t.Fatal("not found bad, or nobody may try")
	}
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		if f.stage != due {
			t.Fatalf("attempt %d: stage %d", i, f.stage)
		}
		f.attempt()
		if fail(1); !f.refuses(now, poll) {
			t.Fatalf("attempt %d failed and jobs go on", i)
		}
		now = now.Add(want*time.Second - 1)
		if !f.refuses(now, poll) {
			t.Fatalf("attempt %d: jobs go on before %d s", i, want)
		}
		now = now.Add(1)
		if f.refuses(now, poll) {
			t.Fatalf("attempt %d: refused after %d s", i, want)
		}
	}
	f.attempt()
	if f.heard(now, 1, drivers.None, now, nil); f.bad() {
		t.Fatal("an answer does not end it")
	}
	good := now
	now = good.Add(30 * time.Second)
	fail(1)
	fail(1)
	fail(1)
	if !f.judge(now) || !f.refuses(now, poll) {
		t.Error("bad again within the last step, and an attempt at once")
	}
	now = good.Add(60 * time.Second)
	f.refuses(now, poll)
	f.attempt()
	f.heard(now, 1, drivers.None, now, nil)
	now = now.Add(time.Minute)
	fail(1)
	fail(1)
	fail(1)
	if !f.judge(now) || f.refuses(now, poll) {
		t.Error("no attempt at once after a good minute")
	}
	f.attempt()
	fail(1)
	if !f.refuses(now.Add(time.Second-1), poll) || f.refuses(now.Add(time.Second), poll) {
		t.Error("the steps did not start anew")
	}
}

// Two devices were pulled on a board where a missing one times out: that looks like a bad bus once, and not again.
func TestPulledDevicesConvictOnce(t *testing.T) {
	f, now := newFence(), time.Unix(1000, 0)
	hear := func(addr uint16, fault drivers.Fault) { f.heard(now, addr, fault, now, nil) }
	for addr := range uint16(3) {
		hear(addr, drivers.None)
	}
	hear(1, drivers.Timeout)
	if hear(2, drivers.Timeout); !f.judge(now) {
		t.Fatal("two that answered before fail in a row: not found bad")
	}
	f.attempt()
	hear(0, drivers.None)
	for range 10 {
		hear(1, drivers.Timeout)
		if hear(2, drivers.Timeout); f.judge(now) {
			t.Fatal("found bad by devices that nobody has heard since")
		}
	}
}

// What the rest of the job does that failed the trial makes the rest no longer.
func TestFailuresAfterTheTrial(t *testing.T) {
	f, now := newFence(), time.Unix(1000, 0)
	f.heard(now, 1, drivers.BusFault, now, nil)
	f.heard(now, 2, drivers.BusFault, now, nil)
	f.judge(now)
	f.attempt()
	if !f.heard(now, 1, drivers.BusFault, now, nil) {
		t.Fatal("the trial decides nothing")
	}
	until := f.rest
	if f.heard(now.Add(time.Second/2), 1, drivers.BusFault, now, nil) || !f.rest.Equal(until) {
		t.Error("decided twice")
	}
}

// An act may try a bad bus once a second, whatever rest the measuring jobs are sent into.
func TestAnActTriesEverySecond(t *testing.T) {
	f := newFence()
	now := time.Unix(1000, 0)
	fail := func(addr uint16) { f.heard(now, addr, drivers.BusFault, now, nil) }
	fail(1)
	fail(2)
	fail(1)
	if !f.judge(now) {
		t.Fatal("the bus is not bad")
	}
	for range 7 { // up to the longest rest
		f.attempt()
		fail(1)
		now = now.Add(longestRest)
		f.refuses(now, poll)
	}
	f.attempt()
	fail(1)
	for _, c := range []struct {
		after      time.Duration
		q          queue
		turnedAway bool
	}{
		{time.Second - 1, act, true},
		{time.Second - 1, poll, true},
		{time.Second, poll, true},
		{time.Second, act, false},
	} {
		if g := *f; g.refuses(now.Add(c.after), c.q) != c.turnedAway {
			t.Errorf("%s after the attempt, queue %d: want turned away %t", c.after, c.q, c.turnedAway)
		}
	}
}

// On a board where a missing part times out the first ones asked are all missing. The trial goes round until the one that
// is there has had its turn, and a bus on which nobody answers in a whole round is left alone.
func TestMissingPartsAtTheStart(t *testing.T) {
	f, now := newFence(), time.Unix(1000, 0)
	hear := func(addr uint16, fault drivers.Fault) bool { return f.heard(now, addr, fault, now, nil) }
	for _, addr := range []uint16{1, 1, 1, 2, 2, 2, 1} {
		hear(addr, drivers.Timeout)
	}
	if !f.judge(now) {
		t.Fatal("a whole round and nobody answered: not found bad")
	}
	f.attempt()
	for _, addr := range []uint16{1, 1, 1, 2, 2, 2} {
		if hear(addr, drivers.Timeout) {
			t.Fatal("decided before everybody had a turn")
		}
	}
	if !hear(3, drivers.None) || f.bad() {
		t.Error("the one that is there does not end it")
	}

	f = newFence()
	for _, addr := range []uint16{1, 2, 1} {
		hear(addr, drivers.Timeout)
	}
	f.judge(now)
	f.attempt()
	if hear(1, drivers.Timeout) || hear(2, drivers.Timeout) || !hear(1, drivers.Timeout) || !f.refuses(now, poll) {
		t.Error("a round without an answer does not end the trial")
	}
}
