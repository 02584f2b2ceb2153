package braiins_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"rackagent/drivers/drivertest/miners"
	"rackagent/drivers/drivertest/miners/braiins"
)

// dialled is a transport on a connection that is there already.
func dialled(c net.Conn) *http.Transport {
	return &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return c, nil },
		DisableKeepAlives: true,
	}
}

// TestIgnores: every write is taken, and nothing changes.
func TestIgnores(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		b.m.Set(miners.Ignores, true)
		b.put("actions/pause", "", 200, "false")
		b.put("actions/stop", "", 200, "false")
		b.put("actions/restart", "", 200, "true")
		b.put("actions/reboot", "", 204, "")
		b.put("actions/locate", "true", 200, "true")
		b.put("performance/quick-ramping", `{"up_s":5,"down_s":2}`, 200, `{"down_s":2,"up_s":5}`)
		b.put(targetPath, `{"watt":2000}`, 200, `{"watt":2000}`)
		b.write("PATCH", "miner/hw/hashboards", `{"enable":false,"hashboard_ids":["1"]}`, 200, `{"hashboards":[{"id":"1","is_enabled":false}]}`)
		b.want("4028", b.call("pause"), true, "PAUSE", 0)
		time.Sleep(2 * time.Minute)
		b.status(2)
		b.target(3500)
		b.truth(miners.Hashing, 3500)
		if up, down := b.s.Ramping(); up != 100*time.Second || down != 4*time.Second {
			b.Errorf("ramping %s and %s", up, down)
		}
		b.want("locate", b.get("actions/locate"), false)
		b.want("boards", b.get("miner/hw/hashboards"), true, "hashboards", 0, "enabled")
		b.s.Change(func(q *braiins.Quirks) { q.ShowsWish = true })
		b.put("actions/pause", "", 200, "false")
		b.status(3)
		b.truth(miners.Hashing, 3500)
		b.put("actions/resume", "", 200, "true")
		b.status(2)
	})
}

// TestObeysLate: a minute later, and not before.
func TestObeysLate(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		b.m.Set(miners.ObeysLate, true)
		b.put("actions/pause", "", 200, "false")
		b.put(targetPath, `{"watt":2000}`, 200, `{"watt":2000}`)
		b.put("actions/locate", "true", 200, "true")
		b.write("PATCH", "miner/hw/hashboards", `{"enable":false,"hashboard_ids":["1"]}`, 200, `{"hashboards":[{"id":"1","is_enabled":false}]}`)
		time.Sleep(59 * time.Second)
		b.status(2)
		b.target(3500)
		b.truth(miners.Hashing, 3500)
		b.want("boards", b.get("miner/hw/hashboards"), true, "hashboards", 0, "enabled")
		time.Sleep(2 * time.Second)
		b.status(3)
		b.want("locate", b.get("actions/locate"), true)
		b.want("boards", b.get("miner/hw/hashboards"), false, "hashboards", 0, "enabled")
		b.put("actions/resume", "", 200, "false")
		b.put("actions/stop", "", 200, "false")
		time.Sleep(61 * time.Second)
		b.status(1)
	})
}

// TestSilent: the effect is there, and the answer is not.
func TestSilent(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		b.login()
		b.m.Set(miners.Silent, true)
		if p := b.do("PUT", "actions/pause", ""); p.status != 0 {
			b.Errorf("%+v", p)
		}
		b.status(3)
		if raw, err := b.rpc(`{"command":"resume"}`); raw != "" || err != nil {
			b.Errorf("%q %v", raw, err)
		}
		b.status(2)
		if p := b.do("PUT", targetPath, `{"watt":100}`); p.status != 400 {
			b.Errorf("a refusal: %+v", p)
		}
		if got := b.whats(); got != "PUT actions/pause 200 true, resume 205 true, PUT "+targetPath+" 400 false" {
			b.Error(got)
		}
	})
}

// TestLocked: writes are refused on both ports, and kept.
func TestLocked(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		b.m.Set(miners.Locked, true)
		b.put("actions/pause", "", 403, "forbidden")
		b.s.Change(func(q *braiins.Quirks) { q.LockedStatus = 500 })
		b.put(targetPath, `{"watt":2000}`, 500, "forbidden")
		b.want("4028", b.call("pause"), 45, "STATUS", 0, "Code")
		b.want("4028", b.call("pause"), "E", "STATUS", 0, "STATUS")
		b.status(2)
		b.target(3500)
		if got := b.whats(); got != "PUT actions/pause 403 false, PUT "+targetPath+" 500 false, pause 45 false, pause 45 false" {
			b.Error(got)
		}
	})
}

