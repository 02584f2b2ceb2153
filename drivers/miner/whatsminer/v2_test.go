package whatsminer

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/drivertest/miners"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

func fault(t *testing.T, err error, want drivers.Fault) {
	t.Helper()
	var e *drivers.Error
	if drivers.FaultOf(err) != want || err != nil && (!errors.As(err, &e) || e.Device != "miner 192.0.2.7") {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestV2Status(t *testing.T) {
	onV2(t, nil, func(t *testing.T, m *V2, f *fakeV2, h *miners.Host) {
		if h.Tries() != 0 {
			t.Error("the constructor connected")
		}
		s, err := m.Status(t.Context())
		if err != nil || s.State != miner.Mining || s.Model != "M56S_VH30" || len(s.Boards) != 2 || len(s.Pools) != 2 || s.At != time.Now() || s.MAC != "02:00:5e:00:00:07" {
			t.Errorf("%+v, %v", s, err)
		}
		if f.logins != 0 || len(f.writes) != 0 {
			t.Error("a read took a token")
		}
	})
}

// TestV2StatusInPart: what a unit does not have leaves its part out, and an older one has devs.
func TestV2StatusInPart(t *testing.T) {
	devs := func(_ *miner.Opts, f *fakeV2) {
		f.replies["devs"] = f.replies["edevs"]
		delete(f.replies, "edevs")
		delete(f.replies, "get_version")
		f.replies["pools"] = `{"STATUS":"E","Code":132,"Msg":"x"}`
	}
	onV2(t, devs, func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
		s, err := m.Status(t.Context())
		if err != nil || s.State != miner.Mining || len(s.Boards) != 2 || s.API != "" || s.Pools != nil || !slices.Contains(f.asked, "devs") {
			t.Errorf("%+v, %v", s, err)
		}
	})
	for name, c := range map[string]struct {
		summary string
		off     string
		want    drivers.Fault
	}{
		"no connection ends well, asleep":   {"", "true", drivers.None},
		"empty, asleep":                     {wrap(`{"SUMMARY":[]}`), "true", drivers.None},
		"refused, asleep":                   {`{"STATUS":"E","Code":132,"Msg":"x"}`, "true", drivers.None},
		"its mining process is gone":        {"Socket connect failed: Connection refused", "true", drivers.None},
		"no connection ends well, awake":    {"", "false", drivers.Corrupt},
		"no mining process, awake":          {"Socket connect failed: Connection refused", "false", drivers.Unreachable},
		"it cannot be read and it is awake": {"{", "false", drivers.Corrupt},
	} {
		t.Run(name, func(t *testing.T) {
			onV2(t, func(_ *miner.Opts, f *fakeV2) {
				f.replies["summary"] = c.summary
				f.replies["status"] = swap(f.replies["status"], `"mineroff":"false"`, `"mineroff":"`+c.off+`"`)
			}, func(t *testing.T, m *V2, _ *fakeV2, _ *miners.Host) {
				s, err := m.Status(t.Context())
				fault(t, err, c.want)
				if err == nil && (s.State != miner.Asleep || s.Hashrate != nil || s.Power != nil) {
					t.Errorf("%+v", s)
				}
			})
		})
	}
	onV2(t, func(_ *miner.Opts, f *fakeV2) { f.replies = map[string]string{} }, func(t *testing.T, m *V2, _ *fakeV2, _ *miners.Host) {
		_, err := m.Status(t.Context())
		fault(t, err, drivers.Corrupt)
	})
}

// TestV2Sleep: what is sent, in clear, and a second write takes the same token.
func TestV2Sleep(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		onV2(t, func(_ *miner.Opts, f *fakeV2) { f.sealed = sealed }, func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
			for range 2 {
				a, err := sleepV2(t.Context(), m)
				if err != nil || a.Text != "API command OK" || a.At != time.Now() || a.Notes != nil {
					t.Errorf("%+v, %v", a, err)
				}
			}
			f.wrote(t, wroteOff, wroteOff)
			if f.logins != 1 {
				t.Errorf("%d log-ins", f.logins)
			}
		})
	}
}

