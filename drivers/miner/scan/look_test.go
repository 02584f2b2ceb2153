package scan

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers/drivertest/miners"
)

// unit is a machine that answers what a test composed.
type unit struct {
	rpc   map[string]string // by command; others are not known to it. Nil: 4028 is closed
	v3    string            // its answer to everything; empty: 4433 is closed
	pages map[string]string // by path: status, a line of headers or none, and the body. Nil: 80 is closed
}

// put answers a page that begins with "401 Name: value|" or "200 |".
func put(w http.ResponseWriter, page string) {
	head, body, _ := strings.Cut(page, "|")
	code, header, _ := strings.Cut(head, " ")
	if name, value, ok := strings.Cut(header, ": "); ok {
		w.Header().Set(name, value)
	}
	status := map[string]int{"200": 200, "301": 301, "307": 307, "401": 401, "403": 403}[code]
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

// serve puts a unit on a host.
func (u unit) serve() *miners.Host {
	h := miners.NewHost(miners.New(antminerSpec()))
	if u.rpc != nil {
		h.HandleRPC(portRPC, func(r miners.Request) miners.Reply {
			if reply, ok := u.rpc[r.Command]; ok {
				return miners.Reply(reply)
			}
			return miners.Reply(`{"STATUS":[{"STATUS":"E","When":1,"Code":14,"Msg":"Invalid command","Description":"x"}],"id":1}`)
		})
	}
	if u.v3 != "" {
		h.Handle(portV3, func(c netConn) {
			defer c.Close()
			says(string(framed(u.v3)))(c)
		})
	}
	if u.pages != nil {
		h.HandleHTTP(portWeb, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			page, ok := u.pages[r.URL.Path]
			if !ok {
				http.NotFound(w, r)
				return
			}
			put(w, page)
		}))
	}
	return h
}

const (
	bmminer = `{"STATUS":[{"STATUS":"S","When":1755700000,"Code":22,"Msg":"BMMiner versions","Description":"cgminer 1.0.0"}],` +
		`"VERSION":[{"BMMiner":"1.0.0","API":"3.1","Miner":"uart_trans.1.3","CompileTime":"Tue Dec 6 16:12:30 CST 2022","Type":"Antminer S19 Pro"}],"id":1}`
	realm = `401 WWW-Authenticate: Digest realm="antMiner Configuration", nonce="ab", qop="auth"|<html>401</html>`
)

