package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alecthomas/kong"

	"rackagent/drivers/drivertest/miners"
	"rackagent/drivers/drivertest/miners/antminer"
	"rackagent/drivers/drivertest/miners/braiins"
	"rackagent/drivers/drivertest/miners/luxos"
	"rackagent/drivers/drivertest/miners/whatsminer"
)

// lan is a network with machines at some addresses, and nobody at the others.
type lan struct {
	t      *testing.T
	mu     sync.Mutex
	hosts  map[string]func(ctx context.Context, network, address string) (net.Conn, error)
	writes []func() int
	tries  int
	ends   []func()
}

func newLAN(t *testing.T) *lan {
	return &lan{t: t, hosts: map[string]func(context.Context, string, string) (net.Conn, error){}}
}

func (l *lan) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.tries++
	dial := l.hosts[host]
	l.mu.Unlock()
	if dial == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return dial(ctx, network, address)
}

// puts a machine at an address. serve gives how often something was written to it.
func (l *lan) puts(host, model, mac string, serve func(*miners.Machine, *miners.Host) func() int) {
	m := miners.New(miners.Spec{
		Model: model, MAC: mac, NominalTHs: 110, NominalW: 3250, StandbyW: 25, Boot: time.Minute, Ramp: time.Minute, Fall: time.Second,
		Profiles: []miners.Profile{{Name: "low", W: 2500, THs: 90}, {Name: "normal", W: 3250, THs: 110}, {Name: "high", W: 3600, THs: 120}},
	})
	h := miners.NewHost(m)
	l.hosts[host] = h.Dial
	l.writes, l.ends = append(l.writes, serve(m, h)), append(l.ends, h.Close)
}

// end closes the machines, none of which was written to.
func (l *lan) end() {
	for _, written := range l.writes {
		if n := written(); n != 0 {
			l.t.Errorf("%d writes and log-ins", n)
		}
	}
	for _, end := range l.ends {
		end()
	}
}

func lux(m *miners.Machine, h *miners.Host) func() int {
	s := luxos.New(m, h)
	return func() int { return len(s.Writes()) + s.Sessions().Logons }
}

func stock(m *miners.Machine, h *miners.Host) func() int {
	s := antminer.New(m, h, antminer.Opts{})
	return func() int { c := s.Counts(); return len(s.Writes()) + c.Authorised + c.Wrong + c.Reboots }
}

func whats(o whatsminer.Opts) func(*miners.Machine, *miners.Host) func() int {
	return func(m *miners.Machine, h *miners.Host) func() int {
		s := whatsminer.New(m, h, o)
		return func() int { return len(s.Writes()) + len(s.Tokens()) }
	}
}

func brains(m *miners.Machine, h *miners.Host) func() int {
	s := braiins.New(m, h, braiins.Opts{})
	return func() int { c := s.Counts(); return len(s.Writes()) + c.Logins + c.Wrong + c.Unauthorised + c.Reboots }
}

// pages is a web server that has some pages and counts what is no GET, or brings credentials.
func pages(of map[string]string) func(*miners.Machine, *miners.Host) func() int {
	return func(_ *miners.Machine, h *miners.Host) func() int {
		var mu sync.Mutex
		odd := 0
		h.HandleHTTP(80, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if r.Method != http.MethodGet || r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" || r.ContentLength != 0 {
				odd++
			}
			page, ok := of[r.URL.Path]
			if !ok {
				http.NotFound(w, r)
				return
			}
			_, _ = io.WriteString(w, page)
		}))
		return func() int { mu.Lock(); defer mu.Unlock(); return odd }
	}
}

// rack puts one of everything on the network.
func (l *lan) rack() {
	l.puts("192.0.2.1", "Antminer S19k Pro", "02:00:5e:10:00:01", lux)
	l.puts("192.0.2.2", "Antminer S19 Pro", "02:00:5e:10:00:02", stock)
	l.puts("192.0.2.3", "M56S_VH30", "02:00:5e:10:00:03", whats(whatsminer.Opts{V2: true, V3: true}))
	l.puts("192.0.2.4", "M50_VG40", "02:00:5e:10:00:04", whats(whatsminer.Opts{V2: true}))
	l.puts("192.0.2.5", "Antminer S21", "02:00:5e:10:00:05", brains)
	l.puts("192.0.2.6", "", "", pages(map[string]string{
		"/": "<title>AnthillOS</title>", "/api/v1/model": `{"full_name":"Antminer S19j Pro"}`,
		"/api/v1/info": `{"fw_name":"Vnish","fw_version":"1.2.6","system":{"network_status":{"mac":"02:00:5E:10:00:06"}}}`,
	}))
	l.puts("192.0.2.7", "", "", pages(map[string]string{"/": "<title>Prin\x1b[2Jter \u202e of Bob</title>"}))
	l.puts("192.0.2.8", "", "", pages(map[string]string{"/": "<title>AxeOS</title>", "/api/system/info": `{"ASICModel":"BM1370","version":"v2.14.0\nmore","macAddr":"02:00:5E:10:00:08"}`}))
	l.puts("192.0.2.9", "Antminer S19 XP", "02:00:5e:10:00:01", lux) // the MAC of .1
	l.hosts["192.0.2.10"] = func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
	l.puts("192.0.2.11", "Antminer S19", "02:00:5e:10:00:0b", func(m *miners.Machine, h *miners.Host) func() int {
		s := antminer.New(m, h, antminer.Opts{})
		h.Handle(antminer.PortWeb, nil)
		return func() int { return len(s.Writes()) }
	})
	l.puts("192.0.2.12", "", "", func(m *miners.Machine, h *miners.Host) func() int {
		m.Set(miners.Hangs, true)
		return stock(m, h)
	})
}

// scans runs rackagent miners scan on a network, as execute does it.
func (l *lan) scans(ctx context.Context, args ...string) said {
	l.t.Helper()
	var out, errs bytes.Buffer
	var line commandLine
	line.Miners.Scan.dial = l.dial
	o := outside{out: screen{&out}, err: screen{&errs}, hardware: bare, notifier: deaf, group: noGroup}
	k, err := kong.New(&line, kong.Name("rackagent"), kong.NoDefaultHelp(), kong.Writers(o.out, o.err))
	if err != nil {
		l.t.Fatal(err)
	}
	chosen, err := k.Parse(append([]string{"miners", "scan"}, args...))
	if err != nil {
		return said{status: exitUsage, err: err.Error()}
	}
	chosen.BindTo(ctx, (*context.Context)(nil))
	code := tell(o.err, chosen.Run(&app{outside: o, globals: line.globals}))
	return said{code, out.String(), errs.String()}
}

const exampleConfig = "../../../config/example.yaml"

// onARack runs in virtual time.
func onARack(t *testing.T, f func(t *testing.T, l *lan)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := newLAN(t)
		l.rack()
		defer l.end()
		f(t, l)
	})
}
