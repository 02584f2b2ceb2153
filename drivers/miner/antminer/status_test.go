package antminer

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	about = `"STATUS":{"STATUS":"S","when":1755700000,"Msg":"x","api_version":"1.0.0"},` +
		`"INFO":{"miner_version":"uart_trans.1.3","CompileTime":"Tue Dec  6 16:12:30 CST 2022","type":"Antminer S19 Pro"},`
	health = `"status":[{"type":"rate","status":"s","code":0,"msg":""},{"type":"network","status":"s","code":0,"msg":""},` +
		`{"type":"fans","status":"s","code":0,"msg":""},{"type":"temp","status":"s","code":0,"msg":""}]`
	rates = `"elapsed":36120,"rate_5s":108211.40,"rate_30m":109874.05,"rate_avg":109930.12,"rate_ideal":110000.0,"rate_unit":"GH/s",`
	old   = `{"STATUS":[{"STATUS":"S","When":1755700000,"Code":70,"Msg":"x","Description":"cgminer 1.0.0"}],`
)

// pages are composed after the shapes of recorded replies: an S19 Pro with its second board out.
func pages() map[string]string {
	return map[string]string{
		pageInfo: `{"minertype":"Antminer S19 Pro","nettype":"DHCP","macaddr":"02:00:5E:00:00:09","hostname":"Antminer","ipaddress":"192.0.2.10",` +
			`"system_filesystem_version":"Tue Dec  6 16:12:30 CST 2022","firmware_type":"Release","serinum":"SN9","Algorithm":"sha256d"}`,
		pageConf:    config,
		pageSummary: `{` + about + `"SUMMARY":[{` + rates + `"hw_all":411,"bestshare":8800123456,` + health + `}]}`,
		pageStats: `{` + about + `"STATS":[{` + rates + `"chain_num":3,"fan_num":4,"fan":[5910,5870,"4980",0],"hwp_total":0.0012,"miner-mode":0,"freq-level":100,"chain":[` +
			`{"index":0,"freq_avg":520,"rate_ideal":36666.7,"rate_real":36480.75,"asic_num":114,"temp_pic":[60,34,52,53],"temp_pcb":[70,44,62,63],"temp_chip":[75,49,67,68],"hw":120,"eeprom_loaded":true,"sn":"BRD0","hwp":0.001},` +
			`{"index":1,"rate_real":0,"asic_num":0,"temp_pic":[0,0,0,0],"temp_pcb":[0,0,0,0],"temp_chip":[0,0,0,0],"eeprom_loaded":false,"sn":""},` +
			`{"index":"2","rate_real":"36480.75","asic_num":"114","temp_pcb":["70","44"],"temp_chip":[75.5]}]}]}`,
		pagePools: `{` + about + `"POOLS":[{"index":0,"url":"stratum+tcp://pool.example:3333","user":"acct.r1","status":"Alive","priority":0,"accepted":2901},` +
			`{"index":1,"url":"stratum+tcp://b.example:3333","user":"acct.r1","status":"Dead"},{"index":2,"url":"","user":"","status":"Dead"},{"index":3,"url":"c"}]}`,
	}
}

// reader is the reports of 4028 of an older unit, whose boards are numbered from 6.
func reader() map[string]string {
	return map[string]string{
		pageInfo:   `{"minertype":"Antminer S9","macaddr":"02-00-5e-00-00-08","system_filesystem_version":"Fri Nov 17 17:57:49 CST 2017"}`,
		oldVersion: old + `"VERSION":[{"BMMiner":"2.0.0","API":"3.1","Miner":"16.8.1.3","CompileTime":"Fri Nov 17 17:57:49 CST 2017","Type":"Antminer S9"}],"id":1}`,
		oldSummary: old + `"SUMMARY":[{"Elapsed":36120,"GHS 5s":"13711.40","GHS av":13650.12,"Hardware Errors":411,"Pool Rejected%":0.0}],"id":1}`,
		oldStats: old + `"STATS":[{"BMMiner":"2.0.0","Type":"Antminer S9"}{"STATS":0,"ID":"BC50","Elapsed":36120,"GHS 5s":13711.40,"fan_num":2,"fan1":0,"fan2":0,"fan3":5910,"fan4":0,"fan5":0,"fan6":5870,` +
			`"temp_pcb6":"70-44-62-63","temp_chip6":"75-49-67-68","temp_pic6":"80-34-52-53","temp_chip7":"0-0-0-0","temp_chip8":"-3-0--5-1","chain_rate6":"4580.75","chain_rate7":"","chain_rate8":"",` +
			`"chain_acn1":0,"chain_acn6":63,"chain_acn7":0,"chain_acn8":60,"chain_acs6":" oooooooo ","total_rateideal":13500.0,"rate_unit":"GH","chain_power":"1372.5 W"}],"id":1}`,
		oldPools: old + `"POOLS":[{"POOL":0,"URL":"stratum+tcp://pool.example:3333","User":"acct.r1","Status":"Alive","Pool Stale%%":0.0}],"id":1}`,
	}
}

