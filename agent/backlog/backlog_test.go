package backlog

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent/rack"
)

func TestWhatIsStoredArrivesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s, e := newDisk(), newSubscriber(), &events{}
		s.set(true)
		l, stop := running(t, opts(d, s, e, "a"))
		defer stop()
		start := time.Now()
		for n := int64(1); n <= 300; n++ {
			if err := keep(l, batch("a", n, time.Now())); err != nil {
				t.Fatal(err)
			}
			pass(5 * time.Second)
		}
		st := l.Stats()
		if st.Blocks != 300 || !st.Oldest.Equal(start) || st.Bytes < 10_000 || st.Stored != 300 || st.Sent != 0 {
			t.Errorf("%+v", st)
		}
		s.set(false)
		pass(time.Minute)
		if bad := s.judge("a", 300); bad != nil {
			t.Error(bad)
		}
		if !slices.IsSortedFunc(s.order, func(a, b Batch) int { return int(a.Seq - b.Seq) }) || s.most > window {
			t.Errorf("order %v, at most %d at a time", s.order, s.most)
		}
		if st := l.Stats(); st.Blocks != 0 || st.Bytes != 0 || !st.Oldest.IsZero() || st.Sent != 300 {
			t.Errorf("%+v", st)
		}
		if len(e.list) != 0 {
			t.Errorf("%q", e.texts())
		}
	})
}

func TestNothingIsWrittenWhileNothingIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s, e := newDisk(), newSubscriber(), &events{}
		_, stop := running(t, opts(d, s, e, "a"))
		pass(time.Minute)
		before := d.ops
		pass(24 * time.Hour)
		if d.ops != before || before > 3 {
			t.Errorf("%d operations at the start, %d in a day", before, d.ops-before)
		}
		stop()
		if _, ok := d.files["state"]; !ok || len(d.files) != 1 {
			t.Errorf("%d files", len(d.files))
		}
	})
}

func TestThePaceIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s, e := newDisk(), newSubscriber(), &events{}
		s.set(true)
		o := opts(d, s, e, "a")
		o.Wait = func() time.Duration { return 40 * time.Second }
		l, stop := running(t, o)
		defer stop()
		for n := int64(1); n <= 400; n++ {
			if err := keep(l, batch("a", n, time.Now())); err != nil {
				t.Fatal(err)
			}
		}
		s.set(false)
		pass(40 * time.Second)
		if n := s.count(); n > 1 {
			t.Errorf("%d came before the wait was over", n)
		}
		pass(2 * time.Second)
		if n := s.count(); n == 0 || n > 61 { // the wait is counted from when the connection is seen
			t.Errorf("%d in 2 s", n)
		}
		s.mu.Lock()
		s.busy = true
		s.mu.Unlock()
		pass(100 * time.Millisecond)
		n := s.count()
		pass(time.Minute)
		if s.count() != n {
			t.Error("a command runs, and it goes on")
		}
		s.mu.Lock()
		s.busy = false
		s.mu.Unlock()
		pass(time.Minute)
		if bad := s.judge("a", 400); bad != nil {
			t.Error(bad)
		}
	})
}

func TestWhatArrivedOtherwiseIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s, e := newDisk(), newSubscriber(), &events{}
		s.set(true)
		o := opts(d, s, e, "a")
		held := map[int64]bool{7: true}
		o.Held = func(seq int64) bool { return held[seq] }
		l, stop := running(t, o)
		defer stop()
		for n := int64(1); n <= 20; n++ {
			if err := keep(l, batch("a", n, time.Now())); err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range []int64{1, 3, 4, 5, 19} {
			l.Delivered("a", n)
		}
		s.set(false)
		pass(time.Minute)
		if got := s.missing("a", 6); !slices.Equal(got, []int64{1, 3, 4, 5}) {
			t.Errorf("%v", got)
		}
		if s.got["a"][8] != 0 {
			t.Error("what is held is waited for: order")
		}
		l.Delivered("a", 7)
		pass(time.Minute)
		if got := s.missing("a", 20); !slices.Equal(got, []int64{1, 3, 4, 5, 7, 19}) {
			t.Errorf("%v", got)
		}
		if st := l.Stats(); st.Blocks != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// TestALongOutage fills the budget several times over: thinned in two steps, the oldest dropped, everything told.
func TestALongOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s, e := newDisk(), newSubscriber(), &events{}
		s.set(true)
		l, stop := running(t, opts(d, s, e, "a"))
		defer stop()
		last := int64(0)
		level := func() (thinned, dropped uint64) { st := l.Stats(); return st.Thinned, st.Dropped }
		seen := map[string]int64{}
		for dropped := uint64(0); dropped < 200 && last < 40_000; _, dropped = level() {
			last++
			if err := keep(l, batch("a", last, time.Now())); err != nil {
				t.Fatalf("%d: %v", last, err)
			}
			pass(5 * time.Second)
			th, dr := level()
			if th > 0 && seen["thin"] == 0 {
				seen["thin"] = last
			}
			if dr > 0 && seen["drop"] == 0 {
				seen["drop"] = last
			}
			if n := l.Stats().Files; n > 16 {
				t.Fatalf("%d files", n)
			}
		}
		t.Logf("thinned from %d on, dropped from %d on, of %d: %+v", seen["thin"], seen["drop"], last, l.Stats())
		if seen["thin"] == 0 || seen["drop"] < 4*seen["thin"] {
			t.Errorf("%v", seen)
		}
		s.set(false)
		pass(10 * time.Minute)
		if bad := s.judge("a", last); bad != nil {
			t.Error(bad[:min(len(bad), 5)])
		}
		if !slices.IsSortedFunc(s.order, func(a, b Batch) int { return int(a.Seq - b.Seq) }) {
			t.Error("not in order")
		}
		if st := l.Stats(); st.Blocks != 0 || uint64(len(s.missing("a", last))) != st.Thinned+st.Dropped {
			t.Errorf("%d missing, %+v", len(s.missing("a", last)), st)
		}
		for _, want := range []string{"thinned to one batch in 10s", "thinned to one batch in 1m0s", "the oldest has to go"} {
			if !slices.ContainsFunc(e.texts(), func(t string) bool { return strings.Contains(t, want) }) {
				t.Errorf("nothing says %q", want)
			}
		}
	})
}

func TestAnEndInOrderLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s, e := newDisk(), newSubscriber(), &events{}
		s.set(true)
		for _, epoch := range []string{"a", "b", "c"} {
			l, stop := running(t, opts(d, s, e, epoch))
			for n := int64(1); n <= 50; n++ {
				if err := keep(l, batch(epoch, n, time.Now())); err != nil {
					t.Fatal(err)
				}
			}
			stop()
			if err := keep(l, batch(epoch, 51, time.Now())); !errors.Is(err, ErrOff) {
				t.Errorf("after the end: %v", err)
			}
			d = d.after(true)
		}
		s.set(false)
		_, stop := running(t, opts(d, s, e, "d"))
		defer stop()
		pass(time.Minute)
		for _, epoch := range []string{"a", "b", "c"} {
			if bad := s.judge(epoch, 50); bad != nil {
				t.Error(bad)
			}
		}
		if len(s.order) != 150 || len(s.gaps) != 0 || len(e.list) != 0 {
			t.Errorf("%d arrived, %v, %q", len(s.order), s.gaps, e.texts())
		}
	})
}

func TestACrashIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s, e := newDisk(), newSubscriber(), &events{}
		s.set(true)
		l, stop := running(t, opts(d, s, e, "a"))
		for n := int64(1); n <= 10; n++ {
			if err := keep(l, batch("a", n, time.Now())); err != nil {
				t.Fatal(err)
			}
		}
		next := d.after(true)
		d.dead = true
		stop()
		s.set(false)
		_, stop = running(t, opts(next, s, e, "b"))
		defer stop()
		pass(time.Minute)
		if bad := s.judge("a", 12); bad != nil { // 11 and 12 were made and not stored
			t.Error(bad)
		}
		if len(s.gaps) != 1 || s.gaps[0].From != 11 || s.gaps[0].To != 0 || s.gaps[0].Next != "b" || s.gaps[0].Why != rack.GapCrash {
			t.Errorf("%+v", s.gaps)
		}
		if got := e.texts(); len(got) != 2 || got[1] != "epoch a: the agent ended without a farewell: what was made from seq 11 on and has not arrived is lost; epoch b follows" {
			t.Errorf("%q", got)
		}
	})
}

