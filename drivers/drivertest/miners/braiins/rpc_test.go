package braiins_test

import (
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers/drivertest/miners"
	"rackagent/drivers/drivertest/miners/braiins"
)

// TestEnvelope: all bytes of a reply, and the NUL at its end.
func TestEnvelope(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		status := func(code int, msg, status string) string {
			return fmt.Sprintf(`"STATUS":[{"Code":%d,"Description":"BOSer boser-openwrt 0.1.0-0a1b2c3d","Msg":"%s","STATUS":"%s","When":%d}]`,
				code, msg, status, b.m.Now().Unix())
		}
		version := status(22, "BOSer versions", "S") + `,"VERSION":[{"API":"3.7","BOSer":"boser-openwrt 0.1.0-0a1b2c3d"}],"id":1`
		none := status(14, "Invalid command", "E") + `,"id":1`
		for request, want := range map[string]string{
			`{"command":"version"}`:         `{` + version + `}`,
			`{"command":"version"}` + "\n":  `{` + version + `}`,
			`{"command":"nosuch"}`:          `{` + none + `}`,
			`{"command":"version"`:          `{` + status(23, "Invalid JSON", "E") + `,"id":1}`,
			`version|`:                      `{` + status(23, "Invalid JSON", "E") + `,"id":1}`,
			`{"cmd":"version"}`:             `{` + status(24, "Missing JSON 'command'", "E") + `,"id":1}`,
			`{"command":"version+nosuch"}`:  `{"id":1,"nosuch":[{` + none + `}],"version":[{` + version + `}]}`,
			`{"command":"version+restart"}`: `{"id":1,"restart":[{` + none + `}],"version":[{` + version + `}]}`,
			`{"command":"resume"}`:          `{"RESUME":[true],` + status(205, "Resume", "S") + `,"id":1}`,
			`{"command":"pause"}`:           `{"PAUSE":[true],` + status(204, "Pause", "S") + `,"id":1}`,
		} {
			got, err := b.rpc(request)
			if err != nil || got != want+"\x00" {
				b.Errorf("%q:\n%q %v, want\n%q", request, got, err, want)
			}
		}
	})
}

// TestReports: the numbers of 4028, in MH/s.
func TestReports(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		s := b.call("summary")
		b.want("summary", s, 11, "STATUS", 0, "Code")
		b.want("summary", s, 25*3600, "SUMMARY", 0, "Elapsed")
		b.want("summary", s, 234e6, "SUMMARY", 0, "MHS 5s")
		b.want("summary", s, 234e6, "SUMMARY", 0, "MHS 1m")
		b.above("summary", s, 200e6, "SUMMARY", 0, "MHS av")
		d := b.call("devs")
		b.want("devs", d, 78e6, "DEVS", 2, "MHS 5s")
		b.want("devs", d, 8, "DEVS", 2, "ID")
		b.want("devs", d, "Alive", "DEVS", 2, "Status")
		p := b.call("pools")
		b.want("pools", p, 7, "STATUS", 0, "Code")
		b.want("pools", p, "Alive", "POOLS", 0, "Status")
		b.want("pools", p, true, "POOLS", 0, "Stratum Active")
		b.want("pools", p, false, "POOLS", 1, "Stratum Active")
		b.want("config", b.call("config"), 3, "CONFIG", 0, "ASC Count")
		b.want("tempctrl", b.call("tempctrl"), 200, "STATUS", 0, "Code")
		b.want("tempctrl", b.call("tempctrl"), 85, "TEMPCTRL", 0, "Target")
		b.want("temps", b.call("temps"), map[string]any{"TEMP": 0.0, "ID": 6.0, "Board": 60.0, "Chip": 72.0}, "TEMPS", 0)
		b.want("fans", b.call("fans"), map[string]any{"FAN": 1.0, "ID": 1.0, "RPM": 5400.0, "Speed": 90.0}, "FANS", 1)
		u := b.call("tunerstatus")
		b.want("tunerstatus", u, 203, "STATUS", 0, "Code")
		b.want("tunerstatus", u, 3500, "TUNERSTATUS", 0, "PowerLimit")
		b.want("tunerstatus", u, 3500, "TUNERSTATUS", 0, "ApproximateMinerPowerConsumption")
		b.want("tunerstatus", u, "Disabled", "TUNERSTATUS", 0, "DynamicPowerScaling")
		b.want("devdetails", b.call("devdetails"), 126, "DEVDETAILS", 0, "Chips")
		b.want("stats", b.call("stats"), 25*3600, "STATS", 0, "Elapsed")
		for name, want := range map[string]string{"pause": "Y", "summary": "Y", "restart": "N", "check": "Y"} {
			raw, _ := b.rpc(fmt.Sprintf(`{"command":"check","parameter":%q}`, name))
			b.want(name, raw[:len(raw)-1], map[string]any{"Exists": want, "Access": want}, "CHECK", 0)
		}
		if n := len(b.s.Writes()); n != 0 {
			b.Errorf("%d writes", n)
		}
	})
}