func asleepPages() map[string]string {
	p := pages()
	p[pageConf] = strings.Replace(config, `"bitmain-work-mode":"0"`, `"bitmain-work-mode":"1"`, 1)
	p[pageSummary], p[pageStats] = `{`+about+`"SUMMARY":[]}`, `{`+about+`"STATS":[]}`
	p[pagePools] = strings.ReplaceAll(strings.ReplaceAll(p[pagePools], "Alive", "Disabled"), "Dead", "Disabled")
	return p
}

// changed are replies with one of them in other words.
func changed(texts map[string]string, name string, words ...string) map[string]string {
	out := maps.Clone(texts)
	out[name] = strings.NewReplacer(words...).Replace(out[name])
	return out
}

func decoded(t *testing.T, texts map[string]string) reports {
	t.Helper()
	got := reports{}
	for name, text := range texts {
		o, _, err := reportOf(name, []byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got[name] = o
	}
	return got
}

// TestStatusOf compares what is made of replies with golden files. Read them as an operator would.
func TestStatusOf(t *testing.T) {
	for name, c := range map[string]struct {
		texts map[string]string
		x     extras
	}{
		"mining":  {pages(), extras{}},
		"asleep":  {asleepPages(), extras{`{"error_message":"None"}`, "error 6060 cmd"}},
		"old":     {reader(), extras{}},
		"nothing": {nil, extras{}},
		"fault": {
			changed(pages(), pageSummary, `"rate_5s":108211.40`, `"rate_5s":0`, `"fans","status":"s","code":0,"msg":""`, `"fans","status":"e","code":3,"msg":"fan\u001b lost"`),
			extras{`{"error_message":"P:2"}`, "miner_power:3250"},
		},
	} {
		s := statusOf(decoded(t, c.texts), c.x)
		b, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", name+".golden.json")
		if *update {
			if err := os.WriteFile(path, append(b, '\n'), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil || string(want) != string(b)+"\n" {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, b, want)
		}
	}
}

// TestState: neither the configuration nor a rate makes a state alone, and an average none at all.
func TestState(t *testing.T) {
	conf := func(mode string) func(map[string]string) map[string]string {
		return func(p map[string]string) map[string]string {
			return changed(p, pageConf, `"bitmain-work-mode":"0"`, `"bitmain-work-mode":`+mode)
		}
	}
	runs := func(mode string) func(map[string]string) map[string]string {
		return func(p map[string]string) map[string]string {
			member := `"miner-mode":` + mode + `,`
			if mode == "" {
				member = ""
			}
			return changed(p, pageStats, `"miner-mode":0,`, member)
		}
	}
	rate := func(ghs string) func(map[string]string) map[string]string {
		return func(p map[string]string) map[string]string {
			return changed(changed(p, pageSummary, `"rate_5s":108211.40`, `"rate_5s":`+ghs), pageStats, `"rate_5s":108211.40`, `"rate_5s":`+ghs)
		}
	}
	word := func(name string, words ...string) func(map[string]string) map[string]string {
		return func(p map[string]string) map[string]string { return changed(p, name, words...) }
	}
	bad := func(kind string) func(map[string]string) map[string]string {
		return word(pageSummary, `"`+kind+`","status":"s"`, `"`+kind+`","status":"e"`)
	}
	for name, c := range map[string]struct {
		in   []func(map[string]string) map[string]string
		want miner.State
		mode string
	}{
		"mining":                            {nil, miner.Mining, "0"},
		"low":                               {in(conf(`"3"`), runs("3"), rate("70000")), miner.Mining, "3"},
		"asleep, its lists kept":            {in(conf(`"1"`), runs("1"), rate("0")), miner.Asleep, "1"},
		"asleep, its short rate an average": {in(conf(`"1"`), runs("1")), miner.Asleep, "1"},
		"asleep, as texts":                  {in(conf(`1`), runs(`"1"`), rate(`"0"`)), miner.Asleep, "1"},
		"told to sleep, and goes on":        {in(conf(`"1"`), runs("0")), miner.Mining, "0"},
		"told to sleep, stands, and says otherwise": {in(conf(`"1"`), runs("0"), rate("0")), miner.Unknown, "0"},
		"told to sleep, and stands":                 {in(conf(`"1"`), runs(""), rate("0")), miner.Asleep, "1"},
		"told to sleep, and falls":                  {in(conf(`"1"`), runs(""), rate("90")), miner.Unknown, "1"},
		"told to sleep, and hashes":                 {in(conf(`"1"`), runs("")), miner.Mining, "1"},
		"told to wake, and still sleeps":            {in(runs("1"), rate("0")), miner.Asleep, "1"},
		"a number that nobody knows, and it stands": {in(conf(`"5"`), runs("5"), rate("0")), miner.Unknown, "5"},
		"a number that nobody knows, and it hashes": {in(conf(`"5"`), runs("5")), miner.Mining, "5"},
		"starting":                        {in(rate("0")), miner.Starting, "0"},
		"starting, which is no fault":     {in(rate("0"), bad("rate")), miner.Starting, "0"},
		"no pool":                         {in(rate("0"), bad("network"), word(pagePools, "Alive", "Dead", `"url":"c"`, `"url":""`)), miner.Idle, "0"},
		"a fan":                           {in(rate("0"), bad("fans")), miner.Faulty, "0"},
		"a fan, and it hashes":            {in(bad("fans")), miner.Mining, "0"},
		"no lists, and told to mine":      {in(word(pageSummary, `[{`+rates, `[],"x":[{`), word(pageStats, `[{`+rates, `[],"x":[{`)), miner.Unknown, "0"},
		"no rate in a unit that is known": {in(word(pageSummary, "GH/s", "Sol/s"), word(pageStats, "GH/s", "Sol/s")), miner.Unknown, "0"},
		"the configuration cannot be read as a mode": {in(conf(`"sleep"`), runs("")), miner.Mining, "sleep"},
	} {
		texts := pages()
		for _, change := range c.in {
			texts = change(texts)
		}
		if s := statusOf(decoded(t, texts), extras{}); s.State != c.want || s.Mode != c.mode {
			t.Errorf("%s: %s in mode %q, want %s", name, s.State, s.Mode, c.want)
		}
	}
}

func in(changes ...func(map[string]string) map[string]string) []func(map[string]string) map[string]string {
	return changes
}

// TestUnits: TH/s, whatever the unit says; and watts in the forms that some builds have.
func TestUnits(t *testing.T) {
	for unit, want := range map[string]float64{"GH/s": 108.2, "GH": 108.2, " gh/s ": 108.2, "": 108.2, "MH/s": 0.1082, "TH/s": 108200, "PH/s": 108200e3, "KH/s": 108200e-9} {
		if got := rpc.UnitRate(rpc.Object{"rate_unit": unit, "r": json.Number("108200")}, "r"); got == nil || *got < want*0.999 || *got > want*1.001 {
			t.Errorf("%q: %v", unit, got)
		}
	}
	for _, o := range []rpc.Object{{}, {"r": ""}, {"r": "-1"}, {"r": "1", "rate_unit": "H"}, {"r": "inf"}, {"r": "1e308", "rate_unit": "PH/s"}} {
		if got := rpc.UnitRate(o, "r"); got != nil {
			t.Errorf("%v: %g", o, *got)
		}
	}
	for _, o := range []rpc.Object{{"chain_power": "3250 W"}, {"power": json.Number("3250")}, {"Power": "3250"}, {"watt": "3250W"}, {"total_power": json.Number("3250")}, {"power": "0", "watt": " 3250 "}} {
		if p := powerOf("", o); p == nil || p.W != 3250 || p.Source != miner.Estimated {
			t.Errorf("%v: %+v", o, p)
		}
	}
	for extra, want := range map[string]float64{"miner_power:3250": 3250, "{\"a\":1}:3250.5": 3250.5, "error 6060 cmd": 0, "": 0, "miner_power:": 0, "miner_power:0": 0, "miner_power:-5": 0, "miner_power:1e9": 0, "x:nan": 0} {
		if p := powerOf(extra); (p == nil) != (want == 0) || p != nil && p.W != want {
			t.Errorf("%q: %+v", extra, p)
		}
	}
}

// TestReportOf: what is no page of that name is an error, and never an empty page.
func TestReportOf(t *testing.T) {
	for text, want := range map[string]drivers.Fault{
		`{"STATS":[]}`: drivers.None, `{"STATUS":{"STATUS":"I"},"STATS":[{}]}`: drivers.None, "{\"STATS\":[{\"a\":inf,}]}\x00": drivers.None,
		`{}`: drivers.Corrupt, `{"STATS":{}}`: drivers.Corrupt, `{"SUMMARY":[]}`: drivers.Corrupt, `<html>`: drivers.Corrupt, ``: drivers.Corrupt,
		`{"STATUS":{"STATUS":"E","Msg":"x"},"STATS":[]}`:                    drivers.Refused,
		`{"STATUS":[{"STATUS":"E","Code":14,"Msg":"Invalid"}],"STATS":[]}`:  drivers.Unsupported,
		"Socket connect failed: Connection refused\n":                       drivers.Refused,
		`{"STATUS":[{"STATUS":"E","Code":45,"Msg":"denied"}],"STATS":[{}]}`: drivers.Locked,
	} {
		if o, f, err := reportOf(pageStats, []byte(text)); f != want || (err == nil) != (want == drivers.None) || (o == nil) != (err != nil) {
			t.Errorf("%s: %v, %s, %v", text, o, f, err)
		}
	}
}

// FuzzStatus: nothing is invented, and all of it is for people and for JSON.
func FuzzStatus(f *testing.F) {
	for _, p := range []map[string]string{pages(), asleepPages()} {
		f.Add([]byte(p[pageInfo]), []byte(p[pageConf]), []byte(p[pageSummary]), []byte(p[pageStats]), []byte(p[pagePools]))
	}
	f.Add([]byte(`{}`), []byte(`{"miner-mode":1}`), []byte(`{"SUMMARY":[{"rate_5s":"1e308","rate_unit":"PH/s"}]}`), []byte(`{"STATS":[{"chain":[1,{}],"fan":1,"fan_num":-1}]}`), []byte(`{"POOLS":[{"url":1}]}`))
	f.Fuzz(func(t *testing.T, info, conf, summary, stats, pools []byte) {
		got := reports{}
		for name, raw := range map[string][]byte{pageInfo: info, pageConf: conf, pageSummary: summary, pageStats: stats, pagePools: pools} {
			o, fault, err := reportOf(name, raw)
			if (o == nil) == (err == nil) || (fault == drivers.None) != (err == nil) {
				t.Fatalf("%s: %v, %s, %v", name, o, fault, err)
			}
			got[name] = o
		}
		s := statusOf(got, extras{string(summary), string(stats)})
		honest(t, s)
		if got[pageSummary] == nil && got[pageStats] == nil && (s.Hashrate != nil || s.Average != nil || s.Nominal != nil || s.State != miner.Unknown) {
			t.Errorf("invented: %+v", s)
		}
	})
}

// FuzzOldStatus does so for 4028.
func FuzzOldStatus(f *testing.F) {
	r := reader()
	f.Add([]byte(r[oldSummary]), []byte(r[oldStats]), []byte(r[oldPools]), []byte(r[oldVersion]))
	f.Add([]byte(`{"SUMMARY":[{"MHS 1m":1}]}`), []byte(`{"STATS":[]}`), []byte(`{"POOLS":[]}`), []byte(`{"VERSION":{}}`))
	f.Fuzz(func(t *testing.T, summary, stats, pools, version []byte) {
		got := reports{}
		for name, raw := range map[string][]byte{oldSummary: summary, oldStats: stats, oldPools: pools, oldVersion: version} {
			if o, _, err := reportOf(name, raw); err == nil {
				got[name] = o
			}
		}
		s := statusOf(got, extras{})
		honest(t, s)
		if got[oldSummary] == nil && got[oldStats] == nil && (s.Hashrate != nil || s.Average != nil || s.Power != nil || s.Boards != nil) {
			t.Errorf("invented: %+v", s)
		}
	})
}

// honest holds a status against what any has to be.
func honest(t *testing.T, s miner.Status) {
	t.Helper()
	switch {
	case s.State == miner.Mining && s.Hashrate == nil, s.Hashrate != nil && (s.Hashrate.Window == 0 || s.Hashrate.THs < 0):
		t.Errorf("a rate: %+v", s)
	case s.Power != nil && !(s.Power.W > 0 && s.Power.Source == miner.Estimated), s.LimitW != nil:
		t.Errorf("watts: %+v", s)
	case s.Uptime != nil && *s.Uptime < 0, s.Nominal != nil && *s.Nominal <= 0, len(s.Errors) > maxTroubles+1:
		t.Errorf("%+v", s)
	}
	texts := []string{s.Model, s.Firmware, s.API, s.Serial, s.MAC, s.Mode}
	for _, e := range s.Errors {
		texts = append(texts, e.Code, e.Text)
	}
	for _, b := range s.Boards {
		texts = append(texts, b.ID, b.Serial)
	}
	for _, p := range s.Pools {
		texts = append(texts, p.URL)
	}
	for _, text := range texts {
		if strings.ContainsFunc(text, unicode.IsControl) || len([]rune(text)) > 200 {
			t.Errorf("not for people: %q", text)
		}
	}
	if _, err := json.Marshal(s); err != nil {
		t.Error(err)
	}
}