func TestV2Password(t *testing.T) {
	asked := 0
	onV2(t, func(o *miner.Opts, f *fakeV2) {
		f.password = "hunter22"
		o.Password = func() (string, error) { asked++; return "hunter22", nil }
	}, func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
		if _, err := sleepV2(t.Context(), m); err != nil || asked != 1 {
			t.Errorf("%v, asked %d times", err, asked)
		}
		f.wrote(t, wroteOff)
	})
	onV2(t, func(_ *miner.Opts, f *fakeV2) { f.password = "another1" }, func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
		_, err := sleepV2(t.Context(), m)
		fault(t, err, drivers.Denied)
		f.wrote(t)
		if m.kept != nil {
			t.Error("the token of a wrong password is kept")
		}
	})
	onV2(t, func(o *miner.Opts, _ *fakeV2) {
		o.Password = func() (string, error) { return "", errors.New("no file") }
	},
		func(t *testing.T, m *V2, f *fakeV2, h *miners.Host) {
			_, err := sleepV2(t.Context(), m)
			fault(t, err, drivers.Denied)
			if h.Tries() != 0 {
				t.Error("it connected without a password")
			}
		})
}

// TestV2TokenLife: a token is used for 25 min, and no longer.
func TestV2TokenLife(t *testing.T) {
	onV2(t, nil, func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
		for _, step := range []struct {
			after  time.Duration
			logins int
		}{{0, 1}, {tokenLife - time.Second, 1}, {time.Second, 2}, {time.Minute, 2}} {
			time.Sleep(step.after)
			if _, err := sleepV2(t.Context(), m); err != nil || f.logins != step.logins {
				t.Errorf("after %s more: %d log-ins, %v", step.after, f.logins, err)
			}
		}
	})
	clock := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	onV2(t, func(o *miner.Opts, _ *fakeV2) { o.Now = func() time.Time { return clock } }, func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
		for range 2 {
			if _, err := sleepV2(t.Context(), m); err != nil {
				t.Error(err)
			}
			clock = clock.Add(-time.Hour) // a clock that was set back proves no age
		}
		if f.logins != 2 {
			t.Errorf("%d log-ins", f.logins)
		}
	})
}

// TestV2TokenLost: a token that is not taken is renewed once.
func TestV2TokenLost(t *testing.T) {
	onV2(t, nil, func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
		if _, err := sleepV2(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		other := *f.now
		other.sign = "forgotten"
		f.now = &other // it knows the key, and another token
		a, err := sleepV2(t.Context(), m)
		if err != nil || !slices.Contains(a.Notes, noteRenewed) || f.logins != 2 {
			t.Errorf("%+v, %v, %d log-ins", a, err, f.logins)
		}
		f.wrote(t, wroteOff, wroteOff)
	})
	onV2(t, func(_ *miner.Opts, f *fakeV2) {
		f.answer = func(int, string) string { return `{"STATUS":"E","Code":135,"Msg":"check token err"}` }
	}, func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
		_, err := sleepV2(t.Context(), m)
		fault(t, err, drivers.Denied)
		f.wrote(t, wroteOff, wroteOff)
		if f.logins != 2 || m.kept != nil {
			t.Errorf("%d log-ins, kept %v", f.logins, m.kept)
		}
	})
}

