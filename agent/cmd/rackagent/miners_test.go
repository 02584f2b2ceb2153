package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alecthomas/kong"

	"rackagent/agent/inventory"
	"rackagent/drivers/drivertest/miners/whatsminer"
	"rackagent/drivers/miner/cgminer"
	"rackagent/drivers/miner/scan"
)

func TestMinersScan(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent", "config.yaml")
	for _, format := range []string{"table", "json", "yaml"} {
		onARack(t, func(t *testing.T, l *lan) {
			s := l.scans(t.Context(), "192.0.2.0/28", "--format", format, "--config", absent)
			golden(t, "miners-"+format, s)
			if strings.ContainsAny(s.out+s.err, "\x1b\r\u202e") {
				t.Errorf("what a terminal obeys: %q", s.out)
			}
		})
	}
}

// TestMinersScanIsJSON that says the same, and no secret.
func TestMinersScanIsJSON(t *testing.T) {
	onARack(t, func(t *testing.T, l *lan) {
		var got scanned
		s := l.scans(t.Context(), "192.0.2.0/28", "--format=json", "--config", exampleConfig)
		if err := json.Unmarshal([]byte(s.out), &got); err != nil || got.Interrupted || got.Found != 11 || len(got.Miners) != 11 || got.Addresses != 14 || got.Closed != 1 || got.Silent != 2 {
			t.Errorf("%v\n%s", err, s.out)
		}
		if first := got.Miners[0]; first.API != "luxos" || first.MAC != "02:00:5e:10:00:01" || first.Configured == nil || !slices.Equal(first.SameMAC, []string{"192.0.2.9"}) {
			t.Errorf("%+v", first)
		}
	})
}

// TestMinersScanBesideAConfiguration: what it names is marked and not proposed again.
func TestMinersScanBesideAConfiguration(t *testing.T) {
	for name, at := range map[string]struct{ host, mac string }{
		"miners-configured": {"10.0.3.17", "02:00:5e:10:00:01"}, "miners-moved": {"10.0.3.18", "02:00:5e:10:00:01"}, "miners-replaced": {"10.0.3.17", "02:00:5e:10:00:99"},
	} {
		for _, format := range []string{"table", "yaml"} {
			synctest.Test(t, func(t *testing.T) {
				l := newLAN(t)
				defer l.end()
				l.puts(at.host, "Antminer S19k Pro", at.mac, lux)
				l.puts("10.0.3.19", "M56S_VH30", "02:00:5e:10:00:13", whats(whatsminer.Opts{V3: true, Unlocked: true}))
				golden(t, name+"-"+format, l.scans(t.Context(), "10.0.3.16/29", "--format", format, "--config", exampleConfig))
			})
		}
	}
}

// TestMinersScanPastes: its YAML fits into a configuration, which is refused for nothing but the names of the nodes.
func TestMinersScanPastes(t *testing.T) {
	example, err := os.ReadFile(exampleConfig)
	if err != nil {
		t.Fatal(err)
	}
	before, after, ok := strings.Cut(string(example), "\nminers:\n")
	if !ok {
		t.Fatal("the example has no miners")
	}
	for strings.HasPrefix(after, " ") { // their lines
		_, after, _ = strings.Cut(after, "\n")
	}
	onARack(t, func(t *testing.T, l *lan) {
		s := l.scans(t.Context(), "192.0.2.0/28", "--format=yaml", "--config", filepath.Join(t.TempDir(), "none"))
		file := filepath.Join(t.TempDir(), "config.yaml")
		write(t, file, before+"\n"+s.out+"\n"+after)
		checked := typed(t, "check", "--config", file)
		for line := range strings.Lines(checked.out) {
			if !strings.Contains(line, strconv.Quote(fillIn)) && !strings.Contains(line, "7 errors") {
				t.Errorf("%s", line)
			}
		}
		if checked.status != exitUsage || strings.Count(checked.out, "no node is named") != 4 {
			t.Errorf("%+v\n%s", checked, s.out)
		}
	})
}

// TestMinersScanIsInterrupted: what was found is printed, and it is said that there may be more.
func TestMinersScanIsInterrupted(t *testing.T) {
	onARack(t, func(t *testing.T, l *lan) {
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		began := time.Now()
		golden(t, "miners-interrupted", l.scans(ctx, "192.0.2.0/28", "--config", exampleConfig))
		if time.Since(began) != 2500*time.Millisecond {
			t.Errorf("it took %s", time.Since(began))
		}
	})
}

func TestMinersScanFindsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN(t)
		golden(t, "miners-nobody", l.scans(t.Context(), "192.0.2.64/28", "--config", exampleConfig))
		l.hosts["192.0.2.1"] = func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ENETUNREACH }
		golden(t, "miners-no-network", l.scans(t.Context(), "192.0.2.1", "--config", exampleConfig))
	})
}

