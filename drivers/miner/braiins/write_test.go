package braiins

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/miner"
)

func ptr[T any](v T) *T { return &v }

func atPower(w float64) miner.Setting {
	return miner.Setting{Dialect: Dialect, Mode: byPower, TargetW: &w}
}

func atHashrate(ths string) miner.Setting {
	return miner.Setting{Dialect: Dialect, Mode: byHashrate, More: map[string]string{memberTHs: ths}}
}

type verb func(ctx context.Context, m *Miner) (miner.Answer, error)

func sleep(ctx context.Context, m *Miner) (miner.Answer, error) { return m.Sleep(ctx, miner.Urgency{}) }

func emergency(ctx context.Context, m *Miner) (miner.Answer, error) {
	return m.Sleep(ctx, miner.Urgency{Emergency: true})
}

func wake(s miner.Setting) verb {
	return func(ctx context.Context, m *Miner) (miner.Answer, error) { return m.Wake(ctx, s) }
}

func release(s miner.Setting) verb {
	return func(ctx context.Context, m *Miner) (miner.Answer, error) { return m.Release(ctx, s) }
}

func limit(l miner.Limit) verb {
	return func(ctx context.Context, m *Miner) (miner.Answer, error) { return m.Limit(ctx, l, miner.Urgency{}) }
}

const (
	pause  = "PUT actions/pause"
	resume = "PUT actions/resume"
	to2500 = `PUT performance/power-target {"watt":2500}`
)

// TestWrites holds each verb to what it sends, in whichever state the unit is.
func TestWrites(t *testing.T) {
	asleep := map[string]string{"miner/details": detailsOf(isPaused)}
	off := map[string]string{"performance/tuner-state": `{"overall_tuner_state":1,"mode_state":null}`}
	byRate := map[string]string{"performance/tuner-state": tunerOf(2, "hashratetargetmodestate", `{"terahash_per_second":190}`)}
	dps := map[string]string{"performance/tuner-state": tunerOf(2, "powertargetmodestate", `{"watt":2900}`), "configuration/miner": configDPS}
	none := map[string]string{"performance/tuner-state": "412"}
	for name, c := range map[string]struct {
		reports map[string]string
		verb    verb
		fault   drivers.Fault
		wrote   []string
		note    string
	}{
		"sleep": {nil, sleep, 0, []string{pause}, ""}, "sleep asleep": {asleep, sleep, 0, nil, notePaused},
		"sleep held": {map[string]string{"miner/details": detailsOf(isSuspended)}, sleep, 0, []string{pause}, ""},
		"emergency":  {nil, emergency, 0, []string{pause}, ""},
		"wake":       {asleep, wake(atPower(3500)), 0, []string{resume}, ""}, "wake awake": {nil, wake(atPower(3500)), 0, []string{resume}, ""},
		"wake into another target":           {asleep, wake(atPower(2500)), 0, []string{resume, to2500}, ""},
		"wake into a hashrate":               {asleep, wake(atHashrate("190.5")), 0, []string{resume, `PUT performance/hashrate-target {"terahash_per_second":190.5}`}, ""},
		"wake, nothing known":                {asleep, wake(miner.Setting{Dialect: Dialect}), 0, []string{resume}, ""},
		"wake, the tuner was off":            {asleep, wake(miner.Setting{Dialect: Dialect, Mode: tunerOff}), 0, []string{resume}, noteOff},
		"wake, the tuner is off":             {off, wake(miner.Setting{Dialect: Dialect, Mode: tunerOff}), 0, []string{resume}, ""},
		"wake, the target does not read yet": {none, wake(atPower(2500)), 0, []string{resume}, noteUnread},
		"wake, DPS lowered it":               {dps, wake(atPower(3500)), 0, []string{resume}, ""},
		"limit":                              {nil, limit(miner.Limit{W: 2500.9}), 0, []string{to2500}, ""},
		"limit as it is":                     {nil, limit(miner.Limit{W: 3500}), 0, nil, noteTarget},
		"limit a hashrate":                   {byRate, limit(miner.Limit{W: 2500}), 0, []string{to2500}, ""},
		"limit at both ends":                 {nil, limit(miner.Limit{W: 1200}), 0, []string{`PUT performance/power-target {"watt":1200}`}, ""},
		"limit too low":                      {nil, limit(miner.Limit{W: 1199.9}), drivers.Unsupported, nil, ""},
		"limit too high":                     {nil, limit(miner.Limit{W: 4201}), drivers.Unsupported, nil, ""},
		"limit asleep":                       {asleep, limit(miner.Limit{W: 2500}), drivers.Unsupported, nil, ""},
		"limit without a tuner":              {off, limit(miner.Limit{W: 2500}), drivers.Unsupported, nil, ""},
		"limit without a target":             {none, limit(miner.Limit{W: 2500}), drivers.Settling, nil, ""},
		"limit without a range":              {map[string]string{"configuration/constraints": `{}`}, limit(miner.Limit{W: 2500}), drivers.Unsupported, nil, ""},
		"limit, no constraints":              {map[string]string{"configuration/constraints": "500"}, limit(miner.Limit{W: 2500}), drivers.Refused, nil, ""},
		"release":                            {nil, release(atPower(2500)), 0, []string{to2500}, ""},
		"release as it is":                   {nil, release(atPower(3500)), 0, nil, noteTarget},
		"release DPS":                        {dps, release(atPower(3500)), 0, nil, noteTarget},
		"release into a hashrate":            {nil, release(atHashrate("190")), 0, []string{`PUT performance/hashrate-target {"terahash_per_second":190}`}, ""},
		"release a hashrate as it is":        {byRate, release(atHashrate("190")), 0, nil, noteTarget},
		"release into no tuner":              {nil, release(miner.Setting{Dialect: Dialect, Mode: tunerOff}), drivers.Unsupported, nil, ""},
		"release, the tuner is off":          {off, release(miner.Setting{Dialect: Dialect, Mode: tunerOff}), 0, nil, noteTarget},
		"release, nothing known":             {nil, release(miner.Setting{Dialect: Dialect}), drivers.Unsupported, nil, ""},
		"release asleep":                     {asleep, release(atPower(2500)), drivers.Unsupported, nil, ""},
		"release, the target does not read":  {none, release(atPower(2500)), drivers.Settling, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			on(t, func(_ *miner.Opts, f *fake) { f.reports = with(f.reports, c.reports) }, func(t *testing.T, m *Miner, f *fake) {
				pools := f.reports["pools/"]
				a, err := c.verb(t.Context(), m)
				if drivers.FaultOf(err) != c.fault || err == nil && a.At.IsZero() {
					t.Errorf("%v, answer %+v", err, a)
				}
				if notes := strings.Join(a.Notes, "; "); notes != c.note {
					t.Errorf("notes %q, want %q", notes, c.note)
				}
				f.expect(t, c.wrote...)
				if f.reports["pools/"] != pools {
					t.Error("the pools are others")
				}
			})
		})
	}
}