// TestWhatLies: short windows that are averages, numbers as texts, flags the wrong way round.
func TestWhatLies(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		b.put("actions/pause", "", 200, "false")
		b.m.Set(miners.Averages, true)
		b.above("average", b.get("miner/stats"), 200e3, "miner_stats", "real_hashrate", "last_5s", "gigahash_per_second")
		b.above("average", b.call("summary"), 200e6, "SUMMARY", 0, "MHS 5s")
		b.m.Set(miners.TextNumbers, true)
		b.want("text", b.get("miner/status"), "3", "status")
		b.want("text", b.call("devs"), "6", "DEVS", 0, "ID")
		b.put(targetPath, `{"watt":2000}`, 200, `{"watt":"2000"}`)
		b.want("text", b.raw("POST", "/api/v1/auth/login", "", rootLogin).body, "3600", "timeout_s")
		b.s.Change(func(q *braiins.Quirks) { q.WrongFlags = true })
		b.put("actions/pause", "", 200, "false")
		b.put("actions/resume", "", 200, "true")
		b.want("4028", b.call("pause"), false, "PAUSE", 0)
	})
}

// TestRebootHangs: it boots, and the answer does not come.
func TestRebootHangs(t *testing.T) {
	on(t, braiins.Opts{Quirks: braiins.Quirks{RebootHangs: true}}, func(b *bench) {
		b.login()
		began := time.Now()
		if p := b.do("PUT", "actions/reboot", ""); p.status != 0 || time.Since(began) != 30*time.Second {
			b.Errorf("%+v after %s", p, time.Since(began))
		}
		b.truth(miners.Booting, 25)
	})
}

// TestStreamsStatus: the answer does not end, and tells what changes.
func TestStreamsStatus(t *testing.T) {
	on(t, braiins.Opts{Quirks: braiins.Quirks{StreamsStatus: true}}, func(b *bench) {
		b.login()
		ctx, cancel := context.WithCancel(b.Context())
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://miner/api/v1/miner/status", nil)
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("Authorization", b.token)
		b.client.Timeout = 0
		resp, err := b.client.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		defer resp.Body.Close()
		in := json.NewDecoder(bufio.NewReader(resp.Body))
		for i, want := range []int{2, 3} {
			var got struct{ Status int }
			if err := in.Decode(&got); err != nil || got.Status != want {
				b.Errorf("%d: %+v %v", i, got, err)
			}
			b.put("actions/pause", "", 200, map[int]string{0: "false", 1: "true"}[i])
		}
		b.s.Mains(false)
		if _, err := io.ReadAll(resp.Body); err == nil {
			b.Error("the stream ended well")
		}
	})
}

// TestWires: what is wrong with them is so on both ports.
func TestWires(t *testing.T) {
	for _, quirk := range []miners.Quirk{miners.Refuses, miners.Vanished, miners.Hangs, miners.HangsUp, miners.CutsOff, miners.Floods} {
		t.Run(string(quirk), func(t *testing.T) {
			on(t, braiins.Opts{}, func(b *bench) {
				b.login()
				b.m.Set(quirk, true)
				p := b.do("GET", "miner/details", "")
				if p.err == nil && json.Valid([]byte(p.body)) {
					b.Errorf("a good answer: %+v", p)
				}
				if quirk == miners.Floods {
					return
				}
				raw, err := b.rpc(`{"command":"summary"}`)
				if strings.HasSuffix(raw, "\x00") {
					b.Errorf("a good answer: %q %v", raw, err)
				}
			})
		})
	}
	on(t, braiins.Opts{}, func(b *bench) {
		b.m.Set(miners.Dribbles, true)
		b.status(2)
		b.call("summary")
		b.m.Set(miners.Dribbles, false)
		b.m.Set(miners.Dawdles, true)
		began := time.Now()
		b.get("miner/status")
		if waited := time.Since(began); waited != 25*time.Second {
			b.Errorf("after %s", waited)
		}
	})
}
