package antminer

import (
	"fmt"
	"io"
	"net"
	"net/http"
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

// fake is a web server of another build than the simulator's: its nonces are good for as many requests as it likes, and its
// pages are what a test says.
type fake struct {
	pages     map[string]string // by name; those that are not there are not found
	status    map[string]int    // of a page, where it is no success
	challenge string            // %d is the nonce; empty: nobody has to log in
	life      int               // requests that a nonce is good for
	hangUp    int               // how many of the requests that carry credentials are hung up on

	nonce, count int
	seen         []string // what came: method, page, and of credentials the nonce and its count
	posted       []string
	after        func(*fake) // what a configuration that is taken changes
	first        func(*fake) // what changes with every request
}

const usual = `Digest realm="antMiner Configuration", nonce="%d", qop="auth"`

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, cgi)
	c := map[string]string{}
	if all := digests(r.Header.Get("Authorization")); len(all) == 1 {
		c = all[0]
	}
	f.seen = append(f.seen, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", r.Method, name, c["nonce"], c["nc"])))
	body, _ := io.ReadAll(r.Body)
	if f.first != nil {
		f.first(f)
	}
	switch {
	case len(c) > 0 && f.hangUp > 0:
		f.hangUp--
		panic(http.ErrAbortHandler)
	case f.challenge != "" && !f.right(r, c):
		if len(body) > 0 && len(c) == 0 {
			f.posted = append(f.posted, "without credentials")
		}
		f.nonce, f.count = f.nonce+1, 0
		if strings.Contains(f.challenge, "%d") {
			w.Header().Add("WWW-Authenticate", fmt.Sprintf(f.challenge, f.nonce))
		} else {
			w.Header().Add("WWW-Authenticate", f.challenge)
		}
		w.WriteHeader(http.StatusUnauthorized)
	case f.status[name] != 0:
		w.Header().Set("Location", "http://192.0.2.99/")
		w.WriteHeader(f.status[name])
		_, _ = io.WriteString(w, f.pages[name])
	case f.pages[name] == "":
		http.NotFound(w, r)
	default:
		if r.Method == http.MethodPost {
			f.posted = append(f.posted, string(body))
			if f.after != nil {
				f.after(f)
			}
		}
		_, _ = io.WriteString(w, f.pages[name])
	}
}

func (f *fake) right(r *http.Request, c map[string]string) bool {
	f.count++
	first, second := hash("root", c["realm"], "root"), hash(r.Method, r.RequestURI)
	want := hash(first, c["nonce"], c["nc"], c["cnonce"], "auth", second)
	if c["qop"] == "" {
		want = hash(first, c["nonce"], second)
	} else if c["nc"] != fmt.Sprintf("%08x", f.count) {
		return false
	}
	return c["nonce"] == fmt.Sprint(f.nonce) && f.count <= f.life && c["response"] == want
}

// against runs a test on such a unit, with 4028 if it has reports.
func against(t *testing.T, f *fake, old map[string]string, test func(t *testing.T, m *Miner, h *miners.Host)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := miners.NewHost(miners.New(miners.Spec{NominalTHs: 100, NominalW: 3250}))
		defer h.Close()
		h.HandleHTTP(PortWeb, f)
		if old != nil {
			h.HandleRPC(4028, func(r miners.Request) miners.Reply { return miners.Reply(old[r.Command]) })
		}
		m, err := New(miner.Opts{Host: "10.0.3.17", Dial: h.Dial}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		test(t, m, h)
		synctest.Wait()
		if h.Open() != 0 || h.Most() > 1 || slices.Contains(f.posted, "without credentials") {
			t.Errorf("%d connections are open, %d were at once, %q", h.Open(), h.Most(), f.posted)
		}
	})
}

func (f *fake) saw(t *testing.T, want ...string) {
	t.Helper()
	if !reflect.DeepEqual(f.seen, want) {
		t.Errorf("it saw\n%s\nwant\n%s", strings.Join(f.seen, "\n"), strings.Join(want, "\n"))
	}
}

