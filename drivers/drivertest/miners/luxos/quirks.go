package luxos

// Quirk is one way in which this firmware differs from what its document promises, or from another build.
type Quirk string

// The quirks.
const (
	// SessionHeld has another controller log on whenever the session is free, and use it so often that it does not expire.
	// Without the quirk it logs off.
	SessionHeld Quirk = "session-held"
	// ATMRefuses refuses profileset while the thermal manager is on, as users report of older builds. Setting it turns that on.
	ATMRefuses Quirk = "atm-refuses"
	// NoPowerTarget is a model without a power target.
	NoPowerTarget Quirk = "no-power-target"
	// OldConfig leaves the members about the power target out of config, as older builds do.
	OldConfig Quirk = "old-config"
	// Estimates makes power an estimate: PSU is false. Otherwise the supply measures it.
	Estimates Quirk = "estimates"
	// NoUnsafe refuses every wake with mode=unsafe. Without it only the first wake after a boot in sleep refuses that mode.
	NoUnsafe Quirk = "no-unsafe"
	// SleepLost has a boot wake the machine, as the older text of the document says.
	SleepLost Quirk = "sleep-lost"
	// NoAutosave loses at a boot what was changed since the quirk was set: the profile, the power target, the thermal manager.
	NoAutosave Quirk = "no-autosave"
	// ShowsWish has config tell the curtailment that was asked for, whatever the boards do.
	ShowsWish Quirk = "shows-wish"
	// EmptyLists answers summary, devs and stats with success and an empty list.
	EmptyLists Quirk = "empty-lists"
)

// Set puts a quirk in force or takes it away.
func (s *Server) Set(q Quirk, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look()
	s.quirks[q] = on
	switch {
	case q == ATMRefuses && on:
		s.atm.enabled = true
	case q == NoAutosave && on:
		s.saved = saved{target: s.m.Target(), atm: s.atm}
	case q == SessionHeld && !on && s.session.foreign:
		s.session = session{}
	}
}

// Has tells whether a quirk is in force.
func (s *Server) Has(q Quirk) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.quirks[q]
}
