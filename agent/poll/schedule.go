package poll

import (
	"slices"
	"time"
)

// schedule says which device of one bus is read next: among those that are due, the one whose period ends
// first (earliest deadline first, Liu and Layland 1973). Extra reads go before the schedule. It holds no
// clock and is owned by the goroutine of the bus.
type schedule struct {
	slots []slot
	extra []int // devices asked for out of turn, oldest first, none twice
	spent bool  // the last turn was an extra one
}

type slot struct {
	due    time.Time // when the next read is released; moves in whole periods, so nothing drifts
	period time.Duration
}

func newSchedule(start time.Time, periods []time.Duration) *schedule {
	s := &schedule{slots: make([]slot, len(periods))}
	for i, p := range periods {
		s.slots[i] = slot{due: start, period: p}
	}
	return s
}

// ask queues an extra read; one that waits already serves both who asked.
func (s *schedule) ask(i int) {
	if !slices.Contains(s.extra, i) {
		s.extra = append(s.extra, i)
	}
}

// next gives the device to read now, or -1 and how long there is nothing to do. Extra reads go first, but
// two of them never in a row past a device that has already lost its whole period: who asks without end
// slows the schedule and does not stop it.
func (s *schedule) next(now time.Time) (i int, idle time.Duration) {
	i = s.earliest(now)
	overdue := i >= 0 && !now.Before(s.slots[i].due.Add(s.slots[i].period))
	s.spent = len(s.extra) > 0 && !(s.spent && overdue)
	if s.spent {
		i = s.extra[0]
	}
	if i < 0 {
		return -1, s.idle(now)
	}
	s.extra = slices.DeleteFunc(s.extra, func(e int) bool { return e == i })
	return i, 0
}

// earliest is the due device whose period ends first, or -1.
func (s *schedule) earliest(now time.Time) int {
	best := -1
	var first time.Time
	for i, sl := range s.slots {
		end := sl.due.Add(sl.period)
		if !sl.due.After(now) && (best < 0 || end.Before(first)) {
			best, first = i, end
		}
	}
	return best
}

func (s *schedule) idle(now time.Time) time.Duration {
	first := s.slots[0].due
	for _, sl := range s.slots[1:] {
		if sl.due.Before(first) {
			first = sl.due
		}
	}
	return first.Sub(now)
}

// done moves a device on after a read that began and ended at the given times; it answers how many whole
// periods went by unread. A read that was not due (an extra one) leaves the schedule as it is. The next read
// is not released before wait is over; reads left out for that are not counted as missed.
func (s *schedule) done(i int, began, ended time.Time, wait time.Duration) (missed int) {
	sl := &s.slots[i]
	if !sl.due.After(began) {
		sl.due = sl.due.Add(sl.period)
		if late := ended.Sub(sl.due); late >= sl.period {
			missed = int(late / sl.period)
			sl.due = sl.due.Add(time.Duration(missed) * sl.period)
		}
	}
	if short := ended.Add(wait).Sub(sl.due); wait > 0 && short > 0 {
		sl.due = sl.due.Add((short + sl.period - 1) / sl.period * sl.period)
	}
	return missed
}
