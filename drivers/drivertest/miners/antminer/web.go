package antminer

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"rackagent/drivers/drivertest/miners"
)

const (
	cgi     = "/cgi-bin/"
	maxBody = 64 << 10 // bytes; arbitrary
)

// web serves port 80: nothing without a digest.
func (s *Server) web() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.silent() {
			hangUp()
		}
		if !s.admit(r) {
			s.refuse(w)
			return
		}
		name, found := strings.CutPrefix(r.URL.Path, cgi)
		if !found {
			http.NotFound(w, r)
			return
		}
		s.page(w, r, name)
	})
}

// silent tells whether the controller answers nothing at all.
func (s *Server) silent() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.look()
	return gone(v.Truth) || v.At.Before(s.deaf)
}

// page does one CGI.
func (s *Server) page(w http.ResponseWriter, r *http.Request, name string) {
	switch name {
	case "set_miner_conf.cgi":
		s.act(w, r, s.setConf, http.MethodPost)
	case "blink.cgi":
		s.act(w, r, s.blink, http.MethodPost)
	case "reboot.cgi":
		if s.o.RebootBy != "" {
			s.act(w, r, s.rebootPage, s.o.RebootBy)
			return
		}
		s.act(w, r, s.rebootPage, http.MethodGet, http.MethodPost)
	default:
		s.read(w, r, name)
	}
}

// read shows a page.
func (s *Server) read(w http.ResponseWriter, r *http.Request, name string) {
	s.mu.Lock()
	body := s.shown(name)
	s.mu.Unlock()
	switch {
	case body == nil:
		http.NotFound(w, r)
	case r.Method != http.MethodGet:
		http.Error(w, "", http.StatusMethodNotAllowed)
	default:
		send(w, body)
	}
}

func send(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

// shown is what a page shows; nil: there is none of that name.
func (s *Server) shown(name string) []byte {
	v := s.look()
	switch name {
	case "get_miner_conf.cgi":
		return s.conf.bytes()
	case "get_system_info.cgi":
		return miners.JSON(s.systemInfo(v))
	case "miner_type.cgi":
		return miners.JSON(map[string]any{"miner_type": v.model(), "subtype": "AMLCtrl_BHB42601", "fw_version": s.built("20060102")})
	case "get_network_info.cgi":
		return miners.JSON(networkInfo(v))
	case "get_blink_status.cgi":
		return miners.JSON(map[string]any{"blink": s.blinks})
	case "summary.cgi":
		return s.wrap(v, "summary", s.summary(v))
	case "stats.cgi":
		return s.wrap(v, "stats", s.stats(v))
	case "pools.cgi":
		return s.wrap(v, "pools", s.pools(v))
	default:
		return nil
	}
}

// wrap is the envelope of the three statistics.
func (s *Server) wrap(v view, name string, list []any) miners.Reply {
	return miners.JSON(map[string]any{
		"STATUS":              map[string]any{"STATUS": "S", "when": v.At.Unix(), "Msg": name, "api_version": "1.0.0"},
		"INFO":                map[string]any{"miner_version": minerVersion, "CompileTime": s.compiled(), "type": v.model()},
		strings.ToUpper(name): s.h.Numbers(list),
	})
}

// act does a page that changes something, unless the method is wrong or the machine is locked.
func (s *Server) act(w http.ResponseWriter, r *http.Request, do func(http.ResponseWriter, *http.Request, []byte), methods ...string) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	switch {
	case !slices.Contains(methods, r.Method):
		http.Error(w, "", http.StatusMethodNotAllowed)
	case err != nil:
		http.Error(w, "", http.StatusBadRequest)
	default:
		do(w, r, body)
	}
}