// TestNonces: a challenge is answered again, counting, as long as the unit takes it; one that is stale is replaced, and what
// takes each nonce once is asked without credentials first.
func TestNonces(t *testing.T) {
	f := &fake{pages: pages(), challenge: usual, life: 3}
	against(t, f, nil, func(t *testing.T, m *Miner, _ *miners.Host) {
		if s, err := m.Status(t.Context()); err != nil || s.State != miner.Mining {
			t.Errorf("%+v, %v", s, err)
		}
	})
	f.saw(t, "GET get_system_info.cgi", "GET get_system_info.cgi 1 00000001", "GET get_miner_conf.cgi 1 00000002", "GET summary.cgi 1 00000003",
		"GET stats.cgi 1 00000004", "GET stats.cgi 2 00000001", "GET pools.cgi", "GET pools.cgi 3 00000001")
	f = &fake{pages: pages(), challenge: usual + ", stale=true", life: 100, hangUp: 1}
	against(t, f, nil, func(t *testing.T, m *Miner, _ *miners.Host) {
		if _, err := m.Setting(t.Context()); err != nil {
			t.Error(err)
		}
	})
	f.saw(t, "GET get_miner_conf.cgi", "GET get_miner_conf.cgi 1 00000001", "GET get_miner_conf.cgi", "GET get_miner_conf.cgi 2 00000001")
	f = &fake{pages: pages(), challenge: usual, life: 100, hangUp: 100}
	against(t, f, nil, func(t *testing.T, m *Miner, _ *miners.Host) {
		_, err := m.Setting(t.Context())
		fault(t, err, drivers.Corrupt)
	})
}

// TestPosts: a configuration has a challenge of its own, which a page that only reads gave.
func TestPosts(t *testing.T) {
	with := func(answer string) map[string]string {
		p := pages()
		p[pageSet] = answer
		return p
	}
	asleep := func(f *fake) { f.pages[pageConf] = asleepPages()[pageConf] }
	f := &fake{pages: with(`{"stats":"success","code":"M000","msg":"OK!"}`), challenge: usual, life: 100, after: asleep}
	against(t, f, nil, func(t *testing.T, m *Miner, _ *miners.Host) {
		if _, err := m.Sleep(t.Context(), miner.Urgency{}); err != nil {
			t.Error(err)
		}
	})
	f.saw(t, "GET get_miner_conf.cgi", "GET get_miner_conf.cgi 1 00000001", "GET get_miner_conf.cgi", "POST set_miner_conf.cgi 2 00000001",
		"GET get_miner_conf.cgi", "GET get_miner_conf.cgi 3 00000001")
	for name, c := range map[string]struct {
		f      fake
		want   drivers.Fault
		posted int
	}{
		"nobody has to log in":           {fake{pages: with(`{"stats":"success"}`), after: asleep}, drivers.None, 1},
		"in the older way":               {fake{pages: with(`{"code":"M000"}`), challenge: `Digest realm="r", nonce="%d"`, life: 1, after: asleep}, drivers.None, 1},
		"taken, and no pools afterwards": {fake{pages: with(`{"code":"M000"}`), after: func(f *fake) { f.pages[pageConf] = `{"bitmain-work-mode":"1"}` }}, drivers.Mismatch, 1},
		"taken, and other pools": {fake{pages: with(`{"code":"M000"}`), after: func(f *fake) {
			f.pages[pageConf] = strings.ReplaceAll(asleepPages()[pageConf], "acct.r1", "acct.r2")
		}}, drivers.Mismatch, 1},
		"taken, and no change":           {fake{pages: with(`{"code":"M000"}`)}, drivers.Mismatch, 2},
		"taken, and it cannot be read":   {fake{pages: with(`{"code":"M000"}`), after: func(f *fake) { f.pages[pageConf] = `{` }}, drivers.None, 1},
		"refused":                        {fake{pages: with(`{"stats":"error","code":"M001","msg":"Illegal request!"}`)}, drivers.Refused, 1},
		"refused in short":               {fake{pages: with(`{"code":"M002"}`)}, drivers.Refused, 1},
		"an answer that says nothing":    {fake{pages: with(`{}`)}, drivers.Unsure, 1},
		"an answer that is no JSON":      {fake{pages: with(`ok`)}, drivers.Unsure, 1},
		"an empty answer":                {fake{pages: with(" ")}, drivers.Unsure, 1},
		"no such page":                   {fake{pages: pages()}, drivers.Unsupported, 0},
		"forbidden":                      {fake{pages: with("x"), status: map[string]int{pageSet: 403}}, drivers.Locked, 0},
		"not by this method":             {fake{pages: with("x"), status: map[string]int{pageSet: 405}}, drivers.Unsupported, 0},
		"too large":                      {fake{pages: with("x"), status: map[string]int{pageSet: 413}}, drivers.Refused, 0},
		"broken meanwhile":               {fake{pages: with("x"), status: map[string]int{pageSet: 500}}, drivers.Unsure, 0},
		"sent elsewhere":                 {fake{pages: with("x"), status: map[string]int{pageSet: 307}}, drivers.Unsure, 0},
		"the configuration is no object": {fake{pages: changed(with("x"), pageConf, config, `[]`)}, drivers.Corrupt, 0},
		"its mode is there twice":        {fake{pages: changed(with("x"), pageConf, `"api-listen":true`, `"bitmain-work-mode":0`)}, drivers.Corrupt, 0},
		"it has no mode":                 {fake{pages: changed(with("x"), pageConf, `"bitmain-work-mode":"0",`, ``)}, drivers.Corrupt, 0},
		"it has no pools":                {fake{pages: changed(with("x"), pageConf, `"pools":`, `"poolz":`)}, drivers.Corrupt, 0},
	} {
		t.Run(name, func(t *testing.T) {
			against(t, &c.f, nil, func(t *testing.T, m *Miner, _ *miners.Host) {
				a, err := m.Sleep(t.Context(), miner.Urgency{})
				fault(t, err, c.want)
				if err == nil && a.At != time.Now() || len(c.f.posted) != c.posted {
					t.Errorf("%+v, %q", a, c.f.posted)
				}
			})
		})
	}
}

