package luxos

import (
	"fmt"
	"math"

	"rackagent/drivers/drivertest/miners"
)

const (
	boards       = 3
	fans         = 4
	fanSpeed     = 65   // %, awake
	powerOff     = 20   // %, asleep (FANCTRL, PowerOffSpeed)
	rpmPerSpeed  = 60.0 // of a fan
	roomTemp     = 25.0 // °C
	boardRise    = 40.0 // K at the nominal power
	supplyMargin = 1.0  // W above standby with which the supply's output counts as off
	poolURL      = "stratum+tcp://pool.example:3333"
)

// report answers a read without a parameter.
func (s *Server) report(cmd string, t miners.Truth) answer {
	switch cmd {
	case "version":
		return accepted(codeVersion, "LUXminer versions").with("VERSION", one(s.version()))
	case "summary":
		return accepted(codeSummary, "Summary").with("SUMMARY", s.list(one(s.summary(t))))
	case "devs":
		return accepted(codeDevs, fmt.Sprint(boards, " ASC(s)")).with("DEVS", s.list(s.devs(t)))
	case "stats":
		return accepted(codeStats, "LUXminer stats").with("STATS", s.list(s.stats(t)))
	case "pools":
		list := s.pools(t)
		return accepted(codePools, fmt.Sprint(len(list), " Pool(s)")).with("POOLS", list)
	case "config":
		return accepted(codeConfig, "LUXminer config").with("CONFIG", one(s.config(t)))
	case "power":
		return accepted(codePower, "Power").with("POWER", one(s.power(t)))
	case "session":
		return s.tellSession(codeSession, "Session information")
	default:
		return s.report2(cmd, t)
	}
}

func (s *Server) report2(cmd string, t miners.Truth) answer {
	switch cmd {
	case "temps":
		return accepted(codeTemps, fmt.Sprint(boards, " Temp(s)")).with("TEMPS", s.temps(t)).with("METADATA", one(sides()))
	case "fans":
		return accepted(codeFans, fmt.Sprint(fans, " Fan(s)")).with("FANS", s.fans()).with("FANCTRL", one(object{"PowerOffSpeed": powerOff}))
	case "profiles":
		return accepted(codeProfiles, "Profiles").with("PROFILES", s.tellProfiles())
	case "events":
		return accepted(codeEvents, "Events").with("EVENTS", s.events())
	case "limits":
		return accepted(codeLimits, "Limits").with("LIMITS", one(s.limits()))
	case "atm":
		return accepted(codeATM, "ATM").with("ATM", one(s.atm.tell()))
	default:
		return refused(codeUnknown, "Invalid command")
	}
}

// list is empty where the machine has that quirk.
func (s *Server) list(l []object) []object {
	if s.quirks[EmptyLists] {
		return []object{}
	}
	return l
}

func (s *Server) version() object {
	return object{
		"API": "3.7", "LUXminer": Firmware, "Type": s.m.Spec().Model, "Miner": "uart_trans.1.3",
		"CompileTime": "Tue Apr 8 22:03:05 UTC 2025",
	}
}

// window is TH/s in a short window: of now, or the average where the machine has that quirk.
func (s *Server) window(t miners.Truth) float64 {
	if s.m.Has(miners.Averages) {
		return t.Average
	}
	return t.THs
}

func ghs(ths float64) float64 { return cents(ths * 1e3) }

func mhs(ths float64) float64 { return cents(ths * 1e6) }

func cents(v float64) float64 { return math.Round(v*100) / 100 }

func (s *Server) summary(t miners.Truth) object {
	o := object{
		"Elapsed": int(t.Mining.Seconds()), "GHS av": ghs(t.Average), "Accepted": int(t.Mining.Minutes()), "Rejected": 0,
		"Hardware Errors": 0, "Pool Rejected%": 0.0, "Best Share": int64(8800123456),
	}
	for _, w := range []string{"5s", "1m", "5m", "15m", "30m"} {
		o["GHS "+w] = ghs(s.window(t))
	}
	return o
}

func (s *Server) devs(t miners.Truth) []object {
	status := "Alive"
	if s.m.Asleep() {
		status = "NoStart"
	}
	list := make([]object, boards)
	for i := range list {
		list[i] = object{
			"ASC": i, "ID": i, "Enabled": "Y", "Status": status, "MHS 5s": mhs(s.window(t) / boards), "MHS 1m": mhs(s.window(t) / boards),
			"MHS av": mhs(t.Average / boards), "Nominal MHS": mhs(t.Target.THs / boards), "IsRamping": t.Phase == miners.Ramping,
			"IsUserShutdown": false, "SerialNumber": fmt.Sprint(s.m.Spec().Serial, "B", i), "Temperature": s.temp(t),
		}
	}
	return list
}

