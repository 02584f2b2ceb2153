package antminer

import (
	"fmt"
	"math"
	"strings"
	"time"

	"rackagent/drivers/drivertest/miners"
)

// What the machine's physics do not give; all but the fans asleep are arbitrary.
const (
	boards       = 3
	chips        = 114 // on a board
	fans         = 4
	sleepRPM     = 960  // asleep (reported, and in a fleet product's simulator)
	fullRPM      = 5900 // at the nominal rate
	inletC       = 28.0
	boardRiseK   = 35.0 // over the inlet air at the nominal rate
	chipRiseK    = 12.0 // over the board
	nominalMHz   = 525.0
	minerVersion = "uart_trans.1.3"
	bestShare    = int64(8800123456)
	hwErrors     = 411
	accepted     = 2901
	rejected     = 7
)

// giga is GH/s in a TH/s.
const giga = 1e3

// view is what the pages and 4028 tell from: one look at the machine.
type view struct {
	miners.Truth
	spec   miners.Spec
	asleep bool
	empty  bool    // SUMMARY and STATS are
	short  float64 // TH/s over seconds
	mode   int     // in force
	load   float64 // 0 to 1 of the nominal rate
}

func (s *Server) look() view {
	t := s.m.Look()
	s.booted(t)
	t.Target = s.m.Target()
	v := view{Truth: t, spec: s.m.Spec(), asleep: t.Phase == miners.Sleeping, short: t.THs, mode: s.running()}
	averages := s.m.Has(miners.Averages)
	if averages {
		v.short = t.Average
	}
	v.empty = v.asleep && !s.q.ListsAsleep && !averages
	if v.spec.NominalTHs > 0 {
		v.load = min(1, t.THs/v.spec.NominalTHs)
	}
	return v
}

// built is the date of the firmware.
func (s *Server) built(layout string) string { return s.o.Built.In(chinaTime()).Format(layout) }

// compiled is CompileTime, as date(1) writes it.
func (s *Server) compiled() string { return s.built("Mon Jan _2 15:04:05 MST 2006") }

func (v view) model() string { return "Antminer " + strings.TrimPrefix(v.spec.Model, "Antminer ") }

func seconds(d time.Duration) int { return int(d / time.Second) }

func round(x float64) float64 { return math.Round(x*100) / 100 }

func ghs(ths float64) float64 { return round(ths * giga) }

func (v view) boardC() int { return int(math.Round(inletC + boardRiseK*v.load)) }

func (v view) chipC() int { return int(math.Round(inletC + (boardRiseK+chipRiseK)*v.load)) }

func (v view) mhz() float64 { return math.Round(nominalMHz * v.load) }

func (v view) rpm() int { return int(math.Round(sleepRPM + (fullRPM-sleepRPM)*v.load)) }

// same is a list of one value.
func same(value any, n int) []any {
	list := make([]any, n)
	for i := range list {
		list[i] = value
	}
	return list
}

// unless leaves a list empty.
func unless(empty bool, list ...any) []any {
	if empty {
		return []any{}
	}
	return list
}

func (s *Server) systemInfo(v view) map[string]any {
	m := map[string]any{
		"minertype": v.model(), "nettype": "DHCP", "netdevice": "eth0", "macaddr": v.spec.MAC, "hostname": "Antminer",
		"ipaddress": "192.0.2.10", "netmask": "255.255.255.0", "gateway": "", "dnsservers": "", "system_mode": "GNU/Linux",
		"system_kernel_version": "Linux 4.9.113", "system_filesystem_version": s.compiled(), "firmware_type": "Release",
		"Algorithm": "sha256d",
	}
	if v.spec.Serial != "" {
		m["serinum"] = v.spec.Serial
	}
	return m
}

// networkInfo has the addresses; the names of its members are by analogy, the firmware's are not documented.
func networkInfo(v view) map[string]any {
	return map[string]any{
		"nettype": "DHCP", "netdevice": "eth0", "macaddr": v.spec.MAC, "hostname": "Antminer", "ipaddress": "192.0.2.10",
		"netmask": "255.255.255.0",
	}
}

// rates are what summary.cgi and stats.cgi have in common.
func (v view) rates() map[string]any {
	return map[string]any{
		"elapsed": seconds(v.Mining), "rate_5s": ghs(v.short), "rate_30m": ghs(v.Average), "rate_avg": ghs(v.Average),
		"rate_ideal": ghs(v.Target.THs), "rate_unit": "GH/s",
	}
}

func (s *Server) summary(v view) []any {
	m := v.rates()
	m["hw_all"], m["bestshare"], m["status"] = hwErrors, bestShare, s.health()
	return unless(v.empty, m)
}

// health is status in summary.cgi.
func (s *Server) health() []any {
	faults := s.q.Faults
	if s.m.Has(miners.NoPools) {
		faults = append([]Fault{{Type: "network", Code: 1, Text: "no pool"}}, faults...)
	}
	list := []any{}
	for _, name := range []string{"rate", "network", "fans", "temp"} {
		entry := map[string]any{"type": name, "status": "s", "code": 0, "msg": ""}
		for _, f := range faults {
			if f.Type == name {
				entry = map[string]any{"type": name, "status": "e", "code": f.Code, "msg": f.Text}
			}
		}
		list = append(list, entry)
	}
	return list
}

func (s *Server) stats(v view) []any {
	m := v.rates()
	m["chain_num"], m["fan_num"], m["fan"], m["hwp_total"] = boards, fans, same(v.rpm(), fans), 0.0012
	m["miner-mode"], m["freq-level"], m["chain"] = v.mode, number(s.conf.text(keyReadLevel), 100), chains(v)
	return unless(v.empty, m)
}

func chains(v view) []any {
	list := []any{}
	for i := range boards {
		list = append(list, map[string]any{
			"index": i, "freq_avg": v.mhz(), "rate_ideal": ghs(v.Target.THs / boards), "rate_real": ghs(v.short / boards),
			"asic_num": chips, "temp_pic": same(v.boardC()-8, 4), "temp_pcb": same(v.boardC(), 4), "temp_chip": same(v.chipC(), 4),
			"hw": hwErrors / boards, "eeprom_loaded": true, "sn": fmt.Sprintf("%s-%d", v.spec.Serial, i), "hwp": 0.0012,
		})
	}
	return list
}

// poolStatus is of every pool that has an address.
func (s *Server) poolStatus(v view) string {
	switch {
	case v.asleep:
		return "Disabled"
	case s.m.Has(miners.NoPools):
		return "Dead"
	default:
		return "Alive"
	}
}

// eachPool makes a list of the pools that have an address; their index is that in the configuration.
func (s *Server) eachPool(f func(i int, p pool) map[string]any) []any {
	list := []any{}
	all, _ := s.conf.pools()
	for i, p := range all {
		if p.URL != "" {
			list = append(list, f(i, p))
		}
	}
	return list
}

func (s *Server) pools(v view) []any {
	return s.eachPool(func(i int, p pool) map[string]any {
		return map[string]any{
			"index": i, "url": p.URL, "user": p.User, "status": s.poolStatus(v), "priority": i, "accepted": shares(i, accepted),
			"rejected": shares(i, rejected), "stale": 0,
		}
	})
}

// shares all go to the first pool.
func shares(i, n int) int {
	if i > 0 {
		return 0
	}
	return n
}
