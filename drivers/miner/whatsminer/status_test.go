package whatsminer

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

var update = flag.Bool("update", false, "write the golden files anew")

// wrap is the envelope of newer builds.
func wrap(msg string) string {
	return `{"STATUS":"S","When":1755700000,"Code":131,"Msg":` + msg + `,"Description":""}`
}

const sumV2 = `{"MHS av":125000000.0,"MHS 5s":124000000.0,"MHS 1m":124900000.0,"HS RT":124500000.0,"Power":3200,"Power Limit":3300,"Power Mode":"Normal",` +
	`"Elapsed":25000,"Uptime":25500,"Chip Temp Avg":72.5,"Fan Speed In":5400,"Fan Speed Out":5280,"Env Temp":28.5,"Factory GHS":126000,"Hash Stable":true,` +
	`"Upfreq Complete":1,"MAC":"02:00:5E:00:00:07"}`

// repliesV2 are composed after the shapes of WhatsminerAPI 2.0.5: an M56S of 2023.
func repliesV2() map[string]string {
	return map[string]string{
		"status": wrap(`{"mineroff":"false","mineroff_reason":"","mineroff_time":"","FirmwareVersion":"20230803.11.REL","power_mode":"Normal","power_limit_set":"3400",` +
			`"hash_percent":"100"}`),
		"summary":        wrap(`{"SUMMARY":[` + sumV2 + `]}`),
		"get_version":    wrap(`{"api_ver":"2.0.5","fw_ver":"20230803.11.REL","platform":"H616","chip":"K9AS01"}`),
		"devdetails":     wrap(`{"DEVDETAILS":[{"DEVDETAILS":0,"Name":"SM","ID":0,"Driver":"bitmicro","Model":"M56S_VH30"}]}`),
		"get_miner_info": wrap(`{"ip":"192.0.2.7","mac":"02:00:5E:00:00:07","hostname":"r1-07","ledstat":"auto"}`),
		"get_error_code": wrap(`{"error_code":[]}`),
		"pools": wrap(`{"POOLS":[{"POOL":1,"URL":"stratum+tcp://pool.example:3333","Status":"Alive","User":"acct.r1"},{"POOL":2,"URL":"","Status":"Dead"},` +
			`{"POOL":3,"URL":"stratum+tcp://b.example:3333","Status":"Dead","User":"acct.r1"}]}`),
		"edevs": wrap(`{"DEVS":[{"ASC":0,"Slot":0,"Enabled":"Y","Status":"Alive","Temperature":70.5,"MHS av":41600000.0,"MHS 5s":41500000.0,"Effective Chips":144,` +
			`"Chip Temp Max":88.1,"PCB SN":"HEM1","Factory GHS":42000},{"ASC":1,"Slot":1,"Status":"Alive","MHS av":41600000.0,"Effective Chips":144}]}`),
	}
}

func with(replies, changes map[string]string) map[string]string {
	out := maps.Clone(replies)
	maps.Copy(out, changes)
	return out
}

func swap(text string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(text) }

