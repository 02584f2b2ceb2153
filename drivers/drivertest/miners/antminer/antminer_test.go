package antminer

import (
	"bufio"
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
)

// Pages.
const (
	confPage   = "/cgi-bin/get_miner_conf.cgi"
	setPage    = "/cgi-bin/set_miner_conf.cgi"
	sumPage    = "/cgi-bin/summary.cgi"
	statPage   = "/cgi-bin/stats.cgi"
	poolPage   = "/cgi-bin/pools.cgi"
	rebootPage = "/cgi-bin/reboot.cgi"
	m000       = `{"code":"M000","msg":"OK!","stats":"success"}`
)

func spec() miners.Spec {
	return miners.Spec{
		Model: "S19 Pro", MAC: "02:00:5e:00:00:09", Serial: "SN9", NominalTHs: 110, NominalW: 3250, StandbyW: 25,
		Boot: time.Minute, Ramp: 100 * time.Second, Fall: 2 * time.Second,
		Profiles: []miners.Profile{{Name: "low", W: 2000, THs: 75}, {Name: "normal", W: 3250, THs: 110}, {Name: "high", W: 3900, THs: 125}},
	}
}

func newer() time.Time { return time.Date(2023, 7, 1, 0, 0, 0, 0, chinaTime()) }

// bench is a machine that has been hashing in its normal mode for an hour, and a client of it.
type bench struct {
	*testing.T
	m *miners.Machine
	h *miners.Host
	s *Server
}

func on(t *testing.T, o Opts, f func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := miners.New(spec())
		m.Keep(spec().Profiles[1])
		h := miners.NewHost(m)
		defer h.Close()
		b := &bench{T: t, m: m, h: h, s: New(m, h, o)}
		time.Sleep(time.Hour)
		f(b)
	})
}

// each runs a test once for every case, by name.
func each[C any](t *testing.T, cases map[string]C, f func(t *testing.T, c C)) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { f(t, c) })
	}
}

func (b *bench) dial(port int) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Second)
	defer cancel()
	c, err := b.h.Dial(ctx, "tcp", net.JoinHostPort("miner", strconv.Itoa(port)))
	if err == nil {
		err = c.SetDeadline(time.Now().Add(35 * time.Second))
	}
	return c, err
}

// page is an answer: status 0 means that none came.
type page struct {
	status int
	header http.Header
	body   string
	err    error // in the body, or instead of an answer
}

// ask sends one request on its own connection.
func (b *bench) ask(port int, method, path, auth, body string) page {
	b.Helper()
	c, err := b.dial(port)
	if err != nil {
		return page{err: err}
	}
	defer c.Close()
	return exchange(c, method, path, auth, body)
}

func exchange(c net.Conn, method, path, auth, body string) page {
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: miner\r\n", method, path)
	if auth != "" {
		head += "Authorization: " + auth + "\r\n"
	}
	if body != "" {
		head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	if _, err := io.WriteString(c, head+"\r\n"+body); err != nil {
		return page{err: err}
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return page{err: err}
	}
	defer r.Body.Close()
	raw, err := io.ReadAll(r.Body)
	return page{r.StatusCode, r.Header, string(raw), err}
}

// credentials answer a challenge.
func credentials(challenge, method, path, password string) string {
	return signed(challenge, method, path, password, firstCount, "0a4f113b")
}

func signed(challenge, method, path, password, nc, cnonce string) string {
	f := fields(challenge)
	proof := response(ha1("root", f["realm"], password), f["nonce"], nc, cnonce, ha2(method, path))
	auth := fmt.Sprintf(`Digest username="root", realm="%s", nonce="%s", uri="%s", qop=auth, nc=%s, cnonce="%s", response="%s"`,
		f["realm"], f["nonce"], path, nc, cnonce, proof)
	if f["opaque"] != "" {
		auth += fmt.Sprintf(`, opaque="%s"`, f["opaque"])
	}
	return auth
}

// challenge asks without credentials.
func (b *bench) challenge(method, path string) string {
	b.Helper()
	p := b.ask(PortWeb, method, path, "", "")
	if p.status != http.StatusUnauthorized {
		b.Fatalf("%s without credentials: %d %v", path, p.status, p.err)
	}
	return p.header.Get("WWW-Authenticate")
}

// do asks, takes the challenge, and asks again.
func (b *bench) do(method, path, body string) page {
	b.Helper()
	return b.ask(PortWeb, method, path, credentials(b.challenge(method, path), method, path, "root"), body)
}

func (b *bench) get(path string) string {
	b.Helper()
	p := b.do(http.MethodGet, path, "")
	if p.status != http.StatusOK || p.err != nil {
		b.Fatalf("%s: %d %v", path, p.status, p.err)
	}
	return p.body
}

// set posts a configuration, and checks the answer.
func (b *bench) set(body string) {
	b.Helper()
	if p := b.do(http.MethodPost, setPage, body); p.status != http.StatusOK || p.body != m000 {
		b.Fatalf("set: %d %s %v", p.status, p.body, p.err)
	}
}

// rpc gives what came back on 4028 before the end of the connection, without the NUL.
func (b *bench) rpc(request string) string {
	b.Helper()
	c, err := b.dial(PortRPC)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		b.Fatal(err)
	}
	raw, err := io.ReadAll(c)
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSuffix(string(raw), "\x00")
}

