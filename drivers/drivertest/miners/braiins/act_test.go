package braiins_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"rackagent/drivers/drivertest/miners"
	"rackagent/drivers/drivertest/miners/braiins"
)

// TestPauseAndResume: what the machine does and what is read of it; the flag tells what was before.
func TestPauseAndResume(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		b.put("actions/resume", "", 200, "true")
		b.truth(miners.Hashing, 3500)
		b.put("actions/pause", "", 200, "false")
		b.status(3)
		b.truth(miners.Sleeping, 3500)
		time.Sleep(4 * time.Second)
		b.truth(miners.Sleeping, 25)
		b.put("actions/pause", "", 200, "true")
		s := b.get("miner/stats")
		b.want("asleep", s, 25, "power_stats", "approximated_consumption", "watt")
		b.want("asleep", s, nil, "power_stats", "efficiency")
		b.want("asleep", s, 0, "miner_stats", "real_hashrate", "last_1m", "gigahash_per_second")
		b.above("asleep", s, 200e3, "miner_stats", "real_hashrate", "since_restart", "gigahash_per_second")
		b.want("asleep", b.call("summary"), 0, "SUMMARY", 0, "MHS 5s")
		b.above("asleep", b.call("summary"), 200e6, "SUMMARY", 0, "MHS av")
		b.above("the process runs", b.get("miner/details"), 3600, "bosminer_uptime_s")
		b.want("the target stays", b.get("performance/tuner-state"), 2, "overall_tuner_state")
		b.target(3500)
		b.put("actions/resume", "", 200, "false")
		b.status(2)
		b.truth(miners.Ramping, 25)
		time.Sleep(100 * time.Second)
		b.truth(miners.Hashing, 3500)
		b.want("awake", b.get("miner/stats"), 234e3, "miner_stats", "real_hashrate", "last_5s", "gigahash_per_second")
		want := "PUT actions/resume 200 true, PUT actions/pause 200 true, PUT actions/pause 200 true, PUT actions/resume 200 true"
		if got := b.whats(); got != want {
			b.Errorf("%s, want %s", got, want)
		}
	})
}

// TestStopAndStart: the process ends, and a pause is nothing to it.
func TestStopAndStart(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		b.put("actions/start", "", 200, "true")
		b.put("actions/stop", "", 200, "false")
		b.put("actions/stop", "", 200, "true")
		b.status(1)
		b.want("stopped", b.get("miner/details"), 0, "bosminer_uptime_s")
		b.put("actions/pause", "", 412, "BOSminer is not running")
		b.put("actions/resume", "", 412, "BOSminer is not running")
		b.want("4028", b.call("resume"), true, "RESUME", 0)
		time.Sleep(4 * time.Second)
		b.truth(miners.Sleeping, 25)
		b.put("actions/start", "", 200, "false")
		b.status(2)
		b.put("actions/stop", "", 200, "false")
		b.put("actions/restart", "", 200, "false")
		b.status(2)
	})
}

// TestRestart: the boards go off, and come on again in ten seconds; a pause is lost unless the firmware keeps it.
func TestRestart(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		b.put("actions/restart", "", 200, "true")
		b.status(1)
		b.truth(miners.Sleeping, 3500)
		time.Sleep(10*time.Second + time.Millisecond)
		b.truth(miners.Ramping, 25)
		b.status(2)
		b.put("actions/pause", "", 200, "false")
		b.put("actions/restart", "", 200, "true")
		time.Sleep(12 * time.Second)
		b.status(2)
		b.put("actions/restart", "", 200, "true")
		b.put("actions/pause", "", 200, "false")
		time.Sleep(time.Minute)
		b.status(3)
	})
	on(t, braiins.Opts{PauseSurvives: true}, func(b *bench) {
		b.put("actions/pause", "", 200, "false")
		b.put("actions/restart", "", 200, "true")
		time.Sleep(12 * time.Second)
		b.status(3)
	})
}

// TestRestartLate: the boards go off a minute later, for ten seconds.
func TestRestartLate(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		b.m.Set(miners.ObeysLate, true)
		b.put("actions/restart", "", 200, "true")
		time.Sleep(59 * time.Second)
		b.status(2)
		time.Sleep(2 * time.Second)
		b.status(1)
		time.Sleep(10 * time.Second)
		b.status(2)
		b.truth(miners.Ramping, 25+3475*0.01)
	})
}

