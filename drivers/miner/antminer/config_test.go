package antminer

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"rackagent/drivers/miner"
)

// config is composed after the shape of what units show, with a member that no client knows, and odd spaces.
const config = `{"pools":[{"url":"stratum+tcp://pool.example:3333","user":"acct.r1","pass":"x"},{"url":"","user":"","pass":""}],` +
	`"api-listen":true,"bitmain-fan-ctrl":false,"bitmain-fan-pwm":"100","bitmain-freq":"485", "derate" : {"limit":1.50,"bitmain-work-mode":9,"at":[ ]},` +
	`"bitmain-work-mode":"0","bitmain-freq-level":"100"}`

// TestWith: the mode changes, what is needed to write it is added, and not a byte beside.
func TestWith(t *testing.T) {
	for name, c := range map[string]struct {
		in, mode string
		text     bool
		now, out string
	}{
		"a text": {
			config, "1", false, "0",
			strings.Replace(strings.TrimSuffix(config, "}"), `"bitmain-work-mode":"0"`, `"bitmain-work-mode":1`, 1) + `,"miner-mode":1,"freq-level":"100"}`,
		},
		"a text, to be sent as one": {
			config, "3", true, "0",
			strings.Replace(strings.TrimSuffix(config, "}"), `"bitmain-work-mode":"0"`, `"bitmain-work-mode":"3"`, 1) + `,"miner-mode":"3","freq-level":"100"}`,
		},
		"a number under the other name": {`{"miner-mode":0,"pools":[]}`, "1", false, "0", `{"miner-mode":1,"pools":[],"bitmain-work-mode":1}`},
		"both, and the level too": {
			`{"freq-level":90,"miner-mode":12,"pools":[],"bitmain-freq-level":"100","bitmain-work-mode":"12"}`, "0", false, "12",
			`{"freq-level":90,"miner-mode":0,"pools":[],"bitmain-freq-level":"100","bitmain-work-mode":0}`,
		},
		"both, and they differ": {`{"bitmain-work-mode":"1","miner-mode":0,"pools":[]}`, "0", false, "1", `{"bitmain-work-mode":0,"miner-mode":0,"pools":[]}`},
		"spaces": {
			"\n{ \"pools\" :\t[ ] ,\r\n \"miner-mode\" :  3 ,\"x\":1e-7 \n}\n\x00", "1", false, "3",
			"\n{ \"pools\" :\t[ ] ,\r\n \"miner-mode\" :  1 ,\"x\":1e-7,\"bitmain-work-mode\":1 \n}",
		},
		"other letters": {
			`{"ключ":"Привет \u00e4\ud83d\ude00","miner-mode":"3","pools":[{"url":"\u0061","user":"ä"}],"e\u0301":null}`, "0", true, "3",
			`{"ключ":"Привет \u00e4\ud83d\ude00","miner-mode":"0","pools":[{"url":"\u0061","user":"ä"}],"e\u0301":null,"bitmain-work-mode":"0"}`,
		},
		"no UTF-8 beside":           {"{\"x\":\"\xff\xfe\",\"miner-mode\":3,\"pools\":[]}", "0", false, "3", "{\"x\":\"\xff\xfe\",\"miner-mode\":0,\"pools\":[],\"bitmain-work-mode\":0}"},
		"another member is twice":   {`{"x":1,"miner-mode":3,"x":2,"pools":[]}`, "0", false, "3", `{"x":1,"miner-mode":0,"x":2,"pools":[],"bitmain-work-mode":0}`},
		"a name that is written so": {`{"miner\u002dmode":3,"pools":[]}`, "0", false, "3", `{"miner\u002dmode":0,"pools":[],"bitmain-work-mode":0}`},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := parseDocument([]byte(c.in))
			if err != nil || d.mode != c.now || d.pools == "" {
				t.Fatalf("%+v, %v", d, err)
			}
			if out := d.with(c.mode, c.text); string(out) != c.out {
				t.Errorf("\n got %s\nwant %s", out, c.out)
			}
			if string(d.raw) != strings.TrimRight(c.in, "\x00\n") {
				t.Errorf("the document was changed: %s", d.raw)
			}
		})
	}
}

