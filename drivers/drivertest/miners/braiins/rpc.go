package braiins

import (
	"fmt"
	"slices"
	"strings"

	"rackagent/drivers/drivertest/miners"
)

// Codes of STATUS: cgminer's (api.c) up to 72, BOSminer's from 200 on (BOSminer API document).
const (
	codePools       = 7
	codeDevs        = 9
	codeSummary     = 11
	codeInvalid     = 14
	codeVersion     = 22
	codeNoJSON      = 23
	codeNoName      = 24
	codeConfig      = 33
	codeDenied      = 45
	codeDetails     = 69
	codeStats       = 70
	codeCheck       = 72
	codeTempCtrl    = 200
	codeTemps       = 201
	codeFans        = 202
	codeTunerStatus = 203
	codePause       = 204
	codeResume      = 205
)

// said is what a command answers.
type said struct {
	code    int
	text    string
	failed  bool
	section string
	list    any
}

func refused(code int, text string) said { return said{code: code, text: text, failed: true} }

// denied is cgminer's refusal.
func denied(name string) said {
	return refused(codeDenied, fmt.Sprintf("Access denied to '%s' command", name))
}

// server is how 4028 names its program and its build.
func (s *Sim) server() (name, build string) {
	if s.o.BOSminer {
		return "BOSminer", "bosminer-plus-am2-s17 0.6.0-0a1b2c3d"
	}
	return "BOSer", "boser-openwrt 0.1.0-0a1b2c3d"
}

// envelope puts the status around what is said.
func (s *Sim) envelope(a said) object {
	name, build := s.server()
	status := object{"STATUS": "S", "When": s.m.Now().Unix(), "Code": a.code, "Msg": a.text, "Description": name + " " + build}
	if a.failed {
		status["STATUS"] = "E"
	}
	all := object{"STATUS": []object{status}, "id": 1}
	if a.section != "" {
		all[a.section] = s.h.Numbers(a.list)
	}
	return all
}

// answer serves 4028. There is no password.
func (s *Sim) answer(r miners.Request) miners.Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.view()
	name := r.Text("command")
	switch {
	case gone(v.Truth):
		return nil
	case r.Fields == nil:
		return miners.JSON(s.envelope(refused(codeNoJSON, "Invalid JSON")))
	case name == "":
		return miners.JSON(s.envelope(refused(codeNoName, "Missing JSON 'command'")))
	case strings.Contains(name, "+"):
		return miners.JSON(s.joined(v, name))
	case writes(name):
		return s.command(name, r.Parameter)
	default:
		return miners.JSON(s.envelope(s.report(v, name, r.Parameter)))
	}
}

// joined answers several reports at once, each in a list (BOSminer API document, multiple commands). No source says what a pause
// among them does; here it is refused in its own place.
func (s *Sim) joined(v view, names string) object {
	all := object{"id": 1}
	for name := range strings.SplitSeq(names, "+") {
		a := s.report(v, name, "")
		if writes(name) {
			s.note(Write{Port: PortRPC, What: name, Code: a.code})
		}
		all[name] = []object{s.envelope(a)}
	}
	return all
}

// writes tells which commands would change something. Those about pools exist and have no lasting effect (BOSminer API document);
// here they are not known, as those that BOSminer does not have.
func writes(name string) bool {
	return slices.Contains(strings.Fields("pause resume switchpool enablepool disablepool addpool removepool restart quit"), name)
}

// command does a write, keeps it for the judges, and answers unless the machine is silent.
func (s *Sim) command(name, parameter string) miners.Reply {
	a := s.obey4028(name)
	s.note(Write{Port: PortRPC, What: name, Body: parameter, Code: a.code, Accepted: !a.failed})
	if !a.failed && s.m.Has(miners.Silent) {
		return nil
	}
	return miners.JSON(s.envelope(a))
}

func (s *Sim) obey4028(name string) said {
	known := (name == "pause" || name == "resume") && !s.q.NoPause4028
	switch {
	case !known:
		return refused(codeInvalid, "Invalid command")
	case s.m.Has(miners.Locked) || s.q.Denies4028:
		return denied(name)
	case name == "pause":
		s.still(s.pause)
		return said{code: codePause, text: "Pause", section: "PAUSE", list: []bool{s.flag(true)}}
	default:
		s.still(s.unpause)
		return said{code: codeResume, text: "Resume", section: "RESUME", list: []bool{s.flag(true)}}
	}
}

// still acts on a mining process that runs; without one nothing happens, and 4028 says as ever (no source says otherwise).
func (s *Sim) still(f func() bool) {
	if !s.stopped {
		f()
	}
}