// TestV2Padding: PKCS#7 where zeros cannot be read, and from then on at once.
func TestV2Padding(t *testing.T) {
	onV2(t, func(_ *miner.Opts, f *fakeV2) { f.padding, f.sealed = "pkcs7", true }, func(t *testing.T, m *V2, f *fakeV2, h *miners.Host) {
		a, err := sleepV2(t.Context(), m)
		if err != nil || !slices.Equal(a.Notes, []string{notePadding}) || h.Tries() != 3 {
			t.Errorf("%+v, %v, %d connections", a, err, h.Tries())
		}
		if a, err = sleepV2(t.Context(), m); err != nil || a.Notes != nil || h.Tries() != 4 {
			t.Errorf("again: %+v, %v, %d connections", a, err, h.Tries())
		}
		f.wrote(t, wroteOff, wroteOff)
		f.padding = "zero" // what was learnt holds no more: once, and then a new log-in
		_, err = sleepV2(t.Context(), m)
		fault(t, err, drivers.Denied)
		f.wrote(t, wroteOff, wroteOff)
		if h.Tries() != 5 || m.kept != nil {
			t.Errorf("%d connections, kept %v", h.Tries(), m.kept)
		}
	})
	onV2(t, func(_ *miner.Opts, f *fakeV2) { f.padding = "zero" }, func(t *testing.T, m *V2, f *fakeV2, h *miners.Host) {
		if a, err := sleepV2(t.Context(), m); err != nil || a.Notes != nil || h.Tries() != 2 {
			t.Errorf("%+v, %v, %d connections", a, err, h.Tries())
		}
		f.wrote(t, wroteOff)
	})
}

// TestV2Refusals: what each means, and that none is tried again.
func TestV2Refusals(t *testing.T) {
	for reply, want := range map[string]drivers.Fault{
		`{"STATUS":"E","Code":45,"Msg":"Access denied"}`:                    drivers.Locked,
		`{"STATUS":"E","When":1,"Code":132,"Msg":"can't access write cmd"}`: drivers.Locked,
		`can't access write cmd`:                                            drivers.Locked,
		`{"STATUS":"E","Code":136,"Msg":"token limit"}`:                     drivers.Busy,
		`{"STATUS":"E","Code":14,"Msg":"invalid cmd"}`:                      drivers.Unsupported,
		`{"STATUS":"E","Code":132,"Msg":"API command ERROR"}`:               drivers.Refused,
		`{"STATUS":"E","Code":137,"Msg":"base64 error"}`:                    drivers.Refused,
		`Socket connect failed: Connection refused`:                         drivers.Unreachable,
		`{"Msg":"nothing to go by"}`:                                        drivers.Unsure,
		`<html></html>`:                                                     drivers.Unsure,
		`{"enc":"AAAA"}`:                                                    drivers.Unsure,
		`{"enc":"AAAAAAAAAAAAAAAAAAAAAA=="}`:                                drivers.Unsure,
		`{"STATUS":"S"`:                                                     drivers.Unsure,
	} {
		onV2(t, func(_ *miner.Opts, f *fakeV2) { f.answer = func(int, string) string { return reply } },
			func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
				_, err := sleepV2(t.Context(), m)
				fault(t, err, want)
				f.wrote(t, wroteOff)
				if want == drivers.Locked && !strings.Contains(err.Error(), unlock) {
					t.Errorf("%v does not say what to do", err)
				}
			})
	}
	for reply, want := range map[string]drivers.Fault{
		`{"STATUS":"E","Code":136,"Msg":"x"}`:                                                                    drivers.Busy,
		`{"STATUS":"S","Code":134,"Msg":"over max connect"}`:                                                     drivers.Busy,
		`{"STATUS":"E","Code":45,"Msg":"x"}`:                                                                     drivers.Locked,
		`{"STATUS":"S","Code":134,"Msg":{"time":"5626"}}`:                                                        drivers.Corrupt,
		`{"STATUS":"S","Code":134,"Msg":{"time":"5626","salt":"a","newsalt":"` + strings.Repeat("b", 99) + `"}}`: drivers.Corrupt,
	} {
		onV2(t, func(_ *miner.Opts, f *fakeV2) { f.replies["get_token"] = reply }, func(t *testing.T, m *V2, f *fakeV2, h *miners.Host) {
			_, err := sleepV2(t.Context(), m)
			fault(t, err, want)
			f.wrote(t)
			if h.Tries() != 1 {
				t.Errorf("%s: %d connections", reply, h.Tries())
			}
		})
	}
}

