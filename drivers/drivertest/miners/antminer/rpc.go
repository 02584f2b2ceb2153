package antminer

import (
	"fmt"
	"slices"
	"strings"

	"rackagent/drivers/drivertest/miners"
)

// Codes of STATUS (cgminer, api.c).
const (
	codePools   = 7
	codeNoPools = 8
	codeDevs    = 9
	codeSummary = 11
	codeInvalid = 14
	codeVersion = 22
	codeNoJSON  = 23
	codeNoName  = 24
	codeDenied  = 45
	codeStats   = 70
	codeCheck   = 72
)

const description = "cgminer 1.0.0" // of STATUS, whatever the model

// answer serves 4028: it reads, and nothing else.
func (s *Server) answer(r miners.Request) miners.Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.look()
	name := r.Text("command") // cmd is no key of this firmware
	switch {
	case gone(v.Truth), v.At.Before(s.deaf):
		return nil
	case r.Fields == nil:
		return status(v, "E", codeNoJSON, "Invalid JSON")
	case name == "":
		return status(v, "E", codeNoName, "Missing JSON 'command'")
	case s.newAPI(r):
		return s.shown(name + ".cgi")
	}
	return s.report(v, name, r.Parameter)
}

// newAPI tells whether the reply is that of the page of the same name.
func (s *Server) newAPI(r miners.Request) bool {
	flag, _ := r.Fields["new_api"].(bool)
	return flag && !s.o.OldAPI && slices.Contains([]string{"summary", "stats", "pools"}, r.Text("command"))
}

func (s *Server) report(v view, name, parameter string) miners.Reply {
	switch name {
	case "version":
		return s.listed(v, codeVersion, "BMMiner versions", "VERSION", s.version(v))
	case "summary":
		return s.listed(v, codeSummary, "Summary", "SUMMARY", unless(v.empty, summary4028(v)))
	case "stats":
		return s.listed(v, codeStats, "BMMiner stats", "STATS", unless(v.empty, s.identity(v), stats4028(v)))
	case "devs":
		return s.listed(v, codeDevs, fmt.Sprintf("%d ASC(s)", boards), "DEVS", devs4028())
	case "pools":
		list := s.pools4028(v)
		if len(list) == 0 {
			return status(v, "E", codeNoPools, "No pools")
		}
		return s.listed(v, codePools, fmt.Sprintf("%d Pool(s)", len(list)), "POOLS", list)
	case "check":
		return s.listed(v, codeCheck, "Check command", "CHECK", []any{map[string]any{
			"Exists": letter(reads(parameter) || denied(parameter)), "Access": letter(reads(parameter)),
		}})
	}
	if denied(name) {
		return status(v, "E", codeDenied, fmt.Sprintf("Access denied to '%s' command", name))
	}
	return status(v, "E", codeInvalid, "Invalid command") // joined commands too
}

// reads tells which commands are for everyone (get_miner_conf.cgi, api-groups).
func reads(name string) bool {
	return slices.Contains([]string{"version", "summary", "stats", "pools", "devs", "check"}, name)
}

// denied tells which commands exist and are for nobody.
func denied(name string) bool {
	return slices.Contains(strings.Fields("devdetails config coin edevs notify privileged restart quit save setconfig zero reload "+
		"switchpool enablepool disablepool addpool removepool poolpriority poolquota asc asccount ascenable ascdisable ascidentify "+
		"ascset failover-only debug hotplug lockstats"), name)
}

func letter(yes bool) string {
	if yes {
		return "Y"
	}
	return "N"
}

func heading(v view, kind string, code int, text string) []any {
	return []any{map[string]any{"STATUS": kind, "When": v.At.Unix(), "Code": code, "Msg": text, "Description": description}}
}

func status(v view, kind string, code int, text string) miners.Reply {
	return miners.JSON(map[string]any{"STATUS": heading(v, kind, code, text), "id": 1})
}

func (s *Server) listed(v view, code int, text, key string, list []any) miners.Reply {
	return miners.JSON(map[string]any{"STATUS": heading(v, "S", code, text), key: s.h.Numbers(list), "id": 1})
}

func (s *Server) version(v view) []any {
	return []any{map[string]any{
		"BMMiner": "1.0.0", "API": "3.1", "Miner": minerVersion, "CompileTime": s.compiled(), "Type": v.model(),
	}}
}

func summary4028(v view) any {
	return map[string]any{
		"Elapsed": seconds(v.Mining), "GHS 5s": ghs(v.short), "GHS av": ghs(v.Average), "GHS 30m": ghs(v.Average),
		"Accepted": accepted, "Rejected": rejected, "Hardware Errors": hwErrors, "Pool Rejected%": 0.0, "Best Share": bestShare,
	}
}

// identity is the first element of STATS.
func (s *Server) identity(v view) any {
	return map[string]any{"BMMiner": "1.0.0", "Miner": minerVersion, "CompileTime": s.compiled(), "Type": v.model()}
}

// stats4028 is the second element of STATS; the rates of its boards are texts.
func stats4028(v view) any {
	m := map[string]any{
		"STATS": 0, "ID": "BC50", "Elapsed": seconds(v.Mining), "GHS 5s": ghs(v.short), "GHS av": ghs(v.Average),
		"rate_30m": ghs(v.Average), "rate_unit": "GH", "miner_count": boards, "fan_num": fans, "total_rateideal": ghs(v.Target.THs),
		"temp_max": v.chipC(), "frequency": v.mhz(), "miner-mode": v.mode,
	}
	for i := 1; i <= fans; i++ {
		m[fmt.Sprintf("fan%d", i)] = v.rpm()
	}
	for i := 1; i <= boards; i++ {
		m[fmt.Sprintf("temp_pcb%d", i)] = sensors(v.boardC())
		m[fmt.Sprintf("temp_chip%d", i)] = sensors(v.chipC())
		m[fmt.Sprintf("temp_pic%d", i)] = sensors(v.boardC() - 8)
		m[fmt.Sprintf("chain_rate%d", i)] = fmt.Sprintf("%.2f", v.short/boards*giga)
		m[fmt.Sprintf("chain_acn%d", i)] = chips
		m[fmt.Sprintf("chain_acs%d", i)] = strings.Repeat(" ooo", chips/3)
		m[fmt.Sprintf("chain_hw%d", i)] = hwErrors / boards
		m[fmt.Sprintf("freq%d", i)] = v.mhz()
	}
	return m
}

func sensors(celsius int) string {
	return fmt.Sprintf("%d-%d-%d-%d", celsius, celsius, celsius, celsius)
}

// devs4028 tells nothing of the rates, and one of its keys is misspelt, as on the S19.
func devs4028() []any {
	list := []any{}
	for i := range boards {
		list = append(list, map[string]any{
			"ASC": i, "Name": "BTM_SOC", "ID": i, "Enabled": "Y", "Status": "Alive", "Tenperature": 0.0, "MHS av": 0.0, "MHS 5s": 0.0,
		})
	}
	return list
}

// pools4028 has a key with two percent signs, as the firmware.
func (s *Server) pools4028(v view) []any {
	return s.eachPool(func(i int, p pool) map[string]any {
		return map[string]any{
			"POOL": i, "URL": p.URL, "User": p.User, "Status": s.poolStatus(v), "Priority": i, "Accepted": shares(i, accepted),
			"Rejected": shares(i, rejected), "Stale": 0, "Pool Rejected%": 0.0, "Pool Stale%%": 0.0, "Last Share Time": "0:00:12",
			"Stratum Active": i == 0 && s.poolStatus(v) == "Alive",
		}
	})
}
