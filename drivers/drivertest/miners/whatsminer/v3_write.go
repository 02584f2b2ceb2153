package whatsminer

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"rackagent/drivers/drivertest/miners"
)

// Delays of starts and stops (whatsminer-api-3 sample client).
const (
	cmdRandom = "set.system.time_randomized" //nolint:misspell // the protocol's word
	keyRandom = "time-randomized"            //nolint:misspell // by analogy: where it is read is not documented
	randomMax = 120                          // s
)

// writes3 tells whether a command wants a token.
func (s *Server) writes3(cmd string) bool {
	return slices.Contains([]string{
		s.o.ModeCommand, "set.miner.service", "set.miner.power_limit", "set.miner.power_percent", "set.system.reboot", "set.system.led",
		cmdRandom,
	}, cmd)
}

// write3 checks the token and obeys.
func (s *Server) write3(r request3, raw []byte) []byte {
	w := Write{Port: PortV3, Command: r.Cmd, Clear: string(raw)}
	if w.Why = s.barred3(r); w.Why != "" {
		w.Code = code3Denied
	} else if s.obey3(r) == badParam {
		w.Code, w.Why = code3Failed, "parameter"
	} else {
		w.Accepted = true
	}
	s.note(w)
	if w.Accepted && s.m.Has(miners.Silent) {
		return nil
	}
	return s.reply3(w.Code, msg3(w.Code), r.Cmd)
}

// barred3 tells why a command is not looked at. The clock of the client is not compared with the machine's: the sources
// show no check.
func (s *Server) barred3(r request3) string {
	switch {
	case s.locked():
		return "locked"
	case r.Account != s.o.Account:
		return "account"
	case r.TS == nil, r.Token != token3(r.Cmd, s.o.AccountPassword, s.salt3, *r.TS):
		return "token"
	default:
		return ""
	}
}

func (s *Server) obey3(r request3) verdict {
	switch r.Cmd {
	case "set.miner.service":
		return s.service3(r.text())
	case s.o.ModeCommand:
		return s.setMode(r.text())
	case "set.miner.power_limit":
		return s.limit3(r)
	case "set.miner.power_percent":
		return s.percent3(r)
	case "set.system.reboot":
		s.reboot()
		return done
	case "set.system.led":
		return s.led3(r)
	default:
		return s.random3(r)
	}
}

// service3 takes no disable and enable: they exist, and what they do is not documented.
func (s *Server) service3(what string) verdict {
	switch what {
	case "stop":
		s.stop()
	case "start":
		s.start()
	case "restart":
		s.anew()
	default:
		return badParam
	}
	return done
}

// limit3 takes an integer and no text.
func (s *Server) limit3(r request3) verdict {
	var n *int
	if json.Unmarshal(r.Param, &n) != nil || n == nil {
		return badParam
	}
	return s.setLimit(*n)
}

// percent3 takes an object whose percent is a text.
func (s *Server) percent3(r request3) verdict {
	object := []byte(r.Param)
	if s.o.PercentInText {
		object = []byte(r.text())
	}
	var p struct {
		Percent *string `json:"percent"`
		Mode    *string `json:"mode"`
	}
	if json.Unmarshal(object, &p) != nil || p.Percent == nil || p.Mode == nil {
		return badParam
	}
	n, err := strconv.ParseUint(*p.Percent, 10, 31)
	if err != nil {
		return badParam
	}
	return s.setPercent(int(n))
}

// led3 takes auto, or a list of colours with their times.
func (s *Server) led3(r request3) verdict {
	if r.text() == "auto" {
		return s.setLED("auto")
	}
	var list []struct {
		Color    *string `json:"color"`
		Period   *int    `json:"period"`
		Duration *int    `json:"duration"`
		Start    *int    `json:"start"`
	}
	if json.Unmarshal(r.Param, &list) != nil || len(list) == 0 {
		return badParam
	}
	for _, l := range list {
		if l.Color == nil || l.Period == nil || l.Duration == nil || l.Start == nil {
			return badParam
		}
	}
	return s.setLED("manual")
}

// random3 makes starts and stops come late: both, which is what spoils a curtailment.
func (s *Server) random3(r request3) verdict {
	var p struct {
		Start *int `json:"start"`
		Stop  *int `json:"stop"`
	}
	if json.Unmarshal(r.Param, &p) != nil || p.Start == nil || p.Stop == nil {
		return badParam
	}
	if min(*p.Start, *p.Stop) < 0 || max(*p.Start, *p.Stop) > randomMax {
		return badParam
	}
	s.later(func() {
		s.q.StartDelay, s.q.StopDelay = time.Duration(*p.Start)*time.Second, time.Duration(*p.Stop)*time.Second
	})
	return done
}
