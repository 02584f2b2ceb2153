package braiins

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

// honest holds a status against what may never be in one.
func honest(t *testing.T, s miner.Status) {
	t.Helper()
	if s.State == miner.Mining && s.Hashrate == nil {
		t.Errorf("mining without a rate: %+v", s)
	}
	if s.Power != nil && (s.Power.Source != miner.Estimated || s.Power.W < 0) {
		t.Errorf("%+v", s.Power)
	}
	for _, d := range []*time.Duration{s.Uptime, s.Running} {
		if d != nil && *d < 0 {
			t.Errorf("it runs since tomorrow: %s", *d)
		}
	}
	if len(s.Errors) > maxTroubles+1 {
		t.Errorf("%d troubles", len(s.Errors))
	}
	texts := []string{s.Model, s.Firmware, s.API, s.Serial, s.MAC, s.Mode}
	for _, e := range s.Errors {
		texts = append(texts, e.Code, e.Text)
	}
	for _, b := range s.Boards {
		texts = append(texts, b.ID, b.Serial)
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

func FuzzStatusREST(f *testing.F) {
	for _, c := range casesREST() {
		f.Add([]byte(c["miner/details"]), []byte(c["miner/stats"]), []byte(c["miner/hw/hashboards"]), []byte(c["performance/tuner-state"]), []byte(c["miner/errors"]), []byte(c["pools/"]))
	}
	f.Fuzz(func(t *testing.T, details, stats, boards, tuner, errors, pools []byte) {
		got := map[string]rpc.Object{}
		for name, text := range map[string][]byte{"details": details, "stats": stats, "boards": boards, "tuner": tuner, "errors": errors, "pools": pools, "version": stats, "cooling": boards} {
			o, err := document(text)
			if (o == nil) == (err == nil) {
				t.Fatalf("%v, %v", o, err)
			}
			got[name] = o
		}
		s := statusREST(got["details"], got)
		honest(t, s)
		if got["stats"] == nil && (s.Power != nil || s.Hashrate != nil || s.Average != nil) {
			t.Errorf("invented: %+v", s)
		}
		if paused(got["details"]) && s.State != miner.Asleep {
			t.Errorf("paused, and %s", s.State)
		}
		poolsHash(got["pools"])
	})
}

func FuzzStatus4028(f *testing.F) {
	for _, c := range cases4028() {
		f.Add([]byte(c["version"]), []byte(c["summary"]), []byte(c["devs"]), []byte(c["temps"]), []byte(c["tunerstatus"]), []byte(c["pools"]))
	}
	f.Fuzz(func(t *testing.T, version, summary, devs, temps, tuner, pools []byte) {
		got := map[string]rpc.Object{}
		for name, text := range map[string][]byte{"version": version, "summary": summary, "devs": devs, "temps": temps, "devdetails": temps, "fans": temps, "tunerstatus": tuner, "pools": pools} {
			if o, err := rpc.Decode(text); err == nil {
				got[name] = o
			}
		}
		s := status4028(got["version"], got)
		honest(t, s)
		if got["summary"] == nil && (s.Hashrate != nil || s.Average != nil) || got["tunerstatus"] == nil && (s.Power != nil || s.LimitW != nil) || s.State == miner.Asleep {
			t.Errorf("invented: %+v", s)
		}
		isBraiins(got["version"])
	})
}

// FuzzTarget: what is read survives the journal, and what is kept can be set.
func FuzzTarget(f *testing.F) {
	for _, tuner := range []string{tunerOf(2, "powertargetmodestate", `{"watt":3000}`), tunerOf(3, "hashratetargetmodestate", `{"terahash_per_second":190.5}`), tunerOf(1, "x", `1`), `{}`} {
		f.Add([]byte(tuner), []byte(configDPS), []byte(reportsOf()["configuration/constraints"]))
	}
	f.Fuzz(func(t *testing.T, tuner, config, constraints []byte) {
		a, _ := document(tuner)
		b, _ := document(config)
		c, _ := document(constraints)
		for _, asleep := range []bool{false, true} {
			got := targetOf(a, b, asleep)
			raw, err := json.Marshal(got.setting(strings.Repeat("0", 32)))
			if err != nil || len(raw) > miner.MaxSetting {
				t.Fatalf("%d bytes, %v", len(raw), err)
			}
			var s miner.Setting
			if err := json.Unmarshal(raw, &s); err != nil {
				t.Fatal(err)
			}
			back := remembered(s)
			if back.mode != got.mode || got.ths != nil && *back.ths != *got.ths || got.w != nil && (*back.w > *got.w || *back.w <= *got.w-1) {
				t.Errorf("%+v came back as %+v", got, back)
			}
		}
		if r := rangeOf(c); r != nil && !(r.MinW >= 1 && r.MinW <= r.MaxW) {
			t.Errorf("%+v", r)
		}
		if d := rampOf(b); d < 0 || d > time.Hour {
			t.Errorf("%s", d)
		}
	})
}

// FuzzAnswers: a reply to a write is a success only if it says so.
func FuzzAnswers(f *testing.F) {
	for _, s := range []string{"true", `"false"`, "", `{"watt":2500}`, `{"watt":"2500"}`, `{"watt":2600}`, "<html>"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if text, err := wordOf(body); err == nil && text != "true" && text != "false" {
			t.Errorf("%q", text)
		}
		fault, err := tookOf(body, "watt", 2500, true)
		o, _ := document(body)
		if took := o.Number("watt"); (fault == drivers.None) != (err == nil) || (err == nil) != (took != nil && *took == 2500) {
			t.Errorf("%s, %v", fault, err)
		}
	})
}
