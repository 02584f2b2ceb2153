package braiins

import (
	"time"

	"rackagent/drivers/drivertest/miners"
)

// Statuses of the miner (braiins/bos-plus-api, MinerStatus).
const (
	StatusNotStarted = 1
	StatusNormal     = 2
	StatusPaused     = 3
	StatusSuspended  = 4
	StatusRestricted = 5
)

const (
	lateBy      = time.Minute      // as the machine's ObeysLate
	restartTime = 10 * time.Second // of the mining process, with the boards off; arbitrary
)

// look tells the truth, after what boots have done to the firmware's own state.
func (s *Sim) look() miners.Truth {
	t := s.m.Look()
	if gone(t) {
		return t
	}
	if boot := t.At.Add(-t.Up); !boot.Equal(s.boot) {
		s.boot = boot
		s.booted()
	}
	return t
}

// gone tells whether the controller is down.
func gone(t miners.Truth) bool { return t.Phase == miners.Off || t.Phase == miners.Booting }

// booted forgets what does not outlast a boot. Targets, boards and ramp times do: REST writes are saved. That tokens do not is the
// plainest; no source says.
func (s *Sim) booted() {
	clear(s.tokens)
	s.turn++
	s.resume = time.Time{}
	s.stopped, s.locates = false, false
	s.wish = s.m.Asleep()
}

// paused tells whether the boards are off by a pause that was obeyed.
func (s *Sim) paused() bool { return s.m.Asleep() && s.held == 0 && !s.stopped && !s.restarting() }

func (s *Sim) restarting() bool { return s.m.Asleep() && s.m.Now().Before(s.resume) }

// outlasts tells whether the machine is asleep after a boot.
func (s *Sim) outlasts() bool { return s.held != 0 || s.o.PauseSurvives && s.paused() }

// Asleep tells whether the machine sleeps after its next boot. Who boots it by other means than Mains has to hand this on.
func (s *Sim) Asleep() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.outlasts()
}

// Mains closes or opens the outlet, and lets the firmware decide what it comes back as.
func (s *Sim) Mains(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m.Mains(on, s.outlasts())
}

// Hold makes the firmware hold the machine still by itself and show this status, as for its licence or its temperature: no command
// wakes it. Zero lets it go. A status that no document knows is shown as it is.
func (s *Sim) Hold(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	asleep := s.m.Asleep()
	s.held = status
	s.turn++
	switch {
	case status != 0 && !asleep:
		s.m.Sleep()
	case status == 0 && asleep && !s.stopped && !s.wish:
		s.m.Wake()
	}
}

// status is what miner/details and miner/status say. That a restart shows as not started is the plainest; no source says.
func (s *Sim) status() int {
	switch {
	case s.held != 0:
		return s.held
	case s.stopped || s.restarting():
		return StatusNotStarted
	case s.q.ShowsWish && s.wish, !s.q.ShowsWish && s.m.Asleep():
		return StatusPaused
	default:
		return StatusNormal
	}
}

// later does what the machine does by itself for its own part: nothing, or a minute late, or at once.
func (s *Sim) later(f func()) {
	switch {
	case s.m.Has(miners.Ignores):
	case s.m.Has(miners.ObeysLate):
		time.AfterFunc(lateBy, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.look()
			f()
		})
	default:
		f()
	}
}