func TestAFaultOfTheDiskTurnsItOffAndItComesBack(t *testing.T) {
	for _, f := range []fault{failIO, failRO} {
		for at := 1; at <= 12; at++ {
			synctest.Test(t, func(t *testing.T) {
				d, s, e := newDisk(), newSubscriber(), &events{}
				s.set(true)
				d.at, d.fault = at, f
				var told []State
				o := opts(d, s, e, "a")
				o.OnState = func(s State) { told = append(told, s) }
				l, stop := running(t, o)
				defer stop()
				stored := map[int64]bool{}
				for n := int64(1); n <= 6; n++ {
					err := keep(l, batch("a", n, time.Now()))
					stored[n] = err == nil
					pass(time.Second)
				}
				if !d.faulted {
					t.Fatalf("operation %d never came", at)
				}
				if st := l.Stats().State; st.OK || st.Reason == "" || len(told) != 1 {
					t.Errorf("%s at %d: %+v, told %v", f, at, st, told)
				}
				d.mu.Lock()
				d.fault = crashAfter // as if it were mounted again
				d.mu.Unlock()
				pass(retryAfter)
				if err := keep(l, batch("a", 7, time.Now())); err != nil {
					t.Errorf("%s at %d: %v", f, at, err)
				}
				stored[7] = true
				if st := l.Stats().State; !st.OK || len(told) != 2 {
					t.Errorf("%s at %d: %+v, told %v", f, at, st, told)
				}
				s.set(false)
				pass(time.Minute)
				for n, was := range stored {
					if was && s.got["a"][n] == 0 {
						t.Errorf("%s at %d: %d was stored and has not arrived", f, at, n)
					}
				}
			})
		}
	}
}

func TestAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s, e := newDisk(), newSubscriber(), &events{}
		s.set(true)
		d.room = keepRoom + 5*smallSegment + smallSegment/2 + 2*slotSize
		l, stop := running(t, opts(d, s, e, "a"))
		defer stop()
		for n := int64(1); n <= 2000; n++ {
			if err := keep(l, batch("a", n, time.Now())); err != nil {
				t.Fatalf("%d: %v", n, err)
			}
			pass(5 * time.Second)
		}
		if st := l.Stats(); st.Files != 5 || !st.State.OK || st.Dropped == 0 || d.room < keepRoom {
			t.Errorf("%+v, %d left", st, d.room-keepRoom)
		}
		l.Yield()
		pass(time.Second)
		if st := l.Stats(); st.Files > 4 {
			t.Errorf("%+v", st)
		}
		for range 6 {
			l.Yield()
			pass(time.Minute)
		}
		if st := l.Stats(); st.Files > 1 {
			t.Errorf("%+v", st)
		}
		s.set(false)
		pass(time.Minute)
		if bad := s.judge("a", 2000); bad != nil {
			t.Error(bad[:min(len(bad), 5)])
		}
	})
}

func TestNoRoomAtAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s, e := newDisk(), newSubscriber(), &events{}
		d.room = keepRoom
		l, stop := running(t, opts(d, s, e, "a"))
		defer stop()
		if err := keep(l, batch("a", 1, time.Now())); !errors.Is(err, errFull) {
			t.Error(err)
		}
		if st := l.Stats().State; st.OK || !st.Full {
			t.Errorf("%+v", st)
		}
		d.room += 1 << 20
		pass(retryAfter)
		if err := keep(l, batch("a", 2, time.Now())); err != nil {
			t.Error(err)
		}
		if st := l.Stats().State; !st.OK || len(e.list) != 2 {
			t.Errorf("%+v %q", st, e.texts())
		}
	})
}

func TestADirectory(t *testing.T) {
	dir := Dir(t.TempDir() + "/backlog")
	if names, err := dir.List(); err != nil || names != nil {
		t.Errorf("%v %v", names, err)
	}
	if n, err := dir.Room(); err != nil || n <= 0 {
		t.Errorf("%d %v", n, err)
	}
	if err := dir.Create("x", 100_000); err != nil {
		t.Fatal(err)
	}
	f, err := dir.Open("x")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.Size(); n != 100_000 || err != nil {
		t.Errorf("%d %v", n, err)
	}
	if _, err := f.WriteAt([]byte("hello"), 99_990); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
	if names, err := dir.List(); err != nil || !slices.Equal(names, []string{"x"}) {
		t.Errorf("%v %v", names, err)
	}
	if err := dir.Remove("x"); err != nil {
		t.Error(err)
	}
	if _, err := dir.Open("x"); !errors.Is(err, syscall.ENOENT) {
		t.Error(err)
	}
}
