package nut

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/drivertest/ups"
)

// to dials a simulated server by pipes.
func to(s *ups.Server) func(context.Context, string, string) (net.Conn, error) {
	return func(_ context.Context, network, address string) (net.Conn, error) {
		if network != "tcp" || address != "192.0.2.1:3493" {
			return nil, fmt.Errorf("%s %s", network, address)
		}
		a, b := net.Pipe()
		go s.Serve(b)
		return a, nil
	}
}

func dev(t *testing.T, s *ups.Server, name string) *Dev {
	t.Helper()
	d, err := New(Opts{Name: "ups", Host: "192.0.2.1", UPS: name, Dial: to(s)})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func told(b *bool) string {
	switch {
	case b == nil:
		return "nothing"
	case *b:
		return "battery"
	}
	return "mains"
}

func TestSense(t *testing.T) {
	for _, c := range []struct {
		status string
		want   string
		low    bool
	}{
		{"OL", "mains", false},
		{"OL CHRG", "mains", false},
		{"OB DISCHRG", "battery", false},
		{"OB LB", "battery", true},
		{"FSD OB LB", "battery", true},
		{"OL LB", "mains", true},
		{"OB CAL", "mains", false}, // somebody has asked for it
		{"OFF", "nothing", false},
		{"BYPASS", "nothing", false},
		{"WAIT", "nothing", false},
		{"OLD", "nothing", false},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := ups.New("rack")
			s.Set("ups.status", c.status)
			got, err := dev(t, s, "rack").Sense(t.Context())
			if err != nil || told(got.OnBattery) != c.want || got.Low != c.low || strings.Join(got.Words, " ") != c.status {
				t.Errorf("%s: %s, low %v, %v", c.status, told(got.OnBattery), got.Low, err)
			}
			if got.ChargePct == nil || *got.ChargePct != 100 || got.RuntimeS == nil || *got.RuntimeS != 1200 {
				t.Errorf("%+v", got)
			}
		})
	}
}

// What a UPS does not tell is absent, and no zero.
func TestAbsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ups.New("rack")
		s.Set("battery.charge", "")
		s.Set("battery.runtime", "n/a")
		got, err := dev(t, s, "rack").Sense(t.Context())
		if err != nil || got.ChargePct != nil || got.RuntimeS != nil || told(got.OnBattery) != "mains" {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestFaults(t *testing.T) {
	for word, want := range map[string]drivers.Fault{
		"DATA-STALE": drivers.Unreachable, "DRIVER-NOT-CONNECTED": drivers.Unreachable, "ACCESS-DENIED": drivers.Denied, "mute": drivers.Timeout,
		"SOMETHING-NEW": drivers.Refused,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := ups.New("rack")
			s.Fail(word)
			began := time.Now()
			got, err := dev(t, s, "rack").Sense(t.Context())
			if drivers.FaultOf(err) != want || got.OnBattery != nil || time.Since(began) > timeout {
				t.Errorf("%s: %+v, %v after %s", word, got, err, time.Since(began))
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		if _, err := dev(t, ups.New("rack"), "other").Sense(t.Context()); drivers.FaultOf(err) != drivers.Unsupported {
			t.Error(err)
		}
	})
	d, err := New(Opts{Name: "ups", Host: "h", UPS: "rack", Dial: func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Sense(t.Context()); drivers.FaultOf(err) != drivers.Unreachable {
		t.Error(err)
	}
	for _, name := range []string{"", "a b", "a\nGET VAR x y", strings.Repeat("a", 65)} {
		if _, err := New(Opts{Host: "h", UPS: name, Dial: to(nil)}); err == nil {
			t.Errorf("%q is taken for a name", name)
		}
	}
}

func TestUnquoted(t *testing.T) {
	for in, want := range map[string]string{
		`"OL"`: "OL", `""`: "", `"a\"b\\c"`: `a"b\c`, `"OL`: "-", `OL`: "-", `"OL" x`: "-", `"`: "-", ``: "-", `"a\"`: "-",
	} {
		got, ok := unquoted(in)
		if !ok {
			got = "-"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

// FuzzReply: whatever a server answers, there is an error or a status, and no more than it says.
func FuzzReply(f *testing.F) {
	for _, s := range []string{"VAR rack ups.status \"OB LB\"\n", "ERR DATA-STALE\n", "VAR rack ups.status \"OL\n", "", "VAR x y \"z\"\n", "ERR \n", strings.Repeat("a", 5000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, reply string) {
		d, err := New(Opts{Name: "ups", Host: "h", UPS: "rack", Dial: func(context.Context, string, string) (net.Conn, error) {
			a, b := net.Pipe()
			go func() {
				defer b.Close()
				buf := make([]byte, 256)
				for {
					if _, err := b.Read(buf); err != nil {
						return
					}
					if _, err := b.Write([]byte(reply)); err != nil {
						return
					}
					if !strings.HasSuffix(reply, "\n") {
						return
					}
				}
			}()
			return a, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := d.Sense(t.Context())
		if err != nil && (got.OnBattery != nil || got.Low) {
			t.Errorf("%+v and %v", got, err)
		}
		if got.OnBattery != nil && !strings.Contains(reply, "OL") && !strings.Contains(reply, "OB") {
			t.Errorf("invented: %+v of %q", got, reply)
		}
	})
}