// stats has the two elements of an Antminer: what it is, and how it does.
func (s *Server) stats(t miners.Truth) []object {
	o := object{
		"Elapsed": int(t.Up.Seconds()), "GHS 5s": ghs(s.window(t)), "GHS av": ghs(t.Average), "rate_unit": "GH",
		"total_rateideal": ghs(t.Target.THs), "miner_count": boards, "fan_num": fans,
	}
	for i := range boards {
		o[fmt.Sprint("chain_rate", i+1)] = fmt.Sprintf("%.2f", ghs(s.window(t)/boards))
	}
	for i := range fans {
		o[fmt.Sprint("fan", i+1)] = s.rpm()
	}
	return []object{s.version(), o}
}

func (s *Server) pools(t miners.Truth) []object {
	status := "Alive"
	if s.m.Has(miners.NoPools) {
		status = "Dead"
	}
	list := make([]object, 2)
	for i := range list {
		list[i] = object{
			"POOL": i, "URL": poolURL, "User": fmt.Sprint("acct.r", i+1), "Status": status, "Priority": i,
			"Stratum Active": status == "Alive" && i == 0 && t.THs > 0, "Last Share Time": 0, "Accepted": 0, "Rejected": 0,
		}
	}
	if status == "Alive" && t.THs > 0 {
		list[0]["Last Share Time"] = t.At.Unix()
	}
	return list
}

func (s *Server) config(t miners.Truth) object {
	spec, p := s.m.Spec(), s.shown(t.Target)
	o := object{
		"CurtailMode": "None", "IsPowerSupplyOn": s.supply(t), "SystemStatus": "Normal", "IsTuning": false, "IsAtmEnabled": s.atm.enabled,
		"Profile": p.Name, "ProfileStep": s.step(p), "NameplateTHS": spec.NominalTHs, "Model": spec.Model, "MACAddr": spec.MAC,
		"SerialNumber": spec.Serial, "RedLed": s.leds.red, "GreenLed": s.leds.green, "ASC Count": boards, "Pool Count": 2,
	}
	if asleep := s.asleep(); !s.quirks[ShowsWish] && asleep || s.quirks[ShowsWish] && s.wish {
		o["CurtailMode"] = "Sleep"
	}
	if !s.quirks[OldConfig] {
		s.tellTarget(o, t.Target)
	}
	return o
}

// supply tells whether the power supply feeds the boards: until what it draws has fallen, it does.
func (s *Server) supply(t miners.Truth) bool {
	if s.quirks[ShowsWish] {
		return !s.wish
	}
	return !s.m.Asleep() || t.W > s.m.Spec().StandbyW+supplyMargin
}

// tellTarget adds the members of the newer builds.
func (s *Server) tellTarget(o object, target miners.Profile) {
	on := target.Name == powerTarget
	watts := 0
	if on {
		watts = round(target.W)
	}
	o["IsPowerTargetSupported"] = !s.quirks[NoPowerTarget]
	o["IsPowerTargetEnabled"] = on
	o["IdealPowerTarget"] = watts
	o["ActualPowerTarget"] = watts
	_, most := s.span()
	o["PowerLimit"] = round(most)
}

func round(v float64) int { return int(math.Round(v)) }

func (s *Server) power(t miners.Truth) object {
	return object{"Watts": round(t.W), "PSU": !s.quirks[Estimates]}
}

func (s *Server) temp(t miners.Truth) float64 {
	return math.Round(roomTemp + boardRise*t.W/s.m.Spec().NominalW)
}

func (s *Server) temps(t miners.Truth) []object {
	list := make([]object, boards)
	for i := range list {
		v := s.temp(t)
		list[i] = object{"TEMP": i, "ID": i, "TopLeft": v, "BottomLeft": v, "TopRight": v - 5, "BottomRight": v - 5}
	}
	return list
}

// sides tells which edge of a board is where. The names are those of the sensors; no source gives the form.
func sides() object {
	return object{"TopLeft": "Exhaust", "BottomLeft": "Exhaust", "TopRight": "Intake", "BottomRight": "Intake"}
}

func (s *Server) speed() int {
	if s.m.Asleep() {
		return powerOff
	}
	return fanSpeed
}

func (s *Server) rpm() int { return round(float64(s.speed()) * rpmPerSpeed) }

func (s *Server) fans() []object {
	list := make([]object, fans)
	for i := range list {
		list[i] = object{"FAN": i, "ID": i, "RPM": s.rpm(), "Speed": s.speed()}
	}
	return list
}

// events are the accepted writes since the boot. No source gives the members.
func (s *Server) events() []object {
	list := []object{}
	for i, w := range s.writes {
		if w.Accepted && !w.At.Before(s.boot) {
			list = append(list, object{"ID": i, "Timestamp": w.At.Unix(), "Message": w.Command})
		}
	}
	return list
}

// limits are those of the power target, in W. No source gives the members.
func (s *Server) limits() object {
	least, most := s.span()
	return object{"PowerTargetMin": round(least), "PowerTargetMax": round(most)}
}
