package poll

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rackagent/agent/rack"
	"rackagent/drivers"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var zero = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// life is a script: each line lets time pass and gives the machine one outcome.
type life struct {
	h    *Health
	now  time.Time
	text strings.Builder
}

func (l *life) step(after time.Duration, act Act, f drivers.Fault) {
	l.now = l.now.Add(after)
	a, events := l.h.Step(l.now, Attempt{Act: act, Began: l.now, Fault: f})
	next := map[Act]string{Read: "read", Identify: "identify"}
	fmt.Fprintf(&l.text, "%6s %-8s %-12s => %-9s next %s", l.now.Sub(zero), next[act], f, l.h.state, next[a.Act])
	if a.Wait > 0 {
		fmt.Fprintf(&l.text, ", not before %s", a.Wait)
	}
	if a.Once {
		l.text.WriteString(", once")
	}
	for _, e := range events {
		fmt.Fprintf(&l.text, "; %s: %s", e.Severity, e.Text)
	}
	l.text.WriteByte('\n')
}

func TestHealthPath(t *testing.T) {
	const s = time.Second
	l := &life{h: NewHealth(s, true), now: zero}
	l.step(0, Identify, drivers.None)
	l.step(0, Read, drivers.None)
	l.step(s, Read, drivers.NoAnswer)
	l.step(s, Read, drivers.None)
	for range 10 {
		l.step(s, Read, drivers.NoAnswer)
	}
	for _, wait := range []time.Duration{10, 20, 40, 80, 160, 300} {
		l.step(wait*s, Identify, drivers.NoAnswer)
	}
	l.step(300*s, Identify, drivers.None)
	l.step(s, Read, drivers.None)
	l.step(s, Read, drivers.None)
	l.step(s, Read, drivers.Corrupt) // probation fails
	l.step(10*s, Identify, drivers.None)
	for range 3 {
		l.step(s, Read, drivers.None)
	}
	for range 9 { // a device that holds the clock low costs everybody's time
		l.step(s, Read, drivers.Timeout)
	}
	l.step(60*s, Read, drivers.None)
	l.step(s, Read, drivers.Restarted)
	l.step(s, Identify, drivers.None)
	l.step(s, Read, drivers.None)
	l.step(s, Read, drivers.Cancelled)
	l.step(3*s, Read, drivers.Cancelled)
	l.step(s, Read, drivers.None)
	l.step(s, Read, drivers.WrongDevice)
	l.step(10*s, Identify, drivers.WrongDevice)
	l.step(20*s, Identify, drivers.Foreign)

	const file = "testdata/health.golden"
	if *update {
		if err := os.WriteFile(file, []byte(l.text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if l.text.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", l.text.String(), want)
	}
}

func TestHealthWithoutIdentification(t *testing.T) {
	l := &life{h: NewHealth(time.Second, false), now: zero}
	for range 10 {
		l.step(time.Second, Read, drivers.NoAnswer)
	}
	if l.h.state != StateAbsent {
		t.Fatal(l.h.state)
	}
	for i, want := range []State{StateProbation, StateProbation, StateOK} {
		l.step(time.Second, Read, drivers.None)
		if l.h.state != want {
			t.Errorf("good sample %d: %s, want %s", i+1, l.h.state, want)
		}
	}
}

func TestNoAnswerMustBeConsecutive(t *testing.T) {
	l := &life{h: NewHealth(time.Second, true), now: zero}
	l.step(0, Identify, drivers.None)
	for range 5 {
		for range 9 {
			l.step(time.Second, Read, drivers.NoAnswer)
		}
		l.step(time.Second, Read, drivers.Corrupt)
	}
	if l.h.state == StateAbsent {
		t.Errorf("absent without 10 consecutive unanswered reads:\n%s", l.text.String())
	}
}

var allFaults = []drivers.Fault{
	drivers.NoAnswer, drivers.Arbitration, drivers.Timeout, drivers.BusFault, drivers.Hung, drivers.Implausible,
	drivers.Corrupt, drivers.Restarted, drivers.Mismatch, drivers.WrongDevice, drivers.OutOfControl, drivers.Foreign,
	drivers.Unsupported, drivers.Settling, drivers.NotRead, drivers.Cancelled, drivers.BusFenced,
}

// witness watches a device from outside: it knows only what was fed in and what was shown.
type witness struct {
	absent    bool // seen absent, and not yet identified since
	probation int  // good samples in a row since the identification that ended an absence; -1: not in probation
	sampled   bool // a good sample came in since the last look
	last      rack.Quality
}

func (w *witness) fed(act Act, f drivers.Fault) {
	switch {
	case f == drivers.None && act == Identify:
		if w.absent {
			w.absent, w.probation = false, 0
		}
	case f == drivers.None:
		w.sampled = true
		if w.probation >= 0 {
			w.probation++
		}
	case !saysNothing(f) && !ofTheBus(f) && w.probation >= 0:
		w.probation = -1
	}
}

func (w *witness) look(t *rapid.T, now time.Time, state State, r rack.Reading, period time.Duration) {
	if r.Quality == rack.QualityOK {
		if age := now.Sub(r.At); r.At.IsZero() || age > 3*period {
			t.Fatalf("ok at age %s with a period of %s", age, period)
		}
		if w.last != rack.QualityOK && !w.sampled {
			t.Fatalf("%s became ok without a sample", w.last)
		}
		if w.absent {
			t.Fatal("ok without identification after an absence")
		}
		if w.probation >= 0 && w.probation < 3 {
			t.Fatalf("ok after %d good samples of probation", w.probation)
		}
		w.probation = -1
	}
	if state == StateAbsent {
		if r.Quality != rack.QualityAbsent {
			t.Fatalf("%s while the device is absent", r.Quality)
		}
		w.absent, w.probation = true, -1
	}
	if r.Quality != rack.QualityOK && r.Reason == "" {
		t.Fatalf("%s without a reason", r.Quality)
	}
	w.last, w.sampled = r.Quality, false
}

// A machine that is fed anything, also what it did not ask for, never shows an old or unproven value as good.
func TestWalkHealth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		period := rapid.SampledFrom([]time.Duration{100 * time.Millisecond, time.Second, 20 * time.Second}).Draw(t, "period")
		h := NewHealth(period, true)
		ch := channel{rule: Point{Point: point}, last: rack.Reading{Point: point}}
		w := &witness{probation: -1, last: rack.QualityAbsent}
		now := zero
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "only time") {
				now = now.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "tenths")) * period / 10)
			} else {
				walkAttempt(t, h, &ch, w, &now)
			}
			w.look(t, now, h.State(now), judge(now, ch.last, h), period)
		}
	})
}

func walkAttempt(t *rapid.T, h *Health, ch *channel, w *witness, now *time.Time) {
	in := Attempt{Act: h.Advice().Act, Began: *now}
	if rapid.IntRange(0, 9).Draw(t, "out of turn") == 0 {
		in.Act = 1 - in.Act
	}
	if rapid.IntRange(0, 2).Draw(t, "fails") == 0 {
		in.Fault = rapid.SampledFrom(allFaults).Draw(t, "fault")
	}
	*now = now.Add(time.Duration(rapid.IntRange(0, 50).Draw(t, "takes ms")) * time.Millisecond)
	stranger := !h.known
	h.Step(*now, in)
	w.fed(in.Act, in.Fault)
	if in.Act == Read && in.Fault == drivers.None && !stranger {
		got := []rack.Reading{{Point: point, Value: 1, Raw: uint32(now.UnixNano())}}
		judgeSample([]channel{*ch}, got, in.Began, h.state == StateProbation)
		ch.take(got[0])
	}
}

var point = rack.Point{Device: "pdu-a", Quantity: rack.PowerW, Index: 1}
