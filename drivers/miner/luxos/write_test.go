package luxos

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/drivertest/miners"
	"rackagent/drivers/miner"
)

// fake answers as the LuxOS API documentation has it, just enough for a write; sent is all that was not a report.
type fake struct {
	sent     []string
	session  string // that is active; empty: none
	refusals int    // logons until a foreign session ends; 0: it does not
	profile  string
	atm      bool // profileset is refused while it is on
	silent   bool // a write has no answer
	refuse   bool // every write is refused, with the session in the words
}

const sid = "yJN2nlj1"

func (f *fake) answer(r miners.Request) miners.Reply {
	ok := func(code int, more string) miners.Reply {
		return miners.Reply(fmt.Sprintf(`{"STATUS":[{"STATUS":"S","Code":%d,"Msg":"done"}]%s,"id":1}`, code, more))
	}
	no := func(code int, msg string) miners.Reply {
		return miners.Reply(fmt.Sprintf(`{"STATUS":[{"STATUS":"E","Code":%d,"Msg":%q}],"id":1}`, code, msg))
	}
	switch r.Command {
	case "config":
		return ok(33, fmt.Sprintf(`,"CONFIG":[{"CurtailMode":"None","Profile":%q,"MACAddr":"02:00:5E:10:00:01","IsAtmEnabled":%t}]`, f.profile, f.atm))
	case "pools":
		return ok(7, `,"POOLS":[{"URL":"stratum+tcp://pool.example:3333","User":"acct.r1","Status":"Alive"}]`)
	case "profiles":
		return ok(323, `,"PROFILES":[{"Profile Name":"190MHz","Watts":784,"Hashrate":39.2},{"Profile Name":"290MHz","Watts":1188,"Hashrate":59.8},{"Profile Name":"390MHz","Watts":1657,"Hashrate":80.5}]`)
	case "power":
		return ok(311, `,"POWER":[{"Watts":1051,"PSU":false}]`)
	case "session":
		return ok(319, fmt.Sprintf(`,"SESSION":[{"SessionID":%q}]`, f.session))
	}
	f.sent = append(f.sent, strings.TrimSpace(r.Command+" "+r.Parameter))
	switch {
	case r.Command == "logon" && f.session != "":
		if f.refusals--; f.refusals == 0 {
			f.session = ""
		}
		return no(402, "Another session is active")
	case r.Command == "logon":
		f.session = sid
		return ok(316, `,"SESSION":[{"SessionID":"`+sid+`"}]`)
	case r.Command == "logoff":
		f.session = ""
		return ok(317, "")
	case f.silent:
		return nil
	case f.refuse:
		return no(303, "session "+sid+" may not")
	case r.Command == "profileset" && f.atm:
		return no(322, "ATM is enabled")
	case r.Command == "profileset":
		f.profile = strings.TrimPrefix(r.Parameter, sid+",")
	case r.Command == "atmset":
		f.atm = strings.HasSuffix(r.Parameter, "=true")
	}
	return ok(335, "")
}

// with runs a test on a unit that answers so.
func with(t *testing.T, f *fake, mac string, test func(context.Context, *Miner)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := miners.NewHost(miners.New(miners.Spec{NominalTHs: 60, NominalW: 1051}))
		defer h.Close()
		h.HandleRPC(4028, f.answer)
		m, err := New(miner.Opts{Host: "10.0.3.17", Dial: h.Dial, MAC: mac})
		if err != nil {
			t.Fatal(err)
		}
		test(t.Context(), m)
		synctest.Wait()
		if h.Open() != 0 || h.Most() > 1 {
			t.Errorf("%d connections are open, %d were at once", h.Open(), h.Most())
		}
	})
}

func (f *fake) expect(t *testing.T, sent ...string) {
	t.Helper()
	if !slices.Equal(f.sent, sent) {
		t.Errorf("sent %q, want %q", f.sent, sent)
	}
}

