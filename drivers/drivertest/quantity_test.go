package drivertest

import (
	"math"
	"testing"
	"time"
)

func TestQuantise(t *testing.T) {
	for _, v := range []struct {
		v, step float64
		want    int
	}{
		{1.49, 0.5, 2}, {-0.1, 0.5, -1}, {1e300, 1, 9}, {-1e300, 1, -9}, {math.Inf(1), 1, 9}, {math.Inf(-1), 1, -9}, {math.NaN(), 1, -9},
	} {
		if got := quantise(v.v, v.step, -9, 9); got != v.want {
			t.Errorf("%v in steps of %v: %d, want %d", v.v, v.step, got, v.want)
		}
	}
}

func TestHistory(t *testing.T) {
	begin := time.Unix(0, 0)
	var h history[int]
	for i := range 200 {
		h.set(begin.Add(time.Duration(i)*time.Second), i)
	}
	if got := h.last(); got != 199 {
		t.Errorf("last: %d", got)
	}
	for after, want := range map[time.Duration]int{time.Hour: 199, 198500 * time.Millisecond: 198, 198 * time.Second: 198, -time.Hour: 200 - historySteps} {
		if got := h.at(begin.Add(after)); got != want {
			t.Errorf("after %v: %d, want %d", after, got, want)
		}
	}
}