// TestFingerprints: what tells which firmware (cgminer API-README, LuxOS and BOSminer API documents, WhatsminerAPI 2.0.5 and
// 3.0, xminer-api, ESP-Miner openapi.yaml, pyasic miners/factory.py).
func TestFingerprints(t *testing.T) {
	for name, c := range map[string]struct {
		unit
		kind, api    string
		alternatives []string
		sure         Sure
		model        string
		mac          string
		why          string // stands in it
		requests     int
	}{
		"LuxOS, no config": {
			unit{rpc: map[string]string{"version": `{"STATUS":[{"STATUS":"S","Code":22}],"VERSION":[{"API":"3.7","LUXminer":"2025.4.8","Type":"Antminer S19k Pro"}]}`}},
			"LuxOS", "luxos", nil, Identified, "Antminer S19k Pro", "", "4028 names luxminer", 2,
		},
		"LuxOS by its page": {unit{pages: map[string]string{"/": "200 |<title>Luxor Firmware</title>"}}, "LuxOS", "luxos", nil, LooksLike, "", "", "Luxor Firmware", 1},
		"BOSminer": {unit{rpc: map[string]string{
			"version":    `{"STATUS":[{"STATUS":"S","Code":22,"Description":"BOSminer 0.2.0"}],"VERSION":[{"API":"3.7","BOSminer":"bosminer-plus-am2-s17 0.6.0"}]}`,
			"devdetails": `{"STATUS":[{"STATUS":"S"}],"DEVDETAILS":[{"Model":"Antminer S19"}]}`,
		}}, "Braiins OS", "braiins", nil, Identified, "Antminer S19", "", "bosminer", 2},
		"Braiins by its page": {unit{pages: map[string]string{"/": "200 |<title>Braiins OS</title>"}}, "Braiins OS", "braiins", nil, LooksLike, "", "", "Braiins OS", 2},
		"stock":               {unit{rpc: map[string]string{"version": bmminer}, pages: map[string]string{"/": realm}}, "Antminer stock firmware", "antminer", nil, Identified, "Antminer S19 Pro", "", "antMiner Configuration", 2},
		"stock, log-in behind the first page": {
			unit{rpc: map[string]string{"version": bmminer}, pages: map[string]string{"/": "200 |<html></html>", "/cgi-bin/get_system_info.cgi": realm}},
			"Antminer stock firmware", "antminer", nil, Identified, "Antminer S19 Pro", "", "antMiner Configuration", 3,
		},
		"the realm alone":       {unit{pages: map[string]string{"/": realm}}, "Antminer stock firmware", "antminer", nil, LooksLike, "", "", "antMiner", 1},
		"BMMiner alone":         {unit{rpc: map[string]string{"version": bmminer}}, "Antminer, stock firmware or another", "", []string{"antminer"}, LooksLike, "Antminer S19 Pro", "", "port 80 is closed", 1},
		"BMMiner, page unknown": {unit{rpc: map[string]string{"version": bmminer}, pages: map[string]string{"/": "200 |<title>Antminer</title>"}}, "Antminer, stock firmware or another", "", []string{"antminer"}, LooksLike, "Antminer S19 Pro", "", `title "Antminer"`, 4},
		"Vnish": {unit{rpc: map[string]string{"version": bmminer}, pages: map[string]string{
			"/": "200 |<title>AnthillOS</title>", "/api/v1/info": `200 |{"fw_name":"Vnish","fw_version":"1.2.6","system":{"network_status":{"mac":"02:00:5E:10:00:09","hostname":"Antminer"}}}`,
			"/api/v1/model": `200 |{"full_name":"Antminer S19j Pro"}`,
		}}, "Vnish", "", nil, Identified, "Antminer S19j Pro", "02:00:5e:10:00:09", "AnthillOS", 4},
		"Vnish by info alone": {unit{pages: map[string]string{"/": "200 |<html>", "/api/v1/info": `200 |{"fw_name":"Vnish"}`}}, "Vnish", "", nil, Identified, "", "", "/api/v1/info", 4},
		"Vnish by 4028":       {unit{rpc: map[string]string{"version": `{"VERSION":[{"BMMiner":"2.0.0 rwglr","Type":"Antminer S9 (vnish 3.9)"}],"STATUS":[{"STATUS":"S"}]}`}}, "MSKMINER", "", nil, Identified, "Antminer S9 (vnish 3.9)", "", "rwglr", 1},
		"old Vnish":           {unit{rpc: map[string]string{"version": `{"VERSION":[{"BMMiner":"2.0.0","Type":"Antminer S9 (vnish 3.9)"}],"STATUS":[{"STATUS":"S"}]}`}}, "Vnish", "", nil, LooksLike, "Antminer S9 (vnish 3.9)", "", "vnish", 1},
		"Hiveon, which shows the realm": {
			unit{rpc: map[string]string{"version": strings.Replace(bmminer, "S19 Pro", "S19 Pro Hiveon", 1)}, pages: map[string]string{"/": realm}},
			"Hiveon", "", nil, Identified, "Antminer S19 Pro Hiveon", "", "hiveon", 1,
		},
		"Avalon": {
			unit{rpc: map[string]string{"version": `{"STATUS":[{"STATUS":"S","When":1,"Code":22,"Msg":"CGMiner versions","Description":"cgminer 4.11.1"}],` +
				`"VERSION":[{"CGMiner":"4.11.1","API":"3.7","PROD":"AvalonMiner 1246","MODEL":"1246-85","LVERSION":"21090000","MAC":"02005e100003"}],"id":1}`}},
			"Avalon", "", nil, Identified, "AvalonMiner 1246 1246-85", "02:00:5e:10:00:03", "avalon", 1,
		},
		"Whatsminer by its words":     {unit{rpc: map[string]string{"version": `{"STATUS":[{"STATUS":"S","Msg":"x","Description":"whatsminer v1.1"}],"id":1}`}}, "Whatsminer", "whatsminer-v2", nil, LooksLike, "", "", "whatsminer", 4},
		"Whatsminer API 1":            {unit{rpc: map[string]string{"get_version": `{"STATUS":"S","When":1,"Code":131,"Msg":{"api_ver":"whatsminer v1.4.0","fw_ver":"20200917"},"Description":"whatsminer v1.4"}`}}, "Whatsminer", "whatsminer-v2", nil, LooksLike, "", "", "older", 4},
		"Whatsminer, 4433 of another": {unit{rpc: map[string]string{"get_version": `{"STATUS":"S","Code":131,"Msg":{"api_ver":"2.0.5"}}`}, v3: `{"code":-2,"msg":"invalid command"}`}, "Whatsminer", "whatsminer-v2", []string{"whatsminer-v3"}, Identified, "", "", "not as a Whatsminer", 5},
		"Whatsminer v3": {
			unit{v3: `{"code":0,"when":1,"msg":{"miner":{"type":"M60S_VK40"},"system":{"api":"3.0.2","fwversion":"20251209.16.Rel2","apiswitch":"1"},"network":{"mac":"02:00:5E:10:00:04"}},"desc":"get.device.info"}`},
			"Whatsminer", "whatsminer-v3", nil, Identified, "M60S_VK40", "02:00:5e:10:00:04", "API 3.0.2", 1,
		},
		"a router, or a Whatsminer that says nothing": {unit{pages: map[string]string{"/": "307 Location: https://192.0.2.7/cgi-bin/luci|"}}, "", "", nil, Unknown, "", "", "OpenWrt", 1},
		"AxeOS": {
			unit{pages: map[string]string{"/": "200 Content-Encoding: gzip|\x1f\x8b\x08", "/api/system/info": `200 |{"ASICModel":"BM1370","version":"v2.14.0","macAddr":"02:00:5E:10:00:05","hostname":"bitaxe"}`}},
			"AxeOS", "", nil, Identified, "BM1370", "02:00:5e:10:00:05", "ASICModel", 2,
		},
		"Goldshell":              {unit{pages: map[string]string{"/": "200 |<title>cloud-box</title>"}}, "Goldshell", "", nil, LooksLike, "", "", "cloud-box", 1},
		"IceRiver":               {unit{pages: map[string]string{"/": "200 |<TITLE>用户界面</TITLE>"}}, "IceRiver", "", nil, LooksLike, "", "", "title", 1},
		"Elphapex":               {unit{pages: map[string]string{"/": `401 WWW-Authenticate: Digest realm="Daoge", nonce="a"|`}}, "Elphapex", "", nil, LooksLike, "", "", "Daoge", 1},
		"some cgminer":           {unit{rpc: map[string]string{"version": `{"STATUS":[{"STATUS":"S","Description":"cgminer 4.9.0"}],"VERSION":[{"CGMiner":"4.9.0","API":"3.7"}]}`}}, "", "", nil, Unknown, "", "", `4028 says "cgminer 4.9.0"`, 2},
		"the older text form":    {unit{rpc: map[string]string{"version": "STATUS=S,When=1,Code=22,Msg=CGMiner versions,Description=cgminer 4.9.0|VERSION,CGMiner=4.9.0,API=3.7|"}}, "", "", nil, Unknown, "", "", "4028 says", 2},
		"some page":              {unit{pages: map[string]string{"/": "200 Server: lighttpd/1.4|<html><head><title>Printer\x1b[2J</title>"}}, "", "", nil, Unknown, "", "", `HTTP 200, title "Printer [2J", server "lighttpd/1.4"`, 3},
		"somebody else's log-in": {unit{pages: map[string]string{"/": `401 WWW-Authenticate: Basic realm="NAS"|`}}, "", "", nil, Unknown, "", "", `realm "NAS"`, 1},
		"a dead mining process":  {unit{rpc: map[string]string{"version": "Socket connect failed: Connection refused\n"}}, "", "", nil, Unknown, "", "", "Socket connect failed", 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := c.serve()
				defer h.Close()
				n := newNetwork(t)
				n.hosts[at7] = h.Dial
				f, err := Look(t.Context(), Opts{Dial: n.Dial}, at7)
				if err != nil || f.Kind != c.kind || f.API != c.api || !slices.Equal(f.Alternatives, c.alternatives) || f.Sure != c.sure || f.Model != c.model || f.MAC != c.mac {
					t.Errorf("%v\n%+v", err, f)
				}
				if !strings.Contains(strings.Join(f.Why, "; "), c.why) {
					t.Errorf("why: %q", f.Why)
				}
				if (f.API != "") != (len(f.Missing) > 0) || (f.Unsupported != "") != (f.API == "" && f.Kind != "" && len(f.Alternatives) == 0) {
					t.Errorf("missing %q, unsupported %q", f.Missing, f.Unsupported)
				}
				if got := len(n.asked[at7]); got != c.requests {
					t.Errorf("%d requests, want %d: %q", got, c.requests, n.asked[at7])
				}
			})
		})
	}
}