// TestPause4028: without a password, and seen over REST.
func TestPause4028(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		b.want("pause", b.call("pause"), true, "PAUSE", 0)
		b.want("pause", b.call("pause"), true, "PAUSE", 0)
		b.status(3)
		time.Sleep(4 * time.Second)
		b.truth(miners.Sleeping, 25)
		b.want("tuner", b.call("tunerstatus"), 25, "TUNERSTATUS", 0, "ApproximateMinerPowerConsumption")
		b.want("tuner", b.call("tunerstatus"), "Paused", "TUNERSTATUS", 0, "TunerChainStatus", 0, "Status")
		b.want("devs", b.call("devs"), "Dead", "DEVS", 0, "Status")
		b.want("resume", b.call("resume"), true, "RESUME", 0)
		b.status(2)
		b.truth(miners.Ramping, 25)
		b.want("joined", b.call("summary+pause"), 14, "pause", 0, "STATUS", 0, "Code")
		b.call("disablepool")
		b.status(2)
		want := "pause 204 true, pause 204 true, resume 205 true, pause 14 false, disablepool 14 false"
		if got := b.whats(); got != want {
			b.Errorf("%s, want %s", got, want)
		}
	})
}

// TestOneAtATime: 4028 serves a second client when the first is done; a write in two parts loses the second.
func TestOneAtATime(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		first, err := b.h.Dial(b.Context(), "tcp", "miner:4028")
		if err != nil {
			b.Fatal(err)
		}
		synctest.Wait() // it is being served
		time.AfterFunc(3*time.Second, func() { _ = first.Close() })
		began := time.Now()
		b.call("version")
		if waited := time.Since(began); waited != 3*time.Second {
			b.Errorf("the second waited %s", waited)
		}
		c, err := b.h.Dial(b.Context(), "tcp", "miner:4028")
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, `{"command":`)
		raw, err := io.ReadAll(c)
		if err != nil || len(raw) == 0 {
			b.Fatalf("%q %v", raw, err)
		}
		b.want("half a request", string(raw[:len(raw)-1]), 23, "STATUS", 0, "Code")
	})
}

// TestRefusals4028: closed, without privileges, or without the commands.
func TestRefusals4028(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		b.s.Change(func(q *braiins.Quirks) { q.Denies4028 = true })
		b.want("denied", b.call("pause"), 45, "STATUS", 0, "Code")
		raw, _ := b.rpc(`{"command":"check","parameter":"pause"}`)
		b.want("check", raw[:len(raw)-1], map[string]any{"Exists": "Y", "Access": "N"}, "CHECK", 0)
		b.s.Change(func(q *braiins.Quirks) { q.NoPause4028 = true })
		b.want("unknown", b.call("pause"), 14, "STATUS", 0, "Code")
		b.truth(miners.Hashing, 3500)
		b.s.Change(func(q *braiins.Quirks) { q.Dead4028 = true })
		if _, err := b.rpc(`{"command":"version"}`); err == nil {
			b.Error("an answer of the dead")
		}
		b.put("actions/pause", "", 200, "false")
		b.s.Change(func(q *braiins.Quirks) { q.Dead4028 = false })
		b.want("alive", b.call("version"), 22, "STATUS", 0, "Code")
	})
}