// TestConfigsThatAreNotEdited, and why.
func TestConfigsThatAreNotEdited(t *testing.T) {
	for in, want := range map[string]error{
		``: errNoJSON, `{`: errNoJSON, `[]`: errNoJSON, `null`: errNoJSON, `"miner-mode"`: errNoJSON, `<html></html>`: errNoJSON,
		`{"miner-mode":0,"pools":[]`: errNoJSON, `{"miner-mode":0,"pools":[],}`: errNoJSON, `{"miner-mode":0 "pools":[]}`: errNoJSON,
		`{"miner-mode":0,"pools":[]}{}`: errNoJSON, `{"miner-mode":0,"pools":[]} x`: errNoJSON, `{"miner-mode":00}`: errNoJSON, `{"miner-mode":nan}`: errNoJSON,
		`{}`: errNoMode, `{"pools":[]}`: errNoMode, `{"x":{"miner-mode":1}}`: errNoMode, `{"Miner-Mode":1}`: errNoMode,
		`{"miner-mode":0,"miner-mode":1}`: errTwice, `{"miner-mode":0,"miner\u002dmode":0}`: errTwice, `{"bitmain-work-mode":"0","x":1,"bitmain-work-mode":"0"}`: errTwice,
		`{"miner-mode":0,"pools":[],"pools":[]}`: errTwice, `{"miner-mode":0,"bitmain-freq-level":1,"bitmain-freq-level":2}`: errTwice, `{"miner-mode":0,"freq-level":1,"freq-level":1}`: errTwice,
		`{"miner-mode":null}`: errOddMode, `{"miner-mode":""}`: errOddMode, `{"miner-mode":"sleep"}`: errOddMode, `{"miner-mode":0.5}`: errOddMode, `{"miner-mode":-1}`: errOddMode,
		`{"miner-mode":[0]}`: errOddMode, `{"miner-mode":true}`: errOddMode, `{"miner-mode":10000}`: errOddMode, `{"miner-mode":0,"bitmain-work-mode":"x"}`: errOddMode,
		`{"miner-mode":"0\""}`: errOddMode,
	} {
		if d, err := parseDocument([]byte(in)); !errors.Is(err, want) || !errors.Is(err, ErrConfig) || d != nil {
			t.Errorf("%s: %+v, %v, want %v", in, d, err, want)
		}
	}
	for _, pools := range []string{``, `,"pools":{}`, `,"pools":null`, `,"pools":"x"`} {
		if d, err := parseDocument([]byte(`{"miner-mode":0` + pools + `}`)); err != nil || d.pools != "" {
			t.Errorf("%s: %+v, %v", pools, d, err)
		}
	}
}

// TestPools: the hash is of addresses and users, in their order.
func TestPools(t *testing.T) {
	d, err := parseDocument([]byte(config))
	if want := miner.PoolsHash([][2]string{{"stratum+tcp://pool.example:3333", "acct.r1"}, {"", ""}}); err != nil || d.pools != want {
		t.Errorf("%s, %v", d.pools, err)
	}
}

// TestSays: a mode that stands there under two names is one only where they agree.
func TestSays(t *testing.T) {
	for in, want := range map[string]bool{
		`{"miner-mode":1}`: true, `{"bitmain-work-mode":"1"}`: true, `{"miner-mode":1,"bitmain-work-mode":"1"}`: true,
		`{"miner-mode":0}`: false, `{"miner-mode":1,"bitmain-work-mode":"0"}`: false, `{"miner-mode":"0","bitmain-work-mode":1}`: false,
	} {
		if d, err := parseDocument([]byte(in)); err != nil || d.says("1") != want {
			t.Errorf("%s: %v", in, err)
		}
	}
}

// FuzzConfig: what is edited is JSON again, has the mode under both names, and all else as it was.
func FuzzConfig(f *testing.F) {
	for _, s := range []string{config, `{"miner-mode":0,"pools":[]}`, " {\"a\":{\"miner-mode\":1},\t\"bitmain-work-mode\" : \"3\"\n}\x00", `{"miner-mode":0,"miner-mode":1}`, `{"miner\u002dmode":1}`, "{\"\xff\":1,\"miner-mode\":2}"} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, in []byte, text bool) {
		d, err := parseDocument(in)
		if (d == nil) == (err == nil) || err != nil && !errors.Is(err, ErrConfig) {
			t.Fatalf("%+v, %v", d, err)
		}
		if d == nil {
			return
		}
		out := d.with("77", text)
		again, err := parseDocument(out)
		if err != nil || again.mode != "77" || !again.says("77") || again.pools != d.pools {
			t.Fatalf("%q, %+v, %v", out, again, err)
		}
		var was, is map[string]json.RawMessage
		if json.Unmarshal(in[:len(d.raw)], &was) != nil || json.Unmarshal(out, &is) != nil {
			t.Fatalf("%q, %q", in, out)
		}
		for _, key := range []string{keyWork, keyMiner} {
			delete(was, key)
			delete(is, key)
		}
		if level, there := was[keyReadLevel]; there && was[keyLevel] == nil {
			if string(is[keyLevel]) != string(level) {
				t.Fatalf("the level: %q", out)
			}
			delete(is, keyLevel)
		}
		if len(was) != len(is) {
			t.Fatalf("%q, was %q", out, in)
		}
		for key, value := range was {
			if string(is[key]) != string(value) {
				t.Fatalf("%s: %q, was %q", key, is[key], value)
			}
		}
	})
}