// TestV2Silence: after a write has left, an answer that does not come is no failure; before it has, nothing happened.
func TestV2Silence(t *testing.T) {
	onV2(t, func(_ *miner.Opts, f *fakeV2) { f.answer = func(int, string) string { return "" } }, func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
		_, err := sleepV2(t.Context(), m)
		fault(t, err, drivers.Unsure)
		f.wrote(t, wroteOff)
	})
	onV2(t, func(_ *miner.Opts, f *fakeV2) {
		f.answer = func(int, string) string { time.Sleep(25 * time.Second); return clearReply }
	},
		func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
			began := time.Now()
			_, err := sleepV2(t.Context(), m)
			fault(t, err, drivers.Unsure)
			if took := time.Since(began); took != writeLimit {
				t.Errorf("it took %s", took)
			}
			f.wrote(t, wroteOff)
			time.Sleep(time.Minute)
		})
	for quirk, want := range map[miners.Quirk]drivers.Fault{
		miners.Hangs: drivers.Timeout, miners.Refuses: drivers.Unreachable, miners.HangsUp: drivers.Corrupt, miners.CutsOff: drivers.Corrupt,
	} {
		onV2(t, nil, func(t *testing.T, m *V2, f *fakeV2, h *miners.Host) {
			f.machine.Set(quirk, true)
			_, err := sleepV2(t.Context(), m)
			fault(t, err, want)
			f.wrote(t)
		})
	}
}

// TestV2ReplyCut: the unit obeyed and its reply ends in the middle.
func TestV2ReplyCut(t *testing.T) {
	onV2(t, nil, func(t *testing.T, m *V2, f *fakeV2, h *miners.Host) {
		if _, err := sleepV2(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		f.machine.Set(miners.CutsOff, true)
		_, err := sleepV2(t.Context(), m)
		fault(t, err, drivers.Unsure)
		f.wrote(t, wroteOff, wroteOff)
	})
}

// TestV2Hung: a call ends with its context.
func TestV2Hung(t *testing.T) {
	onV2(t, nil, func(t *testing.T, m *V2, f *fakeV2, h *miners.Host) {
		f.machine.Set(miners.Hangs, true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := sleepV2(ctx, m)
		fault(t, err, drivers.Timeout)
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// TestV2Mode: a change of mode without an answer is unsure, unless it reads back.
func TestV2Mode(t *testing.T) {
	silent := func(_ *miner.Opts, f *fakeV2) { f.answer = func(int, string) string { return "" } }
	onV2(t, silent, func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
		a, err := m.Limit(t.Context(), miner.Limit{Mode: "Low"}, miner.Urgency{})
		fault(t, err, drivers.Unsure)
		f.wrote(t, wroteLow)
		if !slices.Equal(a.Notes, []string{noteNoAnswer}) || a.At != time.Now() {
			t.Errorf("%+v", a)
		}
	})
	onV2(t, func(_ *miner.Opts, f *fakeV2) {
		f.answer = func(int, string) string {
			f.replies["summary"] = swap(f.replies["summary"], `"Power Mode":"Normal"`, `"Power Mode":"Low"`)
			return ""
		}
	}, func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
		a, err := m.Limit(t.Context(), miner.Limit{Mode: "low"}, miner.Urgency{})
		fault(t, err, drivers.None)
		f.wrote(t, wroteLow)
		if !slices.Equal(a.Notes, []string{noteNoAnswer, noteReadBack}) {
			t.Errorf("%+v", a)
		}
	})
}

// TestV2ModeRefused: a refusal stays one, whatever reads back.
func TestV2ModeRefused(t *testing.T) {
	onV2(t, func(_ *miner.Opts, f *fakeV2) {
		f.answer = func(int, string) string { return `{"STATUS":"E","Code":132,"Msg":"x"}` }
	},
		func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
			a, err := m.Limit(t.Context(), miner.Limit{Mode: "Normal"}, miner.Urgency{})
			fault(t, err, drivers.Refused)
			f.wrote(t, wroteNormal)
			if a.Notes != nil {
				t.Errorf("%+v", a)
			}
		})
}

func TestV2Limit(t *testing.T) {
	onV2(t, nil, func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
		if _, err := m.Limit(t.Context(), miner.Limit{W: 2500.9}, miner.Urgency{}); err != nil {
			t.Error(err)
		}
		f.wrote(t, `{"cmd":"adjust_power_limit","power_limit":"2500","token":"TOKEN"}`)
	})
	for name, c := range map[string]struct {
		limit miner.Limit
		reply [2]string
	}{
		"an older API":     {miner.Limit{W: 2500}, [2]string{"get_version", wrap(`{"api_ver":"2.0.4"}`)}},
		"no version":       {miner.Limit{W: 2500}, [2]string{"get_version", wrap(`{}`)}},
		"asleep":           {miner.Limit{W: 2500}, [2]string{"status", wrap(`{"mineroff":"true"}`)}},
		"asleep, a mode":   {miner.Limit{Mode: "Low"}, [2]string{"status", wrap(`{"mineroff":true}`)}},
		"no such mode":     {miner.Limit{Mode: "Turbo"}, [2]string{}},
		"both":             {miner.Limit{Mode: "Low", W: 2500}, [2]string{}},
		"takes it all off": {miner.Limit{W: noLimit}, [2]string{}},
	} {
		onV2(t, func(_ *miner.Opts, f *fakeV2) { f.replies[c.reply[0]] = c.reply[1] }, func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
			_, err := m.Limit(t.Context(), c.limit, miner.Urgency{})
			if !errors.Is(err, drivers.Unsupported) || f.logins != 0 {
				t.Errorf("%s: %v, %d log-ins", name, err, f.logins)
			}
		})
	}
}

