package scan

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestHostileTalkers: whatever answers, it ends in time, and is no miner.
func TestHostileTalkers(t *testing.T) {
	forever := func(chunk string, gap time.Duration) func(netConn) {
		return func(c netConn) {
			go func() { _, _ = c.Read(make([]byte, 4096)) }()
			for {
				if _, err := c.Write([]byte(chunk)); err != nil {
					return
				}
				time.Sleep(gap)
			}
		}
	}
	silent := func(c netConn) {
		for {
			if _, err := c.Read(make([]byte, 4096)); err != nil {
				return
			}
		}
	}
	for name, serve := range map[string]func(netConn){
		"closes at once":         func(netConn) {},
		"reads and closes":       says(""),
		"reads nothing":          func(netConn) { time.Sleep(time.Minute) },
		"says nothing":           silent,
		"garbage":                says("\x00\xff\x01\x02garbage\x1b[2J"),
		"garbage without end":    forever(strings.Repeat("\xff\x1b", 2048), 0),
		"a slow one":             forever("{", 500*time.Millisecond),
		"a page without end":     forever("HTTP/1.1 200 OK\r\n\r\n"+strings.Repeat("<title>", 1000), 0),
		"headers without end":    forever("HTTP/1.1 200 OK\r\nX: "+strings.Repeat("a", 4000)+"\r\n", 0),
		"a slow page":            forever("HTTP/1.1 200 OK\r\n\r\n", 900*time.Millisecond),
		"a frame without end":    says("\xff\xff\xff\x7f"),
		"a frame that is short":  says("\xff\x00\x00\x00{}"),
		"an empty frame":         says("\x00\x00\x00\x00"),
		"deep JSON":              says(strings.Repeat("[", 50_000)),
		"JSON of another sort":   says(`{"STATUS":[[]],"VERSION":7,"code":"x","msg":[]}`),
		"a redirect to nowhere":  says("HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n"),
		"a page that is cut off": says("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n<title>x"),
		"continues":              says("HTTP/1.1 100 Continue\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var wg sync.WaitGroup
				n := newNetwork(t)
				n.hosts[at7] = serves(&wg, map[int]func(netConn){portRPC: serve, portV3: serve, portWeb: serve})
				began := time.Now()
				f, err := Look(t.Context(), Opts{Dial: n.Dial}, at7)
				if took := time.Since(began); took > patience*DefaultTimeout+time.Second {
					t.Errorf("it took %s", took)
				}
				if err != nil || f.Sure != Unknown || f.API != "" || len(f.Why) == 0 || f.MAC != "" {
					t.Errorf("%v: %+v", err, f)
				}
				for _, w := range f.Why {
					if strings.ContainsAny(w, "\x1b\n\x00") || len(w) > 600 {
						t.Errorf("%q", w)
					}
				}
				wg.Wait()
				if n.open != 0 {
					t.Errorf("%d connections are left", n.open)
				}
			})
		})
	}
}

// TestTheContextEndsALook at once, wherever it is.
func TestTheContextEndsALook(t *testing.T) {
	for _, after := range []time.Duration{500 * time.Millisecond, 2 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			var wg sync.WaitGroup
			n := newNetwork(t)
			if after > time.Second { // else nobody is there
				n.hosts[at7] = serves(&wg, map[int]func(netConn){portRPC: func(c netConn) { time.Sleep(time.Minute) }})
			}
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			began := time.Now()
			_, err := Look(ctx, Opts{Dial: n.Dial, Timeout: 10 * time.Second}, at7)
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != after {
				t.Errorf("%v after %s", err, time.Since(began))
			}
			wg.Wait()
		})
	}
}