// locked refuses where the machine is miners.Locked, and tells with what.
func (s *Server) locked(w http.ResponseWriter) (with string, yes bool) {
	if !s.m.Has(miners.Locked) {
		return "", false
	}
	s.mu.Lock()
	status := s.q.LockedStatus
	s.mu.Unlock()
	switch status {
	case http.StatusOK:
		send(w, outcome(codeBad))
		return codeBad, true
	case http.StatusUnauthorized:
		s.refuse(w)
	default:
		status = http.StatusForbidden
		http.Error(w, "403 Forbidden", status)
	}
	return strconv.Itoa(status), true
}

// setConf is set_miner_conf.cgi: the effect comes with the answer, also where the client has hung up. A controller that goes
// down in between has done nothing.
func (s *Server) setConf(w http.ResponseWriter, _ *http.Request, body []byte) {
	i := s.note(body)
	if code, yes := s.locked(w); yes {
		s.decide(i, code, false)
		return
	}
	boot := s.bootTime()
	time.Sleep(s.o.AnswerAfter)
	s.mu.Lock()
	t := s.look().Truth
	if gone(t) || !s.boot.Equal(boot) {
		s.mu.Unlock()
		hangUp()
	}
	code, changed := s.write(body)
	s.mu.Unlock()
	s.decide(i, code, changed)
	s.reply(w, outcome(code))
}

func (s *Server) bootTime() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.boot
}

// note keeps a body, and gives its place in the record.
func (s *Server) note(body []byte) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes = append(s.writes, Write{At: s.m.Now(), Body: body})
	return len(s.writes) - 1
}

func (s *Server) decide(i int, code string, changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes[i].Code, s.writes[i].Changed = code, changed
}

func outcome(code string) miners.Reply {
	if code == codeBad {
		return miners.JSON(map[string]any{"stats": "error", "code": code, "msg": "Illegal request!"})
	}
	return miners.JSON(map[string]any{"stats": "success", "code": code, "msg": "OK!"})
}

// reply answers a write that was done, or hangs up where the machine is miners.Silent.
func (s *Server) reply(w http.ResponseWriter, body []byte) {
	if s.m.Has(miners.Silent) {
		hangUp()
	}
	send(w, body)
}

// blink is blink.cgi: true and false are texts there.
func (s *Server) blink(w http.ResponseWriter, _ *http.Request, body []byte) {
	if _, yes := s.locked(w); yes {
		return
	}
	var asked struct{ Blink string }
	if err := json.Unmarshal(body, &asked); err != nil || asked.Blink != "true" && asked.Blink != "false" {
		http.Error(w, "", http.StatusBadRequest)
		return
	}
	code := "B100"
	s.mu.Lock()
	if s.blinks = asked.Blink == "true"; s.blinks {
		code = "B000"
	}
	s.mu.Unlock()
	s.reply(w, outcome(code))
}

// rebootPage is reboot.cgi. What it answers is not documented; empty here.
func (s *Server) rebootPage(w http.ResponseWriter, r *http.Request, _ []byte) {
	if _, yes := s.locked(w); yes {
		return
	}
	s.reboot()
	s.mu.Lock()
	hangs := s.q.RebootHangs
	s.mu.Unlock()
	if hangs {
		<-r.Context().Done()
		hangUp()
	}
	w.Header().Set("Connection", "close")
	s.reply(w, nil)
}

// web6060 serves port 6060, which asks for no password.
func (s *Server) web6060() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t := s.m.Look()
		if gone(t) {
			hangUp()
		}
		s.mu.Lock()
		body := s.said6060(r.URL.Path, t)
		s.mu.Unlock()
		_, _ = io.WriteString(w, body)
	})
}

func (s *Server) said6060(path string, t miners.Truth) string {
	switch {
	case path == "/warning" && s.q.Warning == "":
		return `{"error_message":"None"}`
	case path == "/warning":
		return fmt.Sprintf(`{"error_message":%q}`, s.q.Warning)
	case path == "/miner_power" && !s.q.NoPower:
		return fmt.Sprintf("miner_power:%.0f", t.W)
	default:
		return "error 6060 cmd"
	}
}
