// Package ups is a simulated server of Network UPS Tools with one UPS, written from the protocol's description. It is in no binary
// of the product.
package ups

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
)

// Server answers on connections that it is given.
type Server struct {
	Name string // of its UPS

	mu    sync.Mutex
	vars  map[string]string
	err   string // instead of any value: "DATA-STALE"
	mute  bool
	asked int
}

// New is a UPS on mains, its battery full.
func New(name string) *Server {
	return &Server{Name: name, vars: map[string]string{"ups.status": "OL", "battery.charge": "100", "battery.runtime": "1200", "ups.mfr": `Ac"me\Co`}}
}

// Set changes a variable; an empty value takes it away.
func (s *Server) Set(name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.vars[name] = value
	if value == "" {
		delete(s.vars, name)
	}
}

// Fail has every question answered by an error, or by nothing where word is "mute"; empty ends that.
func (s *Server) Fail(word string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mute, s.err = word == "mute", word
}

// Asked is how many questions there were.
func (s *Server) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// Serve answers on one connection until it ends.
func (s *Server) Serve(c net.Conn) {
	defer c.Close()
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		out, end := s.answer(lines.Text())
		if out != "" {
			if _, err := fmt.Fprintf(c, "%s\n", out); err != nil {
				return
			}
		}
		if end {
			return
		}
	}
}

func (s *Server) answer(line string) (out string, end bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	words := strings.Fields(line)
	switch {
	case s.mute:
		return "", false
	case len(words) == 1 && words[0] == "LOGOUT":
		return "OK Goodbye", true
	case len(words) != 4 || words[0] != "GET" || words[1] != "VAR":
		return "ERR INVALID-ARGUMENT", false
	case words[2] != s.Name:
		return "ERR UNKNOWN-UPS", false
	case s.err != "":
		return "ERR " + s.err, false
	}
	v, ok := s.vars[words[3]]
	if !ok {
		return "ERR VAR-NOT-SUPPORTED", false
	}
	v = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v)
	return fmt.Sprintf("VAR %s %s \"%s\"", s.Name, words[3], v), false
}