// TestSingleClientServersBreathe: between two connections to 4028 lie 100 ms.
func TestSingleClientServersBreathe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := unit{rpc: map[string]string{"version": bmminer, "get_version": ""}, v3: "x"}.serve()
		defer h.Close()
		n := newNetwork(t)
		n.hosts[at7] = h.Dial
		if _, err := Look(t.Context(), Opts{Dial: n.Dial}, at7); err != nil {
			t.Fatal(err)
		}
		for i := 1; i < len(n.began); i++ {
			if gap := n.began[i].Sub(n.began[i-1]); gap < breath {
				t.Errorf("%s between two connections", gap)
			}
		}
		if len(n.began) != 2 || h.Most() > len(ports()) {
			t.Errorf("%d connections, %d at once", len(n.began), h.Most())
		}
	})
}

// TestNobodyThere: silence, refusal and a failure of this machine are three things.
func TestNobodyThere(t *testing.T) {
	for _, c := range []struct {
		name string
		dial func(context.Context, string, string) (netConn, error)
		want error
		took time.Duration
	}{
		{"silent", nil, ErrSilent, time.Second},
		{"refuses", refusing, ErrClosed, 0},
		{"no descriptors", failing, syscall.EMFILE, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			if c.dial != nil {
				n.hosts[at7] = c.dial
			}
			began := time.Now()
			f, err := Look(t.Context(), Opts{Dial: n.Dial}, at7)
			if !errors.Is(err, c.want) || !reflect.DeepEqual(f, Found{}) || time.Since(began) != c.took {
				t.Errorf("%s: %v after %s: %+v", c.name, err, time.Since(began), f)
			}
		})
	}
}

