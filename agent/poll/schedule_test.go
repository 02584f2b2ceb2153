package poll

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// play reads for a while on a bus where device i takes cost[i], and answers how often each was read.
func play(s *schedule, now time.Time, cost []time.Duration, until time.Time, read func(i int, at time.Time)) (missed []int) {
	missed = make([]int, len(cost))
	for now.Before(until) {
		i, idle := s.next(now)
		if i < 0 {
			now = now.Add(idle)
			continue
		}
		read(i, now)
		began := now
		now = now.Add(cost[i])
		missed[i] += s.done(i, began, now, 0)
	}
	return missed
}

func TestEarliestDeadlineFirst(t *testing.T) {
	const ms = time.Millisecond
	s := newSchedule(zero, []time.Duration{10 * time.Second, time.Second, 200 * ms})
	var order []int
	play(s, zero, []time.Duration{50 * ms, 50 * ms, 50 * ms}, zero.Add(250*ms), func(i int, _ time.Time) { order = append(order, i) })
	want := []int{2, 1, 0, 2}
	if len(order) != len(want) {
		t.Fatal(order)
	}
	for i := range want {
		if order[i] != want[i] {
			t.Fatalf("%v, want %v", order, want)
		}
	}
}

func TestMissedPeriodsAreSkippedAndCounted(t *testing.T) {
	s := newSchedule(zero, []time.Duration{time.Second})
	i, _ := s.next(zero)
	if missed := s.done(i, zero, zero.Add(4500*time.Millisecond), 0); missed != 3 {
		t.Errorf("%d missed, want those of 1, 2 and 3 s", missed)
	}
	if due := s.slots[0].due; !due.Equal(zero.Add(4 * time.Second)) {
		t.Errorf("next due at %s", due.Sub(zero))
	}
}

func TestWaitKeepsTheGrid(t *testing.T) {
	s := newSchedule(zero, []time.Duration{3 * time.Second})
	if missed := s.done(0, zero, zero.Add(time.Second), 10*time.Second); missed != 0 {
		t.Errorf("%d missed", missed)
	}
	if due := s.slots[0].due; !due.Equal(zero.Add(12 * time.Second)) {
		t.Errorf("next due at %s, want the first multiple of 3 s from 11 s on", due.Sub(zero))
	}
}

func TestExtraGoesFirstAndOnce(t *testing.T) {
	s := newSchedule(zero, []time.Duration{time.Second, time.Second})
	s.ask(1)
	s.ask(1)
	if i, _ := s.next(zero); i != 1 {
		t.Fatalf("device %d", i)
	}
	s.done(1, zero, zero.Add(time.Millisecond), 0)
	if len(s.extra) != 0 {
		t.Errorf("two requests, %d more reads", len(s.extra))
	}
	if i, _ := s.next(zero.Add(time.Millisecond)); i != 0 {
		t.Errorf("device %d: the extra read was due anyway and should have counted", i)
	}
}

func TestEndlessExtrasLeaveTheScheduleAlive(t *testing.T) {
	const ms = time.Millisecond
	s := newSchedule(zero, []time.Duration{100 * ms, 100 * ms})
	reads, now := [2]int{}, zero
	for range 100 {
		s.ask(0)
		i, _ := s.next(now)
		reads[i]++
		s.done(i, now, now.Add(10*ms), 0)
		now = now.Add(10 * ms)
	}
	if reads[1] < 5 {
		t.Errorf("device 1 was read %d times in a second beside a device that is always asked for", reads[1])
	}
}

// Whatever happens, a device is due on its own grid, and its reads and misses add up to the periods gone by.
func TestWalkSchedule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "devices")
		periods, cost := make([]time.Duration, n), make([]time.Duration, n)
		for i := range n {
			periods[i] = time.Duration(rapid.IntRange(1, 50).Draw(t, "period")) * 100 * time.Millisecond
			cost[i] = time.Duration(rapid.IntRange(1, 400).Draw(t, "cost")) * time.Millisecond
		}
		s := newSchedule(zero, periods)
		reads := make([]int, n)
		end := zero.Add(time.Minute)
		missed := play(s, zero, cost, end, func(i int, at time.Time) {
			reads[i]++
			if s.slots[i].due.After(at) {
				t.Fatalf("device %d read before it was due", i)
			}
		})
		for i, sl := range s.slots {
			if sl.due.Sub(zero)%periods[i] != 0 {
				t.Fatalf("device %d drifted: due at %s with a period of %s", i, sl.due.Sub(zero), periods[i])
			}
			if gone := int(sl.due.Sub(zero) / periods[i]); gone != reads[i]+missed[i] {
				t.Fatalf("device %d: %d reads and %d missed in %d periods", i, reads[i], missed[i], gone)
			}
		}
	})
}
