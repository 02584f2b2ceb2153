package whatsminer

import (
	"fmt"
	"strconv"
	"strings"

	"rackagent/drivers/drivertest/miners"
)

// mega is MH/s in a TH/s; giga GH/s.
const (
	mega = 1e6
	giga = 1e3
)

// modeText is how v2 writes a mode.
func (v view) modeText() string { return strings.ToUpper(v.mode[:1]) + v.mode[1:] }

func (s *Server) version2() map[string]any {
	return map[string]any{"api_ver": s.o.API2, "fw_ver": s.o.Firmware, "platform": "H616", "chip": "K6S-D"}
}

func details2(v view) []any {
	list := []any{}
	for i := range boards {
		list = append(list, map[string]any{
			"DEVDETAILS": i, "Name": "SM", "ID": i, "Driver": "bitmicro", "Kernel": "", "Model": v.spec.Model,
		})
	}
	return list
}

func (s *Server) info2(v view) map[string]any {
	return map[string]any{
		"mac": strings.ToUpper(v.spec.MAC), "hostname": "WhatsMiner", "ledstat": s.led, "proto": "dhcp",
		"minersn": v.spec.Serial, "netmask": "255.255.255.0",
	}
}

func (s *Server) status2(v view) map[string]any {
	if s.o.OldStatus {
		return map[string]any{"btmineroff": yes(v.off), "Firmware Version": "'" + s.o.Firmware + "'"}
	}
	reason, since := "", ""
	if v.off && !s.stopped.IsZero() { // not where it was stopped by other means
		reason, since = stopReason, s.stopped.Format(timeLayout)
	}
	return map[string]any{
		"mineroff": yes(v.off), "mineroff_reason": reason, "mineroff_time": since, "FirmwareVersion": s.o.Firmware,
		"power_mode": v.modeText(), "power_limit_set": strconv.Itoa(s.shown.limit), "hash_percent": strconv.Itoa(v.percent),
	}
}

// summary2 is one object, or none for a while after a stop. The windows of 5 and 15 minutes show the average: the machine
// keeps no history.
func (s *Server) summary2(v view) []any {
	if v.empty {
		return []any{}
	}
	m := map[string]any{
		"Elapsed": seconds(v.Mining), "Uptime": seconds(v.Up), "MAC": strings.ToUpper(v.spec.MAC),
		"MHS av": round(v.Average * mega), "MHS 5s": round(v.short * mega), "MHS 1m": round(v.short * mega),
		"MHS 5m": round(v.Average * mega), "MHS 15m": round(v.Average * mega), "HS RT": round(v.short * mega),
		"Factory GHS": watts(v.spec.NominalTHs * giga), "Power": watts(v.W), "Power Rate": v.perTH(),
		"Power Limit": v.limit, "Power Mode": v.modeText(), "Env Temp": envC, "Temperature": v.boardC(),
		"Chip Temp Min": v.chipC() - 2, "Chip Temp Avg": v.chipC(), "Chip Temp Max": v.chipC() + 2,
		"Fan Speed In": s.fan(v.rpm()), "Fan Speed Out": s.fan(v.rpm()), "Power Fanspeed": s.fan(v.rpm()),
		"Hash Stable": v.ramped(), "Hash Stable Cost Seconds": seconds(v.spec.Ramp), "Upfreq Complete": one(v.ramped()),
		"Target Freq": nominalMHz, "freq_avg": v.mhz(), "Btminer Fast Boot": either(s.o.FastBoot, "enable", "disable"),
		"Accepted": 2901, "Rejected": 7,
	}
	if v.off {
		m["Power Limit"] = 0 // as the vendor's fleet worker expects of a stopped one
	}
	m["Error Code Count"] = len(s.q.Faults)
	for i, f := range s.q.Faults {
		m[fmt.Sprintf("Error Code %d", i)] = f.Code
	}
	return []any{m}
}

func devs2(v view) []any {
	status, working := "Alive", chips
	if v.off {
		status, working = "Initialising", 0
	}
	list := []any{}
	for i := range boards {
		list = append(list, map[string]any{
			"ASC": i, "Slot": i, "Enabled": "Y", "Status": status, "Effective Chips": working,
			"MHS av": round(v.Average / boards * mega), "MHS 5s": round(v.short / boards * mega),
			"MHS 1m": round(v.short / boards * mega), "Temperature": v.boardC(), "Chip Frequency": v.mhz(),
			"Chip Temp Min": v.chipC() - 2, "Chip Temp Avg": v.chipC(), "Chip Temp Max": v.chipC() + 2,
			"Factory GHS": watts(v.spec.NominalTHs / boards * giga), "PCB SN": fmt.Sprintf("%s-%d", v.spec.Serial, i),
		})
	}
	return list
}

// psu2 gives texts throughout.
func (s *Server) psu2(v view) map[string]any {
	return map[string]any{
		"name": "P221B", "model": "P221B", "serial_no": v.spec.Serial + "-P", "hw_version": "V01.00", "sw_version": "V01.03",
		"pin": strconv.Itoa(watts(v.W)), "vin": strconv.FormatFloat(mainsV, 'f', 2, 64),
		"iin": strconv.FormatFloat(v.amps(), 'f', 3, 64), "temp0": strconv.FormatFloat(v.boardC(), 'f', 1, 64),
		"fan_speed": fmt.Sprint(s.fan(v.rpm())),
	}
}

func (s *Server) pools2(v view) []any {
	alive := !s.m.Has(miners.NoPools)
	return []any{map[string]any{
		"POOL": 1, "URL": poolURL, "User": poolAccount, "Status": either(alive, "Alive", "Dead"), "Priority": 0,
		"Stratum Active": alive && !v.off, "Accepted": 2901, "Rejected": 7, "Last Share Time": 0,
	}}
}
