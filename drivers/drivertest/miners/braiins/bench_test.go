package braiins_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers/drivertest/miners"
	"rackagent/drivers/drivertest/miners/braiins"
)

const rootLogin = `{"username":"root","password":"root"}`

func spec() miners.Spec {
	return miners.Spec{
		Model: "S21 Pro", MAC: "02:00:5e:00:00:0c", Serial: "SN12", NominalTHs: 234, NominalW: 3500, StandbyW: 25,
		Boot: time.Minute, Ramp: 100 * time.Second, Fall: 4 * time.Second,
		Profiles: []miners.Profile{{Name: "low", W: 2000, THs: 150}, {Name: "normal", W: 3500, THs: 234}, {Name: "high", W: 4000, THs: 250}},
	}
}

// bench is a machine that has been hashing at its nominal power for an hour, and a client of it.
type bench struct {
	*testing.T
	m *miners.Machine
	h *miners.Host
	s *braiins.Sim

	client *http.Client
	token  string
}

func on(t *testing.T, o braiins.Opts, f func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := miners.New(spec())
		m.Keep(spec().Profiles[1])
		h := miners.NewHost(m)
		defer h.Close()
		b := &bench{T: t, m: m, h: h, s: braiins.New(m, h, o)}
		b.client = &http.Client{Transport: &http.Transport{DialContext: b.dial, DisableKeepAlives: true}, Timeout: 30 * time.Second}
		time.Sleep(time.Hour)
		f(b)
	})
}

// dial gives up in five seconds.
func (b *bench) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return b.h.Dial(ctx, network, address)
}

// page is an answer: status 0 means that none came.
type page struct {
	status int
	body   string
	err    error
}

// raw sends one request to port 80.
func (b *bench) raw(method, path, token, body string) page {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), method, "http://miner"+path, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", token)
	}
	resp, err := b.client.Do(r)
	if err != nil {
		return page{err: err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return page{resp.StatusCode, string(text), err}
}

// login takes a token.
func (b *bench) login() {
	b.Helper()
	p := b.raw("POST", "/api/v1/auth/login", "", rootLogin)
	b.token, _ = at(p.body, "token").(string)
	if p.status != http.StatusOK || b.token == "" {
		b.Fatalf("login: %+v", p)
	}
}

// do asks for something under the base, with a token.
func (b *bench) do(method, path, body string) page {
	b.Helper()
	if b.token == "" {
		b.login()
	}
	return b.raw(method, "/api/v1/"+path, b.token, body)
}

// get wants an answer.
func (b *bench) get(path string) string {
	b.Helper()
	p := b.do("GET", path, "")
	if p.status != http.StatusOK || p.err != nil {
		b.Fatalf("GET %s: %+v", path, p)
	}
	return p.body
}

// put does a write, and compares the answer.
func (b *bench) write(method, path, body string, status int, want string) {
	b.Helper()
	if p := b.do(method, path, body); p.status != status || strings.TrimSpace(p.body) != want || p.err != nil {
		b.Errorf("%s %s %s: %+v, want %d %s", method, path, body, p, status, want)
	}
}

func (b *bench) put(path, body string, status int, want string) {
	b.Helper()
	b.write("PUT", path, body, status, want)
}

// rpc gives all bytes that came back on 4028 before the end of the connection.
func (b *bench) rpc(request string) (string, error) {
	b.Helper()
	c, err := b.dial(b.Context(), "tcp", net.JoinHostPort("miner", strconv.Itoa(braiins.PortRPC)))
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		b.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		return "", err
	}
	raw, err := io.ReadAll(c)
	return string(raw), err
}

// call wants one reply with a NUL at its end.
func (b *bench) call(name string) string {
	b.Helper()
	raw, err := b.rpc(fmt.Sprintf(`{"command":%q}`+"\n", name))
	text, ended := strings.CutSuffix(raw, "\x00")
	if err != nil || !ended || strings.Contains(text, "\x00") {
		b.Fatalf("%s: %q %v", name, raw, err)
	}
	return text
}

// at follows a path of members and indices through JSON; nil: it leads nowhere.
func at(text string, path ...any) any {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return err
	}
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

func (b *bench) want(what, text string, want any, path ...any) {
	b.Helper()
	if n, ok := want.(int); ok {
		want = float64(n)
	}
	if got := at(text, path...); !reflect.DeepEqual(got, want) {
		b.Errorf("%s: %v is %v, want %v, in %.400s", what, path, got, want, text)
	}
}

// above wants a number over another one.
func (b *bench) above(what, text string, least float64, path ...any) {
	b.Helper()
	if got, ok := at(text, path...).(float64); !ok || got <= least {
		b.Errorf("%s: %v is %v, want more than %g", what, path, at(text, path...), least)
	}
}

// truth compares what the machine does.
func (b *bench) truth(phase miners.Phase, watts float64) {
	b.Helper()
	if t := b.m.Look(); t.Phase != phase || math.Abs(t.W-watts) > 0.5 {
		b.Errorf("%s with %g W, want %s with %g W", t.Phase, t.W, phase, watts)
	}
}

// status compares what both of its reads say.
func (b *bench) status(want int) {
	b.Helper()
	b.want("status", b.get("miner/status"), want, "status")
	b.want("details", b.get("miner/details"), want, "status")
}

// target compares what both APIs say of the power target.
func (b *bench) target(watts int) {
	b.Helper()
	b.want("tuner", b.get("performance/tuner-state"), watts, "mode_state", "powertargetmodestate", "current_target", "watt")
	b.want("4028", b.call("tunerstatus"), watts, "TUNERSTATUS", 0, "PowerLimit")
}

// whats are the writes that came, in short.
func (b *bench) whats() string {
	var list []string
	for _, w := range b.s.Writes() {
		list = append(list, fmt.Sprintf("%s %d %t", w.What, w.Code, w.Accepted))
	}
	return strings.Join(list, ", ")
}
