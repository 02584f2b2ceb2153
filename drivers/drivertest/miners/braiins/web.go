package braiins

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"rackagent/drivers/drivertest/miners"
)

const (
	base    = "/api/v1/"
	maxBody = 64 << 10 // bytes; arbitrary
)

// object is a JSON object.
type object map[string]any

// hangUp ends the connection, whatever of the answer is out.
func hangUp() { panic(http.ErrAbortHandler) }

// send answers with JSON.
func send(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// page serves a build without REST: a web page, and 405 to all that is no GET.
func (s *Sim) page() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.alive()
		switch {
		case r.Method != http.MethodGet:
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		case r.URL.Path != "/":
			http.NotFound(w, r)
		default:
			home(w)
		}
	})
}

// home is the web page.
func home(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html")
	_, _ = io.WriteString(w, "<html><head><title>Braiins OS</title></head><body></body></html>\n")
}

// alive hangs up where the controller is down: connections from before do not answer.
func (s *Sim) alive() {
	if gone(s.m.Look()) {
		hangUp()
	}
}

// web serves the REST API.
func (s *Sim) web() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.alive()
		path, api := strings.CutPrefix(r.URL.Path, base)
		body, err := read(r)
		switch {
		case err != nil:
			http.Error(w, "invalid request payload", http.StatusBadRequest)
		case !api && r.Method == http.MethodGet && r.URL.Path == "/":
			home(w)
		case !api:
			http.NotFound(w, r)
		case path == "auth/login":
			only(http.MethodPost, s.login)(w, r, body)
		case !s.open(path) && !s.admit(r):
			s.unauthorised(w)
		case r.Method == http.MethodGet:
			s.get(w, r, path)
		default:
			s.write(w, r, path, body)
		}
	})
}

// read takes a body that is not too long. The rest of one that is goes nowhere: who hung up on it would not be heard either.
func read(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	rest, drained := io.Copy(io.Discard, r.Body)
	if rest > 0 {
		return nil, errPayload
	}
	return body, errors.Join(err, drained)
}

// handler does one request whose body was read.
type handler func(http.ResponseWriter, *http.Request, []byte)

// only does a request of one method.
func only(method string, do handler) handler {
	return func(w http.ResponseWriter, r *http.Request, body []byte) {
		if r.Method != method {
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		do(w, r, body)
	}
}

// get answers a read.
func (s *Sim) get(w http.ResponseWriter, r *http.Request, path string) {
	s.mu.Lock()
	v, found := s.shown(path)
	streams := path == "miner/status" && s.q.StreamsStatus
	reply := s.h.Numbers(v)
	acts := s.does(path)
	s.mu.Unlock()
	switch {
	case streams:
		s.stream(w, r)
	case found:
		send(w, reply)
	case acts:
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	default:
		http.NotFound(w, r)
	}
}

// stream tells the status now and whenever it changes.
func (s *Sim) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	for last := 0; ; time.Sleep(time.Second) {
		s.mu.Lock()
		t, now := s.look(), s.status()
		reply := miners.JSON(s.h.Numbers(object{"status": now}))
		s.mu.Unlock()
		if r.Context().Err() != nil || gone(t) {
			hangUp()
		}
		if now == last {
			continue
		}
		last = now
		if _, err := w.Write(append(reply, '\n')); err != nil {
			hangUp()
		}
		_ = http.NewResponseController(w).Flush()
	}
}
