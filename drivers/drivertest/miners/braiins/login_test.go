package braiins_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"rackagent/drivers/drivertest/miners"
	"rackagent/drivers/drivertest/miners/braiins"
)

// TestLogin: a token for the right words alone, and its life in seconds.
func TestLogin(t *testing.T) {
	on(t, braiins.Opts{Password: "other", TokenLife: 10 * time.Minute}, func(b *bench) {
		const path = "/api/v1/auth/login"
		for body, want := range map[string]int{
			rootLogin: 401, `{"username":"boot","password":"other"}`: 401, `{"username":"root"}`: 400, `[]`: 400, "": 400,
		} {
			if p := b.raw("POST", path, "", body); p.status != want {
				b.Errorf("%s: %+v, want %d", body, p, want)
			}
		}
		p := b.raw("POST", path, "", `{"username":"root","password":"other"}`)
		b.want("login", p.body, 600, "timeout_s")
		if p := b.raw("GET", path, "", ""); p.status != http.StatusMethodNotAllowed {
			b.Errorf("GET: %+v", p)
		}
		if got, want := b.s.Counts(), (braiins.Counts{Logins: 1, Wrong: 2}); got != want {
			b.Errorf("%+v, want %+v", got, want)
		}
		if got := b.whats(); got != "" {
			b.Errorf("a login is no write: %s", got)
		}
	})
}

// TestToken: bare, and on everything but what is open.
func TestToken(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		b.login()
		for token, want := range map[string]int{b.token: 200, "": 401, "Bearer " + b.token: 401, b.token + "0": 401} {
			if p := b.raw("GET", "/api/v1/miner/status", token, ""); p.status != want {
				b.Errorf("%q: %+v, want %d", token, p, want)
			}
		}
		if p := b.raw("PUT", "/api/v1/actions/pause", "", ""); p.status != 401 {
			b.Errorf("a pause without a token: %+v", p)
		}
		b.truth(miners.Hashing, 3500)
		b.want("version", b.raw("GET", "/api/v1/version/", "", "").body, 10, "minor")
		b.want("document", b.raw("GET", "/api/v1/docs/openapi.json", "", "").body, "1.10.0", "info", "version")
		if got, want := b.s.Counts(), (braiins.Counts{Logins: 1, Unauthorised: 4, Bearer: 1}); got != want {
			b.Errorf("%+v, want %+v", got, want)
		}
		if got := b.whats(); got != "" {
			b.Errorf("what has no token is no write: %s", got)
		}
		b.s.Change(func(q *braiins.Quirks) { q.GuardsVersion = true })
		if p := b.raw("GET", "/api/v1/version/", "", ""); p.status != 401 {
			b.Errorf("a guarded version: %+v", p)
		}
	})
}

// TestExpiry: each request renews the token; an hour without one ends it, and so does a boot.
func TestExpiry(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		b.login()
		b.want("login", b.raw("POST", "/api/v1/auth/login", "", rootLogin).body, 3600, "timeout_s")
		for range 3 {
			time.Sleep(time.Hour - time.Second)
			b.get("miner/status")
		}
		time.Sleep(time.Hour)
		refused := func(what string) {
			b.Helper()
			if p := b.do("GET", "miner/status", ""); p.status != 401 {
				b.Errorf("%s: %+v", what, p)
			}
		}
		refused("an hour later")
		b.login()
		b.s.ExpireTokens()
		refused("ended")
		b.login()
		b.m.Reboot(false)
		time.Sleep(2 * time.Minute)
		refused("after a boot")
	})
}

// TestRejectedEarly: a good token gets 401 once, and is good for nothing more.
func TestRejectedEarly(t *testing.T) {
	on(t, braiins.Opts{Quirks: braiins.Quirks{RejectTokens: 1}}, func(b *bench) {
		b.put("actions/pause", "", 401, "no valid token")
		b.put("actions/pause", "", 401, "no valid token")
		b.truth(miners.Hashing, 3500)
		b.login()
		b.put("actions/pause", "", 200, "false")
		if got, want := b.s.Counts(), (braiins.Counts{Logins: 2, Unauthorised: 1, Rejected: 1}); got != want {
			b.Errorf("%+v, want %+v", got, want)
		}
	})
}

// TestReset401: the head of the 401 comes, then the end of the connection; once.
func TestReset401(t *testing.T) {
	on(t, braiins.Opts{Quirks: braiins.Quirks{Reset401: 1}}, func(b *bench) {
		if p := b.raw("GET", "/api/v1/miner/status", "", ""); p.status != 401 || p.err == nil {
			b.Errorf("%+v", p)
		}
		if p := b.raw("GET", "/api/v1/miner/status", "", ""); p.status != 401 || p.err != nil {
			b.Errorf("twice: %+v", p)
		}
	})
}

// TestNoREST: a web page, and 405 to the login; 4028 pauses.
func TestNoREST(t *testing.T) {
	on(t, braiins.Opts{NoREST: true, BOSminer: true}, func(b *bench) {
		if p := b.raw("POST", "/api/v1/auth/login", "", rootLogin); p.status != 405 {
			b.Errorf("login: %+v", p)
		}
		if p := b.raw("GET", "/", "", ""); p.status != 200 || !strings.Contains(p.body, "Braiins OS") {
			b.Errorf("the page: %+v", p)
		}
		if p := b.raw("GET", "/api/v1/version/", "", ""); p.status != 404 {
			b.Errorf("version: %+v", p)
		}
		b.want("version", b.call("version"), "bosminer-plus-am2-s17 0.6.0-0a1b2c3d", "VERSION", 0, "BOSminer")
		b.want("pause", b.call("pause"), true, "PAUSE", 0)
		b.truth(miners.Sleeping, 3500)
	})
	on(t, braiins.Opts{NoWeb: true}, func(b *bench) {
		if p := b.raw("GET", "/", "", ""); p.err == nil || !strings.Contains(p.err.Error(), "refused") {
			b.Errorf("%+v", p)
		}
		b.want("version", b.call("version"), "boser-openwrt 0.1.0-0a1b2c3d", "VERSION", 0, "BOSer")
	})
}

// TestNoSuchThing: paths and methods that are not there.
func TestNoSuchThing(t *testing.T) {
	on(t, braiins.Opts{API: "1.6"}, func(b *bench) {
		for _, c := range []struct {
			method, path string
			status       int
		}{
			{"GET", "miner/none", 404},
			{"PUT", "miner/none", 404},
			{"GET", "pools", 404},
			{"GET", "actions/pause", 405},
			{"POST", "actions/pause", 405},
			{"PUT", "miner/details", 405},
			{"PUT", "performance/power-target/increment", 405},
			{"PUT", "performance/quick-ramping", 404},
			{"PATCH", "performance/power-target/relative", 404},
		} {
			if p := b.do(c.method, c.path, `{}`); p.status != c.status {
				b.Errorf("%s %s: %+v, want %d", c.method, c.path, p, c.status)
			}
		}
		if p := b.raw("GET", "/other", b.token, ""); p.status != 404 {
			b.Errorf("%+v", p)
		}
		if p := b.do("PUT", "actions/pause", strings.Repeat(" ", 65<<10)); p.status != 400 {
			b.Errorf("a long body: %+v", p)
		}
		b.truth(miners.Hashing, 3500)
		if got := len(b.s.Writes()); got != 6 {
			b.Errorf("%d writes: %s", got, b.whats())
		}
		b.want("release", b.get("miner/details"), "25.05", "bos_version", "major")
	})
}