// TestWrites: the words that go out, and the session around them.
func TestWrites(t *testing.T) {
	before := miner.Setting{Dialect: Dialect, Profile: "290MHz"}
	in := func(words ...string) []string { return append(append([]string{"logon"}, words...), "logoff "+sid) }
	for name, c := range map[string]struct {
		fake fake
		verb func(context.Context, *Miner) (miner.Answer, error)
		sent []string
	}{
		"sleep": {fake{profile: "290MHz"}, func(ctx context.Context, m *Miner) (miner.Answer, error) { return m.Sleep(ctx, miner.Urgency{}) }, in("curtail " + sid + ",sleep")},
		"wake":  {fake{profile: "290MHz"}, func(ctx context.Context, m *Miner) (miner.Answer, error) { return m.Wake(ctx, before) }, in("curtail " + sid + ",wakeup")},
		"wake into another profile": {
			fake{profile: "190MHz"},
			func(ctx context.Context, m *Miner) (miner.Answer, error) { return m.Wake(ctx, before) },
			in("curtail "+sid+",wakeup", "profileset "+sid+",290MHz"),
		},
		"release":               {fake{profile: "190MHz"}, func(ctx context.Context, m *Miner) (miner.Answer, error) { return m.Release(ctx, before) }, in("profileset " + sid + ",290MHz")},
		"release of what holds": {fake{profile: "290MHz"}, func(ctx context.Context, m *Miner) (miner.Answer, error) { return m.Release(ctx, before) }, in()},
		"a profile": {fake{}, func(ctx context.Context, m *Miner) (miner.Answer, error) {
			return m.Limit(ctx, miner.Limit{Mode: "190MHz"}, miner.Urgency{})
		}, in("profileset " + sid + ",190MHz")},
		"watts: the strongest that does not draw more": {fake{}, func(ctx context.Context, m *Miner) (miner.Answer, error) {
			return m.Limit(ctx, miner.Limit{W: 1656}, miner.Urgency{})
		}, in("profileset " + sid + ",290MHz")},
		"a profile while the thermal manager is on": {fake{atm: true}, func(ctx context.Context, m *Miner) (miner.Answer, error) {
			return m.Limit(ctx, miner.Limit{Mode: "190MHz"}, miner.Urgency{})
		}, in("profileset "+sid+",190MHz", "atmset "+sid+",enabled=false", "profileset "+sid+",190MHz", "atmset "+sid+",enabled=true")},
	} {
		t.Run(name, func(t *testing.T) {
			with(t, &c.fake, "02:00:5e:10:00:01", func(ctx context.Context, m *Miner) {
				if a, err := c.verb(ctx, m); err != nil || a.At.IsZero() {
					t.Errorf("%+v, %v", a, err)
				}
			})
			c.fake.expect(t, c.sent...)
			if c.fake.session != "" {
				t.Error("the session is left open")
			}
		})
	}
}

// TestWritesThatAreNone: refused before anything is sent.
func TestWritesThatAreNone(t *testing.T) {
	for name, c := range map[string]struct {
		mac  string
		verb func(context.Context, *Miner) (miner.Answer, error)
		want drivers.Fault
		sent []string
	}{
		"another unit": {"02:00:5e:10:00:99", func(ctx context.Context, m *Miner) (miner.Answer, error) { return m.Sleep(ctx, miner.Urgency{}) }, drivers.WrongDevice, nil},
		"remembered by another": {"", func(ctx context.Context, m *Miner) (miner.Answer, error) {
			return m.Wake(ctx, miner.Setting{Dialect: "antminer", Profile: "290MHz"})
		}, drivers.Unsupported, nil},
		"watts and a profile": {"", func(ctx context.Context, m *Miner) (miner.Answer, error) {
			return m.Limit(ctx, miner.Limit{W: 1000, Mode: "190MHz"}, miner.Urgency{})
		}, drivers.Unsupported, nil},
		"the number of a board": {"", func(ctx context.Context, m *Miner) (miner.Answer, error) {
			return m.Limit(ctx, miner.Limit{Mode: "3"}, miner.Urgency{})
		}, drivers.Unsupported, []string{"logon", "logoff " + sid}},
		"two fields": {"", func(ctx context.Context, m *Miner) (miner.Answer, error) {
			return m.Limit(ctx, miner.Limit{Mode: "190MHz,1"}, miner.Urgency{})
		}, drivers.Unsupported, []string{"logon", "logoff " + sid}},
		"fewer watts than the weakest": {"", func(ctx context.Context, m *Miner) (miner.Answer, error) {
			return m.Limit(ctx, miner.Limit{W: 783}, miner.Urgency{})
		}, drivers.Unsupported, []string{"logon", "logoff " + sid}},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{profile: "290MHz"}
			with(t, f, c.mac, func(ctx context.Context, m *Miner) {
				if _, err := c.verb(ctx, m); !errors.Is(err, c.want) {
					t.Errorf("%v, want %s", err, c.want)
				}
			})
			f.expect(t, c.sent...)
		})
	}
}

