package braiins

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
	"rackagent/drivers/miner/web"
)

func TestNew(t *testing.T) {
	for name, o := range map[string]miner.Opts{"no host": {Dial: nobody}, "no way": {Host: "192.0.2.7"}, "a MAC in another spelling": {Host: "192.0.2.7", Dial: nobody, MAC: "02:00:5E:00:00:31"}} {
		if _, err := New(o, Options{}); !errors.Is(err, ErrOpts) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func mustStatus(t *testing.T, m *Miner) miner.Status {
	t.Helper()
	s, err := m.Status(t.Context())
	if err != nil {
		t.Fatalf("status: %v", err)
	}
	return s
}

// TestToken: one log-in does for as long as the token is used, and one more when the unit should have forgotten it.
func TestToken(t *testing.T) {
	on(t, nil, func(t *testing.T, m *Miner, f *fake) {
		for range 5 {
			mustStatus(t, m)
			time.Sleep(50 * time.Minute)
		}
		if f.logins != 1 {
			t.Errorf("%d log-ins while it was used", f.logins)
		}
		time.Sleep(5 * time.Minute)
		mustStatus(t, m)
		if f.logins != 2 {
			t.Errorf("%d log-ins after its life was nearly over", f.logins)
		}
		for i, h := range f.heads {
			if got := h.Get("Authorization"); i > 0 && got != "Zm9vYmFy1" && got != "Zm9vYmFy2" && got != "" {
				t.Errorf("request %d has %q", i, got)
			}
		}
	})
}

// TestForgotten: a token that the unit forgot early is renewed once, and the request sent again: also a write, of which nothing was done.
func TestForgotten(t *testing.T) {
	on(t, nil, func(t *testing.T, m *Miner, f *fake) {
		mustStatus(t, m)
		f.token = "another"
		if _, err := m.Sleep(t.Context(), miner.Urgency{}); err != nil || f.logins != 2 {
			t.Errorf("%v, %d log-ins", err, f.logins)
		}
		f.expect(t, "PUT actions/pause")
		f.life = -time.Second // a unit that forgets at once
		_, err := m.Status(t.Context())
		if !errors.Is(err, drivers.Denied) || f.logins != 3 {
			t.Errorf("%v, %d log-ins", err, f.logins)
		}
	})
}

// TestWithoutLife: a unit that does not say how long is asked anew when it forgot.
func TestWithoutLife(t *testing.T) {
	on(t, func(_ *miner.Opts, f *fake) { f.says, f.life = 0, 10*time.Minute }, func(t *testing.T, m *Miner, f *fake) {
		mustStatus(t, m)
		time.Sleep(time.Hour)
		mustStatus(t, m)
		if f.logins != 2 {
			t.Errorf("%d log-ins", f.logins)
		}
	})
}

// TestClock: a clock that was set back does not keep a token alive.
func TestClock(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	on(t, func(o *miner.Opts, _ *fake) { o.Now = func() time.Time { return now } }, func(t *testing.T, m *Miner, f *fake) {
		mustStatus(t, m)
		now = now.Add(-time.Hour)
		if s := mustStatus(t, m); f.logins != 2 || !s.At.Equal(now) {
			t.Errorf("%d log-ins, at %s", f.logins, s.At)
		}
	})
}

// TestPassword: a wrong one is Denied, is not tried twice, and stands in no error, though the unit repeats it.
func TestPassword(t *testing.T) {
	for name, c := range map[string]struct {
		password func() (string, error)
		logins   int
	}{
		"wrong": {func() (string, error) { return "hunter22", nil }, 1}, "none to be had": {func() (string, error) { return "", os.ErrNotExist }, 0},
		"the factory's": {nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			on(t, func(o *miner.Opts, f *fake) { o.Password, f.password = c.password, "changed9" }, func(t *testing.T, m *Miner, f *fake) {
				_, err := m.Status(t.Context())
				if !errors.Is(err, drivers.Denied) || f.logins != c.logins {
					t.Fatalf("%v, %d log-ins", err, f.logins)
				}
				if strings.Contains(err.Error(), "hunter22") {
					t.Errorf("%v", err)
				}
				if _, err := m.Sleep(t.Context(), miner.Urgency{}); !errors.Is(err, drivers.Denied) {
					t.Errorf("%v", err)
				}
				f.expect(t)
			})
		})
	}
	on(t, func(o *miner.Opts, f *fake) {
		o.Password, f.password = func() (string, error) { return "hunter22", nil }, "hunter22"
	}, func(t *testing.T, m *Miner, _ *fake) { mustStatus(t, m) })
}

// TestTokenOf: what is a log-in, and what is not.
func TestTokenOf(t *testing.T) {
	for name, c := range map[string]struct {
		r    web.Page
		want drivers.Fault
	}{
		"good": {web.Page{Status: 200, Body: []byte(`{"token":"abc","timeout_s":3600}`)}, drivers.None}, "201": {web.Page{Status: 201, Body: []byte(`{"token":"abc"}`)}, drivers.None},
		"no such method": {web.Page{Status: 405, Body: nil}, drivers.Unsupported}, "no such path": {web.Page{Status: 404, Body: []byte("<html>")}, drivers.Unsupported},
		"elsewhere": {web.Page{Status: 307, Body: nil}, drivers.Unsupported}, "wrong": {web.Page{Status: 401, Body: nil}, drivers.Denied}, "forbidden": {web.Page{Status: 403, Body: nil}, drivers.Denied},
		"busy": {web.Page{Status: 503, Body: nil}, drivers.Busy}, "too many": {web.Page{Status: 429, Body: nil}, drivers.Busy}, "no process": {web.Page{Status: 502, Body: nil}, drivers.Unreachable},
		"broken": {web.Page{Status: 500, Body: nil}, drivers.Refused}, "a page": {web.Page{Status: 200, Body: []byte("<html>")}, drivers.Corrupt}, "no token": {web.Page{Status: 200, Body: []byte(`{}`)}, drivers.Corrupt},
		"two lines": {web.Page{Status: 200, Body: []byte(`{"token":"a\r\nX: y"}`)}, drivers.Corrupt}, "two words": {web.Page{Status: 200, Body: []byte(`{"token":"a b"}`)}, drivers.Corrupt},
	} {
		tok, f, err := tokenOf(c.r, "secret")
		if f != c.want || (err == nil) != (f == drivers.None) || (tok.text == "") == (err == nil) {
			t.Errorf("%s: %+v, %s, %v", name, tok, f, err)
		}
	}
	for text, want := range map[string]time.Duration{"3600": time.Hour, `"60"`: time.Minute, "0": 0, "-5": 0, "1e300": 0, `"x"`: 0} {
		if tok, _, err := tokenOf(web.Page{Status: 200, Body: []byte(`{"token":"abc","timeout_s":` + text + `}`)}, ""); err != nil || tok.life != want {
			t.Errorf("%s: %s, %v", text, tok.life, err)
		}
	}
}

// TestWhichInterface: what answers a log-in decides, and is asked again only when the unit does not answer as it did.
func TestWhichInterface(t *testing.T) {
	for _, status := range []int{404, 405, 501, 308} {
		on(t, func(_ *miner.Opts, f *fake) { f.noREST, f.commands = status, commandsOf() }, func(t *testing.T, m *Miner, f *fake) {
			for range 3 {
				if s := mustStatus(t, m); s.Model != "Bitmain Antminer S9" || s.At.IsZero() {
					t.Errorf("%+v", s)
				}
			}
			if f.logins != 1 {
				t.Errorf("%d: %d log-ins", status, f.logins)
			}
			f.noREST = 0 // another firmware
			if c, err := m.Capabilities(t.Context()); err != nil || c.Watts == nil {
				t.Errorf("%+v, %v", c, err)
			}
			f.noREST = status // and back
			f.token = ""
			if _, err := m.Status(t.Context()); !errors.Is(err, drivers.Unsupported) {
				t.Errorf("%v", err)
			}
			if s := mustStatus(t, m); s.Model != "Bitmain Antminer S9" {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestWebDown: a web server that does not answer is asked again each time; 4028 does for the while.
func TestWebDown(t *testing.T) {
	down := true
	refusing := func(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
		return func(ctx context.Context, network, address string) (net.Conn, error) {
			if down && strings.HasSuffix(address, ":80") {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
			}
			return dial(ctx, network, address)
		}
	}
	on(t, func(o *miner.Opts, f *fake) { o.Dial, f.commands = refusing(o.Dial), commandsOf() }, func(t *testing.T, m *Miner, _ *fake) {
		if s := mustStatus(t, m); s.Model != "Bitmain Antminer S9" {
			t.Errorf("%+v", s)
		}
		down = false
		if s := mustStatus(t, m); s.Model != "Antminer S21 Pro" {
			t.Errorf("%+v", s)
		}
		down = true
		if _, err := m.Status(t.Context()); !errors.Is(err, drivers.Unreachable) {
			t.Errorf("%v", err)
		}
		if s := mustStatus(t, m); s.Model != "Bitmain Antminer S9" {
			t.Errorf("%+v", s)
		}
	})
}

// TestNobody: a unit that is not there is known within the time of two connections, and in the context's if that is less.
func TestNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := New(miner.Opts{Host: "192.0.2.7", Dial: nobody}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := m.Status(t.Context()); !errors.Is(err, drivers.Unreachable) || time.Since(began) != 2*miner.DialLimit {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		if _, err := m.Status(ctx); !errors.Is(err, drivers.Unreachable) || time.Since(began) != time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

// TestAnotherFirmware: what does not name Braiins OS by 4028 is none.
func TestAnotherFirmware(t *testing.T) {
	on(t, func(_ *miner.Opts, f *fake) {
		f.noREST, f.commands = 404, map[string]string{"version": `{"STATUS":[{"STATUS":"S","Description":"cgminer 1.0.0"}],"VERSION":[{"BMMiner":"2.0.0","Type":"Antminer S19"}]}`}
	}, func(t *testing.T, m *Miner, f *fake) {
		if _, err := m.Status(t.Context()); !errors.Is(err, drivers.WrongDevice) {
			t.Errorf("%v", err)
		}
		if _, err := m.Sleep(t.Context(), miner.Urgency{}); !errors.Is(err, drivers.WrongDevice) {
			t.Errorf("%v", err)
		}
		f.expect(t)
	})
}

// TestReports: what a build does not have is left out, and what a unit does not answer ends the whole.
func TestReports(t *testing.T) {
	for path, text := range map[string]string{"miner/stats": "412", "pools/": "", "miner/errors": "500", "cooling/state": "{", "version/": "403"} {
		on(t, func(_ *miner.Opts, f *fake) { f.reports = with(f.reports, map[string]string{path: text}) }, func(t *testing.T, m *Miner, f *fake) {
			if s := mustStatus(t, m); s.Model == "" || len(f.asked) != 1+len(reports()) {
				t.Errorf("%s: %+v, asked %q", path, s, f.asked)
			}
		})
	}
	for text, want := range map[string]drivers.Fault{"": drivers.Unsupported, "500": drivers.Refused, "502": drivers.Unreachable, "503": drivers.Busy, "<html>": drivers.Corrupt, "403": drivers.Locked} {
		on(t, func(_ *miner.Opts, f *fake) { f.reports = with(f.reports, map[string]string{"miner/details": text}) }, func(t *testing.T, m *Miner, _ *fake) {
			if _, err := m.Status(t.Context()); !errors.Is(err, want) {
				t.Errorf("%q: %v, want %s", text, err, want)
			}
		})
	}
}

// TestSettingAndCapabilities: what a unit tells, and nothing that could be written to the unit.
func TestSettingAndCapabilities(t *testing.T) {
	on(t, func(_ *miner.Opts, f *fake) { f.reports["configuration/miner"] = configDPS }, func(t *testing.T, m *Miner, f *fake) {
		s, err := m.Setting(t.Context())
		if err != nil || s.Dialect != Dialect || s.Mode != byPower || *s.TargetW != 3500 || s.Pools != miner.PoolsHash([][2]string{{"stratum+tcp://a.example:3333", "acct.r1"}, {"stratum+tcp://b.example:3333", "acct.r1"}}) {
			t.Errorf("%+v, %v", s, err)
		}
		c, err := m.Capabilities(t.Context())
		if err != nil || !c.Sleep || c.Measures || c.Modes != nil || *c.Watts != (miner.Range{MinW: 1200, MaxW: 4200}) || c.Times != times(2*time.Second) {
			t.Errorf("%+v, %v", c, err)
		}
		f.expect(t)
	})
	on(t, func(_ *miner.Opts, f *fake) {
		f.reports = with(f.reports, map[string]string{"configuration/constraints": "", "performance/tuner-state": "412"})
	}, func(t *testing.T, m *Miner, f *fake) {
		if c, err := m.Capabilities(t.Context()); err != nil || c.Watts != nil || c.Times != Times() {
			t.Errorf("%+v, %v", c, err)
		}
		if s, err := m.Setting(t.Context()); !errors.Is(err, drivers.Settling) {
			t.Errorf("%+v, %v", s, err)
		}
		f.reports["miner/details"] = detailsOf(isPaused)
		if s, err := m.Setting(t.Context()); err != nil || s.Mode != "" || s.Pools == "" {
			t.Errorf("%+v, %v", s, err)
		}
		if !slices.Contains(f.asked, "GET configuration/constraints") {
			t.Errorf("%q", f.asked)
		}
	})
}

// TestFaultOf: what a status means for a read and for a write.
func TestFaultOf(t *testing.T) {
	for status, want := range map[int][2]drivers.Fault{
		302: {drivers.Unsupported, drivers.Unsupported}, 400: {drivers.Refused, drivers.Refused}, 401: {drivers.Denied, drivers.Denied}, 403: {drivers.Locked, drivers.Locked},
		404: {drivers.Unsupported, drivers.Unsupported}, 405: {drivers.Unsupported, drivers.Unsupported}, 409: {drivers.Refused, drivers.Refused}, 412: {drivers.Refused, drivers.Refused},
		423: {drivers.Locked, drivers.Locked}, 429: {drivers.Busy, drivers.Busy}, 500: {drivers.Refused, drivers.Unsure}, 501: {drivers.Unsupported, drivers.Unsupported},
		502: {drivers.Unreachable, drivers.Unsure}, 503: {drivers.Busy, drivers.Busy}, 504: {drivers.Unreachable, drivers.Unsure},
	} {
		if got := [2]drivers.Fault{faultOf(rpc.Read, status), faultOf(rpc.Write, status)}; got != want {
			t.Errorf("%d: %s, want %s", status, got, want)
		}
	}
}
