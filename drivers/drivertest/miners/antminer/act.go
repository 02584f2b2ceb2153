package antminer

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"rackagent/drivers/drivertest/miners"
)

// Modes of every model.
const (
	modeNormal = 0
	modeSleep  = 1
)

// lateBy is as the machine's ObeysLate.
const lateBy = time.Minute

// takes tells whether a mode can be set.
func (s *Server) takes(n int) bool {
	if n == modeSleep {
		return true
	}
	name, there := s.o.Modes[n]
	_, known := s.profile(n)
	return there && (known || name == "")
}

// profile is what a mode means; a Spec without one for normal has its nominal rate.
func (s *Server) profile(n int) (miners.Profile, bool) {
	spec, name := s.m.Spec(), s.o.Modes[n]
	for _, p := range spec.Profiles {
		if p.Name == name {
			return p, true
		}
	}
	return miners.Profile{Name: name, W: spec.NominalW, THs: spec.NominalTHs}, n == modeNormal
}

// running is the mode in force, whatever the configuration says.
func (s *Server) running() int {
	switch {
	case s.m.Asleep():
		return modeSleep
	case s.odd != 0:
		return s.odd
	}
	target := s.m.Target().Name
	if n := s.conf.mode(); s.o.Modes[n] == target {
		return n
	}
	for _, n := range slices.Sorted(maps.Keys(s.o.Modes)) {
		if s.o.Modes[n] == target {
			return n
		}
	}
	return modeNormal
}

// obey makes the machine do what a mode means. A machine that obeys late may have something before it.
func (s *Server) obey(n int) {
	late := s.m.Has(miners.ObeysLate)
	if n == modeSleep {
		if late || !s.m.Asleep() {
			s.m.Sleep()
		}
		return
	}
	s.keep(n)
	if late || s.m.Asleep() {
		s.m.Wake()
	}
}

// keep sets the rate of a mode that is not sleep.
func (s *Server) keep(n int) {
	p, known := s.profile(n)
	if known && (s.m.Has(miners.ObeysLate) || s.m.Target() != p) {
		s.m.Keep(p)
	}
	s.later(func() {
		s.odd = 0
		if !known {
			s.odd = n
		}
	})
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

// booted makes the configuration count, and forgets what does not outlast a boot.
func (s *Server) booted(t miners.Truth) {
	boot := t.At.Add(-t.Up)
	if boot.Equal(s.boot) || gone(t) {
		return
	}
	s.boot, s.deaf, s.blinks = boot, time.Time{}, false
	clear(s.nonces)
	s.configure()
}

// configure sets the rate that the configuration asks for; a sleep is a matter of the boot itself.
func (s *Server) configure() {
	if n := s.conf.mode(); n != modeSleep && s.takes(n) {
		s.keep(n)
	}
}

// gone tells whether the controller is down.
func gone(t miners.Truth) bool { return t.Phase == miners.Off || t.Phase == miners.Booting }

// reboot boots into the mode of the configuration, also where a write was disregarded.
func (s *Server) reboot() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.Reboots++
	s.configure()
	s.m.Reboot(s.conf.mode() == modeSleep)
}

// What set_miner_conf.cgi answers.
const (
	codeOK  = "M000"
	codeBad = "M001"
)

// write takes a body of set_miner_conf.cgi. A mode that is not obeyed makes the whole body count for nothing.
func (s *Server) write(body []byte) (code string, changed bool) {
	d, err := parse(body)
	if err != nil || s.q.Rejects {
		return codeBad, false
	}
	if _, err := d.pools(); err != nil {
		return codeBad, false
	}
	mode, named, obeyed := s.asked(d)
	if named && !obeyed {
		return codeOK, false
	}
	before := string(s.conf.bytes())
	s.conf = s.merged(d, mode)
	s.deaf = s.m.Now().Add(s.o.DeafFor)
	if n := s.conf.mode(); !s.q.UntilReboot && s.takes(n) {
		s.obey(n)
	}
	return codeOK, before != string(s.conf.bytes())
}

// asked finds the mode in a body: whether it is named at all, and whether the firmware obeys it as it is written there.
func (s *Server) asked(body document) (mode int, named, obeyed bool) {
	for _, key := range []ModeKey{KeyMinerMode, KeyWorkMode} {
		raw, there := body.get(string(key))
		named = named || there
		if !there || obeyed || s.o.Key != KeyBoth && s.o.Key != key {
			continue
		}
		text := raw[0] == '"'
		if text && s.o.Type == TypeInteger || !text && s.o.Type == TypeString {
			continue
		}
		n := number(plain(raw), -1)
		if s.takes(n) {
			mode, obeyed = n, true
		}
	}
	return mode, named, obeyed
}

// merged is the configuration after a write: the body over what was there, or on older builds the body alone.
func (s *Server) merged(body document, mode int) document {
	d := document{}
	if s.o.merges() {
		d = s.conf
	}
	for _, m := range body {
		switch m.key {
		case keyMinerMode, keyWorkMode:
			d.set(keyWorkMode, quote(strconv.Itoa(mode)))
		case keyLevel:
			d.set(keyReadLevel, quote(plain(m.raw)))
		default:
			d.set(m.key, m.raw)
		}
	}
	return d
}
