package whatsminer

import (
	"bytes"
	"encoding/json"
	"strings"

	"rackagent/drivers/drivertest/miners"
)

// Codes of v2 (WhatsminerAPI 2.0.5).
const (
	codeInvalid = 14  // no such command
	codeJSON    = 23  // no JSON
	codeDenied  = 45  // permission denied
	codeOK      = 131 // done
	codeError   = 132 // the command failed
	codeToken   = 134 // here is a token
	codeCheck   = 135 // the token is not valid
	codeMax     = 136 // too many tokens
	codeBase64  = 137 // the data is no base64
)

// reply2 is the envelope of the newer builds and of all writes. Its members stand in the order of the document.
type reply2 struct {
	STATUS      string
	When        int64
	Code        int
	Msg         any
	Description string
}

func (s *Server) reply2(code int, msg any) miners.Reply {
	status := "S"
	if code != codeOK && code != codeToken {
		status = "E"
	}
	return miners.JSON(reply2{STATUS: status, When: s.m.Now().Unix(), Code: code, Msg: msg})
}

// msg2 is the text that goes with a code, where it is always the same.
func msg2(code int) string {
	switch code {
	case codeInvalid:
		return "invalid cmd"
	case codeJSON:
		return "invalid json message"
	case codeDenied:
		return "permission denied"
	case codeOK:
		return "API command OK"
	case codeCheck:
		return "check token err"
	case codeMax:
		return "over max connect"
	case codeBase64:
		return "base64 decode err"
	default:
		return "API command ERROR"
	}
}

func (s *Server) answer2(r miners.Request) miners.Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.look()
	switch {
	case r.Fields == nil:
		return s.reply2(codeJSON, msg2(codeJSON))
	case r.Fields["enc"] != nil:
		return s.secret2(r)
	case r.Command == "get_token":
		return s.token2()
	case writes2(r.Command):
		s.note(Write{Port: PortV2, Command: r.Command, Clear: string(r.Raw), Code: codeDenied, Why: "not encrypted"})
		return s.reply2(codeDenied, msg2(codeDenied))
	}
	return s.read2(r.Command, v)
}

// old2 is the envelope of the older builds, cgminer's.
func (s *Server) old2(code int, text, key string, list any) map[string]any {
	status := map[string]any{"STATUS": "S", "When": s.m.Now().Unix(), "Code": code, "Msg": text, "Description": "btminer"}
	return map[string]any{"STATUS": []any{status}, key: list, "id": 1}
}

func (s *Server) list2(code int, text, key string, list any) miners.Reply {
	old := s.old2(code, text, key, s.h.Numbers(list))
	if s.o.Wrapped {
		return s.reply2(codeOK, old)
	}
	return miners.JSON(old)
}

func (s *Server) msg2(msg any) miners.Reply { return s.reply2(codeOK, s.h.Numbers(msg)) }

func (s *Server) read2(cmd string, v view) miners.Reply {
	switch cmd {
	case "get_version":
		return s.msg2(s.version2())
	case "devdetails":
		return s.list2(69, "Device Details", "DEVDETAILS", details2(v))
	case "get_miner_info":
		return s.msg2(s.info2(v))
	case "status":
		return s.msg2(s.status2(v))
	case "summary":
		return s.list2(11, "Summary", "SUMMARY", s.summary2(v))
	case "edevs", "devs":
		return s.list2(9, "3 ASC(s)", "DEVS", devs2(v))
	case "get_psu":
		return s.msg2(s.psu2(v))
	case "get_error_code":
		return s.errors2()
	case "pools":
		return s.list2(7, "1 Pool(s)", "POOLS", s.pools2(v))
	default:
		return s.reply2(codeInvalid, msg2(codeInvalid))
	}
}

// errors2 fills the malformed list in by hand: no encoder writes it.
func (s *Server) errors2() miners.Reply {
	const gap = "\"?\""
	switch s.q.Errors {
	case ErrorsMixed:
		return s.msg2(map[string]any{"error_code": s.mixed()})
	case ErrorsMalformed:
		var pairs []string
		for _, f := range s.q.Faults {
			pair, err := json.Marshal(f.pair())
			if err != nil {
				panic(err) // of the simulator's own values
			}
			pairs = append(pairs, strings.Trim(string(pair), "{}"))
		}
		reply := s.msg2(map[string]any{"error_code": []string{"?"}})
		return bytes.Replace(reply, []byte(gap), []byte(strings.Join(pairs, ",")), 1)
	default:
		list := []any{}
		for _, f := range s.q.Faults {
			list = append(list, f.pair())
		}
		return s.msg2(map[string]any{"error_code": list})
	}
}
