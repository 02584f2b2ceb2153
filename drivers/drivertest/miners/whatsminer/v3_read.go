package whatsminer

import (
	"fmt"
	"strconv"
	"strings"

	"rackagent/drivers/drivertest/miners"
)

// status3 gives the views that are asked for, joined by plus signs.
func (s *Server) status3(param string, v view) (any, int) {
	if param == "pools" && v.off && s.q.PoolsFail {
		return nil, code3Failed
	}
	msg := map[string]any{}
	for name := range strings.SplitSeq(param, "+") {
		switch name {
		case "summary":
			msg[name] = s.summary3(v)
		case "pools":
			msg[name] = s.pools3(v)
		case "edevs":
			msg[name] = edevs3(v)
		default:
			return nil, code3Failed
		}
	}
	return msg, code3OK
}

// summary3 has no members for a while after a stop. The window of 15 minutes shows the average: the machine keeps no history.
func (s *Server) summary3(v view) map[string]any {
	if v.empty {
		return map[string]any{}
	}
	temps := []float64{}
	for range boards {
		temps = append(temps, v.boardC())
	}
	return map[string]any{
		"elapsed": seconds(v.Mining), "bootup-time": seconds(v.Up), "hash-realtime": round(v.short), "hash-1min": round(v.short),
		"hash-15min": round(v.Average), "hash-average": round(v.Average), "factory-hash": v.spec.NominalTHs,
		"power-realtime": watts(v.W), "power-5min": watts(v.W), "power-limit": v.limit, "power-rate": v.perTH(),
		"freq-avg": v.mhz(), "up-freq-finish": one(v.ramped()), "environment-temperature": envC,
		"chip-temp-min": v.chipC() - 2, "chip-temp-avg": v.chipC(), "chip-temp-max": v.chipC() + 2, "board-temperature": temps,
		"fan-speed-in": s.fan(v.rpm()), "fan-speed-out": s.fan(v.rpm()),
	}
}

func edevs3(v view) []any {
	status, working := "Alive", chips
	if v.off {
		status, working = "Initialising", 0
	}
	list := []any{}
	for i := range boards {
		list = append(list, map[string]any{
			"id": i, "hash-average": round(v.Average / boards), "factory-hash": round(v.spec.NominalTHs / boards),
			"effective-chips": working, "freq": v.mhz(), "status": status,
			"chip-temp-min": v.chipC() - 2, "chip-temp-avg": v.chipC(), "chip-temp-max": v.chipC() + 2,
		})
	}
	return list
}

func (s *Server) pools3(v view) []any {
	alive := !s.m.Has(miners.NoPools)
	return []any{map[string]any{
		"id": 1, "url": poolURL, "account": poolAccount, "status": either(alive, "alive", "dead"), "stratum-active": alive && !v.off,
	}}
}

// device3 gives all sections, or the one that is asked for under its name.
func (s *Server) device3(param string, v view) (any, int) {
	all := map[string]any{
		"miner": map[string]any{
			"type": v.spec.Model, "working": yes(!v.off), "fast-boot": either(s.o.FastBoot, "enable", "disable"),
			"hash-percent": strconv.Itoa(v.percent), "miner-sn": v.spec.Serial,
		},
		"system": map[string]any{
			"api": s.o.API3, "fwversion": s.o.Firmware, "platform": "H616", "apiswitch": strconv.Itoa(one(!s.locked())), "ledstatus": s.led,
		},
		"network": map[string]any{"mac": strings.ToUpper(v.spec.MAC), "proto": "dhcp", "hostname": "WhatsMiner"},
		"power": map[string]any{
			"mode": modeNumbers()[v.mode], "model": "P221B", "fanspeed": s.fan(v.rpm()), "vin": mainsV, "iin": v.amps(), "pin": watts(v.W),
		},
		"salt":       s.salt3,
		"error-code": s.errors3(),
	}
	if param == "" {
		return all, code3OK
	}
	part, ok := all[param]
	if !ok {
		return nil, code3Failed
	}
	return map[string]any{param: part}, code3OK
}

func (s *Server) errors3() any {
	switch s.q.Errors {
	case ErrorsMixed:
		return s.mixed()
	case ErrorsText:
		return fmt.Sprintf("btminer is not running, %d errors", len(s.q.Faults))
	default:
		list := []any{}
		for _, f := range s.q.Faults {
			list = append(list, f.object())
		}
		return list
	}
}

// setting3 names its members by analogy: the command is documented, what it gives is not.
func (s *Server) setting3(v view) map[string]any {
	return map[string]any{
		"power-mode": v.mode, "power-limit": s.shown.limit, "power-percent": strconv.Itoa(v.percent),
		"fast-boot": either(s.o.FastBoot, "enable", "disable"),
	}
}