func settingV2(t *testing.T, m *V2) miner.Setting {
	t.Helper()
	s, err := m.Setting(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestV2Setting(t *testing.T) {
	onV2(t, nil, func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
		s := settingV2(t, m)
		if s.Dialect != DialectV2 || s.Mode != "Normal" || *s.TargetW != 3300 || s.More[setMember] != "3400" || len(s.Pools) != 32 {
			t.Errorf("%+v", s)
		}
		f.replies["pools"] = swap(f.replies["pools"], "acct.r1", "acct.r2")
		if again := settingV2(t, m); again.Pools == s.Pools || !again.Same(s) {
			t.Errorf("%+v", again)
		}
		f.replies["pools"] = `{"STATUS":"E","Code":132,"Msg":"x"}`
		if s := settingV2(t, m); s.Pools != "" {
			t.Errorf("pools that were not read: %+v", s)
		}
		f.replies["summary"], f.replies["status"] = wrap(`{"SUMMARY":[]}`), wrap(`{"mineroff":"false"}`)
		_, err := m.Setting(t.Context())
		fault(t, err, drivers.Settling)
		f.replies["status"] = wrap(`{"mineroff":"true"}`)
		if s := settingV2(t, m); s.Mode != "" || s.TargetW != nil {
			t.Errorf("asleep: %+v", s)
		}
	})
}

// TestV2Wake: what is remembered is set where it is known to differ.
func TestV2Wake(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*miner.Setting, *fakeV2)
		writes []string
		notes  []string
	}{
		"the same":      {func(*miner.Setting, *fakeV2) {}, []string{wroteOn}, nil},
		"another mode":  {func(s *miner.Setting, _ *fakeV2) { s.Mode = "Low" }, []string{wroteOn, wroteLow}, nil},
		"another limit": {func(_ *miner.Setting, f *fakeV2) { f.replies["status"] = swap(f.replies["status"], "3400", "2500") }, []string{wroteOn, wrote3400}, nil},
		"both": {func(s *miner.Setting, f *fakeV2) {
			s.Mode = "Low"
			f.replies["status"] = swap(f.replies["status"], "3400", "")
		}, []string{wroteOn, wroteLow, wrote3400}, nil},
		"nothing is remembered":              {func(s *miner.Setting, _ *fakeV2) { *s = miner.Setting{Dialect: DialectV2} }, []string{wroteOn}, nil},
		"nothing is, and it does not answer": {func(s *miner.Setting, f *fakeV2) { *s = miner.Setting{Dialect: DialectV2}; f.replies["status"] = "" }, []string{wroteOn}, nil},
		"it does not answer yet":             {func(_ *miner.Setting, f *fakeV2) { f.replies["status"] = "" }, []string{wroteOn}, []string{noteUnread}},
		"it does not tell yet": {func(_ *miner.Setting, f *fakeV2) {
			f.replies["status"], f.replies["summary"] = wrap(`{}`), wrap(`{"SUMMARY":[]}`)
		}, []string{wroteOn}, []string{noteUnread}},
	} {
		t.Run(name, func(t *testing.T) {
			onV2(t, nil, func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
				before := settingV2(t, m)
				c.change(&before, f)
				a, err := m.Wake(t.Context(), before)
				if err != nil || !slices.Equal(a.Notes, c.notes) {
					t.Errorf("%+v, %v", a, err)
				}
				f.wrote(t, c.writes...)
			})
		})
	}
}