func (b *bench) call(name string) string {
	b.Helper()
	return b.rpc(fmt.Sprintf(`{"command":%q}`+"\n", name))
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
	if got := at(text, path...); !reflect.DeepEqual(got, want) {
		b.Errorf("%s: %v is %v, want %v, in %.300s", what, path, got, want, text)
	}
}

// truth compares what the machine does.
func (b *bench) truth(phase miners.Phase, watts float64) {
	b.Helper()
	if t := b.m.Look(); t.Phase != phase || math.Abs(t.W-watts) > 0.5 {
		b.Errorf("%s with %g W, want %s with %g W", t.Phase, t.W, phase, watts)
	}
}

// awake and sleeping compare what all readers tell.
func (b *bench) awake(mode int, ths float64) {
	b.Helper()
	b.want("configuration", b.get(confPage), strconv.Itoa(mode), "bitmain-work-mode")
	b.want("summary", b.get(sumPage), ths*1000, "SUMMARY", 0, "rate_5s")
	b.want("stats", b.get(statPage), float64(mode), "STATS", 0, "miner-mode")
	b.want("pools", b.get(poolPage), "Alive", "POOLS", 0, "status")
	b.want("4028 summary", b.call("summary"), ths*1000, "SUMMARY", 0, "GHS 5s")
	b.want("4028 stats", b.call("stats"), fmt.Sprintf("%.2f", ths*1000/3), "STATS", 1, "chain_rate3")
	b.want("4028 pools", b.call("pools"), "Alive", "POOLS", 0, "Status")
}

func (b *bench) sleeping() {
	b.Helper()
	none := []any{}
	b.want("configuration", b.get(confPage), "1", "bitmain-work-mode")
	b.want("summary", b.get(sumPage), none, "SUMMARY")
	b.want("stats", b.get(statPage), none, "STATS")
	b.want("pools", b.get(poolPage), "Disabled", "POOLS", 0, "status")
	b.want("4028 summary", b.call("summary"), none, "SUMMARY")
	b.want("4028 stats", b.call("stats"), none, "STATS")
	b.want("4028 pools", b.call("pools"), "Disabled", "POOLS", 1, "Status")
}

// full is the configuration with both keys, as a careful client sends it.
func (b *bench) full(mode any) string {
	b.Helper()
	d, err := parse([]byte(b.get(confPage)))
	if err != nil {
		b.Fatal(err)
	}
	level, _ := d.get(keyReadLevel)
	d.set(keyLevel, level)
	d.set(keyMinerMode, json.RawMessage(miners.JSON(mode)))
	d.set(keyWorkMode, json.RawMessage(miners.JSON(mode)))
	return string(d.bytes())
}

