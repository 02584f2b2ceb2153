package whatsminer

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"rackagent/drivers/drivertest/miners"
)

// Tokens (WhatsminerAPI 2.0.5, get_token).
const (
	tokenLife = 30 * time.Minute
	tokenMax  = 32 // to an address
)

// key2 is what commands are encrypted with: it hangs on the password and on the salt that get_token tells.
func (s *Server) key2() string { return md5crypt(s.o.Password, s.salt2) }

// token2 hands a token out.
func (s *Server) token2() miners.Reply {
	now := s.m.Now()
	for sign, end := range s.live {
		if !now.Before(end) {
			delete(s.live, sign)
		}
	}
	if s.q.OverMax || len(s.live) >= tokenMax {
		return s.reply2(codeMax, msg2(codeMax))
	}
	stamp, salt := fmt.Sprintf("%04d", now.Unix()%10000), s.word()
	sign := md5crypt(s.key2()+stamp, salt)
	s.live[sign] = now.Add(tokenLife)
	s.tokens = append(s.tokens, Token{At: now, Sign: sign})
	return s.reply2(codeToken, map[string]any{"time": stamp, "salt": s.salt2, "newsalt": salt})
}

// secret2 takes an encrypted command.
func (s *Server) secret2(r miners.Request) miners.Reply {
	key := aesKey(s.key2())
	plain, err := decrypt(key, r.Text("data"), s.o.Padding)
	if errors.Is(err, errBase64) {
		return s.refuse2(Write{Clear: r.Text("data"), Code: codeBase64, Why: "no base64"}, msg2(codeBase64))
	}
	var fields map[string]any
	if err != nil || json.Unmarshal(plain, &fields) != nil || fields == nil {
		return s.refuse2(Write{Clear: r.Text("data"), Code: codeJSON, Why: "no JSON under the key"}, msg2(codeJSON))
	}
	c := command2{fields: fields}
	w := Write{Command: c.name(), Clear: string(plain)}
	if code, text, why := s.barred(c); code != 0 {
		w.Code, w.Why = code, why
		return s.refuse2(w, text)
	}
	return s.obeyed2(w, s.obey2(c), key)
}

// barred tells why a command is not looked at.
func (s *Server) barred(c command2) (code int, text, why string) {
	if s.locked() {
		return s.q.LockedCode, s.q.LockedText, "locked"
	}
	end, ok := s.live[c.text("token")]
	if s.q.ExpireOnce {
		s.q.ExpireOnce, ok = false, false
		clear(s.live)
	}
	if !ok || !s.m.Now().Before(end) {
		return codeCheck, msg2(codeCheck), "token"
	}
	return 0, "", ""
}

// refuse2 answers in clear.
func (s *Server) refuse2(w Write, text string) miners.Reply {
	w.Port = PortV2
	s.note(w)
	return s.reply2(w.Code, text)
}

// obeyed2 answers encrypted, or not at all.
func (s *Server) obeyed2(w Write, v verdict, key []byte) miners.Reply {
	w.Port = PortV2
	switch v {
	case done, unheard:
		w.Accepted, w.Code = true, codeOK
	case badParam:
		w.Code, w.Why = codeError, "parameter"
	default:
		w.Code, w.Why = codeInvalid, "no such command"
	}
	s.note(w)
	if v == unheard || w.Accepted && s.m.Has(miners.Silent) {
		return nil
	}
	plain := s.reply2(w.Code, msg2(w.Code))
	return miners.JSON(map[string]string{"enc": encrypt(key, plain, s.o.Padding)})
}

// command2 is a decrypted command: its parameters are further members of the object, all of them texts.
type command2 struct{ fields map[string]any }

func (c command2) text(key string) string {
	t, _ := c.fields[key].(string)
	return t
}

func (c command2) name() string { return cmp.Or(c.text("cmd"), c.text("command")) }

// number is -1 where it is no text of digits, which no parameter takes.
func (c command2) number(key string) int {
	n, err := strconv.ParseUint(c.text(key), 10, 31)
	if err != nil {
		return -1
	}
	return int(n)
}

// writes2 tells whether a command wants a token and encryption.
func writes2(name string) bool {
	return slices.Contains([]string{
		"power_off", "power_on", "set_low_power", "set_normal_power", "set_high_power", "adjust_power_limit", "set_power_pct",
		"restore_power_pct", "restart_btminer", "reboot", "set_led",
	}, name)
}

// obey2 does what a command says (WhatsminerAPI 2.0.5, writable API).
func (s *Server) obey2(c command2) verdict {
	name := c.name()
	if s.q.RejectsV2 || !writes2(name) {
		return unknown
	}
	switch name {
	case "power_off":
		return s.powerOff2(c)
	case "power_on":
		s.start()
		return done
	case "adjust_power_limit":
		return s.limit2(c)
	case "set_power_pct":
		return s.setPercent(c.number("percent"))
	case "restore_power_pct":
		return s.setPercent(100)
	case "restart_btminer":
		s.anew()
		return done
	case "reboot":
		s.reboot()
		return unheard
	case "set_led":
		return s.led2(c)
	default:
		return s.mode2(strings.TrimSuffix(strings.TrimPrefix(name, "set_"), "_power"))
	}
}

// powerOff2 answers only where the answer was wanted first; otherwise btminer is gone before it.
func (s *Server) powerOff2(c command2) verdict {
	s.stop()
	if c.text("respbefore") != "true" {
		return unheard
	}
	return done
}

// limit2 came with version 2.0.5.
func (s *Server) limit2(c command2) verdict {
	if older(s.o.API2, "2.0.5") {
		return unknown
	}
	return s.setLimit(c.number("power_limit"))
}

// older compares versions, number by number.
func older(a, b string) bool {
	split := func(v string) (n []int) {
		for part := range strings.SplitSeq(v, ".") {
			i, _ := strconv.Atoi(part)
			n = append(n, i)
		}
		return n
	}
	return slices.Compare(split(a), split(b)) < 0
}

// mode2 answers unless btminer's restart swallows it.
func (s *Server) mode2(mode string) verdict {
	v := s.setMode(mode)
	if v == done && s.q.NoModeReply {
		return unheard
	}
	return v
}

// led2 takes auto, or a colour with its times.
func (s *Server) led2(c command2) verdict {
	if c.text("param") == "auto" {
		return s.setLED("auto")
	}
	for _, key := range []string{"color", "period", "duration", "start"} {
		if c.fields[key] == nil {
			return badParam
		}
	}
	return s.setLED("manual")
}
