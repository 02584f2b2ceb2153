package braiins

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

var update = flag.Bool("update", false, "write the golden files anew")

func decoded(t testing.TB, texts map[string]string) map[string]rpc.Object {
	t.Helper()
	got := map[string]rpc.Object{}
	for name, text := range texts {
		o, err := document([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got[name] = o
	}
	return got
}

// named are the reports of a status, by their names there.
func named(texts map[string]string) map[string]string {
	out := map[string]string{"details": texts["miner/details"]}
	for _, r := range reports() {
		if text, ok := texts[r.path]; ok {
			out[r.name] = text
		}
	}
	return out
}

// casesREST are units in all their states.
func casesREST() map[string]map[string]string {
	still := strings.NewReplacer("251800.5", "0", "252597.6", "0", "3480", "35").Replace(reportsOf()["miner/stats"])
	held := with(reportsOf(), map[string]string{"miner/details": detailsOf(isSuspended), "miner/stats": still, "miner/errors": `{"errors":[` +
		`{"timestamp":"2026-04-01T00:00:00Z","message":"Fans are broken","error_codes":[{"code":"F1001","reason":"rpm 0","hint":"look"},{"code":"F1002","reason":""}],"components":[{"name":"fan","index":1}]},` +
		`{"timestamp":"2026-04-01T00:00:00Z","message":"License\u0007 is missing","error_codes":[]}]}`})
	return map[string]map[string]string{
		"mining":      reportsOf(),
		"asleep":      with(reportsOf(), map[string]string{"miner/details": detailsOf(isPaused), "miner/stats": still, "performance/tuner-state": tunerOf(1, "powertargetmodestate", `{"watt":3500}`)}),
		"high-asleep": with(reportsOf(), map[string]string{"miner/details": detailsOf(isPaused)}),
		"suspended":   held,
		"restricted":  with(reportsOf(), map[string]string{"miner/details": detailsOf(isRestricted)}),
		"not-started": with(reportsOf(), map[string]string{"miner/details": strings.Replace(detailsOf(1), "36120", "0", 1), "miner/stats": ""}),
		"unknown":     with(reportsOf(), map[string]string{"miner/details": detailsOf(9), "miner/stats": still}),
		"hashrate":    with(reportsOf(), map[string]string{"performance/tuner-state": tunerOf(3, "hashratetargetmodestate", `{"terahash_per_second":190.5}`)}),
		"tuner-off":   with(reportsOf(), map[string]string{"performance/tuner-state": `{"overall_tuner_state":1,"mode_state":null}`}),
		"texts": with(reportsOf(), map[string]string{
			"miner/details": strings.NewReplacer(`"status":2`, `"status":"2"`, "36120", `"36120"`).Replace(detailsOf(isNormal)),
			"miner/stats":   strings.NewReplacer("251800.5", `"251800.5"`, "3480", `"3480"`).Replace(reportsOf()["miner/stats"]),
		}),
		"nothing": {"miner/details": `{}`},
	}
}

// TestStatusREST compares what is made of reports with golden files. Read them as an operator would.
func TestStatusREST(t *testing.T) {
	for name, texts := range casesREST() {
		got := decoded(t, named(texts))
		golden(t, name, statusREST(got["details"], got))
	}
}

func cases4028() map[string]map[string]string {
	return map[string]map[string]string{
		"bosminer":         commandsOf(),
		"bosminer-still":   with(commandsOf(), map[string]string{"summary": strings.NewReplacer("14100000.5", "0").Replace(commandsOf()["summary"])}),
		"bosminer-nothing": {"version": `{"STATUS":[{"STATUS":"S","Description":"BOSer boser-openwrt 0.1.0"}],"VERSION":[]}`},
	}
}

func TestStatus4028(t *testing.T) {
	for name, texts := range cases4028() {
		got := decoded(t, texts)
		golden(t, name, status4028(got["version"], got))
	}
}

func golden(t *testing.T, name string, s miner.Status) {
	t.Helper()
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

// TestTargetOf: what the tuner works to, and what was asked of it.
func TestTargetOf(t *testing.T) {
	power, rate := tunerOf(2, "powertargetmodestate", `{"watt":3000}`), tunerOf(2, "hashratetargetmodestate", `{"terahash_per_second":190}`)
	off := tunerOf(1, "powertargetmodestate", `{"watt":3000}`)
	none := strings.Replace(configDPS, `"dps":{"enabled":true}`, `"dps":{"enabled":false}`, 1)
	w, ths := func(v float64) target { return target{mode: byPower, w: &v} }, func(v float64) target { return target{mode: byHashrate, ths: &v} }
	for name, c := range map[string]struct {
		tuner, config string
		asleep        bool
		want          target
	}{
		"power": {power, `{}`, false, w(3000)}, "power, no DPS": {power, none, false, w(3000)}, "power, which DPS lowered": {power, configDPS, false, w(3500)},
		"hashrate": {rate, `{}`, false, ths(190)}, "hashrate, DPS with a target in watts": {rate, configDPS, false, ths(190)},
		"off": {off, `{}`, false, target{mode: tunerOff}}, "off while it sleeps": {off, `{}`, true, w(3000)},
		"off, no target": {`{"overall_tuner_state":"1"}`, `{}`, false, target{mode: tunerOff}}, "says nothing": {`{}`, `{}`, false, target{}},
		"no target": {`{"overall_tuner_state":2,"mode_state":null}`, configDPS, false, target{}}, "0 W": {tunerOf(2, "powertargetmodestate", `{"watt":0}`), `{}`, false, target{}},
		"a text": {tunerOf(2, "powertargetmodestate", `{"watt":"3000"}`), `{}`, false, w(3000)}, "no number": {tunerOf(2, "powertargetmodestate", `{"watt":"NaN"}`), `{}`, false, target{}},
	} {
		got := decoded(t, map[string]string{"tuner": c.tuner, "config": c.config})
		if have := targetOf(got["tuner"], got["config"], c.asleep); !have.same(c.want) {
			t.Errorf("%s: %+v, want %+v", name, have, c.want)
		}
	}
}

// TestRemembered: what is kept comes back as it was; what cannot be set again is not there.
func TestRemembered(t *testing.T) {
	v, part, zero := 3000.0, 3000.7, 0.0
	for name, c := range map[string]target{"power": {mode: byPower, w: &v}, "hashrate": {mode: byHashrate, ths: &part}, "off": {mode: tunerOff}, "nothing": {}} {
		if got := remembered(c.setting("x")); !got.same(c) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for name, s := range map[string]miner.Setting{
		"power without watts": {Mode: byPower}, "0 W": {Mode: byPower, TargetW: &zero}, "hashrate without one": {Mode: byHashrate},
		"no hashrate": {Mode: byHashrate, More: map[string]string{memberTHs: "NaN"}}, "a mode of another time": {Mode: "turbo", TargetW: &v},
	} {
		if got := remembered(s); got.mode != "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := remembered(miner.Setting{Mode: byPower, TargetW: &part}); *got.w != 3000 {
		t.Errorf("%g W", *got.w)
	}
}

func TestRangeOf(t *testing.T) {
	for text, want := range map[string]miner.Range{
		reportsOf()["configuration/constraints"]: {MinW: 1200, MaxW: 4200},
		`{}`:                                     {}, `{"tuner_constraints":{"power_target":{"min":{"watt":0},"max":{"watt":10}}}}`: {},
		`{"tuner_constraints":{"power_target":{"min":{"watt":20},"max":{"watt":10}}}}`: {}, `{"tuner_constraints":{"power_target":{"max":{"watt":10}}}}`: {},
	} {
		got := rangeOf(decoded(t, map[string]string{"c": text})["c"])
		if (got == nil) != (want == miner.Range{}) || got != nil && *got != want {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

// TestBounds: what a unit tells too much of.
func TestBounds(t *testing.T) {
	many := `{"errors":[` + strings.Repeat(`{"message":"x","error_codes":[{"code":"1"},{"code":"2"}]},`, 50) + `{}]}`
	if got := troublesOf(decoded(t, map[string]string{"e": many})["e"]); len(got) != maxTroubles {
		t.Errorf("%d troubles", len(got))
	}
	for s, want := range map[string]time.Duration{"2": 2 * time.Second, "0": 0, "-1": someRamp, "3601": someRamp, "null": someRamp} {
		c := decoded(t, map[string]string{"c": `{"hashboard_config":{"quick_ramping_time_down_s":` + s + `}}`})["c"]
		if got := rampOf(c); got != want {
			t.Errorf("%s: %s", s, got)
		}
	}
}
