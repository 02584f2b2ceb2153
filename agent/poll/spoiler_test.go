package poll

import (
	"testing"
	"time"

	"rackagent/drivers"
)

// outcomes feeds a spoiler a device's attempts, one per second, while another device of the bus answers in between as
// often as others says: 0 never, 1 between all of them. It answers at which attempt (from 1) the device was found out.
func outcomes(every time.Duration, others int, fs ...drivers.Fault) int {
	var s Spoiler
	var answered time.Time
	for i, f := range fs {
		at := zero.Add(time.Duration(i) * every)
		if others > 0 && i%others == 0 {
			answered = at.Add(-every / 2)
		}
		if s.Step(at, f, answered) {
			return i + 1
		}
	}
	return 0
}

// times repeats a pattern.
func times(n int, fs ...drivers.Fault) (out []drivers.Fault) {
	for range n {
		out = append(out, fs...)
	}
	return out
}

func TestSpoiler(t *testing.T) {
	const (
		ok      = drivers.None
		timeout = drivers.Timeout
	)
	for _, c := range []struct {
		name   string
		every  time.Duration
		others int
		in     []drivers.Fault
		want   int
	}{
		{"five in a row", time.Second, 1, times(9, timeout), 5},
		{"each kind counts", time.Second, 1, []drivers.Fault{timeout, drivers.BusFault, drivers.Arbitration, timeout, drivers.BusFault}, 5},
		{"others do not count", time.Second, 1, times(90, drivers.NoAnswer, drivers.Corrupt, drivers.Implausible, drivers.Hung, drivers.BusFenced), 0},
		{"nobody else answers: it may be the bus", time.Second, 0, times(200, timeout), 0},
		{"somebody answers now and then", time.Second, 7, times(20, timeout), 8},
		{"good ones in between", time.Second, 1, times(9, timeout, ok), 9},
		{"five in just a minute", 15 * time.Second, 1, times(5, timeout), 5},
		{"five in more than a minute", 16 * time.Second, 1, times(5, timeout), 0},
		{"a fifth of a hundred", 20 * time.Second, 1, times(100, timeout, ok, ok, ok, ok), 0},
		{"a quarter of a hundred", 20 * time.Second, 1, times(100, timeout, ok, ok, ok), 101},
		{"a quarter of fifty", 20 * time.Second, 1, times(12, timeout, ok, ok, ok), 0},
		{"what was not sent is no attempt", 20 * time.Second, 1, times(99, timeout, drivers.Cancelled, drivers.Settling, drivers.BusFenced), 0},
	} {
		if got := outcomes(c.every, c.others, c.in...); got != c.want {
			t.Errorf("%s: found out at %d, want %d", c.name, got, c.want)
		}
	}
}

func TestErrorRate(t *testing.T) {
	const (
		ok      = drivers.None
		corrupt = drivers.Corrupt
	)
	for _, c := range []struct {
		name string
		in   []drivers.Fault
		want []int // reads (from 1) at which it changed
	}{
		{"one in a hundred", times(50, append(times(99, ok), corrupt)...), nil},
		{"eleven of a thousand", append(times(989, ok), times(11, corrupt)...), []int{1000}},
		{"eleven at once", times(30, corrupt), []int{11}},
		{"over two windows", append(times(994, ok), append(times(11, corrupt), times(995, ok)...)...), nil},
		{"good again after a good thousand", append(times(11, corrupt), times(1989, ok)...), []int{11, 2000}},
		{"bad for two windows, good in the third", append(times(11, corrupt), append(times(989, ok), append(times(11, corrupt), times(1989, ok)...)...)...), []int{11, 3000}},
		{"what brought no bytes is no read", append(times(10, corrupt), append(times(2000, drivers.NoAnswer, drivers.Timeout, drivers.BusFenced), corrupt)...), []int{6011}},
	} {
		var r ErrorRate
		var got []int
		for i, f := range c.in {
			if r.Step(f) {
				got = append(got, i+1)
			}
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: changed at %v, want %v", c.name, got, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: changed at %v, want %v", c.name, got, c.want)
			}
		}
		if r.High() != (len(c.want)%2 == 1) {
			t.Errorf("%s: high %v", c.name, r.High())
		}
	}
}
