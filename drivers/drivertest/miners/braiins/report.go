package braiins

import (
	"fmt"
	"strings"
)

// report answers a read.
func (s *Sim) report(v view, name, parameter string) said {
	switch name {
	case "version":
		return s.version()
	case "summary":
		return said{code: codeSummary, text: "Summary", section: "SUMMARY", list: s.list([]object{s.summary(v)})}
	case "devs", "edevs":
		return said{code: codeDevs, text: fmt.Sprint(boards, " ASC(s)"), section: "DEVS", list: s.list(s.devs(v))}
	case "devdetails":
		return said{code: codeDetails, text: "Device Details", section: "DEVDETAILS", list: s.devDetails(v)}
	case "stats", "estats":
		return said{code: codeStats, text: s.titled("stats"), section: "STATS", list: s.stats4028(v)}
	case "pools":
		list := pools4028(v)
		return said{code: codePools, text: fmt.Sprint(len(list), " Pool(s)"), section: "POOLS", list: list}
	case "config":
		return said{code: codeConfig, text: s.titled("config"), section: "CONFIG", list: config()}
	case "check":
		return said{code: codeCheck, text: "Check command", section: "CHECK", list: s.check(parameter)}
	default:
		return s.own(v, name)
	}
}

// own answers the reads that BOSminer added (BOSminer API document, new commands).
func (s *Sim) own(v view, name string) said {
	switch name {
	case "fans":
		return said{code: codeFans, text: fmt.Sprint(fans, " Fan(s)"), section: "FANS", list: s.list(fans4028(v))}
	case "temps":
		return said{code: codeTemps, text: fmt.Sprint(boards, " Temp(s)"), section: "TEMPS", list: s.list(temps(v))}
	case "tempctrl":
		list := []object{{"Mode": "Automatic", "Target": 85, "Hot": 95, "Dangerous": 105}}
		return said{code: codeTempCtrl, text: "Temperature control", section: "TEMPCTRL", list: list}
	case "tunerstatus":
		return said{code: codeTunerStatus, text: "Tuner Status", section: "TUNERSTATUS", list: []object{s.tunerStatus(v)}}
	default:
		return refused(codeInvalid, "Invalid command")
	}
}

func (s *Sim) titled(what string) string {
	name, _ := s.server()
	return name + " " + what
}

func (s *Sim) version() said {
	name, build := s.server()
	return said{code: codeVersion, text: s.titled("versions"), section: "VERSION", list: []object{{"API": "3.7", name: build}}}
}

// rates are the windows of the hashrate of a part of the machine, in MH/s.
func (v view) rates(part float64) object {
	o := object{}
	for _, window := range []string{"5s", "1m"} {
		o["MHS "+window] = mhs(v.short * part)
	}
	for _, window := range []string{"5m", "15m", "24h", "av"} {
		o["MHS "+window] = mhs(v.Average * part)
	}
	return o
}

func (s *Sim) summary(v view) object {
	o := v.rates(1)
	o["Elapsed"], o["Accepted"], o["Rejected"], o["Stale"] = seconds(s.process(v)), accepted, rejected, 0
	o["Hardware Errors"], o["Found Blocks"], o["Best Share"] = 0, 0, bestShare
	o["Pool Rejected%"], o["Pool Stale%"], o["Device Hardware%"], o["Device Rejected%"] = 0.24, 0.0, 0.0, 0.0
	return o
}

// chain is the ID of a board here: they are numbered as the sockets of the controller (BOSminer API document, from 6 on).
func chain(i int) int { return 6 + i }

func (s *Sim) devs(v view) []object {
	list := []object{}
	for i, part := range s.shares() {
		dark, o := s.dark[i], v.rates(part)
		o["ASC"], o["ID"], o["Name"], o["Enabled"], o["Status"] = i, chain(i), "", letter(!dark), "Alive"
		if !v.mining || dark {
			o["Status"] = "Dead"
		}
		o["Temperature"], o["Nominal MHS"], o["Device Elapsed"] = v.chipC(), mhs(v.Target.THs*part), seconds(s.process(v))
		list = append(list, o)
	}
	return list
}

func (s *Sim) devDetails(v view) []object {
	list := []object{}
	for i := range boards {
		list = append(list, object{
			"DEVDETAILS": i, "ID": chain(i), "Name": fmt.Sprint("Hash Chain ", chain(i)), "Model": "Bitmain " + v.spec.Model, "Chips": chips,
			"Frequency": watts(nominalHz * v.load), "Voltage": chipVolts, "Driver": "", "Kernel": "", "Device Path": "",
		})
	}
	return list
}

// stats4028 is cgminer's minimum: no document shows more.
func (s *Sim) stats4028(v view) []object {
	list := []object{}
	for i := range boards {
		list = append(list, object{"STATS": i, "ID": fmt.Sprint("HASHCHAIN", chain(i)), "Elapsed": seconds(s.process(v))})
	}
	return list
}

func pools4028(v view) []object {
	list := []object{}
	for i, user := range []string{poolUser, poolUserTwo} {
		o := object{
			"POOL": i, "URL": poolURL, "User": user, "Status": "Dead", "Priority": i, "Quota": 1, "Stratum Active": false, "Stratum URL": "",
			"Last Share Time": 0, "Accepted": 0, "Rejected": 0, "Stale": 0,
		}
		if v.pool {
			o["Status"] = "Alive"
		}
		if i == 0 {
			o["Accepted"], o["Rejected"], o["Last Share Time"] = accepted, rejected, v.shared()
			o["Stratum Active"], o["Stratum URL"] = v.pool && v.mining, strings.TrimPrefix(poolURL, "stratum+tcp://")
		}
		list = append(list, o)
	}
	return list
}

// config has the members of cgminer's.
func config() []object {
	return []object{{
		"ASC Count": boards, "PGA Count": 0, "Pool Count": 2, "Strategy": "Failover", "Log Interval": 0, "OS": "Braiins OS", "Hotplug": "None",
	}}
}

// check tells whether a command is there and allowed.
func (s *Sim) check(name string) []object {
	acts := (name == "pause" || name == "resume") && !s.q.NoPause4028
	reads := name != "" && s.report(s.view(), name, "").code != codeInvalid
	return []object{{"Exists": letter(acts || reads), "Access": letter(reads || acts && !s.q.Denies4028)}}
}

func letter(yes bool) string {
	if yes {
		return "Y"
	}
	return "N"
}

func fans4028(v view) []object {
	list := []object{}
	for i := range fans {
		list = append(list, object{"FAN": i, "ID": i, "RPM": v.rpm(), "Speed": watts(v.speed() * 100)})
	}
	return list
}

func temps(v view) []object {
	list := []object{}
	for i := range boards {
		list = append(list, object{"TEMP": i, "ID": chain(i), "Board": v.boardC(), "Chip": v.chipC()})
	}
	return list
}
