package link

import (
	"testing"
	"time"
)

func TestJitterAndSpread(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		rnd    float64
		spread time.Duration
		want   []time.Duration // waits of attempts that fail at once
	}{
		{0, 0, []time.Duration{0, 125 * time.Millisecond, 125 * time.Millisecond}},
		{0.5, 0, []time.Duration{0, 250 * time.Millisecond, 250 * time.Millisecond}},
		{0.75, 8 * time.Second, []time.Duration{0, 6312500 * time.Microsecond, 7250 * time.Millisecond, 8500 * time.Millisecond}},
	} {
		r := retry{rnd: func() float64 { return c.rnd }, spread: c.spread}
		r.restart(now)
		at := now
		for i, want := range c.want {
			got := r.wait(at)
			if got != want {
				t.Errorf("rnd %v, spread %v, attempt %d: %v, want %v", c.rnd, c.spread, i, got, want)
			}
			at = at.Add(got)
		}
	}
}

func TestLongestWait(t *testing.T) {
	const spread = 10 * time.Second
	for name, c := range map[string]struct {
		promised time.Duration
		happens  func(r *retry, now time.Time)
	}{
		"no broker":           {LongestWait(spread), func(r *retry, now time.Time) { r.failed(now, ReasonDial) }},
		"credentials refused": {LongestRefused(spread), func(r *retry, now time.Time) { r.failed(now, ReasonAuth) }},
		"client id in use":    {LongestInUse(spread), func(r *retry, now time.Time) { r.lost(now, time.Second, ReasonCut, false) }},
	} {
		r := retry{rnd: func() float64 { return 1 - 1e-12 }, spread: spread}
		now := time.Now()
		r.restart(now)
		var longest time.Duration
		for range 100 {
			d := r.wait(now)
			longest = max(longest, d)
			now = now.Add(d)
			c.happens(&r, now)
		}
		if longest > c.promised || longest < c.promised-time.Millisecond {
			t.Errorf("%s: %v, promised %v", name, longest, c.promised)
		}
	}
}

// After cuts that look like a second client the broker goes away: that is an ordinary outage with ordinary waits.
func TestAnOutageAfterCutsIsAnOrdinaryOne(t *testing.T) {
	r := retry{rnd: half}
	now := time.Now()
	r.restart(now)
	for i := range inUse + 1 {
		if began := r.lost(now, time.Second, ReasonCut, false); began != (i == inUse-1) {
			t.Errorf("cut %d: told %t", i+1, began)
		}
	}
	if r.lost(now, time.Second, ReasonCut, true) {
		t.Error("told again")
	}
	if d := r.wait(now); d != inUseWait {
		t.Errorf("id in use: %v", d)
	}
	r.failed(now, ReasonDial)
	for range 20 {
		if d := r.wait(now); d > slowMax {
			t.Fatalf("no broker: %v", d)
		}
	}
}

// A broker that accepts and cuts at once is not asked in a tight loop.
func TestEarlyLossesGoOnInTheTimetable(t *testing.T) {
	now := time.Now()
	r := retry{rnd: half}
	r.restart(now)
	n := 0
	for end := now.Add(time.Minute); now.Before(end); n++ {
		now = now.Add(r.wait(now))
		r.lost(now, 6*time.Second, ReasonCut, false) // over 5 s: not the sign of a second client
	}
	if n != 28 { // at 0, 21 to 5 s, at 6, 8, 12, 20, 36 and 66 s
		t.Errorf("%d attempts", n)
	}
	r.lost(now, steady, ReasonCut, false)
	if d := r.wait(now); d != 0 {
		t.Errorf("first retry after a steady connection: %v", d)
	}
}

func TestStreaks(t *testing.T) {
	now := time.Now()
	r := retry{rnd: half}
	for range 2 {
		r.lost(now, time.Second, ReasonCut, false)
	}
	r.lost(now, time.Second, ReasonSilent, false)
	r.lost(now, time.Second, ReasonCut, false)
	r.lost(now, time.Second, ReasonCut, true)
	if r.cuts != 1 || r.early != 5 {
		t.Errorf("cuts %d, early %d", r.cuts, r.early)
	}
	for range 9 {
		r.failed(now, ReasonAuth)
	}
	r.failed(now, ReasonDial)
	if r.auth != 0 || r.cuts != 0 {
		t.Errorf("refusals %d, cuts %d after a failed dial", r.auth, r.cuts)
	}
	for range 9 {
		r.failed(now, ReasonAuth)
	}
	now = now.Add(authAfter)
	if d := r.wait(now); d > slowMax {
		t.Errorf("after nine refusals: %v", d)
	}
	if r.failed(now.Add(-1), ReasonAuth) || !r.failed(now, ReasonAuth) || r.failed(now, ReasonAuth) {
		t.Error("the long waits are not told once, after 5 min")
	}
	if d := r.wait(now); d != authWait {
		t.Errorf("after ten refusals in 5 min: %v", d)
	}
	r.lost(now, time.Hour, ReasonCut, false)
	if r.auth != 0 || r.cuts != 0 || r.early != 0 || r.barred {
		t.Errorf("%+v after an hour", r)
	}
}
