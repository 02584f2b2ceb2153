package whatsminer

import (
	"time"

	"rackagent/drivers/drivertest/miners"
)

const (
	noLimit     = 99999            // W: clears the limit (WhatsminerAPI 2.0.5, adjust_power_limit)
	lateBy      = time.Minute      // as the machine's ObeysLate
	restartTime = 10 * time.Second // of btminer, with the boards off; arbitrary
)

// setting is what the target is made of.
type setting struct {
	mode    string
	limit   int // W
	percent int
}

// verdict is what became of a write.
type verdict int

const (
	done     verdict = iota
	unheard          // done, and no answer comes
	badParam         // the parameter is not taken
	unknown          // there is no such write
)

// set changes the target: of the machine, and what is told of the limit and the percentage.
func (s *Server) set(f func(*setting)) {
	if s.m.Has(miners.Ignores) {
		return
	}
	f(&s.want)
	w := s.want
	s.m.Keep(s.target(w))
	s.later(func() { s.shown = w })
}

func (s *Server) target(w setting) miners.Profile {
	p := s.profile(w.mode)
	watts := max(min(p.W, float64(w.limit))*float64(w.percent)/100, s.m.Spec().StandbyW)
	return miners.Profile{Name: p.Name, W: watts, THs: p.THs * watts / p.W}
}

func (s *Server) known(mode string) bool {
	for _, p := range s.m.Spec().Profiles {
		if p.Name == mode {
			return true
		}
	}
	return false
}

func (s *Server) profile(mode string) miners.Profile {
	spec := s.m.Spec()
	for _, p := range spec.Profiles {
		if p.Name == mode {
			return p
		}
	}
	return miners.Profile{Name: mode, W: spec.NominalW, THs: spec.NominalTHs}
}

// later does what the machine does by itself for its own part: nothing, or a minute late, or at once.
func (s *Server) later(f func()) {
	switch {
	case s.m.Has(miners.Ignores):
	case s.m.Has(miners.ObeysLate):
		time.AfterFunc(lateBy, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			f()
		})
	default:
		f()
	}
}

// after does something once the delay is over, unless another stop, start or restart came in between.
func (s *Server) after(d time.Duration, f func()) {
	s.turn++
	if d <= 0 {
		f()
		return
	}
	turn := s.turn
	time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if turn == s.turn {
			f()
		}
	})
}

func (s *Server) stop() {
	s.after(s.q.StopDelay, func() {
		s.ready = time.Time{}
		s.m.Sleep()
		s.later(func() {
			s.stopped = s.m.Now()
			s.refuse()
		})
	})
}

func (s *Server) start() { s.after(s.q.StartDelay, s.wake) }

// wake leaves a machine alone that is awake: it would ramp again. One that obeys late may have a sleep before it.
func (s *Server) wake() {
	if s.m.Asleep() || s.m.Has(miners.ObeysLate) {
		s.m.Wake()
	}
}

// anew restarts btminer: the boards go off and ramp up again. A stopped machine starts.
func (s *Server) anew() {
	if s.m.Has(miners.Ignores) {
		return
	}
	s.ready = s.m.Now().Add(restartTime)
	if s.m.Has(miners.ObeysLate) {
		s.ready = s.ready.Add(lateBy)
	}
	s.m.Sleep()
	s.later(s.refuse)
	s.after(restartTime, s.m.Wake)
}

// reload is a restart for new settings: a stopped machine stays so.
func (s *Server) reload() {
	if !s.m.Asleep() {
		s.anew()
	}
}

func (s *Server) setMode(mode string) verdict {
	if !s.known(mode) {
		return badParam
	}
	s.set(func(w *setting) { w.mode = mode })
	if !s.o.FastBoot {
		s.reload()
	}
	return done
}

func (s *Server) setLimit(watts int) verdict {
	if watts < 0 || watts > noLimit {
		return badParam
	}
	s.set(func(w *setting) { w.limit = watts })
	s.reload()
	return done
}

func (s *Server) setPercent(percent int) verdict {
	if percent < 0 || percent > 100 {
		return badParam
	}
	s.set(func(w *setting) { w.percent = percent })
	return done
}

func (s *Server) setLED(led string) verdict {
	s.later(func() { s.led = led })
	return done
}

// reboot voids what waits: a stop held back does not outlast it.
func (s *Server) reboot() {
	s.later(func() {
		s.turn++
		s.m.Reboot(s.o.SleepSurvives && s.m.Asleep())
	})
}

// booted forgets what does not outlast a boot: the tokens, and the salts where they change.
func (s *Server) booted(t miners.Truth) {
	boot := t.At.Add(-t.Up)
	if boot.Equal(s.boot) || t.Phase == miners.Off || t.Phase == miners.Booting {
		return
	}
	s.boot = boot
	clear(s.live)
	if s.q.NewSalts {
		s.salt2, s.salt3 = s.word(), s.word()
	}
}

// refuse closes 4028 for as long as the quirk says.
func (s *Server) refuse() {
	d := s.q.RefusesFor
	if !s.o.V2 || d <= 0 {
		return
	}
	s.shut = s.m.Now().Add(d)
	s.h.Handle(PortV2, nil)
	time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.m.Now().Before(s.shut) {
			s.h.HandleRPC(PortV2, s.answer2)
		}
	})
}