// casesV2 are a unit in its states, and older builds.
func casesV2() map[string]map[string]string {
	r := repliesV2()
	starting := swap(r["summary"], `"HS RT":124500000.0`, `"HS RT":1200000.0`, `"Upfreq Complete":1`, `"Upfreq Complete":0`, `"Elapsed":25000`, `"Elapsed":90`)
	return map[string]map[string]string{
		"v2-mining": r,
		"v2-asleep": with(r, map[string]string{
			"status": swap(r["status"], `"mineroff":"false"`, `"mineroff":"true"`),
			"summary": swap(r["summary"], `"HS RT":124500000.0`, `"HS RT":0`, `"Power":3200`, `"Power":13`, `"Power Limit":3300`, `"Power Limit":0`,
				`"Upfreq Complete":1`, `"Upfreq Complete":0`),
			"edevs": wrap(`{"DEVS":[{"Slot":0,"Status":"Initialising","Effective Chips":0,"MHS 5s":0}]}`),
		}),
		"v2-asleep-empty": {"status": swap(r["status"], `"mineroff":"false"`, `"mineroff":true`), "summary": wrap(`{"SUMMARY":[]}`)},
		"v2-starting": with(r, map[string]string{
			"summary": starting, "get_error_code": wrap(`{"error_code":[{"218":"2024-06-15 10:30:00"},{"540":"2024-06-15 10:31:00","reason":"Slot0 chip"}]}`),
			"pools": swap(r["pools"], "Alive", "Dead"),
		}),
		"v2-fault": with(r, map[string]string{
			"summary":        swap(starting, `"Elapsed":90`, `"Elapsed":9000`),
			"get_error_code": `{"STATUS":"S","When":1755700000,"Code":131,"Msg":{"error_code":["218":"2024-06-15 10:30:00"]},"Description":""}`,
		}),
		"v2-no-pool": with(r, map[string]string{
			"summary": swap(r["summary"], `"HS RT":124500000.0`, `"HS RT":0`), "pools": swap(r["pools"], "Alive", "Dead"),
		}),
		"v2-old": {
			"status": `{"STATUS":[{"STATUS":"S","Msg":"ok"}],"Msg":{"btmineroff":"false","Firmware Version":""20200917.22.REL""},"id":1}`,
			"summary": `{"STATUS":[{"STATUS":"S","Msg":"Summary"}],"SUMMARY":[{"Elapsed":"600","MHS av":"68000000.5","MHS 1m":"67900000","Power":"3344","Power Mode":"normal",` +
				`"Temperature":78.00,"Fan Speed In":"5010.5","Error Code Count":2,"Error Code 0":"218","Error Code 1":541,"Error Code 2":999,"MAC":"02-00-5E-00-00-08"}],"id":1}`,
			"edevs": `{"STATUS":[{"STATUS":"S","Msg":"1 ASC(s)"}],"DEVS":[{"ASC":0,"MHS av":68000000,"MHS 1m":67900000,"Temperature":78.00,"Upfreq Complete":1}],"id":1}`,
		},
		// An M20 whose other program mines: the numbers are recorded (asic-rs, whatsminer v1.4.0).
		"v2-cgminer-mines": {
			"status": `{"Code":131,"Description":"whatsminer v1.4.0","Msg":{"Firmware Version":"'20210322.22.REL'","btmineroff":"true"},"STATUS":"S","When":1761061371}`,
			"summary": `{"STATUS":[{"Code":11,"Description":"cgminer 4.9.2","STATUS":"S","Msg":"Summary"}],"SUMMARY":[{"Elapsed":10154,"Factory GHS":68796,` +
				`"HS RT":67394800.97,"MHS 5s":70668114.52,"MHS 1m":67439352.49,"MHS 5m":67394800.97,"MHS av":67753251.19,"Power":3417,"Power Limit":3500,"Power Mode":"Normal"}],"id":1}`,
		},
		"v2-btminer-off": {
			"status":  `{"Code":131,"Description":"whatsminer v1.3","Msg":{"Firmware Version":"'20210109.22.REL'","btmineroff":"true"},"STATUS":"S","When":1761061371}`,
			"summary": `{"STATUS":[{"Code":11,"STATUS":"S","Msg":"Summary"}],"SUMMARY":[{"Elapsed":10,"Factory GHS":68796,"HS RT":0,"MHS av":67753251.19,"Power":12}],"id":1}`,
		},
		"v2-status-alone": {"status": `{"STATUS":"S","Code":131,"Msg":{"Firmware Version":"'20200917.22.REL'"}}`},
	}
}

const infoV3 = `{"code":0,"when":1755700000,"msg":{"network":{"mac":"02:00:5E:00:00:07","hostname":"r1-07"},"miner":{"working":"true","type":"M60S_VK40",` +
	`"fast-boot":"disable","hash-percent":"","miner-sn":"HTM60X"},"system":{"api":"3.0.2","fwversion":"20251209.16.Rel2","apiswitch":"1","ledstatus":"auto"},` +
	`"power":{"mode":"1","model":"P564B","fanspeed":"5120.5","pin":3410},"salt":"5QAHiKMb","error-code":[]},"desc":"get.device.info"}`

func wrapV3(msg string) string {
	return `{"code":0,"when":1755700000,"msg":` + msg + `,"desc":"get.miner.status"}`
}

