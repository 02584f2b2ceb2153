// Package braiins is a miner with Braiins OS as seen over its public REST API (HTTP 80, /api/v1) and over the cgminer-style API
// of its mining software (TCP 4028): what it tells is the truth of a miners.Machine, and what it accepts is done to that machine.
//
// Left out: gRPC and GraphQL; hashrate targets, manual performance and cooling modes; writes for pools, passwords, networks and
// upgrades; what dynamic scaling does by itself (SetTarget and Hold do it for a test). A machine has one ramp and one fall: quick
// ramping times are kept and told, and change neither. It keeps no history: windows of the hashrate up to one minute are the
// rate of now, longer ones the average since mining began. No source gives the body of an error; here it is a line of text.
package braiins

import (
	"slices"
	"sync"
	"time"

	"rackagent/drivers/drivertest/miners"
)

// The ports.
const (
	PortWeb = 80
	PortRPC = 4028
)

// Sim is the firmware of one machine.
type Sim struct {
	m *miners.Machine
	h *miners.Host
	o Opts

	mu     sync.Mutex
	q      Quirks
	boot   time.Time            // when the controller came up, as last seen
	made   int                  // tokens
	tokens map[string]time.Time // and when they end
	writes []Write
	counts Counts

	stopped bool // the mining process is, by command
	held    int  // the status in which the firmware holds the machine; 0: none
	wish    bool // the last command that was accepted was to hold still
	locates bool

	turn   int       // of the last command that stops or starts: a restart that waits behind another one is void
	resume time.Time // until then the mining process restarts

	meant map[miners.Profile]aim // what the profiles that the machine was given stand for
	tuned map[int]bool           // the targets in W that need no tuning
	tries int                    // power targets set: an older tuning that waits is void

	ramping  ramping
	dps      dps
	disabled [boards]bool // what the machine was given
	dark     [boards]bool // what is told: behind disabled while the machine obeys late
}

// New serves a machine's ports.
func New(m *miners.Machine, h *miners.Host, o Opts) *Sim {
	t := m.Look()
	s := &Sim{
		m: m, h: h, o: o.filled(m.Spec()), q: o.Quirks, boot: t.At.Add(-t.Up), wish: m.Asleep(),
		tokens: map[string]time.Time{}, meant: map[miners.Profile]aim{}, tuned: map[int]bool{watts(t.Target.W): true},
	}
	s.ramping = ramping{up: seconds(m.Spec().Ramp), down: seconds(m.Spec().Fall)}
	for _, p := range m.Spec().Profiles {
		s.tuned[watts(p.W)] = true
	}
	switch {
	case s.o.NoWeb:
	case s.o.NoREST:
		h.HandleHTTP(PortWeb, s.page())
	default:
		h.HandleHTTP(PortWeb, s.web())
	}
	s.listen()
	return s
}

// listen opens 4028, or closes it where it is dead.
func (s *Sim) listen() {
	if s.q.Dead4028 {
		s.h.Handle(PortRPC, nil)
		return
	}
	s.h.HandleRPC(PortRPC, s.answer)
}

// Change puts quirks in force or takes them away.
func (s *Sim) Change(f func(*Quirks)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.q)
	s.listen()
}

// Write is one request that could have changed something. One without a good token could not, and is in Counts alone.
type Write struct {
	At       time.Time
	Port     int
	What     string // as "PUT actions/pause", or a command of 4028
	Body     string // as it came; of 4028 the parameter
	Code     int    // of HTTP or of STATUS: what the answer said, or would have said
	Accepted bool
}

// Counts is what came to the web.
type Counts struct {
	Logins       int // accepted
	Wrong        int // logins with a wrong name or password
	Unauthorised int // requests without a token, or with one that is unknown or has ended
	Bearer       int // of those: with the word Bearer before the token
	Rejected     int // good tokens that a quirk rejected
	Reboots      int // accepted
}

// Writes are all writes, the refused ones among them.
func (s *Sim) Writes() []Write {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.writes)
}

// Counts tells what came so far.
func (s *Sim) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

func (s *Sim) note(w Write) {
	w.At = s.m.Now()
	s.writes = append(s.writes, w)
}

// ExpireTokens ends all tokens now.
func (s *Sim) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}
