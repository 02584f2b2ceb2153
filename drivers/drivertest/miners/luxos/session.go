package luxos

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"time"
)

const (
	idleFor  = 60 * time.Second // until an unused session ends (LuxOS API documentation, logon)
	idLength = 8                // of a recorded session id
)

// session is the one that the machine has; an empty id: it is free.
type session struct {
	id      string
	used    time.Time
	foreign bool // another controller's
}

// Sessions counts what became of sessions. One that was left to expire or to a boot was leaked by its client.
type Sessions struct {
	Logons  int // accepted
	Busy    int // logons that were refused because a session lived
	Logoffs int // accepted, of sessions that logon gave
	Expired int
	Booted  int // ended by a boot
	Robbed  int // logoffs with another controller's id
	Open    bool
}

// Sessions tells what became of sessions until now.
func (s *Server) Sessions() Sessions {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look()
	n := s.sessions
	n.Open = s.session.id != "" && !s.session.foreign
	return n
}

// Occupy logs another controller on, which then says nothing more. It gives its id; empty: the session was taken.
func (s *Server) Occupy() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look()
	if s.session.id != "" {
		return ""
	}
	s.open(true)
	return s.session.id
}

func (s *Server) open(foreign bool) {
	s.ids++
	sum := sha256.Sum256(fmt.Append(nil, s.m.Spec().MAC, " ", s.ids))
	s.session = session{id: base32.StdEncoding.EncodeToString(sum[:])[:idLength], used: s.m.Now(), foreign: foreign}
}

// expire ends a session that was not used, and lets the other controller log on.
func (s *Server) expire(now time.Time) {
	if s.session.id != "" && now.Sub(s.session.used) >= idleFor && (!s.session.foreign || !s.quirks[SessionHeld]) {
		if !s.session.foreign {
			s.sessions.Expired++
		}
		s.session = session{}
	}
	if s.session.id == "" && s.quirks[SessionHeld] {
		s.open(true)
	}
}

// dropped ends a session by a boot.
func (s *Server) dropped() {
	if s.session.id != "" && !s.session.foreign {
		s.sessions.Booted++
	}
	s.session = session{}
}

// mine tells whether an id is the session's, and counts as its use. The id is a mutex and not security: whoever shows it is
// taken for its owner (LuxOS API documentation, session).
func (s *Server) mine(id string) bool {
	if id == "" || id != s.session.id {
		return false
	}
	s.session.used = s.m.Now()
	return true
}

func (s *Server) logon() answer {
	if s.session.id != "" {
		s.sessions.Busy++
		return refused(codeBusy, "Another session is active")
	}
	s.open(false)
	s.sessions.Logons++
	return s.tellSession(codeLogon, "Session created")
}

func (s *Server) logoff(id string) answer {
	if !s.mine(id) {
		return refused(codeNoSession, "Invalid session id")
	}
	if s.session.foreign {
		s.sessions.Robbed++
	} else {
		s.sessions.Logoffs++
	}
	s.session = session{}
	return accepted(codeLogoff, "Session terminated")
}

func (s *Server) tellSession(code int, msg string) answer {
	return accepted(code, msg).with("SESSION", one(object{"SessionID": s.session.id}))
}
