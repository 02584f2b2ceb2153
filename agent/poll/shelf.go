package poll

import (
	"maps"
	"sync"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers"
)

// Stats is what happened to one device since the start. Errors counts every failed try by its fault, also
// those that a retry made good.
type Stats struct {
	Name, Bus       string
	State           State
	Reason          string // fault behind a state other than ok
	Ident           drivers.Ident
	Reads           uint64 // whole answers
	Errors          map[drivers.Fault]uint64
	Retries         uint64
	Identifications uint64
	Missed          uint64 // periods without a read because the bus was busy or hung
	Extra           uint64 // reads asked for out of turn
	LastGood        time.Time
	LastError       string
}

// shelf is where a device's goroutine puts copies for everybody else. The goroutine writes; all read.
type shelf struct {
	mu     sync.Mutex
	last   []rack.Reading // with the quality of the sample
	health Health
	stats  Stats
}

// count changes a counter.
func (s *shelf) count(f func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.stats)
}

// shelve puts values, health and counters out in one go, so that nobody sees new values with an old health.
func (u *unit) shelve(f func(*Stats)) {
	last := make([]rack.Reading, len(u.channels))
	for i := range u.channels {
		last[i] = u.channels[i].last
	}
	s := &u.shelf
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = last
	s.health = *u.health
	f(&s.stats)
}

// readings gives all values as they are to be judged now.
func (s *shelf) readings(now time.Time) []rack.Reading {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]rack.Reading, len(s.last))
	for i, r := range s.last {
		out[i] = judge(now, r, &s.health)
	}
	return out
}

func (s *shelf) reading(now time.Time, i int) rack.Reading {
	s.mu.Lock()
	defer s.mu.Unlock()
	return judge(now, s.last[i], &s.health)
}

func (s *shelf) snapshot(now time.Time) Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	out.Errors = maps.Clone(out.Errors)
	out.State = s.health.State(now)
	if out.State != StateOK {
		out.Reason = s.health.reason("")
	}
	return out
}