// TestMinersScanRefuses what is nonsense, before it connects to anything, and says which argument it is.
func TestMinersScanRefuses(t *testing.T) {
	l := newLAN(t)
	for _, c := range []struct {
		args string
		want string
	}{
		{"10.0.3", `CIDR "10.0.3"`},
		{"10.1.2.3/8", `CIDR "10.1.2.3/8": more than 65536`},
		{"10.0.3.0/24 rack-1", `CIDR "rack-1"`},
		{"10.0.0.0/16 10.1.0.0/16", "10.1.0.0/16 these are more than 65536"},
		{"224.0.0.0/24", `CIDR "224.0.0.0/24"`},
		{"10.0.3.0/24 --rate 0", "--rate"},
		{"10.0.3.0/24 --sockets 2", "--sockets"},
		{"10.0.3.0/24 --timeout 1ms", "--timeout"},
		{"10.0.3.0/24 --timeout x", "--timeout"},
		{"10.0.3.0/24 --format xml", "--format"},
		{"", "cidr"},
	} {
		s := l.scans(t.Context(), append(strings.Fields(c.args), "--config", exampleConfig)...)
		if s.status != exitUsage || s.out != "" || !strings.Contains(s.err, c.want) {
			t.Errorf("%s: %+v", c.args, s)
		}
	}
	if l.tries != 0 {
		t.Errorf("%d connections", l.tries)
	}
}

// TestScanKnowsTheInterfaces: the names that it gives are those of the configuration, all but the one that reads whatever
// answers as cgminer does: to take that is a person's choice.
func TestScanKnowsTheInterfaces(t *testing.T) {
	have := slices.Sorted(slices.Values(inventory.Catalogue().Miners))
	have = slices.DeleteFunc(have, func(api string) bool { return api == cgminer.Dialect })
	if !slices.Equal(scan.APIs(), have) {
		t.Errorf("a scan knows %v, the configuration %v", scan.APIs(), have)
	}
	if f := spoken(scan.Found{API: "telnet", Missing: []string{"node"}}); f.API != "" || f.Unsupported == "" || f.Missing != nil {
		t.Errorf("%+v", f)
	}
}

// TestScanDefaults: what is typed stands in for the package's own.
func TestScanDefaults(t *testing.T) {
	var line commandLine
	k, err := kong.New(&line, kong.NoDefaultHelp())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Parse([]string{"miners", "scan", "10.0.3.0/24"}); err != nil {
		t.Fatal(err)
	}
	if c := line.Miners.Scan; c.Rate != scan.DefaultRate || c.Sockets != scan.DefaultSockets || c.Timeout != scan.DefaultTimeout {
		t.Errorf("%+v", c)
	}
}

// TestABrokenConfiguration marks nothing, says so, and keeps nobody from scanning.
func TestABrokenConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN(t)
		file := filepath.Join(t.TempDir(), "config.yaml")
		write(t, file, "miners: [")
		if s := l.scans(t.Context(), "192.0.2.1", "--config", file); s.status != exitOK || !strings.Contains(s.err, "none is marked as configured") {
			t.Errorf("%+v", s)
		}
		write(t, file, "schema: 1\nminers: [{node: asic-9, api: luxos, host: 192.0.2.1}]\n")
		l.puts("192.0.2.1", "Antminer S19", "02:00:5e:10:00:01", lux)
		defer l.end()
		if s := l.scans(t.Context(), "192.0.2.1", "--config", file); s.status != exitOK || !strings.Contains(s.err, "there are mistakes in") || !strings.Contains(s.out, "configured as asic-9") {
			t.Errorf("%+v", s)
		}
	})
}

// TestTheBar is drawn over itself, and is gone at the end. Where there is no terminal there is none.
func TestTheBar(t *testing.T) {
	for _, to := range []io.Writer{io.Discard, screen{new(bytes.Buffer)}} {
		if b := newBar(to); b.to != nil {
			t.Errorf("drawn on %T", to)
		}
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b := newBar(screen{f}); b.to != nil {
		t.Error("drawn into a file")
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if b := newBar(screen{null}); b.to != null {
		t.Error("not drawn on a device") // as a terminal is one
	}
	var drawn bytes.Buffer
	synctest.Test(t, func(*testing.T) { // all at one moment
		b := &bar{to: &drawn}
		for i := range 3 {
			b.show(scan.Progress{Round: 1, Asked: i, Of: 3, Found: i})
		}
		b.show(scan.Progress{Round: 1, Asked: 3, Of: 3, Found: 2})
		b.show(scan.Progress{Round: 2, Asked: 1, Of: 1, Found: 2})
		b.clear()
	})
	want := fmt.Sprintf("\r[%s] 0/3 addresses, 0 answer\r[%s] 3/3 addresses, 2 answer\r[%s] 1/1 silent ones again, 2 answer\r%s\r",
		strings.Repeat(".", 24), strings.Repeat("#", 24), strings.Repeat("#", 24), strings.Repeat(" ", 58))
	if drawn.String() != want {
		t.Errorf("%q\nwant %q", drawn.String(), want)
	}
}
