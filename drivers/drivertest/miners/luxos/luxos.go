// Package luxos is an Antminer with LuxOS firmware as seen over its API (TCP 4028, and HTTP 8080 with the same commands):
// what it tells is the truth of a miners.Machine, and what it accepts is done to that machine.
//
// Left out: writes for pools, fans, single boards and chips; psuget, tempctrl and healthchipget; tuning. The windows of the
// hashrate are the rate of now. A wake with mode=unsafe ramps like any other, because a machine has one ramp.
package luxos

import (
	"slices"
	"sync"
	"time"

	"rackagent/drivers/drivertest/miners"
)

// The ports of the API (LuxOS API documentation, introduction).
const (
	PortRPC  = 4028
	PortHTTP = 8080
)

// Firmware is the version that the server tells, in the form of a recorded reply to version.
const Firmware = "2025.4.8.220305-57b389c7"

// Server is the firmware of one machine. Its Spec wants NominalTHs, NominalW and a table of Profiles, the weakest first, as real
// machines have one; the one whose hashrate is nearest to NominalTHs is the default.
type Server struct {
	m *miners.Machine
	h *miners.Host

	mu       sync.Mutex
	quirks   map[Quirk]bool
	boot     time.Time // when the controller came up, as last seen
	session  session
	ids      int // session ids made
	sessions Sessions
	writes   []Write

	wish  bool // the last curtail that was accepted was a sleep
	cold  bool // asleep since a boot: an unsafe wake is refused
	leds  leds
	atm   atm
	saved saved // what a boot brings back without autosave

	turn   int       // of the last curtail or restart: an older one that waits is void
	resume time.Time // until then the mining process restarts
}

// saved is what stands in the configuration file.
type saved struct {
	target miners.Profile
	atm    atm
}

// leds are the modes of the two lamps.
type leds struct{ red, green string }

// New serves a machine's ports.
func New(m *miners.Machine, h *miners.Host) *Server {
	s := &Server{m: m, h: h, quirks: map[Quirk]bool{}, leds: leds{"auto", "auto"}, wish: m.Asleep()}
	t := m.Look()
	s.boot = t.At.Add(-t.Up)
	steps := s.profiles()
	s.atm = atm{least: steps[0].Name, most: steps[len(steps)-1].Name, window: tempWindow}
	h.HandleRPC(PortRPC, s.answer)
	h.HandleHTTP(PortHTTP, s.web())
	return s
}

// Write is one command that came in and would change the machine. Logons and logoffs are not among them: Sessions counts those.
type Write struct {
	At        time.Time
	Command   string
	Parameter string // as it came, the session id first
	Accepted  bool
	Code      int  // what the answer said, or would have said
	Foreign   bool // the session id was another controller's
}

// Writes are all writes, the refused ones among them.
func (s *Server) Writes() []Write {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.writes)
}

// Mains closes or opens the outlet, and lets the firmware decide what it comes back as. Machine.Mains leaves that to its caller.
func (s *Server) Mains(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m.Mains(on, s.outlasts())
	if on {
		s.restore()
	}
}

// look tells the truth, after what time and boots have done to the server's own state.
func (s *Server) look() miners.Truth {
	t := s.m.Look()
	if t.Phase == miners.Off || t.Phase == miners.Booting {
		return t
	}
	if boot := t.At.Add(-t.Up); !boot.Equal(s.boot) {
		s.boot = boot
		s.booted()
		t = s.m.Look()
	}
	s.expire(t.At)
	return t
}

// booted forgets what does not outlast a boot.
func (s *Server) booted() {
	s.dropped()
	s.turn++
	s.resume = time.Time{}
	s.leds = leds{"auto", "auto"}
	s.wish = s.m.Asleep()
	s.cold = s.wish
	s.restore()
}

// restore takes the configuration from the file (LuxOS API documentation, autosave).
func (s *Server) restore() {
	if !s.quirks[NoAutosave] {
		return
	}
	s.atm = s.saved.atm
	if s.m.Target() != s.saved.target {
		s.m.Keep(s.saved.target)
	}
}

// asleep tells whether the machine is curtailed: the boards are off, and not for a restart.
func (s *Server) asleep() bool { return s.m.Asleep() && !s.m.Now().Before(s.resume) }

// outlasts tells whether the machine is asleep after a boot. The present document says that sleep stays; its older text says
// that a reboot wakes (LuxOS API documentation, curtail).
func (s *Server) outlasts() bool { return s.asleep() && !s.quirks[SleepLost] }