func TestV2Release(t *testing.T) {
	onV2(t, nil, func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
		before := settingV2(t, m)
		if _, err := m.Release(t.Context(), before); err != nil {
			t.Error(err)
		}
		f.wrote(t)
		f.replies["summary"] = swap(f.replies["summary"], `"Power Mode":"Normal"`, `"Power Mode":"Low"`)
		f.answer = func(int, string) string {
			f.replies["summary"] = swap(f.replies["summary"], `"Power Mode":"Low"`, `"Power Mode":"Normal"`)
			return clearReply
		}
		if _, err := m.Release(t.Context(), before); err != nil {
			t.Error(err)
		}
		f.wrote(t, wroteNormal)
		f.replies["status"] = swap(f.replies["status"], `"mineroff":"false"`, `"mineroff":"true"`)
		_, err := m.Release(t.Context(), before)
		fault(t, err, drivers.Unsupported)
		before.Dialect = DialectV3
		if _, err := m.Release(t.Context(), before); !errors.Is(err, drivers.Unsupported) {
			t.Errorf("%v", err)
		}
		if _, err := m.Wake(t.Context(), before); !errors.Is(err, drivers.Unsupported) {
			t.Errorf("%v", err)
		}
		f.wrote(t, wroteNormal)
	})
	onV2(t, nil, func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
		before := settingV2(t, m)
		before.Mode = "7"
		_, err := m.Release(t.Context(), before)
		fault(t, err, drivers.Unsupported)
		f.wrote(t)
	})
}

// TestV2Whose: nothing is written to another unit, and no token is taken from it.
func TestV2Whose(t *testing.T) {
	mac := func(mac string) func(*miner.Opts, *fakeV2) {
		return func(o *miner.Opts, _ *fakeV2) { o.MAC = mac }
	}
	onV2(t, mac("02:00:5e:00:00:07"), func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
		if _, err := sleepV2(t.Context(), m); err != nil {
			t.Error(err)
		}
		f.wrote(t, wroteOff)
		delete(f.replies, "get_miner_info") // an older build
		if _, err := sleepV2(t.Context(), m); err != nil {
			t.Error(err)
		}
		f.wrote(t, wroteOff, wroteOff)
		f.replies["summary"] = wrap(`{"SUMMARY":[]}`)
		_, err := sleepV2(t.Context(), m)
		fault(t, err, drivers.WrongDevice)
		f.replies["get_miner_info"] = ""
		_, err = sleepV2(t.Context(), m)
		fault(t, err, drivers.Corrupt)
		f.wrote(t, wroteOff, wroteOff)
	})
	onV2(t, mac("02:00:5e:ff:ff:ff"), func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
		before := settingV2(t, m)
		for name, verb := range map[string]func() (miner.Answer, error){
			"sleep":   func() (miner.Answer, error) { return sleepV2(t.Context(), m) },
			"wake":    func() (miner.Answer, error) { return m.Wake(t.Context(), before) },
			"limit":   func() (miner.Answer, error) { return m.Limit(t.Context(), miner.Limit{W: 2500}, miner.Urgency{}) },
			"release": func() (miner.Answer, error) { return m.Release(t.Context(), before) },
		} {
			if _, err := verb(); !errors.Is(err, drivers.WrongDevice) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if f.logins != 0 {
			t.Errorf("%d log-ins", f.logins)
		}
		f.wrote(t)
	})
}

