package antminer

import (
	"cmp"
	"slices"
	"strings"

	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

// identity is the model and the firmware: of the pages its date as a text, of 4028 the time that it was compiled at.
func identity(got reports) (model, firmware string) {
	info, version := got[pageInfo], got[oldVersion].Object("VERSION")
	about := got[pageSummary].Object("INFO")
	if about == nil {
		about = got[pageStats].Object("INFO")
	}
	model = rpc.Plain(cmp.Or(info.Text("minertype"), about.Text("type"), version.Text("Type")))
	return model, rpc.Plain(cmp.Or(info.Text("system_filesystem_version"), about.Text("CompileTime"), version.Text("CompileTime")))
}

// statusOf puts a status together from the reports that there are. A page goes before the report of 4028 that it stands for.
func statusOf(got reports, x extras) miner.Status {
	info := got[pageInfo]
	s := miner.Status{Serial: rpc.Plain(info.Text("serinum")), MAC: rpc.MAC(info.Text("macaddr"))}
	s.Model, s.Firmware = identity(got)
	for _, page := range [...]string{pageSummary, pageStats, pagePools} {
		s.API = cmp.Or(s.API, rpc.Plain(got[page].Object("STATUS").Text("api_version")))
	}
	summary, stats := got[pageSummary].Object("SUMMARY"), got[pageStats].Object("STATS")
	oldStats, told := rpc.Merged(got[oldStats].List("STATS")), modes{
		config: configured(got[pageConf]), empty: empty(got[pageStats], "STATS") || got[pageStats] == nil && empty(got[oldStats], "STATS"),
	}
	ratesOf(&s, summary, stats)
	rpc.Rates(&s, got[oldSummary].Object("SUMMARY"), oldStats)
	unitsOf(&s, stats)
	if stats == nil {
		rpc.Units(&s, oldStats)
	}
	s.Power = powerOf(x.power, stats, oldStats)
	s.Pools = rpc.Pools(got[pagePools].List("POOLS"), "url", "status")
	if got[pagePools] == nil {
		s.Pools = rpc.Pools(got[oldPools].List("POOLS"), "URL", "Status")
	}
	var causes []miner.Trouble
	s.Errors, causes = troublesOf(summary.List("status"), x.warning)
	told.runs = cmp.Or(runningMode(stats), runningMode(oldStats))
	s.Mode = cmp.Or(told.runs, told.config)
	s.State = judge(s, told, causes)
	return s
}

// modes are what tells whether a unit sleeps.
type modes struct {
	config string // that was written; empty: it does not say
	runs   string // that is in force; empty: it does not say
	empty  bool   // the statistics are: the mining process shows no board
}

// configured is the mode of the configuration, in whatever words.
func configured(conf rpc.Object) string {
	mode := cmp.Or(conf.Text(keyWork), conf.Text(keyMiner))
	if n, ok := modeOf(mode); ok {
		return n
	}
	return rpc.Plain(mode)
}

// runningMode is that of the statistics.
func runningMode(stats rpc.Object) string {
	mode, _ := modeOf(stats.Text(keyMiner))
	return mode
}

// asleep is what the unit was told and does not contradict; nil: it is not known. A configuration alone proves only that it was
// written. A number that nobody knows may be a sleep: one client takes 5 for no mining.
func (m modes) asleep(rate *miner.Hashrate) *bool {
	yes, no := true, false
	still := m.empty || rate != nil && rate.THs == 0
	switch {
	case m.runs == ModeSleep, m.config == ModeSleep && m.runs == "" && still:
		return &yes
	case m.config == ModeSleep:
		return nil
	case slices.Contains([]string{ModeNormal, "2", ModeLow}, cmp.Or(m.runs, m.config)):
		return &no
	}
	return nil
}

// judge is miner.Judge, to which only troubles count that are causes.
func judge(s miner.Status, told modes, causes []miner.Trouble) miner.State {
	s.Errors = causes
	return miner.Judge(&s, told.asleep(s.Hashrate))
}

// empty tells a list that is there and has nothing in it, as of a unit that sleeps (MiningOS worker; reported by users).
func empty(o rpc.Object, list string) bool {
	all, there := o[list].([]any)
	return there && len(all) == 0
}

// maxTroubles bounds the list. Arbitrary: more than a person reads.
const maxTroubles = 32

// troublesOf reads the health of the summary, and the warning of port 6060. A low rate and a lost network are no causes for
// standing still: the first is what standing still is, and the second shows in the pools.
func troublesOf(health []rpc.Object, warning string) (all, causes []miner.Trouble) {
	for _, h := range health[:min(len(health), maxTroubles)] {
		if word := h.Text("status"); word == "" || word == "s" {
			continue
		}
		t := miner.Trouble{Code: rpc.Plain(strings.TrimSpace(h.Text("type") + " " + h.Text("code"))), Text: rpc.Plain(h.Text("msg"))}
		all = append(all, t)
		if kind := h.Text("type"); kind != "rate" && kind != "network" {
			causes = append(causes, t)
		}
	}
	o, err := rpc.Decode([]byte(warning))
	if code := rpc.Plain(o.Text("error_message")); err == nil && code != "" && !strings.EqualFold(code, "none") {
		all, causes = append(all, miner.Trouble{Code: code}), append(causes, miner.Trouble{Code: code})
	}
	return all, causes
}
