package miner

import (
	"testing"
	"time"
)

func ptr[T any](v T) *T { return &v }

// TestJudge: no one signal makes a miner mining, and an average none at all.
func TestJudge(t *testing.T) {
	now := func(ths float64) *Hashrate { return &Hashrate{THs: ths, Window: 5 * time.Second} }
	dead, live := []Pool{{URL: "a", Alive: ptr(false)}}, []Pool{{URL: "a", Alive: ptr(false)}, {URL: "b", Alive: ptr(true)}}
	for _, c := range []struct {
		name   string
		s      Status
		asleep *bool
		want   State
	}{
		{"says nothing", Status{}, nil, Unknown},
		{"asleep, and the average is high", Status{Average: &Hashrate{THs: 44.5}, Hashrate: now(0)}, ptr(true), Asleep},
		{"asleep by its word, and hashes", Status{Hashrate: now(100), Nominal: ptr(100.0)}, ptr(true), Asleep},
		{"awake and hashes", Status{Hashrate: now(100), Nominal: ptr(100.0)}, ptr(false), Mining},
		{"awake and hashes a twentieth", Status{Hashrate: now(5), Nominal: ptr(100.0)}, ptr(false), Starting},
		{"awake and hashes more than that", Status{Hashrate: now(5.1), Nominal: ptr(100.0)}, ptr(false), Mining},
		{"hashes, nominal not known", Status{Hashrate: now(1.1)}, ptr(false), Mining},
		{"hardly hashes, nominal not known", Status{Hashrate: now(1)}, ptr(false), Starting},
		{"hashes, and does not say whether it sleeps", Status{Hashrate: now(100)}, nil, Mining},
		{"hashes nothing, and does not say why", Status{Hashrate: now(0)}, nil, Unknown},
		{"only an average", Status{Hashrate: &Hashrate{THs: 100}}, ptr(false), Starting},
		{"awake, no rate", Status{}, ptr(false), Unknown},
		{"no pool alive", Status{Hashrate: now(0), Pools: dead}, ptr(false), Idle},
		{"a pool alive", Status{Hashrate: now(0), Pools: live}, ptr(false), Starting},
		{"a pool that does not say", Status{Hashrate: now(0), Pools: []Pool{{URL: "a"}}}, ptr(false), Starting},
		{"errors", Status{Hashrate: now(0), Errors: []Trouble{{Code: "218"}}, Pools: dead}, ptr(false), Faulty},
		{"errors, and hashes", Status{Hashrate: now(90), Errors: []Trouble{{Code: "218"}}}, ptr(false), Mining},
	} {
		if got := Judge(&c.s, c.asleep); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestJTH(t *testing.T) {
	s := Status{State: Mining, Power: &Power{W: 3250}, Hashrate: &Hashrate{THs: 100}}
	if got := s.JTH(); got == nil || *got != 32.5 {
		t.Errorf("%v", got)
	}
	for name, change := range map[string]func(*Status){
		"asleep": func(s *Status) { s.State = Asleep }, "no power": func(s *Status) { s.Power = nil }, "no rate": func(s *Status) { s.Hashrate = nil },
		"nothing hashed": func(s *Status) { s.Hashrate = &Hashrate{} },
	} {
		c := s
		change(&c)
		if got := c.JTH(); got != nil {
			t.Errorf("%s: %g", name, *got)
		}
	}
}

func TestSame(t *testing.T) {
	s := Setting{Dialect: "luxos", Profile: "290MHz", TargetW: ptr(3200.0), More: map[string]string{"a": "1", "b": "2"}, Pools: "x"}
	same := s
	same.Pools, same.More, same.TargetW = "y", map[string]string{"b": "2", "a": "1"}, ptr(3200.0)
	if !s.Same(same) {
		t.Error("the pools count")
	}
	for name, change := range map[string]func(*Setting){
		"dialect": func(s *Setting) { s.Dialect = "" }, "mode": func(s *Setting) { s.Mode = "1" }, "profile": func(s *Setting) { s.Profile = "" },
		"target": func(s *Setting) { s.TargetW = nil }, "more": func(s *Setting) { s.More = map[string]string{"a": "1"} },
	} {
		c := s
		change(&c)
		if s.Same(c) {
			t.Errorf("%s does not count", name)
		}
	}
}

// TestPoolsHash: whoever is paid, and in which order, is in it.
func TestPoolsHash(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range [][][2]string{nil, {{"a", "b"}}, {{"ab", ""}}, {{"", "ab"}}, {{"a", "b"}, {"c", "d"}}, {{"c", "d"}, {"a", "b"}}} {
		h := PoolsHash(p)
		if seen[h] || len(h) != 32 {
			t.Errorf("%v: %s", p, h)
		}
		seen[h] = true
	}
}