func TestV2Capabilities(t *testing.T) {
	onV2(t, nil, func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
		c, err := m.Capabilities(t.Context())
		if err != nil || !c.Sleep || !c.Measures || c.Locked != "" || !slices.Equal(c.Modes, []string{"Low", "Normal", "High"}) || c.Watts == nil || c.Watts.MaxW != 99998 {
			t.Errorf("%+v, %v", c, err)
		}
		if want := (miner.Times{Write: 10 * time.Second, Confirm: 30 * time.Second, SleepBy: time.Minute, WakeBy: 15 * time.Minute}); c.Times != want {
			t.Errorf("%+v", c.Times)
		}
		f.replies["get_version"] = wrap(`{"api_ver":"2.0.4"}`)
		if c, err := m.Capabilities(t.Context()); err != nil || c.Watts != nil {
			t.Errorf("%+v, %v", c, err)
		}
		delete(f.replies, "get_version")
		if c, err := m.Capabilities(t.Context()); err != nil || c.Watts != nil {
			t.Errorf("%+v, %v", c, err)
		}
		f.replies["get_version"] = ""
		_, err = m.Capabilities(t.Context())
		fault(t, err, drivers.Corrupt)
	})
}

// TestV2Secrets: a unit that repeats what it was sent does not get it into an error or an answer.
func TestV2Secrets(t *testing.T) {
	for _, status := range []string{`"STATUS":"S","Code":131`, `"STATUS":"E","Code":132`, `"STATUS":"E","Code":135`, `"STATUS":"E","Code":45`} {
		onV2(t, func(_ *miner.Opts, f *fakeV2) {
			f.answer = func(int, string) string {
				return `{` + status + `,"Msg":"said ` + strings.ReplaceAll(strings.Join(f.now.secrets, " "), "/", `\/`) + `"}`
			}
		}, func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
			a, err := sleepV2(t.Context(), m)
			text := a.Text
			if err != nil {
				text += err.Error()
			}
			if !strings.Contains(text, "said ***") {
				t.Errorf("%s: the words of the unit are missing: %s", status, text)
			}
			for _, s := range f.now.secrets {
				if strings.Contains(text, s) {
					t.Errorf("%s: %s", status, text)
				}
			}
		})
	}
	for text, want := range map[string]string{"a secret": "a ***", "a se\u200bcret": "a ***", "a\nsecret": "a ***", "": ""} {
		if got := said(text, "secret", "", "a"); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func TestV2Request(t *testing.T) {
	onV2(t, nil, func(t *testing.T, m *V2, f *fakeV2, h *miners.Host) {
		var raw []string
		h.HandleRPC(rpc.Port, func(r miners.Request) miners.Reply {
			raw = append(raw, string(r.Raw))
			return miners.Reply(clearReply)
		})
		if _, err := m.read(t.Context(), "status"); err != nil || !slices.Equal(raw, []string{"{\"cmd\":\"status\"}\n"}) {
			t.Errorf("%q, %v", raw, err)
		}
	})
}

// TestV2Errors: what fails on the way ends the verb, and is told as it is.
func TestV2Errors(t *testing.T) {
	hung := func(command string) func(*miner.Opts, *fakeV2) {
		return func(_ *miner.Opts, f *fakeV2) { f.hangs = command }
	}
	for _, report := range []string{"status", "summary", "get_version", "pools", "edevs", "devs"} {
		onV2(t, hung(report), func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
			if report == "devs" {
				delete(f.replies, "edevs")
			}
			_, err := m.Status(t.Context())
			fault(t, err, drivers.Timeout)
			f.settle()
		})
	}
	for _, report := range []string{"status", "pools"} {
		onV2(t, hung(report), func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
			_, err := m.Setting(t.Context())
			fault(t, err, drivers.Timeout)
			f.settle()
		})
	}
	for _, report := range []string{"status", "get_version", "get_token"} {
		onV2(t, hung(report), func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
			_, err := m.Limit(t.Context(), miner.Limit{W: 2500}, miner.Urgency{})
			fault(t, err, drivers.Timeout)
			f.wrote(t)
			f.settle()
		})
	}
	onV2(t, func(_ *miner.Opts, f *fakeV2) { f.answer = func(int, string) string { return "" } }, func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
		_, err := m.Wake(t.Context(), miner.Setting{Dialect: DialectV2, Mode: "Low"})
		fault(t, err, drivers.Unsure)
		f.wrote(t, wroteOn)
	})
	onV2(t, func(o *miner.Opts, f *fakeV2) {
		o.MAC, f.replies = "02:00:5e:00:00:07", map[string]string{"summary": ""}
	}, func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
		_, err := sleepV2(t.Context(), m)
		fault(t, err, drivers.Corrupt)
		_, err = m.Release(t.Context(), miner.Setting{Dialect: DialectV2})
		fault(t, err, drivers.Corrupt)
		f.wrote(t)
	})
	onV2(t, nil, func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
		f.replies["status"] = ""
		_, err := m.Release(t.Context(), miner.Setting{Dialect: DialectV2})
		fault(t, err, drivers.Corrupt)
	})
	// A token that is lost, and no new one.
	onV2(t, nil, func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
		if _, err := sleepV2(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		other := *f.now
		other.sign = "forgotten"
		f.now, f.replies["get_token"] = &other, `{"STATUS":"E","Code":136,"Msg":"over max connect"}`
		_, err := sleepV2(t.Context(), m)
		fault(t, err, drivers.Busy)
		f.wrote(t, wroteOff)
	})
	// The mode is taken, and then the unit tells nothing: the limit is left alone, and that is told.
	onV2(t, nil, func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
		before := settingV2(t, m)
		before.Mode, before.More[setMember] = "Low", "2500"
		f.answer = func(int, string) string { f.replies["status"] = ""; return clearReply }
		a, err := m.Release(t.Context(), before)
		if err != nil || !slices.Equal(a.Notes, []string{noteUnread}) {
			t.Errorf("%+v, %v", a, err)
		}
		f.wrote(t, wroteLow)
	})
}

