package braiins

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/miner"
)

// without is a unit with no REST interface and no MAC that is demanded.
func without(o *miner.Opts, f *fake) {
	f.noREST, f.commands, o.MAC = 405, commandsOf(), ""
}

// TestWrites4028 holds each verb to what it sends.
func TestWrites4028(t *testing.T) {
	for name, c := range map[string]struct {
		change map[string]string
		verb   verb
		fault  drivers.Fault
		wrote  []string
		note   string
	}{
		"sleep": {nil, sleep, 0, []string{"4028 pause"}, ""}, "emergency": {nil, emergency, 0, []string{"4028 pause"}, ""},
		"wake": {nil, wake(atPower(1420)), 0, []string{"4028 resume"}, ""}, "wake, nothing known": {nil, wake(miner.Setting{Dialect: Dialect}), 0, []string{"4028 resume"}, ""},
		"wake into another target":        {nil, wake(atPower(1300)), 0, []string{"4028 resume"}, noteNoTarget},
		"wake, the target does not read":  {map[string]string{"tunerstatus": ""}, wake(atPower(1420)), 0, []string{"4028 resume"}, noteNoTarget},
		"limit":                           {nil, limit(miner.Limit{W: 1300}), drivers.Unsupported, nil, ""},
		"release as it is":                {nil, release(atPower(1420)), 0, nil, noteTarget},
		"release":                         {nil, release(atPower(1300)), drivers.Unsupported, nil, ""},
		"release, nothing known":          {nil, release(miner.Setting{Dialect: Dialect}), drivers.Unsupported, nil, ""},
		"sleep of a build without it":     {map[string]string{"pause": ""}, sleep, drivers.Unsupported, []string{"4028 pause"}, ""},
		"sleep, no access":                {map[string]string{"pause": `{"STATUS":[{"STATUS":"E","Code":45,"Msg":"Access denied"}]}`}, sleep, drivers.Locked, []string{"4028 pause"}, ""},
		"sleep, refused":                  {map[string]string{"pause": `{"STATUS":[{"STATUS":"E","Code":1,"Msg":"no"}]}`}, sleep, drivers.Refused, []string{"4028 pause"}, ""},
		"sleep, no JSON":                  {map[string]string{"pause": `x`}, sleep, drivers.Unsure, []string{"4028 pause"}, ""},
		"sleep, no mining process":        {map[string]string{"version": `Socket connect failed: Connection refused`}, sleep, drivers.Unreachable, nil, ""},
		"sleep, nothing that is Braiins'": {map[string]string{"version": `{"STATUS":[{"STATUS":"S"}],"VERSION":[{"LUXminer":"1"}]}`}, sleep, drivers.WrongDevice, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			on(t, func(o *miner.Opts, f *fake) { without(o, f); f.commands = with(f.commands, c.change) }, func(t *testing.T, m *Miner, f *fake) {
				a, err := c.verb(t.Context(), m)
				if drivers.FaultOf(err) != c.fault || err == nil && a.At.IsZero() {
					t.Errorf("%v, answer %+v", err, a)
				}
				if notes := strings.Join(a.Notes, "; "); notes != c.note {
					t.Errorf("notes %q, want %q", notes, c.note)
				}
				f.expect(t, c.wrote...)
			})
		})
	}
}

// TestLost4028: a pause that is not answered is no failure, also in an emergency.
func TestLost4028(t *testing.T) {
	on(t, func(o *miner.Opts, f *fake) { without(o, f); f.lost = "pause" }, func(t *testing.T, m *Miner, _ *fake) {
		if _, err := m.Sleep(t.Context(), miner.Urgency{}); !errors.Is(err, drivers.Unsure) {
			t.Errorf("%v", err)
		}
	})
	on(t, func(o *miner.Opts, f *fake) {
		f.commands, f.lost, f.password, o.MAC = commandsOf(), "pause", "changed9", ""
	}, func(t *testing.T, m *Miner, _ *fake) {
		if _, err := m.Sleep(t.Context(), miner.Urgency{Emergency: true}); !errors.Is(err, drivers.Unsure) || errors.Is(err, drivers.Denied) {
			t.Errorf("%v", err)
		}
	})
}

// TestUnidentified: 4028 does not tell the MAC that is demanded; an option allows to write without.
func TestUnidentified(t *testing.T) {
	for _, x := range []Options{{}, {Unidentified: true}} {
		onWith(t, x, func(o *miner.Opts, f *fake) { without(o, f); o.MAC = mac }, func(t *testing.T, m *Miner, f *fake) {
			want := drivers.WrongDevice
			if x.Unidentified {
				want = drivers.None
			}
			for name, v := range map[string]verb{"sleep": sleep, "wake": wake(atPower(1420)), "release": release(atPower(1420))} {
				if _, err := v(t.Context(), m); drivers.FaultOf(err) != want {
					t.Errorf("%+v: %s: %v", x, name, err)
				}
			}
			if (len(f.wrote) == 2) != x.Unidentified {
				t.Errorf("%+v: %q", x, f.wrote)
			}
			mustStatus(t, m)
		})
	}
}