// TestNothingIsSent: what cannot be asked for opens no connection.
func TestNothingIsSent(t *testing.T) {
	for name, v := range map[string]verb{
		"a limit of nothing": limit(miner.Limit{}), "both": limit(miner.Limit{W: 2500, Mode: "low"}), "less than nothing": limit(miner.Limit{W: -1}), "a mode": limit(miner.Limit{Mode: "low"}),
		"wake into another dialect's": wake(miner.Setting{Dialect: "luxos"}), "release into nothing": release(miner.Setting{}),
	} {
		on(t, nil, func(t *testing.T, m *Miner, f *fake) {
			if _, err := v(t.Context(), m); !errors.Is(err, drivers.Unsupported) || f.host.Tries() != 0 {
				t.Errorf("%s: %v, %d connections", name, err, f.host.Tries())
			}
		})
	}
}

// TestAnotherUnit: nothing is written to another unit than the one that is meant.
func TestAnotherUnit(t *testing.T) {
	for name, v := range map[string]verb{"sleep": sleep, "emergency": emergency, "wake": wake(atPower(2500)), "release": release(atPower(2500)), "limit": limit(miner.Limit{W: 2500})} {
		on(t, func(o *miner.Opts, f *fake) { o.MAC, f.commands = "02:00:5e:00:00:99", commandsOf() }, func(t *testing.T, m *Miner, f *fake) {
			if _, err := v(t.Context(), m); !errors.Is(err, drivers.WrongDevice) {
				t.Errorf("%s: %v", name, err)
			}
			f.expect(t)
		})
	}
}