// TestNoBlindPost: a page that reads and does not answer as it did a moment ago ends the write.
func TestNoBlindPost(t *testing.T) {
	for status, want := range map[int]drivers.Fault{500: drivers.Corrupt, 302: drivers.Corrupt, 403: drivers.Locked, 404: drivers.Unsupported} {
		f := &fake{pages: pages(), status: map[string]int{}}
		f.pages[pageSet] = `{"code":"M000"}`
		f.first = func(f *fake) {
			if len(f.seen) == 2 {
				f.status[pageConf] = status
			}
		}
		against(t, f, nil, func(t *testing.T, m *Miner, _ *miners.Host) {
			_, err := m.Sleep(t.Context(), miner.Urgency{})
			fault(t, err, want)
		})
		f.saw(t, "GET get_miner_conf.cgi", "GET get_miner_conf.cgi")
	}
	f := &fake{pages: pages()}
	delete(f.pages, pageInfo)
	against(t, f, nil, func(t *testing.T, m *Miner, _ *miners.Host) {
		m.o.MAC = "02:00:5e:00:00:09"
		_, err := m.Sleep(t.Context(), miner.Urgency{})
		fault(t, err, drivers.Unsupported)
	})
	f.saw(t, "GET get_system_info.cgi")
}

// TestNoLogIn: what cannot be answered is denied, and asked no second time.
func TestNoLogIn(t *testing.T) {
	for _, challenge := range []string{`Basic realm="x"`, `Digest realm="r", nonce="%d", algorithm=SHA-256`, `Digest realm="r", nonce="%d", qop="auth-int"`, `Digest realm="r", nonce=""`} {
		f := &fake{pages: pages(), challenge: challenge}
		against(t, f, nil, func(t *testing.T, m *Miner, h *miners.Host) {
			_, err := m.Status(t.Context())
			fault(t, err, drivers.Denied)
			if h.Tries() != 1 {
				t.Errorf("%d connections", h.Tries())
			}
		})
	}
}