// TestV2StoppedAndRefusing: the mining process of a stopped unit takes no connection for its reports, and status does.
func TestV2StoppedAndRefusing(t *testing.T) {
	for off, want := range map[string]drivers.Fault{"true": drivers.None, "false": drivers.Unreachable} {
		onV2(t, func(o *miner.Opts, f *fakeV2) {
			dial, n := o.Dial, 0
			o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				if n++; n > 1 {
					return nil, syscall.ECONNREFUSED
				}
				return dial(ctx, network, address)
			}
			f.replies["status"] = swap(f.replies["status"], `"mineroff":"false"`, `"mineroff":"`+off+`"`)
		}, func(t *testing.T, m *V2, _ *fakeV2, _ *miners.Host) {
			s, err := m.Status(t.Context())
			fault(t, err, want)
			if err == nil && (s.State != miner.Asleep || s.Firmware == "") {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestABuildThatKnowsOneKey: a build of 2020 knows a command by the key of cgminer alone.
func TestABuildThatKnowsOneKey(t *testing.T) {
	onV2(t, func(_ *miner.Opts, f *fakeV2) { f.key = "command" }, func(t *testing.T, m *V2, _ *fakeV2, _ *miners.Host) {
		s, err := m.Status(t.Context())
		if err != nil || s.State != miner.Mining || s.Power == nil || s.Power.W != 3200 {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

// TestALimitAsksWhetherItMines: btmineroff alone does not tell that a unit sleeps.
func TestALimitAsksWhetherItMines(t *testing.T) {
	for name, sleeps := range map[string]bool{"v2-cgminer-mines": false, "v2-btminer-off": true} {
		onV2(t, func(_ *miner.Opts, f *fakeV2) { maps.Copy(f.replies, casesV2()[name]) }, func(t *testing.T, m *V2, f *fakeV2, _ *miners.Host) {
			_, err := m.Limit(t.Context(), miner.Limit{Mode: "Low"}, miner.Urgency{})
			if refused := len(f.writes) == 0; refused != sleeps || (err != nil) != sleeps {
				t.Errorf("%s: %v, writes %v", name, err, f.writes)
			}
		})
	}
}
