package braiins

import (
	"time"

	"rackagent/drivers/drivertest/miners"
)

// pause turns the boards off, and tells whether they were by a pause.
func (s *Sim) pause() bool {
	already := s.paused()
	s.begin(true)
	s.sleep()
	return already
}

// unpause turns them on, and tells whether they were. A machine that the firmware holds stays as it is.
func (s *Sim) unpause() bool {
	already := !s.m.Asleep()
	s.begin(false)
	s.wake()
	return already
}

// begin is a command that stops or starts: a restart that is under way ends with it.
func (s *Sim) begin(still bool) {
	s.turn++
	s.resume = time.Time{}
	s.wish = still
}

// sleep leaves a machine alone that sleeps: it would fall again. One that obeys late may have a wake before it.
func (s *Sim) sleep() {
	if s.m.Has(miners.ObeysLate) || !s.m.Asleep() {
		s.m.Sleep()
	}
}

// wake leaves a machine alone that is awake: it would ramp again.
func (s *Sim) wake() {
	if s.held == 0 && (s.m.Has(miners.ObeysLate) || s.m.Asleep()) {
		s.m.Wake()
	}
}

// stop ends the mining process, and tells whether it had ended.
func (s *Sim) stop() bool {
	already := s.stopped
	s.begin(true)
	s.later(func() { s.stopped = true })
	s.sleep()
	return already
}

// start starts the mining process, and tells whether it was running: then nothing changes, and a pause stays.
func (s *Sim) start() bool {
	if !s.stopped {
		return true
	}
	s.begin(false)
	s.later(func() { s.stopped = false })
	s.wake()
	return false
}

// restart ends the mining process and starts it, and tells whether it was running. A pause goes with it, unless the firmware keeps
// it.
func (s *Sim) restart() bool {
	running, keeps := !s.stopped, s.o.PauseSurvives && s.paused()
	if !running {
		return s.start()
	}
	if keeps || s.held != 0 || s.m.Has(miners.Ignores) {
		return true
	}
	s.begin(false)
	turn := s.turn
	s.resume = s.m.Now().Add(restartTime + time.Second) // past the wake: both fall on one moment otherwise
	if s.m.Has(miners.ObeysLate) {
		s.resume = s.resume.Add(lateBy)
	}
	s.sleep()
	time.AfterFunc(restartTime, func() { s.restarted(turn) })
	return true
}

func (s *Sim) restarted(turn int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.look(); turn == s.turn && !gone(t) {
		s.m.Wake()
	}
}

// reboot boots the controller.
func (s *Sim) reboot() {
	s.counts.Reboots++
	s.later(func() {
		s.turn++
		s.m.Reboot(s.outlasts())
	})
}

// flag is the boolean that an action answers.
func (s *Sim) flag(already bool) bool { return already != s.q.WrongFlags }