// TestDigestVector pins the hashes to a known triple of values.
func TestDigestVector(t *testing.T) {
	first, second := ha1("root", Realm, "root"), ha2("GET", confPage)
	for got, want := range map[string]string{
		first:  "23c2a2d78c0d20ec069097d7d20c4392",
		second: "39575ae076836b59a4ff383bb873ccf3",
		response(first, "abcdef0123456789", "00000001", "0a4f113b", second): "0e0b704f1bd8058c13d3ec2a36fa398b",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestCredentials: each part of the header counts, and one challenge is good for one request.
func TestCredentials(t *testing.T) {
	on(t, Opts{Opaque: "0p", NamesMD5: true}, func(b *bench) {
		c := b.challenge("GET", confPage)
		if f := fields(c); f["realm"] != Realm || f["qop"] != "auth" || f["opaque"] != "0p" || f["algorithm"] != "MD5" {
			b.Errorf("the challenge: %s", c)
		}
		try := func(what, auth string, want int) {
			b.Helper()
			if p := b.ask(PortWeb, "GET", confPage, auth, ""); p.status != want {
				b.Errorf("%s: %d %v, want %d", what, p.status, p.err, want)
			}
		}
		good := credentials(c, "GET", confPage, "root")
		try("good", good, 200)
		try("a used nonce", good, 401)
		try("an invented nonce", credentials(strings.Replace(c, `nonce="`, `nonce="f`, 1), "GET", confPage, "root"), 401)
		fresh := func() string { return credentials(b.challenge("GET", confPage), "GET", confPage, "root") }
		for part, other := range map[string]string{
			`"root"`: `"boot"`, `realm="ant`: `realm="Ant`, "qop=auth": "qop=auth-int",
			`cnonce="0`: `cnonce="1`, `opaque="0p"`: `opaque=""`, confPage: statPage, "Digest ": "Basic ", `response="`: `response="0`,
		} {
			try("without "+part, strings.Replace(fresh(), part, other, 1), 401)
		}
		try("another password", credentials(b.challenge("GET", confPage), "GET", confPage, "admin"), 401)
		try("no cnonce", signed(b.challenge("GET", confPage), "GET", confPage, "root", firstCount, ""), 401)
		try("a second count", signed(b.challenge("GET", confPage), "GET", confPage, "root", "00000002", "0a4f113b"), 401)
		try("another method", credentials(b.challenge("POST", confPage), "POST", confPage, "root"), 401)
		try("another algorithm", fresh()+", algorithm=SHA-256", 401)
		late := fresh()
		time.Sleep(nonceLife + time.Second)
		b.challenge("GET", "/")
		try("a nonce of old", late, 401)
		try("good again", fresh()+", algorithm=MD5", 200)
	})
}

// TestCounts: what came with credentials and without, and whether a body came too early.
func TestCounts(t *testing.T) {
	on(t, Opts{AnswerAfter: -1}, func(b *bench) {
		b.get(confPage)
		b.ask(PortWeb, "GET", confPage, "Digest nonsense", "")
		b.set(b.full(0))
		if got, want := b.s.Counts(), (Counts{Authorised: 3, Unauthorised: 4, Wrong: 1}); got != want {
			b.Errorf("%+v, want %+v", got, want)
		}
		b.ask(PortWeb, "POST", setPage, "", b.full(1))
		if !b.s.Counts().BodyTooEarly {
			b.Error("an early body was not seen")
		}
		b.truth(miners.Hashing, 3250)
		if n := len(b.s.Writes()); n != 1 {
			b.Errorf("%d writes, want 1", n)
		}
	})
}

// TestSleepAndWake: as seen by every reader, and by the machine; in the right modes, and over boots.
func TestSleepAndWake(t *testing.T) {
	on(t, Opts{}, func(b *bench) {
		b.awake(0, 110)
		before := string(b.s.Config())
		began := time.Now()
		b.set(b.full(1))
		if took := time.Since(began); took != 21*time.Second {
			b.Errorf("it took %s", took)
		}
		time.Sleep(3 * time.Second)
		b.truth(miners.Sleeping, 25)
		b.sleeping()
		if got := strings.Replace(string(b.s.Config()), `work-mode":"1"`, `work-mode":"0"`, 1); got != before || !b.s.Asleep() {
			b.Errorf("the configuration changed: %s, was %s", got, before)
		}
		b.m.Mains(false, false)
		time.Sleep(time.Minute)
		b.m.Mains(true, b.s.Asleep())
		time.Sleep(2 * time.Minute)
		b.sleeping()
		b.set(b.full(3))
		time.Sleep(2 * time.Minute)
		b.awake(3, 75)
		b.truth(miners.Hashing, 2000)
		if b.do("POST", rebootPage, "").status != 200 {
			b.Error("no reboot")
		}
		b.truth(miners.Booting, 25)
		time.Sleep(5 * time.Minute)
		b.awake(3, 75)
		b.set(b.full(2)) // not of this model
		b.awake(3, 75)
	})
}

// TestAPartialBody wipes what it leaves out, on builds before 2023-07.
func TestAPartialBody(t *testing.T) {
	const body = `{"freq-level":90, "miner-mode":1,"new":{"b":1.50,"a":2}}`
	wiped := `{"bitmain-freq-level":"90","bitmain-work-mode":"1","new":{"b":1.50,"a":2}}`
	kept := strings.Replace(string(usualConfig()), `"bitmain-work-mode":"0","bitmain-freq-level":"100"}`,
		`"bitmain-work-mode":"1","bitmain-freq-level":"90","new":{"b":1.50,"a":2}}`, 1)
	each(t, map[string]struct {
		built time.Time
		want  string
	}{
		"old": {time.Time{}, wiped}, "last of the old": {newer().Add(-time.Second), wiped}, "new": {newer(), kept},
	}, func(t *testing.T, c struct {
		built time.Time
		want  string
	},
	) {
		on(t, Opts{Built: c.built}, func(b *bench) {
			b.set(body)
			if got := b.get(confPage); got != c.want || string(b.s.Config()) != c.want {
				b.Errorf("%s\nwant %s", got, c.want)
			}
			pools := at(b.get(poolPage), "POOLS").([]any)
			if gone := len(pools) == 0; gone != (c.want == wiped) {
				b.Errorf("pools: %v", pools)
			}
			if no := strings.Contains(b.call("pools"), `"Code":8`); no != (c.want == wiped) {
				b.Errorf("4028: %s", b.call("pools"))
			}
			w := b.s.Writes()
			if len(w) != 1 || string(w[0].Body) != body || w[0].Code != codeOK || !w[0].Changed {
				b.Errorf("the record: %+v", w)
			}
			b.set(`{"pools":[]}`) // names no mode
			if asleep := b.s.Asleep(); asleep == (c.want == wiped) {
				b.Errorf("asleep: %t", asleep)
			}
		})
	})
}

// TestKeysAndTypes: M000 always, and an effect only of the key and the type that the build obeys.
func TestKeysAndTypes(t *testing.T) {
	bodies := map[string]string{
		"miner int": `"miner-mode":1`, "miner text": `"miner-mode":"1"`, "work int": `"bitmain-work-mode":1`,
		"work text": `"bitmain-work-mode": "1"`, "ints": `"miner-mode":1,"bitmain-work-mode":1`,
		"texts": `"bitmain-work-mode":"1","miner-mode":"1"`,
	}
	for _, c := range []struct {
		key   ModeKey
		kind  ModeType
		obeys string
	}{
		{KeyMinerMode, TypeInteger, "miner int, ints"},
		{KeyMinerMode, TypeString, "miner text, texts"},
		{KeyMinerMode, TypeEither, "miner int, miner text, ints, texts"},
		{KeyWorkMode, TypeInteger, "work int, ints"},
		{KeyWorkMode, TypeString, "work text, texts"},
		{KeyBoth, TypeInteger, "miner int, work int, ints"},
		{KeyBoth, TypeEither, "miner int, miner text, work int, work text, ints, texts"},
	} {
		for name, body := range bodies {
			t.Run(fmt.Sprint(c.key, c.kind, name), func(t *testing.T) {
				on(t, Opts{Key: c.key, Type: c.kind, AnswerAfter: -1}, func(b *bench) {
					before := string(b.s.Config())
					b.set(`{"pools":[],` + body + `}`)
					obeyed := false
					for _, o := range strings.Split(c.obeys, ", ") {
						obeyed = obeyed || o == name
					}
					if b.s.Asleep() != obeyed || b.m.Asleep() != obeyed || (string(b.s.Config()) == before) == obeyed {
						b.Errorf("obeyed: %t %t, want %t; %s", b.s.Asleep(), b.m.Asleep(), obeyed, b.s.Config())
					}
				})
			})
		}
	}
}

// TestOtherModes: high where the model has it, and numbers that nobody knows.
func TestOtherModes(t *testing.T) {
	modes := map[int]string{2: "high", 4: "lost"}
	on(t, Opts{AnswerAfter: -1, Modes: modes}, func(b *bench) {
		b.set(b.full(2))
		time.Sleep(2 * time.Minute)
		b.awake(2, 125)
		b.set(b.full(4))
		b.awake(2, 125)
		b.set(b.full(5))
		b.awake(2, 125)
		b.s.SetMode(5)
		b.awake(5, 125)
		b.set(b.full(1))
		b.sleeping()
		b.set(b.full(5))
		time.Sleep(2 * time.Minute)
		b.awake(5, 125)
		b.s.SetMode(0)
		time.Sleep(2 * time.Minute)
		b.awake(0, 110)
		b.m.Set(miners.Ignores, true)
		b.set(b.full(5))
		b.want("ignored", b.get(statPage), 0.0, "STATS", 0, "miner-mode")
		b.m.Set(miners.Ignores, false)
		b.m.Set(miners.ObeysLate, true)
		b.set(b.full(5))
		time.Sleep(59 * time.Second)
		b.want("late", b.get(statPage), 0.0, "STATS", 0, "miner-mode")
		time.Sleep(2 * time.Minute)
		b.awake(5, 110)
		b.m.Set(miners.ObeysLate, false)
		b.s.SetMode(1)
		b.sleeping()
		b.s.SetMode(5)
		if b.s.Asleep() || !b.m.Asleep() {
			b.Error("a number that nobody knows woke the machine")
		}
	})
	if len(modes) != 2 {
		t.Errorf("the caller's map changed: %v", modes)
	}
	on(t, Opts{Modes: map[int]string{1: "high"}}, func(b *bench) { // 1 is sleep, whatever is said
		b.m.Keep(spec().Profiles[2])
		b.want("awake", b.get(statPage), 0.0, "STATS", 0, "miner-mode")
	})
	on(t, Opts{Built: newer(), AnswerAfter: -1, Config: []byte(`{"bitmain-work-mode":"9"}`)}, func(b *bench) {
		b.set(`{"bitmain-fan-pwm":"90"}`)
		b.want("a number that was there", b.get(statPage), 0.0, "STATS", 0, "miner-mode")
		b.want("a number that was there", b.get(confPage), "9", "bitmain-work-mode")
	})
}

// TestTheFirstMode is the one that the machine is in.
func TestTheFirstMode(t *testing.T) {
	each(t, map[string]func(*miners.Machine){
		"0": func(m *miners.Machine) { m.Keep(spec().Profiles[1]) },
		"1": (*miners.Machine).Sleep,
		"3": func(m *miners.Machine) { m.Keep(spec().Profiles[0]) },
	}, func(t *testing.T, prepare func(*miners.Machine)) {
		synctest.Test(t, func(t *testing.T) {
			m := miners.New(spec())
			prepare(m)
			h := miners.NewHost(m)
			defer h.Close()
			s := New(m, h, Opts{})
			if got := at(string(s.Config()), "bitmain-work-mode"); !strings.HasSuffix(t.Name(), got.(string)) {
				t.Errorf("mode %v", got)
			}
		})
	})
}

// TestUntilReboot: M000, the configuration is written, and the machine goes on until it boots.
func TestUntilReboot(t *testing.T) {
	each(t, map[string]func(b *bench){
		"the firmware": func(b *bench) { b.s.Change(func(q *Quirks) { q.UntilReboot = true }) },
		"the machine":  func(b *bench) { b.m.Set(miners.Ignores, true) },
	}, func(t *testing.T, stubborn func(b *bench)) {
		on(t, Opts{RebootBy: "GET"}, func(b *bench) {
			stubborn(b)
			b.set(b.full(1))
			time.Sleep(10 * time.Minute)
			b.want("configuration", b.get(confPage), "1", "bitmain-work-mode")
			b.want("stats", b.get(statPage), 0.0, "STATS", 0, "miner-mode")
			b.want("summary", b.get(sumPage), 110e3, "SUMMARY", 0, "rate_5s")
			b.truth(miners.Hashing, 3250)
			if p := b.do("POST", rebootPage, ""); p.status != http.StatusMethodNotAllowed {
				b.Errorf("POST: %d", p.status)
			}
			if p := b.do("GET", rebootPage, ""); p.status != 200 || b.s.Counts().Reboots != 1 {
				b.Errorf("GET: %d", p.status)
			}
			time.Sleep(2 * time.Minute)
			b.sleeping()
			b.truth(miners.Sleeping, 25)
			b.m.Set(miners.Ignores, false)
			b.m.Wake() // by other means: the mode in force is not that of the configuration
			b.want("stats", b.get(statPage), 0.0, "STATS", 0, "miner-mode")
		})
	})
	on(t, Opts{Quirks: Quirks{UntilReboot: true}}, func(b *bench) { // a rate too, also where others boot it
		b.set(b.full(3))
		b.want("summary", b.get(sumPage), 110e3, "SUMMARY", 0, "rate_5s")
		b.m.Mains(true, b.s.Asleep())
		time.Sleep(61 * time.Second)
		b.get(confPage)
		time.Sleep(2 * time.Minute)
		b.awake(3, 75)
		b.set(b.full(0))
		b.do("GET", rebootPage, "")
		time.Sleep(161 * time.Second)
		b.truth(miners.Hashing, 3250) // although nobody asked it meanwhile
	})
}

// TestObeysLate: the configuration says so at once, the machine a minute later.
func TestObeysLate(t *testing.T) {
	on(t, Opts{AnswerAfter: -1}, func(b *bench) {
		b.m.Set(miners.ObeysLate, true)
		b.set(b.full(1))
		time.Sleep(59 * time.Second)
		b.want("configuration", b.get(confPage), "1", "bitmain-work-mode")
		b.truth(miners.Hashing, 3250)
		time.Sleep(5 * time.Second)
		b.sleeping()
		b.set(b.full(3))
		time.Sleep(59 * time.Second)
		b.truth(miners.Sleeping, 25)
		time.Sleep(2 * time.Minute)
		b.awake(3, 75)
		inTurn := func(modes ...int) {
			for _, n := range modes {
				b.set(b.full(n))
				time.Sleep(30 * time.Second)
			}
			time.Sleep(5 * time.Minute)
		}
		inTurn(1, 0)
		b.awake(0, 110)
		inTurn(3, 0)
		b.awake(0, 110)
		inTurn(1)
		inTurn(0, 1)
		b.sleeping()
	})
}

// TestTheAnswer that does not come, comes late, or comes after the client has gone: the effect is there.
func TestTheAnswer(t *testing.T) {
	on(t, Opts{DeafFor: 30 * time.Second}, func(b *bench) {
		b.m.Set(miners.Silent, true)
		if p := b.do("POST", setPage, b.full(1)); p.status != 0 {
			b.Errorf("an answer: %+v", p)
		}
		b.m.Set(miners.Silent, false)
		time.Sleep(29 * time.Second)
		if p := b.ask(PortWeb, "GET", confPage, "", ""); p.status != 0 {
			b.Errorf("an answer of the deaf: %+v", p)
		}
		if got := b.call("summary"); got != "" {
			b.Errorf("an answer of the deaf: %s", got)
		}
		time.Sleep(2 * time.Second)
		b.sleeping()
		body := b.full(0)
		c, err := b.dial(PortWeb)
		if err != nil {
			b.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		auth := credentials(b.challenge("POST", setPage), "POST", setPage, "root")
		if p := exchange(c, "POST", setPage, auth, body); p.status != 0 {
			b.Errorf("an answer within 10 s: %+v", p)
		}
		c.Close()
		b.truth(miners.Sleeping, 25)
		time.Sleep(5 * time.Minute)
		b.awake(0, 110)
	})
}

// TestGoneMeanwhile: a machine that loses its mains, or boots, while it takes a configuration has not taken it. Connections
// from before do not answer.
func TestGoneMeanwhile(t *testing.T) {
	on(t, Opts{AnswerAfter: 3 * time.Minute}, func(b *bench) {
		time.AfterFunc(10*time.Second, func() { b.m.Reboot(false) })
		b.do("POST", setPage, b.full(1))
		time.Sleep(5 * time.Minute)
		if b.s.Asleep() || b.s.Writes()[0].Code != "" {
			b.Errorf("the configuration was written: %+v", b.s.Writes())
		}
	})
	on(t, Opts{Serves6060: true}, func(b *bench) {
		open := map[int]net.Conn{}
		for _, port := range []int{PortWeb, Port6060, PortRPC} {
			c, err := b.dial(port)
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			open[port] = c
		}
		b.m.Mains(false, false)
		for _, port := range []int{PortWeb, Port6060} {
			if p := exchange(open[port], "GET", "/warning", "", ""); p.status != 0 {
				b.Errorf("%d: %+v", port, p)
			}
		}
		_, _ = io.WriteString(open[PortRPC], `{"command":"version"}`)
		if raw, err := io.ReadAll(open[PortRPC]); len(raw) > 0 || err != nil {
			b.Errorf("%s %v", raw, err)
		}
	})
	on(t, Opts{}, func(b *bench) {
		time.AfterFunc(10*time.Second, func() { b.m.Mains(false, false) })
		if p := b.do("POST", setPage, b.full(1)); p.status != 0 {
			b.Errorf("an answer: %+v", p)
		}
		if b.s.Asleep() {
			b.Error("the configuration was written")
		}
	})
}

// TestRefusals: bodies and machines that take nothing.
func TestRefusals(t *testing.T) {
	on(t, Opts{AnswerAfter: -1}, func(b *bench) {
		before := string(b.s.Config())
		post := func(what, body string, status int, code, recorded string) {
			b.Helper()
			p := b.do("POST", setPage, body)
			if p.status != status || !strings.Contains(p.body, code) {
				b.Errorf("%s: %d %s %v", what, p.status, p.body, p.err)
			}
			w := b.s.Writes()
			if last := w[len(w)-1]; last.Code != recorded || last.Changed || string(last.Body) != body {
				b.Errorf("%s: the record is %+v", what, last)
			}
		}
		post("no JSON", `{"miner-mode":1`, 200, codeBad, codeBad)
		post("no object", `[1]`, 200, codeBad, codeBad)
		post("a bad pool", `{"miner-mode":1,"pools":[{"url":3333}]}`, 200, codeBad, codeBad)
		b.s.Change(func(q *Quirks) { q.Rejects = true })
		post("rejected", b.full(1), 200, codeBad, codeBad)
		b.s.Change(func(q *Quirks) { q.Rejects = false })
		b.m.Set(miners.Locked, true)
		post("locked", b.full(1), 403, "", "403")
		b.s.Change(func(q *Quirks) { q.LockedStatus = 401 })
		post("locked", b.full(1), 401, "", "401")
		b.s.Change(func(q *Quirks) { q.LockedStatus = 200 })
		post("locked", b.full(1), 200, codeBad, codeBad)
		for method, path := range map[string]string{"GET": rebootPage, "POST": "/cgi-bin/blink.cgi"} {
			if p := b.do(method, path, ""); !strings.Contains(p.body, codeBad) {
				b.Errorf("%s: %d %s", path, p.status, p.body)
			}
		}
		b.awake(0, 110)
		if b.s.Counts().Reboots != 0 || string(b.s.Config()) != before {
			b.Errorf("it did something: %s", b.s.Config())
		}
		b.m.Set(miners.Locked, false)
		post("nothing", "", 200, codeBad, codeBad)
		if p := b.do("GET", setPage, ""); p.status != http.StatusMethodNotAllowed {
			b.Errorf("GET: %d", p.status)
		}
		if p := b.do("POST", sumPage, "{}"); p.status != http.StatusMethodNotAllowed {
			b.Errorf("POST: %d", p.status)
		}
		for _, path := range []string{"/cgi-bin/none.cgi", "/", "/summary.cgi"} {
			if p := b.do("GET", path, ""); p.status != http.StatusNotFound {
				b.Errorf("%s: %d", path, p.status)
			}
		}
	})
}

// TestReset401: the head of the 401 comes, then the end of the connection; once.
func TestReset401(t *testing.T) {
	on(t, Opts{Quirks: Quirks{Reset401: 1}}, func(b *bench) {
		p := b.ask(PortWeb, "GET", confPage, "", "")
		if p.status != 401 || p.err == nil {
			b.Errorf("%+v", p)
		}
		auth := credentials(p.header.Get("WWW-Authenticate"), "GET", confPage, "root")
		if p := b.ask(PortWeb, "GET", confPage, auth, ""); p.status != 200 {
			b.Errorf("the challenge was not good: %+v", p)
		}
		if p := b.ask(PortWeb, "GET", confPage, "", ""); p.status != 401 || p.err != nil {
			b.Errorf("twice: %+v", p)
		}
	})
}

// TestRefusesANonce that is right; once, and that is not the client's fault.
func TestRefusesANonce(t *testing.T) {
	on(t, Opts{AnswerAfter: -1, Quirks: Quirks{RefuseNonces: 1}}, func(b *bench) {
		body := string(usualConfig())
		p := b.do("POST", setPage, body)
		if p.status != 401 || len(b.s.Writes()) != 0 {
			b.Errorf("%d", p.status)
		}
		auth := credentials(p.header.Get("WWW-Authenticate"), "POST", setPage, "root")
		if p := b.ask(PortWeb, "POST", setPage, auth, body); p.body != m000 {
			b.Errorf("%+v", p)
		}
		if got, want := b.s.Counts(), (Counts{Authorised: 1, Unauthorised: 1, Refused: 1}); got != want {
			b.Errorf("%+v, want %+v", got, want)
		}
	})
}

// TestDead4028: the port refuses while the web lives, and comes back.
func TestDead4028(t *testing.T) {
	on(t, Opts{}, func(b *bench) {
		b.s.Change(func(q *Quirks) { q.Dead4028 = true })
		if got := b.call("version"); !strings.Contains(got, "refused") {
			b.Errorf("%s", got)
		}
		b.want("the web", b.get(sumPage), 110e3, "SUMMARY", 0, "rate_5s")
		b.s.Change(func(q *Quirks) { q.Dead4028 = false })
		b.want("4028", b.call("version"), 22.0, "STATUS", 0, "Code")
	})
}

// TestWhatLies: averages and filled lists through a sleep, numbers as texts, no pool.
func TestWhatLies(t *testing.T) {
	on(t, Opts{AnswerAfter: -1, Quirks: Quirks{ListsAsleep: true}}, func(b *bench) {
		b.m.Set(miners.NoPools, true)
		b.want("no pool", b.get(poolPage), "Dead", "POOLS", 0, "status")
		b.want("no pool", b.call("pools"), false, "POOLS", 0, "Stratum Active")
		b.want("no pool", b.get(sumPage), "e", "SUMMARY", 0, "status", 1, "status")
		b.m.Set(miners.NoPools, false)
		b.s.Change(func(q *Quirks) { q.Faults = []Fault{{"fans", 3, "a fan"}} })
		b.want("a fault", b.get(sumPage), 3.0, "SUMMARY", 0, "status", 2, "code")
		b.want("no fault", b.get(sumPage), "s", "SUMMARY", 0, "status", 1, "status")
		b.set(b.full(1))
		b.want("asleep", b.get(sumPage), 0.0, "SUMMARY", 0, "rate_5s")
		b.want("asleep", b.get(statPage), 1.0, "STATS", 0, "miner-mode")
		b.want("asleep", b.get(statPage), 960.0, "STATS", 0, "fan", 3)
		b.want("asleep", b.call("stats"), 960.0, "STATS", 1, "fan1")
		b.s.Change(func(q *Quirks) { q.ListsAsleep = false })
		b.want("asleep", b.get(statPage), []any{}, "STATS")
		b.m.Set(miners.Averages, true)
		if rate, _ := at(b.get(sumPage), "SUMMARY", 0, "rate_5s").(float64); rate < 100e3 {
			b.Errorf("an average of %g", rate)
		}
		if rate, _ := at(b.call("summary"), "SUMMARY", 0, "GHS 5s").(float64); rate < 100e3 {
			b.Errorf("an average of %g", rate)
		}
		b.m.Set(miners.TextNumbers, true)
		b.want("a text", b.get(statPage), "1", "STATS", 0, "miner-mode")
		b.want("a text", b.call("stats"), "960", "STATS", 1, "fan1")
		b.want("no text", b.call("stats"), 70.0, "STATUS", 0, "Code")
	})
}

// TestThePages that tell who it is.
func TestThePages(t *testing.T) {
	on(t, Opts{Built: time.Date(2024, 1, 2, 3, 4, 5, 0, chinaTime())}, func(b *bench) {
		const built = "Tue Jan  2 03:04:05 CST 2024"
		info := b.get("/cgi-bin/get_system_info.cgi")
		b.want("model", info, "Antminer S19 Pro", "minertype")
		b.want("MAC", info, "02:00:5e:00:00:09", "macaddr")
		b.want("serial", info, "SN9", "serinum")
		b.want("firmware", info, built, "system_filesystem_version")
		b.want("network", b.get("/cgi-bin/get_network_info.cgi"), "02:00:5e:00:00:09", "macaddr")
		b.want("type", b.get("/cgi-bin/miner_type.cgi"), "20240102", "fw_version")
		sum := b.get(sumPage)
		b.want("summary", sum, built, "INFO", "CompileTime")
		b.want("summary", sum, "S", "STATUS", "STATUS")
		b.want("summary", sum, float64(time.Now().Unix()), "STATUS", "when")
		b.want("blink", b.get("/cgi-bin/get_blink_status.cgi"), false, "blink")
		b.want("blink", b.do("POST", "/cgi-bin/blink.cgi", `{"blink":"true"}`).body, "B000", "code")
		b.want("blink", b.get("/cgi-bin/get_blink_status.cgi"), true, "blink")
		if p := b.do("POST", "/cgi-bin/blink.cgi", `{"blink":false}`); p.status != 400 {
			b.Errorf("a blink that is no text: %d %s", p.status, p.body)
		}
		b.want("blink", b.do("POST", "/cgi-bin/blink.cgi", `{"blink":"false"}`).body, "B100", "code")
		b.want("blink", b.get("/cgi-bin/get_blink_status.cgi"), false, "blink")
	})
}

// TestPools: those with an address.
func TestPools(t *testing.T) {
	on(t, Opts{}, func(b *bench) {
		for text, key := range map[string]string{b.get(poolPage): "accepted", b.call("pools"): "Accepted"} {
			b.want("the first", text, 2901.0, "POOLS", 0, key)
			b.want("the second", text, 0.0, "POOLS", 1, key)
			b.want("a third", text, nil, "POOLS", 2)
		}
		b.want("address", b.get(poolPage), "stratum+tcp://pool.example:3333", "POOLS", 0, "url")
		b.want("user", b.call("pools"), "acct.r1", "POOLS", 1, "User")
	})
}

// TestConfig: a configuration that the test brings is shown as it is.
func TestConfig(t *testing.T) {
	const raw = `{"z":1.0,"pools":[],"bitmain-work-mode":"1","a":{"y":[ ],"b":"<"}}`
	on(t, Opts{Config: []byte(raw)}, func(b *bench) {
		if got := b.get(confPage); got != raw || !b.s.Asleep() {
			b.Errorf("%s", got)
		}
	})
}

// TestRPC: what 4028 reads, denies and does not know.
func TestRPC(t *testing.T) {
	on(t, Opts{}, func(b *bench) {
		b.want("version", b.call("version"), "Antminer S19 Pro", "VERSION", 0, "Type")
		b.want("devs", b.call("devs"), 0.0, "DEVS", 2, "MHS 5s")
		for name, code := range map[string]float64{
			"devdetails": 45, "restart": 45, "privileged": 45, "switchpool": 45, "summary+devs": 14, "curtail": 14, "": 24,
		} {
			b.want(name, b.call(name), code, "STATUS", 0, "Code")
			b.want(name, b.call(name), "E", "STATUS", 0, "STATUS")
		}
		b.want("text", b.rpc("summary|"), 23.0, "STATUS", 0, "Code")
		b.want("cmd", b.rpc(`{"cmd":"summary"}`), 24.0, "STATUS", 0, "Code")
		check := func(name, exists, access string) {
			got := b.rpc(fmt.Sprintf(`{"command":"check","parameter":%q}`, name))
			b.want(name, got, map[string]any{"Exists": exists, "Access": access}, "CHECK", 0)
		}
		check("stats", "Y", "Y")
		check("restart", "Y", "N")
		check("curtail", "N", "N")
		const newAPI = `{"command":"stats","new_api":true}`
		b.want("new_api", b.rpc(newAPI), 114.0, "STATS", 0, "chain", 2, "asic_num")
		b.want("new_api of another", b.rpc(`{"command":"version","new_api":true}`), 22.0, "STATUS", 0, "Code")
	})
	on(t, Opts{OldAPI: true}, func(b *bench) {
		b.want("old", b.rpc(`{"command":"stats","new_api":true}`), 114.0, "STATS", 1, "chain_acn3")
	})
}

// TestPort6060: warnings and watts, where there is such a port.
func TestPort6060(t *testing.T) {
	on(t, Opts{Serves6060: true}, func(b *bench) {
		say := func(path, want string) {
			b.Helper()
			if p := b.ask(Port6060, "GET", path, "", ""); p.body != want {
				b.Errorf("%s: %+v, want %s", path, p, want)
			}
		}
		say("/warning", `{"error_message":"None"}`)
		say("/miner_power", "miner_power:3250")
		say("/other", "error 6060 cmd")
		b.s.Change(func(q *Quirks) { q.NoPower, q.Warning = true, "P:2" })
		say("/warning", `{"error_message":"P:2"}`)
		say("/miner_power", "error 6060 cmd")
	})
	on(t, Opts{}, func(b *bench) {
		if p := b.ask(Port6060, "GET", "/warning", "", ""); p.err == nil || !strings.Contains(p.err.Error(), "refused") {
			b.Errorf("%+v", p)
		}
	})
}

// TestRebootHangs: the machine boots, the answer does not come, and what did not outlast the boot is gone.
func TestRebootHangs(t *testing.T) {
	on(t, Opts{Quirks: Quirks{RebootHangs: true}}, func(b *bench) {
		b.do("POST", "/cgi-bin/blink.cgi", `{"blink":"true"}`)
		auth := credentials(b.challenge("GET", confPage), "GET", confPage, "root")
		began := time.Now()
		if p := b.do("GET", rebootPage, ""); p.status != 0 || time.Since(began) != 35*time.Second {
			b.Errorf("%+v after %s", p, time.Since(began))
		}
		b.truth(miners.Booting, 25)
		time.Sleep(time.Minute)
		b.want("blink", b.get("/cgi-bin/get_blink_status.cgi"), false, "blink")
		if p := b.ask(PortWeb, "GET", confPage, auth, ""); p.status != 401 {
			b.Errorf("an old nonce: %d", p.status)
		}
	})
}