// TestLostAnswers: a write that was obeyed and not answered is no failure. A repeated sleep finds it done.
func TestLostAnswers(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		for name, c := range map[string]struct {
			lost string
			verb verb
		}{
			"sleep": {pause, sleep}, "wake": {resume, wake(atPower(3500))}, "limit": {"PUT performance/power-target", limit(miner.Limit{W: 2500})},
			"release": {"PUT performance/power-target", release(atPower(2500))}, "the target of a wake": {"PUT performance/power-target", wake(atPower(2500))},
		} {
			on(t, func(_ *miner.Opts, f *fake) { f.lost, f.hangs = c.lost, hangs }, func(t *testing.T, m *Miner, f *fake) {
				began := time.Now()
				if _, err := c.verb(t.Context(), m); !errors.Is(err, drivers.Unsure) || time.Since(began) > writeLimit {
					t.Errorf("%s: %v after %s", name, err, time.Since(began))
				}
				synctest.Wait()
				if name == "sleep" {
					f.lost = ""
					if a, err := m.Sleep(t.Context(), miner.Urgency{}); err != nil || len(a.Notes) != 1 {
						t.Errorf("%+v, %v", a, err)
					}
					f.expect(t, pause)
				}
			})
		}
	}
}

// TestAnswers: what a write is answered with, and what that means.
func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		verb  verb
		reply answer
		want  drivers.Fault
	}{
		"was not": {sleep, answer{0, "false"}, 0}, "was": {sleep, answer{0, "true\n"}, 0}, "as a text": {sleep, answer{0, `"false"`}, 0}, "no word": {sleep, answer{0, "<html>"}, drivers.Unsure},
		"empty": {sleep, answer{200, ""}, drivers.Unsure}, "locked": {sleep, answer{403, "no"}, drivers.Locked}, "busy": {sleep, answer{503, "later"}, drivers.Busy},
		"no process": {sleep, answer{412, "BOSminer is not running"}, drivers.Refused}, "broken": {sleep, answer{500, ""}, drivers.Unsure}, "not there": {sleep, answer{404, ""}, drivers.Unsupported},
		"another target": {limit(miner.Limit{W: 2500}), answer{0, `{"watt":2600}`}, drivers.Mismatch}, "no target": {limit(miner.Limit{W: 2500}), answer{0, `{}`}, drivers.Unsure},
		"target as a text": {limit(miner.Limit{W: 2500}), answer{0, `{"watt":"2500"}`}, 0}, "no JSON": {limit(miner.Limit{W: 2500}), answer{0, `ok`}, drivers.Unsure},
		"out of its range": {limit(miner.Limit{W: 2500}), answer{400, "too low"}, drivers.Refused}, "elsewhere": {sleep, answer{302, ""}, drivers.Unsupported},
	} {
		on(t, func(_ *miner.Opts, f *fake) {
			f.write = func(string) *answer { return &c.reply }
		}, func(t *testing.T, m *Miner, f *fake) {
			_, err := c.verb(t.Context(), m)
			if drivers.FaultOf(err) != c.want {
				t.Errorf("%s: %v, want %s", name, err, c.want)
			}
			if len(f.wrote) != 1 {
				t.Errorf("%s: it wrote %q", name, f.wrote)
			}
		})
	}
}

// TestNoTokenInWords: a unit that repeats the token in its words does not make us do so.
func TestNoTokenInWords(t *testing.T) {
	for _, reply := range []answer{{400, "bad request with Zm9vYmFy1 in it"}, {0, `{"watt":2500,"for":"Zm9vYmFy1"}`}, {0, "Zm9vYmFy1"}, {0, "{Zm9v\x00YmFy1"}} {
		on(t, func(_ *miner.Opts, f *fake) { f.write = func(string) *answer { return &reply } }, func(t *testing.T, m *Miner, _ *fake) {
			a, err := m.Limit(t.Context(), miner.Limit{W: 2500}, miner.Urgency{})
			if text := a.Text; strings.Contains(text, "Zm9vYmFy1") || err != nil && strings.Contains(err.Error(), "Zm9vYmFy1") {
				t.Errorf("%q, %v", text, err)
			}
		})
	}
}

// TestNothingToBringBack: what is remembered and what is.
func TestNothingToBringBack(t *testing.T) {
	for name, c := range map[string]struct {
		a, b *float64
		want bool
	}{"none": {nil, nil, true}, "one": {ptr(1.0), nil, false}, "other": {nil, ptr(1.0), false}, "same": {ptr(1.0), ptr(1.0), true}, "two": {ptr(1.0), ptr(2.0), false}} {
		if equal(c.a, c.b) != c.want {
			t.Error(name)
		}
	}
}
