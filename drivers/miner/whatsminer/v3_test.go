package whatsminer

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/drivertest/miners"
	"rackagent/drivers/miner"
)

func sleepV3(ctx context.Context, m *V3) (miner.Answer, error) { return m.Sleep(ctx, miner.Urgency{}) }

// TestFrames: the bytes of a message, and what is none.
func TestFrames(t *testing.T) {
	const message = `{"cmd":"get.device.info"}`
	if got := framed([]byte(message)); string(got) != "\x19\x00\x00\x00"+message {
		t.Errorf("%q", got)
	}
	if got, err := unframed(bytes.NewReader(append(framed([]byte(message)), "more"...))); err != nil || string(got) != message {
		t.Errorf("%q, %v", got, err)
	}
	for _, text := range []string{"", "\x19\x00\x00", "\x19\x00\x00\x00{}", "\x00\x00\x00\x00", "{\"co", "\x01\x00\x10\x00{"} {
		if got, err := unframed(strings.NewReader(text)); err == nil {
			t.Errorf("%q: %q", text, got)
		}
	}
	most := framed(bytes.Repeat([]byte{' '}, miner.MaxReply))
	if got, err := unframed(bytes.NewReader(most)); err != nil || len(got) != miner.MaxReply {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := unframed(bytes.NewReader(append(binary.LittleEndian.AppendUint32(nil, miner.MaxReply+1), most...))); !errors.Is(err, errLength) {
		t.Errorf("%v", err)
	}
}

// TestV3Vector: a write is what the vector of the documents says, to the byte.
func TestV3Vector(t *testing.T) {
	_, token := signedV3("set.miner.service", "super", "5QAHiKMb", 1700000000)
	b, err := json.Marshal(writeV3{"set.miner.service", "stop", 1700000000, token, "super"})
	if want := `{"cmd":"set.miner.service","param":"stop","ts":1700000000,"token":"ZMErIzaf","account":"super"}`; err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
}

func TestV3Status(t *testing.T) {
	onV3(t, nil, func(t *testing.T, m *V3, f *fakeV3, h *miners.Host) {
		if h.Tries() != 0 {
			t.Error("the constructor connected")
		}
		s, err := m.Status(t.Context())
		if err != nil || s.State != miner.Mining || s.Model != "M60S_VK40" || len(s.Boards) != 3 || len(s.Pools) != 2 || s.At != time.Now() {
			t.Errorf("%+v, %v", s, err)
		}
		if want := []string{"get.device.info", "get.miner.status summary", "get.miner.status edevs", "get.miner.status pools"}; !slices.Equal(f.asked, want) {
			t.Errorf("%q", f.asked)
		}
	})
}

// TestV3PoolsRejected: a unit that rejects the pools is there all the same.
func TestV3PoolsRejected(t *testing.T) {
	for _, reply := range []string{`{"code":-1,"when":1,"msg":"fail"}`, `{"code":-2,"msg":"x"}`, `{"code":0,"msg":"no pools"}`, ""} {
		onV3(t, func(_ *miner.Opts, f *fakeV3) { f.replies["pools"] = reply }, func(t *testing.T, m *V3, _ *fakeV3, _ *miners.Host) {
			s, err := m.Status(t.Context())
			if err != nil || s.State != miner.Mining || s.Pools != nil {
				t.Errorf("%q: %+v, %v", reply, s, err)
			}
		})
	}
	asleep := func(_ *miner.Opts, f *fakeV3) {
		f.replies["info"] = swap(infoV3, `"working":"true"`, `"working":"false"`)
		for _, r := range []string{"pools", "edevs", "summary"} {
			f.replies[r] = `{"code":-1,"when":1,"msg":"fail"}`
		}
	}
	onV3(t, asleep, func(t *testing.T, m *V3, f *fakeV3, _ *miners.Host) {
		if s, err := m.Status(t.Context()); err != nil || s.State != miner.Asleep || s.Power != nil {
			t.Errorf("%+v, %v", s, err)
		}
		if s, err := m.Setting(t.Context()); err != nil || s.Mode != "normal" || s.TargetW != nil || s.Pools != "" {
			t.Errorf("%+v, %v", s, err)
		}
		f.replies["summary"] = ""
		if s, err := m.Status(t.Context()); err != nil || s.State != miner.Asleep {
			t.Errorf("%+v, %v", s, err)
		}
		f.replies["info"] = infoV3
		_, err := m.Status(t.Context())
		fault(t, err, drivers.Corrupt)
	})
}

func TestV3Sleep(t *testing.T) {
	onV3(t, nil, func(t *testing.T, m *V3, f *fakeV3, _ *miners.Host) {
		a, err := sleepV3(t.Context(), m)
		if err != nil || a.Text != "ok" || a.At != time.Now() || a.Notes != nil {
			t.Errorf("%+v, %v", a, err)
		}
		f.wrote(t, wroteStop)
	})
	onV3(t, func(o *miner.Opts, f *fakeV3) {
		f.password, f.account, o.User = "hunter22", "user1", "user1"
		o.Password = func() (string, error) { return "hunter22", nil }
	}, func(t *testing.T, m *V3, f *fakeV3, _ *miners.Host) {
		if _, err := sleepV3(t.Context(), m); err != nil {
			t.Error(err)
		}
		f.wrote(t, wroteStop)
	})
	onV3(t, func(o *miner.Opts, _ *fakeV3) {
		o.Password = func() (string, error) { return "", errors.New("no file") }
	},
		func(t *testing.T, m *V3, f *fakeV3, _ *miners.Host) {
			_, err := sleepV3(t.Context(), m)
			fault(t, err, drivers.Denied)
			f.wrote(t)
		})
}

// TestV3Delay: a random delay before a stop is told, and never keeps a stop from being sent.
func TestV3Delay(t *testing.T) {
	setting := func(stop string) string {
		return wrapV3(`{"time-randomized":{"start":10,"stop":` + stop + `}}`) //nolint:misspell // the unit's spelling
	}
	for reply, told := range map[string]bool{
		setting("90"): true, setting(`"90"`): true, setting("0"): false, setting("null"): false, wrapV3(`{}`): false, `{"code":-2,"msg":"x"}`: false, "": false,
	} {
		onV3(t, func(_ *miner.Opts, f *fakeV3) { f.replies["get.system.setting"] = reply }, func(t *testing.T, m *V3, f *fakeV3, _ *miners.Host) {
			a, err := sleepV3(t.Context(), m)
			if err != nil || (len(a.Notes) == 1) != told || told && !strings.Contains(a.Notes[0], "90 s") {
				t.Errorf("%s: %+v, %v", reply, a, err)
			}
			f.wrote(t, wroteStop)
		})
	}
	onV3(t, nil, func(t *testing.T, m *V3, f *fakeV3, h *miners.Host) {
		h.Handle(PortV3, func(c net.Conn) {
			if len(f.writes) > 0 { // the report after the stop
				defer c.Close()
				_, _ = io.Copy(io.Discard, c)
				return
			}
			f.serve(c)
		})
		began := time.Now()
		a, err := sleepV3(t.Context(), m)
		if err != nil || a.Notes != nil || time.Since(began) != delayLimit {
			t.Errorf("%+v, %v after %s", a, err, time.Since(began))
		}
		f.wrote(t, wroteStop)
	})
}

// TestV3Salt: a salt that changed is read again, once.
func TestV3Salt(t *testing.T) {
	stale := func(_ *miner.Opts, f *fakeV3) { f.salt = "newsalt1" } // the report tells of the old one
	onV3(t, stale, func(t *testing.T, m *V3, f *fakeV3, _ *miners.Host) {
		a, err := sleepV3(t.Context(), m)
		if err != nil || !slices.Equal(a.Notes, []string{noteSalt}) || f.refused != 1 {
			t.Errorf("%+v, %v, refused %d times", a, err, f.refused)
		}
		f.wrote(t, wroteStop)
	})
	onV3(t, func(_ *miner.Opts, f *fakeV3) { f.password = "another1" }, func(t *testing.T, m *V3, f *fakeV3, _ *miners.Host) {
		_, err := sleepV3(t.Context(), m)
		fault(t, err, drivers.Denied)
		f.wrote(t)
		if f.refused != 2 {
			t.Errorf("refused %d times", f.refused)
		}
	})
	onV3(t, func(_ *miner.Opts, f *fakeV3) { f.salt, f.replies["salt"] = "newsalt1", `{"code":0,"msg":{}}` }, func(t *testing.T, m *V3, f *fakeV3, _ *miners.Host) {
		_, err := sleepV3(t.Context(), m)
		fault(t, err, drivers.Corrupt)
		f.wrote(t)
	})
	// A report without a salt: it is asked for alone, and kept.
	onV3(t, func(_ *miner.Opts, f *fakeV3) { f.replies["info"] = swap(infoV3, `"salt":"5QAHiKMb",`, "") }, func(t *testing.T, m *V3, f *fakeV3, _ *miners.Host) {
		for range 2 {
			if _, err := sleepV3(t.Context(), m); err != nil {
				t.Error(err)
			}
		}
		f.wrote(t, wroteStop, wroteStop)
		if n := strings.Count(strings.Join(f.asked, ","), "get.device.info salt"); n != 1 {
			t.Errorf("%d times", n)
		}
	})
}

func TestV3Locked(t *testing.T) {
	for _, value := range []string{`"0"`, `0`, `false`} {
		onV3(t, func(_ *miner.Opts, f *fakeV3) {
			f.replies["info"] = swap(infoV3, `"apiswitch":"1"`, `"apiswitch":`+value)
		},
			func(t *testing.T, m *V3, f *fakeV3, _ *miners.Host) {
				_, err := sleepV3(t.Context(), m)
				fault(t, err, drivers.Locked)
				f.wrote(t)
				c, cerr := m.Capabilities(t.Context())
				if cerr != nil || c.Locked != unlock || !strings.Contains(err.Error(), unlock) || f.refused != 0 {
					t.Errorf("%+v, %v, %v", c, cerr, err)
				}
				if s, err := m.Status(t.Context()); err != nil || s.State != miner.Mining {
					t.Errorf("%+v, %v", s, err)
				}
			})
	}
	onV3(t, func(_ *miner.Opts, f *fakeV3) { f.replies["info"] = swap(infoV3, `"apiswitch":"1",`, "") }, func(t *testing.T, m *V3, f *fakeV3, _ *miners.Host) {
		if c, err := m.Capabilities(t.Context()); err != nil || c.Locked != "" || c.Watts == nil || !c.Sleep || !slices.Equal(c.Modes, []string{"low", "normal", "high"}) {
			t.Errorf("%+v, %v", c, err)
		}
		if _, err := sleepV3(t.Context(), m); err != nil {
			t.Error(err)
		}
		f.wrote(t, wroteStop)
	})
}

// TestV3Refusals: what each code means, and that none of these is tried again.
func TestV3Refusals(t *testing.T) {
	for reply, want := range map[string]drivers.Fault{
		`{"code":-1,"msg":"fail"}`:            drivers.Refused,
		`{"code":-2,"msg":"invalid command"}`: drivers.Unsupported,
		`{"code":-3,"msg":"x"}`:               drivers.Refused,
		`{"code":"0","msg":"ok"}`:             drivers.None,
		`{"code":0,"msg":{"x":1}}`:            drivers.None,
		`{"msg":"ok"}`:                        drivers.Unsure,
		`ok`:                                  drivers.Unsure,
		``:                                    drivers.Unsure,
	} {
		onV3(t, func(_ *miner.Opts, f *fakeV3) { f.answer = func(int, string) string { return reply } }, func(t *testing.T, m *V3, f *fakeV3, _ *miners.Host) {
			_, err := sleepV3(t.Context(), m)
			fault(t, err, want)
			f.wrote(t, wroteStop)
		})
	}
}

func TestV3Wires(t *testing.T) {
	for quirk, want := range map[miners.Quirk]drivers.Fault{
		miners.Hangs: drivers.Timeout, miners.Refuses: drivers.Unreachable, miners.HangsUp: drivers.Corrupt, miners.CutsOff: drivers.Corrupt,
		miners.Vanished: drivers.Unreachable, miners.Floods: drivers.Corrupt, miners.Dribbles: drivers.None, miners.Dawdles: drivers.Timeout,
	} {
		t.Run(string(quirk), func(t *testing.T) {
			onV3(t, nil, func(t *testing.T, m *V3, f *fakeV3, _ *miners.Host) {
				f.machine.Set(quirk, true)
				began := time.Now()
				_, err := m.Status(t.Context())
				fault(t, err, want)
				if took := time.Since(began); took > miner.ReadLimit {
					t.Errorf("it took %s", took)
				}
				_, err = sleepV3(t.Context(), m)
				fault(t, err, want)
			})
		})
	}
	onV3(t, func(_ *miner.Opts, f *fakeV3) {
		f.answer = func(int, string) string { time.Sleep(25 * time.Second); return okV3 }
	},
		func(t *testing.T, m *V3, f *fakeV3, _ *miners.Host) {
			began := time.Now()
			_, err := sleepV3(t.Context(), m)
			fault(t, err, drivers.Unsure)
			if took := time.Since(began); took != writeLimit {
				t.Errorf("it took %s", took)
			}
			time.Sleep(time.Minute)
		})
	onV3(t, func(_ *miner.Opts, f *fakeV3) {
		f.answer = func(int, string) string { f.machine.Set(miners.CutsOff, true); return okV3 }
	},
		func(t *testing.T, m *V3, f *fakeV3, _ *miners.Host) {
			_, err := sleepV3(t.Context(), m)
			fault(t, err, drivers.Unsure)
			f.wrote(t, wroteStop)
		})
	onV3(t, nil, func(t *testing.T, m *V3, f *fakeV3, _ *miners.Host) {
		f.machine.Set(miners.Hangs, true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := sleepV3(ctx, m)
		fault(t, err, drivers.Timeout)
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// TestV3WriteThatDoesNotLeave: nothing was sent, so nothing happened; and part of a request may be obeyed.
func TestV3WriteThatDoesNotLeave(t *testing.T) {
	for read, want := range map[int]drivers.Fault{0: drivers.Unreachable, 10: drivers.Unsure} {
		onV3(t, func(o *miner.Opts, _ *fakeV3) {
			o.Dial = func(context.Context, string, string) (net.Conn, error) {
				client, server := net.Pipe()
				go func() {
					_, _ = io.CopyN(io.Discard, server, int64(read))
					_ = server.Close()
				}()
				return client, nil
			}
		}, func(t *testing.T, m *V3, _ *fakeV3, _ *miners.Host) {
			m.salt = "5QAHiKMb"
			fault(t, m.post(t.Context(), &miner.Answer{}, "set.miner.service", "stop", "super"), want)
		})
	}
}

func TestV3Limit(t *testing.T) {
	onV3(t, nil, func(t *testing.T, m *V3, f *fakeV3, _ *miners.Host) {
		for _, l := range []miner.Limit{{W: 2500.9}, {Mode: "low"}, {Mode: "HIGH"}} {
			if _, err := m.Limit(t.Context(), l, miner.Urgency{}); err != nil {
				t.Errorf("%+v: %v", l, err)
			}
		}
		f.wrote(t, `set.miner.power_limit 2500`, `set.miner.power_mode "low"`, `set.miner.power_mode "high"`)
		f.replies["info"] = swap(infoV3, `"working":"true"`, `"working":"false"`)
		for _, l := range []miner.Limit{{W: 2500}, {Mode: "low"}, {Mode: "1"}, {}} {
			if _, err := m.Limit(t.Context(), l, miner.Urgency{}); !errors.Is(err, drivers.Unsupported) {
				t.Errorf("%+v: %v", l, err)
			}
		}
		if len(f.writes) != 3 {
			t.Errorf("%q", f.writes)
		}
	})
}

func TestV3Setting(t *testing.T) {
	onV3(t, nil, func(t *testing.T, m *V3, f *fakeV3, _ *miners.Host) {
		s, err := m.Setting(t.Context())
		if err != nil || s.Dialect != DialectV3 || s.Mode != "normal" || *s.TargetW != 3600 || len(s.Pools) != 32 || s.More != nil {
			t.Errorf("%+v, %v", s, err)
		}
		f.replies["info"] = swap(infoV3, `"hash-percent":""`, `"power-limit-set":"3500"`)
		if s, err := m.Setting(t.Context()); err != nil || s.More[setMember] != "3500" {
			t.Errorf("%+v, %v", s, err)
		}
		f.replies["info"], f.replies["summary"] = `{"code":0,"msg":{"miner":{"working":"true"}}}`, wrapV3(`{"summary":{}}`)
		_, err = m.Setting(t.Context())
		fault(t, err, drivers.Settling)
	})
}

func TestV3WakeAndRelease(t *testing.T) {
	before := miner.Setting{Dialect: DialectV3, Mode: "normal", TargetW: watts(3600)}
	for name, c := range map[string]struct {
		change        func(*fakeV3)
		wake, release []string
		notes         []string
	}{
		"the same":         {func(*fakeV3) {}, []string{wroteStart}, nil, nil},
		"another mode":     {func(f *fakeV3) { f.replies["info"] = swap(infoV3, `"mode":"1"`, `"mode":"0"`) }, []string{wroteStart, wroteMode}, []string{wroteMode}, nil},
		"another limit":    {func(f *fakeV3) { f.replies["summary"] = swap(f.replies["summary"], "3600", "2500") }, []string{wroteStart, wroteLimit3}, []string{wroteLimit3}, nil},
		"no limit is told": {func(f *fakeV3) { f.replies["summary"] = swap(f.replies["summary"], "3600", "0") }, []string{wroteStart}, nil, []string{noteUnread}},
	} {
		t.Run(name, func(t *testing.T) {
			onV3(t, nil, func(t *testing.T, m *V3, f *fakeV3, _ *miners.Host) {
				c.change(f)
				f.answer = func(_ int, command string) string {
					if command == "set.miner.power_mode" {
						f.replies["info"] = infoV3
					}
					return okV3
				}
				info := f.replies["info"]
				a, err := m.Wake(t.Context(), before)
				if err != nil || !slices.Equal(a.Notes, c.notes) {
					t.Errorf("%+v, %v", a, err)
				}
				f.wrote(t, c.wake...)
				f.writes, f.replies["info"] = nil, info
				if a, err := m.Release(t.Context(), before); err != nil || !slices.Equal(a.Notes, c.notes) {
					t.Errorf("%+v, %v", a, err)
				}
				f.wrote(t, c.release...)
			})
		})
	}
	onV3(t, nil, func(t *testing.T, m *V3, f *fakeV3, _ *miners.Host) {
		f.replies["summary"] = ""
		if a, err := m.Wake(t.Context(), before); err != nil || !slices.Equal(a.Notes, []string{noteUnread}) {
			t.Errorf("%+v, %v", a, err)
		}
		_, err := m.Release(t.Context(), before)
		fault(t, err, drivers.Corrupt)
		f.wrote(t, wroteStart)
		f.replies["info"] = swap(infoV3, `"working":"true"`, `"working":"false"`)
		_, err = m.Release(t.Context(), before)
		fault(t, err, drivers.Unsupported)
		foreign := miner.Setting{Dialect: DialectV2}
		if _, err := m.Wake(t.Context(), foreign); !errors.Is(err, drivers.Unsupported) {
			t.Errorf("%v", err)
		}
		if _, err := m.Release(t.Context(), foreign); !errors.Is(err, drivers.Unsupported) {
			t.Errorf("%v", err)
		}
		f.wrote(t, wroteStart)
	})
	onV3(t, nil, func(t *testing.T, m *V3, f *fakeV3, _ *miners.Host) {
		_, err := m.Release(t.Context(), miner.Setting{Dialect: DialectV3, Mode: "7"})
		fault(t, err, drivers.Unsupported)
		f.wrote(t)
	})
}

func TestV3Whose(t *testing.T) {
	onV3(t, func(o *miner.Opts, _ *fakeV3) { o.MAC = "02:00:5e:00:00:07" }, func(t *testing.T, m *V3, f *fakeV3, _ *miners.Host) {
		if _, err := sleepV3(t.Context(), m); err != nil {
			t.Error(err)
		}
		f.wrote(t, wroteStop)
		f.replies["info"] = swap(infoV3, `"mac":"02:00:5E:00:00:07",`, "")
		_, err := sleepV3(t.Context(), m)
		fault(t, err, drivers.WrongDevice)
		f.wrote(t, wroteStop)
	})
	onV3(t, func(o *miner.Opts, _ *fakeV3) { o.MAC = "02:00:5e:ff:ff:ff" }, func(t *testing.T, m *V3, f *fakeV3, _ *miners.Host) {
		before := miner.Setting{Dialect: DialectV3}
		for name, verb := range map[string]func() (miner.Answer, error){
			"sleep":   func() (miner.Answer, error) { return sleepV3(t.Context(), m) },
			"wake":    func() (miner.Answer, error) { return m.Wake(t.Context(), before) },
			"limit":   func() (miner.Answer, error) { return m.Limit(t.Context(), miner.Limit{W: 2500}, miner.Urgency{}) },
			"release": func() (miner.Answer, error) { return m.Release(t.Context(), before) },
		} {
			if _, err := verb(); !errors.Is(err, drivers.WrongDevice) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if f.refused != 0 {
			t.Errorf("%d attempts", f.refused)
		}
		f.wrote(t)
	})
}

// TestV3Secrets: a unit that repeats what it was sent does not get it into an error or an answer.
func TestV3Secrets(t *testing.T) {
	_, token := signedV3("set.miner.service", "super", "5QAHiKMb", time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix()) // a bubble's first moment
	for _, code := range []string{"0", "-1", "-4"} {
		onV3(t, func(_ *miner.Opts, f *fakeV3) {
			f.answer = func(int, string) string { return `{"code":` + code + `,"msg":"said ` + token + ` 5QAHiKMb"}` }
		}, func(t *testing.T, m *V3, _ *fakeV3, _ *miners.Host) {
			a, err := sleepV3(t.Context(), m)
			text := a.Text
			if err != nil {
				text += err.Error()
			}
			if code != "-4" && !strings.Contains(text, "said *** ***") || strings.Contains(text, token) || strings.Contains(text, "5QAHiKMb") {
				t.Errorf("%s: %s", code, text)
			}
		})
	}
}

// TestV3Errors: what fails on the way ends the verb, and is told as it is.
func TestV3Errors(t *testing.T) {
	hung := func(param string) func(*miner.Opts, *fakeV3) {
		return func(_ *miner.Opts, f *fakeV3) { f.hangs = param }
	}
	for _, report := range []string{"edevs", "pools", "summary"} {
		onV3(t, hung(report), func(t *testing.T, m *V3, _ *fakeV3, _ *miners.Host) {
			_, err := m.Status(t.Context())
			fault(t, err, drivers.Timeout)
		})
	}
	for _, report := range []string{"", "pools"} {
		onV3(t, hung(report), func(t *testing.T, m *V3, f *fakeV3, _ *miners.Host) {
			if report == "" {
				f.replies["info"] = ""
			}
			if s, err := m.Setting(t.Context()); err == nil {
				t.Errorf("%+v", s)
			}
			if c, err := m.Capabilities(t.Context()); (err == nil) != (report == "pools") {
				t.Errorf("%+v, %v", c, err)
			}
		})
	}
	onV3(t, func(_ *miner.Opts, f *fakeV3) { f.answer = func(int, string) string { return "" } }, func(t *testing.T, m *V3, f *fakeV3, _ *miners.Host) {
		_, err := m.Wake(t.Context(), miner.Setting{Dialect: DialectV3, Mode: "low"})
		fault(t, err, drivers.Unsure)
		f.wrote(t, wroteStart)
	})
	onV3(t, func(_ *miner.Opts, f *fakeV3) {
		f.hangs, f.replies["info"] = "salt", swap(infoV3, `"salt":"5QAHiKMb",`, "")
	},
		func(t *testing.T, m *V3, f *fakeV3, _ *miners.Host) {
			_, err := sleepV3(t.Context(), m)
			fault(t, err, drivers.Timeout)
			f.wrote(t)
		})
	// The mode is taken, and then the unit tells nothing: the limit is left alone, and that is told.
	onV3(t, nil, func(t *testing.T, m *V3, f *fakeV3, _ *miners.Host) {
		f.answer = func(int, string) string { f.replies["summary"] = ""; return okV3 }
		a, err := m.Release(t.Context(), miner.Setting{Dialect: DialectV3, Mode: "low", TargetW: watts(2500)})
		if err != nil || !slices.Equal(a.Notes, []string{noteUnread}) {
			t.Errorf("%+v, %v", a, err)
		}
		f.wrote(t, `set.miner.power_mode "low"`)
	})
}