// TestOlderBuilds: what has no page is read by 4028, and what neither has is left out.
func TestOlderBuilds(t *testing.T) {
	p := map[string]string{pageInfo: reader()[pageInfo], pageConf: `{"pools":[],"bitmain-freq":"550"}`}
	against(t, &fake{pages: p, challenge: usual, life: 9}, reader(), func(t *testing.T, m *Miner, _ *miners.Host) {
		s, err := m.Status(t.Context())
		if err != nil || s.State != miner.Mining || s.Model != "Antminer S9" || len(s.Boards) != 2 || len(s.Pools) != 1 || s.Power == nil || s.Power.W != 1372.5 || s.Mode != "" || s.At != time.Now() {
			t.Errorf("%+v, %v", s, err)
		}
		c, err := m.Capabilities(t.Context())
		if err != nil || c.Sleep || c.Modes != nil || c.Locked != "" {
			t.Errorf("it cannot sleep: %+v, %v", c, err)
		}
		_, err = m.Setting(t.Context())
		fault(t, err, drivers.Corrupt)
	})
	against(t, &fake{pages: map[string]string{pageSummary: "<html>"}}, reader(), func(t *testing.T, m *Miner, _ *miners.Host) {
		if s, err := m.Status(t.Context()); err != nil || s.Model != "Antminer S9" || s.Firmware == "" || s.MAC != "" || s.State != miner.Mining {
			t.Errorf("without any page: %+v, %v", s, err)
		}
		if c, err := m.Capabilities(t.Context()); err != nil || c.Sleep {
			t.Errorf("%+v, %v", c, err)
		}
	})
	against(t, &fake{}, nil, func(t *testing.T, m *Miner, h *miners.Host) {
		_, err := m.Status(t.Context())
		fault(t, err, drivers.Unsupported)
		if h.Tries() != 6 {
			t.Errorf("%d connections: a reader that does not answer is left alone", h.Tries())
		}
	})
	silent := pages()
	delete(silent, pagePools)
	against(t, &fake{pages: silent, status: map[string]int{pageInfo: 403, pageSummary: 307}}, nil, func(t *testing.T, m *Miner, _ *miners.Host) {
		if s, err := m.Status(t.Context()); err != nil || s.State != miner.Mining || s.Model != "Antminer S19 Pro" || s.MAC != "" || s.Pools != nil {
			t.Errorf("in part: %+v, %v", s, err)
		}
	})
	odd := pages()
	odd[pageConf] = `{"miner-mode":0,"miner-mode":0,"pools":[]}`
	against(t, &fake{pages: odd}, nil, func(t *testing.T, m *Miner, _ *miners.Host) {
		if c, err := m.Capabilities(t.Context()); err != nil || c.Sleep || !strings.Contains(c.Locked, "twice") {
			t.Errorf("%+v, %v", c, err)
		}
	})
}

// TestReplies: what is no reply, as bytes.
func TestReplies(t *testing.T) {
	ok := "HTTP/1.1 200 OK\r\n\r\n" + config
	for name, c := range map[string]struct {
		raw  string
		want drivers.Fault
	}{
		"to the end of the connection": {ok, drivers.None},
		"by HTTP/1.0":                  {"HTTP/1.0 200 OK\nServer: x\n\n" + config, drivers.None},
		"in pieces":                    {fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(config), config), drivers.None},
		"after 100":                    {"HTTP/1.1 100 Continue\r\n\r\n" + ok, drivers.None},
		"100 for ever":                 {strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 9) + ok, drivers.Corrupt},
		"no HTTP":                      {"SSH-2.0-dropbear\r\n", drivers.Corrupt},
		"nothing":                      {"", drivers.Corrupt},
		"cut in the head":              {"HTTP/1.1 200 OK\r\nServ", drivers.Corrupt},
		"cut in the body":              {"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + config, drivers.Corrupt},
		"a body without an end":        {"HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat(" ", miner.MaxReply+64<<10), drivers.Corrupt},
		"a head without an end":        {"HTTP/1.1 200 OK\r\n" + strings.Repeat("x: y\r\n", miner.MaxReply/4), drivers.Corrupt},
		"sent elsewhere":               {"HTTP/1.1 302 Found\r\nLocation: https://10.0.3.17/\r\n\r\n", drivers.Corrupt},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := miners.NewHost(miners.New(miners.Spec{}))
				defer h.Close()
				h.Handle(PortWeb, func(conn net.Conn) {
					defer conn.Close()
					_, _ = conn.Read(make([]byte, 4096))
					_, _ = io.WriteString(conn, c.raw)
				})
				m, err := New(miner.Opts{Host: "10.0.3.17", Dial: h.Dial}, Options{})
				if err != nil {
					t.Fatal(err)
				}
				s, err := m.Setting(t.Context())
				fault(t, err, c.want)
				if err == nil && s.Mode != "0" || h.Open() != 0 || err != nil && len(err.Error()) > 300 {
					t.Errorf("%+v, %v", s, err)
				}
			})
		})
	}
}

// TestBytes: a request as it goes out.
func TestBytes(t *testing.T) {
	m := &Miner{o: miner.Opts{Host: "fe80::1%eth0"}}
	got := string(m.bytes(request{method: "POST", path: cgi + pageSet, auth: "Digest x", body: []byte(`{}`)}))
	want := "POST /cgi-bin/set_miner_conf.cgi HTTP/1.1\r\nHost: [fe80::1]\r\nConnection: close\r\nAuthorization: Digest x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	if got != want {
		t.Errorf("%q", got)
	}
	m.o.Host = "10.0.3.17"
	if got := string(m.bytes(request{method: "GET", path: "/warning"})); got != "GET /warning HTTP/1.1\r\nHost: 10.0.3.17\r\nConnection: close\r\n\r\n" {
		t.Errorf("%q", got)
	}
}
