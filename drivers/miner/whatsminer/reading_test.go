package whatsminer

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net"
	"reflect"
	"testing"

	"rackagent/drivers"
	"rackagent/drivers/miner"
)

func watts(w float64) *float64 { return &w }

// TestSettings: a reading survives the journal.
func TestSettings(t *testing.T) {
	for _, r := range []reading{{}, {mode: "Low"}, {mode: "7", limit: watts(3300)}, {limit: watts(3300), set: watts(0)}, {mode: "high", limit: watts(3300), set: watts(3400)}} {
		s := r.setting(DialectV2, "x")
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back miner.Setting
		if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(readingOf(back), r) || !back.Same(s) {
			t.Errorf("%+v: %s, %v, back %+v", r, b, err, readingOf(back))
		}
	}
	for _, text := range []string{"-1", "x", "NaN", "99999", "1e400"} {
		if r := readingOf(miner.Setting{More: map[string]string{setMember: text}, TargetW: watts(-5)}); !r.empty() {
			t.Errorf("%q: %+v", text, r)
		}
	}
}

func TestLimitOf(t *testing.T) {
	for w, want := range map[float64]bool{0: false, 0.5: false, -1: false, 1: true, 3300: true, noLimit: false, 1e9: false, math.NaN(): false} {
		if got := limitOf(&w); (got != nil) != want {
			t.Errorf("%g: %v", w, got)
		}
	}
	if setOf(false, watts(3300)) != nil || *setOf(true, nil) != 0 || *setOf(true, watts(noLimit)) != 0 || *setOf(true, watts(3300)) != 3300 {
		t.Error("what was asked for")
	}
}

// TestDiffers: nothing is sent but what is known to differ.
func TestDiffers(t *testing.T) {
	none := watts(0)
	for _, c := range []struct {
		name        string
		now, before reading
		mode        bool
		watts       int // 0: no limit is sent
		unread      bool
	}{
		{"nothing is known", reading{}, reading{}, false, 0, false},
		{"all the same", reading{"Low", watts(3300), watts(3400)}, reading{"Low", watts(3300), watts(3400)}, false, 0, false},
		{"the mode", reading{"Low", nil, nil}, reading{"High", nil, nil}, true, 0, false},
		{"the mode is not told", reading{}, reading{"High", nil, nil}, false, 0, true},
		{"no mode is remembered", reading{mode: "Low"}, reading{}, false, 0, false},
		{"in force", reading{"Low", watts(2500), nil}, reading{"Low", watts(3300), nil}, false, 3300, false},
		{"in force, and down", reading{"Low", watts(3300), nil}, reading{"Low", watts(2500.9), nil}, false, 2500, false},
		{"in force, in another mode", reading{"Low", watts(2500), nil}, reading{"High", watts(3300), nil}, true, 0, true},
		{"in force is not told: it sleeps", reading{"Low", nil, nil}, reading{"Low", watts(3300), nil}, false, 0, true},
		{"asked for", reading{"Low", watts(2500), watts(2500)}, reading{"Low", watts(3300), watts(3400)}, false, 3400, false},
		{"asked for, in another mode", reading{"Low", nil, watts(2500)}, reading{"High", nil, watts(3400)}, true, 3400, false},
		{"asked for, and none now", reading{"Low", nil, none}, reading{"Low", nil, watts(3400)}, false, 3400, false},
		{"none was asked for", reading{"Low", watts(2500), watts(2500)}, reading{"Low", watts(3300), none}, false, noLimit, false},
		{"none was asked for, and none is", reading{"Low", watts(3290), none}, reading{"Low", watts(3300), none}, false, 0, false},
		{"none was asked for, and now it is not told", reading{"Low", watts(2500), nil}, reading{"Low", watts(3300), none}, false, noLimit, false},
		{"asked for, and now it is not told", reading{"Low", watts(2500), nil}, reading{"Low", watts(3300), watts(3400)}, false, 3300, false},
		{"asked for is the same, and it sleeps", reading{"Low", nil, watts(3400)}, reading{"Low", watts(3300), watts(3400)}, false, 0, false},
		{"asked for, and now nothing is told", reading{"Low", nil, nil}, reading{"Low", watts(3300), watts(3400)}, false, 0, true},
		{"asked for is told, and was not", reading{"Low", watts(2500), watts(2500)}, reading{"Low", watts(3300), nil}, false, 3300, false},
	} {
		watts, send := c.now.otherLimit(c.before)
		if !send {
			watts = 0
		}
		if mode := c.now.otherMode(c.before); mode != c.mode || watts != c.watts || c.now.unread(c.before) != c.unread {
			t.Errorf("%s: mode %t, %d W, unread %t", c.name, mode, watts, c.now.unread(c.before))
		}
	}
}

func TestNew(t *testing.T) {
	dial := func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("a constructor connects")
	}
	good := miner.Opts{Host: "a", Dial: dial, MAC: "02:00:5e:00:00:07"}
	for name, c := range map[string]struct {
		change func(*miner.Opts)
		x      Options
	}{
		"no host":        {change: func(o *miner.Opts) { o.Host = "" }},
		"no way to it":   {change: func(o *miner.Opts) { o.Dial = nil }},
		"MAC upper case": {change: func(o *miner.Opts) { o.MAC = "02:00:5E:00:00:07" }},
		"no MAC":         {change: func(o *miner.Opts) { o.MAC = "miner" }},
		"range":          {x: Options{Watts: &miner.Range{MinW: 2, MaxW: 1}}},
		"range of none":  {x: Options{Watts: &miner.Range{}}},
		"range too high": {x: Options{Watts: &miner.Range{MinW: 1, MaxW: noLimit}}},
		"range NaN":      {x: Options{Watts: &miner.Range{MinW: 1, MaxW: math.NaN()}}},
	} {
		o := good
		if c.change != nil {
			c.change(&o)
		}
		if _, err := NewV2(o, c.x); !errors.Is(err, ErrOpts) {
			t.Errorf("v2, %s: %v", name, err)
		}
		if _, err := NewV3(o, c.x); !errors.Is(err, ErrOpts) {
			t.Errorf("v3, %s: %v", name, err)
		}
	}
	if _, err := NewV2(good, Options{}); err != nil {
		t.Error(err)
	}
	if m, err := NewV3(good, Options{}); err != nil || m.account != "super" {
		t.Error(err)
	}
}

// TestLimitsThatAreNone: they are refused before anything is sent.
func TestLimitsThatAreNone(t *testing.T) {
	u, err := newUnit(miner.Opts{Host: "a", Dial: (&net.Dialer{}).DialContext}, Options{Watts: &miner.Range{MinW: 1000, MaxW: 3600}})
	if err != nil {
		t.Fatal(err)
	}
	for l, ok := range map[miner.Limit]bool{
		{}: false, {W: 2500, Mode: "Low"}: false, {W: -1}: false, {Mode: "none"}: false, {W: 999}: false, {W: 3601}: false, {W: math.Inf(1)}: false,
		{W: 1000}: true, {W: 3600}: true, {Mode: "Low"}: true, {Mode: "low"}: true,
	} {
		if err := u.check(l, modesV2()); (err == nil) != ok || err != nil && !errors.Is(err, drivers.Unsupported) {
			t.Errorf("%+v: %v", l, err)
		}
	}
}
