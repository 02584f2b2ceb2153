package antminer

import (
	"crypto/md5" //nolint:gosec // the protocol's hash
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"maps"
	"net/http"
	"strings"
	"time"
)

// nonceLife is how long an unused nonce is good (lighttpd, mod_auth; the firmware's own web server is not documented).
const nonceLife = 10 * time.Minute

// firstCount is the only nc: a nonce is good for one request.
const firstCount = "00000001"

func hash(text string) string {
	sum := md5.Sum([]byte(text)) //nolint:gosec // the protocol's hash
	return hex.EncodeToString(sum[:])
}

// ha1 and ha2 are the two halves of a digest, and response is the whole (RFC 2617, qop=auth).
func ha1(user, realm, password string) string { return hash(user + ":" + realm + ":" + password) }

func ha2(method, uri string) string { return hash(method + ":" + uri) }

func response(ha1, nonce, nc, cnonce, ha2 string) string {
	return hash(strings.Join([]string{ha1, nonce, nc, cnonce, "auth", ha2}, ":"))
}

// fields reads the header Authorization: name=value or name="value", with commas between.
func fields(header string) map[string]string {
	rest, digest := strings.CutPrefix(header, "Digest ")
	if !digest {
		return nil
	}
	out := map[string]string{}
	for rest != "" {
		var name, value string
		name, rest, _ = strings.Cut(rest, "=")
		value, rest = cutValue(rest)
		out[strings.TrimSpace(name)] = value
	}
	return out
}

// cutValue takes the first value off a list.
func cutValue(text string) (value, rest string) {
	if quoted, ok := strings.CutPrefix(text, `"`); ok {
		value, rest, _ = strings.Cut(quoted, `"`)
		_, rest, _ = strings.Cut(rest, ",")
		return value, rest
	}
	value, rest, _ = strings.Cut(text, ",")
	return strings.TrimSpace(value), rest
}

// right tells whether a request proves the password. The nonce that it names is used up either way.
func (s *Server) right(r *http.Request) bool {
	f := fields(r.Header.Get("Authorization"))
	_, known := s.nonces[f["nonce"]]
	delete(s.nonces, f["nonce"])
	want := response(ha1(s.o.User, s.o.Realm, s.o.Password), f["nonce"], f["nc"], f["cnonce"], ha2(r.Method, r.RequestURI))
	switch {
	case !known, f["username"] != s.o.User, f["realm"] != s.o.Realm, f["uri"] != r.RequestURI:
		return false
	case f["qop"] != "auth", f["nc"] != firstCount, f["cnonce"] == "", f["opaque"] != s.o.Opaque:
		return false
	case f["algorithm"] != "" && f["algorithm"] != "MD5":
		return false
	}
	return f["response"] == want
}

// nonce makes one that no other server makes.
func (s *Server) nonce() string {
	now := s.m.Now()
	maps.DeleteFunc(s.nonces, func(_ string, made time.Time) bool { return now.Sub(made) > nonceLife })
	s.made++
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s %d", s.m.Spec().MAC, s.made)
	n := fmt.Sprintf("%016x%08x", h.Sum64(), s.made)
	s.nonces[n] = now
	return n
}

func (s *Server) challenge() string {
	c := fmt.Sprintf(`Digest realm="%s", nonce="%s", qop="auth"`, s.o.Realm, s.nonce())
	if s.o.Opaque != "" {
		c += fmt.Sprintf(`, opaque="%s"`, s.o.Opaque)
	}
	if s.o.NamesMD5 {
		c += ", algorithm=MD5"
	}
	return c
}

// admit lets a request through that proves the password, and counts all.
func (s *Server) admit(r *http.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.right(r):
		s.counts.Unauthorised++
		if r.Header.Get("Authorization") != "" {
			s.counts.Wrong++
		}
		s.counts.BodyTooEarly = s.counts.BodyTooEarly || carries(r)
		return false
	case s.q.RefuseNonces > 0:
		s.q.RefuseNonces--
		s.counts.Refused++
		return false
	}
	s.counts.Authorised++
	return true
}

// carries tells whether a body comes with a request. One that waits for 100 Continue has not sent it.
func carries(r *http.Request) bool {
	return r.ContentLength != 0 && !strings.EqualFold(r.Header.Get("Expect"), "100-continue")
}

// refuse answers 401 with a challenge.
func (s *Server) refuse(w http.ResponseWriter) {
	const page = "<html><body><h1>401</h1></body></html>\n"
	s.mu.Lock()
	w.Header().Set("WWW-Authenticate", s.challenge())
	reset := s.q.Reset401 > 0
	if reset {
		s.q.Reset401--
	}
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/html")
	w.Header().Set("Content-Length", fmt.Sprint(len(page)))
	w.WriteHeader(http.StatusUnauthorized)
	if reset {
		_ = http.NewResponseController(w).Flush()
		hangUp()
	}
	_, _ = w.Write([]byte(page))
}

// hangUp ends the connection, whatever of the answer is out.
func hangUp() { panic(http.ErrAbortHandler) }
