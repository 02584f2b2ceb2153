package luxos

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

var update = flag.Bool("update", false, "write the golden files anew")

// replies are composed after the shapes of the LuxOS API documentation: an S19k Pro at a deep underclock.
func replies() map[string]string {
	return map[string]string{
		"config": `{"STATUS":[{"STATUS":"S","Code":33}],"CONFIG":[{"CurtailMode":"None","IsPowerSupplyOn":true,"SystemStatus":"Running","IsTuning":false,"IsAtmEnabled":true,` +
			`"Profile":"290MHz","ProfileStep":"-12","NameplateTHS":120,"Model":"Antminer S19k Pro","MACAddr":"02:00:5E:00:00:07","IsPowerTargetSupported":false,"PowerLimit":3068}]}`,
		"version": `{"VERSION":[{"API":"3.7","LUXminer":"2025.4.8.220305-57b389c7","Type":"Antminer S19k Pro"}]}`,
		"summary": `{"SUMMARY":[{"Elapsed":36120,"GHS 5s":59756.1,"GHS 1m":59800.2,"GHS av":59790.5}]}`,
		"power":   `{"POWER":[{"Watts":1051,"PSU":false}]}`,
		"devs": `{"DEVS":[{"ASC":0,"ID":0,"MHS 1m":19900000.5,"Nominal MHS":20000000,"IsRamping":false,"IsUserShutdown":false,"SerialNumber":"SMT0"},` +
			`{"ASC":1,"ID":1,"MHS 1m":19900000,"Nominal MHS":20000000,"IsUserShutdown":false},{"ASC":2,"ID":2,"MHS 1m":0,"Nominal MHS":20000000,"IsUserShutdown":true}]}`,
		"temps": `{"TEMPS":[{"ID":0,"TEMP":0,"TopLeft":41.5,"TopRight":44,"BottomLeft":52.25,"BottomRight":50},{"ID":1,"TopLeft":"40"}]}`,
		"fans":  `{"FANS":[{"ID":0,"RPM":2310,"Speed":40},{"ID":1,"RPM":0,"Speed":40},{"ID":2,"Speed":40}]}`,
		"pools": `{"POOLS":[{"URL":"stratum+tcp://pool.example:3333","User":"acct.r1","Status":"Alive"},{"URL":"","User":""},{"URL":"stratum+tcp://b.example:3333","Status":"Dead"}]}`,
	}
}

func decoded(t *testing.T, texts map[string]string) (rpc.Object, map[string]rpc.Object) {
	t.Helper()
	got := map[string]rpc.Object{}
	for name, text := range texts {
		o, err := rpc.Decode([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got[name] = o
	}
	return got["config"].Object("CONFIG"), got
}

// TestStatusOf compares what is made of replies with golden files. Read them as an operator would.
func TestStatusOf(t *testing.T) {
	with := func(changes map[string]string) map[string]string {
		r := replies()
		for k, v := range changes {
			r[k] = v
		}
		return r
	}
	for name, texts := range map[string]map[string]string{
		"running": replies(),
		"asleep": with(map[string]string{
			"config":  strings.NewReplacer(`"CurtailMode":"None"`, `"CurtailMode":"Sleep"`, `"IsPowerSupplyOn":true`, `"IsPowerSupplyOn":false`).Replace(replies()["config"]),
			"summary": `{"SUMMARY":[{"Elapsed":36120,"GHS 5s":0,"GHS 1m":12.5,"GHS av":59790.5}]}`,
			"power":   `{"POWER":[{"Watts":25,"PSU":true}]}`,
		}),
		"target": with(map[string]string{
			"config": strings.Replace(replies()["config"], `"IsPowerTargetSupported":false`, `"IsPowerTargetSupported":true,"IsPowerTargetEnabled":true,"IdealPowerTarget":1200,"ActualPowerTarget":1188`, 1),
		}),
		"nothing-but-config": {"config": `{"CONFIG":[{"Profile":"default"}]}`},
	} {
		c, got := decoded(t, texts)
		s := statusOf(c, got)
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

func TestNew(t *testing.T) {
	if _, err := New(miner.Opts{Host: "a"}); !errors.Is(err, ErrOpts) {
		t.Errorf("%v", err)
	}
	if _, err := New(miner.Opts{}); !errors.Is(err, ErrOpts) {
		t.Errorf("%v", err)
	}
}

// TestValidID: what would be taken for more than one field is no session.
func TestValidID(t *testing.T) {
	for id, want := range map[string]bool{"yJN2nlj1": true, "": false, "a,sleep": false, "a|b": false, "a\x00": false, strings.Repeat("a", 65): false} {
		if validID(id) != want {
			t.Errorf("%q", id)
		}
	}
}

// FuzzStatus: whatever the reports hold, nothing is invented: a rate, watts and a limit are there only if a reply has them.
func FuzzStatus(f *testing.F) {
	r := replies()
	f.Add([]byte(r["config"]), []byte(r["summary"]), []byte(r["devs"]), []byte(r["power"]))
	f.Add([]byte(`{"CONFIG":[{}]}`), []byte(`{}`), []byte(`{"DEVS":[1,{"ASC":"x"}]}`), []byte(`{"POWER":{"Watts":"1e999"}}`))
	f.Fuzz(func(t *testing.T, config, summary, devs, power []byte) {
		got := map[string]rpc.Object{}
		for name, text := range map[string][]byte{"config": config, "summary": summary, "devs": devs, "power": power} {
			if o, err := rpc.Decode(text); err == nil {
				got[name] = o
			}
		}
		s := statusOf(got["config"].Object("CONFIG"), got)
		if s.Power != nil && got["power"].Object("POWER").Number("Watts") == nil || s.Hashrate != nil && got["summary"] == nil {
			t.Errorf("invented: %+v", s)
		}
		if s.State == miner.Mining && s.Hashrate == nil {
			t.Errorf("mining without a rate: %+v", s)
		}
		if _, err := json.Marshal(s); err != nil {
			t.Error(err)
		}
	})
}