// TestEmergency: where the password is wrong an emergency goes by 4028, and says so. Nothing else does.
func TestEmergency(t *testing.T) {
	denied := func(o *miner.Opts, f *fake) { f.commands, f.password, o.MAC = commandsOf(), "changed9", "" }
	on(t, denied, func(t *testing.T, m *Miner, f *fake) {
		for name, v := range map[string]verb{"sleep": sleep, "wake": wake(atPower(3500)), "limit": limit(miner.Limit{W: 2500})} {
			if _, err := v(t.Context(), m); !errors.Is(err, drivers.Denied) {
				t.Errorf("%s: %v", name, err)
			}
		}
		f.expect(t)
		a, err := emergency(t.Context(), m)
		if err != nil || !slices.Equal(a.Notes, []string{noteUnchecked}) || a.At.IsZero() {
			t.Errorf("%+v, %v", a, err)
		}
		f.expect(t, "4028 pause")
	})
	on(t, func(o *miner.Opts, f *fake) { denied(o, f); o.MAC = mac }, func(t *testing.T, m *Miner, f *fake) {
		if _, err := emergency(t.Context(), m); !errors.Is(err, drivers.Denied) || !errors.Is(err, drivers.WrongDevice) {
			t.Errorf("%v", err)
		}
		f.expect(t)
	})
	on(t, func(_ *miner.Opts, f *fake) {
		f.commands = commandsOf()
		f.write = func(string) *answer { return &answer{403, "no"} }
	}, func(t *testing.T, m *Miner, f *fake) { // whoever locked it meant it
		if _, err := emergency(t.Context(), m); !errors.Is(err, drivers.Locked) {
			t.Errorf("%v", err)
		}
		f.expect(t, pause)
	})
}

// TestEmergencyWebGone: nor does an emergency wait for a web server that went away.
func TestEmergencyWebGone(t *testing.T) {
	gone := false
	on(t, func(o *miner.Opts, f *fake) {
		dial := o.Dial
		o.MAC, f.commands = "", commandsOf()
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if gone && strings.HasSuffix(address, ":80") {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
			}
			return dial(ctx, network, address)
		}
	}, func(t *testing.T, m *Miner, f *fake) {
		mustStatus(t, m)
		synctest.Wait()
		gone = true
		if a, err := emergency(t.Context(), m); err != nil || len(a.Notes) != 1 {
			t.Errorf("%+v, %v", a, err)
		}
		f.expect(t, "4028 pause")
	})
}

// TestSetting4028: what there is to bring back by 4028.
func TestSetting4028(t *testing.T) {
	on(t, without, func(t *testing.T, m *Miner, f *fake) {
		s, err := m.Setting(t.Context())
		if err != nil || !remembered(s).same(remembered(atPower(1420))) || s.Pools != miner.PoolsHash([][2]string{{"stratum+tcp://a.example:3333", "acct.r1"}, {"stratum+tcp://b.example:3333", ""}}) {
			t.Errorf("%+v, %v", s, err)
		}
		if c, err := m.Capabilities(t.Context()); err != nil || !c.Sleep || c.Watts != nil || c.Times != Times() {
			t.Errorf("%+v, %v", c, err)
		}
		f.commands["tunerstatus"] = `{"STATUS":[{"STATUS":"E","Code":14}]}`
		if s, err := m.Setting(t.Context()); err != nil || s.TargetW != nil || s.Mode != "" {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

// TestContextEnds: every verb ends with its context, whatever it waits for, and an action that ended a reading finds no worse.
func TestContextEnds(t *testing.T) {
	for name, v := range map[string]verb{
		"sleep": sleep, "wake": wake(atPower(2500)), "limit": limit(miner.Limit{W: 2500}), "release": release(atPower(2500)),
		"status": func(ctx context.Context, m *Miner) (miner.Answer, error) {
			_, err := m.Status(ctx)
			return miner.Answer{}, err
		},
		"setting": func(ctx context.Context, m *Miner) (miner.Answer, error) {
			_, err := m.Setting(ctx)
			return miner.Answer{}, err
		},
		"capabilities": func(ctx context.Context, m *Miner) (miner.Answer, error) {
			_, err := m.Capabilities(ctx)
			return miner.Answer{}, err
		},
	} {
		on(t, func(_ *miner.Opts, f *fake) { f.reports["miner/details"] = "hang" }, func(t *testing.T, m *Miner, f *fake) {
			f.hang = true
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			began := time.Now()
			_, err := v(ctx, m)
			if !errors.Is(err, drivers.Timeout) || time.Since(began) != time.Second {
				t.Errorf("%s: %v after %s", name, err, time.Since(began))
			}
			synctest.Wait()
			f.hang, f.reports["miner/details"] = false, detailsOf(isNormal)
			logins := f.logins
			if _, err := sleep(t.Context(), m); err != nil || f.logins != logins {
				t.Errorf("%s: %v, %d log-ins more", name, err, f.logins-logins)
			}
		})
	}
}

// TestEndedConnecting: nor does one that ended while the reading connected.
func TestEndedConnecting(t *testing.T) {
	blocked := false
	on(t, func(o *miner.Opts, _ *fake) {
		dial := o.Dial
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if blocked {
				return nobody(ctx, network, address)
			}
			return dial(ctx, network, address)
		}
	}, func(t *testing.T, m *Miner, f *fake) {
		mustStatus(t, m)
		blocked = true
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := m.Status(ctx); !errors.Is(err, drivers.Unreachable) {
			t.Errorf("%v", err)
		}
		blocked = false
		if _, err := sleep(t.Context(), m); err != nil || f.logins != 1 {
			t.Errorf("%v, %d log-ins", err, f.logins)
		}
	})
}