// repliesV3 are composed after the shapes of WhatsminerAPI 3.0: an M60S of 2025.
func repliesV3() map[string]string {
	return map[string]string{
		"info": infoV3,
		"summary": wrapV3(`{"summary":{"elapsed":1074,"bootup-time":1175,"freq-avg":788,"factory-hash":186.5,"hash-average":184.25,"hash-1min":185.125,"hash-15min":184.5,` +
			`"hash-realtime":186.0625,"power-rate":18.4,"power-5min":3419.5,"power-realtime":3420,"environment-temperature":28.25,"board-temperature":[60.5,61,62.25],` +
			`"chip-temp-max":84.5,"power-limit":3600,"up-freq-finish":1,"fan-speed-in":4980,"fan-speed-out":5070}}`),
		"edevs": wrapV3(`{"edevs":[{"id":0,"slot":0,"hash-average":61.5,"factory-hash":62,"effective-chips":148,"freq":788,"chip-temp-max":83.5},` +
			`{"id":1,"hash-average":61.5,"hash-1min":"61.25","effective-chips":"148","chip-temp-max":84.5},{"id":2,"effective-chips":147}]}`),
		"pools": wrapV3(`{"pools":[{"id":1,"url":"stratum+tcp://pool.example:3333","account":"acct.r1","status":"alive","stratum-active":true},` +
			`{"id":2,"url":"stratum+tcp://b.example:3333","account":"acct.r1","status":"dead"}]}`),
	}
}

func casesV3() map[string]map[string]string {
	r := repliesV3()
	starting := swap(r["summary"], `"hash-realtime":186.0625`, `"hash-realtime":2.5`, `"up-freq-finish":1`, `"up-freq-finish":0`)
	odd := `"error-code":[541,"218",{"531":"2025-03-12 14:52:35","reason":"Slot1 not found."},{"reason":"alone"},["x"],null]`
	return map[string]map[string]string{
		"v3-mining": r,
		"v3-asleep": {
			"info":    swap(infoV3, `"working":"true"`, `"working":"false"`, `"mode":"1"`, `"mode":"0"`),
			"summary": swap(r["summary"], `"hash-realtime":186.0625`, `"hash-realtime":0`, `"power-realtime":3420`, `"power-realtime":13`, `"power-limit":3600`, `"power-limit":0`),
		},
		"v3-starting": with(r, map[string]string{"info": swap(infoV3, `"error-code":[]`, odd), "summary": starting}),
		"v3-fault": with(r, map[string]string{
			"info": swap(infoV3, `"error-code":[]`, `"error-code":"btminer is not running"`, `"mode":"1"`, `"mode":7`), "summary": swap(starting, `"elapsed":1074`, `"elapsed":1800`),
		}),
		"v3-info-alone": {"info": `{"code":"0","msg":{}}`},
	}
}

func decodedBy(t *testing.T, decode func([]byte) (rpc.Object, drivers.Fault, error), texts map[string]string) map[string]rpc.Object {
	t.Helper()
	got := map[string]rpc.Object{}
	for name, text := range texts {
		o, f, err := decode([]byte(text))
		if err != nil {
			t.Fatalf("%s: %s, %v", name, f, err)
		}
		got[name] = o
	}
	return got
}