// TestRefusedOptions: nonsense is refused before anything is dialled.
func TestRefusedOptions(t *testing.T) {
	n := newNetwork(t)
	for name, c := range map[string]struct {
		o    Opts
		host string
	}{
		"no dialler":     {Opts{}, at7},
		"no host":        {Opts{Dial: n.Dial}, ""},
		"a header":       {Opts{Dial: n.Dial}, "a\r\nX: y"},
		"a path":         {Opts{Dial: n.Dial}, "a/b"},
		"too many":       {Opts{Dial: n.Dial, Sockets: 5000}, at7},
		"too few":        {Opts{Dial: n.Dial, Sockets: 2}, at7},
		"a negative":     {Opts{Dial: n.Dial, Rate: -1}, at7},
		"too long":       {Opts{Dial: n.Dial, Timeout: time.Hour}, at7},
		"a name of 300":  {Opts{Dial: n.Dial}, strings.Repeat("a", 300)},
		"another letter": {Opts{Dial: n.Dial}, "ä"},
	} {
		if _, err := Look(t.Context(), c.o, c.host); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if len(n.began) != 0 {
		t.Error("dialled")
	}
}

// TestMACs: one form, and none of what is none.
func TestMACs(t *testing.T) {
	for in, want := range map[string]string{
		"02:00:5E:10:00:01": "02:00:5e:10:00:01", "02005e100001": "02:00:5e:10:00:01", "02-00-5e-10-00-01": "02:00:5e:10:00:01",
		"": "", "00:00:00:00:00:00": "", "ff:ff:ff:ff:ff:ff": "", "02:00:5e:10:00": "", "zz:00:5e:10:00:01": "", "02:00:5e:10:00:01:02": "",
	} {
		if got := mac(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

// TestSignsAreDistinct: none hides a later one.
func TestSignsAreDistinct(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range signs() {
		for word := range maps.Keys(seen) {
			if strings.Contains(s.word, word) {
				t.Errorf("%s is never reached behind %s", s.word, word)
			}
		}
		seen[s.word] = true
	}
}
