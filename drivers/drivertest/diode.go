package drivertest

import "time"

// diodes is how many temperatures the largest diode sensors have: their own and three remote ones.
const diodes = 4

// diode is one temperature channel of a part that measures diodes one after another. Channel 0 is the part itself.
type diode struct {
	celsius Quantity
	open    bool // a wire to the diode is broken
	shorted bool // the two wires touch
	word    uint16
}

// sequence is the converter such a part has: it takes the enabled channels in turn, then rests until the period is
// over.
type sequence struct {
	begun   time.Time // the run in progress, or the last one
	list    []int     // channels of that run
	done    int       // how many of them have been converted
	stopped bool      // no further run follows: shut down
}

// start begins a run.
func (s *sequence) start(at time.Time, list []int) { s.begun, s.list, s.done = at, list, 0 }

// busy tells whether a run is in progress.
func (s *sequence) busy() bool { return s.done < len(s.list) }

// run completes the conversions that ended up to a moment. each is the time one channel takes, period the time from
// run to run (longer where the channels need longer), list what the next run converts.
func (s *sequence) run(at time.Time, each, period time.Duration, list []int, take func(channel int, at time.Time)) {
	period = max(period, each*time.Duration(max(len(list), len(s.list))))
	for {
		for s.busy() {
			end := s.begun.Add(each * time.Duration(s.done+1))
			if end.After(at) {
				return
			}
			take(s.list[s.done], end)
			s.done++
		}
		n := at.Sub(s.begun) / period
		if s.stopped || n < 1 {
			return
		}
		s.start(s.begun.Add(max(1, n-1)*period), list) // of many runs only the last two matter
	}
}