// TestStatusOf compares what is made of replies with golden files. Read them as an operator would.
func TestStatusOf(t *testing.T) {
	got := map[string]miner.Status{}
	for name, texts := range casesV2() {
		got[name] = statusV2(decodedBy(t, reportV2, texts))
	}
	for name, texts := range casesV3() {
		got[name] = statusV3(decodedBy(t, reportV3, texts))
	}
	for name, s := range got {
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

// TestStates: the golden files hold what is meant, whoever wrote them anew.
func TestStates(t *testing.T) {
	for name, want := range map[string]miner.State{
		"v2-mining": miner.Mining, "v2-asleep": miner.Asleep, "v2-asleep-empty": miner.Asleep, "v2-starting": miner.Starting, "v2-fault": miner.Faulty,
		"v2-no-pool": miner.Idle, "v2-old": miner.Mining, "v2-status-alone": miner.Unknown, "v2-cgminer-mines": miner.Mining, "v2-btminer-off": miner.Asleep,
	} {
		if s := statusV2(decodedBy(t, reportV2, casesV2()[name])); s.State != want {
			t.Errorf("%s: %s, want %s", name, s.State, want)
		}
	}
	for name, want := range map[string]miner.State{
		"v3-mining": miner.Mining, "v3-asleep": miner.Asleep, "v3-starting": miner.Starting, "v3-fault": miner.Faulty, "v3-info-alone": miner.Unknown,
	} {
		if s := statusV3(decodedBy(t, reportV3, casesV3()[name])); s.State != want {
			t.Errorf("%s: %s, want %s", name, s.State, want)
		}
	}
}

// TestNumbers: the units, of one reply each.
func TestNumbers(t *testing.T) {
	s := statusV2(decodedBy(t, reportV2, repliesV2()))
	if s.Hashrate.THs != 124.5 || s.Average.THs != 125 || *s.Nominal != 126 || s.Power.W != 3200 || s.Power.Source != miner.Measured || *s.LimitW != 3300 {
		t.Errorf("v2: %+v", s)
	}
	if jth := s.JTH(); jth == nil || *jth < 25.70 || *jth > 25.71 {
		t.Errorf("v2: %v J/TH", jth)
	}
	if *s.Uptime != 25000*time.Second || *s.Running != 25500*time.Second || s.Boards[1].THs != nil || *s.Boards[0].THs != 41.5 {
		t.Errorf("v2: %+v", s)
	}
	s = statusV3(decodedBy(t, reportV3, repliesV3()))
	if s.Hashrate.THs != 186.0625 || s.Average.THs != 184.25 || *s.Nominal != 186.5 || s.Power.W != 3420 || s.Mode != "normal" || *s.Uptime != 1074*time.Second {
		t.Errorf("v3: %+v", s)
	}
}

func TestTroubles(t *testing.T) {
	for text, want := range map[string][]miner.Trouble{
		`{}`:                      nil,
		`{"e":null}`:              nil,
		`{"e":""}`:                nil,
		`{"e":[]}`:                nil,
		`{"e":{}}`:                nil,
		`{"e":541}`:               {{Code: "541"}},
		`{"e":"541"}`:             {{Code: "541"}},
		`{"e":"btminer is down"}`: {{Text: "btminer is down"}},
		`{"e":[{"218":"2024-06-15 10:30:00"},{"219":7}]}`:                  {{Code: "218", Text: "2024-06-15 10:30:00"}, {Code: "219", Text: "7"}},
		`{"e":["218":"2024-06-15 10:30:00","219":"x"]}`:                    {{Code: "218", Text: "2024-06-15 10:30:00"}, {Code: "219", Text: "x"}},
		`{"e":[541,"542",{"543":"text","reason":"why"},{"reason":"why"}]}`: {{Code: "541"}, {Code: "542"}, {Code: "543", Text: "text why"}, {Text: "why"}},
		`{"e":{"218":"a","219":{"x":1}}}`:                                  {{Code: "218", Text: "a"}, {Code: "219"}},
		`{"e":[[1],true]}`:                                                 nil,
	} {
		o, err := rpc.Decode([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := troublesOf(o["e"]); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
	if got := troublesV2(rpc.Object{"Msg": "btminer is down"}, nil); len(got) != 1 || got[0].Text != "btminer is down" {
		t.Errorf("%v", got)
	}
	many := make([]any, 0, 2*maxTroubles)
	for range cap(many) {
		many = append(many, "1")
	}
	if got := troublesOf(many); len(got) != maxTroubles {
		t.Errorf("%d troubles", len(got))
	}
}

// TestReports: what is no report, and why.
func TestReports(t *testing.T) {
	for text, want := range map[string]drivers.Fault{
		clearReply: drivers.None,
		`{"STATUS":"E","Code":14,"Msg":"invalid cmd"}`:                                         drivers.Unsupported,
		`{"STATUS":"E","Code":45,"Msg":"permission denied"}`:                                   drivers.Locked,
		`{"STATUS":"E","Code":132,"Msg":"can't access write cmd"}`:                             drivers.Locked,
		`{"STATUS":"E","Code":136,"Msg":"x"}`:                                                  drivers.Busy,
		`{"STATUS":"S","Code":134,"Msg":"over max connect"}`:                                   drivers.Busy,
		`{"STATUS":"E","Code":135,"Msg":"token err"}`:                                          drivers.Denied,
		`{"STATUS":"E","Code":132,"Msg":"cmd err"}`:                                            drivers.Refused,
		`{"STATUS":"S","Code":131,"Msg":{"STATUS":[{"STATUS":"E","Code":14}],"SUMMARY":[]}}`:   drivers.Unsupported,
		`{"STATUS":"S","Code":131,"Msg":{"STATUS":[{"STATUS":"S","Code":11}],"SUMMARY":[{}]}}`: drivers.None,
		`{"SUMMARY":[{}]}`: drivers.Corrupt,
		`{`:                drivers.Corrupt,
		`Socket connect failed: Connection refused`: drivers.Unreachable,
	} {
		o, f, err := reportV2([]byte(text))
		if f != want || (err == nil) != (want == drivers.None) || (o == nil) == (err == nil) {
			t.Errorf("%s: %v, %s, %v, want %s", text, o, f, err, want)
		}
	}
	for text, want := range map[string]drivers.Fault{
		infoV3:                        drivers.None,
		`{"code":"0","msg":{}}`:       drivers.None,
		`{"code":0,"msg":"ok"}`:       drivers.Corrupt,
		`{"code":0,"msg":null}`:       drivers.Corrupt,
		`{"msg":{}}`:                  drivers.Corrupt,
		`{"code":-1,"msg":"fail"}`:    drivers.Refused,
		`{"code":-2,"msg":"unknown"}`: drivers.Unsupported,
		`{"code":-4,"msg":"no"}`:      drivers.Denied,
		`[]`:                          drivers.Corrupt,
	} {
		o, f, err := reportV3([]byte(text))
		if f != want || (err == nil) != (want == drivers.None) || (o == nil) == (err == nil) {
			t.Errorf("%s: %v, %s, %v, want %s", text, o, f, err, want)
		}
	}
}

func TestLimits(t *testing.T) {
	for version, want := range map[string]bool{
		"2.0.5": true, "2.0.4": false, "2.0": false, "2": false, "2.1": true, "3": true, "2.0.10": true, "1.9.9": false, "": false, "x": false, "v2.0.5": true,
		"whatsminer v1.4": false, "2.0.x": false, "2.0.5.1": true,
	} {
		if limits(version) != want {
			t.Errorf("%q: %t", version, !want)
		}
	}
}

// TestRamps: all marks have to say that the ramp is over, and its absence excuses nothing for long.
func TestRamps(t *testing.T) {
	yes, no := true, false
	for _, c := range []struct {
		marks []*bool
		want  *bool
	}{{nil, nil}, {[]*bool{nil, nil}, nil}, {[]*bool{&yes, nil}, &yes}, {[]*bool{&yes, &no}, &no}, {[]*bool{&no, &yes}, &no}, {[]*bool{nil, &no}, &no}} {
		if got := ramped(c.marks...); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v: %v", c.marks, got)
		}
	}
	up := func(d time.Duration) *time.Duration { return &d }
	dead := miner.Status{Hashrate: &miner.Hashrate{Window: time.Minute}, Pools: []miner.Pool{{URL: "a", Alive: &no}}}
	for _, c := range []struct {
		uptime *time.Duration
		ramped *bool
		want   miner.State
	}{{nil, &no, miner.Starting}, {up(time.Minute), &no, miner.Starting}, {up(rampLimit), &no, miner.Idle}, {up(time.Minute), &yes, miner.Idle}, {up(time.Minute), nil, miner.Idle}} {
		s := dead
		s.Uptime = c.uptime
		if got := judge(&s, &no, c.ramped); got != c.want {
			t.Errorf("%v, %v: %s", c.uptime, c.ramped, got)
		}
		if got := judge(&s, &yes, c.ramped); got != miner.Asleep {
			t.Errorf("%v, %v: %s", c.uptime, c.ramped, got)
		}
	}
}

func TestSeconds(t *testing.T) {
	for n, want := range map[float64]time.Duration{0: 0, 1.5: 1500 * time.Millisecond, -1: -1, 1e9: -1, 1e300: -1} {
		if got := rpc.Seconds(&n); (got == nil) != (want < 0) || got != nil && *got != want {
			t.Errorf("%g: %v", n, got)
		}
	}
	if rpc.Seconds(nil) != nil {
		t.Error("a time that is not told")
	}
}

// TestBoardTemperatures: which board is meant is known only if there is one temperature for each.
func TestBoardTemperatures(t *testing.T) {
	boards := []rpc.Object{{}, {}}
	for n, want := range map[int]bool{0: false, 1: false, 2: true, 3: false} {
		for _, b := range boardsV3(boards, make([]float64, n)) {
			if (b.BoardC != nil) != want {
				t.Errorf("%d temperatures: %v", n, b.BoardC)
			}
		}
	}
}