// TestASessionOfSomebodyElse is waited for, and used in an emergency alone; it is not ended.
func TestASessionOfSomebodyElse(t *testing.T) {
	f := &fake{session: "foreign1", profile: "290MHz"}
	with(t, f, "", func(ctx context.Context, m *Miner) {
		began := time.Now()
		if _, err := m.Sleep(ctx, miner.Urgency{}); !errors.Is(err, drivers.Busy) {
			t.Errorf("%v, want busy", err)
		}
		if took := time.Since(began); took != waitFor {
			t.Errorf("it waited %s", took)
		}
		short, cancel := context.WithTimeout(ctx, 12*time.Second)
		defer cancel()
		began = time.Now()
		if _, err := m.Sleep(short, miner.Urgency{}); !errors.Is(err, drivers.Busy) || time.Since(began) != 12*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		synctest.Wait()
		f.refusals = 2
		if _, err := m.Sleep(ctx, miner.Urgency{}); err != nil {
			t.Errorf("given back meanwhile: %v", err)
		}
		synctest.Wait()
		f.sent, f.session = nil, "foreign1"
		a, err := m.Sleep(ctx, miner.Urgency{Emergency: true})
		if err != nil || len(a.Notes) != 1 || !strings.Contains(a.Notes[0], "another controller") {
			t.Errorf("%+v, %v", a, err)
		}
	})
	f.expect(t, "logon", "curtail foreign1,sleep")
}

// TestAWriteWithoutAnAnswer may have been obeyed; the session is given back all the same, and stands in no error.
func TestAWriteWithoutAnAnswer(t *testing.T) {
	f := &fake{silent: true}
	with(t, f, "", func(ctx context.Context, m *Miner) {
		if _, err := m.Sleep(ctx, miner.Urgency{}); !errors.Is(err, drivers.Unsure) {
			t.Errorf("%v, want unsure", err)
		}
	})
	f.expect(t, "logon", "curtail "+sid+",sleep", "logoff "+sid)
	f = &fake{refuse: true}
	with(t, f, "", func(ctx context.Context, m *Miner) {
		_, err := m.Sleep(ctx, miner.Urgency{})
		if !errors.Is(err, drivers.Refused) || strings.Contains(err.Error(), sid) || !strings.Contains(err.Error(), "may not") {
			t.Errorf("%v", err)
		}
	})
}

// TestSettingAndCapabilities: what a sleep would interrupt, and what the unit can be told.
func TestSettingAndCapabilities(t *testing.T) {
	f := &fake{profile: "290MHz"}
	with(t, f, "", func(ctx context.Context, m *Miner) {
		s, err := m.Setting(ctx)
		if err != nil || s.Dialect != Dialect || s.Profile != "290MHz" || s.TargetW != nil || s.Pools != miner.PoolsHash([][2]string{{"stratum+tcp://pool.example:3333", "acct.r1"}}) {
			t.Errorf("%+v, %v", s, err)
		}
		c, err := m.Capabilities(ctx)
		if err != nil || !c.Sleep || !reflect.DeepEqual(c.Modes, []string{"190MHz", "290MHz", "390MHz"}) || c.Watts.MinW != 784 || c.Watts.MaxW != 1657 || c.Measures {
			t.Errorf("%+v, %v", c, err)
		}
		f.profile = ""
		if s, err := m.Setting(ctx); err == nil {
			t.Errorf("no profile: %+v", s)
		}
	})
	f.expect(t)
}
