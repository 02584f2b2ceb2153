package braiins

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// login gives a token for a name and a password (OpenAPI document, auth/login). That wrong ones get 401 is the plainest: no source
// says.
func (s *Sim) login(w http.ResponseWriter, _ *http.Request, body []byte) {
	var asked struct{ Username, Password *string }
	if err := json.Unmarshal(body, &asked); err != nil || asked.Username == nil || asked.Password == nil {
		http.Error(w, "invalid request payload", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.look() // a boot ends the tokens from before it, and not this one
	right := *asked.Username == s.o.User && *asked.Password == s.o.Password
	if !right {
		s.counts.Wrong++
		s.mu.Unlock()
		s.unauthorised(w)
		return
	}
	s.counts.Logins++
	reply := s.h.Numbers(object{"token": s.token(), "timeout_s": seconds(s.o.TokenLife)})
	s.mu.Unlock()
	send(w, reply)
}

// token makes one.
func (s *Sim) token() string {
	s.made++
	sum := sha256.Sum256(fmt.Append(nil, s.m.Spec().MAC, " ", s.made))
	text := fmt.Sprintf("%x", sum[:16])
	s.tokens[text] = s.m.Now().Add(s.o.TokenLife)
	return text
}

// admit lets a request through that has a good token, renews that, and counts all (OpenAPI document, LoginResponse: the validity is
// refreshed with each request). The header is the token and nothing else.
func (s *Sim) admit(r *http.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look()
	now, token := s.m.Now(), r.Header.Get("Authorization")
	until, known := s.tokens[token]
	if !known || !now.Before(until) {
		s.counts.Unauthorised++
		if strings.HasPrefix(token, "Bearer ") {
			s.counts.Bearer++
		}
		delete(s.tokens, token)
		return false
	}
	if s.q.RejectTokens > 0 {
		s.q.RejectTokens--
		s.counts.Rejected++
		delete(s.tokens, token)
		return false
	}
	s.tokens[token] = now.Add(s.o.TokenLife)
	return true
}

// open tells which reads need no token. Of version/ the gRPC twin does not (braiins/bos-plus-api, README); of the others no source
// says.
func (s *Sim) open(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return path == "docs/openapi.json" || path == "version/" && !s.q.GuardsVersion
}

// unauthorised answers 401.
func (s *Sim) unauthorised(w http.ResponseWriter) {
	s.mu.Lock()
	reset := s.q.Reset401 > 0
	if reset {
		s.q.Reset401--
	}
	s.mu.Unlock()
	if !reset {
		http.Error(w, "no valid token", http.StatusUnauthorized)
		return
	}
	w.WriteHeader(http.StatusUnauthorized)
	_ = http.NewResponseController(w).Flush()
	hangUp()
}