// TestReboot: 204, then nothing answers; a pause is lost or not, a target is not.
func TestReboot(t *testing.T) {
	for keeps, want := range map[bool]int{false: 2, true: 3} {
		on(t, braiins.Opts{PauseSurvives: keeps}, func(b *bench) {
			b.put("performance/power-target", `{"watt":2600}`, 200, `{"watt":2600}`)
			b.put("actions/pause", "", 200, "false")
			b.put("actions/locate", "true", 200, "true")
			b.want("locate", b.get("actions/locate"), true)
			if b.s.Asleep() != keeps {
				b.Errorf("it comes back asleep: %t", b.s.Asleep())
			}
			b.put("actions/reboot", "", 204, "")
			b.truth(miners.Booting, 25)
			if p := b.do("GET", "miner/status", ""); p.err == nil || !strings.Contains(p.err.Error(), "refused") {
				b.Errorf("%+v", p)
			}
			time.Sleep(time.Minute)
			b.login()
			b.status(want)
			b.target(2600)
			b.want("locate", b.get("actions/locate"), false)
			if n := b.s.Counts().Reboots; n != 1 {
				b.Errorf("%d reboots", n)
			}
		})
	}
}

// TestMains: as a reboot; a process that was stopped runs again.
func TestMains(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		b.put("performance/power-target", `{"watt":2000}`, 200, `{"watt":2000}`)
		b.put("actions/stop", "", 200, "false")
		b.s.Mains(false)
		b.truth(miners.Off, 0)
		time.Sleep(time.Minute)
		b.s.Mains(true)
		time.Sleep(time.Minute + 100*time.Second)
		b.truth(miners.Hashing, 2000)
		b.login()
		b.status(2)
		b.target(2000)
	})
}

// TestGone: a connection from before does not answer while the machine is down.
func TestGone(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		b.login()
		c, err := b.h.Dial(b.Context(), "tcp", "miner:80")
		if err != nil {
			b.Fatal(err)
		}
		b.client = &http.Client{Transport: dialled(c), Timeout: 10 * time.Second}
		b.s.Mains(false)
		if p := b.raw("GET", "/", "", ""); p.status != 0 || p.err == nil {
			b.Errorf("%+v", p)
		}
	})
}

// TestHold: the firmware keeps the machine still, and no command wakes it.
func TestHold(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		for _, status := range []int{braiins.StatusSuspended, braiins.StatusRestricted, 17} {
			b.s.Hold(status)
			time.Sleep(4 * time.Second)
			b.truth(miners.Sleeping, 25)
			b.put("actions/resume", "", 200, "false")
			b.put("actions/restart", "", 200, "true")
			b.put("actions/start", "", 200, "true")
			b.want("4028", b.call("resume"), true, "RESUME", 0)
			time.Sleep(time.Minute)
			b.status(status)
			b.truth(miners.Sleeping, 25)
			if !b.s.Asleep() {
				b.Error("it comes back awake")
			}
			b.s.Hold(0)
			b.status(2)
			time.Sleep(2 * time.Minute)
			b.truth(miners.Hashing, 3500)
		}
		b.put("actions/pause", "", 200, "false")
		b.s.Hold(braiins.StatusSuspended)
		b.s.Hold(0)
		b.status(3)
	})
}

// TestBoards: one fewer draws a third less.
func TestBoards(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		const path = "miner/hw/hashboards"
		b.write("PATCH", path, `{"enable":false,"hashboard_ids":["2"]}`, 200, `{"hashboards":[{"id":"2","is_enabled":false}]}`)
		b.want("board", b.get(path), false, "hashboards", 1, "enabled")
		b.want("board", b.get(path), 0, "hashboards", 1, "stats", "real_hashrate", "last_5s", "gigahash_per_second")
		b.want("4028", b.call("devs"), "N", "DEVS", 1, "Enabled")
		b.target(3500)
		time.Sleep(100 * time.Second)
		b.truth(miners.Hashing, 3500.0*2/3)
		b.want("board", b.get(path), 78e3, "hashboards", 0, "stats", "real_hashrate", "last_5s", "gigahash_per_second")
		b.put("performance/power-target", `{"watt":2000}`, 200, `{"watt":2000}`)
		b.target(2000)
		b.write("PATCH", path, `{"enable":true,"hashboard_ids":["2"]}`, 200, `{"hashboards":[{"id":"2","is_enabled":true}]}`)
		time.Sleep(100 * time.Second)
		b.truth(miners.Hashing, 2000)
		for _, body := range []string{`{}`, `{"enable":true}`, `{"enable":true,"hashboard_ids":["4"]}`, `{"enable":true,"hashboard_ids":[1]}`, `x`} {
			b.write("PATCH", path, body, 400, "invalid request payload")
		}
	})
}
