package luxos

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"

	"rackagent/drivers/drivertest/miners"
)

// Codes of the answers (LuxOS API documentation; those below 100 are cgminer's, api.c).
const (
	codePools      = 7
	codeDevs       = 9
	codeSummary    = 11
	codeUnknown    = 14 // no such command
	codeVersion    = 22
	codeJSON       = 23 // no JSON
	codeNoCommand  = 24 // JSON without a command
	codeConfig     = 33
	codeDenied     = 45 // writes are locked
	codeStats      = 70
	codeTemps      = 201
	codeFans       = 202
	codePower      = 311
	codeLogon      = 316
	codeLogoff     = 317
	codeSession    = 319
	codeLED        = 320
	codeProfileSet = 321
	codeProfiles   = 323
	codeReboot     = 328
	codeCurtail    = 335
	codeATM        = 339
	codeATMSet     = 340
	codeEvents     = 357
	codeBusy       = 402 // another session is active
)

// Codes that no source gives. They are far from the known ones, so that no client comes to depend on them.
const (
	codeLimits      = 9001
	codeReset       = 9002
	codePowerTarget = 9003
	codeNoSession   = 9401 // the session id is not the session's
	codeParameter   = 9402 // the parameter is not taken
	codeState       = 9403 // not in this state
)

// object is a JSON object; its members are written in the order of their names, as in recorded replies.
type object map[string]any

// answer is what a command says: its status and its sections.
type answer struct {
	code     int
	msg      string
	failed   bool
	sections object
}

func accepted(code int, msg string) answer { return answer{code: code, msg: msg} }

func refused(code int, msg string) answer { return answer{code: code, msg: msg, failed: true} }

// with adds a section.
func (a answer) with(name string, list any) answer {
	sections := object{name: list}
	for k, v := range a.sections {
		sections[k] = v
	}
	a.sections = sections
	return a
}

// one is a section of one element.
func one(v object) []object { return []object{v} }

// envelope puts the status around the sections.
func (s *Server) envelope(a answer) object {
	status := object{"STATUS": "S", "When": s.m.Now().Unix(), "Code": a.code, "Msg": a.msg, "Description": "LUXminer " + Firmware}
	if a.failed {
		status["STATUS"] = "E"
	}
	all := object{"STATUS": one(status), "id": 1}
	for name, list := range a.sections {
		all[name] = s.h.Numbers(list)
	}
	return all
}

// answer is one exchange on either port. A nil reply hangs up.
func (s *Server) answer(r miners.Request) miners.Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.look()
	cmd, parameter := r.Text("command"), r.Text("parameter")
	switch {
	case r.Fields == nil:
		return miners.JSON(s.envelope(refused(codeJSON, "Invalid JSON")))
	case cmd == "":
		return miners.JSON(s.envelope(refused(codeNoCommand, "Missing JSON 'command'")))
	case strings.Contains(cmd, "+"):
		return miners.JSON(s.joined(cmd, t))
	case writes(cmd):
		return s.write(cmd, parameter)
	}
	return miners.JSON(s.envelope(s.read(cmd, parameter, t)))
}

// joined answers several reports at once, each wrapped in a list. What is no report is refused in its own place.
func (s *Server) joined(cmd string, t miners.Truth) object {
	all := object{"id": 1}
	for name := range strings.SplitSeq(cmd, "+") {
		if name != "" {
			all[name] = one(s.envelope(s.report(name, t)))
		}
	}
	return all
}

// read answers what needs no session.
func (s *Server) read(cmd, parameter string, t miners.Truth) answer {
	switch cmd {
	case "logon":
		return s.logon()
	case "logoff":
		return s.logoff(parameter)
	default:
		return s.report(cmd, t)
	}
}

// writes tells whether a command needs a session.
func writes(cmd string) bool {
	return slices.Contains([]string{
		"curtail", "profileset", "powertargetset", "atmset", "resetminer", "rebootdevice", "ledset",
	}, cmd)
}

// write does what a command says, keeps it for the judges, and answers unless the machine is silent.
func (s *Server) write(cmd, parameter string) miners.Reply {
	id, rest, more := strings.Cut(parameter, ",")
	var args []string
	if more {
		args = strings.Split(rest, ",")
	}
	w := Write{At: s.m.Now(), Command: cmd, Parameter: parameter}
	a := refused(codeNoSession, "Invalid session id")
	if s.mine(id) {
		w.Foreign = s.session.foreign
		a = s.obey(cmd, args)
	}
	w.Accepted, w.Code = !a.failed, a.code
	s.writes = append(s.writes, w)
	if w.Accepted && s.m.Has(miners.Silent) {
		return nil
	}
	return miners.JSON(s.envelope(a))
}

// bodyMax is what is read of a request over HTTP; the rest is not seen. No source gives a limit.
const bodyMax = 64 << 10

// web serves the commands over HTTP (LuxOS API documentation, introduction). Errors come with status 200, as over TCP.
func (s *Server) web() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api", func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(io.LimitReader(r.Body, bodyMax))
		if _, rest := io.Copy(io.Discard, r.Body); err != nil || rest != nil {
			panic(http.ErrAbortHandler) // hangs up
		}
		reply := s.answer(request(raw))
		if reply == nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(reply)
	})
	return mux
}

func request(raw []byte) miners.Request {
	r := miners.Request{Raw: raw}
	if err := json.Unmarshal(raw, &r.Fields); err != nil {
		r.Fields = nil
	}
	return r
}
